"""Pixels of the Web Mercator pyramid: where a place is on the map of a zoom. For drawing only, never for lengths or areas.

Zoom z has 2**z tiles each way of 4096 pixels each; x counts from the west, y from the north.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# pixels of a tile each way: the unit of what is in a tile (Mapbox Vector Tile's extent)
EXTENT = 4096
# half the way round the equator. Unit: m of EPSG:3857
HALF_WORLD = math.pi * 6378137.0


def pixel_size(z: int) -> float:
    """Return the side of a pixel of a zoom. Unit: m of EPSG:3857."""
    return 2 * HALF_WORLD / (EXTENT * 2**z)


def lon_lat_to_mercator(lon_lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return EPSG:3857 of geographic coordinates. Shape: (n, 2); degrees, CGCS2000 and WGS 84 alike.

    Notes
    -----
    Source: EPSG guidance note 7-2, method 1024 (Popular Visualisation Pseudo Mercator).
    """
    lon, lat = np.radians(lon_lat[:, 0]), np.radians(lon_lat[:, 1])
    return np.column_stack([lon, np.arcsinh(np.tan(lat))]) * (HALF_WORLD / math.pi)


@dataclass(frozen=True, slots=True)
class Outline:
    """A grid or division as a picture shows it: SVG path data and where its name stands (None: nowhere), in units of the picture."""

    code: str
    name: str
    path: str
    label_x: float | None
    label_y: float | None
