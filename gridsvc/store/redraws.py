"""Redraws: grids as a draft, then in force or discarded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import geopandas as gpd
import pandas as pd
from sqlalchemy import delete, insert, select, text, update

from gridsvc.errors import ConflictError, NotFoundError
from gridsvc.store.bulk import copy_frame
from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.grids import GridRepository
from gridsvc.store.repository import Repository, refuse_repeats
from gridsvc.store.tables import redraw_grids, redraws


class RedrawRepository(Repository):
    """Redraws; the scope is that of the division they are about."""

    def open_draft(
        self, network: str, division_code: str, origin: str, drafted_by: str, drafted_at: datetime, reason: str = ""
    ) -> str:
        """Open a draft of the grids of ``network`` under ``division_code`` and return its id.

        ``origin`` is automatic, imported, edited or merged.
        """
        self.refuse_outside([division_code])
        values = {
            "network": network, "division_code": division_code, "origin": origin,
            "drafted_by": drafted_by, "drafted_at": drafted_at, "reason": reason,
        }  # fmt: skip
        return self.connection.execute(insert(redraws).values(values).returning(redraws.c.redraw_id)).scalar_one()

    def put_grids(self, redraw_id: str, frame: gpd.GeoDataFrame) -> int:
        """Make ``frame`` the grids of a draft, instead of those it had; return how many."""
        draft = self._draft(redraw_id)
        self.refuse_outside(frame["community_code"])
        refuse_repeats(frame, ["code"])
        self.connection.execute(delete(redraw_grids).where(redraw_grids.c.redraw_id == redraw_id))
        frame = frame.assign(redraw_id=redraw_id, network=draft["network"])
        return copy_frame(self.connection, redraw_grids, frame)

    def get(self, redraw_id: str) -> dict[str, Any]:
        """Return a redraw.

        Raises
        ------
        NotFoundError
            When there is none of that id (in this scope).
        """
        statement = select(*plain_columns(redraws)).where(
            redraws.c.redraw_id == redraw_id, self.within(redraws.c.division_code)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no redraw {redraw_id}.")
        return dict(row)

    def list(self, prefix: str = "", state: str | None = None) -> pd.DataFrame:
        """Return the redraws of divisions under ``prefix``, newest draft first."""
        statement = select(*plain_columns(redraws)).where(self.within(redraws.c.division_code, prefix))
        if state is not None:
            statement = statement.where(redraws.c.state == state)
        return read_frame(self.connection, statement.order_by(redraws.c.drafted_at.desc(), redraws.c.redraw_id))

    def grids(self, redraw_id: str) -> gpd.GeoDataFrame:
        """Return the grids of a redraw, by code; the drafted ones, whatever came of them."""
        self.get(redraw_id)
        statement = select(*plain_columns(redraw_grids, "redraw_id"), wkb(redraw_grids.c.geom))
        return read_frame(
            self.connection, statement.where(redraw_grids.c.redraw_id == redraw_id).order_by(redraw_grids.c.code)
        )

    def approve(
        self, redraw_id: str, by: str, at: datetime, in_force_from: datetime, checks: Mapping[str, Any] | None = None
    ) -> tuple[int, int, int]:
        """Put a draft in force and return (retired, inserted, unchanged) grids.

        Parameters
        ----------
        by, at
            Who decided, and when.
        in_force_from
            The instant its grids begin to hold.
        checks
            What was measured before (gaps, overlaps ...), kept with the redraw; JSON-serialisable.

        Raises
        ------
        ConflictError
            When it is not a draft any more, or later grids are in force already.
        """
        draft = self._draft(redraw_id)
        self._decide(redraw_id, "approved", by, at, in_force_from=in_force_from, checks=dict(checks or {}))
        return GridRepository(self.connection, self.scope).put_in_force(
            self.grids(redraw_id),
            network=draft["network"],
            prefix=draft["division_code"],
            at=in_force_from,
            redraw_id=redraw_id,
        )

    def discard(self, redraw_id: str, by: str = "", at: datetime | None = None) -> None:
        """Give a draft up; it stays on record with its grids, whose codes are not given again."""
        draft = self._draft(redraw_id)
        self._decide(redraw_id, "discarded", by or draft["drafted_by"], at or draft["drafted_at"])

    def _draft(self, redraw_id: str) -> dict[str, Any]:
        redraw = self.get(redraw_id)
        self.connection.execute(text("SELECT FROM redraws WHERE redraw_id = :id FOR UPDATE"), {"id": redraw_id})
        if redraw["state"] != "draft":
            raise ConflictError(f"Redraw {redraw_id} is {redraw['state']}, not a draft.", hint="Open a new draft.")
        return redraw

    def _decide(self, redraw_id: str, state: str, by: str, at: datetime, **more: Any) -> None:
        statement = update(redraws).where(redraws.c.redraw_id == redraw_id, redraws.c.state == "draft")
        done = self.connection.execute(statement.values(state=state, decided_by=by, decided_at=at, **more))
        if done.rowcount != 1:
            raise ConflictError(f"Redraw {redraw_id} was decided by somebody else just now.")
