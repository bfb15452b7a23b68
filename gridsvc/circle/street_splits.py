"""Nodes at places along streets, so that a new path may begin anywhere on them and not at crossings only."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import ArrayLike
from shapely.ops import substring

from gridsvc.circle.walk_network import NODE_TOLERANCE_M, Floats, Ints, WalkNetwork
from gridsvc.errors import RequestInvalidError


def split_edges(network: WalkNetwork, edge: ArrayLike, offset_m: ArrayLike) -> tuple[WalkNetwork, Ints]:
    """Return the network with a node at each of some places along its edges, and the number of the node of each place.

    Walking times do not change. Places within the node tolerance of an end of their edge, or of each other on one edge, share a
    node.

    Parameters
    ----------
    edge, offset_m
        Edge of each place, and how far along it from its node u. Unit: m.

    Returns
    -------
    network
        Nodes and edges keep their numbers; of an edge that was cut the number stays with the piece at its node u. New ones are
        appended.
    node
        In the order of the places.

    Raises
    ------
    RequestInvalidError
        When an edge is not there, passes a gate, or a place lies beyond its edge.
    """
    edges, offsets = np.asarray(edge, dtype=np.int64).reshape(-1), np.asarray(offset_m, dtype=np.float64).reshape(-1)
    _check(network, edges, offsets)
    length_m = network.edge_length_m[edges]
    node = np.where(offsets <= length_m / 2, network.edge_u[edges], network.edge_v[edges])
    inner = np.flatnonzero((offsets > NODE_TOLERANCE_M) & (offsets < length_m - NODE_TOLERANCE_M))
    inner = inner[np.lexsort((offsets[inner], edges[inner]))]
    cuts: dict[int, list[float]] = {}
    new_nodes: list[int] = []
    for place in inner.tolist():  # one by one: those of a few paths
        at_m, own = float(offsets[place]), cuts.setdefault(int(edges[place]), [])
        if not own or at_m - own[-1] > NODE_TOLERANCE_M:
            own.append(at_m)
            new_nodes.append(len(network.node_xy) + len(new_nodes))
        node[place] = new_nodes[-1]
    return (_cut(network, cuts) if cuts else network), node


def _check(network: WalkNetwork, edges: Ints, offsets: Floats) -> None:
    there = (edges >= 0) & (edges < len(network.edge_u))
    if edges.shape != offsets.shape or not there.all():
        raise RequestInvalidError(
            "A place lies on an edge that is not there.", hint=f"Edges are 0 to {len(network.edge_u) - 1}."
        )
    if (network.edge_gate[edges] >= 0).any():
        raise RequestInvalidError("A gate cannot be cut in two.", hint="Choose a place on a street.")
    if not ((offsets >= 0) & (offsets <= network.edge_length_m[edges] + NODE_TOLERANCE_M)).all():
        raise RequestInvalidError("A place lies beyond the ends of its edge.", hint="Give metres from its node u on.")


def _cut(network: WalkNetwork, cuts: dict[int, list[float]]) -> WalkNetwork:
    """Return the network with edges cut at some metres along each, rising; nodes are numbered in this order."""
    first, nodes = network.edge_first_vertex, len(network.node_xy)
    node_xy: list[Floats] = []
    heads: dict[int, Floats] = {}
    more: list[tuple[int, int, int, float, Floats]] = []  # edge it is of, u, v, metres, vertices from u to v
    length_m = network.edge_length_m.copy()
    edge_v = network.edge_v.copy()
    for edge, at_m in cuts.items():
        line = shapely.LineString(network.vertex_xy[first[edge] : first[edge + 1]])
        bounds = [0.0, *at_m, float(network.edge_length_m[edge])]
        numbers = [nodes + len(node_xy) + i for i in range(len(at_m))]
        pieces = [
            shapely.get_coordinates(substring(line, begin, max(line.length, stop) if stop == bounds[-1] else stop))
            for begin, stop in pairwise(bounds)
        ]
        node_xy += [piece[-1] for piece in pieces[:-1]]
        heads[edge] = pieces[0]
        length_m[edge], edge_v[edge] = at_m[0], numbers[0]
        for i, piece in enumerate(pieces[1:-1]):
            more.append((edge, numbers[i], numbers[i + 1], at_m[i + 1] - at_m[i], piece))
        more.append((edge, int(network.edge_v[edge]), numbers[-1], bounds[-1] - at_m[-1], pieces[-1][::-1]))
    counts, vertices, done = np.diff(first), [], 0
    for edge in sorted(heads):
        vertices += [network.vertex_xy[done : first[edge]], heads[edge]]
        counts[edge], done = len(heads[edge]), first[edge + 1]
    vertices += [network.vertex_xy[done:], *(row[4] for row in more)]
    counts = np.append(counts, [len(row[4]) for row in more])
    of = np.append(np.arange(len(edge_v)), [row[0] for row in more])
    all_m = np.append(length_m, [row[3] for row in more])
    return replace(
        network,
        node_xy=np.concatenate((network.node_xy, node_xy)),
        edge_u=np.append(network.edge_u, [row[1] for row in more]),
        edge_v=np.append(edge_v, [row[2] for row in more]),
        edge_length_m=all_m,
        vertex_xy=np.concatenate(vertices),
        edge_first_vertex=np.concatenate(([0], np.cumsum(counts))),
        edge_penalty_s=network.edge_penalty_s[of] * (all_m / network.edge_length_m[of]),
        edge_gate=network.edge_gate[of],
        edge_closed_by=network.edge_closed_by[of],
        edge_compound=network.edge_compound[of],
    )
