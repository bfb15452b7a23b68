"""Tables with or without geometry, read from the formats that offices send: what the file says, nothing added.

The suffix decides the format. Values come as they stand: codes as text, no unit or datum assumed, rows in file order.
"""

from __future__ import annotations

import gzip
import io
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import openpyxl
import pandas as pd
import pyarrow
import pyarrow.parquet
import pyogrio
import shapely

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.shapefiles import text_encoding_of, unpack_shapefile
from gridsvc.formats.text_encoding import canonical_encoding, check_encoding

FORMATS: dict[str, str] = {
    ".geojson": "GeoJSON", ".geojson.gz": "GeoJSON", ".json": "GeoJSON", ".json.gz": "GeoJSON",
    ".gpkg": "GeoPackage", ".parquet": "GeoParquet", ".geoparquet": "GeoParquet",
    ".shp": "Shapefile", ".zip": "Shapefile", ".csv": "CSV", ".csv.gz": "CSV", ".xlsx": "XLSX",
}  # fmt: skip

# a GeoJSON "crs" member stands before or after the features; old files name EPSG codes there
_GEOJSON_CRS = re.compile(rb'"crs"\s*:\s*\{\s*"type"\s*:\s*"name"\s*,\s*"properties"\s*:\s*\{\s*"name"\s*:\s*"([^"]+)"')
_GEOJSON_HEAD_BYTES = 65_536

# a ring that does not close is a drawing error, not a polygon to be completed in silence
pyogrio.set_gdal_config_options({"OGR_GEOMETRY_ACCEPT_UNCLOSED_RING": "NO"})


@dataclass(frozen=True, slots=True)
class FileTable:
    """What a file holds.

    Attributes
    ----------
    frame
        One row per record, in file order, index 1, 2, 3 ...; columns as the file names them.
    geometry
        One geometry per row as drawn in the file (None where missing or unreadable), or None for a plain table.
    crs
        The CRS the file states, as ``EPSG:n``, WKT or PROJJSON; None when it states none.
    """

    name: str
    frame: pd.DataFrame
    geometry: np.ndarray | None
    crs: str | None


def format_of(path: Path) -> str:
    """Return the name of the format of ``path`` by its suffix.

    Raises
    ------
    FileUnreadableError
        For a suffix not in `FORMATS`.
    """
    name = path.name.lower()
    for suffix in sorted(FORMATS, key=len, reverse=True):
        if name.endswith(suffix):
            return FORMATS[suffix]
    raise FileUnreadableError(
        f"{path.name} is of no format known here.",
        hint=f"Known: {', '.join(FORMATS)}, and .osm.pbf for osm.",
        path=str(path),
    )


def read_table(path: Path | str, *, encoding: str | None = None, layer: str | None = None) -> FileTable:
    """Return the content of a file of one of `FORMATS`.

    Parameters
    ----------
    encoding
        Encoding of its texts. Default: what the file states (``.cpg``), else UTF-8. Ignored by formats with a fixed one.
    layer
        Layer of a GeoPackage, sheet of an XLSX, Shapefile in a zip; needed when there are several.

    Raises
    ------
    FileUnreadableError
        When the file is missing, empty, of an unknown or broken format, or in another encoding.
    """
    path = Path(path)
    if not path.is_file():
        raise FileUnreadableError(f"There is no file {path}.", path=str(path))
    if path.stat().st_size == 0:
        raise FileUnreadableError(f"{path.name} is empty (0 bytes).", hint="Export it again.", path=str(path))
    table = _READERS[format_of(path)](path, encoding, layer)
    if not len(table.frame):
        raise FileUnreadableError(f"{path.name} is empty: it has no rows.", hint="Export it again.", path=str(path))
    table.frame.index = pd.RangeIndex(1, len(table.frame) + 1)
    return table


def _broken(path: Path, what: str, wrong: Exception) -> FileUnreadableError:
    reason = str(wrong).strip().rstrip(".").splitlines()
    return FileUnreadableError(
        f"{path.name} is not a readable {what}: {reason[0] if reason else type(wrong).__name__}.",
        hint="Export it again, or check that its suffix is the right one.", path=str(path),
    )  # fmt: skip


def _plain_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as wrong:
            raise _broken(path, "gzip file", wrong) from wrong
    if not data.strip():
        raise FileUnreadableError(f"{path.name} is empty.", hint="Export it again.", path=str(path))
    return data


def _from_geodataframe(name: str, read: pd.DataFrame, crs: str | None) -> FileTable:
    if not isinstance(read, geopandas.GeoDataFrame):
        return FileTable(name, read, None, None)
    geometry = np.asarray(read.geometry.array)
    frame = pd.DataFrame(read.drop(columns=read.geometry.name))
    return FileTable(name, frame, geometry, crs)


def _read_ogr(path: Path, source: Any, what: str, **options: Any) -> pd.DataFrame:
    try:
        # a ring that is not closed cannot be made a geometry; it comes as None and is refused as a row, not as a file
        return pyogrio.read_dataframe(source, on_invalid="ignore", datetime_as_string=True, **options)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError, ValueError) as wrong:
        raise _broken(path, what, wrong) from wrong


def _read_geojson(path: Path, encoding: str | None, layer: str | None) -> FileTable:
    data = _plain_bytes(path)
    text = check_encoding(data, canonical_encoding(encoding or "utf-8"), path.name)
    if re.search(r'"features"\s*:\s*\[\s*\]', text[:_GEOJSON_HEAD_BYTES]):
        raise FileUnreadableError(f"{path.name} is empty: it has no features.", hint="Export it again.", path=str(path))
    data = text.encode()
    ends = data[:_GEOJSON_HEAD_BYTES] + data[-_GEOJSON_HEAD_BYTES:]
    # without the member GDAL reports EPSG:4326 (RFC 7946), which in Chinese files is often not so: it is no statement
    stated = _GEOJSON_CRS.search(ends)
    read = _read_ogr(path, data, "GeoJSON file", use_arrow=False)
    return _from_geodataframe(path.name, read, stated.group(1).decode() if stated else None)


def _crs_text(read: pd.DataFrame) -> str | None:
    crs = getattr(read, "crs", None)
    return None if crs is None else crs.to_string()


def _read_geopackage(path: Path, encoding: str | None, layer: str | None) -> FileTable:
    try:
        layers = [name for name, _ in pyogrio.list_layers(path)]
    except pyogrio.errors.DataSourceError as wrong:
        raise _broken(path, "GeoPackage", wrong) from wrong
    if layer is None and len(layers) != 1:
        raise FileUnreadableError(
            f"{path.name} has {len(layers)} layers: {', '.join(layers)}.",
            hint="Choose one with --layer NAME.",
            path=str(path),
        )
    read = _read_ogr(path, path, "GeoPackage", layer=layer or layers[0])
    return _from_geodataframe(path.name, read, _crs_text(read))


def _read_shapefile(path: Path, encoding: str | None, layer: str | None) -> FileTable:
    if path.suffix.lower() == ".shp":
        return _read_shp(path, path.name, encoding)
    with tempfile.TemporaryDirectory(prefix="gridsvc-shp-") as folder:
        return _read_shp(unpack_shapefile(path, Path(folder), layer), path.name, encoding)


def _read_shp(shp: Path, name: str, encoding: str | None) -> FileTable:
    known = text_encoding_of(shp, encoding)
    read = _read_ogr(shp, shp, "Shapefile", encoding=known)
    return _from_geodataframe(name, read, _crs_text(read))


def _read_parquet(path: Path, encoding: str | None, layer: str | None) -> FileTable:
    try:
        schema = pyarrow.parquet.read_schema(path)
        read = geopandas.read_parquet(path) if b"geo" in (schema.metadata or {}) else pd.read_parquet(path)
    except (pyarrow.ArrowException, ValueError, OSError) as wrong:
        raise _broken(path, "GeoParquet file", wrong) from wrong
    return _from_geodataframe(path.name, read.reset_index(drop=True), _crs_text(read))


def _read_csv(path: Path, encoding: str | None, layer: str | None) -> FileTable:
    text = check_encoding(_plain_bytes(path), canonical_encoding(encoding or "utf-8"), path.name)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        read = pd.read_csv(io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as wrong:
        raise _broken(path, "CSV file", wrong) from wrong
    read.columns = [str(name).strip() for name in read.columns]
    return FileTable(path.name, read.apply(lambda column: column.str.strip()), None, None)


def _read_xlsx(path: Path, encoding: str | None, layer: str | None) -> FileTable:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as wrong:  # openpyxl raises whatever its zip and XML parsers do
        raise _broken(path, "XLSX workbook", wrong) from wrong
    try:
        sheet = _choose_sheet(book, path, layer)
        rows = [row for row in sheet.iter_rows(values_only=True) if any(cell not in (None, "") for cell in row)]
    finally:
        book.close()
    if len(rows) < 2:
        raise FileUnreadableError(f"{path.name} is empty: it has no rows under a header.", path=str(path))
    header = [str(cell).strip() if cell is not None else f"column {i}" for i, cell in enumerate(rows[0], 1)]
    frame = pd.DataFrame([[_cell(value) for value in row] for row in rows[1:]], columns=header, dtype=object)
    return FileTable(path.name, frame, None, None)


def _choose_sheet(book: openpyxl.Workbook, path: Path, layer: str | None) -> Any:
    names = book.sheetnames
    if layer is None:
        return book[names[0]]
    if layer not in names:
        raise FileUnreadableError(
            f"{path.name} has no sheet {layer!r}; it has {', '.join(names)}.", hint="Use --layer with one of them."
        )
    return book[layer]


def _cell(value: Any) -> Any:
    """Return a cell as CSV would show it; codes typed as numbers lose the '.0' that a spreadsheet gives them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value).strip()


_READERS: dict[str, Callable[[Path, str | None, str | None], FileTable]] = {
    "GeoJSON": _read_geojson,
    "GeoPackage": _read_geopackage,
    "Shapefile": _read_shapefile,
    "GeoParquet": _read_parquet,
    "CSV": _read_csv,
    "XLSX": _read_xlsx,
}


def points_from_columns(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Return one point per pair, None where either is missing or not finite (both arrays of floats)."""
    known = np.isfinite(lon) & np.isfinite(lat)
    points = np.full(len(lon), None, dtype=object)
    points[known] = shapely.points(lon[known], lat[known])
    return points
