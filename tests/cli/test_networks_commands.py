"""``gridsvc networks`` on files, through the real entry point."""

from __future__ import annotations

import json

import geopandas as gpd
import openpyxl
import pandas as pd
import pyogrio
import pytest
import shapely

# the corner of a made-up town; metres by the Gauss-Kruger zone of 114 degrees east
EAST, NORTH = 500_000.0, 3_400_000.0


def box(x0: float, y0: float, x1: float, y1: float) -> shapely.Polygon:
    return shapely.box(EAST + x0, NORTH + y0, EAST + x1, NORTH + y1)


def written(path, **columns) -> str:
    gpd.GeoDataFrame(columns, crs=4547).to_file(path)
    return str(path)


@pytest.fixture
def urban(tmp_path) -> str:
    return written(
        tmp_path / "urban.gpkg", code=["U1", "U2", "U3"], name=["east gate", "park", "pond"], people=[100, 41, 7],
        geometry=[box(0, 0, 100, 100), box(100, 0, 200, 100), box(200, 0, 300, 100)],
    )  # fmt: skip


@pytest.fixture
def police(tmp_path) -> str:
    return written(
        tmp_path / "police.gpkg", beat=["P1", "P2"], name=["pond", "park"],
        geometry=[box(0, 0, 102, 100), box(102, 0, 260, 100)],
    )  # fmt: skip


@pytest.fixture
def events(tmp_path) -> str:
    points = gpd.GeoSeries(gpd.points_from_xy([EAST + 50, EAST + 150, EAST + 280], [NORTH + 50] * 3), crs=4547).to_crs(
        4490
    )
    path = tmp_path / "events.csv"
    pd.DataFrame({"id": [1, 2, 3], "经度": points.x, "纬度": points.y, "times": [2, 1, 3]}).to_csv(path, index=False)
    return str(path)


FILES = ("--datum", "EPSG:4547", "--code", "police=beat")


def test_compare_prints_tables_and_writes_the_same_bytes_twice(gridsvc, urban, police, tmp_path):
    outs = [tmp_path / name for name in ("a.xlsx", "b.xlsx", "a.gpkg", "b.gpkg")]
    options = [part for out in outs for part in ("--out", str(out))]

    status, printed, _ = gridsvc("networks", "compare", urban, police, *FILES, *options)
    found = json.loads(gridsvc("networks", "compare", urban, police, *FILES, "--json")[1])

    assert status == 0
    assert "pairs: 1 rows" in printed
    (pair,) = found["pairs"]
    assert (pair["first_aligned"], pair["second_aligned"], pair["first_nested"]) == (1, 1, 1)
    assert [row["first_code"] for row in found["matches"] if row["by_name"]] == ["U2", "U3"]
    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert outs[2].read_bytes() == outs[3].read_bytes()
    assert openpyxl.load_workbook(outs[0]).sheetnames == ["networks", "pairs", "relations", "matches", "conflicts"]
    atoms = pyogrio.read_dataframe(outs[2], layer="atoms")
    assert atoms.crs.to_epsg() == 4490
    assert sorted(atoms["urban"] + atoms["police"].fillna("-")) == ["U1P1", "U2P2", "U3-", "U3P2"]


def test_tables_fit_a_terminal(gridsvc, tmp_path, urban):
    long = tmp_path / "district_police_service_areas.gpkg"
    cells = [box(x, y, x + 70, y + 60) for x in (0, 70, 140, 210) for y in (-10, 50)]
    written(long, code=[f"99010100100100{i}" for i in range(8)], geometry=cells)

    _, printed, _ = gridsvc("networks", "compare", urban, str(long), "--datum", "EPSG:4547")

    lines = printed.splitlines()
    assert max(map(len, lines)) <= 110
    assert "district…e_areas" in printed
    assert "conflicts: " in printed and "% of first" in printed
    assert sum("urban" in line and "district" in line for line in lines) > 2


def test_a_map_of_files_is_one_page_with_their_crosswalk(gridsvc, urban, police, events, tmp_path):
    out = tmp_path / "map.html"

    status, printed, _ = gridsvc("map", "coverage", urban, police, *FILES, "--title", "三网", "--weights", events,
                                 "--weights-datum", "cgcs2000", "--count", "times", "--out", str(out))  # fmt: skip

    assert status == 0
    page = out.read_text(encoding="utf-8")
    assert "三网 网格覆盖图" in page and '"weight":[' in page
    assert '"grids_urban": 3' in printed


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("{urban}", "--division", "420103"), 2, "not both"),
        (("--division", "420103", "--datum", "wgs84"), 2, "--datum is for NETWORKS"),
        (("{urban}", "{urban}", "--datum", "EPSG:4547"), 1, "Two networks are named urban"),
        (("{urban}",), 1, "no datum was declared"),
    ],
)
def test_maps_that_make_no_sense_are_refused(gridsvc, urban, tmp_path, arguments, status, said):
    given = [each.format(urban=urban) for each in arguments]

    code, _, wrong = gridsvc("map", "coverage", *given, "--out", str(tmp_path / "map.html"))

    assert (code, said in wrong) == (status, True), wrong
    assert list(tmp_path.glob("*.html")) == []


def test_align_moves_to_the_reference_and_says_how_much(gridsvc, urban, police, tmp_path):
    out = tmp_path / "aligned.gpkg"

    found = json.loads(
        gridsvc("networks", "align", urban, police, *FILES, "--reference", "police", "--json", "--out", str(out))[1]
    )

    status, printed, _ = gridsvc("networks", "align", urban, police, *FILES, "--reference", "police")
    assert status == 0 and "networks: 2 rows" in printed and "moved: 2 rows" in printed
    moved = {row["code"]: (row["gained_m2"], row["lost_m2"]) for row in found["moved"]}
    assert moved == {"U1": (pytest.approx(200, abs=1), 0), "U2": (0, pytest.approx(200, abs=1))}
    layer = pyogrio.read_dataframe(out, layer="urban").to_crs(4547)
    assert layer.area.tolist() == pytest.approx([10_200, 9_800, 10_000], abs=1)


def test_crosswalk_carries_whole_people_over_by_events(gridsvc, urban, police, events):
    found = json.loads(
        gridsvc("networks", "crosswalk", urban, police, *FILES, "--value", "people", "--whole", "--weights", events,
                "--weights-datum", "cgcs2000", "--count", "times", "--json")[1]
    )  # fmt: skip

    sums = {row["what"]: row for row in found["sums"]}
    assert sums["weight"] == {"what": "weight", "given": 6.0, "placed": 6.0, "unplaced": 0.0}
    assert (sums["people"]["given"], sums["people"]["placed"], sums["people"]["unplaced"]) == (148.0, 141.0, 7.0)
    assert {row["code"]: row["people"] for row in found["values"]} == {"P1": 100, "P2": 41}


def test_answers_name_the_grid_of_each_network(gridsvc, urban, police, events):
    found = json.loads(
        gridsvc(
            "networks", "answers", urban, police, *FILES, "--points", events, "--points-datum", "cgcs2000", "--json"
        )[1]
    )

    assert [(row["grid_urban"], row["grid_police"]) for row in found["answers"]] == [
        ("U1", "P1"),
        ("U2", "P2"),
        ("U3", None),
    ]
    assert found["sums"] == [{"points": 3, "orphans": 0, "claimed_twice": 0}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare", "nowhere.gpkg", "--datum", "wgs84"), "There is no file nowhere.gpkg"),
        (("compare", "{urban}"), "no datum was declared"),
        (("compare", "{urban}", "{urban}", "--datum", "EPSG:4547"), "Two networks are named urban"),
        (("compare", "{urban}", "--datum", "EPSG:4547", "--code", "nr"), "has no column nr"),
        (("compare", "{urban}", "--datum", "EPSG:4547", "--out", "report.doc"), "suffix names no format"),
        (("align", "{urban}", "{police}", "--datum", "EPSG:4547", "--reference", "x"), "There is no network x"),
        (("crosswalk", "{urban}", "{police}", "--datum", "EPSG:4547", "--value", "name"), "no number in column name"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_sentence(gridsvc, urban, police, arguments, said):
    status, _, wrong = gridsvc("networks", *(each.format(urban=urban, police=police) for each in arguments))

    assert status == 1
    assert said in wrong
    assert "Traceback" not in wrong


def test_unify_proposes_one_net_with_costs(gridsvc, urban, police, events, tmp_path):
    outs = [tmp_path / name for name in ("a.gpkg", "b.gpkg", "a.xlsx", "b.xlsx")]
    options = (
        "--reference", "urban", "--people", events, "--people-datum", "cgcs2000", "--count", "times", "--bounds", "3", "4",
    )  # fmt: skip

    status, printed, _ = gridsvc(
        "networks", "unify", urban, police, *FILES, *options, *(part for out in outs for part in ("--out", str(out)))
    )
    found = json.loads(gridsvc("networks", "unify", urban, police, *FILES, *options, "--json")[1])

    assert status == 0 and "costs: 3 rows" in printed
    costs = {row["alternative"]: row for row in found["costs"]}
    assert costs["reference"]["grids"] == 3 and costs["reference"]["new_codes"] == 0
    assert {row["people"] for row in found["costs"]} == {6.0}
    # the two of the first grid, one of the second, three of the third: the second is joined
    assert (costs["balanced"]["grids"], costs["balanced"]["too_few"]) == (2, 0)
    assert found["sums"] == [{"what": "times", "given": 6.0, "placed": 6.0, "unplaced": 0.0}]
    walk = [row for row in found["crosswalk"] if row["alternative"] == "balanced" and row["network"] == "urban"]
    assert sum(row["weight"] for row in walk) == 6.0
    assert outs[0].read_bytes() == outs[1].read_bytes() and outs[2].read_bytes() == outs[3].read_bytes()
    net = pyogrio.read_dataframe(outs[0], layer="reference")
    assert net["code"].tolist() == ["U1", "U2", "U3"] and net["name"].tolist() == ["east gate", "park", "pond"]
    assert net.crs.to_epsg() == 4490 and shapely.coverage_is_valid(net.geometry.to_numpy())
    moved = pyogrio.read_dataframe(outs[0], layer="balanced_moved")
    assert moved["people"].sum() == costs["balanced"]["people_moved"]


def test_dedicated_grids_and_streets_are_heeded(gridsvc, urban, police, tmp_path):
    campus = written(tmp_path / "campus.gpkg", geometry=[box(20, 20, 60, 60)])
    street = tmp_path / "street.gpkg"
    gpd.GeoDataFrame(geometry=[shapely.LineString([(EAST + 100, NORTH), (EAST + 100, NORTH + 100)])], crs=4547).to_file(
        street
    )
    out = tmp_path / "net.gpkg"

    found = json.loads(
        gridsvc("networks", "unify", urban, police, *FILES, "--reference", "police", "--dedicated", campus, "--lines",
                str(street), "--out", str(out), "--json")[1]
    )  # fmt: skip

    assert [row["alternative"] for row in found["costs"]] == ["reference", "agreed"]
    net = pyogrio.read_dataframe(out, layer="agreed").to_crs(4547)
    assert sorted(net["code"]) == ["N00001", "P1", "P2"]
    assert net.set_index("code").area["N00001"] == pytest.approx(1600, abs=1)
    # the border of the first two lies on the street, that of the campus on none
    agreed = found["costs"][1]
    assert agreed["border_off_lines_m"] == pytest.approx(160, abs=1)
    assert agreed["border_m"] == pytest.approx(260, abs=1)


def test_new_codes_go_on_with_the_serials_of_the_community(gridsvc, tmp_path):
    first = written(tmp_path / "one.gpkg", code=["420103001001001", "420103001001004"],
                    geometry=[box(0, 0, 100, 100), box(300, 0, 400, 100)])  # fmt: skip
    other = written(tmp_path / "two.gpkg", code=["A", "B", "C"],
                    geometry=[box(0, 0, 100, 100), box(100, 0, 300, 100), box(300, 0, 400, 100)])  # fmt: skip
    out = tmp_path / "net.gpkg"

    gridsvc("networks", "unify", first, other, "--datum", "EPSG:4547", "--reference", "one", "--out", str(out))

    codes = pyogrio.read_dataframe(out, layer="reference")["code"].tolist()
    assert codes == ["420103001001001", "420103001001004", "420103001001005"]


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--reference", "social"), 1, "There is no network social. There are: urban, police."),
        (("--reference", "urban", "--count", "times"), 2, "columns of --people"),
        (("--reference", "urban", "--bounds", "5", "3"), 1, "make no sense"),
        (
            ("--reference", "urban", "--people", "{events}", "--people-datum", "cgcs2000", "--count", "id2"),
            1,
            "no column id2",
        ),
        ((), 2, "Missing option '--reference'"),
    ],
)
def test_what_cannot_be_unified_is_refused(gridsvc, urban, police, events, options, status, said):
    given = [part.format(events=events) for part in options]

    found, _, printed = gridsvc("networks", "unify", urban, police, *FILES, *given)

    assert (found, said in printed) == (status, True), printed


def test_one_network_is_nothing_to_unify(gridsvc, urban):
    assert (
        "2 networks or more" in gridsvc("networks", "unify", urban, "--datum", "EPSG:4547", "--reference", "urban")[2]
    )


def test_fewer_than_nobody_is_refused(gridsvc, urban, police, tmp_path):
    minus = written(tmp_path / "minus.gpkg", people=[4, -2], geometry=[shapely.Point(EAST + 5, NORTH + 5)] * 2)

    status, _, said = gridsvc(
        "networks", "unify", urban, police, *FILES, "--reference", "urban", "--people", minus, "--count", "people"
    )

    assert (status, "Row 2 of minus.gpkg counts -2 in people" in said) == (1, True)
