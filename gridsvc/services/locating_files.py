"""Grids for the points of a file: every row comes back as it was, with a column for each network."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import CoordinateError, FileUnreadableError, ImportRefusedError, RowError
from gridsvc.formats.declared_datum import declare_datum
from gridsvc.formats.import_fields import POSITION, as_numbers
from gridsvc.formats.vector_files import FileTable, read_table
from gridsvc.geo.datums import check_lonlat
from gridsvc.progress import SILENT, Progress
from gridsvc.services.locating import COMMUNITY, NETWORKS, locate_arrays
from gridsvc.store.unit_of_work import UnitOfWork

OUT_SUFFIXES = (".csv", ".xlsx", ".geojson", ".gpkg", ".parquet", ".geoparquet")
# files are dated by their content, not by the clock: the same answer is the same bytes
_NO_TIME = "2000-01-01T00:00:00Z"
_NO_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """A file located: rows read, points that got a grid by network, points with none at all, rows without a usable position."""

    file: str
    rows: int
    located: dict[str, int]
    unlocated: int
    refused: list[RowError] = field(default_factory=list)


def locate_file(
    uow: UnitOfWork,
    path: Path,
    out: Path,
    *,
    datum: str | None,
    at: datetime,
    mapping: Mapping[str, str] | None = None,
    partial: bool = False,
    encoding: str | None = None,
    layer: str | None = None,
    progress: Progress = SILENT,
) -> LocatedFile:
    """Write the rows of ``path`` to ``out`` with ``community``, ``urban_grid``, ``social_grid``, ... behind them, in file order.

    Positions are points of the file, or its columns lon and lat (also 经度, 纬度 ...); polygons and lines are located by a
    point on them. The new columns are empty where no grid holds the point.

    Parameters
    ----------
    datum
        As for imports: ``wgs84``, ``cgcs2000``, ``gcj02``, ``bd09``, ``EPSG:n``, or ``file``.
    mapping
        Header of the file to ``lon`` or ``lat``.
    partial
        Carry on with rows that have no usable position; they come back empty and are listed.

    Raises
    ------
    ImportRefusedError
        When rows have no usable position and ``partial`` is not set; nothing is written then.
    FileUnreadableError
        When a file cannot be read, or the format of ``out`` is not known.
    """
    suffix = _suffix(out)
    progress.start("read points")
    table = read_table(path, encoding=encoding, layer=layer)
    points, faults = _positions(table, declare_datum(datum, table.crs, path.name).to_storage, mapping or {})
    if faults and not partial:
        raise ImportRefusedError(
            f"{path.name}: {len(faults)} of {len(table.frame)} rows have no usable position; nothing was written.",
            rows=faults,
            hint="Correct them, or use --partial to leave their grids empty.",
        )
    progress.start("locate points")
    answer, located, unlocated = _with_grids(uow, table, points, at)
    progress.start("write points")
    _write(answer, points, out, suffix)
    return LocatedFile(str(out), len(answer), located, unlocated, faults)


def _suffix(out: Path) -> str:
    if out.suffix.lower() not in OUT_SUFFIXES:
        raise FileUnreadableError(
            f"{out.name} is of no format that can be written here.", hint=f"Known: {', '.join(OUT_SUFFIXES)}."
        )
    return out.suffix.lower()


def _with_grids(
    uow: UnitOfWork, table: FileTable, points: np.ndarray, at: datetime
) -> tuple[pd.DataFrame, dict[str, int], int]:
    good = np.flatnonzero(~shapely.is_missing(points))
    codes = locate_arrays(uow, shapely.get_x(points[good]), shapely.get_y(points[good]), "cgcs2000", at=at)
    answer = table.frame.drop(columns="geometry", errors="ignore")
    anywhere = np.zeros(len(points), dtype=bool)
    located = {}
    for key in (COMMUNITY, *NETWORKS):
        column = np.full(len(points), None, dtype=object)
        column[good] = codes[key]
        answer[f"{key}_code" if key == COMMUNITY else f"{key}_grid"] = column
        if key in NETWORKS:
            found = ~pd.isna(column)
            located[key] = int(found.sum())
            anywhere |= found
    return answer, located, int((~anywhere[good]).sum())


def _positions(
    table: FileTable, to_storage: Callable[[np.ndarray], np.ndarray], mapping: Mapping[str, str]
) -> tuple[np.ndarray, list[RowError]]:
    """Return one point per row in EPSG:4490 (None where there is none), and what is wrong with the others."""
    if table.geometry is not None:
        drawn = np.asarray(table.geometry, dtype=object)
        missing = shapely.is_missing(drawn) | shapely.is_empty(drawn)
        raw = shapely.point_on_surface(drawn)
        raw[missing] = None
    else:
        raw = _points_of_columns(table.frame, mapping)
    faults = [RowError(int(row) + 1, "geometry", "has no position") for row in np.flatnonzero(shapely.is_missing(raw))]
    here = np.flatnonzero(~shapely.is_missing(raw))
    points = np.full(len(raw), None, dtype=object)
    points[here] = to_storage(raw[here])
    for row in here:
        try:
            check_lonlat(points[row].x, points[row].y, field="position")
        except CoordinateError as refused:
            faults.append(RowError(int(row) + 1, "geometry", str(refused)))
            points[row] = None
    return points, sorted(faults, key=lambda fault: fault.row)


def _points_of_columns(frame: pd.DataFrame, mapping: Mapping[str, str]) -> np.ndarray:
    lon, lat = (_header(frame, name, mapping) for name in ("lon", "lat"))
    x, y = as_numbers(frame[lon])[0], as_numbers(frame[lat])[0]
    points = np.full(len(frame), None, dtype=object)
    known = np.isfinite(x) & np.isfinite(y)
    points[known] = shapely.points(x[known], y[known])
    return points


def _header(frame: pd.DataFrame, name: str, mapping: Mapping[str, str]) -> str:
    for header, wanted in mapping.items():
        if wanted == name and header in frame.columns:
            return header
    spec = next(position for position in POSITION if position.name == name)
    folded = {"".join(str(column).lower().split()).replace("_", ""): column for column in frame.columns}
    for alias in (spec.name, *spec.aliases):
        if alias.replace("_", "") in folded:
            return folded[alias.replace("_", "")]
    raise ImportRefusedError(
        f"The file has no column for {name}; it has {', '.join(map(str, frame.columns))}.",
        rows=[RowError(0, name, "column missing")],
        hint="Name a column with --map HEADER=lon and --map HEADER=lat.",
    )


def _write(frame: pd.DataFrame, points: np.ndarray, out: Path, suffix: str) -> None:
    frame = frame.reset_index(drop=True)
    if suffix == ".csv":
        # with a byte-order mark, by which spreadsheet programs know UTF-8
        frame.to_csv(out, index=False, encoding="utf-8-sig", lineterminator="\n")
    elif suffix == ".xlsx":
        out.write_bytes(_workbook(frame))
    else:
        located = gpd.GeoDataFrame(frame, geometry=points, crs=4490)
        if suffix in (".parquet", ".geoparquet"):
            located.to_parquet(out, index=False)
        else:
            out.unlink(missing_ok=True)
            located.to_file(out, driver={".geojson": "GeoJSON", ".gpkg": "GPKG"}[suffix], index=False)


def _workbook(frame: pd.DataFrame) -> bytes:
    """Return the frame as XLSX bytes; the library stamps the present time into the file, which is taken out again."""
    stamped, plain = BytesIO(), BytesIO()
    with pd.ExcelWriter(stamped, engine="openpyxl") as writer:
        frame.to_excel(writer, index=False, sheet_name="points")
    with zipfile.ZipFile(stamped) as source, zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", _NO_TIME.encode(), content)
            target.writestr(zipfile.ZipInfo(name, _NO_ZIP_TIME), content, zipfile.ZIP_DEFLATED)
    return plain.getvalue()
