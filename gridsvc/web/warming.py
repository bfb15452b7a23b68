"""Each worker of the server makes ready what the first visitor needs: static files compressed, and what isochrones load or compile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gridsvc.services.circles import warm_isochrones

logger = logging.getLogger(__name__)


def start_warming(static_files: Callable[[], None]) -> threading.Thread:
    """Begin in the background, and return the thread. Answers do not depend on it: a failure is logged.

    Parameters
    ----------
    static_files
        Reads and compresses them.
    """

    def run() -> None:
        for what, warm in (("static files", static_files), ("isochrones", warm_isochrones)):
            try:
                warm()
            except Exception:
                logger.exception("%s were not warmed; the first will take longer", what)

    thread = threading.Thread(target=run, name="warming", daemon=True)
    thread.start()
    return thread
