"""Rows out as frames: typed columns, geometry through one call of shapely, no Python per row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Select,
    Table,
    func,
    or_,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from gridsvc.store.tables import STORAGE_SRID


@cache
def storage_crs() -> pyproj.CRS:
    """Return the CRS of every frame that leaves the store: EPSG:4490."""
    return pyproj.CRS.from_epsg(STORAGE_SRID)


def wkb(column: ColumnElement, name: str = "geometry") -> ColumnElement:
    """Return the expression that reads a geometry as WKB bytes under ``name``."""
    return func.ST_AsBinary(column, type_=LargeBinary).label(name)


def in_force(table: Table, at: Any) -> ColumnElement[bool]:
    """Return the condition that a dated row holds at ``at``; None asks for what has no end yet."""
    if at is None:
        return table.c.valid_to.is_(None)
    return (table.c.valid_from <= at) & or_(table.c.valid_to.is_(None), table.c.valid_to > at)


def plain_columns(table: Table, *leave_out: str) -> list[Column]:
    """Return the columns of a table that a frame shows: no surrogate keys, no geometry, none of ``leave_out``."""
    hidden = set(leave_out) | {"recorded_at"}
    return [
        column
        for column in table.columns
        if column.name not in hidden and column.identity is None and not hasattr(column.type, "geometry_type")
    ]


def chosen_columns(table: Table, names: Sequence[str] | None) -> list[Column]:
    """Return the named columns of a table; None: all a frame shows. A frame of a district is read twice as fast with two of ten."""
    return plain_columns(table) if names is None else [table.c[name] for name in names]


def read_frame(connection: Connection, statement: Select, *, geometry: Sequence[str] = ("geometry",)) -> pd.DataFrame:
    """Return the rows of ``statement`` as a frame; a GeoDataFrame in EPSG:4490 when it selects a column ``geometry``.

    Text becomes ``str`` (missing: NaN), whole numbers ``int64`` (``Int64`` with missing ones), instants ``datetime64[us, UTC]``;
    the columns named in ``geometry`` are WKB and become shapely geometries.
    """
    rows = connection.execute(statement).fetchall()
    selected = list(statement.selected_columns)
    values = list(zip(*rows, strict=True)) if rows else [()] * len(selected)
    data = {}
    for column, column_values in zip(selected, values, strict=True):
        if column.name in geometry:
            data[column.name] = shapely.from_wkb(np.array(column_values, dtype=object))
        else:
            data[column.name] = _series(column.type, column_values)
    if "geometry" in data:
        return gpd.GeoDataFrame(data, geometry="geometry", crs=storage_crs())
    return pd.DataFrame(data)


def _series(kind: TypeEngine, values: Sequence[Any]) -> pd.Series:
    if isinstance(kind, ARRAY | JSONB | LargeBinary):
        return pd.Series(list(values), dtype=object)
    if isinstance(kind, DateTime):
        return pd.Series(pd.to_datetime(pd.Series(list(values), dtype=object), utc=True)).dt.as_unit("us")
    if isinstance(kind, Boolean):
        return pd.Series(values, dtype="boolean" if None in values else bool)
    if isinstance(kind, Integer):
        return pd.Series(values, dtype="Int64" if None in values else "int64")
    if isinstance(kind, Float):
        return pd.Series(values, dtype=float)
    return pd.Series(values, dtype="str")
