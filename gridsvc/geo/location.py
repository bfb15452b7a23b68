"""Point to grid: the one-grid rule, for arrays and single points.

A point belongs to the closed polygons it intersects; where several do (a shared edge or corner), to the one with the
smallest code. Both sides are lon lat doubles as stored, and the test is GEOS's robust one, as in the SQL of the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import CodeDuplicateError, GeometryError
from gridsvc.geo import projections

FloatArray = NDArray[np.float64]


class GridIndex:
    """Finds the grid of points among the grids of one network at one instant.

    Parameters
    ----------
    codes
        Unique grid codes.
    polygons
        (Multi)polygons, lon lat EPSG:4490, one per code.

    Raises
    ------
    CodeDuplicateError
        When a code comes twice: "the smallest code" would name two grids.
    GeometryError
        When a polygon is missing or empty, or the lengths differ.

    Notes
    -----
    Cost: building sorts n grids; locating is about log n per point plus the vertices of the one or two candidates.
    """

    def __init__(self, codes: Sequence[str], polygons: ArrayLike) -> None:
        names = np.asarray(list(codes), dtype=object)
        shapes = np.asarray(polygons, dtype=object)
        if len(names) != len(shapes):
            raise GeometryError(
                f"{len(names)} codes came with {len(shapes)} polygons.", hint="Give one polygon per code."
            )
        empty = shapely.is_missing(shapes) | shapely.is_empty(shapes)
        if empty.any():
            raise GeometryError(f"Grid {names[empty][0]!r} has no polygon.", hint="Leave it out or draw it.")
        # text is compared by code point here and by COLLATE "C" in SQL
        order = np.argsort(names, kind="stable")
        self._codes, self._polygons = names[order], shapes[order]
        twice = np.flatnonzero(self._codes[1:] == self._codes[:-1])
        if len(twice):
            raise CodeDuplicateError(
                f"Grid code {self._codes[twice[0]]!r} comes twice.", hint="Codes are unique in a network."
            )
        self._tree = shapely.STRtree(self._polygons)

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def codes(self) -> NDArray[np.object_]:
        """Return the grid codes, ascending."""
        return self._codes.copy()

    def find(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.int64]:
        """Return for each point the row of its grid in `codes`, -1 where there is none. Shape: that of the broadcast input."""
        x, y = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
        rows = np.full(x.size, len(self._codes), dtype=np.int64)
        known = np.flatnonzero(np.isfinite(x.ravel()) & np.isfinite(y.ravel()))
        if len(known) and len(self._codes):
            points = shapely.points(x.ravel()[known], y.ravel()[known])
            point, grid = self._tree.query(points, predicate="intersects")
            # rows are sorted by code, so the smallest row is the smallest code
            np.minimum.at(rows, known[point], grid)
        rows[rows == len(self._codes)] = -1
        return rows.reshape(x.shape)

    def locate(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.object_]:
        """Return the grid code of each point, None where no grid holds it. Unit: degrees, EPSG:4490. Shape: as the input."""
        with_none = np.append(self._codes, np.array([None], dtype=object))
        return with_none[self.find(lon, lat)]

    def locate_one(self, lon: float, lat: float) -> str | None:
        """Return the grid code of one point, or None; the same answer as `locate`."""
        row = int(self.find(lon, lat))
        return None if row < 0 else str(self._codes[row])

    def distance_to_border_m(self, lon: ArrayLike, lat: ArrayLike) -> FloatArray:
        """Return the distance from each point to the border of its own grid, unit m, in the zone of the grids.

        Zero on a border, NaN where no grid holds the point.
        """
        x, y = np.broadcast_arrays(
            np.atleast_1d(np.asarray(lon, dtype=np.float64)), np.atleast_1d(np.asarray(lat, dtype=np.float64))
        )
        rows = self.find(x, y).ravel()
        answer = np.full(x.size, np.nan)
        held = np.flatnonzero(rows >= 0)
        if len(held):
            points = projections.to_metric(shapely.points(x.ravel()[held], y.ravel()[held]), self._epsg)
            answer[held] = shapely.distance(points, self._borders_m[rows[held]])
        return answer.reshape(x.shape)

    @cached_property
    def _epsg(self) -> int:
        return projections.zone_of(self._polygons)

    @cached_property
    def _borders_m(self) -> NDArray[np.object_]:
        return shapely.boundary(projections.to_metric(self._polygons, self._epsg))
