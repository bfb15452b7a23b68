"""``gridsvc circle site|gate|scenario`` through the real entry point, on a database of their own."""

import json

import geopandas
import pandas as pd
import pytest

from tests.factories.stored_town import COMMUNITIES, DISTRICT, START
from tests.factories.walking_town import MIDDLE, put_estate, put_town, shops

pytestmark = pytest.mark.postgis

AT = ("--at", "2026-01-01T00:00:00+00:00")
KIND = ("--kind", "J01")
PLAN = {
    "datum": "cgcs2000",
    "changes": [
        {"change": "add_facility", "kind_code": "J01", "lon": 114.2502, "lat": 30.5802, "facility_code": "NEW"},
        {"change": "close_facility", "facility_code": "S0001"},
    ],
}


@pytest.fixture(scope="module")
def town(postgis_server, template_database):
    from gridsvc.services.walk_networks import build_network
    from gridsvc.store.engine import make_engine
    from gridsvc.store.unit_of_work import UnitOfWork

    name = f"{template_database}_planning_cli"
    url = postgis_server.create(name, template_database)
    engine = make_engine(url)
    with UnitOfWork(engine) as uow:
        put_town(uow, shops(["J01", "J02"], [MIDDLE]))
        put_estate(uow)
        build_network(uow, DISTRICT, START)
        uow.commit()
    engine.dispose()
    yield url
    postgis_server.drop(name)


@pytest.fixture
def gridsvc_database(town, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return town


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(PLAN), encoding="utf-8")
    return str(path)


def test_sites_are_printed_and_written_the_same_every_time(gridsvc, tmp_path):
    files = [tmp_path / name for name in ("sites.xlsx", "again.xlsx", "sites.geojson", "sites.gpkg")]
    asked = ("circle", "site", DISTRICT, *KIND, "--minutes", "5", "--sites", "2", *AT)
    for file in files:
        status, printed, _ = gridsvc(*asked, "--out", str(file))
        assert status == 0
    found = json.loads(gridsvc(*asked, "--method", "exact", "--json")[1])

    assert "people within 5 min" in printed and "of 1,440 (" in printed and "any other choice" in printed
    assert [row["rank"] for row in found["sites"]] == [1, 2] and found["is_proven"]
    assert files[0].read_bytes() == files[1].read_bytes()
    about = pd.read_excel(files[0], sheet_name="about").set_index("name")["value"]
    assert {"bound", "gap", "network_sha256", "doubts"} <= set(about.index)
    for file in files[2:]:
        placed = geopandas.read_file(file)
        assert placed["rank"].tolist() == [1, 2] and placed["community_code"].isin(COMMUNITIES).all()


def test_where_no_candidate_helps_it_is_said(gridsvc, tmp_path):
    path = tmp_path / "plots.csv"
    path.write_text("lon,lat\n{},{}\n".format(*MIDDLE))  # where a shop stands

    status, printed, _ = gridsvc(
        "circle", "site", DISTRICT, *KIND, "--minutes", "5", "--candidates", str(path), "--datum", "cgcs2000", *AT
    )

    assert status == 0 and "No candidate would bring anything more" in printed


def test_candidates_come_from_a_file(gridsvc, tmp_path):
    path = tmp_path / "plots.csv"
    path.write_text("name,lon,lat\n东地块,114.2502,30.5802\n")

    status, printed, _ = gridsvc(
        "circle", "site", DISTRICT, *KIND, "--minutes", "5", "--candidates", str(path), "--datum", "wgs84", *AT
    )

    assert (status, "东地块" in printed, "1 (given)" in printed) == (0, True, True)


def test_gates_are_ranked_and_written(gridsvc, tmp_path):
    out = tmp_path / "gates.gpkg"
    status, printed, _ = gridsvc("circle", "gate", DISTRICT, *KIND, "--minutes", "12", "--out", str(out), *AT)

    assert status == 0
    assert "(wall gap)" in printed and "3, of which" in printed
    placed = geopandas.read_file(out)
    assert (placed["gain_J01"] == placed["gain"]).all() and placed["gain"].is_monotonic_decreasing


def test_a_scenario_file_tells_before_and_after(gridsvc, plan, tmp_path):
    out, points = tmp_path / "effect.xlsx", tmp_path / "effect.geojson"
    status, printed, _ = gridsvc("circle", "scenario", DISTRICT, plan, *KIND, "--kind", "J02", "--out", str(out), *AT)
    assert status == 0
    assert "add J01 as NEW; close S0001" in printed and "people who walk more" in printed
    sheets = pd.read_excel(out, sheet_name=None)
    assert list(sheets) == ["communities", "kinds", "residences", "about"]
    assert (sheets["kinds"].set_index("kind_code")["after"] - sheets["kinds"].set_index("kind_code")["before"])[
        "J02"
    ] < 0

    asked = ("circle", "scenario", DISTRICT, plan, *KIND, "--kind", "J02", *AT)
    found = json.loads(gridsvc(*asked, "--out", str(points), "--json")[1])
    assert len(found["residences"]) == len(geopandas.read_file(points)) == len(sheets["residences"])


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("site", DISTRICT), 2, "--kind"),
        (("site", DISTRICT, "--kind", "X1"), 1, "no such kind"),
        (("site", "420199", "--kind", "J01"), 1, "420199"),
        (("site", DISTRICT, "--kind", "J01", "--speed", "0"), 1, "0.3 to 3"),
        (("site", DISTRICT, "--kind", "J01", "--speed", "1", "--profile", "frail"), 2, "not both"),
        (("site", DISTRICT, "--kind", "J01", "--out", "sites.pdf"), 1, ".geojson"),
        (("site", DISTRICT, "--kind", "J01", "--out", "/nowhere/sites.csv"), 1, "/nowhere"),
        (("site", DISTRICT, "--kind", "J01", "--candidates", "gone.csv"), 1, "gone.csv"),
        (("gate", DISTRICT, "--hour", "25"), 1, "no hour"),
        (("scenario", DISTRICT, "gone.json"), 1, "gone.json"),
    ],
)
def test_refusals_are_one_sentence(gridsvc, arguments, status, says):
    found, printed, error = gridsvc("circle", *arguments)

    assert (found, printed, says in error, "Traceback" in error) == (status, "", True, False)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not JSON"),
        ('{"changes": []}', "at least 1 item"),
        ('{"changes": [{"change": "grow"}]}', "changes.0"),
        ('{"changes": [{"change": "close_facility", "facility_code": "S0"}], "division": "42"}', "division"),
        (json.dumps(PLAN | {"datum": None}), "no datum"),
    ],
)
def test_scenario_files_that_say_nothing_clear_are_refused(gridsvc, tmp_path, content, says):
    path = tmp_path / "plan.json"
    path.write_text(content)

    found, printed, error = gridsvc("circle", "scenario", DISTRICT, str(path), *KIND, *AT)

    assert (found, printed, says in error) == (1, "", True)


@pytest.mark.parametrize("command", ["site", "gate", "scenario"])
def test_help_has_an_example(gridsvc, command):
    status, printed, _ = gridsvc("circle", command, "--help")

    assert status == 0 and f"gridsvc circle {command}" in printed.split("Example:")[1]
