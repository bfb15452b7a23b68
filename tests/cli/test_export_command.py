"""``gridsvc export components`` and ``gridsvc import components`` through their entry points."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from factories import stored_town as town
from factories.registers import register_csv

from gridsvc.cli.exporting import export_group
from gridsvc.cli.main import main
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork


@pytest.fixture
def database(clean_database, monkeypatch):
    """A database with the divisions of the town."""
    monkeypatch.setenv("GRIDSVC_DATABASE_URL", clean_database)
    engine = make_engine(clean_database)
    with UnitOfWork(engine) as uow:
        uow.divisions.put_frame(town.division_frame(), town.START)
        uow.commit()
    engine.dispose()


def run(monkeypatch, capsys, *arguments) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["gridsvc", *map(str, arguments)])
    try:
        main()
        status = 0
    except SystemExit as done:
        status = int(done.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_command_shows_an_example():
    shown = CliRunner().invoke(export_group, ["components", "--help"])

    assert shown.exit_code == 0
    assert "gridsvc export components --out lamps.xlsx" in shown.output


@pytest.mark.postgis
def test_a_register_goes_in_and_out_and_in_again(database, monkeypatch, capsys, tmp_path):
    came, out = register_csv(tmp_path / "r.csv"), tmp_path / "out.xlsx"
    since = ("--valid-from", "2026-02-01")

    taken = run(monkeypatch, capsys, "import", "components", came, "--datum", "cgcs2000", *since)
    written = run(monkeypatch, capsys, "export", "components", "--out", out, "--json")
    again = run(monkeypatch, capsys, "import", "components", out, *since)

    assert taken[:2] == (0, "r.csv: 4 rows read, 4 stored, 0 refused.\n")
    assert (written[0], json.loads(written[1])) == (0, {"file": "out.xlsx", "components": 4})
    assert again[:2] == (0, "out.xlsx: 4 rows read, 0 stored, 4 unchanged, 0 refused.\n")


@pytest.mark.postgis
@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (("--out", "x.dwg"), 1, "its suffix names no format known here"),
        (("--out", "x.csv"), 1, "There are no components to export."),
        (("--out", "no/such/x.csv", "--state", "stolen"), 2, "'stolen' is not one of"),
        ((), 2, "Missing option '--out'"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(database, monkeypatch, capsys, tmp_path, arguments, status, sentence):
    monkeypatch.chdir(tmp_path)

    told = run(monkeypatch, capsys, "export", "components", *arguments)

    assert told[0] == status
    assert sentence in told[2]
    assert list(tmp_path.iterdir()) == []
