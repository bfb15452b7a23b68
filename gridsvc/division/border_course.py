"""What the borders of grids follow: streets, walls, water, or nothing, in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Geometries, Integers

COURSES = ("street", "wall", "water", "none")
_PIECE_M, _STEP_M, _CELL_M = 25.0, 1.0, 64.0


@dataclass(frozen=True, slots=True)
class Course:
    """Pieces of border edges, each with what it follows. ``ends`` shape: (n, 2, 2); ``kind`` is a position in `COURSES`."""

    ends: Floats
    edge: Integers
    kind: Integers

    @property
    def length_m(self) -> Floats:
        """Return the length of each piece. Unit: m."""
        return np.hypot(*(self.ends[:, 1] - self.ends[:, 0]).T)

    def metres(self, edges: int) -> Floats:
        """Return for each of ``edges`` edges the metres along each kind. Shape: (edges, 4)."""
        flat: Floats = np.bincount(self.edge * len(COURSES) + self.kind, self.length_m, edges * len(COURSES)).astype(
            float
        )
        return flat.reshape(edges, len(COURSES))


def follow(edges: Floats, lines: Sequence[Geometries], tolerance_m: float) -> Course:
    """Return what each edge follows, piece by piece.

    A piece lies along a line where it is within the tolerance of it. Where several kinds run together the first counts.

    Parameters
    ----------
    edges
        Shape: (n, 2, 2). CRS: projected, metric.
    lines
        Lines of streets, of walls, of water edges: one array for each kind of `COURSES` but the last.

    Notes
    -----
    Source: our choice. Edges are looked at in pieces of at most 25 m; a piece that is near at its ends and its middle is along;
    one that is near at some of them is looked at metre by metre.
    """
    ends, edge = _split(edges, np.arange(len(edges)), _PIECE_M)
    done: list[tuple[Floats, Integers, int]] = []
    for kind, there in enumerate(lines):
        near = _Near(there, tolerance_m)
        along, partly = near.of_pieces(ends)
        done.append((ends[along], edge[along], kind))
        runs, whose, is_near = near.runs(ends[partly], edge[partly])
        done.append((runs[is_near], whose[is_near], kind))
        rest = ~along & ~partly
        ends, edge = np.concatenate([ends[rest], runs[~is_near]]), np.concatenate([edge[rest], whose[~is_near]])
    done.append((ends, edge, len(lines)))
    return Course(
        np.concatenate([e for e, _, _ in done]),
        np.concatenate([i for _, i, _ in done]),
        np.concatenate([np.full(len(i), k, dtype=np.int64) for _, i, k in done]),
    )


def _split(ends: Floats, edge: Integers, longest_m: float) -> tuple[Floats, Integers]:
    """Return the edges cut into equal pieces of at most that length, in order along each."""
    length = np.hypot(*(ends[:, 1] - ends[:, 0]).T)
    count = np.maximum(1, np.ceil(length / longest_m - 1e-9)).astype(np.int64)
    which = np.repeat(np.arange(len(ends)), count)
    number = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    start, step = ends[which, 0], (ends[which, 1] - ends[which, 0]) / count[which, None]
    pieces = np.stack([start + step * number[:, None], start + step * (number[:, None] + 1)], axis=1)
    last = number == count[which] - 1
    pieces[last, 1] = ends[which[last], 1]  # the very vertex, not one rounded beside it
    return pieces, edge[which]


class _Near:
    """Answers which points are within a tolerance of lines: short pieces of the lines, sorted by the square cells they touch."""

    def __init__(self, lines: Geometries, tolerance_m: float) -> None:
        vertices, line = shapely.get_coordinates(lines, return_index=True)
        follows = np.flatnonzero(line[1:] == line[:-1]) if len(line) else np.zeros(0, dtype=np.int64)
        self._tolerance_m = tolerance_m
        self._cell_m = max(_CELL_M, 4 * tolerance_m)
        ends = np.stack([vertices[follows], vertices[follows + 1]], axis=1)
        ends = _split(ends, follows, self._cell_m)[0] if len(ends) else ends
        low = np.floor((ends.min(axis=1) - tolerance_m) / self._cell_m).astype(np.int64)
        high = np.floor((ends.max(axis=1) + tolerance_m) / self._cell_m).astype(np.int64)
        wide, count = high[:, 0] - low[:, 0] + 1, (high - low + 1).prod(axis=1)
        piece = np.repeat(np.arange(len(ends)), count)
        number = np.arange(len(piece)) - np.repeat(np.cumsum(count) - count, count)
        cell = _cell_key(low[piece, 0] + number % wide[piece], low[piece, 1] + number // wide[piece])
        order = np.argsort(cell, kind="stable")
        cell = cell[order]
        begins = np.flatnonzero(np.append(True, cell[1:] != cell[:-1])[: len(cell)])
        self._cells, self._first = cell[begins], np.append(begins, len(cell))
        self._piece, self._ends = piece[order], np.ascontiguousarray(ends.reshape(-1, 4))

    def of_points(self, points: Floats) -> NDArray[np.bool_]:
        if not len(self._cells) or not len(points):
            return np.zeros(len(points), dtype=bool)
        place = np.floor(points / self._cell_m).astype(np.int64)
        cell = _cell_key(place[:, 0], place[:, 1])
        at = np.minimum(np.searchsorted(self._cells, cell), len(self._cells) - 1)
        at = np.where(self._cells[at] == cell, at, -1)
        return _near_pieces(np.ascontiguousarray(points), at, self._first, self._piece, self._ends, self._tolerance_m)

    def of_pieces(self, ends: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which pieces are near at their ends and middle, and which at some of them only."""
        if not len(self._cells) or not len(ends):
            return np.zeros(len(ends), dtype=bool), np.zeros(len(ends), dtype=bool)
        spots = (ends[:, 0], ends[:, 1], ends.mean(axis=1))
        near = np.stack([self.of_points(spot) for spot in spots]).sum(axis=0)
        return near == len(spots), (near > 0) & (near < len(spots))

    def runs(self, ends: Floats, edge: Integers) -> tuple[Floats, Integers, NDArray[np.bool_]]:
        """Return the pieces cut where nearness begins or ends, to the metre: ends, edge, and whether near."""
        steps, piece = _split(ends, np.arange(len(ends)), _STEP_M)
        near = self.of_points(steps.mean(axis=1))
        if not len(steps):
            return steps, edge[:0], near
        begins = np.append(True, (piece[1:] != piece[:-1]) | (near[1:] != near[:-1]))
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(steps)) - 1
        return np.stack([steps[first, 0], steps[last, 1]], axis=1), edge[piece[first]], near[first]


def _cell_key(column: Integers, row: Integers) -> Integers:
    return (column << 32) + row


@njit(cache=True, nogil=True)
def _near_pieces(
    points: Floats, cell: Integers, first: Integers, piece: Integers, ends: Floats, tolerance: float
) -> NDArray[np.bool_]:
    """Return which points are within the tolerance of a piece of their cell; cell -1 has none."""
    near = np.zeros(len(points), dtype=np.bool_)
    for i in range(len(points)):
        if cell[i] < 0:
            continue
        for j in range(first[cell[i]], first[cell[i] + 1]):
            k = piece[j]
            ax, ay = points[i, 0] - ends[k, 0], points[i, 1] - ends[k, 1]
            bx, by = ends[k, 2] - ends[k, 0], ends[k, 3] - ends[k, 1]
            square = bx * bx + by * by
            t = min(1.0, max(0.0, (ax * bx + ay * by) / square)) if square > 0.0 else 0.0
            dx, dy = ax - t * bx, ay - t * by
            if dx * dx + dy * dy <= tolerance * tolerance:
                near[i] = True
                break
    return near
