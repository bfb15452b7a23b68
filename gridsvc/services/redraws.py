"""Redraws: drafts of grids whose consequences are known before somebody else approves them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import geopandas as gpd

from gridsvc.errors import ConflictError, ForbiddenError, PartitionError, RequestInvalidError
from gridsvc.services.redraw_checks import RedrawChecks, check_ground
from gridsvc.services.redraw_effects import Effects, enact
from gridsvc.services.redraw_force import InForce
from gridsvc.services.redraw_ground import read_ground
from gridsvc.services.redraw_impact import RedrawImpact, impact_of
from gridsvc.store.unit_of_work import UnitOfWork

STATES = ("draft", "approved", "discarded")
_PLAIN = (
    "redraw_id", "division_code", "networks", "community_codes", "state", "origin", "reason", "drafted_by", "drafted_at",
    "decided_by", "decided_at", "in_force_from", "effects_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Approval:
    """What an approval did: the grids that changed, and what followed at once (None when it is in force later)."""

    redraw_id: str
    in_force_from: datetime
    grids: InForce
    effects: Effects | None


@dataclass(frozen=True, slots=True)
class RedrawPage:
    """A page of redraws, newest draft first; ``next_cursor`` is None on the last."""

    redraws: list[dict[str, Any]]
    next_cursor: str | None


def list_redraws(
    uow: UnitOfWork, prefix: str = "", *, state: str | None = None, cursor: str = "", limit: int = 100
) -> RedrawPage:
    """Return the redraws of divisions under ``prefix``, newest draft first, a page at a time.

    Raises
    ------
    RequestInvalidError
        When there is no such state, or the cursor is not one.
    """
    if state is not None and state not in STATES:
        raise RequestInvalidError(f"{state!r} is no state.", hint=f"Use one of: {', '.join(STATES)}.", field="state")
    rows = uow.redraws.page(prefix, state, cursor=cursor, limit=limit + 1)
    more = len(rows) > limit
    rows = rows[:limit]
    next_cursor = uow.redraws.cursor_of(rows[-1]) if more else None
    return RedrawPage([_plain(row) for row in rows], next_cursor)


def is_redrawn_after(uow: UnitOfWork, prefix: str, at: datetime) -> bool:
    """Return whether a redraw of something under ``prefix`` is in force from an instant after ``at``."""
    approved = uow.redraws.list(prefix, state="approved")
    return bool((approved["in_force_from"] > at).any())


def show_redraw(uow: UnitOfWork, redraw_id: str, *, now: datetime) -> dict[str, Any]:
    """Return a redraw with its checks, impact, effects and lineage.

    Of a draft, checks and impact are those of this moment, as if it came in force ``now``. Of an approved one they are those
    it was approved with.

    Raises
    ------
    NotFoundError
        When there is no such redraw (in this scope).
    """
    redraw = uow.redraws.get(redraw_id)
    if redraw["state"] == "draft":
        checks, impact = foresee(uow, redraw_id, at=now)
        more: dict[str, Any] = {"checks": asdict(checks), "impact": asdict(impact), "effects": {}}
        more["lineage"] = more["impact"].pop("lineage")
    else:
        lineage = uow.lineage.of_redraw(redraw_id).drop(columns="redraw_id").to_dict("records")
        more = {name: redraw[name] for name in ("checks", "impact", "effects")} | {"lineage": lineage}
    return _plain(redraw) | more


def head_of(uow: UnitOfWork, redraw_id: str) -> dict[str, Any]:
    """Return what a list shows of one redraw, or raise NotFoundError."""
    return _plain(uow.redraws.get(redraw_id))


def answer_of(approval: Approval) -> dict[str, Any]:
    """Return an approval as plain values."""
    return asdict(approval)


def redraw_grids(uow: UnitOfWork, redraw_id: str) -> gpd.GeoDataFrame:
    """Return the grids of a redraw as drafted, by network and code (EPSG:4490), or raise NotFoundError."""
    return uow.redraws.grids(redraw_id)


def check_redraw(uow: UnitOfWork, redraw_id: str) -> RedrawChecks:
    """Return what is wrong with a draft, against the boundaries and grids newest now."""
    return check_ground(uow, read_ground(uow, redraw_id, at=None))


def foresee(uow: UnitOfWork, redraw_id: str, *, at: datetime) -> tuple[RedrawChecks, RedrawImpact]:
    """Return the checks of a redraw and what it would change if it came in force at ``at``.

    Where a later redraw of the same grids is approved already, the instant of that one counts: nothing may come before it.
    """
    later = uow.redraws.not_before(redraw_id, at)
    instant = at if later is None else later["in_force_from"]
    ground = read_ground(uow, redraw_id, at=instant)
    return check_ground(uow, ground, at=instant), impact_of(uow, ground, at=instant)


def approve_redraw(
    uow: UnitOfWork, redraw_id: str, *, by: str, now: datetime, in_force_from: datetime | None = None
) -> Approval:
    """Put a draft in force, now or later, with everything that follows; the caller commits.

    Parameters
    ----------
    by
        Who approves: somebody else than who drafted it.
    in_force_from
        The instant from which the grids hold; default ``now``.

    Raises
    ------
    ForbiddenError
        When the drafter approves.
    PartitionError
        When a check fails; the first faults are named.
    ConflictError
        When it is no draft any more, was made from grids another redraw has changed since, or would come before a redraw of
        the same grids that is approved already.
    RequestInvalidError
        When the instant has passed.
    """
    at = in_force_from or now
    uow.redraws.lock_approvals()
    uow.redraws.refuse_stale(redraw_id)
    redraw = uow.redraws.get(redraw_id)
    if by == redraw["drafted_by"]:
        raise ForbiddenError(
            f"{by} drafted redraw {redraw_id} and may not approve it.", hint="Another person has to look at it."
        )
    _refuse_instant(uow, redraw_id, at, now)
    checks, impact = foresee(uow, redraw_id, at=at)
    if not checks.passed:
        raise _failed(redraw_id, checks)
    foreseen = _json(asdict(impact))
    foreseen.pop("lineage")
    grids, effects = enact(uow, redraw_id, by=by, at=at, now=now, checks=_json(asdict(checks)), impact=foreseen)
    details = {"division": redraw["division_code"], "networks": redraw["networks"], "in_force_from": at.isoformat()}
    uow.audit.append(by, "redraw.approve", "redraw", str(redraw_id), details | asdict(grids), at=now)
    return Approval(str(redraw_id), at, grids, effects)


def discard_redraw(uow: UnitOfWork, redraw_id: str, *, by: str, now: datetime) -> dict[str, Any]:
    """Give a draft up and return it; the caller commits.

    Grids, assignments and cases are as if it had never been. The record stays, and so do its codes, which are not given again.

    Raises
    ------
    ConflictError
        When it is not a draft any more.
    """
    uow.redraws.discard(redraw_id, by, now)
    redraw = _plain(uow.redraws.get(redraw_id))
    uow.audit.append(by, "redraw.discard", "redraw", str(redraw_id), {"division": redraw["division_code"]}, at=now)
    return redraw


def _refuse_instant(uow: UnitOfWork, redraw_id: str, at: datetime, now: datetime) -> None:
    if at < now:
        raise RequestInvalidError(
            f"{at.isoformat()} has passed; grids of the past are not changed.",
            hint="Give a later instant, or none for now.",
            field="in_force_from",
        )
    later = uow.redraws.not_before(redraw_id, at)
    if later is not None:
        raise ConflictError(
            f"Redraw {later['redraw_id']} of the same grids comes in force at {later['in_force_from'].isoformat()},"
            f" not before {at.isoformat()}.",
            hint="Put this one in force at a later instant.",
            other_redraw_id=str(later["redraw_id"]),
        )


def _failed(redraw_id: str, checks: RedrawChecks) -> PartitionError:
    shown = " ".join(fault.message for fault in checks.faults[:3])
    more = f" And {len(checks.faults) - 3} more." if len(checks.faults) > 3 else ""
    return PartitionError(
        f"Redraw {redraw_id} does not pass its checks. {shown}{more}",
        hint=f"All of them: gridsvc redraw check {redraw_id}.",
        faults=[asdict(fault) for fault in checks.faults[:100]],
    )


def _plain(redraw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a list shows of a redraw."""
    return {name: str(redraw[name]) if name == "redraw_id" else redraw[name] for name in _PLAIN}


def _json(value: Any) -> Any:
    """Return ``value`` as JSON holds it: tuples as lists, instants as text."""
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
