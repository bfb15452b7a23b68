"""Grids on hand-made ground for the quality report: a community of 200 x 100 m in two halves, every number known."""

from __future__ import annotations

import numpy as np
import shapely

from gridsvc.division.quality_report import GridSet, Ground
from tests.factories.towns import box, boxes

COMMUNITY = "420103001001"
LEFT, RIGHT = f"{COMMUNITY}001", f"{COMMUNITY}002"


def texts(*values):
    """Return an object array of texts."""
    return np.array(values, dtype=object)


def shapes(*made):
    """Return an object array of geometries."""
    array = np.empty(len(made), dtype=object)
    array[:] = made
    return array


def grids(*polygons, codes=None, communities=None, **changes):
    """Return a grid set; without polygons the two exact halves."""
    polygons = polygons or (box(0, 0, 100, 100), box(100, 0, 200, 100))
    codes = codes or [f"{COMMUNITY}{i + 1:03d}" for i in range(len(polygons))]
    return GridSet(texts(*codes), shapes(*polygons), texts(*(communities or [COMMUNITY] * len(polygons))), **changes)


def ground(**changes):
    """Return the community with one building of 40 households on either side; any field can be overridden."""
    fields = {
        "communities": texts(COMMUNITY),
        "boundaries": boxes((0, 0, 200, 100)),
        "buildings": boxes((20, 20, 40, 40), (120, 20, 140, 40)),
        "households": np.array([40, 40]),
        "population": np.array([100, 90]),
    }
    return Ground(**(fields | changes))


def moved(geometry, dx, dy):
    """Return a geometry moved by metres."""
    return shapely.transform(geometry, lambda v: v + np.array([dx, dy]))
