"""``gridsvc divide`` and ``gridsvc merge`` through the real entry point, dry, twice, and refused."""

import json
from datetime import UTC, datetime

import openpyxl
import pyogrio
import pytest

from tests.factories.undivided_district import DISTRICT, codes, put_district

pytestmark = pytest.mark.postgis

AT = ("--at", "2026-01-01T00:00:00+00:00")


@pytest.fixture(scope="module")
def town(postgis_server, template_database):
    from gridsvc.store.engine import make_engine
    from gridsvc.store.unit_of_work import UnitOfWork

    name = f"{template_database}_divide_cli"
    url = postgis_server.create(name, template_database)
    engine = make_engine(url)
    with UnitOfWork(engine) as uow:
        put_district(uow, datetime(2026, 1, 1, tzinfo=UTC), columns=2, rows=1)
        uow.commit()
    engine.dispose()
    yield url
    postgis_server.drop(name)


@pytest.fixture
def gridsvc_database(town):
    return town


def test_divide_then_merge_each_dry_and_twice(gridsvc):
    assert gridsvc("merge", DISTRICT, *AT)[::2] == (
        1,
        f"gridsvc: {DISTRICT} has no unit grids at 2026-01-01T00:00:00+00:00. Divide it first: gridsvc divide {DISTRICT}.\n",
    )
    dry = json.loads(gridsvc("divide", DISTRICT, *AT, "--dry-run", "--json")[1])
    first = json.loads(gridsvc("divide", DISTRICT, *AT, "--json")[1])
    second = json.loads(gridsvc("divide", DISTRICT, *AT, "--json")[1])

    assert dry["inserted"] == first["inserted"] == first["unit_grids"] + first["governance_grids"]
    assert (first["gap_area_m2"], first["overlap_area_m2"], first["buildings_cut"]) == (0, 0, 0)
    assert (second["inserted"], second["retired"], second["redraws"]) == (0, 0, {})

    assert (
        json.loads(gridsvc("merge", DISTRICT, *AT, "--dry-run", "--json")[1])["inserted"] == first["governance_grids"]
    )
    merged = json.loads(gridsvc("merge", DISTRICT, *AT, "--json")[1])
    assert (merged["grids"], merged["parcels"]) == (first["governance_grids"], first["unit_grids"])
    status, printed, _ = gridsvc("merge", DISTRICT, *AT)
    assert (status, "unchanged" in printed) == (0, True)


def test_stored_networks_are_held_against_each_other(gridsvc):
    gridsvc("divide", DISTRICT, *AT)
    stored = f"urban:{DISTRICT}", f"social:{DISTRICT}@2026-01-01T00:00:00+00:00"

    found = json.loads(gridsvc("networks", "compare", *stored, *AT, "--json")[1])
    walk = json.loads(gridsvc("networks", "crosswalk", *stored, *AT, "--value", "households", "--whole", "--json")[1])
    status, _, wrong = gridsvc("networks", "compare", "security:" + DISTRICT, *AT)

    (pair,) = found["pairs"]
    assert (pair["first_crossing"], pair["second_crossing"], pair["first_only_m2"]) == (0, 0, 0.0)
    assert pair["first_nested"] + pair["first_aligned"] == found["networks"][0]["grids"]
    assert walk["sums"][0]["given"] == walk["sums"][0]["placed"] > 0
    assert (status, "Network security has no grids under" in wrong) == (1, True)


def test_the_stored_nets_are_printed_on_a_sheet(gridsvc, tmp_path):
    gridsvc("divide", DISTRICT, *AT)
    gridsvc("merge", DISTRICT, *AT)
    status, printed, _ = gridsvc("map", "sheet", "--division", DISTRICT, *AT, "--out", tmp_path / "nets.pdf", "--json")

    assert status == 0
    assert json.loads(printed)["grids"].keys() == {"unified", "urban", "social"}
    assert (tmp_path / "nets.pdf").read_bytes().startswith(b"%PDF")


def test_one_community_and_one_kind(gridsvc):
    gridsvc("divide", DISTRICT, *AT)
    status, printed, _ = gridsvc("divide", codes(2, 1)[0], "--kind", "unit", *AT)

    assert status == 0
    assert "gap area m2" in printed


def test_unknown_and_misspelt_are_refused(gridsvc):
    assert gridsvc("divide", "110101", *AT)[0] == 1
    assert gridsvc("divide", DISTRICT, "--kind", "block")[0] == 2
    assert "Example: gridsvc divide" in gridsvc("divide", "--help")[1]
    assert "Example: gridsvc merge" in gridsvc("merge", "--help")[1]


def test_alternatives_are_shown_written_and_drafted(gridsvc, tmp_path):
    gridsvc("divide", DISTRICT, *AT)
    outs = [tmp_path / name for name in ("a.gpkg", "b.gpkg", "a.xlsx", "b.xlsx")]

    status, printed, _ = gridsvc("merge", DISTRICT, *AT, "--alternatives", "--bounds", "100", "200")
    found = json.loads(
        gridsvc(
            "merge", DISTRICT, *AT, "--alternatives", "--json", *(part for out in outs for part in ("--out", str(out)))
        )[1]
    )
    draft = (
        "merge", DISTRICT, *AT, "--draft", "--choose", "balanced", "--bounds", "600", "1100", "--actor", "planner", "--json",
    )  # fmt: skip
    dry = json.loads(gridsvc(*draft, "--dry-run")[1])
    made = json.loads(gridsvc(*draft)[1])
    shown = json.loads(gridsvc("redraw", "show", made["redraw_id"], "--json")[1])

    assert status == 0 and "costs: 3 rows" in printed and "changes: 3 rows" in printed
    assert [row["alternative"] for row in found["costs"]] == ["reference", "agreed", "balanced"]
    assert outs[0].read_bytes() == outs[1].read_bytes() and outs[2].read_bytes() == outs[3].read_bytes()
    assert openpyxl.load_workbook(outs[2]).sheetnames == ["costs", "changes", "grids", "crosswalk"]
    assert len(pyogrio.read_dataframe(outs[0], layer="reference")) == found["costs"][0]["grids"]
    assert dry == {"redraw_id": None, "alternative": "balanced"}
    assert (shown["state"], shown["networks"], shown["drafted_by"]) == ("draft", ["unified"], "planner")
    assert shown["checks"]["passed"], shown["checks"]["faults"]
    assert gridsvc("merge", DISTRICT, *AT, "--out", str(outs[0]))[0] == 2
    status, _, said = gridsvc("merge", DISTRICT, *AT, "--alternatives", "--bounds", "500", "300")
    assert (status, "make no sense" in said) == (1, True)
