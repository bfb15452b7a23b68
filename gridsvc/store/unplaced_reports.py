"""Reports with an address and no position: which of them wait, and taking one out of the queue."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from gridsvc.store.repository import Repository

_CLAIM = (
    "SELECT u.report_id::text AS report_id, u.reported_at, u.edition, u.category_code, u.network, u.source, u.description,"
    " u.reporter, u.device, u.address, u.scope_prefix, u.received_at, encode(k.body_sha256, 'hex') AS content_sha256, k.posted_by"
    " FROM unplaced_reports AS u JOIN report_receipts AS k ON k.report_id = u.report_id"
    " WHERE u.tried_with IS DISTINCT FROM :build ORDER BY u.reported_at, u.report_id LIMIT 1 FOR UPDATE OF u SKIP LOCKED"
)


class UnplacedReportRepository(Repository):
    """The queue of reports without a place; whatever the scope, since nobody knows yet where they belong."""

    def has_untried(self, build: str) -> bool:
        """Return whether there is a report that was not tried with this build of the gazetteer."""
        found = "SELECT FROM unplaced_reports WHERE tried_with IS DISTINCT FROM :build"
        return bool(self.connection.scalar(text(f"SELECT EXISTS ({found})"), {"build": build}))

    def claim(self, build: str) -> dict[str, Any] | None:
        """Return the earliest report not tried with this build, held until the transaction ends; None when there is none.

        Two processes never claim the same one: what another holds is passed over.
        """
        row = self.connection.execute(text(_CLAIM), {"build": build}).mappings().first()
        return None if row is None else dict(row)

    def mark_tried(self, report_id: str, build: str) -> None:
        """Leave a report in the queue until there is another build of the gazetteer."""
        statement = "UPDATE unplaced_reports SET tried_with = :build WHERE report_id = CAST(:id AS uuid)"
        self.connection.execute(text(statement), {"build": build, "id": report_id})

    def release(self, report_id: str) -> None:
        """Take a report out of the queue together with its receipt, for taking it in again with a place in this transaction."""
        for table in ("unplaced_reports", "report_receipts"):
            statement = f"DELETE FROM {table} WHERE report_id = CAST(:id AS uuid)"
            self.connection.execute(text(statement), {"id": report_id})
