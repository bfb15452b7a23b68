"""Put a draft in force together with what must hold at the same instant: its neighbours' vertices and the lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridsvc.services.event_stream import announce_redraw
from gridsvc.services.redraw_ground import lineage_frame, read_ground
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
    uow: UnitOfWork,
    redraw_id: str,
    *,
    by: str,
    at: datetime,
    decided_at: datetime,
    checks: Mapping[str, Any],
    impact: Mapping[str, Any] | None = None,
    has_effects: bool = False,
) -> InForce:
    """Put a draft in force at ``at`` and keep the partition exact across community borders; the caller commits.

    Nobody is asked whether ``by`` may approve it: that is `services.redraws.approve`. Cases and assignments do not follow:
    that is `services.redraw_effects`, which ``has_effects`` leaves it pending for.

    Raises
    ------
    ConflictError
        When it is no draft, was made from grids redrawn since, or later grids are in force already.
    PartitionError
        When it overlaps with its neighbours.
    """
    uow.redraws.lock_approvals()
    uow.redraws.refuse_stale(redraw_id)
    neighbours = share_borders(uow, redraw_id, at=at)
    ground = read_ground(uow, redraw_id, at=at)
    retired, inserted, unchanged = uow.redraws.approve(
        redraw_id, by, decided_at, at, checks, impact=impact, has_effects=has_effects
    )
    uow.lineage.put(redraw_id, lineage_frame(ground.lineage))
    renewed = uow.grids.put_vertices(neighbours, at=at, redraw_id=redraw_id)
    if not has_effects:
        announce_redraw(uow, redraw_id)
    return InForce(retired, inserted, unchanged, renewed)
