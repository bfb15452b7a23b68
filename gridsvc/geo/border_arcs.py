"""Borders of a set of polygons, simplified for display so that neighbours still share them.

A border is cut into arcs at its nodes, the vertices where other than two edges meet. Every vertex of an arc gets a weight that
follows from the arc alone: how far the line would move without it. Both owners of an arc, whoever they are, therefore leave out the
same vertices, and a change elsewhere changes nothing here. What follows from the weights:

* `WeightedBorders.shapes` gives the polygons at one tolerance, vertices rounded to a grid of pixels: equal vertices stay equal;
* polygons of different times may be weighed together: an arc then ends wherever one of them leaves it.

Source: Douglas and Peucker 1973, each vertex weighted by the distance at which the recursion would stop; arcs as in TopoJSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from numba import njit
from numpy.typing import ArrayLike, NDArray

from gridsvc.geo.partitions import vertex_ids

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CLOSED_TRIANGLE = 4


class Shapes(NamedTuple):
    """Polygons at one tolerance: the position among those given of each (ascending), and its shape (a multipolygon)."""

    position: IntArray
    shape: NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class WeightedBorders:
    """All rings of an array of polygons as flat arrays, every ring begun at a node and closed, with the weight of each vertex.

    Attributes
    ----------
    vertices
        Shape: (n, 2); in the unit and CRS given.
    weight
        How far the border would move without the vertex. Same unit; infinite for nodes. Shape: (n,).
    ring
        The ring of each vertex, ascending. Shape: (n,).
    part, is_hole
        The polygon part of each ring, and whether the ring is a hole of it.
    shape
        The polygon each part is of.
    """

    vertices: FloatArray
    weight: FloatArray
    ring: IntArray
    part: IntArray
    is_hole: NDArray[np.bool_]
    shape: IntArray

    def shapes(self, tolerance: float, *, pixel: float, origin: tuple[float, float] = (0.0, 0.0)) -> Shapes:
        """Return the polygons without the vertices of at most ``tolerance`` weight, in whole pixels.

        Neighbours stay neighbours to the last vertex. What has no area any more is left out: rings, parts, whole polygons. Shapes
        narrower than the tolerance may touch themselves; they are for drawing, not for computing.

        Parameters
        ----------
        tolerance
            Same unit as the vertices; zero leaves out only what lies on a straight line.
        pixel, origin
            Pixel (x, y) is at ``origin + pixel * (x, -y)``: y counts downwards, as on a screen.
        """
        kept = self.weight > tolerance if tolerance > 0 else np.ones(len(self.weight), dtype=bool)
        place = np.rint((self.vertices[kept] - origin) / (pixel, -pixel)) + 0.0
        ring = self.ring[kept]
        place, ring = _without_repeats(place, ring)
        count = len(self.part)
        sound = (np.bincount(ring, minlength=count) >= _CLOSED_TRIANGLE) & (_doubled_areas(place, ring, count) != 0)
        outlined = np.zeros(len(self.shape), dtype=bool)
        outlined[self.part[sound & ~self.is_hole]] = True
        sound &= outlined[self.part]
        return self._built(place, ring, sound)

    def _built(self, place: FloatArray, ring: IntArray, sound: NDArray[np.bool_]) -> Shapes:
        wanted = sound[ring]
        rings = shapely.linearrings(place[wanted], indices=_numbered(ring[wanted]))
        parts = shapely.polygons(rings, indices=_numbered(self.part[sound])) if len(rings) else rings
        given, of = np.unique(self.shape[np.unique(self.part[sound])], return_inverse=True)
        whole = shapely.multipolygons(parts, indices=of) if len(parts) else parts
        return Shapes(given, whole)


def weighted_borders(polygons: ArrayLike) -> WeightedBorders:
    """Return the borders of polygons with a weight for each vertex, the same for every polygon that has the vertex.

    Parameters
    ----------
    polygons
        (Multi)polygons that share identical vertices where they are neighbours; those of different times may overlap. Exterior rings
        come back clockwise (with y upwards). CRS: any plane one. Shape: (n,).

    Notes
    -----
    Cost: about n log n in the number of vertices; a million vertices take about two seconds.
    """
    shapes = shapely.orient_polygons(np.asarray(polygons, dtype=object), exterior_cw=True)
    parts, shape = shapely.get_parts(shapes, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    vertices, ring = _without_repeats(*shapely.get_coordinates(rings, return_index=True))
    is_hole = np.ones(len(part), dtype=bool)
    is_hole[np.searchsorted(part, np.arange(len(parts)))] = False
    ids, _ = vertex_ids(vertices + 0.0)
    is_node = _nodes(ids, ring)[ids]
    order = _begun_at_nodes(ids, ring, is_node)
    vertices, is_node, ids = vertices[order], is_node[order], ids[order]
    # the ring without a node keeps its first vertex, which is the same for both of its owners
    first = np.append(True, ring[1:] != ring[:-1])
    last = np.append(ring[1:] != ring[:-1], True)
    begins = np.flatnonzero((is_node | first) & ~last)
    ends = np.flatnonzero((is_node & ~first) | last)
    weight = _weights(vertices, begins, ends, _is_backward(ids, begins, ends))
    return WeightedBorders(vertices, weight, ring, part, is_hole, shape)


def _without_repeats(vertices: FloatArray, ring: IntArray) -> tuple[FloatArray, IntArray]:
    """Return vertices and their rings without consecutive identical vertices."""
    kept = np.ones(len(vertices), dtype=bool)
    kept[1:] = (vertices[1:] != vertices[:-1]).any(axis=1) | (ring[1:] != ring[:-1])
    return vertices[kept], ring[kept].astype(np.int64)


def _nodes(ids: IntArray, ring: IntArray) -> NDArray[np.bool_]:
    """Return for each vertex number whether other than two different edges meet there."""
    starts = np.flatnonzero(ring[1:] == ring[:-1])
    low, high = np.minimum(ids[starts], ids[starts + 1]), np.maximum(ids[starts], ids[starts + 1])
    count = int(ids.max(initial=-1)) + 1
    edges = np.unique(low * count + high)
    degree = np.bincount(edges // count, minlength=count) + np.bincount(edges % count, minlength=count)
    return degree != 2


def _begun_at_nodes(ids: IntArray, ring: IntArray, is_node: NDArray[np.bool_]) -> IntArray:
    """Return the order of vertices in which every closed ring begins at its westernmost node, or vertex where it has none."""
    begin = np.flatnonzero(np.append(True, ring[1:] != ring[:-1]))
    length = np.diff(np.append(begin, len(ring))) - 1  # without the closing vertex
    # nodes come before all others
    rank = ids - is_node * (int(ids.max(initial=0)) + 1)
    by_rank = np.lexsort((rank, ring))
    turn = by_rank[begin] - begin
    along = np.arange(len(ring)) - np.repeat(begin, length + 1)
    return np.repeat(begin, length + 1) + (along + np.repeat(turn, length + 1)) % np.repeat(length, length + 1)


def _is_backward(ids: IntArray, begins: IntArray, ends: IntArray) -> NDArray[np.bool_]:
    """Return whether an arc is to be walked from its end: from the end, or else the side, that comes first from west to east."""
    closed = ids[begins] == ids[ends]
    return np.where(closed, ids[begins + 1] > ids[ends - 1], ids[begins] > ids[ends])


@njit(cache=True)
def _weights(vertices: FloatArray, begins: IntArray, ends: IntArray, backward: NDArray[np.bool_]) -> FloatArray:
    """Return the weight of each vertex: the distance at which Douglas and Peucker's recursion over its arc would leave it out.

    No vertex weighs more than the one whose choice its part of the arc came from, so that leaving out by weight is their method at
    every tolerance.
    """
    weight = np.full(len(vertices), np.inf)
    longest = 0
    for i in range(len(begins)):
        longest = max(longest, ends[i] - begins[i] + 1)
    stack = np.empty((longest + 1, 2), np.int64)
    limit = np.empty(longest + 1)
    for i in range(len(begins)):
        size = ends[i] - begins[i]
        start, step = (ends[i], -1) if backward[i] else (begins[i], 1)
        stack[0, 0], stack[0, 1], limit[0] = 0, size, np.inf
        depth = 1
        while depth:
            depth -= 1
            a, b, most = stack[depth, 0], stack[depth, 1], limit[depth]
            if b - a < 2:
                continue
            ax, ay = vertices[start + step * a, 0], vertices[start + step * a, 1]
            dx, dy = vertices[start + step * b, 0] - ax, vertices[start + step * b, 1] - ay
            length2 = dx * dx + dy * dy
            farthest, at = -1.0, a + 1
            for j in range(a + 1, b):
                px, py = vertices[start + step * j, 0] - ax, vertices[start + step * j, 1] - ay
                t = 0.0
                if length2 > 0.0:
                    t = min(max((px * dx + py * dy) / length2, 0.0), 1.0)
                distance2 = (px - t * dx) ** 2 + (py - t * dy) ** 2
                if distance2 > farthest:
                    farthest, at = distance2, j
            found = min(np.sqrt(farthest), most)
            weight[start + step * at] = found
            stack[depth, 0], stack[depth, 1], limit[depth] = a, at, found
            stack[depth + 1, 0], stack[depth + 1, 1], limit[depth + 1] = at, b, found
            depth += 2
    return weight


def _doubled_areas(place: FloatArray, ring: IntArray, count: int) -> FloatArray:
    """Return twice the signed area of each ring. Exact: pixels of the rings are counted from their first one."""
    begin = np.searchsorted(ring, np.arange(count))
    local = place - place[np.minimum(begin, len(place) - 1)][ring] if len(place) else place
    cross = local[:-1, 0] * local[1:, 1] - local[1:, 0] * local[:-1, 1]
    same = ring[1:] == ring[:-1]
    return np.asarray(np.bincount(ring[1:][same], weights=cross[same], minlength=count), dtype=np.float64)


def _numbered(values: IntArray) -> IntArray:
    """Return ascending numbers without gaps in place of ascending ones with gaps."""
    return np.cumsum(np.append(0, values[1:] != values[:-1])) if len(values) else values
