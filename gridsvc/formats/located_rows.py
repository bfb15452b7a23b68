"""Rows with their grids, written block by block and joined: the answer does not depend on who wrote which block.

CSV and GeoJSON are text that is put together; GeoParquet and GeoPackage are written from the blocks in order; XLSX holds
1,048,575 rows at most. Nothing in a file says when it was written, except in a GeoPackage, whose standard asks for it.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pyogrio
import pyproj
import shapely

from gridsvc.errors import FileUnreadableError

OUT_SUFFIXES = (".csv", ".xlsx", ".geojson", ".gpkg", ".parquet", ".geoparquet")
_STORAGE_CRS = "EPSG:4490"
_XLSX_ROWS = 1_048_575
_GEOMETRY = "geometry"
_COPY_BYTES = 1 << 22
# files are dated by their content, not by the clock: the same answer is the same bytes
_NO_TIME = "2000-01-01T00:00:00Z"
_NO_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_FEATURES = '"features": [\n'


def out_suffix(out: Path) -> str:
    """Return the suffix of a file to write, in lower case.

    Raises
    ------
    FileUnreadableError
        When it is none of `OUT_SUFFIXES`.
    """
    if out.suffix.lower() not in OUT_SUFFIXES:
        raise FileUnreadableError(
            f"{out.name} is of no format that can be written here.", hint=f"Known: {', '.join(OUT_SUFFIXES)}."
        )
    return out.suffix.lower()


def check_fits(out: Path, rows: int) -> None:
    """Do nothing when a file of this suffix holds so many rows.

    Raises
    ------
    FileUnreadableError
        When it does not.
    """
    if out_suffix(out) == ".xlsx" and rows > _XLSX_ROWS:
        raise FileUnreadableError(
            f"{rows} rows do not fit into the workbook {out.name}, which holds {_XLSX_ROWS}.",
            hint="Write .csv, .gpkg or .parquet instead.",
        )


def write_block(rows: pa.Table, lon: np.ndarray, lat: np.ndarray, path: Path, suffix: str) -> None:
    """Write the rows of one block, with their positions (EPSG:4490, NaN where there is none), in the form `join_blocks` joins."""
    if suffix == ".csv":
        path.write_bytes(_csv_lines(rows))
    elif suffix == ".geojson":
        path.write_text(_features(rows, lon, lat), encoding="utf-8")
    elif suffix == ".xlsx":
        feather.write_feather(rows, path, compression="lz4")
    else:
        feather.write_feather(rows.append_column(_GEOMETRY, _wkb(lon, lat)), path, compression="lz4")


def join_blocks(blocks: Sequence[Path], columns: Sequence[str], out: Path, suffix: str) -> None:
    """Write the file that the blocks make up, in their order.

    Raises
    ------
    FileUnreadableError
        When there are more rows than the format holds.
    """
    if suffix == ".csv":
        with out.open("wb") as target:
            # with a byte-order mark, by which spreadsheet programs know UTF-8
            target.write(
                "\ufeff".encode() + _csv_lines(pa.table([pa.array([name]) for name in columns], list(columns)))
            )
            _append(target, blocks)
    elif suffix == ".geojson":
        _join_geojson(blocks, out)
    elif suffix == ".xlsx":
        _join_xlsx(blocks, out)
    elif suffix == ".gpkg":
        _join_geopackage(blocks, out)
    else:
        _join_parquet(blocks, out)


def _append(target: BinaryIO, blocks: Sequence[Path]) -> None:
    for block in blocks:
        with block.open("rb") as source:
            while part := source.read(_COPY_BYTES):
                target.write(part)


# ------------------------------------------------------------------------------------------------ CSV


def _csv_lines(rows: pa.Table) -> bytes:
    """Return rows as CSV lines with quotes where they are needed, as the csv module writes them."""
    if not rows.num_rows:
        return b""
    columns = [_quoted(_as_text(rows.column(i))) for i in range(rows.num_columns)]
    columns[-1] = pc.binary_join_element_wise(columns[-1], _text("\n"), _text(""))
    flat = pc.binary_join_element_wise(*columns, _text(",")).combine_chunks()
    flat = flat.chunk(0) if isinstance(flat, pa.ChunkedArray) else flat
    _, offsets, data = flat.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[flat.offset : flat.offset + len(flat) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])].tobytes()


def _quoted(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    marked = pc.match_substring_regex(texts, '[",\r\n]')
    if not pc.any(marked).as_py():
        return texts
    quoted = pc.binary_join_element_wise(_text('"'), pc.replace_substring(texts, '"', '""'), _text('"'), _text(""))
    return pc.if_else(marked, quoted, texts)


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def _as_text(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as text, as Python prints them; missing ones are empty."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        texts = values.cast(pa.large_string())
    elif pa.types.is_null(kind):
        texts = pa.chunked_array([pa.nulls(len(values), pa.large_string())])
    else:
        texts = pa.chunked_array([pa.array([_plain(value) for value in values.to_pylist()], pa.large_string())])
    return pc.fill_null(texts, "")


def _plain(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and value != value):
        return None
    return repr(value) if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------------ geometry


def _points(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    points = np.full(len(lon), None, dtype=object)
    known = np.isfinite(lon)
    points[known] = shapely.points(lon[known], lat[known])
    return points


def _wkb(lon: np.ndarray, lat: np.ndarray) -> pa.Array:
    return pa.array(shapely.to_wkb(_points(lon, lat), byte_order=1).tolist(), pa.binary())


def _features(rows: pa.Table, lon: np.ndarray, lat: np.ndarray) -> str:
    """Return rows as the lines of a GeoJSON feature collection, each ended by a comma and a line end."""
    frame = gpd.GeoDataFrame(rows.to_pandas(), geometry=_points(lon, lat), crs=_STORAGE_CRS)
    with BytesIO() as stream:
        pyogrio.write_dataframe(frame, stream, driver="GeoJSON", layer="points")
        text = stream.getvalue().decode("utf-8")
    return text[text.index(_FEATURES) + len(_FEATURES) : text.rindex("\n]")] + ",\n"


def _join_geojson(blocks: Sequence[Path], out: Path) -> None:
    name = json.dumps(out.stem, ensure_ascii=False)
    crs = '{ "type": "name", "properties": { "name": "urn:ogc:def:crs:EPSG::4490" } }'
    with out.open("wb") as target:
        target.write(f'{{\n"type": "FeatureCollection",\n"name": {name},\n"crs": {crs},\n{_FEATURES}'.encode())
        _append(target, blocks)
        target.seek(-2, 2)  # the comma after the last feature
        target.write(b"\n]\n}\n")
        target.truncate()


def _tables(blocks: Sequence[Path]) -> Iterator[pa.Table]:
    """Yield the tables of the blocks in one schema: a column that is empty in one block, or of whole numbers, is what it is in others."""
    schemas = []
    for block in blocks:
        with pa.memory_map(str(block)) as source:
            schemas.append(pa.ipc.open_file(source).schema.remove_metadata())
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    for block in blocks:
        yield feather.read_table(block).replace_schema_metadata().cast(schema)


def _join_parquet(blocks: Sequence[Path], out: Path) -> None:
    writer = None
    geo = {
        "version": "1.0.0",
        "primary_column": _GEOMETRY,
        "columns": {
            _GEOMETRY: {
                "encoding": "WKB",
                "geometry_types": ["Point"],
                "crs": pyproj.CRS.from_user_input(_STORAGE_CRS).to_json_dict(),
            }
        },
    }
    try:
        for table in _tables(blocks):
            schema = table.schema.with_metadata({b"geo": json.dumps(geo, sort_keys=True).encode()})
            writer = writer or pq.ParquetWriter(out, schema, compression="zstd")
            writer.write_table(table.replace_schema_metadata(schema.metadata))
    finally:
        if writer is not None:
            writer.close()


def _join_geopackage(blocks: Sequence[Path], out: Path) -> None:
    out.unlink(missing_ok=True)
    for number, table in enumerate(_tables(blocks)):
        pyogrio.write_arrow(
            _without_null_types(table),
            out,
            layer=out.stem,
            driver="GPKG",
            geometry_name=_GEOMETRY,
            geometry_type="Point",
            crs=_STORAGE_CRS,
            append=number > 0,
        )


def _without_null_types(table: pa.Table) -> pa.Table:
    """Return the table with columns that hold nothing at all as texts, which GDAL knows."""
    fields = [field.with_type(pa.string()) if pa.types.is_null(field.type) else field for field in table.schema]
    return table.cast(pa.schema(fields))


def _join_xlsx(blocks: Sequence[Path], out: Path) -> None:
    rows = 0
    for block in blocks:
        with pa.memory_map(str(block)) as source:
            file = pa.ipc.open_file(source)
            rows += sum(file.get_batch(i).num_rows for i in range(file.num_record_batches))
    check_fits(out, rows)
    out.write_bytes(_workbook(pa.concat_tables(_tables(blocks)).to_pandas()))


def _workbook(frame: pd.DataFrame) -> bytes:
    """Return the frame as XLSX bytes; the library stamps the present time into the file, which is taken out again."""
    stamped, plain = BytesIO(), BytesIO()
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.DatetimeTZDtype):
            frame[name] = [None if pd.isna(value) else _iso(value) for value in frame[name]]
    with pd.ExcelWriter(stamped, engine="openpyxl") as writer:
        frame.to_excel(writer, index=False, sheet_name="points")
    with zipfile.ZipFile(stamped) as source, zipfile.ZipFile(plain, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", _NO_TIME.encode(), content)
            target.writestr(zipfile.ZipInfo(name, _NO_ZIP_TIME), content, zipfile.ZIP_DEFLATED)
    return plain.getvalue()


def _iso(value: datetime) -> str:
    """Return an instant with its offset as text: a spreadsheet has no such cells."""
    return value.isoformat()
