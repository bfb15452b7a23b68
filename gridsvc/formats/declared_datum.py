"""Which datum the coordinates of a file are in: what the caller declares, checked against what the file says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyproj
import shapely

from gridsvc.errors import CrsMismatchError, DatumMissingError, DatumUnknownError
from gridsvc.geo.datums import STORAGE_DECIMALS, convert, convert_geometries, parse_datum
from gridsvc.geo.projections import quantise, to_storage

AS_THE_FILE_SAYS = "file"

# geographic CRS of a file -> datum; every other geographic CRS has no published shift to CGCS2000 that we may apply
_GEOGRAPHIC = {4326: "wgs84", 4490: "cgcs2000", 4979: "wgs84", 4480: "cgcs2000"}
# a web map's export in GCJ-02 or BD-09 carries this label for want of a code of its own
_LABEL_FOR_WANT_OF_CODE = 4326


@dataclass(frozen=True, slots=True)
class DeclaredDatum:
    """The datum of a file's coordinates, or the projected CRS they are in.

    ``name`` is what is recorded beside the stored row; ``epsg`` is set for projected coordinates only.
    """

    name: str
    epsg: int | None = None

    def to_storage(self, geometries: np.ndarray) -> np.ndarray:
        """Return the geometries in EPSG:4490, longitude latitude, rounded to the storage precision."""
        if self.epsg is not None:
            return to_storage(geometries, self.epsg)
        return quantise(convert_geometries(geometries, self.name, "cgcs2000"))

    def positions_to_storage(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return positions as `to_storage` returns points, without making points of them where that can be spared."""
        if self.epsg is not None:
            points = self.to_storage(shapely.points(x, y))
            return shapely.get_x(points), shapely.get_y(points)
        lon, lat = convert(x, y, self.name, "cgcs2000")
        return np.round(lon, STORAGE_DECIMALS), np.round(lat, STORAGE_DECIMALS)


def declare_datum(declared: str | None, file_crs: str | None, where: str) -> DeclaredDatum:
    """Return the datum of a file, from the declaration and the file's own CRS.

    Parameters
    ----------
    declared
        ``wgs84``, ``cgcs2000``, ``gcj02``, ``bd09``, ``EPSG:n``, or ``file`` for "as the file says". None or "": undeclared.
    file_crs
        What the file states, as WKT, PROJJSON or ``EPSG:n``; None when it states nothing.
    where
        Names the file in messages.

    Raises
    ------
    DatumMissingError
        When nothing is declared, or ``file`` is and the file states no CRS.
    DatumUnknownError
        When a CRS has no known relation to CGCS2000.
    CrsMismatchError
        When the file's CRS contradicts the declaration.
    """
    if declared is None or not declared.strip():
        raise DatumMissingError(
            f"{where} has coordinates but no datum was declared.", hint=_how_to_declare(file_crs), field="datum"
        )
    if declared.strip().lower() == AS_THE_FILE_SAYS:
        if file_crs is None:
            raise DatumMissingError(
                f"{where} states no CRS, so its datum cannot be taken from the file.",
                hint=_how_to_declare(None),
                field="datum",
            )
        return _of_epsg(_epsg_of(file_crs, where), where)
    code = _declared_epsg(declared)
    stated = DeclaredDatum(parse_datum(declared)) if code is None else _of_epsg(code, where)
    if file_crs is not None:
        _check_agreement(stated, declared, _epsg_of(file_crs, where), where)
    return stated


def _how_to_declare(file_crs: str | None) -> str:
    options = "--datum wgs84, cgcs2000, gcj02, bd09 or EPSG:n"
    return f"Use {options}, or --datum file to take what the file says." if file_crs else f"Use {options}."


def _declared_epsg(declared: str) -> int | None:
    text = declared.strip().upper()
    return int(text[5:]) if text.startswith("EPSG:") and text[5:].isdigit() else None


def _epsg_of(crs: str, where: str) -> int:
    try:
        code = pyproj.CRS.from_user_input(crs).to_epsg(min_confidence=60)
        if code is None and "CRS84" in pyproj.CRS.from_user_input(crs).to_string().upper():
            code = 4326
    except pyproj.exceptions.CRSError:
        code = None
    if code is None:
        name = crs if len(crs) < 80 else f"{crs[:77]}..."
        raise DatumUnknownError(
            f"{where} states a CRS without an EPSG code: {name}.",
            hint="Local city systems have no published shift; convert the file to CGCS2000 (EPSG:4490) with the survey office's parameters.",
        )
    return code


def _of_epsg(code: int, where: str) -> DeclaredDatum:
    if code in _GEOGRAPHIC:
        return DeclaredDatum(_GEOGRAPHIC[code])
    try:
        crs = pyproj.CRS.from_epsg(code)
    except pyproj.exceptions.CRSError as unknown:
        raise DatumUnknownError(
            f"EPSG:{code} ({where}) is not in the EPSG register.", hint=_how_to_declare(None)
        ) from unknown
    base = crs.geodetic_crs.to_epsg() if crs.is_projected and crs.geodetic_crs is not None else None
    if base not in _GEOGRAPHIC:
        raise DatumUnknownError(
            f"{where} is in EPSG:{code} ({crs.name}), whose relation to CGCS2000 is not published.",
            hint="Convert it to EPSG:4490 first; a shift is never guessed.",
        )
    return DeclaredDatum(_GEOGRAPHIC[base], epsg=code)


def _check_agreement(stated: DeclaredDatum, declared: str, file_epsg: int, where: str) -> None:
    if stated.epsg == file_epsg:
        return
    same_frame = stated.epsg is None and file_epsg in _GEOGRAPHIC and stated.name in ("wgs84", "cgcs2000")
    unlabelled = stated.epsg is None and file_epsg == _LABEL_FOR_WANT_OF_CODE
    if not (same_frame or unlabelled):
        raise CrsMismatchError(
            f"{where} says EPSG:{file_epsg}, which contradicts --datum {declared}.",
            hint="Use --datum file to take what the file says, or correct the file.",
            declared=declared,
            file_crs=f"EPSG:{file_epsg}",
        )
