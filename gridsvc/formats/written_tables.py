"""Tables of points written as files that `gridsvc.formats.vector_files` reads back without loss; the same rows give the same bytes.

Longitude and latitude are CGCS2000 (EPSG:4490) at the storage precision, or in another datum that is declared. CSV and XLSX carry them as
``lon`` and ``lat``.
"""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import openpyxl
import pandas as pd
import pyogrio
import shapely
from openpyxl.cell import WriteOnlyCell

from gridsvc.errors import FileUnreadableError, RequestInvalidError
from gridsvc.geo.datums import STORAGE_DECIMALS

SUFFIXES = (".geojson", ".csv", ".gpkg", ".xlsx")
XLSX_ROWS = 1_048_575  # what a sheet holds under its header
_NO_TIME = "2000-01-01T00:00:00Z"
_NO_ZIP_TIME = (2000, 1, 1, 0, 0, 0)
_CRS = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4490"}}


def check_suffix(path: Path) -> str:
    """Return the suffix of a file to write, or raise RequestInvalidError for one that is not in `SUFFIXES`."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise RequestInvalidError(
            f"{path.name} cannot be written: its suffix names no format known here.",
            hint=f"Use one of {', '.join(SUFFIXES)}.",
            field="out",
        )
    return suffix


def write_points(frame: pd.DataFrame, points: np.ndarray, path: Path, *, layer: str, datum: str = "cgcs2000") -> None:
    """Write rows with a point each to ``path``, whose suffix says the format; the file appears whole or not at all.

    Parameters
    ----------
    frame
        Columns of texts (missing ones are written empty) and numbers.
    points
        Shapely points, EPSG:4490 or in ``datum``. Shape: (n,).
    layer
        Name of the layer or sheet.
    datum
        What the points are in, where that is not CGCS2000. GeoJSON then says so in a member ``datum``; a GeoPackage cannot.

    Raises
    ------
    RequestInvalidError
        When the suffix is unknown, a sheet cannot hold so many rows, or the format cannot say the datum.
    FileUnreadableError
        When the file cannot be written there.
    """
    suffix = check_suffix(path)
    write = _WRITERS[suffix]
    if datum != "cgcs2000":
        if suffix == ".gpkg":
            raise RequestInvalidError(
                f"A GeoPackage has no name for the datum {datum}.", hint="Write .csv, .geojson or .xlsx.", field="out"
            )
        if suffix == ".geojson":
            write = partial(_write_geojson, about={"datum": datum})
    _put_whole(path, lambda made: write(frame.reset_index(drop=True), points, made, layer))


def _put_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let a file be written beside its place and put there when it is complete."""
    try:
        with tempfile.TemporaryDirectory(prefix=".gridsvc-", dir=path.parent) as folder:
            made = Path(folder) / path.name
            write(made)
            made.replace(path)
    except OSError as wrong:
        raise FileUnreadableError(
            f"{path} cannot be written: {wrong.strerror or wrong}.", hint="Check the folder.", path=str(path)
        ) from wrong


def _lonlat(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.round(shapely.get_x(points), STORAGE_DECIMALS), np.round(shapely.get_y(points), STORAGE_DECIMALS)


def _with_lonlat(frame: pd.DataFrame, points: np.ndarray) -> pd.DataFrame:
    lon, lat = _lonlat(points)
    return frame.assign(lon=lon, lat=lat)


def _write_csv(frame: pd.DataFrame, points: np.ndarray, path: Path, layer: str) -> None:
    # with a byte-order mark, by which spreadsheet programs know UTF-8
    _with_lonlat(frame, points).to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\n")


def _write_geojson(
    frame: pd.DataFrame, points: np.ndarray, path: Path, layer: str, *, about: dict[str, Any] | None = None
) -> None:
    lon, lat = _lonlat(points)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        head = {"type": "FeatureCollection", "name": layer, **(about or {"crs": _CRS})}
        file.write(json.dumps(head, separators=(",", ":"))[:-1] + ',"features":[\n')
        for i, (row, x, y) in enumerate(zip(rows, lon.tolist(), lat.tolist(), strict=True)):
            shape = {"type": "Point", "coordinates": [x, y]}
            one = {"type": "Feature", "properties": row, "geometry": shape}
            file.write(("" if i == 0 else ",\n") + json.dumps(one, ensure_ascii=False, allow_nan=False))
        file.write("\n]}\n")


def _write_geopackage(frame: pd.DataFrame, points: np.ndarray, path: Path, layer: str) -> None:
    placed = geopandas.GeoDataFrame(frame, geometry=shapely.points(*_lonlat(points)), crs=4490)
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _NO_TIME})  # else the library writes the present time into it
    try:
        pyogrio.write_dataframe(placed, path, layer=layer, driver="GPKG")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def _write_xlsx(frame: pd.DataFrame, points: np.ndarray, path: Path, layer: str) -> None:
    path.write_bytes(_workbook({layer: _with_lonlat(frame, points)}))


def write_table(path: Path, table: pd.DataFrame, *, name: str) -> None:
    """Write one table of texts and numbers as .csv or .xlsx (sheet ``name``), which appears whole or not at all.

    Raises
    ------
    RequestInvalidError
        When the suffix is another, or the table is longer than a sheet.
    FileUnreadableError
        When the file cannot be written there.
    """
    suffix = path.suffix.lower()
    if suffix == ".xlsx":
        write_sheets(path, {name: table})
    elif suffix == ".csv":
        # with a byte-order mark, by which spreadsheet programs know UTF-8
        _put_whole(path, lambda made: table.to_csv(made, index=False, encoding="utf-8-sig", lineterminator="\n"))
    else:
        raise RequestInvalidError(
            f"{path.name} cannot be written: its suffix names no format known here.",
            hint="Use .csv or .xlsx.",
            field="out",
        )


def write_sheets(path: Path, sheets: Mapping[str, pd.DataFrame]) -> None:
    """Write tables of texts and numbers as the sheets of a workbook, which appears whole or not at all; missing values stay empty.

    Raises
    ------
    RequestInvalidError
        When a table is longer than a sheet.
    FileUnreadableError
        When the file cannot be written there.
    """
    content = _workbook(sheets)
    _put_whole(path, lambda made: made.write_bytes(content))


def _workbook(sheets: Mapping[str, pd.DataFrame]) -> bytes:
    book = openpyxl.Workbook(write_only=True)
    for name, table in sheets.items():
        if len(table) > XLSX_ROWS:
            raise RequestInvalidError(
                f"A sheet holds {XLSX_ROWS:,} rows, and there are {len(table):,}.",
                hint="Write .csv or .gpkg, or narrow what is exported.",
                field="out",
            )
        sheet = book.create_sheet(name)
        sheet.append([_text_cell(sheet, str(column)) for column in table.columns])
        for row in table.astype(object).where(table.notna(), None).itertuples(index=False, name=None):
            sheet.append([_text_cell(sheet, value) if isinstance(value, str) else value for value in row])
    stamped = BytesIO()
    book.save(stamped)
    return _without_times(stamped)


def _text_cell(sheet, text: str) -> WriteOnlyCell:
    """Return a cell that holds ``text`` as text: one that begins with = is no formula."""
    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type = "s"
    return cell


def _without_times(stamped: BytesIO) -> bytes:
    """Return a workbook without the present time that the library writes into it."""
    plain = BytesIO()
    with zipfile.ZipFile(stamped) as source, zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", _NO_TIME.encode(), content)
            target.writestr(zipfile.ZipInfo(name, _NO_ZIP_TIME), content, zipfile.ZIP_DEFLATED)
    return plain.getvalue()


_WRITERS: dict[str, Callable[[pd.DataFrame, np.ndarray, Path, str], None]] = {
    ".geojson": _write_geojson,
    ".csv": _write_csv,
    ".gpkg": _write_geopackage,
    ".xlsx": _write_xlsx,
}
