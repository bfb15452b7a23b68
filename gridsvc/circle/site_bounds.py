"""Bounds by prices: what no choice of k sites can bring more of, and which sites no better choice holds.

Lagrangian relaxation of "each residence is served once": a residence charges a price for being served, a site is worth what its
residences bring above their prices, and all prices and the k sites of most worth bound every choice. Subgradient steps look
for prices with a low bound (Cornuejols, Fisher, Nemhauser 1977). A site that even with the best k - 1 others stays below what is known
already can be left out; one without which every choice stays below it must be in. What is left for the solver is small.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from gridsvc.circle.walk_network import Flags, Floats, Ints, Numbers

_ROUNDS = 1200
_PATIENCE = 15  # rounds without a lower bound before steps are halved
_SMALLEST_STEP = 1e-3
_ROUNDING = 1e-7  # below the tolerance of the solver


@dataclass(frozen=True, eq=False, slots=True)
class PricedSites:
    """What prices tell of choices of k sites.

    ``sites`` is a choice that brings ``value``. Every choice that brings more than known (at least ``value``) is within ``bound``,
    among ``may``, and holds all that ``must``.
    """

    sites: Ints
    value: float
    bound: float
    may: Flags
    must: Flags


def price_sites(
    first: Ints, residence: Numbers, brings: Floats, homes: int, sites: int, chosen: Ints, beat: float, is_whole: bool
) -> PricedSites:
    """Return a bound for choices of so many sites, better ones than known if met, and the sites that are out of the question.

    Parameters
    ----------
    first, residence, brings
        What each residence brings a site that serves it, as entries by site.
    homes
        Number of residences.
    sites
        Number of sites of a choice.
    chosen
        A choice to begin with.
    beat
        Choices that bring no more than this do not matter.
    is_whole
        Whether every choice brings a whole number, so that a better one is better by 1 at least.
    """
    best = np.zeros(homes)
    for site in chosen.tolist():
        own = slice(first[site], first[site + 1])
        np.maximum.at(best, residence[own], brings[own])
    return PricedSites(*_priced(first, residence, brings, 0.5 * best, sites, chosen, float(best.sum()), beat, is_whole))


@njit(cache=True, nogil=True)
def _value(first: Ints, residence: Numbers, brings: Floats, some: Ints, best: Floats) -> float:
    """Return what some sites bring together; ``best`` is all zero before and after."""
    value = 0.0
    for site in some:
        for e in range(first[site], first[site + 1]):
            if brings[e] > best[residence[e]]:
                value += brings[e] - best[residence[e]]
                best[residence[e]] = brings[e]
    for site in some:
        for e in range(first[site], first[site + 1]):
            best[residence[e]] = 0.0
    return value


@njit(cache=True, nogil=True)
def _priced(
    first: Ints,
    residence: Numbers,
    brings: Floats,
    price: Floats,
    most: int,
    chosen: Ints,
    value: float,
    beat: float,
    is_whole: bool,
) -> tuple[Ints, float, float, Flags, Flags]:
    sites = len(first) - 1
    may, must = np.ones(sites, np.bool_), np.zeros(sites, np.bool_)
    worth, served, room = np.empty(sites), np.empty(len(price), np.int64), np.zeros(len(price))
    lowest, step, patience = np.inf, 1.0, 0
    best_price = price.copy()
    for _ in range(_ROUNDS):
        for site in range(sites):
            worth[site] = 0.0
            for e in range(first[site], first[site + 1]):
                if may[site] and brings[e] > price[residence[e]]:
                    worth[site] += brings[e] - price[residence[e]]
        order = np.argsort(-worth, kind="mergesort")
        taken = order[:most]
        bound = price.sum() + worth[taken].sum()
        reached = _value(first, residence, brings, taken, room)
        if reached > value:
            value, chosen = reached, taken.copy()
        # what is better by rounding only is no better
        known = max(value, beat)
        enough = known + (0.999 if is_whole else _ROUNDING * known)
        last_in = worth[taken[-1]] if len(taken) == most else 0.0
        next_out = worth[order[most]] if sites > most else 0.0
        for rank in range(sites):
            site = order[rank]
            if rank < most:
                must[site] |= bound - worth[site] + next_out <= enough
            elif bound - last_in + worth[site] <= enough:
                may[site] = False
        patience += 1
        if bound < lowest:
            # patience only for bounds that get lower by more than a trifle
            patience = 0 if bound < lowest * (1.0 - 1e-6) else patience
            lowest = bound
            best_price[:] = price
        if lowest <= enough:
            break
        if patience >= _PATIENCE:
            step, patience = 0.5 * step, 0
            price[:] = best_price
            if step < _SMALLEST_STEP:
                break
            continue
        served[:] = 0
        for site in taken:
            for e in range(first[site], first[site + 1]):
                if brings[e] > price[residence[e]]:
                    served[residence[e]] += 1
        length = 0.0
        for home in range(len(price)):
            if price[home] > 0.0 or served[home] > 1:
                length += (1.0 - served[home]) ** 2
        if length == 0.0:
            break
        change = step * max(bound - known, 1e-6 * bound) / length
        for home in range(len(price)):
            price[home] = max(0.0, price[home] - change * (1.0 - served[home]))
    return chosen, value, lowest, may, must
