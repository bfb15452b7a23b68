"""Service facilities, dated, with their areas and entrances, and their kinds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely
from sqlalchemy import Boolean, Float, func, select, update

from gridsvc.store.communities import with_communities
from gridsvc.store.frames import in_force, plain_columns, read_frame, wkb
from gridsvc.store.puts import put_dated
from gridsvc.store.repository import Repository
from gridsvc.store.tables import STORAGE_SRID, facilities, facility_kinds

# for facilities of which nobody said since when they are there
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
# inside the repository its own method ``list`` hides the type of that name
_Rows = list[dict[str, Any]]
_SHAPES = ("geometry", "area", "entrances")


class FacilityRepository(Repository):
    """Facilities; the scope is that of the community each is in."""

    def put_frame(self, frame: gpd.GeoDataFrame, valid_from: datetime | None = None) -> tuple[int, int]:
        """Put facilities by code; return (inserted, unchanged). One that changed keeps its past.

        Parameters
        ----------
        frame
            facility_code, kind_code, geometry (Point, EPSG:4490), name, address; where known area (Polygon or MultiPolygon) and
            entrances (MultiPoint).
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
        codes: Sequence[str] | None = None,
        with_areas: bool = False,
    ) -> gpd.GeoDataFrame:
        """Return the facilities in the communities under ``prefix`` at ``at`` (default: without an end), by code.

        ``bbox`` (min_lon, min_lat, max_lon, max_lat; EPSG:4490) cuts them to a box around their points, ``codes`` to those named.
        ``with_areas`` adds the columns area and entrances: MultiPolygon and MultiPoint, None where unknown.
        """
        shapes = [wkb(facilities.c[name], name) for name in ("area", "entrances")] if with_areas else []
        statement = (
            select(*plain_columns(facilities), *shapes, wkb(facilities.c.geom))
            .where(in_force(facilities, at), self.within(facilities.c.community_code, prefix))
            .order_by(facilities.c.facility_code)
        )
        if bbox is not None:
            box = func.ST_MakeEnvelope(*bbox, STORAGE_SRID)
            statement = statement.where(facilities.c.geom.op("&&", return_type=Boolean())(box))
        if codes is not None:
            statement = statement.where(facilities.c.facility_code == func.any([str(code) for code in codes]))
        return read_frame(self.connection, statement, geometry=_SHAPES)

    def versions(self, facility_code: str) -> _Rows:
        """Return what held of a facility, oldest first, shapes as shapely geometries; empty when it is not there (in this scope)."""
        shapes = [
            wkb(facilities.c[column], name)
            for column, name in (("geom", "geometry"), ("area", "area"), ("entrances", "entrances"))
        ]
        point = (
            func.ST_X(facilities.c.geom, type_=Float).label("lon"),
            func.ST_Y(facilities.c.geom, type_=Float).label("lat"),
        )
        statement = (
            select(facilities.c.facility_id, *plain_columns(facilities), facilities.c.recorded_at, *point, *shapes)
            .where(facilities.c.facility_code == facility_code, self.within(facilities.c.community_code))
            .order_by(facilities.c.valid_from)
        )
        return [
            dict(row) | {name: shapely.from_wkb(row[name]) for name in _SHAPES}
            for row in self.connection.execute(statement).mappings()
        ]

    def is_known(self, facility_code: str) -> bool:
        """Return whether a facility of that code was ever there, in any scope: a code outside the scope is not free."""
        statement = select(facilities.c.facility_id).where(facilities.c.facility_code == facility_code).limit(1)
        return self.connection.scalar(statement) is not None

    def close(self, facility_code: str, at: datetime) -> int:
        """End the row without an end at ``at``; return how many there were (in this scope): 1, or 0."""
        here = (facilities.c.facility_code == facility_code) & self.within(facilities.c.community_code)
        ended = update(facilities).where(here, facilities.c.valid_to.is_(None)).values(valid_to=at)
        return self.connection.execute(ended).rowcount

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
