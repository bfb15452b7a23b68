"""Administrative divisions: city, district, street, community, dated."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from sqlalchemy import Float, Select, String, func, select, text

from gridsvc.store.communities import derive_communities
from gridsvc.store.components import derive_component_divisions
from gridsvc.store.frames import in_force, plain_columns, read_frame, wkb
from gridsvc.store.puts import put_dated
from gridsvc.store.repository import Repository
from gridsvc.store.tables import divisions, facilities, residences

Bounds = tuple[float, float, float, float]


class DivisionRepository(Repository):
    """Divisions under the scope, whose own division is the highest that is seen."""

    def put_frame(self, frame: pd.DataFrame, valid_from: datetime) -> tuple[int, int]:
        """Put divisions that hold from ``valid_from``; return (inserted, unchanged).

        Parameters
        ----------
        frame
            code, name, level, and where known parent_code, urban_rural_class, source, original_datum and geometry
            (MultiPolygon, EPSG:4490; may be missing).

        Raises
        ------
        CodeDuplicateError
            When a code comes twice.
        ForbiddenError
            When a code lies outside the scope.
        """
        self.refuse_outside(frame["code"])
        inserted, unchanged = put_dated(self.connection, divisions, frame, key=["code"], valid_from=valid_from)
        if inserted and (frame["level"] == "community").any():
            for placed in (residences, facilities):
                derive_communities(self.connection, placed, valid_from)
            derive_component_divisions(self.connection, valid_from)
        return inserted, unchanged

    def _select(self, at: datetime | None, with_geometry: bool, prefix: str = "") -> Select:
        columns: list[Any] = plain_columns(divisions)
        if with_geometry:
            columns.append(wkb(divisions.c.geom))
        return select(*columns).where(in_force(divisions, at), self.within(divisions.c.code, prefix))

    def list(
        self, level: str | None = None, prefix: str = "", at: datetime | None = None, with_geometry: bool = True
    ) -> gpd.GeoDataFrame | pd.DataFrame:
        """Return the divisions of a level (default all) under ``prefix`` in force at ``at`` (default: open-ended), by code."""
        statement = self._select(at, with_geometry, prefix).order_by(divisions.c.code)
        if level is not None:
            statement = statement.where(divisions.c.level == level)
        return read_frame(self.connection, statement)

    def get(self, code: str, at: datetime | None = None) -> dict[str, Any] | None:
        """Return one division as a dict with a shapely ``geometry``, or None when it is not there (then, in this scope)."""
        frame = read_frame(self.connection, self._select(at, True, code).where(divisions.c.code == code))
        return None if frame.empty else {name: _plain(value) for name, value in frame.iloc[0].items()}

    def exists(self, codes: Iterable[str], at: datetime | None = None) -> set[str]:
        """Return those of ``codes`` that are in force at ``at``."""
        wanted = [str(code) for code in codes]
        statement = select(divisions.c.code).where(
            in_force(divisions, at), self.within(divisions.c.code), divisions.c.code == func.any(wanted)
        )
        return set(self.connection.scalars(statement))

    def district_at(self, lon: float, lat: float, at: datetime) -> str | None:
        """Return the code of the district a point is in; on a border the smaller code. CRS: EPSG:4490."""
        return self.at(lon, lat, at, "district")

    def at(self, lon: float, lat: float, at: datetime, level: str) -> str | None:
        """Return the code of the division of ``level`` a point is in (the smallest on a border), or None."""
        located = text("SELECT gridsvc_division_at(:lon, :lat, :at, :level)").columns(code=String)
        code = self.connection.scalar(located, {"lon": lon, "lat": lat, "at": at, "level": level})
        if code is None or not (code.startswith(self.scope) or self.scope.startswith(code)):
            return None
        return code

    def bounds(self, prefix: str = "", at: datetime | None = None) -> Bounds | None:
        """Return (min_lon, min_lat, max_lon, max_lat) of the divisions under ``prefix``; None when none is drawn."""
        box = func.ST_Extent(divisions.c.geom)
        edges = [function(box, type_=Float) for function in (func.ST_XMin, func.ST_YMin, func.ST_XMax, func.ST_YMax)]
        statement = select(*edges).where(in_force(divisions, at), self.within(divisions.c.code, prefix))
        row = self.connection.execute(statement).one()
        return None if row[0] is None else (row[0], row[1], row[2], row[3])


def _plain(value: Any) -> Any:
    """Return a frame's missing values as None, its instants as datetimes, its numbers as Python's."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return value.item() if isinstance(value, np.generic) else value
