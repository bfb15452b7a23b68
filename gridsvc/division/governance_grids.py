"""Governance grids: contiguous groups of atoms with 300-500 households, bordered by streets, walls and water first."""

from __future__ import annotations

import math

import numpy as np

from gridsvc.division.atoms import Atoms
from gridsvc.division.communities import DivisionRules, Integers
from gridsvc.division.grouping import Task, group


def likely_counts(households: int, rules: DivisionRules) -> list[int]:
    """Return the numbers of governance grids to try, best first; never empty.

    Numbers that allow every grid inside the bounds come first, nearest to their middle. Where none does (550 households: one
    grid too large or two too small), the number that misses the bounds by least is the only one.

    Examples
    --------
    >>> likely_counts(2000, DivisionRules())
    [5, 6, 4]
    >>> likely_counts(550, DivisionRules())
    [2]
    """
    low, high = rules.households_min, rules.households_max
    fewest, most = math.ceil(households / high), households // low
    middle = households / (0.5 * (low + high))
    if 1 <= fewest <= most:
        counts = range(fewest, most + 1)
        return sorted(counts, key=lambda count: (abs(count - middle), count))[:3]
    return [min((max(1, most), max(1, fewest)), key=lambda count: (_missed(households / count, low, high), count))]


def _missed(households: float, low: int, high: int) -> float:
    return max(0.0, (low - households) / low, (households - high) / high)


def governance_grids(atoms: Atoms, rules: DivisionRules, *, seed: int) -> Integers:
    """Return the governance grid of each atom, numbered from 0.

    Grids are contiguous; where the community has separate parts, a part too small for a grid of its own joins the nearest one.
    """
    weight = atoms.households.astype(float)
    peopled = int((weight > 0).sum())
    task = Task(
        atoms.linked, weight, atoms.area_m2, atoms.perimeter_m, float(rules.households_min), float(rules.households_max)
    )
    best: Integers = np.zeros(len(weight), dtype=np.int64)
    best_missed = np.inf
    for count in likely_counts(int(weight.sum()), rules):
        if count > max(peopled, 1):
            continue
        labels, _ = group(task, count, seed=seed, starts=rules.starts, moves_per_atom=rules.moves_per_atom)
        held = np.bincount(labels, weight)
        missed = float(np.mean((held < rules.households_min) | (held > rules.households_max)))
        if missed < best_missed:
            best, best_missed = labels, missed
        if missed == 0.0:
            break
    return best
