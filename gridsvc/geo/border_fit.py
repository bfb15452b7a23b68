"""How well boundaries that were drawn apart fit along their common borders, and how to make them fit.

Everything here is in a projected, metric CRS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from gridsvc.geo.partitions import insert_vertices_each, node_shared_vertices

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
GeometryArray = NDArray[np.object_]

TOLERANCE_M = 0.001  # what noding of grids brings together
REACH_M = 1.0  # borders further apart are no common border that was drawn badly
# a common border that was drawn well enough stays as it is; half of the tolerance leaves room for rounding
_AGREES_M = TOLERANCE_M / 2
_LEAST_OVERLAP_M2 = 1.0
# a border that leaves another at an angle (of three degrees or more) is near it at first: so much further off is where it left
_LEAVING = 20.0


@dataclass(frozen=True, slots=True)
class BorderDifference:
    """Where the outlines of polygons ``first`` and ``second`` (positions, first < second) differ along their common border.

    ``apart_m`` is the largest distance between a vertex of one and the border of the other, 0.0 where all are within the
    tolerance; ``overlap_m2`` what both cover. ``x, y`` is the vertex, else the middle of the overlap.
    """

    first: int
    second: int
    apart_m: float
    overlap_m2: float
    x: float
    y: float


def border_differences(
    polygons: ArrayLike, *, tolerance_m: float = TOLERANCE_M, reach_m: float = REACH_M
) -> list[BorderDifference]:
    """Return the pairs of polygons whose common borders differ, ordered by first, then second.

    Found are vertices further than ``tolerance_m`` and no further than ``reach_m`` from another polygon's border, unless the
    border has just left the other at an angle, and overlaps: of those pairs, and of others from 1 m2. A vertex of one that the
    other has not is no difference while it lies on its border. Gaps wider than ``reach_m`` are not looked for.

    Parameters
    ----------
    polygons
        (Multi)polygons. CRS: projected, metric. Shape: (n,). Invalid ones are left out.
    """
    shapes = np.asarray(polygons, dtype=object)
    if len(shapes) < 2:
        return []
    sound = np.flatnonzero(shapely.is_valid(shapes) & ~shapely.is_empty(shapes))
    suspects = sound[~shapely.is_empty(shapely.coverage_invalid_edges(shapes[sound], gap_width=reach_m))]
    off = _vertices_off(shapes, suspects, tolerance_m, reach_m)
    overlaps = _overlapping(shapes, suspects)
    found = []
    for pair in sorted({*off, *overlaps}):
        apart_m, x, y = off.get(pair, (0.0, np.nan, np.nan))
        overlap = overlaps.get(pair)
        overlap_m2 = 0.0 if overlap is None else float(overlap.area)
        if pair not in off and overlap_m2 < _LEAST_OVERLAP_M2:
            continue
        if pair not in off:
            x, y = shapely.get_coordinates(shapely.point_on_surface(overlap))[0].tolist()
        found.append(BorderDifference(*pair, apart_m, overlap_m2, x, y))
    return found


def _vertices_off(
    shapes: GeometryArray, suspects: IntArray, tolerance_m: float, reach_m: float
) -> dict[tuple[int, int], tuple[float, float, float]]:
    """Return, by pair, how far the vertex furthest from the other's border lies from it, and where that vertex is."""
    xy, owner = shapely.get_coordinates(shapes[suspects], return_index=True)
    edges, of = _edges(shapes[suspects])
    vertex, edge = shapely.STRtree(edges).query(shapely.points(xy), predicate="dwithin", distance=reach_m)
    keep = owner[vertex] != of[edge]
    vertex, edge = vertex[keep], edge[keep]
    distance = shapely.distance(shapely.points(xy[vertex]), edges[edge])
    other = of[edge]
    nearest = np.lexsort((distance, other, vertex))
    vertex, other, distance = vertex[nearest], other[nearest], distance[nearest]
    first = np.ones(len(vertex), dtype=bool)
    first[1:] = (vertex[1:] != vertex[:-1]) | (other[1:] != other[:-1])
    vertex, other, distance = vertex[first], other[first], distance[first]
    # by polygon and other: the vertices of the one that lie on the border of the other
    key = owner[vertex] * len(suspects) + other
    met = np.flatnonzero(distance <= tolerance_m)
    met = met[np.argsort(key[met], kind="stable")]
    met_key = key[met]
    found: dict[tuple[int, int], tuple[float, float, float]] = {}
    for k in np.flatnonzero(distance > tolerance_m).tolist():
        contacts = xy[vertex[met[slice(*np.searchsorted(met_key, [key[k], key[k] + 1]))]]]
        x, y = xy[vertex[k]].tolist()
        if len(contacts) and np.hypot(*(contacts - [x, y]).T).min() <= _LEAVING * distance[k]:
            continue
        a, b = sorted((int(suspects[owner[vertex[k]]]), int(suspects[other[k]])))
        found[a, b] = max(found.get((a, b), (0.0, 0.0, 0.0)), (float(distance[k]), x, y))
    return found


def _edges(shapes: GeometryArray) -> tuple[GeometryArray, IntArray]:
    """Return the edges of polygons as lines, and the polygon of each."""
    parts, shape = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    starts = np.flatnonzero(ring[1:] == ring[:-1])
    return shapely.linestrings(np.stack([xy[starts], xy[starts + 1]], axis=1)), shape[part[ring[starts]]]


def _overlapping(shapes: GeometryArray, suspects: IntArray) -> dict[tuple[int, int], shapely.Geometry]:
    """Return what suspects have in common, by pair; nothing of no area."""
    a, b = shapely.STRtree(shapes[suspects]).query(shapes[suspects], predicate="intersects")
    a, b = suspects[a[a < b]], suspects[b[a < b]]
    common = shapely.intersection(shapes[a], shapes[b])
    has_area = shapely.area(common) > 0.0
    return {(int(i), int(j)): c for i, j, c in zip(a[has_area], b[has_area], common[has_area], strict=True)}


def aligned(polygons: ArrayLike, fixed: ArrayLike, within_m: float) -> GeometryArray:
    """Return the polygons brought onto each other's borders, and onto those of ``fixed`` polygons, which stay as they are.

    Vertices of the polygons closer than ``within_m`` become one, those as close to a fixed border are put on it (on a vertex of it
    where one is near), and borders that pass a vertex as closely get it. What agrees within half a millimetre with the
    fixed ones stays as drawn. Equal vertices stay equal, so borders that the polygons share stay shared.

    Parameters
    ----------
    polygons, fixed
        (Multi)polygons in one projected, metric CRS. Shape: (n,) and (m,).
    within_m
        Borders further apart stay so. Unit: m.

    Raises
    ------
    GeometryError
        When a polygon is narrower than ``within_m``.
    """
    shapes = node_shared_vertices(polygons, within_m)
    held = np.asarray(fixed, dtype=object)
    if len(held) == 0 or len(shapes) == 0:
        return shapes
    near = held[np.unique(shapely.STRtree(shapes).query(held, predicate="dwithin", distance=within_m)[0])]
    if len(near) == 0:
        return shapes
    corners = np.unique(shapely.get_coordinates(near), axis=0)
    edges = shapely.STRtree(_edges(near)[0])
    shapes = shapely.transform(shapes, lambda xy: _put_on(xy, corners, edges, within_m))
    missing = _passed(corners, shapes, within_m)
    return insert_vertices_each(shapes, missing, within_m) if len(missing) else shapely.remove_repeated_points(shapes)


def _put_on(xy: FloatArray, corners: FloatArray, edges: shapely.STRtree, within_m: float) -> FloatArray:
    """Return the vertices with those near an edge, but off it, moved onto the nearest corner within reach, else onto the edge."""
    answer = xy.copy()
    (at, edge), distance = edges.query_nearest(
        shapely.points(xy), max_distance=within_m, all_matches=False, return_distance=True
    )
    to_corner, corner = cKDTree(corners).query(xy[at], distance_upper_bound=within_m)
    has_corner = np.isfinite(to_corner)
    off = np.where(has_corner, to_corner, distance) > _AGREES_M
    on_edge = off & ~has_corner
    ways = shapely.shortest_line(shapely.points(xy[at[on_edge]]), edges.geometries[edge[on_edge]])
    answer[at[on_edge]] = shapely.get_coordinates(ways)[1::2]
    on_corner = off & has_corner
    answer[at[on_corner]] = corners[corner[on_corner]]
    return answer


def _passed(corners: FloatArray, shapes: GeometryArray, within_m: float) -> FloatArray:
    """Return the corners that the border of a polygon passes within reach, but not closely enough."""
    edges, _ = _edges(shapes)
    points = shapely.points(corners)
    corner, edge = shapely.STRtree(edges).query(points, predicate="dwithin", distance=within_m)
    distance = shapely.distance(points[corner], edges[edge])
    # a corner between two edges is close enough when one of them is
    nearest = np.full(len(corners), np.inf)
    np.minimum.at(nearest, corner, distance)
    return corners[np.isfinite(nearest) & (nearest > _AGREES_M)]
