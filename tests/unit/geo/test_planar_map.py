"""Faces of noded edges: every one found once, holes where they are, polygons that share their vertices."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.geo.planar_map import PlanarMap, numbered_by_first
from gridsvc.geo.snap_rounding import noded_edges


def planar(*shapes: shapely.Geometry, step_m: float = 0.01) -> PlanarMap:
    segments = []
    for shape in shapes:
        parts = shapely.get_parts(shape)
        lines = shapely.get_rings(parts) if shapely.get_dimensions(shape) == 2 else parts
        for line in lines:
            xy = shapely.get_coordinates(line)
            segments.append(np.hstack([xy[:-1], xy[1:]]))
    return PlanarMap.of(noded_edges(np.concatenate(segments), step_m))


def drawn(found: PlanarMap) -> list[shapely.Polygon]:
    return list(found.polygons(np.arange(found.faces)))


class TestFaces:
    def test_two_crossing_squares_make_three_faces(self):
        found = planar(shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3))

        assert found.area_m2.tolist() == pytest.approx([3.0, 1.0, 3.0])
        assert [p.area for p in drawn(found)] == pytest.approx([3.0, 1.0, 3.0])

    def test_a_square_in_a_square_is_a_hole_of_it(self):
        found = planar(shapely.box(0, 0, 9, 9), shapely.box(3, 3, 6, 6))

        outer, inner = drawn(found)
        assert found.area_m2.tolist() == pytest.approx([72.0, 9.0])
        assert outer.equals(shapely.box(0, 0, 9, 9) - shapely.box(3, 3, 6, 6))
        assert inner.equals(shapely.box(3, 3, 6, 6))

    def test_islands_in_a_hole_in_an_island(self):
        rings = [shapely.box(i, i, 20 - i, 20 - i) for i in range(0, 10, 2)]

        found = planar(*rings)

        assert found.area_m2.tolist() == pytest.approx([144.0, 112.0, 80.0, 48.0, 16.0])
        assert shapely.coverage_is_valid(drawn(found))

    def test_a_hole_that_touches_the_shell_in_a_corner_leaves_a_valid_polygon(self):
        found = planar(shapely.box(0, 0, 10, 10), shapely.Polygon([(0, 0), (5, 3), (3, 5)]))

        assert all(p.is_valid for p in drawn(found))
        assert sum(p.area for p in drawn(found)) == pytest.approx(100.0)

    def test_two_holes_that_touch_in_a_corner_leave_a_valid_polygon(self):
        found = planar(shapely.box(0, 0, 10, 10), shapely.box(2, 2, 4, 4), shapely.box(4, 4, 6, 6))

        assert sorted(p.area for p in drawn(found)) == pytest.approx([4.0, 4.0, 92.0])
        assert all(p.is_valid for p in drawn(found))

    def test_loose_ends_and_bridges_enclose_nothing(self):
        lines = shapely.MultiLineString([[(1, 1), (3, 3)], [(4, 2), (9, 2)]])

        found = planar(shapely.box(0, 0, 4, 4), shapely.box(6, 0, 10, 4), lines)

        assert found.area_m2.tolist() == pytest.approx([16.0, 16.0])

    def test_lines_that_enclose_nothing_have_no_faces(self):
        found = planar(shapely.LineString([(0, 0), (5, 5)]))

        assert found.faces == 0
        assert len(found.inner_points()) == 0
        assert len(found.polygons(np.zeros(0, dtype=np.int64))) == 0


class TestGroups:
    def test_a_group_in_two_places_is_two_parts(self):
        found = planar(shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(2, 0, 3, 1))

        assert found.connected(np.array([5, 3, 5])).tolist() == [0, 1, 2]
        assert found.connected(np.array([5, 5, -1])).tolist() == [0, 0, -1]

    def test_polygons_of_groups_share_their_vertices(self):
        found = planar(shapely.box(0, 0, 3, 2), shapely.box(1, 1, 5, 3), shapely.box(2, 0, 4, 4))

        shapes = found.polygons(found.connected(np.arange(found.faces) // 2))

        assert shapely.coverage_is_valid(shapes)
        assert shapely.area(shapes).sum() == pytest.approx(found.area_m2.sum())

    def test_numbers_follow_the_first_of_each(self):
        assert numbered_by_first(np.array([4, 4, -1, 0, 4])).tolist() == [0, 0, -1, 1, 0]


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12), cell=st.sampled_from([0.5, 3.0]))
@settings(deadline=None, max_examples=60)
def test_faces_are_those_that_geos_makes(seed: int, count: int, cell: float):
    chance = np.random.default_rng(seed)
    # on a coarse grid nearly everything touches in corners
    corners = chance.integers(0, 12, (count, 2, 2)) * cell
    low, high = corners.min(axis=1), corners.max(axis=1) + cell
    boxes = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])

    found = planar(*boxes)

    pieces = shapely.get_parts(shapely.polygonize(shapely.get_parts(shapely.union_all(shapely.boundary(boxes)))))
    assert sorted(found.area_m2) == pytest.approx(sorted(shapely.area(pieces)))
    shapes = np.array(drawn(found), dtype=object)
    assert shapely.is_valid(shapes).all()
    assert shapely.coverage_is_valid(shapes)
    assert shapely.contains_properly(shapes, shapely.points(found.inner_points())).all()
