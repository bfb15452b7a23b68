"""Who goes on to which grid of a redraw."""

import pytest

from gridsvc.workforce.inheritance import Descent, Holder, inherit_grids


def descent(old, new, households=100, area_m2=1000.0):
    return Descent(old, new, households, area_m2)


def full_time(worker, grid):
    return Holder(worker, grid, "full_time", True)


def inherit(old, new, descents, holders, *, capacity=None, elsewhere=None):
    workers = {holder.worker_code for holder in holders}
    return inherit_grids(old, new, descents, holders, capacity or dict.fromkeys(workers, 1), elsewhere or {})


def heirs(result):
    return {row.new_code: row.worker_code for row in result.inherited if row.is_primary}


def test_a_worker_stays_on_a_code_that_survives():
    result = inherit("ab", "ac", [descent("a", "a"), descent("b", "c")], [full_time("w1", "a"), full_time("w2", "b")])

    assert heirs(result) == {"c": "w2"}
    assert result.vacant == {}


def test_the_worker_of_the_predecessor_with_most_households_inherits():
    descents = [descent("a", "c", 40, 9000.0), descent("b", "c", 60, 100.0)]

    result = inherit("ab", "c", descents, [full_time("w1", "a"), full_time("w2", "b")])

    assert heirs(result) == {"c": "w2"}


def test_without_households_most_ground_decides():
    descents = [descent("a", "c", 0, 9000.0), descent("b", "c", 0, 100.0)]

    assert heirs(inherit("ab", "c", descents, [full_time("w1", "a"), full_time("w2", "b")])) == {"c": "w1"}


@pytest.mark.parametrize(("capacity", "expected"), [(1, {"c": "w1"}), (2, {"b": "w1", "c": "w1"})])
def test_a_split_goes_to_its_worker_as_far_as_the_capacity_reaches_the_larger_part_first(capacity, expected):
    descents = [descent("a", "b", 30), descent("a", "c", 70)]

    result = inherit("a", "bc", descents, [full_time("w1", "a")], capacity={"w1": capacity})

    assert heirs(result) == expected
    assert set(result.vacant) == {"b", "c"} - set(expected)
    assert all("w1, who answered for a, holds 1 grids" in reason for reason in result.vacant.values())


def test_grids_held_elsewhere_count_against_the_capacity():
    result = inherit("a", "b", [descent("a", "b")], [full_time("w1", "a")], elsewhere={"w1": 1})

    assert heirs(result) == {} and "as many as possible" in result.vacant["b"]


def test_a_surviving_grid_counts_against_the_capacity():
    result = inherit("a", "ab", [descent("a", "a"), descent("a", "b")], [full_time("w1", "a")])

    assert heirs(result) == {} and set(result.vacant) == {"b"}


def test_nobody_inherits_from_a_grid_without_a_worker_or_from_nothing():
    result = inherit("a", "bc", [descent("a", "b")], [])

    assert result.vacant == {
        "b": "its largest predecessor a had no responsible worker",
        "c": "it has no predecessor",
    }


def test_a_worker_who_has_left_inherits_nothing():
    result = inherit("a", "b", [descent("a", "b")], [full_time("w1", "a")], capacity={"w2": 1})

    assert "has left" in result.vacant["b"]


def test_the_team_follows_the_households_of_a_grid_that_is_gone():
    holders = [full_time("w1", "a"), Holder("l1", "a", "leader", False), Holder("p1", "a", "part_time", False)]

    result = inherit("a", "bc", [descent("a", "b", 30), descent("a", "c", 70)], holders)

    assert [(row.new_code, row.role, row.worker_code) for row in result.inherited] == [
        ("c", "full_time", "w1"), ("c", "leader", "l1"), ("c", "part_time", "p1"),
    ]  # fmt: skip


def test_a_merged_grid_has_one_leader_and_no_deputy_of_before():
    holders = [
        Holder("l1", "a", "leader", False), Holder("l2", "b", "leader", False), Holder("w2", "a", "deputy", False),
    ]  # fmt: skip

    result = inherit("ab", "c", [descent("a", "c"), descent("b", "c")], holders)

    assert [(row.role, row.worker_code) for row in result.inherited] == [("leader", "l1")]


def test_the_order_of_the_input_does_not_matter():
    descents = [descent("a", "c", 50), descent("b", "c", 50), descent("b", "d", 50)]
    holders = [full_time("w1", "a"), full_time("w2", "b")]

    straight, turned = inherit("ab", "cd", descents, holders), inherit("ba", "dc", descents[::-1], holders[::-1])

    assert straight == turned
    assert heirs(straight) == {"c": "w1", "d": "w2"}
