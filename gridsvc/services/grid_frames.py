"""What dividing and merging share about storing grids: frames, names, kept codes, and whether anything changed at all."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.geo.grid_codes import DEFAULT_SCHEME, format, number_west_to_east, parse
from gridsvc.geo.projections import STORAGE_EPSG

COLUMNS = (
    "network",
    "kind",
    "code",
    "name",
    "community_code",
    "parent_code",
    "households",
    "population",
    "area_m2",
    "responsible",
)
# shapes are the same when centroid (degrees) and area (m2) agree this closely: vertices added on a border do not matter
_SAME_PLACE_DEG, _SAME_AREA_M2 = 2e-8, 0.5


def grid_frame(rows: dict[str, Any], geometries: NDArray[np.object_]) -> gpd.GeoDataFrame:
    """Return a frame of grids as the store takes it, ordered by code; geometries become MultiPolygons in EPSG:4490."""
    parts, index = shapely.get_parts(geometries, return_index=True)
    multi = shapely.multipolygons(parts, indices=index) if len(parts) else np.empty(0, dtype=object)
    frame = gpd.GeoDataFrame(pd.DataFrame(rows)[list(COLUMNS)], geometry=multi, crs=f"EPSG:{STORAGE_EPSG}")
    return frame.sort_values("code", kind="stable", ignore_index=True)


def grid_name(community_name: str, code: str) -> str:
    """Return the name of a grid: its community's and its serial number.

    Examples
    --------
    >>> grid_name("北湖社区", "420103001002007")
    '北湖社区第7网格'
    """
    return f"{community_name}第{parse(code).serial}网格"


def grid_codes(
    community_code: str,
    geometries: NDArray[np.object_],
    areas_m2: NDArray[np.float64],
    held: gpd.GeoDataFrame,
    used: set[str],
) -> NDArray[np.object_]:
    """Return a code for each new grid of a community: that of the grid in force it continues, else a new one.

    A grid continues another when it is the same one, or when more than half of either lies in the other (a reshaped grid).

    Parameters
    ----------
    geometries
        The new grids. CRS: EPSG:4490.
    held
        Grids of that community and network in force.
    used
        Every code ever given there; none of them is given again.
    """
    codes = np.full(len(geometries), None, dtype=object)
    position = shapely.get_coordinates(shapely.centroid(geometries))
    if len(held):
        there = shapely.points(shapely.get_coordinates(shapely.centroid(held.geometry.to_numpy())))
        new, old = shapely.STRtree(there).query(shapely.points(position), predicate="dwithin", distance=_SAME_PLACE_DEG)
        same = np.abs(areas_m2[new] - held["area_m2"].to_numpy()[old]) < _SAME_AREA_M2
        codes[new[same]] = held["code"].to_numpy(dtype=object)[old[same]]
        _continued(codes, geometries, held)
    fresh = np.flatnonzero(pd.isna(codes))
    given = [parse(code).serial for code in used | {code for code in codes if code is not None}]
    inner = shapely.get_coordinates(shapely.point_on_surface(geometries[fresh]))
    serials = number_west_to_east(inner[:, 0], inner[:, 1], given, scheme=DEFAULT_SCHEME)
    codes[fresh] = [format(community_code, int(serial)) for serial in serials]
    return codes


def _continued(codes: NDArray[np.object_], geometries: NDArray[np.object_], held: gpd.GeoDataFrame) -> None:
    """Give the codes that are not kept yet to the grids that share more than half with them, either way."""
    open_places = np.flatnonzero(pd.isna(codes))
    left = held[~held["code"].isin(codes[~pd.isna(codes)])]
    if not len(open_places) or left.empty:
        return
    shapes, former = geometries[open_places], left.geometry.to_numpy()
    new, old = shapely.STRtree(former).query(shapes, predicate="intersects")
    shared = shapely.area(shapely.intersection(shapes[new], former[old]))
    half = (2 * shared > shapely.area(shapes)[new]) & (2 * shared > shapely.area(former)[old])
    codes[open_places[new[half]]] = left["code"].to_numpy(dtype=object)[old[half]]


def is_in_force(frame: gpd.GeoDataFrame, held: gpd.GeoDataFrame) -> bool:
    """Answer whether the grids in force are exactly those of the frame: codes, attributes and every vertex."""
    if len(frame) != len(held):
        return False
    held = held.sort_values("code", kind="stable", ignore_index=True)
    for name in COLUMNS:
        mine, theirs = frame[name].to_numpy(dtype=object), held[name].to_numpy(dtype=object)
        if not all(a == b or (_is_missing(a) and _is_missing(b)) for a, b in zip(mine, theirs, strict=True)):
            return False
    return bool(shapely.equals_exact(frame.geometry.to_numpy(), held.geometry.to_numpy(), tolerance=0.0).all())


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))
