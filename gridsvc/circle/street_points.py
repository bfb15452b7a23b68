"""Points along streets where something may be built: every crossing and end, and between them at most so far apart."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.walk_network import NO_GATE, Floats, Ints, WalkNetwork
from gridsvc.errors import RequestInvalidError


def street_points(network: WalkNetwork, spacing_m: float, edges: ArrayLike | None = None) -> tuple[Attachments, Floats]:
    """Return points along streets outside of walled compounds, crossings first, each once, and their places.

    Parameters
    ----------
    spacing_m
        Points between two crossings are at most this far apart, evenly. Unit: m.
    edges
        Numbers of the edges to take; None: all. Edges that pass a gate or lie in a compound are left out.

    Returns
    -------
    attached, xy
        Points on their edges, without an access leg: those at nodes by node, then the others by edge and along it. Shape of xy: (n, 2).

    Raises
    ------
    RequestInvalidError
        When the spacing is not above 0.
    """
    if not spacing_m > 0:
        raise RequestInvalidError(f"Points cannot be {spacing_m:g} m apart.", hint="Give metres above 0.")
    public = (network.edge_gate == NO_GATE) & (network.edge_compound == NO_GATE)
    some = np.flatnonzero(public) if edges is None else np.unique(np.asarray(edges, dtype=np.int64))
    some = some[public[some]]
    length_m = network.edge_length_m[some]
    ends = np.concatenate((network.edge_u[some], network.edge_v[some]))
    node, first = np.unique(ends, return_index=True)
    of_node = some[first % max(1, len(some))]
    at_node = np.where(first < len(some), 0.0, network.edge_length_m[of_node])
    parts = np.ceil(length_m / spacing_m).astype(np.int64)
    inner = np.repeat(np.arange(len(some)), parts - 1)
    step = np.arange(len(inner)) - np.searchsorted(inner, inner) + 1
    offset = length_m[inner] * (step / parts[inner])
    places = shapely.get_coordinates(shapely.line_interpolate_point(_lines(network, some[inner]), offset))
    edge = np.concatenate((of_node, some[inner]))
    along = np.concatenate((at_node, offset))
    attached = Attachments(edge, np.zeros(len(edge)), along, along, network.edge_length_m[edge] - along)
    return attached, np.concatenate((network.node_xy[node], places.reshape(-1, 2)))


def _lines(network: WalkNetwork, edges: Ints) -> np.ndarray:
    """Return the lines of some edges."""
    own, back = np.unique(edges, return_inverse=True)
    counts = np.diff(network.edge_first_vertex)[own]
    begins = np.cumsum(counts) - counts
    vertex = np.repeat(network.edge_first_vertex[own] - begins, counts) + np.arange(counts.sum())
    if not len(own):
        return np.empty(0, dtype=object)
    return shapely.linestrings(network.vertex_xy[vertex], indices=np.repeat(np.arange(len(own)), counts))[back]
