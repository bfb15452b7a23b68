"""Service facilities from a file: points or areas, with the entrances known of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from gridsvc.formats.amap_points import parse_places
from gridsvc.geo.component_snapping import metres_of_a_degree
from gridsvc.geo.datums import convert, is_lonlat
from gridsvc.geo.projections import quantise
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    as_multipolygons,
    refuse_duplicates,
    refuse_unknown,
    require_geometry,
)
from gridsvc.services.import_coverage import refuse_outside_divisions
from gridsvc.store.unit_of_work import UnitOfWork

FARTHEST_ENTRANCE_M = 2000.0  # our choice: a gate further off belongs to something else, or is in another datum
# six decimals, as Amap writes them, are 0.11 m: nearer than that nothing was moved
_SAME_PLACE_M = 0.2
_SHIFTED = ("gcj02", "bd09")


def check_facilities(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``facilities``.

    A polygon is the area of its facility, whose point then is one inside it. What a row does not say of area and entrances stays as it is
    stored while the facility stays in its place; once moved it has only what the row says. Coordinates in GCJ-02 or BD-09 that differ
    from the place stored by less than their usual rounding mean that place.
    """
    codes = batch.text("facility_code")
    refuse_duplicates(batch, "facility_code", codes)
    require_geometry(batch, "point or polygon", codes, repair=options.repair)
    kinds = batch.text("kind_code")
    known = set(uow.facilities.kinds()["kind_code"])
    what = (
        "a facility kind known here; see data/catalogue/facilities.csv, for Amap typecodes data/amap_facility_kinds.csv"
    )
    refuse_unknown(batch, "kind_code", kinds, known, what)
    area = _areas(batch)
    entrances = _entrances(batch, area)
    refuse_outside_divisions(batch, uow, options)
    _keep_stored(batch, uow, options, codes, area, entrances)
    frame = pd.DataFrame(
        {"facility_code": codes, "kind_code": kinds, "name": batch.text("name"), "address": batch.text("address")}
    )
    frame["geometry"], frame["area"], frame["entrances"] = batch.geometry, area, entrances
    return frame


def store_facilities(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked facilities, who are as given from ``options.at``; return (stored, unchanged)."""
    return uow.facilities.put_frame(frame, options.at)


def _areas(batch: Batch) -> np.ndarray:
    """Return polygons as areas, and let a point inside each stand for it; None where the row is a point."""
    types = shapely.get_type_id(batch.geometry)
    drawn = batch.good & np.isin(types, (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    area = np.full(len(batch.rows), None, dtype=object)
    area[drawn] = as_multipolygons(batch.geometry[drawn])
    batch.geometry[drawn] = quantise(shapely.point_on_surface(area[drawn]))
    return area


def _entrances(batch: Batch, area: np.ndarray) -> np.ndarray:
    """Return the entrances of each row as MultiPoint, EPSG:4490; None where none is given."""
    texts = batch.text("entrances")
    found = np.full(len(texts), None, dtype=object)
    reasons = np.full(len(texts), "", dtype=object)
    for i in np.flatnonzero(batch.good & (texts != "")):
        places, datum = parse_places(texts[i]), str(batch.original_datum[i])
        if places is None:
            reasons[i] = "is not lon,lat;lon,lat ..."
        elif datum.startswith("EPSG:"):
            reasons[i] = "is in degrees, while the position is in a projected system"
        elif not is_lonlat(*zip(*places, strict=True)).all():
            reasons[i] = "has a place outside of longitude -180 to 180, latitude -90 to 90"
        else:
            given = np.array(places)
            lon, lat = convert(given[:, 0], given[:, 1], datum, "cgcs2000")
            points = shapely.MultiPoint(np.unique(np.round(np.column_stack((lon, lat)), 9), axis=0))
            whole = batch.geometry[i] if area[i] is None else area[i]
            apart_m = _farthest_m(points, whole)
            if apart_m > FARTHEST_ENTRANCE_M:
                reasons[i] = f"has a place {apart_m:.0f} m away from the facility"
            found[i] = points
    batch.refuse(reasons != "", "entrances", [str(reason) for reason in reasons], texts)
    return found


def _farthest_m(points: shapely.MultiPoint, whole: shapely.Geometry) -> float:
    """Return how far the farthest of some points lies from a shape, about; EPSG:4490 in, metres out."""
    degree = metres_of_a_degree(float(whole.centroid.y))
    scale = np.array([degree.lon_m, degree.lat_m])
    plane = [shapely.transform(shape, lambda xy: xy * scale) for shape in (points, whole)]
    return float(shapely.distance(shapely.get_parts(plane[0]), plane[1]).max())


def _keep_stored(
    batch: Batch, uow: UnitOfWork, options: ImportOptions, codes: np.ndarray, area: np.ndarray, entrances: np.ndarray
) -> None:
    good = np.flatnonzero(batch.good)
    stored = uow.facilities.list(at=options.at, codes=list(codes[good]), with_areas=True)
    held = {row.facility_code: row for row in stored.itertuples()}
    for i in good:
        before = held.get(codes[i])
        if before is None:
            continue
        tolerance_m = _SAME_PLACE_M if batch.original_datum[i] in _SHIFTED else 0.0
        if area[i] is None and _farthest_m(shapely.MultiPoint([batch.geometry[i]]), before.geometry) <= tolerance_m:
            batch.geometry[i] = before.geometry
            area[i] = before.area
        if entrances[i] is None:
            entrances[i] = before.entrances if batch.geometry[i] == before.geometry else None
        elif before.entrances is not None and _are_same(entrances[i], before.entrances, tolerance_m):
            entrances[i] = before.entrances


def _are_same(some: shapely.MultiPoint, others: shapely.MultiPoint, tolerance_m: float) -> bool:
    """Return whether each of two sets of points has one of the other within a tolerance."""
    return max(_farthest_m(some, others), _farthest_m(others, some)) <= tolerance_m
