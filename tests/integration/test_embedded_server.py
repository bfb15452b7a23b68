"""The embedded PostgreSQL: private, counted, recovered after kill -9, one per folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gridsvc.errors import DatabaseUnavailableError
from gridsvc.store.embedded import EmbeddedPostgres, libpq_url

pytestmark = pytest.mark.postgis

HOLD = """
import sys
from pathlib import Path
from gridsvc.store.embedded import EmbeddedPostgres
with EmbeddedPostgres(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def var_dir() -> Iterator[Path]:
    # not tmp_path: the account of the server must be able to pass through its parents
    folder = Path(tempfile.mkdtemp(prefix="gridsvc-test-"))
    folder.chmod(0o755)
    yield folder
    server = EmbeddedPostgres(folder)
    if server.is_running():
        server.start()
        server.stop()
    shutil.rmtree(folder)


def connect(server: EmbeddedPostgres) -> psycopg.Connection:
    return psycopg.connect(libpq_url(server.url()), autocommit=True)


def holder(var_dir: Path) -> subprocess.Popen[str]:
    """Start a second program that holds the server until its input closes."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(var_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None and program.stdout.readline() == "held\n"
    return program


def release(program: subprocess.Popen[str]) -> None:
    program.communicate("\n", timeout=60)


def test_starts_on_a_socket_only_and_stops(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server:
        with connect(server) as connection:
            (addresses,) = connection.execute("SHOW listen_addresses").fetchone()
            (durable,) = connection.execute("SHOW fsync").fetchone()
        mode = server.socket_dir.stat().st_mode & 0o777

    assert addresses == ""
    assert durable == "on"
    assert mode == 0o700
    assert not server.is_running()


def test_runs_under_an_unprivileged_user(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server:
        owner = Path(f"/proc/{server.postmaster_pid()}").stat().st_uid

    assert owner != 0
    assert owner == (os.getuid() or pwd.getpwnam("postgres").pw_uid)


@pytest.mark.slow
def test_keeps_its_data_between_starts(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server, connect(server) as connection:
        connection.execute("CREATE TABLE kept (n int)")

    with EmbeddedPostgres(var_dir) as server, connect(server) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


@pytest.mark.slow
def test_start_and_stop_twice_do_no_harm(var_dir: Path):
    server = EmbeddedPostgres(var_dir)
    server.stop()
    server.start()
    server.start()
    server.stop()
    server.stop()

    assert not server.is_running()


@pytest.mark.slow
def test_two_folders_do_not_disturb_each_other(var_dir: Path):
    one, two = EmbeddedPostgres(var_dir / "one"), EmbeddedPostgres(var_dir / "two")
    with one:
        with two:
            assert one.postmaster_pid() != two.postmaster_pid()
            assert one.socket_dir != two.socket_dir
        assert not two.is_running()
        with connect(one) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.slow
def test_the_last_program_stops_it(var_dir: Path):
    server = EmbeddedPostgres(var_dir)
    server.start()
    other = holder(var_dir)

    server.stop()
    running_while_other_holds = server.is_running()
    release(other)

    assert running_while_other_holds
    assert not server.is_running()


@pytest.mark.slow
def test_a_forked_child_does_not_stop_its_parents_server(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server:
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        os.waitpid(child, 0)

        assert server.is_running()
    assert not server.is_running()


@pytest.mark.slow
def test_a_killed_program_is_not_counted(var_dir: Path):
    other = holder(var_dir)
    other.kill()
    other.communicate()

    with EmbeddedPostgres(var_dir) as server:
        pass

    assert not server.is_running()


def test_committed_rows_survive_kill_9_of_the_postmaster(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server:
        with connect(server) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
            os.kill(server.postmaster_pid(), signal.SIGKILL)

        wait_until(lambda: not server.is_running())
        started_again = server.ensure_running()

        with connect(server) as connection:
            assert connection.execute("SELECT count(*), sum(n) FROM kept").fetchone() == (1000, 500500)
    assert started_again


@pytest.mark.slow
def test_backends_that_outlive_the_postmaster_are_ended(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server:
        connection = connect(server)
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)  # cannot notice the loss of its postmaster by itself
        os.kill(server.postmaster_pid(), signal.SIGKILL)
        wait_until(lambda: not server.is_running())

        server.ensure_running()

        assert not is_alive(backend)
        connection.close()


@pytest.mark.slow
def test_a_stale_pid_file_naming_a_live_process_does_not_deceive(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server:
        pass
    pid_file = server.data_dir / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{server.data_dir}\n")

    running = server.is_running()
    with server, connect(server) as connection:
        answer = connection.execute("SELECT 1").fetchone()

    assert not running
    assert answer == (1,)


@pytest.mark.slow
def test_a_killed_initdb_leaves_nothing_behind(var_dir: Path):
    server = EmbeddedPostgres(var_dir)
    server._prepare_folders()
    (server.home / "data.new").mkdir()
    (server.home / "data.new" / "PG_VERSION").write_text("15\n")

    with server, connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.slow
def test_a_long_path_gets_a_short_socket(var_dir: Path):
    deep = var_dir / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    with EmbeddedPostgres(deep) as server, connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert server.socket_dir.parent == Path("/tmp")
    shutil.rmtree(server.socket_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server as somebody else")
@pytest.mark.slow
def test_a_folder_closed_to_the_server_account_moves_the_data(var_dir: Path):
    var_dir.chmod(0o700)
    server = EmbeddedPostgres(var_dir)

    with server, connect(server) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert server.home.parent == Path("/var/lib/gridsvc")
    assert (var_dir / "postgres.place").read_text().strip() == str(server.home)
    shutil.rmtree(server.home)


@pytest.mark.slow
def test_a_broken_configuration_is_told_with_the_words_of_the_log(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server:
        pass
    with (server.data_dir / "postgresql.auto.conf").open("a") as configuration:
        configuration.write("shared_buffers = 'much'\n")

    with pytest.raises(DatabaseUnavailableError, match="pg_ctl") as refused:
        server.start()

    assert str(server.log_file) in refused.value.hint


def test_missing_programs_are_told_with_the_command_that_mends(var_dir: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gridsvc.store.embedded.installed_versions", list)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(DatabaseUnavailableError, match="apt-get install postgresql-15"):
        EmbeddedPostgres(var_dir).start()


@pytest.mark.slow
def test_databases_are_made_and_dropped_by_name(var_dir: Path):
    with EmbeddedPostgres(var_dir) as server:
        made, again = server.create_database("extra"), server.create_database("extra")
        server.drop_database("extra")

        with pytest.raises(DatabaseUnavailableError, match="no name"):
            server.create_database('x"; DROP DATABASE gridsvc; --')
    assert (made, again) == (True, False)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # ended, but not yet collected by its parent


def wait_until(condition, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
