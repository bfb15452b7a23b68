"""Reference lists: networks, and categories by edition."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from gridsvc.services import browsing
from gridsvc.web.api.grids import NetworkCode
from gridsvc.web.callers import open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import Query
from gridsvc.web.routing import Answer, Endpoints

reference = Blueprint("reference", __name__)
endpoints = Endpoints(reference)


class Network(BaseModel):
    """A network of grids."""

    network: str
    name_zh: str
    name_en: str
    grid_kind: str
    is_merged: bool


class NetworkList(BaseModel):
    """All networks, in their order of showing."""

    networks: list[Network]


class CategoriesQuery(Query):
    """Which categories."""

    edition: str | None = Field(
        None, pattern=r"^[0-9A-Za-z._-]{1,40}$", description="The edition in force when left out."
    )
    network: NetworkCode | None = None
    level: Literal["1", "2"] | None = Field(None, description="1 for major classes, 2 for minor classes.")


class Category(BaseModel):
    """A category of components or events."""

    edition: str
    code: str
    level: int
    parent_code: str | None
    name_zh: str
    name_en: str
    kind: str
    network: str


class CategoryList(BaseModel):
    """The categories of one edition, ordered by code."""

    edition: str
    categories: list[Category]


@endpoints.get(
    "/networks", summary="Networks", tag="reference", answers={200: Answer("In their order of showing.", NetworkList)}
)
def list_networks() -> Response:
    """List the networks whose grids are held."""
    with open_uow() as uow:
        return json_answer({"networks": browsing.list_networks(uow)})


@endpoints.get(
    "/categories",
    summary="Categories of an edition",
    tag="reference",
    query=CategoriesQuery,
    answers={200: Answer("Ordered by code.", CategoryList)},
)
def list_categories(query: CategoriesQuery) -> Response:
    """List the categories reports may carry."""
    level = int(query.level) if query.level else None
    with open_uow() as uow:
        edition, rows = browsing.list_categories(uow, edition=query.edition, network=query.network, level=level)
    return json_answer({"edition": edition, "categories": rows})
