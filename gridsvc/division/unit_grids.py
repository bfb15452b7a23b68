"""Unit grids: contiguous groups of atoms of about 10,000 m2 inside one governance grid.

Land without buildings counts a quarter and water a tenth (``DivisionRules``), so unit grids grow where land is open.
"""

from __future__ import annotations

import numpy as np

from gridsvc.division.atoms import Atoms
from gridsvc.division.communities import DivisionRules, Integers
from gridsvc.division.grouping import Task, group

# a compact unit grid is easier to patrol than one along streets only; governance grids weigh it the other way round
_OFF_LINE_COST, _SHAPE_COST = 0.5, 1.0


def unit_grids(atoms: Atoms, governance: Integers, rules: DivisionRules, *, seed: int) -> Integers:
    """Return the unit grid of each atom, numbered from 0; each lies in one governance grid and is one piece."""
    units = np.full(len(governance), -1, dtype=np.int64)
    first = 0
    for grid in range(int(governance.max()) + 1):
        members = np.flatnonzero(governance == grid)
        pieces = atoms.neighbours.among(members).components()
        for piece in range(int(pieces.max()) + 1):
            chosen = members[pieces == piece]
            labels = _units_of(atoms, chosen, rules, seed)
            units[chosen] = first + labels
            first += int(labels.max()) + 1
    return units


def _units_of(atoms: Atoms, chosen: Integers, rules: DivisionRules, seed: int) -> Integers:
    size = atoms.size_m2[chosen]
    spread = rules.unit_area_spread
    task = Task(
        atoms.neighbours.among(chosen),
        size,
        atoms.area_m2[chosen],
        atoms.perimeter_m[chosen],
        (1 - spread) * rules.unit_area_m2,
        (1 + spread) * rules.unit_area_m2,
        off_line_cost=_OFF_LINE_COST,
        shape_cost=_SHAPE_COST,
    )
    # what cannot be cut, as a river, is one unit grid however large
    alone = size > (1 + spread) * rules.unit_area_m2
    rest = float(size[~alone].sum())
    count = int(alone.sum()) + (unit_count(rest, rules) if rest > 0 else 0)
    count = max(1, min(count, len(chosen)))
    return group(task, count, seed=seed, starts=rules.starts, moves_per_atom=rules.moves_per_atom)[0]


def unit_count(size_m2: float, rules: DivisionRules) -> int:
    """Return how many unit grids land of that size (open land weighted) becomes: the number whose mean is nearest to the target.

    Near means by ratio, so 1.45 targets become two of 0.73 and not one of 1.45.

    Examples
    --------
    >>> [unit_count(size, DivisionRules()) for size in (3_000, 14_000, 14_500, 25_000)]
    [1, 1, 2, 3]
    """
    fewest = max(1, int(size_m2 // rules.unit_area_m2))
    off = [abs(np.log(size_m2 / count / rules.unit_area_m2)) for count in (fewest, fewest + 1)]
    return fewest if off[0] <= off[1] else fewest + 1
