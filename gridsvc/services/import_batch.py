"""The rows of one file on their way into the store: values, positions, and every fault found, row by row.

All checks of a file run before anything is refused, so that one import shows all that is to be mended.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.errors import CoordinateError, DatumUnknownError, RowError
from gridsvc.formats.declared_datum import DeclaredDatum
from gridsvc.formats.import_fields import FIELDS, Field, as_numbers, as_text
from gridsvc.formats.vector_files import points_from_columns
from gridsvc.geo.datums import parse_datum
from gridsvc.geo.projections import area_m2, quantise
from gridsvc.progress import SILENT, Progress

Mask = NDArray[np.bool_]
# one per row of a batch
Values = Sequence[Any] | np.ndarray

# a value whose text is personal is never repeated in a message
_PRIVATE = frozenset({"phone", "reporter", "home"})
_INT_MAX = 2_147_483_647
_CHINA = (72.0, 0.8, 138.0, 56.0)  # min_lon, min_lat, max_lon, max_lat; words a hint only
# 1e-9 degree, the storage precision of geo.datums.STORAGE_DECIMALS
_PRECISION_DEG = 1e-9


@dataclass(frozen=True, slots=True)
class Repair:
    """One polygon that was invalid and has been repaired: how much area the repair added or took, and what was wrong."""

    row: int
    code: str
    change_m2: float
    what: str


@dataclass(frozen=True, slots=True)
class BorderFault:
    """Two divisions of one level whose boundaries differ along their common border.

    Vertices of one lie up to ``apart_m`` off the border of the other (found up to 1 m), and both cover ``overlap_m2``; ``lon, lat``
    (EPSG:4490) is where they differ most. ``is_stored`` says that the other one is not of the file.
    """

    code: str
    other_code: str
    is_stored: bool
    apart_m: float
    overlap_m2: float
    lon: float
    lat: float


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the caller asked for, passed to every check.

    ``at`` is the instant from which dated rows hold, and the instant whose divisions rows are checked against. ``align_m`` is how far
    boundaries may be moved to meet, None for not at all.
    """

    at: datetime
    network: str
    repair: bool = False
    partial: bool = False
    align_m: float | None = None
    timezone: str | None = None
    actor: str = "import"
    source: str | None = None
    progress: Progress = SILENT


@dataclass(slots=True)
class Batch:
    """Rows of one file under check.

    Attributes
    ----------
    rows
        1-based data row numbers, shape (n,).
    columns
        Field name -> values as arrays of shape (n,): texts are "" where missing, numbers NaN.
    geometry
        Per row, in EPSG:4490 once `place` has run; None where there is none.
    original_datum
        Per row, the name of the datum its position was declared in.
    """

    kind: str
    source: str
    rows: NDArray[np.int64]
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    geometry: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    original_datum: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=object))
    faults: list[RowError] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    borders: list[BorderFault] = field(default_factory=list)
    aligned: int = 0
    refused: Mask = field(default_factory=lambda: np.empty(0, dtype=bool))
    # the file is one of shapes, so that a row without one is a shape that could not be read
    has_shapes: bool = False

    @property
    def good(self) -> Mask:
        """Return which rows have no fault so far."""
        return ~self.refused

    def refuse(self, where: Mask, name: str, reason: str | Sequence[str], values: Values | None = None) -> None:
        """Record a fault of field ``name`` in the rows ``where``; ``reason`` is one text or one per row of the batch."""
        for i in np.flatnonzero(where).tolist():
            text = reason if isinstance(reason, str) else reason[i]
            value = "" if values is None or name in _PRIVATE else str(values[i])[:80]
            self.faults.append(RowError(int(self.rows[i]), name, text, value))
        self.refused |= where

    def text(self, name: str, default: str = "") -> np.ndarray:
        """Return the texts of a field, ``default`` where missing or where the file has no such column."""
        values = self.columns.get(name)
        if values is None:
            return np.full(len(self.rows), default, dtype=object)
        return np.where(values == "", default, values) if default else values

    def number(self, name: str, default: float = np.nan) -> NDArray[np.float64]:
        """Return the numbers of a field, ``default`` where missing."""
        values = self.columns.get(name)
        if values is None:
            return np.full(len(self.rows), default)
        return np.where(np.isnan(values), default, values)

    def sorted_faults(self) -> list[RowError]:
        """Return the faults by row, then field."""
        return sorted(self.faults, key=lambda fault: (fault.row, fault.field))


def make_batch(frame: pd.DataFrame, kind: str, source: str, geometry: np.ndarray | None) -> Batch:
    """Return the rows of a file as a batch, with the faults of single values found: missing, no number, unreadable text.

    Parameters
    ----------
    frame
        Columns under their field names, as `gridsvc.formats.import_fields.map_columns` returns, index = row numbers.
    geometry
        The file's own geometry, None to take it from lon and lat or wkt.
    """
    n = len(frame)
    batch = Batch(kind, source, frame.index.to_numpy(dtype=np.int64), refused=np.zeros(n, dtype=bool))
    for spec in FIELDS[kind]:
        if spec.name in frame:
            _take_values(batch, spec, frame[spec.name])
    batch.has_shapes = geometry is not None
    batch.geometry = geometry if geometry is not None else _geometry_of_columns(batch, frame)
    batch.original_datum = np.full(n, "cgcs2000", dtype=object)
    return batch


def _take_values(batch: Batch, spec: Field, values: pd.Series) -> None:
    if spec.kind in ("integer", "number"):
        numbers, bad = as_numbers(values)
        raw = values.to_numpy(dtype=object)
        batch.refuse(bad, spec.name, "is not a finite number", raw)
        if spec.kind == "integer":
            odd = ~bad & ~np.isnan(numbers) & ((numbers != np.floor(numbers)) | (np.abs(numbers) > _INT_MAX))
            batch.refuse(odd, spec.name, "is not a whole number", raw)
        batch.columns[spec.name] = np.where(bad, np.nan, numbers)
        return
    texts = as_text(values)
    batch.columns[spec.name] = texts
    broken = np.array(["\ufffd" in text or "\0" in text for text in texts], dtype=bool)
    batch.refuse(broken, spec.name, "has unreadable characters: the file was written in a wrong encoding", texts)
    if spec.required:
        batch.refuse(texts == "", spec.name, "is missing")


def _geometry_of_columns(batch: Batch, frame: pd.DataFrame) -> np.ndarray:
    if "lon" in frame and "lat" in frame:
        pair = {}
        for name in ("lon", "lat"):
            pair[name], bad = as_numbers(frame[name])
            raw = frame[name].to_numpy(dtype=object)
            # a column of doubles cannot tell "missing" from NaN; where a position is required both are refused as missing
            batch.refuse(bad | _is_nan_text(raw), name, "is not a finite number", raw)
        return points_from_columns(pair["lon"], pair["lat"])
    if "wkt" in frame:
        texts = as_text(frame["wkt"])
        shapes = shapely.from_wkt(none_if_empty(texts), on_invalid="ignore")
        batch.refuse((texts != "") & shapely.is_missing(shapes), "wkt", "is not well-known text of a geometry", texts)
        return shapes
    return np.full(len(frame), None, dtype=object)


def _is_nan_text(raw: np.ndarray) -> Mask:
    return np.array(
        [isinstance(value, str) and value.strip().lower() in ("nan", "+nan", "-nan") for value in raw], dtype=bool
    )


def datum_of_rows(batch: Batch, fallback: Callable[[], DeclaredDatum]) -> list[tuple[Mask, DeclaredDatum]]:
    """Return the datum of each row that has a position, as groups of rows.

    A row's own ``datum`` value counts first; ``fallback`` (which raises when the caller declared nothing) is asked only when a row
    has a position and no value of its own.
    """
    placed = ~shapely.is_missing(batch.geometry) & batch.good
    own = batch.text("datum")
    groups: list[tuple[Mask, DeclaredDatum]] = []
    for text in dict.fromkeys(own[placed]):
        rows = placed & (own == text)
        if text == "":
            groups.append((rows, fallback()))
            continue
        try:
            groups.append((rows, DeclaredDatum(parse_datum(text))))
        except DatumUnknownError:
            batch.refuse(rows, "datum", "is not a known datum; use wgs84, cgcs2000, gcj02 or bd09", own)
    return groups


def place(batch: Batch, groups: Sequence[tuple[Mask, DeclaredDatum]]) -> None:
    """Check the positions of a batch as drawn, then bring them into EPSG:4490 at the storage precision."""
    for rows, datum in groups:
        _refuse_not_finite(batch, rows)
        if datum.epsg is None:
            _refuse_out_of_range(batch, rows & batch.good)
        batch.original_datum[rows] = datum.name if datum.epsg is None else f"EPSG:{datum.epsg}"
        sound = np.flatnonzero(rows & batch.good)
        batch.geometry[sound] = _to_storage(batch, sound, datum)
        if datum.epsg is not None:
            _refuse_out_of_range(batch, rows & batch.good)


def _refuse_not_finite(batch: Batch, rows: Mask) -> None:
    where = np.flatnonzero(rows)
    xy, owner = shapely.get_coordinates(batch.geometry[where], return_index=True)
    bad = np.zeros(len(rows), dtype=bool)
    bad[where[np.unique(owner[~np.isfinite(xy).all(axis=1)])]] = True
    batch.refuse(bad, "geometry", "has a coordinate that is not a finite number")


def _refuse_out_of_range(batch: Batch, rows: Mask) -> None:
    min_x, min_y, max_x, max_y = shapely.bounds(batch.geometry).T
    with np.errstate(invalid="ignore"):
        outside = (min_x < -180) | (max_x > 180) | (min_y < -90) | (max_y > 90)
        in_china = (min_x >= _CHINA[0]) & (max_x <= _CHINA[2]) & (min_y >= _CHINA[1]) & (max_y <= _CHINA[3])
        china_when_swapped = (min_y >= _CHINA[0]) & (max_y <= _CHINA[2]) & (min_x >= _CHINA[1]) & (max_x <= _CHINA[3])
        swapped = (china_when_swapped & ~in_china) | (
            outside & (np.abs(min_x) <= 90) & (np.abs(max_x) <= 90) & (max_y > 90)
        )
    values = [f"{x:.6f} {y:.6f}" for x, y in zip(min_x, min_y, strict=True)]
    batch.refuse(rows & swapped, "geometry", "looks swapped: longitude comes first, then latitude", values)
    batch.refuse(
        rows & outside & ~swapped, "geometry", "is outside of longitude -180 to 180, latitude -90 to 90", values
    )


def _to_storage(batch: Batch, where: NDArray[np.int64], datum: DeclaredDatum) -> np.ndarray:
    try:
        return datum.to_storage(batch.geometry[where])
    except CoordinateError:
        pass
    # some row lies outside of what the projection can express: only then row by row, to name it
    placed = np.full(len(where), None, dtype=object)
    for k, i in enumerate(where):
        try:
            placed[k] = datum.to_storage(batch.geometry[[i]])[0]
        except CoordinateError:
            bad = np.zeros(len(batch.rows), dtype=bool)
            bad[i] = True
            batch.refuse(bad, "geometry", f"has no place in EPSG:{datum.epsg}")
    return placed


_TYPES: dict[str, tuple[shapely.GeometryType, ...]] = {
    "point": (shapely.GeometryType.POINT, shapely.GeometryType.MULTIPOINT),
    "line": (shapely.GeometryType.LINESTRING, shapely.GeometryType.MULTILINESTRING),
    "polygon": (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON),
}
_TYPES["point or polygon"] = _TYPES["point"] + _TYPES["polygon"]


def require_geometry(
    batch: Batch, shape: str, codes: np.ndarray, *, required: bool = True, repair: bool = False
) -> None:
    """Refuse rows whose geometry is missing, empty, of another type than ``shape`` (a key of `_TYPES`) or invalid.

    With ``repair`` invalid polygons are made valid and listed in ``batch.repairs`` instead.
    """
    missing = shapely.is_missing(batch.geometry)
    if required:
        batch.refuse(missing & batch.good, "geometry", "is missing or cannot be read")
    given = ~missing & batch.good
    empty = given & shapely.is_empty(batch.geometry)
    batch.refuse(empty, "geometry", "is empty")
    types = shapely.get_type_id(batch.geometry)
    names = np.array([getattr(geometry, "geom_type", "") for geometry in batch.geometry], dtype=object)
    batch.refuse(given & ~empty & ~np.isin(types, _TYPES[shape]), "geometry", f"is not a {shape}", names)
    invalid = given & batch.good & ~shapely.is_valid(batch.geometry)
    if repair and "polygon" in shape:
        _repair_polygons(batch, invalid, codes)
    else:
        hint = "; --repair mends it" if "polygon" in shape else ""
        reasons = _reasons(batch.geometry, invalid)
        batch.refuse(invalid, "geometry", [f"is not valid: {reason}{hint}" for reason in reasons], codes)


def _reasons(geometry: np.ndarray, where: Mask) -> list[str]:
    reasons = np.full(len(geometry), "", dtype=object)
    reasons[where] = shapely.is_valid_reason(geometry[where])
    return [re.sub(r"\[(\S+) (\S+)\]", r" at \1 \2", str(reason)) for reason in reasons]


def _repair_polygons(batch: Batch, invalid: Mask, codes: np.ndarray) -> None:
    where = np.flatnonzero(invalid)
    drawn = batch.geometry[where]
    mended = _polygonal(shapely.make_valid(drawn, method="structure"))
    # new corners lie where edges cross; put them on the storage precision without losing validity
    mended = quantise(_polygonal(shapely.set_precision(mended, _PRECISION_DEG)))
    lost = shapely.is_missing(mended) | shapely.is_empty(mended) | ~shapely.is_valid(mended)
    still = np.zeros(len(batch.rows), dtype=bool)
    still[where[lost]] = True
    reasons = _reasons(batch.geometry, invalid)
    batch.refuse(still, "geometry", [f"is not valid and cannot be repaired: {reason}" for reason in reasons], codes)
    change = area_m2(mended) - area_m2(drawn)
    for k in np.flatnonzero(~lost):
        i = where[k]
        batch.repairs.append(Repair(int(batch.rows[i]), str(codes[i]), round(float(change[k]), 3), reasons[i]))
    batch.geometry[where[~lost]] = mended[~lost]


def _polygonal(shapes: np.ndarray) -> np.ndarray:
    """Return the polygonal part of each geometry; lines and points left over from a repair have no area."""
    parts, owner = shapely.get_parts(shapes, return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)  # a collection may hold a multipolygon
    owner = owner[inner]
    keep = (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)
    result = np.full(len(shapes), None, dtype=object)
    kept = np.unique(owner[keep])
    if len(kept):
        result[kept] = shapely.multipolygons(parts[keep], indices=np.searchsorted(kept, owner[keep]))
    return result


def as_multipolygons(shapes: np.ndarray) -> np.ndarray:
    """Return polygons as multipolygons; None stays None."""
    result = shapes.copy()
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    if single.any():
        result[single] = shapely.multipolygons(shapes[single][:, np.newaxis])
    return result


def refuse_duplicates(batch: Batch, name: str, codes: np.ndarray) -> None:
    """Refuse every row whose code occurs more than once in the file: which one is meant is not ours to guess."""
    first_row: dict[str, int] = {}
    others: dict[str, list[int]] = {}
    for row, code in zip(batch.rows, codes, strict=True):
        if code in first_row:
            others.setdefault(code, [first_row[code]]).append(int(row))
        elif code:
            first_row[code] = int(row)
    repeated = np.array([code in others for code in codes], dtype=bool)
    reasons = [f"occurs {len(others[c])} times, in rows {_listed(others[c])}" if c in others else "" for c in codes]
    batch.refuse(repeated, name, reasons, codes)


def _listed(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")


def refuse_unknown(batch: Batch, name: str, values: np.ndarray, known: Container[str], what: str) -> None:
    """Refuse rows whose value is given and not in ``known``; ``what`` completes "is not ..."."""
    unknown = np.array([bool(value) and value not in known for value in values], dtype=bool)
    batch.refuse(unknown, name, f"is not {what}", values)


def none_if_empty(texts: np.ndarray) -> np.ndarray:
    """Return texts with None in place of "", as optional columns of tables hold them."""
    optional = texts.astype(object)  # a copy
    optional[texts == ""] = None
    return optional


def whole_numbers(batch: Batch, name: str, default: int | None) -> np.ndarray:
    """Return a field as integers; negative ones are refused. With ``default`` None, missing values stay None."""
    numbers = batch.number(name)
    batch.refuse(numbers < 0, name, "is negative", numbers)
    missing = np.isnan(numbers) | (numbers < 0)
    whole = np.where(missing, 0, numbers).astype(np.int64).astype(object)
    whole[missing] = default
    return whole if default is None else whole.astype(np.int64)
