"""Exact coverages written in longitude and latitude: what is valid in metres stays valid, what is shared stays shared."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import PartitionError
from gridsvc.geo.partitions import divide_edges
from gridsvc.geo.projections import to_metric, to_storage

# a straight edge of this length in metres is off the straight one in degrees by less than 0.2 mm, then by a fourth of it each time
_PIECE_M = 100.0
_ROUNDS = 4

GeometryArray = NDArray[np.object_]


def coverage_to_storage(polygons: ArrayLike, epsg: int) -> GeometryArray:
    """Return an exact coverage in metres as one in EPSG:4490 that is exact and valid there, and back in metres too.

    A straight edge in metres is none in degrees: between far ends the two are centimetres apart, and a vertex close beside such an edge comes
    to lie on its other side. Edges of polygons that come out invalid are cut in pieces, in the same places for both neighbours.

    Parameters
    ----------
    polygons
        An exact coverage; polygons or multipolygons. CRS: ``epsg``, projected, metric.

    Raises
    ------
    PartitionError
        When polygons stay invalid: borders nearer to each other than the rounding of stored coordinates (0.1 mm).
    """
    shapes = np.asarray(polygons, dtype=object)
    if not len(shapes):
        return shapes.copy()
    for k in range(_ROUNDS):
        stored = to_storage(shapes, epsg)
        wrong = _unsound(stored)
        wrong = np.union1d(wrong, _unsound(to_metric(stored, epsg)))
        if not len(wrong):
            return np.asarray(stored, dtype=object)
        shapes = divide_edges(shapes, wrong, _PIECE_M / 2**k)
    raise PartitionError(
        f"{len(wrong)} shapes cross themselves or each other once they are written in longitude and latitude.",
        hint="Give a larger tolerance, so that borders lie farther apart.",
    )


def _unsound(shapes: GeometryArray) -> NDArray[np.int64]:
    """Return the positions of polygons that are invalid, or do not share their borders with their neighbours."""
    broken = ~shapely.is_valid(shapes)
    if not broken.any():
        edges = shapely.coverage_invalid_edges(shapes)
        broken = ~shapely.is_empty(edges)
    return np.flatnonzero(broken)
