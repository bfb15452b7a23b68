"""What follows a redraw at its instant of force: open cases, assignments, the unified net. Done once, all or nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from gridsvc.errors import GridsvcError
from gridsvc.services.event_stream import announce_redraw
from gridsvc.services.merging import UNIFIED, merge
from gridsvc.services.moving_cases import move_open_cases
from gridsvc.services.redraw_force import InForce, put_redraw_in_force
from gridsvc.services.redraw_ground import RedrawGround, read_ground
from gridsvc.services.redraw_impact import INSTANT
from gridsvc.services.redraw_staffing import NETWORK as STAFFED
from gridsvc.services.redraw_staffing import plan_staffing
from gridsvc.services.relocating import relocate_at_once
from gridsvc.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Effects:
    """What one redraw brought about at its instant of force.

    ``inherited`` counts governance grids that went to the worker of a predecessor, ``newly_staffed`` those somebody else was found
    for; ``unstaffed`` lists those nobody answers for, with the reason. ``merged`` is the redraw of the unified net, None where
    there is none to rebuild. ``failed`` says why it could not be done, "" when it was.
    """

    redraw_id: str
    in_force_from: datetime
    cases_moved: int = 0
    reports_located: int = 0
    inherited: int = 0
    newly_staffed: int = 0
    unstaffed: tuple[dict[str, Any], ...] = ()
    merged: str | None = None
    failed: str = ""


def enact(
    uow: UnitOfWork,
    redraw_id: str,
    *,
    by: str,
    at: datetime,
    now: datetime,
    checks: Mapping[str, Any],
    impact: Mapping[str, Any] | None = None,
    locate: bool = True,
) -> tuple[InForce, Effects | None]:
    """Put a draft in force at ``at``; when that instant has come by ``now``, with all that follows. The caller commits.

    Returns
    -------
    in_force, effects
        ``effects`` is None for a redraw in force later: `settle` does it then.

    Raises
    ------
    ConflictError, PartitionError
        As `put_redraw_in_force`; nothing is changed then.
    """
    wide = uow.everywhere()
    done = put_redraw_in_force(
        wide, redraw_id, by=by, at=at, decided_at=now, checks=checks, impact=impact, has_effects=True
    )
    taken = take_effect(uow, now, actor=by, locate=locate) if at <= now else []
    return done, next((effects for effects in taken if effects.redraw_id == redraw_id), None)


def take_effect(uow: UnitOfWork, now: datetime, *, actor: str = "gridsvc", locate: bool = True) -> list[Effects]:
    """Bring about what follows every approved redraw whose instant has come by ``now``, or nothing at all.

    A redraw takes effect once, in the order of the instants. Whatever the scope of the caller, since neighbours and their
    workers may be concerned. The caller commits.

    Parameters
    ----------
    locate
        Locate again the reports made since the instant of force, too; what is more than a few thousand waits for
        `services.relocating.relocate`.
    """
    wide = uow.everywhere()
    wide.redraws.lock_approvals()
    return [_follow(wide, redraw, now, actor, locate) for redraw in wide.redraws.pending(now)]


def settle(uow: UnitOfWork, now: datetime, *, actor: str = "gridsvc settle") -> list[Effects]:
    """Do `take_effect` for each redraw by itself: one that cannot be followed is recorded with its reason and stops no other.

    Safe to call at any time and from several programs at once. The caller commits.
    """
    wide = uow.everywhere()
    if not wide.redraws.has_pending(now):
        return []
    wide.redraws.lock_approvals()
    done = []
    for redraw in wide.redraws.pending(now):
        try:
            with wide.save_point() as part:
                done.append(_follow(part, redraw, now, actor, locate=True))
                part.commit()
        except GridsvcError as refused:
            logger.error("redraw %s could not take effect: %s", redraw["redraw_id"], refused)
            failed = Effects(str(redraw["redraw_id"]), redraw["in_force_from"], failed=str(refused))
            _record(wide, failed, now, actor)
            done.append(failed)
    return done


def _follow(uow: UnitOfWork, redraw: dict[str, Any], now: datetime, actor: str, locate: bool) -> Effects:
    at, redraw_id, communities = redraw["in_force_from"], str(redraw["redraw_id"]), redraw["community_codes"]
    ground = read_ground(uow, redraw_id, at=at - INSTANT)
    merged = _merge_again(uow, redraw, at, actor)
    located = relocate_at_once(uow, str(redraw["division_code"])).reports_moved if locate else 0
    moved = move_open_cases(uow, redraw_id, communities, redraw["networks"], at=at)
    inherited, found, unstaffed = _staff(uow, ground, at)
    effects = Effects(redraw_id, at, moved, located, inherited, found, unstaffed, merged)
    announce_redraw(uow, redraw_id)
    _record(uow, effects, now, actor)
    return effects


def _record(uow: UnitOfWork, effects: Effects, now: datetime, actor: str) -> None:
    kept = {name: value for name, value in asdict(effects).items() if name not in ("redraw_id", "in_force_from")}
    uow.redraws.put_effects(effects.redraw_id, kept, now)
    uow.audit.append(actor, "redraw.effect", "redraw", effects.redraw_id, kept, at=now)
    logger.info("redraw %s took effect: %d cases moved", effects.redraw_id, effects.cases_moved)


def _merge_again(uow: UnitOfWork, redraw: dict[str, Any], at: datetime, actor: str) -> str | None:
    """Rebuild the unified net of the communities that have one; return the redraw that did, None where nothing changed."""
    if UNIFIED in redraw["networks"]:
        return None
    unified = uow.grids.list(UNIFIED, at=at, community_codes=redraw["community_codes"])
    communities = sorted(set(unified["community_code"]))
    if not communities:
        return None
    return merge(uow, str(redraw["division_code"]), at=at, actor=actor, communities=communities).redraw


def _staff(uow: UnitOfWork, ground: RedrawGround, at: datetime) -> tuple[int, int, tuple[dict[str, Any], ...]]:
    if STAFFED not in ground.redraw["networks"]:
        return 0, 0, ()
    # whoever was put on a grid between approval and the instant of force leaves it now
    uow.assignments.end_orphaned(STAFFED, ground.redraw["community_codes"], at)
    plan = plan_staffing(uow, ground, before=at - INSTANT, at=at)
    uow.assignments.add_frame(plan.rows, network=STAFFED, at=at)
    return len(plan.inherited), len(plan.found), tuple(asdict(row) for row in plan.unstaffed)
