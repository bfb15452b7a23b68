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
