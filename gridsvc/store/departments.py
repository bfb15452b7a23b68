"""Departments and their duties, both dated, and the kinds of departments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import pandas as pd
from sqlalchemy import Column, ColumnElement, Table, and_, delete, func, literal, or_, select, true, update

from gridsvc.networks.duties import Duty
from gridsvc.store.frames import in_force, plain_columns, read_frame
from gridsvc.store.puts import put_dated
from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.tables import department_kinds, departments, duties


class _Dated(Repository):
    """Dated rows of an office, cut to those whose ground lies in the scope or around it: who answers here may answer for more than here."""

    table: Table
    key: str
    ground: str

    def put_frame(self, frame: pd.DataFrame, valid_from: datetime) -> tuple[int, int]:
        """Put rows by their code that are as given from ``valid_from``; return (inserted, unchanged). What changed keeps its past."""
        self.refuse_outside(frame[self.ground])
        return put_dated(self.connection, self.table, frame, key=[self.key], valid_from=valid_from)

    def end(self, codes: Iterable[str], at: datetime, *, with_later: bool = False) -> int:
        """Let rows that hold just before ``at`` end there; return how many did (in this scope).

        ``with_later``: take back those that would begin at ``at`` or later as well.
        """
        wanted = [str(code) for code in codes]
        own = and_(self._code == func.any(wanted), self.within(self.table.c[self.ground]))
        if with_later:
            self.connection.execute(delete(self.table).where(own, self.table.c.valid_from >= at))
        goes_on = or_(self.table.c.valid_to.is_(None), self.table.c.valid_to > at)
        ended = update(self.table).where(own, self.table.c.valid_from < at, goes_on)
        return self.connection.execute(ended.values(valid_to=at)).rowcount

    def list(self, prefix: str = "", at: datetime | None = None, *, codes: Iterable[str] | None = None) -> pd.DataFrame:
        """Return the rows under ``prefix`` in force at ``at`` (default: without an end), by code; ``codes`` are those wanted."""
        statement = select(*plain_columns(self.table)).where(
            in_force(self.table, at), self.around_scope(), self._under(prefix)
        )
        if codes is not None:
            statement = statement.where(self._code == func.any([str(code) for code in codes]))
        return read_frame(self.connection, statement.order_by(self._code))

    def exists(self, codes: Iterable[str], at: datetime) -> set[str]:
        """Return those of ``codes`` that are in force at ``at``."""
        wanted = [str(code) for code in codes]
        statement = select(self._code).where(
            in_force(self.table, at), self.around_scope(), self._code == func.any(wanted)
        )
        return set(self.connection.scalars(statement))

    def around_scope(self) -> ColumnElement[bool]:
        """Return the condition that a row's ground lies in the scope, or the scope in it."""
        ground = self.table.c[self.ground]
        if not self.scope:
            return true()
        return or_(ground.like(like_pattern(self.scope)), literal(self.scope).like(ground + "%"))

    @property
    def _code(self) -> Column:
        return self.table.c[self.key]

    def _under(self, prefix: str) -> ColumnElement[bool]:
        return self.table.c[self.ground].like(like_pattern(prefix)) if prefix else true()


class DepartmentRepository(_Dated):
    """Departments; the scope is that of the division each is of."""

    table, key, ground = departments, "department_code", "division_code"

    def kinds(self) -> pd.DataFrame:
        """Return the kinds of departments, by kind_code, each with where its name comes from and whether that was verified."""
        return read_frame(self.connection, select(*department_kinds.columns).order_by(department_kinds.c.kind_code))


class DepartmentDutyRepository(_Dated):
    """Duties of departments; the scope is that of the ground each is about."""

    table, key, ground = duties, "duty_code", "ground_code"

    def about(self, grounds: Iterable[str], at: datetime) -> list[Duty]:
        """Return the duties in force at ``at`` about one of some grounds, by code."""
        statement = (
            select(*duties.columns)
            .where(in_force(duties, at), self.around_scope(), duties.c.ground_code == func.any(sorted(set(grounds))))
            .order_by(duties.c.duty_code)
        )
        return [
            Duty(
                row["duty_code"],
                row["department_code"],
                row["network"],
                row["ground_code"],
                row["edition"],
                row["category_code"],
            )
            for row in self.connection.execute(statement).mappings()
        ]

    def of_departments(self, codes: Iterable[str], at: datetime) -> list[str]:
        """Return the codes of the duties that departments have at ``at`` or later, in order."""
        statement = (
            select(duties.c.duty_code)
            .where(
                duties.c.department_code == func.any([str(code) for code in codes]),
                or_(duties.c.valid_to.is_(None), duties.c.valid_to > at),
                self.around_scope(),
            )
            .distinct()
        )
        return sorted(self.connection.scalars(statement))
