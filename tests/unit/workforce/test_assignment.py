import numpy as np
import pytest

from gridsvc.errors import CodeDuplicateError, RequestInvalidError
from gridsvc.workforce.assignment import assign_workers
from gridsvc.workforce.roster import BEIJING_2022_ROLE_OF_KIND
from tests.factories.rosters import COMMUNITY, NEIGHBOUR, full_time, make_grids, make_roster

HERE, THERE = (0.0, 0.0), (1000.0, 0.0)


def held(plan, role="full_time"):
    return {row.grid_code[-3:]: row.worker_code for row in plan.assignments if row.role == role}


def test_each_grid_gets_the_worker_near_by():
    plan = assign_workers(make_grids([HERE, THERE]), make_roster([full_time("A", THERE), full_time("B", HERE)]))

    assert held(plan) == {"001": "B", "002": "A"}
    assert all(row.is_primary for row in plan.assignments if row.role == "full_time")


def test_total_distance_is_least_not_first_come():
    # both live near the first grid; the one who loses least walks to the second
    grids = make_grids([(0, 0), (1000, 0)])
    roster = make_roster([full_time("A", (100, 0)), full_time("B", (-400, 0))])

    assert held(assign_workers(grids, roster)) == {"001": "B", "002": "A"}


def test_capacity_is_kept_and_the_rest_is_listed_with_a_reason():
    grids = make_grids([(0, 0), (100, 0), (200, 0)])

    plan = assign_workers(grids, make_roster([full_time("A", HERE, capacity=2)]))

    assert list(held(plan).values()) == ["A", "A"]
    (missing,) = [row for row in plan.unassigned if row.role == "full_time"]
    assert missing.grid_code.endswith("003")
    assert missing.reason == f"the 1 of community {COMMUNITY} are full, and no spare one lives within 3 km"


def test_everybody_has_one_grid_before_somebody_has_two():
    grids = make_grids([(0, 0), (100, 0), (200, 0)])
    roster = make_roster([full_time("A", (100, 0), capacity=3), full_time("B", (900, 0)), full_time("C", (1200, 0))])

    assert sorted(held(assign_workers(grids, roster)).values()) == ["A", "B", "C"]


def test_own_community_comes_before_a_nearer_neighbour():
    grids = make_grids([HERE])
    roster = make_roster([full_time("A", (800, 0)), full_time("B", (5, 0), community=NEIGHBOUR)])

    assert held(assign_workers(grids, roster)) == {"001": "A"}


def test_spare_neighbour_takes_what_is_left_over():
    grids = make_grids([(0, 0), (100, 0)], [COMMUNITY, NEIGHBOUR])
    roster = make_roster([full_time("A", (50, 0), community=NEIGHBOUR), full_time("B", (120, 0), community=NEIGHBOUR)])

    plan = assign_workers(grids, roster)

    assert {row.grid_code: row.worker_code for row in plan.assignments if row.is_primary} == {
        f"{COMMUNITY}001": "A",
        f"{NEIGHBOUR}002": "B",
    }
    assert not [row for row in plan.unassigned if row.role == "full_time"]


def test_neighbour_far_away_is_not_sent():
    plan = assign_workers(make_grids([HERE]), make_roster([full_time("A", (3001, 0), community=NEIGHBOUR)]))

    assert plan.assignments == ()
    assert plan.fairness is None
    assert plan.unassigned[0].reason == f"community {COMMUNITY} has none, and no spare one lives within 3 km"


def test_worker_without_home_counts_as_living_in_the_middle():
    grids = make_grids([(0, 0), (2000, 0)])
    roster = make_roster([full_time("A", (np.nan, np.nan)), full_time("B", (900, 0))])

    plan = assign_workers(grids, roster)

    assert held(plan) == {"001": "B", "002": "A"}
    assert all(np.isfinite(row.distance_m) for row in plan.assignments)


def test_one_leader_may_lead_several_grids():
    roster = make_roster([full_time("A", HERE), full_time("B", THERE), ("L", HERE, "W01", COMMUNITY, 5)])

    plan = assign_workers(make_grids([HERE, THERE]), roster)

    assert held(plan, "leader") == {"001": "L", "002": "L"}


def test_every_part_time_worker_gets_a_grid_spread_evenly():
    rows = [(f"P{i}", (10.0 * i, 0.0), "W03", COMMUNITY, 1) for i in range(5)]

    plan = assign_workers(make_grids([HERE, THERE]), make_roster(rows))

    part_time = [row for row in plan.assignments if row.role == "part_time"]
    per_grid = np.unique([row.grid_code for row in part_time], return_counts=True)[1]
    assert sorted(row.worker_code for row in part_time) == ["P0", "P1", "P2", "P3", "P4"]
    assert sorted(per_grid.tolist()) == [2, 3]
    assert not any(row.is_primary for row in part_time)


def test_nobody_stands_on_a_grid_twice_in_one_role():
    rows = [(f"P{i}", (10.0 * i, 0.0), "W03", COMMUNITY, 3) for i in range(3)]

    plan = assign_workers(make_grids([HERE, THERE]), make_roster(rows))

    pairs = [(row.worker_code, row.grid_code) for row in plan.assignments]
    assert len(pairs) == len(set(pairs))


def test_adviser_of_the_street_office_covers_its_communities():
    roster = make_roster([("V", HERE, "W04", COMMUNITY[:9], 10)])

    plan = assign_workers(make_grids([(0, 0), (2000, 0), (9000, 0)], [COMMUNITY, NEIGHBOUR, NEIGHBOUR]), roster)

    assert held(plan, "adviser") == {"001": "V", "002": "V", "003": "V"}


def test_deputy_is_the_worker_of_the_neighbour_grid():
    grids = make_grids([(0, 0), (100, 0), (5000, 0), (5100, 0)])
    roster = make_roster([full_time(f"A{i}", tuple(grids.xy[i])) for i in range(4)])

    deputies = [row for row in assign_workers(grids, roster).assignments if row.role == "deputy"]

    assert {row.grid_code[-3:]: (row.worker_code, row.deputy_of) for row in deputies} == {
        "001": ("A1", "A0"),
        "002": ("A0", "A1"),
        "003": ("A3", "A2"),
        "004": ("A2", "A3"),
    }


def test_only_worker_of_a_community_has_a_deputy_next_door():
    grids = make_grids([HERE, THERE], [COMMUNITY, NEIGHBOUR])
    roster = make_roster([full_time("A", HERE), full_time("B", THERE, community=NEIGHBOUR)])

    assert held(assign_workers(grids, roster), "deputy") == {"001": "B", "002": "A"}


def test_nobody_is_deputy_of_themselves():
    grids = make_grids([(100.0 * i, 0.0) for i in range(7)])
    roster = make_roster([full_time("A", HERE, capacity=6), full_time("B", THERE, capacity=1)])

    plan = assign_workers(grids, roster)

    assert all(row.worker_code != row.deputy_of for row in plan.assignments)
    assert len(held(plan, "deputy")) == 7


def test_lane_chiefs_are_full_time_under_the_beijing_opinion():
    grids, roster = make_grids([HERE]), make_roster([("S", HERE, "W08", COMMUNITY, 1)])

    assert held(assign_workers(grids, roster)) == {}
    assert held(assign_workers(grids, roster, role_of_kind=BEIJING_2022_ROLE_OF_KIND)) == {"001": "S"}


def test_fairness_counts_households_of_responsible_workers():
    grids = make_grids([HERE, THERE], households=[300, 500])
    roster = make_roster([full_time("A", HERE), full_time("B", THERE)])

    fairness = assign_workers(grids, roster).fairness

    assert (fairness.workers, fairness.mean_households) == (2, 400.0)
    assert (fairness.fewest_households, fairness.most_households) == (300, 500)
    assert fairness.variation == pytest.approx(0.25)


def test_no_grids_need_nobody():
    plan = assign_workers(make_grids([]), make_roster([full_time("A", HERE)]))

    assert (plan.assignments, plan.unassigned, plan.fairness) == ((), (), None)


def test_no_workers_leave_every_grid_listed_for_each_role():
    plan = assign_workers(make_grids([HERE]), make_roster([]))

    assert [row.role for row in plan.unassigned] == ["full_time", "leader", "part_time"]


def test_worker_listed_twice_is_refused():
    with pytest.raises(CodeDuplicateError, match="worker A is listed twice"):
        assign_workers(make_grids([HERE]), make_roster([full_time("A", HERE), full_time("A", THERE)]))


def test_capacity_below_one_is_refused():
    with pytest.raises(RequestInvalidError, match="Worker A"):
        assign_workers(make_grids([HERE]), make_roster([full_time("A", HERE, capacity=0)]))


def test_grid_without_position_is_refused():
    with pytest.raises(RequestInvalidError, match="Grid 420103001001001"):
        assign_workers(make_grids([(np.nan, 0.0)]), make_roster([]))
