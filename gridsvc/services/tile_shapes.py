"""Keeps what tiles draw of grids and divisions: borders simplified for every zoom, neighbours together.

Ground that changed is noted by triggers of the database in the transaction of the change (migration 0033). There tiles are drawn
from the grids themselves, every vertex, until it is renewed here; slower, never older. Only what touches the ground is drawn
again: a border's simplification follows from the border alone (`gridsvc.geo.border_arcs`).
"""

from __future__ import annotations

import logging
import time

import numpy as np
import pandas as pd
import shapely

from gridsvc.geo.border_arcs import WeightedBorders, weighted_borders
from gridsvc.geo.map_pixels import HALF_WORLD, lon_lat_to_mercator, pixel_size
from gridsvc.store.tile_shapes import TileShapeRepository, Undrawn
from gridsvc.store.tiles import LAYERS, SHAPED_ZOOM
from gridsvc.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)

# borders move by at most so many pixels of 1/4096 tile: half a pixel of the screen, where a tile is 512 of them wide
TOLERANCE_PIXELS = 4.0
_ORIGIN = (-HALF_WORLD, HALF_WORLD)


def renew_tile_shapes(uow: UnitOfWork) -> int:
    """Draw anew what changed, a layer to a transaction, and return how many grids and divisions that was.

    Commits. Where another process is at it, nothing is done.
    """
    count = 0
    for layer in TileShapeRepository(uow.connection).undrawn_layers():
        shapes = TileShapeRepository(uow.connection)
        if not shapes.try_lock():
            break
        began = time.perf_counter()
        undrawn = shapes.undrawn(layer)
        drawn = undrawn.row_id[undrawn.is_drawn]
        shapes.put(layer, undrawn.ground, drawn, drawn_shapes(undrawn, layer))
        if len(drawn) > 1000:
            shapes.analyze()
        uow.commit()
        logger.info("drew %d of %s in %.1f s", len(drawn), layer, time.perf_counter() - began)
        count += len(drawn)
    return count


def drawn_shapes(undrawn: Undrawn, layer: str) -> pd.DataFrame:
    """Return the shapes of a layer at each of its zooms: z, row_id, shape (pixels of the zoom), label_x, label_y (divisions)."""
    polygons = shapely.transform(undrawn.polygon, lon_lat_to_mercator)
    borders = weighted_borders(polygons)
    places = np.full((len(polygons), 2), np.nan)
    if not layer.startswith("grids_"):
        places = shapely.get_coordinates(shapely.point_on_surface(polygons))
    frames = [_at_zoom(borders, undrawn, places, z) for z in range(LAYERS[layer].min_zoom, SHAPED_ZOOM + 1)]
    return pd.concat(frames, ignore_index=True)


def _at_zoom(borders: WeightedBorders, undrawn: Undrawn, places: np.ndarray, z: int) -> pd.DataFrame:
    pixel = pixel_size(z)
    # from the last zoom on everything is drawn: maps stretch its tiles
    tolerance = 0.0 if z == SHAPED_ZOOM else TOLERANCE_PIXELS * pixel
    index, shape = borders.shapes(tolerance, pixel=pixel, origin=_ORIGIN)
    wanted = undrawn.is_drawn[index]
    index, shape = index[wanted], shape[wanted]
    label = np.rint((places[index] - _ORIGIN) / (pixel, -pixel))
    columns = {"z": z, "row_id": undrawn.row_id[index], "shape": shape}
    labels = {name: pd.array(label[:, i], dtype="Int64") for i, name in enumerate(("label_x", "label_y"))}
    return pd.DataFrame(columns | labels)
