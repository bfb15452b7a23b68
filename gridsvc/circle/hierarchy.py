"""A walking network made ready for whole-city times: nodes in nested-dissection order, shortcuts, two sweeps.

Times are whole ticks of about a microsecond, so that sums are exact in any order and every method gives the same bits.
Nodes are numbered by their rank in the order; a node is joined upwards to later nodes only. A walk of up to the limit then
goes up and then down, and two passes over all nodes, kinds of facility side by side, find all of them (PHAST).

Source: Delling, Goldberg, Nowatzyk, Werneck, "PHAST", 2011; Dibbelt, Strasser, Wagner, "Customizable contraction
hierarchies", 2014 (order, elimination without witness searches, removal of arcs that are no shortest way). Bounding the
elimination by the longest walk asked for is ours: shortcuts beyond it are never made, which keeps it small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pymetis
from numba import njit
from numpy.typing import ArrayLike, NDArray

from gridsvc.circle.walk_network import Flags, Floats, Ints, Numbers
from gridsvc.errors import GeometryError, RequestInvalidError

OUT = 2**30 - 1  # ticks that stand for out of reach; twice this still fits 32 bits
CLOSED = 2**40  # ticks of an edge nobody walks along, over a week
SLACK_S = 0.001  # a walk longer than the limit by no more than this is within: sums of many edges are rounded
_SEED = 1  # of METIS


class Links(NamedTuple):
    """The network by node, for searches: links ``first[i]`` to ``first[i + 1]`` lead from node i; both directions, loops once.

    ``ticks`` are ``OUT`` where nobody walks, or longer than the limit.
    """

    first: Ints
    node: Numbers
    ticks: Numbers
    edge: Numbers


@dataclass(frozen=True, eq=False)
class WalkGraph:
    """The edges of a network in ticks, nodes renumbered, for walks of up to ``limit_s``.

    Parameters
    ----------
    limit_s
        Longest walk that is looked for. Unit: s.
    node_rank
        Rank of each node of the network; everywhere below, nodes are ranks.
    links
        The network by node.
    edge_a, edge_b, edge_ticks
        End nodes (the network's u and v) and whole time of each edge; ``CLOSED`` where nobody walks.
    """

    limit_s: float
    node_rank: Numbers
    links: Links
    edge_a: Numbers
    edge_b: Numbers
    edge_ticks: Ints

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return len(self.node_rank)

    @property
    def ticks_per_s(self) -> float:
        """Ticks in a second."""
        return ticks_per_second(self.limit_s)

    @property
    def limit_ticks(self) -> int:
        """Longest walk in ticks, with the slack."""
        return self.whole_ticks(self.limit_s)

    def whole_ticks(self, limit_s: float) -> int:
        """Return a limit in ticks, with the slack."""
        return int((limit_s + SLACK_S) * self.ticks_per_s)

    def seconds(self, ticks: NDArray[Any]) -> Floats:
        """Return ticks as seconds, never above the limit; infinite where they are ``OUT``."""
        return np.where(ticks >= OUT, np.inf, np.minimum(ticks / self.ticks_per_s, self.limit_s))


@dataclass(frozen=True, eq=False)
class WalkHierarchy:
    """A network compiled for the times of a whole city, by node of ``graph``.

    ``up_first[i]`` to ``up_first[i + 1]`` are the arcs from node i to later nodes, ordered by node.
    """

    graph: WalkGraph
    up_first: Ints
    up_node: Numbers
    up_ticks: Numbers

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name, to store (and map) them; ``graph.limit_s`` goes beside them."""
        graph = self.graph
        links = {f"link_{name}": array for name, array in graph.links._asdict().items()}
        edges = {"edge_a": graph.edge_a, "edge_b": graph.edge_b, "edge_ticks": graph.edge_ticks}
        ups = {"up_first": self.up_first, "up_node": self.up_node, "up_ticks": self.up_ticks}
        return {"node_rank": graph.node_rank} | links | edges | ups

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], limit_s: float) -> WalkHierarchy:
        """Return the hierarchy of stored (or mapped) arrays."""
        links = Links(*(arrays[f"link_{name}"] for name in Links._fields))
        edges = (arrays[name] for name in ("edge_a", "edge_b", "edge_ticks"))
        graph = WalkGraph(limit_s, arrays["node_rank"], links, *edges)
        return cls(graph, arrays["up_first"], arrays["up_node"], arrays["up_ticks"])


def build_graph(
    edge_u: ArrayLike, edge_v: ArrayLike, edge_s: ArrayLike, limit_s: float, node_rank: ArrayLike
) -> WalkGraph:
    """Return the edges of a network as a graph in ticks.

    Parameters
    ----------
    edge_u, edge_v
        End nodes 0 .. nodes-1 of each edge; loops and parallel edges may be among them.
    edge_s
        Seconds to walk along each whole edge; infinite where nobody may.
    limit_s
        Longest walk that is looked for.
    node_rank
        New number of each node; nodes near each other should be near in it.

    Raises
    ------
    GeometryError
        When a time is negative or no number.
    RequestInvalidError
        When the limit is not between 1 s and 12 hours.
    """
    seconds, rank = np.asarray(edge_s, dtype=np.float64), np.asarray(node_rank, dtype=np.int32)
    _check(seconds, limit_s)
    a, b = rank[np.asarray(edge_u, dtype=np.int64)], rank[np.asarray(edge_v, dtype=np.int64)]
    ticks = np.rint(np.minimum(seconds * ticks_per_second(limit_s), CLOSED)).astype(np.int64)
    limit = int((limit_s + SLACK_S) * ticks_per_second(limit_s))
    return WalkGraph(limit_s, rank, links_of(len(rank), a, b, within(ticks, limit)), a, b, ticks)


def ticks_per_second(limit_s: float) -> float:
    """Return the ticks in a second: the greatest power of two that lets the limit fit; 2**20 up to 17 minutes."""
    return float(2.0 ** np.floor(np.log2(OUT / (limit_s + 2 * SLACK_S))))


def within(ticks: Ints, limit: int) -> Numbers:
    """Return ticks of up to the limit as they are, others as ``OUT``."""
    return np.where(ticks > limit, OUT, ticks).astype(np.int32)


def build_hierarchy(
    nodes: int, edge_u: ArrayLike, edge_v: ArrayLike, edge_s: ArrayLike, limit_s: float, *, order: Numbers | None = None
) -> WalkHierarchy:
    """Return the hierarchy of a network for one walker; the same bytes for the same input.

    Parameters
    ----------
    edge_u, edge_v, edge_s, limit_s
        As in :func:`build_graph`.
    order
        Rank of each node from an earlier hierarchy of the same network (``graph.node_rank``): another walker, or other
        seconds, then cost a third. None orders the nodes anew.

    Raises
    ------
    GeometryError, RequestInvalidError
        As :func:`build_graph`.

    Notes
    -----
    Exact: an edge is rounded to whole ticks, an error of at most half a tick (0.5 µs up to a limit of 17 minutes) for each
    edge walked. Cost: 600,000 nodes take 5 CPU-seconds, two thirds of them METIS.
    """
    if order is None:
        order = node_order(nodes, np.asarray(edge_u, dtype=np.int64), np.asarray(edge_v, dtype=np.int64))
    graph = build_graph(edge_u, edge_v, edge_s, limit_s, order)
    arcs = _eliminate(graph.links.first, graph.links.node, graph.links.ticks, graph.limit_ticks)
    return WalkHierarchy(graph, *_without_detours(*arcs))


def _check(seconds: Floats, limit_s: float) -> None:
    if not 1.0 <= limit_s <= 43_200.0:
        raise RequestInvalidError(f"A longest walk of {limit_s:g} s is not between 1 s and 12 hours.", hint="Use 900.")
    bad = np.flatnonzero(~(seconds >= 0))
    if len(bad):
        raise GeometryError(
            f"Edge {bad[0]} takes {seconds[bad[0]]} s to walk.", hint="Give seconds from 0 up; infinite where closed."
        )


def node_order(nodes: int, edge_u: Ints, edge_v: Ints) -> Numbers:
    """Return the rank of each node: dead ends and chains first, then METIS nested dissection, in post-order.

    It depends on which nodes are joined, not on times: all walkers of a network share it. Nodes of one place follow each
    other, so that the sweeps find them in the cache.
    """
    first, node, _, _ = links_of(
        nodes, edge_u.astype(np.int32), edge_v.astype(np.int32), np.zeros(len(edge_u), np.int32)
    )
    order, peeled, row, degree = _peel(first, node)
    left = np.flatnonzero(order < 0)
    if len(left):
        number = np.full(nodes, -1, dtype=np.int32)
        number[left] = np.arange(len(left))
        starts, neighbours = _core(first, row, degree, left, number)
        _, place = pymetis.nested_dissection(
            pymetis.CSRAdjacency(starts, neighbours), options=pymetis.Options(seed=_SEED)
        )
        order[left] = peeled + np.asarray(place, dtype=np.int32)
    return _post_order(first, node, order)


@njit(cache=True, nogil=True)
def links_of(nodes: int, a: Numbers, b: Numbers, ticks: Numbers) -> Links:
    """Return edges as links by node."""
    first = np.zeros(nodes + 1, np.int64)
    for e in range(len(a)):
        first[a[e] + 1] += 1
        if b[e] != a[e]:
            first[b[e] + 1] += 1
    for v in range(nodes):
        first[v + 1] += first[v]
    place = first[:-1].copy()
    node, time, edge = np.empty(first[-1], np.int32), np.empty(first[-1], np.int32), np.empty(first[-1], np.int32)
    for e in range(len(a)):
        for x, y in ((a[e], b[e]), (b[e], a[e])):
            i = place[x]
            node[i], time[i], edge[i] = y, ticks[e], e
            place[x] += 1
            if x == y:
                break
    return Links(first, node, time, edge)


@njit(cache=True, nogil=True)
def _leave(row: Numbers, first: Ints, degree: Numbers, x: int, v: int) -> None:
    """Take v out of the neighbours of x."""
    for i in range(first[x], first[x] + degree[x]):
        if row[i] == v:
            row[i] = row[first[x] + degree[x] - 1]
            degree[x] -= 1
            return


@njit(cache=True, nogil=True)
def _peel(first: Ints, node: Numbers) -> tuple[Numbers, int, Numbers, Numbers]:
    """Take out nodes of at most two neighbours, joining the two, until none is left.

    Returns the place of each in that order (-1 where it stays), their number, and the neighbours that are left.
    """
    nodes = len(first) - 1
    row, degree = node.copy(), np.zeros(nodes, np.int32)
    for v in range(nodes):
        for i in range(first[v], first[v + 1]):
            known = node[i] == v
            for j in range(first[v], first[v] + degree[v]):
                known = known or row[j] == node[i]
            if not known:
                row[first[v] + degree[v]] = node[i]
                degree[v] += 1
    order, count = np.full(nodes, -1, np.int32), 0
    stack, top, queued = np.empty(nodes, np.int32), 0, np.zeros(nodes, np.bool_)
    for v in range(nodes - 1, -1, -1):
        if degree[v] <= 2:
            stack[top] = v
            queued[v] = True
            top += 1
    while top > 0:
        top -= 1
        v = stack[top]
        order[v] = count
        count += 1
        if degree[v] == 0:
            continue
        x, y = row[first[v]], row[first[v] + degree[v] - 1]
        joined = x == y
        for i in range(first[x], first[x] + degree[x]):
            joined = joined or row[i] == y
        if joined:
            for z in (x, y):
                _leave(row, first, degree, z, v)
                if degree[z] <= 2 and not queued[z]:
                    stack[top] = z
                    queued[z] = True
                    top += 1
        else:
            for i in range(first[x], first[x] + degree[x]):
                if row[i] == v:
                    row[i] = y
            for i in range(first[y], first[y] + degree[y]):
                if row[i] == v:
                    row[i] = x
    return order, count, row, degree


@njit(cache=True, nogil=True)
def _core(first: Ints, row: Numbers, degree: Numbers, left: Ints, number: Numbers) -> tuple[Numbers, Numbers]:
    """Return what is left after peeling as adjacency for METIS."""
    starts = np.zeros(len(left) + 1, np.int32)
    for i in range(len(left)):
        starts[i + 1] = starts[i] + degree[left[i]]
    neighbours = np.empty(starts[-1], np.int32)
    for i in range(len(left)):
        for j in range(degree[left[i]]):
            neighbours[starts[i] + j] = number[row[first[left[i]] + j]]
    return starts, neighbours


@njit(cache=True, nogil=True)
def _elimination_parents(first: Ints, node: Numbers, order: Numbers) -> Numbers:
    """Return for each place in the order its parent in the elimination tree, -1 for a root.

    Source: Liu, "The role of elimination trees in sparse factorization", 1990, algorithm 4.2.
    """
    nodes = len(order)
    at = np.empty(nodes, np.int32)
    for v in range(nodes):
        at[order[v]] = v
    parent, above = np.full(nodes, -1, np.int32), np.full(nodes, -1, np.int32)
    for i in range(nodes):
        for j in range(first[at[i]], first[at[i] + 1]):
            k = order[node[j]]
            while k < i:
                up = above[k]
                above[k] = i
                if up == -1:
                    parent[k] = i
                    break
                if up == i:
                    break
                k = up
    return parent


@njit(cache=True, nogil=True)
def _post_order(first: Ints, node: Numbers, order: Numbers) -> Numbers:
    """Return the order with each elimination subtree in one piece; the elimination itself stays the same."""
    nodes = len(order)
    parent = _elimination_parents(first, node, order)
    child, sibling = np.full(nodes, -1, np.int32), np.full(nodes, -1, np.int32)
    for i in range(nodes - 1, -1, -1):
        if parent[i] >= 0:
            sibling[i] = child[parent[i]]
            child[parent[i]] = i
    place, count, stack = np.empty(nodes, np.int32), 0, np.empty(nodes, np.int32)
    for root in range(nodes):
        if parent[root] >= 0:
            continue
        stack[0], top = root, 1
        while top > 0:
            i = stack[top - 1]
            if child[i] >= 0:
                stack[top] = child[i]
                top += 1
                child[i] = sibling[child[i]]
            else:
                place[i] = count
                count += 1
                top -= 1
    rank = np.empty(nodes, np.int32)
    for v in range(nodes):
        rank[v] = place[order[v]]
    return rank


@njit(cache=True, nogil=True)
def _eliminate(first: Ints, node: Numbers, ticks: Numbers, limit: int) -> tuple[Ints, Numbers, Numbers]:
    """Return the arcs upwards: edges, and the quickest ways through earlier nodes that take no longer than the limit.

    Node by node in rank order, each gathers what the arcs of the earlier nodes joined to it make; every row is final when
    it is written.
    """
    nodes = len(first) - 1
    up_first, count, room = np.zeros(nodes + 1, np.int64), 0, 8 * nodes + 64
    up_node, up_ticks, low = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int32)
    head, after = np.full(nodes, -1, np.int64), np.empty(room, np.int64)  # the arcs that end at each node, as a chain
    best, touched = np.full(nodes, OUT, np.int32), np.empty(nodes, np.int32)
    for a in range(nodes):
        k = 0
        for j in range(first[a], first[a + 1]):
            b = node[j]
            if b > a and ticks[j] < best[b]:
                if best[b] == OUT:
                    touched[k] = b
                    k += 1
                best[b] = ticks[j]
        arc = head[a]
        while arc >= 0:
            for j in range(arc + 1, up_first[low[arc] + 1]):
                time, b = up_ticks[arc] + up_ticks[j], up_node[j]
                if time <= limit and time < best[b]:
                    if best[b] == OUT:
                        touched[k] = b
                        k += 1
                    best[b] = time
            arc = after[arc]
        if count + k > room:
            room = 2 * room + k
            up_node, up_ticks, low = _longer(up_node, room), _longer(up_ticks, room), _longer(low, room)
            after = _longer(after, room)
        for b in np.sort(touched[:k]):
            up_node[count], up_ticks[count], low[count] = b, best[b], a
            after[count], head[b], best[b] = head[b], count, OUT
            count += 1
        up_first[a + 1] = count
    return up_first, up_node[:count], up_ticks[:count]


@njit(cache=True, nogil=True)
def _longer(values, room):  # type: ignore[no-untyped-def]  # numba: for arrays of any whole numbers
    grown = np.empty(room, values.dtype)
    grown[: len(values)] = values
    return grown


@njit(cache=True, nogil=True)
def _without_detours(up_first: Ints, up_node: Numbers, up_ticks: Numbers) -> tuple[Ints, Numbers, Numbers]:
    """Return the arcs without those that take longer than a way over a later node; no shortest way uses them."""
    nodes = len(up_first) - 1
    time, detour = up_ticks.copy(), np.zeros(len(up_node), np.bool_)
    place = np.full(nodes, -1, np.int64)
    for v in range(nodes - 1, -1, -1):
        begin, stop = up_first[v], up_first[v + 1]
        for i in range(begin, stop):
            place[up_node[i]] = i
        for i in range(begin, stop):
            x = up_node[i]
            for j in range(up_first[x], up_first[x + 1]):
                k = place[up_node[j]]
                if k < 0:
                    continue
                if time[i] + time[j] < time[k]:
                    time[k], detour[k] = time[i] + time[j], True
                if time[k] + time[j] < time[i]:
                    time[i], detour[i] = time[k] + time[j], True
        for i in range(begin, stop):
            place[up_node[i]] = -1
    return _kept_arcs(up_first, up_node, time, detour)


@njit(cache=True, nogil=True)
def _kept_arcs(up_first: Ints, up_node: Numbers, up_ticks: Numbers, out: Flags) -> tuple[Ints, Numbers, Numbers]:
    first, count = np.zeros(len(up_first), np.int64), len(out) - out.sum()
    node, ticks, k = np.empty(count, np.int32), np.empty(count, np.int32), 0
    for v in range(len(up_first) - 1):
        for i in range(up_first[v], up_first[v + 1]):
            if not out[i]:
                node[k], ticks[k] = up_node[i], up_ticks[i]
                k += 1
        first[v + 1] = k
    return first, node, ticks
