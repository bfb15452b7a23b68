"""Bring a database to the schema of this program, and say how far it is from it.

Alembic runs without an ini file, on a connection of ours, so that it works from a checkout and from a wheel alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from geoalchemy2 import alembic_helpers
from psycopg import errors as pg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from gridsvc.errors import DatabaseUnavailableError, MigrationsBehindError
from gridsvc.resources import content_dir
from gridsvc.store.reference_data import seed_reference

# any fixed number; it only has to be ours
_LOCK_KEY = 4_490_201_511
_PARTITION = re.compile(r"^(reports|cases)_y\d{4}m\d{2}($|_)")


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(content_dir("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def is_ours(thing: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Return whether a schema object is one the migrations answer for: not PostGIS's own, not a monthly partition."""
    table = name if kind == "table" else getattr(getattr(thing, "table", None), "name", "")
    if _PARTITION.match(table or ""):
        return False
    return alembic_helpers.include_object(thing, name, kind, reflected, compare_to)


def head() -> str:
    """Return the revision this program needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise MigrationsBehindError("This installation carries no migrations.", hint="Reinstall gridsvc.")
    return revision


def current_and_head(engine: Engine) -> tuple[str | None, str]:
    """Return the revision of the database (None when it is empty) and the one this program needs."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision(), head()


def check_schema(engine: Engine) -> None:
    """Do nothing when the database has exactly the schema of this program.

    Raises
    ------
    MigrationsBehindError
        When it is empty, older, or newer.
    """
    current, wanted = current_and_head(engine)
    if current == wanted:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is None:
        raise MigrationsBehindError(
            "The database holds no gridsvc tables.", hint="Run `gridsvc db upgrade`.", current=None, head=wanted
        )
    if current in known:
        raise MigrationsBehindError(
            f"The database is at {current}, this program needs {wanted}.",
            hint="Run `gridsvc db upgrade`.",
            current=current,
            head=wanted,
        )
    raise MigrationsBehindError(
        f"The database is at {current}, which this program does not know: a newer gridsvc made it.",
        hint="Install that newer gridsvc, or restore an older backup.",
        current=current,
        head=wanted,
    )


@contextmanager
def _locked(engine: Engine) -> Iterator[Connection]:
    """Yield a connection that holds the migration lock: two programs started at once must not migrate at once."""
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
        # waiting for a table lock would queue every reader behind us; better to fail and be run again
        connection.execute(text("SET lock_timeout = '10s'"))
        connection.execute(text("SET statement_timeout = 0"))
        connection.commit()
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK_KEY})
            connection.execute(text("RESET lock_timeout"))
            connection.execute(text("RESET statement_timeout"))
            connection.commit()


def upgrade(engine: Engine, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the database to ``revision``, refresh the reference tables, and return the revisions before and after.

    Safe to run twice and from two programs at once.

    Raises
    ------
    DatabaseUnavailableError
        When PostGIS cannot be put into the database.
    """
    with _locked(engine) as connection:
        before = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
        try:
            command.upgrade(_config(connection), revision)
        except DBAPIError as error:
            raise _without_postgis(error) from error
        connection.commit()
        after = MigrationContext.configure(connection).get_current_revision()
        if after == head():
            seed_reference(connection)
        connection.commit()
        return before, after


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Take the database back to ``revision``; what the later tables held is lost."""
    with _locked(engine) as connection:
        command.downgrade(_config(connection), revision)
        connection.commit()


def _without_postgis(error: DBAPIError) -> Exception:
    if "EXTENSION" not in str(error.statement) or not isinstance(error.orig, pg.Error):
        return error
    reason = error.orig.diag.message_primary
    return DatabaseUnavailableError(
        f"PostGIS cannot be put into this database: {reason}.",
        hint="Install PostGIS 3 (and btree_gist) on the server, and run CREATE EXTENSION postgis, btree_gist as its superuser.",
    )
