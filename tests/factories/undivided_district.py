"""A stored district of towns that waits to be divided: communities side by side, streets across them, police grids."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from shapely import affinity

from gridsvc.geo.projections import to_storage
from tests.factories.towns import ORIGIN, town

EPSG = 4547
DISTRICT = "420103"
WIDTH, HEIGHT = 400.0, 360.0


def codes(columns=2, rows=2):
    """Return the community codes, row by row from the south; the southern half belongs to the first street."""
    return [
        f"420103{r * 2 // rows + 1:03d}{(r % max(1, rows // 2)) * columns + c + 1:03d}"
        for r in range(rows)
        for c in range(columns)
    ]


def _frame(columns, shapes):
    return gpd.GeoDataFrame(columns, geometry=np.asarray(shapes, dtype=object), crs="EPSG:4490")


def _multi(shapes):
    return [shapely.MultiPolygon(shapely.get_parts(shape).tolist()) for shape in shapes]


def put_district(uow, at, *, columns=2, rows=2, **changes):
    """Store a district of equal towns with their own buildings; every second community border is a street."""
    names = codes(columns, rows)
    towns = [
        town(width=WIDTH, height=HEIGHT, block=120.0, seed=i, code=code, **changes) for i, code in enumerate(names)
    ]
    shift = [((i % columns) * WIDTH, (i // columns) * HEIGHT) for i in range(len(names))]

    def moved(shapes, i):
        return [affinity.translate(shape, *shift[i]) for shape in shapes]

    communities = to_storage(np.array([moved([t.boundary], i)[0] for i, t in enumerate(towns)], dtype=object), EPSG)
    put_divisions(uow, at, names, communities)
    streets = [line for i, t in enumerate(towns) for line in moved(t.streets, i)]
    streets.append(shapely.LineString(ORIGIN + np.array([[WIDTH, -20.0], [WIDTH, rows * HEIGHT + 20.0]])))
    uow.streets.put_frame(
        _frame(
            {
                "street_code": [f"S{i:05d}" for i in range(len(streets))],
                "street_class": "residential",
                "is_walkable": True,
                "layer": 0,
            },
            to_storage(np.array(streets, dtype=object), EPSG),
        )
    )
    buildings = [b for i, t in enumerate(towns) for b in moved(t.buildings, i)]
    uow.residences.put_frame(
        _frame(
            {
                "residence_code": [f"R{i:05d}" for i in range(len(buildings))],
                "households": np.concatenate([t.households for t in towns]),
                "population": np.concatenate([t.population for t in towns]),
            },
            to_storage(np.array(buildings, dtype=object), EPSG),
        ),
        at=at,
    )
    return names


def put_divisions(uow, at, names, communities):
    """Store communities, and the streets and the district they make up."""
    offices = sorted({name[:9] for name in names})
    unions = [
        shapely.union_all([c for n, c in zip(names, communities, strict=True) if n.startswith(o)]) for o in offices
    ]
    shapes = [shapely.union_all(communities), *unions, *communities]
    all_codes = [DISTRICT, *offices, *names]
    levels = {6: "district", 9: "street", 12: "community"}
    parents = {6: None, 9: 6, 12: 9}
    uow.divisions.put_frame(
        _frame(
            {
                "code": all_codes,
                "name": [f"{code[-3:]}{'社区' if len(code) == 12 else '街道'}" for code in all_codes],
                "level": [levels[len(code)] for code in all_codes],
                "parent_code": [code[: parents[len(code)]] if parents[len(code)] else None for code in all_codes],
            },
            _multi(shapes),
        ),
        at,
    )
