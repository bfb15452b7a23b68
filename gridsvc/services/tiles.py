"""Vector tiles for the map: checks what is asked, reads it from the store, holds what was read as long as it is right.

Tiles of grids and divisions are held in the process (and whole outlines for the picture a page begins with), by scope, version of the grids, version of their shapes, and the time between
two changes that was asked for. The versions are asked of the database for every tile, so that a change is never missed.
"""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.geo.map_pixels import Outline
from gridsvc.services.grid_lookup import epoch_at
from gridsvc.store.tiles import LAYERS, MAX_ZOOM, SHAPED_ZOOM, TileRepository
from gridsvc.store.unit_of_work import UnitOfWork

LAYER_NAMES = tuple(LAYERS)
# those whose shapes are kept for each zoom, and the last zoom of these
SHAPED_LAYERS = tuple(name for name, layer in LAYERS.items() if layer.is_shaped)
LAST_SHAPED_ZOOM = SHAPED_ZOOM


# held in each process. Unit: bytes, of tiles and what they compress to
_HELD_BYTES = 64 * 2**20
# a tile held takes about so much beside its bytes
_ENTRY_BYTES = 600
# smaller ones do not get smaller by compression
_COMPRESS_FROM_BYTES = 256


@dataclass(frozen=True)
class Tile:
    """One vector tile: its bytes (empty when nothing is drawn there) and a tag that changes with them."""

    content: bytes
    tag: str

    @cached_property
    def compressed(self) -> bytes | None:
        """The bytes compressed with gzip, always the same ones; None where it would not pay."""
        # mtime 0: the same tile is the same bytes whenever it is compressed
        return gzip.compress(self.content, 6, mtime=0) if len(self.content) >= _COMPRESS_FROM_BYTES else None

    @property
    def size(self) -> int:
        """Unit: bytes, compressed ones included."""
        return len(self.content) + len(self.compressed or b"") + _ENTRY_BYTES


@dataclass(frozen=True)
class Outlines:
    """What a drawing shows of each layer."""

    layers: dict[str, list[Outline]]

    @cached_property
    def size(self) -> int:
        """Unit: bytes, about."""
        return sum(len(one.path) + _ENTRY_BYTES for outlines in self.layers.values() for one in outlines)


@dataclass
class _Held:
    """Tiles and outlines of one state of grids and shapes, those asked for last; a tile of another state empties it first."""

    state: tuple[str, str] = ("", "")
    tiles: OrderedDict[tuple, Any] = field(default_factory=OrderedDict)
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, state: tuple[str, str], key: tuple) -> Any:
        with self.lock:
            if state != self.state:
                return None
            found = self.tiles.get(key)
            if found is not None:
                self.tiles.move_to_end(key)
            return found

    def keep(self, state: tuple[str, str], key: tuple, tile: Tile | Outlines) -> None:
        size = tile.size
        with self.lock:
            if state != self.state:
                self.state, self.size = state, 0
                self.tiles.clear()
            if key not in self.tiles:
                self.tiles[key] = tile
                self.size += size
            while self.size > _HELD_BYTES:
                self.size -= self.tiles.popitem(last=False)[1].size


_HELD = _Held()


def render_tile(
    uow: UnitOfWork, layer: str, z: int, x: int, y: int, *, at: datetime, since: datetime | None = None
) -> Tile:
    """Return the tile of one layer, the same bytes whenever the data are the same.

    Its statements need not be of one state: a tile is read after the versions it is held by, hence never older than they are.

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
    repository = TileRepository(uow.connection, uow.scope)
    if not LAYERS[layer].is_shaped or z < LAYERS[layer].min_zoom:
        return _tile(repository.tile(layer, z, x, y, at=at, since=since))
    grids, shapes = repository.version()
    grids, epoch = epoch_at(uow, grids, at)
    state, key = (grids, shapes), (layer, z, x, y, uow.scope, epoch)
    held = _HELD.find(state, key)
    if held is None:
        held = _tile(repository.tile(layer, z, x, y, at=at))
        _HELD.keep(state, key, held)
    return held


def map_outlines(
    uow: UnitOfWork,
    layers: Sequence[str],
    z: int,
    *,
    at: datetime,
    left: float,
    top: float,
    unit: float,
    most: int,
) -> Outlines:
    """Return what is drawn of some layers at a zoom, whole and in scope, in units of a drawing: for a picture to be there before the map.

    Parameters
    ----------
    layers
        Of grids and divisions, the most important first.
    left, top, unit
        Where the drawing begins and how long its unit is. Unit: pixels of the zoom (`gridsvc.geo.map_pixels`).
    most
        How many shapes may be drawn; a layer that does not fit in what the ones before it have left is not drawn at all.
    """
    repository = TileRepository(uow.connection, uow.scope)
    grids, shapes = repository.version()
    grids, epoch = epoch_at(uow, grids, at)
    state, key = (grids, shapes), ("outlines", *layers, z, left, top, unit, most, uow.scope, epoch)
    held = _HELD.find(state, key)
    if held is None:
        drawn: dict[str, list[Outline]] = {}
        for layer in layers:
            found = repository.outlines(layer, z, at=at, left=left, top=top, unit=unit, most=most + 1)
            if len(found) > most:
                break
            drawn[layer], most = found, most - len(found)
        held = Outlines(drawn)
        _HELD.keep(state, key, held)
    return held


def _tile(content: bytes) -> Tile:
    return Tile(content, hashlib.sha256(content).hexdigest()[:32])
