"""Workers and the grids they answer for. Phones are masked; homes are not given out at all."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from gridsvc.services import browsing
from gridsvc.web.api.geojson import list_answer
from gridsvc.web.api.grids import NetworkCode
from gridsvc.web.callers import now, open_uow
from gridsvc.web.parameters import Paged, PageInfo, Prefix
from gridsvc.web.routing import Answer, Endpoints

workforce = Blueprint("workforce", __name__)
endpoints = Endpoints(workforce)


class WorkersQuery(Paged):
    """Which workers."""

    prefix: Prefix = Field("", description="Division-code prefix.")
    kind_code: str | None = Field(None, max_length=20, pattern=r"^[0-9A-Za-z]+$")


class Worker(BaseModel):
    """A worker on the roster."""

    worker_code: str
    name: str
    kind_code: str
    kind_name_zh: str
    kind_name_en: str
    division_code: str
    phone_masked: str | None
    capacity_grids: int
    valid_from: datetime
    valid_to: datetime | None


class WorkerList(PageInfo):
    """A page of workers, ordered by code."""

    workers: list[Worker]


class AssignmentsQuery(Paged):
    """Which assignments."""

    network: NetworkCode = "social"
    prefix: Prefix = Field("", description="Grid-code prefix, such as a division code.")
    worker_code: str | None = Field(None, max_length=60, pattern=r"^[0-9A-Za-z_-]+$")


class Assignment(BaseModel):
    """Who answers for a grid, in what role."""

    network: str
    grid_code: str
    worker_code: str
    role: str
    is_primary: bool
    deputy_of: str | None
    valid_from: datetime
    valid_to: datetime | None


class AssignmentList(PageInfo):
    """A page of assignments, ordered by grid and worker."""

    assignments: list[Assignment]


@endpoints.get(
    "/workers",
    summary="Workers on the roster",
    tag="workforce",
    query=WorkersQuery,
    answers={200: Answer("A page.", WorkerList)},
)
def list_workers(query: WorkersQuery) -> Response:
    """List the workers on the roster at an instant, ordered by code; phone numbers are masked."""
    with open_uow() as uow:
        page = browsing.list_page(
            uow, "workers", at=query.at or now(), prefix=query.prefix, cursor=query.cursor, limit=query.limit,
            count=query.count, kind_code=query.kind_code,
        )  # fmt: skip
    return list_answer(page, key="worker_code", as_geojson=False, name="workers")


@endpoints.get(
    "/assignments",
    summary="Who answers for which grid",
    tag="workforce",
    query=AssignmentsQuery,
    answers={200: Answer("A page.", AssignmentList)},
)
def list_assignments(query: AssignmentsQuery) -> Response:
    """List the assignments of one network in force at an instant, ordered by grid and worker."""
    with open_uow() as uow:
        browsing.check_network(uow, query.network)
        page = browsing.list_page(
            uow, "assignments", at=query.at or now(), network=query.network, prefix=query.prefix, cursor=query.cursor,
            limit=query.limit, count=query.count, worker_code=query.worker_code,
        )  # fmt: skip
    for row in page.rows:
        del row["key"]
    return list_answer(page, key="grid_code", as_geojson=False, name="assignments")
