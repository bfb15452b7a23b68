"""Vector tiles for the map: checks what is asked, reads it from the store, says how long it may be kept."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.store.tiles import LAYERS, MAX_ZOOM, TileRepository
from gridsvc.store.unit_of_work import UnitOfWork

LAYER_NAMES = tuple(LAYERS)


@dataclass(frozen=True, slots=True)
class Tile:
    """One vector tile: its bytes (empty when nothing is drawn there) and a tag that changes with them."""

    content: bytes
    tag: str
    is_dated: bool


def render_tile(
    uow: UnitOfWork, layer: str, z: int, x: int, y: int, *, at: datetime, since: datetime | None = None
) -> Tile:
    """Return the tile of one layer, the same bytes whenever the data are the same.

    Raises
    ------
    NotFoundError
        When there is no such layer.
    RequestInvalidError
        When z, x, y is no tile of the Web Mercator pyramid.
    """
    if layer not in LAYERS:
        raise NotFoundError(f"There is no tile layer {layer!r}.", hint=f"The layers are {', '.join(LAYERS)}.")
    if not (0 <= z <= MAX_ZOOM and 0 <= x < 2**z and 0 <= y < 2**z):
        raise RequestInvalidError(
            f"{z}/{x}/{y} is not a tile.",
            hint=f"z goes from 0 to {MAX_ZOOM}, x and y from 0 to 2**z - 1.",
            z=z,
            x=x,
            y=y,
        )
    content = TileRepository(uow.connection, uow.scope).tile(layer, z, x, y, at=at, since=since)
    return Tile(content, hashlib.sha256(content).hexdigest()[:32], LAYERS[layer].dated)
