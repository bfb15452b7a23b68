"""Buildings with their households."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import geopandas as gpd
import numpy as np
import shapely
from sqlalchemy import Boolean, Float, func, select

from gridsvc.store.communities import with_communities
from gridsvc.store.frames import chosen_columns, read_frame, wkb
from gridsvc.store.puts import put_current
from gridsvc.store.repository import Repository
from gridsvc.store.tables import STORAGE_SRID, residences


class ResidenceRepository(Repository):
    """Buildings; the scope is that of the community each is in."""

    def put_frame(self, frame: gpd.GeoDataFrame, *, at: datetime | None = None) -> tuple[int, int]:
        """Put buildings by code; return (inserted or replaced, unchanged).

        Parameters
        ----------
        frame
            residence_code, geometry (Polygon, EPSG:4490) and where known name, use, households, population, floors,
            entrance_lon and entrance_lat (degrees, same CRS). A ``community_code`` in it is not believed: it is derived.
        at
            The communities of that instant are meant; default those without an end.
        """
        placed = with_communities(self.connection, _with_entrances(frame), at)
        self.refuse_outside(placed["community_code"])
        return put_current(self.connection, residences, placed, key="residence_code")

    def list(
        self,
        prefix: str = "",
        bbox: tuple[float, float, float, float] | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> gpd.GeoDataFrame:
        """Return the buildings of the communities under ``prefix``, by code, with entrance_lon and entrance_lat (NaN: unknown).

        ``bbox`` (min_lon, min_lat, max_lon, max_lat in EPSG:4490) leaves out those whose box does not meet it. ``columns`` are those wanted beside the
        geometry, without the entrance; None: all.
        """
        entrance = (
            []
            if columns is not None
            else [
                func.ST_X(residences.c.entrance, type_=Float).label("entrance_lon"),
                func.ST_Y(residences.c.entrance, type_=Float).label("entrance_lat"),
            ]
        )
        statement = (
            select(*chosen_columns(residences, columns), *entrance, wkb(residences.c.geom))
            .where(self.within(residences.c.community_code, prefix))
            .order_by(residences.c.residence_code)
        )
        if bbox is not None:
            envelope = func.ST_MakeEnvelope(*bbox, STORAGE_SRID)
            statement = statement.where(residences.c.geom.op("&&", return_type=Boolean())(envelope))
        return read_frame(self.connection, statement)

    def count(self, prefix: str = "") -> int:
        """Return how many buildings are in the communities under ``prefix``."""
        statement = select(func.count()).select_from(residences).where(self.within(residences.c.community_code, prefix))
        return self.connection.scalar(statement) or 0


def _with_entrances(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    if "entrance_lon" not in frame.columns or "entrance" in frame.columns:
        return frame
    lon, lat = (frame[name].to_numpy(dtype=float, na_value=np.nan) for name in ("entrance_lon", "entrance_lat"))
    entrances = np.full(len(frame), None, dtype=object)
    known = np.isfinite(lon) & np.isfinite(lat)
    entrances[known] = shapely.points(lon[known], lat[known])
    return frame.assign(entrance=entrances)
