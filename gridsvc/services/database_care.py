"""Looking after the database: schema, size, backup, restore. Works on whole databases, so without a unit of work."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from gridsvc.errors import ConflictError, DatabaseUnavailableError, FileUnreadableError
from gridsvc.store import migrate
from gridsvc.store.embedded import find_binary, libpq_url
from gridsvc.store.unit_of_work import UnitOfWork

_OWN_TABLES = """
SELECT count(*) FROM pg_class c
WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  AND c.relpersistence <> 't' AND c.relnamespace::regnamespace::text NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """Where a database stands. ``size_bytes`` is of the whole database; ``revision`` is None when it is empty."""

    server_version: str
    postgis_version: str | None
    revision: str | None
    wanted_revision: str
    at_head: bool
    size_bytes: int


def status(engine: Engine) -> DatabaseStatus:
    """Return versions, schema revision and size of the database."""
    with engine.connect() as connection:
        server = connection.execute(text("SHOW server_version")).scalar_one()
        postgis = connection.execute(text("SELECT extversion FROM pg_extension WHERE extname = 'postgis'")).scalar()
        size = connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    current, wanted = migrate.current_and_head(engine)
    return DatabaseStatus(server, postgis, current, wanted, current == wanted, size)


def upgrade(engine: Engine) -> tuple[str | None, str | None]:
    """Bring the schema to this program's; returns the revisions before and after."""
    return migrate.upgrade(engine)


def backup(url: str, target: Path) -> int:
    """Write the whole database to ``target`` (pg_dump custom format) and return its size. Unit: bytes.

    The file appears under its name when it is complete, never before.

    Raises
    ------
    ConflictError
        When ``target`` exists; a backup never overwrites one.
    """
    if target.exists():
        raise ConflictError(f"{target} exists.", hint="Name another file, or move this one away.")
    if not target.parent.is_dir():
        raise FileUnreadableError(f"{target.parent} is no folder.", hint="Make it first.")
    part = target.with_name(target.name + ".part")
    try:
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={part}", libpq_url(url))
        part.rename(target)
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def restore(engine: Engine, url: str, source: Path) -> None:
    """Load a backup into an empty database, as a whole or not at all.

    Raises
    ------
    ConflictError
        When the database is not empty.
    FileUnreadableError
        When ``source`` is not there or is no backup.
    """
    if not source.is_file():
        raise FileUnreadableError(f"{source} is no file.", hint="Name a file written by `gridsvc db backup`.")
    with source.open("rb") as stream:
        if stream.read(5) != b"PGDMP":
            raise FileUnreadableError(
                f"{source} is no database backup.", hint="Name a file written by `gridsvc db backup`."
            )
    with engine.connect() as connection:
        tables = connection.execute(text(_OWN_TABLES)).scalar_one()
    engine.dispose()
    if tables:
        raise ConflictError(
            f"The database is not empty: it has {tables} tables.",
            hint="Restore into a new one: set GRIDSVC_VAR to a new folder, or GRIDSVC_DATABASE_URL to an empty database.",
        )
    _run(
        "pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges",
        f"--dbname={libpq_url(url)}", str(source),
    )  # fmt: skip
    with UnitOfWork(engine) as uow:
        uow.receipts.settle_restored()
        uow.commit()
    engine.dispose()


def psql_command(url: str, arguments: Sequence[str]) -> list[str]:
    """Return the command that opens the database in psql."""
    return [str(find_binary("psql")), libpq_url(url), *arguments]


def _run(tool: str, *arguments: str) -> None:
    done = subprocess.run([str(find_binary(tool)), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = re.sub(r"//[^/@ ]*:[^/@ ]*@", "//***@", " ".join(done.stderr.split()))
        raise DatabaseUnavailableError(f"{tool} failed: {reason[-600:]}", hint="Nothing was changed.")
