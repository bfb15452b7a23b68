"""Taking in reports: check them, locate them in every network, store each once, and give a receipt.

A report is immutable and carries a UUID made by its client, so that a retry is recognised whatever happened to the first
answer. Its grids are derived from its place and its own time, never taken from the client. A report with an address and no
position is stored as well, and waits for its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gridsvc.errors import (
    CategoryUnknownError,
    ConflictError,
    DatabaseUnavailableError,
    ForbiddenError,
    GridsvcError,
    OutsideCoverageError,
    RequestInvalidError,
    UnauthenticatedError,
)
from gridsvc.geo.datums import STORAGE_DECIMALS, check_lonlat, convert, parse_datum
from gridsvc.services.grid_lookup import is_current
from gridsvc.services.intake_places import places_to_confirm
from gridsvc.services.outside_grids import Outside, outside_distances
from gridsvc.services.report_reading import NETWORKS, receipt_of
from gridsvc.store.report_intake import Poster, Taken
from gridsvc.store.unit_of_work import UnitOfWork

__all__ = ["NewReport", "Outcome", "Poster", "content_sha256", "submit_report", "submit_reports"]

# clocks of phones go wrong by minutes; a report from further ahead has a wrong date
FUTURE_TOLERANCE = timedelta(minutes=10)
# older ones are history, which `gridsvc import reports` takes; also keeps clients from making partitions at will
OLDEST = timedelta(days=731)
# how often the grids may change between locating and storing
_TRIES = 5
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


_FIELDS = tuple(sorted(each.name for each in fields(NewReport)))
# made once: making an encoder takes longer than encoding a report
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str).encode


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
    content = {name: getattr(report, name) for name in _FIELDS}
    for name in _LATER_FIELDS:
        if content[name] is None:
            del content[name]
    content["occurred_at"] = report.occurred_at.astimezone(UTC).isoformat()
    return hashlib.sha256(_canonical(content).encode("utf-8", "surrogatepass")).digest()


def submit_report(
    uow: UnitOfWork, report: NewReport, *, received_at: datetime, poster: Poster
) -> tuple[dict[str, Any], bool]:
    """Store a report and commit; return its receipt, and whether it was new. As `submit_reports` with one, but raises.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When the position is not one.
    OutsideCoverageError
        When it lies in no district held here, at the report's time.
    ForbiddenError
        When it lies outside the poster's scope.
    CategoryUnknownError
        When the edition has no such category.
    RequestInvalidError
        When the time is not plausible, or the network is not that of the category.
    ConflictError
        When the id was used before for other content.
    UnauthenticatedError
        When the poster's token does not stand for them any more.
    """
    (outcome,) = submit_reports(uow, [report], received_at=received_at, posters=[poster])
    return receipt_in(outcome)


def receipt_in(outcome: Outcome) -> tuple[dict[str, Any], bool]:
    """Return the receipt of an outcome and whether the report was new; or raise its refusal."""
    if outcome.refusal is not None:
        raise outcome.refusal
    assert outcome.receipt is not None
    return outcome.receipt, outcome.created


def submit_reports(
    uow: UnitOfWork, reports: Sequence[NewReport], *, received_at: datetime, posters: Sequence[Poster]
) -> list[Outcome]:
    """Store reports and commit; return what became of each, in order. One that is refused does not stop the others.

    When this returns, every report with a receipt survives a crash of any process. The same report again, in this call or
    another, gives the same receipt and ``created`` False.

    Parameters
    ----------
    uow
        Without a scope: that of each poster counts.
    posters
        Who posted each report.
    """
    drafts = [_Draft.of(*posted, received_at) for posted in zip(reports, posters, strict=True)]
    first_of: dict[str, int] = {}
    for place, draft in enumerate(drafts):
        if draft.refusal is None:
            first_of.setdefault(draft.report_id, place)
    _store(uow, [drafts[place] for place in first_of.values()], received_at)
    _settle_repeats(uow, drafts, first_of)
    return [Outcome(draft.receipt, draft.created, draft.refusal) for draft in drafts]


@dataclass(slots=True)
class _Draft:
    """One report on its way: the row to be stored, then its receipt or its refusal."""

    report: NewReport
    poster: Poster
    report_id: str
    sha256: bytes
    received_at: datetime
    row: dict[str, Any]
    receipt: dict[str, Any] | None = None
    created: bool = False
    refusal: GridsvcError | None = None
    # how far outside of its grids it lies, by network; none while it has no place
    outside_m: Outside = field(default_factory=lambda: dict.fromkeys(NETWORKS))
    # a refusal of a located draft is for its place, and may not hold when the grids have changed
    was_located: bool = False

    @classmethod
    def of(cls, report: NewReport, poster: Poster, received_at: datetime) -> _Draft:
        sha256 = content_sha256(report)
        row: dict[str, Any] = {
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
        draft = cls(report, poster, row["report_id"], sha256, received_at, row)
        try:
            check_time(report.occurred_at, received_at)
            if report.lon is not None:
                draft._put_position(report)
        except GridsvcError as refusal:
            draft.refusal = refusal
        return draft

    def _put_position(self, report: NewReport) -> None:
        assert report.lon is not None
        assert report.lat is not None
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


def _store(uow: UnitOfWork, drafts: Sequence[_Draft], received_at: datetime) -> None:
    """Locate drafts with distinct ids, store them, and give each its receipt or its refusal."""
    for attempt in range(_TRIES):
        version = _locate(uow, drafts, received_at, is_stale=attempt > 0)
        sound = [draft for draft in drafts if draft.refusal is None]
        if not sound:
            # nothing will be stored that would show that these places were looked up in grids of before
            if version is None or is_current(uow, version):
                return
            continue
        rows, posters = [draft.row for draft in sound], [draft.poster for draft in sound]
        taken = uow.intake.take(rows, posters=posters, at=received_at, grid_version=version)
        uow.commit()
        if taken is not None:
            _settle(uow, sound, taken, received_at)
            return
    raise DatabaseUnavailableError("The grids change faster than reports can be located.", hint="Try again.")


def _locate(uow: UnitOfWork, drafts: Sequence[_Draft], received_at: datetime, *, is_stale: bool) -> str | None:
    """Put district, community and grids into the rows with a position; refuse those in no district or outside the scope.

    Returns the version of the grids to be confirmed; None when nothing was located.
    """
    placed = [draft for draft in drafts if "lon" in draft.row and (draft.refusal is None or draft.was_located)]
    if not placed:
        return None
    places = places_to_confirm(
        uow,
        [draft.row["lon"] for draft in placed],
        [draft.row["lat"] for draft in placed],
        [draft.report.occurred_at for draft in placed],
        now=received_at,
        is_stale=is_stale,
    )
    for i, draft in enumerate(placed):
        district, community = places.district[i], places.community[i]
        draft.was_located = True
        draft.refusal = _place_refusal(draft, district, community, draft.poster.scope)
        draft.row |= {"district_code": district, "community_code": community, "located_at": received_at}
        draft.row |= {f"{network}_grid": places.grids[network][i] for network in NETWORKS}
        draft.outside_m = places.outside_m(i)
    return places.version


def _place_refusal(draft: _Draft, district: str | None, community: str | None, scope: str) -> GridsvcError | None:
    report = draft.report
    if district is None:
        return OutsideCoverageError(
            f"The position ({report.lon:.6g}, {report.lat:.6g}) in {draft.row['original_datum']} lies in no district held here.",
            hint="Check the datum and the order of lon and lat.",
            lon=report.lon,
            lat=report.lat,
        )
    place = community or district
    if place.startswith(scope):
        return None
    return ForbiddenError(
        f"The position lies in {place}, outside your area ({scope}).",
        hint="Post it as somebody whose area it is.",
        scope=scope,
    )


def _settle(uow: UnitOfWork, drafts: Sequence[_Draft], taken: Sequence[Taken], received_at: datetime) -> None:
    """Give each draft its receipt or its refusal, from what the store says became of it."""
    known: list[_Draft] = []
    for draft, became in zip(drafts, taken, strict=True):
        if became.outcome == "created":
            draft.created = True
            draft.receipt = _first_receipt(draft, became, received_at)
        elif became.outcome == "known":
            known.append(draft)
        elif became.outcome == "unauthenticated":
            draft.refusal = UnauthenticatedError(
                "The token was withdrawn, or its user changed.",
                hint="Sign in again, or ask an administrator for a new token.",
            )
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
        },
        draft.outside_m,
    )


def _answer_known(uow: UnitOfWork, drafts: Sequence[_Draft]) -> None:
    """Give reports that were received before the receipt of then, or refuse them for other content."""
    hashes = uow.intake.received([draft.report_id for draft in drafts])
    same = []
    for draft in drafts:
        if hashes.get(draft.report_id) == draft.sha256:
            same.append(draft)
        else:
            draft.refusal = _other_content(draft.report_id)
    for scope in sorted({draft.poster.scope for draft in same}):
        _show_stored(uow.within(scope), [draft for draft in same if draft.poster.scope == scope])


def _show_stored(uow: UnitOfWork, drafts: Sequence[_Draft]) -> None:
    stored = uow.reports.get_many([draft.report_id for draft in drafts])
    outside = dict(zip(stored, outside_distances(uow, list(stored.values())), strict=True))
    for draft in drafts:
        if draft.report_id in stored:
            draft.receipt = receipt_of(stored[draft.report_id], outside[draft.report_id])
        else:
            draft.refusal = ConflictError(
                f"Report {draft.report_id} belongs to another area.",
                hint="Check the id and your scope.",
                report_id=draft.report_id,
            )


def _settle_repeats(uow: UnitOfWork, drafts: Sequence[_Draft], first_of: Mapping[str, int]) -> None:
    """Answer reports whose id came earlier in the same call as if they had come later by themselves."""
    later = []
    for draft in drafts:
        first = drafts[first_of[draft.report_id]] if draft.report_id in first_of else draft
        if draft is first or draft.refusal is not None:
            continue
        if first.refusal is not None and first.sha256 == draft.sha256 and first.poster == draft.poster:
            draft.refusal = first.refusal
        elif first.refusal is None and first.sha256 != draft.sha256:
            draft.refusal = _other_content(draft.report_id)
        elif first.refusal is None and first.poster == draft.poster:
            draft.receipt = first.receipt
        else:
            later.append(draft)
    for draft in later:
        (outcome,) = submit_reports(uow, [draft.report], received_at=draft.received_at, posters=[draft.poster])
        draft.receipt, draft.created, draft.refusal = outcome.receipt, outcome.created, outcome.refusal


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
