"""Reading reports back: one with its updates, pages of them, and what is held of a device."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.services.outside_grids import Outside, outside_distances
from gridsvc.store.reports import Position
from gridsvc.store.unit_of_work import UnitOfWork

NETWORKS = ("urban", "social", "security", "unified")
_POSTED = ("original_lon", "original_lat", "original_datum", "accuracy_m", "altitude_m", "heading_deg", "address")
_KEPT = (
    "case_code", "received_at", "edition", "category_code", "network", "lon", "lat", "district_code", "community_code",
)  # fmt: skip
_CURSOR = re.compile(r"(?P<instant>\d{8}T\d{6}\.\d{6}Z)_(?P<id>[0-9a-f-]{36})")
_CURSOR_INSTANT = "%Y%m%dT%H%M%S.%fZ"
_SINCE = re.compile(r"(?P<history>[0-9a-f]{1,40})\.(?P<order>\d{1,18})\.(?P<id>[0-9a-f-]{36})")


@dataclass(frozen=True, slots=True)
class ReportPage:
    """One page of reports, newest first; ``next_cursor`` is None on the last."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class HeldReports:
    """What is held of a caller: items in the order they were committed, where to go on, and whether there is more now."""

    items: list[dict[str, Any]]
    next_cursor: str
    more: bool


def receipt_of(stored: dict[str, Any], outside_m: Outside) -> dict[str, Any]:
    """Return the receipt of a stored report: what the server holds of it, where it was put, and how far outside of its grids it lies."""
    return {
        "report_id": str(stored["report_id"]),
        "content_sha256": stored["content_sha256"],
        "occurred_at": stored["reported_at"],
        **{name: stored[name] for name in _KEPT},
        "grids": {name: stored[f"{name}_grid"] for name in NETWORKS},
        "outside_m": outside_m,
    }


def get_report(uow: UnitOfWork, report_id: UUID) -> dict[str, Any]:
    """Return a stored report: its receipt, what was posted, and its updates, without reporter and device.

    Raises
    ------
    NotFoundError
        When there is none (in this scope).
    """
    stored = uow.reports.get(str(report_id))
    if stored is None:
        raise NotFoundError(f"There is no report {report_id}.", hint="Check the id and your scope.")
    (outside_m,) = outside_distances(uow, [stored])
    return _report_of(stored, outside_m) | {"updates": uow.report_updates.of_report(str(report_id), _place_of(stored))}


def list_reports(
    uow: UnitOfWork, *, cursor: str = "", limit: int = 100, unlocated: bool = False, **filters: Any
) -> ReportPage:
    """Return a page of reports, newest first.

    Parameters
    ----------
    cursor
        ``next_cursor`` of the page before.
    unlocated
        Only those in no grid of any network, those with an address and no position included.
    filters
        prefix, since, until, network, grid_code, category_code, as for `store.reports.ReportRepository.page`.
    """
    before = _position_of(cursor) if cursor else None
    rows = uow.reports.page(before=before, limit=limit + 1, unlocated=unlocated, **filters)
    last = rows[limit - 1] if len(rows) > limit else None
    following = None if last is None else f"{last['reported_at'].astimezone(UTC):{_CURSOR_INSTANT}}_{last['report_id']}"
    shown = rows[:limit]
    outside = outside_distances(uow, shown)
    return ReportPage([_report_of(row, outside_m) for row, outside_m in zip(shown, outside, strict=True)], following)


def held_reports(
    uow: UnitOfWork, login: str, *, since: str = "", device: str | None = None, limit: int = 100
) -> HeldReports:
    """Return which reports posted by ``login`` are held, after a cursor, in an order that later commits cannot change.

    Parameters
    ----------
    since
        ``next_cursor`` of an earlier call; "" begins. One of another history of the database (it was restored from a backup)
        begins again, since what was held then may not be held now.
    device
        Only what was posted with this device.

    Raises
    ------
    RequestInvalidError
        When ``since`` is no cursor of this list.
    """
    history = uow.receipts.history()
    after = _after(since, history)
    rows = uow.receipts.held(login, device=device, after=after, limit=limit + 1)
    items = rows[:limit]
    order, last_id = (items[-1]["commit_order"], items[-1]["report_id"]) if items else after
    ids = [row["report_id"] for row in items]
    updates, photos = uow.report_updates.ids_of(ids, login), uow.photos.sha256_by_report(ids)
    shown = [
        {
            "report_id": row["report_id"],
            "content_sha256": row["content_sha256"],
            "received_at": row["received_at"],
            "photos": photos.get(row["report_id"], []),
            "updates": updates.get(row["report_id"], []),
        }
        for row in items
    ]
    return HeldReports(shown, f"{history}.{order}.{last_id}", len(rows) > limit)


def _after(since: str, history: str) -> tuple[int, str]:
    beginning = (0, str(UUID(int=0)))
    if not since:
        return beginning
    match = _SINCE.fullmatch(since)
    if match is None:
        raise RequestInvalidError(
            f"{since!r} is no cursor of this list.",
            hint="Give next_cursor of an earlier answer, or leave since out to begin.",
            errors=[{"field": "since", "code": "cursor-malformed", "message": "not a next_cursor of this list"}],
        )
    return (int(match["order"]), _uuid_text(match["id"], "since")) if match["history"] == history else beginning


def _position_of(cursor: str) -> Position:
    match = _CURSOR.fullmatch(cursor)
    try:
        instant = datetime.strptime(match["instant"], _CURSOR_INSTANT).replace(tzinfo=UTC) if match else None
    except ValueError:
        instant = None
    if match is None or instant is None:
        raise RequestInvalidError(
            f"{cursor!r} is no cursor of this list.",
            hint="Give next_cursor of the page before.",
            errors=[{"field": "cursor", "code": "cursor-malformed", "message": "not a next_cursor of this list"}],
        )
    return instant, _uuid_text(match["id"], "cursor")


def _uuid_text(text: str, field: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise RequestInvalidError(
            f"{text!r} in {field} is no id.",
            hint="Give next_cursor as it came.",
            errors=[{"field": field, "code": "cursor-malformed", "message": "not a next_cursor of this list"}],
        ) from None


def _report_of(stored: dict[str, Any], outside_m: Outside) -> dict[str, Any]:
    posted = {name: stored[name] for name in (*_POSTED, "description", "source")}
    return receipt_of(stored, outside_m) | {"stage": stored["stage"]} | posted


def _place_of(stored: dict[str, Any]) -> str | None:
    return stored["community_code"] or stored["district_code"]
