"""A grid of square cells over street edges: the nearest edge of a point is looked for in its cell, then in rings around it.

Exact: a ring is left out only when everything in it is further away than what was found. Of edges equally near, the one with
the lowest number is taken. The arrays can come from a mapped file.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Numbers = NDArray[np.int32]

CELL_M = 10.0
# a network spread thinly over a country gets greater cells: no more than this many
MOST_CELLS = 1 << 26
_FAR = 255


@dataclass(frozen=True, slots=True)
class EdgeGrid:
    """The arrays of a grid.

    ``frame``: west, south and side of a cell. Unit: m. ``size``: columns and rows. ``begin``: where the pieces of a cell begin in
    ``pieces``, cells row by row, and the end. ``pieces``: the vertex a straight piece begins with. ``rings``: for each cell how many
    rings of cells around it hold nothing (0: something is in the cell itself; 255: as many or more). ``edge_of``: the edge of
    each vertex.

    Memory: 5 bytes a cell, 4 bytes a cell passed by a piece and 4 bytes a vertex: about 0.15 GB for 600,000 nodes on 40 by 40 km.
    """

    frame: Floats
    size: Ints
    begin: Numbers
    pieces: Numbers
    rings: NDArray[np.uint8]
    edge_of: Numbers

    @property
    def nbytes(self) -> int:
        """Return the memory of the arrays. Unit: bytes."""
        return sum(getattr(self, each.name).nbytes for each in fields(self))


def build_edge_grid(
    vertex_xy: Floats, edge_first_vertex: Ints, left_out: NDArray[np.bool_], cell_m: float = CELL_M
) -> EdgeGrid:
    """Return the grid of edges given as vertices, see ``WalkNetwork``.

    Parameters
    ----------
    left_out
        Edges that nothing attaches to.
    cell_m
        Side of a cell; doubled until there are no more than `MOST_CELLS`. Unit: m.
    """
    low, high = vertex_xy.min(axis=0), vertex_xy.max(axis=0)
    while True:
        size = np.floor((high - low) / cell_m).astype(np.int64) + 1
        if size.prod() <= MOST_CELLS:
            break
        cell_m *= 2.0
    frame = np.array([low[0], low[1], cell_m])
    edge_of = np.repeat(np.arange(len(left_out), dtype=np.int32), np.diff(edge_first_vertex))
    is_piece = np.zeros(len(vertex_xy), dtype=bool)
    is_piece[:-1] = edge_of[1:] == edge_of[:-1]
    is_piece &= ~left_out[edge_of]
    begin = np.zeros(size.prod() + 1, dtype=np.int32)
    _rasterise(frame, size, vertex_xy, is_piece, begin, np.empty(0, dtype=np.int32))
    begin = np.cumsum(begin, dtype=np.int32)
    pieces = np.empty(begin[-1], dtype=np.int32)
    _rasterise(frame, size, vertex_xy, is_piece, begin, pieces)
    return EdgeGrid(frame, size, begin, pieces, _empty_rings(size, begin), edge_of)


@njit(cache=True)
def _rasterise(frame, size, vertex_xy, is_piece, begin, pieces):  # type: ignore[no-untyped-def]  # numba
    """Count the pieces of each cell into ``begin[cell + 1]``; with ``pieces``, fill them in from the end of each cell."""
    west, south, cell = frame
    columns, rows = size
    counting = len(pieces) == 0
    margin = cell * 1e-6  # far more than what rounding moves a crossing of a row's border
    # last piece first: filled from the end, the pieces of a cell then come in order
    for k in range(len(is_piece) - 1, -1, -1):
        if not is_piece[k]:
            continue
        ax, ay, bx, by = vertex_xy[k, 0], vertex_xy[k, 1], vertex_xy[k + 1, 0], vertex_xy[k + 1, 1]
        if ay > by:
            ax, ay, bx, by = bx, by, ax, ay
        first = max(0, int(np.floor((ay - margin - south) / cell)))
        last = min(rows - 1, int(np.floor((by + margin - south) / cell)))
        slope = (bx - ax) / (by - ay) if by > ay else 0.0  # a level piece is taken whole
        for row in range(first, last + 1):
            low, high = south + row * cell - margin, south + (row + 1) * cell + margin
            if first == last or ay == by:
                x0, x1 = ax, bx
            else:
                x0 = ax + (max(low, ay) - ay) * slope
                x1 = ax + (min(high, by) - ay) * slope
            if x0 > x1:
                x0, x1 = x1, x0
            x0, x1 = max(x0, min(ax, bx)), min(x1, max(ax, bx))
            left = max(0, int(np.floor((x0 - margin - west) / cell)))
            right = min(columns - 1, int(np.floor((x1 + margin - west) / cell)))
            for column in range(left, right + 1):
                at = row * columns + column
                if counting:
                    begin[at + 1] += 1
                else:
                    begin[at + 1] -= 1
                    pieces[begin[at + 1]] = k
    if not counting:
        # every end was moved to the beginning of its cell
        for at in range(len(begin) - 1):
            begin[at] = begin[at + 1]
        begin[-1] = len(pieces)


@njit(cache=True)
def _empty_rings(size, begin):  # type: ignore[no-untyped-def]  # numba
    """Return the distance of each cell to the nearest that holds something, in cells along the longer axis, at most 255."""
    columns, rows = size
    rings = np.empty(columns * rows, dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            at = row * columns + column
            if begin[at + 1] > begin[at]:
                rings[at] = 0
                continue
            near = _FAR
            if column > 0:
                near = min(near, rings[at - 1] + 1)
            if row > 0:
                near = min(near, rings[at - columns] + 1)
                if column > 0:
                    near = min(near, rings[at - columns - 1] + 1)
                if column < columns - 1:
                    near = min(near, rings[at - columns + 1] + 1)
            rings[at] = near
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            at = row * columns + column
            near = rings[at]
            if column < columns - 1:
                near = min(near, rings[at + 1] + 1)
            if row < rows - 1:
                near = min(near, rings[at + columns] + 1)
                if column < columns - 1:
                    near = min(near, rings[at + columns + 1] + 1)
                if column > 0:
                    near = min(near, rings[at + columns - 1] + 1)
            rings[at] = near
    return rings


def nearest_edges(
    grid: EdgeGrid,
    vertex_xy: Floats,
    xy: Floats,
    reach_m: float,
    edge_compound: Numbers,
    compound: Numbers,
) -> tuple[Numbers, Floats]:
    """Return the vertex that begins the nearest piece of each point, -1 where none is within reach, and the distance. Unit: m.

    Parameters
    ----------
    xy
        Points, shape (n, 2).
    edge_compound, compound
        A point takes only edges with its own number; where ``compound`` is empty it takes all.
    """
    order = _by_cell(grid.frame, grid.size, xy)
    return _nearest(
        grid.frame,
        grid.size,
        grid.begin,
        grid.pieces,
        grid.rings,
        grid.edge_of,
        vertex_xy,
        xy,
        order,
        reach_m,
        edge_compound,
        compound,
    )


@njit(cache=True)
def piece_offsets(vertex_xy, edge_first_vertex, edge_of, piece, xy):  # type: ignore[no-untyped-def]  # numba
    """Return how far along its edge the point of piece ``piece[i]`` nearest to each ``xy[i]`` lies; infinite for piece -1. Unit: m."""
    offset = np.full(len(piece), np.inf)
    for i in range(len(piece)):
        k = piece[i]
        if k < 0:
            continue
        walked = 0.0
        for n in range(edge_first_vertex[edge_of[k]], k):
            walked += np.hypot(vertex_xy[n + 1, 0] - vertex_xy[n, 0], vertex_xy[n + 1, 1] - vertex_xy[n, 1])
        ax, ay = vertex_xy[k, 0], vertex_xy[k, 1]
        dx, dy = vertex_xy[k + 1, 0] - ax, vertex_xy[k + 1, 1] - ay
        square = dx * dx + dy * dy
        along = ((xy[i, 0] - ax) * dx + (xy[i, 1] - ay) * dy) / square if square > 0.0 else 0.0
        offset[i] = walked + min(max(along, 0.0), 1.0) * np.sqrt(square)
    return offset


_BLOCK = 16


@njit(cache=True)
def _by_cell(frame, size, xy):  # type: ignore[no-untyped-def]  # numba
    """Return the points block of cells by block of cells: neighbours find what they need in the cache."""
    west, south, cell = frame
    side = cell * _BLOCK
    columns, rows = size[0] // _BLOCK + 1, size[1] // _BLOCK + 1
    block = np.empty(len(xy), dtype=np.int32)
    begin = np.zeros(columns * rows + 1, dtype=np.int64)
    for i in range(len(xy)):
        column = min(max((xy[i, 0] - west) / side, 0.0), columns - 1.0)
        row = min(max((xy[i, 1] - south) / side, 0.0), rows - 1.0)
        block[i] = int(row) * columns + int(column)
        begin[block[i] + 1] += 1
    begin = np.cumsum(begin)
    order = np.empty(len(xy), dtype=np.int32)
    for i in range(len(xy)):
        order[begin[block[i]]] = i
        begin[block[i]] += 1
    return order


@njit(cache=True)
def _nearest(frame, size, begin, pieces, rings, edge_of, vertex_xy, xy, order, reach, edge_compound, compound):  # type: ignore[no-untyped-def]  # numba
    west, south, cell = frame
    columns, rows = size
    found = np.full(len(xy), -1, dtype=np.int32)
    distance = np.full(len(xy), np.inf)
    bounded = len(compound) > 0
    reach_square = reach * reach
    for i in order:
        px, py = xy[i, 0], xy[i, 1]
        if (
            px < west - reach
            or py < south - reach
            or px > west + columns * cell + reach
            or py > south + rows * cell + reach
        ):
            continue
        # the cell of the point, or the one at the rim nearest to it
        column = int(min(max(np.floor((px - west) / cell), 0.0), columns - 1.0))
        row = int(min(max(np.floor((py - south) / cell), 0.0), rows - 1.0))
        # how far the point is from the border of its cell: less than 0 where it lies outside of it
        inner = min(
            min(px - (west + column * cell), west + (column + 1) * cell - px),
            min(py - (south + row * cell), south + (row + 1) * cell - py),
        )
        ring = int(rings[row * columns + column])
        best, nearest = reach_square, -1
        while True:
            # all that is not within ring - 1 is at least this far
            bound = (ring - 1) * cell + inner
            if ring > 0 and bound > 0 and bound * bound > best:
                break
            low, high = max(row - ring, 0), min(row + ring, rows - 1)
            left, right = max(column - ring, 0), min(column + ring, columns - 1)
            for y in range(low, high + 1):
                whole = y == row - ring or y == row + ring
                step = 1 if whole else max(1, 2 * ring)
                x = left if whole else column - ring
                while x <= right:
                    if x >= left:
                        at = y * columns + x
                        for n in range(begin[at], begin[at + 1]):
                            k = pieces[n]
                            if bounded and edge_compound[edge_of[k]] != compound[i]:
                                continue
                            ax, ay = vertex_xy[k, 0], vertex_xy[k, 1]
                            bx, by = vertex_xy[k + 1, 0], vertex_xy[k + 1, 1]
                            dx, dy = bx - ax, by - ay
                            qx, qy = px - ax, py - ay
                            square, along = dx * dx + dy * dy, qx * dx + qy * dy
                            if along >= square:
                                qx, qy = px - bx, py - by
                            elif along > 0.0:
                                across = qx * dy - qy * dx
                                apart = across * across / square
                                if apart < best or (apart == best and (nearest < 0 or k < nearest)):
                                    best, nearest = apart, k
                                continue
                            apart = qx * qx + qy * qy
                            if apart < best or (apart == best and (nearest < 0 or k < nearest)):
                                best, nearest = apart, k
                    x += step
            if row - ring <= 0 and column - ring <= 0 and row + ring >= rows - 1 and column + ring >= columns - 1:
                break
            ring += 1
        if nearest >= 0:
            found[i], distance[i] = nearest, np.sqrt(best)
    return found, distance
