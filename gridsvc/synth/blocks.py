"""Blocks: the faces that street lines, water and a boundary close, without gaps or overlaps.

Everything in a projected CRS, unit m. All faces come out of one polygonisation of snap-rounded lines, so neighbours share
identical vertices; every later grouping only unions faces and keeps that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Geometries = NDArray[np.object_]

GRID_M = 0.01  # lines are snap-rounded to centimetres: far above the rounding of storage, far below a kerb
LOOSE_END_M = 2.0  # ends that miss a line by less than this are drawing errors and are closed
SLIVER_AREA_M2 = 1500.0  # faces between two carriageways and at junctions are smaller ...
SLIVER_WIDTH_M = 18.0  # ... or thinner than this: twice the area over the perimeter is about the width


@dataclass(frozen=True, slots=True)
class SharedBorders:
    """Pairs of faces that share border segments. Arrays of equal length; ``face_a < face_b``."""

    face_a: NDArray[np.int64]
    face_b: NDArray[np.int64]
    length_m: NDArray[np.float64]
    middle: Geometries  # a point in the middle of one of the shared segments' run


def close_loose_ends(lines: Geometries, boundary: shapely.Geometry, *, within_m: float = LOOSE_END_M) -> Geometries:
    """Return short lines that join line ends which miss another line (or the boundary) by at most ``within_m``."""
    if len(lines) == 0:
        return lines
    ends = np.concatenate([shapely.get_point(lines, 0), shapely.get_point(lines, -1)])
    owner = np.tile(np.arange(len(lines)), 2)
    targets = np.concatenate([lines, shapely.get_parts(shapely.boundary(boundary))])
    tree = shapely.STRtree(targets)
    end, target = tree.query(ends, predicate="dwithin", distance=within_m)
    keep = target != owner[end]
    end, target = end[keep], target[keep]
    gap = shapely.distance(ends[end], targets[target])
    touching = np.unique(end[gap < 1e-6])
    loose = ~np.isin(end, touching)
    end, target, gap = end[loose], target[loose], gap[loose]
    order = np.lexsort((target, gap, end))
    _, first = np.unique(end[order], return_index=True)
    chosen = order[first]
    return shapely.shortest_line(ends[end[chosen]], targets[target[chosen]])


def faces_of(lines: Geometries | Sequence[shapely.Geometry], boundary: shapely.Geometry) -> Geometries:
    """Return the faces of ``lines`` and the boundary's rings that lie inside of ``boundary``, ordered by place.

    The outer vertices of the faces together are the boundary's, snap-rounded to `GRID_M`, plus the ends of lines on it.
    """
    rings = shapely.get_parts(shapely.boundary(boundary))
    everything = np.concatenate([np.asarray(lines, dtype=object), rings])
    noded = shapely.union_all(shapely.set_precision(everything, GRID_M, mode="pointwise"), grid_size=GRID_M)
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    shapely.prepare(boundary)
    faces = faces[shapely.contains(boundary, shapely.point_on_surface(faces))]
    return _ordered(shapely.normalize(faces))


def meet_outline(faces: Geometries, outline: shapely.Geometry) -> Geometries:
    """Return the faces with the vertices on their outside put on ``outline``: on its vertex where one is near, else on its edge.

    ``outline`` is the border as drawn, before it was snap-rounded: another district has the same, and other vertices on it.
    """
    outer = shapely.get_coordinates(shapely.boundary(shapely.coverage_union_all(faces)))
    outer = np.unique(outer[:, 0] + 1j * outer[:, 1])
    corners = shapely.get_coordinates(outline)
    tree = cKDTree(corners)

    def moved(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        answer = xy.copy()
        at = np.flatnonzero(np.isin(xy[:, 0] + 1j * xy[:, 1], outer))
        ways = shapely.shortest_line(shapely.points(xy[at]), outline)
        near = shapely.length(ways) <= 2 * GRID_M
        at = at[near]
        answer[at] = shapely.get_coordinates(ways[near])[1::2]
        distance, corner = tree.query(xy[at], distance_upper_bound=2 * GRID_M)
        has_corner = np.isfinite(distance)
        answer[at[has_corner]] = corners[corner[has_corner]]
        return answer

    return shapely.remove_repeated_points(shapely.transform(faces, moved))


def _ordered(faces: Geometries) -> Geometries:
    """Return the faces from west to east, then south to north, by centroid rounded to metres."""
    centre = np.round(shapely.get_coordinates(shapely.centroid(faces)))
    return faces[np.lexsort((shapely.area(faces), centre[:, 1], centre[:, 0]))]


def shared_borders(faces: Geometries) -> SharedBorders:
    """Return which faces share border, found by identical segments (faces of one polygonisation)."""
    rings, of_ring = shapely.get_rings(faces, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    start, end, face = xy[:-1][same], xy[1:][same], of_ring[ring[:-1][same]]
    flip = (start[:, 0] > end[:, 0]) | ((start[:, 0] == end[:, 0]) & (start[:, 1] > end[:, 1]))
    low, high = np.where(flip[:, None], end, start), np.where(flip[:, None], start, end)
    key = np.round(np.column_stack([low, high]) * 1000).astype(np.int64)
    order = np.lexsort(key.T)
    key, face, low, high = key[order], face[order], low[order], high[order]
    twin = (key[1:] == key[:-1]).all(axis=1)
    one, two = face[:-1][twin], face[1:][twin]
    length = np.hypot(*(high - low)[:-1][twin].T)
    middle = ((low + high) / 2)[:-1][twin]
    return _per_pair(np.minimum(one, two), np.maximum(one, two), length, middle)


def _per_pair(
    a: NDArray[np.int64], b: NDArray[np.int64], length: NDArray[np.float64], middle: NDArray[np.float64]
) -> SharedBorders:
    keep = a != b
    a, b, length, middle = a[keep], b[keep], length[keep], middle[keep]
    order = np.lexsort((-length, b, a))
    a, b, length, middle = a[order], b[order], length[order], middle[order]
    first = np.ones(len(a), dtype=bool)
    first[1:] = (a[1:] != a[:-1]) | (b[1:] != b[:-1])
    group = np.cumsum(first) - 1
    total = np.bincount(group, weights=length, minlength=int(first.sum())).astype(np.float64)
    return SharedBorders(a[first], b[first], total, shapely.points(middle[first]))


def merge_slivers(faces: Geometries) -> Geometries:
    """Return the faces with slivers (between carriageways, inside junctions) joined to their longest neighbour."""
    for _ in range(4):
        area, around = shapely.area(faces), shapely.length(faces)
        sliver = (area < SLIVER_AREA_M2) | (2 * area / around < SLIVER_WIDTH_M)
        if not sliver.any():
            break
        joined = _join_to_longest(faces, sliver)
        if len(joined) == len(faces):
            break
        faces = joined
    return faces


def _join_to_longest(faces: Geometries, sliver: NDArray[np.bool_]) -> Geometries:
    borders = shared_borders(faces)
    into = np.arange(len(faces))
    best = np.zeros(len(faces))
    # a sliver prefers a whole block over another sliver
    for a, b, length in zip(borders.face_a, borders.face_b, borders.length_m, strict=True):
        for one, other in ((a, b), (b, a)):
            worth = length * (1.0 if sliver[other] else 1000.0)
            if sliver[one] and worth > best[one]:
                best[one], into[one] = worth, other
    root = np.array([_root(into, face) for face in range(len(faces))])
    return _ordered(group_union(faces, np.unique(root, return_inverse=True)[1]))


def _root(into: NDArray[np.int64], face: int) -> int:
    """Follow ``into`` to its end; a ring of slivers ends at its smallest number."""
    seen = [face]
    while into[face] != face and into[face] not in seen:
        face = int(into[face])
        seen.append(face)
    return face if into[face] == face else min(seen[seen.index(int(into[face])) :])


def group_union(faces: Geometries, group: NDArray[np.int64]) -> Geometries:
    """Return the union of the faces of each group 0..n-1; vertices of the faces on the outside are kept."""
    order = np.argsort(group, kind="stable")
    stops = np.searchsorted(group[order], np.arange(1, int(group.max()) + 1))
    return np.array(
        [
            shapely.normalize(members[0] if len(members) == 1 else shapely.coverage_union_all(members))
            for members in np.split(faces[order], stops)
        ],
        dtype=object,
    )


def lane_across(face: shapely.Polygon, *, clear_of: shapely.Geometry | None = None) -> list[shapely.LineString]:
    """Return the line that cuts a large face into two about equal halves across its longer side.

    The ends lie on the face's border. A face with holes or bays may be cut by several pieces.
    """
    frame = shapely.get_coordinates(shapely.minimum_rotated_rectangle(face))
    sides = np.hypot(*np.diff(frame, axis=0).T)
    long_way = (frame[1] - frame[0]) if sides[0] >= sides[1] else (frame[2] - frame[1])
    long_way = long_way / np.hypot(*long_way)
    across = np.array([-long_way[1], long_way[0]]) * sides.sum()
    middle = shapely.get_coordinates(shapely.centroid(face))[0]
    cut = shapely.LineString([middle - across, middle + across]).intersection(face)
    pieces = [part for part in shapely.get_parts(cut) if shapely.get_type_id(part) == 1 and part.length > 5.0]
    if clear_of is not None:
        pieces = [piece for piece in pieces if not piece.intersects(clear_of)]
    return pieces
