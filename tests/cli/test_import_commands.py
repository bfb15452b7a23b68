"""``gridsvc import`` through its entry point: exit status, sentences, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gridsvc.cli.importing import import_group
from gridsvc.cli.main import main
from tests.factories.two_districts import CODES, EAST, WEST, write_divisions

GOLDEN = Path(__file__).parents[1] / "golden" / "imports"


@pytest.fixture
def database(clean_database, monkeypatch):
    monkeypatch.setenv("GRIDSVC_DATABASE_URL", clean_database)
    return clean_database


def run(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["gridsvc", "import", *arguments])
    try:
        main()
        status = 0
    except SystemExit as done:
        status = int(done.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("kind", sorted(import_group.commands))
def test_every_kind_shows_an_example(kind):
    shown = CliRunner().invoke(import_group, [kind, "--help"])

    assert shown.exit_code == 0
    assert f"gridsvc import {kind}" in shown.output


@pytest.mark.postgis
def test_file_is_stored_and_known_the_second_time(database, monkeypatch, capsys):
    arguments = ("divisions", str(GOLDEN / "divisions.geojson"), "--datum", "wgs84", "--valid-from", "2026-01-01")

    first = run(monkeypatch, capsys, *arguments)
    second = run(monkeypatch, capsys, *arguments)

    assert first[:2] == (0, "divisions.geojson: 7 rows read, 7 stored, 0 refused.\n")
    assert second[:2] == (0, "divisions.geojson was imported before (7 rows); nothing changed.\n")


@pytest.mark.postgis
def test_dry_run_and_then_json(database, monkeypatch, capsys):
    file = str(GOLDEN / "bow_tie.geojson")

    dry = run(monkeypatch, capsys, "divisions", file, "--datum", "wgs84", "--repair", "--dry-run")
    stored = run(monkeypatch, capsys, "divisions", file, "--datum", "wgs84", "--repair", "--json")

    assert dry[0] == 0
    assert "1 would be stored" in dry[1]
    result = json.loads(stored[1])
    assert (result["rows_stored"], result["already_imported"], result["repaired"][0]["code"]) == (1, False, "420103")


@pytest.mark.postgis
def test_refusal_is_one_sentence_and_exit_1(database, monkeypatch, capsys):
    status, out, err = run(monkeypatch, capsys, "divisions", str(GOLDEN / "divisions.geojson"))

    assert (status, out) == (1, "")
    assert err.startswith("gridsvc: divisions.geojson has coordinates but no datum was declared.")
    assert "Traceback" not in err


@pytest.mark.postgis
def test_bad_rows_are_listed_and_given_as_json(database, monkeypatch, capsys):
    file = str(GOLDEN / "bow_tie.geojson")

    status, out, err = run(monkeypatch, capsys, "divisions", file, "--datum", "wgs84", "--json")

    assert status == 1
    assert json.loads(out)["refused"][0] == {
        "row": 1, "field": "geometry", "reason": "is not valid: Self-intersection at 114.255 30.585; --repair mends it", "value": "420103",
    }  # fmt: skip
    assert "row 1, geometry" in err


@pytest.mark.postgis
def test_missing_file_is_refused(database, monkeypatch, capsys):
    status, _, err = run(monkeypatch, capsys, "osm", "/nowhere/city.osm.pbf")

    assert status == 1
    assert "no file /nowhere/city.osm.pbf" in err


def test_malformed_mapping_is_wrong_usage(monkeypatch, capsys):
    status, _, err = run(monkeypatch, capsys, "streets", "x.shp", "--map", "name")

    assert status == 2
    assert "HEADER=FIELD" in err


@pytest.mark.postgis
def test_boundaries_that_differ_from_those_stored_are_shown_and_aligned(database, monkeypatch, capsys, tmp_path):
    west, east = write_divisions(tmp_path / "w.geojson", WEST), write_divisions(tmp_path / "e.geojson", EAST, -0.003)
    options = ("--datum", "cgcs2000", "--valid-from", "2026-01-01")
    run(monkeypatch, capsys, "divisions", str(west), *options)

    shown = run(monkeypatch, capsys, "divisions", str(east), *options, "--dry-run")
    aligned = run(monkeypatch, capsys, "divisions", str(east), *options, "--align", "0.01")

    assert shown[0] == aligned[0] == 0
    assert "5 pairs of boundaries differ along their common border" in shown[1]
    assert f"{CODES[EAST][0]} and {CODES[WEST][0]} (stored): by up to 3." in shown[1]
    assert "--align METRES" in shown[1]
    assert "4 boundaries moved onto those beside them" in aligned[1] and "differ" not in aligned[1]
