"""Every contiguous group of atoms that costs less than the prices of its atoms: the search inside the exact grouping.

Atoms are visited in an order in which few of them are *open* (visited, with neighbours not yet visited) at a time: 6 to 11 in
communities of 60 to 130 atoms. Visited from the end, a table holds for every choice among the open atoms and every weight
so far the least that the rest can add; visited from the start, whatever cannot come below the limit with that rest is not
followed. What remains is listed one by one and judged by its true cost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Integers
from gridsvc.division.group_costs import GroupCosts, Groups, TaskArrays, group_cost
from gridsvc.division.grouping import _BAND, Task, _miss
from gridsvc.errors import GridsvcError

_MOST_TABLE_BYTES = 400_000_000
_WEIGHT_STEPS = 1000
_FEWEST_WEIGHT_STEPS = 100
# how much age and fresh neighbours count when the visiting order is made; the best order of all is taken
_ORDERS = ((0.001, 0.0), (0.001, 0.1), (0.001, 0.3), (0.05, 0.1), (0.05, 0.3))


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


class Plan(NamedTuple):
    """The order in which atoms are visited, what happens at each step to the open ones, and the tables.

    ``order`` gives the atom of each step, ``unit_weight`` its weight in whole units. Before a step ``width`` atoms are open, each at a
    place; ``moved_to`` is its place afterwards, ``opened_at`` that of the atom visited (-1: closed). ``near`` are the places of its
    ``near_count`` neighbours, ``near_cost`` what their borders cost, ``own_cost`` what the atom costs above its price, both for each
    tangent. ``tables`` holds for each tangent, from ``table_start`` of a step on, rows (choices among the open atoms) of
    ``weights`` columns.
    """

    order: Integers
    unit_weight: Integers
    width: Integers
    moved_to: Integers
    opened_at: Integers
    near: Integers
    near_cost: Floats
    near_count: Integers
    own_cost: Floats
    tables: NDArray[np.float32]
    table_start: Integers
    weights: int


@njit(cache=True)
def _row_after(row: int, is_in: bool, width: int, moved_to: NDArray, opened_at: int) -> int:
    """Return the choice among the open atoms after a step, as bits by place."""
    after = 0
    for p in range(width):
        if (row >> p) & 1 and moved_to[p] >= 0:
            after |= 1 << moved_to[p]
    if is_in and opened_at >= 0:
        after |= 1 << opened_at
    return after


@njit(cache=True)
def _fill_table(plan: Plan, tangent: int, step: int) -> None:
    """Fill the table before a step from the table after it: rows are choices among open atoms, columns weights."""
    weights, table, table_start = plan.weights, plan.tables[tangent], plan.table_start
    weight, width = plan.unit_weight[step], plan.width[step]
    moved_to, opened_at = plan.moved_to[step], plan.opened_at[step]
    near, near_cost, near_count = plan.near[step], plan.near_cost[tangent, step], plan.near_count[step]
    own_cost = plan.own_cost[tangent, step]
    both = max(weights - weight, 0)
    for row in range(1 << width):
        out_cost, in_cost = 0.0, own_cost
        for q in range(near_count):
            if (row >> near[q]) & 1:
                out_cost += near_cost[q]
            else:
                in_cost += near_cost[q]
        as_out, as_in = np.float32(out_cost), np.float32(in_cost)
        out_row = _row_after(row, False, width, moved_to, opened_at)
        in_row = _row_after(row, True, width, moved_to, opened_at)
        before = table_start[step] + row * weights
        left_out = table_start[step + 1] + out_row * weights
        taken = table_start[step + 1] + in_row * weights + weight
        for held in range(both):
            table[before + held] = min(table[left_out + held] + as_out, table[taken + held] + as_in)
        for held in range(both, weights):
            table[before + held] = table[left_out + held] + as_out


@njit(cache=True)
def _is_first(marks: NDArray, place: int) -> bool:
    """Answer whether no place before this one has its mark."""
    is_new = True
    for p in range(place):
        if marks[p] == marks[place]:
            is_new = False
    return is_new


@njit(cache=True)
def _mark_parts(
    own: int,
    row: int,
    is_in: bool,
    near: NDArray,
    width: int,
    moved_to: NDArray,
    opened_at: int,
    before: NDArray,
    after: NDArray,
    width_after: int,
    now: NDArray,
) -> tuple[int, int]:
    """Mark the parts of a group among the atoms open after a step; return how many parts it has, and how many are still open.

    Atoms that grew together carry the same mark: the atom visited, those ``near`` it and all that are one with them take the mark
    ``own``. ``now`` is room for the marks before atoms close.
    """
    parts = 1 if is_in else 0
    for p in range(width):
        now[p] = -1
        if (row >> p) & 1:
            now[p] = before[p]
            if is_in:
                for at in near:
                    if (row >> at) & 1 and before[at] == before[p]:
                        now[p] = own
                        break
            parts += 1 if now[p] != own and _is_first(now, p) else 0
    for p in range(width_after):
        after[p] = -1
    for p in range(width):
        if now[p] >= 0 and moved_to[p] >= 0:
            after[moved_to[p]] = now[p]
    if is_in and opened_at >= 0:
        after[opened_at] = own
    open_parts = 0
    for p in range(width_after):
        open_parts += 1 if after[p] >= 0 and _is_first(after, p) else 0
    return parts, open_parts


@njit(cache=True)
def _list_groups(
    plan: Plan,
    task: TaskArrays,
    prices: NDArray,
    limit: float,
    slack: float,
    most_atoms: int,
    most_steps: int,
    found: NDArray,
    found_cost: NDArray,
) -> tuple[int, bool]:
    """List every contiguous group whose cost less prices is at most ``limit``; return how many, and whether these are all.

    A part none of whose atoms is open any more can gain no further atom, so it must be the whole group.
    """
    (
        order,
        unit_weight,
        width,
        moved_to,
        opened_at,
        near,
        near_cost,
        near_count,
        own_cost,
        tables,
        table_start,
        weights,
    ) = plan
    size, tangents = len(order), len(tables)
    row = np.zeros(size + 1, dtype=np.int64)
    held = np.zeros(size + 1, dtype=np.int64)
    atoms = np.zeros(size + 1, dtype=np.int64)
    sums = np.zeros((size + 1, tangents))
    tried = np.zeros(size + 1, dtype=np.int64)
    whole = np.zeros(size + 1, dtype=np.bool_)
    mark = np.zeros((size + 1, moved_to.shape[1] + 1), dtype=np.int64)
    now = np.zeros(moved_to.shape[1] + 1, dtype=np.int64)
    chosen = np.zeros(size, dtype=np.bool_)
    step, count, steps = 0, 0, 0
    while step >= 0:
        if step == size:
            if atoms[step] > 0:
                cost = group_cost(chosen, task)
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
        new_held = held[step] + (unit_weight[step] if is_in else 0)
        if new_held >= weights:
            continue
        new_row = _row_after(row[step], is_in, width[step], moved_to[step], opened_at[step])
        place = table_start[step + 1] + new_row * weights + new_held
        is_near = True
        for tangent in range(tangents):
            border = 0.0
            for q in range(near_count[step]):
                if ((row[step] >> near[step, q]) & 1 == 1) != is_in:
                    border += near_cost[tangent, step, q]
            sums[step + 1, tangent] = sums[step, tangent] + border + (own_cost[tangent, step] if is_in else 0.0)
            if sums[step + 1, tangent] + tables[tangent, place] > limit + slack:
                is_near = False
                break
        if not is_near:
            continue
        parts, open_parts = _mark_parts(
            step + 1,
            row[step],
            is_in,
            near[step, : near_count[step]],
            width[step],
            moved_to[step],
            opened_at[step],
            mark[step],
            mark[step + 1],
            width[step + 1],
            now,
        )
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

    def _plan(self) -> Plan:
        """Return the order and the tables as the kernels take them, with the prices set last."""
        return Plan(
            order=self._order,
            unit_weight=self._unit_weight[self._order],
            width=self._width,
            moved_to=self._moved_to,
            opened_at=self._opened_at,
            near=self._near,
            near_cost=self._near_cost,
            near_count=self._near_count,
            own_cost=self._own_cost,
            tables=self._tables,
            table_start=self._table_start,
            weights=len(self._bounds_cost),
        )

    def _fill(self, tangent: int) -> float:
        plan = self._plan()
        self._tables[tangent, self._table_start[-2] :] = self._bounds_cost
        for step in range(len(self._order) - 1, -1, -1):
            _fill_table(plan, tangent, step)
        return float(self._tables[tangent, 0])

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
        most_atoms = size - self.costs.count + 1
        count, is_all = _list_groups(
            self._plan(), self.costs.arrays(), self._prices, limit, self._slack, most_atoms, most_steps, found, cost
        )
        return found[:count], cost[:count], is_all
