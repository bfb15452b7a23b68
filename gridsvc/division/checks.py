"""The invariants of a division, each checked exactly; a division that breaks one is never handed out."""

from __future__ import annotations

import numpy as np
import shapely

from gridsvc.division.borders import EdgeTable, are_among
from gridsvc.division.communities import CommunityDivision, CommunityInput, Floats, Geometries, Integers
from gridsvc.division.enclosures import boundary_pairs
from gridsvc.division.obstacles import within_community
from gridsvc.errors import PartitionError


def check_division(community: CommunityInput, division: CommunityDivision) -> None:
    """Refuse a division that is not an exact, nested, contiguous partition that spares every building.

    Raises
    ------
    PartitionError
        Names the community, the check and what broke it.
    """
    check_exact(community.code, community.boundary, division.unit_grids)
    _check_nesting(community, division)
    cut = buildings_cut(division.unit_grids, within_community(community.buildings, community.boundary)[0])
    if len(cut):
        raise _broken(
            community.code, f"{len(cut)} buildings are cut by unit grids, the first at position {cut[0]}", "buildings"
        )
    counted = division.unit_of_building >= 0
    for name in ("households", "population"):
        given = getattr(community, name)
        expected = int(np.asarray(given)[counted].sum()) if len(given) else 0
        for kind in ("unit", "governance"):
            found = int(getattr(division, f"{kind}_{name}").sum())
            if found != expected:
                raise _broken(community.code, f"{kind} grids hold {found} {name}, the buildings {expected}", name)


def check_exact(code: str, boundary: shapely.Geometry, grids: Geometries) -> None:
    """Refuse grids that do not cover the boundary exactly.

    Exact means: every grid one valid polygon; neighbours share identical vertices and none overlap (a valid coverage); and the
    edges that only one grid has are the boundary's edges, with vertices added but none moved. Gaps and overlaps are then zero.
    """
    if not (shapely.get_type_id(grids) == 3).all() or not shapely.is_valid(grids).all():
        raise _broken(code, "a unit grid is not one valid polygon", "validity")
    if not shapely.coverage_is_valid(grids):
        raise _broken(code, "unit grids overlap, or neighbours differ in a shared vertex", "coverage")
    edges = EdgeTable.of(grids)
    outer = edges.ends[edges.right < 0]
    expected = boundary_pairs(boundary, outer.reshape(-1, 2))
    if len(expected) != len(outer) or (_undirected(expected) != _undirected(outer)).any():
        raise _broken(code, "the outer edges of the unit grids are not the boundary", "outer-border")
    corners = shapely.get_coordinates(boundary)
    added = outer[:, 0][~are_among(_keys(outer[:, 0]), _keys(corners))]
    if len(added) and shapely.distance(shapely.points(added), shapely.boundary(boundary)).max() > 0.001:
        raise _broken(code, "a vertex added to the boundary lies more than 1 mm off it", "outer-border")


def _keys(points: Floats) -> np.ndarray:
    return points[:, 0] + 1j * points[:, 1]


def _undirected(pairs: Floats) -> Floats:
    """Return the pairs in an order that depends neither on their own nor on their directions."""
    swap = _keys(pairs[:, 0]) > _keys(pairs[:, 1])
    pairs = pairs.copy()
    pairs[swap] = pairs[swap][:, ::-1]
    return pairs[np.lexsort((pairs[:, 1, 1], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 0]))]


def _check_nesting(community: CommunityInput, division: CommunityDivision) -> None:
    """Refuse governance grids that are not the union of their unit grids or that fall apart where the community does not."""
    code = community.code
    if not shapely.is_valid(division.governance_grids).all() or not shapely.coverage_is_valid(
        division.governance_grids
    ):
        raise _broken(code, "governance grids are not a valid coverage", "coverage")
    summed = np.bincount(division.governance_of_unit, shapely.area(division.unit_grids), len(division.governance_grids))
    if not np.allclose(summed, shapely.area(division.governance_grids), rtol=1e-9, atol=1e-3):
        raise _broken(code, "a governance grid is not the union of its unit grids", "nesting")
    parts = shapely.get_parts(community.boundary)
    for index in np.flatnonzero(shapely.get_num_geometries(division.governance_grids) > 1):
        pieces = shapely.get_parts(division.governance_grids[index])
        holder = shapely.STRtree(parts).query(shapely.point_on_surface(pieces), predicate="within")[1]
        if len(np.unique(holder)) < len(pieces):
            raise _broken(code, f"governance grid {index} falls apart inside one part of the community", "contiguity")


def buildings_cut(grids: Geometries, buildings: Geometries) -> Integers:
    """Return the positions of the buildings that share area with more than one grid.

    Parameters
    ----------
    grids
        An exact coverage.
    buildings
        Polygons, clipped to the area of the grids. Empty ones are ignored. Of a building that the community boundary itself
        leaves in several parts, each part counts for itself.
    """
    parts, owner = shapely.get_parts(buildings, return_index=True)
    solid = shapely.area(parts) > 0
    parts, owner = parts[solid], owner[solid]
    if len(parts) == 0:
        return np.zeros(0, dtype=np.int64)
    part, grid = shapely.STRtree(grids).query(parts, predicate="intersects")
    several = np.bincount(part, minlength=len(parts))[part] > 1
    part, grid = part[several], grid[several]
    overlapping = shapely.relate_pattern(parts[part], grids[grid], "T********")
    return np.unique(owner[np.bincount(part[overlapping], minlength=len(parts)) > 1])


def _broken(code: str, what: str, check: str) -> PartitionError:
    return PartitionError(
        f"Community {code}: {what}.",
        hint="Look at its streets and buildings near the boundary.",
        community=code,
        check=check,
    )
