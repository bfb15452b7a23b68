"""Taking in what is told of a report later. Networks reorder: an update that overtakes its report waits for it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from gridsvc.errors import ConflictError, ForbiddenError
from gridsvc.services.event_stream import announce_update
from gridsvc.services.reporting import check_time
from gridsvc.store.report_intake import Poster
from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class NewUpdate:
    """An update as posted. ``occurred_at`` is aware."""

    update_id: UUID
    report_id: UUID
    occurred_at: datetime
    description: str
    reporter: str | None = None
    device: str | None = None


def update_sha256(update: NewUpdate) -> bytes:
    """Return the hash that tells a retry from another update with the same id; taken over the meaning, as for reports."""
    content = asdict(update) | {"occurred_at": update.occurred_at.astimezone(UTC).isoformat()}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8")).digest()


def submit_update(
    uow: UnitOfWork, update: NewUpdate, *, received_at: datetime, poster: Poster
) -> tuple[dict[str, Any], bool]:
    """Store an update and commit; return its receipt, and whether it was new.

    The receipt's ``state`` is ``joined`` when the report is there, ``held`` while it has not come.

    Raises
    ------
    ConflictError
        When the update's id was used before for other content.
    ForbiddenError
        When the report is outside the scope.
    RequestInvalidError
        When the time is not plausible.
    """
    check_time(update.occurred_at, received_at)
    report_id, sha256 = str(update.report_id), update_sha256(update)
    is_there = bool(uow.intake.received([report_id]))
    if is_there and uow.reports.get(report_id) is None:
        raise ForbiddenError(f"Report {report_id} is outside your area.", report_id=report_id)
    row = asdict(update) | {"posted_by": poster.login, "content_sha256": sha256, "received_at": received_at}
    created = uow.report_updates.add(row | {"update_id": str(update.update_id), "report_id": report_id})
    if created:
        announce_update(uow, report_id, str(update.update_id), update.occurred_at)
    uow.commit()
    if not created:
        received_at = _first_received_at(uow, update, sha256)
    receipt = {
        "update_id": str(update.update_id),
        "report_id": report_id,
        "content_sha256": sha256.hex(),
        "received_at": received_at,
        "state": "joined" if is_there else "held",
    }
    return receipt, created


def _first_received_at(uow: UnitOfWork, update: NewUpdate, sha256: bytes) -> datetime:
    first = uow.report_updates.received(str(update.update_id))
    if first is None or first[0] != sha256:
        raise ConflictError(
            f"Update {update.update_id} was received before with other content.",
            hint="Use a new id for a new update.",
            update_id=str(update.update_id),
        )
    return first[1]
