"""A worker of the server draws anew, for the tiles of every zoom, the borders of what changed; with several workers one does it.

Answers do not depend on it: until then tiles show the grids themselves there, vertex by vertex, which takes longer.
"""

from __future__ import annotations

import logging
import threading

from gridsvc.bootstrap import App
from gridsvc.errors import GridsvcError
from gridsvc.services.tile_shapes import renew_tile_shapes

logger = logging.getLogger(__name__)

# how soon a change is drawn; one cheap question to the database each time
DRAW_S = 1.0


def start_drawing_tiles(app: App, *, every_s: float = DRAW_S) -> threading.Event:
    """Start drawing what changed and return the event that stops it. A refusal is logged and it goes on."""
    ending = threading.Event()

    def run() -> None:
        while not ending.wait(every_s):
            try:
                with app.unit_of_work() as uow:
                    renew_tile_shapes(uow)
            except GridsvcError as refused:
                logger.warning("shapes of tiles were not drawn: %s", refused)
            except Exception:
                # whatever it is, the next change must still be drawn
                logger.exception("shapes of tiles were not drawn")

    threading.Thread(target=run, name="draw-tiles", daemon=True).start()
    return ending
