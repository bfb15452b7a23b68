"""``gridsvc serve`` as a process of its own, on one port through all its lives, with a database of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request


def environment_of(folder, **settings: str) -> dict[str, str]:
    """Return the environment of a server whose data lie in ``folder``, with none of the settings of this process."""
    given = {"GRIDSVC_VAR": str(folder), "GRIDSVC_WORKERS": "2"} | settings
    return {k: v for k, v in os.environ.items() if not k.startswith("GRIDSVC_")} | given


def free_port() -> int:
    """Return a port of loopback that nobody holds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class ServedProcess:
    """A server in a process group; it can be killed as a power cut would, and started again at the same address."""

    def __init__(self, environment: dict[str, str], log) -> None:
        self.environment, self.log, self.port = environment, log, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start, and return when it is ready."""
        command = [sys.executable, "-m", "gridsvc.cli.main", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, env=self.environment, start_new_session=True, stdout=self.log, stderr=self.log
        )
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the server was not ready within 120 s")

    def kill(self) -> None:
        """Kill master and workers at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """End in order."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)
