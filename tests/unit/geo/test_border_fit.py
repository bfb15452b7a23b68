"""Boundaries drawn apart: what differs along their common borders is found, and can be brought together."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from gridsvc.geo.border_fit import aligned, border_differences
from gridsvc.geo.partitions import is_exact, node_shared_vertices

WEST = shapely.Polygon([(0, 0), (100, 0), (100, 40), (100, 100), (0, 100)])


def east(*border):
    """Return the polygon to the east of the given border, from north to south."""
    return shapely.Polygon([*border, (200, 0), (200, 100)])


def array(*shapes):
    made = np.empty(len(shapes), dtype=object)
    made[:] = shapes
    return made


@pytest.mark.parametrize(
    ("border", "apart_m", "overlap_m2", "at"),
    [
        ([(100, 100), (100.003, 70), (100, 0)], 0.003, 0.0, (100.003, 70)),
        ([(100, 100), (99.997, 70), (100, 0)], 0.003, 0.15, (99.997, 70)),
        ([(99.5, 100), (99.5, 0)], 0.5, 50.0, (100, 40)),
        ([(95, 100), (95, 0)], 0.0, 500.0, None),
    ],
    ids=["a gap of millimetres", "an overlap of millimetres", "half a metre", "metres"],
)
def test_borders_that_differ_are_found(border, apart_m, overlap_m2, at):
    (found,) = border_differences(array(WEST, east(*border)))

    assert (found.first, found.second) == (0, 1)
    assert found.apart_m == pytest.approx(apart_m, abs=1e-6)
    assert found.overlap_m2 == pytest.approx(overlap_m2, abs=1e-3)
    if at:
        assert (found.x, found.y) == pytest.approx(at)


@pytest.mark.parametrize(
    "border",
    [
        [(100, 100), (100, 0)],
        [(100, 100), (100.0005, 70), (100, 20), (100, 0)],
        [(100, 100), (100, 40), (100.4, 39.7), (140, 10), (140, 0)],
        [(101.5, 100), (101.5, 0)],
    ],
    ids=["other vertices on one line", "half a millimetre", "one that leaves at an angle", "a lane between them"],
)
def test_borders_that_agree_are_not_named(border):
    assert border_differences(array(WEST, east(*border))) == []


def test_a_corner_of_two_that_misses_the_border_of_a_third_is_found():
    north = shapely.Polygon([(100.003, 40), (200, 40), (200, 100), (100, 100)])
    south = shapely.Polygon([(100, 0), (200, 0), (200, 40), (100.003, 40)])
    whole = shapely.box(0, 0, 100, 100)

    found = border_differences(array(whole, south, north))

    assert [(f.first, f.second, round(f.apart_m, 4)) for f in found] == [(0, 1, 0.003), (0, 2, 0.003)]


def test_a_corner_near_a_border_further_on_is_that_of_a_third():
    south = shapely.Polygon([(0, 0), (100, 0), (100.3, -0.2), (200, 0), (200, -50), (0, -50)])
    other = shapely.Polygon([(100, 100), (100, 40), (100, 0), (100.3, -0.2), (200, 0), (200, 100)])

    assert border_differences(array(WEST, other, south)) == []


@pytest.mark.parametrize("off_m", [-0.004, 0.004])
def test_a_boundary_is_put_on_that_beside_it(off_m):
    other = east((100 + off_m, 100), (100 + off_m, 71), (100 - off_m, 33), (100, 0))
    free = shapely.get_coordinates(other)[-3:-1]

    (moved,) = aligned(array(other), array(WEST), 0.01)

    assert border_differences(array(WEST, moved)) == []
    assert is_exact(node_shared_vertices(array(WEST, moved)))
    assert moved.intersection(WEST).area == 0.0
    assert {(100.0, 71.0), (100.0, 33.0)} <= set(map(tuple, shapely.get_coordinates(moved)))
    assert set(map(tuple, free)) <= set(map(tuple, shapely.get_coordinates(moved)))


def test_a_straight_border_takes_the_corners_it_passes():
    bent = shapely.Polygon([(0, 0), (100, 0), (100.004, 40), (99.995, 60), (100, 100), (0, 100)])

    (moved,) = aligned(array(east((100, 100), (100, 0))), array(bent), 0.01)

    assert is_exact(array(bent, moved))


def test_polygons_that_share_a_border_go_on_sharing_it():
    south = shapely.Polygon([(99.995, 55), (100.003, 0), (200, 0)])
    north = shapely.Polygon([(100.004, 100), (99.995, 55), (200, 0), (200, 100)])

    moved = aligned(array(north, south), array(WEST), 0.01)

    assert is_exact(node_shared_vertices(array(WEST, *moved)))
    assert shapely.coverage_is_valid(moved)


def test_polygons_are_brought_together_among_themselves():
    moved = aligned(array(WEST, east((100.004, 100), (99.997, 61), (100, 0))), array(), 0.01)

    assert is_exact(moved)


def test_what_agrees_or_is_too_far_away_stays_to_the_last_bit():
    agreeing = east((100, 100), (100.0004, 63), (100, 0))
    distant = shapely.box(-50, -50, 200, -0.02)

    moved = aligned(array(agreeing, distant), array(WEST), 0.01)

    assert shapely.equals_exact(moved, array(agreeing, distant), tolerance=0.0).all()


def test_aligned_boundaries_stay_when_aligned_again_in_the_other_direction():
    other = east((100.004, 100), (99.997, 61), (100, 0))
    (moved,) = aligned(array(other), array(WEST), 0.01)

    (again,) = aligned(array(WEST), array(moved), 0.01)

    assert shapely.equals_exact(again, WEST, tolerance=0.0)
