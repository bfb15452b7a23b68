"""On which side of a line a point is, with the very answer GEOS gives; compiled.

A partition is exact only if every program agrees about points on its edges. GEOS (shapely, PostGIS) decides by a filter in
doubles and, where that cannot tell, in double-double arithmetic. Both are done here step by step as there, so that the
sign is the same for every input, and not only where both are right.
"""

from __future__ import annotations

from numba import njit

# 2^27 + 1 splits a double into halves whose products are exact (Dekker 1971)
_SPLIT = 134217729.0
_SAFE_EPSILON = 1e-15


@njit(cache=True, nogil=True)
def _sum(a_high: float, a_low: float, b_high: float, b_low: float) -> tuple[float, float]:
    """Return the double-double sum of two double-doubles."""
    high, low = a_high + b_high, a_low + b_low
    e, f = high - a_high, low - a_low
    s, t = high - e, low - f
    s, t = (b_high - e) + (a_high - s), (b_low - f) + (a_low - t)
    e = s + low
    big = high + e
    small = e + (high - big)
    e = t + small
    return big + e, e + (big - (big + e))


@njit(cache=True, nogil=True)
def _product(a_high: float, a_low: float, b_high: float, b_low: float) -> tuple[float, float]:
    """Return the double-double product of two double-doubles."""
    c = _SPLIT * a_high
    a_upper = c - (c - a_high)
    a_rest = a_high - a_upper
    d = _SPLIT * b_high
    b_upper = d - (d - b_high)
    b_rest = b_high - b_upper
    big = a_high * b_high
    error = ((a_upper * b_upper - big + a_upper * b_rest) + a_rest * b_upper) + a_rest * b_rest
    small = error + (a_high * b_low + a_low * b_high)
    return big + small, small + (big - (big + small))


@njit(cache=True, nogil=True)
def _orientation_in_double_double(ax: float, ay: float, bx: float, by: float, px: float, py: float) -> int:
    x1 = _sum(bx, 0.0, -ax, 0.0)
    y1 = _sum(by, 0.0, -ay, 0.0)
    x2 = _sum(px, 0.0, -bx, 0.0)
    y2 = _sum(py, 0.0, -by, 0.0)
    left = _product(x1[0], x1[1], y2[0], y2[1])
    right = _product(y1[0], y1[1], x2[0], x2[1])
    high, low = _sum(left[0], left[1], -right[0], -right[1])
    if high > 0.0 or (high == 0.0 and low > 0.0):
        return 1
    if high < 0.0 or (high == 0.0 and low < 0.0):
        return -1
    return 0


@njit(cache=True, nogil=True)
def orientation(ax: float, ay: float, bx: float, by: float, px: float, py: float) -> int:
    """Return 1 when p lies to the left of the line from a to b, -1 to the right, 0 on it. Any plane coordinates.

    Notes
    -----
    Source: ``Orientation::index`` of GEOS (its filter is that of Ozaki et al. 2012 in the simple form of JTS). The sign is
    exact while the differences of coordinates span fewer than 53 bits each, as those of positions rounded to 9 decimals do.
    """
    left = (ax - px) * (by - py)
    right = (ay - py) * (bx - px)
    det = left - right
    if left > 0.0:
        if right <= 0.0:
            return 1 if det > 0.0 else (-1 if det < 0.0 else 0)
        total = left + right
    elif left < 0.0:
        if right >= 0.0:
            return 1 if det > 0.0 else (-1 if det < 0.0 else 0)
        total = -left - right
    else:
        return 1 if det > 0.0 else (-1 if det < 0.0 else 0)
    bound = _SAFE_EPSILON * total
    if det >= bound or -det >= bound:
        return 1 if det > 0.0 else (-1 if det < 0.0 else 0)
    return _orientation_in_double_double(ax, ay, bx, by, px, py)
