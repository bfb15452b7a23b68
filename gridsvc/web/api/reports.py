"""Reports: posted once with a client-made UUID, acknowledged only when safely stored, read back by the same id."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from flask import Blueprint, Response, url_for
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gridsvc.services import reporting
from gridsvc.web.callers import REPORTERS, now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import Datum, Degrees, Instant, Text
from gridsvc.web.routing import Answer, Endpoints

reports = Blueprint("reports", __name__)
endpoints = Endpoints(reports)

Code = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,40}$")]


class ReportBody(BaseModel):
    """One incident report."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
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
            ]
        },
    )

    report_id: UUID = Field(description="Made by the client; a retry with the same id and content is safe.")
    occurred_at: Instant
    lon: Degrees
    lat: Degrees
    datum: Datum
    accuracy_m: Annotated[float, Field(strict=True, ge=0, le=100_000, allow_inf_nan=False)] | None = Field(
        None, description="Standard deviation of the position. Unit: m."
    )
    category_code: Code
    edition: Code | None = Field(None, description="Edition of the category; the one in force when left out.")
    network: Code | None = Field(None, description="urban, social or security; that of the category when left out.")
    description: Annotated[Text, StringConstraints(max_length=4000)] = ""
    source: Literal["field_app", "hotline", "sensor", "video", "department", "media"] = "field_app"
    reporter: Annotated[Text, StringConstraints(max_length=100)] | None = None
    device: Annotated[Text, StringConstraints(max_length=100)] | None = None


class Receipt(BaseModel):
    """What the server holds of a report. The grids are those of the report's own place and time."""

    report_id: UUID
    case_code: str | None = Field(description="The case the report opened or joined.")
    received_at: datetime
    occurred_at: datetime
    edition: str
    category_code: str
    network: str
    lon: float = Field(description="EPSG:4490.")
    lat: float = Field(description="EPSG:4490.")
    district_code: str
    community_code: str | None
    grids: dict[str, str | None] = Field(
        description="Grid code by network; null where none was in force there and then."
    )


class Report(Receipt):
    """A report as stored, with its original coordinates."""

    original_lon: float
    original_lat: float
    original_datum: str
    accuracy_m: float | None
    description: str
    source: str


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
    refusals=(409,),
)
def post_report(body: ReportBody) -> Response:
    """Store a report and locate it into the grids of every network.

    The answer is sent after the commit: what was acknowledged survives a crash. The same id with other content is a
    conflict (409). Nothing is stored when the report is refused.
    """
    report = reporting.NewReport(**body.model_dump())
    with open_uow() as uow:
        receipt, created = reporting.submit_report(uow, report, received_at=now())
    answer = json_answer(receipt, 201 if created else 200)
    answer.headers["Location"] = url_for("reports.get_report", report_id=receipt["report_id"])
    return answer


@endpoints.get(
    "/reports/<uuid:report_id>",
    summary="One report",
    tag="reports",
    answers={200: Answer("The report.", Report)},
)
def get_report(report_id: UUID) -> Response:
    """Return a report as stored, with the grids of its own place and time. Reporter and device are not given out."""
    with open_uow() as uow:
        return json_answer(reporting.get_report(uow, report_id))
