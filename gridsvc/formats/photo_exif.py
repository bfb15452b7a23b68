"""What a camera wrote beside the picture: which way is up, when, and where. Broken notes are as good as none."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from PIL import Image

logger = logging.getLogger(__name__)
Read = TypeVar("Read")

_ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x0112, 0x8769, 0x8825
_TAKEN, _TAKEN_OFFSET = 0x9003, 0x9011
_LAT_REF, _LAT, _LON_REF, _LON, _GPS_TIME, _MAP_DATUM, _GPS_DATE = 1, 2, 3, 4, 7, 18, 29


@dataclass(frozen=True, slots=True)
class PhotoNotes:
    """Time (aware) and position of the camera, as it wrote them; None where it did not.

    ``lon``, ``lat`` are degrees in ``datum``, the text the camera gave (such as "WGS-84"); "" when it gave none, and then
    nobody knows: some phones write GCJ-02.
    """

    taken_at: datetime | None = None
    lon: float | None = None
    lat: float | None = None
    datum: str = ""


def orientation_of(image: Image.Image) -> int:
    """Return how the picture lies, 1 (upright) to 8, as EXIF numbers it; 1 when not said or not one of these."""
    value = _read(lambda: int(image.getexif().get(_ORIENTATION, 1)), 1)
    return value if 1 <= value <= 8 else 1


def notes_of(image: Image.Image, timezone_name: str) -> PhotoNotes:
    """Return time and position; a time without offset is taken in ``timezone_name``, since cameras write the wall clock."""
    exif: dict[int, Any] = _read(lambda: dict(image.getexif().get_ifd(_EXIF_IFD)), {})
    gps: dict[int, Any] = _read(lambda: dict(image.getexif().get_ifd(_GPS_IFD)), {})
    taken_at = _read(lambda: _camera_time(exif, timezone_name), None) or _read(lambda: _satellite_time(gps), None)
    nowhere: tuple[float | None, float | None] = (None, None)
    lon, lat = _read(lambda: _position(gps), nowhere)
    return PhotoNotes(taken_at, lon, lat, _text(gps.get(_MAP_DATUM)) if lon is not None else "")


def _read(reader: Callable[[], Read], otherwise: Read) -> Read:
    """Return what ``reader`` returns, or ``otherwise``: EXIF of phones is broken in more ways than can be listed."""
    try:
        return reader()
    except Exception as broken:
        logger.debug("EXIF left out: %s", broken)
        return otherwise


def _text(value: Any) -> str:
    text = value.decode("ascii", "ignore") if isinstance(value, bytes) else str(value or "")
    return "".join(c for c in text if c.isprintable()).strip()[:32]


def _camera_time(exif: dict[int, Any], timezone_name: str) -> datetime | None:
    if _TAKEN not in exif:
        return None
    wall = datetime.strptime(_text(exif[_TAKEN]), "%Y:%m:%d %H:%M:%S")
    offset = _text(exif.get(_TAKEN_OFFSET))
    zone = datetime.strptime(offset, "%z").tzinfo if offset else ZoneInfo(timezone_name)
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _satellite_time(gps: dict[int, Any]) -> datetime | None:
    if _GPS_DATE not in gps or _GPS_TIME not in gps:
        return None
    day = datetime.strptime(_text(gps[_GPS_DATE]), "%Y:%m:%d").replace(tzinfo=UTC)
    hours, minutes, seconds = (float(part) for part in gps[_GPS_TIME])
    return day + timedelta(hours=hours, minutes=minutes, seconds=int(seconds))


def _position(gps: dict[int, Any]) -> tuple[float | None, float | None]:
    if _LAT not in gps or _LON not in gps:
        return None, None
    lat = _degrees(gps[_LAT]) * (-1 if _text(gps.get(_LAT_REF)).upper() == "S" else 1)
    lon = _degrees(gps[_LON]) * (-1 if _text(gps.get(_LON_REF)).upper() == "W" else 1)
    return (lon, lat) if abs(lon) <= 180 and abs(lat) <= 90 else (None, None)


def _degrees(parts: Any) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    return round(degrees + minutes / 60 + seconds / 3600, 7)
