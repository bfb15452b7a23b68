"""Street lines on their way into a network: what holds of each, cutting them, and joining those that were drawn uncleanly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numba import njit
from numpy.typing import ArrayLike

from gridsvc.circle.walk_network import NO_GATE, Floats, Ints, Lines, Numbers, place_numbers

JOIN_TOLERANCE_M = 0.5  # our choice: a line that ends this near another was meant to end on it; half a footway


@dataclass(frozen=True, eq=False, slots=True)
class StreetLines:
    """Lines in the making, and by line what holds of each."""

    lines: Lines
    layer: Ints
    penalty_s: Floats
    gate: Numbers
    compound: Numbers

    @classmethod
    def of(cls, lines: Sequence[Any] | Lines, layer: ArrayLike | None, penalty_s: ArrayLike | None) -> StreetLines:
        """Return lines that pass no gate and lie in no compound; None means on the ground, and without penalty."""
        given = np.asarray(lines, dtype=object)
        nothing = np.full(len(given), NO_GATE, dtype=np.int32)
        return cls(
            given,
            np.zeros(len(given), dtype=np.int64) if layer is None else np.asarray(layer, dtype=np.int64),
            np.zeros(len(given)) if penalty_s is None else np.asarray(penalty_s, dtype=np.float64),
            nothing,
            nothing,
        )

    def cut(self, line: Ints, offset_m: Floats) -> tuple[StreetLines, Ints, Floats]:
        """Return the streets cut at places given as line and metres along it; then for each line the one it was and the metres at its middle.

        Lines that are not cut come first, in their order.
        """
        is_cut = np.zeros(len(self.lines), dtype=bool)
        is_cut[line] = True
        which, whole = np.flatnonzero(is_cut), np.flatnonzero(~is_cut)
        order = np.lexsort((offset_m, line))
        coords, of = shapely.get_coordinates(self.lines[which], return_index=True)
        first = np.searchsorted(of, np.arange(len(which) + 1))
        begins = np.searchsorted(line[order], np.append(which, len(self.lines)))
        vertices, piece, of_piece = _cut_vertices(coords, first, begins, offset_m[order])
        pieces = shapely.linestrings(vertices, indices=piece) if len(vertices) else np.empty(0, dtype=object)
        source = np.concatenate((whole, which[of_piece]))
        length_m = shapely.length(pieces)
        end_m = np.cumsum(length_m)
        start_m = end_m - length_m
        begin = np.searchsorted(of_piece, np.arange(len(which)))
        middle_m = (start_m + end_m) / 2 - start_m[begin][of_piece]
        whole_m = shapely.length(self.lines[which])[of_piece]
        share = np.divide(length_m, whole_m, out=np.ones(len(length_m)), where=whole_m > 0)
        penalty_s = self.penalty_s[source]
        penalty_s[len(whole) :] *= share
        streets = StreetLines(
            np.concatenate((self.lines[whole], pieces)),
            self.layer[source],
            penalty_s,
            self.gate[source],
            self.compound[source],
        )
        return streets, source, np.concatenate((shapely.length(self.lines[whole]) / 2, middle_m))

    def with_more(self, lines: Lines, gate: ArrayLike, compound: ArrayLike) -> StreetLines:
        """Return the streets and further ways on the ground, without penalty."""
        return StreetLines(
            np.concatenate((self.lines, lines)),
            np.concatenate((self.layer, np.zeros(len(lines), dtype=np.int64))),
            np.concatenate((self.penalty_s, np.zeros(len(lines)))),
            np.concatenate((self.gate, np.broadcast_to(np.asarray(gate, dtype=np.int32), len(lines)))),
            np.concatenate((self.compound, np.broadcast_to(np.asarray(compound, dtype=np.int32), len(lines)))),
        )


@njit(cache=True)
def _cut_vertices(coords, first, begins, offset_m):  # type: ignore[no-untyped-def]  # numba
    """Return the vertices of lines cut at ``offset_m[begins[i]:begins[i + 1]]``, the number of their piece, and the line of each piece.

    Cuts nearer than a micrometre to each other or to an end of the line make no piece.
    """
    lines = len(first) - 1
    most = len(coords) + 2 * len(offset_m)
    vertices, piece = np.empty((most, 2)), np.empty(most, dtype=np.int64)
    of_piece = np.empty(lines + len(offset_m), dtype=np.int64)
    used = pieces = 0
    for i in range(lines):
        walked, last, at = 0.0, 0.0, begins[i]
        total = 0.0
        for k in range(first[i], first[i + 1] - 1):
            total += np.hypot(coords[k + 1, 0] - coords[k, 0], coords[k + 1, 1] - coords[k, 1])
        of_piece[pieces] = i
        for k in range(first[i], first[i + 1]):
            vertices[used], piece[used] = coords[k], pieces
            used += 1
            if k == first[i + 1] - 1:
                break
            dx, dy = coords[k + 1, 0] - coords[k, 0], coords[k + 1, 1] - coords[k, 1]
            step = np.hypot(dx, dy)
            while at < begins[i + 1] and (offset_m[at] <= walked + step):
                cut = offset_m[at]
                at += 1
                if cut - last < 1e-6 or total - cut < 1e-6:
                    continue
                share = (cut - walked) / step
                x, y = coords[k, 0] + share * dx, coords[k, 1] + share * dy
                for _ in range(2):
                    vertices[used, 0], vertices[used, 1], piece[used] = x, y, pieces
                    used += 1
                    pieces += 1
                pieces -= 1
                of_piece[pieces] = i
                last = cut
            walked += step
        pieces += 1
    return vertices[:used], piece[:used], of_piece[:pieces]


def join_crossings(streets: StreetLines) -> tuple[StreetLines, int]:
    """Return the streets cut where two of one layer cross, so that they meet there; and how many crossings there were.

    For plain line files whose streets cross without a common vertex. Not for OpenStreetMap, where that means a bridge.
    """
    one, other = shapely.STRtree(streets.lines).query(streets.lines, predicate="crosses")
    pair = (one < other) & (streets.layer[one] == streets.layer[other])
    one, other = one[pair], other[pair]
    place, of = shapely.get_coordinates(
        shapely.intersection(streets.lines[one], streets.lines[other]), return_index=True
    )
    line = np.concatenate((one[of], other[of]))
    points = shapely.points(np.concatenate((place, place)))
    cut, _, _ = streets.cut(line, shapely.line_locate_point(streets.lines[line], points))
    return cut, len(place)


def join_loose_ends(streets: StreetLines, tolerance_m: float = JOIN_TOLERANCE_M) -> tuple[StreetLines, int]:
    """Return the streets with loose ends that stop short of another line of their layer moved onto it; and how many were.

    An end is loose when no other line has a vertex there. Loose ends near each other meet in the first of them (by x, then y); others move to
    the nearest point of the nearest line within the tolerance, which is cut there.

    Parameters
    ----------
    tolerance_m
        How far an end may move; 0 joins nothing. Unit: m.
    """
    if tolerance_m <= 0 or not len(streets.lines):
        return streets, 0
    coords, line = shapely.get_coordinates(streets.lines, return_index=True)
    place = place_numbers(coords, 0.0)
    first = np.searchsorted(line, np.arange(len(streets.lines)))
    end = np.concatenate((first, np.append(first[1:], len(line)) - 1))
    loose = end[np.bincount(place)[place[end]] == 1]
    target = _targets(streets, coords[loose], line[loose], tolerance_m)
    meets = _meetings(coords[loose], streets.layer[line[loose]], tolerance_m)
    moved = coords.copy()
    moved[loose] = np.where((meets >= 0)[:, None], coords[loose][meets], target.xy)
    joined = (moved[loose] != coords[loose]).any(axis=1)
    onto = (meets < 0) & (target.line >= 0)
    is_changed = np.zeros(len(streets.lines), dtype=bool)
    is_changed[line[loose[joined]]] = True
    lines = streets.lines.copy()
    lines[is_changed] = shapely.set_coordinates(lines[is_changed], moved[is_changed[line]])
    drawn = replace(streets, lines=lines)
    cut, _, _ = drawn.cut(
        target.line[onto], shapely.line_locate_point(drawn.lines[target.line[onto]], shapely.points(target.xy[onto]))
    )
    return cut, int((joined | onto).sum())


@dataclass(frozen=True, slots=True)
class _Targets:
    """Where loose ends may go: a line (-1: none near) and the nearest point of it (or where the end is)."""

    line: Ints
    xy: Floats


def _targets(streets: StreetLines, ends: Floats, own: Ints, tolerance_m: float) -> _Targets:
    points = shapely.points(ends)
    end, line = shapely.STRtree(streets.lines).query(points, predicate="dwithin", distance=tolerance_m)
    other = (line != own[end]) & (streets.layer[line] == streets.layer[own[end]])
    end, line = end[other], line[other]
    apart = shapely.distance(points[end], streets.lines[line])
    along = shapely.line_locate_point(streets.lines[line], points[end])
    place = shapely.get_coordinates(shapely.line_interpolate_point(streets.lines[line], along))
    # of equally near ones that whose point lies furthest west, then south: whatever order they came in
    order = np.lexsort((place[:, 1], place[:, 0], apart, end))
    end, line, place = end[order], line[order], place[order]
    new = np.append(True, end[1:] != end[:-1])[: len(end)]
    found, xy = np.full(len(ends), -1, dtype=np.int64), ends.copy()
    found[end[new]], xy[end[new]] = line[new], place[new]
    return _Targets(found, xy)


def _meetings(ends: Floats, layer: Ints, tolerance_m: float) -> Ints:
    """Return for each loose end the one it meets, itself where it is the first of several, -1 where no other is near."""
    meets = np.full(len(ends), -1, dtype=np.int64)
    for level in np.unique(layer):  # few: bridges, tunnels, the ground
        here = np.flatnonzero(layer == level)
        cluster = place_numbers(ends[here], tolerance_m)
        order = np.lexsort((ends[here, 1], ends[here, 0], cluster))
        first = here[order[np.searchsorted(cluster[order], np.arange(cluster.max() + 1))]]
        several = np.bincount(cluster)[cluster] > 1
        meets[here[several]] = first[cluster[several]]
    return meets
