"""Nets brought onto one set of lines: borders that follow the same street within the tolerance become the same vertices.

The strip of land between two such borders goes, whole, to one side. Which line stays is decided by what the strip would change: nothing in
the net that counts most (the reference, or the majority), and never a line given (street, wall, water). Borders farther apart
than the tolerance stay where they are and show as disagreements.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.errors import GridsvcError, NotFoundError
from gridsvc.networks.comparison import pair_comparison
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import NOBODY, STEP_M, TOLERANCE_M, Overlay, overlay

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Geometries = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Land that two nets give to different grids although they agree on the grids: one polygon for each pair of owners and place.

    ``net`` are the positions of the nets; ``atom`` the atom; rows of the owners in both, `NOBODY` for none.
    """

    net: tuple[int, int]
    atom: int
    first: int
    second: int
    area_m2: float


@dataclass(frozen=True, slots=True)
class AlignedNets:
    """Nets on one set of lines.

    Attributes
    ----------
    nets
        The nets given, with new shapes: an exact coverage but for gaps and overlaps above the tolerance, and all of them together too.
    gained_m2, lost_m2
        By net, land that each grid took over and gave away. Unit: m2.
    disagreements
        What stays different above the tolerance, largest first.
    atoms
        The atoms the shapes are made of.
    """

    nets: list[Net]
    gained_m2: list[Floats]
    lost_m2: list[Floats]
    disagreements: list[Disagreement]
    atoms: Overlay


def align(
    nets: Sequence[Net],
    *,
    tolerance_m: float = TOLERANCE_M,
    reference: str | None = None,
    lines: Geometries | None = None,
    step_m: float = STEP_M,
) -> AlignedNets:
    """Return nets whose borders within the tolerance coincide, vertex by vertex.

    Parameters
    ----------
    nets
        Two or more. CRS: projected, metric.
    tolerance_m
        Borders this near are one. Unit: m.
    reference
        Name of the net whose lines stay; default: the lines that most nets share.
    lines
        Lines that borders are to stay on rather than on any net's.
    step_m
        Step of the grid that vertices are rounded to. Unit: m.

    Raises
    ------
    GridsvcError
        As `overlay`, and when the tolerance is 0.
    NotFoundError
        When no net is named as the reference.
    """
    if tolerance_m == 0.0:
        raise GridsvcError("With a tolerance of 0 nothing is aligned.", hint="Give metres above 0.")
    names = [net.name for net in nets]
    if reference is not None and reference not in names:
        raise NotFoundError(f"There is no network {reference}.", hint=f"There are: {', '.join(names)}.")
    # the reference outweighs all others together
    weight = [1.0 + len(nets) if name == reference else 1.0 for name in names]
    atoms = overlay(nets, tolerance_m=tolerance_m, weight=weight, lines=lines, keep_land=False, step_m=step_m)
    gained: list[Floats] = []
    lost: list[Floats] = []
    for n, net in enumerate(nets):
        of_net = atoms.moved.net == n
        for rows, sums in ((atoms.moved.to_row, gained), (atoms.moved.from_row, lost)):
            held = of_net & (rows != NOBODY)
            sums.append(np.bincount(rows[held], atoms.moved.area_m2[held], len(net)).astype(float))
    return AlignedNets(
        nets=[replace(net, geometry=_shapes(atoms, n)) for n, net in enumerate(nets)],
        gained_m2=gained,
        lost_m2=lost,
        disagreements=_disagreements(atoms, tolerance_m),
        atoms=atoms,
    )


def _shapes(atoms: Overlay, net: int) -> Geometries:
    """Return the shape of each grid of a net: its atoms, claimed ones too; a grid that lies wholly under others keeps its own shape."""
    here = atoms.double.net == net
    atom = np.concatenate([np.arange(len(atoms.owner)), atoms.double.atom[here]])
    row = np.concatenate([atoms.owner[:, net], atoms.double.row[here]])
    order = np.lexsort((atom, row))
    atom, row = atom[order], row[order]
    start = np.searchsorted(row, np.arange(len(atoms.nets[net]) + 1))
    shapes = atoms.nets[net].geometry.copy()
    for k, (a, b) in enumerate(itertools.pairwise(start)):
        if b > a:
            shapes[k] = shapely.coverage_union_all(atoms.geometry[atom[a:b]])
    return shapely.normalize(shapes)


def _disagreements(atoms: Overlay, tolerance_m: float) -> list[Disagreement]:
    """Return the atoms whose grids in two nets are not each other's match although one of them has a match in the other net."""
    found = []
    for i, j in itertools.combinations(range(len(atoms.nets)), 2):
        pairs = pair_comparison(atoms, i, j, tolerance_m).pairs
        match = np.full(len(atoms.nets[i]) + 1, NOBODY - 1)
        back = np.full(len(atoms.nets[j]) + 1, NOBODY - 1)
        match[pairs.first[pairs.by_shape]] = pairs.second[pairs.by_shape]
        back[pairs.second[pairs.by_shape]] = pairs.first[pairs.by_shape]
        one, other = atoms.owner[:, i], atoms.owner[:, j]
        # land that one of the two nets does not hold is a gap, no other opinion
        held = (one != NOBODY) & (other != NOBODY)
        has_match = (match[one] > NOBODY - 1) | (back[other] > NOBODY - 1)
        for atom in np.flatnonzero(held & has_match & (match[one] != other)):
            found.append(Disagreement((i, j), int(atom), int(one[atom]), int(other[atom]), float(atoms.area_m2[atom])))
    return sorted(found, key=lambda each: (-each.area_m2, each.net, each.atom))
