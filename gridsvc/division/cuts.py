"""Large enclosures are cut between their buildings by straight lines, halving until the pieces are small enough.

A compound of 50,000 m2 without a street inside becomes a dozen pieces; land without buildings is cut coarser, water never.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import DivisionRules, Floats, Geometries, Integers

# where along the axis a cut may lie, best first: the middle, then outwards
_SHARES = np.array([0.5, 0.46, 0.54, 0.42, 0.58, 0.38, 0.62, 0.34, 0.66, 0.3, 0.7])
_OVERSHOOT_M = 0.05


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of an enclosure and the obstacles standing in it."""

    shape: shapely.Polygon
    standing: Integers


@dataclass(frozen=True, slots=True)
class Standing:
    """The obstacles of a community as the cutter sees them: corner points, and households on each. ``corners`` shape: (n, 2)."""

    corners: Floats
    first_corner: Integers
    centres: Floats
    households: Integers

    @classmethod
    def of(cls, obstacles: Geometries, households: Integers) -> Standing:
        """Return the standing obstacles."""
        corners, index = shapely.get_coordinates(obstacles, return_index=True)
        first = np.searchsorted(index, np.arange(len(obstacles)))
        centres = shapely.get_coordinates(shapely.point_on_surface(obstacles)) if len(obstacles) else np.empty((0, 2))
        return cls(corners, np.append(first, len(corners)), centres, households)

    def spans(self, chosen: Integers, axis: Floats) -> tuple[Floats, Floats]:
        """Return the lowest and highest position of each chosen obstacle along a unit vector."""
        along = self.corners @ axis
        spans = [along[self.first_corner[i] : self.first_corner[i + 1]] for i in chosen]
        return np.array([s.min() for s in spans]), np.array([s.max() for s in spans])


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
    face_of = _holder(faces, standing.centres)
    large = np.flatnonzero((shapely.area(faces) > rules.atom_share * rules.unit_area_m2) & ~is_water)
    lines: list[shapely.Geometry] = []
    for index in large:
        todo = [_Piece(faces[index], np.flatnonzero(face_of == index))]
        while todo:
            piece = todo.pop()
            if _is_small(piece, standing, rules):
                continue
            cut = _best_cut(piece, standing, rules)
            if cut is None:
                continue
            line, parts = cut
            lines.append(line)
            todo.extend(_shared_out(parts, piece.standing, standing))
    return np.array(lines, dtype=object) if lines else np.empty(0, dtype=object)


def _holder(faces: Geometries, points: Floats) -> Integers:
    holder = np.full(len(points), -1, dtype=np.int64)
    if len(points):
        point, face = shapely.STRtree(faces).query(shapely.points(points), predicate="within")
        holder[point] = face
    return holder


def _is_small(piece: _Piece, standing: Standing, rules: DivisionRules) -> bool:
    area = shapely.area(piece.shape)
    limit = rules.atom_share * rules.unit_area_m2
    if len(piece.standing) == 0:
        return area <= limit / rules.open_land_weight
    households = int(standing.households[piece.standing].sum())
    crowded = len(piece.standing) > 1 and households > rules.atom_households and area > limit / 4
    return area <= limit and not crowded


def _best_cut(piece: _Piece, standing: Standing, rules: DivisionRules) -> tuple[shapely.Geometry, Geometries] | None:
    """Return the best straight cut: through the fewest obstacles, then short, then near the middle.

    None when the piece is too thin, or when no cut passes between its obstacles and it is not very large.
    """
    corners = shapely.get_coordinates(shapely.oriented_envelope(piece.shape))
    if len(corners) < 4:
        return None
    sides = corners[1:3] - corners[0:2]
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    if lengths.min() < 1.0:
        return None
    longest = int(lengths.argmax())
    choices = []
    for turn in (longest, 1 - longest):
        axis = sides[turn] / lengths[turn]
        offsets = corners[turn] @ axis + _SHARES * lengths[turn]
        through = _obstacles_met(piece, standing, axis, offsets)
        # an obstacle met costs as much as a cut longer by 60 m
        cost = 60.0 * through + lengths[1 - turn] + lengths[turn] * np.abs(_SHARES - 0.5)
        best = int(cost.argmin())
        choices.append((float(cost[best]), axis, float(offsets[best]), int(through[best])))
    _, axis, offset, met = min(choices, key=lambda choice: choice[0])
    very_large = shapely.area(piece.shape) > 3 * rules.atom_share * rules.unit_area_m2 and len(piece.standing) > 1
    if met and not very_large:
        return None
    return _cut_at(piece.shape, axis, offset)


def _obstacles_met(piece: _Piece, standing: Standing, axis: Floats, offsets: Floats) -> Integers:
    if len(piece.standing) == 0:
        return np.zeros(len(offsets), dtype=np.int64)
    low, high = standing.spans(piece.standing, axis)
    return ((low[:, None] < offsets + 0.2) & (high[:, None] > offsets - 0.2)).sum(axis=0)


def _cut_at(shape: shapely.Polygon, axis: Floats, offset: float) -> tuple[shapely.Geometry, Geometries] | None:
    """Return the cut across ``shape`` where ``x . axis == offset``, and the parts on both sides."""
    centre = np.array(shape.centroid.coords[0])
    foot = centre + (offset - centre @ axis) * axis
    reach = 2 * (np.hypot(*np.ptp(shapely.get_coordinates(shape), axis=0)) + 1)
    across = np.array([-axis[1], axis[0]]) * reach
    beyond = axis * reach
    half_plane = shapely.polygons([foot - across, foot + across, foot + across + beyond, foot - across + beyond])
    parts = shapely.get_parts(
        np.array([shapely.intersection(shape, half_plane), shapely.difference(shape, half_plane)])
    )
    parts = parts[(shapely.get_dimensions(parts) == 2) & (shapely.area(parts) > 0.01)]
    if len(parts) < 2:
        return None
    chord = shapely.get_parts(shapely.intersection(shape, shapely.linestrings([foot - across, foot + across])))
    chord = chord[shapely.length(chord) > 0]
    ends = np.stack([shapely.get_coordinates(shapely.get_point(chord, i)) for i in (0, -1)], axis=1)
    along = (ends[:, 1] - ends[:, 0]) / shapely.length(chord)[:, None] * _OVERSHOOT_M
    ends += np.stack([-along, along], axis=1)
    return shapely.multilinestrings(shapely.linestrings(ends)), parts


def _shared_out(parts: Geometries, chosen: Integers, standing: Standing) -> list[_Piece]:
    """Return the parts as pieces, each with the obstacles whose inner point lies in it."""
    if len(chosen) == 0:
        return [_Piece(part, chosen) for part in parts]
    x, y = standing.centres[chosen].T
    return [_Piece(part, chosen[shapely.contains_xy(part, x, y)]) for part in parts]
