"""The register of components: dated rows by id, serial numbers that are given once, and the nearest of a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sqlalchemy import Connection, Text, cast, func, insert, select, text, update

from gridsvc.geo.component_snapping import metres_of_a_degree
from gridsvc.geo.location import GridIndex
from gridsvc.store.frames import in_force, plain_columns, read_frame, wkb
from gridsvc.store.puts import put_dated
from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import components, divisions

# the class below has a method of this name
_Rows = list[dict[str, Any]]
_IdLists = list[list[str]]
_LOCK_KEY = 4_490_201_722
# columns that say since when and by whom a version holds, not what the component is
_OF_VERSION = ("component_version_id", "state", "valid_from", "valid_to", "changed_by", "change_note", "recorded_at")


class ComponentRepository(Repository):
    """Components; the scope is that of the smallest division each is in."""

    def lock(self) -> None:
        """Make other writers of the register wait until this transaction ends, so that no id is given twice."""
        self.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})

    def put_frame(self, frame: gpd.GeoDataFrame, valid_from: datetime) -> tuple[int, int]:
        """Put components by id; return (inserted, unchanged). One that changed keeps its past.

        Parameters
        ----------
        frame
            Columns of the table ``components``, every id given; geometry (Point, EPSG:4490).

        Raises
        ------
        CodeDuplicateError
            When an id comes twice.
        ForbiddenError
            When a component lies outside the scope.
        """
        self.refuse_outside(frame["division_code"])
        return put_dated(self.connection, components, frame, key=["component_id"], valid_from=valid_from)

    def take_serials(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Return for each id prefix (district and class) the first of so many serial numbers that nobody ever had.

        Those taken are gone, unless the transaction is rolled back.
        """
        statement = text(
            "INSERT INTO component_serials AS s (id_prefix, last_serial)"
            " SELECT * FROM unnest(CAST(:prefixes AS text[]), CAST(:counts AS integer[])) ORDER BY 1"
            " ON CONFLICT (id_prefix) DO UPDATE SET last_serial = s.last_serial + excluded.last_serial"
            " RETURNING id_prefix, last_serial"
        )
        bound = {"prefixes": list(counts), "counts": list(counts.values())}
        return {prefix: last - counts[prefix] + 1 for prefix, last in self.connection.execute(statement, bound)}

    def note_serials(self, last: Mapping[str, int]) -> None:
        """Note the largest serial number given elsewhere for each id prefix, so that serials taken here come after it."""
        statement = text(
            "INSERT INTO component_serials AS s (id_prefix, last_serial)"
            " SELECT * FROM unnest(CAST(:prefixes AS text[]), CAST(:serials AS integer[])) ORDER BY 1"
            " ON CONFLICT (id_prefix) DO UPDATE SET last_serial = excluded.last_serial"
            " WHERE s.last_serial < excluded.last_serial"
        )
        self.connection.execute(statement, {"prefixes": list(last), "serials": list(last.values())})

    def list(
        self,
        prefix: str = "",
        at: datetime | None = None,
        *,
        category_code: str | None = None,
        state: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> gpd.GeoDataFrame:
        """Return the components in divisions under ``prefix`` at ``at`` (default: without an end), by id."""
        shown = [c for c in plain_columns(components) if c.name != "began_on"]
        statement = (
            select(*shown, cast(components.c.began_on, Text).label("began_on"), wkb(components.c.geom))
            .where(in_force(components, at), self.within(components.c.division_code, prefix))
            .order_by(components.c.component_id)
        )
        if category_code is not None:
            statement = statement.where(components.c.category_code == category_code)
        if state is not None:
            statement = statement.where(components.c.state == state)
        if ids is not None:
            statement = statement.where(components.c.component_id == func.any([str(code) for code in ids]))
        return read_frame(self.connection, statement)

    def registered(self, ids: Sequence[str]) -> set[str]:
        """Return those of ``ids`` that were ever given, in any scope: an id outside the scope is not free."""
        statement = select(components.c.component_id).distinct()
        statement = statement.where(components.c.component_id == func.any([str(code) for code in ids]))
        return set(self.connection.scalars(statement))

    def ids_at(self, codes: Sequence[str], lon: np.ndarray, lat: np.ndarray, at: datetime) -> _IdLists:
        """Return for each class and exact place the ids of the components there at ``at``, removed ones left out. CRS: EPSG:4490."""
        statement = text(
            "SELECT p.place, c.component_id"
            " FROM unnest(CAST(:codes AS text[]), CAST(:lon AS float8[]), CAST(:lat AS float8[])) WITH ORDINALITY AS p (code, lon, lat, place)"
            " JOIN components c ON c.category_code = p.code AND c.geom && ST_SetSRID(ST_MakePoint(p.lon, p.lat), 4490)"
            " AND ST_X(c.geom) = p.lon AND ST_Y(c.geom) = p.lat"  # boxes in an index are rounded outwards to single precision
            " WHERE c.valid_from <= :at AND (c.valid_to IS NULL OR c.valid_to > :at) AND c.state <> 'removed'"
            " AND c.division_code LIKE :scope ORDER BY p.place, c.component_id"
        )
        bound = {"codes": list(codes), "lon": lon.tolist(), "lat": lat.tolist(), "at": at, "scope": self._scope()}
        found: _IdLists = [[] for _ in codes]
        for place, component_id in self.connection.execute(statement, bound):
            found[place - 1].append(component_id)
        return found

    def versions(self, component_id: str) -> _Rows:
        """Return what was recorded of a component, oldest first; empty when it is not there (in this scope)."""
        c = components.c
        statement = (
            select(c.state, c.valid_from, c.valid_to, c.changed_by, c.change_note, c.recorded_at, func.ST_X(c.geom).label("lon"),
                   func.ST_Y(c.geom).label("lat"), c.department_name, c.owner_name, c.maintainer_name)
            .where(c.component_id == component_id, self.within(c.division_code))
            .order_by(c.valid_from)
        )  # fmt: skip
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def change_state(self, component_id: str, state: str, *, at: datetime, changed_by: str, note: str) -> None:
        """End the version without an end at ``at``, and let one with another state follow it."""
        here = (components.c.component_id == component_id) & self.within(components.c.division_code)
        kept = [column for column in components.columns if column.name not in _OF_VERSION]
        ended = update(components).where(here, components.c.valid_to.is_(None)).values(valid_to=at)
        self.connection.execute(ended)
        new = {"state": state, "valid_from": at, "changed_by": changed_by, "change_note": note}
        types = {name: components.c[name].type for name in new}
        values = [cast(value, types[name]) for name, value in new.items()]
        copied = select(*kept, *values).where(here, components.c.valid_to == at)
        self.connection.execute(insert(components).from_select([*(c.name for c in kept), *new], copied))

    def near(self, lon: float, lat: float, codes: Sequence[str], *, at: datetime, radius_m: float, limit: int) -> _Rows:
        """Return the components of the classes ``codes`` that can be among the ``limit`` nearest within ``radius_m``, in no order.

        Some lie a little farther than asked: who measures exactly must drop them. Removed ones are left out. CRS: EPSG:4490.

        Notes
        -----
        Cost: two walks of the index by class and place, however many components there are.
        """
        degree = metres_of_a_degree(lat)
        bound = {
            "lon": lon, "lat": lat, "codes": list(codes), "at": at, "radius_m": radius_m, "limit": limit,
            "degree_lon_m": degree.lon_m, "degree_lat_m": degree.lat_m, "scope": self._scope(),
        }  # fmt: skip
        return [dict(row) for row in self.connection.execute(text(sql_text("snap_components")), bound).mappings()]

    def _scope(self) -> str:
        return like_pattern(self.scope)


def derive_component_divisions(connection: Connection, at: datetime) -> int:
    """Bring ``division_code`` of the components that hold at ``at`` or later in step with the divisions then; return how many changed.

    Where no division is drawn any more a component keeps the one it has.
    """
    since = components.c.valid_to.is_(None) | (components.c.valid_to > at)
    frame = read_frame(
        connection,
        select(components.c.component_version_id, components.c.division_code, wkb(components.c.geom)).where(since),
    )
    if frame.empty:
        return 0
    lon, lat = shapely.get_x(frame.geometry.to_numpy()), shapely.get_y(frame.geometry.to_numpy())
    located = _located(connection, "community", lon, lat, at)
    unknown = pd.isna(located)
    located[unknown] = _located(connection, "district", lon[unknown], lat[unknown], at)
    changed = ~pd.isna(located) & (located != frame["division_code"].to_numpy(dtype=object))
    statement = text(
        "UPDATE components c SET division_code = s.code FROM unnest(CAST(:keys AS bigint[]), CAST(:codes AS text[])) AS s (key, code)"
        " WHERE c.component_version_id = s.key"
    )
    keys = frame["component_version_id"].to_numpy()[changed]
    return connection.execute(statement, {"keys": keys.tolist(), "codes": [str(c) for c in located[changed]]}).rowcount


def _located(connection: Connection, level: str, lon: np.ndarray, lat: np.ndarray, at: datetime) -> np.ndarray:
    statement = select(divisions.c.code, wkb(divisions.c.geom)).where(
        in_force(divisions, at), divisions.c.level == level, divisions.c.geom.is_not(None)
    )
    frame = read_frame(connection, statement)
    index = GridIndex(frame["code"].tolist(), frame["geometry"].to_numpy())
    return np.asarray(index.locate(lon, lat), dtype=object)
