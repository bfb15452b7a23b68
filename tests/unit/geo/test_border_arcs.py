"""Borders simplified arc by arc: neighbours keep sharing them, whoever they are."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import shapely
from factories.winding_town import winding_cells, with_island

from gridsvc.geo.border_arcs import weighted_borders

SIDE = 100.0


def cells(columns=4, rows=3):
    made = list(winding_cells(columns, rows, side=SIDE))
    made[5], island = with_island(made[5], side=SIDE)
    return np.array([*made, island], dtype=object)


def edges_of(shapes):
    rings = shapely.get_rings(shapely.get_parts(shapes))
    return Counter(pair for ring in rings for pair in itertools.pairwise(map(tuple, shapely.get_coordinates(ring))))


def alone(shapes):
    edges = edges_of(shapes)
    return {edge for edge, count in edges.items() if edges[edge[1], edge[0]] != count}


@pytest.mark.parametrize("tolerance", [0.0, 0.5, 2.0, 8.0, 1000.0])
def test_only_the_outline_is_without_a_neighbour(tolerance):
    drawn = weighted_borders(cells()).shapes(tolerance, pixel=0.5)

    lonely = shapely.points([np.mean(edge, axis=0) * (0.5, -0.5) for edge in alone(drawn.shape)])

    assert (
        len(lonely)
        and shapely.distance(lonely, shapely.boundary(shapely.coverage_union_all(cells()))).max() <= tolerance + 1
    )
    assert tolerance > 100 or len(drawn.position) == len(cells())


def test_a_border_is_simplified_alike_whoever_is_beside_it():
    whole = weighted_borders(cells())
    few = weighted_borders(cells()[[1, 2, 5, 6]])
    shared = shapely.intersection(cells()[1], cells()[2]).buffer(1e-9)

    def vertices(borders, row):
        inside = shapely.contains_xy(shared, borders.vertices) & (borders.shape[borders.part[borders.ring]] == row)
        return {tuple(v): w for v, w in zip(borders.vertices[inside], borders.weight[inside], strict=True)}

    assert len(vertices(whole, 1)) > 20
    assert vertices(whole, 1) == vertices(whole, 2) == vertices(few, 0) == vertices(few, 1)


def test_the_order_and_the_way_round_do_not_matter():
    backwards = shapely.reverse(cells()[::-1])
    first, other = (weighted_borders(given).shapes(2.0, pixel=0.5) for given in (cells(), backwards))

    assert [shape.wkb for shape in first.shape] == [shape.wkb for shape in other.shape[::-1]]


def test_no_vertex_moves_and_the_border_stays_within_the_tolerance():
    given = cells()[5]
    (row,), (drawn,) = weighted_borders([given]).shapes(3.0, pixel=0.001)
    back = shapely.transform(drawn, lambda c: c * (0.001, -0.001))

    assert row == 0 and shapely.hausdorff_distance(back.boundary, given.boundary, densify=0.05) <= 3.01


def test_weights_are_those_at_which_a_vertex_is_left_out():
    tooth = shapely.Polygon([(0, 0), (0, 50), (100, 50), (100, 0), (60, 0), (50, 3), (40, 0)])
    borders = weighted_borders([tooth])

    assert borders.weight[borders.vertices.tolist().index([50.0, 3.0])] == pytest.approx(3.0)
    assert len(shapely.get_coordinates(borders.shapes(3.1, pixel=1.0).shape)) == 5


def test_what_has_no_area_any_more_is_left_out_with_its_hole():
    outer, island = with_island(cells()[5].convex_hull, side=10.0)
    drawn = weighted_borders([outer, island, shapely.box(0, 0, 0.2, 900)]).shapes(30.0, pixel=1.0)

    assert drawn.position.tolist() == [0]
    assert shapely.get_num_interior_rings(drawn.shape[0].geoms[0]) == 0
    assert len(weighted_borders([island]).shapes(1000.0, pixel=1.0).position) == 0


def test_borders_of_two_times_end_where_one_leaves_the_other():
    west, east = shapely.box(0, 0, 50, 90), shapely.Polygon([(50, 0), (99, 0), (99, 90), (50, 90), (50, 40)])
    west = shapely.Polygon([(0, 0), (50, 0), (50, 40), (50, 90), (0, 90)])
    later = [
        shapely.Polygon([(50, 0), (99, 0), (99, 40), (50, 40)]),
        shapely.Polygon([(50, 40), (99, 40), (99, 90), (50, 90)]),
    ]

    drawn = weighted_borders([west, east, *later]).shapes(20.0, pixel=1.0)

    assert all((50.0, -40.0) in map(tuple, shapely.get_coordinates(shape)) for shape in drawn.shape)
    assert not alone(drawn.shape[[0, 2, 3]]) & {((50.0, 0.0), (50.0, -40.0)), ((50.0, -40.0), (50.0, 0.0))}
