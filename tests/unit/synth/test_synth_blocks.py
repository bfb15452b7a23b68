"""Blocks out of street lines: what the snap-rounding closes, what is a sliver, what a cut keeps."""

import numpy as np
import shapely

from gridsvc.synth.blocks import close_loose_ends, faces_of, group_union, merge_slivers, shared_borders
from gridsvc.synth.ground import Streets

BOUNDARY = shapely.box(0, 0, 300, 200)


def test_lines_that_meet_close_blocks_that_share_vertices() -> None:
    cross = [shapely.LineString([(100, 0), (100, 200)]), shapely.LineString([(0, 80), (300, 80)])]
    faces = faces_of(cross, BOUNDARY)
    assert sorted(shapely.area(faces).tolist()) == [8000.0, 12000.0, 16000.0, 24000.0]
    assert shapely.coverage_is_valid(faces)


def test_an_end_that_misses_by_less_than_two_metres_is_closed() -> None:
    lines = np.array(
        [shapely.LineString([(100, 0), (100, 200)]), shapely.LineString([(101.5, 80), (300, 80)])], dtype=object
    )
    ties = close_loose_ends(lines, BOUNDARY)
    assert [tie.wkt for tie in ties] == ["LINESTRING (101.5 80, 100 80)"]
    assert len(faces_of([*lines, *ties], BOUNDARY)) == 3


def test_an_end_further_away_stays_open() -> None:
    lines = np.array(
        [shapely.LineString([(100, 0), (100, 200)]), shapely.LineString([(103, 80), (300, 80)])], dtype=object
    )
    assert len(close_loose_ends(lines, BOUNDARY)) == 0


def test_the_sliver_between_two_carriageways_joins_a_block() -> None:
    ways = [shapely.LineString([(100, 0), (100, 200)]), shapely.LineString([(112, 0), (112, 200)])]
    faces = merge_slivers(faces_of(ways, BOUNDARY))
    assert len(faces) == 2
    assert shapely.area(faces).sum() == 60000.0
    assert shapely.coverage_is_valid(faces)


def test_shared_borders_have_the_length_of_the_street_between() -> None:
    faces = faces_of([shapely.LineString([(100, 0), (100, 90), (100, 200)])], BOUNDARY)
    borders = shared_borders(faces)
    assert borders.length_m.tolist() == [200.0]


def test_a_union_of_blocks_keeps_the_outer_vertices() -> None:
    cross = [shapely.LineString([(100, 0), (100, 200)]), shapely.LineString([(0, 80), (300, 80)])]
    faces = faces_of(cross, BOUNDARY)
    halves = group_union(faces, (shapely.get_x(shapely.centroid(faces)) > 100).astype(np.int64))
    assert (100.0, 80.0) in map(tuple, shapely.get_coordinates(halves[0]))
    assert (300.0, 80.0) in map(tuple, shapely.get_coordinates(halves[1]))


def test_a_street_cut_at_a_point_ends_there_twice() -> None:
    street = Streets(
        np.array([shapely.LineString([(0, 0), (50, 0), (100, 0)])], dtype=object),
        ["residential"],
        ["桂子巷"],
        np.array([0]),
    )
    cut = street.cut_at(np.array([0, 0]), np.array([[30.0, 0.0], [50.0, 0.0]]))
    assert [line.wkt for line in cut.lines] == [
        "LINESTRING (0 0, 30 0)",
        "LINESTRING (30 0, 50 0)",
        "LINESTRING (50 0, 100 0)",
    ]
    assert cut.name == ["桂子巷"] * 3


def test_a_cut_at_the_end_of_a_street_changes_nothing() -> None:
    line = shapely.LineString([(0, 0), (100, 0)])
    street = Streets(np.array([line], dtype=object), ["residential"], [""], np.array([0]))
    assert street.cut_at(np.array([0]), np.array([[100.0, 0.0]])).lines.tolist() == [line]
