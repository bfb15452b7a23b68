"""The community of what has a position: derived from it, never typed in."""

from __future__ import annotations

from datetime import datetime

import geopandas as gpd
import numpy as np
import shapely
from sqlalchemy import Connection, Table, select, text

from gridsvc.geo.location import GridIndex
from gridsvc.store.frames import in_force, read_frame, wkb
from gridsvc.store.tables import divisions


def _index(connection: Connection, at: datetime | None) -> GridIndex:
    statement = select(divisions.c.code, wkb(divisions.c.geom)).where(
        in_force(divisions, at), divisions.c.level == "community", divisions.c.geom.is_not(None)
    )
    frame = read_frame(connection, statement)
    return GridIndex(frame["code"].tolist(), frame["geometry"].to_numpy())


def with_communities(connection: Connection, frame: gpd.GeoDataFrame, at: datetime | None) -> gpd.GeoDataFrame:
    """Return ``frame`` with the community each geometry (a point inside it) is in at ``at`` as ``community_code``; None outside all."""
    points = shapely.point_on_surface(frame.geometry.to_numpy())
    located = _index(connection, at).locate(shapely.get_x(points), shapely.get_y(points))
    return frame.assign(community_code=np.asarray(located, dtype=object))


def derive_communities(connection: Connection, table: Table, at: datetime | None) -> int:
    """Bring ``community_code`` of every row of ``table`` in step with the communities at ``at``; return how many changed."""
    key = next(iter(table.primary_key))
    frame = read_frame(connection, select(key, wkb(table.c.geom)))
    if frame.empty:
        return 0
    placed = with_communities(connection, frame, at)
    statement = text(
        f"UPDATE {table.name} t SET community_code = s.code FROM unnest(CAST(:keys AS bigint[]), CAST(:codes AS text[])) AS s (key, code)"
        f" WHERE t.{key.name} = s.key AND t.community_code IS DISTINCT FROM s.code"
    )
    codes = [None if code is None else str(code) for code in placed["community_code"]]
    return connection.execute(statement, {"keys": placed[key.name].tolist(), "codes": codes}).rowcount
