"""Ground up to a level: the same as contourpy finds, which walks the same squares."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from contourpy import FillType, contour_generator
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridsvc.circle.contours import level_area

HIGH = 9.0


def _ground(values):
    rows, columns = values.shape
    return np.arange(columns) * 7.5 + 500_000, np.arange(rows) * 7.5 + 3_350_000, values


def _by_contourpy(x, y, values, level):
    found = contour_generator(x, y, values, fill_type=FillType.OuterOffset).filled(-1.0, level)
    return [
        shapely.Polygon(points[ends[0] : ends[1]], [points[ends[k] : ends[k + 1]] for k in range(1, len(ends) - 1)])
        for points, ends in zip(*found, strict=True)
    ]


@st.composite
def fields(draw):
    """Values in tenths, off by a little so that none, and no mean of four, equals a level of whole tenths."""
    shape = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    tenths = draw(arrays(np.int64, shape, elements=st.integers(0, 9)))
    return np.pad(tenths / 10.0 + 0.03, 1, constant_values=HIGH)


@given(fields(), st.integers(1, 9))
def test_the_same_polygons_and_holes_as_contourpy_finds(values, tenths):
    x, y, values = _ground(values)
    area, expected = level_area(x, y, values, tenths / 10.0), _by_contourpy(x, y, values, tenths / 10.0)
    assert area.is_valid
    assert len(area.geoms) == len(expected)
    assert sum(len(part.interiors) for part in area.geoms) == sum(len(part.interiors) for part in expected)
    # a centre is 56 m2; corners may be rounded differently
    assert shapely.symmetric_difference(area, shapely.union_all(expected)).area < 1e-6


@given(fields(), st.integers(1, 8))
def test_ground_up_to_a_level_lies_within_that_up_to_a_higher_one(values, tenths):
    ground = _ground(values)
    low, high = level_area(*ground, tenths / 10.0), level_area(*ground, (tenths + 1) / 10.0)
    assert shapely.difference(low, high).area < 1e-6


def test_an_island_in_a_lake_is_a_polygon_of_its_own():
    rings = np.full((9, 9), HIGH)
    rings[1:8, 1:8], rings[2:7, 2:7], rings[4, 4] = 1.0, HIGH, 1.0
    area = level_area(*_ground(rings), 2.0)
    assert sorted(len(part.interiors) for part in area.geoms) == [0, 1]


def test_no_ground_is_an_empty_area():
    assert level_area(*_ground(np.full((4, 4), HIGH)), 2.0).is_empty


def test_ground_that_reaches_the_border_of_the_field_is_refused():
    values = np.full((5, 5), HIGH)
    values[0, 2] = 1.0
    with pytest.raises(ValueError, match="border"):
        level_area(*_ground(values), 2.0)


def test_values_hardly_above_and_below_the_level_make_valid_areas():
    # a millisecond apart beside hundreds of seconds: the least that fields have
    rng = np.random.default_rng(3)
    for _ in range(200):
        values = np.pad(rng.choice([300.0 - 1e-3, 300.0 + 1e-3, 0.0, 907.0], (12, 12)), 1, constant_values=907.0)
        area = level_area(*_ground(values), 300.0)
        assert area.is_valid
        assert all(part.area > 0 for part in area.geoms)


# squares crosswise whose mean is the level, but for rounding: the sum of the four depends on where one begins
TIES = [
    (0.05, 0.05, 0.45, 0.65, 0.3),
    (0.05, 0.25, 0.55, 0.35, 0.3),
    (0.05, 0.05, 0.55, 0.95, 0.4),
    (0.05, 0.15, 0.35, 0.65, 0.3),
]


@pytest.mark.parametrize(("low", "low_too", "high", "high_too", "level"), TIES)
def test_a_square_whose_mean_is_the_level_is_cut_the_same_from_either_side(low, low_too, high, high_too, level):
    square = np.pad(np.array([[low, high], [high_too, low_too]]), 1, constant_values=HIGH)
    parts = set()
    for turned in (square, square[::-1], square[:, ::-1], square.T, square[::-1, ::-1]):
        area = level_area(*_ground(np.ascontiguousarray(turned)), level)
        assert area.is_valid
        parts.add(len(area.geoms))
    assert len(parts) == 1


@given(st.integers(1, 9), st.lists(st.integers(0, 9), min_size=36, max_size=36))
def test_fields_full_of_ties_are_contoured(tenths, values):
    # every square crosswise: low and high in turns
    level = tenths / 10.0
    field = np.array(values, dtype=float).reshape(6, 6)
    crosswise = (np.indices((6, 6)).sum(axis=0) % 2).astype(bool)
    field = np.where(crosswise, level + 0.05 + field / 10.0, level - 0.05 - field / 10.0)
    area = level_area(*_ground(np.pad(field, 1, constant_values=HIGH)), level)
    assert area.is_valid and not area.is_empty
