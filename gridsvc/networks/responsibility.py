"""Who answers for a place: the grid of every net that holds it, from atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridsvc.geo.location import GridIndex
from gridsvc.networks.overlay import NOBODY, Overlay

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Answers:
    """Who answers for each of many points.

    ``atom`` is -1 where no net reaches; ``row`` the grid of each net, `NOBODY` for none, shape (points, nets). ``is_orphan``: no net holds the
    land; ``is_claimed_twice``: some net gives it to several grids, listed in ``claims`` by point.
    """

    atom: Integers
    row: Integers
    is_orphan: NDArray[np.bool_]
    is_claimed_twice: NDArray[np.bool_]
    claims: dict[int, list[tuple[int, int]]]


class AtomIndex:
    """Finds the atom of points: a point on a common border belongs to exactly one, by the rule of `GridIndex`.

    Parameters
    ----------
    atoms
        Of `overlay`; points are then in the same CRS.
    """

    def __init__(self, atoms: Overlay) -> None:
        self._atoms = atoms
        self._index = GridIndex([f"{i:010d}" for i in range(len(atoms.area_m2))], atoms.geometry)

    def find(self, x: ArrayLike, y: ArrayLike) -> Integers:
        """Return the atom of each point, -1 where there is none. Shape: (n,)."""
        return self._index.find(x, y).astype(np.int64)

    def answers(self, x: ArrayLike, y: ArrayLike) -> Answers:
        """Return who answers for each point in every net."""
        atom = self.find(x, y)
        atoms = self._atoms
        row = np.vstack([atoms.owner, np.full((1, len(atoms.nets)), NOBODY)])[atom]
        start = np.searchsorted(atoms.double.atom, np.arange(len(atoms.area_m2) + 1))
        twice = np.append(np.diff(start) > 0, False)[atom]
        claims = {
            int(k): [
                (int(atoms.double.net[m]), int(atoms.double.row[m])) for m in range(start[atom[k]], start[atom[k] + 1])
            ]
            for k in np.flatnonzero(twice)
        }
        return Answers(atom, row, (row == NOBODY).all(axis=1), twice, claims)
