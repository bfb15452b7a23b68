"""Door numbers of made-up streets: counted along the whole street, odd on one side and even on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.synth.ground import Streets

# one number for so many metres of a side. Our choice
METRES_PER_NUMBER = 10.0

Geometries = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class DoorNumbers:
    """The streets that have numbers, each with the axis it is numbered along. CRS: projected, unit m.

    ``axis`` and ``start`` are the direction (unit vector) and the beginning (m along it) of the street each piece belongs to.
    """

    lines: Geometries
    names: NDArray[np.object_]
    axis: NDArray[np.float64]
    start: NDArray[np.float64]

    @classmethod
    def of(cls, streets: Streets) -> DoorNumbers:
        """Return the numbering of all named streets that are no service ways, from west to east or from south to north."""
        kept = [
            i
            for i, (name, kind) in enumerate(zip(streets.name, streets.street_class, strict=True))
            if name and kind != "service"
        ]
        lines = streets.lines[np.array(kept, dtype=np.int64)]
        names = np.array([streets.name[i] for i in kept], dtype=object)
        axis, start = np.zeros((len(kept), 2)), np.zeros(len(kept))
        _, street = np.unique(names.astype(str), return_inverse=True)
        order = np.argsort(street, kind="stable")
        for members in np.split(order, np.flatnonzero(np.diff(street[order])) + 1):
            if len(members):
                xy = shapely.get_coordinates(lines[members])
                axis[members] = _axis(xy)
                start[members] = (xy @ axis[members[0]]).min()
        return cls(lines, names, axis, start)

    def nearest(self, points: Geometries) -> NDArray[np.int64]:
        """Return the piece nearest to each point."""
        return np.asarray(shapely.STRtree(self.lines).nearest(points), dtype=np.int64)

    def numbers(self, piece: NDArray[np.int64], points: Geometries) -> NDArray[np.int64]:
        """Return the number of the door at each point on the street of its piece: odd to the left of the axis, even to the right."""
        lines = self.lines[piece]
        foot = shapely.get_coordinates(shapely.line_interpolate_point(lines, shapely.line_locate_point(lines, points)))
        along = np.einsum("ij,ij->i", foot, self.axis[piece]) - self.start[piece]
        off = shapely.get_coordinates(points) - foot
        left = self.axis[piece, 0] * off[:, 1] - self.axis[piece, 1] * off[:, 0] > 0
        return 2 * np.maximum(along // METRES_PER_NUMBER, 0).astype(np.int64) + np.where(left, 1, 2)


def _axis(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction in which points stretch most, as a unit vector that points east, or north when it is steep."""
    centred = xy - xy.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    x, y = directions[0]
    forward = x if abs(x) >= abs(y) else y
    return directions[0] if forward >= 0 else -directions[0]
