"""Atoms are grouped into contiguous groups within bounds: METIS to start, then annealing of the borders.

The cost of a grouping is what its groups miss the bounds by, the border that follows no line, the roundness lost, the spread of
their load, and the households that leave the group they were in before. The same kernel makes governance grids (households)
and unit grids (area).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pymetis
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.borders import Neighbours, components_within
from gridsvc.division.communities import Floats, Integers

# cost of one group wholly off its bounds, against which the others are weighed
_BAND = 12.0
# a community of 50 km2 has thousands of atoms; more moves than this no longer pay for the wait
_MOST_MOVES = 300_000


@dataclass(frozen=True, slots=True)
class Task:
    """Atoms to be grouped, the bounds of a group's weight, and what else is wanted of a grouping.

    Parameters
    ----------
    neighbours
        Connected.
    weight
        What the bounds are about: households, or area.
    off_line_cost, shape_cost
        Cost of one group side (square root of its area) of border that follows no line; of one unit of 1 / Polsby-Popper.
    load, load_cost
        Work that should be spread evenly, and the cost of its squared relative spread. None: no such wish.
    fixed
        Group that an atom belongs to whatever happens, -1 for a free one. None: all are free.
    former, keep_cost
        Group that an atom was in before, -1 for none; group numbers mean the same grids as in the answer. Cost of all the weight
        changing its group. None: nothing was there before.
    """

    neighbours: Neighbours
    weight: Floats
    area_m2: Floats
    perimeter_m: Floats
    low: float
    high: float
    off_line_cost: float = 1.0
    shape_cost: float = 0.5
    load: Floats | None = None
    load_cost: float = 0.0
    fixed: Integers | None = None
    former: Integers | None = None
    keep_cost: float = 0.0


def group(task: Task, count: int, *, seed: int, starts: int, moves_per_atom: int) -> tuple[Integers, float]:
    """Return the best grouping found into ``count`` contiguous groups, and its cost.

    Parameters
    ----------
    task
        Its neighbours must be connected.
    count
        Number of groups wanted; fewer come out when there are fewer atoms.
    starts
        Number of starts annealed, each with its own seed; the cheapest wins. Where groups were there before, they are one more start.

    Returns
    -------
    labels
        Group of each atom, 0 to groups - 1, none empty.
    """
    size = len(task.weight)
    if count <= 1:
        return np.zeros(size, dtype=np.int64), 0.0
    if count >= size:
        return np.arange(size, dtype=np.int64), 0.0
    best, best_cost = None, np.inf
    for start, labels in enumerate(_starts(task, count, seed, starts)):
        groups = int(labels.max()) + 1
        moves = min(moves_per_atom * size, _MOST_MOVES)
        cost = _annealed(task, labels, groups, moves, seed * 7919 + start + 1)
        # a grouping with fewer groups than asked for is only a way out
        cost += 100.0 * (count - groups)
        if cost < best_cost:
            best, best_cost = labels, cost
    assert best is not None
    return best, best_cost


def _starts(task: Task, count: int, seed: int, starts: int) -> list[Integers]:
    """Return contiguous groupings to anneal from, every group non-empty and every fixed atom in its group."""
    if task.fixed is not None and (task.fixed >= 0).any():
        return [_grown_start(task, count, seed + start, task.fixed) for start in range(starts)]
    found = []
    # METIS complains on standard output where it must bisect a handful of atoms; such starts are grown instead
    make = metis_start if len(task.weight) >= _METIS_ATOMS_PER_GROUP * count else _grown_start
    for start in range(starts):
        labels = make(task, count, seed + start)
        found.append(labels if task.former is None else _named_after(labels, count, task.former, task.weight))
    if task.former is not None:
        found.append(_grown_start(task, count, seed, _still_whole(task, count)))
    return found


_METIS_ATOMS_PER_GROUP = 10


def _annealed(task: Task, labels: Integers, groups: int, moves: int, seed: int) -> float:
    size = len(labels)
    none = np.full(size, -1, dtype=np.int64)
    return _anneal(
        labels,
        groups,
        task.neighbours.start,
        task.neighbours.ids,
        task.neighbours.shared_m,
        task.neighbours.off_line_m,
        task.weight,
        task.area_m2,
        task.perimeter_m,
        task.low,
        task.high,
        task.off_line_cost / float(np.sqrt(task.area_m2.sum() / groups)),
        task.shape_cost,
        np.zeros(size) if task.load is None else task.load,
        0.0 if task.load is None or task.load.sum() == 0 else task.load_cost,
        none if task.fixed is None else task.fixed,
        none if task.former is None else task.former,
        0.0 if task.former is None else task.keep_cost / max(float(task.weight.sum()), 1e-9),
        moves,
        seed,
    )


def _still_whole(task: Task, count: int) -> Integers:
    """Return the former group of each atom where it can be grown on from, else -1.

    Kept are the largest connected part of each of the first ``count`` groups; where there are more groups now than before, the
    heaviest are given up, to become several.
    """
    assert task.former is not None
    kept = np.where(task.former < count, task.former, -1)
    part = components_within(task.neighbours.start, task.neighbours.ids, kept)
    weight = np.bincount(part, task.weight + 1e-9)
    group_of_part = np.zeros(len(weight), dtype=np.int64)
    group_of_part[part] = kept
    order = np.lexsort((-weight, group_of_part))
    main = order[np.append(True, group_of_part[order][1:] != group_of_part[order][:-1])]
    kept = np.where(np.isin(part, main), kept, -1)
    held = np.bincount(kept[kept >= 0], task.weight[kept >= 0], count)
    missing = int((np.bincount(kept[kept >= 0], minlength=count) == 0).sum())
    given_up = np.argsort(-held, kind="stable")[:missing]
    return np.where(np.isin(kept, given_up), -1, kept)


def _named_after(labels: Integers, count: int, former: Integers, weight: Floats) -> Integers:
    """Return the labels renumbered so that groups keep the numbers of the former groups they share most weight with."""
    groups = int(labels.max()) + 1
    shared = np.zeros((groups, count))
    known = (former >= 0) & (former < count)
    np.add.at(shared, (labels[known], former[known]), weight[known] + 1e-9)
    number = np.full(groups, -1, dtype=np.int64)
    taken = np.zeros(count, dtype=bool)
    for place in np.argsort(-shared, axis=None, kind="stable"):
        i, j = divmod(int(place), count)
        if number[i] < 0 and not taken[j] and shared[i, j] > 0:
            number[i], taken[j] = j, True
    number[number < 0] = np.flatnonzero(~taken)[: int((number < 0).sum())]
    return number[labels] if groups == count else labels


def _grown_start(task: Task, count: int, seed: int, begun: Integers | None = None) -> Integers:
    """Return groups grown from seeds far apart, or on from those begun already (-1: not yet in a group)."""
    neighbours = task.neighbours
    share = task.area_m2 / task.area_m2.sum()
    weight = task.weight / max(float(task.weight.sum()), 1e-9) + 0.01 * share
    bond = neighbours.shared_m + neighbours.off_line_m
    begun = np.full(len(weight), -1, dtype=np.int64) if begun is None else begun
    return _grown(count, seed, neighbours.start, neighbours.ids, bond, weight, begun)


@njit(cache=True)
def _grown(
    count: int, seed: int, start: NDArray, ids: NDArray, bond: NDArray, weight: NDArray, begun: NDArray
) -> NDArray:
    """Return groups grown from seeds far apart, the lightest group taking its most bonded free neighbour each time.

    Groups that ``begun`` names for some atoms grow on from these.
    """
    size = len(weight)
    labels = begun.copy()
    is_begun = np.zeros(count, dtype=np.bool_)
    load = np.zeros(count)
    free = size
    for i in range(size):
        if labels[i] >= 0:
            is_begun[labels[i]] = True
            load[labels[i]] += weight[i]
            free -= 1
    steps = np.full(size, size, dtype=np.int64)
    queue = np.zeros(size, dtype=np.int64)
    if free == size:
        # the first seed is a far end, seen from anywhere
        picked = (seed * 7919) % size
        steps[picked] = 0
        queue[0] = picked
        _spread(steps, queue, 1, start, ids)
        for i in range(size):
            if steps[i] > steps[picked]:
                picked = i
        steps[:] = size
        steps[picked] = 0
        queue[0] = picked
        labels[picked] = 0
        is_begun[0] = True
        load[0] = weight[picked]
        free -= 1
        _spread(steps, queue, 1, start, ids)
    else:
        filled = 0
        for i in range(size):
            if labels[i] >= 0:
                steps[i] = 0
                queue[filled] = i
                filled += 1
        _spread(steps, queue, filled, start, ids)
    for group_no in range(count):
        if is_begun[group_no] or free == 0:
            continue
        picked = -1
        for i in range(size):
            if labels[i] < 0 and (picked < 0 or steps[i] > steps[picked]):
                picked = i
        labels[picked] = group_no
        load[group_no] = weight[picked]
        free -= 1
        steps[picked] = 0
        queue[0] = picked
        _spread(steps, queue, 1, start, ids)
    for _ in range(free):
        taker, taken, best = -1, -1, -1.0
        for i in range(size):
            g = labels[i]
            if g < 0 or (taker >= 0 and load[g] > load[taker]):
                continue
            for e in range(start[i], start[i + 1]):
                j = ids[e]
                if labels[j] < 0 and (taker < 0 or load[g] < load[taker] or bond[e] > best):
                    taker, taken, best = g, j, bond[e]
        labels[taken] = taker
        load[taker] += weight[taken]
    return labels


@njit(cache=True)
def _spread(steps: NDArray, queue: NDArray, filled: int, start: NDArray, ids: NDArray) -> None:
    """Lower ``steps`` to the distance from what the queue begins with."""
    size = len(steps)
    head, tail = 0, filled
    while head < tail:
        i = queue[head % size]
        head += 1
        for e in range(start[i], start[i + 1]):
            if steps[ids[e]] > steps[i] + 1:
                steps[ids[e]] = steps[i] + 1
                queue[tail % size] = ids[e]
                tail += 1


def metis_start(task: Task, count: int, seed: int) -> Integers:
    """Return a contiguous k-way start: balanced weights, cuts along lines cheap."""
    neighbours = task.neighbours
    shared = neighbours.shared_m
    cut_weight = np.maximum(1, np.rint(0.1 * shared + 1.0 * neighbours.off_line_m)).astype(np.int64)
    scale = 10_000 / max(float(task.weight.sum()), 1e-9)
    weights = np.rint(task.weight * scale).astype(np.int64) + 1
    options = pymetis.Options(seed=seed, contig=1, ufactor=100)
    _, membership = pymetis.part_graph(
        count,
        pymetis.CSRAdjacency(neighbours.start, neighbours.ids),
        vweights=weights,
        eweights=cut_weight,
        options=options,
        recursive=False,
    )
    _, labels = np.unique(
        _contiguous(np.asarray(membership, dtype=np.int64), neighbours, task.weight), return_inverse=True
    )
    return labels.astype(np.int64)


def _contiguous(labels: Integers, neighbours: Neighbours, weight: Floats) -> Integers:
    """Return the labels with every stray part of a group given to a group it touches (METIS promises contiguity, most times)."""
    labels = labels.copy()
    while True:
        part = components_within(neighbours.start, neighbours.ids, labels)
        part_label = np.zeros(part.max() + 1, dtype=np.int64)
        part_label[part] = labels
        if len(part_label) == len(np.unique(part_label)):
            return labels
        part_weight = np.bincount(part, weight + 1e-9)
        order = np.lexsort((-part_weight, part_label))
        main = order[np.append(True, part_label[order][1:] != part_label[order][:-1])]
        members = part == np.setdiff1d(np.arange(len(part_label)), main)[0]
        rows = np.repeat(np.arange(len(labels)), np.diff(neighbours.start))
        touching = labels[neighbours.ids[members[rows] & ~members[neighbours.ids]]]
        labels[members] = np.bincount(touching).argmax()


@njit(cache=True)
def _miss(weight: float, low: float, high: float) -> float:
    """Return how far a weight is off its bounds, relative to the nearer bound, with a gentle pull to the middle."""
    middle = 0.5 * (low + high)
    pull = 0.02 * ((weight - middle) / (high - low)) ** 2
    if weight < low:
        return 0.1 + (low - weight) / low + pull
    if weight > high:
        return 0.1 + (weight - high) / high + pull
    return pull


@njit(cache=True)
def _lost_roundness(area: float, perimeter: float) -> float:
    return perimeter * perimeter / (12.566370614359172 * max(area, 1e-9))


@njit(cache=True)
def _leaves_whole(
    atom: int, labels: NDArray, start: NDArray, ids: NDArray, seen: NDArray, stamp: int, stack: NDArray
) -> bool:
    """Return whether the atom's group stays contiguous (and not empty) without the atom."""
    home = labels[atom]
    wanted = 0
    first = -1
    for e in range(start[atom], start[atom + 1]):
        if labels[ids[e]] == home:
            wanted += 1
            first = ids[e]
    if wanted <= 1:
        return wanted == 1
    seen[first] = stamp
    stack[0] = first
    top = 1
    found = 0
    while top > 0:
        top -= 1
        i = stack[top]
        for e in range(start[i], start[i + 1]):
            j = ids[e]
            if j == atom:
                found += 1
            elif labels[j] == home and seen[j] != stamp:
                seen[j] = stamp
                stack[top] = j
                top += 1
        if found == wanted:
            return True
    return found == wanted


@njit(cache=True)
def _anneal(
    labels: NDArray,
    groups: int,
    start: NDArray,
    ids: NDArray,
    shared: NDArray,
    off_line: NDArray,
    weight: NDArray,
    area: NDArray,
    perimeter: NDArray,
    low: float,
    high: float,
    off_line_cost: float,
    shape_cost: float,
    load: NDArray,
    load_cost: float,
    fixed: NDArray,
    former: NDArray,
    keep_cost: float,
    moves: int,
    seed: int,
) -> float:
    """Improve ``labels`` in place by moving border atoms; return the cost of the best grouping seen, which is left in it."""
    size = len(labels)
    group_weight = np.zeros(groups)
    group_area = np.zeros(groups)
    group_perimeter = np.zeros(groups)
    group_load = np.zeros(groups)
    mean_load = max(load.sum() / groups, 1e-9)
    cost = 0.0
    for i in range(size):
        group_load[labels[i]] += load[i]
        if former[i] >= 0 and former[i] != labels[i]:
            cost += keep_cost * weight[i]
        group_weight[labels[i]] += weight[i]
        group_area[labels[i]] += area[i]
        group_perimeter[labels[i]] += perimeter[i]
        for e in range(start[i], start[i + 1]):
            if labels[ids[e]] == labels[i]:
                group_perimeter[labels[i]] -= shared[e]
            else:
                cost += 0.5 * off_line_cost * off_line[e]
    for g in range(groups):
        cost += _BAND * _miss(group_weight[g], low, high)
        cost += shape_cost * _lost_roundness(group_area[g], group_perimeter[g])
        cost += load_cost * (group_load[g] / mean_load - 1.0) ** 2
    best = labels.copy()
    best_cost = cost
    seen = np.zeros(size, dtype=np.int64)
    stack = np.zeros(size, dtype=np.int64)
    state = np.uint64(seed * 2654435761 + 88172645463325252)
    hot, cold = 1.0, 0.01
    temperature = hot
    cooling = (cold / hot) ** (1.0 / max(moves, 1))
    for move in range(moves):
        temperature *= cooling
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        i = int(np.int64(state % np.uint64(size)))
        degree = start[i + 1] - start[i]
        if degree == 0 or fixed[i] >= 0:
            continue
        picked = ids[start[i] + np.int64((state >> np.uint64(24)) % np.uint64(degree))]
        a, b = labels[i], labels[picked]
        if a == b:
            continue
        in_a = 0.0
        in_b = 0.0
        border_change = 0.0
        for e in range(start[i], start[i + 1]):
            g = labels[ids[e]]
            if g == a:
                in_a += shared[e]
                border_change += off_line[e]
            elif g == b:
                in_b += shared[e]
                border_change -= off_line[e]
        perimeter_a = group_perimeter[a] - perimeter[i] + 2 * in_a
        perimeter_b = group_perimeter[b] + perimeter[i] - 2 * in_b
        change = off_line_cost * border_change
        change += _BAND * (
            _miss(group_weight[a] - weight[i], low, high)
            - _miss(group_weight[a], low, high)
            + _miss(group_weight[b] + weight[i], low, high)
            - _miss(group_weight[b], low, high)
        )
        if group_area[a] - area[i] <= 0.0:
            continue
        change += shape_cost * (
            _lost_roundness(group_area[a] - area[i], perimeter_a)
            - _lost_roundness(group_area[a], group_perimeter[a])
            + _lost_roundness(group_area[b] + area[i], perimeter_b)
            - _lost_roundness(group_area[b], group_perimeter[b])
        )
        if keep_cost > 0.0:
            if former[i] == a:
                change += keep_cost * weight[i]
            elif former[i] == b:
                change -= keep_cost * weight[i]
        if load_cost > 0.0:
            change += load_cost * (2.0 * load[i] * (group_load[b] - group_load[a] + load[i])) / (mean_load * mean_load)
        chance = np.float64((state >> np.uint64(40)) % np.uint64(1 << 20)) / (1 << 20)
        if change > 0.0 and chance >= np.exp(-change / temperature):
            continue
        if not _leaves_whole(i, labels, start, ids, seen, move + 1, stack):
            continue
        labels[i] = b
        group_weight[a] -= weight[i]
        group_weight[b] += weight[i]
        group_area[a] -= area[i]
        group_area[b] += area[i]
        group_load[a] -= load[i]
        group_load[b] += load[i]
        group_perimeter[a] = perimeter_a
        group_perimeter[b] = perimeter_b
        cost += change
        if cost < best_cost - 1e-9:
            best_cost = cost
            best[:] = labels
    labels[:] = best
    return best_cost
