"""Properties of assignments over random communities."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.workforce.assignment import GridsToStaff, Roster, assign_workers
from tests.factories.rosters import make_roster

COMMUNITIES = ("420103001001", "420103001002", "420103002001")
places = st.tuples(st.integers(0, 4000), st.integers(0, 4000))
grid_rows = st.lists(st.tuples(places, st.sampled_from(COMMUNITIES), st.integers(0, 600)), max_size=14)
worker_rows = st.lists(
    st.tuples(
        places, st.sampled_from(["W01", "W02", "W03", "W04", "W16"]), st.sampled_from(COMMUNITIES), st.integers(1, 3)
    ),
    max_size=20,
)
some = settings(max_examples=60, deadline=None)


def town(grids, workers) -> tuple[GridsToStaff, Roster]:
    staffed = GridsToStaff(
        np.array([f"{community}{i + 1:03d}" for i, (_, community, _) in enumerate(grids)], dtype=str),
        np.array([xy for xy, _, _ in grids], dtype=float).reshape(-1, 2),
        np.array([households for _, _, households in grids], dtype=np.int64),
        np.array([community for _, community, _ in grids], dtype=str),
    )
    return staffed, make_roster([(f"worker-{i:02d}", *row) for i, row in enumerate(workers)])


@some
@given(grid_rows, worker_rows)
def test_each_grid_has_one_responsible_worker_or_is_listed(grid_rows, worker_rows):
    grids, roster = town(grid_rows, worker_rows)

    plan = assign_workers(grids, roster)

    primary = Counter(row.grid_code for row in plan.assignments if row.is_primary)
    listed = [row.grid_code for row in plan.unassigned if row.role == "full_time"]
    assert sorted([*primary.elements(), *listed]) == sorted(grids.code.tolist())


@some
@given(grid_rows, worker_rows)
def test_nobody_holds_more_grids_than_they_can(grid_rows, worker_rows):
    grids, roster = town(grid_rows, worker_rows)
    capacity = dict(zip(roster.code.tolist(), roster.capacity_grids.tolist(), strict=True))

    plan = assign_workers(grids, roster)

    held = Counter(row.worker_code for row in plan.assignments if row.role != "deputy")
    assert all(count <= capacity[worker] for worker, count in held.items())


@some
@given(grid_rows, worker_rows)
def test_no_grid_is_left_while_a_worker_of_its_own_community_is_free(grid_rows, worker_rows):
    grids, roster = town(grid_rows, worker_rows)

    plan = assign_workers(grids, roster)

    held = Counter(row.worker_code for row in plan.assignments if row.is_primary)
    free = {
        str(community)
        for code, kind, community, capacity in zip(
            roster.code, roster.kind_code, roster.division_code, roster.capacity_grids, strict=True
        )
        if kind == "W02" and held[str(code)] < capacity
    }
    assert not free & {row.grid_code[:12] for row in plan.unassigned if row.role == "full_time"}


@some
@given(grid_rows, worker_rows, st.randoms(use_true_random=False))
def test_input_order_does_not_matter(grid_rows, worker_rows, shuffler):
    grids, roster = town(grid_rows, worker_rows)
    g, w = list(range(len(grid_rows))), list(range(len(worker_rows)))
    shuffler.shuffle(g)
    shuffler.shuffle(w)
    mixed_grids = GridsToStaff(grids.code[g], grids.xy[g], grids.households[g], grids.community_code[g])
    mixed_roster = Roster(
        roster.code[w], roster.xy[w], roster.kind_code[w], roster.division_code[w], roster.capacity_grids[w]
    )

    assert assign_workers(grids, roster) == assign_workers(mixed_grids, mixed_roster)


@some
@given(grid_rows, worker_rows)
def test_deputies_stand_in_for_somebody_else(grid_rows, worker_rows):
    plan = assign_workers(*town(grid_rows, worker_rows))

    primary = {row.grid_code: row.worker_code for row in plan.assignments if row.is_primary}
    for row in plan.assignments:
        if row.role == "deputy":
            assert row.deputy_of == primary[row.grid_code] != row.worker_code
