"""Isochrones: a field of walking seconds on a raster, every cell attached to its nearest street, cut at each limit.

Polygons of shorter times lie inside those of longer ones because all are level sets of the same field. Work and memory grow with
what is reached, not with the network: a bounded search, and a grid of streets to find those of a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from shapely.geometry import MultiPolygon

from gridsvc.circle.attachments import Attachments, attach_points
from gridsvc.circle.bounded_search import Space, clear_reach, reach_from_some, search_space
from gridsvc.circle.contours import level_area
from gridsvc.circle.doors import Doors
from gridsvc.circle.hierarchy import OUT
from gridsvc.circle.sweeps import CORES, on_all_cores
from gridsvc.circle.travel_times import CIRCLE_LIMIT_S, PLANNING_SPEED_M_S, CompiledWalk
from gridsvc.circle.walk_network import Flags, Floats, Ints, Numbers, WalkNetwork
from gridsvc.errors import OutsideCoverageError, RequestInvalidError

CELL_M = 7.5  # our choice: agreement of 5-minute areas is 0.98, with 10 m cells 0.976
SIDE_M = 100.0  # our choice: ground further than this from every street is not counted as walked to
MOST_CELLS = 50_000_000  # of one field: half a gigabyte
_NEAR_M = 25.0  # about half the cells of a city are this near to a street
_GRID_M = 100.0  # cells of the grid that finds streets
_LEAST_ROWS = 40  # cells across of a strip that a core of its own is worth
_STEP_S = 1e-3  # values this close to a limit, 1 mm of a walk, are moved off it: no border comes nearer to a centre than coordinates can tell


@dataclass(frozen=True, eq=False, slots=True)
class WalkField:
    """Walking seconds at the centres of square cells.

    ``seconds[row, column]`` belongs to the point (``x[column]``, ``y[row]``); infinite where nobody gets to. Cells somewhat beyond the
    limit may have their time, too.
    """

    x: Floats
    y: Floats
    seconds: Floats


class StreetGrid(NamedTuple):
    """Streets as straight pieces by 100 m cell: pieces ``piece[first[c]:first[c + 1]]`` touch the box of cell c, row by row.

    A piece is a row of ``ends`` (x, y, x, y), of edge ``edge``, beginning ``offset_m`` along it.
    """

    corner: Floats
    columns: int
    rows: int
    first: Ints
    piece: Numbers
    ends: Floats
    edge: Numbers
    offset_m: Floats


def street_grid(network: WalkNetwork) -> StreetGrid:
    """Return the streets of a network by cell; edges that pass a gate are no ground to stand on and are left out."""
    segments = network.segments
    street = network.edge_gate[segments.edge] < 0
    ends = np.ascontiguousarray(np.hstack((segments.start, segments.end))[street])
    corner = ends.reshape(-1, 2).min(axis=0)
    columns, rows = (np.floor((ends.reshape(-1, 2).max(axis=0) - corner) / _GRID_M).astype(np.int64) + 1).tolist()
    first, piece = _pieces_by_cell(ends, corner, columns, rows)
    edge = segments.edge[street].astype(np.int32)
    return StreetGrid(corner, columns, rows, first, piece, ends, edge, segments.offset_m[street])


@njit(cache=True, nogil=True)
def _cells_of(ends: Floats, i: int, corner: Floats) -> tuple[int, int, int, int]:
    """Return the lowest and highest column and row of grid that the box of a piece touches."""
    return (
        int((min(ends[i, 0], ends[i, 2]) - corner[0]) / _GRID_M),
        int((max(ends[i, 0], ends[i, 2]) - corner[0]) / _GRID_M),
        int((min(ends[i, 1], ends[i, 3]) - corner[1]) / _GRID_M),
        int((max(ends[i, 1], ends[i, 3]) - corner[1]) / _GRID_M),
    )


@njit(cache=True, nogil=True)
def _pieces_by_cell(ends: Floats, corner: Floats, columns: int, rows: int) -> tuple[Ints, Numbers]:
    first = np.zeros(columns * rows + 1, np.int64)
    for i in range(len(ends)):
        west, east, south, north = _cells_of(ends, i, corner)
        for row in range(south, north + 1):
            for column in range(west, east + 1):
                first[row * columns + column + 1] += 1
    for c in range(columns * rows):
        first[c + 1] += first[c]
    place, piece = first[:-1].copy(), np.empty(first[-1], np.int32)
    for i in range(len(ends)):
        west, east, south, north = _cells_of(ends, i, corner)
        for row in range(south, north + 1):
            for column in range(west, east + 1):
                piece[place[row * columns + column]] = i
                place[row * columns + column] += 1
    return first, piece


@dataclass(frozen=True, eq=False)
class IsochroneWalk:
    """A compiled walk with what isochrones need beside it, kept between them; may be used by several threads."""

    walk: CompiledWalk

    @cached_property
    def streets(self) -> StreetGrid:
        """The streets by cell."""
        return street_grid(self.walk.network)

    @cached_property
    def node_xy(self) -> Floats:
        """Positions of the nodes of the walk's graph."""
        xy = np.empty_like(self.walk.network.node_xy)
        xy[self.walk.graph.node_rank] = self.walk.network.node_xy
        return xy

    @cached_property
    def _spaces(self) -> SimpleQueue[Space]:
        return SimpleQueue()

    def field(
        self, origins: Attachments, limit_s: float, *, cell_m: float = CELL_M, side_m: float = SIDE_M
    ) -> WalkField:
        """Return the walk from the nearest of some attached points to the cells around, up to ``limit_s``.

        A cell takes the time of the nearest point of its nearest street plus the straight leg to its centre, the same rule
        as for doors. Cells lie on whole multiples of ``cell_m``, so fields of different origins match.

        Raises
        ------
        RequestInvalidError
            When the limit is beyond the walk's, or the field would have too many cells.

        Notes
        -----
        Cost: grows with the street length reached and (side_m / cell_m) squared; about 5 ms for 15 minutes.
        """
        walk, graph = self.walk, self.walk.graph
        if not 0 < limit_s <= walk.limit_s:
            raise RequestInvalidError(
                f"A limit of {limit_s:g} s is not within the walk's {walk.limit_s:g} s.",
                hint="Compile the walk for a longer limit.",
            )
        # a cell further than asked, so that the border is drawn between times on both sides of it
        limit = graph.whole_ticks(min(walk.limit_s, limit_s + 1.5 * cell_m / walk.speed_m_s))
        doors = walk.doors(graph, origins)
        try:
            space = self._spaces.get_nowait()
        except Empty:
            space = search_space(graph.nodes)
        count = reach_from_some(graph.links, doors, 0, len(doors.edge), limit, space)
        box = _reached_box(self.node_xy, self._joints(origins), space, count, limit, walk.speed_m_s / graph.ticks_per_s)
        low = np.floor(box[:2] / cell_m).astype(np.int64) - 1
        high = np.ceil(box[2:] / cell_m).astype(np.int64) + 1
        if (high - low + 1).prod() > MOST_CELLS:
            clear_reach(space, count)
            self._spaces.put(space)
            raise RequestInvalidError(
                f"The area reached needs {(high - low + 1).prod():,} cells of {cell_m:g} m, more than {MOST_CELLS:,}.",
                hint="Ask for fewer places at a time, or for larger cells.",
            )
        x, y = (np.arange(low[axis], high[axis] + 1) * cell_m for axis in (0, 1))
        reached = _Reached(
            length_m=walk.network.edge_length_m,
            a=graph.edge_a,
            b=graph.edge_b,
            ticks=graph.edge_ticks,
            reach=space.reach,
            doors=doors,
            by_edge=np.argsort(doors.edge, kind="stable"),
            ticks_per_s=graph.ticks_per_s,
            speed_m_s=walk.speed_m_s,
        )
        seconds = _spread_strips(self.streets, reached, x, y, side_m)
        clear_reach(space, count)
        self._spaces.put(space)
        return WalkField(x, y, seconds)

    def _joints(self, origins: Attachments) -> Floats:
        """Return the boxes of the edges that points are joined to, as corners (n, 2): the walk may stay on that edge."""
        network, edges = self.walk.network, np.unique(origins.edge[origins.is_attached])
        corners = [
            network.vertex_xy[network.edge_first_vertex[e] : network.edge_first_vertex[e + 1]] for e in edges.tolist()
        ]
        return np.concatenate(corners)


@njit(cache=True, nogil=True)
def _reached_box(
    node_xy: Floats, corners: Floats, space: Space, count: int, limit: int, metres_per_tick: float
) -> Floats:
    """Return a box (min x, min y, max x, max y) around all that is reached, legs off the street too.

    From a node as far as the time that is left carries; from the edge of a door, whose nodes may be out of reach, at most
    the ``corners`` and a leg of the whole limit.
    """
    box = np.array([np.inf, np.inf, -np.inf, -np.inf])
    for t in range(count):
        x = space.touched[t]
        left = (limit - space.reach[x]) * metres_per_tick
        box[0], box[1] = min(box[0], node_xy[x, 0] - left), min(box[1], node_xy[x, 1] - left)
        box[2], box[3] = max(box[2], node_xy[x, 0] + left), max(box[3], node_xy[x, 1] + left)
    for i in range(len(corners)):
        box[0], box[1] = min(box[0], corners[i, 0] - SIDE_M), min(box[1], corners[i, 1] - SIDE_M)
        box[2], box[3] = max(box[2], corners[i, 0] + SIDE_M), max(box[3], corners[i, 1] + SIDE_M)
    return box


class _Canvas(NamedTuple):
    """Cells to draw streets into: square of the distance to the nearest street so far, and seconds by it."""

    x: Floats
    y: Floats
    nearest: Floats
    seconds: Floats


class _Reached(NamedTuple):
    """What a search found, as streets need it: edges, ticks to the nodes, and the doors it began from, by edge."""

    length_m: Floats
    a: Numbers
    b: Numbers
    ticks: Ints
    reach: Numbers
    doors: Doors
    by_edge: Ints
    ticks_per_s: float
    speed_m_s: float


class _Piece(NamedTuple):
    """A straight piece of street ready to be walked: from ``start`` along ``way`` (length ``step``), seconds from both ends of its edge."""

    start: tuple[float, float]
    way: tuple[float, float]
    step: float
    per_square: float
    offset_m: float
    length_m: float
    from_a: float
    from_b: float
    per_m: float
    edge: int
    first_door: int


def _spread_strips(streets: StreetGrid, reached: _Reached, x: Floats, y: Floats, side: float) -> Floats:
    """Fill strips of cells on all cores; a cell does not depend on the others, so the answer does not on the strips."""
    seconds = np.empty((len(y), len(x)))

    def fill(strip: slice) -> None:
        seconds[strip] = _spread(streets, reached, x, y[strip], side)

    rows = np.linspace(0, len(y), max(1, min(CORES, len(y) // _LEAST_ROWS)) + 1).astype(int)
    on_all_cores(fill, [slice(*ends) for ends in pairwise(rows.tolist())])
    return seconds


@njit(cache=True, nogil=True)
def _spread(streets: StreetGrid, reached: _Reached, x: Floats, y: Floats, side: float) -> Floats:
    """Fill each cell from the nearest street piece; see :meth:`IsochroneWalk.field`.

    First every piece is drawn into the cells close to it, then the cells that have no street so near look for one: they are few. Streets
    are left alone where none is reached that is near enough to share a cell with them.
    """
    canvas = _Canvas(x, y, np.full((len(y), len(x)), np.inf), np.full((len(y), len(x)), np.inf))
    near, around = min(side, _NEAR_M), int(np.ceil(side / _GRID_M))
    window = _window(streets, x, y, side)
    alive = _reached_cells(streets, reached, window)
    shared = _widened(alive, 2 * around)
    for row in range(shared.shape[0]):
        for column in range(shared.shape[1]):
            if shared[row, column]:
                _draw_cell(streets, window, row, column, reached, canvas, near)
    if near < side:
        _look_around(streets, window, _widened(alive, around), around, reached, canvas, near, side)
    return canvas.seconds


@njit(cache=True, nogil=True)
def _window(streets: StreetGrid, x: Floats, y: Floats, side: float) -> tuple[int, int, int, int]:
    """Return the first and last column, and the first and last row, of the cells of streets that matter to a canvas.

    They may lie beyond the streets there are.
    """
    west, south = (x[0] - side - streets.corner[0]) / _GRID_M, (y[0] - side - streets.corner[1]) / _GRID_M
    east, north = (x[-1] + side - streets.corner[0]) / _GRID_M, (y[-1] + side - streets.corner[1]) / _GRID_M
    return int(np.floor(west)), int(np.floor(east)), int(np.floor(south)), int(np.floor(north))


@njit(cache=True, nogil=True)
def _pieces_in(streets: StreetGrid, row: int, column: int) -> Numbers:
    """Return the pieces that touch the box of a cell of streets, none beyond the streets there are."""
    if not (0 <= row < streets.rows and 0 <= column < streets.columns):
        return streets.piece[:0]
    cell = row * streets.columns + column
    return streets.piece[streets.first[cell] : streets.first[cell + 1]]


@njit(cache=True, nogil=True)
def _reached_cells(streets: StreetGrid, reached: _Reached, window: tuple[int, int, int, int]) -> Flags:
    """Return for the cells of a window of streets whether one of their pieces is reached."""
    column_0, column_1, row_0, row_1 = window
    alive = np.zeros((row_1 - row_0 + 1, column_1 - column_0 + 1), np.bool_)
    for row in range(alive.shape[0]):
        for column in range(alive.shape[1]):
            for i in _pieces_in(streets, row + row_0, column + column_0):
                edge = streets.edge[i]
                if reached.reach[reached.a[edge]] != OUT or reached.reach[reached.b[edge]] != OUT:
                    alive[row, column] = True
                    break
                door = _first_door_on(reached, edge)
                if door < len(reached.by_edge) and reached.doors.edge[reached.by_edge[door]] == edge:
                    alive[row, column] = True
                    break
    return alive


@njit(cache=True, nogil=True)
def _widened(cells: Flags, by: int) -> Flags:
    """Return which cells have a true one at most ``by`` rows and columns away."""
    wide = np.zeros_like(cells)
    for row, column in zip(*np.nonzero(cells)):  # noqa: B905 - compiled code knows no strict
        wide[max(0, row - by) : row + by + 1, max(0, column - by) : column + by + 1] = True
    return wide


@njit(cache=True, nogil=True)
def _draw_cell(
    streets: StreetGrid,
    window: tuple[int, int, int, int],
    row: int,
    column: int,
    reached: _Reached,
    canvas: _Canvas,
    side: float,
) -> None:
    """Draw the pieces of one cell of streets; a piece of several cells is drawn once, from the first of them in the window."""
    column_0, _, row_0, _ = window
    for i in _pieces_in(streets, row + row_0, column + column_0):
        first_column, _, first_row, _ = _cells_of(streets.ends, i, streets.corner)
        if max(first_column, column_0) == column + column_0 and max(first_row, row_0) == row + row_0:
            _draw(_piece(streets, i, reached), reached, canvas, side)


@njit(cache=True, nogil=True)
def _end_seconds(ticks: int, ticks_per_s: float) -> float:
    return np.inf if ticks == OUT else ticks / ticks_per_s


@njit(cache=True, nogil=True)
def _first_door_on(reached: _Reached, edge: int) -> int:
    """Return the first place in ``by_edge`` of a door of an edge, or of a later edge."""
    low, high = 0, len(reached.by_edge)
    while low < high:
        middle = (low + high) // 2
        if reached.doors.edge[reached.by_edge[middle]] < edge:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _piece(streets: StreetGrid, i: int, reached: _Reached) -> _Piece:
    edge, ends = streets.edge[i], streets.ends[i]
    length = reached.length_m[edge]
    dx, dy = ends[2] - ends[0], ends[3] - ends[1]
    square = dx * dx + dy * dy
    return _Piece(
        (ends[0], ends[1]),
        (dx, dy),
        np.sqrt(square),
        1.0 / square if square > 0.0 else 0.0,
        streets.offset_m[i],
        length,
        _end_seconds(reached.reach[reached.a[edge]], reached.ticks_per_s),
        _end_seconds(reached.reach[reached.b[edge]], reached.ticks_per_s),
        reached.ticks[edge] / reached.ticks_per_s / length,
        edge,
        _first_door_on(reached, edge),
    )


@njit(cache=True, nogil=True)
def _apart(ax: float, ay: float, dx: float, dy: float, per_square: float, x: float, y: float) -> tuple[float, float]:
    """Return the square distance of a point to a straight piece, and the share of the piece before its nearest point."""
    px, py = x - ax, y - ay
    along = min(1.0, max(0.0, (px * dx + py * dy) * per_square))
    qx, qy = px - along * dx, py - along * dy
    return qx * qx + qy * qy, along


@njit(cache=True, nogil=True)
def _walk_s(piece: _Piece, reached: _Reached, along: float, apart: float) -> float:
    """Return the seconds to a point whose nearest point of a piece is a share along it, and a square distance away."""
    at = min(piece.offset_m + along * piece.step, piece.length_m)
    walk = min(piece.from_a + at * piece.per_m, piece.from_b + (piece.length_m - at) * piece.per_m)
    k = piece.first_door
    while k < len(reached.by_edge) and reached.doors.edge[reached.by_edge[k]] == piece.edge:
        door = reached.by_edge[k]
        ticks = reached.doors.access[door] + abs(at * piece.per_m * reached.ticks_per_s - reached.doors.along[door])
        walk = min(walk, ticks / reached.ticks_per_s)
        k += 1
    return walk + np.sqrt(apart) / reached.speed_m_s


@njit(cache=True, nogil=True)
def _draw(piece: _Piece, reached: _Reached, canvas: _Canvas, side: float) -> None:
    """Give a piece of street to the cells up to ``side`` away that it is nearest to so far; of pieces equally near the quickest."""
    x, y, nearest, seconds = canvas.x, canvas.y, canvas.nearest, canvas.seconds
    (ax, ay), (dx, dy) = piece.start, piece.way
    per_square, most = piece.per_square, side * side
    cell = x[1] - x[0]
    west, east = min(ax, ax + dx) - side, max(ax, ax + dx) + side
    row_0 = max(0, int(np.ceil((min(ay, ay + dy) - side - y[0]) / cell)))
    row_1 = min(len(y) - 1, int(np.floor((max(ay, ay + dy) + side - y[0]) / cell)))
    # on one row, the cells within the strip of the whole line, half a cell more for rounding
    slope, half = (dx / dy, side * piece.step / abs(dy) + 0.5 * cell) if dy != 0.0 else (0.0, np.inf)
    for row in range(row_0, row_1 + 1):
        middle = ax + (y[row] - ay) * slope
        column_0 = max(0, int(np.ceil((max(west, middle - half) - x[0]) / cell)))
        column_1 = min(len(x) - 1, int(np.floor((min(east, middle + half) - x[0]) / cell)))
        for column in range(column_0, column_1 + 1):
            apart, along = _apart(ax, ay, dx, dy, per_square, x[column], y[row])
            if apart > most or apart > nearest[row, column]:
                continue
            walk = _walk_s(piece, reached, along, apart)
            if apart < nearest[row, column] or walk < seconds[row, column]:
                nearest[row, column], seconds[row, column] = apart, walk


@njit(cache=True, nogil=True)
def _look_around(
    streets: StreetGrid,
    window: tuple[int, int, int, int],
    wanted: Flags,
    around: int,
    reached: _Reached,
    canvas: _Canvas,
    near: float,
    side: float,
) -> None:
    """Find for every cell without a street within ``near`` the nearest one up to ``side`` away, where one of them may be reached."""
    x, y = canvas.x, canvas.y
    cell = x[1] - x[0]
    column_0, _, row_0, _ = window
    for row in range(wanted.shape[0]):
        south = streets.corner[1] + (row + row_0) * _GRID_M
        low, high = _between(y, south, cell)
        for column in range(wanted.shape[1]):
            if not wanted[row, column]:
                continue
            west = streets.corner[0] + (column + column_0) * _GRID_M
            left, right = _between(x, west, cell)
            if (canvas.nearest[low:high, left:right] > near * near).any():
                pieces = _pieces_around(streets, row + row_0, column + column_0, around)
                _settle(streets, pieces, reached, canvas, (low, high, left, right), near, side)


@njit(cache=True, nogil=True)
def _between(places: Floats, start: float, cell: float) -> tuple[int, int]:
    """Return the first of evenly spaced places from ``start`` on, and the first from 100 m further on."""
    first = int(np.ceil((start - places[0]) / cell))
    after = int(np.ceil((start + _GRID_M - places[0]) / cell))
    return min(max(first, 0), len(places)), min(max(after, 0), len(places))


@njit(cache=True, nogil=True)
def _pieces_around(streets: StreetGrid, row: int, column: int, around: int) -> Numbers:
    """Return the pieces of a cell of streets and those ``around`` it, each once."""
    pieces, count = np.empty(16, np.int32), 0
    for r in range(row - around, row + around + 1):
        for c in range(column - around, column + around + 1):
            for i in _pieces_in(streets, r, c):
                first_column, _, first_row, _ = _cells_of(streets.ends, i, streets.corner)
                if max(first_column, column - around) == c and max(first_row, row - around) == r:
                    if count == len(pieces):
                        pieces = np.concatenate((pieces, np.empty(count, np.int32)))
                    pieces[count] = i
                    count += 1
    return pieces[:count]


@njit(cache=True, nogil=True)
def _settle(
    streets: StreetGrid,
    pieces: Numbers,
    reached: _Reached,
    canvas: _Canvas,
    box: tuple[int, int, int, int],
    near: float,
    side: float,
) -> None:
    """Find the nearest of some pieces of street for the cells of a box (rows, then columns) that have none within ``near``."""
    x, y, nearest, seconds = canvas.x, canvas.y, canvas.nearest, canvas.seconds
    count = len(pieces)
    line = np.empty((5, count))
    for k in range(count):
        ends = streets.ends[pieces[k]]
        line[0, k], line[1, k] = ends[0], ends[1]
        line[2, k], line[3, k] = ends[2] - ends[0], ends[3] - ends[1]
        square = line[2, k] * line[2, k] + line[3, k] * line[3, k]
        line[4, k] = 1.0 / square if square > 0.0 else 0.0
    ax, ay, dx, dy, per_square = line[0], line[1], line[2], line[3], line[4]
    apart = np.empty(count)
    for row in range(box[0], box[1]):
        for column in range(box[2], box[3]):
            if nearest[row, column] <= near * near:
                continue
            for k in range(count):
                apart[k] = _apart(ax[k], ay[k], dx[k], dy[k], per_square[k], x[column], y[row])[0]
            least = min(apart.min(), side * side) if count else -1.0
            for k in range(count):
                if apart[k] <= least:
                    _, along = _apart(ax[k], ay[k], dx[k], dy[k], per_square[k], x[column], y[row])
                    walk = _walk_s(_piece(streets, pieces[k], reached), reached, along, apart[k])
                    nearest[row, column], seconds[row, column] = apart[k], min(walk, seconds[row, column])


def level_areas(field: WalkField, limits_s: Sequence[float], speed_m_s: float) -> list[MultiPolygon]:
    """Return the area walked to within each limit; each lies inside those of greater limits.

    Returns
    -------
    areas
        One valid MultiPolygon per limit, in the order given; empty when no cell is within the limit. CRS of the field.
    """
    cell_s = float(field.x[1] - field.x[0]) / speed_m_s
    # what is out of reach gets one finite value just beyond: borders then run within a cell of the last one reached
    values = _clear_of(field.seconds, np.asarray(limits_s, dtype=np.float64), max(limits_s) + cell_s)
    return [level_area(field.x, field.y, values, limit) for limit in limits_s]


@njit(cache=True, nogil=True)
def _clear_of(seconds: Floats, limits: Floats, most: float) -> Floats:
    values = np.empty_like(seconds)
    for row in range(seconds.shape[0]):
        for column in range(seconds.shape[1]):
            value = min(seconds[row, column], most)
            for limit in limits:
                if abs(value - limit) < _STEP_S:
                    value = limit + _STEP_S
            values[row, column] = value
    return values


def isochrones_from(
    ready: IsochroneWalk, origins: Attachments, minutes: Sequence[float] = (5, 10, 15), *, cell_m: float = CELL_M
) -> list[MultiPolygon]:
    """Return the areas walked to from the nearest of some attached points within each number of minutes, nested by construction.

    Parameters
    ----------
    origins
        A point, a facility, or a set of them; unattached ones are left out.
    minutes
        Limits, each greater than zero and within the walk's, in any order.

    Returns
    -------
    areas
        One valid MultiPolygon per limit, in the order of ``minutes``; with holes where a place is not reached.

    Raises
    ------
    OutsideCoverageError
        When none of the points is attached.
    RequestInvalidError
        When a limit is beyond the walk's.

    Notes
    -----
    Source: time field on a raster, contoured; agreement (intersection over union) with a truth sampled
    at 2 m is 0.984, 0.993 and 0.995 for 5, 10 and 15 minutes.
    """
    if not origins.is_attached.any():
        raise OutsideCoverageError("No street lies near.", hint="Choose a point closer to a walkable street.")
    limits_s = [60.0 * limit for limit in minutes]
    return level_areas(ready.field(origins, max(limits_s), cell_m=cell_m), limits_s, ready.walk.speed_m_s)


def isochrones(
    network: WalkNetwork,
    xy: ArrayLike,
    minutes: Sequence[float] = (5, 10, 15),
    *,
    speed_m_s: float = PLANNING_SPEED_M_S,
    cell_m: float = CELL_M,
) -> list[MultiPolygon]:
    """Return the areas walked to from a point within each number of minutes, compiling the network for it.

    Parameters
    ----------
    xy
        Where the walk begins: x, y; or shape (n, 2), a set of places. CRS: that of ``network``. Unit: m.
    minutes, speed_m_s
        As in :func:`isochrones_from` and :class:`~gridsvc.circle.travel_times.CompiledWalk`.

    Raises
    ------
    OutsideCoverageError
        When no street lies within reach of any place.
    """
    places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    origins = attach_points(network, places)
    if not origins.is_attached.any():
        raise OutsideCoverageError(
            f"No street lies near ({places[0, 0]:.1f}, {places[0, 1]:.1f}).",
            hint="Choose a point closer to a walkable street.",
        )
    limit_s = max(CIRCLE_LIMIT_S, 60.0 * max(minutes))
    return isochrones_from(IsochroneWalk(CompiledWalk(network, speed_m_s, limit_s)), origins, minutes, cell_m=cell_m)
