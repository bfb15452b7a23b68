"""Cut an exact coverage by a path: every crossing becomes a vertex of the path and of both grids beside it.

Vertices of the coverage never move. Where the path passes within ``node_m`` of a vertex it goes through it, where a vertex of the
path lies as near to an edge it is put on the edge, and new vertices are positions that storage can hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gridsvc.division.borders import EdgeTable
from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.division.editable_grids import on_lattice
from gridsvc.errors import PartitionError

_ROUNDS = 12
# a storable position is on an edge when it is this near: the 0.1 mm of storage, halved diagonally, and some
_ON_EDGE_M = 2e-4


@dataclass(frozen=True, slots=True)
class Cut:
    """A coverage that knows every vertex of a path, and the edges of the path.

    ``polygons`` are those given, with vertices added where the path meets their edges (the others are the same objects). ``path`` is
    the noded path. ``new_edges`` are its edges that were no edges of the coverage. Shape: (n, 2, 2).
    """

    polygons: Geometries
    path: Floats
    new_edges: Floats

    @property
    def path_edges(self) -> Floats:
        """Return every edge of the path, those along existing borders included."""
        return np.stack([self.path[:-1], self.path[1:]], axis=1)

    def crossing(self, position: int) -> Floats:
        """Return the new edges inside one polygon."""
        if len(self.new_edges) == 0:
            return self.new_edges
        middle = shapely.points(self.new_edges.mean(axis=1))
        return self.new_edges[shapely.contains_properly(self.polygons[position], middle)]

    def pieces(self, position: int) -> Geometries:
        """Return the pieces of one polygon, ordered west to east, then north to south; itself alone where nothing crosses it."""
        polygon = self.polygons[position]
        inner = self.crossing(position)
        if len(inner) == 0:
            return self.polygons[position : position + 1]
        rings = shapely.get_rings(shapely.get_parts(polygon))
        coordinates, ring = shapely.get_coordinates(rings, return_index=True)
        same = ring[1:] == ring[:-1]
        outer = np.stack([coordinates[:-1][same], coordinates[1:][same]], axis=1)
        faces = shapely.get_parts(shapely.polygonize(shapely.linestrings(np.concatenate([outer, inner]))))
        faces = faces[shapely.intersects(polygon, shapely.point_on_surface(faces))]
        x, y = shapely.get_coordinates(shapely.centroid(faces)).T
        return faces[np.lexsort((-y, x))]


def cut_by(polygons: Geometries, targets: Integers, path: Floats, epsg: int, node_m: float) -> Cut:
    """Return a coverage in which some polygons are cut by a path; what the path does elsewhere is ignored.

    Parameters
    ----------
    polygons
        An exact coverage: identical vertices on shared borders. CRS: ``epsg``, metric.
    targets
        Positions of the polygons to be cut. Their neighbours get the new vertices too.
    path
        Shape: (n, 2). May run along borders, and beyond the coverage.
    node_m
        Points closer than this are one. Unit: m.

    Raises
    ------
    PartitionError
        When path and borders are so entangled that they do not settle.
    """
    table = EdgeTable.of(polygons)
    is_border = np.isin(table.left, targets) | np.isin(table.right, targets)
    beside = np.flatnonzero(is_border & _beside(table.ends, path, 1.0))
    noding = _Noding(table.ends[beside], path, epsg, node_m)
    noding.settle()
    gaining: set[int] = set()
    chains = noding.chains()
    for root in chains:
        gaining |= {int(table.left[beside[root]]), int(table.right[beside[root]])}
    renewed = _with_vertices(polygons, gaining - {-1}, [(noding.roots[root], chain) for root, chain in chains.items()])
    edges = np.stack([noding.path[:-1], noding.path[1:]], axis=1)
    once = np.unique(edge_keys(edges), axis=0, return_index=True)[1]
    edges = edges[np.sort(once)]
    return Cut(renewed, noding.path, edges[~_among(edges, noding.edges)])


def _beside(edges: Floats, path: Floats, reach_m: float) -> NDArray[np.bool_]:
    low, high = path.min(axis=0) - reach_m, path.max(axis=0) + reach_m
    return (edges.max(axis=1) >= low).all(axis=1) & (edges.min(axis=1) <= high).all(axis=1)


def keys_of(points: Floats) -> NDArray[np.complex128]:
    """Return each position as one number, equal only for identical positions."""
    return points[..., 0] + 1j * points[..., 1]


def edge_keys(edges: Floats) -> NDArray[np.complex128]:
    """Return each edge as a pair of numbers, the same in both directions. Shape: (n, 2)."""
    return np.sort(keys_of(edges), axis=1)


def _among(edges: Floats, others: Floats) -> NDArray[np.bool_]:
    known = {tuple(pair) for pair in edge_keys(others).tolist()}
    return np.array([tuple(pair) in known for pair in edge_keys(edges).tolist()], dtype=bool)


class _Noding:
    """Vertices exchanged between a path and the edges beside it until each knows those of the other."""

    def __init__(self, edges: Floats, path: Floats, epsg: int, node_m: float) -> None:
        self.edges, self.path = edges, path
        self.root = np.arange(len(edges))
        self.roots = edges
        self.vertices = np.unique(edges.reshape(-1, 2), axis=0)
        self.epsg, self.node_m = epsg, node_m

    def settle(self) -> None:
        for _ in range(_ROUNDS):
            before = (len(self.edges), self.path)
            self._onto_vertices()
            self._onto_edges()
            self._through_vertices()
            self._into_crossings()
            if len(self.edges) == before[0] and np.array_equal(self.path, before[1]):
                return
        raise PartitionError(
            "The line and the borders beside it are too entangled to be cut.",
            hint="Draw the line further away from existing borders, or along them.",
            check="noding",
        )

    def chains(self) -> dict[int, Floats]:
        """Return the vertices inserted into each edge that has any, in order from its first end. Keys: position of the edge."""
        found = {}
        for root in np.flatnonzero(np.bincount(self.root, minlength=len(self.roots)) > 1):
            start, end = self.roots[root]
            points = np.unique(self.edges[self.root == root].reshape(-1, 2), axis=0)
            inner = points[~np.isin(keys_of(points), keys_of(self.roots[root]))]
            found[int(root)] = inner[np.argsort((inner - start) @ (end - start))]
        return found

    def _is_vertex(self, points: Floats) -> NDArray[np.bool_]:
        return np.isin(keys_of(points), keys_of(self.vertices))

    def _onto_vertices(self) -> None:
        path = self.path.copy()
        for i in np.flatnonzero(~self._is_vertex(path)):
            path[i] = self._vertex_at(path[i], path[i])
        self._set_path(path)

    def _vertex_at(self, point: Floats, otherwise: Floats) -> Floats:
        """Return the vertex within ``node_m`` of a point, else the other."""
        if len(self.vertices) == 0:
            return otherwise
        distance = np.hypot(*(self.vertices - point).T)
        nearest = int(distance.argmin())
        return self.vertices[nearest] if distance[nearest] <= self.node_m else otherwise

    def _onto_edges(self) -> None:
        path = self.path.copy()
        for i in np.flatnonzero(~self._is_vertex(path)):
            distance, t = _from_segments(path[i], self.edges)
            if len(distance) == 0 or distance.min() > self.node_m:
                continue
            edge = int(distance.argmin())
            if distance[edge] > _ON_EDGE_M:
                start, end = self.edges[edge]
                path[i] = on_lattice((start + t[edge] * (end - start))[None, :], self.epsg)[0]
            path[i] = self._vertex_at(path[i], path[i])
            if not self._is_vertex(path[i : i + 1])[0]:
                self._split({edge: path[i : i + 1]})
        self._set_path(path)

    def _through_vertices(self) -> None:
        """Put the vertices that the path passes by into it."""
        pieces = [self.path[:1]]
        for start, end in zip(self.path[:-1], self.path[1:], strict=True):
            along = end - start
            t = (self.vertices - start) @ along / (along @ along)
            off = np.hypot(*(self.vertices - start - np.clip(t, 0, 1)[:, None] * along).T)
            passed = (off <= self.node_m) & (t > 0) & (t < 1)
            passed &= ~np.isin(keys_of(self.vertices), keys_of(np.stack([start, end])))
            pieces += [self.vertices[passed][np.argsort(t[passed])], end[None, :]]
        self._set_path(np.vstack(pieces))

    def _into_crossings(self) -> None:
        """Put a vertex where the path crosses an edge, into both."""
        into_edges: dict[int, list[Floats]] = {}
        pieces = [self.path[:1]]
        for start, end in zip(self.path[:-1], self.path[1:], strict=True):
            edge, t, points = _crossings(start, end, self.edges)
            points = on_lattice(points, self.epsg)
            order = np.argsort(t)
            for i in order:
                point = self._vertex_at(points[i], points[i])
                if not self._is_vertex(point[None, :])[0]:
                    into_edges.setdefault(int(edge[i]), []).append(point)
                pieces.append(point[None, :])
            pieces.append(end[None, :])
        self._split({edge: np.unique(np.array(points), axis=0) for edge, points in into_edges.items()})
        self._set_path(np.vstack(pieces))

    def _split(self, points_of: dict[int, Floats]) -> None:
        if not points_of:
            return
        kept = np.ones(len(self.edges), dtype=bool)
        kept[list(points_of)] = False
        edges, roots = [self.edges[kept]], [self.root[kept]]
        for edge, points in points_of.items():
            start, end = self.edges[edge]
            inner = points[np.argsort((points - start) @ (end - start))]
            chain = np.vstack([start, inner, end])
            edges.append(np.stack([chain[:-1], chain[1:]], axis=1))
            roots.append(np.full(len(chain) - 1, self.root[edge]))
        self.edges, self.root = np.concatenate(edges), np.concatenate(roots)
        self.vertices = np.unique(np.concatenate([self.vertices, *points_of.values()]), axis=0)

    def _set_path(self, path: Floats) -> None:
        self.path = path[np.append(True, (path[1:] != path[:-1]).any(axis=1))]


def _from_segments(point: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Return the distance of a point from each edge, and the place along it (0 to 1) where it is nearest."""
    start, along = edges[:, 0], edges[:, 1] - edges[:, 0]
    t = np.clip(((point - start) * along).sum(axis=1) / (along**2).sum(axis=1), 0.0, 1.0)
    return np.hypot(*(point - start - t[:, None] * along).T), t


def _crossings(start: Floats, end: Floats, edges: Floats) -> tuple[Integers, Floats, Floats]:
    """Return the edges that the segment crosses, the place along the segment (0 to 1), and the crossings.

    Edges that begin or end at an end of the segment do not cross it.
    """
    a, b = edges[:, 0], edges[:, 1]
    along, across = end - start, b - a
    turn = along[0] * across[:, 1] - along[1] * across[:, 0]
    turn = np.where(turn == 0, np.nan, turn)
    offset = a - start
    t = (offset[:, 0] * across[:, 1] - offset[:, 1] * across[:, 0]) / turn
    u = (offset[:, 0] * along[1] - offset[:, 1] * along[0]) / turn
    joined = np.isin(keys_of(edges), keys_of(np.stack([start, end]))).any(axis=1)
    found = np.flatnonzero((t > 0) & (t < 1) & (u > 0) & (u < 1) & ~joined)
    return found.astype(np.int64), t[found], start + t[found, None] * along


def _with_vertices(polygons: Geometries, gaining: set[int], chains: list[tuple[Floats, Floats]]) -> Geometries:
    """Return the polygons with the vertices of each chain put into its edge, wherever a ring has it."""
    inserted: dict[tuple[complex, complex], Floats] = {}
    for (start, end), chain in chains:
        a, b = complex(*start), complex(*end)
        inserted[a, b], inserted[b, a] = chain, chain[::-1]
    renewed = polygons.copy()
    for position in sorted(gaining):
        parts = [
            shapely.Polygon(_ring(part.exterior, inserted), [_ring(hole, inserted) for hole in part.interiors])
            for part in shapely.get_parts(polygons[position])
        ]
        renewed[position] = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return renewed


def _ring(ring: shapely.LinearRing, inserted: dict[tuple[complex, complex], Floats]) -> Floats:
    vertices = shapely.get_coordinates(ring)
    keys = keys_of(vertices).tolist()
    pieces = [vertices[:1]]
    for i in range(len(vertices) - 1):
        chain = inserted.get((keys[i], keys[i + 1]))
        if chain is not None:
            pieces.append(chain)
        pieces.append(vertices[i + 1 : i + 2])
    return np.vstack(pieces)


def components_between(pieces: Geometries, walls: Floats) -> Integers:
    """Return the number of the connected part of each piece, when no way leads across the edges ``walls``.

    Parameters
    ----------
    pieces
        An exact coverage. Shape: (n,).
    walls
        Edges between identical vertices. Shape: (m, 2, 2).
    """
    table = EdgeTable.of(pieces)
    open_ = (table.right >= 0) & ~_among(table.ends, walls)
    size = len(pieces)
    graph = coo_matrix((np.ones(open_.sum()), (table.left[open_], table.right[open_])), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def shared_edges(polygons: Geometries, first: Integers, second: Integers) -> Floats:
    """Return the edges that polygons of one group share with those of another. Shape: (n, 2, 2).

    Parameters
    ----------
    polygons
        An exact coverage.
    first, second
        Positions of the polygons of either group.
    """
    chosen = np.concatenate([first, second])
    table = EdgeTable.of(polygons[chosen])
    inner = table.right >= 0
    apart = inner & ((table.left < len(first)) != (table.right < len(first)))
    return table.ends[apart]


def joined_fragments(pieces: Geometries, side: Integers, is_fragment: NDArray[np.bool_]) -> Integers:
    """Return the piece that each piece becomes a part of: fragments join the neighbour on their side with the longest border.

    Fragments that only touch other fragments follow these; one without any neighbour on its side stays alone. Pieces that are
    no fragments keep their own position.

    Parameters
    ----------
    pieces
        An exact coverage. Shape: (n,).
    side
        Only pieces of the same number join. Shape: (n,).
    """
    into = np.arange(len(pieces))
    table = EdgeTable.of(pieces)
    inner = (table.right >= 0) & (side[table.left] == side[np.maximum(table.right, 0)])
    left, right, length_m = table.left[inner], table.right[inner], table.length_m[inner]
    loose = is_fragment.copy()
    while loose.any():
        settled = ~loose
        outward = np.concatenate([left[loose[left] & settled[right]], right[loose[right] & settled[left]]])
        inward = np.concatenate([right[loose[left] & settled[right]], left[loose[right] & settled[left]]])
        weight = np.concatenate([length_m[loose[left] & settled[right]], length_m[loose[right] & settled[left]]])
        if len(outward) == 0:
            break
        target = into[inward]
        pairs, which = np.unique(np.stack([outward, target], axis=1), axis=0, return_inverse=True)
        longest = int(np.bincount(which.ravel(), weight).argmax())
        fragment, goal = pairs[longest]
        into[fragment] = goal
        loose[fragment] = False
    return into.astype(np.int64)


def way_between(edges: Floats, start: Floats, end: Floats) -> list[Floats]:
    """Return the ways along edges from one vertex to another, at most two (around a ring), shortest in edges first.

    Each is an array of vertices, shape (n, 2). Empty when the edges do not join the two.
    """
    keys = keys_of(edges)
    place = dict(zip(keys.ravel().tolist(), edges.reshape(-1, 2), strict=True))
    links: dict[complex, set[complex]] = {}
    for a, b in keys.tolist():
        links.setdefault(a, set()).add(b)
        links.setdefault(b, set()).add(a)
    goal = complex(*end)
    found = []
    for _ in range(2):
        way = _fewest_steps(links, complex(*start), goal)
        if not way:
            break
        found.append(np.array([place[key] for key in way]))
        for a, b in pairwise(way):
            links[a].discard(b)
            links[b].discard(a)
    return found


def _fewest_steps(links: dict[complex, set[complex]], start: complex, goal: complex) -> list[complex]:
    came_from: dict[complex, complex] = {start: start}
    todo = [start] if start in links else []
    for here in todo:
        if here == goal:
            break
        for there in sorted(links[here] - came_from.keys(), key=lambda k: (k.real, k.imag)):
            came_from[there] = here
            todo.append(there)
    if goal not in came_from or goal == start:
        return []
    way = [goal]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def is_inside_curve(points: Floats, curve: Floats) -> NDArray[np.bool_]:
    """Return which points a closed curve goes around an odd number of times; the curve may cross itself.

    Parameters
    ----------
    points
        None of them on the curve. Shape: (n, 2).
    curve
        Vertices, the first not repeated. Shape: (m, 2).
    """
    a, b = curve, np.roll(curve, -1, axis=0)
    x, y = points[:, 0, None], points[:, 1, None]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    crosses = spans & (x < a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0]))
    return crosses.sum(axis=1) % 2 == 1
