"""The embedded PostgreSQL: a private cluster that starts and stops with the programs that use it.

One cluster per ``GRIDSVC_VAR`` folder, so checkouts side by side do not meet. It listens on a Unix socket only and
trusts whoever can enter the socket's folder, which is mode 0700 and belongs to the account the server runs under: the
present user, or, since PostgreSQL refuses root, the ``postgres`` (else ``nobody``) account when root starts it.

Users are counted with ``flock``: every program holds a shared lock on ``postgres.users`` while it needs the server;
who can turn it into an exclusive one at the end is the last and stops the server. The system drops the locks of a
killed program, so no count goes stale. Starting and stopping is serialised by a second lock, ``postgres.start``.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import hashlib
import logging
import os
import pwd
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

from gridsvc.errors import DatabaseUnavailableError
from gridsvc.settings import Settings

logger = logging.getLogger(__name__)

ROLE = "gridsvc"
DATABASE = "gridsvc"
MEBIBYTE = 1 << 20
# A socket address holds 107 bytes on Linux; "/.s.PGSQL.5432" and its ".lock" have to fit too.
LONGEST_SOCKET_DIR = 85
RECOVERY_S = 30  # how long the remains of a killed server may take to go away
LAUNCH_S = 5  # how long a start is waited for with signals postponed
START_S = 90  # how long a start, crash recovery included, may take
DEBIAN_INSTALL = "Install it with: apt-get install postgresql-15 postgresql-15-postgis-3 (./run setup does)."
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class EmbeddedPostgres:
    """The server of one ``var_dir``.

    Attributes
    ----------
    home
        Folder of the cluster: ``var_dir/postgres``, or below ``/var/lib/gridsvc`` when root starts the server and the
        unprivileged account cannot reach ``var_dir``.
    data_dir, socket_dir, log_file
        Inside ``home``; the socket moves to ``/tmp/gridsvc-<hash>`` when its path would be too long.
    """

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = Path(var_dir).resolve()
        key = hashlib.sha256(str(self.var_dir).encode()).hexdigest()[:12]
        self.account = _server_account()
        near = self.var_dir / "postgres"
        self.home = near if _can_reach(self.account, self.var_dir) else Path("/var/lib/gridsvc") / key
        self.data_dir = self.home / "data"
        self.log_file = self.home / "postgres.log"
        self.socket_dir = self.home / "run"
        if len(os.fsencode(self.socket_dir)) > LONGEST_SOCKET_DIR:
            self.socket_dir = Path("/tmp") / f"gridsvc-{key}"
        self.cluster_name = f"gridsvc-{key}"
        self._users_fd: int | None = None
        self._holder_pid = 0

    # ------------------------------------------------------------------------------------------------ public

    def url(self, dbname: str = DATABASE) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg://{ROLE}@/{dbname}?host={quote(str(self.socket_dir), safe='/')}"

    def start(self) -> None:
        """Hold the server for this program, creating and starting it where needed; returns when it answers.

        Raises
        ------
        DatabaseUnavailableError
            When PostgreSQL is not installed or does not start; the message has the last words of its log.
        """
        if self._users_fd is not None:
            return
        self._make_var_dir()
        with self._start_lock():
            descriptor = os.open(self.var_dir / "postgres.users", os.O_RDWR | os.O_CREAT, 0o644)
            # nobody holds it exclusively but a stopping program, and that one has the start lock
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            try:
                self._bring_up()
                self.create_database(DATABASE)
            except BaseException:
                # the server may be up already, with nobody who would stop it
                self._let_go(descriptor)
                raise
            self._users_fd = descriptor
            self._holder_pid = os.getpid()

    def stop(self) -> None:
        """Let go of the server; stops it when no other program uses it. Does nothing when not started.

        In a forked child it does nothing either: the child shares its parent's lock and would take the server from it.
        """
        if self._users_fd is None or self._holder_pid != os.getpid():
            return
        with _signals_postponed(), self._start_lock():
            descriptor, self._users_fd = self._users_fd, None
            self._let_go(descriptor)

    def ensure_running(self) -> bool:
        """Start the server again if it died under this program; True when it had to be started."""
        if self.is_running():
            return False
        with self._start_lock():
            return self._bring_up()

    def is_running(self) -> bool:
        """Whether a postmaster of this data directory is alive (it may still be starting)."""
        return self.postmaster_pid() is not None

    def postmaster_pid(self) -> int | None:
        """Return the process id of the postmaster, or None; a reused id in a stale file does not deceive it."""
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
            words = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.data_dir) in words else None

    def create_database(self, name: str, *, template: str = "template0") -> bool:
        """Create database ``name`` (lower-case letters, digits, _) unless it is there; True when created."""
        if not _DATABASE_NAME.fullmatch(name) or not _DATABASE_NAME.fullmatch(template):
            raise DatabaseUnavailableError(f"{name!r} is no name for a database here.", hint="Use a-z, 0-9 and _.")
        with self._connect("postgres") as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                return False
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
            return True

    def drop_database(self, name: str) -> None:
        """Drop database ``name`` if it is there, ending the connections to it."""
        if not _DATABASE_NAME.fullmatch(name):
            raise DatabaseUnavailableError(f"{name!r} is no name for a database here.", hint="Use a-z, 0-9 and _.")
        with self._connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------------- up and down

    def _bring_up(self) -> bool:
        if self.is_running():
            self._wait_until_answering()
            return False
        self._prepare_folders()
        if not (self.data_dir / "PG_VERSION").is_file():
            self._create_cluster()
        self._clear_remains()
        self._write_configuration()
        self._turn_log()
        began = time.monotonic()
        self._launch()
        self._wait_until_answering()
        logger.info("started PostgreSQL in %s after %.1f s", self.data_dir, time.monotonic() - began)
        return True

    def _launch(self) -> None:
        """Start a postmaster; it may still be recovering when this returns."""
        # a pg_ctl killed halfway would leave a postmaster that nobody knows of yet
        with _signals_postponed():
            try:
                self._run_tool(
                    "pg_ctl", "start", "-D", self.data_dir, "-l", self.log_file, "-w", "-t", LAUNCH_S,
                    "-o", self._options(),
                )  # fmt: skip
            except DatabaseUnavailableError:
                if not self.is_running():
                    raise

    def _let_go(self, users_fd: int) -> None:
        """Close the descriptor that counts this program as a user, and stop the server when it was the last."""
        try:
            fcntl.flock(users_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._shut_down()
        except BlockingIOError:
            logger.debug("other programs still use %s", self.data_dir)
        finally:
            os.close(users_fd)

    def _shut_down(self) -> None:
        if not self.is_running():
            return
        for mode in ("fast", "immediate"):
            try:
                self._run_tool("pg_ctl", "stop", "-D", self.data_dir, "-w", "-t", 60, "-m", mode)
                logger.info("stopped PostgreSQL in %s", self.data_dir)
                return
            except DatabaseUnavailableError:
                if not self.is_running():
                    return

    def _options(self) -> str:
        # the socket folder is given here and not in a file: a moved checkout keeps its data and gets a new socket
        return f"-c unix_socket_directories='{self.socket_dir}' -c cluster_name={self.cluster_name}"

    def _wait_until_answering(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                with self._connect("postgres"):
                    return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline or not self.is_running():
                    raise self._failure("The embedded PostgreSQL does not answer", str(error)) from error
                time.sleep(0.05)

    def _connect(self, dbname: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.socket_dir), user=ROLE, dbname=dbname, autocommit=True, connect_timeout=10, port=5432
        )

    # ------------------------------------------------------------------------------------- after a crash

    def _clear_remains(self) -> None:
        """Wait for, then end, backends that outlived a killed postmaster; remove its stale lock files.

        They still hold the shared memory, and a new server would refuse to start beside them.
        """
        began = time.monotonic()
        while leftovers := self._leftover_pids():
            waited = time.monotonic() - began
            if waited > RECOVERY_S:
                raise self._failure(f"Processes {leftovers} of a killed server do not end")
            if waited > 2:  # most notice the loss of their postmaster at once; busy ones are told
                for pid in leftovers:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL if waited > 5 else signal.SIGQUIT)
            time.sleep(0.1)
        for stale in (self.data_dir / "postmaster.pid", self.socket_dir / ".s.PGSQL.5432.lock"):
            stale.unlink(missing_ok=True)

    def _leftover_pids(self) -> list[int]:
        title = f"postgres: {self.cluster_name}: ".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == self.account.pw_uid and (entry / "cmdline").read_bytes().startswith(title):
                    found.append(int(entry.name))
        return found

    # ------------------------------------------------------------------------------- folders, configuration

    def _make_var_dir(self) -> None:
        try:
            self.var_dir.mkdir(parents=True, exist_ok=True)
            (self.var_dir / "postgres.place").write_text(f"{self.home}\n", encoding="utf-8")
        except OSError as error:
            raise DatabaseUnavailableError(
                f"{self.var_dir} cannot be written ({error.strerror}).", hint="Set GRIDSVC_VAR to a folder of yours."
            ) from error

    def _prepare_folders(self) -> None:
        if self.home.is_relative_to("/var/lib/gridsvc"):
            self.home.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        for folder in (self.home, self.socket_dir):
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
            if os.geteuid() == 0 and status.st_uid == 0:
                os.chown(folder, self.account.pw_uid, self.account.pw_gid)
            elif status.st_uid != self.account.pw_uid:
                owner = _user_name(status.st_uid)
                raise DatabaseUnavailableError(
                    f"{folder} belongs to {owner}, the server would run as {self.account.pw_name}.",
                    hint=f"Run gridsvc as the user who made it, or set GRIDSVC_VAR to another folder than {self.var_dir}.",
                )
            folder.chmod(0o700)

    def _create_cluster(self) -> None:
        # made aside and renamed, so that a killed initdb leaves nothing that looks like a cluster
        fresh = self.home / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        self._run_tool(
            "initdb", "-D", fresh, "-U", ROLE, "--auth=trust", "--encoding=UTF8", "--locale=C", "--lc-ctype=C.UTF-8",
            "--data-checksums",
        )  # fmt: skip
        with (fresh / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\ninclude_if_exists = 'gridsvc.conf'\n")
        fresh.rename(self.data_dir)

    def _write_configuration(self) -> None:
        lines = [f"{name} = {value}" for name, value in server_settings(_machine_memory_bytes()).items()]
        target = self.data_dir / "gridsvc.conf"
        target.write_text("# written by gridsvc at every start\n" + "\n".join(lines) + "\n", encoding="utf-8")
        self._give_to_account(target)

    def _turn_log(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > 10 * MEBIBYTE:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))

    def _give_to_account(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    # ------------------------------------------------------------------------------------------------- tools

    @contextlib.contextmanager
    def _start_lock(self) -> Iterator[None]:
        descriptor = os.open(self.var_dir / "postgres.start", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _run_tool(self, tool: str, *arguments: object) -> None:
        command = [str(self._binary(tool)), *(str(a) for a in arguments)]
        # umask and a clean environment: PGDATA, PGPORT and the like of the caller must not leak in
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(self.home), "TZ": "UTC"}
        identity: dict[str, object] = {}
        if os.geteuid() == 0:
            groups = [g.gr_gid for g in grp.getgrall() if self.account.pw_name in g.gr_mem]
            identity = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": groups}
        # a session of its own: Ctrl-C in the terminal is for this program to answer
        done = subprocess.run(
            command, cwd=self.home, env=environment, umask=0o077, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, start_new_session=True, **identity,  # type: ignore[call-overload]
        )  # fmt: skip
        if done.returncode != 0:
            raise self._failure(f"{tool} of the embedded PostgreSQL failed", done.stderr or done.stdout)

    def _binary(self, tool: str) -> Path:
        version_file = self.data_dir / "PG_VERSION"
        version = version_file.read_text(encoding="utf-8").strip() if version_file.is_file() else None
        return find_binary(tool, version)

    def _failure(self, what: str, reason: str = "") -> DatabaseUnavailableError:
        last = " ".join(reason.split())[-400:]
        if self.log_file.is_file():
            fatal = [line for line in _tail(self.log_file) if "FATAL" in line or "PANIC" in line]
            last = f"{last} {fatal[-1] if fatal else ''}".strip()
        free_mib = shutil.disk_usage(self.home).free // MEBIBYTE if self.home.exists() else None
        hint = f"Read {self.log_file}."
        if free_mib is not None and free_mib < 100:
            hint = f"Free some disk space: {self.home} has {free_mib} MiB left."
        return DatabaseUnavailableError(f"{what}: {last}" if last else f"{what}.", hint=hint)


@contextlib.contextmanager
def _signals_postponed() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C wait meanwhile: what runs would be left half done. Does nothing beside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    # at the level of Python: a mask of this thread would let the system hand them to another one
    postponable = [n for n in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(n) is not None]
    handlers = {n: signal.signal(n, lambda number, _: came.append(number)) for n in postponable}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in came:
            os.kill(os.getpid(), late)


@contextlib.contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """Yield the SQLAlchemy URL to use: ``GRIDSVC_DATABASE_URL`` if set, else the embedded server, held meanwhile."""
    if settings.database_url:
        yield settings.database_url
        return
    with EmbeddedPostgres(settings.var_dir) as server:
        yield server.url()


def libpq_url(url: str) -> str:
    """Return ``url`` without SQLAlchemy's driver name, as pg_dump, psql and psycopg take it."""
    return re.sub(r"^(postgresql|postgres)(\+\w+)?://", "postgresql://", url)


def installed_versions() -> list[str]:
    """Return the major versions of the PostgreSQL servers Debian has installed, newest first."""
    found = [p.parent.parent.name for p in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return sorted((v for v in found if v.isdigit()), key=int, reverse=True)


def find_binary(tool: str, version: str | None = None) -> Path:
    """Return the path of a PostgreSQL program: of ``version``, else of the newest that has PostGIS, else on PATH.

    Raises
    ------
    DatabaseUnavailableError
        When it is not installed.
    """
    versions = installed_versions()
    ordered = [version] if version else sorted(versions, key=lambda v: (postgis_installed(v), int(v)), reverse=True)
    for candidate in ordered:
        path = Path("/usr/lib/postgresql") / candidate / "bin" / tool
        if path.is_file():
            return path
    on_path = shutil.which(tool)
    if on_path and not versions:
        return Path(on_path)
    if version and versions:
        raise DatabaseUnavailableError(
            f"The cluster was made by PostgreSQL {version}, installed is {', '.join(versions)}.",
            hint=f"Install postgresql-{version} again, or restore a backup into a new GRIDSVC_VAR.",
        )
    raise DatabaseUnavailableError(f"PostgreSQL is not installed: no {tool} found.", hint=DEBIAN_INSTALL)


def postgis_installed(version: str) -> bool:
    """Whether PostGIS is installed for PostgreSQL ``version`` of Debian."""
    return (Path("/usr/share/postgresql") / version / "extension" / "postgis.control").is_file()


def server_settings(memory_bytes: int) -> dict[str, str]:
    """Return the postgresql.conf settings for a machine of that much memory.

    Nothing here trades safety for speed: fsync and synchronous_commit stay on, since an acknowledged report must
    survive a power cut.
    """
    mebibytes = memory_bytes // MEBIBYTE
    return {
        "listen_addresses": "''",
        "port": "5432",  # names the socket file only
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": f"{max(64, min(mebibytes * 15 // 100, 2048))}MB",
        "effective_cache_size": f"{max(128, mebibytes // 2)}MB",
        "work_mem": "64MB" if mebibytes >= 4096 else "16MB",
        "maintenance_work_mem": f"{max(64, min(mebibytes // 20, 512))}MB",
        "max_wal_size": "2GB",
        "min_wal_size": "128MB",
        "checkpoint_completion_target": "0.9",
        "wal_compression": "on",
        "random_page_cost": "1.1",
        "jit": "off",  # compiling costs more than the short spatial queries here gain
        "max_locks_per_transaction": "256",  # monthly partitions: a year of reports and cases in one transaction
        "dynamic_shared_memory_type": "posix" if _shared_memory_mib() >= 1024 else "sysv",
        "fsync": "on",
        "synchronous_commit": "on",
        "timezone": "'UTC'",
        "log_timezone": "'UTC'",
        "log_line_prefix": "'%m [%p] %d '",
    }


# ----------------------------------------------------------------------------------------------- the machine


def _machine_memory_bytes() -> int:
    """Memory this program may use: the machine's, or the limit of its control group where lower."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8")))
    return memory


def _shared_memory_mib() -> int:
    try:
        return shutil.disk_usage("/dev/shm").total // MEBIBYTE
    except OSError:
        return 0


def _server_account() -> pwd.struct_passwd:
    """The account the server runs under: the present user, or an unprivileged one when that is root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise DatabaseUnavailableError(
        "PostgreSQL refuses to run as root and there is no account postgres or nobody.", hint=DEBIAN_INSTALL
    )


def _can_reach(account: pwd.struct_passwd, folder: Path) -> bool:
    """Whether ``account`` may pass through ``folder`` and every folder above it (those that are there)."""
    groups = {account.pw_gid} | {g.gr_gid for g in grp.getgrall() if account.pw_name in g.gr_mem}
    for place in (folder, *folder.parents):
        try:
            status = place.stat()
        except FileNotFoundError:
            continue  # will be made with the usual umask
        if status.st_uid == account.pw_uid:
            passable = bool(status.st_mode & 0o100)
        elif status.st_gid in groups:
            passable = bool(status.st_mode & 0o010)
        else:
            passable = bool(status.st_mode & 0o001)
        if not passable:
            return False
    return True


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _tail(path: Path, size: int = 8192) -> Sequence[str]:
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - size))
        return stream.read().decode("utf-8", "replace").splitlines()
