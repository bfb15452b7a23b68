"""Vector tiles from PostGIS: one SQL file per kind of layer, the same bytes for the same data.

Grids and divisions are drawn from the shapes kept for each zoom (`tile_shapes`), where those are up to date.

``ST_AsMVT`` numbers keys and values in the order rows arrive, so every layer orders its rows by a stable key inside the
aggregate; identities of rows (which differ between databases) are never written, codes are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import text

from gridsvc.geo.map_pixels import EXTENT, HALF_WORLD, Outline, pixel_size
from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.sql_files import sql_text

# drawn past the tile's edge so that lines and symbols on it are whole; in tile units
BUFFER = 64
MAX_ZOOM = 22
# shapes of grids and divisions are kept up to this zoom, at which nothing is left out; nearer, they are drawn from what is stored
SHAPED_ZOOM = 16
# past the buffer by a fraction far from every simple one (the golden section): see tile_placed.sql
_CLIP = BUFFER + (5**0.5 - 1) / 2 / 2


@dataclass(frozen=True, slots=True)
class TileLayer:
    """One layer: its SQL file, from which zoom it is drawn, from which zoom with all attributes, fixed SQL parameters."""

    sql: str
    min_zoom: int
    detail_zoom: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def is_shaped(self) -> bool:
        """Answer whether shapes are kept for each zoom: of grids and divisions."""
        return "about" in self.parameters


LAYERS: dict[str, TileLayer] = {
    "districts": TileLayer("tiles_divisions", 0, 0, {"about": "district"}),
    "street_offices": TileLayer("tiles_divisions", 7, 9, {"about": "street"}),
    "communities": TileLayer("tiles_divisions", 9, 11, {"about": "community"}),
    "grids_urban": TileLayer("tiles_grids", 13, 14, {"about": "urban"}),
    "grids_social": TileLayer("tiles_grids", 12, 13, {"about": "social"}),
    "grids_security": TileLayer("tiles_grids", 12, 13, {"about": "security"}),
    "grids_unified": TileLayer("tiles_grids", 12, 13, {"about": "unified"}),
    "streets": TileLayer("tiles_streets", 8, 13),
    "water": TileLayer("tiles_water", 6, 12),
    "residences": TileLayer("tiles_residences", 13, 16),
    "facilities": TileLayer("tiles_facilities", 11, 14),
    "components": TileLayer("tiles_components", 14, 16),
    "reports": TileLayer("tiles_reports", 6, 14),
    "workers": TileLayer("tiles_workers", 11, 14),
}


class TileRepository(Repository):
    """Vector tiles. Streets and water are a map everybody may see; all else is cut to the scope."""

    def version(self) -> tuple[str, str]:
        """Return the versions of grids and divisions, and of the shapes drawn of them: tiles of both are the same while these are."""
        ((grids, shapes),) = self.rows_of(
            "SELECT g.version::text, t.version::text FROM grid_version AS g, tile_version AS t", ()
        )
        return grids, shapes

    def tile(self, layer: str, z: int, x: int, y: int, *, at: datetime, since: datetime | None = None) -> bytes:
        """Return one tile as Mapbox Vector Tile 2 bytes, empty when nothing is drawn there.

        Parameters
        ----------
        layer
            A key of ``LAYERS``; also the name of the layer inside the tile.
        z, x, y
            Web Mercator tile, y counted from the north (XYZ).
        since
            Reports made before are left out; None takes all.
        """
        drawn = LAYERS[layer]
        if z < drawn.min_zoom:
            return b""
        bound = {
            "z": z, "x": x, "y": y, "at": at, "layer": layer, "extent": EXTENT, "buffer": BUFFER,
            "detailed": z >= drawn.detail_zoom, "scope": like_pattern(self.scope), **drawn.parameters,
        }  # fmt: skip
        if drawn.is_shaped:
            bound |= {"left": x * EXTENT, "top": y * EXTENT, "clip": _CLIP, "shaped_zoom": SHAPED_ZOOM}
            bound |= {"pixel": pixel_size(z), "half_world": HALF_WORLD}
        if layer == "reports":
            bound["since"] = since
        return bytes(self.connection.execute(text(_statement(drawn.sql)), bound).scalar_one() or b"")

    def outlines(
        self, layer: str, z: int, *, at: datetime, left: float, top: float, unit: float, most: int
    ) -> list[Outline]:
        """Return what is in force of a layer of grids or divisions, as drawn for a zoom; at most ``most``, by code.

        Empty while something of the layer waits to be drawn anew.

        Parameters
        ----------
        left, top, unit
            Where the drawing begins and how long its unit is. Unit: pixels of the zoom, y from the north.
        """
        drawn = LAYERS[layer]
        bound = {"layer": layer, "z": z, "at": at, "scope": like_pattern(self.scope), "most": most}
        bound |= {"left": left, "top": top, "unit": unit}
        statement = sql_text("tile_outlines")
        for word in ("table", "key"):
            statement = statement.replace("{" + word + "}", _PLACED[drawn.sql][word])
        return [Outline(*row) for row in self.connection.execute(text(statement), bound)]


_ON_SURFACE = "ST_PointOnSurface(ST_Transform(ST_SetSRID(r.geom, 4326), 3857))"
# what tile_placed.sql reads, for each kind of layer
_PLACED = {
    "tiles_grids": {"table": "grids", "key": "grid_id", "about": "network", "label_x": "NULL", "label_y": "NULL"},
    "tiles_divisions": {
        "table": "divisions",
        "key": "division_id",
        "about": "level",
        "label_x": f"CAST(round((ST_X({_ON_SURFACE}) + :half_world) / :pixel) - :left AS integer)",
        "label_y": f"CAST(round((:half_world - ST_Y({_ON_SURFACE})) / :pixel) - :top AS integer)",
    },
}


@cache
def _statement(name: str) -> str:
    """Return the SQL of a kind of layer, with where its rows come from filled in."""
    statement = sql_text(name)
    if name not in _PLACED:
        return statement
    placed = sql_text("tile_placed")
    for word, value in _PLACED[name].items():
        placed = placed.replace("{" + word + "}", value)
    return statement.replace("{placed}", placed)
