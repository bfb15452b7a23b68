"""Open cases follow the grids.

The rule: a case that is not closed, voided or merged takes the grids at its position that are in force from the instant of a
redraw on; the others, and every report, keep the grids of their own time. Each move is recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from gridsvc.services.locating import NETWORKS, locate_arrays
from gridsvc.store.unit_of_work import UnitOfWork


def move_open_cases(
    uow: UnitOfWork, redraw_id: str, communities: Iterable[str], networks: Iterable[str], *, at: datetime
) -> int:
    """Give the open cases of these communities, opened before ``at``, the grids in force then; return how many moved.

    A second call changes nothing. ``redraw_id`` is whom the record of the moves names.
    """
    cases = uow.case_moves.open_cases(communities, at)
    if cases.empty:
        return 0
    asked = [network for network in NETWORKS if network in set(networks)]
    lon, lat = cases.geometry.x.to_numpy(), cases.geometry.y.to_numpy()
    found = locate_arrays(uow, lon, lat, "cgcs2000", at=at, networks=asked)
    grids = {f"{network}_grid": found[network] for network in asked}
    changed = np.zeros(len(cases), dtype=bool)
    for name, codes in grids.items():
        changed |= np.array([a if isinstance(a, str) else None for a in cases[name]], dtype=object) != codes
    keys = cases[["district_code", "opened_at", "case_id"]].assign(**grids)
    return uow.case_moves.move(keys[changed], redraw_id=redraw_id, moved_at=at)
