"""Distances in metres between points and the borders of polygons in degrees, and the nearest polygon of a point outside of all."""

from __future__ import annotations

import numpy as np
from numba import njit

from gridsvc.geo.cell_index import FINE, SHIFT, SIDE, Flags, Floats, Ints, Longs

# CGCS2000 ellipsoid, GB 22021
_A, _F = 6378137.0, 1.0 / 298.257222101
_E2 = _F * (2.0 - _F)


@njit(cache=True, nogil=True)
def metres_per_degree(lat: float) -> tuple[float, float]:
    """Return the length of a degree of longitude and of one of latitude at a latitude. Unit: m; CGCS2000 ellipsoid."""
    sine = np.sin(np.radians(lat))
    bulge = 1.0 - _E2 * sine * sine
    cosine = np.sqrt(max(0.0, 1.0 - sine * sine))
    along = np.radians(_A / np.sqrt(bulge) * cosine)
    return along, np.radians(_A * (1.0 - _E2) / (bulge * np.sqrt(bulge)))


@njit(cache=True, nogil=True)
def border_distance(k: int, px: float, py: float, xs: Floats, ys: Floats, vertex_of: Longs, ring_end: Flags) -> float:
    """Return the distance of a point (lon lat) to the border of a polygon. Unit: m.

    The nearest point is looked for in a plane that is true at the point; the distance to it is that of the middle latitude,
    exact to about a millionth for the few kilometres it is meant for, and zero on an edge.
    """
    per_lon, per_lat = metres_per_degree(py)
    best, foot_x, foot_y = np.inf, px, py
    for i in range(vertex_of[k], vertex_of[k + 1] - 1):
        if ring_end[i]:
            continue
        ax, ay = (xs[i] - px) * per_lon, (ys[i] - py) * per_lat
        dx, dy = (xs[i + 1] - xs[i]) * per_lon, (ys[i + 1] - ys[i]) * per_lat
        length2 = dx * dx + dy * dy
        t = min(max(-(ax * dx + ay * dy) / length2, 0.0), 1.0) if length2 > 0.0 else 0.0
        cx, cy = ax + t * dx, ay + t * dy
        distance2 = cx * cx + cy * cy
        if distance2 < best:
            best = distance2
            foot_x, foot_y = xs[i] + t * (xs[i + 1] - xs[i]), ys[i] + t * (ys[i + 1] - ys[i])
    per_lon, per_lat = metres_per_degree((py + foot_y) / 2.0)
    return np.hypot((foot_x - px) * per_lon, (foot_y - py) * per_lat)


@njit(cache=True, nogil=True)
def border_distances(
    x: Floats, y: Floats, rows: Ints, xs: Floats, ys: Floats, vertex_of: Longs, ring_end: Flags
) -> Floats:
    """Return the distance of each point to the border of the polygon of its row, NaN where the row is -1. Unit: m."""
    answer = np.full(len(x), np.nan)
    for i in range(len(x)):
        if rows[i] >= 0:
            answer[i] = border_distance(rows[i], x[i], y[i], xs, ys, vertex_of, ring_end)
    return answer


@njit(cache=True, nogil=True)
def rows_around(
    px: float,
    py: float,
    radius_m: float,
    frame: Floats,
    size: Longs,
    top: Ints,
    blocks: Ints,
    list_start: Ints,
    list_rows: Ints,
) -> Ints:
    """Return the polygons of all cells within a box of half-width ``radius_m`` around a point, some twice.

    Of polygons on top of one another, those below one that holds a whole cell are left out of that cell.
    """
    found, count = np.empty(64, np.int32), 0
    per_lon, per_lat = metres_per_degree(py)
    half_x, half_y = radius_m / max(per_lon, 1e-9), radius_m / per_lat
    last_column, last_row = size[0] * SIDE - 1, size[1] * SIDE - 1
    # before the conversion to whole numbers, which infinity would not survive
    left = min(max((px - half_x - frame[0]) * frame[2], 0.0), last_column + 1.0)
    right = min(max((px + half_x - frame[0]) * frame[2], -1.0), float(last_column))
    low = min(max((py - half_y - frame[1]) * frame[3], 0.0), last_row + 1.0)
    high = min(max((py + half_y - frame[1]) * frame[3], -1.0), float(last_row))
    first_column, end_column, first_row, end_row = int(left), int(right) + 1, int(low), int(high) + 1
    if right < 0.0 or high < 0.0:
        return found[:0]
    for coarse_row in range(first_row >> SHIFT, ((end_row - 1) >> SHIFT) + 1):
        for coarse_column in range(first_column >> SHIFT, ((end_column - 1) >> SHIFT) + 1):
            value = top[coarse_row * size[0] + coarse_column]
            code = -2 - value
            is_block = value <= -2 and code & 1
            r1, r2, c1, c2 = 0, 1, 0, 1
            if is_block:
                r1, r2 = max(first_row - coarse_row * SIDE, 0), min(end_row - coarse_row * SIDE, SIDE)
                c1 = max(first_column - coarse_column * SIDE, 0)
                c2 = min(end_column - coarse_column * SIDE, SIDE)
            last = np.int32(-1)
            for r in range(r1, r2):
                for c in range(c1, c2):
                    if is_block:
                        value = blocks[(code >> 1) * FINE + (r << SHIFT) + c]
                    if value == last:
                        continue
                    last = value
                    begin, end = 0, 1 if value >= 0 else 0
                    if value <= -2:
                        one = -2 - value if is_block else (-2 - value) >> 1
                        begin, end = list_start[one], list_start[one + 1]
                    for j in range(begin, end):
                        k = value
                        if value <= -2:
                            k = list_rows[j] if list_rows[j] >= 0 else -1 - list_rows[j]
                        if count and found[count - 1] == k:
                            continue
                        if count == len(found):
                            more = np.empty(2 * count, np.int32)
                            more[:count] = found
                            found = more
                        found[count] = k
                        count += 1
    return found[:count]


@njit(cache=True, nogil=True)
def nearest_rows(
    x: Floats,
    y: Floats,
    groups: Ints,
    group_of: Ints,
    within_m: float,
    frame: Floats,
    size: Longs,
    top: Ints,
    blocks: Ints,
    list_start: Ints,
    list_rows: Ints,
    xs: Floats,
    ys: Floats,
    vertex_of: Longs,
    ring_end: Flags,
) -> tuple[Ints, Floats]:
    """Return for each point outside of all polygons the nearest one within ``within_m`` and its distance in m; else -1, NaN.

    Of equally near ones the first. A point of a group (0 or more) only gets polygons whose ``group_of`` is that.
    """
    rows, distances = np.full(len(x), -1, np.int32), np.full(len(x), np.nan)
    for i in range(len(x)):
        if not (np.isfinite(x[i]) and np.isfinite(y[i])):
            continue
        # a little more than asked for: the box is cut with the scale at the point
        around = np.unique(rows_around(x[i], y[i], 1.01 * within_m, frame, size, top, blocks, list_start, list_rows))
        for k in around:
            if groups[i] >= 0 and groups[i] != group_of[k]:
                continue
            distance = border_distance(k, x[i], y[i], xs, ys, vertex_of, ring_end)
            if distance <= within_m and (rows[i] < 0 or distance < distances[i]):
                rows[i], distances[i] = k, distance
    return rows, distances
