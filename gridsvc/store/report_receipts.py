"""Receipts of reports: what is held of whom, in an order that a transaction which commits late cannot change."""

from __future__ import annotations

from typing import Any

from sqlalchemy import text

from gridsvc.store.repository import Repository

_HISTORY = (
    "SELECT to_hex(s.system_identifier) || to_hex(c.timeline_id) || to_hex(d.oid::bigint)"
    " FROM pg_control_system() AS s, pg_control_checkpoint() AS c, pg_database AS d WHERE d.datname = current_database()"
)
# below the oldest running transaction everything is settled: nothing can appear there any more
_SETTLED = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_HELD = (
    "SELECT report_id::text AS report_id, encode(body_sha256, 'hex') AS content_sha256, recorded_at AS received_at, commit_order"
    " FROM report_receipts"
    " WHERE posted_by = :login AND posted_by <> '' AND (CAST(:device AS text) IS NULL OR device = :device)"
    f" AND (commit_order, report_id) > (:order, CAST(:id AS uuid)) AND commit_order < {_SETTLED}"
    " ORDER BY commit_order, report_id LIMIT :limit"
)


class ReceiptRepository(Repository):
    """Receipts of what was posted one by one or in batches; imported reports have none of a caller's."""

    def history(self) -> str:
        """Return a name of this database and its past, in hex: another one after a restore or a switch to a standby."""
        return str(self.connection.scalar(text(_HISTORY)))

    def held(self, login: str, *, device: str | None, after: tuple[int, str], limit: int) -> list[dict[str, Any]]:
        """Return report_id, content_sha256 (hex), received_at, commit_order of receipts of ``login``, in that order.

        Parameters
        ----------
        device
            Only of this device; None: of all.
        after
            commit_order and report_id of the last one seen.

        Notes
        -----
        A receipt appears when every transaction that began before its own has ended, so none is skipped: a cursor never passes
        one that is still to come.
        """
        order, report_id = after
        bound = {"login": login, "device": device, "order": order, "id": report_id, "limit": limit}
        return [dict(row) for row in self.connection.execute(text(_HELD), bound).mappings()]

    def settle_restored(self) -> int:
        """Put receipts that came from another database server before all that will come; return how many.

        Their order is that of the other server's transactions and may lie in this one's future.
        """
        # a backup from before there was such an order gets one when it is brought to this schema
        known = "SELECT FROM pg_attribute WHERE attrelid = to_regclass('report_receipts') AND attname = 'commit_order'"
        if not self.connection.scalar(text(f"SELECT EXISTS ({known})")):
            return 0
        statement = text(f"UPDATE report_receipts SET commit_order = 0 WHERE commit_order >= {_SETTLED}")
        return self.connection.execute(statement).rowcount
