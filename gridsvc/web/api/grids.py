"""Grids of a network in force: lists and one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, Field, StringConstraints

from gridsvc.services import browsing
from gridsvc.web.api.geojson import GEOJSON, Feature, FeatureCollection, feature, list_answer
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Bbox, Paged, PageInfo, Prefix
from gridsvc.web.routing import Answer, Endpoints

grids = Blueprint("grids", __name__)
endpoints = Endpoints(grids)

NetworkCode = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]


class GridsQuery(Paged):
    """Which grids."""

    network: NetworkCode = Field("social", description="urban, social, security or unified.")
    prefix: Prefix = Field("", description="Division-code prefix.")
    bbox: Bbox | None = None
    geometry: bool = Field(True, description="Answer GeoJSON with boundaries; false for attributes only.")


class GridQuery(At):
    """A grid code is unique within its network."""

    network: NetworkCode = Field("social", description="urban, social, security or unified.")


class Grid(BaseModel):
    """A grid in force."""

    network: str
    code: str
    name: str
    kind: str
    community_code: str
    parent_code: str | None = Field(description="Of a unit grid: its governance grid.")
    households: int
    population: int
    area_m2: float
    responsible: dict[str, Any] | None = Field(description="Of a merged grid: who answers in each network.")
    valid_from: datetime
    valid_to: datetime | None


class GridCollection(PageInfo):
    """A page of grids as GeoJSON, ordered by code; with geometry=false ``grids`` instead of ``features``."""

    type: str | None = None
    features: list[Feature] | None = None
    grids: list[Grid] | None = None


@endpoints.get(
    "/grids",
    summary="Grids of a network in force",
    tag="grids",
    query=GridsQuery,
    answers={200: Answer("A page, GeoJSON unless geometry=false.", GridCollection, also={GEOJSON: FeatureCollection})},
)
def list_grids(query: GridsQuery) -> Response:
    """List the grids of one network in force at an instant, ordered by code."""
    with open_uow() as uow:
        browsing.check_network(uow, query.network)
        page = browsing.list_page(
            uow, "grids", at=query.at or now(), network=query.network, prefix=query.prefix, bbox=query.bbox,
            cursor=query.cursor, limit=query.limit, count=query.count, with_geometry=query.geometry,
        )  # fmt: skip
    return list_answer(page, key="code", as_geojson=query.geometry, name="grids")


@endpoints.get(
    "/grids/<code>",
    summary="One grid",
    tag="grids",
    query=GridQuery,
    answers={200: Answer("The grid as a GeoJSON feature, with its workers and number of reports.", Feature, GEOJSON)},
)
def get_grid(code: str, query: GridQuery) -> Response:
    """Return one grid with its boundary, divisions, workers (phones masked) and number of reports so far."""
    with open_uow() as uow:
        browsing.check_network(uow, query.network)
        row = browsing.get_grid(uow, query.network, code, at=query.at or now())
    return json_answer(feature(row, "code"), mimetype=GEOJSON)
