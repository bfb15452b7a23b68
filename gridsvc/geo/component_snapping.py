"""Which component a position means: how far to look, how far and in which direction each lies, and how likely it is.

Distances are geodesics on the ellipsoid of CGCS2000, so they hold everywhere, across zone borders too.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pyproj import Geod

from gridsvc.geo.component_codes import ACCURACY_M

FloatArray = NDArray[np.float64]

DEFAULT_RADIUS_M = 50.0
LARGEST_RADIUS_M = 500.0

# An accuracy is the radius that holds the true position with 68 %, as phones state it; 1.51 standard deviations.
_ACCURACY_IN_DEVIATIONS = 1.5096
# The shortest degree of latitude (at the equator) and of longitude per cosine, rounded down. Unit: m
_DEGREE_LAT_M, _DEGREE_LON_M = 110_574.0, 111_319.0


class DegreesM(NamedTuple):
    """No more metres than a degree of longitude and of latitude have near a place, so that boxes made with them are large enough."""

    lon_m: float
    lat_m: float


def search_radius_m(accuracy_m: float | None) -> float:
    """Return how far from a position components are looked for: its accuracy, at least 50 m, at most 500 m. Unit: m."""
    return min(max(accuracy_m or 0.0, DEFAULT_RADIUS_M), LARGEST_RADIUS_M)


def metres_of_a_degree(lat: float) -> DegreesM:
    """Return how many metres a degree has at ``lat``, counted low for everything within the largest radius.

    Around the poles a degree of longitude counts next to nothing, which makes every box wider than the earth.
    """
    farthest = min(abs(lat) + LARGEST_RADIUS_M / _DEGREE_LAT_M, 90.0)
    return DegreesM(max(_DEGREE_LON_M * math.cos(math.radians(farthest)), 1e-6), _DEGREE_LAT_M)


def distances_and_bearings(lon: float, lat: float, lons: ArrayLike, lats: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the distance (m) to each position and its bearing (degrees clockwise from north, 0 to 360) as seen from ``lon, lat``.

    CRS: EPSG:4490. Shape: (n,). The bearing of the place itself is 0.
    """
    x, y = np.asarray(lons, dtype=np.float64), np.asarray(lats, dtype=np.float64)
    forward, _, distance = _ellipsoid().inv(np.full(len(x), lon), np.full(len(y), lat), x, y)
    distance = np.asarray(distance, dtype=np.float64)
    bearing = np.mod(np.asarray(forward, dtype=np.float64), 360.0)
    bearing[distance == 0] = 0.0
    return distance, bearing


def shares(distance_m: ArrayLike, accuracy_m: float, accuracy_classes: ArrayLike) -> FloatArray:
    """Return how likely each component is the one meant, among those given: numbers from 0 to 1 that add up to 1.

    Parameters
    ----------
    distance_m
        From the stated position to each component. Unit: m. Shape: (n,).
    accuracy_m
        Radius that holds the true position with 68 %. Unit: m.
    accuracy_classes
        Class of each component's own position, A, B or C; anything else counts as C.

    Notes
    -----
    Our choice: before the position is known all are equally likely; the position errs as a 2-D normal with the variances of
    report and component added. That the component meant is not in the register is not accounted for.
    """
    distance = np.asarray(distance_m, dtype=np.float64)
    if not len(distance):
        return distance
    own = np.array([ACCURACY_M.get(name, ACCURACY_M["C"]) for name in np.asarray(accuracy_classes, dtype=object)])
    variance = (accuracy_m / _ACCURACY_IN_DEVIATIONS) ** 2 + own**2
    logs = -np.log(variance) - distance**2 / (2 * variance)
    weights = np.exp(logs - logs.max())
    return weights / weights.sum()


@cache
def _ellipsoid() -> Geod:
    return Geod(a=6_378_137.0, rf=298.257222101)
