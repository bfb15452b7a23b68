"""Partition geometry: exact zero, reports of what is wrong, shared vertices."""

import numpy as np
import pytest
import shapely
from shapely import Polygon, box

from gridsvc.errors import GeometryError
from gridsvc.geo import partitions
from tests.factories.partitions import jittered_quads, stored, with_t_junctions

SQUARE = box(0, 0, 100, 100)
HALVES = [box(0, 0, 50, 100), box(50, 0, 100, 100)]


def areas(polygons):
    return [round(p.area, 6) for p in polygons]


def test_an_exact_partition_has_gap_and_overlap_of_exactly_zero():
    boundary, grids = jittered_quads(8, 6)

    report = partitions.check_partition(boundary, grids)

    assert report.is_exact
    assert (report.gap_area_m2, report.overlap_area_m2, report.outside_area_m2) == (0.0, 0.0, 0.0)
    assert partitions.is_exact(grids)


def test_a_gap_and_an_overlap_are_reported_with_their_grids():
    grids = [box(0, 0, 50, 100), box(40, 0, 90, 100)]

    report = partitions.check_partition(SQUARE, grids)

    assert not report.is_exact
    assert (areas(report.gaps), report.gap_area_m2) == ([1000.0], 1000.0)
    assert [(o.first, o.second, o.polygon.area) for o in report.overlaps] == [(0, 1, 1000.0)]
    assert report.unmatched_edges


def test_slivers_are_listed_apart_and_counted_in_the_sums():
    grids = [box(0, 0, 49.995, 100), box(50, 0, 100, 100)]

    report = partitions.check_partition(SQUARE, grids)

    assert report.gaps == []
    assert areas(report.slivers) == [0.5]
    assert report.gap_area_m2 == pytest.approx(0.5)


def test_grids_beyond_the_boundary_are_reported():
    report = partitions.check_partition(SQUARE, [box(0, 0, 50, 100), box(50, 0, 120, 100)])

    assert areas(report.outside) == [2000.0]
    assert report.outside_area_m2 == pytest.approx(2000.0)
    assert (report.gaps, report.overlaps) == ([], [])


def test_a_shared_edge_with_different_vertices_is_not_exact():
    left = Polygon([(0, 0), (50, 0), (50, 40), (50, 100), (0, 100)])
    report = partitions.check_partition(SQUARE, [left, HALVES[1]])

    assert not report.is_exact
    assert len(report.unmatched_edges) == 3
    assert (report.gap_area_m2, report.overlap_area_m2) == (0.0, 0.0)
    assert not partitions.is_exact([left, HALVES[1]])


def test_a_boundary_drawn_without_the_grid_vertices_counts_as_equal():
    thirds = [box(0, 0, 100 / 3, 100), box(100 / 3, 0, 100, 100)]

    assert partitions.check_partition(SQUARE, thirds).is_exact
    nudged = Polygon([(0.0004, 0), (100, 0.0004), (100, 100), (0, 100)])
    assert partitions.check_partition(nudged, thirds).is_exact


def test_a_boundary_with_a_hole_and_a_multipart_boundary():
    ring = Polygon([(0, 0), (30, 0), (30, 30), (0, 30)], [[(10, 10), (20, 10), (20, 20), (10, 20)]])
    corner = Polygon([(0, 0), (10, 0), (10, 10), (10, 20), (10, 30), (0, 30)])
    rest = Polygon([(10, 0), (30, 0), (30, 30), (10, 30), (10, 20), (20, 20), (20, 10), (10, 10)])
    island = box(100, 0, 110, 10)

    assert partitions.check_partition(ring, [corner, rest]).is_exact
    assert partitions.check_partition(shapely.MultiPolygon([ring, island]), [corner, rest, island]).is_exact
    filled = partitions.check_partition(ring, [corner, rest, box(10, 10, 20, 20)])
    assert (filled.is_exact, filled.outside_area_m2) == (False, 100.0)


def test_a_duplicated_grid_is_an_overlap_and_a_partition_of_one_is_exact():
    twice = partitions.check_partition(SQUARE, [SQUARE, SQUARE])

    assert twice.overlap_area_m2 == 10_000.0
    assert partitions.check_partition(SQUARE, [SQUARE]).is_exact


@pytest.mark.parametrize(
    "grid",
    [Polygon([(0, 0), (10, 10), (10, 0), (0, 10)]), Polygon(), None, shapely.Point(1, 1)],
    ids=["bow-tie", "empty", "missing", "point"],
)
def test_grids_that_are_no_polygons_are_refused_by_position(grid):
    with pytest.raises(GeometryError) as refused:
        partitions.check_partition(SQUARE, [HALVES[0], grid])
    assert refused.value.details["index"] == 1


def test_t_junctions_become_vertices_of_both_sides():
    boundary, grids = jittered_quads(6, 5)
    loose = with_t_junctions(grids)
    assert not partitions.is_exact(loose)

    noded = partitions.node_shared_vertices(loose)

    assert partitions.check_partition(boundary, noded).is_exact
    assert partitions.is_exact(stored(noded))
    again = partitions.node_shared_vertices(noded)
    assert shapely.equals_exact(noded, again, 0.0).all()


def test_vertices_closer_than_the_tolerance_become_one():
    left = box(0, 0, 50, 100)
    right = Polygon([(50.0006, 0.0), (100, 0), (100, 100), (50.0, 100.0005)])

    noded = partitions.node_shared_vertices([left, right])

    assert partitions.is_exact(noded)
    assert shapely.hausdorff_distance(noded[1], right) < 0.001


def test_multipolygons_and_holes_keep_their_parts():
    ring = Polygon([(0, 0), (30, 0), (30, 30), (0, 30)], [[(10, 10), (20, 10), (20, 20), (10, 20)]])
    inner = Polygon([(10, 10), (15, 10), (20, 10), (20, 20), (10, 20)])
    far = box(100, 0, 110, 10)
    plug = shapely.MultiPolygon([inner, far])

    noded = partitions.node_shared_vertices([ring, plug])

    assert [g.geom_type for g in noded] == ["Polygon", "MultiPolygon"]
    assert noded[0].equals(ring)
    assert noded[1].equals(plug)
    assert partitions.is_exact(noded)


def test_a_polygon_narrower_than_the_tolerance_is_refused():
    with pytest.raises(GeometryError, match="narrower"):
        partitions.node_shared_vertices([SQUARE, box(0, 0, 0.0005, 0.0005)])


def test_nothing_is_noded_in_nothing():
    assert len(partitions.node_shared_vertices([])) == 0
    assert partitions.is_exact([])


def test_a_district_of_quads_is_noded_whole():
    boundary, grids = jittered_quads(30, 25)
    loose = with_t_junctions(np.array([shapely.segmentize(g, 25.0) for g in grids]))

    noded = partitions.node_shared_vertices(loose)

    assert partitions.check_partition(boundary, noded).is_exact


def test_a_corner_that_moves_takes_the_edges_inside_its_group_along():
    west = np.array([shapely.box(0, 0, 10, 5), shapely.box(0, 5, 10, 10)], dtype=object)
    east = np.array([shapely.box(10.0004, 0, 20, 10)], dtype=object)

    noded = partitions.node_shared_vertices(np.concatenate([west, east]), group=[0, 0, 1])

    assert partitions.is_exact(noded)
    assert sorted(shapely.get_coordinates(noded[2])[:, 0].tolist())[:3] == [
        10.0,
        10.0,
        10.0,
    ]  # with the T-junction at (10, 5)


def test_members_of_a_group_that_differ_after_all_are_noded_too():
    loose = np.array([shapely.box(0, 0, 10, 10), shapely.Polygon([(10, 0), (20, 0), (20, 10), (10, 10), (10, 5)])])

    noded = partitions.node_shared_vertices(loose, group=["one", "one"])
    apart = partitions.node_shared_vertices(loose, group=["one", "two"])

    # an edge that its group does not share is taken for a border
    assert partitions.is_exact(noded) and partitions.is_exact(apart)


def test_grids_of_a_neighbour_do_not_fill_a_boundary():
    boundaries = np.array([shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)])

    assert partitions.unmatched_boundaries(boundaries, boundaries, [0, 1]).tolist() == []
    assert partitions.unmatched_boundaries(boundaries, boundaries, [1, 0]).tolist() == [0, 1]
    assert partitions.unmatched_boundaries(boundaries, boundaries[:1], [0]).tolist() == [1]
