"""The exact grouping against every grouping there is, on maps small enough to try them all."""

from dataclasses import replace
from functools import cache

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.division import exact_grouping
from gridsvc.division.atoms import make_atoms
from gridsvc.division.borders import Neighbours
from gridsvc.division.communities import DivisionRules
from gridsvc.division.exact_grouping import MOST_ATOMS, exact_governance_grids, grouping_cost, solve_exactly
from gridsvc.division.governance_grids import governance_grids
from gridsvc.division.group_choice import cheapest_choice
from gridsvc.division.group_costs import GroupCosts
from gridsvc.division.group_search import GroupSearch
from gridsvc.division.grouping import Task, group
from gridsvc.errors import GridsvcError
from tests.factories import towns


def town(rng, rows, columns, *, low=3.0, high=6.0, merged=0, whole=True):
    """Return a task on a ragged map: rectangles of uneven sides, some joined to their neighbour."""
    heights, widths = rng.uniform(20, 80, rows), rng.uniform(20, 80, columns)
    atom = np.arange(rows * columns).reshape(rows, columns)
    for _ in range(merged):
        y, x = int(rng.integers(rows)), int(rng.integers(columns - 1))
        atom[atom == atom[y, x + 1]] = atom[y, x]
    _, atom = np.unique(atom, return_inverse=True)
    atom = atom.reshape(rows, columns)
    size = int(atom.max()) + 1
    area, perimeter = np.zeros(size), np.zeros(size)
    first, second, shared = [], [], []
    for y in range(rows):
        for x in range(columns):
            area[atom[y, x]] += heights[y] * widths[x]
            for dy, dx, length in ((0, 1, heights[y]), (1, 0, widths[x]), (0, -1, heights[y]), (-1, 0, widths[x])):
                there = (y + dy, x + dx)
                inside = 0 <= there[0] < rows and 0 <= there[1] < columns
                if not inside or atom[there] != atom[y, x]:
                    perimeter[atom[y, x]] += length
                if inside and atom[there] != atom[y, x] and dy + dx > 0:
                    first.append(atom[y, x])
                    second.append(atom[there])
                    shared.append(length)
    shared = np.array(shared)
    off_line = shared * (rng.random(len(shared)) < 0.5)
    neighbours = Neighbours.of_pairs(size, np.array(first), np.array(second), shared, off_line)
    weight = rng.integers(0, 4, size).astype(float) if whole else rng.uniform(0, 3, size)
    return Task(neighbours, weight, area, perimeter, low, high)


def graph_of(task):
    near = task.neighbours
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(task.weight)))
    rows = np.repeat(np.arange(len(task.weight)), np.diff(near.start))
    graph.add_edges_from(zip(rows.tolist(), near.ids.tolist(), strict=True))
    return graph


def is_contiguous(task, labels):
    graph = graph_of(task)
    return all(networkx.is_connected(graph.subgraph(np.flatnonzero(labels == g).tolist())) for g in np.unique(labels))


def contiguous_groups(task):
    """Return every contiguous group of atoms by its bits."""
    near, size = task.neighbours, len(task.weight)
    touching = [sum(1 << int(j) for j in near.ids[near.start[i] : near.start[i + 1]]) for i in range(size)]

    def grown(bits):
        reached, before = bits & -bits, 0
        while reached != before:
            before = reached
            for i in range(size):
                if before >> i & 1:
                    reached |= touching[i] & bits
        return reached

    return [bits for bits in range(1, 2**size) if grown(bits) == bits]


def least_cost(task, count):
    """Return the least cost of any contiguous grouping, by trying them all."""
    size = len(task.weight)
    bits = contiguous_groups(task)
    chosen = (np.array(bits)[:, None] >> np.arange(size)) & 1 == 1
    cost = dict(zip(bits, GroupCosts(task, count).of(chosen).tolist(), strict=True))

    @cache
    def cheapest(left, groups):
        if groups == 1:
            return cost.get(left, np.inf)
        first = left & -left
        others, rest, best = left ^ first, left ^ first, np.inf
        while rest:
            # the group of the first atom left is all but ``rest``
            taken = left ^ rest
            if taken in cost:
                best = min(best, cost[taken] + cheapest(rest, groups - 1))
            rest = (rest - 1) & others
        return best

    return cheapest(2**size - 1, count)


@pytest.mark.parametrize(
    ("rows", "columns", "count"), [(2, 3, 2), (3, 3, 2), (3, 3, 3), (2, 4, 4), (3, 4, 2), (3, 4, 3)]
)
def test_it_finds_what_trying_all_groupings_finds(rows, columns, count):
    task = town(np.random.default_rng(rows * 10 + columns), rows, columns)

    found = solve_exactly(task, count)

    assert found.objective == pytest.approx(least_cost(task, count), abs=1e-6)
    assert found.proven
    assert found.gap == 0.0
    assert found.lower_bound == pytest.approx(found.objective, abs=1e-6)
    assert grouping_cost(task, found.labels) == pytest.approx(found.objective)
    assert is_contiguous(task, found.labels)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(2, 4),
    merged=st.integers(0, 4),
    whole=st.booleans(),
    low=st.floats(0.5, 6.0),
    spread=st.floats(0.1, 5.0),
)
def test_random_maps_have_no_cheaper_grouping(seed, count, merged, whole, low, spread):
    task = town(np.random.default_rng(seed), 3, 3, low=low, high=low + spread, merged=merged, whole=whole)

    found = solve_exactly(task, count, seed=seed % 100)

    groups = min(count, len(task.weight))
    assert found.proven
    assert found.objective == pytest.approx(least_cost(task, groups), abs=1e-6)
    assert is_contiguous(task, found.labels)
    assert sorted(np.unique(found.labels)) == list(range(groups))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 6))
def test_the_proof_holds_against_many_annealings(seed, count):
    rng = np.random.default_rng(seed)
    task = town(rng, 5, 5, low=6.0, high=38 / count * 1.3 + 6, merged=5)

    found = solve_exactly(task, count, seconds=60.0)

    assert found.proven
    for other in range(5):
        labels, _ = group(task, count, seed=other, starts=1, moves_per_atom=200)
        if labels.max() + 1 == count:
            assert grouping_cost(task, labels) >= found.objective - 1e-6


def test_its_cost_is_the_one_the_annealing_minimises():
    task = town(np.random.default_rng(5), 6, 7, low=12.0, high=18.0)

    labels, cost = group(task, 4, seed=3, starts=2, moves_per_atom=400)

    assert grouping_cost(task, labels) == pytest.approx(cost, rel=1e-9)


def test_bounds_no_grouping_keeps_are_missed_by_least():
    task = replace(town(np.random.default_rng(7), 3, 3), weight=np.full(9, 2.0), low=20.0, high=21.0)

    found = solve_exactly(task, 3)

    assert found.proven
    assert found.objective == pytest.approx(least_cost(task, 3), abs=1e-6)


def test_load_is_spread_as_the_annealing_spreads_it():
    rng = np.random.default_rng(19)
    task = replace(town(rng, 3, 3), load=rng.uniform(0, 1, 9), load_cost=5.0)

    found = solve_exactly(task, 3)
    labels, cost = group(task, 3, seed=0, starts=1, moves_per_atom=200)

    assert found.objective == pytest.approx(least_cost(task, 3), abs=1e-6)
    assert grouping_cost(task, labels) == pytest.approx(cost, rel=1e-9)
    assert found.objective < grouping_cost(task, solve_exactly(replace(task, load=None), 3).labels) - 1e-6


def test_seeds_have_groups_of_their_own_and_keep_their_numbers():
    fixed = np.array([-1, 2, -1, -1, 0, -1, -1, -1, -1])
    free = town(np.random.default_rng(20), 3, 3)

    found = solve_exactly(replace(free, fixed=fixed), 3)

    assert found.proven
    assert found.labels[1] == 2
    assert found.labels[4] == 0
    assert found.objective == pytest.approx(least_cost(replace(free, fixed=fixed), 3), abs=1e-6)
    assert found.objective >= solve_exactly(free, 3).objective - 1e-6


def test_atoms_without_any_weight_are_grouped_too():
    task = replace(town(np.random.default_rng(8), 3, 3), weight=np.zeros(9))

    found = solve_exactly(task, 3)

    assert found.objective == pytest.approx(least_cost(task, 3), abs=1e-6)


def test_parts_across_a_gap_are_joined_by_their_link():
    pairs = Neighbours.of_pairs(
        4, np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([10.0, 0, 10]), np.array([5.0, 0, 5])
    )
    task = Task(pairs, np.ones(4), np.full(4, 100.0), np.full(4, 40.0), 1.0, 3.0)

    found = solve_exactly(task, 2)

    assert found.labels.tolist() == [0, 0, 1, 1]


def test_the_same_question_gets_the_same_answer():
    task = town(np.random.default_rng(11), 6, 6, low=10.0, high=16.0)

    first, second = solve_exactly(task, 4, seed=2), solve_exactly(task, 4, seed=2)

    assert first.labels.tolist() == second.labels.tolist()
    assert (first.objective, first.lower_bound, first.rounds) == (second.objective, second.lower_bound, second.rounds)


def test_groups_are_numbered_by_their_first_atoms():
    task = town(np.random.default_rng(12), 4, 5, low=8.0, high=12.0)

    labels = solve_exactly(task, 3).labels

    _, first = np.unique(labels, return_index=True)
    assert first.tolist() == sorted(first)


@pytest.mark.parametrize("seconds", [0.05, 0.3])
def test_out_of_time_the_answer_is_the_best_so_far_with_an_honest_gap(seconds):
    task = town(np.random.default_rng(13), 7, 7, low=12.0, high=18.0)
    hint, cost = group(task, 5, seed=0, starts=1, moves_per_atom=5)

    hurried = solve_exactly(task, 5, hint=hint, seconds=seconds)
    patient = solve_exactly(task, 5, hint=hint, seconds=120.0)

    assert patient.proven
    assert hurried.objective <= cost + 1e-9
    assert hurried.lower_bound <= patient.objective + 1e-6
    assert hurried.objective >= patient.objective - 1e-6
    if not hurried.proven:
        assert hurried.gap == pytest.approx(1 - hurried.lower_bound / hurried.objective)
        assert hurried.gap > 0


def test_without_time_nothing_is_claimed():
    task = town(np.random.default_rng(13), 6, 6, low=10.0, high=16.0)
    hint, cost = group(task, 4, seed=0, starts=1, moves_per_atom=5)

    found = solve_exactly(task, 4, hint=hint, seconds=0.0)

    assert not found.proven
    assert (found.lower_bound, found.gap) == (0.0, 1.0)
    assert found.objective == pytest.approx(cost)


def test_a_grouping_with_too_few_groups_is_completed():
    task = town(np.random.default_rng(14), 3, 4)

    found = solve_exactly(task, 3, hint=np.zeros(12, dtype=np.int64), seconds=0.0)

    assert sorted(np.unique(found.labels)) == [0, 1, 2]
    assert is_contiguous(task, found.labels)


@pytest.mark.parametrize(("count", "expected"), [(1, [0] * 6), (6, list(range(6))), (9, list(range(6)))])
def test_one_group_or_one_atom_each_needs_no_search(count, expected):
    task = town(np.random.default_rng(15), 2, 3)

    found = solve_exactly(task, count)

    assert found.labels.tolist() == expected
    assert found.proven
    assert found.objective == pytest.approx(grouping_cost(task, found.labels))


def islands(task):
    none = np.zeros(0, dtype=np.int64)
    return replace(task, neighbours=Neighbours.of_pairs(len(task.weight), none, none, np.zeros(0), np.zeros(0)))


def vast(task):
    size = MOST_ATOMS + 1
    first = np.arange(size - 1)
    line = Neighbours.of_pairs(size, first, first + 1, np.ones(size - 1), np.ones(size - 1))
    return Task(line, np.ones(size), np.ones(size), np.full(size, 4.0), 1.0, 2.0)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (islands, "6 parts that share no border"),
        (vast, f"at most {MOST_ATOMS} atoms; this community has {MOST_ATOMS + 1}"),
        (lambda task: replace(task, low=5.0, high=5.0), "between 5 and 5"),
        (lambda task: replace(task, weight=np.full(6, np.nan)), "must be finite"),
        (lambda task: replace(task, area_m2=np.zeros(6)), "no area"),
        (lambda task: replace(task, former=np.zeros(6, dtype=np.int64), keep_cost=1.0), "was in before"),
        (lambda task: replace(task, fixed=np.array([0, 2, -1, -1, -1, -1])), "fixed to group 2, but 2"),
    ],
)
def test_what_cannot_be_grouped_is_refused(spoil, said):
    task = spoil(town(np.random.default_rng(16), 2, 3))

    with pytest.raises(GridsvcError, match=said) as refused:
        solve_exactly(task, 2)

    assert refused.value.hint


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        ([0, 0, 1], "3 atoms, the task 6"),
        ([0, 1, 2, 0, 1, 2], "3 groups, more than the 2"),
        ([0, 1, 0, 1, 1, 1], "not contiguous"),
    ],
)
def test_a_hint_that_is_no_grouping_is_refused(hint, said):
    with pytest.raises(GridsvcError, match=said):
        solve_exactly(town(np.random.default_rng(17), 2, 3), 2, hint=np.array(hint))


def test_no_groups_are_refused():
    with pytest.raises(GridsvcError, match="into 0 groups"):
        solve_exactly(town(np.random.default_rng(17), 2, 3), 0)


@pytest.mark.slow
def test_a_community_gets_governance_grids_no_dearer_than_the_heuristic():
    rules = DivisionRules()
    atoms = make_atoms(towns.town(), rules, rules.border_strip_m)
    costs = []

    def noted(task, labels):
        costs.append(grouping_cost(task, labels))
        return labels

    plain = governance_grids(atoms, rules, seed=1, improve=noted)
    labels, found = exact_governance_grids(atoms, rules, seed=1, seconds=60.0)

    assert found.proven
    assert found.objective <= sum(costs) + 1e-9
    assert labels.tolist() == found.labels.tolist()
    assert labels.max() == plain.max() > 0
    held = np.bincount(labels, atoms.households)
    assert ((held >= rules.households_min) & (held <= rules.households_max)).all()


def test_a_community_with_too_many_atoms_is_refused_by_name_of_the_limit(monkeypatch):
    monkeypatch.setattr(exact_grouping, "MOST_ATOMS", 5)
    rules = DivisionRules()
    atoms = make_atoms(towns.town(), rules, rules.border_strip_m)

    with pytest.raises(GridsvcError, match="at most 5 atoms") as refused:
        exact_governance_grids(atoms, rules, seed=1, seconds=10.0)

    assert "without the exact grouping" in refused.value.hint
    assert refused.value.details["most_atoms"] == 5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), limit=st.floats(0.0, 3.0), whole=st.booleans())
def test_the_search_lists_every_group_within_its_limit(seed, limit, whole):
    rng = np.random.default_rng(seed)
    task = town(rng, 3, 3, low=4.0, high=8.0, whole=whole)
    costs, prices = GroupCosts(task, 2), rng.uniform(0, 1.5, 9)
    groups = (np.array(contiguous_groups(task)[:-1])[:, None] >> np.arange(9)) & 1 == 1
    cost = costs.of(groups) - groups @ prices
    search = GroupSearch(costs, (0.05, 0.1), 1000.0)

    least = search.set_prices(prices)
    found, found_cost, is_all = search.within(limit, most_groups=1000, most_steps=10**6)

    assert is_all
    assert least <= cost.min() + 1e-9
    assert {chosen.tobytes() for chosen in found} == {chosen.tobytes() for chosen in groups[cost <= limit]}
    assert np.allclose(found_cost, costs.of(found) - found @ prices if len(found) else [])


def test_a_search_that_ends_early_says_so():
    task = town(np.random.default_rng(18), 3, 3)
    search = GroupSearch(GroupCosts(task, 2), (0.1,), 1000.0)
    search.set_prices(np.full(9, 5.0))

    few, _, few_are_all = search.within(0.0, most_groups=3, most_steps=10**6)
    _, _, hurried_are_all = search.within(0.0, most_groups=1000, most_steps=5)

    assert len(few) == 3
    assert not few_are_all
    assert not hurried_are_all


def test_borders_too_entangled_are_refused():
    # everybody touches everybody: no order of visiting keeps few atoms open
    first, second = np.triu_indices(40, 1)
    lengths = np.ones(len(first))
    tangle = Neighbours.of_pairs(40, first, second, lengths, lengths)
    task = Task(tangle, np.ones(40), np.ones(40), np.full(40, 50.0), 5.0, 15.0)

    with pytest.raises(GridsvcError, match="too entangled"):
        solve_exactly(task, 4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 4), atoms=st.sampled_from([7, 70]))
def test_the_cheapest_choice_holds_every_atom_once(seed, count, atoms):
    rng = np.random.default_rng(seed)
    labels = [rng.permutation(np.append(np.arange(count), rng.integers(0, count, atoms - count))) for _ in range(6)]
    groups = np.unique(np.vstack([label == g for label in labels for g in range(count)]), axis=0)
    above = rng.uniform(0, 1, len(groups))
    key = {chosen.tobytes(): cost for chosen, cost in zip(groups, above, strict=True)}
    known = min(sum(key[(label == g).tobytes()] for g in range(count)) for label in labels)

    chosen, is_all = cheapest_choice(groups, above, count, 100.0, 10**7)
    none, none_is_all = cheapest_choice(groups, above, count, float(above[chosen].sum()), 10**7)

    assert is_all
    assert (groups[chosen].sum(axis=0) == 1).all()
    assert above[chosen].sum() <= known + 1e-9
    assert len(none) == 0
    assert none_is_all
