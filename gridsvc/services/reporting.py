"""Taking in reports: check them, locate them in every network, store each once, and give a receipt.

A report is immutable and carries a UUID made by its client, so that a retry is recognised whatever happened to the first
answer. Its grids are derived from its place and its own time, never taken from the client. A report with an address and no
position is stored as well, and waits for its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gridsvc.errors import (
    CategoryUnknownError,
    ConflictError,
    ForbiddenError,
    GridsvcError,
    OutsideCoverageError,
    RequestInvalidError,
)
from gridsvc.geo.datums import STORAGE_DECIMALS, check_lonlat, convert, parse_datum
from gridsvc.services.report_reading import NETWORKS, receipt_of
from gridsvc.store.report_intake import Poster, Taken
from gridsvc.store.unit_of_work import UnitOfWork

__all__ = ["NewReport", "Outcome", "Poster", "content_sha256", "submit_report", "submit_reports"]

# clocks of phones go wrong by minutes; a report from further ahead has a wrong date
FUTURE_TOLERANCE = timedelta(minutes=10)
# older ones are history, which `gridsvc import reports` takes; also keeps clients from making partitions at will
OLDEST = timedelta(days=731)
# came after the first reports were stored: left out of the hash where they say nothing, so that a retry stays a retry
_LATER_FIELDS = ("altitude_m", "heading_deg", "address")


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report as posted: lon, lat in degrees of ``datum``, or an ``address``, or both. ``occurred_at`` is aware.

    ``accuracy_m`` and ``altitude_m`` in metres, ``heading_deg`` in degrees clockwise from north. ``edition`` None means the
    one in force, ``network`` None that of the category.
    """

    report_id: UUID
    occurred_at: datetime
    lon: float | None
    lat: float | None
    datum: str | None
    category_code: str
    accuracy_m: float | None = None
    edition: str | None = None
    network: str | None = None
    description: str = ""
    source: str = "field_app"
    reporter: str | None = None
    device: str | None = None
    altitude_m: float | None = None
    heading_deg: float | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one report: its receipt and whether it was new, or why it was refused (then nothing is stored of it)."""

    receipt: dict[str, Any] | None = None
    created: bool = False
    refusal: GridsvcError | None = None


def content_sha256(report: NewReport) -> bytes:
    """Return the hash that tells a retry from another report with the same id.

    Taken over the meaning, not the bytes sent: order of keys, white space and the way an instant's offset is written do
    not matter.
    """
    content = asdict(report)
    for name in _LATER_FIELDS:
        if content[name] is None:
            del content[name]
    content["occurred_at"] = report.occurred_at.astimezone(UTC).isoformat()
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def submit_report(
    uow: UnitOfWork, report: NewReport, *, received_at: datetime, poster: Poster
) -> tuple[dict[str, Any], bool]:
    """Store a report and commit; return its receipt, and whether it was new. As `submit_reports` with one, but raises.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When the position is not one.
    OutsideCoverageError
        When it lies in no district held here, at the report's time and in this scope.
    CategoryUnknownError
        When the edition has no such category.
    RequestInvalidError
        When the time is not plausible, or the network is not that of the category.
    ConflictError
        When the id was used before for other content.
    """
    (outcome,) = submit_reports(uow, [report], received_at=received_at, poster=poster)
    if outcome.refusal is not None:
        raise outcome.refusal
    assert outcome.receipt is not None
    return outcome.receipt, outcome.created


def submit_reports(
    uow: UnitOfWork, reports: Sequence[NewReport], *, received_at: datetime, poster: Poster
) -> list[Outcome]:
    """Store reports and commit; return what became of each, in order. One that is refused does not stop the others.

    When this returns, every report with a receipt survives a crash of any process. The same report again, in this call or
    another, gives the same receipt and ``created`` False.

    Raises
    ------
    UnauthenticatedError
        When the poster's token does not stand for them any more; nothing is stored.
    """
    drafts = [_Draft.of(report, received_at) for report in reports]
    first_of: dict[str, int] = {}
    for place, draft in enumerate(drafts):
        if draft.refusal is None:
            first_of.setdefault(draft.report_id, place)
    first = [drafts[place] for place in first_of.values()]
    _locate(uow, first, received_at)
    sound = [draft for draft in first if draft.refusal is None]
    if sound:
        taken = uow.intake.take([draft.row for draft in sound], poster=poster, at=received_at)
        uow.commit()
        _settle(uow, sound, taken, received_at)
    return [draft.outcome(drafts[first_of.get(draft.report_id, place)]) for place, draft in enumerate(drafts)]


@dataclass(slots=True)
class _Draft:
    """One report on its way: the row to be stored, then its receipt or its refusal."""

    report: NewReport
    report_id: str
    sha256: bytes
    row: dict[str, Any]
    receipt: dict[str, Any] | None = None
    created: bool = False
    refusal: GridsvcError | None = None

    @classmethod
    def of(cls, report: NewReport, received_at: datetime) -> _Draft:
        sha256 = content_sha256(report)
        row = {
            "report_id": str(report.report_id),
            "reported_at": report.occurred_at,
            "edition": report.edition,
            "category_code": report.category_code,
            "network": report.network,
            "source": report.source,
            "description": report.description,
            "reporter": report.reporter,
            "device": report.device,
            "address": report.address,
            "content_sha256": sha256.hex(),
        }
        draft = cls(report, row["report_id"], sha256, row)
        try:
            check_time(report.occurred_at, received_at)
            if report.lon is not None:
                draft._put_position(report)
        except GridsvcError as refusal:
            draft.refusal = refusal
        return draft

    def _put_position(self, report: NewReport) -> None:
        datum = parse_datum(report.datum)
        check_lonlat(report.lon, report.lat)
        lon, lat = (round(float(v), STORAGE_DECIMALS) for v in convert(report.lon, report.lat, datum, "cgcs2000"))
        self.row |= {
            "original_lon": report.lon,
            "original_lat": report.lat,
            "original_datum": datum,
            "accuracy_m": report.accuracy_m,
            "altitude_m": report.altitude_m,
            "heading_deg": report.heading_deg,
            "lon": lon,
            "lat": lat,
        }

    def outcome(self, first: _Draft) -> Outcome:
        """Return what became of this report, where ``first`` is the first with its id in the same call."""
        if self.refusal is not None or first is self:
            return Outcome(self.receipt, self.created, self.refusal)
        if first.sha256 != self.sha256:
            return Outcome(refusal=_other_content(self.report_id))
        return Outcome(first.receipt, False, first.refusal)


def _locate(uow: UnitOfWork, drafts: Sequence[_Draft], received_at: datetime) -> None:
    """Put district, community and grids into the rows with a position; refuse those in no district or outside the scope."""
    for draft in drafts:
        row = draft.row
        if draft.refusal is not None or "lon" not in row:
            continue
        occurred_at = draft.report.occurred_at
        district = uow.divisions.district_at(row["lon"], row["lat"], occurred_at)
        if district is None:
            draft.refusal = OutsideCoverageError(
                f"The position ({draft.report.lon:.6g}, {draft.report.lat:.6g}) in {row['original_datum']} lies in no"
                " district held here.",
                hint="Check the datum and the order of lon and lat.",
                lon=draft.report.lon,
                lat=draft.report.lat,
            )
            continue
        found = uow.grids.locate_one(row["lon"], row["lat"], occurred_at)
        place = found["community"] or district
        if not place.startswith(uow.scope):
            draft.refusal = ForbiddenError(
                f"The position lies in {place}, outside your area ({uow.scope}).",
                hint="Post it as somebody whose area it is.",
                scope=uow.scope,
            )
            continue
        row |= {"district_code": district, "community_code": found["community"], "located_at": received_at}
        row |= {f"{network}_grid": found[network] for network in NETWORKS}


def _settle(uow: UnitOfWork, drafts: Sequence[_Draft], taken: Sequence[Taken], received_at: datetime) -> None:
    """Give each draft its receipt or its refusal, from what the store says became of it."""
    known: list[_Draft] = []
    for draft, became in zip(drafts, taken, strict=True):
        if became.outcome == "created":
            draft.created = True
            draft.receipt = _first_receipt(draft, became, received_at)
        elif became.outcome == "known":
            known.append(draft)
        else:
            draft.refusal = _category_refusal(draft.report, became)
    if known:
        _answer_known(uow, known)


def _first_receipt(draft: _Draft, became: Taken, received_at: datetime) -> dict[str, Any]:
    stored = (
        dict.fromkeys(("lon", "lat", "district_code", "community_code", *(f"{n}_grid" for n in NETWORKS))) | draft.row
    )
    return receipt_of(
        stored
        | {
            "reported_at": draft.report.occurred_at,
            "received_at": received_at,
            "edition": became.edition,
            "network": became.network,
            "case_code": became.case_code,
        }
    )


def _answer_known(uow: UnitOfWork, drafts: Sequence[_Draft]) -> None:
    """Give reports that were received before the receipt of then, or refuse them for other content."""
    ids = [draft.report_id for draft in drafts]
    hashes = uow.intake.received(ids)
    stored = uow.reports.get_many([draft.report_id for draft in drafts if hashes.get(draft.report_id) == draft.sha256])
    for draft in drafts:
        if hashes.get(draft.report_id) != draft.sha256:
            draft.refusal = _other_content(draft.report_id)
        elif draft.report_id not in stored:
            draft.refusal = ConflictError(
                f"Report {draft.report_id} belongs to another area.",
                hint="Check the id and your scope.",
                report_id=draft.report_id,
            )
        else:
            draft.receipt = receipt_of(stored[draft.report_id])


def _other_content(report_id: str) -> ConflictError:
    return ConflictError(
        f"Report {report_id} was received before with other content.",
        hint="Use a new id for a new report.",
        report_id=report_id,
    )


def check_time(occurred_at: datetime, received_at: datetime) -> None:
    """Raise RequestInvalidError when an instant told at ``received_at`` lies in the future, or too long ago."""
    if occurred_at > received_at + FUTURE_TOLERANCE:
        code, message = "future", f"occurred_at {occurred_at.isoformat()} is in the future"
    elif occurred_at < received_at - OLDEST:
        code, message = "too-old", f"occurred_at {occurred_at.isoformat()} is more than {OLDEST.days} days ago"
    else:
        return
    raise RequestInvalidError(
        f"{message[0].upper()}{message[1:]}.",
        hint="Check the clock of the device. History is taken in with `gridsvc import reports`.",
        errors=[{"field": "occurred_at", "code": code, "message": message}],
    )


def _category_refusal(report: NewReport, became: Taken) -> GridsvcError:
    if became.outcome == "category-unknown":
        return CategoryUnknownError(
            f"The edition {became.edition} has no category {report.category_code!r}.",
            hint="See /api/v1/categories.",
            field="category_code",
            category_code=report.category_code,
            edition=became.edition,
        )
    message = f"category {report.category_code} belongs to the network {became.network}, not {report.network}"
    return RequestInvalidError(
        f"{message[0].upper()}{message[1:]}.",
        hint="Leave network out; it follows from the category.",
        errors=[{"field": "network", "code": "not-of-category", "message": message}],
    )
