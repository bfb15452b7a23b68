"""``gridsvc serve`` as a process: ends in order, survives the death of its database and of itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridsvc.store.embedded import EmbeddedPostgres

pytestmark = [pytest.mark.postgis, pytest.mark.slow]


@pytest.fixture(scope="module")
def var_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gridsvc-serve-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


class Served:
    """A running ``gridsvc serve`` on a free port; its standard error is in ``log``. ``first``: Python run before it."""

    def __init__(self, var_dir: Path, first: str = "") -> None:
        self.log = var_dir / "serve.log"
        environment = {
            "PATH": "/usr/bin:/bin",
            "GRIDSVC_VAR": str(var_dir),
            "GRIDSVC_PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", f"{first}\nfrom gridsvc.cli.main import main; main()", "serve"],
                env=environment, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+/", line)
        assert found, line + self.log.read_text()
        self.address = found.group()

    def status(self, path: str) -> int:
        """Return the HTTP status, 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        try:
            self.process.communicate(timeout=60)
        finally:
            self.process.kill()
        return self.process.returncode

    def end_in_order(self) -> None:
        """End it as a service manager does, and see that it went well."""
        status = self.end(signal.SIGTERM)
        told = self.log.read_text()

        assert status == 0, told
        assert "Traceback" not in told, told
        assert "had died" not in told, told


@pytest.fixture
def served(var_dir: Path) -> Iterator[Served]:
    running = Served(var_dir)
    wait_until(lambda: running.status("readyz") == 200)
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGTERM)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(condition: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_sigterm_ends_it_in_order_and_stops_the_database(served: Served, var_dir: Path):
    served.end_in_order()

    assert not EmbeddedPostgres(var_dir).is_running()


# a worker that does not hear its SIGTERM would hold the server for this long: the test, not the grace, runs out
ENDLESS_GRACE = "import gridsvc.web.server as s, time; s.GRACE_S = 3600\n"
BUSY = {
    # no handlers yet: the signal must not be lost on those the fork took from the master
    "forked": "begin = s.Worker.init_process; s.Worker.init_process = lambda w: (print('here\\n', end='', flush=True), "
    "time.sleep(2), begin(w))",
    "building": "build = s._build; s._build = lambda *a: (print('here\\n', end='', flush=True), time.sleep(3600), build(*a))[-1]",
    # the compiler, as a thread that never ends
    "warming": "import gridsvc.web.keeping_grids as k; k.warm = lambda: (print('here\\n', end='', flush=True), [0 for _ in iter(int, 1)])",
}


@pytest.mark.parametrize("busy", BUSY)
def test_sigterm_ends_it_in_order_while_workers_are(busy: str, var_dir: Path):
    starting = Served(var_dir, ENDLESS_GRACE + BUSY[busy])
    assert starting.process.stdout is not None
    assert starting.process.stdout.readline() == "here\n", starting.log.read_text()

    starting.end_in_order()

    assert not EmbeddedPostgres(var_dir).is_running()


ONE_IS_BUILT = """
import multiprocessing
first, build = multiprocessing.Lock(), s._build
s._build = lambda *given: build(*given) if first.acquire(block=False) else time.sleep(3600)
"""


def test_sigterm_ends_it_in_order_while_one_worker_serves_and_the_other_is_built(var_dir: Path):
    served = Served(var_dir, ENDLESS_GRACE + ONE_IS_BUILT)
    wait_until(lambda: served.status("readyz") == 200)

    served.end_in_order()

    assert not EmbeddedPostgres(var_dir).is_running()


# where the program stands when the signal comes: it sends it itself
STANDING = {
    "before the web server is loaded": ("gridsvc.log", "configure"),
    "creating the cluster": ("gridsvc.store.embedded", "EmbeddedPostgres._create_cluster"),
    "starting the database": ("gridsvc.store.embedded", "EmbeddedPostgres._run_tool"),
    "waiting for the database": ("gridsvc.store.embedded", "EmbeddedPostgres._wait_until_answering"),
    "looking at the schema": ("gridsvc.bootstrap", "meet_schema"),
    "announcing": ("gridsvc.web.server", "make_rate_limit"),
    "starting the master": ("gunicorn.arbiter", "Arbiter.start"),
    "before the first worker": ("gunicorn.arbiter", "Arbiter.manage_workers"),
}
# what a handler raises in here is printed and forgotten
DEAF = """
import os, signal
from gridsvc import log
class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000): pass
configure = log.configure
log.configure = lambda level: (configure(level), Dying())[0]
from gridsvc.cli.main import main
main()
"""
STAND = """
import importlib, os, signal, sys
module, path = {place!r}
*owners, name = path.split(".")
owner = importlib.import_module(module)
for step in owners:
    owner = getattr(owner, step)
whole = getattr(owner, name)
def told(*given, **named):
    if "pg_ctl" in given or name != "_run_tool":
        setattr(owner, name, whole)
        os.kill(os.getpid(), signal.SIGTERM)
    return whole(*given, **named)
setattr(owner, name, told)
from gridsvc.cli.main import main
main()
"""


@pytest.mark.parametrize("standing", STANDING)
def test_sigterm_ends_it_in_order_while_it_starts(standing: str):
    told = run_to_its_end(STAND.format(place=STANDING[standing]))

    assert "Traceback" not in told, told


def test_sigterm_ends_it_where_nothing_can_be_raised():
    told = run_to_its_end(DEAF)

    assert "Exception ignored in" in told, told


def run_to_its_end(program: str) -> str:
    """Run a program that serves from an empty folder, see that it ends well, and return what it told."""
    with tempfile.TemporaryDirectory(prefix="gridsvc-serve-") as made:
        Path(made).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", program, "serve"],
            env={"PATH": "/usr/bin:/bin", "GRIDSVC_VAR": made, "GRIDSVC_PORT": "0"},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

        assert done.returncode == 0, done.stderr
        assert not EmbeddedPostgres(Path(made)).is_running()
        return done.stderr


def test_a_worker_that_ends_leaves_the_database_alone(served: Served, var_dir: Path):
    postmaster = EmbeddedPostgres(var_dir).postmaster_pid()
    (worker, *_) = children(served.process.pid)

    os.kill(worker, signal.SIGTERM)
    wait_until(lambda: worker not in children(served.process.pid))
    wait_until(lambda: len(children(served.process.pid)) == 2)

    assert EmbeddedPostgres(var_dir).postmaster_pid() == postmaster
    assert served.status("readyz") == 200


def test_a_killed_database_is_started_again_meanwhile_503(served: Served, var_dir: Path):
    os.kill(EmbeddedPostgres(var_dir).postmaster_pid(), signal.SIGKILL)
    first = served.status("readyz")

    wait_until(lambda: served.status("readyz") == 200)

    assert first in (200, 503)  # 200 when the watch was quicker
    assert "Traceback" not in served.log.read_text()


def test_a_killed_server_leaves_nothing_that_hinders_the_next(served: Served, var_dir: Path):
    served.end(signal.SIGKILL)
    wait_until(lambda: served.status("healthz") == 0)

    again = Served(var_dir)
    wait_until(lambda: again.status("readyz") == 200)

    again.end_in_order()
    assert not EmbeddedPostgres(var_dir).is_running()


def test_a_taken_port_is_one_sentence(served: Served, var_dir: Path):
    port = served.address.rstrip("/").rpartition(":")[2]

    done = subprocess.run(
        [sys.executable, "-c", "from gridsvc.cli.main import main; main()", "serve", "--port", port],
        env={"PATH": "/usr/bin:/bin", "GRIDSVC_VAR": str(var_dir)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
