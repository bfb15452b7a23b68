"""The walking network: street lines made into nodes and edges, as arrays.

Lines that meet share a vertex; lines that only cross on the map (bridges, tunnels) do not connect. Everything is in a
metric CRS; the order of the input lines never changes the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from gridsvc.circle.edge_grid import EdgeGrid, build_edge_grid
from gridsvc.circle.walk_rules import is_class_walkable
from gridsvc.errors import GeometryError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = NDArray[np.int32]
Flags = NDArray[np.bool_]
Lines = NDArray[np.object_]

NODE_TOLERANCE_M = 0.01  # vertices closer than this are one place: drawing noise, far below a kerb's width
NO_GATE = -1


@dataclass(frozen=True, slots=True)
class ComponentReport:
    """How connected a network is, closed gates taken as open: number of components, share of length in the largest, length of the others."""

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
    vertex_xy, edge_first_vertex
        Edge i runs from u to v through ``vertex_xy[edge_first_vertex[i]:edge_first_vertex[i + 1]]``, its ends among them.
    edge_penalty_s
        Seconds that a walk along the whole edge costs beside its metres: a signal, an overpass. At least 0.
    edge_gate
        Number of the gate (or gap in a wall) that the edge passes, -1 where it passes none. Nothing attaches to such an edge.
    edge_closed_by
        The same number where that gate is closed, else -1. Nobody walks along an edge closed by a gate.
    edge_compound
        Number of the walled compound that the edge lies in, -1 outside of all.
    """

    node_xy: Floats
    edge_u: Ints
    edge_v: Ints
    edge_length_m: Floats
    vertex_xy: Floats
    edge_first_vertex: Ints
    edge_penalty_s: Floats
    edge_gate: Numbers
    edge_closed_by: Numbers
    edge_compound: Numbers

    @cached_property
    def edge_lines(self) -> Lines:
        """LineStrings running from u to v, made when first asked for: for drawing and storing, not for kernels."""
        edge = np.repeat(np.arange(len(self.edge_u)), np.diff(self.edge_first_vertex))
        return shapely.linestrings(self.vertex_xy, indices=edge)

    @cached_property
    def graph(self) -> csr_array:
        """Both directions of every edge as a (n, n) matrix of metres; of parallel edges the shortest, loops and closed ones left out."""
        open_ = self.edge_closed_by == NO_GATE
        return shortest_links(self.edge_u[open_], self.edge_v[open_], self.edge_length_m[open_], len(self.node_xy))

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Search tree over the edge lines."""
        return shapely.STRtree(self.edge_lines)

    @cached_property
    def edge_grid(self) -> EdgeGrid:
        """Grid by which points find their nearest edge."""
        return build_edge_grid(self.vertex_xy, self.edge_first_vertex, self.edge_gate != NO_GATE)

    @cached_property
    def node_component(self) -> Ints:
        """Number of the component of each node; 0 is the one with the greatest length. Closed gates count as open."""
        nodes = len(self.node_xy)
        links = coo_array((np.ones(len(self.edge_u), dtype=np.int8), (self.edge_u, self.edge_v)), shape=(nodes, nodes))
        _, label = connected_components(links, directed=False)
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
        counts = np.diff(self.edge_first_vertex)
        edge = np.repeat(np.arange(len(counts)), counts)
        inside = edge[1:] == edge[:-1]
        start, end, of_edge = self.vertex_xy[:-1][inside], self.vertex_xy[1:][inside], edge[:-1][inside]
        length = np.hypot(*(end - start).T)
        walked = np.concatenate(([0.0], np.cumsum(length)[:-1]))
        first = self.edge_first_vertex[:-1] - np.arange(len(counts))
        return EdgeSegments(of_edge, start, end, walked - walked[first][of_edge])

    @cached_property
    def content_sha256(self) -> str:
        """Hash of the edges to the millimetre, their penalties to the millisecond and their gates; equal for equal networks."""
        digest = hashlib.sha256(np.rint(self.vertex_xy * 1000).astype("<i8").tobytes())
        penalty_ms = np.rint(self.edge_penalty_s * 1000)
        of_gates = (self.edge_gate, self.edge_closed_by, self.edge_compound)
        for numbers in (self.edge_first_vertex, self.edge_u, self.edge_v, penalty_ms, *of_gates):
            digest.update(numbers.astype("<i8").tobytes())
        return digest.hexdigest()


def edge_seconds(network: WalkNetwork, speed_m_s: float) -> Floats:
    """Return what a walk along each whole edge takes: metres / speed + penalty. Unit: s; infinite where a gate is closed.

    Both are taken as spread evenly along the edge: the walk over a share s of an edge takes s times this.
    """
    return np.where(
        network.edge_closed_by == NO_GATE, network.edge_length_m / speed_m_s + network.edge_penalty_s, np.inf
    )


# what is computed once and does not depend on which gates are open
_WHATEVER_GATES = ("edge_lines", "tree", "edge_grid", "node_component", "components", "segments")


def with_gates(network: WalkNetwork, *, opened: Sequence[int] = (), closed: Sequence[int] = ()) -> WalkNetwork:
    """Return the network with some of its gates opened or closed; nodes, edges and their numbers stay."""
    closed_by = network.edge_closed_by.copy()
    closed_by[np.isin(network.edge_gate, np.asarray(opened, dtype=np.int32))] = NO_GATE
    shut = np.isin(network.edge_gate, np.asarray(closed, dtype=np.int32)) & (network.edge_gate != NO_GATE)
    closed_by[shut] = network.edge_gate[shut]
    changed = replace(network, edge_closed_by=closed_by)
    for name in _WHATEVER_GATES:
        if name in vars(network):
            vars(changed)[name] = vars(network)[name]
    return changed


def add_edges(
    network: WalkNetwork, u: ArrayLike, v: ArrayLike, lines: Sequence[Any] | Lines, *, penalty_s: ArrayLike = 0.0
) -> WalkNetwork:
    """Return the network with further edges between nodes it has, appended: numbers of the edges there stay.

    Parameters
    ----------
    u, v
        End nodes of each new edge, in any order.
    lines
        LineStrings from u to v. CRS: that of the network.
    penalty_s
        Seconds beside the metres, one for all or one for each.
    """
    node_u, node_v = (np.atleast_1d(np.asarray(ends, dtype=np.int64)) for ends in (u, v))
    paths = np.where(node_u > node_v, shapely.reverse(np.asarray(lines, dtype=object)), np.asarray(lines, dtype=object))
    coords, of = shapely.get_coordinates(paths, return_index=True)
    counts = np.bincount(of, minlength=len(paths))
    no_gate = np.full(len(paths), NO_GATE, dtype=np.int32)
    penalties = np.broadcast_to(np.asarray(penalty_s, dtype=np.float64), len(paths))
    return WalkNetwork(
        node_xy=network.node_xy,
        edge_u=np.concatenate((network.edge_u, np.minimum(node_u, node_v))),
        edge_v=np.concatenate((network.edge_v, np.maximum(node_u, node_v))),
        edge_length_m=np.concatenate((network.edge_length_m, shapely.length(paths))),
        vertex_xy=np.concatenate((network.vertex_xy, coords)),
        edge_first_vertex=np.concatenate(
            (network.edge_first_vertex, network.edge_first_vertex[-1] + np.cumsum(counts))
        ),
        edge_penalty_s=np.concatenate((network.edge_penalty_s, penalties)),
        edge_gate=np.concatenate((network.edge_gate, no_gate)),
        edge_closed_by=np.concatenate((network.edge_closed_by, no_gate)),
        edge_compound=np.concatenate((network.edge_compound, no_gate)),
    )


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
    penalty_s: ArrayLike | None = None,
    gate: ArrayLike | None = None,
    is_closed: ArrayLike | None = None,
    compound: ArrayLike | None = None,
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
    penalty_s
        Seconds beside the metres for a walk along each whole line; spread evenly over the edges made of it.
    gate
        Number of the gate each line passes, -1 for none; None means no gates.
    is_closed
        Whether that gate is closed.
    compound
        Number of the walled compound each line lies in, -1 for none; None means no compounds.
    trunk_walkable
        Whether trunk roads are walked, see :func:`~gridsvc.circle.walk_rules.is_class_walkable`.
    tolerance_m
        Vertices closer than this are one node.

    Raises
    ------
    GeometryError
        When no walkable line of any length is left, something other than a LineString is given, a position is not
        finite, or a penalty is no time.

    Notes
    -----
    Cost: n log n in the number of vertices.
    """
    chosen = _walkable_lines(lines, street_class, is_walkable, trunk_walkable)
    count = len(chosen)
    paths = shapely.force_2d(np.asarray(lines, dtype=object)[chosen])
    levels = _of_lines(layer, 0, np.int64, count)[chosen]
    penalties = _of_lines(penalty_s, 0.0, np.float64, count)[chosen]
    gates = _of_lines(gate, NO_GATE, np.int32, count)[chosen]
    closed = _of_lines(is_closed, False, np.bool_, count)[chosen]
    compounds = _of_lines(compound, NO_GATE, np.int32, count)[chosen]
    if not (np.isfinite(penalties) & (penalties >= 0)).all():
        raise GeometryError(
            f"A penalty of {penalties[~(np.isfinite(penalties) & (penalties >= 0))][0]} s is no time.",
            hint="Give seconds from 0 up.",
        )
    coords, line = shapely.get_coordinates(paths, return_index=True)
    if not np.isfinite(coords).all():
        wrong = line[~np.isfinite(coords).all(axis=1)][0]
        raise GeometryError(
            f"Street line {int(np.flatnonzero(chosen)[wrong])} has no finite position.", hint="Give x and y in metres."
        )
    return _network(coords, line, levels, penalties, gates, closed, compounds, tolerance_m)


def _of_lines(values: ArrayLike | None, default: Any, dtype: Any, count: int) -> NDArray[Any]:
    return np.full(count, default, dtype=dtype) if values is None else np.asarray(values, dtype=dtype)


def _walkable_lines(
    lines: Sequence[Any] | Lines,
    street_class: Sequence[str] | None,
    is_walkable: ArrayLike | None,
    trunk_walkable: bool,
) -> Flags:
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
    return walkable


def _network(
    coords: Floats,
    line: Ints,
    levels: Ints,
    penalties: Floats,
    gates: Numbers,
    closed: Flags,
    compounds: Numbers,
    tolerance_m: float,
) -> WalkNetwork:
    """Return the network of lines given as vertices with the number of their line, and by line what holds of it."""
    place = place_numbers(coords, tolerance_m)
    keep = np.ones(len(coords), dtype=bool)
    keep[1:] = (line[1:] != line[:-1]) | (place[1:] != place[:-1])
    coords, line, place = coords[keep], line[keep], place[keep]
    used = np.bincount(line, minlength=len(levels))[line] > 1
    coords, line, place = coords[used], line[used], place[used]
    if not len(coords):
        raise GeometryError(
            "There is no walkable street line to build a walking network from.",
            hint="Import streets, or check their classes.",
        )
    at = np.flatnonzero(_is_node(line, place, levels[line]))
    same_line = line[at[1:]] == line[at[:-1]]
    begin, stop = at[:-1][same_line], at[1:][same_line]
    places, node = np.unique(place[at], return_inverse=True)
    order = np.lexsort((coords[at, 1], coords[at, 0], node))
    node_xy = coords[at[order]][np.searchsorted(node[order], np.arange(len(places)))]
    u, v = np.searchsorted(places, place[begin]), np.searchsorted(places, place[stop])
    # edges run from the lower node to the higher, loops by their second vertex
    ahead, back = coords[begin + 1], coords[stop - 1]
    loop = (ahead[:, 0] > back[:, 0]) | ((ahead[:, 0] == back[:, 0]) & (ahead[:, 1] > back[:, 1]))
    flip = np.where(u == v, loop, u > v)
    counts = stop - begin + 1
    vertex = _runs(np.where(flip, stop, begin), counts, np.where(flip, -1, 1))
    vertex_xy = coords[vertex]
    length_m = _run_lengths(vertex_xy, counts)
    of_line = line[begin]
    whole_m = np.bincount(of_line, weights=length_m, minlength=len(levels))[of_line]
    return _canonical(
        node_xy,
        np.where(flip, v, u),
        np.where(flip, u, v),
        length_m,
        vertex_xy,
        counts,
        penalties[of_line] * (length_m / whole_m),
        gates[of_line],
        np.where(closed[of_line], gates[of_line], NO_GATE).astype(np.int32),
        compounds[of_line],
    )


def _runs(first: Ints, counts: Ints, step: Ints | int = 1) -> Ints:
    """Return first, first + step, ... (counts of them) of every row, one row after the other."""
    begins = np.cumsum(counts) - counts
    within = np.arange(counts.sum()) - np.repeat(begins, counts)
    return np.repeat(first, counts) + within * np.repeat(np.broadcast_to(step, len(counts)), counts)


def _run_lengths(vertex_xy: Floats, counts: Ints) -> Floats:
    """Return the length of every row of ``counts`` vertices."""
    step = np.zeros(len(vertex_xy))
    step[1:] = np.hypot(*(vertex_xy[1:] - vertex_xy[:-1]).T)
    begins = np.cumsum(counts) - counts
    step[begins] = 0.0
    return np.add.reduceat(step, begins)


@njit(cache=True)
def _clusters(x: Floats, y: Floats, column: Ints, row: Ints, order: Ints, reach: float) -> Ints:
    """Return for each point the first point, in ``order``, of its cluster: points within ``reach`` are chained together."""
    count = len(x)
    root = np.arange(count)
    ahead = 0  # first point of the order that can lie in the cell to the south-east
    for i in range(count):
        p = order[i]
        while ahead < count and (
            column[order[ahead]] < column[p] + 1
            or (column[order[ahead]] == column[p] + 1 and row[order[ahead]] < row[p] - 1)
        ):
            ahead += 1
        for begin in (i + 1, ahead):
            k = begin
            while k < count:
                q = order[k]
                if column[q] > column[p] + (begin == ahead) or row[q] > row[p] + 1:
                    break
                if (x[q] - x[p]) ** 2 + (y[q] - y[p]) ** 2 <= reach * reach:
                    a, b = p, q
                    while root[a] != a:
                        root[a] = root[root[a]]
                        a = root[a]
                    while root[b] != b:
                        root[b] = root[root[b]]
                        b = root[b]
                    root[max(a, b)] = min(a, b)
                k += 1
    for i in range(count):
        a = i
        while root[a] != a:
            a = root[a]
        root[i] = a
    return root


def place_numbers(coords: Floats, tolerance_m: float) -> Ints:
    """Number the places of vertices: vertices within the tolerance share a number; numbers grow with x, then y."""
    if not len(coords):
        return np.empty(0, dtype=np.int64)
    by_place = np.lexsort((coords[:, 1], coords[:, 0]))
    x, y = coords[by_place, 0], coords[by_place, 1]
    new = np.ones(len(x), dtype=bool)
    new[1:] = (x[1:] != x[:-1]) | (y[1:] != y[:-1])
    spot = np.cumsum(new) - 1
    x, y = x[new], y[new]
    cell = max(tolerance_m, 1e-6)
    column, row = np.floor(x / cell).astype(np.int64), np.floor(y / cell).astype(np.int64)
    # spots are sorted by x, y: the root of a cluster is its lowest, and ranks the cluster
    root = _clusters(x, y, column, row, np.lexsort((row, column)), tolerance_m)
    number = np.cumsum(root == np.arange(len(root))) - 1
    place = np.empty(len(coords), dtype=np.int64)
    place[by_place] = number[root][spot]
    return place


def _is_node(line: Ints, place: Ints, level: Ints) -> Flags:
    ends = np.ones(len(line), dtype=bool)
    ends[1:-1] = (line[1:-1] != line[:-2]) | (line[1:-1] != line[2:])
    ended_at = np.zeros(place.max() + 1, dtype=bool)
    ended_at[place[ends]] = True
    rank = level - level.min()
    key = place * (rank.max() + 1) + rank
    _, on_level, visits = np.unique(key, return_inverse=True, return_counts=True)
    return ended_at[place] | (visits[on_level] > 1)


def _canonical(
    node_xy: Floats,
    u: Ints,
    v: Ints,
    length_m: Floats,
    vertex_xy: Floats,
    counts: Ints,
    penalty_s: Floats,
    gate: Numbers,
    closed_by: Numbers,
    compound: Numbers,
) -> WalkNetwork:
    """Order the edges and drop exact doubles: of those the one that is quicker and freer stays."""
    begins = np.cumsum(counts) - counts
    length_mm = np.rint(length_m * 1000).astype(np.int64)
    middle = np.rint(_middles(vertex_xy, begins, counts, length_m) * 1000)
    order = np.lexsort((compound, gate, penalty_s, closed_by, middle[:, 1], middle[:, 0], length_mm, v, u))
    new = np.zeros(len(order), dtype=bool)
    new[0] = True
    for key in (u, v, length_mm, middle[:, 0], middle[:, 1]):
        new[1:] |= key[order][1:] != key[order][:-1]
    order = order[new]
    return WalkNetwork(
        node_xy=node_xy,
        edge_u=u[order],
        edge_v=v[order],
        edge_length_m=length_m[order],
        vertex_xy=vertex_xy[_runs(begins[order], counts[order])],
        edge_first_vertex=np.concatenate(([0], np.cumsum(counts[order]))),
        edge_penalty_s=penalty_s[order],
        edge_gate=gate[order],
        edge_closed_by=closed_by[order],
        edge_compound=compound[order],
    )


@njit(cache=True)
def _middles(vertex_xy: Floats, begins: Ints, counts: Ints, length_m: Floats) -> Floats:
    """Return the point half-way along each row of vertices."""
    middle = np.empty((len(begins), 2))
    for i in range(len(begins)):
        left = length_m[i] / 2
        last = begins[i] + counts[i] - 1
        middle[i] = vertex_xy[last]
        for k in range(begins[i], last):
            dx, dy = vertex_xy[k + 1, 0] - vertex_xy[k, 0], vertex_xy[k + 1, 1] - vertex_xy[k, 1]
            step = np.sqrt(dx * dx + dy * dy)
            if step >= left:
                share = left / step if step > 0 else 0.0
                middle[i, 0], middle[i, 1] = vertex_xy[k, 0] + share * dx, vertex_xy[k, 1] + share * dy
                break
            left -= step
    return middle


def network_from_edges(
    u: ArrayLike,
    v: ArrayLike,
    length_m: ArrayLike,
    lines: Sequence[Any] | Lines,
    *,
    penalty_s: ArrayLike | None = None,
    gate: ArrayLike | None = None,
    closed_by: ArrayLike | None = None,
    compound: ArrayLike | None = None,
) -> WalkNetwork:
    """Return a network from stored edges, whose node numbers, lengths and order are kept as they are.

    Parameters
    ----------
    u, v
        Node numbers 0 .. n-1, every number used.
    length_m
        Stored lengths; kept, so that times do not change by a round trip through storage coordinates.
    lines
        LineStrings from u to v. CRS: projected, metric.
    penalty_s, gate, closed_by, compound
        As in :class:`WalkNetwork`; None for none.
    """
    node_u, node_v = np.asarray(u, dtype=np.int64), np.asarray(v, dtype=np.int64)
    coords, edge = shapely.get_coordinates(np.asarray(lines, dtype=object), return_index=True)
    first = np.searchsorted(edge, np.arange(len(node_u) + 1))
    node_xy = np.zeros((max(node_u.max(), node_v.max()) + 1, 2))
    node_xy[node_v] = coords[first[1:] - 1]
    node_xy[node_u] = coords[first[:-1]]
    count = len(node_u)
    return WalkNetwork(
        node_xy=node_xy,
        edge_u=node_u,
        edge_v=node_v,
        edge_length_m=np.asarray(length_m, dtype=np.float64),
        vertex_xy=coords,
        edge_first_vertex=first,
        edge_penalty_s=_of_lines(penalty_s, 0.0, np.float64, count),
        edge_gate=_of_lines(gate, NO_GATE, np.int32, count),
        edge_closed_by=_of_lines(closed_by, NO_GATE, np.int32, count),
        edge_compound=_of_lines(compound, NO_GATE, np.int32, count),
    )
