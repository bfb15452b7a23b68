"""The ground where a field is at or below a level, as polygons with holes: marching squares, each border walked once around.

A border crosses the line between two neighbouring cell centres where the field, taken as straight between them, has the level. Where
the four centres of a square lie crosswise, their mean decides which two belong together. Rings keep the lower ground to their left.
"""

from __future__ import annotations

import numpy as np
import shapely
from numba import njit
from shapely.geometry import MultiPolygon

from gridsvc.circle.walk_network import Floats, Ints, Numbers


def level_area(x: Floats, y: Floats, values: Floats, level: float) -> MultiPolygon:
    """Return the ground where ``values`` are at most ``level``.

    Parameters
    ----------
    x, y
        Centres of the columns and rows, evenly spaced and ascending.
    values
        Finite, shape (rows, columns). None may equal the level or come so close to it that a border passes through a centre within
        the precision of a coordinate; the outermost rows and columns lie above it.

    Returns
    -------
    area
        A valid MultiPolygon, empty where no value is that low; the same bytes for the same values. CRS and unit of ``x`` and ``y``.

    Raises
    ------
    ValueError
        When ground up to the level reaches the border of the field.

    Notes
    -----
    Every line between neighbouring centres is crossed at most once and the parts of a border within a square do not meet, so that no ring
    touches itself or another. Cost: one pass over the values and one over the border.
    """
    coords, first, outer = _rings(x, y, values, level)
    if len(first) == 1:
        return MultiPolygon()
    order = np.argsort(outer, kind="stable")  # every ring after the one it is a hole of
    if (order[1:] < order[:-1]).any():
        coords = np.concatenate([coords[first[ring] : first[ring + 1]] for ring in order])
    ring_ends = np.concatenate(([0], np.cumsum(np.diff(first)[order])))
    polygon_ends = np.append(np.flatnonzero(order == outer[order]), len(order))
    offsets = (ring_ends, polygon_ends, np.array([0, len(polygon_ends) - 1]))
    return shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, coords, offsets)[0]


@njit(cache=True, nogil=True)
def _rings(x: Floats, y: Floats, values: Floats, level: float) -> tuple[Floats, Ints, Ints]:
    """Return the borders: their points, where each ring begins (and the last ends), and for each ring the outer ring of its polygon."""
    rows, columns = values.shape
    across, along = _crossings(values, level)
    coords = np.empty((across + along + across // 2, 2))
    first, outer = np.zeros(across // 2 + 1, np.int64), np.empty(across // 2, np.int64)
    ring_at = np.full((rows, columns), -1, np.int32)  # of the line from a centre to the next in its row, once walked
    rings = 0
    for row in range(rows):
        entered = -1  # ring by which the ground to the left was entered
        for column in range(columns - 1):
            was_in, is_in = values[row, column] <= level, values[row, column + 1] <= level
            if was_in == is_in:
                continue
            if ring_at[row, column] < 0:
                # the lowest, then leftmost line that a ring crosses leads into its ground, or into its hole
                outer[rings] = rings if is_in else outer[entered]
                first[rings + 1] = _walk_around(x, y, values, level, row, column, rings, ring_at, coords, first[rings])
                rings += 1
            if is_in:
                entered = ring_at[row, column]
    return coords[: first[rings]], first[: rings + 1], outer[:rings]


@njit(cache=True, nogil=True)
def _crossings(values: Floats, level: float) -> tuple[int, int]:
    """Return how many lines between neighbours in a row, and in a column, are crossed."""
    rows, columns = values.shape
    across, along = 0, 0
    for row in range(rows):
        for column in range(columns):
            is_in = values[row, column] <= level
            if is_in and (row == 0 or column == 0 or row == rows - 1 or column == columns - 1):
                raise ValueError("ground up to the level reaches the border of the field")
            if column + 1 < columns and (values[row, column + 1] <= level) != is_in:
                across += 1
            if row + 1 < rows and (values[row + 1, column] <= level) != is_in:
                along += 1
    return across, along


@njit(cache=True, nogil=True)
def _walk_around(
    x: Floats,
    y: Floats,
    values: Floats,
    level: float,
    row: int,
    column: int,
    ring: int,
    ring_at: Numbers,
    coords: Floats,
    count: int,
) -> int:
    """Write the ring that crosses the line from a centre to the next in its row, closed, from ``count`` on; return where it ends."""
    begin = count
    in_row, in_column, out_row, out_column = row, column, row, column + 1
    if values[row, column] > level:
        in_column, out_column = column + 1, column
    start_in, start_out = in_column, out_column
    while True:
        low, high = values[in_row, in_column], values[out_row, out_column]
        share = (level - low) / (high - low)
        if count + 1 >= len(coords):
            raise ValueError("a border does not close: a value is not finite")
        coords[count, 0] = x[in_column] + share * (x[out_column] - x[in_column])
        coords[count, 1] = y[in_row] + share * (y[out_row] - y[in_row])
        count += 1
        if in_row == out_row:
            ring_at[in_row, min(in_column, out_column)] = ring
        # ahead lies a square: its two centres beyond the line, on the left and on the right
        up, right = out_column - in_column, in_row - out_row
        left_row, left_column = in_row + up, in_column + right
        right_row, right_column = out_row + up, out_column + right
        left_in, right_in = values[left_row, left_column] <= level, values[right_row, right_column] <= level
        turns_right = right_in
        if right_in and not left_in:  # crosswise
            # summed so that it rounds alike from whichever side a border comes: else borders would never close
            four = (low + values[right_row, right_column]) + (high + values[left_row, left_column])
            turns_right = four <= 4.0 * level
        if turns_right:
            in_row, in_column = right_row, right_column
        elif left_in:  # straight on
            in_row, in_column = left_row, left_column
            out_row, out_column = right_row, right_column
        else:
            out_row, out_column = left_row, left_column
        if in_row == row and out_row == row and in_column == start_in and out_column == start_out:
            coords[count] = coords[begin]
            return count + 1
