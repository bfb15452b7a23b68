from itertools import combinations

import networkx
import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import coo_array

from gridsvc.circle.exact_siting import exact_covering, exact_median, exact_share
from gridsvc.circle.greedy_siting import greedy_covering, greedy_median, greedy_share
from gridsvc.circle.siting import siting_task
from gridsvc.errors import ConflictError, RequestInvalidError
from tests.factories.siting_tasks import random_task, sets_of

seeds = pytest.mark.parametrize("seed", range(8))


def reached(task, site):
    own = slice(task.sets.first[site], task.sets.first[site + 1])
    return dict(zip(task.sets.residence[own].tolist(), task.sets.walk_s[own].tolist(), strict=True))


def served(task, sites):
    """People served by some sites and what stands already, each site up to its capacity, by a flow of its own."""
    by_itself = np.flatnonzero(task.served_s <= task.sets.limit_s)
    graph = networkx.DiGraph()
    graph.add_nodes_from(["from", "to"])
    for home in set(range(len(task.people))) - set(by_itself.tolist()):
        graph.add_edge(("home", home), "to", capacity=int(task.people[home]))
    for site in {*sites, *task.standing.tolist()}:
        room = {} if task.capacity is None else {"capacity": int(task.capacity[site])}
        graph.add_edge("from", ("site", site), **({"capacity": 10**6} | room))
        for home in reached(task, site):
            if home not in by_itself:
                graph.add_edge(("site", site), ("home", home), capacity=10**6)
    return task.people[by_itself].sum() + networkx.maximum_flow_value(graph, "from", "to")


def walked(task, sites, out_s=900.0):
    """Person-seconds to the nearest of some sites and what stands already."""
    nearest = np.minimum(task.served_s, out_s)
    for site in {*sites, *task.standing.tolist()}:
        for home, walk_s in reached(task, site).items():
            nearest[home] = min(nearest[home], walk_s)
    return nearest @ task.people


def walked_with_capacity(task, sites, out_s=900.0):
    """Person-seconds where sites have capacities: a transport problem, with a place that takes everybody."""
    sites = sorted({*sites, *task.standing.tolist()})
    homes = len(task.people)
    cost = np.repeat(np.minimum(task.served_s, out_s)[:, np.newaxis], len(sites) + 1, axis=1)
    for column, site in enumerate(sites):
        for home in range(homes):
            cost[home, column] = reached(task, site).get(home, 10**6)
    into, of_home = np.zeros((len(sites), cost.size)), np.zeros((homes, cost.size))
    for home in range(homes):
        of_home[home, home * (len(sites) + 1) : (home + 1) * (len(sites) + 1)] = 1
        for column in range(len(sites)):
            into[column, home * (len(sites) + 1) + column] = 1
    room = task.capacity[sites] if sites else None
    solved = linprog(
        cost.ravel(), A_ub=into if sites else None, b_ub=room, A_eq=of_home, b_eq=task.people, method="highs"
    )
    return solved.fun


def choices(task, number):
    free = [site for site in range(len(task.sets)) if site not in task.standing]
    return list(combinations(free, number))


@seeds
@pytest.mark.parametrize(("capacity", "standing"), [(False, 0), (False, 2), (True, 0), (True, 2)])
def test_covering_equals_trying_all_choices(seed, capacity, standing):
    task = random_task(seed, with_capacity=capacity, standing=standing)
    best = max(served(task, choice) for choice in choices(task, 3))

    exact, greedy = exact_covering(task, 3), greedy_covering(task, 3)

    assert exact.is_proven
    assert exact.after == exact.value == exact.bound == best == served(task, exact.sites.tolist())
    assert greedy.after == served(task, greedy.sites.tolist()) <= best <= greedy.bound
    assert greedy.before == exact.before == served(task, [])
    assert greedy.after - greedy.before >= (1 - (2 / 3) ** 3) * (best - greedy.before) - 1e-9
    for number in range(len(greedy.sites)):
        part = served(task, greedy.sites[: number + 1].tolist()) - served(task, greedy.sites[:number].tolist())
        assert greedy.gain[number] == part > 0


@seeds
@pytest.mark.parametrize("capacity", [False, True])
def test_share_takes_the_fewest_sites(seed, capacity):
    task = random_task(seed, with_capacity=capacity, standing=1)
    free = len(task.sets) - 1
    most = served(task, range(len(task.sets)))
    share = 0.9 * most / task.people.sum()
    fewest = min(
        number
        for number in range(free + 1)
        for choice in choices(task, number)
        if served(task, choice) >= share * task.people.sum()
    )

    exact, greedy = exact_share(task, share), greedy_share(task, share)

    assert exact.is_proven
    assert len(exact.sites) == exact.value == exact.bound == fewest
    assert greedy.bound <= fewest <= greedy.value == len(greedy.sites)
    for answer in (exact, greedy):
        assert answer.after == served(task, answer.sites.tolist()) >= share * task.people.sum() - 1e-6


@seeds
@pytest.mark.parametrize("standing", [0, 2])
def test_median_walks_the_least(seed, standing):
    task = random_task(seed, standing=standing)
    least = min(walked(task, choice) for choice in choices(task, 3))

    exact, greedy = exact_median(task, 3), greedy_median(task, 3)

    assert exact.is_proven
    assert exact.value == pytest.approx(least)
    assert exact.value == walked(task, exact.sites.tolist())
    assert exact.before == greedy.before == walked(task, [])
    assert greedy.bound <= least + 1e-6
    assert greedy.value == walked(task, greedy.sites.tolist()) >= least


@pytest.mark.parametrize("seed", range(5))
def test_median_with_capacities_sends_people_where_the_sum_is_least(seed):
    task = random_task(seed, candidates=6, with_capacity=True, standing=1)
    least = min(walked_with_capacity(task, choice) for choice in choices(task, 2))

    exact = exact_median(task, 2)

    assert exact.is_proven
    assert exact.value == pytest.approx(least) == walked_with_capacity(task, exact.sites.tolist())
    assert exact.before == pytest.approx(walked_with_capacity(task, []))


def most_by_one_model(task, brings, number):
    """The most that so many sites bring, by one model with a variable for each pair of site and residence."""
    site, home, pairs, sites = task.sets.candidate, task.sets.residence, len(brings), len(task.sets)
    column, one = sites + np.arange(pairs), np.ones(pairs)
    once = coo_array((one, (home, column)), shape=(task.sets.residences, sites + pairs))
    open_ = coo_array(
        (np.concatenate((one, -one)), (np.tile(np.arange(pairs), 2), np.concatenate((column, site)))),
        shape=(pairs, sites + pairs),
    )
    few = np.concatenate((np.ones(sites), np.zeros(pairs)))[np.newaxis, :]
    solved = milp(
        np.concatenate((np.zeros(sites), -brings)),
        integrality=few[0],
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(once.tocsr(), -np.inf, 1),
            LinearConstraint(open_.tocsr(), -np.inf, 0),
            LinearConstraint(few, -np.inf, number),
        ],
        options={"mip_rel_gap": 0.0},
    )
    return -solved.fun


@pytest.mark.parametrize("whole", [True, False], ids=["whole people", "parts of people"])
@pytest.mark.parametrize("seed", range(5))
def test_best_of_many_equals_one_large_model(seed, whole):
    rng = np.random.default_rng(seed)
    places, homes = rng.uniform(0, 4000, (30, 2)), rng.uniform(0, 4000, (70, 2))
    walk_s = np.abs(places[:, np.newaxis] - homes).sum(axis=2)
    rows = [{home: t for home, t in enumerate(row) if t <= 900.0} for row in (np.round(walk_s) if whole else walk_s)]
    people = rng.integers(1, 90, 70) * (1.0 if whole else 0.37)
    task = siting_task(sets_of(rows, 70), people)

    covering, median = exact_covering(task, 6), exact_median(task, 6)

    most = most_by_one_model(task, task.people[task.sets.residence], 6)
    saved = most_by_one_model(task, task.people[task.sets.residence] * (900.0 - task.sets.walk_s), 6)
    assert covering.is_proven and median.is_proven
    assert covering.after == pytest.approx(most, rel=1e-6)
    assert covering.bound >= most * (1 - 1e-6)
    assert median.before - median.after == pytest.approx(saved, rel=1e-6)
    assert median.bound <= (median.before - saved) * (1 + 1e-6)
    share = exact_share(task, covering.after / people.sum())
    assert share.is_proven
    assert len(share.sites) <= 6
    assert exact_covering(task, len(share.sites) - 1).after < covering.after


def test_of_equal_candidates_the_lowest_number_is_chosen():
    task = siting_task(sets_of([{1: 5.0}, {0: 9.0}, {0: 9.0}, {1: 5.0}], 2), [10, 10])

    assert greedy_covering(task, 1).sites.tolist() == exact_covering(task, 1).sites.tolist() == [0]
    assert greedy_median(task, 2).sites.tolist() == exact_median(task, 2).sites.tolist() == [0, 1]
    assert greedy_share(task, 1.0).sites.tolist() == exact_share(task, 1.0).sites.tolist() == [0, 1]


def test_sites_that_bring_nobody_are_left_out():
    task = siting_task(sets_of([{0: 0.0}, {0: 0.0}, {}], 2), [5, 3], served_s=[np.inf, 900.0])

    assert greedy_covering(task, 3).sites.tolist() == exact_covering(task, 3).sites.tolist() == [0]
    assert (greedy_covering(task, 3).before, exact_covering(task, 3).after) == (3.0, 8.0)


def test_nobody_to_serve_needs_no_site():
    task = siting_task(sets_of([{0: 0.0}], 1), [0])

    for answer in (greedy_covering(task, 1), exact_covering(task, 1), exact_median(task, 1), exact_share(task, 1.0)):
        assert len(answer.sites) == 0
        assert answer.is_proven


def test_a_new_site_relieves_a_full_one():
    # site 0 stands and is full with residence 0; site 1 reaches only residence 0, which frees room at site 0 for residence 1
    sets = sets_of([{0: 0.0, 1: 0.0}, {0: 0.0}], 2)
    task = siting_task(sets, [10, 10], standing=[0], capacity=[10, 10])

    answer = greedy_covering(task, 1)

    assert (answer.before, answer.sites.tolist(), answer.gain.tolist()) == (10.0, [1], [10.0])


def test_solver_without_time_gives_the_greedy_choice_with_its_bound():
    task = random_task(3, candidates=30, residences=60)

    answer = exact_covering(task, 6, time_limit_s=1e-9)

    assert answer.after >= greedy_covering(task, 6).after
    assert answer.after <= answer.bound <= greedy_covering(task, 6).bound


def test_share_out_of_reach_says_what_can_be_reached():
    task = siting_task(sets_of([{0: 0.0}], 2), [1, 3])

    for method in (greedy_share, exact_share):
        with pytest.raises(ConflictError, match=r"cover 25.00% of the people.*smaller share"):
            method(task, 0.5)


SETS = sets_of([{0: 0.0}, {1: 5.0}], 2)
TASK = siting_task(SETS, [1, 2])


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda: siting_task(SETS, [1]), "People of shape"),
        (lambda: siting_task(SETS, [1, -2]), "people at number 1"),
        (lambda: siting_task(SETS, [1, np.nan]), "people at number 1"),
        (lambda: siting_task(SETS, [1, 2], served_s=[0, -1]), "times at number 1"),
        (lambda: siting_task(SETS, [1, 2], served_s=[0, np.nan]), "times at number 1"),
        (lambda: siting_task(SETS, [1, 2], capacity=[1]), "Capacities of shape"),
        (lambda: siting_task(SETS, [1, 2], capacity=[1, np.inf]), "capacities at number 1"),
        (lambda: siting_task(SETS, [1, 2], standing=[2]), "no candidate 2"),
        (lambda: greedy_covering(TASK, 0), "0 sites"),
        (lambda: exact_covering(siting_task(SETS, [1, 2], standing=[0, 1]), 1), "no candidate to choose"),
        (lambda: exact_covering(TASK, 1, time_limit_s=0), "time limit"),
        (lambda: exact_covering(TASK, 1, gap=1.5), "gap"),
        (lambda: greedy_share(TASK, 0.0), "share"),
        (lambda: exact_share(TASK, 1.1), "share"),
        (lambda: greedy_median(TASK, 1, out_of_reach_s=100.0), "out of reach"),
        (lambda: greedy_median(siting_task(SETS, [1, 2], capacity=[1, 1]), 1), "capacities"),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(ask, what):
    with pytest.raises(RequestInvalidError, match=what):
        ask()


def test_the_worst_case_of_greedy_has_the_bound_it_is_known_for():
    # the first two lure: 8 and then 4 of 16, where the others together have all 16 (Nemhauser, Wolsey, Fisher: 3/4 for two sites)
    halves = [set(range(8)), set(range(8, 16))]
    rows = [{0, 1, 2, 3, 8, 9, 10, 11}, {4, 5, 12, 13}, *halves]
    task = siting_task(sets_of([dict.fromkeys(row, 100.0) for row in rows], 16), np.ones(16))

    greedy = greedy_covering(task, 2)

    assert (greedy.sites.tolist(), greedy.after, greedy.bound) == ([0, 1], 12.0, 16.0)
    assert exact_covering(task, 2).after == 16.0


def test_sites_that_share_nobody_are_all_needed_and_known_to_be():
    task = siting_task(sets_of([{0: 10.0}, {1: 10.0}, {2: 10.0}], 3), [5, 5, 5])

    few = greedy_share(task, 1.0)

    assert (few.value, few.bound, few.is_proven) == (3.0, 3.0, True)


def test_a_share_that_is_there_already_needs_no_site():
    task = siting_task(sets_of([{0: 10.0, 1: 10.0}], 2), [50, 50], served_s=[60.0, np.inf])

    for few in (greedy_share(task, 0.5), exact_share(task, 0.5)):
        assert (len(few.sites), few.before, few.after, few.value) == (0, 50.0, 50.0, 0.0)


@seeds
def test_a_choice_stopped_at_a_gap_still_bounds_the_best(seed):
    task = random_task(seed + 50, candidates=9, residences=14)

    near, most = exact_median(task, 3, gap=0.6), exact_covering(task, 3, gap=0.6)

    assert near.bound <= min(walked(task, sites) for sites in choices(task, 3)) + 1e-6
    assert most.bound >= max(served(task, sites) for sites in choices(task, 3)) - 1e-6
