"""A real server for benchmarks: gunicorn over a folder's embedded database, as `gridsvc serve` starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def served(var_dir: Path) -> Iterator[tuple[tuple[str, int], int]]:
    """Serve what is in ``var_dir`` at a free port; yield host and port, and the id of the process that has all others."""
    environment = os.environ | {"GRIDSVC_VAR": str(var_dir), "GRIDSVC_PORT": "0", "GRIDSVC_LOG_LEVEL": "WARNING"}
    command = [sys.executable, "-c", "from gridsvc.cli.main import main; main()", "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            host, _, port = process.stdout.readline().split("//")[1].split("/")[0].rpartition(":")
            yield (host, int(port)), process.pid
        finally:
            process.terminate()
