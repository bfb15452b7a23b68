"""Each worker of the server holds the index of all grids, and who is on duty, before anyone asks, and again when they change.

Answers do not depend on it: a lookup asks for the versions itself and never answers from older ones. It only spares
requests the building.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from gridsvc.bootstrap import App
from gridsvc.errors import GridsvcError
from gridsvc.geo.location_odds import warm
from gridsvc.services.grid_lookup import keep_current
from gridsvc.web.callers import now

logger = logging.getLogger(__name__)

# how soon a change is prepared for; one cheap question to the database each time
KEEP_S = 1.0


def start_keeping_grids(
    app: App, *, every_s: float = KEEP_S, held: Callable[[], None] = lambda: None
) -> threading.Event:
    """Start holding the grids in force and return the event that stops it. A refusal is logged and it goes on.

    ``held`` is called once, after the first attempt.
    """
    ending = threading.Event()

    def run() -> None:
        warm()
        tell: Callable[[], None] | None = held
        while not ending.is_set():
            try:
                with app.unit_of_work() as uow:
                    keep_current(uow, now())
                    app.point_locator.keep_roster(uow, now())
            except GridsvcError as refused:
                logger.warning("the index of the grids was not renewed: %s", refused)
            except Exception:
                # whatever it is, the next change must still be prepared for
                logger.exception("the index of the grids was not renewed")
            if tell is not None:
                tell()
                tell = None
            ending.wait(every_s)

    threading.Thread(target=run, name="keep-grids", daemon=True).start()
    return ending
