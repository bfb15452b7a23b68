"""Streets, water, barriers, compounds and gates: put by code, listed by box, boundary or division."""

from __future__ import annotations

from collections.abc import Sequence

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Boolean, ColumnElement, Select, Table, func, select, true
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.sql.expression import bindparam

from gridsvc.errors import ForbiddenError
from gridsvc.store.frames import chosen_columns, read_frame, wkb
from gridsvc.store.puts import put_current
from gridsvc.store.repository import Repository
from gridsvc.store.tables import STORAGE_SRID, barriers, compounds, divisions, gates, streets, water_areas

Bounds = tuple[float, float, float, float]


class BasemapRepository(Repository):
    """One table of the basemap. Lines cross borders, so scope means: touches a community of the scope."""

    table: Table
    key: str

    def put_frame(self, frame: gpd.GeoDataFrame) -> tuple[int, int]:
        """Put rows by code; return (inserted or replaced, unchanged).

        Raises
        ------
        ForbiddenError
            When the scope is not everything and a geometry does not touch it.
        """
        self._refuse_elsewhere(frame)
        return put_current(self.connection, self.table, frame, key=self.key)

    def list(
        self,
        bbox: Bounds | None = None,
        *,
        prefix: str = "",
        boundary: BaseGeometry | None = None,
        columns: Sequence[str] | None = None,
    ) -> gpd.GeoDataFrame:
        """Return the rows that meet all conditions given, ordered by code.

        Parameters
        ----------
        bbox
            min_lon, min_lat, max_lon, max_lat; rows whose box meets it. CRS: EPSG:4490.
        prefix
            Division code; rows that touch a community under it.
        boundary
            Rows that touch this (multi)polygon. CRS: EPSG:4490.
        columns
            Names of the columns wanted beside the geometry; None: all.
        """
        statement = self._select(bbox, prefix, boundary, columns).order_by(self.table.c[self.key])
        return read_frame(self.connection, statement)

    def count(self, prefix: str = "") -> int:
        """Return how many rows touch the communities under ``prefix``."""
        return self.connection.scalar(select(func.count()).select_from(self.table).where(self._touches(prefix))) or 0

    def _select(
        self, bbox: Bounds | None, prefix: str, boundary: BaseGeometry | None, columns: Sequence[str] | None
    ) -> Select:
        statement = select(*chosen_columns(self.table, columns), wkb(self.table.c.geom)).where(self._touches(prefix))
        if bbox is not None:
            statement = statement.where(
                self.table.c.geom.op("&&", return_type=Boolean())(func.ST_MakeEnvelope(*bbox, STORAGE_SRID))
            )
        if boundary is not None:
            statement = statement.where(func.ST_Intersects(self.table.c.geom, _literal(boundary)))
        return statement

    def _touches(self, prefix: str) -> ColumnElement[bool]:
        within = self.within(divisions.c.code, prefix)
        if not prefix and not self.scope:
            return true()
        # a prefix below community level names nothing
        near = (divisions.c.level == "community") & divisions.c.valid_to.is_(None)
        meets = func.ST_Intersects(divisions.c.geom, self.table.c.geom)
        return select(divisions.c.division_id).where(within, near, meets).exists()

    def _refuse_elsewhere(self, frame: gpd.GeoDataFrame) -> None:
        if not self.scope:
            return
        own = select(func.ST_AsBinary(func.ST_Union(divisions.c.geom), type_=BYTEA)).where(
            self.within(divisions.c.code), divisions.c.level == "community", divisions.c.valid_to.is_(None)
        )
        area = shapely.from_wkb(self.connection.scalar(own))
        outside = (
            np.ones(len(frame), dtype=bool) if area is None else ~shapely.intersects(frame.geometry.to_numpy(), area)
        )
        if outside.any():
            code = frame[self.key].to_numpy()[outside][0]
            raise ForbiddenError(f"{code} is outside your area ({self.scope}).", scope=self.scope, code=str(code))


def _literal(geometry: BaseGeometry) -> ColumnElement:
    return func.ST_GeomFromWKB(bindparam(None, shapely.to_wkb(geometry), type_=BYTEA), STORAGE_SRID)


class StreetRepository(BasemapRepository):
    """Streets; whether people walk there is the importer's to say (``data/street_classes.csv``)."""

    table = streets
    key = "street_code"


class WaterRepository(BasemapRepository):
    """Rivers, lakes, canals."""

    table = water_areas
    key = "water_code"


class BarrierRepository(BasemapRepository):
    """Walls, railways and banks that nobody crosses."""

    table = barriers
    key = "barrier_code"


class CompoundRepository(BasemapRepository):
    """Walled areas."""

    table = compounds
    key = "compound_code"


class GateRepository(BasemapRepository):
    """Gates in the walls of compounds."""

    table = gates
    key = "gate_code"
