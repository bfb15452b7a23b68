"""Partition geometry: grids that cover a boundary exactly, with identical vertices on shared borders.

Exact means exact: a partition has a gap of 0.0 and an overlap of 0.0 when the directed edges of its grids cancel out to
those of the boundary, vertex by vertex. Everything here is in a projected, metric CRS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from gridsvc.errors import GeometryError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
GeometryArray = NDArray[np.object_]

_NODING_ROUNDS = 4


class Overlap(NamedTuple):
    """A part that grids ``first`` and ``second`` (positions in the input, first < second) both cover."""

    first: int
    second: int
    polygon: shapely.Polygon


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """What keeps a set of grids from being an exact partition of a boundary. Areas in m2, largest parts first.

    ``gaps`` and ``overlaps`` hold the parts of at least the sliver area, ``slivers`` the smaller ones of both; the area sums
    count all of them. ``outside`` are parts of grids beyond the boundary. ``unmatched_edges`` are border pieces that neither a
    neighbour (with the same two vertices) nor the boundary shares.
    """

    gaps: list[shapely.Polygon] = field(default_factory=list)
    overlaps: list[Overlap] = field(default_factory=list)
    outside: list[shapely.Polygon] = field(default_factory=list)
    slivers: list[shapely.Polygon] = field(default_factory=list)
    unmatched_edges: list[shapely.LineString] = field(default_factory=list)
    gap_area_m2: float = 0.0
    overlap_area_m2: float = 0.0
    outside_area_m2: float = 0.0

    @property
    def is_exact(self) -> bool:
        """Answer whether every border piece is matched; then all areas are exactly 0.0."""
        return not self.unmatched_edges


def is_exact(polygons: ArrayLike) -> bool:
    """Answer whether polygons are valid, overlap nowhere, and share identical vertices wherever they touch along a line.

    Says nothing about gaps: use `check_partition` with the boundary for that.
    """
    shapes = np.asarray(polygons, dtype=object)
    if len(shapes) == 0:
        return True
    sound = shapely.is_valid(shapes) & ~shapely.is_empty(shapes)
    return bool(sound.all()) and bool(shapely.coverage_is_valid(shapes))


def check_partition(
    boundary: shapely.Geometry, grids: ArrayLike, *, sliver_m2: float = 1.0, tolerance_m: float = 0.001
) -> PartitionReport:
    """Return the gaps, overlaps, slivers and unmatched edges of ``grids`` against ``boundary``.

    Grid vertices within ``tolerance_m`` of the boundary are first inserted into a copy of it, since the boundary may have
    been drawn without knowing the grids. If then every directed edge of the grids is cancelled by the opposite edge of a
    neighbour or is an edge of the boundary, all areas are exactly 0.0. Otherwise the areas come from an overlay.

    Parameters
    ----------
    boundary
        (Multi)polygon, holes respected. CRS: projected, metric.
    grids
        Valid (multi)polygons in the same CRS. Shape: (n,).
    sliver_m2
        Parts smaller than this are listed as slivers. Unit: m2.
    tolerance_m
        How far from the boundary a grid vertex counts as lying on it. Unit: m.

    Raises
    ------
    GeometryError
        When the boundary or a grid is missing, empty, invalid or no polygon.
    """
    shapes = np.asarray(grids, dtype=object)
    _require_polygons(np.array([boundary], dtype=object), "The boundary")
    _require_polygons(shapes, "A grid")
    outline = insert_vertices(boundary, shapely.get_coordinates(shapes), tolerance_m)
    edges = _unmatched_edges(outline, shapes)
    if not edges:
        return PartitionReport()
    gaps = _polygon_parts(shapely.difference(boundary, shapely.union_all(shapes)))
    outside = _polygon_parts(shapely.difference(shapely.union_all(shapes), boundary))
    overlaps = _overlaps(shapes)
    small = [p for p in (*gaps, *outside, *(o.polygon for o in overlaps)) if p.area < sliver_m2]
    return PartitionReport(
        gaps=[p for p in gaps if p.area >= sliver_m2],
        overlaps=[o for o in overlaps if o.polygon.area >= sliver_m2],
        outside=[p for p in outside if p.area >= sliver_m2],
        slivers=small,
        unmatched_edges=edges,
        gap_area_m2=float(sum(p.area for p in gaps)),
        overlap_area_m2=float(sum(o.polygon.area for o in overlaps)),
        outside_area_m2=float(sum(p.area for p in outside)),
    )


def unmatched_boundaries(boundaries: ArrayLike, grids: ArrayLike, boundary_of_grid: ArrayLike) -> IntArray:
    """Return the positions of the boundaries that are not covered exactly, edge by edge, by the grids of each.

    All of a district at once; the same proof as in `check_partition`, which says what is wrong with those found. Vertices of
    grids that lie on a boundary must be vertices of it already (`node_shared_vertices` of both together).

    Parameters
    ----------
    boundaries, grids
        Valid (multi)polygons, in one CRS. Shape: (m,) and (n,).
    boundary_of_grid
        Position of the boundary that each grid is to lie in. Shape: (n,).
    """
    outlines, shapes = np.asarray(boundaries, dtype=object), np.asarray(grids, dtype=object)
    rings = _Rings.of(shapely.orient_polygons(np.concatenate([shapes, outlines]), exterior_cw=False))
    starts = np.flatnonzero(rings.ring[1:] == rings.ring[:-1])
    vertex, _ = vertex_ids(rings.vertices)
    u, v = vertex[starts], vertex[starts + 1]
    shape = rings.shape[rings.part[rings.ring[starts]]]
    home = np.concatenate([np.asarray(boundary_of_grid, dtype=np.int64), np.arange(len(outlines))])[shape]
    sign = np.where(u < v, 1, -1) * np.where(shape >= len(shapes), -1, 1)
    low, high = np.minimum(u, v), np.maximum(u, v)
    order = np.lexsort((high, low, home))
    low, high, home, sign = low[order], high[order], home[order], sign[order]
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1]) | (home[1:] != home[:-1])
    first = np.flatnonzero(begins)
    left_over = np.add.reduceat(sign, first) != 0 if len(first) else np.zeros(0, dtype=bool)
    return np.unique(home[first[left_over]])


def node_shared_vertices(
    polygons: ArrayLike, tolerance_m: float = 0.001, *, group: ArrayLike | None = None
) -> GeometryArray:
    """Return the polygons with identical vertices along shared borders: T-junctions become vertices of both sides.

    Vertices closer than ``tolerance_m`` to each other become one (the westernmost, then southernmost), and each vertex within
    ``tolerance_m`` of an edge of any polygon is inserted into that edge. Borders move by at most the tolerance. The
    order, number and parts of the polygons stay; calling it again changes nothing.

    Parameters
    ----------
    polygons
        (Multi)polygons. CRS: projected, metric. Shape: (n,).
    tolerance_m
        Unit: m. The default is ten times the storage resolution.
    group
        Polygons of the same group (a community) are known to share their vertices already: only the outer edges of the groups
        are looked at, which is many times faster. Vertices inside a group stay, but follow a corner that moves. Shape: (n,).

    Raises
    ------
    GeometryError
        When one is missing, empty, no polygon, or collapses under the tolerance.

    Notes
    -----
    Cost: about n log n in the number of vertices looked at; 100,000 vertices take less than two seconds.
    """
    shapes = np.asarray(polygons, dtype=object)
    if len(shapes) == 0:
        return shapes.copy()
    _require_polygons(shapes, "A polygon", valid=False)
    rings = _Rings.of(shapes)
    if group is not None:
        return _with_borders_noded(
            rings, np.unique(np.asarray(group), return_inverse=True)[1], tolerance_m
        ).to_polygons()
    rings = rings.with_vertices(_merge_close(rings.vertices, tolerance_m)).without_repeats()
    for _ in range(_NODING_ROUNDS):
        noded = rings.noded(tolerance_m)
        if len(noded.vertices) == len(rings.vertices):
            break
        # an edge bent by an insertion may now pass another vertex
        rings = noded
    return rings.to_polygons()


def _with_borders_noded(rings: _Rings, group: IntArray, tolerance_m: float) -> _Rings:
    """Return the rings noded along the outer edges of groups of polygons; edges inside a group stay as they are."""
    ids, unique = vertex_ids(rings.vertices)
    starts, is_border = rings.border_edges(ids, group)
    on_border = np.unique(np.concatenate([ids[starts[is_border]], ids[starts[is_border] + 1]]))
    moved = unique.copy()
    moved[on_border] = _merge_close(unique[on_border], tolerance_m)
    # an edge stays a border edge when its ends move; an edge that vanishes has none
    edge_is_border = np.zeros(len(rings.vertices), dtype=bool)
    edge_is_border[starts[is_border]] = True
    vertices = moved[ids]
    gone = np.zeros(len(vertices), dtype=bool)
    gone[1:] = (rings.ring[1:] == rings.ring[:-1]) & (vertices[1:] == vertices[:-1]).all(axis=1)
    # the edge that begins at a vertex is that of its last repetition
    edge_is_border[:-1] = np.where(gone[1:], edge_is_border[1:], edge_is_border[:-1])
    rings = _Rings(vertices[~gone], rings.ring[~gone], rings.part, rings.shape, rings.is_multi)
    edge_is_border = edge_is_border[~gone]
    candidates = moved[on_border]
    for _ in range(_NODING_ROUNDS):
        at_border = np.flatnonzero(edge_is_border)
        inserted = _vertices_on_edges(rings.vertices[at_border], rings.vertices[at_border + 1], candidates, tolerance_m)
        if len(inserted.edge) == 0:
            break
        at = at_border[inserted.edge] + 1
        rings = _Rings(
            np.insert(rings.vertices, at, inserted.vertices, axis=0),
            np.insert(rings.ring, at, rings.ring[at]),
            rings.part,
            rings.shape,
            rings.is_multi,
        )
        edge_is_border = np.insert(edge_is_border, at, True)
    return rings


def vertex_ids(vertices: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return a number for each vertex, equal for equal ones and growing from west to east, and the vertex of each number."""
    keys, ids = np.unique(vertices[:, 0] + 1j * vertices[:, 1], return_inverse=True)
    return ids.ravel().astype(np.int64), np.column_stack([keys.real, keys.imag])


@dataclass(frozen=True, slots=True)
class _Rings:
    """All rings of an array of polygons as flat arrays; each ring repeats its first vertex at its end.

    ``ring`` gives the ring of each vertex, ``part`` the part of each ring, ``shape`` the polygon of each part; ``is_multi`` which
    polygons were multipolygons.
    """

    vertices: FloatArray
    ring: IntArray
    part: IntArray
    shape: IntArray
    is_multi: NDArray[np.bool_]

    @classmethod
    def of(cls, shapes: GeometryArray) -> _Rings:
        parts, shape = shapely.get_parts(shapes, return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        vertices, ring = shapely.get_coordinates(rings, return_index=True)
        is_multi = shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOLYGON
        return cls(vertices + 0.0, ring, part, shape, is_multi)  # + 0.0 turns -0.0 into 0.0

    def with_vertices(self, vertices: FloatArray) -> _Rings:
        return _Rings(vertices, self.ring, self.part, self.shape, self.is_multi)

    def without_repeats(self) -> _Rings:
        """Return the rings without consecutive identical vertices."""
        same = np.zeros(len(self.vertices), dtype=bool)
        same[1:] = (self.ring[1:] == self.ring[:-1]) & (self.vertices[1:] == self.vertices[:-1]).all(axis=1)
        return _Rings(self.vertices[~same], self.ring[~same], self.part, self.shape, self.is_multi)

    def border_edges(self, ids: IntArray, group: IntArray) -> tuple[IntArray, NDArray[np.bool_]]:
        """Return the first vertex of each edge, and whether no other polygon of its group has that edge."""
        starts = np.flatnonzero(self.ring[1:] == self.ring[:-1])
        u, v = ids[starts], ids[starts + 1]
        of = group[self.shape[self.part[self.ring[starts]]]]
        order = np.lexsort((np.maximum(u, v), np.minimum(u, v), of))
        low, high, of = np.minimum(u, v)[order], np.maximum(u, v)[order], of[order]
        same = (low[1:] == low[:-1]) & (high[1:] == high[:-1]) & (of[1:] == of[:-1])
        alone = np.ones(len(order), dtype=bool)
        alone[1:] &= ~same
        alone[:-1] &= ~same
        is_border = np.empty(len(order), dtype=bool)
        is_border[order] = alone
        return starts, is_border

    def noded(self, tolerance_m: float) -> _Rings:
        """Return the rings with every vertex near one of their edges inserted into it, in order along the edge."""
        starts = np.flatnonzero(self.ring[1:] == self.ring[:-1])
        inserted = _vertices_on_edges(self.vertices[starts], self.vertices[starts + 1], self.vertices, tolerance_m)
        at = starts[inserted.edge] + 1
        return _Rings(
            np.insert(self.vertices, at, inserted.vertices, axis=0),
            np.insert(self.ring, at, self.ring[at]),
            self.part,
            self.shape,
            self.is_multi,
        )

    def to_polygons(self) -> GeometryArray:
        sizes = np.bincount(self.ring, minlength=len(self.part))
        if sizes.min() < 4:
            bad = int(self.shape[self.part[int(np.argmin(sizes))]])
            raise GeometryError(
                f"Polygon {bad} has a ring narrower than the tolerance.", hint="Remove slivers first.", index=bad
            )
        rings = shapely.linearrings(self.vertices, indices=self.ring)
        parts = shapely.polygons(rings, indices=self.part)
        answer = np.empty(len(self.is_multi), dtype=object)
        multi = self.is_multi[self.shape]
        answer[self.shape[~multi]] = parts[~multi]
        if multi.any():
            which, indices = np.unique(self.shape[multi], return_inverse=True)
            answer[which] = shapely.multipolygons(parts[multi], indices=indices)
        return answer


class _Insertions(NamedTuple):
    """Vertices to insert: into which edge each goes, ordered by edge and by position along it."""

    edge: IntArray
    vertices: FloatArray


def _vertices_on_edges(start: FloatArray, end: FloatArray, vertices: FloatArray, tolerance_m: float) -> _Insertions:
    """Return the vertices within the tolerance of an edge that are none of its ends, each once per edge."""
    # neighbours hold the same edge in opposite directions: look it up once
    forward = (start[:, 0] < end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] <= end[:, 1]))
    ends = np.where(forward[:, None], np.hstack([start, end]), np.hstack([end, start]))
    unique_edges, edge_of = _unique_rows(ends)
    candidates = vertex_ids(vertices)[1]
    a, b = unique_edges[:, :2], unique_edges[:, 2:]
    edge, vertex, t = _near_edges(a, b, candidates, tolerance_m)
    # expand from the unique edges to all edges that equal them
    order = np.argsort(edge_of, kind="stable")
    first = np.searchsorted(edge_of[order], np.arange(len(unique_edges)))
    count = np.bincount(edge_of, minlength=len(unique_edges))
    repeat = count[edge]
    pick = np.repeat(first[edge], repeat) + _ranges(repeat)
    all_edge, all_vertex = order[pick], np.repeat(vertex, repeat)
    along = np.where(forward[all_edge], np.repeat(t, repeat), 1.0 - np.repeat(t, repeat))
    by_place = np.lexsort((along, all_edge))
    return _Insertions(all_edge[by_place], candidates[all_vertex[by_place]])


def _unique_rows(rows: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the different rows, and which of them each row is; many times faster than numpy's own for rows."""
    order = np.lexsort(rows.T[::-1])
    is_new = np.ones(len(rows), dtype=bool)
    is_new[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    which = np.empty(len(rows), dtype=np.int64)
    which[order] = np.cumsum(is_new) - 1
    return rows[order[is_new]], which


def _near_edges(
    a: FloatArray, b: FloatArray, points: FloatArray, tolerance_m: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return pairs (edge, point) within the tolerance of each other, ends left out, with the place along the edge (0 to 1)."""
    lines = shapely.linestrings(np.stack([a, b], axis=1))
    tree = shapely.STRtree(lines)
    boxes = shapely.box(
        points[:, 0] - tolerance_m, points[:, 1] - tolerance_m, points[:, 0] + tolerance_m, points[:, 1] + tolerance_m
    )
    point, edge = tree.query(boxes)
    p, along = points[point], b[edge] - a[edge]
    is_end = (p == a[edge]).all(axis=1) | (p == b[edge]).all(axis=1)
    length2 = np.maximum((along**2).sum(axis=1), np.finfo(float).tiny)
    t = ((p - a[edge]) * along).sum(axis=1) / length2
    distance = np.hypot(*(p - a[edge] - np.clip(t, 0.0, 1.0)[:, None] * along).T)
    near = ~is_end & (distance <= tolerance_m) & (t > 0.0) & (t < 1.0)
    return edge[near], point[near], t[near]


def _ranges(lengths: IntArray) -> IntArray:
    """Return 0..l-1 for each l in ``lengths``, one after the other."""
    if len(lengths) == 0:
        return np.zeros(0, dtype=np.int64)
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)


def _merge_close(vertices: FloatArray, tolerance_m: float) -> FloatArray:
    """Return the vertices with those chained within the tolerance of each other replaced by the first in (x, y) order."""
    inverse, unique = vertex_ids(vertices)
    pairs = cKDTree(unique).query_pairs(tolerance_m, output_type="ndarray")
    if len(pairs) == 0:
        return vertices
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(unique), len(unique)))
    _, cluster = connected_components(graph, directed=False)
    representative = np.full(cluster.max() + 1, len(unique))
    np.minimum.at(representative, cluster, np.arange(len(unique)))
    return unique[representative[cluster]][inverse]


def divide_edges(polygons: ArrayLike, chosen: ArrayLike, length_m: float) -> GeometryArray:
    """Return the polygons with every edge of the chosen ones cut in equal pieces no longer than ``length_m``.

    An edge is cut in the same places in every polygon that has it, so that an exact coverage stays one. Nothing moves.

    Parameters
    ----------
    chosen
        Positions of polygons.
    """
    rings = _Rings.of(np.asarray(polygons, dtype=object))
    starts = np.flatnonzero(rings.ring[1:] == rings.ring[:-1])
    a, b = rings.vertices[starts], rings.vertices[starts + 1]
    forward = (a[:, 0] < b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] <= b[:, 1]))
    low, high = np.where(forward[:, None], a, b), np.where(forward[:, None], b, a)
    edges, which = _unique_rows(np.hstack([low, high]))
    is_cut = np.zeros(len(edges), dtype=bool)
    is_cut[which[np.isin(rings.shape[rings.part[rings.ring[starts]]], np.asarray(chosen))]] = True
    length = np.hypot(*(edges[:, 2:] - edges[:, :2]).T)
    more = np.where(is_cut, np.ceil(length / length_m).astype(np.int64) - 1, 0).clip(0)[which]
    step = _ranges(more) + 1
    share = np.where(np.repeat(forward, more), step, np.repeat(more, more) + 1 - step) / np.repeat(more + 1.0, more)
    inserted = np.repeat(low, more, axis=0) + np.repeat(high - low, more, axis=0) * share[:, None]
    at = np.repeat(starts + 1, more)
    return _Rings(
        np.insert(rings.vertices, at, inserted, axis=0),
        np.insert(rings.ring, at, rings.ring[at]),
        rings.part,
        rings.shape,
        rings.is_multi,
    ).to_polygons()


class SharedEdges(NamedTuple):
    """Edges that two polygons have in common: positions of both, ends (m). Shapes: (n,), (n,), (n, 4); ordered by first, then second."""

    first: IntArray
    second: IntArray
    ends: FloatArray

    @property
    def length_m(self) -> FloatArray:
        """Return the length of each edge. Unit: m."""
        return np.hypot(self.ends[:, 2] - self.ends[:, 0], self.ends[:, 3] - self.ends[:, 1])


def shared_edges(polygons: ArrayLike) -> SharedEdges:
    """Return the edges that polygons of an exact coverage share, each once, the polygon of lower position first."""
    rings = _Rings.of(np.asarray(polygons, dtype=object))
    starts = np.flatnonzero(rings.ring[1:] == rings.ring[:-1])
    ids, unique = vertex_ids(rings.vertices)
    u, v = ids[starts], ids[starts + 1]
    owner = rings.shape[rings.part[rings.ring[starts]]].astype(np.int64)
    low, high = np.minimum(u, v), np.maximum(u, v)
    order = np.lexsort((owner, high, low))
    low, high, owner = low[order], high[order], owner[order]
    twice = np.flatnonzero((low[1:] == low[:-1]) & (high[1:] == high[:-1]) & (owner[1:] != owner[:-1]))
    first, second = owner[twice], owner[twice + 1]
    by_pair = np.lexsort((second, first))
    ends = np.hstack([unique[low[twice]], unique[high[twice]]])
    return SharedEdges(first[by_pair], second[by_pair], ends[by_pair])


def insert_vertices(boundary: shapely.Geometry, vertices: FloatArray, tolerance_m: float) -> shapely.Geometry:
    """Return ``boundary`` with the given vertices inserted where they lie on it, and its own corners moved onto them.

    ``vertices`` has shape (n, 2); the tolerance is in the unit of the coordinates, whichever that is.
    """
    return insert_vertices_each(np.array([boundary], dtype=object), vertices, tolerance_m)[0]


def insert_vertices_each(polygons: ArrayLike, vertices: FloatArray, tolerance_m: float = 0.001) -> GeometryArray:
    """Return each of the polygons as `insert_vertices` does: what is away from the given vertices stays to the last bit.

    Unlike `node_shared_vertices` it gives polygons no vertices of each other, so they may be versions of the same ground.
    """
    unique = np.unique(vertices + 0.0, axis=0)
    rings = _Rings.of(np.asarray(polygons, dtype=object))
    distance, nearest = cKDTree(unique).query(rings.vertices, distance_upper_bound=tolerance_m)
    hit = np.isfinite(distance)
    moved = rings.vertices.copy()
    moved[hit] = unique[nearest[hit]]
    rings = rings.with_vertices(moved).without_repeats()
    starts = np.flatnonzero(rings.ring[1:] == rings.ring[:-1])
    inserted = _vertices_on_edges(rings.vertices[starts], rings.vertices[starts + 1], unique, tolerance_m)
    at = starts[inserted.edge] + 1
    with_all = np.insert(rings.vertices, at, inserted.vertices, axis=0)
    return _Rings(
        with_all, np.insert(rings.ring, at, rings.ring[at]), rings.part, rings.shape, rings.is_multi
    ).to_polygons()


def _unmatched_edges(boundary: shapely.Geometry, grids: GeometryArray) -> list[shapely.LineString]:
    """Return the edges left over when the directed edges of the grids are set against each other and the boundary.

    With valid polygons an empty answer proves that the grids cover the boundary once everywhere: the winding numbers of
    the grids add up to that of the boundary, without any arithmetic on coordinates.
    """
    shapes = shapely.orient_polygons(np.append(grids, [boundary]), exterior_cw=False)
    rings = _Rings.of(shapes)
    starts = np.flatnonzero(rings.ring[1:] == rings.ring[:-1])
    vertex, _ = vertex_ids(rings.vertices)
    u, v = vertex[starts], vertex[starts + 1]
    of_boundary = rings.shape[rings.part[rings.ring[starts]]] == len(grids)
    sign = np.where(u < v, 1, -1) * np.where(of_boundary, -1, 1)
    key = np.minimum(u, v) * (vertex.max() + 1) + np.maximum(u, v)
    _, first, which = np.unique(key, return_index=True, return_inverse=True)
    left_over = np.bincount(which.ravel(), weights=sign) != 0
    at = starts[np.sort(first[left_over])]
    return list(shapely.linestrings(np.stack([rings.vertices[at], rings.vertices[at + 1]], axis=1))) if len(at) else []


def _overlaps(shapes: GeometryArray) -> list[Overlap]:
    """Return what pairs of grids both cover, largest first."""
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = first < second
    first, second = first[pairs], second[pairs]
    common = shapely.intersection(shapes[first], shapes[second])
    found = [
        Overlap(int(i), int(j), part)
        for i, j, shared in zip(first, second, common, strict=True)
        for part in _polygon_parts(shared)
    ]
    return sorted(found, key=lambda o: (-o.polygon.area, o.first, o.second, o.polygon.bounds))


def _polygon_parts(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """Return the polygons in a geometry, largest first, then by min_x and min_y; points and lines are left out."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    polygons = [p for p in parts if p.geom_type == "Polygon" and p.area > 0.0]
    return sorted(polygons, key=lambda p: (-p.area, p.bounds))


def _require_polygons(shapes: GeometryArray, what: str, *, valid: bool = True) -> None:
    kinds = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    bad = ~np.isin(shapely.get_type_id(shapes), kinds) | shapely.is_empty(shapes)
    if valid:
        bad |= ~shapely.is_valid(shapes)
    if not bad.any():
        return
    index = int(np.flatnonzero(bad)[0])
    reason = shapely.is_valid_reason(shapes[index]) if shapes[index] is not None else "missing"
    raise GeometryError(
        f"{what} is no valid, non-empty polygon (position {index}: {reason}).",
        hint="Repair or leave out the polygon.",
        index=index,
    )
