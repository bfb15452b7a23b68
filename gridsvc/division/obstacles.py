"""Buildings as obstacles: shapes that no border may enter, each kept whole.

A border keeps ``clearance_m`` from every building, so that rounding to 1 cm and to storage decimals can never make it
cut one. Buildings closer to each other than twice that are one obstacle: no border passes between them.
"""

from __future__ import annotations

import numpy as np
import shapely

from gridsvc.division.communities import DivisionRules, Geometries


def obstacles(buildings: Geometries, boundary: shapely.Geometry, rules: DivisionRules) -> Geometries:
    """Return disjoint polygons without holes that contain every building of the community with clearance.

    Parameters
    ----------
    buildings
        Polygons, clipped to the boundary or not. CRS: projected, metric.
    boundary
        The community. Obstacles in its border strip reach through the strip, so that a line drawn straight from the strip to
        the boundary cannot run into a building that stands there.

    Returns
    -------
    obstacles
        Polygons. They may reach beyond the boundary. Empty when there are no buildings.
    """
    if len(buildings) == 0:
        return np.empty(0, dtype=object)
    shapes = shapely.buffer(buildings, rules.clearance_m, join_style="mitre", mitre_limit=2.0)
    edge = shapely.boundary(boundary)
    near = shapely.dwithin(shapes, edge, 2 * rules.border_strip_m)
    if near.any():
        strip = shapely.buffer(edge, 1.5 * rules.border_strip_m)
        shadows = shapely.intersection(shapely.buffer(shapes[near], 2 * rules.border_strip_m), strip)
        shapes[near] = shapely.union(shapes[near], shadows)
    parts = shapely.get_parts(shapely.disjoint_subset_union_all(shapes))
    if not shapely.get_num_interior_rings(parts).any():
        return parts
    # a courtyard is filled, with whatever stands in it
    return shapely.get_parts(shapely.disjoint_subset_union_all(shapely.polygons(shapely.get_exterior_ring(parts))))


def within_community(buildings: Geometries, boundary: shapely.Geometry) -> tuple[Geometries, np.ndarray, np.ndarray]:
    """Return the parts of the buildings inside the boundary, which exist, and which are mostly inside.

    Returns
    -------
    inside
        Intersections with the boundary, polygonal. Shape: as ``buildings``.
    exists
        True where some area is inside.
    belongs
        True where at least half of the area is inside.
    """
    inside = buildings.copy()
    shapely.prepare(boundary)
    crossing = np.flatnonzero(~shapely.covered_by(buildings, boundary)) if len(buildings) else np.zeros(0, dtype=int)
    inside[crossing] = shapely.intersection(buildings[crossing], boundary)
    areas = shapely.area(inside)
    return inside, areas > 0, areas * 2 >= shapely.area(buildings)
