"""Exact coverages written in degrees stay exact and valid."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from gridsvc.errors import PartitionError
from gridsvc.geo.partitions import divide_edges, shared_edges
from gridsvc.geo.projections import to_metric, to_storage
from gridsvc.geo.stored_coverages import coverage_to_storage

EPSG = 4547
EAST, NORTH = 500_000.0 + 90_000.0, 4_400_000.0


def polygon(*corners: tuple[float, float]) -> shapely.Polygon:
    return shapely.Polygon([(EAST + x, NORTH + y) for x, y in corners])


# a slot that ends 1 cm beside an edge of 8 km: in degrees that edge runs on its other side
LONG = polygon((0, 0), (8000, 0), (8000, 500), (0, 500))
BELOW = polygon((0, 0), (0, -500), (3999, -500), (4000, -0.01), (4001, -500), (8000, -500), (8000, 0))
SLOT = polygon((3999, -500), (4000, -0.01), (4001, -500))
LAND = np.array([LONG, SLOT, BELOW], dtype=object)


def test_an_edge_that_would_pass_a_vertex_in_degrees_is_cut():
    assert shapely.coverage_is_valid(LAND)
    assert shapely.is_valid(LAND).all()
    assert not shapely.is_valid(to_storage(LAND, EPSG)).all()

    stored = coverage_to_storage(LAND, EPSG)

    assert shapely.is_valid(stored).all()
    assert shapely.coverage_is_valid(stored)
    back = to_metric(stored, EPSG)
    assert shapely.area(shapely.symmetric_difference(back, LAND)) == pytest.approx([0.0] * 3, abs=1.0)
    assert shapely.is_valid(back).all()
    assert shapely.coverage_is_valid(back)


def test_a_coverage_that_is_valid_already_gains_no_vertex():
    squares = np.array([shapely.box(EAST + x, NORTH, EAST + x + 100, NORTH + 100) for x in (0, 100)], dtype=object)

    stored = coverage_to_storage(squares, EPSG)

    assert shapely.equals_exact(stored, to_storage(squares, EPSG), tolerance=0.0).all()
    assert len(coverage_to_storage(squares[:0], EPSG)) == 0


def test_what_lies_nearer_than_the_rounding_is_refused():
    with pytest.raises(PartitionError, match="larger tolerance"):
        coverage_to_storage(
            [polygon((0, 0), (100, 0), (100, 100), (50.00001, 100), (50, 50), (50, 100), (0, 100))], EPSG
        )


def test_edges_are_cut_alike_in_both_neighbours():
    cut = divide_edges(LAND, [0], 100.0)

    assert shapely.area(cut) == pytest.approx(shapely.area(LAND), abs=1e-3)
    assert shapely.coverage_is_valid(cut)
    edges = shapely.get_coordinates(cut[0])
    assert np.hypot(*np.diff(edges, axis=0).T).max() <= 100.0 + 1e-6
    assert shapely.get_num_coordinates(cut[2]) == 8 + 79


def test_shared_edges_are_those_of_two_polygons():
    squares = [shapely.box(0, 0, 2, 2), shapely.box(2, 0, 5, 2), shapely.box(9, 9, 10, 10)]

    found = shared_edges(squares)

    assert (found.first.tolist(), found.second.tolist()) == ([0], [1])
    assert found.ends.tolist() == [[2.0, 0.0, 2.0, 2.0]]
    assert found.length_m.tolist() == [2.0]
