"""Proposals of one net for several networks, each with what it would cost: who changes grid, what survives, where borders lie.

Every proposal groups the atoms of all networks: grids hang together, cover all land once, follow lines that some network drew, and keep
dedicated grids, communities and unit grids whole. Which is best is for people to decide; the costs say what they decide between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gridsvc.division.communities import DivisionRules
from gridsvc.errors import GridsvcError
from gridsvc.geo.planar_map import numbered_by_first
from gridsvc.networks.agreement import Votes, absorbed, agreed_groups, joined, moved, recut, standing, votes_of
from gridsvc.networks.overlay import NOBODY
from gridsvc.networks.unified_ground import UnifiedGround

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Geometries = NDArray[np.object_]

REFERENCE, AGREED, BALANCED = ALTERNATIVES = ("reference", "agreed", "balanced")
_BALANCING_ROUNDS = 4
_WHOLE = 1e-9


@dataclass(frozen=True, slots=True)
class HouseholdBounds:
    """How many households a grid should have. Source of the default: 300-500 (`division.communities.SOURCES`)."""

    low: int = DivisionRules().households_min
    high: int = DivisionRules().households_max

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high or self.high == 0:
            raise GridsvcError(
                f"Bounds of {self.low} to {self.high} households make no sense.",
                hint="Give two numbers, the lower first.",
            )


@dataclass(frozen=True, slots=True)
class Proposal:
    """One way to make a unified net, as a grouping of atoms.

    Attributes
    ----------
    name
        One of `ALTERNATIVES`.
    group
        Unified grid of each atom. Shape: (atoms,).
    matched
        By voter, the unified grid that continues each of its grids, -1 for none: pairs by people in common (land where nobody lives),
        most first, each grid and each unified grid once, where they share more than half of either.
    continues
        Row in the reference network of the grid whose code each unified grid keeps, `NOBODY` for a new code.
    """

    name: str
    group: Integers
    matched: tuple[Integers, ...]
    continues: Integers

    def __len__(self) -> int:
        """Return the number of unified grids."""
        return len(self.continues)

    def sums(self, values: NDArray) -> Floats:
        """Return the sums of figures of atoms by unified grid."""
        return np.bincount(self.group, values, len(self)).astype(float)

    def geometry(self, ground: UnifiedGround) -> Geometries:
        """Return the polygons: an exact coverage. CRS: that of the atoms."""
        order = np.argsort(self.group, kind="stable")
        start = np.searchsorted(self.group[order], np.arange(len(self) + 1))
        shapes = ground.atoms.geometry[order]
        unions = np.empty(len(self), dtype=object)
        unions[:] = [shapely.coverage_union_all(shapes[start[k] : start[k + 1]]) for k in range(len(self))]
        return np.asarray(shapely.normalize(unions), dtype=object)


def proposals(ground: UnifiedGround, *, bounds: HouseholdBounds | None = None) -> list[Proposal]:
    """Return the alternatives, in the order of `ALTERNATIVES`; ``balanced`` only where households are known.

    * ``agreed``: pairs of places that most networks hold in one grid are in one, others apart (the reference breaks ties). What is then
      left over, in no way the larger part of any network's grid, goes to the neighbour that most networks hold it together with, of
      equal ones to that with the longest border; so does land nobody holds.
    * ``reference``: the reference network's grids, its gaps filled as ``agreed`` has them: by a grid that another network has there, or by the neighbours.
    * ``balanced``: ``agreed``, with grids of too many households cut along blocks, those of too few joined, and blocks moved across
      borders, as long as fewer grids and households lie outside the bounds.

    Notes
    -----
    Source: median partitions under the pair-counting metric of Mirkin; consensus clustering, Filkov and Skiena 2004, Gionis et al. 2007. That each
    piece hangs together and the treatment of what is left over are ours (decision 0026). Cost: grows with the atoms.
    """
    votes = votes_of(ground)
    agreed = _agreed(ground, votes)
    found = {REFERENCE: _of_reference(ground, votes, agreed), AGREED: agreed}
    if ground.households is not None:
        found[BALANCED] = _balanced(ground, votes, agreed, bounds or HouseholdBounds())
    return [_proposal(ground, name, group[ground.block]) for name, group in found.items()]


def _agreed(ground: UnifiedGround, votes: Votes) -> Integers:
    group = agreed_groups(votes)
    return _without_crumbs(ground, votes, group, np.empty(0, dtype=np.int64))


def _without_crumbs(ground: UnifiedGround, votes: Votes, group: Integers, firm: Integers) -> Integers:
    """Return groups of blocks with crumbs joined to neighbours; the groups of blocks ``firm`` are none."""
    while True:
        group = numbered_by_first(group)
        is_weak = ~standing(votes, group)
        is_weak[group[firm]] = False
        is_weak[group[ground.dedicated >= 0]] = False
        after = numbered_by_first(absorbed(votes, group, is_weak))
        if int(after.max()) == int(group.max()):
            return after
        group = after


def _connected(ground: UnifiedGround, label: Integers) -> Integers:
    """Return the parts that hang together of blocks with one label."""
    same = label[ground.first] == label[ground.second]
    count = ground.blocks
    graph = coo_matrix((np.ones(same.sum()), (ground.first[same], ground.second[same])), shape=(count, count))
    return numbered_by_first(connected_components(graph, directed=False)[1].astype(np.int64))


def largest(group: Integers, value: Integers, weight: Integers) -> tuple[Integers, Integers]:
    """Return each group that has a value, and of its values the one that weighs most (of equal ones the lowest)."""
    pairs, which = np.unique(np.column_stack([group, value]), axis=0, return_inverse=True)
    total = np.bincount(which.ravel(), weight, len(pairs))
    order = np.lexsort((pairs[:, 1], -total, pairs[:, 0]))
    first = order[np.unique(pairs[order, 0], return_index=True)[1]]
    return pairs[first, 0], pairs[first, 1]


def _of_reference(ground: UnifiedGround, votes: Votes, agreed: Integers) -> Integers:
    _, label = largest(ground.block, ground.owner[:, ground.reference], ground.weight)
    gaps = label == NOBODY
    part = _connected(ground, np.where(gaps, int(label.max()) + 1 + agreed, label))
    block_weight = np.bincount(ground.block, ground.weight, ground.blocks).astype(np.int64)
    held = np.flatnonzero(~gaps)
    _, main = largest(label[held], part[held], block_weight[held])
    _, first = np.unique(part, return_index=True)
    return _without_crumbs(ground, votes, part, first[main])


def _balanced(ground: UnifiedGround, votes: Votes, agreed: Integers, bounds: HouseholdBounds) -> Integers:
    group = agreed
    for _ in range(_BALANCING_ROUNDS):
        before = group
        group = _cut(ground, votes, group, bounds)
        group = joined(votes, group, cap=bounds.high, below=bounds.low)
        group = moved(votes, group, low=bounds.low, high=bounds.high)
        group = numbered_by_first(recut(votes, group, low=bounds.low, high=bounds.high))
        if (group == before).all():
            break
    return group


def _cut(ground: UnifiedGround, votes: Votes, group: Integers, bounds: HouseholdBounds) -> Integers:
    """Return groups with those of too many households cut along blocks; what most networks hold together stays so longest."""
    homes = np.bincount(group, votes.homes)
    large = homes[group] > bounds.high
    if not large.any():
        return group
    inside = large[ground.first] & (group[ground.first] == group[ground.second])
    one = np.concatenate([ground.first[inside], ground.second[inside]])
    other = np.concatenate([ground.second[inside], ground.first[inside]])
    order = np.lexsort((other, one))
    places = np.arange(ground.blocks + 1)
    alone = votes._replace(
        near=other[order],
        near_m=np.tile(ground.border_m[inside], 2)[order],
        near_start=np.searchsorted(one[order], places).astype(np.int64),
    )
    apart = np.where(large, int(group.max()) + 1 + np.arange(len(group)), group)
    return numbered_by_first(joined(alone, apart, cap=bounds.high, below=np.inf))


def _proposal(ground: UnifiedGround, name: str, group: Integers) -> Proposal:
    group = numbered_by_first(group)
    matched = tuple(_matches(ground, k, group) for k in range(len(ground.voters)))
    continues = np.full(int(group.max()) + 1, NOBODY, dtype=np.int64)
    own = matched[ground.reference]
    continues[own[own >= 0]] = np.flatnonzero(own >= 0)
    return Proposal(name, group, matched, continues)


def _matches(ground: UnifiedGround, voter: int, group: Integers) -> Integers:
    """Return the unified grid that continues each grid of a voter, -1 for none."""
    row = ground.owner[:, voter]
    held = row != NOBODY
    size = ground.sizes()[voter]
    pairs, which = np.unique(np.column_stack([row, group])[held], axis=0, return_inverse=True)
    which = which.ravel()
    weight = np.bincount(which, ground.weight[held], len(pairs))
    people = np.bincount(which, ground.people[held], len(pairs))
    area = np.bincount(which, ground.atoms.area_m2[held], len(pairs))
    of_row = np.bincount(row[held], ground.weight[held], size)[pairs[:, 0]]
    of_group = np.bincount(group, ground.weight)[pairs[:, 1]]
    able = np.flatnonzero((2 * weight > of_row) | (2 * weight > of_group))
    codes = ground.atoms.nets[ground.voters[voter]].code.astype(str)
    rank = np.argsort(np.argsort(codes, kind="stable"), kind="stable")
    order = able[np.lexsort((pairs[able, 1], rank[pairs[able, 0]], -np.round(area[able], 3), -people[able]))]
    match = np.full(size, -1, dtype=np.int64)
    taken = np.zeros(int(group.max()) + 1, dtype=bool)
    for i, g in pairs[order].tolist():
        if match[i] < 0 and not taken[g]:
            match[i], taken[g] = g, True
    return match
