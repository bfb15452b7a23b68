"""Point to grid: the one-grid rule on edges, corners and outside."""

import numpy as np
import pytest
import shapely
from shapely import box

from gridsvc.errors import CodeDuplicateError, GeometryError
from gridsvc.geo.location import GridIndex
from tests.factories.partitions import codes_of, jittered_quads, stored

# four squares around (114.01, 30.01); codes do not follow the order of the list
SQUARES = {
    "420103001001004": box(114.00, 30.00, 114.01, 30.01),
    "420103001001002": box(114.01, 30.00, 114.02, 30.01),
    "420103001001003": box(114.00, 30.01, 114.01, 30.02),
    "420103001001001": box(114.01, 30.01, 114.02, 30.02),
}


def square_index():
    return GridIndex(list(SQUARES), list(SQUARES.values()))


@pytest.mark.parametrize(
    ("lon", "lat", "serial"),
    [
        (114.005, 30.005, "004"),
        (114.01, 30.005, "002"),
        (114.005, 30.01, "003"),
        (114.01, 30.01, "001"),
        (114.0, 30.0, "004"),
        (114.02, 30.015, "001"),
    ],
    ids=[
        "inside",
        "on a vertical edge",
        "on a horizontal edge",
        "on the corner of four",
        "on the outer corner",
        "on the outer edge",
    ],
)
def test_the_smallest_code_answers(lon, lat, serial):
    index = square_index()

    assert index.locate_one(lon, lat) == f"420103001001{serial}"
    assert index.locate([lon], [lat])[0] == f"420103001001{serial}"


def test_outside_and_unknown_positions_have_no_grid():
    located = square_index().locate([113.9, np.nan, 114.005], [30.0, 30.0, np.inf])

    assert located.tolist() == [None, None, None]
    assert square_index().locate_one(0.0, 0.0) is None


def test_edge_point_has_one_grid_when_order_reversed():
    codes, shapes = list(SQUARES), list(SQUARES.values())

    reversed_index = GridIndex(codes[::-1], shapes[::-1])

    x, y = np.meshgrid(np.arange(114.0, 114.0205, 0.005), np.arange(30.0, 30.0205, 0.005))
    assert (reversed_index.locate(x, y) == square_index().locate(x, y)).all()
    assert reversed_index.locate(x, y).shape == x.shape


def test_every_vertex_and_edge_midpoint_of_a_partition_has_one_grid():
    _, metric = jittered_quads(6, 5)
    grids = stored(metric)
    index = GridIndex(codes_of(grids), grids)
    vertices = shapely.get_coordinates(grids)

    located = index.locate(*vertices.T)

    assert all(code is not None for code in located)
    for grid, code in zip(grids, codes_of(grids), strict=True):
        inside = shapely.get_coordinates(grid.point_on_surface())[0]
        assert index.locate_one(*inside) == code


def test_distance_to_the_border_is_in_metres():
    middle, edge, outside = square_index().distance_to_border_m([114.005, 114.01, 110.0], [30.005, 30.005, 30.0])

    assert middle == pytest.approx(482.4, abs=1.0)
    # a straight edge in degrees bends by micrometres in metres
    assert edge == pytest.approx(0.0, abs=1e-4)
    assert np.isnan(outside)


def test_a_grid_with_a_hole_and_one_of_parts():
    hole = box(114.0, 30.0, 114.03, 30.03) - box(114.01, 30.01, 114.02, 30.02)
    parts = shapely.MultiPolygon([box(114.01, 30.01, 114.02, 30.02), box(115.0, 30.0, 115.01, 30.01)])
    index = GridIndex(["a", "b"], [hole, parts])

    assert index.locate([114.015, 115.005, 114.005, 114.01], [30.015, 30.005, 30.005, 30.015]).tolist() == [
        "b",
        "b",
        "a",
        "a",
    ]


def test_an_index_of_nothing_answers_nothing():
    assert GridIndex([], []).locate([114.0], [30.0]).tolist() == [None]
    assert len(GridIndex([], [])) == 0


def test_ambiguous_or_empty_grids_are_refused():
    square = box(0, 0, 1, 1)
    with pytest.raises(CodeDuplicateError):
        GridIndex(["a", "a"], [square, square])
    with pytest.raises(GeometryError):
        GridIndex(["a"], [shapely.Polygon()])
    with pytest.raises(GeometryError):
        GridIndex(["a"], [square, square])
