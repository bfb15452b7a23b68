"""Content of a division map: the towns of the division tests, divided, with a fault or a draft where asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.division.border_course import COURSES
from gridsvc.division.dividing import divide_community
from gridsvc.division.quality_report import Bounds, GridSet, Ground, measured
from gridsvc.geo.projections import to_storage
from gridsvc.maps.division import DivisionContent
from tests.factories.measured_grids import shapes, texts
from tests.factories.towns import town

EPSG = 4547
CODE = "420103001001"


def _stored(made, codes, **columns):
    return gpd.GeoDataFrame(
        {"code": codes, "name": [f"第{code[-3:]}网格" for code in codes], "community_code": CODE, **columns},
        geometry=to_storage(made, EPSG), crs=4490,
    )  # fmt: skip


def _lines(borders):
    lines = {}
    for k, kind in enumerate(COURSES):
        pieces = borders.course.ends[borders.course.kind == k]
        if len(pieces):
            merged = shapely.line_merge(shapely.multilinestrings(shapely.linestrings(pieces)))
            lines[kind] = to_storage(shapely.get_parts(merged), EPSG)
    return lines


def division_content(*, shift=0.0, draft=False, **changes):
    """Return a divided town; ``shift`` metres move its first governance grid east, ``draft`` joins the first two."""
    community = town(width=600.0, height=500.0)
    division = divide_community(community)
    ground = Ground(
        texts(CODE), shapes(community.boundary), streets=community.streets, buildings=community.buildings,
        households=community.households, population=community.population,
    )  # fmt: skip
    grids, reports, borders, problems, before, reports_before = {}, {}, {}, [], {}, {}
    for kind, bounds in (("governance", Bounds()), ("unit", Bounds(None, None, target_m2=division.unit_target_m2))):
        made = getattr(division, f"{kind}_grids").copy()
        codes = [f"{CODE}{i + 1:03d}" for i in range(len(made))]
        held = GridSet(texts(*codes), made.copy(), texts(*[CODE] * len(made)))
        if kind == "governance" and shift:
            made[0] = shapely.transform(made[0], lambda v: v + np.array([shift, 0.0]))
        if kind == "governance" and draft:
            touching = np.flatnonzero(shapely.length(shapely.intersection(made[0], made[1:])) > 1)[0] + 1
            joined = shapely.union_all(made[[0, touching]])
            made = np.concatenate([[joined], np.delete(made, [0, touching])])
            codes = [f"{CODE}900", *np.delete(codes, [0, touching]).tolist()]
            before[kind] = _stored(held.shapes, held.codes)
            reports_before[kind] = measured(held, ground, bounds, kind=kind)[0]
        now = GridSet(texts(*codes), made, texts(*[CODE] * len(made)))
        report, found = measured(now, ground, bounds, kind=kind, before=held if kind in before else None)
        grids[kind], reports[kind], borders[kind] = _stored(made, codes), report, _lines(found)
        problems += [(p, to_storage(shapes(p.place), EPSG)[0]) for p in report.problems]
    divisions = gpd.GeoDataFrame(
        {"code": [CODE[:9], CODE], "name": ["试验街道", "试验社区"], "level": ["street", "community"]},
        geometry=to_storage(shapes(community.boundary, community.boundary), EPSG), crs=4490,
    )  # fmt: skip
    streets = gpd.GeoDataFrame(
        {"street_class": "residential"}, geometry=to_storage(community.streets, EPSG), crs=4490,
        index=range(len(community.streets)),
    )  # fmt: skip
    buildings = gpd.GeoDataFrame(geometry=to_storage(community.buildings, EPSG), crs=4490)
    content = {
        "name_zh": "试验街道", "code": CODE[:9], "at": datetime(2026, 1, 1, tzinfo=UTC), "divisions": divisions,
        "grids": grids, "reports": reports, "borders": borders, "problems": problems, "before": before,
        "reports_before": reports_before, "redraw": "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e11" if draft else "",
        "buildings": buildings, "streets": streets, "sources": ["道路：© OpenStreetMap 贡献者，ODbL 1.0"],
    }  # fmt: skip
    return DivisionContent(**(content | changes))
