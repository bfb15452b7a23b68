"""Which streets hang together, by shared end points."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Geometries = NDArray[np.object_]

# nobody may walk there, or (trunk: urban expressways) nobody should have a gate there
NO_WALK = frozenset({"motorway", "motorway_link", "trunk", "trunk_link"})
LEAST_NETWORK_M = 3000.0


def main_networks(lines: Geometries, usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the usable lines belong to a network worth living on, where lines hang together by end points.

    The longest one, and every other of at least `LEAST_NETWORK_M`: a river crossed by expressways only leaves two.
    """
    chosen = np.flatnonzero(usable)
    result = np.zeros(len(lines), dtype=bool)
    if len(chosen) == 0:
        return result
    ends = np.concatenate([shapely.get_coordinates(shapely.get_point(lines[chosen], at)) for at in (0, -1)])
    _, node = np.unique(ends, axis=0, return_inverse=True)
    node = node.ravel()
    n = len(chosen)
    graph = coo_array((np.ones(n), (node[:n], node[n:])), shape=(int(node.max()) + 1,) * 2)
    _, label = connected_components(graph, directed=False)
    total = np.bincount(label[node[:n]], weights=shapely.length(lines[chosen]))
    is_main = (total >= LEAST_NETWORK_M) | (total == total.max())
    result[chosen[is_main[label[node[:n]]]]] = True
    return result
