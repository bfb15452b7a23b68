"""The ground of a change: every point that gets another grid lies on it, and hardly any other."""

import numpy as np
import pytest
import shapely
from factories.partitions import codes_of, jittered_quads, stored

from gridsvc.geo.border_distances import metres_per_degree
from gridsvc.geo.changed_ground import changed_ground, is_on, widened, with_uncovered
from gridsvc.geo.location import GridIndex
from gridsvc.geo.projections import area_m2

_, QUADS = jittered_quads(5, 4, seed=4)
GRIDS = stored(QUADS)
CODES = codes_of(GRIDS)


def merged(first, second):
    """Return the grids after one took its neighbour over."""
    kept = [i for i in range(len(GRIDS)) if i not in (first, second)]
    both = shapely.union_all(GRIDS[[first, second]])
    return [CODES[first], *[CODES[i] for i in kept]], np.array([both, *GRIDS[kept]], dtype=object)


def swapped():
    """Return the grids after two far from each other exchanged their codes."""
    codes = list(CODES)
    codes[0], codes[-1] = codes[-1], codes[0]
    return codes, GRIDS


def split(which):
    """Return the grids after one was cut in two, the western half keeping the code."""
    west, south, east, north = GRIDS[which].bounds
    middle = (west + east) / 2
    halves = [
        shapely.intersection(GRIDS[which], shapely.box(west, south, middle, north)),
        shapely.intersection(GRIDS[which], shapely.box(middle, south, east, north)),
    ]
    kept = [i for i in range(len(GRIDS)) if i != which]
    codes = [CODES[which], "110101001001999", *[CODES[i] for i in kept]]
    return codes, np.array([*halves, *GRIDS[kept]], dtype=object)


def points():
    """Return points anywhere, on vertices, on edges, and an ulp beside vertices."""
    draw = np.random.default_rng(3)
    corners = np.unique(shapely.get_coordinates(GRIDS), axis=0)
    rings = [shapely.get_coordinates(grid) for grid in GRIDS]
    middles = np.concatenate([(ring[:-1] + ring[1:]) / 2 for ring in rings])
    low, high = corners.min(axis=0), corners.max(axis=0)
    return np.concatenate([draw.uniform(low, high, (4000, 2)), corners, middles, np.nextafter(corners, corners + 1)]).T


@pytest.mark.parametrize(
    "after",
    [merged(6, 7), swapped(), split(12), (CODES[1:], GRIDS[1:])],
    ids=["merge", "codes exchanged", "split", "gone"],
)
def test_every_point_whose_grid_changes_lies_on_it(after):
    lon, lat = points()

    ground = changed_ground(CODES, GRIDS, *after)

    changes = GridIndex(CODES, GRIDS).locate(lon, lat) != GridIndex(*after).locate(lon, lat)
    on = is_on(ground, lon, lat)
    assert changes.any() and not on.all()
    assert on[changes].all()


def test_what_stays_is_left_out():
    codes, grids = merged(6, 7)

    ground = changed_ground(CODES, GRIDS, codes, grids)

    # the code of one grid now holds both: only the other's ground has another code
    assert area_m2([ground])[0] == pytest.approx(area_m2(GRIDS[[7]])[0], rel=1e-3)


def test_the_same_grids_in_another_order_change_nothing():
    order = np.random.default_rng(1).permutation(len(CODES))

    assert changed_ground(CODES, GRIDS, [CODES[i] for i in order], GRIDS[order]).is_empty


def test_a_first_division_changes_all_it_covers():
    ground = changed_ground([], [], CODES, GRIDS)

    assert ground.is_valid
    assert area_m2([ground])[0] == pytest.approx(area_m2(GRIDS).sum(), rel=1e-4)


def test_a_border_moved_by_less_than_the_margin_is_on_it():
    moved = shapely.transform(GRIDS, lambda v: np.where(v == v, v + 1e-9, v))

    ground = changed_ground(CODES, GRIDS, CODES, moved)

    assert not ground.is_empty and ground.is_valid
    assert is_on(ground, *shapely.get_coordinates(GRIDS).T).all()


def nearest(grids, lon, lat, within_m):
    """Return the grid that points have where those in none get the nearest one."""
    index = GridIndex(*grids)
    rows = index.find(lon, lat)
    near, _ = index.nearest(lon, lat, within_m)
    return index.codes_of(np.where(rows < 0, near, rows))


@pytest.mark.parametrize(
    ("after", "is_at_the_rim"),
    [(merged(6, 7), False), (swapped(), True), (split(12), False), ((CODES[1:], GRIDS[1:]), True)],
    ids=["merge", "codes exchanged", "split", "gone"],
)
@pytest.mark.parametrize("gone", [(), (5, 6)], ids=["all held", "a hole"])
def test_every_point_that_gets_another_grid_or_another_nearest_one_lies_in_reach(after, is_at_the_rim, gone):
    within_m = 40.0
    left_out = {CODES[i] for i in gone}
    before = [(code, grid) for code, grid in zip(CODES, GRIDS, strict=True) if code not in left_out]
    later = [(code, grid) for code, grid in zip(*after, strict=True) if code not in left_out]
    before, later = (
        tuple(np.array(part, dtype=object) for part in zip(*grids, strict=True)) for grids in (before, later)
    )
    low, high = np.array(shapely.total_bounds(GRIDS)).reshape(2, 2)
    lon, lat = np.random.default_rng(5).uniform(low - 0.001, high + 0.001, (6000, 2)).T

    ground = changed_ground(*before, *later)
    reach = with_uncovered(ground, widened(ground, within_m), [later[1]])

    changes = nearest(before, lon, lat, within_m) != nearest(later, lon, lat, within_m)
    assert is_on(reach, lon[changes], lat[changes]).all()
    assert not is_at_the_rim or (changes & ~is_on(ground, lon, lat)).any()
    # off the changed ground nothing is in reach that a grid holds
    extra = is_on(reach, lon, lat) & ~is_on(ground, lon, lat)
    assert (GridIndex(*later).find(lon[extra], lat[extra]) < 0).all()


@pytest.mark.parametrize("lat", [0.0, 30.6, -45.0, 53.5])
def test_a_widened_ground_holds_all_within_the_distance_and_little_more(lat):
    square = shapely.MultiPolygon([shapely.box(114.0, lat, 114.01, lat + 0.01)])
    per_lon, per_lat = metres_per_degree(lat + 0.01)

    wide = widened(square, 25.0)

    away = np.array([24.99, 26.5])
    for x, y in [
        (114.0 - away / per_lon, lat + 0.01),
        (114.01 + away / per_lon, lat + 0.005),
        (114.005, lat + 0.01 + away / per_lat),
        (114.01 + away * 0.6 / per_lon, lat + 0.01 + away * 0.8 / per_lat),
    ]:
        assert shapely.intersects_xy(wide, *np.broadcast_arrays(x, y)).tolist() == [True, False]
    assert widened(square, 0.0) is square


def test_where_all_is_held_nothing_beside_the_changed_ground_is_in_reach():
    inner = [i for i, grid in enumerate(GRIDS) if not shapely.intersects(shapely.union_all(GRIDS).boundary, grid)]
    codes = list(CODES)
    codes[inner[0]] = "110101001001999"
    ground = changed_ground(CODES, GRIDS, codes, GRIDS)

    reach = with_uncovered(ground, widened(ground, 5.0), [GRIDS])

    assert area_m2([reach])[0] == pytest.approx(area_m2([ground])[0], rel=1e-4)
