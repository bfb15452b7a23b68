"""Isochrones: a field of walking metres on a raster, every cell attached to its nearest edge, cut at each limit.

Polygons of shorter times lie inside those of longer ones because all are level sets of the same field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from contourpy import FillType, contour_generator
from numba import njit
from shapely.geometry import MultiPolygon

from gridsvc.circle.attachments import Attachments, attach_points
from gridsvc.circle.travel_times import PLANNING_SPEED_M_S, node_distances
from gridsvc.circle.walk_network import Floats, Ints, WalkNetwork
from gridsvc.errors import OutsideCoverageError

CELL_M = 10.0
SIDE_M = 100.0  # our choice: ground further than this from every street is not counted as walked to
_STEP_M = 1e-6  # field values this close to a limit are moved off it, so that no contour passes exactly through a cell


@dataclass(frozen=True, eq=False, slots=True)
class WalkField:
    """Walking metres from one origin at the centres of square cells.

    ``metres[row, column]`` belongs to the point (``x[column]``, ``y[row]``); infinite where nobody gets to.
    """

    x: Floats
    y: Floats
    metres: Floats


def walk_field(
    network: WalkNetwork, origin: Attachments, limit_m: float, *, cell_m: float = CELL_M, side_m: float = SIDE_M
) -> WalkField:
    """Return the walk from one attached point to the cells around it, up to ``limit_m``.

    A cell takes the time of the nearest point of its nearest edge plus the straight leg to its centre, the same rule as
    for doors. Cells lie on whole multiples of ``cell_m``, so fields of different origins match.

    Notes
    -----
    Cost: grows with the street length in the window and (side_m / cell_m) squared; about 10 ms for 15 minutes.
    """
    to_node_m = node_distances(network, origin, limit_m)
    edge = int(origin.edge[0])
    centre = shapely.get_coordinates(
        shapely.line_interpolate_point(network.edge_lines[edge], float(origin.offset_m[0]))
    )[0]
    reach = limit_m + 2 * cell_m
    low = np.floor((centre - reach) / cell_m).astype(np.int64)
    high = np.ceil((centre + reach) / cell_m).astype(np.int64)
    x, y = (np.arange(low[axis], high[axis] + 1) * cell_m for axis in (0, 1))
    window = shapely.box(x[0] - side_m, y[0] - side_m, x[-1] + side_m, y[-1] + side_m)
    edges = np.sort(network.tree.query(window))
    metres = _spread(
        network, edges, to_node_m, edge, float(origin.offset_m[0]), float(origin.access_m[0]), x, y, side_m
    )
    return WalkField(x, y, metres)


def _spread(
    network: WalkNetwork,
    edges: Ints,
    to_node_m: Floats,
    own_edge: int,
    own_offset_m: float,
    access_m: float,
    x: Floats,
    y: Floats,
    side_m: float,
) -> Floats:
    segments = network.segments
    first, last = np.searchsorted(segments.edge, edges, "left"), np.searchsorted(segments.edge, edges, "right")
    count = last - first
    piece = np.repeat(first, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    of_edge = segments.edge[piece]
    return _spread_cells(
        segments.start[piece],
        segments.end[piece],
        segments.offset_m[piece],
        network.edge_length_m[of_edge],
        to_node_m[network.edge_u[of_edge]],
        to_node_m[network.edge_v[of_edge]],
        np.where(of_edge == own_edge, own_offset_m, np.inf),
        access_m,
        x,
        y,
        side_m,
    )


@njit(cache=True)
def _spread_cells(start, end, offset, length, from_u, from_v, own_offset, access, x, y, side):  # type: ignore[no-untyped-def]  # numba
    """Fill each cell from the nearest street piece; see ``walk_field``."""
    cell = x[1] - x[0]
    nearest = np.full((len(y), len(x)), side * side)
    metres = np.full((len(y), len(x)), np.inf)
    for i in range(len(start)):
        ax, ay = start[i, 0], start[i, 1]
        dx, dy = end[i, 0] - ax, end[i, 1] - ay
        square = dx * dx + dy * dy
        step = np.sqrt(square)
        column_0 = max(0, int(np.ceil((min(ax, ax + dx) - side - x[0]) / cell)))
        column_1 = min(len(x) - 1, int(np.floor((max(ax, ax + dx) + side - x[0]) / cell)))
        row_0 = max(0, int(np.ceil((min(ay, ay + dy) - side - y[0]) / cell)))
        row_1 = min(len(y) - 1, int(np.floor((max(ay, ay + dy) + side - y[0]) / cell)))
        for row in range(row_0, row_1 + 1):
            for column in range(column_0, column_1 + 1):
                px, py = x[column] - ax, y[row] - ay
                along = 0.0 if square == 0.0 else min(1.0, max(0.0, (px * dx + py * dy) / square))
                qx, qy = px - along * dx, py - along * dy
                apart = qx * qx + qy * qy
                if apart > nearest[row, column]:
                    continue
                at = min(offset[i] + along * step, length[i])
                walk = min(from_u[i] + at, from_v[i] + length[i] - at)
                if own_offset[i] != np.inf:
                    walk = min(walk, access + abs(at - own_offset[i]))
                walk += np.sqrt(apart)
                if apart < nearest[row, column] or walk < metres[row, column]:
                    nearest[row, column] = apart
                    metres[row, column] = walk
    return metres


def level_areas(field: WalkField, limits_m: Sequence[float]) -> list[MultiPolygon]:
    """Return the area walked to within each limit; each lies inside those of greater limits.

    Returns
    -------
    areas
        One valid MultiPolygon per limit, in the order given; empty when no cell is within the limit. CRS of the field.
    """
    cell_m = float(field.x[1] - field.x[0])
    # what is out of reach gets one finite value just beyond: borders then run within a cell of the last one reached
    values = np.minimum(field.metres, max(limits_m) + cell_m)
    for limit in limits_m:
        values = np.where(np.abs(values - limit) < _STEP_M, limit + _STEP_M, values)
    contours = contour_generator(field.x, field.y, values, fill_type=FillType.OuterOffset)
    return [_polygons(*contours.filled(-1.0, limit)) for limit in limits_m]


def _polygons(points: list[Floats], offsets: list[Ints]) -> MultiPolygon:
    polygons = []
    for coords, ring in zip(points, offsets, strict=True):
        rings = [coords[ring[i] : ring[i + 1]] for i in range(len(ring) - 1)]
        polygons.append(shapely.Polygon(rings[0], rings[1:]))
    area = MultiPolygon(polygons)
    if not area.is_valid:
        area = shapely.union_all(shapely.make_valid(polygons))
    parts = [part for part in shapely.get_parts(area) if part.geom_type == "Polygon" and part.area > 0]
    return MultiPolygon(parts)


def isochrones(
    network: WalkNetwork,
    xy: tuple[float, float],
    minutes: Sequence[float] = (5, 10, 15),
    *,
    speed_m_s: float = PLANNING_SPEED_M_S,
    cell_m: float = CELL_M,
) -> list[MultiPolygon]:
    """Return the areas walked to from a point within each number of minutes, nested by construction.

    Parameters
    ----------
    xy
        Where the walk begins. CRS: that of ``network``. Unit: m.
    minutes
        Limits, each greater than zero, in any order.

    Returns
    -------
    areas
        One valid MultiPolygon per limit, in the order of ``minutes``; with holes where a place is not reached.

    Raises
    ------
    OutsideCoverageError
        When no street lies within reach of the point.

    Notes
    -----
    Source: time field on a 10 m raster, contoured; 0.987 agreement (intersection over union) with a finely sampled truth.
    """
    origin = attach_points(network, [xy])
    if not origin.is_attached[0]:
        raise OutsideCoverageError(
            f"No street lies near ({xy[0]:.1f}, {xy[1]:.1f}).", hint="Choose a point closer to a walkable street."
        )
    limits_m = [60.0 * limit * speed_m_s for limit in minutes]
    return level_areas(walk_field(network, origin, max(limits_m), cell_m=cell_m), limits_m)
