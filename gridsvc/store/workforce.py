"""Workers and their assignments to grids, both dated."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pandas as pd
from sqlalchemy import func, select, text

from gridsvc.store.bulk import columns_of, staged
from gridsvc.store.frames import in_force, plain_columns, read_frame, wkb
from gridsvc.store.puts import put_dated
from gridsvc.store.repository import Repository, like_pattern, refuse_repeats
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import assignments, worker_kinds, workers


class WorkerRepository(Repository):
    """Workers; the scope is that of the division they work for."""

    def put_frame(self, frame: pd.DataFrame, valid_from: datetime) -> tuple[int, int]:
        """Put workers who are as given from ``valid_from``; return (inserted, unchanged).

        ``frame``: worker_code, name, kind_code, division_code, and where known phone, capacity_grids and geometry: the home,
        a Point in EPSG:4490.
        """
        self.refuse_outside(frame["division_code"])
        return put_dated(self.connection, workers, frame, key=["worker_code"], valid_from=valid_from)

    def list(self, prefix: str = "", at: datetime | None = None) -> pd.DataFrame:
        """Return the workers of divisions under ``prefix`` at ``at`` (default: without an end), by code; ``geometry`` is the home.

        Homes and phones are personal: show them to nobody; they are for assignment.
        """
        statement = (
            select(*plain_columns(workers), wkb(workers.c.home))
            .where(in_force(workers, at), self.within(workers.c.division_code, prefix))
            .order_by(workers.c.worker_code)
        )
        return read_frame(self.connection, statement)

    def count(self, prefix: str = "", at: datetime | None = None) -> int:
        """Return how many workers :meth:`list` would give."""
        here = self.within(workers.c.division_code, prefix)
        return self.connection.scalar(select(func.count()).select_from(workers).where(in_force(workers, at), here)) or 0

    def kinds(self) -> pd.DataFrame:
        """Return the kinds of workers, by kind_code."""
        return read_frame(self.connection, select(*worker_kinds.columns).order_by(worker_kinds.c.kind_code))


_KEY = ["worker_code", "network", "grid_code"]


class AssignmentRepository(Repository):
    """Assignments; the scope is that of their grid."""

    def put_in_force(self, frame: pd.DataFrame, *, network: str, prefix: str, at: datetime) -> tuple[int, int, int]:
        """Make ``frame`` the assignments to grids of ``network`` under ``prefix`` from ``at`` on; return (ended, inserted, unchanged).

        Those that are the same stay untouched, the others end at ``at`` (removed when they began at that very instant).

        Parameters
        ----------
        frame
            worker_code, grid_code, role, is_primary, deputy_of.

        Raises
        ------
        ConflictError
            When one grid would have two primary workers at an instant.
        """
        self.refuse_outside([prefix])
        self.refuse_outside(frame["grid_code"])
        frame = frame.assign(network=network)
        refuse_repeats(frame, _KEY)
        bound = {"network": network, "under": like_pattern(prefix), "at": at}
        names = columns_of(assignments, frame)
        with staged(self.connection, assignments, frame, columns=names) as stage:
            return self._exchange(stage, names, bound)

    def add_frame(self, frame: pd.DataFrame, *, network: str, at: datetime) -> int:
        """Put more workers on grids from ``at`` on, beside those already there; return how many.

        ``frame`` as for :meth:`put_in_force`. Who is on a grid already, in whatever role, is left alone.

        Raises
        ------
        ConflictError
            When one grid would have two primary workers at an instant.
        """
        if frame.empty:
            return 0
        self.refuse_outside(frame["grid_code"])
        frame = frame.assign(network=network)
        refuse_repeats(frame, _KEY)
        names = columns_of(assignments, frame)
        listed = ", ".join(f'"{name}"' for name in names)
        sql = (
            f"INSERT INTO assignments ({listed}, valid_from) SELECT {listed}, :at FROM {{stage}} AS s"
            " WHERE NOT EXISTS (SELECT FROM assignments AS t WHERE t.network = s.network AND t.grid_code = s.grid_code"
            " AND t.worker_code = s.worker_code AND (t.valid_to IS NULL OR t.valid_to > :at))"
            " ORDER BY grid_code, worker_code"
        )
        with staged(self.connection, assignments, frame, columns=names) as stage:
            return self.connection.execute(text(sql.replace("{stage}", stage)), {"at": at}).rowcount

    def end_orphaned(self, network: str, communities: Iterable[str], at: datetime) -> int:
        """End assignments to grids of these communities that are no longer in force at ``at``; return how many."""
        bound = {"network": network, "communities": sorted(set(communities)), "at": at}
        return self.connection.execute(text(sql_text("end_orphaned_assignments")), bound).rowcount

    def _exchange(self, stage: str, names: list[str], bound: dict[str, Any]) -> tuple[int, int, int]:
        held = "t.network = :network AND t.grid_code LIKE :under AND t.valid_from <= :at AND (t.valid_to IS NULL OR t.valid_to > :at)"
        # plain equality on the key, which is never NULL, lets the two sets be hashed against each other
        equals = {name: "=" if name in _KEY else "IS NOT DISTINCT FROM" for name in names}
        same = " AND ".join(f't."{name}" {sign} s."{name}"' for name, sign in equals.items())
        listed = ", ".join(f'"{name}"' for name in names)

        def run(sql: str) -> int:
            return self.connection.execute(text(sql), bound).rowcount

        run(f"ALTER TABLE {stage} ADD COLUMN kept bigint")
        unchanged = run(f"UPDATE {stage} s SET kept = t.assignment_id FROM assignments t WHERE {held} AND {same}")
        others = f"{held} AND NOT EXISTS (SELECT FROM {stage} s WHERE s.kept = t.assignment_id)"
        never_held = run(f"DELETE FROM assignments t WHERE {others} AND t.valid_from = :at")
        ended = run(f"UPDATE assignments t SET valid_to = :at WHERE {others}")
        inserted = run(
            f"INSERT INTO assignments ({listed}, valid_from) SELECT {listed}, :at FROM {stage} WHERE kept IS NULL"
            " ORDER BY grid_code, worker_code"
        )
        return ended + never_held, inserted, unchanged

    def list(self, network: str, prefix: str = "", at: datetime | None = None) -> pd.DataFrame:
        """Return the assignments to grids of ``network`` under ``prefix`` at ``at``, by grid, primary first, then worker."""
        statement = (
            select(*plain_columns(assignments))
            .where(
                assignments.c.network == network,
                in_force(assignments, at),
                self.within(assignments.c.grid_code, prefix),
            )
            .order_by(assignments.c.grid_code, assignments.c.is_primary.desc(), assignments.c.worker_code)
        )
        return read_frame(self.connection, statement)
