"""Points joined to the edges of a walking graph, in ticks: what the searches begin and end with."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from gridsvc.circle.hierarchy import CLOSED, OUT, WalkGraph, within
from gridsvc.circle.walk_network import Ints, Numbers


class Doors(NamedTuple):
    """Points on edges, one entry per point; ``edge`` is -1 where a point joins none.

    ``to_a`` and ``to_b`` are the ticks to the end nodes ``a`` and ``b`` of the edge, ``OUT`` beyond the limit; ``access``
    those to the edge, ``along`` those from a on to where it is joined.
    """

    edge: Numbers
    a: Numbers
    b: Numbers
    to_a: Numbers
    to_b: Numbers
    access: Ints
    along: Ints


def join_doors(graph: WalkGraph, edge: ArrayLike, share: ArrayLike, access_s: ArrayLike) -> Doors:
    """Return points as doors on edges.

    Parameters
    ----------
    edge
        Edge of each point, -1 where it has none.
    share
        Where on the edge: 0 at its node u, 1 at v. Of no account where there is no edge.
    access_s
        Seconds from the point to the edge.
    """
    number = np.asarray(edge, dtype=np.int32)
    on, part, leg = number >= 0, np.asarray(share, dtype=np.float64), np.asarray(access_s, dtype=np.float64)
    at = number[on]
    access, along = np.full(len(number), CLOSED, dtype=np.int64), np.zeros(len(number), dtype=np.int64)
    access[on] = np.rint(np.minimum(leg[on] * graph.ticks_per_s, CLOSED))
    along[on] = np.rint(np.clip(part[on], 0.0, 1.0) * graph.edge_ticks[at])
    to_a, to_b = (np.full(len(number), OUT, dtype=np.int32) for _ in range(2))
    to_a[on] = within(access[on] + along[on], graph.limit_ticks)
    to_b[on] = within(access[on] + graph.edge_ticks[at] - along[on], graph.limit_ticks)
    a, b = (np.zeros(len(number), dtype=np.int32) for _ in range(2))
    a[on], b[on] = graph.edge_a[at], graph.edge_b[at]
    return Doors(number, a, b, to_a, to_b, access, along)


def node_doors(graph: WalkGraph) -> Doors:
    """Return the nodes themselves as doors, in the network's order."""
    nothing, here = np.zeros(graph.nodes, dtype=np.int64), np.zeros(graph.nodes, dtype=np.int32)
    no_edge = np.full(graph.nodes, -1, dtype=np.int32)
    return Doors(no_edge, graph.node_rank, graph.node_rank, here, here, nothing, nothing)


@njit(cache=True, nogil=True)
def direct_ticks(some: Doors, i: int, others: Doors, j: int) -> int:
    """Return the ticks between two doors of one edge along it."""
    return some.access[i] + abs(some.along[i] - others.along[j]) + others.access[j]
