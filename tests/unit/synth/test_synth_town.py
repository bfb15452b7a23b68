"""A made-up town at the smallest scale keeps every promise of the data set folder."""

from collections.abc import Iterator
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridsvc.formats.dataset import FILES, Dataset, read_dataset
from gridsvc.geo.datums import convert
from gridsvc.services.synthesising import read_recipe, synthesise_to_folder
from gridsvc.synth.fictitious import PLACE_EPSG, made_up_city_district

CLEARANCE_M = 2.0


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    folder = tmp_path_factory.mktemp("town")
    synthesise_to_folder(folder, scale="street", seed=4)
    yield read_dataset(folder)


def metric(frame: geopandas.GeoDataFrame) -> np.ndarray:
    return frame.to_crs(PLACE_EPSG).geometry.values


def level(town: Dataset, name: str) -> geopandas.GeoDataFrame:
    divisions = town.frame("divisions")
    return divisions[divisions.level == name]


@pytest.mark.parametrize("name", ["city", "district", "street", "community"])
def test_every_level_is_an_exact_coverage_of_the_same_ground(town: Dataset, name: str) -> None:
    shapes = level(town, name).geometry.values
    assert shapely.coverage_is_valid(shapes)
    assert shapely.is_valid(shapes).all()
    assert shapely.equals(shapely.coverage_union_all(shapes), level(town, "district").geometry.values[0])


def test_parents_share_the_vertices_of_their_children(town: Dataset) -> None:
    communities = level(town, "community")
    for _, street in level(town, "street").iterrows():
        children = communities[communities.parent_code == street.code].geometry.values
        union = set(map(tuple, shapely.get_coordinates(shapely.coverage_union_all(children))))
        assert union == set(map(tuple, shapely.get_coordinates(street.geometry)))


def test_security_grids_are_an_exact_coverage(town: Dataset) -> None:
    grids = town.frame("grids")
    assert shapely.coverage_is_valid(grids.geometry.values)
    assert grids.code.is_unique
    assert (grids.code.str[:12] == grids.community_code).all()


def test_buildings_keep_clear_of_everything(town: Dataset) -> None:
    houses = metric(town.frame("residences"))
    tree = shapely.STRtree(houses)
    first, second = tree.query(houses, predicate="dwithin", distance=CLEARANCE_M)
    assert (first == second).all()
    for kind in ("streets", "water", "barriers"):
        assert tree.query(metric(town.frame(kind)), predicate="dwithin", distance=CLEARANCE_M - 0.01).size == 0
    borders = shapely.boundary(metric(level(town, "community")))
    assert tree.query(borders, predicate="dwithin", distance=CLEARANCE_M).size == 0


def test_buildings_lie_in_the_community_of_their_code(town: Dataset) -> None:
    communities, houses = level(town, "community"), town.frame("residences")
    house, community = shapely.STRtree(communities.geometry.values).query(houses.geometry.values, predicate="within")
    assert house.tolist() == list(range(len(houses)))
    assert (communities.code.values[community] == houses.residence_code.str[:12].values).all()


def test_every_door_is_reached_by_one_connected_network(town: Dataset) -> None:
    lines = town.frame("streets").geometry.values
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(lines, at)) for at in (0, -1)])
    places, node = np.unique(ends, axis=0, return_inverse=True)
    node = node.ravel()
    n = len(lines)
    graph = coo_array((np.ones(n), (node[:n], node[n:])), shape=(len(places),) * 2)
    assert connected_components(graph, directed=False)[0] == 1
    houses = town.frame("residences")
    doors = set(zip(houses.entrance_lon, houses.entrance_lat, strict=True))
    assert doors <= set(map(tuple, places))


def test_communities_have_households_and_enough_full_time_workers(town: Dataset) -> None:
    houses, workers = town.frame("residences"), town.frame("workers")
    households = houses.groupby(houses.residence_code.str[:12]).households.sum()
    assert sorted(households.index) == sorted(level(town, "community").code)
    assert households.between(1000, 3000).all()
    full_time = workers[workers.kind_code == "W02"].groupby("division_code").size()
    assert (full_time >= np.ceil(households / 300) + 1).all()
    assert workers.phone.str.match("^(000[0-9]{8})?$").all()


def test_kinds_and_categories_are_those_of_the_catalogue(town: Dataset) -> None:
    folder = Path(__file__).parents[3] / "data" / "catalogue"
    kinds = pandas.read_csv(folder / "facilities.csv", dtype=str, encoding="utf-8").code
    assert set(town.frame("facilities").kind_code) <= set(kinds)
    recipe = read_recipe()
    assert {c["code"] for c in recipe.report_recipe["categories"]} <= set(recipe.category_names)
    assert {k for t in recipe.facility_types for k in t["kinds"]} == set(kinds)


def test_reports_lie_in_the_district_and_the_month(town: Dataset) -> None:
    reports = town.frame("reports")
    shifted = (reports.datum == "gcj02").values
    lon, lat = reports.lon.values.copy(), reports.lat.values.copy()
    lon[shifted], lat[shifted] = convert(lon[shifted], lat[shifted], "gcj02", "wgs84")
    district = level(town, "district").geometry.values[0]
    assert shapely.contains_xy(district, lon, lat).all()
    assert 0.02 < shifted.mean() < 0.3
    assert reports.report_id.is_unique
    assert reports.occurred_at.between("2026-01-01T00:00:00", "2026-01-30T23:59:60").all()
    assert set(reports.network) == {"urban", "social", "security"}
    households = town.frame("residences").households.sum()
    assert 0.8 < len(reports) / (0.06 * households) < 1.2


def test_some_reports_repeat_an_earlier_one_near_by(town: Dataset) -> None:
    reports = town.frame("reports")
    assert 0.03 < reports.description.str.contains("又发现").mean() < 0.15


def test_the_same_seed_gives_the_same_bytes(town: Dataset, tmp_path: Path) -> None:
    synthesise_to_folder(tmp_path, scale="street", seed=4)
    for file in ["dataset.json", *(file for file, _ in FILES.values())]:
        assert (tmp_path / file).read_bytes() == (town.folder / file).read_bytes(), file


def test_another_seed_gives_another_town(town: Dataset, tmp_path: Path) -> None:
    synthesise_to_folder(tmp_path, scale="street", seed=5)
    assert (tmp_path / "streets.parquet").read_bytes() != (town.folder / "streets.parquet").read_bytes()


@pytest.mark.parametrize(("one", "other"), [(0, 1), (0, 4)])
def test_neighbouring_districts_of_the_city_share_the_vertices_of_their_border(one: int, other: int) -> None:
    first, second = (made_up_city_district(k, seed=2)[0].boundary for k in (one, other))
    assert shapely.coverage_is_valid([first, second])
    assert first.intersection(second).length > 9_000
