"""A stored city of several small districts that wait to be divided, side by side from west to east."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from shapely import affinity

from gridsvc.geo.projections import to_storage
from tests.factories.towns import town

CITY = "4201"
EPSG = 4547
WIDTH, HEIGHT = 300.0, 280.0


def district_codes(districts=3):
    """Return the codes of the districts, from west to east."""
    return [f"{CITY}{i + 1:02d}" for i in range(districts)]


def community_codes(districts=3, communities=2):
    """Return the codes of all communities; those of a district lie one above the other, from the south."""
    return [f"{district}001{c + 1:03d}" for district in district_codes(districts) for c in range(communities)]


def put_city(uow, at, *, districts=3, communities=2, undrawn=(), stretched=()):
    """Store a city of equal districts.

    ``undrawn`` communities are known by code only; ``stretched`` ones reach 20 m into their northern neighbour, as if drawn wrongly.
    """
    names = community_codes(districts, communities)
    towns = [town(width=WIDTH, height=HEIGHT, block=100.0, seed=i, code=code) for i, code in enumerate(names)]
    shift = [((i // communities) * WIDTH, (i % communities) * HEIGHT) for i in range(len(names))]

    def placed(field):
        moved = [
            affinity.translate(s, *shift[i]) for i, t in enumerate(towns) for s in np.atleast_1d(getattr(t, field))
        ]
        return to_storage(np.array(moved, dtype=object), EPSG)

    uow.divisions.put_frame(_divisions(names, placed("boundary"), undrawn, stretched), at)
    streets = placed("streets")
    uow.streets.put_frame(
        _frame(streets, street_code=[f"S{i:05d}" for i in range(len(streets))], street_class="residential",
               is_walkable=True, layer=0)
    )  # fmt: skip
    buildings = placed("buildings")
    uow.residences.put_frame(
        _frame(
            buildings,
            residence_code=[f"R{i:05d}" for i in range(len(buildings))],
            households=np.concatenate([t.households for t in towns]),
            population=np.concatenate([t.population for t in towns]),
        ),
        at=at,
    )
    return names


def _divisions(names, shapes, undrawn, stretched):
    shapes = dict(zip(names, shapes, strict=True))
    for code in stretched:
        metric = 20.0 / 111_000
        west, south, east, north = shapes[code].bounds
        shapes[code] = shapely.box(west, south, east, north + metric)
    rows = [(CITY, "city", None, None)]
    rows += [(code, "district", CITY, None) for code in sorted({n[:6] for n in names})]
    rows += [(code, "street", code[:6], None) for code in sorted({n[:9] for n in names})]
    rows += [(n, "community", n[:9], None if n in undrawn else shapely.multipolygons([shapes[n]])) for n in names]
    codes, levels, parents, drawn = zip(*rows, strict=True)
    return _frame(drawn, code=codes, name=[f"{c[-2:]}社区" for c in codes], level=levels, parent_code=parents)


def _frame(shapes, **columns):
    return gpd.GeoDataFrame(columns, geometry=np.array(shapes, dtype=object), crs="EPSG:4490")
