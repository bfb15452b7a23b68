"""Every contiguous group of atoms that costs less than the prices of its atoms: the search inside the exact grouping.

Atoms are visited in an order in which few of them are *open* (visited, with neighbours not yet visited) at a time: 6 to 11 in
communities of 60 to 130 atoms. Visited from the end, a table holds for every choice among the open atoms and every weight
so far the least that the rest can add; visited from the start, whatever cannot come below the limit with that rest is not
followed. What remains is listed one by one and judged by its true cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Integers
from gridsvc.division.grouping import _BAND, Task, _leaves_whole, _lost_roundness, _miss
from gridsvc.errors import GridsvcError

Groups = NDArray[np.bool_]

_MOST_TABLE_BYTES = 400_000_000
_WEIGHT_STEPS = 1000
_FEWEST_WEIGHT_STEPS = 100
# how much age and fresh neighbours count when the visiting order is made; the best order of all is taken
_ORDERS = ((0.001, 0.0), (0.001, 0.1), (0.001, 0.3), (0.05, 0.1), (0.05, 0.3))


@njit(cache=True)
def _group_cost(
    chosen: NDArray,
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
) -> float:
    """Return what one group adds to the cost of a grouping; a border that follows no line is halved between its two groups.

    ``load`` is relative to that of a mean group. Infinite where atoms fixed to two groups meet, or those of one are parted.
    """
    group_weight, group_area, group_perimeter, border, group_load = 0.0, 0.0, 0.0, 0.0, 0.0
    holds = -1
    for i in range(len(chosen)):
        if chosen[i]:
            if fixed[i] >= 0:
                if holds >= 0 and fixed[i] != holds:
                    return np.inf
                holds = fixed[i]
            group_load += load[i]
            group_weight += weight[i]
            group_area += area[i]
            group_perimeter += perimeter[i]
            for e in range(start[i], start[i + 1]):
                if chosen[ids[e]]:
                    group_perimeter -= shared[e]
                else:
                    border += 0.5 * off_line[e]
    if holds >= 0:
        for i in range(len(chosen)):
            if fixed[i] == holds and not chosen[i]:
                return np.inf
    return (
        _BAND * _miss(group_weight, low, high)
        + shape_cost * _lost_roundness(group_area, group_perimeter)
        + off_line_cost * border
        + load_cost * (group_load - 1.0) ** 2
    )


@dataclass(frozen=True, slots=True)
class GroupCosts:
    """What a group costs in a grouping of a task into ``count`` groups."""

    task: Task
    count: int

    @property
    def off_line_cost(self) -> float:
        """Cost of border that follows no line, which counts in sides of a mean group. Unit: 1/m."""
        return self.task.off_line_cost / float(np.sqrt(self.task.area_m2.sum() / self.count))

    def arrays(
        self,
    ) -> tuple[
        Integers, Integers, Floats, Floats, Floats, Floats, Floats, float, float, float, float, Floats, float, Integers
    ]:
        """Return the task as the kernels take it."""
        task, near = self.task, self.task.neighbours
        size = len(task.weight)
        load = np.zeros(size) if task.load is None else task.load
        total = float(load.sum())
        return (
            near.start,
            near.ids,
            near.shared_m,
            near.off_line_m,
            task.weight,
            task.area_m2,
            task.perimeter_m,
            task.low,
            task.high,
            self.off_line_cost,
            task.shape_cost,
            load * (self.count / max(total, 1e-9)),
            task.load_cost if total > 0 else 0.0,
            np.full(size, -1, dtype=np.int64) if task.fixed is None else task.fixed,
        )

    def of(self, groups: Groups) -> Floats:
        """Return the cost of each group. Shape: (groups, atoms) to (groups,)."""
        arrays = self.arrays()
        return np.array([_group_cost(chosen, *arrays) for chosen in groups])

    def of_labels(self, labels: Integers) -> float:
        """Return the cost of a whole grouping."""
        return float(self.of(labels == np.arange(labels.max() + 1)[:, None]).sum())


@njit(cache=True)
def _annealed_group(
    chosen: NDArray,
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
    prices: NDArray,
    most_atoms: int,
    hot: float,
    moves: int,
    seed: int,
) -> float:
    """Improve a contiguous group (1 in, 0 out) in place by taking and leaving atoms; return its cost less its prices."""
    size = len(chosen)
    group_weight, group_area, group_perimeter, border, group_load, price = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    atoms = 0
    for i in range(size):
        if chosen[i] == 1:
            atoms += 1
            group_weight += weight[i]
            group_area += area[i]
            group_perimeter += perimeter[i]
            price += prices[i]
            group_load += load[i]
            for e in range(start[i], start[i + 1]):
                if chosen[ids[e]] == 1:
                    group_perimeter -= shared[e]
                else:
                    border += 0.5 * off_line[e]
    cost = _BAND * _miss(group_weight, low, high) + shape_cost * _lost_roundness(group_area, group_perimeter)
    cost += off_line_cost * border + load_cost * (group_load - 1.0) ** 2 - price
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
        new_weight = group_weight + sign * weight[i]
        new_area = group_area + sign * area[i]
        new_perimeter = group_perimeter + sign * (perimeter[i] - 2 * touched)
        new_border = border + sign * to_line
        new_price = price + sign * prices[i]
        new_load = group_load + sign * load[i]
        new_cost = _BAND * _miss(new_weight, low, high) + shape_cost * _lost_roundness(new_area, new_perimeter)
        new_cost += off_line_cost * new_border + load_cost * (new_load - 1.0) ** 2 - new_price
        chance = np.float64((state >> np.uint64(40)) % np.uint64(1 << 20)) / (1 << 20)
        if new_cost > cost and chance >= np.exp((cost - new_cost) / temperature):
            continue
        if is_in and not _leaves_whole(i, chosen, start, ids, seen, move + 1, stack):
            continue
        chosen[i] = 1 - chosen[i]
        atoms += -1 if is_in else 1
        group_weight, group_area, group_perimeter = new_weight, new_area, new_perimeter
        border, group_load, price = new_border, new_load, new_price
        cost = new_cost
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
        if _annealed_group(group, *arrays, prices, most_atoms, hot, moves, seed * 7919 + start + 1) < limit:
            found.append(group == 1)
    return np.array(found, dtype=bool).reshape(-1, len(prices))


@njit(cache=True)
def _visiting_order(start: NDArray, ids: NDArray, first: int, by_age: float, by_fresh: float) -> tuple[NDArray, float]:
    """Return an order that keeps few atoms open, and the table rows it needs.

    From ``first`` on, the next is always the one that closes most; then it counts how long its oldest neighbour has been open, and
    how many neighbours are not yet open.
    """
    size = len(start) - 1
    visited = np.zeros(size, dtype=np.bool_)
    visited_at = np.zeros(size, dtype=np.int64)
    left = start[1:] - start[:-1]
    order = np.zeros(size, dtype=np.int64)
    rows = 0.0
    for step in range(size):
        picked = first
        least = np.inf
        for i in range(size):
            if step == 0 or visited[i]:
                continue
            closes, oldest, fresh = 0, size, 0
            for e in range(start[i], start[i + 1]):
                if visited[ids[e]]:
                    closes += 1 if left[ids[e]] == 1 else 0
                    oldest = min(oldest, visited_at[ids[e]])
                else:
                    fresh += 1
            opened = (1.0 if left[i] > 0 else 0.0) - closes + by_age * oldest + by_fresh * fresh
            if oldest < size and opened < least:
                least = opened
                picked = i
        visited[picked] = True
        visited_at[picked] = step
        order[step] = picked
        for e in range(start[picked], start[picked + 1]):
            left[ids[e]] -= 1
        width = 0
        for i in range(size):
            if visited[i] and left[i] > 0:
                width += 1
        rows += 2.0**width
    return order, rows


@njit(cache=True)
def _fill_table(
    after: NDArray,
    before: NDArray,
    width: int,
    moved_to: NDArray,
    opened_at: int,
    near: NDArray,
    near_cost: NDArray,
    own_cost: float,
    weight: int,
) -> None:
    """Fill the table before an atom is visited from the table after it: rows are choices among open atoms, columns weights."""
    weights = before.shape[1]
    for row in range(1 << width):
        out_row = 0
        for p in range(width):
            if (row >> p) & 1 and moved_to[p] >= 0:
                out_row |= 1 << moved_to[p]
        in_row = out_row | (1 << opened_at) if opened_at >= 0 else out_row
        out_cost, in_cost = 0.0, own_cost
        for q in range(len(near)):
            if (row >> near[q]) & 1:
                out_cost += near_cost[q]
            else:
                in_cost += near_cost[q]
        as_out, as_in = np.float32(out_cost), np.float32(in_cost)
        left_out, taken, filled = after[out_row], after[in_row], before[row]
        both = max(weights - weight, 0)
        for held in range(both):
            filled[held] = min(left_out[held] + as_out, taken[held + weight] + as_in)
        for held in range(both, weights):
            filled[held] = left_out[held] + as_out


@njit(cache=True)
def _list_groups(
    tables: NDArray,
    table_start: NDArray,
    weights: int,
    order: NDArray,
    width: NDArray,
    moved_to: NDArray,
    opened_at: NDArray,
    near: NDArray,
    near_cost: NDArray,
    near_count: NDArray,
    own_cost: NDArray,
    unit_weight: NDArray,
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
    prices: NDArray,
    limit: float,
    slack: float,
    most_atoms: int,
    most_steps: int,
    found: NDArray,
    found_cost: NDArray,
) -> tuple[int, bool]:
    """List every contiguous group whose cost less prices is at most ``limit``; return how many, and whether these are all.

    Parts of a group that grew together carry the same mark among the open atoms; a part none of whose atoms is open any more
    can gain no further atom, so it must be the whole group.
    """
    size = len(order)
    row = np.zeros(size + 1, dtype=np.int64)
    held = np.zeros(size + 1, dtype=np.int64)
    atoms = np.zeros(size + 1, dtype=np.int64)
    tangents = len(tables)
    sums = np.zeros((size + 1, tangents))
    border = np.zeros(tangents)
    tried = np.zeros(size + 1, dtype=np.int64)
    whole = np.zeros(size + 1, dtype=np.bool_)
    mark = np.zeros((size + 1, moved_to.shape[1] + 1), dtype=np.int64)
    now = np.zeros(moved_to.shape[1] + 1, dtype=np.int64)
    chosen = np.zeros(size, dtype=np.bool_)
    step, count, steps = 0, 0, 0
    while step >= 0:
        if step == size:
            if atoms[step] > 0:
                cost = _group_cost(
                    chosen,
                    start,
                    ids,
                    shared,
                    off_line,
                    weight,
                    area,
                    perimeter,
                    low,
                    high,
                    off_line_cost,
                    shape_cost,
                    load,
                    load_cost,
                    fixed,
                )
                for i in range(size):
                    if chosen[i]:
                        cost -= prices[i]
                if cost <= limit:
                    if count == len(found):
                        return count, False
                    found[count] = chosen
                    found_cost[count] = cost
                    count += 1
            step -= 1
            continue
        if tried[step] == 2:
            tried[step] = 0
            chosen[order[step]] = False
            step -= 1
            continue
        is_in = tried[step] == 0
        tried[step] += 1
        if is_in and (whole[step] or atoms[step] == most_atoms):
            continue
        steps += 1
        if steps > most_steps:
            return count, False
        open_row = row[step]
        border[:] = 0.0
        for q in range(near_count[step]):
            if ((open_row >> near[step, q]) & 1 == 1) != is_in:
                for tangent in range(tangents):
                    border[tangent] += near_cost[tangent, step, q]
        new_held = held[step]
        if is_in:
            new_held += unit_weight[step]
            if new_held >= weights:
                continue
        new_row = 0
        for p in range(width[step]):
            if (open_row >> p) & 1 and moved_to[step, p] >= 0:
                new_row |= 1 << moved_to[step, p]
        if is_in and opened_at[step] >= 0:
            new_row |= 1 << opened_at[step]
        place = table_start[step + 1] + new_row * weights + new_held
        is_near = True
        for tangent in range(tangents):
            sums[step + 1, tangent] = (
                sums[step, tangent] + border[tangent] + (own_cost[tangent, step] if is_in else 0.0)
            )
            if sums[step + 1, tangent] + tables[tangent, place] > limit + slack:
                is_near = False
                break
        if not is_near:
            continue
        # marks of the open atoms, the new atom's neighbours and all that grew together with them taking its mark
        parts = 0
        for p in range(width[step]):
            now[p] = -1
            if (open_row >> p) & 1:
                now[p] = mark[step, p]
                if is_in:
                    for q in range(near_count[step]):
                        at = near[step, q]
                        if (open_row >> at) & 1 and mark[step, at] == mark[step, p]:
                            now[p] = step + 1
                            break
                is_new = True
                for p2 in range(p):
                    if now[p2] == now[p]:
                        is_new = False
                        break
                parts += 1 if is_new and now[p] != step + 1 else 0
        parts += 1 if is_in else 0
        open_parts = 0
        for p in range(width[step + 1]):
            mark[step + 1, p] = -1
        for p in range(width[step]):
            if now[p] >= 0 and moved_to[step, p] >= 0:
                mark[step + 1, moved_to[step, p]] = now[p]
        if is_in and opened_at[step] >= 0:
            mark[step + 1, opened_at[step]] = step + 1
        for p in range(width[step + 1]):
            if mark[step + 1, p] >= 0:
                is_new = True
                for p2 in range(p):
                    if mark[step + 1, p2] == mark[step + 1, p]:
                        is_new = False
                        break
                open_parts += 1 if is_new else 0
        if open_parts < parts and parts > 1:
            continue
        chosen[order[step]] = is_in
        row[step + 1] = new_row
        held[step + 1] = new_held
        atoms[step + 1] = atoms[step] + (1 if is_in else 0)
        whole[step + 1] = whole[step] or open_parts < parts
        tried[step + 1] = 0
        step += 1
    return count, True


class GroupSearch:
    """Finds every contiguous group that costs at most a limit above the prices of its atoms.

    Parameters
    ----------
    costs
        The task and the number of groups.
    roundness
        Perimeter over area of typical groups, 1/m, one table for each. P^2 / A is at least 2 r P - r^2 A for every r, which adds
        up over atoms and borders as a table needs it; the nearer one of them is to P / A of a group, the less is followed in vain.
        Any positive values are valid.
    most_cost
        Groups that miss the bounds by more than this cost are left out.

    Raises
    ------
    GridsvcError
        When the borders of the community are so entangled that the tables do not fit into 400 MB.

    Notes
    -----
    Cost: tables of 2^open x weights x atoms; 80 atoms and 500 households take 5 to 60 MB and 0.03 to 0.1 s each.
    """

    def __init__(self, costs: GroupCosts, roundness: tuple[float, ...], most_cost: float) -> None:
        task, near = costs.task, costs.task.neighbours
        self.costs = costs
        size = len(task.weight)
        orders = [_visiting_order(near.start, near.ids, first, *by) for first in range(size) for by in _ORDERS]
        self._order, rows = min(orders, key=lambda found: found[1])
        self._set_weights(task, (rows + 1) * len(roundness), most_cost)
        border = np.repeat(np.arange(size), np.diff(near.start))
        outer_m = task.perimeter_m - np.bincount(border, near.shared_m, size)
        scale, r = task.shape_cost / (4 * np.pi), np.array(roundness)[:, None]
        self._atom_cost = scale * (2 * r * outer_m - r**2 * task.area_m2)
        self._set_steps(0.5 * costs.off_line_cost * near.off_line_m + scale * 2 * r * near.shared_m)
        self._prices = np.zeros(size)
        self._slack = np.inf

    def _set_weights(self, task: Task, rows: float, most_cost: float) -> None:
        """Count weights in whole units; where units are coarse, a weight misses its bounds by the least it may."""
        most = task.high * (1 + max(0.0, most_cost / _BAND - 0.1))
        is_whole = bool((task.weight == np.rint(task.weight)).all())
        unit = 1.0 if is_whole and most <= 2 * _WEIGHT_STEPS else most / _WEIGHT_STEPS
        while rows * (most / unit + 2) * 4 > _MOST_TABLE_BYTES:
            unit *= 2
            if most / unit < _FEWEST_WEIGHT_STEPS:
                raise GridsvcError(
                    f"The borders of these {len(task.weight)} atoms are too entangled for the exact grouping.",
                    hint="Divide this community without it.",
                )
        self._unit_weight = np.rint(task.weight / unit).astype(np.int64)
        rounded = task.weight - unit * self._unit_weight
        below, above = float(np.minimum(rounded, 0.0).sum()), float(np.maximum(rounded, 0.0).sum())
        units = np.arange(min(int((most - below) / unit) + 1, int(self._unit_weight.sum())) + 1) * unit
        middle = 0.5 * (task.low + task.high)
        nearest = np.clip(middle, units + below, units + above)
        self._bounds_cost = np.array([_BAND * _miss(float(w), task.low, task.high) for w in nearest], dtype=np.float32)
        self._bounds_cost[self._bounds_cost > most_cost + 1e-3] = np.inf

    def _set_steps(self, border_cost: Floats) -> None:
        neighbours = self.costs.task.neighbours
        start, ids, order = neighbours.start, neighbours.ids, self._order
        size = len(order)
        place = np.empty(size, dtype=np.int64)
        place[order] = np.arange(size)
        last = np.array([max(place[ids[start[i] : start[i + 1]]], default=-1) for i in range(size)])
        openings: list[list[int]] = [[]]
        for step in range(size):
            openings.append([int(i) for i in [*openings[-1], order[step]] if last[i] > step])
        self._width = np.array([len(opened) for opened in openings])
        widest = int(self._width.max())
        self._moved_to = np.full((size, widest), -1, dtype=np.int64)
        self._opened_at = np.full(size, -1, dtype=np.int64)
        self._near = np.zeros((size, widest), dtype=np.int64)
        self._near_cost = np.zeros((len(border_cost), size, widest))
        self._near_count = np.zeros(size, dtype=np.int64)
        for step in range(size):
            before = {i: p for p, i in enumerate(openings[step])}
            after = {i: p for p, i in enumerate(openings[step + 1])}
            for i, p in before.items():
                self._moved_to[step, p] = after.get(i, -1)
            atom = int(order[step])
            self._opened_at[step] = after.get(atom, -1)
            for e in range(start[atom], start[atom + 1]):
                if int(ids[e]) in before:
                    q = self._near_count[step]
                    self._near[step, q] = before[int(ids[e])]
                    self._near_cost[:, step, q] = border_cost[:, e]
                    self._near_count[step] += 1
        self._table_start = np.concatenate([[0], np.cumsum((1 << self._width) * len(self._bounds_cost))])
        self._tables = np.empty((len(border_cost), self._table_start[-1]), dtype=np.float32)

    def set_prices(self, prices: Floats) -> float:
        """Take the prices of the atoms; return a lower bound of the cost less prices of any group."""
        self._prices = np.asarray(prices, dtype=float)
        self._own_cost = np.ascontiguousarray((self._atom_cost - self._prices)[:, self._order])
        bound = max(self._fill(tangent) for tangent in range(len(self._tables)))
        # single precision: half a last digit of the largest possible sum, lost at every step
        largest = np.abs(self._own_cost).sum(axis=1).max() + self._near_cost.sum(axis=(1, 2)).max()
        largest += self._bounds_cost[np.isfinite(self._bounds_cost)].max(initial=0.0)
        self._slack = float(len(self._order) + 2) * 6e-8 * float(largest)
        return bound - self._slack

    def _fill(self, tangent: int) -> float:
        weights = len(self._bounds_cost)
        tables = [
            self._tables[tangent, a:b].reshape(-1, weights)
            for a, b in zip(self._table_start[:-1], self._table_start[1:], strict=True)
        ]
        tables[-1][0] = self._bounds_cost
        for step in range(len(self._order) - 1, -1, -1):
            near = slice(0, self._near_count[step])
            _fill_table(
                tables[step + 1],
                tables[step],
                self._width[step],
                self._moved_to[step],
                self._opened_at[step],
                self._near[step, near],
                self._near_cost[tangent, step, near],
                self._own_cost[tangent, step],
                self._unit_weight[self._order[step]],
            )
        return float(tables[0][0, 0])

    def within(self, limit: float, *, most_groups: int, most_steps: int) -> tuple[Groups, Floats, bool]:
        """Return the groups that cost at most ``limit`` above their prices, their cost less prices, and whether these are all.

        Parameters
        ----------
        most_groups, most_steps
            The search ends early once it has found that many groups, or taken that many steps (about 2 million a second).
        """
        size = len(self._order)
        found = np.zeros((most_groups, size), dtype=bool)
        cost = np.zeros(most_groups)
        count, is_all = _list_groups(
            self._tables,
            self._table_start,
            len(self._bounds_cost),
            self._order,
            self._width,
            self._moved_to,
            self._opened_at,
            self._near,
            self._near_cost,
            self._near_count,
            self._own_cost,
            self._unit_weight[self._order],
            *self.costs.arrays(),
            self._prices,
            limit,
            self._slack,
            size - self.costs.count + 1,
            most_steps,
            found,
            cost,
        )
        return found[:count], cost[:count], is_all


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
