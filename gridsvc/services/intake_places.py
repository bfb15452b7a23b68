"""Where reports are that are just being taken in: from the index this process holds, without asking the database.

The answer names the version of the grids it is of. Who stores it confirms in the same transaction that this is still the
version, and asks again where it is not (`sql/take_reports.sql`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from gridsvc.services.grid_lookup import NETWORKS, find_places, held_indexes, last_version, place_index
from gridsvc.services.outside_grids import Outside, told_distances
from gridsvc.services.place_index import Codes, Floats, Found, PlaceIndex
from gridsvc.store.unit_of_work import UnitOfWork

LAYERS = (*NETWORKS, "community", "district")


@dataclass(frozen=True, slots=True)
class PlacesToConfirm:
    """Codes of points in their order, None where there is none; of the grids and divisions of ``version``.

    ``distance_m``: by network, how far outside of the grid named, as in `grid_lookup.Places`; None where every grid named holds its
    point. Unit: m.
    """

    version: str
    district: NDArray[np.object_]
    community: NDArray[np.object_]
    grids: dict[str, NDArray[np.object_]]
    distance_m: dict[str, NDArray[np.float64]] | None

    def outside_m(self, place: int) -> Outside:
        """Return by network how far outside of its grid a point is, 0 in it, None without a grid. Unit: m."""
        if self.distance_m is not None:
            return told_distances(self.distance_m, place)
        return {network: None if codes[place] is None else 0.0 for network, codes in self.grids.items()}


def places_to_confirm(
    uow: UnitOfWork,
    lon: Sequence[float],
    lat: Sequence[float],
    at: Sequence[datetime],
    *,
    now: datetime,
    is_stale: bool,
) -> PlacesToConfirm:
    """Return where points are, each at its own instant, by the version of the grids this process knows.

    Whatever the scope: codes outside it are not left out. A point that no grid holds gets the nearest one, by the rule of
    `find_places`.

    Parameters
    ----------
    lon, lat
        CRS: EPSG:4490, degrees, rounded as stored.
    now
        The index of this instant is built where none is held; instants before a change of grids are looked up.
    is_stale
        The version known was found to be old: learn the present one first.
    """
    version = last_version()
    if is_stale or version is None or held_indexes(version, [now])[0] is None:
        place_index(uow, now)
        version = last_version()
    assert version is not None
    indexes = [index for index in held_indexes(version, at) if index is not None]
    if len(indexes) < len(at):
        found = find_places(uow.everywhere(), lon, lat, at, hold=True)
        return PlacesToConfirm(found.version, found.district, found.community, found.grids, found.distance_m)
    codes, distance_m = _find(indexes, lon, lat, uow.nearest_within_m)
    grids = {network: codes[network] for network in NETWORKS}
    return PlacesToConfirm(version, codes["district"], codes["community"], grids, distance_m)


def _find(
    indexes: Sequence[PlaceIndex], lon: Sequence[float], lat: Sequence[float], within_m: float
) -> tuple[dict[str, Codes], dict[str, Floats] | None]:
    """Return where points are, each looked up in its own index, and how far outside of their grids if any is outside of one."""
    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    distinct = {id(each): each for each in indexes}.values()
    if len(distinct) == 1:
        index = indexes[0]
        codes = index.codes(x, y, LAYERS)
        # nearly all are in a grid of every network that has any: nothing more is asked for those
        if within_m <= 0 or not any(len(index.layers[name]) and None in codes[name].tolist() for name in NETWORKS):
            return codes, None
        found = index.find(x, y, LAYERS, within_m)
        return found.codes, found.distance_m
    answer = Found.nowhere(len(x), LAYERS)
    for index in distinct:
        here = np.flatnonzero([each is index for each in indexes])
        answer.put(here, index.find(x[here], y[here], LAYERS, within_m))
    return answer.codes, answer.distance_m
