"""Many rows in at once: COPY of a frame, column by column, geometry as EWKB.

Nothing here loops over rows in Python: shapely writes the geometries, pyarrow the text, the server reads it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import shapely
from geoalchemy2 import Geometry
from pyarrow import csv
from sqlalchemy import Boolean, Column, Connection, DateTime, Float, Integer, LargeBinary, Table, text
from sqlalchemy.dialects.postgresql import JSONB

from gridsvc.errors import CrsMismatchError, RequestInvalidError
from gridsvc.store.refusals import refusals
from gridsvc.store.tables import STORAGE_SRID

_CHUNK_ROWS = 50_000
_POLYGON = 3
_CSV = csv.WriteOptions(include_header=False, quoting_style="needed")
_names = itertools.count()


def geometry_column(table: Table) -> str | None:
    """Return the name of a table's geometry column that frames call ``geometry``: the first one."""
    return next((column.name for column in table.columns if isinstance(column.type, Geometry)), None)


def columns_of(table: Table, frame: pd.DataFrame) -> list[str]:
    """Return the columns of ``table`` that ``frame`` has, in table order; ``geometry`` stands for the geometry column."""
    main = geometry_column(table)
    return [
        c.name for c in table.columns if c.name in frame.columns or (c.name == main and "geometry" in frame.columns)
    ]


def copy_frame(
    connection: Connection,
    table: Table,
    frame: pd.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    into: str | None = None,
) -> int:
    """Copy the rows of ``frame`` into ``table`` and return how many there were.

    Parameters
    ----------
    frame
        Columns named as in the table; others are left out. A GeoDataFrame must be in EPSG:4490; its column ``geometry`` goes
        to the table's first geometry column, polygons become multipolygons where the column wants them. Missing values are NULL.
    columns
        Table columns to fill; default all that the frame has.
    into
        Another table of the same column types to copy into, such as a staging table.

    Raises
    ------
    CrsMismatchError
        When the frame is in another coordinate system, or in none.
    """
    _check_crs(frame)
    names = list(columns) if columns is not None else columns_of(table, frame)
    if not len(frame):
        return 0
    main = geometry_column(table)
    source = {name: "geometry" if name == main and name not in frame.columns else name for name in names}
    batch = pa.table({name: _arrow(table.columns[name], frame[source[name]]) for name in names})
    target = into or f'"{table.name}"'
    statement = f"COPY {target} ({_listed(names)}) FROM STDIN (FORMAT csv)"
    with refusals(), _driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for chunk in batch.to_batches(max_chunksize=_CHUNK_ROWS):
            copy.write(_csv_bytes(chunk))
    return len(frame)


def copy_rows(connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Copy plain rows (no geometry) into ``columns`` of ``table`` and return how many there were."""
    statement = f'COPY "{table.name}" ({_listed(columns)}) FROM STDIN'
    count = 0
    with refusals(), _driver(connection).cursor() as cursor, cursor.copy(statement) as copy:
        for count, row in enumerate(rows, 1):  # noqa: B007 - the count is what is returned
            copy.write_row(row)
    return count


@contextmanager
def staged(
    connection: Connection, table: Table, frame: pd.DataFrame, *, columns: Sequence[str] | None = None, extra: str = ""
) -> Iterator[str]:
    """Yield the name of a temporary table that holds the frame in the column types of ``table``.

    ``extra`` are further column definitions, for what SQL computes on the way.
    """
    names = list(columns) if columns is not None else columns_of(table, frame)
    stage = f"stage_{table.name}_{next(_names)}"
    connection.execute(
        text(
            f'CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS SELECT {_listed(names)} FROM "{table.name}" WITH NO DATA'
        )
    )
    if extra:
        connection.execute(text(f"ALTER TABLE {stage} {extra}"))
    copy_frame(connection, table, frame, columns=names, into=stage)
    connection.execute(text(f"ANALYZE {stage}"))
    yield stage
    connection.execute(text(f"DROP TABLE {stage}"))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _driver(connection: Connection) -> psycopg.Connection:
    if not connection.in_transaction():
        # COPY goes past SQLAlchemy, which must know that there is something to commit or roll back
        connection.begin()
    return connection.connection.driver_connection  # type: ignore[return-value]


def _check_crs(frame: pd.DataFrame) -> None:
    if not isinstance(frame, gpd.GeoDataFrame) or frame._geometry_column_name not in frame.columns:
        return
    if frame.crs is None or frame.crs.to_epsg() != STORAGE_SRID:
        name = frame.crs.name if frame.crs is not None else "none"
        raise CrsMismatchError(f"The frame is in CRS {name}, storage is EPSG:{STORAGE_SRID}.", hint="Convert it first.")


def _csv_bytes(chunk: pa.RecordBatch) -> memoryview:
    sink = pa.BufferOutputStream()
    csv.write_csv(chunk, sink, _CSV)
    return memoryview(sink.getvalue())


def _arrow(column: Column, values: pd.Series) -> pa.Array:
    """Return a frame's column as Arrow values whose CSV form the server reads as the column's type."""
    try:
        return _typed(column, values)
    except (TypeError, ValueError, pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise RequestInvalidError(
            f"Column {column.name} of {column.table.name} has a value that is not {column.type}: {error}.",
            field=column.name,
        ) from error


def _typed(column: Column, values: pd.Series) -> pa.Array:
    kind = column.type
    if isinstance(kind, Geometry):
        return _ewkb(kind, values)
    if isinstance(kind, DateTime):
        return pa.array(pd.to_datetime(values, utc=True).dt.as_unit("us"), type=pa.timestamp("us", tz="UTC"))
    if isinstance(kind, Boolean):
        return pa.array(pd.array(values, dtype="boolean"), type=pa.bool_(), from_pandas=True)
    if isinstance(kind, Integer):
        return pa.array(pd.array(values, dtype="Int64"), type=pa.int64(), from_pandas=True)
    if isinstance(kind, Float):
        return pa.array(pd.to_numeric(values).to_numpy(dtype=float, na_value=np.nan), from_pandas=True)
    if isinstance(kind, JSONB):
        return pa.array([_json(value) for value in values], type=pa.string())
    if isinstance(kind, LargeBinary):
        return pa.array([None if value is None else "\\x" + value.hex() for value in values], type=pa.string())
    return pa.array(values, type=pa.string(), from_pandas=True)


def _json(value: Any) -> str | None:
    return (
        None
        if value is None or value is pd.NA or value != value
        else json.dumps(value, ensure_ascii=False, sort_keys=True)
    )


def _ewkb(kind: Geometry, values: pd.Series) -> pa.Array:
    geometries = np.array(values, dtype=object)
    geometries[pd.isna(values).to_numpy()] = None
    if kind.geometry_type == "MULTIPOLYGON":
        single = shapely.get_type_id(geometries) == _POLYGON
        promoted = shapely.multipolygons(geometries[single], indices=np.arange(single.sum())) if single.any() else []
        geometries[single] = promoted
    tagged = shapely.set_srid(geometries, max(kind.srid, 0))
    return pa.array(shapely.to_wkb(tagged, hex=True, include_srid=True), type=pa.string())
