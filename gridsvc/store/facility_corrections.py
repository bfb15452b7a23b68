"""Corrections of facilities: taken in once whatever is retried, listed, decided once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pandas as pd
from sqlalchemy import Float, cast, func, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.dialects.postgresql import insert

from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.repository import Repository
from gridsvc.store.tables import STORAGE_SRID, divisions, facility_corrections

_Rows = list[dict[str, Any]]
_LOCK_KEY = 4_490_201_731
_table = facility_corrections
# when it was received and its id: where a list, oldest first, has come to
Position = tuple[datetime, UUID]


def _shown() -> list[Any]:
    lon, lat = (
        getattr(func, name)(_table.c.geom, type_=Float).label(label)
        for name, label in (("ST_X", "lon"), ("ST_Y", "lat"))
    )
    return [*plain_columns(_table, "content_sha256"), lon, lat]


class FacilityCorrectionRepository(Repository):
    """Corrections; the scope is that of the smallest division of the facility, or of the place of a new one."""

    def lock(self) -> None:
        """Make others who decide wait until this transaction ends, so that each correction meets the facility as the last left it."""
        self.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})

    def add(self, row: Mapping[str, Any]) -> bool:
        """Take a correction in, and return whether it is new: False when its id was there.

        Parameters
        ----------
        row
            Columns of the table ``facility_corrections``; lon and lat (EPSG:4490) where it has a place.

        Raises
        ------
        ForbiddenError
            When it lies outside the scope.
        """
        self.refuse_outside([row["division_code"]])
        values = {name: value for name, value in row.items() if name not in ("lon", "lat")}
        if row.get("lon") is not None:
            point = func.ST_MakePoint(cast(row["lon"], Float), cast(row["lat"], Float))
            values["geom"] = func.ST_SetSRID(point, STORAGE_SRID)
        statement = insert(_table).values(values).on_conflict_do_nothing().returning(_table.c.correction_id)
        return self.connection.execute(statement).one_or_none() is not None

    def find(self, correction_id: UUID) -> dict[str, Any] | None:
        """Return a correction, lon and lat EPSG:4490; None when there is none of that id (in this scope)."""
        statement = select(*_shown()).where(
            _table.c.correction_id == correction_id, self.within(_table.c.division_code)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        return None if row is None else dict(row)

    def author_and_content(self, correction_id: UUID) -> tuple[str, bytes] | None:
        """Return who sent a correction and the hash of what it said, in any scope; None when there is none of that id."""
        statement = select(_table.c.reported_by, _table.c.content_sha256).where(_table.c.correction_id == correction_id)
        row = self.connection.execute(statement).one_or_none()
        return None if row is None else (row[0], bytes(row[1]))

    def page(
        self,
        prefix: str = "",
        *,
        state: str | None = None,
        what: str | None = None,
        facility_code: str | None = None,
        after: Position | None = None,
        limit: int = 100,
    ) -> _Rows:
        """Return a page of corrections of divisions under ``prefix``, the longest waiting first."""
        statement = select(*_shown()).where(self.within(_table.c.division_code, prefix))
        for column, wanted in ((_table.c.state, state), (_table.c.what, what), (_table.c.facility_code, facility_code)):
            if wanted is not None:
                statement = statement.where(column == wanted)
        if after is not None:
            here = tuple_(literal(after[0], _table.c.received_at.type), literal(after[1], PG_UUID(as_uuid=True)))
            statement = statement.where(tuple_(_table.c.received_at, _table.c.correction_id) > here)
        statement = statement.order_by(_table.c.received_at, _table.c.correction_id).limit(limit)
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def accepted(self, prefix: str = "", since: datetime | None = None) -> pd.DataFrame:
        """Return what was accepted (from ``since`` on) in divisions under ``prefix``, in the order of decisions; geometry None where none was given."""
        statement = select(*plain_columns(_table, "content_sha256", "findings"), wkb(_table.c.geom, "place")).where(
            _table.c.state == "accepted", self.within(_table.c.division_code, prefix)
        )
        if since is not None:
            statement = statement.where(_table.c.decided_at >= since)
        statement = statement.order_by(_table.c.decided_at, _table.c.correction_id)
        return read_frame(self.connection, statement, geometry=("place",))

    def decide(
        self,
        correction_id: UUID,
        state: str,
        *,
        by: str,
        at: datetime,
        reason: str,
        in_force_from: datetime | None = None,
        applied_code: str = "",
        findings: Sequence[Mapping[str, Any]] = (),
    ) -> int:
        """Let an open correction be accepted or refused; return how many were open (in this scope): 1, or 0."""
        here = (_table.c.correction_id == correction_id) & (_table.c.state == "open")
        decided = (
            update(_table)
            .where(here, self.within(_table.c.division_code))
            .values(
                state=state, decided_by=by, decided_at=at, reason=reason, in_force_from=in_force_from,
                applied_code=applied_code, findings=list(findings),
            )
        )  # fmt: skip
        return self.connection.execute(decided).rowcount

    def division_at(self, lon: float, lat: float, at: datetime) -> str | None:
        """Return the code of the smallest division whose boundary meets a point at ``at``, in any scope; None outside of all. CRS: EPSG:4490."""
        point = func.ST_SetSRID(func.ST_MakePoint(lon, lat), STORAGE_SRID)
        statement = (
            select(divisions.c.code)
            .where(
                func.ST_Intersects(divisions.c.geom, point),
                divisions.c.valid_from <= at,
                divisions.c.valid_to.is_(None) | (divisions.c.valid_to > at),
            )
            .order_by(func.length(divisions.c.code).desc(), divisions.c.code)
            .limit(1)
        )
        return self.connection.scalar(statement)
