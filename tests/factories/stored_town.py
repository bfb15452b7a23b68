"""Frames of a small town as the store takes them: EPSG:4490, four square communities in two streets of one district."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import shapely

DISTRICT = "420103"
STREETS = ("420103001", "420103002")
COMMUNITIES = ("420103001001", "420103001002", "420103002001", "420103002002")
START = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 6, 1, tzinfo=UTC)
WEST, SOUTH, SIDE = 114.25, 30.58, 0.01


def frame(columns: dict, geometry) -> gpd.GeoDataFrame:
    """Return a frame in the storage CRS."""
    return gpd.GeoDataFrame(columns, geometry=np.asarray(geometry, dtype=object), crs="EPSG:4490")


def community_box(code: str) -> shapely.Polygon:
    """Return the square of a community; the first street is the southern row, serials run eastward."""
    column, row = int(code[-3:]) - 1, int(code[6:9]) - 1
    return shapely.box(
        *np.round([WEST + column * SIDE, SOUTH + row * SIDE, WEST + (column + 1) * SIDE, SOUTH + (row + 1) * SIDE], 9)
    )


def division_frame(**changes) -> gpd.GeoDataFrame:
    """Return the district, its streets and communities."""
    boxes = {code: community_box(code) for code in COMMUNITIES}
    codes = [DISTRICT, *STREETS, *COMMUNITIES]
    shapes = [
        shapely.MultiPolygon([shapely.union_all([b for c, b in boxes.items() if c.startswith(code)])]) for code in codes
    ]
    levels = {6: "district", 9: "street", 12: "community"}
    columns = {
        "code": codes,
        "name": ["江汉区", "民族街道", "前进街道", *[f"{code[-6:]}社区" for code in COMMUNITIES]],
        "level": [levels[len(code)] for code in codes],
        "parent_code": [None, DISTRICT, DISTRICT, *[code[:9] for code in COMMUNITIES]],
        "urban_rural_class": [None, None, None, 111, 111, 111, 112],
    }
    return frame(columns | changes, shapes)


def grid_frame(
    communities=COMMUNITIES, *, network="social", kind="governance", first_serial=1, parts=2, **changes
) -> gpd.GeoDataFrame:
    """Return ``parts`` grids side by side in each community, numbered west to east."""
    rows, shapes = [], []
    for community in communities:
        west, south, east, north = community_box(community).bounds
        edges = np.round(np.linspace(west, east, parts + 1), 9)
        for serial, (left, right) in enumerate(itertools.pairwise(edges), first_serial):
            rows.append((network, kind, f"{community}{serial:03d}", community))
            shapes.append(shapely.box(left, south, right, north))
    columns = {name: [row[i] for row in rows] for i, name in enumerate(("network", "kind", "code", "community_code"))}
    defaults = {"name": "", "households": 400, "population": 1200, "area_m2": 500_000.0}
    return frame(columns | defaults | changes, shapes)


def worker_frame(count=4, **changes) -> gpd.GeoDataFrame:
    """Return full-time workers, one after another in the communities."""
    communities = [COMMUNITIES[i % len(COMMUNITIES)] for i in range(count)]
    columns = {
        "worker_code": [f"WK{i:04d}" for i in range(count)],
        "name": [f"网格员{i}" for i in range(count)],
        "kind_code": "W02",
        "division_code": communities,
        "phone": None,
        "capacity_grids": 1,
    }
    return frame(columns | changes, [community_box(code).centroid for code in communities])


def residence_frame(count=8, **changes) -> gpd.GeoDataFrame:
    """Return small buildings in the middle of the communities."""
    shapes = [
        shapely.box(west, south, west + 0.0002, south + 0.0002)
        for i in range(count)
        for west, south in [
            np.round(np.array(community_box(COMMUNITIES[i % 4]).bounds[:2]) + 0.002 + 0.0005 * (i // 4), 9)
        ]
    ]
    columns = {
        "residence_code": [f"R{i:04d}" for i in range(count)],
        "name": "",
        "use": "residential",
        "households": 30,
        "population": 90,
        "floors": [None if i % 2 else 6 for i in range(count)],
        "entrance_lon": [np.nan if i % 2 else shape.bounds[0] for i, shape in enumerate(shapes)],
        "entrance_lat": [np.nan if i % 2 else shape.bounds[1] for i, shape in enumerate(shapes)],
    }
    return frame(columns | changes, shapes)


def facility_frame(count=4, **changes) -> gpd.GeoDataFrame:
    """Return facilities in the middle of the communities."""
    columns = {
        "facility_code": [f"F{i:04d}" for i in range(count)],
        "kind_code": "B601",
        "name": "社区服务站",
        "address": "",
    }
    return frame(columns | changes, [community_box(COMMUNITIES[i % 4]).centroid for i in range(count)])


def street_frame(**changes) -> gpd.GeoDataFrame:
    """Return one street through each row of communities, and one that crosses both rows."""
    middle, top = SOUTH + SIDE / 2, SOUTH + 1.5 * SIDE
    shapes = [
        shapely.LineString([(WEST, middle), (WEST + 2 * SIDE, middle)]),
        shapely.LineString([(WEST, top), (WEST + 2 * SIDE, top)]),
        shapely.LineString([(WEST + SIDE / 2, SOUTH), (WEST + SIDE / 2, SOUTH + 2 * SIDE)]),
    ]
    columns = {
        "street_code": ["S1", "S2", "S3"],
        "name": ["南街", "北街", ""],
        "street_class": ["residential", "motorway", "footway"],
        "is_walkable": [True, False, True],
        "layer": 0,
    }
    return frame(columns | changes, shapes)


def report_row(**changes) -> dict:
    """Return one report as ``reports.add`` takes it."""
    lon, lat = community_box(COMMUNITIES[0]).centroid.coords[0]
    row = {
        "report_id": str(uuid.uuid4()),
        "district_code": DISTRICT,
        "community_code": COMMUNITIES[0],
        "reported_at": datetime(2026, 3, 5, 1, 30, tzinfo=UTC),
        "edition": "gbt-47678.5-2026",
        "category_code": "E06001",
        "network": "urban",
        "source": "field_app",
        "description": "道路积水",
        "original_lon": lon,
        "original_lat": lat,
        "original_datum": "wgs84",
        "lon": lon,
        "lat": lat,
    }
    return row | changes


def report_frame(count=20, **changes) -> gpd.GeoDataFrame:
    """Return reports spread over the communities and over three months, with ids that are the same in every run."""
    communities = [COMMUNITIES[i % 4] for i in range(count)]
    points = [community_box(code).centroid for code in communities]
    columns = {
        "report_id": [str(uuid.UUID(int=i + 1)) for i in range(count)],
        "district_code": DISTRICT,
        "community_code": communities,
        "reported_at": [datetime(2026, 1 + i % 3, 10, 2, tzinfo=UTC) for i in range(count)],
        "edition": "gbt-47678.5-2026",
        "category_code": "E06001",
        "network": "urban",
        "source": "import",
        "description": [f"第{i}件" for i in range(count)],
        "original_lon": [point.x for point in points],
        "original_lat": [point.y for point in points],
        "original_datum": "cgcs2000",
        "accuracy_m": [None if i % 5 else 8.0 for i in range(count)],
    }
    return frame(columns | changes, points)
