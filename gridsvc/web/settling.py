"""A small clock in each worker of the server: redraws approved for later take effect when their instant comes.

Reports that a redraw left behind follow it, too, block by block; and reports with an address get its place.
"""

from __future__ import annotations

import logging
import threading

from gridsvc.bootstrap import App
from gridsvc.errors import GridsvcError
from gridsvc.services.placing_reports import place_waiting
from gridsvc.services.redraw_effects import settle
from gridsvc.services.relocating import has_work, relocate
from gridsvc.web.callers import now

logger = logging.getLogger(__name__)

# how late a redraw may take effect; one cheap question to the database each time
SETTLE_S = 5.0


def settle_once(app: App) -> int:
    """Take the effect of what is due and return how many redraws that were; with several workers one does it."""
    with app.unit_of_work() as uow:
        done = settle(uow, now(), actor="gridsvc serve")
        uow.commit()
        if has_work(uow):
            relocate(uow)
        place_waiting(uow, at=now())
    return len(done)


def start_settling(app: App, *, every_s: float = SETTLE_S) -> threading.Event:
    """Start the clock and return the event that stops it. A refusal is logged and the clock goes on."""
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(every_s):
            try:
                settle_once(app)
            except GridsvcError as refused:
                logger.warning("redraws were not settled: %s", refused)
            except Exception:
                # whatever it is, tomorrow's redraw must still find a running clock
                logger.exception("redraws were not settled")

    threading.Thread(target=run, name="settle-redraws", daemon=True).start()
    return ending
