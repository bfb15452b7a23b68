"""Putting the parts together: settings, database, unit of work. Used by the entry points (cli, web, jobs) only."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gridsvc.settings import Settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, sessionmaker

    from gridsvc.services.event_stream import EventHub
    from gridsvc.services.point_locator import PointLocator
    from gridsvc.services.report_queue import ReportQueue
    from gridsvc.store.embedded import EmbeddedPostgres
    from gridsvc.store.photo_files import PhotoFiles
    from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class App:
    """A connected gridsvc: its settings, the engine of its database, and the hub of live events (not started)."""

    settings: Settings
    engine: Engine
    # for `unit_of_statements`; None: that of all else
    statements: Engine | None = None
    events: EventHub = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        from gridsvc.services.event_stream import EventHub
        from gridsvc.store.events import listening

        hub = EventHub(
            self.unit_of_work,
            lambda: listening(self.engine),
            kept=self.settings.events_kept,
            streams=self.settings.streams,
        )
        object.__setattr__(self, "events", hub)

    def unit_of_work(self, scope: str = "") -> UnitOfWork:
        """Return a new unit of work, cut to the divisions whose code begins with ``scope`` ("" = all)."""
        from gridsvc.store.unit_of_work import UnitOfWork

        return UnitOfWork(self.engine, scope, **self._locating)

    def unit_of_statements(self, scope: str = "") -> UnitOfWork:
        """Return a unit of work in which every statement is a transaction of its own, and committing costs nothing.

        For work that is one statement: begin, commit and the question whether the connection still stands would be three
        more rounds to the database. After a restart of the database the first use of a connection is refused with
        DatabaseUnavailableError.
        """
        from gridsvc.store.unit_of_work import UnitOfWork

        engine = self.statements or self.engine.execution_options(isolation_level="AUTOCOMMIT")
        return UnitOfWork(engine, scope, **self._locating)

    @property
    def _locating(self) -> dict[str, Any]:
        """Return what every unit of work knows of locating."""
        return {
            "cache_dir": self.settings.var_dir / "cache" / "grids",
            "nearest_within_m": self.settings.nearest_grid_m,
        }

    @cached_property
    def report_queue(self) -> ReportQueue:
        """Return the queue in which reports of this process are stored together."""
        from gridsvc.services.report_queue import ReportQueue

        return ReportQueue(self.unit_of_statements)

    @cached_property
    def point_locator(self) -> PointLocator:
        """Return what locates single positions of this process."""
        from gridsvc.services.point_locator import PointLocator

        return PointLocator(self.unit_of_statements, self.unit_of_work, nearest_within_m=self.settings.nearest_grid_m)

    @property
    def photo_files(self) -> PhotoFiles:
        """Return the place where photos are kept; one object for each process."""
        return _photo_files(self.settings.photos)

    @property
    def sessions(self) -> sessionmaker[Session]:
        """Return a maker of sessions on the same engine."""
        from sqlalchemy.orm import sessionmaker

        return sessionmaker(self.engine)


@functools.cache
def _photo_files(place: str) -> PhotoFiles:
    from gridsvc.store.photo_files import PhotoFiles

    return PhotoFiles(place)


def connect_app(settings: Settings, url: str, *, statement_timeout_s: float = 0.0, pool_size: int = 5) -> App:
    """Return an App on a database that somebody else keeps running; connects on first use.

    Parameters
    ----------
    settings
        All settings.
    url
        URL of the database.
    statement_timeout_s
        Longest run time of one statement, 0 for no limit. Unit: s.
    pool_size
        Connections kept open, of each of two kinds: for transactions, and for single statements.
    """
    from gridsvc.store.engine import make_engine

    engine = make_engine(url, statement_timeout_s=statement_timeout_s, pool_size=pool_size)
    statements = make_engine(
        url, statement_timeout_s=statement_timeout_s, pool_size=pool_size, each_statement_commits=True
    )
    return App(settings, engine, statements)


@contextlib.contextmanager
def open_app(settings: Settings | None = None, *, check_schema: bool = True) -> Iterator[App]:
    """Yield a connected App, with the embedded server held meanwhile where no other database is set.

    Parameters
    ----------
    settings
        Default: those of the environment.
    check_schema
        Bring an embedded database to this program's schema, and refuse a foreign one that is not at it.

    Raises
    ------
    DatabaseUnavailableError
        No database, or one that does not answer.
    MigrationsBehindError
        The schema is not this program's (foreign database), or newer than it.
    """
    from gridsvc.store.embedded import database_url

    settings = settings or read_settings()
    with ending_in_order(), database_url(settings) as url:
        app = connect_app(settings, url)
        try:
            if check_schema:
                meet_schema(app)
            yield app
        finally:
            app.engine.dispose()
            if app.statements is not None:
                app.statements.dispose()


def meet_schema(app: App) -> None:
    """Upgrade the embedded database where it is behind; check a foreign one, whose keeper decides when to upgrade."""
    from gridsvc.errors import MigrationsBehindError
    from gridsvc.store import migrate

    try:
        migrate.check_schema(app.engine)
    except MigrationsBehindError:
        if app.settings.database_url:
            raise
        migrate.upgrade(app.engine)
        migrate.check_schema(app.engine)


def embedded_server(settings: Settings) -> EmbeddedPostgres | None:
    """Return the embedded server these settings mean (not started), or None when they name another database."""
    from gridsvc.store.embedded import EmbeddedPostgres

    return None if settings.database_url else EmbeddedPostgres(settings.var_dir)


class EndingInOrder:
    """A handler of SIGTERM that raises SystemExit.

    Attributes
    ----------
    came
        Whether the signal came. What it raised may be lost where Python lets nothing pass (in ``__del__``, in the callbacks
        of the import system); who takes the signal over looks here.
    """

    def __init__(self, status: int) -> None:
        self.came = False
        self._status = status

    def __call__(self, _number: int, _frame: object) -> None:
        """Raise it."""
        self.came = True
        raise SystemExit(self._status)


@contextlib.contextmanager
def ending_in_order(status: int = 128 + signal.SIGTERM) -> Iterator[None]:
    """Turn SIGTERM into SystemExit meanwhile, so that a stopped program lets go of the database.

    Parameters
    ----------
    status
        Exit status then; default: as a shell tells of a program that the signal killed.
    """
    handler = EndingInOrder(status)
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        if ours and signal.getsignal(signal.SIGTERM) is handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def secret_key(settings: Settings) -> str:
    """Return the key that signs cookies: the setting, else one made once and kept in ``var_dir/secret-key`` (0600)."""
    if settings.secret_key:
        return settings.secret_key
    path = settings.var_dir / "secret-key"
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    # linked when complete: of two workers starting at once one makes it, the other reads that
    with contextlib.suppress(FileExistsError):
        made = settings.var_dir / f"secret-key.{os.getpid()}"
        made.touch(mode=0o600)
        made.write_text(secrets.token_hex(32), encoding="ascii")
        try:
            os.link(made, path)
        finally:
            made.unlink()
    return path.read_text(encoding="ascii")
