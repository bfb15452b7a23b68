"""Residences (buildings with households) from a file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from gridsvc.geo.datums import convert
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    refuse_duplicates,
    refuse_unknown,
    require_geometry,
    whole_numbers,
)
from gridsvc.services.import_coverage import refuse_outside_divisions
from gridsvc.store.unit_of_work import UnitOfWork

_USES = {
    "residential": "residential", "commercial": "commercial", "school": "school", "public": "public", "industrial": "industrial",
    "住宅": "residential", "居住": "residential", "商业": "commercial", "办公": "commercial", "学校": "school", "教育": "school",
    "公共": "public", "公共服务": "public", "工业": "industrial",
}  # fmt: skip


def check_residences(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``residences``; the community is derived when they are stored."""
    codes = batch.text("residence_code")
    refuse_duplicates(batch, "residence_code", codes)
    require_geometry(batch, "polygon", codes, repair=options.repair)
    single_polygons(batch, codes, "has several parts; give each building a row of its own")
    uses = np.array([_USES.get(value, value) for value in batch.text("use", "residential")], dtype=object)
    refuse_unknown(
        batch, "use", uses, set(_USES.values()), "one of residential, commercial, school, public, industrial"
    )
    frame = pd.DataFrame({"residence_code": codes, "name": batch.text("name"), "use": uses})
    frame["households"] = whole_numbers(batch, "households", 0)
    frame["population"] = whole_numbers(batch, "population", 0)
    frame["floors"] = whole_numbers(batch, "floors", None)
    frame["geometry"] = batch.geometry
    frame["entrance"] = _entrances(batch)
    refuse_outside_divisions(batch, uow, options)
    return frame


def store_residences(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked residences; return (stored, unchanged)."""
    return uow.residences.put_frame(frame, at=options.at)


def single_polygons(batch: Batch, codes: np.ndarray, reason: str) -> None:
    """Make multipolygons of one part polygons; those of several parts are refused: which part has the households?"""
    multi = batch.good & (shapely.get_type_id(batch.geometry) == shapely.GeometryType.MULTIPOLYGON)
    parts = shapely.get_num_geometries(batch.geometry)
    single = multi & (parts == 1)
    batch.geometry[single] = shapely.get_geometry(batch.geometry[single], 0)
    batch.refuse(multi & (parts > 1), "geometry", reason, codes)


def _entrances(batch: Batch) -> np.ndarray:
    lon, lat = batch.number("entrance_lon"), batch.number("entrance_lat")
    half = np.isnan(lon) != np.isnan(lat)
    batch.refuse(half, "entrance_lon", "needs entrance_lat with it, and the other way round")
    points = np.full(len(lon), None, dtype=object)
    for name in dict.fromkeys(batch.original_datum):
        rows = np.isfinite(lon) & np.isfinite(lat) & (batch.original_datum == name)
        if name.startswith("EPSG:"):
            batch.refuse(rows, "entrance_lon", "is in degrees, while the outlines are in a projected system")
            continue
        x, y = convert(lon[rows], lat[rows], name, "cgcs2000")
        points[rows] = shapely.points(np.round(x, 9), np.round(y, 9))
    return points
