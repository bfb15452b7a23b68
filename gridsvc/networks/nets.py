"""A net: the grids that one office has drawn over an area. Any number of nets can lie over the same land."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import CodeDuplicateError, GeometryError, GridsvcError

Codes = NDArray[np.object_]
Geometries = NDArray[np.object_]

_POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


@dataclass(frozen=True, slots=True)
class Net:
    """One office's grids; they may have gaps between them, overlap, have holes and several parts.

    ``code`` is text and unique; ``title`` the name of each grid, empty where it has none. ``geometry`` are valid (multi)polygons, CRS:
    projected, metric. ``repaired`` says what was wrong with a shape before it was mended, None where nothing was. Shape of all: (n,).
    """

    name: str
    code: Codes
    geometry: Geometries
    title: Codes
    repaired: Codes

    def __len__(self) -> int:
        """Return the number of grids."""
        return len(self.code)

    @classmethod
    def of(cls, name: str, code: Sequence[str], geometry: ArrayLike, title: Sequence[str] | None = None) -> Net:
        """Return a net, invalid shapes mended by GEOS's structural rule (shells kept, holes cut out).

        Raises
        ------
        GridsvcError
            When there are no grids, or another number of codes or titles than of shapes.
        CodeDuplicateError
            When a code comes twice, or is empty.
        GeometryError
            When a shape is missing, empty, no polygon, or nothing is left of it once it is mended.
        """
        codes = np.array([str(each) for each in code], dtype=object)
        shapes = np.array(geometry, dtype=object).reshape(-1)
        titles = np.array([""] * len(codes) if title is None else [str(each or "") for each in title], dtype=object)
        if not len(codes):
            raise GridsvcError(f"Network {name} has no grids.", hint="Leave it out.")
        if not len(codes) == len(shapes) == len(titles):
            raise GridsvcError(f"Network {name} has {len(codes)} codes, {len(titles)} names and {len(shapes)} shapes.")
        _refuse_codes(name, codes)
        repaired = np.full(len(codes), None, dtype=object)
        _refuse_shapes(name, codes, shapes)
        shapes = shapely.force_2d(shapes)
        broken = np.flatnonzero(~shapely.is_valid(shapes))
        if len(broken):
            repaired[broken] = shapely.is_valid_reason(shapes[broken])
            shapes[broken] = [
                _polygonal(each)
                for each in shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
            ]
            _refuse_shapes(name, codes, shapes)
        return cls(name, codes, shapes, titles, repaired)


def _polygonal(shape: shapely.Geometry) -> shapely.Geometry:
    """Return the polygons in a shape as one."""
    if shapely.get_type_id(shape) in _POLYGONAL:
        return shape
    parts = shapely.get_parts(shape)
    return shapely.union_all(parts[np.isin(shapely.get_type_id(parts), _POLYGONAL)])


def _refuse_codes(name: str, codes: Codes) -> None:
    known, count = np.unique(codes.astype(str), return_counts=True)
    if known[0] == "":
        raise CodeDuplicateError(f"A grid of network {name} has no code.", hint="Give every grid a code.")
    if (count > 1).any():
        first = known[count > 1][0]
        raise CodeDuplicateError(
            f"Code {first} comes {count[count > 1][0]} times in network {name}.",
            hint="Name a column whose values are unique, or join the parts of a grid to one shape.",
        )


def _refuse_shapes(name: str, codes: Codes, shapes: Geometries) -> None:
    missing = shapely.is_missing(shapes)
    bad = missing | ~np.isin(shapely.get_type_id(shapes), _POLYGONAL) | shapely.is_empty(shapes)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        kind = (
            "missing"
            if missing[at]
            else "empty"
            if shapely.is_empty(shapes[at])
            else f"a {shapes[at].geom_type}, no polygon"
        )
        others = f" ({int(bad.sum())} such shapes in all)" if bad.sum() > 1 else ""
        raise GeometryError(
            f"The shape of grid {codes[at]} of network {name} is {kind}{others}.",
            hint="Draw it as a polygon or leave it out.",
            index=at,
        )
    if not np.isfinite(shapely.bounds(shapes)).all():
        at = int(np.flatnonzero(~np.isfinite(shapely.bounds(shapes)).all(axis=1))[0])
        raise GeometryError(f"Grid {codes[at]} of network {name} has a vertex that is no number.", index=at)
