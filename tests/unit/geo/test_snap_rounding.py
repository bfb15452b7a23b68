"""Lines noded on a grid: what GEOS makes of the same lines, and never two that meet but in an end."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.geo.snap_rounding import snap_rounded

STEP_M = 0.01


def noded(*lines: list[tuple[float, float]], step_m: float = STEP_M) -> list[str]:
    made = snap_rounded(np.array([shapely.LineString(line) for line in lines], dtype=object), step_m)
    return [shapely.to_wkt(line, rounding_precision=3) for line in made]


def pieces(lines: np.ndarray, step_m: float) -> set[tuple[int, ...]]:
    """Return the straight pieces of lines in steps of the grid, whichever way they run."""
    coordinates, line = shapely.get_coordinates(shapely.get_parts(lines), return_index=True)
    same = line[1:] == line[:-1]
    ends = np.rint(np.stack([coordinates[:-1][same], coordinates[1:][same]], axis=1) / step_m).astype(int)
    return {tuple(np.ravel(sorted(pair))) for pair in ends.tolist()}


def random_lines(seed: int, count: int, size_m: float) -> np.ndarray:
    """Return lines of two to five vertices; half of them end on an earlier one, as a side street does."""
    chance = np.random.default_rng(seed)
    lines: list[shapely.LineString] = []
    for _ in range(count):
        vertices = chance.uniform(0, size_m, (chance.integers(2, 6), 2))
        if lines and chance.random() < 0.5:
            onto = lines[chance.integers(len(lines))]
            vertices[-1] = shapely.get_coordinates(onto.interpolate(chance.uniform(0, onto.length)))[0]
        lines.append(shapely.LineString(vertices))
    return np.array(lines, dtype=object)


class TestSnapRounded:
    def test_crossing_lines_get_a_common_vertex(self):
        assert noded([(0, 0), (2, 2)], [(0, 2), (2, 0)]) == [
            "LINESTRING (0 0, 1 1)",
            "LINESTRING (1 1, 2 2)",
            "LINESTRING (0 2, 1 1)",
            "LINESTRING (1 1, 2 0)",
        ]

    def test_a_line_that_ends_within_half_a_step_of_another_meets_it(self):
        found = noded([(0, 0), (2, 0)], [(1, 1), (1, 0.004)])

        assert found == ["LINESTRING (0 0, 1 0)", "LINESTRING (1 0, 2 0)", "LINESTRING (1 1, 1 0)"]

    def test_a_line_that_ends_farther_away_does_not(self):
        assert len(noded([(0, 0), (2, 0)], [(1, 1), (1, 0.006)])) == 2

    def test_an_end_lying_on_a_slanted_line_meets_it_although_both_are_rounded(self):
        slanted = shapely.LineString([(0.004, 0.003), (7.016, 3.017)])
        foot = slanted.interpolate(0.37, normalized=True)

        found = snap_rounded(np.array([slanted, shapely.LineString([(3, 9), foot])], dtype=object), STEP_M)

        assert len(found) == 3

    def test_what_coincides_comes_once(self):
        assert noded([(0, 0), (2, 0)], [(3, 0), (1, 0)]) == [
            "LINESTRING (0 0, 1 0)",
            "LINESTRING (1 0, 2 0)",
            "LINESTRING (3 0, 2 0)",
        ]

    def test_a_line_that_goes_on_from_the_end_of_another_stays_one_of_its_own(self):
        assert noded([(0, 0), (1, 0)], [(1, 0), (1, 1)]) == ["LINESTRING (0 0, 1 0)", "LINESTRING (1 0, 1 1)"]

    def test_vertices_in_the_middle_of_a_line_stay_in_it(self):
        assert noded([(0, 0), (1, 0.5), (2, 0)]) == ["LINESTRING (0 0, 1 0.5, 2 0)"]

    def test_a_line_that_crosses_itself_is_broken_there(self):
        assert len(noded([(0, 0), (2, 2), (2, 0), (0, 2)])) == 3

    def test_a_ring_stays_a_ring(self):
        assert noded([(0, 0), (1, 0), (1, 1), (0, 0)]) == ["LINESTRING (0 0, 1 0, 1 1, 0 0)"]

    def test_lines_shorter_than_the_grid_vanish(self):
        assert noded([(0, 0), (0.002, 0.001)]) == []
        assert noded([(0, 0), (0.002, 0.001)], [(1, 1), (2, 2)]) == ["LINESTRING (1 1, 2 2)"]

    def test_no_lines_are_no_lines(self):
        assert len(snap_rounded(np.empty(0, dtype=object), STEP_M)) == 0

    def test_a_coarse_grid_and_places_far_from_the_origin(self):
        far = np.array([shapely.LineString([(-40_000_000.2, 4_000_000), (-39_999_990, 4_000_010.4)])], dtype=object)

        (line,) = snap_rounded(far, 0.5)

        assert shapely.get_coordinates(line).tolist() == [[-40_000_000, 4_000_000], [-39_999_990, 4_000_010.5]]


# on a grid as coarse as the lines are long GEOS leaves out a few pieces that run there and back
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40), step_m=st.sampled_from([0.01, 0.1]))
@settings(deadline=None)
def test_the_pieces_are_those_that_geos_makes(seed: int, count: int, step_m: float):
    lines = random_lines(seed, count, 50.0)

    made = snap_rounded(lines, step_m)

    assert pieces(made, step_m) == pieces(np.array([shapely.union_all(lines, grid_size=step_m)]), step_m)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60), size=st.integers(3, 30))
@settings(deadline=None)
def test_lines_on_a_coarse_grid_meet_in_ends_only(seed: int, count: int, size: int):
    # on so few pixels nearly everything coincides, touches or runs through a corner
    lines = shapely.set_precision(random_lines(seed, count, float(size)), 0.25)
    lines = lines[~shapely.is_empty(lines)]
    lines = lines[shapely.get_type_id(lines) == 1]

    made = snap_rounded(lines, 1.0)

    found = pieces(made, 1.0)
    segments = np.array([shapely.LineString([p[:2], p[2:]]) for p in sorted(found)], dtype=object)
    assert len(segments) == sum(shapely.get_num_points(made) - 1)
    first, second = shapely.STRtree(segments).query(segments, predicate="intersects")
    pairs = [(segments[a], segments[b]) for a, b in zip(first, second, strict=True) if a < b]
    for one, other in pairs:
        assert list(one.intersection(other).coords) == sorted({*one.coords} & {*other.coords})


@pytest.mark.parametrize("step_m", [0.01, 0.5])
def test_no_line_moves_by_more_than_a_diagonal_of_the_grid(step_m: float):
    lines = random_lines(7, 60, 50.0)

    made = shapely.union_all(snap_rounded(lines, step_m))

    assert shapely.hausdorff_distance(shapely.union_all(lines), made) <= 0.7072 * step_m
