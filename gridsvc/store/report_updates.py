"""What was told of reports later. An update may come before its report: it is kept, and joins when the report is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from gridsvc.store.repository import Repository

_ADD = (
    "INSERT INTO report_updates (update_id, report_id, occurred_at, description, reporter, device, posted_by, scope_prefix,"
    " content_sha256, received_at) VALUES (CAST(:update_id AS uuid), CAST(:report_id AS uuid), :occurred_at, :description,"
    " :reporter, :device, :posted_by, :scope_prefix, :content_sha256, :received_at) ON CONFLICT DO NOTHING"
)
_OF_REPORT = (
    "SELECT update_id::text AS update_id, occurred_at, received_at, description FROM report_updates"
    " WHERE report_id = CAST(:id AS uuid) AND starts_with(:place, scope_prefix) ORDER BY occurred_at, update_id"
)


class ReportUpdateRepository(Repository):
    """Updates of reports; the scope of an update is that of who posted it."""

    def add(self, row: Mapping[str, Any]) -> bool:
        """Store an update; False when its update_id is there already. Waits for a transaction that is writing the same one.

        ``row``: update_id, report_id, occurred_at, description, reporter, device, posted_by, content_sha256 (bytes),
        received_at.
        """
        return self.connection.execute(text(_ADD), dict(row, scope_prefix=self.scope)).rowcount == 1

    def received(self, update_id: str) -> tuple[bytes, datetime] | None:
        """Return content hash and time of receipt of an update, or None."""
        statement = text("SELECT content_sha256, received_at FROM report_updates WHERE update_id = CAST(:id AS uuid)")
        row = self.connection.execute(statement, {"id": update_id}).one_or_none()
        return None if row is None else (bytes(row.content_sha256), row.received_at)

    def of_report(self, report_id: str, place: str | None) -> list[dict[str, Any]]:
        """Return the updates of a report, earliest first: update_id, occurred_at, received_at, description.

        Those whose poster may not see ``place`` (division code of the report, None: not known yet) are left out.
        """
        bound = {"id": report_id, "place": place or self.scope}
        return [dict(row) for row in self.connection.execute(text(_OF_REPORT), bound).mappings()]

    def ids_of(self, report_ids: Sequence[str], login: str) -> dict[str, list[str]]:
        """Return the ids of the updates that ``login`` posted to these reports, by report."""
        statement = text(
            "SELECT report_id::text AS report_id, array_agg(update_id::text ORDER BY occurred_at, update_id) AS ids"
            " FROM report_updates WHERE report_id = ANY(CAST(:ids AS uuid[])) AND posted_by = :login GROUP BY report_id"
        )
        rows = self.connection.execute(statement, {"ids": list(report_ids), "login": login})
        return {row.report_id: list(row.ids) for row in rows}
