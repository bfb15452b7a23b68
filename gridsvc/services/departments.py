"""Departments and their duties: listed, retired, written to files. They come in by `services.imports_departments`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.formats.written_tables import write_table
from gridsvc.store.departments import DepartmentDutyRepository, DepartmentRepository
from gridsvc.store.unit_of_work import UnitOfWork

TABLES = ("departments", "duties")
_TIMES = ("valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class Retired:
    """What was retired: how many departments and duties end at an instant."""

    departments: int
    duties: int


@dataclass(frozen=True, slots=True)
class ExportedTable:
    """A file that was written, and its rows."""

    file: str
    rows: int


def retire_departments(uow: UnitOfWork, codes: Sequence[str], *, at: datetime, actor: str) -> Retired:
    """Let departments end at ``at``, and their duties with them; the caller commits. What held before stays on record.

    Raises
    ------
    NotFoundError
        When one of them is not in force just before ``at`` (in this scope); nothing ends then.
    """
    duties = uow.department_duties.of_departments(codes, at)
    ended = _end(uow.departments, codes, at, "department")
    done = Retired(ended, uow.department_duties.end(duties, at, with_later=True))
    _audit(uow, "department", codes, actor, at)
    return done


def retire_duties(uow: UnitOfWork, codes: Sequence[str], *, at: datetime, actor: str) -> Retired:
    """Let duties end at ``at``; as `retire_departments`."""
    done = Retired(0, _end(uow.department_duties, codes, at, "duty"))
    _audit(uow, "duty", codes, actor, at)
    return done


def _end(held: DepartmentRepository | DepartmentDutyRepository, codes: Sequence[str], at: datetime, what: str) -> int:
    if not codes:
        raise RequestInvalidError(f"No {what} is named.", field="codes")
    ended = held.end(codes, at, with_later=True)
    if ended < len(set(codes)):
        raise NotFoundError(
            f"{len(set(codes)) - ended} of {len(set(codes))} codes name no {what} in force before {at.isoformat()}.",
            hint="Check the codes and your scope; nothing was changed.",
        )
    return ended


def _audit(uow: UnitOfWork, kind: str, codes: Sequence[str], actor: str, at: datetime) -> None:
    for code in sorted(set(codes)):
        uow.audit.append(actor, "retire", kind, code, {"valid_to": at.isoformat()}, at=at)


def table_of(uow: UnitOfWork, what: str, *, at: datetime, prefix: str = "") -> pd.DataFrame:
    """Return ``departments`` or ``duties`` in force at ``at`` under ``prefix``, by code, under the names of the fields of an import.

    Raises
    ------
    RequestInvalidError
        For another name.
    """
    if what not in TABLES:
        raise RequestInvalidError(f"There is no table {what!r}.", hint=f"Tables: {', '.join(TABLES)}.", field="what")
    held = uow.departments if what == "departments" else uow.department_duties
    return held.list(prefix, at)


def department_kinds(uow: UnitOfWork) -> list[dict[str, Any]]:
    """Return the kinds of departments, by code."""
    return uow.departments.kinds().to_dict("records")


def export_table(uow: UnitOfWork, what: str, out: Path, *, at: datetime, prefix: str = "") -> ExportedTable:
    """Write `table_of` to a .csv or .xlsx; importing it again changes nothing.

    Raises
    ------
    NotFoundError
        When there is nothing to write.
    RequestInvalidError, FileUnreadableError
        See `write_table`.
    """
    frame = table_of(uow, what, at=at, prefix=prefix)
    if frame.empty:
        raise NotFoundError(f"There are no {what} to export.", hint="Check --prefix and --at.")
    texts = {name: [None if pd.isna(instant) else instant.isoformat() for instant in frame[name]] for name in _TIMES}
    write_table(out, frame.assign(**texts), name=what)
    return ExportedTable(out.name, len(frame))
