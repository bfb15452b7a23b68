"""Grids to edit: small squares drawn by hand, and divided towns as storage would give them back."""

from __future__ import annotations

from itertools import count

import numpy as np
import shapely

from gridsvc.division.dividing import divide_community
from gridsvc.division.editable_grids import GOVERNANCE, UNIT, GridRef, editable_grids
from gridsvc.geo.projections import to_metric, to_storage
from tests.factories.towns import ORIGIN, boxes

EPSG = 4547
COMMUNITY = "420103001001"


def storable(shapes):
    """Return metric geometries as they come back from storage."""
    return to_metric(to_storage(shapes, EPSG), EPSG)


def at(*points):
    """Return positions given in metres from ORIGIN as an array."""
    return np.asarray(points, dtype=float) + ORIGIN


def unit(serial, community=COMMUNITY):
    return GridRef(UNIT, f"{community}{serial:03d}")


def governance(serial, community=COMMUNITY):
    return GridRef(GOVERNANCE, f"{community}{serial:03d}")


def free_codes(first=500):
    """Return a giver of codes that were never used, counting up from a serial."""
    serials = {UNIT: count(first), GOVERNANCE: count(first)}
    return lambda kind, community, wanted: [f"{community}{next(serials[kind]):03d}" for _ in range(wanted)]


def squares(columns=4, rows=2, *, side=100.0, parents=None, **changes):
    """Return square unit grids numbered 1.. west to east, row by row from the south; governance grids are pairs of columns.

    Neighbours share their corners only, as after a division. Any argument of `editable_grids` can be overridden.
    """
    corners = [
        (column * side, row * side, (column + 1) * side, (row + 1) * side)
        for row in range(rows)
        for column in range(columns)
    ]
    buildings = storable(changes.pop("buildings", boxes()))
    serials = range(1, len(corners) + 1)
    fields = {
        "epsg": EPSG,
        "codes": [unit(serial).code for serial in serials],
        "units": storable(boxes(*corners)),
        "communities": [COMMUNITY] * len(corners),
        "counts": np.tile([30, 90], (len(corners), 1)),
        "parents": parents or [governance(1 + (i % columns) // 2).code for i in range(len(corners))],
        "buildings": buildings,
    }
    return editable_grids(**(fields | changes))


def divided(community, **changes):
    """Return a community divided by gridsvc, with its buildings, streets and codes, as storage gives it back."""
    division = divide_community(community)
    serials = range(1, len(division.unit_grids) + 1)
    fields = {
        "epsg": EPSG,
        "codes": [unit(serial, community.code).code for serial in serials],
        "units": storable(division.unit_grids),
        "communities": [community.code] * len(division.unit_grids),
        "counts": np.stack([division.unit_households, division.unit_population], axis=1),
        "parents": [governance(i + 1, community.code).code for i in division.governance_of_unit],
        "buildings": storable(community.buildings),
        "building_counts": np.stack([community.households, community.population], axis=1),
        "lines": np.concatenate([community.streets, community.barriers, shapely.boundary(community.water)]),
    }
    return editable_grids(**(fields | changes))
