"""Divisions over many districts: what was asked, what became of each part, what is missing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, null, select, text, update

from gridsvc.errors import NotFoundError
from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import division_run_parts, division_runs

_DISTRICT_DIGITS = 6
# about as far as a division looks beyond its communities
_MARGIN_DEG = 0.00025
# any fixed number; it only has to be ours
_DIVISION_LOCK = 201_517


class DivisionRunRepository(Repository):
    """Runs; the scope is that of the division they are about."""

    def open(
        self,
        division_code: str,
        parts: Mapping[str, int],
        *,
        kinds: Sequence[str],
        is_draft: bool,
        holds_from: datetime,
        rules: Mapping[str, Any],
        seed: int,
        started_by: str,
        started_at: datetime,
    ) -> str:
        """Record a run that is about to begin and return its id.

        Parameters
        ----------
        parts
            Code of each part (a district, or the division itself where that is smaller) and how many communities it has.
        """
        self.refuse_outside([division_code])
        values = {
            "division_code": division_code, "kinds": list(kinds), "is_draft": is_draft, "holds_from": holds_from,
            "rules": dict(rules), "seed": seed, "started_by": started_by, "started_at": started_at,
        }  # fmt: skip
        statement = insert(division_runs).values(values).returning(division_runs.c.division_run_id)
        run_id = self.connection.execute(statement).scalar_one()
        rows = [{"division_run_id": run_id, "part_code": code, "communities": n} for code, n in parts.items()]
        self.connection.execute(insert(division_run_parts), rows)
        return run_id

    def get(self, run_id: str) -> dict[str, Any]:
        """Return a run.

        Raises
        ------
        NotFoundError
            When there is none of that id (in this scope).
        """
        statement = select(*division_runs.columns).where(
            division_runs.c.division_run_id == run_id, self.within(division_runs.c.division_code)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no division run {run_id}.")
        return dict(row)

    def find_latest(self, division_code: str) -> dict[str, Any] | None:
        """Return the run of exactly this division that was started last, or None."""
        statement = (
            select(*division_runs.columns)
            .where(division_runs.c.division_code == division_code, self.within(division_runs.c.division_code))
            .order_by(division_runs.c.started_at.desc(), division_runs.c.recorded_at.desc())
            .limit(1)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        return dict(row) if row else None

    def parts(self, run_id: str) -> list[dict[str, Any]]:
        """Return the parts of a run with their state, those with the most communities first."""
        self.get(run_id)
        statement = (
            select(*division_run_parts.columns)
            .where(division_run_parts.c.division_run_id == run_id)
            .order_by(division_run_parts.c.communities.desc(), division_run_parts.c.part_code)
        )
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def end_part(
        self,
        run_id: str,
        part_code: str,
        *,
        seconds: float,
        outcome: Mapping[str, Any] | None = None,
        input_fingerprint: str | None = None,
        reason: str = "",
    ) -> None:
        """Record that a part is done (with its ``outcome``) or failed (for a ``reason``), as of now."""
        values = {
            "state": "failed" if outcome is None else "done",
            "reason": reason,
            "outcome": null() if outcome is None else dict(outcome),
            "input_fingerprint": input_fingerprint,
            "seconds": seconds,
            "ended_at": func.clock_timestamp(),
        }
        here = (division_run_parts.c.division_run_id == run_id) & (division_run_parts.c.part_code == part_code)
        self.connection.execute(update(division_run_parts).where(here).values(values))

    def finish(self, run_id: str) -> None:
        """Record that no part of a run is waiting any more, as of now."""
        statement = update(division_runs).where(division_runs.c.division_run_id == run_id)
        self.connection.execute(statement.values(finished_at=func.clock_timestamp()))

    def wait_for_turn(self, part_code: str) -> None:
        """Wait until nobody else divides this district, and keep others waiting until the transaction ends.

        Two drafts made at once would give the same new codes to different grids.
        """
        statement = select(func.pg_advisory_xact_lock(_DIVISION_LOCK, int(part_code[:_DISTRICT_DIGITS])))
        self.connection.execute(statement)

    def fingerprint(self, part_code: str, at: datetime) -> str:
        """Return a hash of all that dividing a part at ``at`` reads: communities, buildings, streets, barriers, water."""
        bound = {
            "under": like_pattern(part_code),
            "at": at,
            "margin_deg": _MARGIN_DEG,
        }
        rows = self.connection.execute(text(sql_text("division_fingerprint")), bound).all()
        return hashlib.sha256(repr([(r.layer, r.rows, int(r.content)) for r in rows]).encode()).hexdigest()
