"""Who is on duty where: all of it, and the versions that say whether what a process holds is still so."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gridsvc.store.repository import Repository
from gridsvc.store.sql_files import sql_text

_VERSIONS = "SELECT g.version::text, d.version::text FROM grid_version AS g, duty_version AS d"
# network, grid code, valid_from, valid_to, place in the order of workers, then what is told of the worker
Duty = tuple[Any, ...]
WORKER = ("worker_code", "name", "role", "is_primary", "kind_code")


class DutyRepository(Repository):
    """Reads of assignments with their workers, whatever the scope; phone numbers are left out."""

    def versions(self) -> tuple[str, str]:
        """Return the version of grids and divisions, and that of who is on duty: UUIDs that every change renews."""
        ((grids, duty),) = self.rows_of(_VERSIONS, ())
        return grids, duty

    def roster(self, since: datetime) -> tuple[str, list[Duty]]:
        """Return the version of who is on duty, and all who are or will be on duty at ``since`` or later, read as of one state."""
        rows = self.rows_of(sql_text("duty_roster"), {"since": since})
        return rows[0][0], [tuple(row[1:]) for row in rows if row[1] is not None]
