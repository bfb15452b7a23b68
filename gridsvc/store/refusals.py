"""What the database refuses, in the words of ``gridsvc.errors``: read from SQLSTATE and constraint name, not from prose."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors as pg

from gridsvc.errors import (
    CategoryUnknownError,
    CodeDuplicateError,
    CodeMalformedError,
    ConflictError,
    CrsMismatchError,
    DatabaseUnavailableError,
    GeometryError,
    GridsvcError,
    MigrationsBehindError,
    NotFoundError,
    RequestInvalidError,
)

# what a server says while it dies, stops or starts; without SQLSTATE it has said nothing any more
_GOING_AWAY = (pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.TooManyConnections)
_CODE_CHECKS = ("code_fits_level", "code_within_parent", "code_within_community", "district_code_digits")


def _where(error: psycopg.Error) -> str:
    """Return table and constraint of an error for its message, as far as the server named them."""
    diag = error.diag
    return (
        f"table {diag.table_name}, constraint {diag.constraint_name}"
        if diag.constraint_name
        else f"table {diag.table_name}"
    )


def _check_refusal(error: psycopg.Error) -> GridsvcError:
    name = error.diag.constraint_name or ""
    facts: dict[str, Any] = {"table": error.diag.table_name, "constraint": name}
    if name.endswith("_sound"):
        return GeometryError(
            f"A geometry is invalid or empty ({_where(error)}).", hint="Repair it before storing.", **facts
        )
    if name.endswith("unit_grid_contiguous"):
        return GeometryError("A unit grid has several parts.", hint="Split it into one grid per part.", **facts)
    if name.endswith(_CODE_CHECKS):
        return CodeMalformedError(
            f"A code breaks its scheme ({_where(error)}).", hint="See docs/data-dictionary.md.", **facts
        )
    return RequestInvalidError(
        f"A value is not allowed ({_where(error)}).", hint="See docs/data-dictionary.md.", **facts
    )


def _conflict(error: psycopg.Error) -> GridsvcError:
    detail = error.diag.message_detail or ""
    facts: dict[str, Any] = {"table": error.diag.table_name, "constraint": error.diag.constraint_name}
    if isinstance(error, pg.ExclusionViolation):
        return ConflictError(f"Two rows hold at the same time ({_where(error)}). {detail}".strip(), **facts)
    return CodeDuplicateError(f"A key is there already ({_where(error)}). {detail}".strip(), **facts)


def _foreign_key(error: psycopg.Error) -> GridsvcError:
    name = error.diag.constraint_name or ""
    message = (
        f"A row refers to something that is not there ({_where(error)}). {error.diag.message_detail or ''}".strip()
    )
    return CategoryUnknownError(message) if "categor" in name else NotFoundError(message, constraint=name)


def _geometry_value(error: psycopg.Error) -> GridsvcError | None:
    text = error.diag.message_primary or ""
    if "SRID" in text:
        return CrsMismatchError(f"The database refused a geometry: {text}.", hint="Convert it to EPSG:4490 first.")
    if "Geometry" in text or "geometry" in text:
        return GeometryError(f"The database refused a geometry: {text}.")
    return None


def refusal_of(error: BaseException) -> GridsvcError | None:
    """Return the refusal that a driver error stands for, or None when it is a defect that should surface as it is."""
    if isinstance(error, pg.CheckViolation):
        # a row for which no monthly partition exists arrives as a check violation without a constraint
        return _check_refusal(error) if error.diag.constraint_name else None
    if isinstance(error, pg.ExclusionViolation | pg.UniqueViolation):
        return _conflict(error)
    if isinstance(error, pg.ForeignKeyViolation):
        return _foreign_key(error)
    if isinstance(error, pg.InvalidParameterValue | pg.InternalError_) and (refusal := _geometry_value(error)):
        return refusal
    if isinstance(error, psycopg.DataError):
        return RequestInvalidError(f"The database cannot hold a value: {error.diag.message_primary}.")
    if isinstance(error, pg.UndefinedTable | pg.UndefinedColumn | pg.UndefinedFunction):
        return MigrationsBehindError(
            f"The database lacks what this program expects: {error.diag.message_primary}.",
            hint="Run `gridsvc db upgrade`.",
        )
    if isinstance(error, pg.LockNotAvailable):
        return ConflictError("The database is busy: a lock was not given in time.", hint="Try again.")
    if isinstance(error, pg.QueryCanceled):
        return DatabaseUnavailableError(
            "The database did not answer in time.", hint="Ask for less, or try again later."
        )
    if isinstance(error, _GOING_AWAY) or (isinstance(error, psycopg.OperationalError) and error.sqlstate is None):
        return DatabaseUnavailableError(
            f"No connection to the database: {str(error).strip().splitlines()[0].rstrip('.')}.",
            hint="Run `gridsvc doctor`.",
        )
    return None


@contextmanager
def refusals() -> Iterator[None]:
    """Turn driver errors of raw psycopg work (COPY) inside the block into refusals, as the engine does for the rest."""
    try:
        yield
    except psycopg.Error as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error
