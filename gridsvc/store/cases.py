"""Cases: the matters being handled. Reports open them; their moves are made by the rooms above."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
from sqlalchemy import ColumnElement, func, select, true

from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.repository import Repository, like_pattern, narrower
from gridsvc.store.tables import cases

_DISTRICT_DIGITS = 6


class CaseRepository(Repository):
    """Cases; the scope is that of their district, and below it of their community."""

    def _under(self, prefix: str = "") -> ColumnElement[bool]:
        like_pattern(prefix)
        both = narrower(prefix, self.scope)
        if both is None:
            return self.within(cases.c.district_code, prefix)
        if len(both) <= _DISTRICT_DIGITS:
            return cases.c.district_code.like(like_pattern(both)) if both else true()
        return (cases.c.district_code == both[:_DISTRICT_DIGITS]) & cases.c.community_code.like(like_pattern(both))

    def get(self, case_code: str) -> dict[str, Any] | None:
        """Return a case by its code, or None when there is none (in this scope)."""
        statement = select(*plain_columns(cases)).where(
            cases.c.case_code == case_code, cases.c.district_code == case_code[:_DISTRICT_DIGITS], self._under()
        )
        row = self.connection.execute(statement).mappings().first()
        return dict(row) if row else None

    def list(self, prefix: str = "", *, stage: str | None = None, limit: int | None = 100) -> gpd.GeoDataFrame:
        """Return the cases under ``prefix``, in ``stage`` where one is given, newest first."""
        statement = select(*plain_columns(cases), wkb(cases.c.geom)).where(self._under(prefix))
        if stage is not None:
            statement = statement.where(cases.c.stage == stage)
        return read_frame(
            self.connection, statement.order_by(cases.c.opened_at.desc(), cases.c.case_code.desc()).limit(limit)
        )

    def count_by_stage(self, prefix: str = "") -> dict[str, int]:
        """Return how many cases under ``prefix`` are in each stage; stages without any are left out."""
        statement = (
            select(cases.c.stage, func.count().label("cases"))
            .where(self._under(prefix))
            .group_by(cases.c.stage)
            .order_by(cases.c.stage)
        )
        return {row.stage: row.cases for row in self.connection.execute(statement)}
