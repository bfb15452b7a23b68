"""Metres and areas: CGCS2000 3-degree Gauss-Kruger zones, there and back, always x east and y north.

Storage is EPSG:4490 (lon lat); metric work happens in the zone of the place (EPSG:4509 + zone number, false easting
500 km; outside of China in the UTM zone). Only this module builds transformers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from gridsvc.errors import CoordinateError, DatumUnknownError, GeometryError, NotProjectedError
from gridsvc.geo.datums import STORAGE_DECIMALS

STORAGE_EPSG = 4490
WGS84_EPSG = 4326
_ZONES = range(25, 46)  # the zones the register holds, 75 E to 135 E
_EPSG_BEFORE_FIRST_ZONE = 4509

GeometryArray = NDArray[np.object_]


def gauss_kruger_epsg(lon: float) -> int:
    """Return the EPSG number of the CGCS2000 3-degree Gauss-Kruger zone of longitude ``lon`` (degrees), 4534 to 4554.

    Raises
    ------
    CoordinateError
        When ``lon`` lies outside of 73.5 to 136.5 degrees east, where the register holds no zone.

    Examples
    --------
    >>> gauss_kruger_epsg(116.39)
    4548
    """
    if not np.isfinite(lon):
        raise CoordinateError(
            f"Longitude {lon} has no Gauss-Kruger zone.", hint="Give degrees east.", field="lon", reason="not_finite"
        )
    zone = int(np.floor((lon - 1.5) / 3.0)) + 1
    if zone not in _ZONES:
        raise CoordinateError(
            f"Longitude {lon:.6g} has no CGCS2000 3-degree zone.",
            hint="Zones 25 to 45 cover 73.5 to 136.5 degrees east; check datum and axis order, or name a projected EPSG number.",
            field="lon",
            reason="out_of_range",
        )
    return _EPSG_BEFORE_FIRST_ZONE + zone


def metric_epsg(lon: float, lat: float) -> int:
    """Return the EPSG number of the system in which metres are computed at a place (degrees).

    The CGCS2000 3-degree Gauss-Kruger zone where the register holds one (73.5 to 136.5 degrees east), elsewhere the UTM zone
    on WGS 84 (EPSG:32601 to 32660 north, 32701 to 32760 south).

    Raises
    ------
    CoordinateError
        When the place is no finite position, or nearer to a pole than UTM reaches (80 degrees south, 84 north).

    Notes
    -----
    Source: our choice for cities outside of China. WGS 84 and CGCS2000 are taken as equal, so nothing shifts; areas in a
    UTM zone agree with the ellipsoid within 0.2 %.

    Examples
    --------
    >>> metric_epsg(116.39, 39.9), metric_epsg(-77.0, 38.9), metric_epsg(-51.2, -30.0)
    (4548, 32618, 32722)
    """
    number = int(_metric_epsg_of(np.array([lon], dtype=np.float64), np.array([lat], dtype=np.float64))[0])
    if not number:
        raise CoordinateError(
            f"({lon:.6g}, {lat:.6g}) has no zone in which metres are computed.",
            hint="Give longitude and latitude in degrees, from 80 degrees south to 84 north.",
            field="position",
            reason="out_of_range",
        )
    return number


def _metric_epsg_of(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return `metric_epsg` of places, 0 where there is none."""
    here = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lon) <= 180.0) & (lat >= -80.0) & (lat <= 84.0)
    x, y = np.where(here, lon, 0.0), np.where(here, lat, 0.0)
    zone = np.floor((x - 1.5) / 3.0).astype(np.int64) + 1
    utm = np.minimum(np.floor((x + 180.0) / 6.0).astype(np.int64) + 1, 60) + np.where(y < 0.0, 32700, 32600)
    in_register = np.isfinite(lon) & (zone >= _ZONES[0]) & (zone <= _ZONES[-1])
    return np.where(in_register, _EPSG_BEFORE_FIRST_ZONE + zone, np.where(here, utm, 0))


def zone_of(geometries: ArrayLike) -> int:
    """Return `metric_epsg` of the middle of the bounds of all ``geometries`` (lon lat).

    Raises
    ------
    GeometryError
        When all geometries are empty.
    """
    min_x, min_y, max_x, max_y = shapely.total_bounds(geometries)
    if np.isnan(min_x):
        raise GeometryError("No zone for empty geometries.", hint="Leave out empty geometries.")
    return metric_epsg((min_x + max_x) / 2.0, (min_y + max_y) / 2.0)


@lru_cache(maxsize=64)
def transformer(source_epsg: int, target_epsg: int) -> Transformer:
    """Return the cached transformer between two EPSG systems, x east and y north on both sides.

    WGS 84 and CGCS2000 are taken as equal. A shift that the register does not hold (local city systems, 1954 Beijing,
    Xi'an 1980 without its grids) is refused, never guessed.

    Raises
    ------
    DatumUnknownError
        When a number is no known CRS, or no published transformation joins the two.
    """
    try:
        return Transformer.from_crs(
            CRS.from_epsg(source_epsg), CRS.from_epsg(target_epsg), always_xy=True, allow_ballpark=False, only_best=True
        )
    except (CRSError, ProjError) as error:
        raise DatumUnknownError(
            f"EPSG:{source_epsg} cannot be transformed to EPSG:{target_epsg}.",
            hint="Use a CRS on CGCS2000 or WGS 84; shifts of local systems are not published and are never guessed.",
            source=source_epsg,
            target=target_epsg,
        ) from error


@lru_cache(maxsize=64)
def _storage_twin(epsg: int) -> int:
    """Return EPSG:4326 for systems on WGS 84, whose numbers equal those of storage by decision, else EPSG:4490."""
    try:
        datum = CRS.from_epsg(epsg).geodetic_crs
    except CRSError as error:
        raise DatumUnknownError(
            f"EPSG:{epsg} is not a known CRS.", hint="CGCS2000 zones are EPSG:4534 to 4554."
        ) from error
    return WGS84_EPSG if datum is not None and datum.name == "WGS 84" else STORAGE_EPSG


def _reproject(geometries: ArrayLike, source_epsg: int, target_epsg: int) -> GeometryArray:
    change = transformer(source_epsg, target_epsg)

    def move(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            return np.column_stack(change.transform(vertices[:, 0], vertices[:, 1], errcheck=True))
        except ProjError as error:
            raise CoordinateError(
                f"A position has no place in EPSG:{target_epsg}.",
                hint="Check datum and axis order.",
                field="geometry",
                reason="out_of_range",
            ) from error

    return shapely.transform(np.asarray(geometries, dtype=object), move)  # drops z


def to_metric(geometries: ArrayLike, epsg: int) -> GeometryArray:
    """Return storage geometries (EPSG:4490, lon lat) in the projected system ``epsg``, unit m, x east and y north; z is dropped.

    Raises
    ------
    NotProjectedError
        When ``epsg`` is no projected system in metres.
    """
    _check_metric(epsg)
    return _reproject(geometries, _storage_twin(epsg), epsg)


def to_storage(geometries: ArrayLike, epsg: int) -> GeometryArray:
    """Return geometries of system ``epsg`` in EPSG:4490, lon lat, rounded to 9 decimals (see `quantise`)."""
    if epsg in (STORAGE_EPSG, WGS84_EPSG):
        return quantise(geometries)
    return quantise(_reproject(geometries, epsg, _storage_twin(epsg)))


def quantise(geometries: ArrayLike) -> GeometryArray:
    """Return lon lat geometries with every vertex rounded to 9 decimals (about 0.1 mm); z is dropped.

    Vertex by vertex, without repair: identical vertices stay identical, so shared borders stay shared. A second call
    changes nothing, and ``to_storage(to_metric(g))`` of the answer gives the answer back.
    """
    return shapely.transform(np.asarray(geometries, dtype=object), lambda v: np.round(v, STORAGE_DECIMALS))


def area_m2(geometries: ArrayLike, *, epsg: int | None = None) -> NDArray[np.float64]:
    """Return the areas of lon lat geometries, unit m2, in ``epsg`` or, by default, each in the zone of its own middle.

    The area of a geometry does not depend on its company. Within its zone it agrees with the ellipsoid within 0.1 %
    (0.2 % in the UTM zones that stand in outside of China).
    Empty geometries have area 0.
    """
    return _measured(geometries, shapely.area, epsg)


def length_m(geometries: ArrayLike, *, epsg: int | None = None) -> NDArray[np.float64]:
    """Return the lengths (of polygons: perimeters) of lon lat geometries, unit m; zones as in `area_m2`."""
    return _measured(geometries, shapely.length, epsg)


def _measured(geometries: ArrayLike, measure: Any, epsg: int | None) -> NDArray[np.float64]:
    shapes = np.asarray(geometries, dtype=object)
    flat = shapes.ravel()
    answer = np.zeros(flat.shape, dtype=np.float64)
    present = np.flatnonzero(~(shapely.is_missing(flat) | shapely.is_empty(flat)))
    if epsg is not None:
        answer[present] = measure(to_metric(flat[present], epsg))
        return answer.reshape(shapes.shape)
    bounds = shapely.bounds(flat[present]).reshape(-1, 4)
    lon, lat = (bounds[:, 0] + bounds[:, 2]) / 2.0, (bounds[:, 1] + bounds[:, 3]) / 2.0
    zones = _metric_epsg_of(lon, lat)
    for zone in np.unique(zones):
        here = present[zones == zone]
        first = np.flatnonzero(zones == zone)[0]
        answer[here] = measure(to_metric(flat[here], metric_epsg(lon[first], lat[first])))
    return answer.reshape(shapes.shape)


@lru_cache(maxsize=64)
def _check_metric(epsg: int) -> None:
    try:
        crs = CRS.from_epsg(epsg)
    except CRSError as error:
        raise DatumUnknownError(
            f"EPSG:{epsg} is not a known CRS.", hint="CGCS2000 zones are EPSG:4534 to 4554."
        ) from error
    if not crs.is_projected or any(axis.unit_name != "metre" for axis in crs.axis_info):
        raise NotProjectedError(
            f"EPSG:{epsg} ({crs.name}) does not measure in metres.",
            hint="Use the Gauss-Kruger zone of the place, EPSG:4534 to 4554.",
        )
