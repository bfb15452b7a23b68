"""What every test may use: a PostGIS built by the migrations, transactions that are thrown away, no network.

The suite starts the embedded server itself (``GRIDSVC_DATABASE_URL`` names another server to use, whose role may create
databases); a test that needs the database never skips. Fixtures:

``connection``      a connection in a transaction that is rolled back after the test
``uow``             a unit of work in a save point of it; ``open_uow(scope)`` opens more, with a scope
``engine``          the engine of the worker's database, for tests that only read or clean up after themselves
``clean_database``  URL of a fresh migrated database of the test's own: for several connections, real commits, processes
``town_database``   the same with the town of ``factories.served_town`` in it, copied from one that was filled once
``real_data_dir``   folder of real data; skips where there is none
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine

sys.path.insert(0, str(Path(__file__).parent))  # so that `from factories.x import ...` works in every import mode

_PREFIX = "gridsvc_test"
_LOOPBACK = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::")
_numbers = itertools.count(1)


class NetworkBlockedError(RuntimeError):
    """A test tried to reach another machine."""


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    """Let tests reach this machine only: Unix sockets and loopback."""
    connects = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex")}

    def guarded(original):
        def connect(self, address, *rest):
            if self.family != socket.AF_UNIX and address[0] not in _LOOPBACK:
                raise NetworkBlockedError(f"tests may not connect to {address}")
            return original(self, address, *rest)

        return connect

    for name, original in connects.items():
        setattr(socket.socket, name, guarded(original))
    yield
    for name, original in connects.items():
        setattr(socket.socket, name, original)


class Server:
    """The PostGIS server of this run: makes and drops databases, and names their URLs."""

    def __init__(self, url: str) -> None:
        from gridsvc.store.engine import normalise_url

        self._url = normalise_url(url)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return self._url.set(database=name).render_as_string(hide_password=False)

    @contextmanager
    def _admin(self) -> Iterator[psycopg.Connection]:
        url = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection

    def create(self, name: str, template: str = "template0") -> str:
        """Create a database and return its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with self._admin() as connection:
            if connection.info.server_version >= 150_000:
                # two thirds of the time of a copy through the log
                statement += sql.SQL(" STRATEGY FILE_COPY")
            connection.execute(statement)
        return self.url(name)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        with self._admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def forget_durability(self) -> None:
        """Do not wait for the disk: what tests write need not survive a crash, and copying databases is mostly waiting."""
        with self._admin() as connection:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")

    def drop_left_over(self) -> None:
        """Drop what test runs that were killed left behind: databases named after a process that is gone."""
        with self._admin() as connection:
            names = connection.execute(
                "SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{_PREFIX}%",)
            ).fetchall()
        for (name,) in names:
            pid = name.removeprefix(f"{_PREFIX}_").split("_")[0]
            if pid.isdigit() and not Path(f"/proc/{pid}").exists():
                with suppress(psycopg.Error):
                    self.drop(name)


def _name(what: str) -> str:
    return f"{_PREFIX}_{os.getpid()}_{what}"


@pytest.fixture(scope="session")
def postgis_server() -> Iterator[Server]:
    """The server tests use; the embedded one is shared by the workers of a run and stopped with the last."""
    given = os.environ.get("GRIDSVC_DATABASE_URL", "").strip()
    if given:
        yield Server(given)
        return
    from gridsvc.resources import content_dir
    from gridsvc.store.embedded import EmbeddedPostgres

    with EmbeddedPostgres(content_dir("migrations").parent / "var" / "test") as embedded:
        server = Server(embedded.url())
        server.forget_durability()
        server.drop_left_over()
        yield server


@pytest.fixture(scope="session")
def template_database(postgis_server: Server) -> Iterator[str]:
    """Name of a database the migrations built; nobody stays connected to it, so that it can be copied."""
    from gridsvc.store.engine import make_engine
    from gridsvc.store.migrate import upgrade

    name = _name("template")
    made = make_engine(postgis_server.create(name))
    upgrade(made)
    made.dispose()
    yield name
    postgis_server.drop(name)


@pytest.fixture(scope="session")
def engine(postgis_server: Server, template_database: str) -> Iterator[Engine]:
    """Engine of the database of this test worker."""
    from gridsvc.store.engine import make_engine

    name = _name("shared")
    made = make_engine(postgis_server.create(name, template_database))
    yield made
    made.dispose()
    postgis_server.drop(name)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that is rolled back; code under test commits save points of it."""
    with engine.connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


@pytest.fixture
def open_uow(connection: Connection) -> Callable:
    """Return a function that makes a unit of work within a scope, in a save point of the test's transaction."""
    from gridsvc.store.unit_of_work import UnitOfWork

    return lambda scope="": UnitOfWork(connection, scope)


@pytest.fixture
def uow(open_uow: Callable) -> Iterator:
    """A unit of work without a limited scope."""
    with open_uow() as opened:
        yield opened


@pytest.fixture
def clean_database(postgis_server: Server, template_database: str) -> Iterator[str]:
    """URL of a fresh migrated database with the reference tables and nothing else; dropped after the test."""
    name = _name(f"clean{next(_numbers)}")
    yield postgis_server.create(name, template_database)
    postgis_server.drop(name)


@pytest.fixture(scope="session")
def town_template(postgis_server: Server, template_database: str) -> Iterator[str]:
    """Name of a database with the served town and the months of its first reports; made once, to be copied."""
    from factories import served_town, stored_town

    from gridsvc.store.engine import make_engine
    from gridsvc.store.unit_of_work import UnitOfWork

    name = _name("town")
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        served_town.put_town(uow)
        uow.reports.ensure_months(stored_town.START, datetime(2026, 3, 5, tzinfo=UTC))
        uow.commit()
    made.dispose()
    yield name
    postgis_server.drop(name)


@pytest.fixture
def town_database(postgis_server: Server, town_template: str) -> Iterator[str]:
    """URL of a database of the test's own with the served town in it; dropped after the test."""
    name = _name(f"town{next(_numbers)}")
    yield postgis_server.create(name, town_template)
    postgis_server.drop(name)


@pytest.fixture
def empty_database(postgis_server: Server) -> Iterator[str]:
    """URL of a fresh database without any tables; dropped after the test."""
    name = _name(f"empty{next(_numbers)}")
    yield postgis_server.create(name)
    postgis_server.drop(name)


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """Folder of real data (``GRIDSVC_REAL_DATA``); skips where it is not there."""
    from gridsvc.settings import read_settings

    folder = read_settings().real_data_dir
    if folder is None or not folder.is_dir():
        pytest.skip("no real data: set GRIDSVC_REAL_DATA to the folder that holds it")
    return folder
