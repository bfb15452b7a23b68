"""Nets held against each other: what is wrong in each, and which grids of two nets are the same, shifted, nested or at odds.

Everything but the faults of a single net comes from one set of atoms, so all pairs of any number of nets agree with each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import NOBODY, TOLERANCE_M, Overlay, overlay

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Geometries = NDArray[np.object_]
Flags = NDArray[np.bool_]

# how a grid stands to the grids of another net
RELATIONS = ("aligned", "shifted", "nested", "holds", "crossing", "alone")
ALIGNED, SHIFTED, NESTED, HOLDS, CROSSING, ALONE = range(6)
SLIVER_M = 1.0
# a grid is matched by shape where the shared land is at least this part of what both cover together
MATCH_SHARE = 0.5
# moved onto its match, a shifted grid shares at least so much more of the land of both
_SHIFTED_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class NetQuality:
    """What is wrong in one net.

    ``gaps`` are enclosed pieces of land that no grid holds, ``overlaps`` pieces that several hold, each polygon once, the grids (rows)
    of piece i being ``claims[i]``; both ordered by falling area. ``is_sliver`` says which are thinner than the sliver width. ``mended`` are
    the rows of shapes that were invalid.
    """

    net: str
    grids: int
    area_m2: float
    gaps: Geometries
    gap_is_sliver: Flags
    overlaps: Geometries
    overlap_is_sliver: Flags
    claims: list[list[int]]
    mended: Integers

    @property
    def is_exact(self) -> bool:
        """Answer whether there are no gaps inside and no overlaps."""
        return not len(self.gaps) and not len(self.overlaps)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of a grid of one net and a grid of another that share land, and those of equal code or name that do not.

    Rows of grids; shares of the land of the first and of the second, and of what both cover together, borders within the tolerance
    taken as one. ``by_shape`` marks pairs that are each other's best and share half of that; ``by_code`` and ``by_name`` those
    that are called the same (names that come once in both nets). ``offset_m`` is how far the middle of the second lies from that of the
    first, east and north; only of pairs by shape, else NaN.
    """

    first: Integers
    second: Integers
    shared_m2: Floats
    share_of_first: Floats
    share_of_second: Floats
    share_of_both: Floats
    by_shape: Flags
    by_code: Flags
    by_name: Flags
    offset_m: Floats

    @property
    def is_match(self) -> Flags:
        """Return which pairs are matched by shape, code or name."""
        return self.by_shape | self.by_code | self.by_name


@dataclass(frozen=True, slots=True)
class PairComparison:
    """How two nets stand to each other.

    ``net`` are their positions. ``relation`` gives, for each grid of either, a position in `RELATIONS`: aligned (one and the same grid within
    the tolerance), shifted (the same grid elsewhere), nested (wholly in one larger grid), holds (made up of whole smaller ones),
    alone (no grid of the other net there), else crossing. Areas in m2: what both hold, one alone, and all.
    """

    net: tuple[int, int]
    pairs: Pairs
    relation: tuple[Integers, Integers]
    both_m2: float
    first_only_m2: float
    second_only_m2: float

    def counts(self, side: int) -> dict[str, int]:
        """Return how many grids of one side (0 or 1) stand in each relation."""
        found = np.bincount(self.relation[side], minlength=len(RELATIONS))
        return dict(zip(RELATIONS, map(int, found), strict=True))


@dataclass(frozen=True, slots=True)
class Comparison:
    """All nets held against each other: their faults, every pair, and the atoms that say who holds what."""

    quality: list[NetQuality]
    pairs: list[PairComparison]
    atoms: Overlay
    tolerance_m: float


def compare(
    nets: Sequence[Net],
    *,
    tolerance_m: float = TOLERANCE_M,
    sliver_m: float = SLIVER_M,
    boundary: shapely.Geometry | None = None,
    lines: Geometries | None = None,
) -> Comparison:
    """Return what is wrong in each net and how every two of them stand to each other.

    Parameters
    ----------
    nets
        Two or more (one is compared with nothing). CRS: projected, metric.
    tolerance_m
        Borders this near are one. Unit: m.
    sliver_m
        Gaps and overlaps thinner than this are slivers. Unit: m.
    boundary, lines
        As in `overlay`.

    Raises
    ------
    GridsvcError
        As `overlay`.
    """
    atoms = overlay(nets, tolerance_m=tolerance_m, boundary=boundary, lines=lines)
    return Comparison(
        quality=[net_quality(net, sliver_m=sliver_m) for net in nets],
        pairs=[pair_comparison(atoms, i, j, tolerance_m) for i, j in itertools.combinations(range(len(nets)), 2)],
        atoms=atoms,
        tolerance_m=tolerance_m,
    )


def net_quality(net: Net, *, sliver_m: float = SLIVER_M) -> NetQuality:
    """Return the gaps, overlaps and mended shapes of a net."""
    mended = np.flatnonzero(net.repaired != None).astype(np.int64)  # noqa: E711 - of an array
    area = float(shapely.area(net.geometry).sum())
    atoms = overlay([net], tolerance_m=0.0)
    gaps = np.flatnonzero(atoms.is_orphan)
    gaps = gaps[np.argsort(-atoms.area_m2[gaps], kind="stable")]
    overlaps, start = np.unique(atoms.double.atom, return_index=True)
    further = np.split(atoms.double.row, start[1:])
    order = np.argsort(-atoms.area_m2[overlaps], kind="stable")
    return NetQuality(
        net=net.name,
        grids=len(net),
        area_m2=area,
        gaps=atoms.geometry[gaps],
        gap_is_sliver=_is_thin(atoms.geometry[gaps], sliver_m),
        overlaps=atoms.geometry[overlaps[order]],
        overlap_is_sliver=_is_thin(atoms.geometry[overlaps[order]], sliver_m),
        claims=[[int(atoms.owner[overlaps[k], 0]), *map(int, further[k])] for k in order],
        mended=mended,
    )


def _is_thin(shapes: Geometries, width_m: float) -> Flags:
    return 2.0 * shapely.area(shapes) < width_m * shapely.length(shapes)


def pair_comparison(atoms: Overlay, i: int, j: int, tolerance_m: float) -> PairComparison:
    """Return how the nets at positions ``i`` and ``j`` of an overlay stand to each other."""
    one, other = atoms.nets[i], atoms.nets[j]
    first, second, shared = _meetings(atoms, i, j)
    total_first = np.bincount(first[first >= 0], shared[first >= 0], len(one)).astype(float)
    total_second = np.bincount(second[second >= 0], shared[second >= 0], len(other)).astype(float)
    both = (first >= 0) & (second >= 0)
    pairs = _pairs(one, other, first[both], second[both], shared[both], total_first, total_second)
    relation = _relations(one, other, first, second, pairs, tolerance_m)
    return PairComparison(
        net=(i, j),
        pairs=pairs,
        relation=relation,
        both_m2=float(shared[both].sum()),
        first_only_m2=float(shared[(first >= 0) & (second < 0)].sum()),
        second_only_m2=float(shared[(first < 0) & (second >= 0)].sum()),
    )


def _meetings(atoms: Overlay, i: int, j: int) -> tuple[Integers, Integers, Floats]:
    """Return each pair of rows that share an atom, `NOBODY` on one side too, and the area of those atoms; double claims count for each."""
    rows = [np.column_stack([np.arange(len(atoms.owner)), atoms.owner[:, i], atoms.owner[:, j]])]
    for k, column in ((i, 1), (j, 2)):
        here = atoms.double.net == k
        claimed = np.column_stack([atoms.double.atom[here]] * 3)
        claimed[:, 1:] = atoms.owner[claimed[:, 0]][:, [i, j]]
        claimed[:, column] = atoms.double.row[here]
        rows.append(claimed)
    every = np.concatenate(rows)
    every = every[(every[:, 1:] != NOBODY).any(axis=1)]
    known, inverse = np.unique(every[:, 1:], axis=0, return_inverse=True)
    area = np.bincount(inverse.ravel(), atoms.area_m2[every[:, 0]], len(known))
    return known[:, 0], known[:, 1], area.astype(float)


def _pairs(
    one: Net, other: Net, first: Integers, second: Integers, shared: Floats, total_first: Floats, total_second: Floats
) -> Pairs:
    named = np.concatenate([_alike(one.code, other.code), _alike(one.title, other.title)])
    size = len(other)
    key, more = first * size + second, np.unique(named[:, 0] * size + named[:, 1])
    apart = more[~np.isin(more, key)]
    key = np.concatenate([key, apart])
    order = np.argsort(key, kind="stable")
    shared = np.concatenate([shared, np.zeros(len(apart))])[order]
    first, second = key[order] // size, key[order] % size
    a, b = total_first[first], total_second[second]
    share = shared / np.maximum(a + b - shared, np.finfo(float).tiny)
    by_shape = (share >= MATCH_SHARE) & _is_best(first, share) & _is_best(second, share)
    offset = np.full((len(first), 2), np.nan)
    offset[by_shape] = shapely.get_coordinates(shapely.centroid(other.geometry[second[by_shape]])) - (
        shapely.get_coordinates(shapely.centroid(one.geometry[first[by_shape]]))
    )
    return Pairs(
        first=first,
        second=second,
        shared_m2=shared,
        share_of_first=shared / np.maximum(a, np.finfo(float).tiny),
        share_of_second=shared / np.maximum(b, np.finfo(float).tiny),
        share_of_both=share,
        by_shape=by_shape,
        by_code=one.code[first] == other.code[second],
        by_name=np.isin(key[order], _keys(_alike(one.title, other.title), size)),
        offset_m=offset,
    )


def _keys(pairs: Integers, size: int) -> Integers:
    return pairs[:, 0] * size + pairs[:, 1]


def _alike(one: NDArray[np.object_], other: NDArray[np.object_]) -> Integers:
    """Return the pairs of rows with the same text, which is not empty and comes once on both sides. Shape: (n, 2)."""
    sides = []
    for texts in (one, other):
        known, first, count = np.unique(texts.astype(str), return_index=True, return_counts=True)
        single = (count == 1) & (known != "")
        sides.append((known[single], first[single]))
    _, a, b = np.intersect1d(sides[0][0], sides[1][0], assume_unique=True, return_indices=True)
    return np.column_stack([sides[0][1][a], sides[1][1][b]]).astype(np.int64)


def _is_best(group: Integers, share: Floats) -> Flags:
    """Return which rows have the largest share of their group; of equal ones the first."""
    order = np.lexsort((np.arange(len(group)), -share, group))
    is_first = np.ones(len(group), dtype=bool)
    is_first[1:] = group[order[1:]] != group[order[:-1]]
    answer = np.empty(len(group), dtype=bool)
    answer[order] = is_first
    return answer


def _relations(
    one: Net, other: Net, first: Integers, second: Integers, pairs: Pairs, tolerance_m: float
) -> tuple[Integers, Integers]:
    """Return the relation of each grid of both nets, from all pairs that share land, with `NOBODY` on one side too."""
    sizes = len(one), len(other)
    sides = (first, second)
    # how many grids of the other net (nobody counts as one) each grid meets
    met = [np.bincount(side[side >= 0], minlength=size) for side, size in zip(sides, sizes, strict=True)]
    answer = []
    for near, far, size in ((0, 1, sizes[0]), (1, 0, sizes[1])):
        a, b = sides[near], sides[far]
        relation = np.full(size, CROSSING, dtype=np.int64)
        known = (a >= 0) & (b >= 0)
        single = known & (met[far][b] == 1)
        # every grid met is met by this one alone
        whole = np.bincount(a[single], minlength=size) == met[near]
        relation[whole & (met[near] > 1)] = HOLDS
        alone = np.bincount(a[known], minlength=size) == 0
        relation[alone] = ALONE
        only = known & (met[near][a] == 1)
        relation[a[only]] = np.where(met[far][b[only]] == 1, ALIGNED, NESTED)
        answer.append(relation)
    _mark_shifted(one, other, pairs, answer, tolerance_m)
    return answer[0], answer[1]


def _mark_shifted(one: Net, other: Net, pairs: Pairs, relation: list[Integers], tolerance_m: float) -> None:
    """Mark the crossing grids that coincide with their match once moved by the offset of the two."""
    far = np.hypot(pairs.offset_m[:, 0], pairs.offset_m[:, 1]) > tolerance_m / 2
    asked = pairs.by_shape & far & (relation[0][pairs.first] == CROSSING) & (relation[1][pairs.second] == CROSSING)
    rows = np.flatnonzero(asked)
    if not len(rows):
        return
    # where the middles lie apart by a long way on one side only, the offset is no shift; the shared land says so
    a, b = one.geometry[pairs.first[rows]], other.geometry[pairs.second[rows]]
    vertices, which = shapely.get_coordinates(a, return_index=True)
    moved = shapely.set_coordinates(a.copy(), vertices + pairs.offset_m[rows][which])
    shared = shapely.area(shapely.intersection(moved, b))
    share = shared / (shapely.area(a) + shapely.area(b) - shared)
    is_shifted = (share >= _SHIFTED_SHARE) & (share > pairs.share_of_both[rows])
    relation[0][pairs.first[rows[is_shifted]]] = SHIFTED
    relation[1][pairs.second[rows[is_shifted]]] = SHIFTED
