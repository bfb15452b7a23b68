"""Put a draft in force together with everything that must hold at the same instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridsvc.services.shared_borders import share_borders
from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class InForce:
    """What putting a redraw in force changed: stored grids of its communities, and neighbours that gained vertices."""

    retired: int
    inserted: int
    unchanged: int
    neighbours: int


def put_redraw_in_force(
    uow: UnitOfWork, redraw_id: str, *, by: str, at: datetime, decided_at: datetime, checks: Mapping[str, Any]
) -> InForce:
    """Put a draft in force at ``at`` and keep the partition exact across community borders; the caller commits.

    Nobody is asked whether ``by`` may approve it: that is ``services.redraws.approve``.

    Raises
    ------
    ConflictError
        When it is no draft, was made from grids redrawn since, or later grids are in force already.
    PartitionError
        When it overlaps with its neighbours.
    """
    uow.redraws.lock_approvals()
    neighbours = share_borders(uow, redraw_id, at=at)
    retired, inserted, unchanged = uow.redraws.approve(redraw_id, by, decided_at, at, checks)
    return InForce(retired, inserted, unchanged, uow.grids.put_vertices(neighbours, at=at, redraw_id=redraw_id))
