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
    """A running ``gridsvc serve`` on a free port; its standard error is in ``log``."""

    def __init__(self, var_dir: Path) -> None:
        self.log = var_dir / "serve.log"
        environment = {
            "PATH": "/usr/bin:/bin",
            "GRIDSVC_VAR": str(var_dir),
            "GRIDSVC_PORT": "0",
            "PYTHONUNBUFFERED": "1",
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from gridsvc.cli.main import main; main()", "serve"],
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
        self.process.communicate(timeout=60)
        return self.process.returncode


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
    status = served.end(signal.SIGTERM)

    assert status == 0
    assert "Traceback" not in served.log.read_text()
    assert "had died" not in served.log.read_text()
    assert not EmbeddedPostgres(var_dir).is_running()


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

    assert again.end(signal.SIGTERM) == 0
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
