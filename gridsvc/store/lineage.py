"""Lineage of grids: what became of which, by the redraw that did it."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import ColumnElement, or_, select

from gridsvc.store.bulk import copy_frame
from gridsvc.store.frames import plain_columns, read_frame
from gridsvc.store.repository import Repository
from gridsvc.store.tables import grid_lineage


class LineageRepository(Repository):
    """Lineage; the scope is that of the grids named."""

    def put(self, redraw_id: str, frame: pd.DataFrame) -> int:
        """Keep the lineage a redraw brought and return how many pairs.

        ``frame``: network, relation_no, kind, old_code, new_code, area_m2 (m2), households, population, and the four shares.
        """
        self.refuse_outside(frame["new_code"])
        return copy_frame(self.connection, grid_lineage, frame.assign(redraw_id=redraw_id))

    def of_redraw(self, redraw_id: str) -> pd.DataFrame:
        """Return the lineage a redraw brought, by network, old code and new code; empty for one that is not in force."""
        return self._read(grid_lineage.c.redraw_id == redraw_id)

    def of_code(self, network: str, code: str) -> pd.DataFrame:
        """Return every pair in which a code is the old or the new grid, oldest redraw first."""
        named = or_(grid_lineage.c.old_code == code, grid_lineage.c.new_code == code)
        return self._read((grid_lineage.c.network == network) & named)

    def _read(self, condition: ColumnElement[bool]) -> pd.DataFrame:
        statement = (
            select(*plain_columns(grid_lineage))
            .where(condition, self.within(grid_lineage.c.new_code))
            .order_by(grid_lineage.c.lineage_id)
        )
        return read_frame(self.connection, statement)
