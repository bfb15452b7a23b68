"""A planar map: the faces that noded edges make of the plane, who is whose neighbour, and polygons of any grouping of faces.

Everything is counted in whole steps of the grid the edges were rounded to, so that nothing here depends on rounding: faces cover the
plane once, and the polygons of groups of faces share every vertex along their borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gridsvc.geo.snap_rounding import NodedEdges

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Geometries = NDArray[np.object_]

OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class PlanarMap:
    """Faces of noded edges; edges with the same face on both sides (loose ends, bridges) are left out.

    Half-edge ``2 e`` runs along edge e from its lower to its higher vertex, ``2 e + 1`` back. ``face`` is what lies on the left of each
    half-edge, `OUTSIDE` for the land around everything; ``following`` the next half-edge along its ring. Faces are numbered by their first
    half-edge, which does not depend on the order of anything that went in.
    """

    noded: NodedEdges
    face: Integers
    following: Integers
    faces: int

    @classmethod
    def of(cls, noded: NodedEdges) -> PlanarMap:
        """Return the map of noded edges."""
        edges = noded.edges
        following, ring = _rings(noded.pixels, edges)
        bridges = ring[0::2] == ring[1::2]
        if bridges.any():
            edges = edges[~bridges]
            following, ring = _rings(noded.pixels, edges)
        kept = NodedEdges(noded.pixels, edges, noded.origin, noded.step_m)
        if len(edges) == 0:
            return cls(kept, ring, following, 0)
        doubled = _doubled_areas(noded.pixels, edges, ring, int(ring.max()) + 1)
        is_face = doubled > 0
        face_of_ring = np.where(is_face, np.cumsum(is_face) - 1, OUTSIDE)
        face_of_ring[~is_face] = _around(noded.pixels, edges, ring, doubled, face_of_ring)
        return cls(kept, face_of_ring[ring], following, int(is_face.sum()))

    @property
    def left(self) -> Integers:
        """Return the face on the left of each edge, seen from its lower vertex."""
        return self.face[0::2]

    @property
    def right(self) -> Integers:
        """Return the face on the right of each edge."""
        return self.face[1::2]

    @property
    def length_m(self) -> Floats:
        """Return the length of each edge. Unit: m."""
        ends = self.noded.pixels.astype(np.float64)[self.noded.edges]
        return np.asarray(np.hypot(*(ends[:, 1] - ends[:, 0]).T) * self.noded.step_m, dtype=np.float64)

    @property
    def area_m2(self) -> Floats:
        """Return the area of each face, holes taken off. Unit: m2."""
        own = np.where(self.face >= 0, self.face, self.faces)
        doubled = _doubled_areas(self.noded.pixels, self.noded.edges, own, self.faces + 1)[: self.faces]
        return doubled.astype(np.float64) * (0.5 * self.noded.step_m**2)

    def inner_points(self) -> Floats:
        """Return a point well inside each face, in metres. Shape: (n, 2).

        The middle of the widest stretch of the face along a line from west to east, about half way up.
        """
        if self.faces == 0:
            return np.empty((0, 2))
        start, halves = _by_group(self.face, self.faces)
        return self.noded.metres(_inner_points(self.noded.pixels, self.noded.edges, start, halves))

    def connected(self, group: Integers) -> Integers:
        """Return groups of faces split into parts that hang together along edges, numbered by their first face.

        Parameters
        ----------
        group
            A number of each face; faces of -1 are left out. Shape: (faces,).

        Returns
        -------
        part
            A number of each face from 0, or -1.
        """
        inner = (self.left >= 0) & (self.right >= 0)
        left, right = self.left[inner], self.right[inner]
        same = (group[left] == group[right]) & (group[left] >= 0)
        graph = coo_matrix((np.ones(same.sum()), (left[same], right[same])), shape=(self.faces, self.faces))
        _, component = connected_components(graph, directed=False)
        return numbered_by_first(np.where(group >= 0, component, -1))

    def polygons(self, part: Integers) -> Geometries:
        """Return the polygon of each part: faces of one number must hang together along edges (`connected`).

        Neighbours share every vertex; holes are kept; rings run counter-clockwise from their lowest vertex.

        Parameters
        ----------
        part
            A number of each face from 0, or -1 for faces that are left out. Shape: (faces,).
        """
        count = int(part.max()) + 1 if len(part) else 0
        if count == 0:
            return np.empty(0, dtype=object)
        of_half = np.append(part, -1)[self.face]
        is_border = of_half[0::2] != of_half[1::2]
        edges = self.noded.edges[is_border]
        following, ring = _rings(self.noded.pixels, edges)
        sides = of_half.reshape(-1, 2)[is_border].ravel()
        places, loop, of_loop = _loops(edges, following, ring, sides, len(self.noded.pixels))
        sizes = np.bincount(loop, minlength=len(of_loop))
        is_hole = _is_hole(self.noded.pixels, places, np.concatenate([[0], np.cumsum(sizes)]))
        order = np.lexsort((np.arange(len(of_loop)), is_hole, of_loop))
        rings = shapely.linearrings(self.noded.metres(self.noded.pixels[places]), indices=loop)
        return shapely.polygons(rings[order], indices=of_loop[order])


def numbered_by_first(groups: Integers) -> Integers:
    """Return the groups numbered 0, 1, 2 ... in the order in which they first come; -1 stays.

    Examples
    --------
    >>> numbered_by_first(np.array([7, -1, 3, 7])).tolist()
    [0, -1, 1, 0]
    """
    known = groups >= 0
    _, first, inverse = np.unique(groups[known], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    answer = np.full(len(groups), -1, dtype=np.int64)
    answer[known] = rank[inverse]
    return answer


def _by_group(group: Integers, count: int) -> tuple[Integers, Integers]:
    """Return where the members of each group begin, and the members, group after group; those of group -1 are left out."""
    members = np.argsort(group, kind="stable")
    start = np.searchsorted(group[members], np.arange(count + 1))
    return start, members


@njit(cache=True)
def _rings(pixels: NDArray, edges: NDArray) -> tuple[NDArray, NDArray]:
    """Return for each half-edge the next one with the same land on its left, and the number of its ring."""
    halves = 2 * len(edges)
    start = np.zeros(len(pixels) + 1, dtype=np.int64)
    for e in range(len(edges)):
        start[edges[e, 0] + 1] += 1
        start[edges[e, 1] + 1] += 1
    start = np.cumsum(start)
    around = np.empty(halves, dtype=np.int64)
    heading = np.empty(halves)
    place = np.empty(halves, dtype=np.int64)
    filled = start[:-1].copy()
    for h in range(halves):
        tail, head = edges[h // 2, h % 2], edges[h // 2, 1 - h % 2]
        angle = np.arctan2(float(pixels[head, 1] - pixels[tail, 1]), float(pixels[head, 0] - pixels[tail, 0]))
        # half-edges that leave a vertex, in order from east over north
        k = filled[tail]
        while k > start[tail] and heading[k - 1] > angle:
            around[k], heading[k] = around[k - 1], heading[k - 1]
            k -= 1
        around[k], heading[k] = h, angle
        filled[tail] += 1
    for k in range(halves):
        place[around[k]] = k
    following = np.empty(halves, dtype=np.int64)
    for h in range(halves):
        back = h ^ 1
        tail = edges[back // 2, back % 2]
        k = place[back]
        following[h] = around[start[tail + 1] - 1 if k == start[tail] else k - 1]
    ring = np.full(halves, -1, dtype=np.int64)
    rings = 0
    for h in range(halves):
        if ring[h] >= 0:
            continue
        step = h
        while ring[step] < 0:
            ring[step] = rings
            step = following[step]
        rings += 1
    return following, ring


@njit(cache=True)
def _doubled_areas(pixels: NDArray, edges: NDArray, ring: NDArray, count: int) -> NDArray:
    """Return twice the area that half-edges of each number enclose on their left, below 0 around holes. Unit: steps squared."""
    doubled = np.zeros(count, dtype=np.int64)
    for h in range(len(ring)):
        a, b = edges[h // 2, h % 2], edges[h // 2, 1 - h % 2]
        doubled[ring[h]] += pixels[a, 0] * pixels[b, 1] - pixels[b, 0] * pixels[a, 1]
    return doubled


def _around(pixels: NDArray, edges: NDArray, ring: Integers, doubled: Integers, face_of_ring: Integers) -> Integers:
    """Return the face that lies around each ring of negative area: the smallest that holds it, or the outside."""
    size = len(pixels)
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(size, size))
    _, of_vertex = connected_components(graph, directed=False)
    outer = np.flatnonzero(doubled < 0)
    answer = np.full(len(outer), OUTSIDE, dtype=np.int64)
    if len(outer) < 2:
        return answer
    tails = edges.ravel()
    first = np.full(len(doubled), len(tails))
    np.minimum.at(first, ring, np.arange(len(tails)))
    corner = tails[first]
    xy = pixels[tails].astype(np.float64)
    west_south = np.full((len(doubled), 2), np.inf)
    east_north = np.full((len(doubled), 2), -np.inf)
    np.minimum.at(west_south, ring, xy)
    np.maximum.at(east_north, ring, xy)
    faces = np.flatnonzero(doubled > 0)
    boxes = shapely.box(*west_south[faces].T, *east_north[faces].T)
    which, found = shapely.STRtree(boxes).query(shapely.points(pixels[corner[outer]]), predicate="intersects")
    found = faces[found]
    other = of_vertex[corner[outer[which]]] != of_vertex[corner[found]]
    which, found = which[other], found[other]
    order = np.lexsort((doubled[found], which))
    which, found = which[order], found[order]
    start, halves = _by_group(ring, len(doubled))
    inside = _are_inside(pixels, edges, start, halves, pixels[corner[outer[which]]], found)
    which, found = which[inside], found[inside]
    held, smallest = np.unique(which, return_index=True)
    answer[held] = face_of_ring[found[smallest]]
    return answer


@njit(cache=True)
def _are_inside(
    pixels: NDArray, edges: NDArray, start: NDArray, halves: NDArray, points: NDArray, rings: NDArray
) -> NDArray:
    """Return whether each point is inside the ring beside it; points lie on no edge of it."""
    answer = np.zeros(len(points), dtype=np.bool_)
    for i in range(len(points)):
        x, y = points[i]
        for k in range(start[rings[i]], start[rings[i] + 1]):
            h = halves[k]
            ax, ay = pixels[edges[h // 2, h % 2]]
            bx, by = pixels[edges[h // 2, 1 - h % 2]]
            if (ay > y) == (by > y):
                continue
            side = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            if (side > 0) == (by > ay):
                answer[i] = not answer[i]
    return answer


@njit(cache=True)
def _inner_points(pixels: NDArray, edges: NDArray, start: NDArray, halves: NDArray) -> NDArray:
    points = np.empty((len(start) - 1, 2))
    for face in range(len(start) - 1):
        own = halves[start[face] : start[face + 1]]
        low, high = pixels[edges[own[0] // 2, 0], 1], pixels[edges[own[0] // 2, 0], 1]
        for h in own:
            y = pixels[edges[h // 2, h % 2], 1]
            low, high = min(low, y), max(high, y)
        middle = 0.5 * (low + high)
        # between the vertices next below and above the middle
        below, above = low, high
        for h in own:
            y = pixels[edges[h // 2, h % 2], 1]
            if y <= middle:
                below = max(below, y)
            else:
                above = min(above, y)
        y = 0.5 * (below + above)
        crossings = np.empty(len(own))
        met = 0
        for h in own:
            ax, ay = pixels[edges[h // 2, 0]]
            bx, by = pixels[edges[h // 2, 1]]
            if (ay > y) != (by > y):
                crossings[met] = ax + (y - ay) / (by - ay) * (bx - ax)
                met += 1
        crossings = np.sort(crossings[:met])
        widest, x = -1.0, 0.0
        for k in range(0, met - 1, 2):
            if crossings[k + 1] - crossings[k] > widest:
                widest, x = crossings[k + 1] - crossings[k], 0.5 * (crossings[k] + crossings[k + 1])
        points[face, 0], points[face, 1] = x, y
    return points


@njit(cache=True)
def _loops(
    edges: NDArray, following: NDArray, ring: NDArray, side: NDArray, size: int
) -> tuple[NDArray, NDArray, NDArray]:
    """Return rings cut into loops that pass no vertex twice: vertices, closed; the loop of each vertex; the land of each loop."""
    places = np.empty(2 * len(ring) + 1, dtype=np.int64)
    loop = np.empty(2 * len(ring) + 1, dtype=np.int64)
    of_loop = np.empty(len(ring), dtype=np.int64)
    used, loops = 0, 0
    is_done = np.zeros(len(ring), dtype=np.bool_)
    depth = np.full(size, -1, dtype=np.int64)
    stack = np.empty(len(ring), dtype=np.int64)
    for first in range(len(ring)):
        if is_done[first] or side[first] < 0:
            continue
        h, height = first, 0
        while not is_done[h]:
            is_done[h] = True
            tail = edges[h // 2, h % 2]
            stack[height], depth[tail] = tail, height
            height += 1
            head = edges[h // 2, 1 - h % 2]
            if depth[head] >= 0:
                for k in range(depth[head], height):
                    places[used], loop[used] = stack[k], loops
                    used += 1
                    if stack[k] != head:
                        depth[stack[k]] = -1
                places[used], loop[used] = head, loops
                used += 1
                height = depth[head]
                depth[head] = -1
                of_loop[loops] = side[first]
                loops += 1
            h = following[h]
    return places[:used], loop[:used], of_loop[:loops]


@njit(cache=True)
def _is_hole(pixels: NDArray, places: NDArray, start: NDArray) -> NDArray:
    """Return which loops run clockwise."""
    answer = np.zeros(len(start) - 1, dtype=np.bool_)
    for i in range(len(answer)):
        doubled = 0
        for k in range(start[i], start[i + 1] - 1):
            a, b = pixels[places[k]], pixels[places[k + 1]]
            doubled += a[0] * b[1] - b[0] * a[1]
        answer[i] = doubled < 0
    return answer
