"""Content of a service-circle map: four communities in a row with four homes each, three kinds of facilities."""

from __future__ import annotations

from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.maps.circle import CircleContent, CircleKind

AT = datetime(2026, 1, 1, tzinfo=UTC)
DISTRICT = "110101"
COMMUNITIES = [f"{DISTRICT}001{number:03d}" for number in range(1, 5)]
KINDS = (
    CircleKind("K1", "小学", "Primary school", 10, True, True),
    CircleKind("K2", "菜市场", "Market", 15, True, False),
    CircleKind("K3", "书店", "Bookshop", 15, False, True),
)
WEST, SOUTH, SIDE = 116.4, 39.9, 0.01
# the market is not reached in the third community, in the last neither it nor a school; nobody lives in the last home of the first
TIMES_S = np.array(
    [[300.0, 400.0, np.inf]] * 4
    + [[600.0, 900.0, 899.0]] * 4
    + [[300.0, 901.0, 60.0]] * 4
    + [[700.0, np.inf, 60.0]] * 4
)
PEOPLE = np.array([50, 50, 50, 0] + [50] * 12)


def row(code: str, shares: list[float | None], lacking: list[str], people: int, *, is_qualified: bool | None) -> dict:
    """Return a place as ``services.circle_places.place_rows`` makes it; shares of all required kinds, then of each kind."""
    return {
        "place_code": code,
        "name": f"第{code[-1:]}社区",
        "population": people,
        "households": people // 2,
        "residences": 4,
        "complete_share": shares[0],
        "compliance": None if shares[0] is None else round(1 - len(lacking) / 2, 4),
        "is_qualified": is_qualified,
        "lacking": lacking,
        "kinds": {kind.code: {"population_share": share} for kind, share in zip(KINDS, shares[1:], strict=True)},
    }


def circle_content(**changes) -> CircleContent:
    """Return the content of a district of four communities."""
    boxes = [shapely.box(WEST + i * SIDE, SOUTH, WEST + (i + 1) * SIDE, SOUTH + SIDE) for i in range(4)]
    divisions = gpd.GeoDataFrame(
        {
            "code": [DISTRICT, f"{DISTRICT}001", *COMMUNITIES],
            "name": ["试验区", "试验街道", *(f"第{i}社区" for i in range(1, 5))],
            "level": ["district", "street", *["community"] * 4],
        },
        geometry=[shapely.union_all(boxes)] * 2 + boxes,
        crs=4490,
    )
    homes = [
        shapely.box(x, SOUTH + 0.004, x + 0.001, SOUTH + 0.005)
        for i in range(4)
        for x in WEST + i * SIDE + 0.001 + 0.0025 * np.arange(4)
    ]
    values = {
        "name_zh": "试验区",
        "code": DISTRICT,
        "ran_at": AT,
        "run": {
            "division_code": DISTRICT,
            "standard_name": "试验清单",
            "standard_name_en": "Test list",
            "speed_m_s": 1.1,
            "doubts": {"residences_without_entrance": 3, "kinds_without_facilities": []},
        },
        "kinds": KINDS,
        "divisions": divisions,
        "communities": [
            row(COMMUNITIES[0], [1.0, 1.0, 1.0, 0.0], [], 150, is_qualified=True),
            row(COMMUNITIES[1], [1.0, 1.0, 1.0, 1.0], [], 200, is_qualified=True),
            row(COMMUNITIES[2], [0.0, 1.0, 0.0, 1.0], ["K2"], 200, is_qualified=False),
            row(COMMUNITIES[3], [0.0, 0.0, 0.0, 1.0], ["K1", "K2"], 200, is_qualified=False),
        ],
        "total": row("", [0.4667, 0.7333, 0.4667, 0.8], [], 750, is_qualified=False),
        "residences": gpd.GeoDataFrame(
            {
                "residence_code": [f"H{i:02d}" for i in range(16)],
                "name": [f"{i}号楼" for i in range(16)],
                "population": PEOPLE,
                "households": PEOPLE // 2,
            },
            geometry=homes,
            crs=4490,
        ),
        "times_s": TIMES_S,
        "is_lacking": np.array([600.0, 900.0, 900.0]) < TIMES_S,
        "gaps": gpd.GeoDataFrame(
            {"kinds": [[-1, 1], [0], [2]], "population": [400, 200, 150], "households": [200, 100, 75], "residences": [8, 4, 3]},
            geometry=[shapely.union_all(homes[8:]).convex_hull, shapely.union_all(homes[12:]).convex_hull, shapely.union_all(homes[:3]).convex_hull],
            crs=4490,
        ),
        "facilities": gpd.GeoDataFrame(
            {"kind_code": ["K1", "K1", "K2"]},
            geometry=[shapely.Point(WEST + x, SOUTH + 0.006) for x in (0.005, 0.015, 0.008)],
            crs=4490,
        ),
        "sources": ["© OpenStreetMap 贡献者 contributors, ODbL 1.0"],
    }  # fmt: skip
    return CircleContent(**values | changes)
