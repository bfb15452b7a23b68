"""The cheapest choice of groups that hold every atom exactly once, from a list of them."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Integers
from gridsvc.division.group_costs import Groups


@njit(cache=True)
def _search_choices(
    masks: NDArray,
    above: NDArray,
    key: NDArray,
    by_key: NDArray,
    list_start: NDArray,
    listed: NDArray,
    order: NDArray,
    all_key: int,
    all_mask: NDArray,
    count: int,
    budget: float,
    most_steps: int,
    best: NDArray,
) -> tuple[float, bool]:
    """Choose ``count`` groups that hold every atom once, cheapest in all; return what they cost, and whether none was overlooked."""
    words = masks.shape[1]
    covered = np.zeros((count, words), dtype=np.uint64)
    spent = np.zeros(count)
    hashed = np.zeros(count, dtype=np.int64)
    at = np.zeros(count, dtype=np.int64)
    end = np.zeros(count, dtype=np.int64)
    picked = np.zeros(count, dtype=np.int64)
    depth, steps = 0, 0
    at[0], end[0] = list_start[order[0]], list_start[order[0] + 1]
    while depth >= 0:
        if at[depth] == end[depth]:
            depth -= 1
            continue
        group = listed[at[depth]]
        at[depth] += 1
        cost = spent[depth] + above[group]
        if cost >= budget:
            # the list is ordered by cost
            depth -= 1
            continue
        steps += 1
        if steps > most_steps:
            return budget, False
        overlaps = False
        for word in range(words):
            if masks[group, word] & covered[depth, word]:
                overlaps = True
                break
        if overlaps:
            continue
        picked[depth] = group
        if depth == count - 2:
            # the last group must be all that is left
            wanted = all_key ^ hashed[depth] ^ key[group]
            low, high = 0, len(by_key)
            while low < high:
                middle = (low + high) // 2
                if key[by_key[middle]] < wanted:
                    low = middle + 1
                else:
                    high = middle
            while low < len(by_key) and key[by_key[low]] == wanted:
                last = by_key[low]
                fits = cost + above[last] < budget
                for word in range(words):
                    both = covered[depth, word] | masks[group, word]
                    if both & masks[last, word] or (both | masks[last, word]) != all_mask[word]:
                        fits = False
                if fits:
                    budget = cost + above[last]
                    best[: count - 1] = picked[: count - 1]
                    best[count - 1] = last
                low += 1
            continue
        depth += 1
        for word in range(words):
            covered[depth, word] = covered[depth - 1, word] | masks[group, word]
        hashed[depth] = hashed[depth - 1] ^ key[group]
        spent[depth] = cost
        at[depth] = end[depth] = 0
        for atom in order:
            if not (covered[depth, atom >> 6] >> np.uint64(atom & 63)) & np.uint64(1):
                at[depth], end[depth] = list_start[atom], list_start[atom + 1]
                break
    return budget, True


def _bit_masks(groups: Groups) -> NDArray[np.uint64]:
    """Return the atoms of each group as bits, 64 to a word."""
    bits = np.zeros((len(groups), -(-groups.shape[1] // 64) * 64), dtype=bool)
    bits[:, : groups.shape[1]] = groups
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


def cheapest_choice(groups: Groups, above: Floats, count: int, budget: float, most_steps: int) -> tuple[Integers, bool]:
    """Return the ``count`` groups that hold every atom exactly once at the least total cost, and whether none was overlooked.

    Parameters
    ----------
    groups
        Shape: (groups, atoms), no two alike.
    above
        Cost of each, not below zero.
    count
        At least 2.
    budget
        Only choices cheaper than this are sought.
    most_steps
        Groups tried at most (about 30 million a second).

    Returns
    -------
    chosen
        Positions in ``groups``; empty where there is no choice cheaper than the budget.
    """
    size = groups.shape[1]
    by_cost = np.argsort(above, kind="stable")
    atom, place = np.nonzero(groups[by_cost].T)
    list_start = np.searchsorted(atom, np.arange(size + 1))
    # atoms few groups hold come first: they leave the fewest choices
    order = np.argsort(np.diff(list_start), kind="stable")
    masks, all_mask = _bit_masks(groups), _bit_masks(np.ones((1, size), dtype=bool))[0]
    marks = np.asarray(np.random.default_rng(0).integers(1, 2**62, size))
    key = np.array([np.bitwise_xor.reduce(marks[chosen]) for chosen in groups], dtype=np.int64)
    best = np.full(count, -1, dtype=np.int64)
    _, is_all = _search_choices(
        masks,
        above,
        key,
        np.argsort(key, kind="stable"),
        list_start,
        by_cost[place],
        order,
        int(np.bitwise_xor.reduce(marks)),
        all_mask,
        count,
        budget,
        most_steps,
        best,
    )
    return best[best >= 0], is_all
