"""``gridsvc circle`` and ``gridsvc assign`` through the real entry point, on a database of their own."""

import json

import pandas as pd
import pyogrio
import pytest

from tests.factories.stored_town import COMMUNITIES, DISTRICT, START, grid_frame, worker_frame
from tests.factories.walking_town import MIDDLE, put_town, shops

pytestmark = pytest.mark.postgis

STANDARD = ("--standard", "beijing-convenience")
AT = ("--at", "2026-01-01T00:00:00+00:00")


@pytest.fixture(scope="module")
def town(postgis_server, template_database):
    from gridsvc.store.engine import make_engine
    from gridsvc.store.unit_of_work import UnitOfWork

    name = f"{template_database}_circle_cli"
    url = postgis_server.create(name, template_database)
    engine = make_engine(url)
    with UnitOfWork(engine) as uow:
        put_town(uow, shops(["J02", "J03"], [MIDDLE]))
        draft = uow.redraws.open_draft("social", DISTRICT, "automatic", "test", START)
        uow.redraws.put_grids(draft, grid_frame())
        uow.redraws.approve(draft, "test", START, START)
        uow.workers.put_frame(worker_frame(6), START)
        uow.commit()
    engine.dispose()
    yield url
    postgis_server.drop(name)


@pytest.fixture
def gridsvc_database(town, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    return town


def test_circle_from_network_to_gaps(gridsvc, tmp_path):
    assert json.loads(gridsvc("circle", "build", DISTRICT, *AT, "--json")[1])["nodes"] == 195

    status, printed, _ = gridsvc("circle", "coverage", DISTRICT, *STANDARD, *AT)
    assert status == 0
    assert "qualified communities" in printed
    assert "J02" in printed

    found = json.loads(gridsvc("circle", "coverage", DISTRICT, *STANDARD, *AT, "--json")[1])
    assert found["residences"] == 16
    assert found["qualified_communities"] == 0

    gaps = json.loads(gridsvc("circle", "gaps", DISTRICT, *AT, "--json")[1])
    assert gaps["circle_run_id"] == found["circle_run_id"]
    assert len(gaps["residences"]) == 16
    status, printed, _ = gridsvc("circle", "gaps", DISTRICT, *AT)
    assert (status, "蔬菜零售" in printed) == (0, True)

    out = tmp_path / "walk.geojson"
    place = (str(MIDDLE[0]), str(MIDDLE[1]), "--datum", "cgcs2000", *AT)
    status, printed, _ = gridsvc("circle", "isochrone", *place, "--minutes", "5,15", "--out", str(out))
    assert status == 0
    assert [feature["properties"]["minutes"] for feature in json.loads(out.read_text())["features"]] == [15, 5]


def test_own_list_by_street_for_the_elderly_with_files(gridsvc, tmp_path):
    own = tmp_path / "Own list.csv"
    own.write_text("code,minutes,required\nJ02,5,是\nJ03,15,no\n", encoding="utf-8")
    run = ("circle", "coverage", DISTRICT, "--standard-file", str(own), "--profile", "elderly", "--by", "street", *AT)
    out, again = tmp_path / "streets.gpkg", tmp_path / "again.gpkg"

    found = json.loads(gridsvc(*run, "--out", str(out), "--json")[1])
    status, printed, _ = gridsvc(*run, "--out", str(again))
    same = ("--standard-file", str(own), "--profile", "elderly")
    sheets = json.loads(gridsvc("circle", "gaps", DISTRICT, *same, "--by", "street", "--json")[1])
    areas = tmp_path / "areas.geojson"
    written = json.loads(gridsvc("circle", "gaps", DISTRICT, *same, "--kind", "J02", "--out", str(areas), "--json")[1])

    assert (found["standard"], found["speed_m_s"], found["by"]) == ("own-list", 0.8, "street")
    assert sum(place["population"] for place in found["places"]) == found["population"]
    assert status == 0 and found["places"][0]["place_code"] in printed
    assert dict(pyogrio.list_layers(out)) == {"coverage": "MultiPolygon", "gaps": "Polygon"}
    assert out.read_bytes() == again.read_bytes()
    assert [row["place_code"] for row in sheets] == [row["place_code"] for row in found["places"]]
    collection = json.loads(areas.read_text(encoding="utf-8"))
    assert written["rows"] == len(collection["features"]) > 0
    assert {feature["properties"]["kind_code"] for feature in collection["features"]} == {"J02"}
    assert collection["run"]["standard_verified"] is False


def test_coverage_workbook_says_what_it_was_computed_by(gridsvc, tmp_path):
    out = tmp_path / "grids.xlsx"
    assert gridsvc("circle", "coverage", DISTRICT, *STANDARD, "--by", "grid", "--out", str(out), *AT)[0] == 0

    sheets = pd.read_excel(out, sheet_name=None, dtype={"place_code": str})

    assert list(sheets) == ["places", "kinds", "run"]
    assert sheets["places"]["population"].sum() == 16 * 90
    assert len(sheets["kinds"]) == 8 * len(sheets["places"])
    assert {"network_sha256", "standard_source", "residences_without_entrance"} <= set(sheets["run"]["name"])


def test_certificate_of_a_community_is_the_same_each_time(gridsvc, tmp_path):
    assert gridsvc("circle", "coverage", DISTRICT, *STANDARD, *AT)[0] == 0
    one, two = tmp_path / "one.html", tmp_path / "two.html"

    written = json.loads(gridsvc("circle", "certificate", COMMUNITIES[0], *STANDARD, "--out", str(one), "--json")[1])
    gridsvc("circle", "certificate", COMMUNITIES[0], *STANDARD, "--out", str(two))

    page = one.read_text(encoding="utf-8")
    assert written["features"] == {"residences": 4, "kinds": 8}
    assert one.read_bytes() == two.read_bytes()
    assert "蔬菜零售" in page and "未达标" in page and COMMUNITIES[0] in page


def test_assign_twice_and_dry(gridsvc):
    dry = json.loads(gridsvc("assign", DISTRICT, *AT, "--dry-run", "--json")[1])
    first = json.loads(gridsvc("assign", DISTRICT, *AT, "--json")[1])
    status, printed, _ = gridsvc("assign", DISTRICT, *AT)

    assert dry["inserted"] == first["inserted"] > 0
    assert (first["grids"], first["full_time_assigned"]) == (8, 6)
    assert status == 0
    assert "has no full-time worker" in printed


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("assign", "420199"), 1, "gridsvc divide 420199"),
        (("assign", DISTRICT, "--at", "yesterday"), 2, "2026-01-01"),
        (("circle", "coverage", DISTRICT, "--standard", "none"), 1, "gb50180-15"),
        (("circle", "coverage", DISTRICT, "--standard-file", "none.json"), 1, "no file none.json"),
        (("circle", "coverage", DISTRICT, "--standard-file", "README.md"), 1, ".json or .csv"),
        (("circle", "coverage", DISTRICT, "--profile", "elderly", "--speed", "1"), 2, "not both"),
        (("circle", "coverage", DISTRICT, *STANDARD, "--standard-file", "own.json"), 2, "not both"),
        (("circle", "coverage", DISTRICT, *STANDARD, "--out", "table.docx"), 1, ".xlsx, .csv, .gpkg"),
        (("circle", "gaps", DISTRICT, "--kind", "J02"), 2, "--out"),
        (("circle", "certificate", DISTRICT, "--out", "page.html"), 1, "12 digits"),
        (("circle", "certificate", "420199001001", "--out", "page.html"), 1, "gridsvc circle coverage"),
        (("circle", "gaps", "420199"), 1, "gridsvc circle coverage 420199"),
        (("circle", "isochrone", "30.58", "114.26", "--datum", "wgs84"), 1, "swapped"),
        (("circle", "isochrone", "114.26", "30.58"), 2, "--datum"),
        (("circle", "isochrone", "114.26", "30.58", "--datum", "wgs84", "--minutes", "five"), 2, "5,10,15"),
    ],
)
def test_refusals_are_one_sentence(gridsvc, arguments, status, says):
    found, printed, error = gridsvc(*arguments)

    assert found == status
    assert says in error
    assert "Traceback" not in error
    assert printed == ""


def test_standards_are_listed_with_their_sources(gridsvc):
    rows = json.loads(gridsvc("circle", "standards", "--json")[1])

    assert {"gb50180-15", "beijing-service"} <= {row["standard"] for row in rows}
    assert all(row["source"] for row in rows)


@pytest.mark.parametrize(
    "command",
    [("assign",), *[("circle", c) for c in ("build", "coverage", "gaps", "isochrone", "certificate", "standards")]],
)
def test_help_has_an_example(gridsvc, command):
    status, printed, _ = gridsvc(*command, "--help")

    assert status == 0
    assert f"gridsvc {' '.join(command)}" in printed.split("Example:")[1]


def test_the_map_of_the_latest_run_is_a_file(gridsvc, tmp_path):
    gridsvc("circle", "coverage", DISTRICT, *STANDARD, *AT)
    out = tmp_path / "circle.html"

    status, printed, _ = gridsvc("map", "circle", "--division", DISTRICT, *STANDARD, "--out", str(out), "--json")

    assert (status, json.loads(printed)["features"]["circle_residences"]) == (0, 16)
    assert "生活圈覆盖图" in out.read_text(encoding="utf-8")
    status, _, told = gridsvc("map", "circle", "--division", DISTRICT, "--profile", "frail", "--out", str(out))
    assert (status, "at 0.7 m/s" in told) == (1, True)
    both = ("--profile", "frail", "--speed", "1")
    assert gridsvc("map", "circle", "--division", DISTRICT, *both, "--out", str(out))[0] == 2
