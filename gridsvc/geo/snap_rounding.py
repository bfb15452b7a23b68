"""Lines noded on a grid: wherever two meet they get a common vertex, and all vertices are multiples of the grid's step.

Why not ``shapely.union_all(lines, grid_size=...)``, which does the same in three times as long: it was a tenth of a division.
Tests hold the answers of the two against each other.

Source: Hobby 1999, Practical segment intersection with finite precision output; the test of a pixel as in JTS and GEOS.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

Geometries = NDArray[np.object_]
Integers = NDArray[np.integer]
Floats = NDArray[np.float64]

# segments in a tile of the plane: few enough to compare each with each
_SEGMENTS_A_TILE = 24.0


def snap_rounded(lines: Geometries, step_m: float) -> Geometries:
    """Return the lines, vertices rounded to the grid, broken where they end, meet or cross; what coincides comes once.

    A line bends by at most 0.71 steps towards the vertices it passes within half a step, so that no new crossing arises.

    Parameters
    ----------
    lines
        LineStrings. CRS: projected, metric.
    step_m
        Step of the grid. Unit: m.

    Returns
    -------
    noded
        LineStrings, none of them of length zero, that meet in end points only.
    """
    if len(lines) == 0:
        return lines
    vertices, line = shapely.get_coordinates(lines, return_index=True)
    same = line[1:] == line[:-1]
    vertices, origin, grid = _in_steps(vertices, step_m)
    start = np.flatnonzero(same & (grid[1:] != grid[:-1]).any(axis=1))
    if len(start) == 0:
        return lines[:0]
    pixels, path, begins = _snapped(np.concatenate([vertices[start], vertices[start + 1]], axis=1))
    # a line that goes on from the end of another one stays a line of its own
    is_end = np.append(True, ~same) | np.append(~same, True)
    is_node = np.zeros(len(pixels), dtype=bool)
    is_node[_positions(pixels, grid[is_end])] = True
    places, chain = _chains(path, begins, line[start], is_node)
    return shapely.linestrings((pixels[places] + origin) / (1.0 / step_m), indices=chain)


@dataclass(frozen=True, slots=True)
class NodedEdges:
    """Straight edges that meet in end points only, in whole steps of a grid.

    ``pixels`` are the vertices by x, then y, in steps from ``origin``, shape (n, 2); ``edges`` the lower and the higher vertex of each, in
    order, each once, shape (m, 2). Neither depends on the order or direction of the segments they came from.
    """

    pixels: Integers
    edges: Integers
    origin: Floats
    step_m: float

    def metres(self, places: NDArray) -> Floats:
        """Return places in steps as coordinates of the segments. Shape: (n, 2)."""
        return (places + self.origin) / (1.0 / self.step_m)


def noded_edges(segments: Floats, step_m: float) -> NodedEdges:
    """Return the edges that segments make when snap-rounded as in `snap_rounded`, without making lines of them.

    Parameters
    ----------
    segments
        From x, y to x, y. CRS: projected, metric. Shape: (n, 4).
    step_m
        Step of the grid. Unit: m.

    Notes
    -----
    Cost: grows with the segments and the edges; a million segments of a city, crossing 700,000 times, take about four CPU-seconds.
    """
    if len(segments) == 0:
        return NodedEdges(np.empty((0, 2), dtype=np.int64), np.empty((0, 2), dtype=np.int64), np.zeros(2), step_m)
    ends, origin, grid = _in_steps(segments.reshape(-1, 2).copy(), step_m)
    kept = (grid[0::2] != grid[1::2]).any(axis=1)
    if not kept.any():
        return NodedEdges(np.empty((0, 2), dtype=np.int64), np.empty((0, 2), dtype=np.int64), origin, step_m)
    pixels, path, begins = _snapped(ends.reshape(-1, 4)[kept])
    steps = _steps(path, begins, len(pixels))
    return NodedEdges(pixels, np.stack([steps // len(pixels), steps % len(pixels)], axis=1), origin, step_m)


def _in_steps(vertices: Floats, step_m: float) -> tuple[Floats, Floats, Integers]:
    """Return vertices in steps from an origin below them all, that origin, and the pixel of each vertex. Changes the vertices given."""
    vertices *= 1.0 / step_m
    origin = np.floor(vertices.min(axis=0)) - 1.0
    vertices -= origin
    return vertices, origin, np.floor(vertices + 0.5).astype(np.int64)


def _positions(pixels: Integers, asked: Integers) -> Integers:
    """Return where the asked pixels are among the pixels, which are in order; those that are not there are left out."""
    height = max(pixels[:, 1].max(), asked[:, 1].max()) + 1
    keys, wanted = pixels @ [height, 1], asked @ [height, 1]
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place[keys[place] == wanted]


@njit(cache=True)
def _snapped(segments: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Return the hot pixels in order, and those that each segment passes, from its begin to its end.

    Parameters
    ----------
    segments
        x0, y0, x1, y1 in steps of the grid, above 0, each from one pixel to another. As they came: where the ends were rounded
        first, a line would miss others that end on it.

    Returns
    -------
    pixels
        Vertices and crossings of the segments, by x, then y. Shape: (n, 2).
    path, begins
        Segment i passes the pixels ``path[begins[i]:begins[i + 1]]``.
    """
    frame = _tiles_of(segments)
    tile_start, tile_segments = _in_tiles(segments, frame)
    pixels = _hot_pixels(segments, tile_start, tile_segments)
    side, columns, rows = frame
    # the pixels of each tile, in their order
    pixel_start = np.zeros(columns * rows + 1, dtype=np.int64)
    tile_of = np.empty(len(pixels), dtype=np.int64)
    for k in range(len(pixels)):
        tile_of[k] = (pixels[k, 0] // side) * rows + pixels[k, 1] // side
        pixel_start[tile_of[k] + 1] += 1
    pixel_start = np.cumsum(pixel_start)
    tile_pixels = np.empty(len(pixels), dtype=np.int64)
    filled = pixel_start[:-1].copy()
    for k in range(len(pixels)):
        tile_pixels[filled[tile_of[k]]] = k
        filled[tile_of[k]] += 1
    begins = np.zeros(len(segments) + 1, dtype=np.int64)
    path = np.empty(4 * len(segments) + 16, dtype=np.int64)
    along = np.empty(len(pixels))
    used = 0
    for i in range(len(segments)):
        x0, y0, x1, y1 = segments[i]
        west, east = _rounded(min(x0, x1)), _rounded(max(x0, x1))
        low, high = _rounded(min(y0, y1)), _rounded(max(y0, y1))
        first = used
        for column in range(west // side, east // side + 1):
            bottom, top = _rows_passed(x0, y0, x1, y1, column, side, rows)
            for tile in range(column * rows + bottom, column * rows + top + 1):
                for n in range(pixel_start[tile], pixel_start[tile + 1]):
                    k = tile_pixels[n]
                    x, y = pixels[k]
                    if x < west or x > east or y < low or y > high or not _passes(x0, y0, x1, y1, x, y):
                        continue
                    if used == len(path):
                        path = np.append(path, np.empty(len(path), dtype=np.int64))
                    # sorted in by its place along the segment
                    here = (x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)
                    place = used
                    while place > first and along[place - first - 1] > here:
                        path[place], along[place - first] = path[place - 1], along[place - first - 1]
                        place -= 1
                    path[place], along[place - first] = k, here
                    used += 1
        begins[i + 1] = used
    return pixels, path[:used], begins


@njit(cache=True)
def _tiles_of(segments: NDArray) -> tuple[int, int, int]:
    """Return the side of square tiles in steps, and how many columns and rows of them hold all segments: a few dozen in each."""
    east = max(segments[:, 0].max(), segments[:, 2].max()) + 2.0
    north = max(segments[:, 1].max(), segments[:, 3].max()) + 2.0
    tiles = max(1.0, len(segments) / _SEGMENTS_A_TILE)
    side = int(np.ceil(max(np.sqrt(east * north / tiles), max(east, north) / 30_000.0)))
    return side, int(east // side) + 1, int(north // side) + 1


@njit(cache=True)
def _rows_passed(x0: float, y0: float, x1: float, y1: float, column: int, side: int, rows: int) -> tuple[int, int]:
    """Return the lowest and the highest row of tiles a segment comes near in a column of them."""
    low, high = min(y0, y1), max(y0, y1)
    if x0 != x1:
        slope = (y1 - y0) / (x1 - x0)
        one = y0 + slope * (column * side - 2.0 - x0)
        other = y0 + slope * ((column + 1) * side + 2.0 - x0)
        low, high = max(low, min(one, other)), min(high, max(one, other))
    return max(int((low - 2.0) // side), 0), min(int((high + 2.0) // side), rows - 1)


@njit(cache=True)
def _in_tiles(segments: NDArray, frame: tuple[int, int, int]) -> tuple[NDArray, NDArray]:
    """Return the segments near each tile, tile after tile: where those of a tile begin, and the segments."""
    side, columns, rows = frame
    start = np.zeros(columns * rows + 1, dtype=np.int64)
    filled = np.zeros(columns * rows, dtype=np.int64)
    found = np.empty(0, dtype=np.int64)
    for fill in range(2):
        for i in range(len(segments)):
            x0, y0, x1, y1 = segments[i]
            last = min(int((max(x0, x1) + 2.0) // side), columns - 1)
            for column in range(max(int((min(x0, x1) - 2.0) // side), 0), last + 1):
                bottom, top = _rows_passed(x0, y0, x1, y1, column, side, rows)
                for tile in range(column * rows + bottom, column * rows + top + 1):
                    if fill:
                        found[filled[tile]] = i
                        filled[tile] += 1
                    else:
                        start[tile + 1] += 1
        if not fill:
            start = np.cumsum(start)
            filled[:] = start[:-1]
            found = np.empty(start[-1], dtype=np.int64)
    return start, found


@njit(cache=True)
def _hot_pixels(segments: NDArray, tile_start: NDArray, tile_segments: NDArray) -> NDArray:
    """Return the ends of the segments and the pixels in which two cross, each once, by x, then y."""
    size = len(segments)
    found = np.empty((4 * size, 2), dtype=np.int64)
    for i in range(size):
        for k in range(2):
            found[i, k], found[size + i, k] = _rounded(segments[i, k]), _rounded(segments[i, 2 + k])
    used = 2 * size
    for tile in range(len(tile_start) - 1):
        for m in range(tile_start[tile], tile_start[tile + 1]):
            i = tile_segments[m]
            ax, ay, bx, by = segments[i]
            west, east, low, high = min(ax, bx), max(ax, bx), min(ay, by), max(ay, by)
            for n in range(m + 1, tile_start[tile + 1]):
                cx, cy, dx, dy = segments[tile_segments[n]]
                if max(cx, dx) < west or min(cx, dx) > east or max(cy, dy) < low or min(cy, dy) > high:
                    continue
                c, d = _side(ax, ay, bx, by, cx, cy), _side(ax, ay, bx, by, dx, dy)
                if (c > 0) == (d > 0) or c == 0 or d == 0:
                    continue
                a, b = _side(cx, cy, dx, dy, ax, ay), _side(cx, cy, dx, dy, bx, by)
                if (a > 0) == (b > 0) or a == 0 or b == 0:
                    continue
                if used == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                share = a / (a - b)
                found[used, 0] = _rounded(ax + share * (bx - ax))
                found[used, 1] = _rounded(ay + share * (by - ay))
                used += 1
    height = found[:used, 1].max() + 1
    keys = np.unique(found[:used, 0] * height + found[:used, 1])
    pixels = np.empty((len(keys), 2), dtype=np.int64)
    pixels[:, 0], pixels[:, 1] = keys // height, keys % height
    return pixels


@njit(cache=True)
def _steps(path: NDArray, begins: NDArray, size: int) -> NDArray:
    """Return the steps of all paths, each once and in order, as lower pixel times size plus higher pixel."""
    steps = np.empty(len(path), dtype=np.int64)
    known = 0
    for i in range(len(begins) - 1):
        for k in range(begins[i], begins[i + 1] - 1):
            steps[known] = min(path[k], path[k + 1]) * size + max(path[k], path[k + 1])
            known += 1
    return np.unique(steps[:known])


@njit(cache=True)
def _rounded(value: float) -> int:
    """Return the pixel that holds a value: its left and lower sides belong to it."""
    return int(np.floor(value + 0.5))


@njit(cache=True)
def _side(ax: float, ay: float, bx: float, by: float, x: float, y: float) -> float:
    """Return on which side of a line from a to b a point lies: above 0 on its left, 0 on it."""
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax)


@njit(cache=True)
def _passes(x0: float, y0: float, x1: float, y1: float, x: int, y: int) -> bool:
    """Return whether a segment, whose box meets a pixel, passes that pixel."""
    if x0 == x1 or y0 == y1:
        return True
    if x0 > x1:
        x0, y0, x1, y1 = x1, y1, x0, y0
    upper_left = _side(x0, y0, x1, y1, x - 0.5, y + 0.5)
    if upper_left == 0:
        return y0 > y1
    upper_right = _side(x0, y0, x1, y1, x + 0.5, y + 0.5)
    if upper_right == 0:
        return y0 < y1
    if (upper_left > 0) != (upper_right > 0):
        return True
    lower_left = _side(x0, y0, x1, y1, x - 0.5, y - 0.5)
    if lower_left == 0 or (lower_left > 0) != (upper_left > 0):
        return True
    lower_right = _side(x0, y0, x1, y1, x + 0.5, y - 0.5)
    if lower_right == 0:
        return y0 > y1
    return (lower_left > 0) != (lower_right > 0)


@njit(cache=True)
def _chains(path: NDArray, begins: NDArray, line: NDArray, is_node: NDArray) -> tuple[NDArray, NDArray]:
    """Return the steps of all paths, each once, as chains from node to node: the pixels in their order, the chain of each.

    Nodes are the pixels marked and those where other than two steps meet.
    """
    size = len(is_node)
    once = _steps(path, begins, size)
    is_open = np.ones(len(once), dtype=np.bool_)
    meeting = np.zeros(size, dtype=np.int64)
    for step in once:
        meeting[step // size] += 1
        meeting[step % size] += 1
    places = np.empty(2 * len(once), dtype=np.int64)
    chain = np.empty(2 * len(once), dtype=np.int64)
    used, chains = 0, -1
    before = -1
    for i in range(len(line)):
        if i == 0 or line[i] != line[i - 1]:
            before = -1
        for k in range(begins[i], begins[i + 1] - 1):
            a, b = path[k], path[k + 1]
            step = np.searchsorted(once, min(a, b) * size + max(a, b))
            if not is_open[step]:
                before = -1
                continue
            is_open[step] = False
            if before != a or is_node[a] or meeting[a] != 2:
                chains += 1
                places[used], chain[used] = a, chains
                used += 1
            places[used], chain[used] = b, chains
            used += 1
            before = b
    return places[:used], chain[:used]
