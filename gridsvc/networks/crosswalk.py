"""Crosswalks between two nets, both ways, by any weight; figures of one net carried over to another, sums preserved.

A weight is what a piece of land counts: its area, the households in it, the events reported there. The figure of a grid is spread over the
pieces it shares with grids of the other net in proportion to the weight, so that nothing is lost and nothing is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import GridsvcError
from gridsvc.networks.overlay import NOBODY, Overlay
from gridsvc.networks.responsibility import AtomIndex

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crosswalk:
    """How the land of one net lies in another, by weight.

    Row i: grid ``from_row[i]`` of the first has ``weight[i]`` in common with grid ``to_row[i]`` of the second; `NOBODY` is the land that only
    one of them holds. ``from_share`` are parts of the first grid's weight, which add up to 1 for each grid; ``to_share`` parts of the second's.
    Where a grid weighs nothing in all, ``area_m2`` decides instead. Ordered by from_row, then to_row. ``sizes`` are the numbers of grids.
    """

    from_row: Integers
    to_row: Integers
    area_m2: Floats
    weight: Floats
    from_share: Floats
    to_share: Floats
    sizes: tuple[int, int]

    def reversed(self) -> Crosswalk:
        """Return the crosswalk the other way."""
        order = np.lexsort((self.from_row, self.to_row))
        return Crosswalk(
            self.to_row[order],
            self.from_row[order],
            self.area_m2[order],
            self.weight[order],
            self.to_share[order],
            self.from_share[order],
            self.sizes[::-1],
        )


@dataclass(frozen=True, slots=True)
class Rebased:
    """Figures of one net carried over to another.

    ``value`` by grid of the second net, ``unplaced`` what lies where the second net holds nothing; together they add up to the
    figures given. ``standard_error`` is that of units dropped one by one, by chance, with the weights as odds: 0 where no grid was cut. ``low`` and
    ``high`` hold whatever the true spread is, for figures of 0 and above: all that surely lies in the grid, and all that can.
    """

    value: NDArray
    unplaced: float
    standard_error: Floats
    low: Floats
    high: Floats


def crosswalk(atoms: Overlay, first: int, second: int, weight: ArrayLike | None = None) -> Crosswalk:
    """Return the crosswalk from the net at position ``first`` of an overlay to the one at ``second``.

    Parameters
    ----------
    weight
        What each atom counts, 0 or more; default its area (m2). Land that several grids of a net claim goes to the first of them, as
        everywhere. Shape: (atoms,).

    Raises
    ------
    GridsvcError
        When the weights are of another number, below 0 or no numbers.
    """
    weights = atoms.area_m2 if weight is None else np.asarray(weight, dtype=float)
    if weights.shape != atoms.area_m2.shape or not (np.isfinite(weights) & (weights >= 0)).all():
        raise GridsvcError(f"Weights are {len(atoms.area_m2)} numbers of 0 or more, one for each atom.")
    owner = atoms.owner[:, [first, second]]
    known = (owner != NOBODY).any(axis=1)
    pairs, inverse = np.unique(owner[known], axis=0, return_inverse=True)
    area = np.bincount(inverse.ravel(), atoms.area_m2[known], len(pairs)).astype(float)
    weighed = np.bincount(inverse.ravel(), weights[known], len(pairs)).astype(float)
    return crosswalk_of(pairs[:, 0], pairs[:, 1], area, weighed, (len(atoms.nets[first]), len(atoms.nets[second])))


def crosswalk_of(
    from_row: ArrayLike, to_row: ArrayLike, area_m2: ArrayLike, weight: ArrayLike, sizes: tuple[int, int]
) -> Crosswalk:
    """Return the crosswalk of pairs that were measured before, each pair once: shares follow from their areas and weights.

    Parameters
    ----------
    from_row, to_row
        Rows of grids, `NOBODY` for land that only the other net holds. Shape: (n,).
    area_m2, weight
        What the two have in common, 0 or more; the area above 0. Unit of the area: m2. Shape: (n,).
    """
    rows = np.asarray(from_row, dtype=np.int64), np.asarray(to_row, dtype=np.int64)
    order = np.lexsort((rows[1], rows[0]))
    one, other = (row[order] for row in rows)
    area, weighed = (np.asarray(values, dtype=float)[order] for values in (area_m2, weight))
    shares = [_shares(row, weighed, area, size) for row, size in zip((one, other), sizes, strict=True)]
    return Crosswalk(one, other, area, weighed, shares[0], shares[1], sizes)


def _shares(row: Integers, weight: Floats, area: Floats, size: int) -> Floats:
    """Return the part of each row's weight; of its area where it weighs nothing."""
    place = np.where(row == NOBODY, size, row)
    total, land = np.bincount(place, weight, size + 1), np.bincount(place, area, size + 1)
    weighs = total[place] > 0
    share = np.where(weighs, weight, area) / np.where(weighs, total[place], land[place])
    # the shares of a grid add up to 1 but for rounding; the largest takes that
    order = np.lexsort((np.arange(len(row)), -share, place))
    largest = order[np.unique(place[order], return_index=True)[1]]
    rest = 1.0 - np.bincount(place, share, size + 1)
    share[largest] += rest[place[largest]]
    return share


def counts_by_atom(atoms: Overlay, x: ArrayLike, y: ArrayLike, count: ArrayLike | None = None) -> tuple[Floats, float]:
    """Return how many points (households, events) lie in each atom, and how many in none.

    Parameters
    ----------
    x, y
        CRS: that of the overlay. Shape: (n,).
    count
        What each point counts; default 1.
    """
    found = AtomIndex(atoms).find(x, y)
    counted = np.ones(len(found)) if count is None else np.asarray(count, dtype=float)
    held = found >= 0
    return np.bincount(found[held], counted[held], len(atoms.area_m2)).astype(float), float(counted[~held].sum())


def rebased(walk: Crosswalk, value: ArrayLike, *, whole: bool = False) -> Rebased:
    """Return figures of the first net's grids carried over to the second's; their sum is preserved.

    Parameters
    ----------
    value
        One figure for each grid of the first net. Figures that add up (people, requests), no rates. Shape: (n,).
    whole
        Give whole numbers, exactly preserved: what is left of each grid's figure goes to its largest remainders. The figures must be
        whole numbers.

    Raises
    ------
    GridsvcError
        When there are other figures than grids, one is no number, or not whole where whole numbers are asked.

    Notes
    -----
    Source: areal and dasymetric weighting (Goodchild and Lam 1980; Mennis 2003); largest remainders (Hamilton). The error assumes that a unit falls
    into a piece with the odds of its weight: sum of v p (1 - p); what the weights themselves get wrong it cannot know, ``low`` and ``high`` can.
    """
    figures = np.asarray(value, dtype=float)
    if figures.shape != (walk.sizes[0],) or not np.isfinite(figures).all():
        raise GridsvcError(f"{walk.sizes[0]} grids need as many figures.", hint="Give 0 where a grid has none.")
    if whole and (figures != np.rint(figures)).any():
        raise GridsvcError("Whole numbers were asked for, but the figures are none.", hint="Leave whole out.")
    kept = walk.from_row != NOBODY
    place, to, share = walk.from_row[kept], walk.to_row[kept], walk.from_share[kept]
    met = np.bincount(place, minlength=walk.sizes[0])
    spread = figures[place] * share
    if whole:
        spread = _largest_remainders(place, spread, figures)
    size = walk.sizes[1]
    to = np.where(to == NOBODY, size, to)
    total = np.bincount(to, spread, size + 1)
    # figures of grids whose land the overlay does not hold at all
    unplaced = float(total[size] + figures[met == 0].sum())
    surely = met[place] == 1
    error = np.bincount(to, np.abs(figures[place]) * np.clip(share * (1.0 - share), 0.0, None), size + 1)
    return Rebased(
        value=total[:size].astype(np.int64) if whole else total[:size],
        unplaced=unplaced,
        standard_error=np.sqrt(error[:size]),
        low=np.bincount(to[surely], figures[place[surely]], size + 1)[:size].astype(float),
        high=np.bincount(to, figures[place], size + 1)[:size].astype(float),
    )


def _largest_remainders(group: Integers, spread: Floats, figures: Floats) -> Floats:
    """Return whole numbers near ``spread`` that add up to the figure of each group."""
    sign = np.where(figures < 0, -1.0, 1.0)[group]
    whole = np.floor(spread * sign)
    rest = spread * sign - whole
    left = np.rint(np.abs(figures) - np.bincount(group, whole, len(figures))).astype(np.int64)
    order = np.lexsort((np.arange(len(group)), -rest, group))
    first = np.searchsorted(group[order], np.arange(len(figures)))
    rank = np.arange(len(order)) - first[group[order]]
    # floating point may leave one too many as well as too few
    whole[order[rank < left[group[order]]]] += 1.0
    count = np.bincount(group, minlength=len(figures))
    last = rank >= (count + np.minimum(left, 0))[group[order]]
    whole[order[last]] -= 1.0
    return whole * sign
