"""Which ground a change of grids touches: only a point on it can have another grid than before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridsvc.geo.border_distances import metres_per_degree

# about a millimetre: overlay rounds intersections of edges, the ground must hold what lies on them
MARGIN_DEG = 1e-8


def changed_ground(
    old_codes: Sequence[str], old_polygons: ArrayLike, new_codes: Sequence[str], new_polygons: ArrayLike
) -> shapely.MultiPolygon:
    """Return the ground on which the one-grid rule may answer otherwise once the old grids gave way to the new ones.

    Every point whose set of grids that hold it (closed polygons, by code) differs between before and after lies on it; all
    other grids are taken to stay. What a code holds before and after alike is not on it, whatever became of the rest.

    Parameters
    ----------
    old_codes, new_codes
        A code may come several times (versions of one grid at different instants); each is compared with all of the other side.
    old_polygons, new_polygons
        (Multi)polygons, lon lat EPSG:4490, one per code.

    Returns
    -------
    ground
        Valid, EPSG:4490, about a millimetre larger all round than the difference. Empty when nothing changes.

    Notes
    -----
    If a point is in the closed polygon P and not in the closed polygon Q, it lies in the closure of the interior of P
    minus Q, since polygons are the closure of their interior and Q leaves a neighbourhood of the point free. So the
    closed symmetric difference of each code holds every point that can change.
    """
    old, new = np.asarray(old_polygons, dtype=object), np.asarray(new_polygons, dtype=object)
    before, after = _by_code(old_codes), _by_code(new_codes)
    pairs = [(i, j) for code in before.keys() & after.keys() for i in before[code] for j in after[code]]
    pieces = [old[i] for code in sorted(before.keys() - after.keys()) for i in before[code]]
    pieces += [new[j] for code in sorted(after.keys() - before.keys()) for j in after[code]]
    if pairs:
        first, second = (old[[i for i, _ in pairs]], new[[j for _, j in pairs]])
        other = ~shapely.equals_exact(first, second, tolerance=0.0)
        pieces += list(shapely.symmetric_difference(first[other], second[other]))
    return _as_multipolygon(np.array(pieces, dtype=object))


def is_on(ground: shapely.MultiPolygon, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
    """Return for each point (lon lat, EPSG:4490) whether it lies on `changed_ground`, its border included."""
    shapely.prepare(ground)
    return shapely.intersects_xy(ground, np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))


def widened(ground: shapely.MultiPolygon, by_m: float) -> shapely.MultiPolygon:
    """Return a ground with all that lies within ``by_m`` of it, up to 3 % more. CRS: EPSG:4490. Unit: m."""
    if ground.is_empty or by_m <= 0:
        return ground
    _, low, _, high = ground.bounds
    # where degrees of longitude are shortest; the arcs of a buffer are polygons inside of the circle
    per_lon, _ = metres_per_degree(max(abs(low), abs(high)))
    _, per_lat = metres_per_degree(min(abs(low), abs(high)))
    scale = np.array([per_lon, per_lat])
    metric = shapely.transform(ground, lambda xy: xy * scale)
    wide = shapely.buffer(metric, 1.02 * by_m, quad_segs=16)
    return _polygons_of(shapely.transform(wide, lambda xy: xy / scale))


def with_uncovered(
    ground: shapely.MultiPolygon, wide: shapely.MultiPolygon, coverages: Sequence[ArrayLike]
) -> shapely.MultiPolygon:
    """Return the ground on which the grid of a point may change where points outside of all grids get the nearest one.

    That is the changed ground, and of what lies near it the parts that no grid covers.

    Parameters
    ----------
    ground
        As from `changed_ground`.
    wide
        `widened` by the greatest distance at which a grid is given.
    coverages
        The polygons of all grids of the network around ``wide``, once for each span of time in which they are the same. CRS: EPSG:4490.

    Notes
    -----
    The nearest point of a changed grid within the distance either lies on the changed ground or is as far away as it was. So
    a point that no grid holds and that lies farther than the distance from the changed ground keeps its grid; and so does one off the changed ground
    that a grid holds.
    """
    ring = shapely.difference(wide, ground)
    if ring.is_empty:
        return ground
    open_land = [_uncovered(ring, np.asarray(polygons, dtype=object)) for polygons in coverages]
    pieces = shapely.get_parts(shapely.union_all(open_land))
    if not shapely.area(pieces).any():
        return ground
    return _as_multipolygon(np.concatenate([shapely.get_parts(ground), pieces[shapely.get_type_id(pieces) == 3]]))


def _uncovered(ring: shapely.Geometry, polygons: NDArray[np.object_]) -> shapely.Geometry:
    if not len(polygons):
        return ring
    shapely.prepare(ring)
    return shapely.difference(ring, shapely.union_all(polygons[shapely.intersects(ring, polygons)]))


def _by_code(codes: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, code in enumerate(codes):
        places.setdefault(str(code), []).append(place)
    return places


def _as_multipolygon(pieces: NDArray[np.object_]) -> shapely.MultiPolygon:
    """Return the pieces, widened by the margin, as one; slivers thinner than a double's step become a line wide of it."""
    drawn = pieces[~shapely.is_empty(pieces)] if len(pieces) else pieces
    if not len(drawn):
        return shapely.MultiPolygon()
    return _polygons_of(shapely.buffer(shapely.union_all(drawn), MARGIN_DEG, join_style="mitre"))


def _polygons_of(drawn: shapely.Geometry) -> shapely.MultiPolygon:
    parts = shapely.get_parts(drawn)
    return shapely.MultiPolygon(list(parts[shapely.get_type_id(parts) == 3]))
