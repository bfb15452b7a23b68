"""The data set folder: one town as twelve files, written by ``gridsvc synth`` and read by ``gridsvc demo``.

``dataset.json`` says what the folder is; the other files are GeoParquet (EPSG:4326 meaning datum ``wgs84``), the reports
plain Parquet because each carries its own position and datum, departments and their duties because they have none. The same content gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from gridsvc.errors import FileUnreadableError

INFO_FILE = "dataset.json"

# kind -> (file, columns in order; "geometry" is the WKB column)
_TEXT, _INT, _FLOAT, _WKB = pa.string(), pa.int32(), pa.float64(), pa.binary()
FILES: dict[str, tuple[str, dict[str, pa.DataType]]] = {
    "divisions": (
        "divisions.parquet",
        {
            "code": _TEXT,
            "name": _TEXT,
            "level": _TEXT,
            "parent_code": _TEXT,
            "urban_rural_class": _INT,
            "geometry": _WKB,
        },
    ),
    "streets": (
        "streets.parquet",
        {"street_code": _TEXT, "name": _TEXT, "street_class": _TEXT, "layer": _INT, "geometry": _WKB},
    ),
    "water": ("water.parquet", {"water_code": _TEXT, "name": _TEXT, "kind": _TEXT, "geometry": _WKB}),
    "barriers": ("barriers.parquet", {"barrier_code": _TEXT, "kind": _TEXT, "geometry": _WKB}),
    "residences": (
        "residences.parquet",
        {
            "residence_code": _TEXT,
            "name": _TEXT,
            "use": _TEXT,
            "households": _INT,
            "population": _INT,
            "floors": _INT,
            "entrance_lon": _FLOAT,
            "entrance_lat": _FLOAT,
            "geometry": _WKB,
        },
    ),
    "facilities": (
        "facilities.parquet",
        {"facility_code": _TEXT, "kind_code": _TEXT, "name": _TEXT, "address": _TEXT, "geometry": _WKB},
    ),
    "workers": (
        "workers.parquet",
        {
            "worker_code": _TEXT,
            "name": _TEXT,
            "kind_code": _TEXT,
            "division_code": _TEXT,
            "phone": _TEXT,
            "capacity_grids": _INT,
            "geometry": _WKB,
        },
    ),
    "grids": ("security_grids.parquet", {"code": _TEXT, "name": _TEXT, "community_code": _TEXT, "geometry": _WKB}),
    "departments": (
        "departments.parquet",
        {"department_code": _TEXT, "name": _TEXT, "kind_code": _TEXT, "division_code": _TEXT},
    ),
    "duties": (
        "duties.parquet",
        {
            "department_code": _TEXT,
            "network": _TEXT,
            "ground_code": _TEXT,
            "edition": _TEXT,
            "category_code": _TEXT,
        },
    ),
    "reports": (
        "reports.parquet",
        {
            "report_id": _TEXT,
            "edition": _TEXT,
            "category_code": _TEXT,
            "network": _TEXT,
            "source": _TEXT,
            "description": _TEXT,
            "reporter": _TEXT,
            "device": _TEXT,
            "occurred_at": _TEXT,
            "lon": _FLOAT,
            "lat": _FLOAT,
            "datum": _TEXT,
            "accuracy_m": _FLOAT,
        },
    ),
}
_GEOMETRY_TYPES: dict[str, list[str]] = {
    "divisions": ["MultiPolygon"],
    "streets": ["LineString"],
    "water": ["MultiPolygon"],
    "barriers": ["LineString"],
    "residences": ["Polygon"],
    "facilities": ["Point"],
    "workers": ["Point"],
    "grids": ["MultiPolygon"],
}


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set folder: where it is and what ``dataset.json`` says; the files are read when asked for."""

    folder: Path
    info: dict[str, Any]

    @property
    def as_of(self) -> datetime:
        """Return the instant from which the divisions, grids and workers hold, with its offset."""
        return datetime.fromisoformat(self.info["as_of"])

    def path_of(self, kind: str) -> Path | None:
        """Return the file of ``kind`` (a key of `FILES`), or None."""
        path = self.folder / FILES[kind][0]
        return path if path.is_file() else None

    def rows(self, kind: str) -> int:
        """Return how many rows the file of ``kind`` holds, 0 when there is none; a town may have no water."""
        path = self.path_of(kind)
        return pq.read_metadata(path).num_rows if path else 0

    def source_of(self, kind: str) -> str | None:
        """Return what ``dataset.json`` says the rows of ``kind`` come from, or None when it says nothing of that kind."""
        stated = (one["source"] for one in self.info.get("sources", ()) if one["what"] == kind)
        return next(stated, None)

    def frame(self, kind: str) -> pandas.DataFrame:
        """Return the rows of ``kind``: a GeoDataFrame in EPSG:4326, for reports, departments and duties a plain frame.

        Raises
        ------
        FileUnreadableError
            When the file is missing or is no Parquet.
        """
        path = self.folder / FILES[kind][0]
        try:
            return geopandas.read_parquet(path) if kind in _GEOMETRY_TYPES else pandas.read_parquet(path)
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise FileUnreadableError(
                f"{path} cannot be read: {error}.", hint="Write the data set again with gridsvc synth."
            ) from error


def read_dataset(folder: Path) -> Dataset:
    """Return the data set in ``folder``; the frames are read lazily.

    Raises
    ------
    FileUnreadableError
        When ``dataset.json`` is missing, no JSON, or lacks a field.
    """
    path = Path(folder) / INFO_FILE
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in ("name_zh", "datum", "district_codes", "as_of") if name not in info]
    except (OSError, ValueError, TypeError) as error:
        raise FileUnreadableError(
            f"{path} is missing or no JSON: {error}.",
            hint="Make a data set with: gridsvc synth --scale street --out DIR.",
        ) from error
    if missing:
        raise FileUnreadableError(
            f"{path} lacks {', '.join(missing)}.", hint="Write the data set again with gridsvc synth."
        )
    return Dataset(Path(folder), info)


def write_dataset(
    folder: Path, parts: Iterable[Mapping[str, Mapping[str, Any] | pa.Table]], info: Mapping[str, Any]
) -> dict[str, int]:
    """Write a data set and return the number of rows per kind.

    Parameters
    ----------
    folder
        Made when missing; the files of an earlier data set in it are replaced. ``dataset.json`` is written last, so a
        folder that has one is complete.
    parts
        Pieces of the town (one per district). A piece maps kind to columns: name to values, ``geometry`` to an array of
        shapely geometries, lon lat; or to a table made by `table_of`. Only one piece is held in memory at a time.
    info
        The content of ``dataset.json``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INFO_FILE).unlink(missing_ok=True)
    rows = dict.fromkeys(FILES, 0)
    writers = {kind: pq.ParquetWriter(folder / FILES[kind][0], schema_of(kind), compression="zstd") for kind in FILES}
    try:
        for part in parts:
            for kind, columns in part.items():
                table = columns if isinstance(columns, pa.Table) else table_of(kind, columns)
                rows[kind] += table.num_rows
                if table.num_rows:
                    writers[kind].write_table(table)
    finally:
        for writer in writers.values():
            writer.close()
    text = json.dumps(dict(info), ensure_ascii=False, indent=2, sort_keys=True)
    (folder / INFO_FILE).write_text(text + "\n", encoding="utf-8")
    return rows


def schema_of(kind: str) -> pa.Schema:
    """Return the Arrow schema of a kind's file, with GeoParquet metadata where it has a geometry."""
    schema = pa.schema(list(FILES[kind][1].items()))
    if kind not in _GEOMETRY_TYPES:
        return schema
    geo = {
        "version": "1.0.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": _GEOMETRY_TYPES[kind],
                "crs": CRS.from_epsg(4326).to_json_dict(),
            }
        },
    }
    return schema.with_metadata({b"geo": json.dumps(geo, sort_keys=True).encode()})


def table_of(kind: str, columns: Mapping[str, Any]) -> pa.Table:
    """Return columns (name to values, ``geometry`` to shapely geometries) as a table in the schema of ``kind``."""
    schema = schema_of(kind)
    arrays = []
    for field in schema:
        values = columns[field.name]
        if field.type == _WKB:
            values = shapely.to_wkb(np.asarray(values, dtype=object), byte_order=1)
            arrays.append(pa.array(list(values), type=_WKB))
        elif isinstance(values, np.ndarray) and values.dtype.kind in "US":
            arrays.append(pa.array(values.tolist(), type=field.type))
        else:
            arrays.append(pa.array(values, type=field.type))
    return pa.Table.from_arrays(arrays, schema=schema)
