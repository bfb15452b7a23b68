"""The grids of divided communities joined to one partition: vertices shared across borders, as they will be stored, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import CommunityDivision
from gridsvc.division.dividing import dissolved
from gridsvc.errors import PartitionError
from gridsvc.geo.partitions import is_exact, node_shared_vertices, unmatched_boundaries
from gridsvc.geo.projections import to_metric, to_storage
from gridsvc.services.community_inputs import Area

# stands for whoever owns the grids beside the area
_BESIDE = ""

Geometries = NDArray[np.object_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class JoinedGrids:
    """All new grids of the area as stored (EPSG:4490), in force beside them known.

    ``units`` and ``governance`` are flat over the communities, in their order; ``unit_grid`` is the governance grid of each unit.
    ``is_dedicated`` marks governance grids of dedicated areas.
    ``unmatched`` lists the communities whose grids, as stored, do not cover the boundary as stored edge by edge.
    ``beside`` holds the grids in force around the area, of the finest kind made, noded with it; they are looked at, not stored.
    Empty arrays when nothing was divided.
    """

    epsg: int
    units: Geometries
    unit_metric: Geometries
    unit_community: Geometries
    unit_grid: Integers
    unit_counts: Integers
    governance: Geometries
    governance_metric: Geometries
    governance_community: Geometries
    governance_counts: Integers
    is_dedicated: NDArray[np.bool_]
    unmatched: tuple[str, ...]
    beside: Geometries

    @classmethod
    def of(
        cls,
        area: Area,
        done: Sequence[CommunityDivision],
        beside: gpd.GeoDataFrame,
        *,
        has_units: bool = True,
    ) -> JoinedGrids:
        """Return the grids of the divided communities, sharing vertices with each other and with what lies ``beside`` them.

        Parameters
        ----------
        beside
            Grids in force around the area, of the finest kind made: community_code, geometry. CRS: EPSG:4490.
        has_units
            Without it only governance grids are joined, and there are no ``units``.
        """
        if not done:
            none, no = np.empty(0, dtype=object), np.zeros(0, dtype=np.int64)
            pairs = no.reshape(0, 2)
            empty = np.zeros(0, dtype=bool)
            return cls(area.epsg, none, none, none, no, pairs, none, none, none, pairs, empty, (), none)
        names = np.array([d.code for d in done], dtype=object)
        finest = "unit" if has_units else "governance"
        made = [getattr(d, f"{finest}_grids") for d in done]
        grid_counts = [len(d.governance_grids) for d in done]
        community = np.repeat(np.arange(len(done)), [len(grids) for grids in made])
        stored, outlines, rest = _noded(area, names, np.concatenate(made), community, beside)
        units, unit_grid = stored[:0], np.zeros(0, dtype=np.int64)
        governance = stored
        if has_units:
            first = np.concatenate([[0], np.cumsum(grid_counts)[:-1]])
            unit_grid = np.concatenate([d.governance_of_unit for d in done]) + first[community]
            units, governance = stored, dissolved(stored, unit_grid)
        metric = to_metric(np.concatenate([units, governance, outlines]), area.epsg)
        unit_metric, governance_metric, outline_metric = np.split(metric, [len(units), len(units) + len(governance)])
        finest_metric = unit_metric if has_units else governance_metric
        return cls(
            epsg=area.epsg,
            units=units,
            unit_metric=unit_metric,
            unit_community=names[community] if has_units else names[:0],
            unit_grid=unit_grid,
            unit_counts=_counts(done, "unit") if has_units else np.zeros((0, 2), dtype=np.int64),
            governance=governance,
            governance_metric=governance_metric,
            governance_community=np.repeat(names, grid_counts),
            governance_counts=_counts(done, "governance"),
            is_dedicated=np.concatenate([d.is_dedicated for d in done]),
            unmatched=tuple(names[unmatched_boundaries(outline_metric, finest_metric, community)]),
            beside=rest,
        )

    @property
    def finest(self) -> tuple[Geometries, Geometries]:
        """Return the smallest grids made, in metres, and the community of each: unit grids, else governance grids."""
        if len(self.units):
            return self.unit_metric, self.unit_community
        return self.governance_metric, self.governance_community

    def clashing(self) -> list[str]:
        """Return the communities whose grids overlap those of others or differ from them in a vertex; none when all is exact.

        Leaving these away leaves an exact rest: of communities that clash, the one with the most others, then the later code.

        Raises
        ------
        PartitionError
            When grids in force beside the area are not exact among themselves.
        """
        shapes = self.units if len(self.units) else self.governance
        everything = np.concatenate([shapes, self.beside])
        if is_exact(everything) and is_exact(self.governance):
            return []
        owner = np.concatenate([self.finest[1], np.full(len(self.beside), _BESIDE, dtype=object)])
        return sorted({*_clashing(everything, owner), *_clashing(self.governance, self.governance_community)})


def together(community: Geometries) -> dict[str, slice]:
    """Return where the grids of each community lie, in order; those of one community follow each other."""
    if len(community) == 0:
        return {}
    begins = np.flatnonzero(np.append(True, community[1:] != community[:-1]))
    ends = np.append(begins[1:], len(community))
    return {community[begin]: slice(begin, end) for begin, end in zip(begins, ends, strict=True)}


def _noded(
    area: Area, names: Geometries, grids: Geometries, community: Integers, beside: gpd.GeoDataFrame
) -> tuple[Geometries, Geometries, Geometries]:
    """Return the grids, the outlines of their communities and the grids beside, noded together, as stored."""
    boundaries = {c.code: c.boundary for c in area.inputs}
    outlines = np.array([boundaries[code] for code in names], dtype=object)
    # noding starts from positions as stored, so that a later run beside stored grids ends in the same vertices
    own = to_metric(to_storage(grids, area.epsg), area.epsg)
    held = to_metric(beside.geometry.to_numpy(), area.epsg) if len(beside) else own[:0]
    held_community = np.unique(beside["community_code"].to_numpy(dtype=str), return_inverse=True)[1]
    count = len(names)
    group = np.concatenate([community, count + np.arange(count), 2 * count + held_community])
    noded = node_shared_vertices(np.concatenate([own, outlines, held]), group=group)
    stored = to_storage(noded, area.epsg)
    return stored[: len(own)], stored[len(own) : len(own) + count], stored[len(own) + count :]


def _clashing(shapes: Geometries, owner: Geometries) -> list[str]:
    """Return the owners to leave away for the rest to be exact."""
    bad = ~shapely.is_valid(shapes)
    bad[~bad] = ~shapely.is_empty(shapely.coverage_invalid_edges(shapes[~bad]))
    suspects = sorted(set(owner[bad]))
    members = {name: np.flatnonzero(owner == name) for name in suspects}
    clashes = {
        (a, b)
        for i, a in enumerate(suspects)
        for b in suspects[i:]
        if not is_exact(shapes[np.union1d(members[a], members[b])])
    }
    if (_BESIDE, _BESIDE) in clashes:
        raise PartitionError(
            "The grids in force beside the area do not share their vertices.", hint="Divide the whole district again."
        )
    found = []
    while clashes:
        counts = Counter(name for pair in clashes for name in set(pair) if name != _BESIDE)
        worst = max(counts, key=lambda name: (counts[name], name))
        found.append(worst)
        clashes = {pair for pair in clashes if worst not in pair}
    return found


def _counts(divisions: Sequence[CommunityDivision], kind: str) -> Integers:
    """Return households and population of all grids of a kind. Shape: (n, 2)."""
    columns = [
        np.concatenate([getattr(d, f"{kind}_{name}") for d in divisions]) for name in ("households", "population")
    ]
    return np.column_stack(columns).astype(np.int64)
