"""Monthly partitions of reports and cases: made when the first row of a month comes. See sql/ensure_months.sql."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from gridsvc.errors import RequestInvalidError

_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def check_month(instant: datetime) -> None:
    """Do nothing when an instant may have a month.

    Raises
    ------
    RequestInvalidError
        When it is before 2000 or after 2099: a wrong clock must not fill the database with empty months.
    """
    if not _FIRST <= instant < _LAST:
        raise RequestInvalidError(f"{instant.isoformat()} is not a time between 2000 and 2099.", field="reported_at")


def ensure_months(connection: Connection, first: datetime, last: datetime) -> int:
    """Make the partitions of all months from that of ``first`` to that of ``last`` (UTC) that are missing; return how many.

    Part of the caller's transaction. Readers and writers of other months are not held up: a partition is made beside the
    table and attached, which takes a lock that only other makers of partitions wait for.

    Raises
    ------
    RequestInvalidError
        When a time is before 2000 or after 2099.
    """
    check_month(first)
    check_month(last)
    statement = text("SELECT gridsvc_ensure_months(:first, :last)")
    return connection.scalar(statement, {"first": first, "last": last}) or 0


def end_of_newest(connection: Connection, table: str) -> datetime | None:
    """Return the first instant after the newest month that has a partition; None when none has."""
    statement = text(
        "SELECT max(relname) FROM pg_class JOIN pg_inherits ON oid = inhrelid WHERE inhparent = CAST(:table AS regclass)"
    )
    name = connection.scalar(statement, {"table": table})
    if name is None:
        return None
    year, month = name.rpartition("_y")[2].split("m")
    return datetime(int(year) + int(month) // 12, int(month) % 12 + 1, 1, tzinfo=UTC)
