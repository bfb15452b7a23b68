"""Two districts side by side, each of two communities with streets and buildings; their common border runs north to south."""

from __future__ import annotations

import json

import geopandas as gpd
import numpy as np
import shapely
from shapely import affinity

from gridsvc.geo.projections import to_storage
from tests.factories.towns import ORIGIN, town
from tests.factories.undivided_district import EPSG

WEST, EAST = "420103", "420102"
CODES = {district: [f"{district}001001", f"{district}001002"] for district in (WEST, EAST)}
WIDTH, HEIGHT, _BLOCK = 250.0, 230.0, 120.0


def community_boundaries(district, off_m=0.0):
    """Return the southern and the northern community, in metres; in the east the corner between them is off the border.

    Parameters
    ----------
    off_m
        How far to the east; to the west, into the other district, where negative. Unit: m.
    """
    middle = HEIGHT if district == WEST else HEIGHT * 0.83
    inner, outer = (WIDTH, 0.0) if district == WEST else (WIDTH, 2 * WIDTH)
    corner = (inner + (0.0 if district == WEST else off_m), middle)
    south = shapely.Polygon([(outer, 0.0), (inner, 0.0), corner, (outer, middle)])
    north = shapely.Polygon([(outer, middle), corner, (inner, 2 * HEIGHT), (outer, 2 * HEIGHT)])
    return np.array([affinity.translate(shape, *ORIGIN) for shape in (south, north)], dtype=object)


def division_rows(district, off_m=0.0):
    """Return a frame of the divisions of a district: its city, itself, one street, two communities. EPSG:4490."""
    communities = to_storage(community_boundaries(district, off_m), EPSG)
    whole = shapely.coverage_union_all(communities)
    codes = [district, f"{district}001", *CODES[district]]
    return gpd.GeoDataFrame(
        {
            "code": codes,
            "name": [f"{code[-3:]}{'社区' if len(code) == 12 else '街道'}" for code in codes],
            "level": [{6: "district", 9: "street", 12: "community"}[len(code)] for code in codes],
            "parent_code": [None, district, f"{district}001", f"{district}001"],
        },
        geometry=[shapely.MultiPolygon(shapely.get_parts(s).tolist()) for s in (whole, whole, *communities)],
        crs="EPSG:4490",
    )


def write_divisions(path, district, off_m=0.0):
    """Write the divisions of a district as GeoJSON and return the path."""
    frame = division_rows(district, off_m).drop(columns=["level", "parent_code"])
    features = [
        {
            "type": "Feature",
            "properties": {"code": code, "name": name},
            "geometry": json.loads(shapely.to_geojson(shape)),
        }
        for code, name, shape in zip(frame["code"], frame["name"], frame.geometry, strict=True)
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def put_ground(uow, at):
    """Store the streets and buildings of both districts."""
    streets, homes, households = [], [], []
    for k in range(4):
        made = town(width=WIDTH, height=HEIGHT, block=_BLOCK, seed=k + 1, households_each=60)
        shift = ((k % 2) * WIDTH, (k // 2) * HEIGHT)
        streets += [affinity.translate(line, *shift) for line in made.streets]
        clear = [abs(y - HEIGHT * 0.83) > 16 for y in shapely.get_y(shapely.centroid(made.buildings)) - ORIGIN[1]]
        homes += [affinity.translate(home, *shift) for home in made.buildings[clear]]
        households += made.households[clear].tolist()
    columns = {"street_class": "residential", "is_walkable": True, "layer": 0}
    uow.streets.put_frame(_frame("street_code", "S", streets, columns))
    people = {"households": households, "population": [3 * n for n in households]}
    uow.residences.put_frame(_frame("residence_code", "R", homes, people), at=at)


def _frame(name, letter, shapes, columns):
    stored = to_storage(np.array(shapes, dtype=object), EPSG)
    return gpd.GeoDataFrame(
        {name: [f"{letter}{i:05d}" for i in range(len(stored))], **columns}, geometry=stored, crs="EPSG:4490"
    )
