"""Walking times over the network: from every origin to the nearest facility of each kind, and from one point to all."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.walk_network import Floats, Ints, WalkNetwork
from gridsvc.progress import SILENT, Progress

PLANNING_SPEED_M_S = 1.1  # planning default, about 4 km/h: 990 m in 15 minutes
CIRCLE_LIMIT_S = 900.0


def nearest_times(
    network: WalkNetwork,
    origins: Attachments,
    facilities: Attachments,
    kind_index: ArrayLike,
    kinds: int,
    *,
    speed_m_s: float = PLANNING_SPEED_M_S,
    limit_s: float = CIRCLE_LIMIT_S,
    progress: Progress = SILENT,
) -> Floats:
    """Return the walking time from each origin to the nearest facility of each kind.

    Exact over the network: access leg, edges, access leg; two points on one edge also meet along it without passing a
    node. Adding a facility never makes a time longer.

    Parameters
    ----------
    origins, facilities
        Points attached to ``network``; unattached ones reach nothing.
    kind_index
        Kind of each facility, 0 .. kinds-1.
    kinds
        Number of kinds; one without facilities gives a column of infinities.
    speed_m_s
        Walking speed. Unit: m/s.
    limit_s
        Longer walks count as out of reach. Unit: s; a walk of exactly this time is within.

    Returns
    -------
    times_s
        Shape (origins, kinds). Unit: s; infinite where nothing of the kind is within the limit.

    Notes
    -----
    One bounded Dijkstra search per kind, outward from a virtual node joined to all facilities of the kind.
    """
    kind = np.asarray(kind_index, dtype=np.int64)
    limit_m = limit_s * speed_m_s * (1.0 + 1e-12)
    reach_m = np.full((len(origins), kinds), np.inf)
    graph = _with_virtual_sources(network, facilities, kind, kinds)
    on = origins.is_attached
    u, v = network.edge_u[origins.edge[on]], network.edge_v[origins.edge[on]]
    progress.start("walking times", kinds)
    for number in range(kinds):
        if graph.indptr[len(network.node_xy) + number] < graph.indptr[len(network.node_xy) + number + 1]:
            from_kind_m = dijkstra(graph, indices=len(network.node_xy) + number, limit=limit_m)
            reach_m[on, number] = np.minimum(origins.to_u_m[on] + from_kind_m[u], origins.to_v_m[on] + from_kind_m[v])
        progress.advance()
    _meet_on_one_edge(reach_m, origins, facilities, kind)
    reach_m[reach_m > limit_m] = np.inf
    return np.minimum(reach_m / speed_m_s, np.where(np.isinf(reach_m), np.inf, limit_s))


def _with_virtual_sources(network: WalkNetwork, facilities: Attachments, kind: Ints, kinds: int) -> csr_array:
    """Append one node per kind with links to the edge ends of its facilities; nothing leads back into it."""
    nodes = len(network.node_xy)
    on = facilities.is_attached
    source = np.concatenate((kind[on], kind[on]))
    target = np.concatenate((network.edge_u[facilities.edge[on]], network.edge_v[facilities.edge[on]]))
    metres = np.concatenate((facilities.to_u_m[on], facilities.to_v_m[on]))
    order = np.lexsort((metres, target, source))
    source, target, metres = source[order], target[order], metres[order]
    new = np.ones(len(source), dtype=bool)
    new[1:] = (source[1:] != source[:-1]) | (target[1:] != target[:-1])
    streets = network.graph.tocoo()
    rows = np.concatenate((streets.row, nodes + source[new]))
    columns = np.concatenate((streets.col, target[new]))
    data = np.concatenate((streets.data, metres[new]))
    return csr_array(coo_array((data, (rows, columns)), shape=(nodes + kinds, nodes + kinds)))


def _meet_on_one_edge(reach_m: Floats, origins: Attachments, facilities: Attachments, kind: Ints) -> None:
    """Shorten ``reach_m`` where origin and facility hang on the same edge and need not pass its ends."""
    there = np.flatnonzero(facilities.is_attached)
    there = there[np.argsort(facilities.edge[there], kind="stable")]
    edges = facilities.edge[there]
    first, last = np.searchsorted(edges, origins.edge, "left"), np.searchsorted(edges, origins.edge, "right")
    count = np.where(origins.is_attached, last - first, 0)
    origin = np.repeat(np.arange(len(origins)), count)
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    facility = there[first[origin] + within]
    along = np.abs(origins.offset_m[origin] - facilities.offset_m[facility])
    direct = origins.access_m[origin] + along + facilities.access_m[facility]
    np.minimum.at(reach_m, (origin, kind[facility]), direct)


def node_distances(network: WalkNetwork, origin: Attachments, limit_m: float) -> NDArray[np.float64]:
    """Return the walk from one attached point to every node, access leg included. Unit: m; infinite beyond ``limit_m``."""
    if not origin.is_attached[0]:
        return np.full(len(network.node_xy), np.inf)
    edge = int(origin.edge[0])
    ends = [int(network.edge_u[edge]), int(network.edge_v[edge])]
    from_ends = dijkstra(network.graph, indices=ends, limit=limit_m)
    metres = np.minimum(from_ends[0] + origin.to_u_m[0], from_ends[1] + origin.to_v_m[0])
    return np.where(metres <= limit_m, metres, np.inf)
