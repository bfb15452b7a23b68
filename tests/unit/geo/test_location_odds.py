"""Odds of grids under a stated accuracy: against closed forms, sampling, and one another."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from gridsvc.errors import CoordinateError
from gridsvc.geo.border_distances import metres_per_degree
from gridsvc.geo.location import GridIndex
from gridsvc.geo.location_odds import ACCURACY_IN_DEVIATIONS, grid_odds, polygon_odds
from tests.factories.partitions import codes_of, jittered_quads, stored


def odds_of(shape, x=0.0, y=0.0):
    """Return the integral over a polygon in the plane, one unit a deviation."""
    _, vertices, offsets = shapely.to_ragged_array([shape])
    ring_end = np.zeros(len(vertices), dtype=np.uint8)
    ring_end[offsets[0][1:] - 1] = 1
    return polygon_odds(*np.ascontiguousarray(vertices.T), ring_end, x, y, 1.0, 1.0)


@pytest.mark.parametrize(
    "box", [(-1, -1, 1, 1), (0, 0, 3, 2), (0.5, -2, 40, 0.25), (-300, -0.1, 300, 0.1), (7, -1, 9, 1), (-9, -9, 9, 9)]
)
def test_a_rectangle_has_the_product_of_its_sides(box):
    x1, y1, x2, y2 = box
    exact = (norm.cdf(x2) - norm.cdf(x1)) * (norm.cdf(y2) - norm.cdf(y1))

    assert odds_of(shapely.box(*box)) == pytest.approx(exact, abs=1e-9)
    assert odds_of(shapely.box(*box).reverse()) == pytest.approx(exact, abs=1e-9)


def test_holes_and_parts_count_as_they_are():
    ring = shapely.box(-3, -3, 3, 3) - shapely.box(-1, -1, 1, 1)
    island = shapely.MultiPolygon([ring, shapely.box(-0.5, -0.5, 0.5, 0.5)])

    assert odds_of(ring) == pytest.approx(odds_of(shapely.box(-3, -3, 3, 3)) - odds_of(shapely.box(-1, -1, 1, 1)))
    assert odds_of(island) == pytest.approx(odds_of(ring) + odds_of(shapely.box(-0.5, -0.5, 0.5, 0.5)))
    assert odds_of(shapely.Polygon(ring.exterior.reverse(), ring.interiors)) == pytest.approx(odds_of(ring))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), min_size=3, max_size=12),
    st.floats(-2, 2),
    st.floats(-2, 2),
    st.integers(0, 2**31),
)
def test_any_polygon_agrees_with_sampling(corners, x, y, seed):
    shape = shapely.convex_hull(shapely.MultiPoint(corners))
    if shape.geom_type != "Polygon" or shape.area < 1e-6:
        return
    draw = np.random.default_rng(seed).normal(size=(2, 40_000)) + np.array([[x], [y]])
    sampled = shapely.contains_xy(shape, *draw).mean()

    exact = odds_of(shape, x, y)

    # six standard errors: about once in 10^9 by chance
    assert abs(exact - sampled) <= 6.0 * np.sqrt(max(exact * (1 - exact), 1e-4) / draw.shape[1])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1), st.floats(0.5, 3000))
def test_odds_of_all_grids_and_none_sum_to_one(seed, across, up, accuracy_m):
    _, metric = jittered_quads(4, 3, seed=seed)
    grids = stored(metric)
    box = shapely.total_bounds(grids)
    lon, lat = box[0] + across * (box[2] - box[0]), box[1] + up * (box[3] - box[1])

    found = grid_odds(GridIndex(codes_of(grids), grids), lon, lat, accuracy_m)

    assert sum(found.odds) + found.none == pytest.approx(1.0, abs=1e-9)
    assert list(found.odds) == sorted(found.odds, reverse=True)
    assert all(0.0 <= part <= 1.0 + 1e-12 for part in (*found.odds, found.none))


def test_accuracy_is_the_radius_that_holds_68_percent():
    per_lon, per_lat = metres_per_degree(30.0)
    angle = np.linspace(0, 2 * np.pi, 721)
    disc = shapely.Polygon(np.column_stack([114 + 25 * np.cos(angle) / per_lon, 30 + 25 * np.sin(angle) / per_lat]))

    found = grid_odds(GridIndex(["a"], [disc]), 114.0, 30.0, 25.0)

    assert found.codes == ("a",)
    assert found.odds[0] == pytest.approx(0.68, abs=1e-4)
    assert found.none == pytest.approx(0.32, abs=1e-4)
    assert abs(ACCURACY_IN_DEVIATIONS - 1.5096) < 1e-4


def test_odds_on_a_border_are_even_and_without_error_certain():
    left, right = shapely.box(114.0, 30.0, 114.01, 30.01), shapely.box(114.01, 30.0, 114.02, 30.01)
    index = GridIndex(["a", "b"], [left, right])

    even, certain, nowhere = (
        grid_odds(index, 114.01, 30.005, 10.0),
        grid_odds(index, 114.01, 30.005, 0.0),
        grid_odds(index, 115.0, 30.005, 10.0),
    )

    assert even.odds == pytest.approx((0.5, 0.5), abs=1e-9)
    assert (certain.codes, certain.odds, certain.none) == (("a",), (1.0,), 0.0)
    assert (nowhere.codes, nowhere.odds, nowhere.none) == ((), (), 1.0)


@pytest.mark.parametrize("accuracy_m", [-1.0, float("nan"), float("inf")])
def test_an_accuracy_that_is_none_is_refused(accuracy_m):
    with pytest.raises(CoordinateError):
        grid_odds(GridIndex(["a"], [shapely.box(114, 30, 115, 31)]), 114.5, 30.5, accuracy_m)
