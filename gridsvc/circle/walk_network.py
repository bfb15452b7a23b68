"""The walking network: street lines made into nodes and edges, and points attached to the nearest point of an edge.

Lines that meet share a vertex; lines that only cross on the map (bridges, tunnels) do not connect. Everything is in a
metric CRS; the order of the input lines never changes the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from gridsvc.errors import CoordinateError, GeometryError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Lines = NDArray[np.object_]

NODE_TOLERANCE_M = 0.01  # vertices closer than this are one place: drawing noise, far below a kerb's width
MAX_ACCESS_M = 300.0  # our choice: a door further than this from every street has no known way to it

# OpenStreetMap highway values on which nobody walks, by traffic law or because nothing is there yet.
NOT_WALKABLE_CLASSES = frozenset(
    {
        "motorway",
        "motorway_link",
        "bus_guideway",
        "busway",
        "raceway",
        "escape",
        "rest_area",
        "services",
        "construction",
        "proposed",
        "planned",
        "abandoned",
        "razed",
    }
)
# Trunk roads of Chinese cities are expressways (城市快速路); their pavements are drawn as side streets or footways.
TRUNK_CLASSES = frozenset({"trunk", "trunk_link"})


def is_class_walkable(street_class: str, *, trunk_walkable: bool = False) -> bool:
    """Return whether people may walk along a street of this OpenStreetMap ``highway`` value.

    Motorways and their links never; trunk roads only when ``trunk_walkable``; unknown values yes, since a street that is
    drawn at all is usually walked.
    """
    if street_class in TRUNK_CLASSES:
        return trunk_walkable
    return street_class not in NOT_WALKABLE_CLASSES


@dataclass(frozen=True, slots=True)
class ComponentReport:
    """How connected a network is: number of components, share of length in the largest, length of the others."""

    components: int
    largest_share: float
    detached_length_m: float


@dataclass(frozen=True, slots=True)
class EdgeSegments:
    """Edges as straight pieces for kernels; piece i runs from ``start`` to ``end``, ``offset_m`` after its edge began."""

    edge: Ints
    start: Floats
    end: Floats
    offset_m: Floats


@dataclass(frozen=True, eq=False)
class WalkNetwork:
    """Nodes and undirected edges of a walking network. CRS: projected, metric.

    Parameters
    ----------
    node_xy
        Shape (n, 2), columns x, y. Unit: m. Ordered by x, then y.
    edge_u, edge_v
        End nodes of each edge, ``edge_u <= edge_v``; ordered by u, v, length. An edge with u == v is a loop.
    edge_length_m
        Length along the street. Unit: m, greater than zero.
    edge_lines
        LineStrings running from u to v.
    """

    node_xy: Floats
    edge_u: Ints
    edge_v: Ints
    edge_length_m: Floats
    edge_lines: Lines

    @cached_property
    def graph(self) -> csr_array:
        """Both directions of every edge as a (n, n) matrix of metres; of parallel edges the shortest, loops left out."""
        return shortest_links(self.edge_u, self.edge_v, self.edge_length_m, len(self.node_xy))

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Search tree over the edge lines."""
        return shapely.STRtree(self.edge_lines)

    @cached_property
    def node_component(self) -> Ints:
        """Number of the component of each node; 0 is the one with the greatest length."""
        _, label = connected_components(self.graph, directed=False)
        length_m = np.bincount(label[self.edge_u], weights=self.edge_length_m, minlength=label.max() + 1)
        rank = np.empty(len(length_m), dtype=np.int64)
        rank[np.argsort(-length_m, kind="stable")] = np.arange(len(length_m))
        return rank[label]

    @cached_property
    def components(self) -> ComponentReport:
        """How connected the network is."""
        component = self.node_component
        length_m = np.bincount(component[self.edge_u], weights=self.edge_length_m)
        total = float(length_m.sum())
        return ComponentReport(int(component.max()) + 1, float(length_m[0]) / total, total - float(length_m[0]))

    @cached_property
    def segments(self) -> EdgeSegments:
        """All edges cut at their vertices, in edge order."""
        coords, edge = shapely.get_coordinates(self.edge_lines, return_index=True)
        inside = edge[1:] == edge[:-1]
        start, end, of_edge = coords[:-1][inside], coords[1:][inside], edge[:-1][inside].astype(np.int64)
        length = np.hypot(*(end - start).T)
        walked = np.concatenate(([0.0], np.cumsum(length)[:-1]))
        first = np.searchsorted(of_edge, np.arange(len(self.edge_lines)))
        return EdgeSegments(of_edge, start, end, walked - walked[first][of_edge])

    @cached_property
    def content_sha256(self) -> str:
        """Hash of the edges to the millimetre; equal for equal networks whatever the order of their input was."""
        coords, edge = shapely.get_coordinates(self.edge_lines, return_index=True)
        digest = hashlib.sha256(np.rint(coords * 1000).astype("<i8").tobytes())
        for whole in (edge, self.edge_u, self.edge_v):
            digest.update(whole.astype("<i8").tobytes())
        return digest.hexdigest()


def shortest_links(u: Ints, v: Ints, length_m: Floats, nodes: int) -> csr_array:
    """Return a symmetric CSR matrix of the shortest link between each pair of joined nodes, loops left out."""
    link = u != v
    low, high, weight = np.minimum(u, v)[link], np.maximum(u, v)[link], length_m[link]
    order = np.lexsort((weight, high, low))
    low, high, weight = low[order], high[order], weight[order]
    new = np.ones(len(low), dtype=bool)
    new[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    low, high, weight = low[new], high[new], weight[new]
    rows, columns = np.concatenate((low, high)), np.concatenate((high, low))
    return csr_array(coo_array((np.concatenate((weight, weight)), (rows, columns)), shape=(nodes, nodes)))


def build_walk_network(
    lines: Sequence[Any] | Lines,
    street_class: Sequence[str] | None = None,
    *,
    is_walkable: ArrayLike | None = None,
    layer: ArrayLike | None = None,
    trunk_walkable: bool = False,
    tolerance_m: float = NODE_TOLERANCE_M,
) -> WalkNetwork:
    """Return the walking network of street lines, the same for any order and direction of the lines.

    A vertex becomes a node when it ends a line, when another line ends there, or when lines of one layer share it: then
    people can turn. A bridge over a street shares no vertex with it (or lies in another layer) and does not connect.
    Zero-length pieces and exact doubles are left out.

    Parameters
    ----------
    lines
        LineStrings; empty ones and None are left out. CRS: projected, metric.
    street_class
        OpenStreetMap ``highway`` value of each line; None counts every line as walkable by class.
    is_walkable
        Flag of each line; False takes the line out whatever its class.
    layer
        Level of each line (bridges > 0, tunnels < 0); None means all on the ground.
    trunk_walkable
        Whether trunk roads are walked, see :func:`is_class_walkable`.
    tolerance_m
        Vertices closer than this are one node.

    Raises
    ------
    GeometryError
        When no walkable line of any length is left, or something other than a LineString is given.

    Notes
    -----
    Cost: n log n in the number of vertices; 20,000 edges take about 0.2 s.
    """
    chosen, levels = _walkable_lines(lines, street_class, is_walkable, layer, trunk_walkable)
    coords, line = shapely.get_coordinates(chosen, return_index=True)
    place = _cluster(coords, tolerance_m)
    keep = np.ones(len(coords), dtype=bool)
    keep[1:] = (line[1:] != line[:-1]) | (place[1:] != place[:-1])
    coords, line, place = coords[keep], line[keep], place[keep]
    used = np.bincount(line, minlength=len(chosen))[line] > 1
    coords, line, place = coords[used], line[used], place[used]
    if not len(coords):
        raise GeometryError(
            "There is no walkable street line to build a walking network from.",
            hint="Import streets, or check their classes.",
        )
    return _edges_between_nodes(coords, line, place, _is_node(line, place, levels[line]))


def _walkable_lines(
    lines: Sequence[Any] | Lines,
    street_class: Sequence[str] | None,
    is_walkable: ArrayLike | None,
    layer: ArrayLike | None,
    trunk_walkable: bool,
) -> tuple[Lines, Ints]:
    given = np.asarray(lines, dtype=object)
    present = ~(shapely.is_missing(given) | shapely.is_empty(given))
    wrong = present & (shapely.get_type_id(given) != shapely.GeometryType.LINESTRING)
    if wrong.any():
        raise GeometryError(
            f"Street line {int(np.flatnonzero(wrong)[0])} is a {given[wrong][0].geom_type}.",
            hint="Split it into LineStrings.",
        )
    walkable = present.copy()
    if street_class is not None:
        allowed = {name: is_class_walkable(name, trunk_walkable=trunk_walkable) for name in set(street_class)}
        walkable &= np.fromiter((allowed[name] for name in street_class), dtype=bool, count=len(given))
    if is_walkable is not None:
        walkable &= np.asarray(is_walkable, dtype=bool)
    levels = np.zeros(len(given), dtype=np.int64) if layer is None else np.asarray(layer, dtype=np.int64)
    return shapely.force_2d(given[walkable]), levels[walkable]


def _cluster(coords: Floats, tolerance_m: float) -> Ints:
    """Number the places of vertices: vertices within the tolerance share a number; numbers grow with x, then y."""
    if not len(coords):
        return np.empty(0, dtype=np.int64)
    spots, spot_of = np.unique(coords, axis=0, return_inverse=True)
    pairs = cKDTree(spots).query_pairs(tolerance_m, output_type="ndarray")
    near = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(spots), len(spots)))
    _, label = connected_components(near, directed=False)
    # spots are sorted by x, y: the first of a cluster is its lowest, and ranks the cluster
    _, first, cluster = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[cluster.reshape(-1)][spot_of.reshape(-1)]


def _is_node(line: Ints, place: Ints, level: Ints) -> NDArray[np.bool_]:
    ends = np.ones(len(line), dtype=bool)
    ends[1:-1] = (line[1:-1] != line[:-2]) | (line[1:-1] != line[2:])
    ended_at = np.zeros(place.max() + 1, dtype=bool)
    ended_at[place[ends]] = True
    _, on_level, visits = np.unique(np.column_stack((place, level)), axis=0, return_inverse=True, return_counts=True)
    return ended_at[place] | (visits[on_level.reshape(-1)] > 1)


def _edges_between_nodes(coords: Floats, line: Ints, place: Ints, is_node: NDArray[np.bool_]) -> WalkNetwork:
    at = np.flatnonzero(is_node)
    same_line = line[at[1:]] == line[at[:-1]]
    begin, stop = at[:-1][same_line], at[1:][same_line]
    counts = stop - begin + 1
    edge_of = np.repeat(np.arange(len(begin)), counts)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    lines = shapely.linestrings(coords[begin[edge_of] + within], indices=edge_of)
    places, node = np.unique(place[at], return_inverse=True)
    number = np.full(place.max() + 1, -1, dtype=np.int64)
    number[places] = np.arange(len(places))
    order = np.lexsort((coords[at][:, 1], coords[at][:, 0], node))
    node_xy = coords[at][order][np.searchsorted(node[order], np.arange(len(places)))]
    return _canonical(node_xy, number[place[begin]], number[place[stop]], lines)


def _canonical(node_xy: Floats, u: Ints, v: Ints, lines: Lines) -> WalkNetwork:
    """Turn edges to run from the lower node to the higher, order them, and drop exact doubles."""
    flip = u > v
    for loop in np.flatnonzero(u == v):
        path = shapely.get_coordinates(lines[loop])
        flip[loop] = tuple(path[1]) > tuple(path[-2])
    u, v = np.where(flip, v, u), np.where(flip, u, v)
    lines = np.where(flip, shapely.reverse(lines), lines)
    length_m = shapely.length(lines)
    middle = np.rint(shapely.get_coordinates(shapely.line_interpolate_point(lines, 0.5, normalized=True)) * 1000)
    order = np.lexsort((middle[:, 1], middle[:, 0], np.rint(length_m * 1000), v, u))
    key = np.column_stack((u, v, np.rint(length_m * 1000), middle))[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (key[1:] != key[:-1]).any(axis=1)
    order = order[new]
    return WalkNetwork(node_xy, u[order], v[order], length_m[order], lines[order])


def network_from_edges(u: ArrayLike, v: ArrayLike, length_m: ArrayLike, lines: Sequence[Any] | Lines) -> WalkNetwork:
    """Return a network from stored edges, whose node numbers, lengths and order are kept as they are.

    Parameters
    ----------
    u, v
        Node numbers 0 .. n-1, every number used.
    length_m
        Stored lengths; kept, so that times do not change by a round trip through storage coordinates.
    lines
        LineStrings from u to v. CRS: projected, metric.
    """
    node_u, node_v = np.asarray(u, dtype=np.int64), np.asarray(v, dtype=np.int64)
    edge_lines = np.asarray(lines, dtype=object)
    node_xy = np.zeros((max(node_u.max(), node_v.max()) + 1, 2))
    node_xy[node_v] = shapely.get_coordinates(shapely.get_point(edge_lines, -1))
    node_xy[node_u] = shapely.get_coordinates(shapely.get_point(edge_lines, 0))
    return WalkNetwork(node_xy, node_u, node_v, np.asarray(length_m, dtype=np.float64), edge_lines)


@dataclass(frozen=True, eq=False, slots=True)
class Attachments:
    """Points attached to the nearest point of an edge; one entry per point, in the order given.

    ``edge`` is -1 where no edge lies within reach, and the metres are then infinite. ``to_u_m`` and ``to_v_m`` are the
    whole walk from the point to the ends of its edge: the access leg, then along the edge.
    """

    edge: Ints
    access_m: Floats
    offset_m: Floats
    to_u_m: Floats
    to_v_m: Floats

    def __len__(self) -> int:
        return len(self.edge)

    @property
    def is_attached(self) -> NDArray[np.bool_]:
        """True where an edge lies within reach."""
        return self.edge >= 0


def attach_points(network: WalkNetwork, xy: ArrayLike, *, max_access_m: float = MAX_ACCESS_M) -> Attachments:
    """Return where points join the network: the nearest point of the nearest edge, not the nearest node.

    Parameters
    ----------
    xy
        Shape (n, 2), columns x, y, in the CRS of the network. Unit: m.
    max_access_m
        Points further than this from every edge stay unattached.

    Raises
    ------
    CoordinateError
        When a coordinate is NaN or infinite.

    Notes
    -----
    The access leg is a straight line. Of edges equally near, the one with the lowest number is taken.
    Cost: about 25 µs a point.
    """
    places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(places).all():
        bad = int(np.flatnonzero(~np.isfinite(places).all(axis=1))[0])
        raise CoordinateError(
            f"Point {bad} has no finite position: {places[bad].tolist()}.", hint="Give x and y in metres."
        )
    points = shapely.points(places)
    found, distance = network.tree.query_nearest(points, max_distance=max_access_m, return_distance=True)
    edge, access = np.full(len(points), -1, dtype=np.int64), np.full(len(points), np.inf)
    # the lowest edge number of each point comes last, and stays
    order = np.lexsort((-found[1], found[0]))
    edge[found[0][order]], access[found[0][order]] = found[1][order], distance[order]
    offset, rest = np.full(len(points), np.inf), np.full(len(points), np.inf)
    on = edge >= 0
    length = network.edge_length_m[edge[on]]
    offset[on] = np.clip(shapely.line_locate_point(network.edge_lines[edge[on]], points[on]), 0.0, length)
    rest[on] = length - offset[on]
    return Attachments(edge, access, offset, access + offset, access + rest)
