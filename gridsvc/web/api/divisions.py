"""Administrative divisions: lists, one of them, what is in each, and search."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import BaseModel, Field, StringConstraints

from gridsvc.services import browsing
from gridsvc.web.api.geojson import GEOJSON, Feature, FeatureCollection, feature, list_answer
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Bbox, Instant, Paged, PageInfo, Prefix
from gridsvc.web.routing import Answer, Endpoints

divisions = Blueprint("divisions", __name__)
endpoints = Endpoints(divisions)

Level = Literal["province", "city", "district", "street", "community"]


class DivisionsQuery(Paged):
    """Which divisions."""

    prefix: Prefix = Field("", description="Division-code prefix.")
    level: Level | None = None
    parent: Prefix | None = None
    bbox: Bbox | None = None
    geometry: bool = Field(False, description="Answer GeoJSON with boundaries.")


class Division(BaseModel):
    """An administrative division in force."""

    code: str
    name: str
    level: Level
    parent_code: str | None
    urban_rural_class: int | None
    valid_from: datetime
    valid_to: datetime | None


class DivisionList(PageInfo):
    """A page of divisions, ordered by code."""

    divisions: list[Division]


class OverviewQuery(At):
    """The division to look into."""

    division: Prefix = Field("", description="Its code; empty for the top of your scope.")
    since: Instant | None = Field(
        None, description="Count reports from this instant on; all up to ``at`` when left out."
    )
    level: Literal["district", "street", "community"] | None = Field(
        None, description="All divisions of this level under it, rather than those directly below."
    )


class Bounds(BaseModel):
    """A division or a hit with its bounding box in EPSG:4490; null where it has no boundary yet."""

    code: str
    name: str
    min_lon: float | None
    min_lat: float | None
    max_lon: float | None
    max_lat: float | None


class OverviewRow(Bounds):
    """A division with what is in it."""

    level: Level
    parent_code: str | None
    grids: dict[str, int] = Field(description="Number of grids by network.")
    households: int
    area_m2: float
    workers: int
    reports: int


class Overview(BaseModel):
    """The divisions directly below one, ordered by code."""

    at: datetime
    division: str
    children: list[OverviewRow]


class SearchQuery(At):
    """What to look for."""

    q: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")] = Field(
        description="Beginning of a code, or part of a name."
    )
    limit: int = Field(20, ge=1, le=100)


class Hit(Bounds):
    """A division or a grid found."""

    kind: Literal["division", "grid"]
    network: str | None
    level: str | None


class Hits(BaseModel):
    """What was found, best first."""

    hits: list[Hit]


@endpoints.get(
    "/divisions",
    summary="Divisions in force",
    tag="divisions",
    query=DivisionsQuery,
    answers={200: Answer("A page; with geometry=true GeoJSON.", DivisionList, also={GEOJSON: FeatureCollection})},
)
def list_divisions(query: DivisionsQuery) -> Response:
    """List divisions in force at an instant, ordered by code."""
    with open_uow() as uow:
        page = browsing.list_page(
            uow, "divisions", at=query.at or now(), prefix=query.prefix, bbox=query.bbox, cursor=query.cursor,
            limit=query.limit, count=query.count, with_geometry=query.geometry, level=query.level, parent=query.parent,
        )  # fmt: skip
    return list_answer(page, key="code", as_geojson=query.geometry, name="divisions")


@endpoints.get(
    "/divisions/<code>",
    summary="One division",
    tag="divisions",
    query=At,
    answers={200: Answer("The division as a GeoJSON feature.", Feature, GEOJSON)},
)
def get_division(code: str, query: At) -> Response:
    """Return one division with its boundary."""
    with open_uow() as uow:
        row = browsing.get_division(uow, code, at=query.at or now())
    return json_answer(feature(row, "code"), mimetype=GEOJSON)


@endpoints.get(
    "/overview",
    summary="What is in each division below one",
    tag="divisions",
    query=OverviewQuery,
    answers={200: Answer("Counts by division.", Overview)},
)
def get_overview(query: OverviewQuery) -> Response:
    """Return grids by network, households, workers and reports of each division below one: the drill-down, the density."""
    at = query.at or now()
    with open_uow() as uow:
        children = browsing.overview(uow, query.division, at=at, since=query.since, level=query.level)
    return json_answer({"at": at, "division": query.division, "children": children})


@endpoints.get(
    "/search",
    summary="Find a division or grid by code or name",
    tag="divisions",
    query=SearchQuery,
    answers={200: Answer("Best first.", Hits)},
)
def search(query: SearchQuery) -> Response:
    """Find divisions and grids in force whose code begins with, or whose name contains, what is asked."""
    with open_uow() as uow:
        return json_answer({"hits": browsing.search(uow, query.q, at=query.at or now(), limit=query.limit)})
