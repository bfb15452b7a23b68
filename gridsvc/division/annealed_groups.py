"""Groups that cost less than the prices of their atoms, found by annealing: quickly and without promise."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.communities import Floats
from gridsvc.division.group_costs import GroupCosts, Groups, GroupSums, TaskArrays, cost_of_sums, sums_of
from gridsvc.division.grouping import _leaves_whole


@njit(cache=True)
def _annealed_group(
    chosen: NDArray, task: TaskArrays, prices: NDArray, most_atoms: int, hot: float, moves: int, seed: int
) -> float:
    """Improve a contiguous group (1 in, 0 out) in place by taking and leaving atoms; return its cost less its prices."""
    start, ids, shared, off_line, weight, area, perimeter, load, fixed, terms = task
    size = len(chosen)
    sums = sums_of(chosen, task)
    atoms, price = 0, 0.0
    for i in range(size):
        if chosen[i] == 1:
            atoms += 1
            price += prices[i]
    cost = cost_of_sums(sums, terms) - price
    best, best_cost = chosen.copy(), cost
    seen = np.zeros(size, dtype=np.int64)
    stack = np.zeros(size, dtype=np.int64)
    state = np.uint64(seed * 2654435761 + 88172645463325252)
    temperature = hot
    cooling = 0.002 ** (1.0 / max(moves, 1))
    for move in range(moves):
        temperature *= cooling
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        i = int(np.int64(state % np.uint64(size)))
        is_in = chosen[i] == 1
        if fixed[i] >= 0 or (is_in and atoms == 1) or (not is_in and atoms == most_atoms):
            continue
        touching, touched, to_line = 0, 0.0, 0.0
        for e in range(start[i], start[i + 1]):
            if chosen[ids[e]] == 1:
                touching += 1
                touched += shared[e]
                to_line -= 0.5 * off_line[e]
            else:
                to_line += 0.5 * off_line[e]
        if touching == 0:
            continue
        sign = -1.0 if is_in else 1.0
        new_sums = GroupSums(
            sums.weight + sign * weight[i],
            sums.area + sign * area[i],
            sums.perimeter + sign * (perimeter[i] - 2 * touched),
            sums.border + sign * to_line,
            sums.load + sign * load[i],
        )
        new_price = price + sign * prices[i]
        new_cost = cost_of_sums(new_sums, terms) - new_price
        chance = np.float64((state >> np.uint64(40)) % np.uint64(1 << 20)) / (1 << 20)
        if new_cost > cost and chance >= np.exp((cost - new_cost) / temperature):
            continue
        if is_in and not _leaves_whole(i, chosen, start, ids, seen, move + 1, stack):
            continue
        chosen[i] = 1 - chosen[i]
        atoms += -1 if is_in else 1
        sums, price, cost = new_sums, new_price, new_cost
        if cost < best_cost - 1e-9:
            best_cost = cost
            best[:] = chosen
    chosen[:] = best
    return best_cost


def annealed_groups(
    costs: GroupCosts, begun: Groups, prices: Floats, limit: float, *, hot: float, moves: int, seed: int
) -> Groups:
    """Return contiguous groups that cost less than ``limit`` above the prices of their atoms, annealed from those begun.

    Fast and without promise: that none is found does not say that there is none.
    """
    found = []
    arrays = costs.arrays()
    most_atoms = len(prices) - costs.count + 1
    for start, chosen in enumerate(begun):
        group = chosen.astype(np.int64)
        if _annealed_group(group, arrays, prices, most_atoms, hot, moves, seed * 7919 + start + 1) < limit:
            found.append(group == 1)
    return np.array(found, dtype=bool).reshape(-1, len(prices))
