"""Departments and what they answer for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from flask import Blueprint, Response
from pydantic import BaseModel, Field, StringConstraints

from gridsvc.services import browsing
from gridsvc.services.departments import department_kinds
from gridsvc.web.api.geojson import list_answer
from gridsvc.web.api.grids import NetworkCode
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import Paged, PageInfo, Prefix
from gridsvc.web.routing import Answer, Endpoints

departments = Blueprint("departments", __name__)
endpoints = Endpoints(departments)

DepartmentCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,40}$")]


class DepartmentKind(BaseModel):
    """A kind of department."""

    kind_code: str
    name_zh: str
    name_en: str
    source: str = Field(description="Where the name comes from.")
    verified: bool = Field(description="Whether it was read in the source.")
    note: str


class DepartmentKindList(BaseModel):
    """The kinds of departments, by code."""

    kinds: list[DepartmentKind]


class DepartmentsQuery(Paged):
    """Which departments."""

    prefix: Prefix = Field("", description="Code of the division they are of.")
    kind_code: str | None = Field(None, max_length=20, pattern=r"^[0-9A-Za-z]+$")


class Department(BaseModel):
    """A department in force."""

    department_code: str
    name: str
    kind_code: str
    kind_name_zh: str
    kind_name_en: str
    division_code: str
    source: str
    valid_from: datetime
    valid_to: datetime | None


class DepartmentList(PageInfo):
    """A page of departments, ordered by code."""

    departments: list[Department]


class DutiesQuery(Paged):
    """Which duties."""

    prefix: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,15}$")] = Field(
        "", description="Beginning of the code of the division or grid they are about."
    )
    network: NetworkCode | None = Field(None, description="Those in this network, or in every network.")
    department_code: DepartmentCode | None = None


class Duty(BaseModel):
    """What a department answers for."""

    duty_code: str
    department_code: str
    network: str | None = Field(description="Null: in every network.")
    ground_code: str = Field(description="A division, or a grid of the network.")
    edition: str | None
    category_code: str | None = Field(
        description="A class or the beginning of the codes of several; null: every category."
    )
    source: str
    valid_from: datetime
    valid_to: datetime | None


class DutyList(PageInfo):
    """A page of duties, ordered by code."""

    duties: list[Duty]


@endpoints.get(
    "/departments/kinds",
    summary="Kinds of departments",
    tag="departments",
    answers={200: Answer("By code.", DepartmentKindList)},
)
def list_department_kinds() -> Response:
    """List the kinds of departments that have duties on the net, each with where its name comes from."""
    with open_uow() as uow:
        return json_answer({"kinds": department_kinds(uow)})


@endpoints.get(
    "/departments",
    summary="Departments in force",
    tag="departments",
    query=DepartmentsQuery,
    answers={200: Answer("A page.", DepartmentList)},
)
def list_departments(query: DepartmentsQuery) -> Response:
    """List the departments in force at an instant, ordered by code: those of your area, and of wider ones around it."""
    with open_uow() as uow:
        page = browsing.list_page(
            uow, "departments", at=query.at or now(), prefix=query.prefix, cursor=query.cursor, limit=query.limit,
            count=query.count, kind_code=query.kind_code,
        )  # fmt: skip
    return list_answer(page, key="department_code", as_geojson=False, name="departments")


@endpoints.get(
    "/duties",
    summary="What departments answer for",
    tag="departments",
    query=DutiesQuery,
    answers={200: Answer("A page.", DutyList)},
)
def list_duties(query: DutiesQuery) -> Response:
    """List the duties in force at an instant, ordered by code: those about your area, and about wider ones around it."""
    with open_uow() as uow:
        if query.network is not None:
            browsing.check_network(uow, query.network)
        page = browsing.list_page(
            uow, "duties", at=query.at or now(), prefix=query.prefix, cursor=query.cursor, limit=query.limit,
            count=query.count, network=query.network, department_code=query.department_code,
        )  # fmt: skip
    return list_answer(page, key="duty_code", as_geojson=False, name="duties")
