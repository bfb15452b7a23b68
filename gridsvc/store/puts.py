"""The two ways a frame is put into a table: dated (history kept) and current (replaced by key)."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
from sqlalchemy import Connection, Table, text

from gridsvc.store.bulk import columns_of, staged
from gridsvc.store.repository import refuse_repeats

# where a row came from, and who said so, does not make it another row
_NOT_COMPARED = {"source", "original_datum", "original_x", "original_y", "changed_by", "change_note"}


def _same(names: list[str], key: list[str], new: str = "s") -> str:
    compared = [name for name in names if name not in key and name not in _NOT_COMPARED]
    return " AND ".join(f't."{name}" IS NOT DISTINCT FROM {new}."{name}"' for name in compared) or "true"


def _list(names: list[str], table: str = "") -> str:
    return ", ".join(f'{table}"{name}"' for name in names)


def put_dated(
    connection: Connection, table: Table, frame: pd.DataFrame, *, key: list[str], valid_from: datetime
) -> tuple[int, int]:
    """Put rows that hold from ``valid_from``; return how many were inserted and how many were there already.

    A row that is the same as the one in force stays untouched. One that differs ends the old row at ``valid_from`` (or
    takes its place when it began at that instant) and holds until the old one would have ended or a later one begins.
    """
    refuse_repeats(frame, key)
    names = columns_of(table, frame)
    matched = " AND ".join(f't."{name}" = s."{name}"' for name in key)
    holds = "t.valid_from <= :at AND (t.valid_to IS NULL OR t.valid_to > :at)"
    at = {"at": valid_from}

    def run(sql: str) -> int:
        return connection.execute(text(sql), at).rowcount

    with staged(connection, table, frame, columns=names, extra="ADD COLUMN valid_to timestamptz") as stage:
        unchanged = run(
            f"DELETE FROM {stage} s USING {table.name} t WHERE {matched} AND {holds} AND {_same(names, key)}"
        )
        run(
            f"UPDATE {stage} s SET valid_to = (SELECT LEAST(min(t.valid_to) FILTER (WHERE {holds}),"
            f" min(t.valid_from) FILTER (WHERE t.valid_from > :at)) FROM {table.name} t WHERE {matched})"
        )
        run(f"DELETE FROM {table.name} t USING {stage} s WHERE {matched} AND t.valid_from = :at")
        run(f"UPDATE {table.name} t SET valid_to = :at FROM {stage} s WHERE {matched} AND {holds}")
        inserted = run(
            f"INSERT INTO {table.name} ({_list(names)}, valid_from, valid_to) SELECT {_list(names, 's.')}, :at, s.valid_to"
            f" FROM {stage} s ORDER BY {_list(key, 's.')}"
        )
    return inserted, unchanged


def put_current(connection: Connection, table: Table, frame: pd.DataFrame, *, key: str) -> tuple[int, int]:
    """Put rows by their code; return how many were inserted or replaced and how many were there already, the same."""
    refuse_repeats(frame, [key])
    names = columns_of(table, frame)
    values = [name for name in names if name != key]
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in values)
    same = _same(names, [key], "excluded")
    with staged(connection, table, frame, columns=names) as stage:
        written = connection.execute(
            text(
                f"INSERT INTO {table.name} AS t ({_list(names)}) SELECT {_list(names, 's.')} FROM {stage} s"
                f' ORDER BY s."{key}" ON CONFLICT ("{key}") DO UPDATE SET {changes} WHERE NOT ({same})'
            )
        ).rowcount
    return written, len(frame) - written
