"""Places from the index held in the process: the same as the database, dated, in scope, and never of a mixed state."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from factories.partitions import jittered_quads, stored, with_t_junctions
from factories.shared_points import shared_points
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
)

from gridsvc.geo.partitions import node_shared_vertices
from gridsvc.services import grid_lookup
from gridsvc.services.grid_lookup import NETWORKS, find_places, place_index
from gridsvc.store.grid_history import GridHistory

pytestmark = pytest.mark.postgis


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


def mesh(steps=9):
    """Return points on corners, edges, insides and outsides of the town."""
    lon, lat = np.meshgrid(
        np.linspace(WEST - SIDE / 4, WEST + 2 * SIDE, steps), np.linspace(SOUTH, SOUTH + 2.25 * SIDE, steps)
    )
    return np.round(lon.ravel(), 9), np.round(lat.ravel(), 9)


def same(first, second):
    assert first.version == second.version
    assert first.district.tolist() == second.district.tolist()
    assert first.community.tolist() == second.community.tolist()
    for network in NETWORKS:
        assert first.grids[network].tolist() == second.grids[network].tolist()


def test_database_local_index_and_held_index_give_the_same_places(town):
    lon, lat = mesh()
    parts = [find_places(town, lon[i : i + 9], lat[i : i + 9], LATER) for i in range(0, len(lon), 9)]

    local = find_places(town, lon, lat, LATER)
    place_index(town, LATER)
    held = find_places(town, lon, lat, LATER)

    same(local, held)
    for name in ("district", "community"):
        assert getattr(held, name).tolist() == [code for part in parts for code in getattr(part, name)]
    for network in NETWORKS:
        assert held.grids[network].tolist() == [code for part in parts for code in part.grids[network]]
    assert held.grids["urban"].tolist() == [None] * len(lon)
    assert sum(code is not None for code in held.grids["social"]) > len(lon) / 2


def test_each_point_gets_the_grids_of_its_own_instant(town):
    put_grids(town, grid_frame(parts=1, first_serial=3), at=LATER)
    at = [LATER - timedelta(microseconds=1), LATER, LATER + timedelta(days=9), START - timedelta(days=1)]
    place = (WEST + SIDE / 4, SOUTH + SIDE / 2)

    found = find_places(town, [place[0]] * 4, [place[1]] * 4, at)
    place_index(town, LATER)
    place_index(town, START)

    assert found.grids["social"].tolist() == [f"{COMMUNITIES[0]}{n}" for n in ("001", "003", "003")] + [None]
    assert found.district.tolist() == [DISTRICT] * 3 + [None]
    same(found, find_places(town, [place[0]] * 4, [place[1]] * 4, at))


def test_a_scope_sees_its_own_grids_and_the_district_around_it(town, open_uow):
    lon = [WEST + SIDE / 4, WEST + 1.25 * SIDE]
    with open_uow(COMMUNITIES[0]) as narrow:
        found = find_places(narrow, lon, [SOUTH + SIDE / 4] * 2, START)
        place_index(narrow, START)
        same(found, find_places(narrow, lon, [SOUTH + SIDE / 4] * 2, START))
    with open_uow("110101") as elsewhere:
        nothing = find_places(elsewhere, lon, [SOUTH + SIDE / 4] * 2, START)

    assert found.community.tolist() == [COMMUNITIES[0], None]
    assert found.grids["social"].tolist() == [f"{COMMUNITIES[0]}001", None]
    assert found.district.tolist() == [DISTRICT, DISTRICT]
    assert nothing.district.tolist() == nothing.grids["social"].tolist() == [None, None]


def test_nowhere_is_no_place(town):
    lon, lat = [np.nan, np.inf, 180.0, -180.0, 0.0], [30.0, 30.0, 90.0, -90.0, 0.0]

    found = find_places(town, lon, lat, START)
    place_index(town, START)

    assert found.district.tolist() == [None] * 5
    same(found, find_places(town, lon, lat, START))
    assert len(find_places(town, [], [], START).district) == 0


def test_every_change_of_grids_or_divisions_renews_the_version(town):
    history = GridHistory(town.connection)
    seen = [history.version()]

    town.divisions.put_frame(division_frame(name=["改名"] * 7), LATER)
    seen.append(history.version())
    put_grids(town, grid_frame(parts=3), at=LATER)
    seen.append(history.version())
    town.connection.exec_driver_sql("DELETE FROM grids WHERE network = 'security'")
    seen.append(history.version())
    town.connection.exec_driver_sql("UPDATE grids SET name = 'x' WHERE false")

    assert len(set(seen)) == 4
    assert history.version() == seen[-1]


def test_a_change_that_is_rolled_back_brings_the_old_answers_back(town, open_uow):
    lon, lat = [WEST + SIDE / 4], [SOUTH + SIDE / 4]
    place_index(town, LATER)
    before = find_places(town, lon, lat, LATER)
    with open_uow() as part:
        put_grids(part, grid_frame(parts=1, first_serial=3), at=LATER)
        place_index(part, LATER)
        during = find_places(part, lon, lat, LATER)
        part.rollback()

    same(before, find_places(town, lon, lat, LATER))
    assert during.grids["social"].tolist() == [f"{COMMUNITIES[0]}003"]


def test_few_indexes_are_held(town):
    for day in range(8):
        put_grids(town, grid_frame(parts=1 + day % 2, first_serial=10 + 2 * day), at=LATER + timedelta(days=day))
        place_index(town, LATER + timedelta(days=day))

    assert len(grid_lookup._LOOKUP.held) <= grid_lookup._HELD_EPOCHS
    assert len(grid_lookup._LOOKUP.epochs) <= grid_lookup._HELD_VERSIONS


def test_instants_must_be_as_many_as_points(town):
    with pytest.raises(ValueError, match="2 instants for 1 points"):
        find_places(town, [WEST], [SOUTH], [START, datetime(2026, 2, 1, tzinfo=UTC)])


def test_a_point_outside_gets_the_nearest_grid_of_its_community_within_the_distance(town):
    # metres west of the town, and south of it at the middle of a community, whose two grids meet there
    lon = np.round([WEST - 10 / 95_900, WEST - 40 / 95_900, WEST + SIDE / 2], 9)
    lat = np.round([SOUTH + SIDE / 2, SOUTH + SIDE / 2, SOUTH - 10 / 110_860], 9)
    none = find_places(town, lon, lat, START)

    few = find_places(town, lon, lat, START, nearest_within_m=20.0)
    local = find_places(town, np.tile(lon, 20), np.tile(lat, 20), START, nearest_within_m=20.0)
    place_index(town, START)
    held = find_places(town, lon, lat, START, nearest_within_m=20.0)

    assert none.grids["social"].tolist() == [None] * 3
    assert none.is_unlocated.all()
    assert few.grids["social"].tolist() == [f"{COMMUNITIES[0]}001", None, f"{COMMUNITIES[0]}001"]
    assert few.distance_m["social"][[0, 2]] == pytest.approx(10.0, abs=0.1)
    assert few.community.tolist() == [COMMUNITIES[0], None, COMMUNITIES[0]]
    assert few.district.tolist() == [DISTRICT, None, DISTRICT]
    assert few.is_unlocated.tolist() == [False, True, False]
    same(few, held)
    for network in NETWORKS:
        assert local.grids[network].tolist() == few.grids[network].tolist() * 20
        assert np.array_equal(few.distance_m[network], held.distance_m[network], equal_nan=True)


def test_a_point_in_a_community_is_not_given_to_the_next_one(town):
    town.connection.exec_driver_sql(f"DELETE FROM grids WHERE community_code = '{COMMUNITIES[0]}'")
    lon, lat = [WEST + SIDE - 5 / 95_900], [SOUTH + SIDE / 2]

    found = find_places(town, lon, lat, START, nearest_within_m=20.0)

    assert found.community.tolist() == [COMMUNITIES[0]]
    assert found.grids["social"].tolist() == [None]
    assert found.is_unlocated.all()


def test_every_shared_vertex_and_edge_has_one_grid_in_python_and_sql_alone_and_in_bulk(town):
    _, quads = jittered_quads(7, 6)
    shapes = stored(node_shared_vertices(with_t_junctions(quads)))
    codes = [f"{COMMUNITIES[0]}{n + 101:03d}" for n in range(len(shapes))]
    columns = {"network": "urban", "kind": "unit", "code": codes, "community_code": COMMUNITIES[0], "name": ""}
    put_grids(town, frame(columns | {"households": 0, "population": 0, "area_m2": 1e4}, shapes), network="urban")
    lon, lat = shared_points(town.grids.list("urban", at=START).geometry.to_numpy())

    by_sql = town.grids.locate_many_sql(lon, lat, "urban", START)
    local = find_places(town, lon, lat, START)
    index = place_index(town, START)
    held = find_places(town, lon, lat, START)

    assert all(by_sql)
    assert local.grids["urban"].tolist() == by_sql
    assert held.grids["urban"].tolist() == by_sql
    assert [index.layers["urban"].locate_one(x, y) for x, y in zip(lon, lat, strict=True)] == by_sql
    ones = [find_places(town, [x], [y], START).grids["urban"][0] for x, y in zip(lon[::7], lat[::7], strict=True)]
    assert ones == by_sql[::7]


def test_the_first_and_the_last_instant_there_is_are_answered(town):
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]

    found = find_places(town, [WEST + SIDE / 4] * 2, [SOUTH + SIDE / 4] * 2, ends)

    assert found.grids["social"].tolist() == [None, f"{COMMUNITIES[0]}001"]


def test_a_folder_that_cannot_be_written_is_done_without(town, tmp_path):
    (tmp_path / "file").write_text("")
    town.cache_dir = tmp_path / "file" / "cache"
    grid_lookup._LOOKUP.held.clear()

    assert (
        place_index(town, START).layers["social"].locate_one(WEST + SIDE / 4, SOUTH + SIDE / 4)
        == f"{COMMUNITIES[0]}001"
    )
