"""The land that goes with a building: what lies nearer to it than to any other building of its grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from gridsvc.division.communities import Geometries, Integers
from gridsvc.division.editable_grids import EditRules

_OUTLINE_STEP_M = 1.5
_SMOOTH_M = 0.25
_NARROW_M = 0.5


def attached(buildings: Geometries, start: int, clearance_m: float) -> Integers:
    """Return the positions of the buildings that stand wall to wall with one, itself included, in rising order.

    Wall to wall means nearer than twice the clearance, so that no border passes between them.
    """
    tree = shapely.STRtree(buildings)
    found = {start}
    todo = [start]
    while todo:
        here = todo.pop()
        for other in tree.query(buildings[here], predicate="dwithin", distance=2 * clearance_m).tolist():
            if other not in found:
                found.add(other)
                todo.append(other)
    return np.array(sorted(found), dtype=np.int64)


def plots(
    moved: Geometries, others: Geometries, source: shapely.Geometry, receiver: shapely.Geometry, rules: EditRules
) -> Iterator[shapely.Polygon]:
    """Yield land around buildings that could move from one grid to its neighbour, from the smallest on.

    Each holds all of ``moved`` with clearance, keeps clear of ``others``, lies in ``source``, is one piece without holes, and
    touches ``receiver`` along at least ``rules.touch_m``. Land of ``source`` that a plot cuts off and on which nothing stands goes with
    it. The last is everything nearer to ``moved`` than to the others.

    Parameters
    ----------
    moved, others
        Buildings to move (wall to wall with each other), and all other buildings in ``source``. CRS: projected, metric.
    """
    grown = shapely.buffer(moved, rules.clearance_m, join_style="mitre", mitre_limit=2.0)
    block = shapely.intersection(shapely.union_all(grown), source)
    nearer = _nearer_land(moved, others, source)
    kept_off = shapely.union_all(shapely.buffer(others, rules.clearance_m, join_style="mitre", mitre_limit=2.0))
    cell = shapely.difference(shapely.union(shapely.simplify(nearer, _SMOOTH_M), block), kept_off)
    for reach_m in (*rules.plot_reach_m, np.inf):
        land = cell
        if np.isfinite(reach_m):
            land = shapely.intersection(cell, shapely.buffer(block, reach_m, join_style="mitre", mitre_limit=2.0))
        plot = _one_piece(shapely.intersection(land, source), block)
        if plot is None:
            continue
        plot = _with_cut_off_land(plot, source, others)
        if plot is None or _touch_m(plot, receiver, rules) < rules.touch_m:
            continue
        if np.isfinite(reach_m) and _narrowed_m2(source, plot) > 1.0:
            continue
        yield plot


def _nearer_land(moved: Geometries, others: Geometries, source: shapely.Geometry) -> shapely.Geometry:
    """Return the land nearer to ``moved`` than to ``others``, from the Voronoi cells of points along their outlines."""
    if len(others) == 0:
        return source
    outlines = shapely.segmentize(shapely.boundary(np.concatenate([moved, others])), _OUTLINE_STEP_M)
    points, building = shapely.get_coordinates(outlines, return_index=True)
    points, first = np.unique(points, axis=0, return_index=True)
    is_moved = building[first] < len(moved)
    cells = shapely.get_parts(
        shapely.voronoi_polygons(shapely.multipoints(points), extend_to=shapely.envelope(source), ordered=True)
    )
    return shapely.union_all(cells[is_moved], grid_size=0.001)


def _one_piece(land: shapely.Geometry, block: shapely.Geometry) -> shapely.Polygon | None:
    """Return the polygon of ``land`` that holds all of the block, without its holes; None where there is none."""
    parts = shapely.get_parts(shapely.get_parts(land))
    parts = parts[(shapely.get_type_id(parts) == 3) & (shapely.area(parts) > 0)]
    holding = parts[shapely.area(shapely.intersection(parts, block)) >= block.area * (1 - 1e-6)]
    return shapely.Polygon(holding[0].exterior) if len(holding) else None


def _with_cut_off_land(plot: shapely.Polygon, source: shapely.Geometry, others: Geometries) -> shapely.Polygon | None:
    """Return the plot with what it cuts off the source, unless a building stands there; None when it takes another building in."""
    rest = shapely.get_parts(shapely.difference(source, plot))
    rest = rest[shapely.get_type_id(rest) == 3]
    if len(rest) > 1:
        main = int(shapely.area(rest).argmax())
        empty = np.array([not shapely.intersects(part, others).any() for part in rest], dtype=bool)
        empty[main] = False
        joined = shapely.union_all(np.append(rest[empty], [plot]), grid_size=0.001)
        if joined.geom_type != "Polygon":
            return None
        plot = shapely.Polygon(joined.exterior)
    inside = shapely.relate_pattern(plot, others, "T********") if len(others) else np.zeros(0, dtype=bool)
    return None if inside.any() else plot


def _touch_m(plot: shapely.Polygon, receiver: shapely.Geometry, rules: EditRules) -> float:
    reach = shapely.buffer(plot, rules.node_m, join_style="mitre")
    return float(shapely.length(shapely.intersection(shapely.boundary(receiver), reach)))


def _narrowed_m2(source: shapely.Geometry, plot: shapely.Polygon) -> float:
    """Return how much land narrower than half a metre a plot leaves in its grid that was not so narrow before."""
    return _narrow_m2(shapely.difference(source, plot)) - _narrow_m2(source)


def _narrow_m2(land: shapely.Geometry) -> float:
    opened = shapely.buffer(shapely.buffer(land, -_NARROW_M / 2, join_style="mitre"), _NARROW_M / 2, join_style="mitre")
    return float(shapely.area(land) - shapely.area(opened))
