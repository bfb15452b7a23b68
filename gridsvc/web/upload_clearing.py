"""A slow clock in each worker of the server: uploads of photos that nobody goes on with are cleared away."""

from __future__ import annotations

import logging
import threading

from gridsvc.bootstrap import App
from gridsvc.errors import GridsvcError
from gridsvc.services.photo_sweeping import PhotoSweep, clear_uploads
from gridsvc.web.callers import now

logger = logging.getLogger(__name__)

# expired uploads are refused at once; only their bytes lie about for this long
CLEAR_S = 600.0


def clear_once(app: App) -> PhotoSweep:
    """Clear what is over and return the counts; several workers may do it at once."""
    found = clear_uploads(app.unit_of_work, app.photo_files, now())
    if found.uploads_expired or found.uploads_cleared:
        logger.info("uploads: %d expired, %d cleared", found.uploads_expired, found.uploads_cleared)
    return found


def start_clearing_uploads(app: App, *, every_s: float = CLEAR_S) -> threading.Event:
    """Start the clock and return the event that stops it. A refusal is logged and the clock goes on."""
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(every_s):
            try:
                clear_once(app)
            except GridsvcError as refused:
                logger.warning("uploads were not cleared: %s", refused)
            except Exception:
                # whatever it is, the disk must still find somebody who clears it tomorrow
                logger.exception("uploads were not cleared")

    threading.Thread(target=run, name="clear-uploads", daemon=True).start()
    return ending
