"""Which grids hold when: the version of all grids, the instants at which they change, and all of them at one instant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import shapely
from sqlalchemy import DateTime, TextClause, column, text

from gridsvc.store.duty import WORKER
from gridsvc.store.repository import Repository, like_pattern, narrower
from gridsvc.store.sql_files import sql_text

Box = tuple[float, float, float, float]
_ASKED = ("place", "network", "code", "only_primary", "at")
_SNAPSHOT_COLUMNS = ("layer", "code", "name", "kind", "community_code", "parent_code", "responsible", "geometry")


@cache
def _statement(name: str) -> TextClause:
    """Return the statement of ``sql/<name>.sql``; reading its parameters anew would take longer than the shortest of them."""
    return text(sql_text(name))


def _array_text(values: Sequence[Any]) -> str:
    """Return an array as PostgreSQL writes it; the driver would look for the type of every element first."""
    quoted = (str(value).replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


class GridHistory(Repository):
    """Reads over the validity of grids and divisions, within a scope (a division-code prefix, "" is everything)."""

    def version(self, *, hold: bool = False) -> str:
        """Return the version of the grids and divisions this transaction sees: a UUID that every change renews.

        Parameters
        ----------
        hold
            Wait until no transaction that changed grids is open, and keep new ones waiting until this one ends. What is
            located by the version returned can then be committed: no change was or will be committed in between.
        """
        if hold:
            return str(self.connection.scalar(text("SELECT gridsvc_hold_grid_version()")))
        return str(self.connection.scalar(text("SELECT version FROM grid_version")))

    def instants(self) -> tuple[str, list[datetime]]:
        """Return the version, and all instants at which a grid or division begins or ends, ascending; whatever the scope."""
        statement = text(
            "SELECT v.version::text, held.at FROM grid_version AS v LEFT JOIN ("
            " SELECT valid_from AS at FROM grids UNION SELECT valid_to FROM grids"
            " UNION SELECT valid_from FROM divisions UNION SELECT valid_to FROM divisions"
            ") AS held ON held.at IS NOT NULL ORDER BY held.at"
        ).columns(column("version"), column("at", DateTime(timezone=True)))
        rows = self.connection.execute(statement).all()
        return rows[0].version, [row.at for row in rows if row.at is not None]

    def snapshot(self, at: datetime, box: Box | None = None) -> tuple[str, pd.DataFrame]:
        """Return the version and all grids and divisions in force at ``at``, read as of one state; whatever the scope.

        Parameters
        ----------
        box
            min_lon, min_lat, max_lon, max_lat: only what may touch it. CRS: EPSG:4490. None for all.

        Returns
        -------
        version, frame
            Columns layer (a network, or a level of divisions), code, name, kind, community_code, parent_code (None where
            there is none), responsible (the governance grid a merged grid answers through, or None), geometry (shapely).
        """
        corners: Sequence[float | None] = box or (None, None, None, None)
        bound = {"at": at, **dict(zip(("min_x", "min_y", "max_x", "max_y"), corners, strict=True))}
        rows = self.connection.execute(_statement("grid_snapshot"), bound).fetchall()
        version = next(row.code for row in rows if row.layer == "version")
        kept = [row for row in rows if row.layer != "version"]
        values = list(zip(*kept, strict=True)) if kept else [()] * len(_SNAPSHOT_COLUMNS)
        data = {name: np.array(part, dtype=object) for name, part in zip(_SNAPSHOT_COLUMNS, values, strict=True)}
        data["geometry"] = shapely.from_wkb(data["geometry"])
        return version, pd.DataFrame({name: pd.Series(part, dtype=object) for name, part in data.items()})

    def places(
        self, lon: Sequence[float], lat: Sequence[float], at: Sequence[datetime]
    ) -> tuple[str, list[tuple[int, str, str]]]:
        """Return the version and, for points at their instants, rows (index, layer, code) as the database finds them.

        Layers are the networks, community and district; a point has no row for a layer that does not hold it.
        """
        bound = {"lon": list(lon), "lat": list(lat), "at": list(at)}
        rows = self.connection.execute(_statement("places"), bound).all()
        return rows[0].version, [(row.place - 1, row.layer, row.code) for row in rows if row.place is not None]

    def on_duty(
        self, asked: Sequence[tuple[int, str, str, bool, datetime]]
    ) -> tuple[str, list[tuple[int, dict[str, Any]]]]:
        """Return the version, and the workers on duty in grids: rows (place, worker), the primary one of each place first.

        Parameters
        ----------
        asked
            place (any number of the caller's), network, grid code, whether only the primary worker is meant, the instant.
        """
        columns = zip(*asked, strict=True) if asked else [()] * len(_ASKED)
        bound = {name: _array_text(part) for name, part in zip(_ASKED, columns, strict=True)}
        rows = self.rows_of(sql_text("workers_on_duty"), bound)
        workers = [(place, dict(zip(WORKER, about, strict=True))) for _, place, *about in rows if place is not None]
        return rows[0][0], workers

    def changes(self, prefix: str, after: datetime, until: datetime) -> list[datetime]:
        """Return the instants in ``(after, until]`` at which a grid or community under ``prefix`` begins or ends, ascending."""
        under = narrower(prefix, self.scope)
        if under is None:
            return []
        statement = text(
            "SELECT DISTINCT v.at FROM ("
            " SELECT community_code AS code, valid_from, valid_to FROM grids"
            " UNION ALL SELECT code, valid_from, valid_to FROM divisions WHERE level = 'community'"
            ") AS held CROSS JOIN LATERAL (VALUES (held.valid_from), (held.valid_to)) AS v (at)"
            " WHERE held.code LIKE :under AND v.at > :after AND v.at <= :until ORDER BY v.at"
        ).columns(column("at", DateTime(timezone=True)))
        return list(self.connection.scalars(statement, {"under": like_pattern(under), "after": after, "until": until}))
