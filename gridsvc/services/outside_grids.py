"""How far outside of its grids a stored report lies: it may have the nearest one where none holds it.

The distance follows from the report's place and the grid of its time, so it is not stored and cannot go stale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridsvc.geo.location import GridIndex
from gridsvc.services.place_index import NETWORKS
from gridsvc.store.unit_of_work import UnitOfWork

_DECIMALS = 3

Outside = dict[str, float | None]


def outside_distances(uow: UnitOfWork, stored: Sequence[Mapping[str, Any]]) -> list[Outside]:
    """Return for each report by network how far outside of its grid it lies, 0 in it, None without a grid. Unit: m.

    Parameters
    ----------
    stored
        Reports as `store.reports.ReportRepository.get` returns them.
    """
    named = [
        (place, network, row[f"{network}_grid"], row["reported_at"], row["lon"], row["lat"])
        for place, row in enumerate(stored)
        for network in NETWORKS
        if row[f"{network}_grid"] is not None
    ]
    answer: list[Outside] = [dict.fromkeys(NETWORKS) for _ in stored]
    for place, network, *_ in named:
        answer[place][network] = 0.0
    others = uow.grids.not_holding(named) if named else []
    for (place, network, *_, lon, lat), shape in ((named[number], shape) for number, shape in others):
        if shape is not None:
            rows = np.zeros(1, dtype=np.int32)
            far = GridIndex([""], [shape]).border_distances_m(np.array([lon]), np.array([lat]), rows)
            answer[place][network] = round(float(far[0]), _DECIMALS)
        else:
            # located by the grids of another time: nothing is known of it
            answer[place][network] = None
    return answer


def told_distances(distance_m: Mapping[str, NDArray[np.float64]], place: int) -> Outside:
    """Return the same of one point that was just located."""
    found = {network: float(distances[place]) for network, distances in distance_m.items()}
    return {network: None if far != far else round(far, _DECIMALS) for network, far in found.items()}
