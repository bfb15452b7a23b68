"""What a redraw changes: its grids before and after, the people on them, and the lineage between; read once for all uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.division.lineage import Homes, Lineage, lineage_of
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True, eq=False)
class RedrawGround:
    """The grids of a redraw's communities before and after, in all its networks.

    Attributes
    ----------
    redraw
        The redraw as stored.
    before, after
        Grids in force and grids drawn. CRS: EPSG:4490.
    homes
        The residences of the communities: residence_code, community_code, households, population.
    points
        A point inside each of them, where it counts. CRS: ``epsg``.
    lineage
        By network; empty for a first division, which nothing comes before.
    """

    redraw: dict[str, Any]
    before: gpd.GeoDataFrame
    after: gpd.GeoDataFrame
    homes: pd.DataFrame
    points: NDArray[np.object_]
    lineage: dict[str, Lineage]
    epsg: int

    def of(self, network: str) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
        """Return the grids of one network before and after."""
        return self.before[self.before["network"] == network], self.after[self.after["network"] == network]


def read_ground(uow: UnitOfWork, redraw_id: str, *, at: datetime | None) -> RedrawGround:
    """Return what a draft would change at ``at``; None means the newest grids, whether in force already or later.

    Raises
    ------
    NotFoundError
        When there is no such redraw (in this scope).
    """
    redraw = uow.redraws.get(redraw_id)
    after = uow.redraws.grids(redraw_id)
    before = _in_force(uow, redraw["networks"], redraw["community_codes"], at)
    shapes = np.concatenate([before.geometry.to_numpy(), after.geometry.to_numpy()])
    if not len(shapes):
        return RedrawGround(redraw, before, after, _no_homes(), shapes, {}, 0)
    epsg = zone_of(shapes)
    if before.empty:
        # nobody's grid changes, so that nobody has to be counted
        return RedrawGround(redraw, before, after, _no_homes(), np.empty(0, dtype=object), {}, epsg)
    homes = _homes(uow, redraw["community_codes"], shapes)
    points = _points(homes, after, epsg)
    people = Homes(points, homes["households"].to_numpy(np.int64), homes["population"].to_numpy(np.int64))
    lineage = {
        network: lineage_of(
            *_grids_of(before, network, epsg), *_grids_of(after, network, epsg), people,
        )
        for network in redraw["networks"]
    }  # fmt: skip
    return RedrawGround(redraw, before, after, pd.DataFrame(homes.drop(columns="geometry")), points, lineage, epsg)


def lineage_frame(lineage: dict[str, Lineage]) -> pd.DataFrame:
    """Return the lineage of all networks as the store keeps it, numbered by relation within each network."""
    names = {
        "kind": "kind", "old_code": "old_code", "new_code": "new_code", "area_m2": "area_m2", "households": "households",
        "population": "population", "old_area_share": "old_area_share", "new_area_share": "new_area_share",
        "old_household_share": "old_household_share", "new_household_share": "new_household_share", "relation_no": "relation",
    }  # fmt: skip
    frames = [
        pd.DataFrame({column: getattr(found, name) for column, name in names.items()}).assign(network=network)
        for network, found in lineage.items()
    ]
    joined = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["network", *names])
    return joined.assign(area_m2=joined["area_m2"].astype(float).round(2))


def _grids_of(frame: gpd.GeoDataFrame, network: str, epsg: int) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return the codes and the metric shapes of one network."""
    own = frame[frame["network"] == network]
    # a draft may hold what crosses itself in metres; the checks say so, and it is measured all the same
    return own["code"].to_numpy(object), shapely.make_valid(to_metric(own.geometry.to_numpy(), epsg))


def _in_force(
    uow: UnitOfWork, networks: Sequence[str], communities: Sequence[str], at: datetime | None
) -> gpd.GeoDataFrame:
    frames = [uow.grids.list(network, at=at, community_codes=communities) for network in networks]
    filled = [frame for frame in frames if len(frame)] or frames[:1]
    return gpd.GeoDataFrame(pd.concat(filled, ignore_index=True), geometry="geometry", crs=frames[0].crs)


def _homes(uow: UnitOfWork, communities: Sequence[str], shapes: NDArray[np.object_]) -> gpd.GeoDataFrame:
    west, south, east, north = shapely.total_bounds(shapes)
    found = uow.residences.list(bbox=(float(west), float(south), float(east), float(north)))
    found = found[found["community_code"].isin(list(communities))]
    return found[["residence_code", "community_code", "households", "population", "geometry"]].reset_index(drop=True)


def _no_homes() -> pd.DataFrame:
    empty = {"residence_code": "str", "community_code": "str", "households": "int64", "population": "int64"}
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in empty.items()})


def _points(homes: gpd.GeoDataFrame, after: gpd.GeoDataFrame, epsg: int) -> NDArray[np.object_]:
    """Return a point inside each residence; of one across the border of its community, on the community's own part."""
    if not len(homes):
        return np.empty(0, dtype=object)
    geometry = homes.geometry.to_numpy()
    points = shapely.point_on_surface(geometry)
    own = after["community_code"].to_numpy(object)
    home, grid = shapely.STRtree(after.geometry.to_numpy()).query(points, predicate="intersects")
    at_home = own[grid] == homes["community_code"].to_numpy(object)[home]
    for lost in np.setdiff1d(np.arange(len(homes)), home[at_home]):
        mine = after.geometry[own == homes["community_code"].iloc[lost]].to_numpy()
        parts = shapely.intersection(mine, geometry[lost])
        if len(parts) and shapely.area(parts).max() > 0:
            points[lost] = shapely.point_on_surface(parts[np.argmax(shapely.area(parts))])
    return to_metric(points, epsg)
