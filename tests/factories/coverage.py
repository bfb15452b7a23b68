"""Content of a coverage map: a made-up district of quads with three networks and a merged one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gridsvc.maps.coverage import CoverageContent
from gridsvc.services.laid_networks import laid_networks
from tests.factories.partitions import jittered_quads, stored

AT = datetime(2026, 1, 1, tzinfo=UTC)
DISTRICT = "110101"


def blocks(grids, columns, rows, across, up):
    """Return the unions of ``across`` x ``up`` neighbouring quads, row by row."""
    table = np.asarray(grids, dtype=object).reshape(rows, columns)
    return np.array(
        [
            shapely.union_all(table[r : r + up, c : c + across])
            for r in range(0, rows, up)
            for c in range(0, columns, across)
        ],
        dtype=object,
    )


def frame(codes, shapes, **columns):
    """Return a frame as the store gives it: code, name, geometry (EPSG:4490) and more columns."""
    data = {"code": codes, "name": [f"名称{code[-3:]}" for code in codes], **columns}
    return gpd.GeoDataFrame(data, geometry=stored(shapes), crs=4490)


def grid_frame(shapes, communities, community_of, **columns):
    """Return grids numbered inside their communities."""
    serial: dict[str, int] = {}
    codes = []
    for index in community_of:
        community = communities[index]
        serial[community] = serial.get(community, 0) + 1
        codes.append(f"{community}{serial[community]:03d}")
    made = frame(codes, shapes, community_code=[communities[i] for i in community_of], **columns)
    return made.assign(households=400, population=1000, area_m2=10_000.0).sort_values("code", ignore_index=True)


def coverage_content(columns=8, rows=8, *, reports=True, name_zh="试验区", **changes):
    """Return the content of a district of columns x rows unit grids; both are multiples of 4."""
    _, units = jittered_quads(columns, rows)
    whole = blocks(units, columns, rows, 4, 4)
    per_row = columns // 4
    community_codes = [f"{DISTRICT}001{i + 1:03d}" for i in range(len(whole))]

    def community_of(across, up):
        wide = columns // across
        return [(i // wide) * up // 4 * per_row + (i % wide) * across // 4 for i in range(wide * (rows // up))]

    parts = {"urban": (1, 1), "social": (2, 2), "security": (4, 2), "unified": (2, 2)}
    grids = {
        network: grid_frame(blocks(units, columns, rows, *size), community_codes, community_of(*size))
        for network, size in parts.items()
    }
    district = shapely.union_all(whole)
    divisions = gpd.GeoDataFrame(
        {
            "code": [DISTRICT, f"{DISTRICT}001", *community_codes],
            "name": [name_zh, "试验街道", *(f"第{i + 1}社区" for i in range(len(whole)))],
            "level": ["district", "street", *["community"] * len(whole)],
        },
        geometry=stored(np.array([district, district, *whole], dtype=object)),
        crs=4490,
    )
    box = district.bounds
    lines = [shapely.LineString([(box[0], y), (box[2], y)]) for y in np.linspace(box[1], box[3], 9)]
    streets = gpd.GeoDataFrame(
        {"street_class": ["primary", "residential", "footway"] * 3}, geometry=stored(np.array(lines)), crs=4490
    )
    content = {
        "name_zh": name_zh,
        "code": DISTRICT,
        "at": AT,
        "divisions": divisions,
        "grids": grids,
        "reports": {code: i for i, code in enumerate(grids["social"]["code"])} if reports else {},
        "streets": streets,
        "sources": ["道路：© OpenStreetMap 贡献者，ODbL 1.0"],
    }
    return CoverageContent(**(content | changes))


def compared_content(**changes):
    """Return the district with its networks laid over each other: security grids lie a third of their width farther east, the last is missing, the
    first has a twin over its western half; a home is in the middle of every unit grid."""
    content = coverage_content(**changes)
    security = content.grids["security"]
    east = (security.geometry.iloc[0].bounds[2] - security.geometry.iloc[0].bounds[0]) / 3
    moved = security.assign(geometry=security.geometry.translate(east)).iloc[:-1]
    box = moved.geometry.iloc[0].bounds
    twin = moved.iloc[:1].assign(
        code=f"{DISTRICT}001001099", geometry=[shapely.box(box[0], box[1], (box[0] + box[2]) / 2, box[3])]
    )
    both = gpd.GeoDataFrame(pd.concat([moved, twin], ignore_index=True), crs=4490)
    grids = {**content.grids, "security": both.sort_values("code", ignore_index=True)}
    homes = shapely.point_on_surface(grids["urban"].geometry.to_numpy())
    laid = laid_networks(
        {name: grids[name] for name in content.networks},
        boundary=content.divisions.geometry.iloc[0],
        points=(homes, np.full(len(homes), 10.0)),
    )
    return replace(content, grids=grids, laid=laid)
