"""Each worker of the server loads, or compiles on a new machine, what the first isochrone needs before a planner asks for it."""

from __future__ import annotations

import logging
import threading

from gridsvc.services.circles import warm_isochrones

logger = logging.getLogger(__name__)


def start_warming() -> threading.Thread:
    """Begin in the background, and return the thread. Answers do not depend on it: a failure is logged."""

    def run() -> None:
        try:
            warm_isochrones()
        except Exception:
            logger.exception("isochrones were not warmed; the first will take longer")

    thread = threading.Thread(target=run, name="warm-isochrones", daemon=True)
    thread.start()
    return thread
