"""Where the borders of nets differ, and which grids dispute which land: read off the atoms of an overlay.

A grid's *home* in another net is the grid there that holds most of it. Two nets agree about a piece of land when one of its two grids has its
home in the other: so unit grids inside a governance grid agree with it though they are smaller. Where neither has, a border of one net runs
where the other has none, and the land is in dispute.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridsvc.networks.comparison import CROSSING, PairComparison, pair_comparison
from gridsvc.networks.overlay import NOBODY, Overlay

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Disputes:
    """Pairs of crossing grids of two nets that share land which neither has its home in the other for; largest land first.

    ``net`` are positions of nets, ``row`` the grids in them; shape (n, 2). ``share`` is the part of each grid's land, shape (n, 2). ``crossing`` is how
    many pairs of crossing grids share land at all.
    """

    net: Integers
    row: Integers
    shared_m2: Floats
    share: Floats
    crossing: int


def differing_pairs(atoms: Overlay, among: list[int] | None = None) -> Integers:
    """Return for each atom in how many pairs of nets the borders differ there. Shape: (atoms,).

    Parameters
    ----------
    among
        Positions of the nets to look at; default all.
    """
    chosen = list(range(len(atoms.nets))) if among is None else among
    count = np.zeros(len(atoms.area_m2), dtype=np.int64)
    for i, j in itertools.combinations(chosen, 2):
        count += _differs(atoms, i, j)
    return count


def _differs(atoms: Overlay, i: int, j: int) -> Flags:
    a, b = atoms.owner[:, i], atoms.owner[:, j]
    both = (a != NOBODY) & (b != NOBODY)
    home_of_a, home_of_b = homes(atoms, i, j), homes(atoms, j, i)
    answer = both.copy()
    answer[both] = (home_of_a[a[both]] != b[both]) & (home_of_b[b[both]] != a[both])
    return answer


def homes(atoms: Overlay, of: int, in_net: int) -> Integers:
    """Return the home of each grid of one net in another, `NOBODY` for grids without land there; of equals the first."""
    a, b = atoms.owner[:, of], atoms.owner[:, in_net]
    both = (a != NOBODY) & (b != NOBODY)
    pairs, inverse = np.unique(np.column_stack([a[both], b[both]]), axis=0, return_inverse=True)
    shared = np.bincount(inverse.ravel(), atoms.area_m2[both], len(pairs))
    order = np.lexsort((pairs[:, 1], -shared, pairs[:, 0]))
    answer = np.full(len(atoms.nets[of]), NOBODY, dtype=np.int64)
    row, first = np.unique(pairs[order, 0], return_index=True)
    answer[row] = pairs[order[first], 1]
    return answer


def atoms_of(atoms: Overlay, net: int, row: int) -> Flags:
    """Return which atoms a grid holds, alone or beside others of its net."""
    held = atoms.owner[:, net] == row
    held[atoms.double.atom[(atoms.double.net == net) & (atoms.double.row == row)]] = True
    return held


def disputes(atoms: Overlay, tolerance_m: float, among: list[int] | None = None) -> Disputes:
    """Return the disputes between nets.

    Parameters
    ----------
    tolerance_m
        That of the overlay; tells shifted grids from crossing ones. Unit: m.
    among
        Positions of the nets to look at; default all.
    """
    chosen = list(range(len(atoms.nets))) if among is None else among
    found = [_of_pair(atoms, pair_comparison(atoms, i, j, tolerance_m)) for i, j in itertools.combinations(chosen, 2)]
    if not found:
        return Disputes(np.empty((0, 2), np.int64), np.empty((0, 2), np.int64), np.empty(0), np.empty((0, 2)), 0)
    net, row, shared, share = (np.concatenate([each[k] for each in found]) for k in range(4))
    order = np.lexsort((row[:, 1], row[:, 0], net[:, 1], net[:, 0], -shared))
    return Disputes(net[order], row[order], shared[order], share[order], sum(each[4] for each in found))


def _of_pair(atoms: Overlay, pair: PairComparison) -> tuple[Integers, Integers, Floats, Floats, int]:
    pairs, (i, j) = pair.pairs, pair.net
    crossing = (
        (pair.relation[0][pairs.first] == CROSSING)
        & (pair.relation[1][pairs.second] == CROSSING)
        & (pairs.shared_m2 > 0.0)
    )
    away = (homes(atoms, i, j)[pairs.first] != pairs.second) & (homes(atoms, j, i)[pairs.second] != pairs.first)
    kept = np.flatnonzero(crossing & away)
    return (
        np.tile(np.array([i, j], dtype=np.int64), (len(kept), 1)),
        np.column_stack([pairs.first[kept], pairs.second[kept]]),
        pairs.shared_m2[kept],
        np.column_stack([pairs.share_of_first[kept], pairs.share_of_second[kept]]),
        int(crossing.sum()),
    )
