"""An exact index of polygons over small cells: most points are answered by their cell, the others by an exact test. Compiled.

The plane of the coordinates is cut into coarse cells of 16 x 16 fine ones. A cell says: no polygon is here; this polygon holds all of it;
or, where borders pass, which polygons are to be asked, in order. A coarse cell that borders pass is cut into its fine cells
where memory allows. Asking a polygon means counting crossings of a ray to the east, as GEOS does, with the edges of its row of fine
cells only, and with the orientation test of GEOS.

The one rule of exactness: cells next to an edge within a thousandth of a cell count as passed by it, and which cell a point is in follows from
its coordinates monotonously; so whatever rounding does, a cell answers for itself only where no edge is near.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gridsvc.geo.orientation import orientation

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]
Flags = NDArray[np.uint8]

# fine cells along a side of a coarse one: 2^4
SHIFT = 4
SIDE = 1 << SHIFT
FINE = SIDE * SIDE
_MARGIN = 1e-3
# fine cells along a polygon of middle size; ten make 10 m of a unit grid of 10,000 m2
_CELLS_PER_POLYGON = 10
# a coarse cell needs 24 bits and a polygon 31 in a sorting key
_MOST_COARSE = 1 << 24
_ROW_BITS = 31
# places along a side of the box by which many points are put in order
_PLACES = 64


@dataclass(frozen=True, slots=True)
class Cells:
    """The arrays of an index. All are read-only, so that they can come from a mapped file.

    ``frame``: west, south, cells per unit east and north, east, north; the box is that of the polygons. ``size``: coarse columns
    and rows. ``top``: by coarse cell, -1 nothing, a row that holds all of it, or -2 - (2 list) or -2 - (2 block + 1).
    ``blocks``: the same by fine cell, lists as -2 - list. ``list_rows``: rows to ask in order, -1 - row where it holds all of the cell.
    ``first_row``, ``strip_of``: the first fine row of a polygon and the number of its strip; ``strip_start``, ``strip_edges``: the edges of a
    strip by the vertex they begin with; ``xs``, ``ys``: vertices, ring after ring, closed; ``vertex_of``: where the vertices of a polygon begin.
    """

    frame: Floats
    size: Longs
    top: Ints
    blocks: Ints
    list_start: Ints
    list_rows: Ints
    first_row: Ints
    strip_of: Longs
    strip_start: Longs
    strip_edges: Ints
    xs: Floats
    ys: Floats
    vertex_of: Longs
    ring_end: Flags

    @property
    def cells(self) -> tuple[NDArray, ...]:
        """Return the arrays that say which polygons are in a cell, in the order the functions below take them."""
        return self.frame, self.size, self.top, self.blocks, self.list_start, self.list_rows

    @property
    def strips(self) -> tuple[NDArray, ...]:
        """Return the arrays for asking a polygon."""
        return self.first_row, self.strip_of, self.strip_start, self.strip_edges, self.xs, self.ys

    @property
    def borders(self) -> tuple[NDArray, ...]:
        """Return the arrays for walking along a border."""
        return self.xs, self.ys, self.vertex_of, self.ring_end

    @property
    def nbytes(self) -> int:
        """Return the memory of the arrays. Unit: bytes."""
        return sum(getattr(self, each.name).nbytes for each in fields(self))


def build_cells(xs: Floats, ys: Floats, ring_start: Longs, polygon_ring: Longs) -> Cells:
    """Return the index of polygons given as rings.

    Parameters
    ----------
    xs, ys
        Vertices of all rings, one after the other, each closed. Any plane coordinates; the metric does not matter.
    ring_start
        Where each ring begins, and the end.
    polygon_ring
        Where the rings of each polygon begin, and the end. Rows of the answer are numbers of polygons; of several polygons
        that hold a point, the first answers.

    Notes
    -----
    Cost: grows with edges and border cells, about one CPU-second for 40,000 grids of 46 vertices and 60 MB. Cells grow until
    no more than about 256 a polygon and 4 a vertex are passed by borders.
    """
    count = len(polygon_ring) - 1
    vertex_of = ring_start[polygon_ring]
    ring_end = np.zeros(len(xs), dtype=np.uint8)
    ring_end[ring_start[1:] - 1] = 1
    if count == 0:
        return _nothing()
    frame, size = _frame(xs, ys, vertex_of, ring_end)
    first_row, last_row = _rows(frame, ys, vertex_of)
    strip_of = np.concatenate([[0], np.cumsum(last_row.astype(np.int64) - first_row + 1)])
    strip_start, strip_edges = _strips(frame, xs, ys, vertex_of, ring_end, first_row, strip_of)
    keys = _each_once(_border_keys(frame, size, xs, ys, vertex_of, ring_end))
    asked = (first_row, strip_of, strip_start, strip_edges, xs, ys)
    cover = _covers(frame, size, count, _border_coarse(keys), *asked)
    most_blocks = 32_768 + count
    top, blocks, list_start, list_rows = _fill(frame, size, keys, cover, most_blocks, *asked)
    cells = Cells(frame, size, top, blocks, list_start, list_rows, *asked, vertex_of, ring_end)
    for each in fields(cells):
        getattr(cells, each.name).flags.writeable = False
    return cells


def _nothing() -> Cells:
    none, one = np.zeros(0), np.zeros(1, dtype=np.int64)
    i32 = np.zeros(0, dtype=np.int32)
    cells = Cells(
        np.array([0.0, 0.0, 1.0, 1.0, -1.0, -1.0]), np.ones(2, dtype=np.int64), np.full(1, -1, dtype=np.int32),
        i32, np.zeros(1, dtype=np.int32), i32, i32, one, one, i32, none, none, one, np.zeros(0, dtype=np.uint8),
    )  # fmt: skip
    for each in fields(cells):
        getattr(cells, each.name).flags.writeable = False
    return cells


def _frame(xs: Floats, ys: Floats, vertex_of: Longs, ring_end: Flags) -> tuple[Floats, Longs]:
    """Return frame and size: cells of a tenth of a middling polygon, larger where they would be too many."""
    starts = vertex_of[:-1]
    widths = np.maximum.reduceat(xs, starts) - np.minimum.reduceat(xs, starts)
    heights = np.maximum.reduceat(ys, starts) - np.minimum.reduceat(ys, starts)
    west, south, east, north = xs.min(), ys.min(), xs.max(), ys.max()
    # below this a cell is no longer wide against the rounding of a coordinate
    least = 1e-10 * max(1.0, abs(west), abs(south), abs(east), abs(north))
    dx = max(float(np.median(widths)) / _CELLS_PER_POLYGON, least)
    dy = max(float(np.median(heights)) / _CELLS_PER_POLYGON, least)
    edge = ring_end[:-1] == 0
    run, rise = float(np.abs(np.diff(xs)[edge]).sum()), float(np.abs(np.diff(ys)[edge]).sum())
    most_passed = 1_000_000 + 256 * len(starts) + 4 * len(xs)
    most_coarse = min(_MOST_COARSE, 1_000_000 + 64 * len(starts))
    while True:
        columns = int((east - west) / dx + 0.5) // SIDE + 2
        rows = int((north - south) / dy + 0.5) // SIDE + 2
        if columns * rows <= most_coarse and run / dx + rise / dy <= most_passed:
            break
        dx, dy = dx * 1.25, dy * 1.25
    # half a cell of room, so that the margin of an edge stays inside
    frame = np.array([west - dx / 2.0, south - dy / 2.0, 1.0 / dx, 1.0 / dy, east, north])
    return frame, np.array([columns, rows], dtype=np.int64)


@njit(cache=True, nogil=True)
def _rows(frame: Floats, ys: Floats, vertex_of: Longs) -> tuple[Ints, Ints]:
    count = len(vertex_of) - 1
    first, last = np.empty(count, np.int32), np.empty(count, np.int32)
    for k in range(count):
        low, high = np.inf, -np.inf
        for i in range(vertex_of[k], vertex_of[k + 1]):
            low, high = min(low, ys[i]), max(high, ys[i])
        first[k] = int((low - frame[1]) * frame[3])
        last[k] = int((high - frame[1]) * frame[3])
    return first, last


@njit(cache=True, nogil=True)
def _strips(
    frame: Floats, xs: Floats, ys: Floats, vertex_of: Longs, ring_end: Flags, first_row: Ints, strip_of: Longs
) -> tuple[Longs, Ints]:
    """Return the edges of each polygon by the rows of fine cells their y touches."""
    start = np.zeros(strip_of[-1] + 1, np.int64)
    for k in range(len(first_row)):
        base = strip_of[k] - first_row[k]
        for i in range(vertex_of[k], vertex_of[k + 1] - 1):
            if not ring_end[i]:
                low, high = min(ys[i], ys[i + 1]), max(ys[i], ys[i + 1])
                for row in range(int((low - frame[1]) * frame[3]), int((high - frame[1]) * frame[3]) + 1):
                    start[base + row + 1] += 1
    for s in range(len(start) - 1):
        start[s + 1] += start[s]
    edges, place = np.empty(start[-1], np.int32), start[:-1].copy()
    for k in range(len(first_row)):
        base = strip_of[k] - first_row[k]
        for i in range(vertex_of[k], vertex_of[k + 1] - 1):
            if not ring_end[i]:
                low, high = min(ys[i], ys[i + 1]), max(ys[i], ys[i + 1])
                for row in range(int((low - frame[1]) * frame[3]), int((high - frame[1]) * frame[3]) + 1):
                    edges[place[base + row]] = i
                    place[base + row] += 1
    return start, edges


@njit(cache=True, nogil=True)
def _border_keys(frame: Floats, size: Longs, xs: Floats, ys: Floats, vertex_of: Longs, ring_end: Flags) -> Longs:
    """Return (coarse cell, polygon, fine cell) of every fine cell an edge passes, as one number each; some come twice."""
    keys = np.empty(4 * len(xs) + 1024, np.int64)
    count = 0
    for k in range(len(vertex_of) - 1):
        last = -1
        for i in range(vertex_of[k], vertex_of[k + 1] - 1):
            if ring_end[i]:
                continue
            u1, v1 = (xs[i] - frame[0]) * frame[2], (ys[i] - frame[1]) * frame[3]
            u2, v2 = (xs[i + 1] - frame[0]) * frame[2], (ys[i + 1] - frame[1]) * frame[3]
            low, high = min(v1, v2), max(v1, v2)
            for row in range(int(low - _MARGIN), int(high + _MARGIN) + 1):
                if v1 == v2:
                    left, right = min(u1, u2), max(u1, u2)
                else:
                    t1 = (min(max(row - _MARGIN, low), high) - v1) / (v2 - v1)
                    t2 = (min(max(row + 1 + _MARGIN, low), high) - v1) / (v2 - v1)
                    a, b = u1 + t1 * (u2 - u1), u1 + t2 * (u2 - u1)
                    left, right = min(a, b), max(a, b)
                for column in range(int(left - _MARGIN), int(right + _MARGIN) + 1):
                    coarse = (row >> SHIFT) * size[0] + (column >> SHIFT)
                    fine = ((row & (SIDE - 1)) << SHIFT) | (column & (SIDE - 1))
                    key = (coarse << (_ROW_BITS + 8)) | (np.int64(k) << 8) | fine
                    if key == last:
                        continue
                    if count == len(keys):
                        more = np.empty(2 * count, np.int64)
                        more[:count] = keys
                        keys = more
                    keys[count] = key
                    count += 1
                    last = key
    return keys[:count]


def _border_coarse(keys: Longs) -> Longs:
    """Return (polygon, coarse cell) of every coarse cell an edge passes, ascending, as one number each."""
    coarse, polygon = keys >> (_ROW_BITS + 8), (keys >> 8) & ((1 << _ROW_BITS) - 1)
    return _each_once((polygon << 24) | coarse)


def _each_once(keys: Longs) -> Longs:
    """Return the distinct keys, ascending; np.unique hashes first, which takes five times as long."""
    ordered = np.sort(keys)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]


@njit(cache=True, nogil=True)
def _holds(
    k: int,
    px: float,
    py: float,
    row: int,
    first_row: Ints,
    strip_of: Longs,
    strip_start: Longs,
    strip_edges: Ints,
    xs: Floats,
    ys: Floats,
) -> bool:
    """Return whether a closed polygon holds a point in a row of fine cells.

    Source: RayCrossingCounter of GEOS, edge by edge the same; edges of other rows cross no ray of this one.
    """
    strip = strip_of[k] + row - first_row[k]
    if row < first_row[k] or strip >= strip_of[k + 1]:
        return False
    odd = False
    for j in range(strip_start[strip], strip_start[strip + 1]):
        e = strip_edges[j]
        x1, x2 = xs[e], xs[e + 1]
        if x1 < px and x2 < px:
            continue
        y1, y2 = ys[e], ys[e + 1]
        if px == x2 and py == y2:
            return True
        if y1 == py and y2 == py:
            if min(x1, x2) <= px <= max(x1, x2):
                return True
            continue
        if (y1 > py and y2 <= py) or (y2 > py and y1 <= py):
            if x1 > px and x2 > px:
                # wholly to the east: crossed, and no need to ask by how much
                odd = not odd
                continue
            side = orientation(x1, y1, x2, y2, px, py)
            if side == 0:
                return True
            if y2 < y1:
                side = -side
            if side > 0:
                odd = not odd
    return odd


@njit(cache=True, nogil=True)
def _covers(
    frame: Floats,
    size: Longs,
    count: int,
    passed: Longs,
    first_row: Ints,
    strip_of: Longs,
    strip_start: Longs,
    strip_edges: Ints,
    xs: Floats,
    ys: Floats,
) -> Ints:
    """Return for each coarse cell the first polygon that holds all of it and whose border does not pass it; `count` where none."""
    cover = np.full(size[0] * size[1], count, np.int32)
    mask = (np.int64(1) << 24) - 1
    for j in range(len(passed) - 1):
        k, cell = passed[j] >> 24, passed[j] & mask
        after = passed[j + 1] & mask
        # between two border cells of a row there is no border: all of it is inside, or nothing
        if passed[j + 1] >> 24 != k or after // size[0] != cell // size[0] or after == cell + 1:
            continue
        row, column = (cell // size[0]) * SIDE + SIDE // 2, (cell % size[0] + 1) * SIDE + SIDE // 2
        px, py = frame[0] + (column + 0.5) / frame[2], frame[1] + (row + 0.5) / frame[3]
        if _holds(k, px, py, row, first_row, strip_of, strip_start, strip_edges, xs, ys):
            for inner in range(cell + 1, after):
                cover[inner] = min(cover[inner], k)
    return cover


@njit(cache=True, nogil=True)
def _fill(
    frame: Floats,
    size: Longs,
    keys: Longs,
    cover: Ints,
    most_blocks: int,
    first_row: Ints,
    strip_of: Longs,
    strip_start: Longs,
    strip_edges: Ints,
    xs: Floats,
    ys: Floats,
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return top, blocks, list_start and list_rows, see `Cells`."""
    count = len(first_row)
    top = np.empty(len(cover), np.int32)
    for cell in range(len(cover)):
        top[cell] = cover[cell] if cover[cell] < count else -1
    row_mask = (np.int64(1) << _ROW_BITS) - 1
    passed = 0
    for j in range(len(keys)):
        if j == 0 or keys[j] >> (_ROW_BITS + 8) != keys[j - 1] >> (_ROW_BITS + 8):
            passed += 1
    least = _least_keys(keys, passed, most_blocks)
    blocks = np.empty(min(passed, most_blocks) * FINE, np.int32)
    list_start, list_rows = np.zeros(4 * passed + 1024, np.int32), np.empty(16 * passed + 1024, np.int32)
    lists, listed, made = 0, 0, 0
    flag, state, held = np.zeros(FINE, np.uint8), np.empty(FINE, np.int8), np.empty(FINE, np.int32)
    asked, waiting = np.empty((8, FINE), np.int32), np.zeros(FINE, np.int32)
    j = 0
    while j < len(keys):
        cell = keys[j] >> (_ROW_BITS + 8)
        end = j
        while end < len(keys) and keys[end] >> (_ROW_BITS + 8) == cell:
            end += 1
        over = cover[cell]
        is_block = end - j >= least and made < most_blocks
        waiting[:] = 0
        held[:] = -1
        coarse_row, coarse_column = (cell // size[0]) * SIDE, (cell % size[0]) * SIDE
        cells_here = FINE if is_block else 1
        while j < end:
            k = (keys[j] >> 8) & row_mask
            stop = j
            flag[:] = 0
            while stop < end and (keys[stop] >> 8) & row_mask == k:
                flag[keys[stop] & (FINE - 1)] = 1
                stop += 1
            j = stop
            if k > over:
                continue
            if not is_block:
                state[0] = 2
            else:
                for c in range(FINE):
                    if flag[c]:
                        state[c] = 2
                    elif c & (SIDE - 1) and not flag[c - 1]:
                        state[c] = state[c - 1]
                    elif c >= SIDE and not flag[c - SIDE]:
                        state[c] = state[c - SIDE]
                    else:
                        row, column = coarse_row + (c >> SHIFT), coarse_column + (c & (SIDE - 1))
                        px, py = frame[0] + (column + 0.5) / frame[2], frame[1] + (row + 0.5) / frame[3]
                        state[c] = _holds(k, px, py, row, first_row, strip_of, strip_start, strip_edges, xs, ys)
            for c in range(cells_here):
                if held[c] >= 0 or state[c] == 0:
                    continue
                if state[c] == 1:
                    held[c] = k
                    continue
                if waiting[c] == len(asked):
                    more = np.empty((2 * len(asked), FINE), np.int32)
                    more[: len(asked)] = asked
                    asked = more
                asked[waiting[c], c] = k
                waiting[c] += 1
        if over < count:
            for c in range(cells_here):
                if held[c] < 0:
                    held[c] = over
        base = made * FINE
        for c in range(cells_here):
            if waiting[c] == 0:
                value = held[c]
            else:
                # neighbouring cells mostly ask the same polygons
                value = np.int32(0)
                for back in (1, SIDE):
                    if is_block and c >= back and value == 0 and waiting[c - back] == waiting[c]:
                        same = held[c - back] == held[c]
                        for n in range(waiting[c]):
                            same = same and asked[n, c - back] == asked[n, c]
                        if same:
                            value = blocks[base + c - back]
                if value == 0:
                    length = waiting[c] + (1 if held[c] >= 0 else 0)
                    while listed + length > len(list_rows):
                        longer = np.empty(2 * len(list_rows), np.int32)
                        longer[:listed] = list_rows[:listed]
                        list_rows = longer
                    if lists + 2 > len(list_start):
                        wider = np.zeros(2 * len(list_start), np.int32)
                        wider[: lists + 1] = list_start[: lists + 1]
                        list_start = wider
                    for n in range(waiting[c]):
                        list_rows[listed + n] = asked[n, c]
                    if held[c] >= 0:
                        list_rows[listed + waiting[c]] = -1 - held[c]
                    listed += length
                    value = np.int32(-2 - lists)
                    lists += 1
                    list_start[lists] = listed
            if is_block:
                blocks[base + c] = value
            elif value <= -2:
                top[cell] = -2 - 2 * (-2 - value)
            else:
                top[cell] = value
        if is_block:
            top[cell] = -2 - (2 * made + 1)
            made += 1
    return top, blocks[: made * FINE].copy(), list_start[: lists + 1].copy(), list_rows[:listed].copy()


@njit(cache=True, nogil=True)
def _least_keys(keys: Longs, passed: int, most_blocks: int) -> int:
    """Return how many border cells a coarse cell needs to become a block, so that not many more than `most_blocks` do."""
    if passed <= most_blocks:
        return 1
    sizes, cell, begin = np.empty(passed, np.int64), 0, 0
    for j in range(1, len(keys) + 1):
        if j == len(keys) or keys[j] >> (_ROW_BITS + 8) != keys[j - 1] >> (_ROW_BITS + 8):
            sizes[cell] = j - begin
            cell, begin = cell + 1, j
    sizes.sort()
    return sizes[passed - most_blocks]


@njit(cache=True, nogil=True)
def row_of(
    px: float,
    py: float,
    frame: Floats,
    size: Longs,
    top: Ints,
    blocks: Ints,
    list_start: Ints,
    list_rows: Ints,
    first_row: Ints,
    strip_of: Longs,
    strip_start: Longs,
    strip_edges: Ints,
    xs: Floats,
    ys: Floats,
) -> int:
    if not (frame[0] <= px <= frame[4] and frame[1] <= py <= frame[5]):
        return -1
    column, row = int((px - frame[0]) * frame[2]), int((py - frame[1]) * frame[3])
    value = top[(row >> SHIFT) * size[0] + (column >> SHIFT)]
    code = -2 - value
    if value <= -2:
        if code & 1:
            value = blocks[(code >> 1) * FINE + ((row & (SIDE - 1)) << SHIFT) + (column & (SIDE - 1))]
            code = -2 - value
        else:
            code >>= 1
    if value >= -1:
        return value
    for j in range(list_start[code], list_start[code + 1]):
        k = list_rows[j]
        if k < 0:
            return -1 - k
        if _holds(k, px, py, row, first_row, strip_of, strip_start, strip_edges, xs, ys):
            return k
    return -1


@njit(cache=True, nogil=True)
def find_rows(
    x: Floats,
    y: Floats,
    answer: Ints,
    frame: Floats,
    size: Longs,
    top: Ints,
    blocks: Ints,
    list_start: Ints,
    list_rows: Ints,
    first_row: Ints,
    strip_of: Longs,
    strip_start: Longs,
    strip_edges: Ints,
    xs: Floats,
    ys: Floats,
) -> None:
    """Write to ``answer`` the first polygon that holds each point, -1 where none does, NaN included."""
    for i in range(len(x)):
        answer[i] = row_of(
            x[i], y[i], frame, size, top, blocks, list_start, list_rows, first_row, strip_of, strip_start, strip_edges, xs, ys
        )  # fmt: skip


@njit(cache=True, nogil=True)
def order_by_place(
    x: Floats, y: Floats, west: float, south: float, east: float, north: float
) -> tuple[Ints, Floats, Floats]:
    """Return an order of points in which neighbours follow one another, and x and y in it; NaN and what is outside last.

    An index of a city does not fit into the caches of a processor; with the points in order, each part of it comes in once.
    """
    order, sorted_x, sorted_y = np.empty(len(x), np.int32), np.empty(len(x)), np.empty(len(x))
    across, up = _PLACES / max(east - west, 1e-300), _PLACES / max(north - south, 1e-300)
    last = _PLACES * _PLACES
    place_of, start = np.empty(len(x), np.int16), np.zeros(last + 2, np.int32)
    for i in range(len(x)):
        place = last
        if west <= x[i] <= east and south <= y[i] <= north:
            column = min(int((x[i] - west) * across), _PLACES - 1)
            place = min(int((y[i] - south) * up), _PLACES - 1) * _PLACES + column
        place_of[i] = place
        start[place + 1] += 1
    for place in range(last + 1):
        start[place + 1] += start[place]
    for i in range(len(x)):
        n = start[place_of[i]]
        start[place_of[i]] = n + 1
        order[n], sorted_x[n], sorted_y[n] = i, x[i], y[i]
    return order, sorted_x, sorted_y
