"""Monthly partitions of reports and cases: made when the first row of a month comes."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection, text

from gridsvc.errors import RequestInvalidError

PARTITIONED = ("reports", "cases")
_LOCK_KEY = 4_490_201_512
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def partition_name(table: str, month: datetime) -> str:
    """Return the name of the partition that holds a month, such as ``reports_y2026m11``."""
    return f"{table}_y{month:%Y}m{month:%m}"


def months_between(first: datetime, last: datetime) -> list[datetime]:
    """Return the first instant (UTC) of every month from that of ``first`` to that of ``last``, both included.

    Raises
    ------
    RequestInvalidError
        When a time is before 2000 or after 2099: a wrong clock must not fill the database with empty months.
    """
    for instant in (first, last):
        if not _FIRST <= instant < _LAST:
            raise RequestInvalidError(
                f"{instant.isoformat()} is not a time between 2000 and 2099.", field="reported_at"
            )
    month = _month_of(first)
    months = []
    while month <= _month_of(last):
        months.append(month)
        month = _next(month)
    return months


def _month_of(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)


def ensure_months(connection: Connection, first: datetime, last: datetime) -> int:
    """Make the partitions of all months from ``first`` to ``last`` that are missing; return how many were made.

    Part of the caller's transaction. Readers and writers of other months are not held up: a partition is made beside the
    table and attached, which takes a lock that only other makers of partitions wait for.
    """
    wanted = {
        partition_name(table, month): (table, month) for month in months_between(first, last) for table in PARTITIONED
    }
    missing = _missing(connection, wanted)
    if not missing:
        return 0
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    missing = _missing(connection, wanted)  # somebody else may have made them while we waited
    for name in missing:
        table, month = wanted[name]
        connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
        connection.execute(
            text(
                f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{month.isoformat()}') TO ('{_next(month).isoformat()}')"
            )
        )
    return len(missing)


def _missing(connection: Connection, wanted: dict[str, tuple[str, datetime]]) -> list[str]:
    # pg_class and not to_regclass(): the latter may answer from what this session remembers from before its wait
    statement = text(
        "SELECT name FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS n (name, place) WHERE NOT EXISTS"
        " (SELECT FROM pg_class WHERE relname = n.name AND relnamespace = current_schema()::regnamespace) ORDER BY place"
    )
    return list(connection.scalars(statement, {"names": list(wanted)}))


def end_of_newest(connection: Connection, table: str) -> datetime | None:
    """Return the first instant after the newest month that has a partition; None when none has."""
    statement = text(
        "SELECT max(relname) FROM pg_class JOIN pg_inherits ON oid = inhrelid WHERE inhparent = CAST(:table AS regclass)"
    )
    name = connection.scalar(statement, {"table": table})
    if name is None:
        return None
    year, month = name.rpartition("_y")[2].split("m")
    return _next(datetime(int(year), int(month), 1, tzinfo=UTC))
