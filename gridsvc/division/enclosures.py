"""Lines become enclosures: the faces of streets, walls, water edges and cuts inside one boundary.

The lines are drawn inside a strip along the boundary, kept out of obstacles (whose outlines stand in for them), closed where ends
miss by little, and snap-rounded. Only then are their loose ends drawn to the boundary, whose own vertices never move:
the faces are an exact coverage of it by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.borders import are_among, vertex_keys
from gridsvc.division.communities import DivisionRules, Floats, Geometries
from gridsvc.division.cuts import clear_of, first_hits, line_vertices
from gridsvc.geo.snap_rounding import snap_rounded

# lines within so many steps of the snapping grid of a new line are noded again with it
_NEAR_SNAPS = 4.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What stays the same while lines are drawn in one community.

    ``inner`` is the boundary less its strip; ``gate_ends`` are the end points of walls, which close over a wider gap.
    """

    boundary: shapely.Geometry
    inner: shapely.Geometry
    obstacles: Geometries
    buildings: Geometries
    gate_ends: Geometries
    rules: DivisionRules
    strip_m: float

    @classmethod
    def of(
        cls,
        boundary: shapely.Geometry,
        obstacles: Geometries,
        buildings: Geometries,
        walls: Geometries,
        rules: DivisionRules,
        strip_m: float,
    ) -> Ground:
        """Return the ground of a community."""
        inner = shapely.buffer(boundary, -strip_m, quad_segs=4)
        ends = np.concatenate([shapely.get_point(walls, 0), shapely.get_point(walls, -1)]) if len(walls) else walls
        return cls(boundary, inner, obstacles, buildings, ends, rules, strip_m)


@dataclass(frozen=True)
class Enclosures:
    """Faces, the noded lines they were made from, those of them that enclose nothing, and the points added to the boundary, shape (n, 2)."""

    faces: Geometries
    noded: Geometries
    dangles: Geometries
    added: Floats

    @cached_property
    def lines(self) -> Geometries:
        """Return the lines that enclose something."""
        if len(self.dangles) == 0:
            return self.noded
        idle = set(shapely.to_wkb(self.dangles))
        return self.noded[[line not in idle for line in shapely.to_wkb(self.noded)]]


def enclose(lines: Geometries, ground: Ground) -> Enclosures:
    """Return the faces that the lines make of the boundary.

    Loose ends are drawn to the line they miss, dead ends on to the next line. Lines that enclose nothing leave no trace. The
    faces cover the boundary exactly and share their vertices.

    Parameters
    ----------
    lines
        LineStrings or MultiLineStrings, anywhere. CRS: projected, metric.
    """
    noded = snap_rounded(_drawn(lines, ground), ground.rules.snap_m)
    closers = _closers(noded, ground)
    more = np.concatenate([closers, _extensions(noded, closers, ground)])
    return _faces(_noded_with(noded, more, ground.rules.snap_m), ground)


def enclose_again(enclosures: Enclosures, cuts: Geometries, ground: Ground) -> Enclosures:
    """Return the faces that the lines of ``enclosures`` and further cuts make of the same boundary."""
    if len(cuts) == 0:
        return enclosures
    return _faces(_noded_with(enclosures.lines, _drawn(cuts, ground), ground.rules.snap_m), ground)


def _drawn(lines: Geometries, ground: Ground) -> Geometries:
    return _kept_out(_clipped(lines, ground.inner), ground)


def _faces(noded: Geometries, ground: Ground) -> Enclosures:
    connectors = _connectors(noded, ground)
    feet = shapely.get_coordinates(shapely.get_point(connectors, 1)) if len(connectors) else np.empty((0, 2))
    added = _off_vertices(feet, shapely.get_coordinates(ground.boundary))
    edge = boundary_segments(ground.boundary, added)
    polygonized = shapely.polygonize_full(np.concatenate([noded, connectors, edge]))
    faces, dangles = shapely.get_parts(polygonized[0]), shapely.get_parts(polygonized[2])
    # around one ring everything closed is inside it; holes and gaps between parts are closed too, and are not ours
    inside: NDArray[np.bool_] | slice = slice(None)
    if len(shapely.get_rings(shapely.get_parts(ground.boundary))) > 1:
        shapely.prepare(ground.boundary)
        inside = shapely.contains_properly(ground.boundary, shapely.point_on_surface(faces))
    return Enclosures(faces[inside], noded, dangles, added)


def _clipped(lines: Geometries, inner: shapely.Geometry) -> Geometries:
    if len(lines) == 0 or shapely.is_empty(inner):
        return np.empty(0, dtype=object)
    shapely.prepare(inner)
    near = lines[shapely.intersects(inner, lines)]
    crossing = ~shapely.covers(inner, near)
    near[crossing] = shapely.intersection(near[crossing], inner)
    return _line_parts(near)


def _line_parts(geometries: Geometries) -> Geometries:
    parts = shapely.get_parts(geometries)
    kinds = shapely.get_type_id(parts)
    if (kinds > 3).any():  # a collection held collections
        parts = shapely.get_parts(parts)
        kinds = shapely.get_type_id(parts)
    return parts if (kinds == 1).all() else parts[kinds == 1]


def _kept_out(lines: Geometries, ground: Ground) -> Geometries:
    """Return the lines with the parts inside obstacles taken away and the outlines of those obstacles added."""
    if len(lines) == 0 or len(ground.obstacles) == 0:
        return lines
    tree = shapely.STRtree(ground.obstacles)
    line_index, obstacle_index = tree.query(lines, predicate="intersects")
    hit = np.unique(obstacle_index)
    if len(hit) == 0:
        return lines
    touched = np.unique(line_index)
    free = np.delete(lines, touched)
    cut = shapely.difference(lines[touched], shapely.multipolygons(ground.obstacles[hit]))
    outlines = shapely.intersection(shapely.get_exterior_ring(ground.obstacles[hit]), ground.inner)
    return np.concatenate([free, _line_parts(cut), _line_parts(outlines)])


def _noded_with(noded: Geometries, more: Geometries, snap_m: float) -> Geometries:
    """Return noded lines and further ones noded together; those that none of the further ones comes near stay as they are."""
    if len(more) == 0:
        return noded
    # snap-rounding moves a line by less than the grid it rounds to, and only where it meets another
    near = np.unique(shapely.STRtree(noded).query(more, predicate="dwithin", distance=_NEAR_SNAPS * snap_m)[1])
    return np.concatenate([np.delete(noded, near), snap_rounded(np.concatenate([noded[near], more]), snap_m)])


def _loose_ends(noded: Geometries) -> tuple[Geometries, NDArray[np.int64]]:
    """Return the end points at which only one line ends, and that line's index."""
    coordinates, first, last = line_vertices(noded)
    ends = np.concatenate([coordinates[first], coordinates[last]])
    _, inverse, counts = np.unique(vertex_keys(ends), return_inverse=True, return_counts=True)
    loose = np.flatnonzero(counts[inverse] == 1)
    return shapely.points(ends[loose]), loose % len(noded)


def _closers(noded: Geometries, ground: Ground) -> Geometries:
    """Return short lines from loose ends to the nearest other line within reach, except through buildings.

    An end near the boundary is left to the boundary; the end of a wall reaches across a gate. Two loose ends that both miss the place where
    they should meet reach each other over twice the distance.
    """
    if len(noded) == 0:
        return noded
    ends, own = _loose_ends(noded)
    rules = ground.rules
    inland = shapely.distance(ends, shapely.boundary(ground.boundary)) > ground.strip_m + 5 * rules.snap_m
    ends, own = ends[inland], own[inland]
    if len(ends) == 0:
        return np.empty(0, dtype=object)
    reach = np.full(len(ends), rules.closing_m)
    if len(ground.gate_ends):
        reach[shapely.STRtree(ground.gate_ends).query(ends, predicate="dwithin", distance=2 * rules.snap_m)[0]] = (
            rules.gate_m
        )
    end_index, line_index = shapely.STRtree(noded).query(ends, predicate="dwithin", distance=reach)
    other = own[end_index] != line_index
    end_index, line_index = end_index[other], line_index[other]
    gaps = shapely.distance(ends[end_index], noded[line_index])
    order = np.lexsort((line_index, gaps, end_index))
    _, first = np.unique(end_index[order], return_index=True)
    nearest = order[first]
    closers = shapely.shortest_line(ends[end_index[nearest]], noded[line_index[nearest]])
    closers = np.concatenate([closers, _met_halfway(ends, own, np.unique(end_index), 2 * rules.closing_m)])
    closers = closers[shapely.length(closers) > 0]
    return closers[_passable(closers, ground)]


def _met_halfway(ends: Geometries, own: NDArray[np.int64], closed: NDArray[np.int64], reach_m: float) -> Geometries:
    """Return lines from each loose end that is not closed yet to the nearest loose end of another line within reach."""
    first, second = shapely.STRtree(ends).query(ends, predicate="dwithin", distance=reach_m)
    chosen = (own[first] != own[second]) & ~are_among(first, closed)
    first, second = first[chosen], second[chosen]
    order = np.lexsort((second, shapely.distance(ends[first], ends[second]), first))
    _, nearest = np.unique(first[order], return_index=True)
    return shapely.shortest_line(ends[first[order[nearest]]], ends[second[order[nearest]]])


def arrivals(lines: Geometries) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return both ends of each line, the unit vector in which the line arrives there, and how many lines meet there.

    First the starts of all lines, then their ends. Shapes: (2 n, 2), (2 n, 2), (2 n,).
    """
    if len(lines) == 0:
        return np.empty((0, 2)), np.empty((0, 2)), np.zeros(0, dtype=np.int64)
    coordinates, first, last = line_vertices(lines)
    ends = np.concatenate([coordinates[first], coordinates[last]])
    step = ends - np.concatenate([coordinates[first + 1], coordinates[last - 1]])
    _, inverse, counts = np.unique(vertex_keys(ends), return_inverse=True, return_counts=True)
    return ends, step / np.maximum(np.hypot(*step.T), 1e-9)[:, None], counts[inverse]


def _extensions(noded: Geometries, closers: Geometries, ground: Ground) -> Geometries:
    """Return the dead ends that no closer reaches drawn straight on to the next line, where no building stands in the way.

    A lane that ends in a courtyard then separates its two sides, with most of the border along the lane.
    """
    if len(noded) == 0:
        return noded
    heads, heading, meeting = arrivals(noded)
    closed = shapely.get_coordinates(closers)
    dead = (meeting == 1) & ~are_among(vertex_keys(heads), vertex_keys(closed))
    heads, heading = heads[dead], heading[dead]
    reach = first_hits(heads + 0.05 * heading, heading, noded, ground.rules.dead_end_m)
    hit = np.isfinite(reach)
    made = np.stack([heads[hit], heads[hit] + (reach[hit, None] + 0.1) * heading[hit]], axis=1)
    drawn = shapely.linestrings(made)
    return clear_of(drawn[shapely.covers(ground.inner, drawn)], ground.obstacles)


def _passable(lines: Geometries, ground: Ground) -> NDArray[np.bool_]:
    """Return which lines keep clear of every building."""
    free = np.ones(len(lines), dtype=bool)
    if len(ground.buildings) and len(lines):
        near = shapely.STRtree(ground.buildings).query(
            lines, predicate="dwithin", distance=ground.rules.clearance_m / 2
        )
        free[near[0]] = False
    return free


def _connectors(noded: Geometries, ground: Ground) -> Geometries:
    """Return straight lines from the loose ends near the boundary to its nearest points.

    Shortest lines to one boundary never cross each other; those that would meet another line or a building are left out.
    """
    if len(noded) == 0:
        return noded
    ends, own = _loose_ends(noded)
    edge = shapely.boundary(ground.boundary)
    near = shapely.dwithin(ends, edge, ground.strip_m + ground.rules.closing_m)
    ends, own = ends[near], own[near]
    if len(ends) == 0:
        return np.empty(0, dtype=object)
    feet = _onto_vertices(shapely.get_coordinates(shapely.get_point(shapely.shortest_line(ends, edge), 1)), edge)
    connectors = shapely.linestrings(np.stack([shapely.get_coordinates(ends), feet], axis=1))
    keep = _passable(connectors, ground)
    met = shapely.STRtree(noded).query(connectors, predicate="intersects")
    keep[met[0][own[met[0]] != met[1]]] = False
    return _uncrossed(connectors[keep])


def _onto_vertices(feet: Floats, edge: shapely.Geometry) -> Floats:
    """Return the feet, moved onto a vertex of the boundary where one lies within 5 cm."""
    corners = shapely.get_coordinates(edge)
    near = shapely.STRtree(shapely.points(corners)).query_nearest(
        shapely.points(feet), max_distance=0.05, all_matches=False
    )
    feet = feet.copy()
    feet[near[0]] = corners[near[1]]
    return feet


def _uncrossed(connectors: Geometries) -> Geometries:
    """Return the connectors without those that touch an earlier one other than at a shared foot."""
    first, second = shapely.STRtree(connectors).query(connectors, predicate="intersects")
    later = first > second
    first, second = first[later], second[later]
    shared = shapely.equals(shapely.get_point(connectors[first], 1), shapely.get_point(connectors[second], 1))
    return np.delete(connectors, np.unique(first[~shared]))


def boundary_segments(boundary: shapely.Geometry, added: Floats) -> Geometries:
    """Return the boundary as two-point lines, with the added points in their places.

    Parameters
    ----------
    added
        Points on the boundary; a point equal to a vertex adds nothing. Shape: (n, 2).
    """
    pairs = boundary_pairs(boundary, added)
    return shapely.linestrings(pairs)


def boundary_pairs(boundary: shapely.Geometry, added: Floats) -> Floats:
    """Return the directed edges of the boundary, added points included. Shape: (n, 2, 2)."""
    rings = shapely.get_rings(shapely.get_parts(boundary))
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    same = ring[1:] == ring[:-1]
    pairs = np.stack([coordinates[:-1][same], coordinates[1:][same]], axis=1)
    pairs = pairs[(pairs[:, 0] != pairs[:, 1]).any(axis=1)]
    return split_pairs(pairs, _off_vertices(np.asarray(added, dtype=float).reshape(-1, 2), coordinates))


def _off_vertices(points: Floats, vertices: Floats) -> Floats:
    if len(points) == 0:
        return points
    keys, first = np.unique(vertex_keys(points), return_index=True)
    return points[first[~are_among(keys, vertex_keys(vertices))]]


def split_pairs(pairs: Floats, points: Floats) -> Floats:
    """Return edges with each point inserted into the edge nearest to it.

    Parameters
    ----------
    pairs
        Edges from, to. Shape: (n, 2, 2).
    points
        Points lying on the edges (within rounding), none of them an end of one. Shape: (m, 2).
    """
    if len(points) == 0:
        return pairs
    _, at = shapely.STRtree(shapely.linestrings(pairs)).query_nearest(shapely.points(points), all_matches=False)
    along = np.hypot(*(points - pairs[at, 0]).T)
    index = np.concatenate([np.arange(len(pairs)), at])
    offset = np.concatenate([np.zeros(len(pairs)), along])
    starts = np.concatenate([pairs[:, 0], points])
    order = np.lexsort((offset, index))
    starts, index = starts[order], index[order]
    last = np.append(index[1:] != index[:-1], True)
    ends = np.where(last[:, None], pairs[index, 1], np.roll(starts, -1, axis=0))
    return np.stack([starts, ends], axis=1)
