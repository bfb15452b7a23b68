"""A line drawn by hand: snapped to what is there, led to the border, kept clear of buildings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.ops import substring

from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.division.editable_grids import (
    EditableGrids,
    EditRules,
    SnappedVertex,
    on_lattice,
    place_of,
    require_path,
)
from gridsvc.errors import GeometryError

# how far around a line its surroundings are looked at, beyond the tolerance
_NEAR_M = 5.0
# buildings this far from a line may still be one block with those it meets
_BLOCK_REACH_M = 60.0


@dataclass(frozen=True, slots=True)
class DrawnLine:
    """A drawn line as it will cut: its vertices (shape (n, 2), metric, storable) and what became of those given."""

    path: Floats
    snapped: tuple[SnappedVertex, ...]

    @property
    def is_closed(self) -> bool:
        """Answer whether it ends where it begins."""
        return bool((self.path[0] == self.path[-1]).all())


def snapped_line(grids: EditableGrids, line: Floats, rules: EditRules) -> DrawnLine:
    """Return a drawn line with each vertex put onto the nearest grid vertex, else street, wall or water line, else grid border.

    Each only within ``rules.snap_m``; a vertex near none stays where it was drawn (to the 0.1 mm that storage holds).

    Raises
    ------
    GeometryError
        When the line is malformed, or snapping leaves less than two vertices or lets it cross itself.
    """
    given = require_path(line)
    edges = border_edges(grids.units, given, rules.snap_m + _NEAR_M)
    vertices = np.unique(edges.reshape(-1, 2), axis=0)
    lines = _near(grids.ground.lines, given, rules.snap_m)
    borders = shapely.linestrings(edges) if len(edges) else np.empty(0, dtype=object)
    placed, onto = given.copy(), [""] * len(given)
    for i, point in enumerate(given):
        placed[i], onto[i] = _snapped(point, vertices, lines, borders, rules.snap_m)
    on_vertex = np.array([what == "vertex" for what in onto])
    placed[~on_vertex] = on_lattice(placed[~on_vertex], grids.ground.epsg)
    snapped = tuple(
        SnappedVertex((float(g[0]), float(g[1])), (float(p[0]), float(p[1])), what)
        for g, p, what in zip(given, placed, onto, strict=True)
        if what
    )
    return DrawnLine(require_path(placed), snapped)


def _snapped(
    point: Floats, vertices: Floats, lines: Geometries, borders: Geometries, snap_m: float
) -> tuple[Floats, str]:
    if snap_m > 0:
        if len(vertices):
            distance = np.hypot(*(vertices - point).T)
            if distance.min() <= snap_m:
                return vertices[distance.argmin()], "vertex"
        for shapes, what in ((lines, "line"), (borders, "border")):
            nearest = nearest_on(shapes, point)
            if nearest is not None and np.hypot(*(nearest - point)) <= snap_m:
                return nearest, what
    return point, ""


def nearest_on(lines: Geometries, point: Floats) -> Floats | None:
    """Return the position on the lines that is nearest to a point; None without lines."""
    if len(lines) == 0:
        return None
    here = shapely.Point(point)
    line = lines[int(np.argmin(shapely.distance(lines, here)))]
    return shapely.get_coordinates(shapely.line_interpolate_point(line, shapely.line_locate_point(line, here)))[0]


def border_edges(shapes: Geometries, path: Floats, reach_m: float) -> Floats:
    """Return the edges of polygons within ``reach_m`` of the box of a path, each once per polygon. Shape: (n, 2, 2)."""
    (west, south), (east, north) = path.min(axis=0) - reach_m, path.max(axis=0) + reach_m
    near = shapes[shapely.intersects(shapes, shapely.box(west, south, east, north))]
    coordinates, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(near)), return_index=True)
    same = ring[1:] == ring[:-1]
    edges = np.stack([coordinates[:-1][same], coordinates[1:][same]], axis=1)
    low, high = edges.min(axis=1), edges.max(axis=1)
    meets = (high >= [west, south]).all(axis=1) & (low <= [east, north]).all(axis=1)
    return edges[meets]


def _near(shapes: Geometries, path: Floats, reach_m: float) -> Geometries:
    if len(shapes) == 0:
        return shapes
    return shapes[shapely.dwithin(shapes, shapely.LineString(path), reach_m)]


def led_to_border(line: DrawnLine, land: shapely.Geometry, rules: EditRules, epsg: int) -> DrawnLine:
    """Return a line whose ends lie on the border of ``land`` or outside, drawn on to it where they miss it by twice the tolerance.

    A closed line inside stays as it is.

    Raises
    ------
    GeometryError
        When an end lies further inside; the message says where.
    """
    if line.is_closed:
        return line
    path, snapped = line.path, list(line.snapped)
    border = np.array([shapely.boundary(land)], dtype=object)
    shapely.prepare(land)
    for at in (0, -1):
        end = shapely.Point(path[at])
        if not shapely.contains_properly(land, end) or shapely.distance(border[0], end) <= rules.node_m:
            continue
        target = nearest_on(shapely.get_parts(border), path[at])
        assert target is not None
        miss_m = float(np.hypot(*(target - path[at])))
        if miss_m > max(2 * rules.snap_m, rules.node_m):
            raise GeometryError(
                f"The line ends inside the grid, at {place_of(path[at], epsg)}, {miss_m:.1f} m from its border.",
                hint="Draw it across the whole grid, from border to border.",
                ends_at=place_of(path[at], epsg),
                distance_m=round(miss_m, 3),
            )
        target = on_lattice(target[None, :], epsg)[0]
        snapped.append(SnappedVertex(_pair(path[at]), _pair(target), "border"))
        path = np.vstack([target, path] if at == 0 else [path, target])
    return DrawnLine(require_path(path), tuple(snapped))


def _pair(point: Floats) -> tuple[float, float]:
    return float(point[0]), float(point[1])


def kept_clear(
    grids: EditableGrids, line: DrawnLine, land: shapely.Geometry, rules: EditRules, *, around_buildings: bool
) -> DrawnLine:
    """Return a line that cuts no building of ``land`` and keeps ``rules.clearance_m`` from each.

    Where it passes too near it is led along the building's outline at that distance. Where it follows a border that is there
    already, nothing changes.

    Parameters
    ----------
    around_buildings
        Lead it along the outline also where it runs through a building.

    Raises
    ------
    GeometryError
        When it runs through a building and may not be led around, or there is no way around; names the buildings.
    """
    ground = grids.ground
    drawn = shapely.LineString(line.path)
    local = ground.buildings[shapely.dwithin(ground.buildings, drawn, _BLOCK_REACH_M)]
    if len(local) == 0:
        return line
    free = shapely.intersection(_off_borders(grids, line.path, rules), land)
    if not around_buildings:
        through = np.flatnonzero(shapely.relate_pattern(ground.buildings, free, "T********"))
        if len(through):
            raise _runs_through(grids, through)
    grown = shapely.buffer(local, rules.clearance_m, join_style="mitre", mitre_limit=2.0)
    blocks = shapely.polygons(shapely.get_exterior_ring(shapely.get_parts(shapely.union_all(grown))))
    path = line.path
    for block in blocks[shapely.relate_pattern(blocks, free, "T********")]:
        path = _around(path, block, land)
    if path is line.path:
        return line
    return DrawnLine(require_path(on_lattice(path, ground.epsg)), line.snapped)


def _off_borders(grids: EditableGrids, path: Floats, rules: EditRules) -> shapely.Geometry:
    """Return the parts of a path that do not follow an existing border."""
    drawn = shapely.LineString(path)
    edges = border_edges(grids.units, path, rules.snap_m)
    borders = shapely.linestrings(edges)
    borders = borders[shapely.dwithin(borders, drawn, rules.node_m)] if len(edges) else borders
    if len(borders) == 0:
        return drawn
    return shapely.difference(drawn, shapely.union_all(shapely.buffer(borders, 2 * rules.node_m)))


def _around(path: Floats, block: shapely.Polygon, land: shapely.Geometry) -> Floats:
    """Return a path led along the outline of a block, the shorter way, on ``land`` where one way is.

    A path with an end inside the block stays as it is.
    """
    drawn, ring = shapely.LineString(path), block.exterior
    ends = shapely.points(path[[0, -1]])
    if shapely.intersects(block, ends).any():
        return path
    crossings = shapely.points(shapely.get_coordinates(shapely.intersection(drawn, ring)))
    if len(crossings) < 2:
        # led around another block before, it passes this one too
        return path
    places = shapely.line_locate_point(drawn, crossings)
    enters, leaves = float(places.min()), float(places.max())
    along = shapely.line_locate_point(ring, shapely.line_interpolate_point(drawn, [enters, leaves]))
    ways = sorted((_arc(ring, *along), _arc(ring, *along[::-1])[::-1]), key=lambda w: shapely.LineString(w).length)
    inside = shapely.buffer(land, 0.01)
    on_land = [way for way in ways if shapely.covers(inside, shapely.LineString(way))]
    way = (on_land or ways)[0]
    at = shapely.line_locate_point(drawn, shapely.points(path))
    at = np.maximum.accumulate(at)
    return np.vstack([path[at < enters], way, path[at > leaves]])


def _arc(ring: shapely.LinearRing, start: float, end: float) -> Floats:
    """Return the vertices along a ring from one place on it forward to another, both included."""
    if start <= end:
        return shapely.get_coordinates(substring(ring, start, end))
    tail = shapely.get_coordinates(substring(ring, start, ring.length))
    head = shapely.get_coordinates(substring(ring, 0.0, end))
    return np.vstack([tail, head[1:]])


def _runs_through(grids: EditableGrids, buildings: Integers) -> GeometryError:
    names = [str(grids.ground.building_ids[i]) for i in buildings]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return GeometryError(
        f"The line runs through building {', '.join(names[:3])}{more}.",
        hint="Draw it beside the building, or let it be led around buildings.",
        buildings=names,
    )
