"""``gridsvc db``: create, upgrade, inspect, back up, restore and open the database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from gridsvc.bootstrap import App, embedded_server, open_app
from gridsvc.cli.terminal import print_result
from gridsvc.settings import read_settings

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@contextmanager
def _opened() -> Iterator[tuple[App, str]]:
    """Yield the App, its schema unchecked, and the URL of its database."""
    with open_app(read_settings(), check_schema=False) as app:
        yield app, app.engine.url.render_as_string(hide_password=False)


@click.group()
def db() -> None:
    """Create, upgrade, back up and open the database.

    \b
    Example:
      gridsvc db status
    """


def _upgrade(as_json: bool) -> None:
    from gridsvc.services import database_care

    with _opened() as (app, _):
        before, after = database_care.upgrade(app.engine)
    print_result({"before": before, "after": after, "changed": before != after}, as_json)


@db.command("init")
@as_json_option
def init(as_json: bool) -> None:
    """Create the tables in an empty database (the embedded server is created too). Safe to run twice.

    \b
    Example:
      gridsvc db init
    """
    _upgrade(as_json)


@db.command("upgrade")
@as_json_option
def upgrade(as_json: bool) -> None:
    """Bring the tables to what this version of gridsvc needs. Safe to run twice.

    \b
    Example:
      gridsvc db backup before.dump && gridsvc db upgrade
    """
    _upgrade(as_json)


@db.command("status")
@as_json_option
def status(as_json: bool) -> None:
    """Show where the database is, its versions, its schema and its size.

    \b
    Example:
      gridsvc db status --json
    """
    from gridsvc.services import database_care

    with _opened() as (app, _):
        found = asdict(database_care.status(app.engine))
        embedded = embedded_server(app.settings)
        found["place"] = str(embedded.data_dir) if embedded else app.engine.url.render_as_string(hide_password=True)
    print_result(found, as_json)


@db.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json_option
def backup(file: Path, as_json: bool) -> None:
    """Write the whole database to FILE (PostgreSQL's custom format).

    \b
    Example:
      gridsvc db backup gridsvc-2026-11-22.dump
    """
    from gridsvc.services import database_care

    with _opened() as (_, url):
        size = database_care.backup(url, file.absolute())
    print_result({"file": str(file), "bytes": size}, as_json)


@db.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json_option
def restore(file: Path, as_json: bool) -> None:
    """Load the backup FILE into an empty database, as a whole or not at all.

    \b
    Example:
      GRIDSVC_VAR=/srv/gridsvc gridsvc db restore gridsvc-2026-11-22.dump
    """
    from gridsvc.services import database_care

    with _opened() as (app, url):
        database_care.restore(app.engine, url, file)
        found = asdict(database_care.status(app.engine))
    print_result(found, as_json)


@db.command("psql", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    """Open the database in psql; further arguments go to it.

    \b
    Example:
      gridsvc db psql -c 'SELECT count(*) FROM reports'
    """
    from gridsvc.services import database_care

    with _opened() as (_, url):
        done = subprocess.run(database_care.psql_command(url, arguments), check=False)
    sys.exit(done.returncode)
