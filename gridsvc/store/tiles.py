"""Vector tiles from PostGIS: one SQL file per kind of layer, the same bytes for the same data.

``ST_AsMVT`` numbers keys and values in the order rows arrive, so every layer orders its rows by a stable key inside the
aggregate; identities of rows (which differ between databases) are never written, codes are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text

from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.sql_files import sql_text

EXTENT = 4096
# drawn past the tile's edge so that lines and symbols on it are whole; in tile units
BUFFER = 64
MAX_ZOOM = 22


@dataclass(frozen=True, slots=True)
class TileLayer:
    """One layer: its SQL file, from which zoom it is drawn, from which zoom with all attributes, fixed SQL parameters.

    ``dated`` layers change with ``at``; the others are the same at every instant.
    """

    sql: str
    min_zoom: int
    detail_zoom: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)
    dated: bool = True


LAYERS: dict[str, TileLayer] = {
    "districts": TileLayer("tiles_divisions", 0, 0, {"level": "district"}),
    "street_offices": TileLayer("tiles_divisions", 7, 9, {"level": "street"}),
    "communities": TileLayer("tiles_divisions", 9, 11, {"level": "community"}),
    "grids_urban": TileLayer("tiles_grids", 12, 14, {"network": "urban"}),
    "grids_social": TileLayer("tiles_grids", 10, 13, {"network": "social"}),
    "grids_security": TileLayer("tiles_grids", 10, 13, {"network": "security"}),
    "grids_unified": TileLayer("tiles_grids", 10, 13, {"network": "unified"}),
    "streets": TileLayer("tiles_streets", 8, 13, dated=False),
    "water": TileLayer("tiles_water", 6, 12, dated=False),
    "residences": TileLayer("tiles_residences", 13, 16, dated=False),
    "facilities": TileLayer("tiles_facilities", 11, 14),
    "components": TileLayer("tiles_components", 14, 16),
    "reports": TileLayer("tiles_reports", 6, 14),
    "workers": TileLayer("tiles_workers", 11, 14),
}


class TileRepository(Repository):
    """Vector tiles. Streets and water are a map everybody may see; all else is cut to the scope."""

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
        if layer == "reports":
            bound["since"] = since
        return bytes(self.connection.execute(text(sql_text(drawn.sql)), bound).scalar_one() or b"")
