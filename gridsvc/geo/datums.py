"""Datums of positions: WGS 84, CGCS2000, GCJ-02 and BD-09, and the conversions between them.

WGS 84 and CGCS2000 agree within about a metre and are treated as numerically equal; the name is kept. GCJ-02 and
BD-09 are the shifted datums of Chinese web maps; the algorithm is the public approximation, not an official service.
A datum is always declared, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import CoordinateError, DatumMissingError, DatumUnknownError

FloatArray = NDArray[np.float64]

DATUMS: tuple[str, ...] = ("wgs84", "cgcs2000", "gcj02", "bd09")

# 1e-9 degree is about 0.1 mm; geometries are rounded to it on the way in, so that a trip through metres and back
# gives the same doubles.
STORAGE_DECIMALS = 9

_NAMES: dict[str, str] = {
    "wgs84": "wgs84",
    "epsg:4326": "wgs84",
    "ogc:crs84": "wgs84",
    "crs84": "wgs84",
    "cgcs2000": "cgcs2000",
    "epsg:4490": "cgcs2000",
    "gcj02": "gcj02",
    "bd09": "bd09",
    "bd09ll": "bd09",
}

# Krasovsky ellipsoid as used by the public algorithm (domain: constants of GCJ-02 and BD-09).
_A = 6378245.0
_EE = 0.00669342162296594323
_X_PI = np.pi * 3000.0 / 180.0
_BD_LON_OFFSET = 0.0065
_BD_LAT_OFFSET = 0.006

# Outside of this box positions are not shifted. It is not the border of the country.
SHIFTED_BOX: tuple[float, float, float, float] = (72.004, 0.8293, 137.8347, 55.8271)

# Where a position that reads (lat, lon) would land; used only to word a hint.
_CHINA_LON = (72.0, 138.0)
_CHINA_LAT = (0.8, 56.0)

_INVERSE_ROUNDS = 5
_INVERSE_TOLERANCE_DEG = 1e-10


def parse_datum(text: str | None, *, field: str = "datum") -> str:
    """Return the datum that ``text`` names, one of `DATUMS`.

    Case, blanks, hyphens and underscores do not matter; ``EPSG:4326`` and ``EPSG:4490`` are names too.

    Raises
    ------
    DatumMissingError
        When ``text`` is None or blank; the message names ``field``.
    DatumUnknownError
        When it names anything else.
    """
    if text is None or not str(text).strip():
        raise DatumMissingError(
            f"{field} is missing: positions come without a datum.",
            hint=f"Declare one of {', '.join(DATUMS)}.",
            field=field,
        )
    name = _NAMES.get("".join(str(text).lower().split()).replace("-", "").replace("_", ""))
    if name is None:
        raise DatumUnknownError(
            f"{field} is {str(text)!r}, which is not a known datum.",
            hint=f"Use one of {', '.join(DATUMS)}, EPSG:4326 or EPSG:4490.",
            field=field,
            value=str(text),
        )
    return name


def convert(lon: ArrayLike, lat: ArrayLike, source: str, target: str) -> tuple[FloatArray, FloatArray]:
    """Return ``(lon, lat)`` in datum ``target`` of positions given in datum ``source``.

    Scalars give scalars (numpy floats), arrays give arrays of the broadcast shape; the input is not changed.
    Between ``wgs84`` and ``cgcs2000`` the numbers stay the same.

    Parameters
    ----------
    lon, lat
        Unit: degrees. NaN stays NaN (see `check_lonlat` for refusing it).
    source, target
        Names that `parse_datum` accepts.

    Notes
    -----
    GCJ-02 to WGS 84 is inverted by fixed-point iteration, at most 5 rounds to 1e-10 degree (error under 5e-8 m). BD-09 to
    GCJ-02 is the published closed form (error 0.07 m on average, 0.22 m at most). Outside of `SHIFTED_BOX` GCJ-02 equals WGS 84.
    """
    start, end = parse_datum(source, field="source datum"), parse_datum(target, field="target datum")
    if isinstance(lon, float) and isinstance(lat, float) and not _STEPS[_FAMILY[start], _FAMILY[end]]:
        return np.float64(lon), np.float64(lat)  # type: ignore[return-value]
    x, y = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
    with np.errstate(invalid="ignore"):  # NaN and infinity pass through
        for step in _STEPS[_FAMILY[start], _FAMILY[end]]:
            x, y = step(x, y)
    return x[()].copy(), y[()].copy()


def convert_geometries(geometries: ArrayLike, source: str, target: str) -> NDArray[np.object_]:
    """Return the geometries, lon lat in datum ``source``, with every vertex in datum ``target``; z is dropped.

    Vertices that were identical stay identical, so shared borders stay shared.
    """

    def move(vertices: FloatArray) -> FloatArray:
        return np.column_stack(convert(vertices[:, 0], vertices[:, 1], source, target))

    return shapely.transform(np.asarray(geometries, dtype=object), move)  # drops z


def check_lonlat(
    lon: ArrayLike, lat: ArrayLike, *, field: str = "position", bounds: tuple[float, float, float, float] | None = None
) -> None:
    """Refuse positions that are no finite longitude, latitude pair in range, or that look swapped.

    Parameters
    ----------
    lon, lat
        Unit: degrees; any datum.
    field
        How the caller names the position, for the message.
    bounds
        Box ``(min_lon, min_lat, max_lon, max_lat)`` the positions must lie in; None for no box.

    Raises
    ------
    CoordinateError
        For the first bad position; ``details`` holds ``field``, ``lon``, ``lat``, ``index`` and ``reason``
        (``not_finite``, ``swapped``, ``out_of_range``, ``out_of_bounds``).
    """
    if bounds is None and isinstance(lon, float) and isinstance(lat, float) and _is_in_china(lon, lat):
        return  # the usual case of a report, forty times as fast
    x, y = np.broadcast_arrays(
        np.atleast_1d(np.asarray(lon, dtype=np.float64)), np.atleast_1d(np.asarray(lat, dtype=np.float64))
    )
    x, y = x.ravel(), y.ravel()
    finite = np.isfinite(x) & np.isfinite(y)
    _refuse_first(
        ~finite,
        x,
        y,
        field,
        "not_finite",
        "is not a finite longitude, latitude pair",
        "Give both as numbers in degrees.",
    )
    swap_hint = "It looks like latitude first; give longitude first, then latitude."
    swapped = _looks_swapped(x, y, bounds)
    _refuse_first(swapped, x, y, field, "swapped", "has longitude and latitude swapped", swap_hint)
    outside = (np.abs(x) > 180.0) | (np.abs(y) > 90.0)
    _refuse_first(
        outside,
        x,
        y,
        field,
        "out_of_range",
        "is out of range",
        "Longitude is -180 to 180 and latitude -90 to 90 degrees.",
    )
    if bounds is not None:
        min_x, min_y, max_x, max_y = bounds
        beyond = (x < min_x) | (x > max_x) | (y < min_y) | (y > max_y)
        hint = f"Expected longitude {min_x:g} to {max_x:g} and latitude {min_y:g} to {max_y:g}; check datum and axis order."
        _refuse_first(beyond, x, y, field, "out_of_bounds", "lies outside of the area held here", hint)


def is_lonlat(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
    """Return where `check_lonlat` has nothing to refuse. Shape: that of the broadcast input."""
    x, y = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
    with np.errstate(invalid="ignore"):
        in_range = np.isfinite(x) & np.isfinite(y) & (np.abs(x) <= 180.0) & (np.abs(y) <= 90.0)
        return in_range & ~_looks_swapped(x, y, None)


def _looks_swapped(x: FloatArray, y: FloatArray, bounds: tuple[float, float, float, float] | None) -> NDArray[np.bool_]:
    """Return where latitude came first: impossible as it stands, or in China (or in ``bounds``) only when swapped."""
    impossible = (np.abs(x) <= 90.0) & (np.abs(y) > 90.0) & (np.abs(y) <= 180.0)
    in_china = _within(x, y, (_CHINA_LON[0], _CHINA_LAT[0], _CHINA_LON[1], _CHINA_LAT[1]))
    china_when_swapped = _within(y, x, (_CHINA_LON[0], _CHINA_LAT[0], _CHINA_LON[1], _CHINA_LAT[1]))
    swapped = impossible | (china_when_swapped & ~in_china)
    if bounds is not None:
        swapped = (swapped & ~_within(x, y, bounds)) | (_within(y, x, bounds) & ~_within(x, y, bounds))
    return swapped


def _is_in_china(lon: float, lat: float) -> bool:
    return _CHINA_LON[0] <= lon <= _CHINA_LON[1] and _CHINA_LAT[0] <= lat <= _CHINA_LAT[1]


def _within(x: FloatArray, y: FloatArray, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    return (x >= box[0]) & (y >= box[1]) & (x <= box[2]) & (y <= box[3])


def _refuse_first(
    bad: NDArray[np.bool_], x: FloatArray, y: FloatArray, field: str, reason: str, what: str, hint: str
) -> None:
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    others = f" (and {int(bad.sum()) - 1} more)" if bad.sum() > 1 else ""
    raise CoordinateError(
        f"{field} ({x[first]:.9g}, {y[first]:.9g}) {what}{others}.",
        hint=hint,
        field=field,
        lon=float(x[first]) if np.isfinite(x[first]) else None,
        lat=float(y[first]) if np.isfinite(y[first]) else None,
        index=first,
        reason=reason,
    )


def _gcj_offset(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the shift in degrees that GCJ-02 adds at WGS 84 positions; zero outside of `SHIFTED_BOX`."""
    min_lon, min_lat, max_lon, max_lat = SHIFTED_BOX
    inside = (lon >= min_lon) & (lon <= max_lon) & (lat >= min_lat) & (lat <= max_lat)
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    waves = (20.0 * np.sin(6.0 * x * np.pi) + 20.0 * np.sin(2.0 * x * np.pi)) * 2.0 / 3.0
    d_lat = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root + waves
    d_lat += (20.0 * np.sin(y * np.pi) + 40.0 * np.sin(y / 3.0 * np.pi)) * 2.0 / 3.0
    d_lat += (160.0 * np.sin(y / 12.0 * np.pi) + 320.0 * np.sin(y * np.pi / 30.0)) * 2.0 / 3.0
    d_lon = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root + waves
    d_lon += (20.0 * np.sin(x * np.pi) + 40.0 * np.sin(x / 3.0 * np.pi)) * 2.0 / 3.0
    d_lon += (150.0 * np.sin(x / 12.0 * np.pi) + 300.0 * np.sin(x / 30.0 * np.pi)) * 2.0 / 3.0
    radians = lat / 180.0 * np.pi
    magic = 1.0 - _EE * np.sin(radians) ** 2
    root_magic = np.sqrt(magic)
    d_lat = d_lat * 180.0 / ((_A * (1.0 - _EE)) / (magic * root_magic) * np.pi)
    d_lon = d_lon * 180.0 / (_A / root_magic * np.cos(radians) * np.pi)
    return np.where(inside, d_lon, 0.0), np.where(inside, d_lat, 0.0)


def _wgs84_to_gcj02(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    d_lon, d_lat = _gcj_offset(lon, lat)
    return lon + d_lon, lat + d_lat


def _gcj02_to_wgs84(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the WGS 84 position whose GCJ-02 shift gives ``lon, lat``, by fixed-point iteration."""
    d_lon, d_lat = _gcj_offset(lon, lat)
    # a position outside of the box is not shifted, even when its estimate would fall inside
    shifted = (d_lon != 0.0) | (d_lat != 0.0)
    x, y = lon - d_lon, lat - d_lat
    settled = ~shifted
    for _ in range(_INVERSE_ROUNDS):
        d_lon, d_lat = _gcj_offset(x, y)
        next_x, next_y = lon - d_lon, lat - d_lat
        step = np.maximum(np.abs(next_x - x), np.abs(next_y - y))
        # settled positions stay, so that a position has the same answer alone and among others
        x, y = np.where(settled, x, next_x), np.where(settled, y, next_y)
        settled |= step < _INVERSE_TOLERANCE_DEG
        if settled.all():
            break
    return x, y


def _gcj02_to_bd09(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _X_PI)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _X_PI)
    return radius * np.cos(angle) + _BD_LON_OFFSET, radius * np.sin(angle) + _BD_LAT_OFFSET


def _bd09_to_gcj02(lon: FloatArray, lat: FloatArray) -> tuple[FloatArray, FloatArray]:
    x, y = lon - _BD_LON_OFFSET, lat - _BD_LAT_OFFSET
    radius = np.hypot(x, y) - 0.00002 * np.sin(y * _X_PI)
    angle = np.arctan2(y, x) - 0.000003 * np.cos(x * _X_PI)
    return radius * np.cos(angle), radius * np.sin(angle)


_Step = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]
_FAMILY = {"wgs84": "earth", "cgcs2000": "earth", "gcj02": "gcj02", "bd09": "bd09"}
_STEPS: dict[tuple[str, str], tuple[_Step, ...]] = {
    ("earth", "earth"): (),
    ("gcj02", "gcj02"): (),
    ("bd09", "bd09"): (),
    ("earth", "gcj02"): (_wgs84_to_gcj02,),
    ("earth", "bd09"): (_wgs84_to_gcj02, _gcj02_to_bd09),
    ("gcj02", "earth"): (_gcj02_to_wgs84,),
    ("gcj02", "bd09"): (_gcj02_to_bd09,),
    ("bd09", "gcj02"): (_bd09_to_gcj02,),
    ("bd09", "earth"): (_bd09_to_gcj02, _gcj02_to_wgs84),
}
