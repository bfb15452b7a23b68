from itertools import product

import numpy as np
import pytest

from gridsvc.circle.site_bounds import price_sites
from gridsvc.circle.site_swaps import swap_sites


def random_sites(seed, sites=12, homes=25):
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((sites, homes)) < 0.4, rng.integers(1, 60, (sites, homes)), 0).astype(float)
    site, home = np.nonzero(table)
    return table, np.searchsorted(site, np.arange(sites + 1)), home.astype(np.int32), table[site, home]


def value(table, chosen):
    return table[list(chosen)].max(axis=0).sum()


@pytest.mark.parametrize("seed", range(6))
def test_no_single_swap_makes_a_swapped_choice_better(seed):
    table, first, home, brings = random_sites(seed)
    start = np.array([0, 1, 2, 3])

    chosen, reached = swap_sites(first, home, brings, 25, start)

    assert reached == value(table, chosen) >= value(table, start)
    for place, site in product(range(4), range(12)):
        other = chosen.tolist()
        other[place] = site
        assert value(table, other) <= reached
    assert start.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("beat_share", [0.0, 0.97, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_prices_rule_out_only_sites_that_no_better_choice_holds(seed, beat_share):
    table, first, home, brings = random_sites(seed)
    every = [choice for choice in product(range(12), repeat=3) if len(set(choice)) == 3]
    most = max(value(table, choice) for choice in every)
    beat = np.floor(beat_share * most)

    priced = price_sites(first, home, brings, 25, 3, np.array([0, 1, 2]), beat, True)

    assert priced.value == value(table, priced.sites) <= most
    known = max(priced.value, beat)
    better = [choice for choice in every if value(table, choice) > known]
    assert all(value(table, choice) <= priced.bound + 1e-6 for choice in better)
    assert all(priced.may[list(choice)].all() for choice in better)
    assert all(set(np.flatnonzero(priced.must)) <= set(choice) for choice in better)
