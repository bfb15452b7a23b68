"""Connections to PostGIS: one way to make an engine, so that every connection keeps the same rules."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError

from gridsvc.errors import GridsvcError, SettingError
from gridsvc.store.refusals import refusal_of

# UTC: instants are stored and read in one zone. jit off: compiling costs more than our short spatial queries take.
_SESSION = {"timezone": "UTC", "jit": "off", "client_min_messages": "warning"}


def normalise_url(url: str) -> URL:
    """Return ``url`` for the psycopg 3 driver, whichever spelling of PostgreSQL it came in.

    Raises
    ------
    SettingError
        When it is not the URL of a PostgreSQL database.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingError(
            "The database URL does not name a PostgreSQL database.",
            hint="Example: postgresql://user:password@host:5432/gridsvc.",
        )
    return parsed.set(drivername="postgresql+psycopg")


def make_engine(
    url: str | URL,
    *,
    application_name: str = "gridsvc",
    statement_timeout_s: float = 0.0,
    pool_size: int = 5,
    each_statement_commits: bool = False,
) -> Engine:
    """Return an engine whose connections speak UTC and, as a rule, are tested before use.

    Database refusals leave it as ``GridsvcError`` (see ``refusals``), never as SQLAlchemy's or the driver's errors, where
    the cause is one that a caller can mend.

    Parameters
    ----------
    url
        PostgreSQL URL; ``?host=/directory`` connects through a Unix socket.
    application_name
        Shown in ``pg_stat_activity``.
    statement_timeout_s
        Longest run time of one statement. Unit: s. Zero: no limit (batch work).
    pool_size
        Connections kept open; as many again may be opened for a moment.
    each_statement_commits
        Every statement is a transaction of its own, and connections are not tested before use: one round to the database.
    """
    parsed = normalise_url(url.render_as_string(hide_password=False) if isinstance(url, URL) else url)
    engine = create_engine(
        parsed,
        pool_pre_ping=not each_statement_commits,
        isolation_level="AUTOCOMMIT" if each_statement_commits else None,
        # nothing is open that could be rolled back
        pool_reset_on_return=None if each_statement_commits else "rollback",
        pool_size=pool_size,
        max_overflow=pool_size,
        connect_args=_connect_args(parsed, application_name, statement_timeout_s),
    )
    event.listen(engine, "handle_error", _refusal, retval=True)
    return engine


def _connect_args(url: URL, application_name: str, statement_timeout_s: float) -> dict[str, Any]:
    session = dict(_SESSION, statement_timeout=str(round(statement_timeout_s * 1000)))
    options = " ".join(f"-c {name}={value}" for name, value in session.items())
    given = url.query.get("options", "")
    return {"application_name": application_name, "options": f"{given} {options}".strip(), "connect_timeout": 10}


def _refusal(context: ExceptionContext) -> GridsvcError | None:
    """Return the refusal SQLAlchemy shall raise instead of its own error, or None to leave that as it is."""
    return refusal_of(context.original_exception) if context.original_exception is not None else None
