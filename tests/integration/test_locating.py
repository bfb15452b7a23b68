"""Point to grid in a real PostGIS: Python and SQL agree, reports keep the grids of their time, files come back whole."""

from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import openpyxl
import pandas as pd
import pytest
import shapely
from factories.partitions import jittered_quads, stored, with_t_junctions
from factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    LATER,
    SIDE,
    SOUTH,
    START,
    WEST,
    division_frame,
    frame,
    grid_frame,
    report_frame,
    worker_frame,
)

from gridsvc.errors import CoordinateError, DatumMissingError, ImportRefusedError, OutsideCoverageError
from gridsvc.geo.datums import convert
from gridsvc.geo.location import GridIndex
from gridsvc.geo.partitions import node_shared_vertices
from gridsvc.services.locating import NETWORKS, locate_arrays, locate_point, locate_reports
from gridsvc.services.locating_files import locate_file

pytestmark = pytest.mark.postgis

MIDDLE = (WEST + SIDE / 2, SOUTH + SIDE / 2)


def put_grids(uow, grids, network="social", at=START):
    redraw = uow.redraws.open_draft(network, DISTRICT, "automatic", "planner", at)
    uow.redraws.put_grids(redraw, grids)
    uow.redraws.approve(redraw, "manager", at, at, {"gap_area_m2": 0.0})


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    put_grids(uow, grid_frame())
    put_grids(uow, grid_frame(network="security", kind="security", parts=3), network="security")
    return uow


def crooked_grids(community=COMMUNITIES[0]):
    """Return a partition with long decimals and vertices inside edges, as grids of one community."""
    _, quads = jittered_quads(7, 6)
    shapes = stored(node_shared_vertices(with_t_junctions(quads)))
    codes = [f"{community}{i + 1:03d}" for i in range(len(shapes))]
    columns = {
        "network": "urban",
        "kind": "unit",
        "code": codes,
        "community_code": community,
        "name": "",
        "households": 0,
    }
    return frame(columns | {"population": 0, "area_m2": 10_000.0}, shapes)


def test_python_and_sql_agree_on_random_points_vertices_and_edge_midpoints(uow):
    uow.divisions.put_frame(division_frame(), START)
    grids = crooked_grids()
    put_grids(uow, grids, network="urban")
    rings = [shapely.get_coordinates(shape) for shape in grids.geometry]
    middles = np.concatenate([(ring[:-1] + ring[1:]) / 2 for ring in rings])
    box = grids.total_bounds
    anywhere = np.random.default_rng(3).uniform(box[:2], box[2:], (400, 2))
    lon, lat = np.concatenate([*rings, middles, anywhere]).T

    by_python = GridIndex(grids["code"], grids.geometry.to_numpy()).locate(lon, lat)

    assert by_python.tolist() == uow.grids.locate_many_sql(lon, lat, "urban", START)
    vertices = len(np.concatenate(rings))
    assert all(code is not None for code in by_python[:vertices])


def test_few_points_and_many_points_have_the_same_answer(town):
    lon, lat = np.meshgrid(np.linspace(WEST, WEST + 2 * SIDE, 9), np.linspace(SOUTH, SOUTH + 2 * SIDE, 9))
    lon, lat = lon.ravel(), lat.ravel()

    many = locate_arrays(town, lon, lat, "cgcs2000", at=START)
    few = [locate_arrays(town, lon[i : i + 9], lat[i : i + 9], "cgcs2000", at=START) for i in range(0, 81, 9)]

    for key in (*NETWORKS, "community"):
        assert many[key].tolist() == [code for part in few for code in part[key]]
    assert many["urban"].tolist() == [None] * 81
    assert all(many["social"])


def test_positions_are_converted_from_their_datum(town):
    lon, lat = convert(*MIDDLE, "wgs84", "bd09")

    shifted = locate_arrays(town, [lon], [lat], "bd09", at=START)
    taken_literally = locate_arrays(town, [lon], [lat], "wgs84", at=START)

    assert shifted["community"][0] == COMMUNITIES[0]
    assert taken_literally["community"][0] != COMMUNITIES[0]


@pytest.mark.parametrize(
    ("lon", "lat", "datum", "error"),
    [
        (*MIDDLE, None, DatumMissingError),
        (MIDDLE[1], MIDDLE[0], "wgs84", CoordinateError),
        (float("nan"), 30.0, "wgs84", CoordinateError),
        (116.4, 39.9, "wgs84", OutsideCoverageError),
    ],
    ids=["no datum", "swapped", "not a number", "another city"],
)
def test_bad_positions_are_refused(town, lon, lat, datum, error):
    with pytest.raises(error):
        locate_point(town, lon, lat, datum, at=START)


def test_one_point_with_everything_known_of_its_place(town):
    town.workers.put_frame(worker_frame(phone="13800001234"), START)
    assigned = pd.DataFrame({"worker_code": ["WK0000"], "grid_code": [f"{COMMUNITIES[0]}001"], "role": ["full_time"]})
    town.assignments.put_in_force(
        assigned.assign(is_primary=True, deputy_of=None), network="social", prefix=DISTRICT, at=START
    )

    found = locate_point(town, WEST + SIDE / 4, MIDDLE[1], "wgs84", at=LATER, accuracy_m=30.0)

    assert [division["level"] for division in found.divisions] == ["district", "street", "community"]
    assert {grid.network for grid in found.grids} == {"social", "security"}
    social = next(grid for grid in found.grids if grid.network == "social")
    assert social.code == f"{COMMUNITIES[0]}001"
    assert social.distance_to_border_m == pytest.approx(239.7, abs=1.0)
    assert [(worker["name"], worker["is_primary"]) for worker in social.workers] == [("网格员0", True)]
    assert "1234" not in str(social.workers)
    assert social.odds == [{"code": social.code, "share": 1.0}]
    assert social.auto_routed
    assert social.outside_m == 0.0
    assert not found.unlocated


def test_odds_on_a_border_are_even(town):
    found = locate_point(town, WEST + SIDE / 2, MIDDLE[1], "wgs84", at=START, accuracy_m=20.0)

    social = next(grid for grid in found.grids if grid.network == "social")
    assert social.distance_to_border_m == pytest.approx(0.0, abs=0.001)
    assert {odd["code"]: odd["share"] for odd in social.odds} == {
        f"{COMMUNITIES[0]}001": pytest.approx(0.5, abs=1e-3),
        f"{COMMUNITIES[0]}002": pytest.approx(0.5, abs=1e-3),
    }
    assert sum(odd["share"] for odd in social.odds) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(("accuracy_m", "routed"), [(None, True), (5.0, True), (60.0, False), (5e4, False)])
def test_a_place_near_a_border_is_routed_when_sure_enough(town, accuracy_m, routed):
    # 24 m east of the border of two grids
    found = locate_point(
        town, WEST + SIDE / 2 + 0.00025, MIDDLE[1], "wgs84", at=START, accuracy_m=accuracy_m, auto_route_odds=0.9
    )

    social = next(grid for grid in found.grids if grid.network == "social")
    assert social.code == f"{COMMUNITIES[0]}002"
    assert social.auto_routed is routed


def test_a_place_beside_the_town_has_the_nearest_grid_with_its_distance_or_is_unlocated(town):
    beside = (WEST - 15 / 95_900, MIDDLE[1])
    found = locate_point(town, *beside, "wgs84", at=START, nearest_within_m=20.0)

    assert [division["level"] for division in found.divisions] == ["district", "community"]
    social = next(grid for grid in found.grids if grid.network == "social")
    assert (social.code, social.auto_routed) == (f"{COMMUNITIES[0]}001", False)
    assert social.outside_m == pytest.approx(15.0, abs=0.1)
    assert social.distance_to_border_m == social.outside_m
    with pytest.raises(OutsideCoverageError):
        locate_point(town, *beside, "wgs84", at=START, nearest_within_m=10.0)
    town.connection.exec_driver_sql("DELETE FROM grids")
    assert locate_point(town, *MIDDLE, "wgs84", at=START).unlocated


def test_reports_get_the_grids_of_their_own_time(town):
    put_grids(town, grid_frame(parts=1, first_serial=3), at=LATER)
    town.reports.ensure_months(START, LATER + timedelta(days=40))
    times = [datetime(2026, 3, 5, tzinfo=UTC), LATER - timedelta(microseconds=1), LATER, LATER + timedelta(days=3)]
    town.reports.add_frame(report_frame(len(times), reported_at=times))

    result = locate_reports(town)

    assert (result.reports, result.unlocated) == (4, 0)
    assert result.located == {"urban": 0, "social": 4, "security": 4, "unified": 0}
    listed = town.reports.list().sort_values("reported_at")
    assert [code[-3:] <= "002" for code in listed["social_grid"]] == [True, True, False, False]
    assert listed["community_code"].notna().all()
    again = locate_reports(town)
    assert again.reports == 0


def test_a_file_comes_back_with_a_column_for_each_network(town, tmp_path):
    source = tmp_path / "点.csv"
    lon, lat = convert([MIDDLE[0], WEST + 1.5 * SIDE, 114.0], [MIDDLE[1], SOUTH + 1.5 * SIDE, 30.0], "wgs84", "gcj02")
    pd.DataFrame({"编号": ["007", "008", "009"], "经度": lon, "纬度": lat}).to_csv(source, index=False)

    result = locate_file(town, source, tmp_path / "out.csv", datum="gcj02", at=START)

    read = pd.read_csv(tmp_path / "out.csv", dtype=str)
    assert read["编号"].tolist() == ["007", "008", "009"]
    assert read["community_code"].tolist()[:2] == [COMMUNITIES[0], COMMUNITIES[3]]
    assert read["social_grid"].isna().tolist() == [False, False, True]
    assert (result.rows, result.located["social"], result.unlocated) == (3, 2, 1)


@pytest.mark.parametrize("suffix", [".xlsx", ".geojson", ".gpkg", ".parquet"])
def test_every_output_format_holds_the_same_codes(town, tmp_path, suffix):
    source = tmp_path / "points.geojson"
    points = gpd.GeoDataFrame(
        {"name": ["甲", "乙"]}, geometry=gpd.points_from_xy([MIDDLE[0], WEST + 1.5 * SIDE], [MIDDLE[1]] * 2), crs=4326
    )
    points.to_file(source)

    out = tmp_path / f"out{suffix}"
    locate_file(town, source, out, datum="wgs84", at=START)

    if suffix == ".xlsx":
        rows = [[cell.value for cell in row] for row in openpyxl.load_workbook(out).active.iter_rows()]
        read = pd.DataFrame(rows[1:], columns=rows[0])
    else:
        read = gpd.read_parquet(out) if suffix == ".parquet" else gpd.read_file(out)
        assert read.crs.to_epsg() in (4490, 4326)
    assert read["community_code"].tolist() == [COMMUNITIES[0], COMMUNITIES[1]]
    first = out.read_bytes()
    locate_file(town, source, out, datum="wgs84", at=START)
    if suffix != ".gpkg":  # GeoPackage holds the time of writing by its standard
        assert out.read_bytes() == first


def test_rows_without_a_position_are_all_listed_and_nothing_is_written(town, tmp_path):
    source = tmp_path / "points.csv"
    pd.DataFrame({"lon": [MIDDLE[0], None, MIDDLE[1]], "lat": [MIDDLE[1], 30.0, MIDDLE[0]]}).to_csv(source, index=False)
    out = tmp_path / "out.csv"

    with pytest.raises(ImportRefusedError) as refused:
        locate_file(town, source, out, datum="wgs84", at=START)

    assert [row.row for row in refused.value.rows] == [2, 3]
    assert not out.exists()
    partial = locate_file(town, source, out, datum="wgs84", at=START, partial=True)
    assert (partial.rows, partial.located["social"], len(partial.refused)) == (3, 1, 2)
