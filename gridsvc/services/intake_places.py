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

from gridsvc.services.grid_lookup import NETWORKS, PlaceIndex, find_places, held_indexes, last_version, place_index
from gridsvc.store.unit_of_work import UnitOfWork

LAYERS = (*NETWORKS, "community", "district")


@dataclass(frozen=True, slots=True)
class PlacesToConfirm:
    """Codes of points in their order, None where there is none; of the grids and divisions of ``version``."""

    version: str
    district: NDArray[np.object_]
    community: NDArray[np.object_]
    grids: dict[str, NDArray[np.object_]]


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

    Whatever the scope: codes outside it are not left out.

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
        return PlacesToConfirm(found.version, found.district, found.community, dict(found.grids))
    codes = _codes(indexes, lon, lat)
    return PlacesToConfirm(version, codes["district"], codes["community"], {name: codes[name] for name in NETWORKS})


def _codes(indexes: Sequence[PlaceIndex], lon: Sequence[float], lat: Sequence[float]) -> dict[str, NDArray[np.object_]]:
    """Return for each layer the codes of points, each looked up in its own index."""
    x, y = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    distinct = {id(each): each for each in indexes}.values()
    if len(distinct) == 1:
        return indexes[0].codes(x, y, LAYERS)
    codes = {layer: np.full(len(x), None, dtype=object) for layer in LAYERS}
    for index in distinct:
        here = np.array([each is index for each in indexes])
        for layer, found in index.codes(x[here], y[here], LAYERS).items():
            codes[layer][here] = found
    return codes
