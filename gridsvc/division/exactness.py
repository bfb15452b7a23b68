"""Where grids fall short of an exact partition of their communities: for thousands of communities at once, broken ones too.

A community whose grids cancel out edge by edge with its boundary has no gap and no overlap, exactly; that is proved for all
communities in one pass over arrays. Only the others are laid over each other. All geometry is in one projected metric CRS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.geo.partitions import check_partition

# below this an overlay's own arithmetic speaks, not the drawing: storage resolves 0.1 mm
NOISE_M2 = 1e-6
_ON_BOUNDARY_M = 0.001


@dataclass(frozen=True, slots=True)
class Fault:
    """A piece of ground that no grid covers (``gap``), several cover (``overlap``), or a grid covers beyond its community (``outside``).

    ``grids`` are positions: both of an overlap, the one outside, those around a gap. ``community`` is -1 where it is not known.
    """

    kind: str
    grids: tuple[int, ...]
    community: int
    polygon: shapely.Polygon


@dataclass(frozen=True, slots=True)
class BorderEdges:
    """The edges of all grids, each once where two grids of one community share it.

    ``right`` is -1 where no grid of the same community has the same edge in the other direction; ``outer`` marks those of them that
    are part of the community's boundary. ``ends`` shape: (n, 2, 2).
    """

    ends: Floats
    left: Integers
    right: Integers
    outer: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Exactness:
    """``exact`` says of each community whether its grids are an exact partition of it (False also where it has none)."""

    exact: NDArray[np.bool_]
    faults: list[Fault]
    edges: BorderEdges


def exactness(boundaries: Geometries, grids: Geometries, community: Integers) -> Exactness:
    """Return which communities are partitioned exactly, what is wrong in the others, and the border edges of all.

    Parameters
    ----------
    boundaries
        Valid (multi)polygons of the communities.
    grids
        Valid, non-empty (multi)polygons.
    community
        Position of each grid's community among the boundaries, -1 for one that is not known. Shape: as ``grids``.

    Returns
    -------
    exactness
        Gaps are parts of a community that has grids and that no grid at all covers. Overlaps are counted once for each pair of grids.

    Notes
    -----
    Source: winding numbers as in `gridsvc.geo.partitions.check_partition`, for all communities in one pass. Cost: n log n in the number
    of vertices where exact; an overlay for each community that is not.
    """
    edges, proved = _cancelled(boundaries, grids, community)
    exact = proved.copy()
    has_grids = np.bincount(community[community >= 0], minlength=len(boundaries)) > 0
    for index in np.flatnonzero(has_grids & ~proved):
        exact[index] = check_partition(boundaries[index], grids[community == index]).is_exact
    broken = np.flatnonzero(has_grids & ~exact)
    settled = exact[community] & (community >= 0)
    faults = _faults(boundaries, grids, community, broken, settled)
    outer = edges.outer.copy()
    outer |= (edges.right < 0) & settled[edges.left]
    return Exactness(exact & has_grids, faults, BorderEdges(edges.ends, edges.left, edges.right, outer))


def proved_exact(boundaries: Geometries, grids: Geometries, community: Integers) -> NDArray[np.bool_]:
    """Return the communities whose grids cancel out edge by edge with the boundary; arguments as in `exactness`."""
    return _cancelled(boundaries, grids, community)[1]


def _cancelled(boundaries: Geometries, grids: Geometries, community: Integers) -> tuple[BorderEdges, NDArray[np.bool_]]:
    """Return the edges, ``outer`` still unset, and the communities whose edges cancel out with their boundary."""
    shapes = shapely.orient_polygons(np.concatenate([grids, boundaries]), exterior_cw=False)
    vertices, owner, follows = _rings(shapes)
    _, name = np.unique(vertices[:, 0] + 1j * vertices[:, 1], return_inverse=True)
    name = name.ravel().astype(np.int64)
    at = np.flatnonzero(follows)
    at = at[name[at] != name[at + 1]]
    u, v, owner = name[at], name[at + 1], owner[at]
    ends = np.stack([vertices[at], vertices[at + 1]], axis=1)
    size, names = len(boundaries), int(name.max(initial=0)) + 1
    of_grid = owner < len(grids)
    group = np.where(of_grid, np.append(community, np.zeros(size, np.int64))[owner], owner - len(grids))
    edges, left_over = _paired(u[of_grid], v[of_grid], owner[of_grid], group[of_grid], ends[of_grid], names, size)
    outline = _noded(u[~of_grid], v[~of_grid], group[~of_grid], ends[~of_grid], left_over, names)
    return edges, _balanced(left_over, outline, names, size)


def _rings(shapes: Geometries) -> tuple[Floats, Integers, NDArray[np.bool_]]:
    """Return the vertices of all rings, the shape each is of, and whether the next vertex is of the same ring."""
    parts, shape = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    follows = np.append(ring[1:] == ring[:-1], False) if len(ring) else np.zeros(0, dtype=bool)
    return vertices + 0.0, shape[part[ring]] if len(ring) else ring, follows  # + 0.0 turns -0.0 into 0.0


@dataclass(frozen=True, slots=True)
class _Directed:
    """Directed edges between named vertices, each of a community, with their ends. ``ends`` shape: (n, 2, 2)."""

    u: Integers
    v: Integers
    community: Integers
    ends: Floats


def _paired(
    u: Integers, v: Integers, owner: Integers, community: Integers, ends: Floats, names: int, size: int
) -> tuple[BorderEdges, _Directed]:
    """Return the edges, one for each pair of opposite ones of a community, and those that found no partner."""
    key = (np.minimum(u, v) * names + np.maximum(u, v)) * (size + 1) + community + 1
    order = np.lexsort((u > v, key))
    key, forward, owner = key[order], (u < v)[order], owner[order]
    meets = np.append((key[1:] == key[:-1]) & forward[:-1] & ~forward[1:], False)[: len(key)]
    second = np.append(False, meets[:-1])[: len(key)]
    kept = np.flatnonzero(~second)
    right = np.where(meets[kept], np.append(owner[1:], -1)[kept], -1)
    single = order[kept[right < 0]]
    edges = BorderEdges(ends[order[kept]], owner[kept], right, np.zeros(len(kept), dtype=bool))
    return edges, _Directed(u[single], v[single], community[single], ends[single])


def _noded(u: Integers, v: Integers, community: Integers, ends: Floats, single: _Directed, names: int) -> _Directed:
    """Return the boundary edges, cut where a grid of the same community has a vertex on them."""
    vertex = np.concatenate([single.u, single.v])
    place = np.concatenate([single.ends[:, 0], single.ends[:, 1]])
    whose = np.concatenate([single.community, single.community])
    keys, first = np.unique(whose * names + vertex, return_index=True)
    extra = first[~np.isin(keys, community * names + u) & (whose[first] >= 0)]
    if not len(extra) or not len(u):
        return _Directed(u, v, community, ends)
    lines = shapely.linestrings(ends)
    point, edge = shapely.STRtree(lines).query(
        shapely.points(place[extra]), predicate="dwithin", distance=_ON_BOUNDARY_M
    )
    own = whose[extra[point]] == community[edge]
    point, edge = extra[point[own]], edge[own]
    along = ((place[point] - ends[edge, 0]) * (ends[edge, 1] - ends[edge, 0])).sum(axis=1)
    every = np.arange(len(u))
    on_edge = np.concatenate([every, edge])
    order = np.lexsort((np.concatenate([np.full(len(u), -np.inf), along]), on_edge))
    on_edge = on_edge[order]
    node = np.concatenate([u, vertex[point]])[order]
    spot = np.concatenate([ends[:, 0], place[point]])[order]
    is_last = np.append(on_edge[1:] != on_edge[:-1], True)
    after = np.where(is_last, v[on_edge], np.roll(node, -1))
    there = np.where(is_last[:, None], ends[on_edge, 1], np.roll(spot, -1, axis=0))
    return _Directed(node, after, community[on_edge], np.stack([spot, there], axis=1))


def _balanced(single: _Directed, outline: _Directed, names: int, size: int) -> NDArray[np.bool_]:
    """Return of which communities the single edges and the outline are the same directed edges."""
    known = single.community >= 0
    u, v = np.concatenate([single.u[known], outline.u]), np.concatenate([single.v[known], outline.v])
    community = np.concatenate([single.community[known], outline.community])
    sign = np.where(u < v, 1, -1) * np.concatenate([np.ones(known.sum(), np.int64), -np.ones(len(outline.u), np.int64)])
    key = (np.minimum(u, v) * names + np.maximum(u, v)) * size + community
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    unequal = np.bincount(which.ravel(), weights=sign, minlength=len(first)) != 0
    return np.bincount(community[first[unequal]], minlength=size) == 0


def _faults(
    boundaries: Geometries, grids: Geometries, community: Integers, broken: Integers, settled: NDArray[np.bool_]
) -> list[Fault]:
    suspects = np.flatnonzero(~settled)
    if not len(suspects):
        return []
    tree = shapely.STRtree(grids)
    found = _overlaps(grids, community, suspects, settled, tree)
    for index in broken:
        boundary = boundaries[index]
        near = np.sort(tree.query(boundary, predicate="intersects"))
        bare = shapely.difference(boundary, shapely.union_all(grids[near])) if len(near) else boundary
        for part in _polygons(bare):
            around = np.sort(near[shapely.dwithin(grids[near], part, _ON_BOUNDARY_M)])
            found.append(Fault("gap", tuple(around.tolist()), int(index), part))
    known = suspects[community[suspects] >= 0]
    beyond = shapely.difference(grids[known], boundaries[community[known]]) if len(known) else grids[:0]
    for grid, rest in zip(known, beyond, strict=True):
        found += [Fault("outside", (int(grid),), int(community[grid]), part) for part in _polygons(rest)]
    return found


def _overlaps(
    grids: Geometries, community: Integers, suspects: Integers, settled: NDArray[np.bool_], tree: shapely.STRtree
) -> list[Fault]:
    one, other = tree.query(grids[suspects], predicate="intersects")
    one = suspects[one]
    # a pair of two suspects comes twice
    once = (one != other) & (settled[other] | (one < other))
    one, other = one[once], other[once]
    deep = ~shapely.touches(grids[one], grids[other])
    first, second = np.minimum(one, other)[deep], np.maximum(one, other)[deep]
    common = shapely.intersection(grids[first], grids[second])
    return [
        Fault("overlap", (int(i), int(j)), int(community[i]), part)
        for i, j, shared in zip(first, second, common, strict=True)
        for part in _polygons(shared)
    ]


def _polygons(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """Return the polygons in a geometry that are more than noise, largest first."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    parts = parts[(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & (shapely.area(parts) > NOISE_M2)]
    return sorted(parts, key=lambda p: (-p.area, p.bounds))
