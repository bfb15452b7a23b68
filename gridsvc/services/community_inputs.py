"""Read what a division needs from the store: communities, and the lines and buildings around each, in metres."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import CommunityInput
from gridsvc.errors import NotFoundError
from gridsvc.geo.projections import gauss_kruger_epsg, to_metric
from gridsvc.store.unit_of_work import UnitOfWork

# not on the ground, not there yet, or inside a building: no border can follow them
STREETS_NOT_FOLLOWED = ("construction", "corridor", "elevator", "platform", "proposed", "raceway")
# what a division, or a report on one, asks of each layer beside its geometry
STREET_COLUMNS = ("layer", "street_class")
BARRIER_COLUMNS = ("kind",)
WATER_COLUMNS = ()
RESIDENCE_COLUMNS = ("community_code", "households", "population")
_MARGIN_M = 20.0
_DISTRICT_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Area:
    """The communities to divide, and the projected system all metric work on them uses.

    ``undrawn`` lists communities known by code only.
    """

    epsg: int
    inputs: list[CommunityInput]
    names: dict[str, str]
    undrawn: list[str]


def read_area(uow: UnitOfWork, code: str, at: datetime) -> Area:
    """Return the communities under ``code`` at ``at`` with streets, walls, water and buildings around each.

    The projected system is the Gauss-Kruger zone of the district (of the whole area for a city), so that dividing one
    community again gives the same grids as dividing its district.

    Raises
    ------
    NotFoundError
        When no community under ``code`` is known at ``at``.
    """
    communities = uow.divisions.list(level="community", prefix=code, at=at)
    drawn = communities[~(communities.geometry.isna() | communities.geometry.is_empty)]
    if communities.empty:
        raise NotFoundError(
            f"No communities under {code} at {at.isoformat()}.",
            hint="Import divisions first: gridsvc import divisions FILE.",
        )
    undrawn = sorted(set(communities["code"]) - set(drawn["code"]))
    if drawn.empty:
        return Area(0, [], {}, undrawn)
    district = uow.divisions.bounds(code[:_DISTRICT_DIGITS], at) or tuple(drawn.total_bounds)
    epsg = gauss_kruger_epsg((district[0] + district[2]) / 2)
    return Area(epsg, _inputs(uow, drawn, epsg), dict(zip(drawn["code"], drawn["name"], strict=True)), undrawn)


def _inputs(uow: UnitOfWork, drawn: gpd.GeoDataFrame, epsg: int) -> list[CommunityInput]:
    margin_deg = _MARGIN_M / 80_000
    west, south, east, north = drawn.total_bounds
    bbox = (west - margin_deg, south - margin_deg, east + margin_deg, north + margin_deg)
    return community_inputs(
        drawn,
        epsg,
        streets=uow.streets.list(bbox, columns=STREET_COLUMNS),
        barriers=uow.barriers.list(bbox, columns=BARRIER_COLUMNS),
        water=uow.water.list(bbox, columns=WATER_COLUMNS),
        # by place, not by code: a building that stands across a district border obstructs on both sides
        residences=uow.residences.list(bbox=bbox, columns=RESIDENCE_COLUMNS),
    )


def community_inputs(
    communities: gpd.GeoDataFrame,
    epsg: int,
    *,
    streets: gpd.GeoDataFrame,
    barriers: gpd.GeoDataFrame,
    water: gpd.GeoDataFrame,
    residences: gpd.GeoDataFrame,
) -> list[CommunityInput]:
    """Return the input of each community, in the projected system ``epsg``, from frames in EPSG:4490.

    Streets on bridges and in tunnels (layer other than 0) and those no border can follow are left out. A building on a
    border obstructs on both sides and counts once, in the ``community_code`` its row carries.
    """
    followed = (streets["layer"].to_numpy() == 0) & ~streets["street_class"].isin(STREETS_NOT_FOLLOWED).to_numpy()
    ways = _Layer(streets.geometry.to_numpy()[followed], epsg)
    walls = _Layer(barriers.geometry.to_numpy(), epsg)
    wall_kinds = barriers["kind"].to_numpy(dtype=object)
    waters = _Layer(water.geometry.to_numpy(), epsg)
    buildings = _Layer(residences.geometry.to_numpy(), epsg)
    community_of = residences["community_code"].to_numpy(dtype=object)
    households = residences["households"].to_numpy(dtype=np.int64)
    population = residences["population"].to_numpy(dtype=np.int64)
    found = []
    for community, shape in zip(communities["code"], to_metric(communities.geometry.to_numpy(), epsg), strict=True):
        boundary = _plain(shape)
        here = buildings.standing_in(boundary)
        own = community_of[here] == community
        near = walls.around(boundary)
        found.append(
            CommunityInput(
                code=community,
                boundary=boundary,
                streets=ways.shapes[ways.around(boundary)],
                barriers=walls.shapes[near],
                water=waters.shapes[waters.around(boundary)],
                barrier_kinds=wall_kinds[near],
                buildings=buildings.shapes[here],
                households=np.where(own, households[here], 0),
                population=np.where(own, population[here], 0),
            )
        )
    return found


class _Layer:
    """Geometries of one layer in metres, with a tree to find those near a community."""

    def __init__(self, shapes: NDArray[np.object_], epsg: int) -> None:
        self.shapes = to_metric(shapes, epsg) if len(shapes) else np.empty(0, dtype=object)
        self.tree = shapely.STRtree(self.shapes)

    def standing_in(self, boundary: shapely.Geometry) -> NDArray[np.int64]:
        """Return the positions of the geometries that touch the community, in input order."""
        return np.sort(self.tree.query(boundary, predicate="intersects"))

    def around(self, boundary: shapely.Geometry) -> NDArray[np.int64]:
        """Return the positions of the geometries whose box meets the community's box widened by the margin, in input order."""
        west, south, east, north = boundary.bounds
        m = _MARGIN_M
        return np.sort(self.tree.query(shapely.box(west - m, south - m, east + m, north + m)))


def _plain(shape: shapely.Geometry) -> shapely.Geometry:
    return shape.geoms[0] if shape.geom_type == "MultiPolygon" and len(shape.geoms) == 1 else shape
