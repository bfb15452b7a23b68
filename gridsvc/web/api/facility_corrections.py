"""Corrections of facilities (纠错): posted by anybody who may report, decided by planners and managers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Response, url_for
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gridsvc.services import facility_corrections as service
from gridsvc.web.callers import REPORTERS, caller, now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import ClientUuid, Datum, Degrees, Instant, PageInfo, Prefix, Query, Text
from gridsvc.web.routing import Answer, Endpoints

facility_corrections = Blueprint("facility_corrections", __name__)
endpoints = Endpoints(facility_corrections)

DECIDERS = frozenset({"planner", "manager", "admin"})
# what citizens wrote is not for everybody
QUEUE_READERS = DECIDERS | {"dispatcher"}

What = Literal["moved", "closed", "new", "other_kind", "renamed"]
CorrectionState = Literal["open", "accepted", "refused"]
FacilityCode = Annotated[Text, StringConstraints(min_length=1, max_length=100)]
KindCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,20}$")]
ShortText = Annotated[Text, StringConstraints(max_length=200)]
Reason = Annotated[Text, StringConstraints(min_length=1, max_length=1000)]


class CorrectionBody(BaseModel):
    """A correction: what is wrong with a facility, and how it is instead."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "correction_id": "0b9f2c7e-51f0-4d0e-8a53-6c7d1a2b3c4d", "what": "moved", "facility_code": "F0001",
                    "observed_at": "2026-11-20T08:30:00+08:00", "lon": 114.2601, "lat": 30.5852, "datum": "gcj02",
                }
            ]
        },
    )  # fmt: skip

    correction_id: ClientUuid = Field(description="Made by the client; a retry with it gets the first answer.")
    what: What = Field(
        description="moved 位置错误 (lon, lat, datum), closed 已关闭, new 新增 (kind_code, name, lon, lat, datum), "
        "other_kind 类型错误 (kind_code), renamed 名称错误 (name)."
    )
    observed_at: Instant = Field(description="When it was seen.")
    facility_code: FacilityCode | None = Field(None, description="The facility; left out for a new one.")
    kind_code: KindCode | None = Field(None, description="The kind it is of.")
    name: ShortText = ""
    address: ShortText = ""
    lon: Degrees | None = None
    lat: Degrees | None = None
    datum: Datum | None = Field(None, description="Datum of lon and lat, required with them; never guessed.")
    note: Annotated[Text, StringConstraints(max_length=1000)] = ""


class CorrectionsQuery(Query):
    """Which corrections."""

    prefix: Prefix = Field("", description="Code of the division they lie in.")
    state: CorrectionState | None = None
    what: What | None = None
    facility_code: FacilityCode | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_.-]{0,100}$")] = Field(
        "", description="next_cursor of the page before; empty begins."
    )
    limit: int = Field(100, ge=1, le=1000, description="Rows of a page.")


class FindingAnswer(BaseModel):
    """Something that speaks against a correction."""

    code: Literal["changed-since", "outside-division", "far-move", "duplicate"]
    message: str
    facility_codes: list[str]


class Correction(BaseModel):
    """A correction and what was decided. lon and lat are EPSG:4490."""

    correction_id: UUID
    what: What
    facility_code: str | None
    kind_code: str | None
    name: str
    address: str
    lon: float | None
    lat: float | None
    original_lon: float | None
    original_lat: float | None
    original_datum: str | None
    note: str
    observed_at: datetime
    reported_by: str
    received_at: datetime
    division_code: str | None
    state: CorrectionState
    decided_by: str | None
    decided_at: datetime | None
    reason: str
    in_force_from: datetime | None = Field(description="Since when the facility is as accepted.")
    applied_code: str | None = Field(description="The facility that carries what was accepted.")
    findings: list[FindingAnswer] = Field(
        description="Of one open: what speaks against it now (told of one, not in lists); else what did when it was decided."
    )


class CorrectionList(PageInfo):
    """A page of corrections, the longest waiting first."""

    corrections: list[Correction]


class AcceptBody(BaseModel):
    """Why, since when, and whether although something speaks against it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "现场核实", "in_force_from": "2026-11-20T00:00:00+08:00"}]}
    )  # fmt: skip

    reason: Reason
    in_force_from: Instant | None = Field(None, description="Not in the future; default now.")
    anyway: bool = Field(False, strict=True, description="Accept it although something speaks against it.")


class RefuseBody(BaseModel):
    """Why not."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "名称无误"}]})

    reason: Reason


@endpoints.post(
    "/facilities/corrections",
    summary="Post a correction of a facility",
    tag="facilities",
    body=CorrectionBody,
    answers={
        201: Answer("Taken in.", Correction),
        200: Answer("It was taken in before: the same answer as it stands now.", Correction),
    },
    roles=REPORTERS,
    refusals=(404, 409),
)
def post_facility_correction(body: CorrectionBody) -> Response:
    """Say that a facility is elsewhere, closed, of another kind, otherwise named, or not held yet. Safe to retry with the same id.

    Nothing changes before a planner or manager accepts it.
    """
    sent = service.NewCorrection(**body.model_dump() | {"facility_code": body.facility_code or ""})
    with open_uow() as uow:
        stored, created = service.submit_correction(uow, sent, received_at=now(), by=caller().login)
    answer = json_answer(_shown(stored), 201 if created else 200)
    answer.headers["Location"] = url_for(
        "facility_corrections.get_facility_correction", correction_id=sent.correction_id
    )
    return answer


@endpoints.get(
    "/facilities/corrections",
    summary="Corrections of facilities",
    tag="facilities",
    query=CorrectionsQuery,
    answers={200: Answer("A page.", CorrectionList)},
    roles=QUEUE_READERS,
)
def list_facility_corrections(query: CorrectionsQuery) -> Response:
    """List corrections in your scope, the longest waiting first."""
    with open_uow() as uow:
        page = service.list_corrections(uow, **query.model_dump())
    rows = [_shown(row) for row in page.rows]
    return json_answer({"corrections": rows, "next_cursor": page.next_cursor, "count": None})


@endpoints.get(
    "/facilities/corrections/<uuid:correction_id>",
    summary="One correction",
    tag="facilities",
    answers={200: Answer("The correction, with what speaks against it.", Correction)},
    roles=QUEUE_READERS,
)
def get_facility_correction(correction_id: UUID) -> Response:
    """Return a correction, checked now while it is open: duplicates near, a long move, another district, a facility changed since."""
    with open_uow() as uow:
        return json_answer(_shown(service.get_correction(uow, correction_id, at=now())))


@endpoints.post(
    "/facilities/corrections/<uuid:correction_id>:accept",
    summary="Accept a correction",
    tag="facilities",
    body=AcceptBody,
    answers={200: Answer("The correction; the facility is as it says.", Correction)},
    roles=DECIDERS,
    refusals=(404, 409),
)
def accept_facility_correction(correction_id: UUID, body: AcceptBody) -> Response:
    """Let the facility be as the correction says from an instant on; its past stays in its history. Safe to retry.

    Refused (409, `details.findings`) while something speaks against it, unless `anyway`; a place in no division is refused all the same.
    """
    with open_uow() as uow:
        done = service.accept_correction(
            uow, correction_id, by=caller().login, now=now(), reason=body.reason, in_force_from=body.in_force_from,
            anyway=body.anyway,
        )  # fmt: skip
    return json_answer(_shown(done))


@endpoints.post(
    "/facilities/corrections/<uuid:correction_id>:refuse",
    summary="Refuse a correction",
    tag="facilities",
    body=RefuseBody,
    answers={200: Answer("The correction.", Correction)},
    roles=DECIDERS,
    refusals=(404, 409),
)
def refuse_facility_correction(correction_id: UUID, body: RefuseBody) -> Response:
    """Refuse a correction with a reason; the facility stays as it is. Safe to retry."""
    with open_uow() as uow:
        done = service.refuse_correction(uow, correction_id, by=caller().login, now=now(), reason=body.reason)
    return json_answer(_shown(done))


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return a correction as the interface tells it: what is not there is null."""
    optional = ("facility_code", "original_datum", "division_code", "decided_by", "applied_code")
    plain = {name: row[name] for name in Correction.model_fields}
    return plain | {name: row[name] or None for name in optional}
