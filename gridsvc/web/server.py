"""The web server: gunicorn around ``create_app``, with the database held by its master process."""

from __future__ import annotations

import dataclasses
import fcntl
import gc
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from gridsvc.bootstrap import EndingInOrder, connect_app, embedded_server, open_app, secret_key
from gridsvc.errors import ConflictError, GridsvcError, SettingError
from gridsvc.settings import Settings
from gridsvc.web.application import create_app, make_rate_limit
from gridsvc.web.drawing_tiles import start_drawing_tiles
from gridsvc.web.keeping_grids import start_keeping_grids
from gridsvc.web.rate_limits import RateLimit
from gridsvc.web.request_loop import LoopWorker
from gridsvc.web.settling import start_settling
from gridsvc.web.upload_clearing import start_clearing_uploads
from gridsvc.web.warming import start_warming

logger = logging.getLogger(__name__)

THREADS = 8  # per worker, beside those that live streams hold; most requests wait for the database
WATCH_S = 1.0  # how often the master looks whether the database is alive
STATEMENT_TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 60
GRACE_S = 20  # how long running requests may take to finish after SIGTERM


# what tells a worker to end; held back from a new one until it has its own handlers
ENDING_SIGNALS = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT})


class Worker(LoopWorker):
    """A worker that ends as soon as nothing is left to finish.

    Live streams end at once; it would wait for them otherwise. While it still builds its application it has nothing to
    finish. And it leaves without waiting for its background threads, one of which may be deep in the compiler: what they
    write is a transaction, or a file that is renamed when complete.
    """

    def init_signals(self) -> None:
        """Take over the signals, those held back since the fork included."""
        super().init_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to end, in order."""
        if not self.booted:
            os._exit(0)
        hub = self.wsgi.extensions["gridsvc"].events
        if hub is not None:
            hub.close()
        super().handle_exit(sig, frame)

    def run(self) -> None:
        """Serve until told to end and running requests are finished, or their grace is over; does not return."""
        super().run()
        self.log.info("Worker exiting (pid: %s)", self.pid)
        os._exit(0)


class Master(Arbiter):
    """The master process, which a SIGTERM at any moment ends in order with status 0."""

    is_ending = False

    def init_signals(self) -> None:
        """Take over the signals; a SIGTERM that came before and had no effect is the first."""
        before = signal.getsignal(signal.SIGTERM)
        super().init_signals()
        if isinstance(before, EndingInOrder) and before.came:
            self.SIG_QUEUE.put_nowait(signal.SIGTERM)

    def spawn_worker(self) -> Any:
        """Fork a worker. What tells it to end waits until it can hear: it would be lost on handlers of the master's."""
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
        try:
            return super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers."""
        self.is_ending = True
        super().stop(graceful)

    def reap_workers(self) -> None:
        """Take note of workers that ended. One that could not begin halts the server, unless that ends already."""
        try:
            super().reap_workers()
        except HaltServer:
            if not self.is_ending:
                raise


class GridsvcServer(BaseApplication):
    """gunicorn with settings of ours instead of a configuration file; each worker builds its own application."""

    def __init__(self, build: Callable[[], Any], options: dict[str, Any]) -> None:
        self._build = build
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Take the options given; environment variables and files of gunicorn's own are not read."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the WSGI application (called in the worker, so that no connection is shared across a fork)."""
        return self._build()

    def run(self) -> None:
        """Serve until told to end; raises SystemExit."""
        Master(self).run()


def serve(settings: Settings, *, announce: Callable[[str], None] = logger.info) -> None:
    """Serve until SIGTERM or Ctrl-C; then finish running requests, let go of the database and raise SystemExit.

    Parameters
    ----------
    settings
        All settings; host, port (0: any free one) and workers matter here.
    announce
        Called with the address once the port is held and the database answers.

    Raises
    ------
    ConflictError
        When the port is taken.
    """
    with listening_socket(settings.host, settings.port) as listener, open_app(settings) as app:
        url = app.engine.url.render_as_string(hide_password=False)
        app.engine.dispose()
        address = listener.getsockname()[:2]
        with _noted(settings.var_dir, address), _watched_database(settings) as start_watch:
            announce(address_url(*address))
            # here, so that all workers inherit the same: one rate limit, and one key, kept across restarts as sessions are
            settings, rate_limit = (
                dataclasses.replace(settings, secret_key=secret_key(settings)),
                make_rate_limit(settings),
            )
            options = _options(settings, listener) | {"when_ready": start_watch}
            GridsvcServer(lambda: _build(settings, url, rate_limit), options).run()


def _build(settings: Settings, url: str, rate_limit: RateLimit) -> Any:
    app = connect_app(settings, url, statement_timeout_s=STATEMENT_TIMEOUT_S, pool_size=THREADS)
    start_settling(app)
    start_clearing_uploads(app)
    app.events.start()
    start_keeping_grids(app, held=_keep_memory)
    start_drawing_tiles(app)
    made = create_app(app, settings, rate_limit)
    start_warming(made.extensions["gridsvc_static_files"].warm)
    return made


def _keep_memory() -> None:
    """Take what a worker holds by now as held for good: looking for garbage in all of it would stop every request for 0.2 s."""
    gc.collect()
    gc.freeze()


def _options(settings: Settings, listener: socket.socket) -> dict[str, Any]:
    shared_memory = Path("/dev/shm")
    return {
        "bind": f"fd://{listener.detach()}",  # gunicorn closes it
        "workers": settings.workers,
        "worker_class": Worker,
        # a stream holds a thread while it lasts; however many there are, THREADS are left for everything else
        "threads": THREADS + settings.streams,
        "timeout": REQUEST_TIMEOUT_S,
        "graceful_timeout": GRACE_S,
        "keepalive": 5,
        "worker_tmp_dir": str(shared_memory) if os.access(shared_memory, os.W_OK) else None,
        "control_socket_disable": True,  # it would sit in the home directory, shared by all checkouts
        "proc_name": "gridsvc",
        "loglevel": settings.log_level.lower(),
    }


@contextmanager
def _watched_database(settings: Settings) -> Iterator[Callable[[object], None]]:
    """Yield the hook that starts watching: the embedded database is started again when it dies, meanwhile answers are 503.

    Watching has ended when the block is left, so that it does not start again what is being stopped.
    """
    server, ending = embedded_server(settings), threading.Event()

    def watch() -> None:
        while server is not None and not ending.wait(WATCH_S):
            try:
                if server.ensure_running():
                    logger.warning("the database had died and was started again")
            except GridsvcError as error:
                logger.error("the database does not start: %s", error)

    thread = threading.Thread(target=watch, name="database-watch", daemon=True)
    try:
        yield lambda _arbiter: thread.start()
    finally:
        ending.set()
        # in a worker, which leaves this block too when it exits, the thread was never alive
        if thread.is_alive():
            thread.join()


@contextmanager
def listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket listening on host and port; holding it before all else makes a taken port a refusal at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise SettingError(
            f"GRIDSVC_HOST {host!r} is no address of this machine.", hint="Use 127.0.0.1 or 0.0.0.0."
        ) from error
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except PermissionError as error:
            raise SettingError(f"Port {port} needs root.", hint="Set GRIDSVC_PORT to 1024 or more.") from error
        except OSError as error:
            raise ConflictError(
                f"Port {port} on {host} cannot be used: {error.strerror}.",
                hint="Stop the program that holds it, or set GRIDSVC_PORT to another one.",
            ) from error
        listener.listen(2048)
        yield listener


def address_url(host: str, port: int) -> str:
    """Return the address to type into a browser."""
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


@contextmanager
def _noted(var_dir: Path, address: tuple[str, int]) -> Iterator[None]:
    """Note address and process in ``var_dir/serve.json`` while serving; its lock tells the doctor that it is true."""
    var_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(var_dir / "serve.json", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": address[0], "port": address[1], "pid": os.getpid()}).encode(), 0)
        yield
    finally:
        os.close(descriptor)
