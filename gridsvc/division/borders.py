"""The borders of a coverage as arrays: which polygons share an edge, how long it is, and whether it follows a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Geometries, Integers

# what a border follows; where several run together the first of these counts
BORDER_KINDS = ("street", "rail", "water", "wall", "none")
STREET, RAIL, WATER, WALL, NONE = range(5)


@dataclass(frozen=True, slots=True)
class EdgeTable:
    """Every edge of an exact coverage once: its ends, its length, and the polygons on its sides.

    ``right`` is -1 where only one polygon has the edge (the outer border). ``ends`` shape: (n, 2, 2).
    """

    ends: Floats
    length_m: Floats
    left: Integers
    right: Integers

    @classmethod
    def of(cls, polygons: Geometries) -> EdgeTable:
        """Return the edges of polygons that share identical vertices."""
        ends, owner = directed_edges(polygons)
        swapped = (ends[:, 0, 0] > ends[:, 1, 0]) | ((ends[:, 0, 0] == ends[:, 1, 0]) & (ends[:, 0, 1] > ends[:, 1, 1]))
        ends[swapped] = ends[swapped][:, ::-1]
        order = np.lexsort((owner, ends[:, 1, 1], ends[:, 1, 0], ends[:, 0, 1], ends[:, 0, 0]))
        ends, owner = ends[order], owner[order]
        same = (ends[1:] == ends[:-1]).all(axis=(1, 2))
        starts = np.flatnonzero(np.append(True, ~same)) if len(ends) else np.zeros(0, dtype=np.int64)
        paired = np.append(same, False)[starts] if len(ends) else np.zeros(0, dtype=bool)
        right = np.where(paired, owner[np.minimum(starts + 1, max(len(owner) - 1, 0))], -1)
        kept = ends[starts]
        return cls(kept, np.hypot(*(kept[:, 1] - kept[:, 0]).T), owner[starts], right)

    def along(self, lines: Geometries, tolerance_m: float) -> NDArray[np.bool_]:
        """Return which edges lie on the lines: both ends and the middle within the tolerance of them."""
        on_line = np.zeros(len(self.ends), dtype=bool)
        if len(lines) == 0 or len(self.ends) == 0:
            return on_line
        tree = shapely.STRtree(lines)
        candidates = np.arange(len(self.ends))
        for point in (self.ends.mean(axis=1), self.ends[:, 0], self.ends[:, 1]):
            near = tree.query(shapely.points(point[candidates]), predicate="dwithin", distance=tolerance_m)[0]
            candidates = candidates[np.unique(near)]
        on_line[candidates] = True
        return on_line

    def kinds(self, lines: Mapping[int, Geometries], tolerance_m: float) -> Integers:
        """Return what each edge follows, as a position in ``BORDER_KINDS``.

        Parameters
        ----------
        lines
            Straight pieces of lines by kind; kinds left out are not there.
        """
        found = np.full(len(self.ends), NONE, dtype=np.int64)
        for kind in sorted(lines, reverse=True):
            found[self.along(lines[kind], tolerance_m)] = kind
        return found


def directed_edges(polygons: Geometries) -> tuple[Floats, Integers]:
    """Return the edges of all rings and the polygon each comes from. Shapes: (n, 2, 2) and (n,)."""
    parts, polygon = shapely.get_parts(polygons, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    ends = np.stack([coordinates[:-1][same], coordinates[1:][same]], axis=1)
    return ends, polygon[part[ring[:-1][same]]]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Who shares a border with whom, in compressed rows: the neighbours of i are ``ids[start[i]:start[i + 1]]``.

    ``shared_m`` is the length shared, ``off_line_m`` the part of it that follows no street, wall or water.
    A link across a gap between parts of a community has both zero.
    """

    start: Integers
    ids: Integers
    shared_m: Floats
    off_line_m: Floats

    @classmethod
    def of_pairs(cls, size: int, first: Integers, second: Integers, shared_m: Floats, off_line_m: Floats) -> Neighbours:
        """Return the neighbours of unordered pairs; repeated pairs are summed, pairs of one with itself ignored."""
        apart = first != second
        rows = np.concatenate([first[apart], second[apart]])
        columns = np.concatenate([second[apart], first[apart]])
        keys, inverse = np.unique(rows * size + columns, return_inverse=True)
        shared = np.bincount(inverse, np.tile(shared_m[apart], 2), len(keys)).astype(float)
        off_line = np.bincount(inverse, np.tile(off_line_m[apart], 2), len(keys)).astype(float)
        start = np.searchsorted(keys, np.arange(size + 1) * size)
        return cls(start.astype(np.int64), (keys % size).astype(np.int64), shared, off_line)

    def components(self) -> Integers:
        """Return the number of the connected part each belongs to, counted from 0 in order of appearance."""
        return components_within(self.start, self.ids, np.zeros(len(self.start) - 1, dtype=np.int64))

    def among(self, chosen: Integers) -> Neighbours:
        """Return the neighbours among the chosen only, renumbered in their order."""
        size = len(self.start) - 1
        position = np.full(size, -1, dtype=np.int64)
        position[chosen] = np.arange(len(chosen))
        rows = np.repeat(np.arange(size), np.diff(self.start))
        keep = (position[rows] >= 0) & (position[self.ids] >= 0) & (position[rows] < position[self.ids])
        return Neighbours.of_pairs(
            len(chosen), position[rows[keep]], position[self.ids[keep]], self.shared_m[keep], self.off_line_m[keep]
        )


@njit(cache=True)
def components_within(start: NDArray, ids: NDArray, labels: NDArray) -> NDArray:
    """Return the connected part of each, where neighbours with different labels do not connect; counted in order of appearance."""
    size = len(start) - 1
    part = np.full(size, -1, dtype=np.int64)
    stack = np.zeros(size, dtype=np.int64)
    count = 0
    for first in range(size):
        if part[first] >= 0:
            continue
        part[first] = count
        stack[0] = first
        top = 1
        while top > 0:
            top -= 1
            i = stack[top]
            for e in range(start[i], start[i + 1]):
                j = ids[e]
                if part[j] < 0 and labels[j] == labels[i]:
                    part[j] = count
                    stack[top] = j
                    top += 1
        count += 1
    return part
