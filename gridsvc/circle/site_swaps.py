"""A choice of sites made better by swaps: one site out, one in, as long as that brings more (Teitz and Bart 1968)."""

from __future__ import annotations

import numpy as np
from numba import njit

from gridsvc.circle.walk_network import Floats, Ints, Numbers

_ROUNDING = 1e-9


@njit(cache=True, nogil=True)
def swap_sites(first: Ints, residence: Numbers, brings: Floats, homes: int, chosen: Ints) -> tuple[Ints, float]:
    """Return sites that no single swap makes better, and what they bring; of equal swaps the one with the lowest numbers.

    ``brings`` is what each residence brings a site that serves it, as entries by site. Each round looks at all swaps at once
    (Whitaker 1983): one pass over the entries, and sites times chosen ones.
    """
    sites, own = len(first) - 1, chosen.copy()
    best, second, owner = np.empty(homes), np.empty(homes), np.empty(homes, np.int64)
    loss, less = np.empty(len(own)), np.empty(len(own))
    is_chosen = np.zeros(sites, np.bool_)
    is_chosen[own] = True
    while True:
        value = _serve(first, residence, brings, own, best, second, owner)
        loss[:] = 0.0
        for home in range(homes):
            if owner[home] >= 0:
                loss[owner[home]] += best[home] - second[home]
        most, comes, goes = _ROUNDING * value, -1, -1
        for site in range(sites):
            if is_chosen[site]:
                continue
            more = 0.0
            less[:] = loss
            for e in range(first[site], first[site + 1]):
                home = residence[e]
                more += max(0.0, brings[e] - best[home])
                if owner[home] >= 0:
                    less[owner[home]] -= max(0.0, min(brings[e], best[home]) - second[home])
            for place in range(len(own)):
                if more - less[place] > most:
                    most, comes, goes = more - less[place], site, place
        if comes < 0:
            return own, value
        is_chosen[own[goes]], is_chosen[comes] = False, True
        own[goes] = comes


@njit(cache=True, nogil=True)
def _serve(
    first: Ints, residence: Numbers, brings: Floats, own: Ints, best: Floats, second: Floats, owner: Ints
) -> float:
    """Find what each residence brings with its best and its second site, and which of the chosen is the best; return the sum."""
    best[:], second[:], owner[:] = 0.0, 0.0, -1
    for place in range(len(own)):
        for e in range(first[own[place]], first[own[place] + 1]):
            home = residence[e]
            if brings[e] > best[home]:
                second[home], best[home], owner[home] = best[home], brings[e], place
            elif brings[e] > second[home]:
                second[home] = brings[e]
    return best.sum()
