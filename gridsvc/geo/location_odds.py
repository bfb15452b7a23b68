"""With what odds a position of stated accuracy lies in which grid: the normal distribution integrated over polygons.

The error of a position is taken as round and normal in two dimensions. Its integral over a polygon is a sum over the edges: seen from
the stated position, the triangle to an edge holds the integral over its angle of 1 - exp(-r^2 / 2) (radius in standard deviations), by
2 pi. No sampling; the sum is that of the exact integral to 1e-9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numba import njit

from gridsvc.errors import CoordinateError
from gridsvc.geo import location
from gridsvc.geo.border_distances import metres_per_degree, rows_around
from gridsvc.geo.cell_index import Flags, Floats, Ints, Longs
from gridsvc.geo.location import GridIndex

# An accuracy is the radius that holds the true position with 68 %: what Android's Location.getAccuracy() states, and what we take from any
# device. Of a round normal distribution that is sqrt(-2 ln 0.32) standard deviations.
ACCURACY_HOLDS = 0.68
ACCURACY_IN_DEVIATIONS = float(np.sqrt(-2.0 * np.log(1.0 - ACCURACY_HOLDS)))

# beyond this many deviations nothing is left: exp(-6.5^2 / 2) is 7e-10
REACH = 6.5
# Gauss-Legendre points on pieces of an edge of at most one deviation
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
# what a grid must have to be named; the rest of a sum below it is rounding
LEAST_ODDS = 1e-6


@dataclass(frozen=True, slots=True)
class Odds:
    """Odds of the grids around a position, by falling odds, then code; with ``none`` they sum to 1."""

    codes: tuple[str, ...]
    odds: tuple[float, ...]
    none: float


def grid_odds(index: GridIndex, lon: float, lat: float, accuracy_m: float) -> Odds:
    """Return the odds of the grids around a position, and of none.

    Parameters
    ----------
    lon, lat
        EPSG:4490, degrees.
    accuracy_m
        Radius that holds the true position with 68 %. Unit: m. Zero: the grid of the point itself, for certain.

    Raises
    ------
    CoordinateError
        When the accuracy is negative or no number.

    Notes
    -----
    Accuracy: 1e-9 in the plane that is true at the position; on the ellipsoid about 1e-4 for an accuracy of a kilometre, and
    in proportion. Grids of one network do not overlap; where they do, the odds are divided by their sum when it exceeds 1.
    Source: our choice; the edge integral is that of Owen's T (DiDonato and Hageman 1980, integral over polygons).
    Cost: about 0.1 microseconds an edge; of the grids within 6.5 deviations all edges count.
    """
    if not (np.isfinite(accuracy_m) and accuracy_m >= 0.0):
        raise CoordinateError(
            f"accuracy_m is {accuracy_m}.", hint="Give metres, zero or more.", field="accuracy_m", reason="negative"
        )
    if accuracy_m == 0.0:
        code = index.locate_one(lon, lat)
        return Odds((), (), 1.0) if code is None else Odds((code,), (1.0,), 0.0)
    deviation_m = accuracy_m / ACCURACY_IN_DEVIATIONS
    per_lon, per_lat = metres_per_degree(lat)
    rows, found = (
        part.tolist()
        for part in _odds_around(
            lon, lat, REACH * deviation_m, per_lon / deviation_m, per_lat / deviation_m, *index.arguments_around
        )
    )
    total = math.fsum(found)
    if total > 1.0:
        found, total = [part / total for part in found], 1.0
    ranked = sorted((-part, index.code_of(row)) for row, part in zip(rows, found, strict=True) if part >= LEAST_ODDS)
    # what is too little to be named is added where it changes least
    parts = [-part for part, _ in ranked]
    rest = total - math.fsum(parts)
    none = max(0.0, 1.0 - total) + (0.0 if parts else rest)
    if parts:
        parts[0] += rest
    return Odds(tuple(code for _, code in ranked), tuple(parts), none)


def warm() -> None:
    """Load or compile what is compiled here."""
    location.warm()
    grid_odds(GridIndex(["a"], [shapely.box(114.0, 30.0, 114.01, 30.01)]), 114.005, 30.005, 1000.0)


@njit(cache=True, nogil=True)
def _odds_around(
    px: float,
    py: float,
    reach_m: float,
    per_x: float,
    per_y: float,
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
    """Return the rows of all grids within ``reach_m``, ascending, and the odds of each, as `polygon_odds`."""
    rows = np.unique(rows_around(px, py, reach_m, frame, size, top, blocks, list_start, list_rows))
    odds = np.zeros(len(rows))
    for n in range(len(rows)):
        begin, end = vertex_of[rows[n]], vertex_of[rows[n] + 1]
        odds[n] = polygon_odds(xs[begin:end], ys[begin:end], ring_end[begin:end], px, py, per_x, per_y)
    return rows, odds


@njit(cache=True, nogil=True)
def polygon_odds(xs: Floats, ys: Floats, ring_end: Flags, px: float, py: float, per_x: float, per_y: float) -> float:
    """Return the integral over a polygon of the round normal distribution around a point.

    ``xs, ys, ring_end``: of one grid, as in `GridIndex.borders`, rings in either direction as long as holes turn against shells.
    ``per_x, per_y``: standard deviations per unit of x and of y.
    """
    total = 0.0
    begin = 0
    for i in range(len(xs)):
        if ring_end[i]:
            ring, area = 0.0, 0.0
            for j in range(begin, i):
                ax, ay = (xs[j] - px) * per_x, (ys[j] - py) * per_y
                bx, by = (xs[j + 1] - px) * per_x, (ys[j + 1] - py) * per_y
                ring += _edge_odds(ax, ay, bx, by)
                area += (xs[j] - xs[begin]) * (ys[j + 1] - ys[begin]) - (xs[j + 1] - xs[begin]) * (ys[j] - ys[begin])
            # shells and holes are told apart by being inside one another, not by how they turn
            inside = _depth(xs, ys, ring_end, begin)
            turn = 1.0 if area > 0.0 else -1.0
            total += ring * turn * (1.0 if inside % 2 == 0 else -1.0)
            begin = i + 1
    return min(max(total, 0.0), 1.0)


@njit(cache=True, nogil=True)
def _depth(xs: Floats, ys: Floats, ring_end: Flags, begin: int) -> int:
    """Return how many other rings hold the ring that begins at a vertex; counted at a point just inside of its first edge."""
    stop = begin
    while not ring_end[stop]:
        stop += 1
    if begin == 0 and stop == len(xs) - 1:
        return 0
    px, py = (xs[begin] + xs[begin + 1]) / 2.0, (ys[begin] + ys[begin + 1]) / 2.0
    depth, first = 0, 0
    odd = False
    for i in range(len(xs)):
        if ring_end[i]:
            if odd and first != begin:
                depth += 1
            first, odd = i + 1, False
            continue
        crossed = (ys[i] > py) != (ys[i + 1] > py)
        if crossed and px < xs[i] + (py - ys[i]) / (ys[i + 1] - ys[i]) * (xs[i + 1] - xs[i]):
            odd = not odd
    return depth


@njit(cache=True, nogil=True)
def _edge_odds(ax: float, ay: float, bx: float, by: float) -> float:
    """Return the signed share of the distribution in the triangle of the origin and an edge."""
    dx, dy = bx - ax, by - ay
    length = np.hypot(dx, dy)
    cross = ax * by - ay * bx
    if length == 0.0 or cross == 0.0:
        return 0.0
    # along the line from the foot of the origin, at height h (with sign) over it
    h = cross / length
    s1, s2 = (ax * dx + ay * dy) / length, (bx * dx + by * dy) / length
    near1, near2 = min(max(s1, -REACH), REACH), min(max(s2, -REACH), REACH)
    if abs(h) >= REACH or near1 >= near2:
        return np.arctan2(cross, ax * bx + ay * by) / (2.0 * np.pi)
    angle = 0.0
    if s1 < near1:
        angle += np.arctan2(h * (near1 - s1), s1 * near1 + h * h)
    if near2 < s2:
        angle += np.arctan2(h * (s2 - near2), near2 * s2 + h * h)
    pieces = int(np.ceil(near2 - near1))
    half = (near2 - near1) / (2.0 * pieces)
    total = 0.0
    for piece in range(pieces):
        middle = near1 + (2 * piece + 1) * half
        for n in range(len(_NODES)):
            s = middle + half * _NODES[n]
            r2 = h * h + s * s
            # (1 - exp(-r2 / 2)) / r2, which is smooth
            total += _WEIGHTS[n] * (-np.expm1(-r2 / 2.0) / r2 if r2 > 1e-12 else 0.5)
    return (angle + h * half * total) / (2.0 * np.pi)
