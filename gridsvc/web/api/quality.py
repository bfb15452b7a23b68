"""The quality report of the grids in force, or of a redraw."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import BaseModel, Field, StringConstraints

from gridsvc.errors import RequestInvalidError
from gridsvc.services import browsing
from gridsvc.services.division_quality import KIND_OF_NETWORK, report_quality
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At
from gridsvc.web.routing import Answer, Endpoints

quality = Blueprint("quality", __name__)
endpoints = Endpoints(quality)

MOST_COMMUNITIES = 400
_TARGET_COMMUNITIES = 30


class QualityQuery(At):
    """Which grids, and how much of the report."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[0-9]{2,12}$")] = Field(
        description="Division code: community, street office, district; a city in parts."
    )
    network: Literal["social", "urban"] = Field("social", description="social: governance grids; urban: unit grids.")
    redraw: (
        Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")] | None
    ) = Field(None, description="Id of a redraw to report on in place of what is in force.")
    targets: bool = Field(
        False, description=f"Compare unit grids with their target area; at most {_TARGET_COMMUNITIES} communities."
    )
    problems: int = Field(100, ge=0, le=1000, description="At most so many problem places, the gravest first.")
    rows: bool = Field(False, description="Also a page of numbers grid by grid.")
    offset: int = Field(0, ge=0, description="First row of that page.")
    limit: int = Field(100, ge=1, le=1000, description="Rows of that page.")


class Quality(BaseModel):
    """A quality report; shares are 0 to 1, areas m2, null where nothing is asked. See docs/how-to/divide.md."""

    code: str
    name: str
    kind: Literal["governance", "unit"]
    network: str
    source: str = Field(description="in force, or the redraw.")
    at: str
    grids: int
    communities: int
    exact_communities: int = Field(description="Proved to have no gap and no overlap.")
    communities_without_grids: list[str]
    gaps: dict[str, float] = Field(description="count and area_m2, as in overlaps, outside and slivers.")
    overlaps: dict[str, float]
    outside: dict[str, float]
    slivers: dict[str, float]
    invalid: int
    not_contiguous: int
    outside_community: int
    buildings: int
    buildings_cut: int
    households_from: Literal["buildings", "grids"]
    households_total: int
    households_in_no_grid: int
    households: dict[str, float | None] | None = Field(description="Spread per grid: least ... most, mean, variation.")
    in_bounds_share: float | None
    attainable_share: float | None
    area_m2: dict[str, float | None] | None
    on_target_share: float | None
    compactness: dict[str, float | None] | None
    border_m: float
    border: dict[str, dict[str, float | None]] = Field(description="By what it follows: metres and share.")
    stability: dict[str, float | None] | None
    notes: list[str]
    problems: list[dict[str, Any]] = Field(description="Kind, grids, amount, sentence, a point and a place as GeoJSON.")
    problems_total: int
    rows: list[dict[str, Any]] | None = Field(None, description="With rows=true: a page of grids, by code.")
    next_offset: int | None = Field(None, description="Where the next page of rows begins; null on the last.")


@endpoints.get(
    "/quality",
    summary="Quality report of grids",
    tag="grids",
    query=QualityQuery,
    answers={200: Answer("The report; rows only when asked for.", Quality)},
)
def quality_report(query: QualityQuery) -> Response:
    """Report on the grids in force, or on a redraw: gaps, overlaps, households, borders, buildings cut, problem places."""
    at = query.at or now()
    with open_uow() as uow:
        listed = browsing.list_page(
            uow, "divisions", at=at, prefix=query.prefix, limit=1, count=True, level="community", parent=None
        )
        communities = listed.count or 0
        most = _TARGET_COMMUNITIES if query.targets and query.network == "urban" else MOST_COMMUNITIES
        if communities > most:
            raise RequestInvalidError(
                f"{query.prefix} has {communities} communities; a report over HTTP takes at most {most}.",
                hint="Ask for a smaller division, or run gridsvc quality.",
                errors=[{"field": "prefix", "code": "too_large", "message": f"more than {most} communities"}],
            )
        found = report_quality(
            uow, query.prefix, at=at, kind=KIND_OF_NETWORK[query.network], redraw=query.redraw, targets=query.targets
        )
    answer = found.as_dict(rows=query.rows, most_problems=query.problems)
    answer.setdefault("rows", None)
    answer["next_offset"] = None
    if query.rows:
        end = query.offset + query.limit
        answer["next_offset"] = end if end < len(answer["rows"]) else None
        answer["rows"] = answer["rows"][query.offset : end]
    return json_answer(answer)
