"""What every repository is: a connection, a scope, and the two ways a scope is kept.

A scope is a division-code prefix ("" is everything, 420103 one district). Reads are cut to it silently, writes outside
it are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import psycopg
from psycopg import Connection as PsycopgConnection
from sqlalchemy import ColumnElement, Connection, false, true

from gridsvc.errors import CodeDuplicateError, CodeMalformedError, ForbiddenError
from gridsvc.store.refusals import refusals


def like_pattern(prefix: str) -> str:
    """Return the LIKE pattern of a division-code prefix.

    Raises
    ------
    CodeMalformedError
        When it is not digits only; a pattern must not be smuggled in.
    """
    if prefix and not (prefix.isascii() and prefix.isdigit()):
        raise CodeMalformedError(f"{prefix!r} is not a division code.", hint="Use digits only, such as 420103.")
    return prefix + "%"


def narrower(first: str, second: str) -> str | None:
    """Return the longer of two prefixes when one continues the other; None when they have nothing in common."""
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    return longer if longer.startswith(shorter) else None


class Repository:
    """Reads and writes of one subject on one connection, within one scope; the unit of work commits."""

    def __init__(self, connection: Connection, scope: str = "") -> None:
        like_pattern(scope)
        self.connection = connection
        self.scope = scope

    def within(self, column: ColumnElement, prefix: str = "") -> ColumnElement[bool]:
        """Return the condition that a code column lies under ``prefix`` and under the scope."""
        like_pattern(prefix)  # refused when malformed, also where the scope alone would decide
        both = narrower(prefix, self.scope)
        if both is None:
            return false()
        return column.like(like_pattern(both)) if both else true()

    def rows_of(self, statement: str, values: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a statement run on the driver's connection, prepared, with the driver's placeholders.

        For what is asked hundreds of times a second: the engine's way to the driver and back takes longer than such a statement.
        """
        driver = self.connection.connection.driver_connection
        assert isinstance(driver, PsycopgConnection)
        with refusals():
            try:
                return driver.execute(statement, values, prepare=True).fetchall()
            except psycopg.Error as error:
                if driver.closed:
                    self.connection.invalidate(error)
                raise

    def refuse_outside(self, codes: Iterable[object]) -> None:
        """Do nothing when every code lies under the scope.

        Raises
        ------
        ForbiddenError
            Naming the first that does not.
        """
        if not self.scope:
            return
        for code in codes:
            if not str(code).startswith(self.scope):
                raise ForbiddenError(f"{code} is outside your area ({self.scope}).", scope=self.scope, code=str(code))


def refuse_repeats(frame: pd.DataFrame, key: list[str]) -> None:
    """Do nothing when no two rows share a key.

    Raises
    ------
    CodeDuplicateError
        Naming up to five keys that come twice.
    """
    repeated = frame.duplicated(key)
    if repeated.any():
        names = frame.loc[repeated, key].astype(str).agg(" ".join, axis=1).unique()
        raise CodeDuplicateError(f"{len(names)} codes come twice: {', '.join(names[:5])}.", codes=list(names[:100]))
