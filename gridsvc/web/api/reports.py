"""Reports: posted once with a client-made UUID, acknowledged only when safely stored, read back by the same id."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from gridsvc.errors import GridsvcError, RequestInvalidError, UnauthenticatedError
from gridsvc.services import report_reading, report_updates, reporting
from gridsvc.web.callers import REPORTERS, now, open_uow, poster, services
from gridsvc.web.errors import problem_of
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import ClientUuid, Datum, Degrees, Instant, Prefix, Query, Text
from gridsvc.web.rate_limits import spend
from gridsvc.web.routing import Answer, Endpoints, Items, validate

reports = Blueprint("reports", __name__)
endpoints = Endpoints(reports)

MAX_BATCH = 1000

Code = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,40}$")]
Name = Annotated[Text, StringConstraints(max_length=100)]
_EXAMPLE: JsonDict = {
    "report_id": "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e11",
    "occurred_at": "2026-01-01T08:30:00+08:00",
    "lon": 114.2648,
    "lat": 30.6043,
    "datum": "wgs84",
    "accuracy_m": 8,
    "category_code": "0601",
    "description": "路面有暴露垃圾",
    "source": "field_app",
}
_WITH_POSITION: JsonDict = {
    "required": ["lon", "lat", "datum"],
    "properties": {"lon": {"type": "number"}, "lat": {"type": "number"}, "datum": {"type": "string"}},
}
_WITH_ADDRESS: JsonDict = {"required": ["address"], "properties": {"address": {"type": "string"}}}


class ReportBody(BaseModel):
    """One incident report, with a position (lon, lat, datum), or an address, or both."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "anyOf": [_WITH_POSITION, _WITH_ADDRESS],
            "examples": [_EXAMPLE],
        },
    )

    report_id: ClientUuid = Field(
        description="Made by the client, UUID version 4 or 7; a retry with the same id and content is safe."
    )
    occurred_at: Instant
    address: Annotated[Text, StringConstraints(strip_whitespace=True, min_length=2, max_length=300)] | None = Field(
        None, description="Address as text; without a position the report waits until its place is found."
    )
    lon: Degrees | None = Field(None, validate_default=True)
    lat: Degrees | None = Field(None, validate_default=True)
    datum: Datum | None = Field(None, validate_default=True)
    accuracy_m: Annotated[float, Field(strict=True, ge=0, le=100_000, allow_inf_nan=False)] | None = Field(
        None, description="Radius around the position that holds the true one with 68 %, as Android states it. Unit: m."
    )
    altitude_m: Annotated[float, Field(strict=True, ge=-1000, le=100_000, allow_inf_nan=False)] | None = Field(
        None, description="Height as the device gives it; kept, not used. Unit: m."
    )
    heading_deg: Annotated[float, Field(strict=True, ge=0, lt=360, allow_inf_nan=False)] | None = Field(
        None, description="Where the camera looked, clockwise from north. Unit: degrees."
    )
    category_code: Code
    edition: Code | None = Field(None, description="Edition of the category; the one in force when left out.")
    network: Code | None = Field(None, description="urban, social or security; that of the category when left out.")
    description: Annotated[Text, StringConstraints(max_length=4000)] = ""
    source: Literal["field_app", "hotline", "sensor", "video", "department", "media"] = "field_app"
    reporter: Name | None = None
    device: Name | None = Field(None, description="Names the device; reports:mine can be asked for it alone.")

    @field_validator("lon", "lat", "datum")
    @classmethod
    def _position_is_whole(cls, value: Any, info: ValidationInfo) -> Any:
        """Ask for all of a position, unless there is an address (a bad one has its own fault) and nothing of a position."""
        given = [name for name in ("lon", "lat") if info.data.get(name) is not None]
        if value is None and (given or info.data.get("address", "") is None):
            raise PydanticCustomError("missing", "Field required: a report has lon, lat and datum, or an address")
        if value is not None and info.field_name != "lon" and info.data.get("lon", value) is None:
            raise PydanticCustomError("without_lon", "needs lon: a position has lon, lat and datum")
        return value

    @field_validator("accuracy_m", "altitude_m", "heading_deg")
    @classmethod
    def _of_a_position(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and "lon" in info.data and info.data["lon"] is None:
            raise PydanticCustomError("without_position", "needs a position: lon, lat and datum")
        return value


class Receipt(BaseModel):
    """What the server holds of a report. The grids are those of the report's own place and time."""

    report_id: UUID
    content_sha256: str = Field(description="Hash of the content as understood, in hex; the same for every retry.")
    case_code: str | None = Field(description="The case the report opened; null while it waits for a place.")
    received_at: datetime
    occurred_at: datetime
    edition: str
    category_code: str
    network: str
    lon: float | None = Field(description="EPSG:4490; null while the report waits for a place.")
    lat: float | None = Field(description="EPSG:4490.")
    district_code: str | None
    community_code: str | None
    grids: dict[str, str | None] = Field(
        description="Grid code by network; the nearest one where none holds the position, null where none is near enough."
    )
    outside_m: dict[str, float | None] = Field(
        description="By network: 0 where the grid holds the position, else how far outside of it that is; null without a grid."
    )


class ListedReport(Receipt):
    """A report as stored, with what was posted. Reporter and device are not given out."""

    stage: str | None = Field(description="Stage of its case; null while it waits for a place.")
    original_lon: float | None
    original_lat: float | None
    original_datum: str | None
    accuracy_m: float | None
    altitude_m: float | None
    heading_deg: float | None
    address: str | None
    description: str
    source: str


class Update(BaseModel):
    """What was told of a report later."""

    update_id: UUID
    occurred_at: datetime
    received_at: datetime
    description: str


class Report(ListedReport):
    """A report with its updates, the earliest first."""

    updates: list[Update]


class ReportItem(BaseModel):
    """What became of one item of a batch."""

    index: int = Field(description="Place in the batch, from 0.")
    report_id: str | None = Field(description="As posted; null when the item has none.")
    status: int = Field(description="201 stored now, 200 was stored before, else the status it would have had alone.")
    receipt: Receipt | None
    problem: dict[str, Any] | None = Field(description="Problem document of a refused item, as it would be alone.")


class BatchOutcome(BaseModel):
    """What became of each item of a batch, in its order."""

    created: int
    repeated: int
    refused: int
    items: list[ReportItem]


class UpdateBody(BaseModel):
    """What is told of a report later."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "update_id": "0e7b1d3c-58a9-4d0b-9a51-6a3c1b2f4d77",
                    "occurred_at": "2026-01-01T09:10:00+08:00",
                    "description": "水已退",
                }
            ]
        },
    )

    update_id: ClientUuid = Field(description="Made by the client, UUID version 4 or 7.")
    occurred_at: Instant
    description: Annotated[Text, StringConstraints(min_length=1, max_length=4000)]
    reporter: Name | None = None
    device: Name | None = None


class UpdateReceipt(BaseModel):
    """What the server holds of an update."""

    update_id: UUID
    report_id: UUID
    content_sha256: str
    received_at: datetime
    state: Literal["joined", "held"] = Field(description="held: its report has not come yet; it joins when it does.")


class ReportsQuery(Query):
    """A page of reports, newest first."""

    prefix: Prefix = Field("", description="Division-code prefix.")
    since: Instant | None = Field(None, description="occurred_at from this instant on.")
    until: Instant | None = Field(None, description="occurred_at before this instant.")
    network: Literal["urban", "social", "security", "unified"] | None = Field(
        None, description="Reports of this network; with grid, the network whose grid is meant (social when left out)."
    )
    grid: Code | None = Field(None, description="Grid code.")
    category: Code | None = Field(None, description="Category code.")
    unlocated: bool = Field(
        False, description="Only those in no grid of any network, and those that wait for the place of their address."
    )
    cursor: Annotated[str, StringConstraints(max_length=100)] = Field(
        "", description="next_cursor of the page before; empty begins."
    )
    limit: int = Field(100, ge=1, le=1000, description="Rows of a page.")


class ReportsPage(BaseModel):
    """One page of reports, newest first."""

    items: list[ListedReport]
    next_cursor: str | None = Field(description="Give it as cursor for the next page; null on the last.")


class MineQuery(Query):
    """Where reconciliation goes on, and for which device."""

    since: Annotated[str, StringConstraints(max_length=120)] = Field(
        "", description="next_cursor of an earlier answer; empty begins."
    )
    device: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        None, description="Only what was posted with this device. Needed where requests without a token are allowed."
    )
    limit: int = Field(100, ge=1, le=1000, description="Items of an answer.")


class HeldReport(BaseModel):
    """A report that the server holds."""

    report_id: UUID
    content_sha256: str
    received_at: datetime
    photos: list[str] = Field(description="SHA-256 of the photos as sent.")
    updates: list[UUID] = Field(description="Updates the caller posted to it.")


class Held(BaseModel):
    """What the server holds of the caller, in the order it was committed."""

    items: list[HeldReport]
    next_cursor: str = Field(description="Give it as since the next time; keep it.")
    more: bool = Field(description="Whether there is more at once.")


@endpoints.post(
    "/reports",
    summary="Post one report",
    tag="reports",
    body=ReportBody,
    answers={
        201: Answer("Stored now.", Receipt),
        200: Answer("Was stored before, with the same content; the same receipt.", Receipt),
    },
    roles=REPORTERS,
    refusals=(409, 429),
)
def post_report(body: ReportBody) -> Response:
    """Store a report and locate it into the grids of every network.

    The answer is sent after the commit: what was acknowledged survives a crash. The same id with other content is a
    conflict (409). Nothing is stored when the report is refused. With an address and no position it is stored and waits
    for its place.
    """
    spend(1)
    receipt, created = stored(body, poster(), services())
    answer = json_answer(receipt, 201 if created else 200)
    answer.headers["Location"] = f"{request.path}/{receipt['report_id']}"
    return answer


def stored(body: ReportBody, who: reporting.Poster, opened: Any) -> tuple[dict[str, Any], bool]:
    """Store a report by the services of an application; return its receipt and whether it was new."""
    return opened.report_queue.submit(_new_report(body), received_at=now(), poster=who)


@endpoints.post(
    "/reports:batch",
    summary="Post up to 1,000 reports",
    tag="reports",
    items=Items(ReportBody, MAX_BATCH),
    answers={200: Answer("What became of each, in order.", BatchOutcome)},
    roles=REPORTERS,
    refusals=(429,),
)
def post_batch(items: list[Any]) -> Response:
    """Store many reports, each for itself: a refused one does not stop the others, and nothing is stored of it.

    A JSON array, or NDJSON (`application/x-ndjson`) with one report a line; `Content-Encoding: gzip` is accepted. The
    answer is sent after the commit of all that have a receipt in it. When none comes, send the same batch again.
    """
    spend(max(1, len(items)))
    read = [_read_item(item) for item in items]
    sound = [new for new in read if isinstance(new, reporting.NewReport)]
    with services().unit_of_statements() as uow:
        made = reporting.submit_reports(uow, sound, received_at=now(), posters=[poster()] * len(sound))
    for outcome in made:
        if isinstance(outcome.refusal, UnauthenticatedError):
            raise outcome.refusal
    outcomes = iter(made)
    told = [
        _told(index, item, reporting.Outcome(refusal=new) if isinstance(new, GridsvcError) else next(outcomes))
        for index, (item, new) in enumerate(zip(items, read, strict=True))
    ]
    statuses = [item["status"] for item in told]
    created, repeated = statuses.count(201), statuses.count(200)
    refused = len(told) - created - repeated
    return json_answer({"created": created, "repeated": repeated, "refused": refused, "items": told})


@endpoints.get(
    "/reports",
    summary="Reports, newest first",
    tag="reports",
    query=ReportsQuery,
    answers={200: Answer("A page.", ReportsPage)},
)
def list_reports(query: ReportsQuery) -> Response:
    """List reports by place, grid, category and time, a page at a time."""
    with open_uow() as uow:
        page = report_reading.list_reports(
            uow,
            cursor=query.cursor,
            limit=query.limit,
            unlocated=query.unlocated,
            prefix=query.prefix,
            since=query.since,
            until=query.until,
            network=query.network,
            grid_code=query.grid,
            category_code=query.category,
        )
    return json_answer({"items": page.rows, "next_cursor": page.next_cursor})


@endpoints.get(
    "/reports:mine",
    summary="What the server holds of the caller",
    tag="reports",
    query=MineQuery,
    answers={200: Answer("Reports in the order they were committed.", Held)},
    roles=REPORTERS,
)
def list_mine(query: MineQuery) -> Response:
    """Return ids and content hashes of the reports that the caller posted, after a cursor.

    For a device that wants to know what arrived: an id that comes with the hash of its receipt is safe, what does not come
    is to be posted again. No report is skipped, however late its transaction ended. A cursor from before the database
    was restored begins again.
    """
    who = poster()
    if who.token_sha256 is None and query.device is None:
        raise RequestInvalidError(
            "Which device is asking was not said.",
            hint="Add device, or use a token.",
            errors=[{"field": "device", "code": "missing", "message": "needed without a token"}],
        )
    with open_uow() as uow:
        held = report_reading.held_reports(uow, who.login, since=query.since, device=query.device, limit=query.limit)
    return json_answer({"items": held.items, "next_cursor": held.next_cursor, "more": held.more})


@endpoints.get(
    "/reports/<uuid:report_id>",
    summary="One report",
    tag="reports",
    answers={200: Answer("The report.", Report)},
)
def get_report(report_id: UUID) -> Response:
    """Return a report as stored, with the grids of its own place and time. Reporter and device are not given out."""
    with open_uow() as uow:
        return json_answer(report_reading.get_report(uow, report_id))


@endpoints.post(
    "/reports/<uuid:report_id>/updates",
    summary="Tell more of a report",
    tag="reports",
    body=UpdateBody,
    answers={
        201: Answer("Stored now.", UpdateReceipt),
        200: Answer("Was stored before, with the same content.", UpdateReceipt),
    },
    roles=REPORTERS,
    refusals=(409, 429),
)
def post_update(report_id: UUID, body: UpdateBody) -> Response:
    """Store an update of a report, once.

    It may come before its report: it is held, and joins when the report is there.
    """
    spend(1)
    new = report_updates.NewUpdate(report_id=report_id, **body.model_dump())
    with open_uow() as uow:
        receipt, created = report_updates.submit_update(uow, new, received_at=now(), poster=poster())
    return json_answer(receipt, 201 if created else 200)


def _new_report(body: ReportBody) -> reporting.NewReport:
    return reporting.NewReport(**body.__dict__)


def _read_item(item: Any) -> reporting.NewReport | GridsvcError:
    """Return an item as a report, or why it is none."""
    if isinstance(item, GridsvcError):
        return item
    try:
        return _new_report(validate(ReportBody, item, where="report"))
    except GridsvcError as refusal:
        return refusal


def _told(index: int, item: Any, outcome: reporting.Outcome) -> dict[str, Any]:
    report_id = item.get("report_id") if isinstance(item, dict) else None
    told = {"index": index, "report_id": report_id if isinstance(report_id, str) else None}
    if outcome.refusal is not None:
        document = problem_of(outcome.refusal)
        return told | {"status": document["status"], "receipt": None, "problem": document}
    return told | {"status": 201 if outcome.created else 200, "receipt": outcome.receipt, "problem": None}
