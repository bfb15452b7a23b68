"""Service facilities, dated, and their kinds."""

from __future__ import annotations

from datetime import UTC, datetime

import geopandas as gpd
import pandas as pd
from sqlalchemy import Boolean, func, select

from gridsvc.store.communities import with_communities
from gridsvc.store.frames import in_force, plain_columns, read_frame, wkb
from gridsvc.store.puts import put_dated
from gridsvc.store.repository import Repository
from gridsvc.store.tables import STORAGE_SRID, facilities, facility_kinds

# for facilities of which nobody said since when they are there
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class FacilityRepository(Repository):
    """Facilities; the scope is that of the community each is in."""

    def put_frame(self, frame: gpd.GeoDataFrame, valid_from: datetime | None = None) -> tuple[int, int]:
        """Put facilities by code; return (inserted, unchanged). One that changed keeps its past.

        Parameters
        ----------
        frame
            facility_code, kind_code, geometry (Point, EPSG:4490), name, address.
        valid_from
            Since when they are as given; default 2000-01-01, meaning unknown.
        """
        since = valid_from or LONG_AGO
        placed = with_communities(self.connection, frame, valid_from)
        self.refuse_outside(placed["community_code"])
        return put_dated(self.connection, facilities, placed, key=["facility_code"], valid_from=since)

    def list(
        self,
        prefix: str = "",
        at: datetime | None = None,
        *,
        bbox: tuple[float, float, float, float] | None = None,
    ) -> gpd.GeoDataFrame:
        """Return the facilities in the communities under ``prefix`` at ``at`` (default: without an end), by code.

        ``bbox`` (min_lon, min_lat, max_lon, max_lat; EPSG:4490) cuts them to a box.
        """
        statement = (
            select(*plain_columns(facilities), wkb(facilities.c.geom))
            .where(in_force(facilities, at), self.within(facilities.c.community_code, prefix))
            .order_by(facilities.c.facility_code)
        )
        if bbox is not None:
            box = func.ST_MakeEnvelope(*bbox, STORAGE_SRID)
            statement = statement.where(facilities.c.geom.op("&&", return_type=Boolean())(box))
        return read_frame(self.connection, statement)

    def count(self, prefix: str = "", at: datetime | None = None) -> int:
        """Return how many facilities :meth:`list` would give."""
        here = self.within(facilities.c.community_code, prefix)
        return (
            self.connection.scalar(select(func.count()).select_from(facilities).where(in_force(facilities, at), here))
            or 0
        )

    def kinds(self) -> pd.DataFrame:
        """Return the kinds of facilities, by kind_code, with minutes, radius, duty, standard and whether it was verified."""
        return read_frame(self.connection, select(*facility_kinds.columns).order_by(facility_kinds.c.kind_code))
