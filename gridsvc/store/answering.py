"""What "who answers" asks of the grids beside where a point is: further claims, and through which governance grid a grid is worked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.sql_files import sql_text

# network and code
Grid = tuple[str, str]


class AnsweringRepository(Repository):
    """Reads of grids in force at an instant, cut to the scope."""

    def claimed_twice(
        self, lon: Sequence[float], lat: Sequence[float], at: datetime
    ) -> dict[tuple[int, str], list[str]]:
        """Return the grids of each point that several grids of one network hold, by place (from 0) and network. CRS: EPSG:4490."""
        bound = {"lon": list(lon), "lat": list(lat), "at": at, "scope": like_pattern(self.scope)}
        rows = self.connection.execute(text(sql_text("claimed_twice")), bound)
        return {(row.place - 1, row.network): list(row.codes) for row in rows}

    def worked_through(self, grids: Sequence[Grid], at: datetime) -> dict[Grid, str]:
        """Return for unit grids and merged grids the governance grid whose workers answer there; others are not in it."""
        bound = {
            "network": [network for network, _ in grids],
            "code": [code for _, code in grids],
            "at": at,
            "scope": like_pattern(self.scope),
        }
        rows = self.connection.execute(text(sql_text("worked_through")), bound)
        return {(row.network, row.code): row.through for row in rows if row.through}
