"""Two real districts completed one without the other: along their common border they meet, to less than a millimetre."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from gridsvc.synth.blocks import group_union
from gridsvc.synth.ground import Streets, divide_ground
from gridsvc.synth.real_ground import real_ground

ORIGIN = np.array([525_000.0, 3_386_000.0])
# no corner lies on whole centimetres, and no line between two corners runs along them
BORDER = np.array([[700.1234, -0.4321], [713.4567, 431.8765], [689.3219, 447.1113], [744.7771, 1200.3337]])
NEARER_M = 5e-4


def ring(*paths):
    return shapely.Polygon(np.concatenate(paths) + ORIGIN)


def two_districts():
    """Return a western and an eastern boundary with the same corners on the border between them, and few streets across both."""
    west = ring([[0.0, 0.0]], BORDER, [[0.0, 1200.0]])
    east = ring(BORDER[::-1], [[1400.0, 0.0], [1400.0, 1200.0]])
    paths = [[(x, -50.0), (x + 40.0, 1250.0)] for x in np.arange(90.3, 1400, 400.7)]
    paths += [[(-50.0, y), (1450.0, y + 33.3)] for y in np.arange(70.1, 1200, 570.9)]
    lines = np.array([shapely.LineString(np.array(path) + ORIGIN) for path in paths], dtype=object)
    streets = Streets(lines, ["residential"] * len(lines), [""] * len(lines), np.zeros(len(lines), dtype=np.int64))
    return west, east, streets


def communities_of(boundary, streets):
    divided = divide_ground(real_ground(boundary, streets, communities=12), [6, 6], seed=1, lane_name="巷")
    return group_union(divided.faces, divided.community)


def off_the_other(shapes, others):
    """Return how far vertices of shapes near the border lie from the outline of the others. Unit: m."""
    outline = shapely.boundary(shapely.union_all(others))
    distance = shapely.distance(shapely.points(shapely.get_coordinates(shapes)), outline)
    return distance[distance < 1.0]


@pytest.mark.parametrize("is_reversed", [False, True], ids=["as drawn", "the other way round"])
def test_communities_of_two_districts_end_on_one_line(is_reversed):
    west, east, streets = two_districts()
    if is_reversed:
        east = shapely.reverse(east)

    left, right = communities_of(west, streets), communities_of(east, streets)

    assert min(len(off_the_other(left, right)), len(off_the_other(right, left))) > len(BORDER) + 4
    assert max(off_the_other(left, right).max(), off_the_other(right, left).max()) < NEARER_M
    assert shapely.coverage_is_valid(left) and shapely.coverage_is_valid(right)
    assert shapely.area(left).sum() + shapely.area(right).sum() == pytest.approx(west.area + east.area, abs=0.1)
