"""What is drawn of grids and divisions at each zoom: read what is to be drawn anew, put what was drawn. See migration 0033."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from sqlalchemy import text

from gridsvc.store.bulk import copy_frame
from gridsvc.store.repository import Repository
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import tile_shapes

# one process renews at a time, in a database
_LOCK = 4490201541


class Undrawn(NamedTuple):
    """Polygons of a layer around noted ground, as of one state.

    Attributes
    ----------
    ground
        Keys of the ground noted.
    row_id, polygon
        Every polygon, of whatever time, that has to do with it (EPSG:4490). Ascending.
    is_drawn
        Those to be drawn anew; the others only say where their borders end.
    """

    ground: list[int]
    row_id: NDArray[np.int64]
    polygon: NDArray[np.object_]
    is_drawn: NDArray[np.bool_]


class TileShapeRepository(Repository):
    """Shapes of tiles, whatever the scope: they are cut to it when a tile is made."""

    def try_lock(self) -> bool:
        """Return whether this transaction is the one that renews shapes, until it ends."""
        return bool(self.connection.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": _LOCK}))

    def undrawn_layers(self) -> list[str]:
        """Return the layers with ground noted, in order."""
        return list(self.connection.scalars(text("SELECT DISTINCT layer FROM tile_ground ORDER BY layer")))

    def undrawn(self, layer: str) -> Undrawn:
        """Return what is to be drawn anew of a layer, and what lies around it; read in one statement, hence of one state."""
        statement = sql_text("tile_undrawn")
        for word, name in _ROWS_OF[layer.startswith("grids_")].items():
            statement = statement.replace("{" + word + "}", name)
        rows = self.connection.execute(text(statement), {"layer": layer, "about": _about(layer)}).all()
        ground = [row.ground_id for row in rows if row.ground_id is not None]
        shapes = [row for row in rows if row.row_id is not None]
        return Undrawn(
            ground,
            np.array([row.row_id for row in shapes], dtype=np.int64),
            shapely.from_wkb(np.array([bytes(row.geom) for row in shapes], dtype=object)),
            np.array([row.is_drawn for row in shapes], dtype=bool),
        )

    def put(self, layer: str, ground: list[int], drawn: NDArray[np.int64], frame: pd.DataFrame) -> None:
        """Replace the shapes of rows by those of ``frame`` (z, row_id, shape, label_x, label_y); the ground noted is done."""
        bound: dict[str, Any] = {"layer": layer, "rows": drawn.tolist(), "ground": ground}
        self.connection.execute(text("DELETE FROM tile_shapes WHERE layer = :layer AND row_id = ANY(:rows)"), bound)
        copy_frame(self.connection, tile_shapes, frame.assign(layer=layer))
        self.connection.execute(
            text("DELETE FROM tile_ground WHERE layer = :layer AND ground_id = ANY(:ground)"), bound
        )
        self.connection.execute(text("UPDATE tile_version SET version = gen_random_uuid()"))

    def analyze(self) -> None:
        """Let the planner know what there is now; after many rows were put."""
        self.connection.execute(text("ANALYZE tile_shapes"))


_ROWS_OF = {
    True: {"table": "grids", "key": "grid_id", "about": "network"},
    False: {"table": "divisions", "key": "division_id", "about": "level"},
}
_LEVELS = {"districts": "district", "street_offices": "street", "communities": "community"}


def _about(layer: str) -> str:
    return _LEVELS.get(layer) or layer.removeprefix("grids_")
