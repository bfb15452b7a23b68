"""``gridsvc serve`` with the small town in it: its database can be killed alone, and it says how long it takes to end."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from pathlib import Path

from factories import served_town
from factories.killed_server import ServedProcess, environment_of

from gridsvc.bootstrap import embedded_server, open_app
from gridsvc.settings import read_settings


def town_environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a server with a cluster of its own under ``folder``, the small town in it."""
    environment = environment_of(folder, **changes)
    with open_app(read_settings(environment)) as app, app.unit_of_work() as uow:
        served_town.put_town(uow)
        uow.commit()
    return environment


class ServeProcess(ServedProcess):
    """A server whose database can be killed by itself."""

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

    def kill_database(self) -> None:
        """Kill the database's main process; the server starts it again."""
        pid = embedded_server(read_settings(self.environment)).postmaster_pid()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
