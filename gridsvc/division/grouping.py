"""Atoms are grouped into contiguous groups within bounds: METIS to start, then annealing of the borders.

The cost of a grouping is what its groups miss the bounds by, the border that follows no line, and the roundness lost.
The same kernel makes governance grids (households) and unit grids (area).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pymetis
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.borders import Neighbours
from gridsvc.division.communities import Floats, Integers

# costs of one group wholly off its bounds, of one group side off the lines, of one unit of 1 / Polsby-Popper
_BAND, _OFF_LINE, _SHAPE = 12.0, 1.0, 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """Atoms to be grouped, and the bounds of a group's weight."""

    neighbours: Neighbours
    weight: Floats
    area_m2: Floats
    perimeter_m: Floats
    low: float
    high: float


def group(task: Task, count: int, *, seed: int, starts: int, moves_per_atom: int) -> tuple[Integers, float]:
    """Return the best grouping found into ``count`` contiguous groups, and its cost.

    Parameters
    ----------
    task
        Its neighbours must be connected.
    count
        Number of groups wanted; fewer come out when there are fewer atoms.
    starts
        Number of METIS starts annealed, each with its own seed; the cheapest wins.

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
    for start in range(starts):
        labels = _started(task, count, seed + start)
        groups = int(labels.max()) + 1
        side_m = float(np.sqrt(task.area_m2.sum() / groups))
        cost = _anneal(
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
            side_m,
            moves_per_atom * size,
            seed * 7919 + start + 1,
        )
        # a grouping with fewer groups than asked for is only a way out
        cost += 100.0 * (count - groups)
        if cost < best_cost:
            best, best_cost = labels, cost
    assert best is not None
    return best, best_cost


# METIS complains on standard output where it must bisect a handful of atoms; such starts are grown instead
_METIS_ATOMS_PER_GROUP = 10


def _started(task: Task, count: int, seed: int) -> Integers:
    """Return a contiguous grouping to anneal from, every group non-empty."""
    if len(task.weight) >= _METIS_ATOMS_PER_GROUP * count:
        return metis_start(task, count, seed)
    neighbours = task.neighbours
    share = task.area_m2 / task.area_m2.sum()
    weight = task.weight / max(float(task.weight.sum()), 1e-9) + 0.01 * share
    return _grown(count, seed, neighbours.start, neighbours.ids, neighbours.shared_m + neighbours.off_line_m, weight)


@njit(cache=True)
def _grown(count: int, seed: int, start: NDArray, ids: NDArray, bond: NDArray, weight: NDArray) -> NDArray:
    """Return groups grown from seeds far apart, the lightest group taking its most bonded free neighbour each time."""
    size = len(weight)
    labels = np.full(size, -1, dtype=np.int64)
    steps = np.full(size, size, dtype=np.int64)
    queue = np.zeros(size, dtype=np.int64)
    picked = (seed * 7919) % size
    # the first round only finds a far end to begin from
    for group_no in range(-1, count):
        steps[picked] = 0
        queue[0] = picked
        head, tail = 0, 1
        while head < tail:
            i = queue[head]
            head += 1
            for e in range(start[i], start[i + 1]):
                if steps[ids[e]] > steps[i] + 1:
                    steps[ids[e]] = steps[i] + 1
                    queue[tail % size] = ids[e]
                    tail += 1
        if group_no >= 0:
            labels[picked] = group_no
        far = -1
        for i in range(size):
            if labels[i] < 0 and (far < 0 or steps[i] > steps[far]):
                far = i
        if group_no < 0:
            steps[:] = size
        picked = far
    load = np.zeros(count)
    for i in range(size):
        if labels[i] >= 0:
            load[labels[i]] += weight[i]
    for _ in range(size - count):
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
    size = len(labels)
    rows = np.repeat(np.arange(size), np.diff(neighbours.start))
    while True:
        same = labels[rows] == labels[neighbours.ids]
        once = same & (rows < neighbours.ids)
        none = np.zeros(int(once.sum()))
        part = Neighbours.of_pairs(size, rows[once], neighbours.ids[once], none, none).components()
        part_label = np.zeros(part.max() + 1, dtype=np.int64)
        part_label[part] = labels
        part_weight = np.bincount(part, weight + 1e-9)
        order = np.lexsort((-part_weight, part_label))
        main = order[np.append(True, part_label[order][1:] != part_label[order][:-1])]
        stray = np.setdiff1d(np.arange(len(part_label)), main)
        if len(stray) == 0:
            return labels
        members = part == stray[0]
        touching = labels[neighbours.ids[members[rows] & ~members[neighbours.ids]]]
        labels = labels.copy()
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
    side_m: float,
    moves: int,
    seed: int,
) -> float:
    """Improve ``labels`` in place by moving border atoms; return the cost of the best grouping seen, which is left in it."""
    size = len(labels)
    group_weight = np.zeros(groups)
    group_area = np.zeros(groups)
    group_perimeter = np.zeros(groups)
    border = 0.0
    for i in range(size):
        group_weight[labels[i]] += weight[i]
        group_area[labels[i]] += area[i]
        group_perimeter[labels[i]] += perimeter[i]
        for e in range(start[i], start[i + 1]):
            if labels[ids[e]] == labels[i]:
                group_perimeter[labels[i]] -= shared[e]
            else:
                border += 0.5 * off_line[e]
    cost = _OFF_LINE * border / side_m
    for g in range(groups):
        cost += _BAND * _miss(group_weight[g], low, high) + _SHAPE * _lost_roundness(group_area[g], group_perimeter[g])
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
        if degree == 0:
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
        change = _OFF_LINE * border_change / side_m
        change += _BAND * (
            _miss(group_weight[a] - weight[i], low, high)
            - _miss(group_weight[a], low, high)
            + _miss(group_weight[b] + weight[i], low, high)
            - _miss(group_weight[b], low, high)
        )
        if group_area[a] - area[i] <= 0.0:
            continue
        change += _SHAPE * (
            _lost_roundness(group_area[a] - area[i], perimeter_a)
            - _lost_roundness(group_area[a], group_perimeter[a])
            + _lost_roundness(group_area[b] + area[i], perimeter_b)
            - _lost_roundness(group_area[b], group_perimeter[b])
        )
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
        group_perimeter[a] = perimeter_a
        group_perimeter[b] = perimeter_b
        cost += change
        if cost < best_cost - 1e-9:
            best_cost = cost
            best[:] = labels
    labels[:] = best
    return best_cost
