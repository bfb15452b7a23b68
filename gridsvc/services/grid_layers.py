"""Communities and the grids of all networks at one instant, as a table that a file can keep and an index for arrays of points."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from gridsvc.geo.location import GridIndex
from gridsvc.services.locating import COMMUNITY, NETWORKS
from gridsvc.store.unit_of_work import UnitOfWork

LAYERS = (COMMUNITY, *NETWORKS)


def read_layers(uow: UnitOfWork, at: datetime) -> pa.Table:
    """Return the polygons in force at an instant, in the scope: layer, code, shape (WKB, EPSG:4490)."""
    layers, codes, shapes = [], [], []
    for layer in LAYERS:
        frame = uow.divisions.list(COMMUNITY, at=at) if layer == COMMUNITY else uow.grids.list(layer, at=at)
        drawn = frame[frame.geometry.notna()]
        layers += [layer] * len(drawn)
        codes += drawn["code"].tolist()
        shapes += shapely.to_wkb(drawn.geometry.to_numpy()).tolist()
    columns = {"layer": (layers, pa.string()), "code": (codes, pa.string()), "shape": (shapes, pa.binary())}
    return pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()})


class LayerIndex:
    """Finds the codes of all layers for arrays of points (EPSG:4490), by the one-grid rule."""

    def __init__(self, table: pa.Table) -> None:
        layers = np.asarray(table.column("layer").to_pylist(), dtype=object)
        self._by_layer = {}
        for layer in LAYERS:
            own = table.take(pa.array(np.flatnonzero(layers == layer)))
            shapes = shapely.from_wkb(np.array(own.column("shape").to_pylist(), dtype=object))
            self._by_layer[layer] = GridIndex(own.column("code").to_pylist(), shapes)

    def __call__(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> dict[str, NDArray[np.object_]]:
        """Return for each layer an array of codes, None where no polygon holds the point."""
        return {layer: index.locate(lon, lat) for layer, index in self._by_layer.items()}
