"""A made-up street network of any size for benchmarks: a jittered lattice with missing streets and dead ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridsvc.circle.walk_network import WalkNetwork

SPACING_M = 70.0
DEAD_ENDS = 0.2  # dead ends among all nodes, about the share of walking networks of OpenStreetMap
MISSING = 0.12  # streets left out of the lattice


@dataclass(frozen=True, eq=False, slots=True)
class StreetLattice:
    """Nodes ordered by x, y; straight edges with u < v, ordered by u, v. Unit: m."""

    node_xy: NDArray[np.float64]
    edge_u: NDArray[np.int64]
    edge_v: NDArray[np.int64]
    edge_length_m: NDArray[np.float64]

    @property
    def side_m(self) -> float:
        """Width of the square that holds the network."""
        return float(self.node_xy.max())


def street_lattice(nodes: int, *, seed: int = 1) -> StreetLattice:
    """Return a network of about ``nodes`` nodes: corners of a square lattice, shaken, and dead ends hung on them."""
    rng = np.random.default_rng(seed)
    side = round(np.sqrt(nodes * (1 - DEAD_ENDS)))
    column, row = np.divmod(np.arange(side * side), side)
    corners = (np.column_stack((column, row)) + rng.uniform(-0.3, 0.3, (side * side, 2))) * SPACING_M
    east, north = np.flatnonzero(column < side - 1), np.flatnonzero(row < side - 1)
    u, v = np.concatenate((east, north)), np.concatenate((east + side, north + 1))
    kept = rng.random(len(u)) >= MISSING
    hosts = rng.integers(0, side * side, nodes - side * side)
    ends = corners[hosts] + rng.uniform(-0.4, 0.4, (len(hosts), 2)) * SPACING_M
    u = np.concatenate((u[kept], hosts))
    v = np.concatenate((v[kept], side * side + np.arange(len(hosts))))
    return _ordered(np.vstack((corners, ends)), u, v)


def _ordered(xy: NDArray[np.float64], u: NDArray[np.int64], v: NDArray[np.int64]) -> StreetLattice:
    order = np.lexsort((xy[:, 1], xy[:, 0]))
    number = np.empty(len(xy), dtype=np.int64)
    number[order] = np.arange(len(xy))
    low, high = np.minimum(number[u], number[v]), np.maximum(number[u], number[v])
    edges = np.lexsort((high, low))
    low, high, xy = low[edges], high[edges], xy[order]
    return StreetLattice(xy, low, high, np.hypot(*(xy[high] - xy[low]).T))


def lattice_network(lattice: StreetLattice) -> WalkNetwork:
    """Return the lattice as a walking network without penalties and gates."""
    edges = len(lattice.edge_u)
    vertex_xy = np.empty((2 * edges, 2))
    vertex_xy[0::2], vertex_xy[1::2] = lattice.node_xy[lattice.edge_u], lattice.node_xy[lattice.edge_v]
    no_gate = np.full(edges, -1, dtype=np.int32)
    return WalkNetwork(
        node_xy=lattice.node_xy,
        edge_u=lattice.edge_u,
        edge_v=lattice.edge_v,
        edge_length_m=lattice.edge_length_m,
        vertex_xy=vertex_xy,
        edge_first_vertex=np.arange(0, 2 * edges + 1, 2),
        edge_penalty_s=np.zeros(edges),
        edge_gate=no_gate,
        edge_closed_by=no_gate,
        edge_compound=no_gate,
    )
