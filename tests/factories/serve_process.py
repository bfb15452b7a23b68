"""``gridsvc serve`` as processes of a test: the whole of it, killed and started again on one port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO

from factories import served_town

from gridsvc.bootstrap import embedded_server, open_app
from gridsvc.settings import read_settings


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def town_environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a server with a cluster of its own under ``folder``, the small town in it."""
    given = {"GRIDSVC_VAR": str(folder), "GRIDSVC_WORKERS": "2"} | changes
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GRIDSVC_")} | given
    with open_app(read_settings(environment)) as app, app.unit_of_work() as uow:
        served_town.put_town(uow)
        uow.commit()
    return environment


class ServeProcess:
    """``gridsvc serve`` as a process group of its own, on one port through all its lives."""

    def __init__(self, environment: dict[str, str], log: IO[bytes], port: int | None = None) -> None:
        self.environment, self.log, self.port = environment, log, port or free_port()
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        """Address without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        command = [sys.executable, "-m", "gridsvc.cli.main", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, env=self.environment, start_new_session=True, stdout=self.log, stderr=self.log
        )
        self.wait_ready()

    def wait_ready(self, seconds: float = 120) -> None:
        """Wait until the server and its database answer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError(f"the server was not ready within {seconds} s")

    def kill(self) -> None:
        """Kill master and workers at once, as a power cut would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_database(self) -> None:
        """Kill the database's main process; the server starts it again."""
        pid = embedded_server(read_settings(self.environment)).postmaster_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def end(self) -> float:
        """End it in order and return how long that took. Unit: s."""
        assert self.process is not None
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
        return time.monotonic() - begun
