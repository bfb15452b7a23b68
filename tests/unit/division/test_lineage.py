"""Lineage: who shares ground and households with whom, weights both ways, and what kind of change it was."""

import numpy as np
import pytest
import shapely

from gridsvc.division.lineage import Homes, lineage_of
from gridsvc.errors import CodeDuplicateError

NOBODY = Homes(np.empty(0, dtype=object), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


def boxes(**sides):
    """Return codes and boxes 100 m high, given from west to east as name=(west, east)."""
    return list(sides), np.array([shapely.box(west, 0, east, 100) for west, east in sides.values()], dtype=object)


def homes(*places):
    """Return homes at x along the middle, as (x, households)."""
    points = shapely.points([[x, 50.0] for x, _ in places])
    households = np.array([n for _, n in places])
    return Homes(points, households, households * 3)


def pairs(lineage):
    return list(zip(lineage.old_code, lineage.new_code, lineage.kind, strict=True))


def test_a_grid_that_stays_is_kept_with_all_its_weight():
    lineage = lineage_of(*boxes(a=(0, 100)), *boxes(a=(0, 100)), homes((50, 7)))

    assert pairs(lineage) == [("a", "a", "kept")]
    assert (lineage.area_m2[0], lineage.households[0], lineage.population[0]) == (10_000.0, 7, 21)
    assert lineage.old_area_share[0] == lineage.new_household_share[0] == 1.0


def test_a_split_weighs_its_parts_by_area_and_by_households():
    lineage = lineage_of(*boxes(a=(0, 100)), *boxes(a=(0, 25), b=(25, 100)), homes((10, 30), (90, 10)))

    assert pairs(lineage) == [("a", "a", "split"), ("a", "b", "split")]
    assert lineage.old_area_share.tolist() == [0.25, 0.75]
    assert lineage.old_household_share.tolist() == [0.75, 0.25]
    assert lineage.new_area_share.tolist() == [1.0, 1.0]


def test_a_merge_weighs_what_it_is_made_of():
    lineage = lineage_of(*boxes(a=(0, 50), b=(50, 100)), *boxes(c=(0, 100)), homes((10, 10), (90, 30)))

    assert pairs(lineage) == [("a", "c", "merge"), ("b", "c", "merge")]
    assert lineage.new_household_share.tolist() == [0.25, 0.75]
    assert lineage.old_household_share.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        pytest.param({"a": (0, 60), "b": (60, 100)}, "reshape", id="a border moved"),
        pytest.param({"c": (0, 60), "d": (60, 100)}, "arrangement", id="other codes, other borders"),
        pytest.param({"a": (0, 30), "b": (30, 70), "c": (70, 100)}, "arrangement", id="two became three"),
    ],
)
def test_grids_that_exchange_ground_are_one_relation(new, kind):
    lineage = lineage_of(*boxes(a=(0, 50), b=(50, 100)), *boxes(**new), NOBODY)

    assert set(lineage.kind) == {kind}
    assert set(lineage.relation) == {0}


def test_relations_are_told_apart():
    lineage = lineage_of(*boxes(a=(0, 50), b=(50, 100), c=(100, 150)), *boxes(a=(0, 50), d=(50, 150)), NOBODY)

    assert pairs(lineage) == [("a", "a", "kept"), ("b", "d", "merge"), ("c", "d", "merge")]
    assert lineage.relation.tolist() == [0, 1, 1]


def test_a_border_that_moved_by_rounding_is_no_relation():
    lineage = lineage_of(*boxes(a=(0, 50), b=(50, 100)), *boxes(a=(0, 50.004), b=(50.004, 100)), NOBODY)

    assert pairs(lineage) == [("a", "a", "kept"), ("b", "b", "kept")]
    assert lineage.old_area_share.tolist() == [1.0, 1.0]


def test_a_sliver_on_which_somebody_lives_is_a_relation():
    lineage = lineage_of(*boxes(a=(0, 50), b=(50, 100)), *boxes(a=(0, 50.004), b=(50.004, 100)), homes((50.002, 4)))

    assert ("b", "a", "reshape") in pairs(lineage)


def test_a_grid_smaller_than_a_sliver_keeps_its_largest_part():
    lineage = lineage_of(*boxes(tiny=(0, 0.005), b=(0.005, 100)), *boxes(b=(0, 100)), NOBODY)

    assert pairs(lineage) == [("b", "b", "merge"), ("tiny", "b", "merge")]
    assert lineage.old_area_share.tolist() == [1.0, 1.0]


def test_without_households_the_areas_stand_in():
    lineage = lineage_of(*boxes(a=(0, 100)), *boxes(a=(0, 25), b=(25, 100)), NOBODY)

    assert lineage.old_household_share.tolist() == lineage.old_area_share.tolist() == [0.25, 0.75]


def test_grids_without_a_past_or_a_future_are_listed():
    lineage = lineage_of(*boxes(a=(0, 50), b=(50, 100)), *boxes(b=(50, 100), c=(100, 150)), NOBODY)

    assert pairs(lineage) == [("b", "b", "kept")]
    assert (lineage.retired.tolist(), lineage.born.tolist()) == (["a"], ["c"])


def test_a_first_division_has_no_past():
    none = [], np.empty(0, dtype=object)

    lineage = lineage_of(*none, *boxes(a=(0, 50)), homes((10, 1)))

    assert len(lineage) == 0 and lineage.born.tolist() == ["a"]


def test_a_home_on_a_shared_border_counts_once_in_the_grid_of_the_lower_code():
    lineage = lineage_of(*boxes(b=(0, 50), a=(50, 100)), *boxes(b=(0, 50), a=(50, 100)), homes((50, 5)))

    assert dict(zip(lineage.old_code, lineage.households, strict=True)) == {"a": 5, "b": 0}


def test_a_code_twice_is_refused():
    codes, shapes = boxes(a=(0, 50), b=(50, 100))

    with pytest.raises(CodeDuplicateError, match="a comes twice"):
        lineage_of(["a", "a"], shapes, codes, shapes, NOBODY)
