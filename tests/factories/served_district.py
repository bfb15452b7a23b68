"""A divided district at work: unit, governance and unified grids, workers on their grids, located reports with open cases."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gridsvc.services.assigning import assign
from gridsvc.services.dividing import divide
from gridsvc.services.locating import locate_reports
from gridsvc.services.merging import merge
from tests.factories.undivided_district import DISTRICT, codes, put_district

START = datetime(2026, 1, 1, tzinfo=UTC)
REPORTED = datetime(2026, 2, 1, 2, tzinfo=UTC)
NOW = datetime(2026, 7, 1, 4, tzinfo=UTC)
COMMUNITIES = codes()


def put_served_district(uow) -> None:
    """Store the district, in force from ``START``; the caller commits."""
    put_district(uow, START, households_each=60)
    divide(uow, DISTRICT, at=START, actor="start", processes=1)
    merge(uow, DISTRICT, at=START, actor="start")
    grids = uow.grids.list("social", DISTRICT, START)
    uow.workers.put_frame(_workers(grids), START)
    assign(uow, DISTRICT, at=START, actor="start")
    uow.reports.add_frame(_reports(grids))
    locate_reports(uow, DISTRICT)


def _workers(grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return one full-time worker for each governance grid and a leader for each community."""
    places = shapely.point_on_surface(grids.geometry.to_numpy())
    first = grids.drop_duplicates("community_code")
    columns = {
        "worker_code": [f"W{i:03d}" for i in range(len(grids))] + [f"L{i:03d}" for i in range(len(first))],
        "name": "网格员",
        "kind_code": ["W02"] * len(grids) + ["W01"] * len(first),
        "division_code": [*grids["community_code"], *first["community_code"]],
        "phone": None,
        "capacity_grids": [1] * len(grids) + [9] * len(first),
    }
    homes = np.concatenate([places, shapely.point_on_surface(first.geometry.to_numpy())])
    return gpd.GeoDataFrame(columns, geometry=homes, crs="EPSG:4490")


def _reports(grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return two reports inside every governance grid, one of them on its way to being closed by a test."""
    places = np.repeat(shapely.point_on_surface(grids.geometry.to_numpy()), 2)
    columns = {
        "report_id": [str(uuid.UUID(int=i + 1)) for i in range(len(places))],
        "district_code": DISTRICT,
        "reported_at": [REPORTED + timedelta(minutes=i) for i in range(len(places))],
        "edition": "gbt-47678.5-2026",
        "category_code": "E06001",
        "network": "urban",
        "source": "import",
        "description": "",
        "original_lon": shapely.get_x(places),
        "original_lat": shapely.get_y(places),
        "original_datum": "cgcs2000",
    }
    return gpd.GeoDataFrame(columns, geometry=places, crs="EPSG:4490")


def pair_of_neighbours(frame: gpd.GeoDataFrame, community: str) -> tuple[str, str]:
    """Return two governance grids of a community that share a border."""
    grids = frame[(frame["network"] == "social") & (frame["community_code"] == community)]
    for (_, a), (_, b) in itertools.combinations(grids.iterrows(), 2):
        if shapely.length(shapely.intersection(a.geometry, b.geometry)) > 0:
            return a["code"], b["code"]
    raise AssertionError(f"no neighbours in {community}")


def with_merged(frame: gpd.GeoDataFrame, pair: tuple[str, str], code: str) -> gpd.GeoDataFrame:
    """Return the grids of a draft with two governance grids made one, under a new code; unit grids stay."""
    gone = (frame["network"] == "social") & frame["code"].isin(pair)
    one = frame[gone].iloc[[0]].copy()
    one["code"] = code
    for name in ("households", "population", "area_m2"):
        one[name] = frame.loc[gone, name].sum()
    one = one.set_geometry(
        gpd.GeoSeries(
            [_multi(shapely.coverage_union_all(frame.geometry[gone].to_numpy()))], index=one.index, crs=frame.crs
        )
    )
    rest = frame[~gone].copy()
    rest.loc[rest["parent_code"].isin(pair), "parent_code"] = code
    return gpd.GeoDataFrame(pd.concat([rest, one], ignore_index=True), geometry="geometry", crs=frame.crs)


def with_unit_moved(frame: gpd.GeoDataFrame, pair: tuple[str, str]) -> gpd.GeoDataFrame:
    """Return the grids with one unit grid of the first governance grid given to its neighbour: both keep their codes."""
    frame = frame.copy()
    shapes = frame.geometry.to_numpy().copy()
    first, second = (np.flatnonzero((frame["network"] == "social") & (frame["code"] == code))[0] for code in pair)
    for unit in np.flatnonzero(frame["parent_code"] == pair[0]):
        others = np.flatnonzero((frame["parent_code"] == pair[0]).to_numpy() & (np.arange(len(frame)) != unit))
        rest = shapely.coverage_union_all(shapes[others]) if len(others) else None
        grown = shapely.coverage_union_all([shapes[second], shapes[unit]])
        if rest is None or len(shapely.get_parts(rest)) > 1 or len(shapely.get_parts(grown)) > 1:
            continue
        shapes[first], shapes[second] = _multi(rest), _multi(grown)
        frame.loc[frame.index[unit], "parent_code"] = pair[1]
        for name in ("households", "population", "area_m2"):
            moved = frame[name].iloc[unit]
            frame.loc[frame.index[first], name] -= moved
            frame.loc[frame.index[second], name] += moved
        return frame.set_geometry(gpd.GeoSeries(shapes, index=frame.index, crs=frame.crs))
    raise AssertionError("no unit grid can move")


def _multi(shape: shapely.Geometry) -> shapely.MultiPolygon:
    return shapely.MultiPolygon(shapely.get_parts(shape).tolist())
