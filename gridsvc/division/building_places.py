"""Where buildings stand: the grid each counts in, and which of them a border cuts; for any grids, broken ones too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.division.exactness import BorderEdges

# a border that cuts off less than this follows the wall of the house, drawn a little differently
CUT_M2 = 0.1
# homes of buildings whose community is not stated, and of those of a community that is not measured
ANYWHERE, ELSEWHERE = -1, -2


@dataclass(frozen=True, slots=True)
class BuildingPlaces:
    """``grid`` is the grid each building counts in, -1 for none; ``cut`` lists buildings cut, ``cut_by`` the grids that share each."""

    grid: Integers
    cut: Integers
    cut_by: list[tuple[int, ...]]


def place_buildings(
    buildings: Geometries,
    home: Integers,
    grids: Geometries,
    community: Integers,
    edges: BorderEdges | None,
    boundaries: Geometries,
) -> BuildingPlaces:
    """Return the grid of each building and the buildings cut.

    A building counts in the grid of its community that holds most of it (the first of equal ones). It is cut when a border between
    grids of one community runs through it and leaves at least 0.1 m2 of it on either side; the community's own boundary cuts nothing.

    Parameters
    ----------
    buildings
        Valid polygons. CRS: projected, metric, as everything here.
    home
        Position of each building's community; `ANYWHERE`: every grid may hold it; `ELSEWHERE`: none does. Shape: as ``buildings``.
    grids, community
        Valid polygons, and the position of the community of each.
    edges
        Of the grids; None leaves the cuts out and takes the grid at a point inside each building.
    boundaries
        Of the communities.
    """
    inner = shapely.point_on_surface(buildings) if edges is None else _a_corner(buildings)
    grid = _grid_of_points(inner, home, grids, community)
    if edges is None or not len(buildings) or not len(grids):
        return BuildingPlaces(grid, np.zeros(0, dtype=np.int64), [])
    lines = shapely.linestrings(edges.ends)
    edge, building = shapely.STRtree(buildings).query(lines, predicate="intersects")
    crossed = np.unique(building)
    if not len(crossed):
        return BuildingPlaces(grid, crossed, [])
    row, held = shapely.STRtree(grids).query(buildings[crossed], predicate="intersects")
    row = crossed[row]
    own = (home[row] == ANYWHERE) | (home[row] == community[held]) & (home[row] >= 0)
    share = shapely.area(shapely.intersection(buildings[row], grids[held]))
    grid[crossed] = -1
    _take_largest(grid, row[own], held[own], share[own])
    between = ~edges.outer[edge]
    edge, building = edge[between], building[between]
    suspects = np.unique(building[shapely.relate_pattern(lines[edge], buildings[building], "T********")])
    return _with_cuts(grid, suspects, row, held, share, buildings, community, boundaries)


def _a_corner(shapes: Geometries) -> Geometries:
    """Return the first vertex of each polygon: a building no border meets lies wholly on one side of all of them."""
    vertices, shape = shapely.get_coordinates(shapes, return_index=True)
    return shapely.points(vertices[np.append(True, shape[1:] != shape[:-1])[: len(shape)]])


def _grid_of_points(points: Geometries, home: Integers, grids: Geometries, community: Integers) -> Integers:
    nowhere = len(grids)
    answer = np.full(len(points), nowhere, dtype=np.int64)
    # each grid is prepared once and asked for its points, not each point for its grids
    grid, point = shapely.STRtree(points).query(grids, predicate="intersects")
    own = (home[point] == ANYWHERE) | (home[point] == community[grid]) & (home[point] >= 0)
    np.minimum.at(answer, point[own], grid[own])
    answer[answer == nowhere] = -1
    return answer


def _take_largest(grid: Integers, building: Integers, held: Integers, share: Floats) -> None:
    order = np.lexsort((held, -share, building))
    building, held, share = building[order], held[order], share[order]
    first = np.append(True, building[1:] != building[:-1]) if len(building) else np.zeros(0, dtype=bool)
    first &= share > 0
    grid[building[first]] = held[first]


def _with_cuts(
    grid: Integers,
    suspects: Integers,
    row: Integers,
    held: Integers,
    share: Floats,
    buildings: Geometries,
    community: Integers,
    boundaries: Geometries,
) -> BuildingPlaces:
    asked = np.isin(row, suspects) & (community[held] >= 0)
    row, held, share = row[asked], held[asked], share[asked]
    inside = shapely.area(shapely.intersection(buildings[row], boundaries[community[held]]))
    split = np.minimum(share, inside - share) >= CUT_M2
    cut = np.unique(row[split])
    pieces = np.isin(row, cut) & (share >= CUT_M2)
    by: dict[int, list[int]] = {int(b): [] for b in cut}
    for b, g in zip(row[pieces].tolist(), held[pieces].tolist(), strict=True):
        by[b].append(g)
    return BuildingPlaces(grid, cut, [tuple(sorted(by[int(b)])) for b in cut])
