"""Dividing a community again while what still serves stays: locked grids, grids in bounds, and as much of the others as can be.

Grids that stay keep every vertex. Those that do not (out of bounds, cutting a building) are divided anew together with as many
neighbours as it takes to bring all of them into bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.atoms import counted_in, lines_by_kind
from gridsvc.division.borders import NONE, EdgeTable, Neighbours
from gridsvc.division.checks import buildings_cut, check_division, check_exact
from gridsvc.division.communities import (
    CommunityDivision,
    CommunityInput,
    DivisionRules,
    Geometries,
    Integers,
    check_community,
    counts_or_zero,
    summed,
)
from gridsvc.division.dividing import dissolved, divide_community, west_to_east
from gridsvc.division.governance_grids import likely_counts
from gridsvc.division.obstacles import within_community
from gridsvc.geo.partitions import node_shared_vertices


@dataclass(frozen=True, slots=True)
class FormerDivision:
    """The grids a community has: an exact partition of it, as it was stored.

    ``governance_of_unit[u]`` numbers the governance grid of unit grid u from 0. ``locked`` marks governance grids that stay whatever
    happens; ``is_dedicated`` those that no household bound holds. Both by governance grid.
    """

    unit_grids: Geometries
    governance_of_unit: Integers
    locked: NDArray[np.bool_]
    is_dedicated: NDArray[np.bool_]


def divide_again(
    community: CommunityInput,
    former: FormerDivision,
    rules: DivisionRules | None = None,
    *,
    seed: int = 0,
    kinds: Sequence[str] = ("unit", "governance"),
    exact_s: float = 0.0,
) -> CommunityDivision:
    """Return the community divided so that locked grids stay as they are and others change only where they must.

    With ``rules.stability`` 0 everything but the locked grids is divided afresh. Above it, grids with households in bounds that cut no
    building stay too; the others are divided together with neighbours, few at first, until all are in bounds, and there households
    stay in their grid the more, the higher the stability. Where nothing has to change the former grids are the answer.

    Parameters
    ----------
    community
        As for ``divide_community``, as are ``rules``, ``seed``, ``kinds`` and ``exact_s``; its ``former`` is set here.
    former
        The unit grids cover the community exactly. CRS: that of the community.

    Raises
    ------
    PartitionError
        The former grids are no exact partition of the community, or what is left of it cannot be divided.
    """
    rules = rules or DivisionRules()
    check_community(community)
    check_exact(community.code, community.boundary, former.unit_grids)
    kept = _Kept.of(community, former, rules)
    for region in kept.regions(rules):
        if not region.any():
            return kept.joined([], region)
        parts = [
            divide_community(part, rules, seed=seed, kinds=kinds, exact_s=exact_s)
            for part in kept.parts_to_divide(community, region)
        ]
        division = kept.joined(parts, region)
        if rules.stability == 0 or not _misses(parts, rules):
            break
    check_division(community, division)
    return division


def _misses(parts: list[CommunityDivision], rules: DivisionRules) -> bool:
    held = np.concatenate([p.governance_households[~p.is_dedicated] for p in parts])
    return bool(((held < rules.households_min) | (held > rules.households_max)).any())


@dataclass(frozen=True, slots=True)
class _Kept:
    """A former division with what it holds today."""

    community: CommunityInput
    former: FormerDivision
    grids: Geometries
    unit_of_building: Integers
    households: Integers
    serves: NDArray[np.bool_]
    neighbours: Neighbours

    @classmethod
    def of(cls, community: CommunityInput, former: FormerDivision, rules: DivisionRules) -> _Kept:
        units, parent = former.unit_grids, former.governance_of_unit
        inside, exists, belongs = within_community(community.buildings, community.boundary)
        unit_of_building = first_holding(units, inside, exists & belongs)
        counts = counts_or_zero(community.households, len(inside))
        held = unit_of_building >= 0
        grids = dissolved(units, parent)
        households = summed(parent[unit_of_building[held]], counts[held], len(grids)).astype(np.int64)
        serves = (households >= rules.households_min) & (households <= rules.households_max)
        serves |= former.is_dedicated
        cut = buildings_cut(units, inside)
        if len(cut):
            _, touched = shapely.STRtree(grids).query(inside[cut], predicate="intersects")
            serves[touched] = False
        edges = EdgeTable.of(grids)
        inner = edges.right >= 0
        length = edges.length_m[inner]
        near = Neighbours.of_pairs(len(grids), edges.left[inner], edges.right[inner], length, length)
        return cls(community, former, grids, unit_of_building, households, serves, near)

    def regions(self, rules: DivisionRules) -> list[NDArray[np.bool_]]:
        """Return the sets of grids to divide anew, each larger than the one before."""
        free = ~self.former.locked
        if rules.stability == 0:
            return [free]
        region = ~self.serves & free
        if not region.any():
            return [region]
        found = []
        while True:
            while not self._can_serve(region, rules) and self._grow(region, free):
                pass
            found.append(region.copy())
            if not self._grow(region, free):
                return found

    def _can_serve(self, region: NDArray[np.bool_], rules: DivisionRules) -> bool:
        """Answer whether the households of each connected part of the region can be shared out in bounds."""
        members = np.flatnonzero(region)
        part = self.neighbours.among(members).components()
        for total in np.bincount(part, self.households[members]):
            count = likely_counts(int(total), rules)[0]
            if not rules.households_min <= total / count <= rules.households_max:
                return False
        return True

    def _grow(self, region: NDArray[np.bool_], free: NDArray[np.bool_]) -> bool:
        """Add the free neighbour with the longest border to the region; answer whether there was one."""
        near = self.neighbours
        rows = np.repeat(np.arange(len(region)), np.diff(near.start))
        beside = region[rows] & ~region[near.ids] & free[near.ids]
        if not beside.any():
            return False
        shared = summed(near.ids[beside], near.shared_m[beside], len(region))
        region[int(shared.argmax())] = True
        return True

    def parts_to_divide(self, community: CommunityInput, region: NDArray[np.bool_]) -> list[CommunityInput]:
        """Return the connected parts of the region as communities."""
        members = np.flatnonzero(region)
        part = self.neighbours.among(members).components()
        parent = self.former.governance_of_unit
        inputs = []
        for number in range(int(part.max()) + 1):
            grids = members[part == number]
            units = self.former.unit_grids[np.isin(parent, grids)]
            boundary = dissolved(units, np.zeros(len(units), dtype=np.int64))[0]
            held = (self.unit_of_building >= 0) & np.isin(parent[self.unit_of_building], grids)
            inputs.append(
                replace(
                    community,
                    boundary=boundary,
                    households=np.where(held, counts_or_zero(community.households, len(held)), 0),
                    population=np.where(held, counts_or_zero(community.population, len(held)), 0),
                    former=self.grids[grids],
                )
            )
        return inputs

    def joined(self, parts: list[CommunityDivision], region: NDArray[np.bool_]) -> CommunityDivision:
        """Return the grids that stay and the new ones as one division of the whole community."""
        stay = ~region[self.former.governance_of_unit]
        numbers: Integers = np.cumsum(~region) - 1
        units = [self.former.unit_grids[stay]]
        parents: list[Integers] = [numbers[self.former.governance_of_unit[stay]]]
        dedicated = [self.former.is_dedicated[~region]]
        made = int((~region).sum())
        for part in parts:
            units.append(part.unit_grids)
            parents.append(part.governance_of_unit + made)
            dedicated.append(part.is_dedicated)
            made += len(part.governance_grids)
        return assembled_from(
            self.community,
            # where new borders end at grids that stay, these gain a vertex
            node_shared_vertices(np.concatenate(units)) if parts else units[0],
            np.concatenate(parents),
            np.concatenate(dedicated),
            tuple(note for part in parts for note in part.notes),
        )


def assembled_from(
    community: CommunityInput,
    units: Geometries,
    parent: Integers,
    is_dedicated: NDArray[np.bool_],
    notes: tuple[str, ...],
    rules: DivisionRules | None = None,
) -> CommunityDivision:
    """Return unit grids and the governance grid of each as a division, with what they hold counted.

    Parameters
    ----------
    units
        An exact coverage of the community.
    parent
        Governance grid of each unit grid, 0 to n - 1, each used. ``is_dedicated`` is by governance grid.
    """
    rules = rules or DivisionRules()
    grids = dissolved(units, parent)
    unit_order, grid_order = west_to_east(units), west_to_east(grids)
    grid_rank = np.argsort(grid_order)
    inside, exists, belongs = within_community(community.buildings, community.boundary)
    unit_of = first_holding(units[unit_order], inside, exists & belongs)
    parent = grid_rank[parent][unit_order]
    edges = EdgeTable.of(grids[grid_order])
    inner = edges.right >= 0
    kind = edges.kinds(lines_by_kind(community), 5 * rules.snap_m)
    counts = {}
    held = unit_of >= 0
    for name in ("households", "population"):
        given = counts_or_zero(getattr(community, name), len(inside))
        by_unit = summed(unit_of[held], given[held], len(units)).astype(np.int64)
        counts[f"unit_{name}"] = by_unit
        counts[f"governance_{name}"] = summed(parent, by_unit, len(grids)).astype(np.int64)
    built = np.bincount(unit_of[held], minlength=len(units)) > 0
    each = np.arange(len(grids))
    return CommunityDivision(
        code=community.code,
        unit_grids=units[unit_order],
        governance_of_unit=parent,
        governance_grids=grids[grid_order],
        unit_target_m2=rules.unit_area_m2 / np.where(built, 1.0, rules.open_land_weight),
        governance_components=counted_in(grids[grid_order], each, community.components),
        governance_events=counted_in(grids[grid_order], each, community.events, community.event_counts),
        is_dedicated=is_dedicated[grid_order],
        unit_of_building=unit_of,
        border_m=float(edges.length_m[inner].sum()),
        border_on_lines_m=float(edges.length_m[inner & (kind != NONE)].sum()),
        notes=notes,
        **counts,
    )


def first_holding(units: Geometries, inside: Geometries, belongs: NDArray[np.bool_]) -> Integers:
    """Return the first unit grid that holds the inner point of each building, -1 for those that do not belong here."""
    unit_of = np.full(len(inside), -1, dtype=np.int64)
    chosen = np.flatnonzero(belongs)
    if len(chosen):
        point, unit = shapely.STRtree(units).query(shapely.point_on_surface(inside[chosen]), predicate="intersects")
        order = np.lexsort((-unit, point))
        unit_of[chosen[point[order]]] = unit[order]
    return unit_of
