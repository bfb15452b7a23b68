"""Three stored communities that share borders: two side by side, and one along the north of both."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from shapely import affinity

from gridsvc.geo.projections import to_storage
from tests.factories.towns import ORIGIN, town
from tests.factories.undivided_district import DISTRICT, EPSG, put_divisions

WEST, EAST, NORTH = f"{DISTRICT}001001", f"{DISTRICT}001002", f"{DISTRICT}002001"
COMMUNITIES = (WEST, EAST, NORTH)
SOUTHERN_STREET = f"{DISTRICT}001"
_WIDTH, _HEIGHT, _BLOCK = 250.0, 230.0, 120.0


def put_neighbours(uow, at, *, households_each=60) -> None:
    """Store the communities with their streets and buildings; the corner the southern two share is none of the northern one.

    A street runs along the border between the southern two; the border to the northern one has nothing along it.
    """
    wide = {"height": _HEIGHT, "block": _BLOCK, "households_each": households_each}
    towns = [
        (town(width=_WIDTH, seed=1, **wide), (0.0, 0.0)),
        (town(width=_WIDTH, seed=2, **wide), (_WIDTH, 0.0)),
        (town(width=2 * _WIDTH, seed=3, **wide), (0.0, _HEIGHT)),
    ]

    def placed(name):
        found = [
            affinity.translate(shape, *shift) for made, shift in towns for shape in np.atleast_1d(getattr(made, name))
        ]
        return to_storage(np.array(found, dtype=object), EPSG)

    put_divisions(uow, at, COMMUNITIES, placed("boundary"))
    between = shapely.LineString(ORIGIN + np.array([[_WIDTH, -20.0], [_WIDTH, _HEIGHT]]))
    streets = np.append(placed("streets"), to_storage(np.array([between], dtype=object), EPSG))
    columns = {"street_class": "residential", "is_walkable": True, "layer": 0}
    uow.streets.put_frame(_frame({"street_code": _numbered("S", streets), **columns}, streets))
    homes = placed("buildings")
    people = {name: np.concatenate([getattr(made, name) for made, _ in towns]) for name in ("households", "population")}
    uow.residences.put_frame(_frame({"residence_code": _numbered("R", homes), **people}, homes), at=at)


def _numbered(letter, shapes):
    return [f"{letter}{i:05d}" for i in range(len(shapes))]


def _frame(columns, shapes):
    return gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4490")
