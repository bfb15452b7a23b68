"""A stored town to walk in: the communities of ``stored_town`` with a net of streets, homes at its corners, facilities."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.geo.projections import gauss_kruger_epsg, to_metric, to_storage
from tests.factories.stored_town import COMMUNITIES, SIDE, SOUTH, START, WEST, community_box, division_frame, frame
from tests.factories.street_towns import street_net

EPSG = gauss_kruger_epsg(WEST)
BLOCK_M = 160.0
MIDDLE = (WEST + SIDE, SOUTH + SIDE)


def metric(lon: float, lat: float) -> np.ndarray:
    """Return the metric x, y of a position."""
    return shapely.get_coordinates(to_metric([shapely.Point(lon, lat)], EPSG))[0]


def walking_streets(columns: int = 12, rows: int = 14) -> gpd.GeoDataFrame:
    """Return a net of residential streets from the south-west corner of the town."""
    corner = metric(WEST, SOUTH)
    lines = shapely.transform(np.array(street_net(columns, rows, BLOCK_M)), lambda xy: xy + corner)
    return frame(
        {
            "street_code": [f"W{i:04d}" for i in range(len(lines))],
            "name": "",
            "street_class": "residential",
            "is_walkable": True,
            "layer": 0,
        },
        to_storage(lines, EPSG),
    )


def homes(per_community: int = 4, **changes) -> gpd.GeoDataFrame:
    """Return homes of 30 households each, evenly along the diagonal of each community; every second without an entrance."""
    shapes = []
    for code in COMMUNITIES:
        west, south, _, _ = community_box(code).bounds
        for part in (np.arange(per_community) + 0.5) / per_community:
            shapes.append(
                shapely.box(*np.round([west + part * SIDE, south + part * SIDE] * 2 + np.array([0, 0, 1e-4, 1e-4]), 9))
            )
    count = len(shapes)
    columns = {
        "residence_code": [f"H{i:04d}" for i in range(count)],
        "households": 30,
        "population": 90,
        "entrance_lon": [np.nan if i % 2 else shape.bounds[0] for i, shape in enumerate(shapes)],
        "entrance_lat": [np.nan if i % 2 else shape.bounds[1] for i, shape in enumerate(shapes)],
    }
    return frame(columns | changes, shapes)


def shops(codes: list[str], places: list[tuple[float, float]]) -> gpd.GeoDataFrame:
    """Return one facility of each kind in ``codes`` at each of ``places`` (lon, lat)."""
    rows = [(kind, place) for place in places for kind in codes]
    return frame(
        {"facility_code": [f"S{i:04d}" for i in range(len(rows))], "kind_code": [kind for kind, _ in rows], "name": ""},
        [shapely.Point(place) for _, place in rows],
    )


def put_town(uow, facilities: gpd.GeoDataFrame | None = None) -> None:
    """Store divisions, streets, homes and facilities."""
    uow.divisions.put_frame(division_frame(), START)
    uow.streets.put_frame(walking_streets())
    uow.residences.put_frame(homes())
    if facilities is not None:
        uow.facilities.put_frame(facilities, START)


def block_estate(inset_m: float = 10.0) -> tuple[shapely.Polygon, tuple[float, float]]:
    """Return a compound around the corner of four blocks in the middle of the town, whose wall streets pass in four places, and its south gate."""
    x, y = metric(*MIDDLE)
    corner = metric(WEST, SOUTH)
    column, row = np.round((np.array([x, y]) - corner) / BLOCK_M)
    west, south = corner + np.array([column - 1, row - 1]) * BLOCK_M + inset_m
    size = 2 * BLOCK_M - 2 * inset_m
    outline = shapely.box(west, south, west + size, south + size)
    middle = (west + size / 2, south)
    return outline, middle


def put_estate(uow) -> None:
    """Store the estate with its south gate, open by day, and a gate that stands on no wall."""
    outline, (x, y) = block_estate()
    uow.compounds.put_frame(frame({"compound_code": ["E1"], "name": "花园"}, to_storage([outline], EPSG)))
    gates = to_storage(shapely.points([(x, y), (x, y + 600.0)]), EPSG)
    uow.gates.put_frame(frame({"gate_code": ["G1", "G9"], "is_closed": False, "hours": ["06:00-22:00", ""]}, gates))
