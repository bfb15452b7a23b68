"""Right to the door: points attached to the nearest point of an edge, not to the nearest node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridsvc.circle.edge_grid import nearest_edges, piece_offsets
from gridsvc.circle.walk_network import Floats, Ints, WalkNetwork, edge_seconds
from gridsvc.errors import CoordinateError

MAX_ACCESS_M = 300.0  # our choice: a door further than this from every street has no known way to it


@dataclass(frozen=True, eq=False, slots=True)
class Attachments:
    """Points attached to the nearest point of an edge; one entry per point, in the order given.

    ``edge`` is -1 where no edge lies within reach, and the metres are then infinite. ``to_u_m`` and ``to_v_m`` are the
    whole walk from the point to the ends of its edge: the access leg, then along the edge. Its time is `end_seconds`.
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


_NO_COMPOUNDS = np.empty(0, dtype=np.int32)


def attach_points(
    network: WalkNetwork, xy: ArrayLike, *, max_access_m: float = MAX_ACCESS_M, compound: ArrayLike | None = None
) -> Attachments:
    """Return where points join the network: the nearest point of the nearest edge, not the nearest node.

    Parameters
    ----------
    xy
        Shape (n, 2), columns x, y, in the CRS of the network. Unit: m.
    max_access_m
        Points further than this from every edge stay unattached.
    compound
        Number of the walled compound each point lies in, -1 for none: it takes only edges of the same number. None lets every
        point take any edge.

    Raises
    ------
    CoordinateError
        When a coordinate is NaN or infinite.

    Notes
    -----
    The access leg is a straight line. Edges that pass a gate or a wall take nobody. Of edges equally near, the one with the lowest number is taken.
    Cost: about 1 µs a point once the grid is there, see ``benchmarks/attach_points.py``.
    """
    places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(places).all():
        bad = int(np.flatnonzero(~np.isfinite(places).all(axis=1))[0])
        raise CoordinateError(
            f"Point {bad} has no finite position: {places[bad].tolist()}.", hint="Give x and y in metres."
        )
    grid = network.edge_grid
    own = _NO_COMPOUNDS if compound is None else np.asarray(compound, dtype=np.int32)
    piece, access = nearest_edges(grid, network.vertex_xy, places, max_access_m, network.edge_compound, own)
    edge = np.where(piece >= 0, grid.edge_of[piece], -1).astype(np.int64)
    offset = piece_offsets(network.vertex_xy, network.edge_first_vertex, grid.edge_of, piece, places)
    length = np.where(piece >= 0, network.edge_length_m[edge], np.inf)
    offset = np.minimum(offset, length)
    rest = np.where(piece >= 0, length - np.where(piece >= 0, offset, 0.0), np.inf)
    return Attachments(edge, access, offset, access + offset, access + rest)


def end_seconds(network: WalkNetwork, attached: Attachments, speed_m_s: float) -> tuple[Floats, Floats]:
    """Return the seconds from each point to the ends u and v of its edge, access leg included; infinite where unattached."""
    to_u, to_v = np.full(len(attached), np.inf), np.full(len(attached), np.inf)
    on = attached.is_attached
    edge = attached.edge[on]
    share = attached.offset_m[on] / network.edge_length_m[edge]
    whole = edge_seconds(network, speed_m_s)[edge]
    access = attached.access_m[on] / speed_m_s
    to_u[on], to_v[on] = access + share * whole, access + (1.0 - share) * whole
    return to_u, to_v
