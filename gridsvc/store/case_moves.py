"""Open cases that take other grids because a redraw came in force, and the record of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import geopandas as gpd
import pandas as pd
from sqlalchemy import func, select, text

from gridsvc.cases.life_cycle import OPEN_STAGES
from gridsvc.store.bulk import staged
from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.repository import Repository
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import case_grid_moves, cases

_DISTRICT_DIGITS = 6
_NETWORKS = ("urban", "social", "security", "unified")


class CaseMoveRepository(Repository):
    """Moves of cases between grids; the scope is that of their district, and below it of their community."""

    def open_cases(self, communities: Iterable[str], opened_before: datetime) -> gpd.GeoDataFrame:
        """Return the cases of these communities that are not closed, voided or merged and were opened before an instant.

        Columns district_code, opened_at, case_id, case_code, community_code, and the grid of each network (``urban_grid`` ...); geometry is the
        position. Ordered by case_code. A case whose report has not been located yet has no community and is left out: it
        gets the grids in force when it is.
        """
        known = sorted(set(communities))
        grid_columns = [cases.c[f"{network}_grid"] for network in _NETWORKS]
        keys = (
            cases.c.district_code, cases.c.opened_at, cases.c.case_id, cases.c.case_code, cases.c.community_code,
        )  # fmt: skip
        statement = (
            select(*keys, *grid_columns, wkb(cases.c.geom))
            .where(
                cases.c.district_code == func.any(sorted({code[:_DISTRICT_DIGITS] for code in known})),
                cases.c.community_code == func.any(known),
                cases.c.stage.in_(OPEN_STAGES),
                cases.c.opened_at < opened_before,
                self.within(cases.c.community_code),
            )
            .order_by(cases.c.case_code)
        )
        return read_frame(self.connection, statement)

    def move(self, frame: pd.DataFrame, *, redraw_id: str, moved_at: datetime) -> int:
        """Give open cases their new grids and record each move; return how many cases moved.

        Parameters
        ----------
        frame
            district_code, opened_at, case_id, and for each network that may change its ``*_grid`` after the move.
            A case that ended meanwhile, or that has these grids already, is left alone.
        """
        names = [f"{network}_grid" for network in _NETWORKS if f"{network}_grid" in frame.columns]
        if frame.empty or not names:
            return 0
        bound = {"redraw_id": redraw_id, "moved_at": moved_at, "open_stages": list(OPEN_STAGES)}
        before = self.count(redraw_id)
        with staged(self.connection, cases, frame, columns=["district_code", "opened_at", "case_id", *names]) as stage:
            for name in names:
                network = name.removesuffix("_grid")
                sql = sql_text("move_cases").replace("{stage}", stage).replace("{grid}", name)
                self.connection.execute(text(sql), bound | {"network": network})
        return self.count(redraw_id) - before

    def count(self, redraw_id: str) -> int:
        """Return how many cases a redraw moved, in whatever network."""
        statement = select(func.count(case_grid_moves.c.case_id.distinct()))
        return self.connection.scalar(statement.where(case_grid_moves.c.redraw_id == redraw_id)) or 0

    def list(self, *, redraw_id: str | None = None, case_code: str | None = None) -> pd.DataFrame:
        """Return moves, of a redraw or of a case, by instant, case and network."""
        moves = case_grid_moves
        statement = select(*plain_columns(moves)).where(
            self.within(moves.c.district_code, self.scope[:_DISTRICT_DIGITS])
        )
        if redraw_id is not None:
            statement = statement.where(moves.c.redraw_id == redraw_id)
        if case_code is not None:
            statement = statement.where(moves.c.case_code == case_code)
        return read_frame(self.connection, statement.order_by(moves.c.moved_at, moves.c.case_code, moves.c.network))
