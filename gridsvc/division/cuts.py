"""Large enclosures are cut between their buildings by straight lines, halving until the pieces are small enough.

A compound of 50,000 m2 without a street inside becomes a dozen pieces; land without buildings is cut coarser, water never.
A cut that ends at a wall goes on through the narrow strip behind it, so that the strip falls to the pieces it lies along.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from gridsvc.division.communities import DivisionRules, Floats, Geometries, Integers

# a cut leaves at least this share of the length on either side
_LEAST_SHARE = 0.25
# a cut keeps this far from the buildings beside it, wider than the clearance
_CLEAR_M = 0.2
# what an obstacle met, or a piece off the middle by its whole length, costs as length of the cut
_MET_M, _OFF_MIDDLE = 60.0, 1.0
_OVERSHOOT_M = 0.05
# how far ahead of its end a line is looked for to arrive in a strip
_AHEAD_M = 0.5
# halving ends long before; a guard against pieces that do not shrink
_MOST_LEVELS = 24


@dataclass(frozen=True, slots=True)
class Standing:
    """The obstacles of a community as the cutter sees them: corner points, heading, and households on each.

    ``corners`` shape: (n, 2); those of obstacle i are ``first_corner[i]`` to ``first_corner[i + 1]``. ``heading`` is the unit vector
    along its longest side. Shape: (obstacles, 2).
    """

    corners: Floats
    first_corner: Integers
    centres: Floats
    heading: Floats
    households: Integers

    @classmethod
    def of(cls, obstacles: Geometries, households: Integers) -> Standing:
        """Return the standing obstacles."""
        corners, index = shapely.get_coordinates(shapely.get_exterior_ring(obstacles), return_index=True)
        first = np.append(np.searchsorted(index, np.arange(len(obstacles))), len(corners))
        centres = shapely.get_coordinates(shapely.point_on_surface(obstacles)) if len(obstacles) else np.empty((0, 2))
        return cls(corners, first, centres, _longest_sides(corners, first), households)


@njit(cache=True)
def _longest_sides(corners: NDArray, first: NDArray) -> NDArray:
    heading = np.zeros((len(first) - 1, 2))
    for i in range(len(first) - 1):
        best = 0.0
        for k in range(first[i], first[i + 1] - 1):
            dx, dy = corners[k + 1, 0] - corners[k, 0], corners[k + 1, 1] - corners[k, 1]
            length = np.hypot(dx, dy)
            if length > best:
                best = length
                heading[i, 0], heading[i, 1] = dx / length, dy / length
    return heading


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Pieces of enclosures, and the piece each standing obstacle lies in (-1: none)."""

    shapes: Geometries
    holder: Integers


def cut_lines(faces: Geometries, is_water: NDArray[np.bool_], standing: Standing, rules: DivisionRules) -> Geometries:
    """Return the lines that cut the faces into pieces small enough to be grouped.

    Parameters
    ----------
    faces
        Enclosures, disjoint. CRS: projected, metric.
    is_water
        Faces that are water and stay whole. Shape: as ``faces``.
    standing
        The obstacles; one lies in the face that holds its inner point.

    Returns
    -------
    lines
        LineStrings reaching 5 cm beyond the piece they cut. They may run through an obstacle where no gap was found; its outline stands
        in for the line there.
    """
    land = _sound(faces[~is_water])
    pieces = _Pieces(land, _holder(land, standing.centres))
    lines = []
    for _ in range(_MOST_LEVELS):
        pieces = _chosen(pieces, np.flatnonzero(_is_large(pieces, standing, rules)))
        if len(pieces.shapes) == 0:
            break
        axis, offset, found = _best_cuts(pieces, standing, rules)
        pieces = _chosen(pieces, np.flatnonzero(found))
        made, pieces = _cut(pieces, axis[found], offset[found], standing)
        lines.append(made)
    return np.concatenate(lines) if lines else np.empty(0, dtype=object)


def through_strips(
    ends: Floats, heading: Floats, strips: Geometries, lines: Geometries, obstacles: Geometries, width_m: float
) -> Geometries:
    """Return lines that go on from line ends straight through the narrow strip ahead of them, to its far side.

    Parameters
    ----------
    ends, heading
        Where lines end, and the unit vector in which each arrives there. Shape: (n, 2).
    strips
        Enclosures that are narrow and without buildings.
    lines
        What bounds the enclosures: noded lines and the boundary.
    width_m
        A strip wider than this straight ahead is not crossed. Unit: m.
    """
    if len(ends) == 0 or len(strips) == 0:
        return np.empty(0, dtype=object)
    starts = ends + _AHEAD_M * heading
    point, strip = shapely.STRtree(strips).query(shapely.points(starts), predicate="within")
    # a line that arrives along the strip's own side does not cross it
    off_side = shapely.distance(shapely.points(starts[point]), shapely.boundary(strips[strip])) > 0.5 * _AHEAD_M
    ahead = np.unique(point[off_side])
    starts, ends, heading = starts[ahead], ends[ahead], heading[ahead]
    reach = first_hits(starts, heading, lines, width_m)
    hit = np.isfinite(reach)
    made = np.stack([ends[hit], starts[hit] + (reach[hit, None] + _OVERSHOOT_M) * heading[hit]], axis=1)
    return clear_of(shapely.linestrings(made), obstacles)


def first_hits(starts: Floats, heading: Floats, lines: Geometries, reach_m: float) -> Floats:
    """Return how far from each start the first line lies straight ahead, infinite where none does within ``reach_m``. Unit: m."""
    rays = shapely.linestrings(np.stack([starts, starts + reach_m * heading], axis=1))
    ray, line = shapely.STRtree(lines).query(rays)
    vertices, first, last = line_vertices(lines)
    return _first_hits(starts, heading, reach_m, ray, vertices, first[line], last[line])


@njit(cache=True)
def _first_hits(
    starts: NDArray, heading: NDArray, reach_m: float, ray: NDArray, vertices: NDArray, first: NDArray, last: NDArray
) -> NDArray:
    """Return for each start the nearest hit among the lines its ray may meet: ``vertices[first:last + 1]`` of each pair."""
    near = 1e-9
    reach = np.full(len(starts), np.inf)
    for k in range(len(ray)):
        r = ray[k]
        x, y = starts[r]
        dx, dy = heading[r]
        for v in range(first[k], last[k]):
            # both ends in a frame in which the ray is the positive x axis
            ax, ay = vertices[v, 0] - x, vertices[v, 1] - y
            bx, by = vertices[v + 1, 0] - x, vertices[v + 1, 1] - y
            a_along, a_aside = ax * dx + ay * dy, ay * dx - ax * dy
            b_along, b_aside = bx * dx + by * dy, by * dx - bx * dy
            if min(a_aside, b_aside) > near or max(a_aside, b_aside) < -near:
                continue
            if abs(a_aside - b_aside) <= 2 * near:
                low, high = min(a_along, b_along), max(a_along, b_along)
                hit = 0.0 if low <= 0.0 <= high else low
            else:
                hit = a_along + (b_along - a_along) * min(max(a_aside / (a_aside - b_aside), 0.0), 1.0)
            if -near <= hit <= reach_m + near:
                reach[r] = min(reach[r], max(hit, 0.0))
    return reach


def line_vertices(lines: Geometries) -> tuple[Floats, Integers, Integers]:
    """Return the vertices of all lines one after the other, and where each line begins and ends among them."""
    coordinates, line = shapely.get_coordinates(lines, return_index=True)
    beyond = np.cumsum(np.bincount(line, minlength=len(lines)))
    return coordinates, np.append(0, beyond[:-1]), beyond - 1


def clear_of(lines: Geometries, obstacles: Geometries) -> Geometries:
    """Return the lines that touch no obstacle."""
    if len(lines) == 0 or len(obstacles) == 0:
        return lines
    return np.delete(lines, np.unique(shapely.STRtree(obstacles).query(lines, predicate="intersects")[0]))


def _holder(faces: Geometries, points: Floats) -> Integers:
    holder = np.full(len(points), -1, dtype=np.int64)
    if len(points) and len(faces):
        point, face = shapely.STRtree(faces).query(shapely.points(points), predicate="within")
        holder[point] = face
    return holder


def _chosen(pieces: _Pieces, chosen: Integers) -> _Pieces:
    place = np.full(len(pieces.shapes) + 1, -1, dtype=np.int64)  # the last one is for holders of -1
    place[chosen] = np.arange(len(chosen))
    return _Pieces(pieces.shapes[chosen], place[pieces.holder])


def _is_large(pieces: _Pieces, standing: Standing, rules: DivisionRules) -> NDArray[np.bool_]:
    area = shapely.area(pieces.shapes)
    held = pieces.holder >= 0
    count = np.bincount(pieces.holder[held], minlength=len(area))
    households = np.bincount(pieces.holder[held], standing.households[held], len(area))
    limit = rules.atom_share * rules.unit_area_m2
    crowded = (count > 1) & (households > rules.atom_households) & (area > limit / 4)
    return np.where(count == 0, area > limit / rules.open_land_weight, (area > limit) | crowded)


def _best_cuts(pieces: _Pieces, standing: Standing, rules: DivisionRules) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return the best straight cut of each piece as unit vector across it and offset along that, and whether there is one.

    A cut runs through the fewest obstacles, then is short, then near the middle; along the box of the piece or along its buildings.
    None where the piece is too thin, or where no cut passes between its obstacles and it is not very large.
    """
    order = np.argsort(pieces.holder, kind="stable")
    first = np.searchsorted(pieces.holder[order], np.arange(len(pieces.shapes) + 1))
    rings, ring_piece = shapely.get_coordinates(shapely.get_exterior_ring(pieces.shapes), return_index=True)
    ring_first = np.searchsorted(ring_piece, np.arange(len(pieces.shapes) + 1))
    boxes, box_piece = shapely.get_coordinates(shapely.oriented_envelope(pieces.shapes), return_index=True)
    box_first = np.searchsorted(box_piece, np.arange(len(pieces.shapes)))
    box_axis = boxes[box_first + 1] - boxes[box_first]
    length = np.hypot(*box_axis.T)
    box_axis = np.where(length[:, None] > 0, box_axis / np.maximum(length, 1e-9)[:, None], [1.0, 0.0])
    axis, offset, met = _search(
        rings, ring_first, box_axis, order, first, standing.corners, standing.first_corner, standing.heading
    )
    area = shapely.area(pieces.shapes)
    very_large = (area > 3 * rules.atom_share * rules.unit_area_m2) & (np.diff(first) > 1)
    return axis, offset, (met == 0) | ((met > 0) & very_large)


@njit(cache=True)
def _search(
    rings: NDArray,
    ring_first: NDArray,
    box_axis: NDArray,
    order: NDArray,
    first: NDArray,
    corners: NDArray,
    first_corner: NDArray,
    heading: NDArray,
) -> tuple[NDArray, NDArray, NDArray]:
    """Return axis, offset and obstacles met of the best cut of each piece; -1 met where the piece is too thin to be cut."""
    size = len(ring_first) - 1
    best_axis, best_offset = np.zeros((size, 2)), np.zeros(size)
    best_met = np.full(size, -1, dtype=np.int64)
    axes = np.zeros((4, 2))
    for p in range(size):
        held = order[first[p] : first[p + 1]]
        axes[0] = box_axis[p]
        turns = 2
        if len(held):
            # the building with the most corners' worth of wall stands for the others: rows share their heading
            widest, middle = -1.0, 0
            for k in range(len(held)):
                reach = 0.0
                for c in range(first_corner[held[k]], first_corner[held[k] + 1] - 1):
                    reach += np.hypot(corners[c + 1, 0] - corners[c, 0], corners[c + 1, 1] - corners[c, 1])
                if reach > widest:
                    widest, middle = reach, k
            axes[2] = heading[held[middle]]
            aligned = abs(axes[0, 0] * axes[2, 1] - axes[0, 1] * axes[2, 0])
            if 0.05 < aligned < 0.9987:
                turns = 4
        for turn in range(1, turns, 2):
            axes[turn, 0], axes[turn, 1] = -axes[turn - 1, 1], axes[turn - 1, 0]
        lengths, lows = np.zeros(turns), np.zeros(turns)
        for turn in range(turns):
            low, high = np.inf, -np.inf
            for k in range(ring_first[p], ring_first[p + 1]):
                along = rings[k, 0] * axes[turn, 0] + rings[k, 1] * axes[turn, 1]
                low, high = min(low, along), max(high, along)
            lengths[turn], lows[turn] = high - low, low
        if lengths.min() < 1.0:
            continue
        best_cost = np.inf
        for turn in range(turns):
            across = lengths[turn + 1] if turn % 2 == 0 else lengths[turn - 1]
            starts, ends = np.zeros(len(held)), np.zeros(len(held))
            for k in range(len(held)):
                low, high = np.inf, -np.inf
                for c in range(first_corner[held[k]], first_corner[held[k] + 1]):
                    along = corners[c, 0] * axes[turn, 0] + corners[c, 1] * axes[turn, 1]
                    low, high = min(low, along), max(high, along)
                starts[k], ends[k] = low - _CLEAR_M, high + _CLEAR_M
            least = lows[turn] + _LEAST_SHARE * lengths[turn]
            most = lows[turn] + (1 - _LEAST_SHARE) * lengths[turn]
            middle_at = lows[turn] + 0.5 * lengths[turn]
            # the middle, and the middle of every gap between two obstacles
            for candidate in range(-1, len(held)):
                if candidate < 0:
                    offset = middle_at
                else:
                    gap = np.inf
                    for k in range(len(held)):
                        if starts[k] >= ends[candidate] and starts[k] - ends[candidate] < gap:
                            gap = starts[k] - ends[candidate]
                    offset = ends[candidate] + 0.5 * gap if gap < np.inf else ends[candidate] + 1.0
                    if offset < least or offset > most:
                        continue
                met = 0
                for k in range(len(held)):
                    if starts[k] < offset < ends[k]:
                        met += 1
                cost = _MET_M * met + across + _OFF_MIDDLE * abs(offset - middle_at)
                if cost < best_cost - 1e-9:
                    best_cost = cost
                    best_axis[p] = axes[turn]
                    best_offset[p] = offset
                    best_met[p] = met
    return best_axis, best_offset, best_met


def _cut(pieces: _Pieces, axis: Floats, offset: Floats, standing: Standing) -> tuple[Geometries, _Pieces]:
    """Return the cuts across the pieces where ``x . axis == offset``, and the parts on both sides."""
    if len(pieces.shapes) == 0:
        return pieces.shapes, pieces
    # each piece is turned into a frame of its own, in which the cut is the line x == 0
    origin = axis * offset[:, None] + _turned_back(
        np.stack([np.zeros(len(axis)), _middles(pieces.shapes, axis)], 1), axis
    )
    vertices, piece = shapely.get_coordinates(pieces.shapes, return_index=True)
    frame = _turned(vertices - origin[piece], axis[piece])
    turned = shapely.set_coordinates(pieces.shapes.copy(), frame)
    parts, side = _halves(turned)
    owner = side % len(turned)
    # a line that leaves one part only has cut nothing; what is returned goes on to be cut
    several = np.bincount(owner, minlength=len(turned)) > 1
    parts, owner = parts[several[owner]], owner[several[owner]]
    corners, part = shapely.get_coordinates(parts, return_index=True)
    place = owner[part]
    parts = _sound(shapely.set_coordinates(parts, _turned_back(corners, axis[place]) + origin[place]))
    ends, cut = _chords(turned[several])
    cut = np.flatnonzero(several)[cut]
    ends += np.array([-_OVERSHOOT_M, _OVERSHOOT_M])
    lines = np.stack(
        [_turned_back(np.stack([np.zeros(len(cut)), end], 1), axis[cut]) + origin[cut] for end in ends.T], 1
    )
    return shapely.linestrings(lines), _Pieces(parts, _holder(parts, standing.centres))


def _middles(shapes: Geometries, axis: Floats) -> Floats:
    """Return where the centre of each shape lies along its cut."""
    centre = shapely.get_coordinates(shapely.centroid(shapes))
    return centre[:, 1] * axis[:, 0] - centre[:, 0] * axis[:, 1]


def _turned(points: Floats, axis: Floats) -> Floats:
    """Return the points in a frame whose x runs along the axis."""
    x, y = points.T
    return np.stack([x * axis[:, 0] + y * axis[:, 1], y * axis[:, 0] - x * axis[:, 1]], axis=1)


def _turned_back(points: Floats, axis: Floats) -> Floats:
    return _turned(points, axis * np.array([1.0, -1.0]))


def _halves(shapes: Geometries) -> tuple[Geometries, Integers]:
    """Return the parts of the shapes left and right of x == 0, and of each its position in the shapes twice over."""
    far = 2 * float(np.abs(shapely.bounds(shapes)).max()) + 1
    boxes = ((-far, -far, 0.0, far), (0.0, -far, far, far))
    halves = np.stack([shapely.clip_by_rect(shapes, *box) for box in boxes])
    # clipping is fast, and fails for some shapes that touch the cut without crossing it
    lost = np.abs(shapely.area(halves).sum(axis=0) - shapely.area(shapes)) > 0.01
    for half, box in zip(halves, boxes, strict=True):
        half[lost] = shapely.intersection(shapes[lost], shapely.box(*box), grid_size=0.001)
    parts, side = shapely.get_parts(halves.ravel(), return_index=True)
    solid = (shapely.get_dimensions(parts) == 2) & (shapely.area(parts) > 0.01)
    return parts[solid], side[solid]


def _chords(shapes: Geometries) -> tuple[Floats, Integers]:
    """Return where x == 0 runs inside the shapes, as y from and to, and the shape of each. Shape: (n, 2) and (n,)."""
    rings, shape = shapely.get_rings(shapes, return_index=True)
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    left = vertices[:, 0] < 0
    crossing = np.flatnonzero((left[1:] != left[:-1]) & (ring[1:] == ring[:-1]))
    (x0, y0), (x1, y1) = vertices[crossing].T, vertices[crossing + 1].T
    y = y0 - x0 * (y1 - y0) / (x1 - x0)
    owner = shape[ring[crossing]]
    order = np.lexsort((y, owner))
    # a closed ring crosses the line an even number of times, going in and out by turns
    ends, owner = y[order].reshape(-1, 2), owner[order][::2]
    real = ends[:, 1] > ends[:, 0]
    return ends[real], owner[real]


def _sound(parts: Geometries) -> Geometries:
    """Return the parts, those that rounding left invalid repaired; only cuts are taken from them, so it costs no exactness."""
    broken = ~shapely.is_valid(parts)
    if not broken.any():
        return parts
    mended = shapely.get_parts(shapely.buffer(parts[broken], 0.0))
    return np.concatenate([parts[~broken], mended[shapely.area(mended) > 0.01]])
