"""The target area of unit grids that came without one: 10,000 m2 of built-up land, more where land is open."""

from __future__ import annotations

import numpy as np
import shapely

from gridsvc.division.communities import DivisionRules, Floats, Geometries

_CELL_M = 25.0


def unit_targets(
    grids: Geometries, buildings: Geometries, water: Geometries, rules: DivisionRules | None = None
) -> Floats:
    """Return the target area of each unit grid. Unit: m2.

    Built-up land counts in full, open land a quarter, water a tenth (``DivisionRules``); the target is the area at which what counts
    makes 10,000 m2.

    Parameters
    ----------
    grids, buildings, water
        Polygons. CRS: projected, metric.

    Notes
    -----
    Source: our choice. Built-up is every cell of 25 m that a building's box meets and those around it. A division makes its grids
    from enclosures and knows which have buildings; this has to do with grids alone, and agrees with it within a few percent.
    """
    rules = rules or DivisionRules()
    area = shapely.area(grids)
    built = np.minimum(area, _built_m2(grids, buildings))
    wet = np.minimum(area - built, _water_m2(grids, water))
    size = built + rules.water_weight * wet + rules.open_land_weight * (area - built - wet)
    return rules.unit_area_m2 * np.divide(area, size, out=np.ones_like(area), where=size > 0)


def _built_m2(grids: Geometries, buildings: Geometries) -> Floats:
    if not len(buildings) or not len(grids):
        return np.zeros(len(grids))
    low_x, low_y, high_x, high_y = np.floor(shapely.bounds(buildings).T / _CELL_M).astype(np.int64)
    cells = _cells(low_x - 1, low_y - 1, high_x + 1, high_y + 1)
    middles = shapely.points((cells + 0.5) * _CELL_M)
    grid, _ = shapely.STRtree(middles).query(grids, predicate="intersects")
    return np.bincount(grid, minlength=len(grids)) * _CELL_M**2


def _cells(low_x: np.ndarray, low_y: np.ndarray, high_x: np.ndarray, high_y: np.ndarray) -> np.ndarray:
    """Return every cell of the rectangles once. Shape: (n, 2)."""
    wide, tall = high_x - low_x + 1, high_y - low_y + 1
    count = wide * tall
    which = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    x, y = low_x[which] + number % wide[which], low_y[which] + number // wide[which]
    _, first = np.unique((x << 32) + y, return_index=True)
    return np.column_stack([x[first], y[first]])


def _water_m2(grids: Geometries, water: Geometries) -> Floats:
    wet = np.zeros(len(grids))
    if len(water) and len(grids):
        grid, area = shapely.STRtree(water).query(grids, predicate="intersects")
        np.add.at(wet, grid, shapely.area(shapely.intersection(grids[grid], water[area])))
    return wet
