"""Long files in blocks of rows: each block can be read by itself, in any order, by any process.

CSV is cut at ends of records, GeoParquet by row groups, GeoPackage by row numbers (fid). Where a file is cut depends on
the file and the size of blocks only. Formats that cannot be cut (XLSX, GeoJSON, Shapefile, compressed CSV) and short files
are one block, read as `vector_files.read_table` reads them.
"""

from __future__ import annotations

import io
import itertools
import json
import mmap
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import shapely

from gridsvc.errors import FileUnreadableError
from gridsvc.formats.text_encoding import canonical_encoding, check_encoding
from gridsvc.formats.vector_files import format_of, read_table

BLOCK_ROWS = 200_000
_ROW_BYTES = 80  # of a CSV row, roughly: only the size of blocks follows from it
# encodings in which the bytes of separators, quotes and line ends mean nothing else
_CUTTABLE = {"utf-8", "gb18030", "ascii", "latin-1", "iso8859-1", "cp1252", "big5", "cp950"}
# a GeoPackage with more gaps between its row numbers than this is read as a whole
_GEOPACKAGE_SPARSE = 4
_BATCH_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Block:
    """One block: bytes of a CSV, (row group, rows from, to) of a Parquet file, fids of a GeoPackage. ``size`` in units of the plan."""

    group: int
    first: int
    last: int
    size: int


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """How a file is read in blocks.

    Attributes
    ----------
    how
        ``whole``, ``csv``, ``parquet`` or ``gpkg``.
    unit
        What ``Block.size`` counts: ``rows``, or ``KiB`` where rows are not known beforehand.
    crs
        As `FileTable.crs`; of a whole file not known before it is read.
    """

    path: Path
    how: str
    blocks: tuple[Block, ...]
    unit: str = "rows"
    encoding: str | None = None
    layer: str | None = None
    crs: str | None = None
    header: bytes = b""
    separator: str = ","
    key: str = ""
    geometry: str | None = None


@dataclass(frozen=True, slots=True)
class RowTable:
    """Rows of a block: columns as the file has them, and one geometry per row, or None for a plain table."""

    name: str
    rows: pa.Table
    geometry: np.ndarray | None
    crs: str | None


def plan_blocks(
    path: Path, *, encoding: str | None = None, layer: str | None = None, rows: int = BLOCK_ROWS
) -> BlockPlan:
    """Return how a file is read in blocks of about ``rows`` rows.

    Raises
    ------
    FileUnreadableError
        When the file is missing, empty, or of an unknown or broken format.
    """
    if not path.is_file():
        raise FileUnreadableError(f"There is no file {path}.", path=str(path))
    if path.stat().st_size == 0:
        raise FileUnreadableError(f"{path.name} is empty (0 bytes).", hint="Export it again.", path=str(path))
    kind = format_of(path)
    plan = None
    if kind == "CSV" and path.suffix.lower() == ".csv":
        plan = _plan_csv(path, encoding, rows)
    elif kind == "GeoParquet":
        plan = _plan_parquet(path, rows)
    elif kind == "GeoPackage":
        plan = _plan_geopackage(path, layer, rows)
    return plan or BlockPlan(path, "whole", (Block(0, 0, 0, 1),), "files", encoding, layer)


def read_block(plan: BlockPlan, number: int) -> RowTable:
    """Return the rows of block ``number`` of a plan, in file order.

    Raises
    ------
    FileUnreadableError
        When they cannot be read as what the file is.
    """
    if plan.how == "whole":
        table = read_table(plan.path, encoding=plan.encoding, layer=plan.layer)
        return RowTable(table.name, as_arrow(table.frame.reset_index(drop=True)), table.geometry, table.crs)
    read = {"csv": _read_csv, "parquet": _read_parquet, "gpkg": _read_geopackage}[plan.how]
    return read(plan, plan.blocks[number])


def as_arrow(frame: pd.DataFrame) -> pa.Table:
    """Return a frame as an Arrow table; a column of mixed values becomes text."""
    columns = {}
    for name in frame.columns:
        values = frame[name]
        try:
            columns[str(name)] = pa.Array.from_pandas(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            columns[str(name)] = pa.array([None if _is_missing(value) else str(value) for value in values], pa.string())
    return pa.table(columns)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and value != value)


# ------------------------------------------------------------------------------------------------ CSV


def _plan_csv(path: Path, encoding: str | None, rows: int) -> BlockPlan | None:
    name = canonical_encoding(encoding or "utf-8")
    size = path.stat().st_size
    wanted = rows * _ROW_BYTES
    if name not in _CUTTABLE or size <= wanted:
        return None
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first = data[: data.find(b"\n") + 1]
        if not first.strip():
            return None
        separator = max(",;\t", key=first.decode(name, "replace").count)
        record = _record(separator.encode())
        begin = record.match(data)
        if begin is None:
            return None
        header = begin.group()
        cuts = [len(header)]
        while size - cuts[-1] > wanted:
            cut = _cut_after(data, record, cuts[-1], cuts[-1] + wanted)
            if cut >= size:
                break
            cuts.append(cut)
    cuts.append(size)
    blocks = tuple(Block(0, a, b, max((b - a) // 1024, 1)) for a, b in itertools.pairwise(cuts) if b > a)
    return BlockPlan(path, "csv", blocks, "KiB", name, None, None, header, separator) if blocks else None


def _record(separator: bytes) -> re.Pattern[bytes]:
    """Return the pattern of one record with its line end, as the parser of pandas reads it: quotes hide line ends inside a field that begins with one."""
    mark = re.escape(separator)
    plain = rb"[^" + mark + rb"\n]*+"
    quoted = rb'"[^"]*+(?:""[^"]*+)*+"' + plain
    unquoted = rb'(?!")' + plain
    field = rb"(?:" + quoted + rb"|" + unquoted + rb")"
    return re.compile(field + rb"(?:" + mark + field + rb")*+\n")


def _cut_after(data: mmap.mmap, record: re.Pattern[bytes], begin: int, wanted: int) -> int:
    """Return the first end of a record at or after ``wanted``; ``begin`` is one. The size of the file when there is none."""
    place = begin
    while place < wanted:
        if data.find(b'"', place, wanted) < 0:
            end = data.find(b"\n", wanted - 1)
            # the record that reaches over `wanted` may have quotes after it
            start = data.rfind(b"\n", place, wanted - 1) + 1 or place
            found = record.match(data, max(start, place))
            return len(data) if end < 0 or found is None else found.end()
        found = record.match(data, place)
        if found is None:
            return len(data)
        place = found.end()
    return place


def _read_csv(plan: BlockPlan, block: Block) -> RowTable:
    with plan.path.open("rb") as opened:
        opened.seek(block.first)
        data = opened.read(block.last - block.first)
    name = plan.encoding or "utf-8"
    text = check_encoding(plan.header, name, plan.path.name) + _decoded(plan, block, data, name)
    try:
        read = pd.read_csv(
            io.StringIO(text), sep=plan.separator, dtype=str, keep_default_na=False, skip_blank_lines=True
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as wrong:
        raise _broken(plan, block, str(wrong)) from wrong
    read.columns = [str(column).strip() for column in read.columns]
    return RowTable(plan.path.name, as_arrow(read.apply(lambda column: column.str.strip())), None, None)


def _decoded(plan: BlockPlan, block: Block, data: bytes, name: str) -> str:
    try:
        return check_encoding(data, name, plan.path.name)
    except FileUnreadableError as refused:
        # said of the whole file: its bytes and lines, not those of the block
        where = re.search(r"byte (\d+) \(line (\d+)\)", refused.message)
        if where is None:
            raise
        byte, line = int(where.group(1)) + block.first, int(where.group(2)) + _lines_before(plan, block)
        message = refused.message.replace(where.group(), f"byte {byte} (line {line})")
        raise FileUnreadableError(message, hint=refused.hint, **refused.details) from refused


def _broken(plan: BlockPlan, block: Block, reason: str) -> FileUnreadableError:
    moved = _lines_before(plan, block) - plan.header.count(b"\n")
    said = re.sub(r"line (\d+)", lambda found: f"line {int(found.group(1)) + moved}", reason.strip().rstrip("."))
    return FileUnreadableError(
        f"{plan.path.name} is not a readable CSV file: {said.splitlines()[0]}.",
        hint="Export it again, or check that its suffix is the right one.",
        path=str(plan.path),
    )


def _lines_before(plan: BlockPlan, block: Block) -> int:
    with plan.path.open("rb") as opened:
        lines, left = 0, block.first
        while left and (part := opened.read(min(left, 1 << 20))):
            lines, left = lines + part.count(b"\n"), left - len(part)
    return lines


# ------------------------------------------------------------------------------------------------ Parquet


def _plan_parquet(path: Path, rows: int) -> BlockPlan | None:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError):
        return None  # read_table says what is wrong with it
    with file:
        metadata = file.metadata
        if metadata.num_rows <= rows:
            return None
        known = _geo_of(metadata.metadata or {})
        if known is None:
            return None
        geometry, crs = known
        blocks = []
        for group in range(metadata.num_row_groups):
            held = metadata.row_group(group).num_rows
            for first in range(0, held, rows):
                blocks.append(Block(group, first, min(first + rows, held), min(rows, held - first)))
    return BlockPlan(path, "parquet", tuple(blocks), crs=crs, geometry=geometry)


def _geo_of(metadata: dict[bytes, bytes]) -> tuple[str | None, str | None] | None:
    """Return (geometry column, CRS) of a Parquet file, (None, None) of a plain table, None where it is not simple WKB."""
    if b"geo" not in metadata:
        return None, None
    geo = json.loads(metadata[b"geo"])
    columns = geo.get("columns", {})
    name = geo.get("primary_column")
    if len(columns) != 1 or columns.get(name, {}).get("encoding") != "WKB":
        return None
    crs = columns[name].get("crs", "OGC:CRS84")
    return name, None if crs is None else pyproj.CRS.from_user_input(crs).to_string()


def _read_parquet(plan: BlockPlan, block: Block) -> RowTable:
    with pq.ParquetFile(plan.path) as file:
        batches = file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[block.group], use_threads=False)
        place, parts = 0, []
        for batch in batches:
            begin, end = max(block.first - place, 0), min(block.last - place, batch.num_rows)
            if begin < end:
                parts.append(batch.slice(begin, end - begin))
            place += batch.num_rows
            if place >= block.last:
                break
    table = pa.Table.from_batches(parts)
    hidden = _index_columns(table.schema.metadata or {})
    table = table.drop_columns([name for name in table.column_names if name in hidden]).replace_schema_metadata()
    return _with_geometry(plan, table, plan.geometry)


def _index_columns(metadata: dict[bytes, bytes]) -> set[str]:
    """Return the columns in which pandas kept the index of the frame it wrote: no column of the table."""
    stored = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", [])
    return {name for name in stored if isinstance(name, str)}


def _with_geometry(plan: BlockPlan, table: pa.Table, name: str | None) -> RowTable:
    if name is None:
        return RowTable(plan.path.name, table, None, None)
    shapes = shapely.from_wkb(np.asarray(table.column(name).to_pylist(), dtype=object), on_invalid="ignore")
    return RowTable(plan.path.name, table.drop_columns([name]), shapes, plan.crs)


# ------------------------------------------------------------------------------------------------ GeoPackage


def _plan_geopackage(path: Path, layer: str | None, rows: int) -> BlockPlan | None:
    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(path)]
        if layer is None and len(layers) != 1:
            return None  # read_table asks for one
        name = layer or layers[0]
        info = pyogrio.read_info(path, layer=name)
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True) as opened:
            key, table = (text.replace('"', '""') for text in (info["fid_column"], name))
            low, high = opened.execute(f'SELECT min("{key}"), max("{key}") FROM "{table}"').fetchone()
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, sqlite3.Error):
        return None
    count = info["features"]
    if count <= rows or not info["fid_column"] or (high - low + 1) > _GEOPACKAGE_SPARSE * count:
        return None
    share = count / (high - low + 1)
    blocks = tuple(
        Block(0, first, min(first + rows, high + 1), max(round(share * rows), 1))
        for first in range(low, high + 1, rows)
    )
    crs = None if info["crs"] is None else pyproj.CRS.from_user_input(info["crs"]).to_string()
    return BlockPlan(path, "gpkg", blocks, layer=name, crs=crs, key=info["fid_column"])


def _read_geopackage(plan: BlockPlan, block: Block) -> RowTable:
    key = plan.key.replace('"', '""')
    where = f'"{key}" >= {block.first} AND "{key}" < {block.last}'
    meta, table = pyogrio.read_arrow(plan.path, layer=plan.layer, where=where, datetime_as_string=True)
    name = meta["geometry_name"] or "wkb_geometry"
    drawn = name if name in table.column_names else None
    return _with_geometry(plan, table.replace_schema_metadata(), drawn)
