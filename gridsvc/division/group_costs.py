"""What one group adds to the cost of a grouping, as the kernels of the exact grouping compute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Integers
from gridsvc.division.grouping import _BAND, Task, _lost_roundness, _miss

Groups = NDArray[np.bool_]


class CostTerms(NamedTuple):
    """Bounds of a group's weight and what its sums cost; ``off_line_cost`` per metre."""

    low: float
    high: float
    off_line_cost: float
    shape_cost: float
    load_cost: float


class TaskArrays(NamedTuple):
    """A task as the kernels take it; ``load`` is relative to that of a mean group, ``fixed`` -1 for a free atom.

    A kernel unpacks it first: reading an array out of a tuple in a loop costs more than what is done with it.
    """

    start: Integers
    ids: Integers
    shared: Floats
    off_line: Floats
    weight: Floats
    area: Floats
    perimeter: Floats
    load: Floats
    fixed: Integers
    terms: CostTerms


class GroupSums(NamedTuple):
    """What adds up over the atoms and borders of a group; a border that follows no line is halved between its two groups."""

    weight: float
    area: float
    perimeter: float
    border: float
    load: float


@njit(cache=True)
def sums_of(chosen: NDArray, task: TaskArrays) -> GroupSums:
    """Return the sums of a group (atoms chosen, true or 1)."""
    start, ids, shared, off_line, atom_weight, atom_area, atom_perimeter, atom_load, _, _ = task
    weight, area, perimeter, border, load = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(chosen)):
        if chosen[i]:
            load += atom_load[i]
            weight += atom_weight[i]
            area += atom_area[i]
            perimeter += atom_perimeter[i]
            for e in range(start[i], start[i + 1]):
                if chosen[ids[e]]:
                    perimeter -= shared[e]
                else:
                    border += 0.5 * off_line[e]
    return GroupSums(weight, area, perimeter, border, load)


@njit(cache=True)
def cost_of_sums(sums: GroupSums, terms: CostTerms) -> float:
    """Return what a group of these sums adds to the cost of a grouping."""
    return (
        _BAND * _miss(sums.weight, terms.low, terms.high)
        + terms.shape_cost * _lost_roundness(sums.area, sums.perimeter)
        + terms.off_line_cost * sums.border
        + terms.load_cost * (sums.load - 1.0) ** 2
    )


@njit(cache=True)
def group_cost(chosen: NDArray, task: TaskArrays) -> float:
    """Return what one group adds to the cost of a grouping; infinite where it holds atoms fixed to two groups, or parts those of one."""
    fixed = task.fixed
    holds = -1
    for i in range(len(chosen)):
        if chosen[i] and fixed[i] >= 0:
            if holds >= 0 and fixed[i] != holds:
                return np.inf
            holds = fixed[i]
    if holds >= 0:
        for i in range(len(chosen)):
            if fixed[i] == holds and not chosen[i]:
                return np.inf
    return cost_of_sums(sums_of(chosen, task), task.terms)


@dataclass(frozen=True, slots=True)
class GroupCosts:
    """What a group costs in a grouping of a task into ``count`` groups."""

    task: Task
    count: int

    @property
    def off_line_cost(self) -> float:
        """Cost of border that follows no line, which counts in sides of a mean group. Unit: 1/m."""
        return self.task.off_line_cost / float(np.sqrt(self.task.area_m2.sum() / self.count))

    def arrays(self) -> TaskArrays:
        """Return the task as the kernels take it."""
        task, near = self.task, self.task.neighbours
        size = len(task.weight)
        load = np.zeros(size) if task.load is None else task.load
        total = float(load.sum())
        return TaskArrays(
            start=near.start,
            ids=near.ids,
            shared=near.shared_m,
            off_line=near.off_line_m,
            weight=task.weight,
            area=task.area_m2,
            perimeter=task.perimeter_m,
            load=load * (self.count / max(total, 1e-9)),
            fixed=np.full(size, -1, dtype=np.int64) if task.fixed is None else task.fixed,
            terms=CostTerms(
                low=float(task.low),
                high=float(task.high),
                off_line_cost=self.off_line_cost,
                shape_cost=float(task.shape_cost),
                load_cost=float(task.load_cost) if total > 0 else 0.0,
            ),
        )

    def of(self, groups: Groups) -> Floats:
        """Return the cost of each group. Shape: (groups, atoms) to (groups,)."""
        arrays = self.arrays()
        return np.array([group_cost(chosen, arrays) for chosen in groups])

    def of_labels(self, labels: Integers) -> float:
        """Return the cost of a whole grouping."""
        return float(self.of(labels == np.arange(labels.max() + 1)[:, None]).sum())
