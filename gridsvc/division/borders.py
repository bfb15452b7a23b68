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
        keys = vertex_keys(ends.reshape(-1, 2)).reshape(-1, 2)
        swapped = keys[:, 0] > keys[:, 1]
        ends[swapped], keys[swapped] = ends[swapped][:, ::-1], keys[swapped][:, ::-1]
        order = np.lexsort((owner, keys[:, 1], keys[:, 0]))
        ends, owner = ends[order], owner[order]
        same = (ends[1:] == ends[:-1]).all(axis=(1, 2))
        starts = np.flatnonzero(np.append(True, ~same)) if len(ends) else np.zeros(0, dtype=np.int64)
        paired = np.append(same, False)[starts] if len(ends) else np.zeros(0, dtype=bool)
        right = np.where(paired, owner[np.minimum(starts + 1, max(len(owner) - 1, 0))], -1)
        kept = ends[starts]
        return cls(kept, np.hypot(*(kept[:, 1] - kept[:, 0]).T), owner[starts], right)

    def along(self, lines: Geometries, tolerance_m: float) -> NDArray[np.bool_]:
        """Return which edges lie on the lines: both ends and the middle within the tolerance of them."""
        pieces = shapely.get_coordinates(lines).reshape(-1, 2, 2)
        return _all_near(self.ends, pieces, tolerance_m)

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


@njit(cache=True)
def _all_near(ends: NDArray, pieces: NDArray, reach: float) -> NDArray:
    """Return which edges have both ends and their middle within reach of straight pieces. Shapes: (n, 2, 2), (m, 2, 2)."""
    # pieces by their west end, and for each place in that order the farthest any piece up to it reaches east
    west = np.minimum(pieces[:, 0, 0], pieces[:, 1, 0])
    order = np.argsort(west, kind="mergesort")
    west = west[order]
    east = np.zeros(len(order))
    farthest = -np.inf
    for k in range(len(order)):
        piece = pieces[order[k]]
        farthest = max(farthest, max(piece[0, 0], piece[1, 0]))
        east[k] = farthest
    near = np.zeros(len(ends), dtype=np.bool_)
    for i in range(len(ends)):
        near[i] = True
        for part in (0.5, 0.0, 1.0):
            x = ends[i, 0, 0] + part * (ends[i, 1, 0] - ends[i, 0, 0])
            y = ends[i, 0, 1] + part * (ends[i, 1, 1] - ends[i, 0, 1])
            if not _is_near(x, y, pieces, order, west, east, reach):
                near[i] = False
                break
    return near


@njit(cache=True)
def _is_near(x: float, y: float, pieces: NDArray, order: NDArray, west: NDArray, east: NDArray, reach: float) -> bool:
    k = np.searchsorted(west, x + reach, side="right") - 1
    while k >= 0 and east[k] >= x - reach:
        piece = pieces[order[k]]
        k -= 1
        ax, ay, bx, by = piece[0, 0], piece[0, 1], piece[1, 0], piece[1, 1]
        if max(ax, bx) < x - reach or min(ay, by) > y + reach or max(ay, by) < y - reach:
            continue
        dx, dy = bx - ax, by - ay
        squared = dx * dx + dy * dy
        t = min(max(((x - ax) * dx + (y - ay) * dy) / squared, 0.0), 1.0) if squared > 0.0 else 0.0
        if (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2 <= reach * reach:
            return True
    return False


def vertex_keys(points: Floats) -> NDArray[np.uint64]:
    """Return a number for each point, the same for equal points: numbers sort several times faster than pairs of coordinates.

    Two different points have the same number with a chance of 1 in 2**64.
    """
    # zero is added so that -0.0 and 0.0 are one
    x, y = np.ascontiguousarray((np.asarray(points, dtype=np.float64) + 0.0).T).view(np.uint64)
    # multiply and shift as in SplitMix64 (Steele, Lea and Flood 2014)
    mixed = x * np.uint64(0xBF58476D1CE4E5B9)
    mixed = ((mixed ^ (mixed >> np.uint64(32))) + y) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def are_among(keys: NDArray, known: NDArray) -> NDArray[np.bool_]:
    """Return which keys are among those known, as `numpy.isin` does; for the few hundred of a community in a fifth of its time."""
    if len(known) == 0:
        return np.zeros(len(keys), dtype=bool)
    known = np.sort(known)
    return known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys


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
