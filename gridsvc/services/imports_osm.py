"""Streets, buildings and facilities from an OpenStreetMap extract, stored together or not at all."""

from __future__ import annotations

import geopandas
import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import RowError
from gridsvc.formats.osm import OsmExtract
from gridsvc.geo.projections import quantise
from gridsvc.services.import_batch import ImportOptions
from gridsvc.services.imports_basemap import street_classes
from gridsvc.store.unit_of_work import UnitOfWork

# OpenStreetMap's own word for a street of which no more is known
_UNKNOWN_CLASS = "road"


def check_osm(extract: OsmExtract, source: str) -> tuple[dict[str, geopandas.GeoDataFrame], list[RowError]]:
    """Return the frames to store by subject, and the shapes left out because they are not valid.

    Unlike other files an extract is nobody's list to mend, so one faulty shape does not refuse the whole.
    """
    streets = extract.streets.copy()
    known = streets["street_class"].isin(street_classes().keys())
    streets["street_class"] = streets["street_class"].where(known, _UNKNOWN_CLASS)
    left_out: list[RowError] = []
    frames = {
        "streets": _sound(streets, "street_code", source, left_out),
        "residences": _sound(extract.residences, "residence_code", source, left_out),
        "facilities": _sound(extract.facilities, "facility_code", source, left_out),
    }
    return frames, left_out


def _sound(frame: pd.DataFrame, key: str, source: str, left_out: list[RowError]) -> geopandas.GeoDataFrame:
    shapes = quantise(frame["geometry"].to_numpy())
    sound = shapely.is_valid(shapes) & ~shapely.is_empty(shapes)
    for i in np.flatnonzero(~sound):
        left_out.append(RowError(int(i) + 1, key, "its shape is not valid", str(frame[key].iloc[i])))
    placed = frame.drop(columns="geometry").assign(source=source, original_datum="wgs84")
    return geopandas.GeoDataFrame(placed, geometry=shapes, crs="EPSG:4490")[sound]


def store_osm(uow: UnitOfWork, frames: dict[str, geopandas.GeoDataFrame], options: ImportOptions) -> tuple[int, int]:
    """Put the frames of an extract; return (stored, unchanged) of all three together."""
    stored = unchanged = 0
    for name, frame in frames.items():
        options.progress.start(f"storing {name}")
        if name == "streets":
            done = uow.streets.put_frame(frame)
        elif name == "residences":
            done = uow.residences.put_frame(frame, at=options.at)
        else:
            done = uow.facilities.put_frame(frame, options.at)
        stored, unchanged = stored + done[0], unchanged + done[1]
    return stored, unchanged
