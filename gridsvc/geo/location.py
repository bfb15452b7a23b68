"""Point to grid: the one-grid rule, for arrays and single points.

A point belongs to the closed polygons it intersects; where several do (a shared edge or corner), to the one with the
smallest code. Both sides are lon lat doubles as stored, and the test is that of GEOS bit for bit, as in the SQL of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import CodeDuplicateError, GeometryError
from gridsvc.geo.border_distances import border_distance, border_distances, nearest_rows
from gridsvc.geo.cell_index import Cells, build_cells, find_rows, order_by_place, row_of

FloatArray = NDArray[np.float64]
RowArray = NDArray[np.int32]

_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
# fewer points are not worth putting in order; more are taken in blocks of this many, which bounds the memory
_FEW, _BLOCK = 4096, 1 << 20


class GridIndex:
    """Finds the grid of points among the grids of one network at one instant.

    Parameters
    ----------
    codes
        Unique grid codes.
    polygons
        (Multi)polygons, lon lat EPSG:4490, one per code. They may overlap.

    Raises
    ------
    CodeDuplicateError
        When a code comes twice: "the smallest code" would name two grids.
    GeometryError
        When a polygon is missing, empty or none, or the lengths differ.

    Notes
    -----
    Cost: building grows with the vertices and the length of borders (`cell_index`); a point costs one look into its cell, and near
    borders an exact test of one or two polygons.
    """

    def __init__(self, codes: Sequence[str], polygons: ArrayLike) -> None:
        names = np.asarray(list(codes), dtype=object)
        shapes = np.asarray(polygons, dtype=object)
        if len(names) != len(shapes):
            raise GeometryError(
                f"{len(names)} codes came with {len(shapes)} polygons.", hint="Give one polygon per code."
            )
        unfit = (
            shapely.is_missing(shapes) | shapely.is_empty(shapes) | ~np.isin(shapely.get_type_id(shapes), _POLYGONAL)
        )
        if unfit.any():
            raise GeometryError(f"Grid {names[unfit][0]!r} has no polygon.", hint="Leave it out or draw it.")
        # text is compared by code point here and by COLLATE "C" in SQL
        order = np.argsort(names, kind="stable")
        self._codes = names[order]
        twice = np.flatnonzero(self._codes[1:] == self._codes[:-1])
        if len(twice):
            raise CodeDuplicateError(
                f"Grid code {self._codes[twice[0]]!r} comes twice.", hint="Codes are unique in a network."
            )
        self._take(build_cells(*_rings(shapes[order])))

    def _take(self, cells: Cells) -> None:
        self._cells = cells
        self._or_none = np.append(self._codes, np.array([None], dtype=object))
        # of single points, where collecting the arguments would take longer than finding
        self._to_find, self._to_measure = (*cells.cells, *cells.strips), cells.borders
        self._around = (*cells.cells, *cells.borders)
        self._list: list[str] = self._codes.tolist()

    @classmethod
    def from_arrays(cls, codes: Sequence[str], arrays: Mapping[str, NDArray]) -> GridIndex:
        """Return the index whose `arrays` these are, without building it; ``codes`` ascending, as `codes` gives them."""
        made = cls.__new__(cls)
        made._codes = np.asarray(list(codes), dtype=object)
        made._take(Cells(**arrays))
        return made

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def codes(self) -> NDArray[np.object_]:
        """Return the grid codes, ascending."""
        return self._codes.copy()

    @property
    def arrays(self) -> dict[str, NDArray]:
        """Return the read-only arrays the index consists of, beside its codes; see `from_arrays`."""
        return {name: getattr(self._cells, name) for name in Cells.__slots__}

    @property
    def nbytes(self) -> int:
        """Return the memory of the arrays. Unit: bytes."""
        return self._cells.nbytes

    def find(self, lon: ArrayLike, lat: ArrayLike) -> RowArray:
        """Return for each point the row of its grid in `codes`, -1 where there is none. Shape: that of the broadcast input."""
        return find_in_all([self], lon, lat)[0]

    def locate(self, lon: ArrayLike, lat: ArrayLike) -> NDArray[np.object_]:
        """Return the grid code of each point, None where no grid holds it. Unit: degrees, EPSG:4490. Shape: as the input."""
        return self.codes_of(self.find(lon, lat))

    def codes_of(self, rows: RowArray | int) -> Any:
        """Return the codes of rows, None for -1; of one row, its code."""
        return self._or_none[rows]

    def row_of(self, code: str) -> int:
        """Return the row of a grid in `codes`, or raise KeyError."""
        row = int(np.searchsorted(self._codes, code))
        if row == len(self) or self._codes[row] != code:
            raise KeyError(code)
        return row

    def row_at(self, lon: float, lat: float) -> int:
        """Return the row of the grid of one point in `codes`, -1 where there is none; the same answer as `find`."""
        return row_of(lon, lat, *self._to_find)

    def code_of(self, row: int) -> str:
        """Return the code of a row."""
        return self._list[row]

    def locate_one(self, lon: float, lat: float) -> str | None:
        """Return the grid code of one point, or None; the same answer as `locate`."""
        row = self.row_at(float(lon), float(lat))
        return None if row < 0 else self._list[row]

    def border_distance_m(self, lon: float, lat: float, row: int) -> float:
        """Return the distance from one point to the border of the grid of a row. Unit: m."""
        return border_distance(row, lon, lat, *self._to_measure)

    def nearest(
        self,
        lon: ArrayLike,
        lat: ArrayLike,
        within_m: float,
        *,
        groups: RowArray | None = None,
        group_of: RowArray | None = None,
    ) -> tuple[RowArray, FloatArray]:
        """Return for each point outside of all grids the row of the nearest one and its distance.

        Parameters
        ----------
        lon, lat
            One dimension; points that a grid holds are not meant, they get the grid whose border is nearest.
        within_m
            Farther grids do not count: -1 and NaN then. Of equally near grids the smallest code. Unit: m.
        groups, group_of
            Where given: the group of each point and of each grid. A point of a group, 0 or more, only gets grids of it.
        """
        x, y = (np.ascontiguousarray(values, dtype=np.float64) for values in (lon, lat))
        wanted = np.full(x.size, -1, dtype=np.int32) if groups is None else groups.astype(np.int32)
        given = np.full(len(self), -1, dtype=np.int32) if group_of is None else group_of.astype(np.int32)
        return nearest_rows(x, y, wanted, given, float(within_m), *self._cells.cells, *self._cells.borders)

    @property
    def arguments_around(self) -> tuple[NDArray, ...]:
        """Return the arrays for what kernels find around a point: which grids are in a cell, then `borders`."""
        return self._around

    @property
    def borders(self) -> tuple[NDArray, ...]:
        """Return x and y of the vertices of all grids, ring after ring, each closed; where those of each grid begin; where a ring ends."""
        return self._cells.borders

    def distance_to_border_m(self, lon: ArrayLike, lat: ArrayLike) -> FloatArray:
        """Return the distance from each point to the border of its own grid, unit m, along the ellipsoid.

        Zero on a border, NaN where no grid holds the point.
        """
        x, y = np.broadcast_arrays(
            np.atleast_1d(np.asarray(lon, dtype=np.float64)), np.atleast_1d(np.asarray(lat, dtype=np.float64))
        )
        return self.border_distances_m(x.ravel(), y.ravel(), self.find(x, y).ravel()).reshape(x.shape)

    def border_distances_m(self, lon: FloatArray, lat: FloatArray, rows: RowArray) -> FloatArray:
        """Return the distance from each point to the border of the grid of its row, NaN for -1. Unit: m."""
        x, y = np.ascontiguousarray(lon), np.ascontiguousarray(lat)
        return border_distances(x, y, np.ascontiguousarray(rows), *self._cells.borders)


def find_in_all(indexes: Sequence[GridIndex], lon: ArrayLike, lat: ArrayLike) -> list[RowArray]:
    """Return for each index what its `find` returns, putting the points in order only once for all."""
    x, y = np.broadcast_arrays(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
    shape, x, y = x.shape, np.ascontiguousarray(x.ravel()), np.ascontiguousarray(y.ravel())
    answers = [np.empty(x.size, dtype=np.int32) for _ in indexes]
    if x.size < _FEW:
        for index, answer in zip(indexes, answers, strict=True):
            find_rows(x, y, answer, *index._cells.cells, *index._cells.strips)
        return [answer.reshape(shape) for answer in answers]
    frames = np.array([index._cells.frame for index in indexes if len(index)] or [np.zeros(6)])
    box = (*frames[:, :2].min(axis=0).tolist(), *frames[:, 4:].max(axis=0).tolist())
    for begin in range(0, x.size, _BLOCK):
        part = slice(begin, begin + _BLOCK)
        order, in_x, in_y = order_by_place(x[part], y[part], *box)
        rows = np.empty(len(order), dtype=np.int32)
        for index, answer in zip(indexes, answers, strict=True):
            find_rows(in_x, in_y, rows, *index._cells.cells, *index._cells.strips)
            answer[part][order] = rows
    return [answer.reshape(shape) for answer in answers]


def warm() -> None:
    """Load or compile everything compiled here, which takes seconds the first time on a machine."""
    square = shapely.box(114.0, 30.0, 114.01, 30.01)
    index = GridIndex(["a", "b"], [square, shapely.MultiPolygon([square])])
    index.nearest([113.9999], [30.0], 100.0)
    index.distance_to_border_m(np.full(_FEW, 114.005), np.full(_FEW, 30.005))
    index.border_distance_m(114.005, 30.005, index.row_at(114.005, 30.005))


def _rings(shapes: NDArray[np.object_]) -> tuple[FloatArray, FloatArray, NDArray[np.int64], NDArray[np.int64]]:
    """Return vertices, ring starts and the first ring of each grid, as `build_cells` takes them."""
    if not len(shapes):
        return np.zeros(0), np.zeros(0), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    kind, vertices, offsets = shapely.to_ragged_array(shapely.force_2d(shapes))
    ring_start, polygon_ring = offsets[0].astype(np.int64), offsets[1].astype(np.int64)
    if kind == shapely.GeometryType.MULTIPOLYGON:
        polygon_ring = polygon_ring[offsets[2].astype(np.int64)]
    return np.ascontiguousarray(vertices[:, 0]), np.ascontiguousarray(vertices[:, 1]), ring_start, polygon_ring
