"""The ground of a change: every point that gets another grid lies on it, and hardly any other."""

import numpy as np
import pytest
import shapely
from factories.partitions import codes_of, jittered_quads, stored

from gridsvc.geo.changed_ground import changed_ground, is_on
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
