"""The register of components (部件): lists, one with its history, changes of state, the nearest of a class."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gridsvc.services import browsing
from gridsvc.services import components as register
from gridsvc.web.api.geojson import GEOJSON, Feature, FeatureCollection, feature, list_answer
from gridsvc.web.callers import caller, now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Bbox, Datum, Instant, Paged, Prefix, Query, QueryDegrees, Text
from gridsvc.web.routing import Answer, Endpoints

components = Blueprint("components", __name__)
endpoints = Endpoints(components)

# who may say that a lamp is lost: those who answer for the case, not everybody who reports
KEEPERS = frozenset({"dispatcher", "planner", "manager", "admin"})
MAX_NEAR = 50

State = Literal["intact", "damaged", "lost", "abandoned", "removed"]
Class = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{1,10}$")]
Edition = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,40}$")]


class ComponentsQuery(Paged):
    """Which components."""

    prefix: Prefix = Field("", description="Code of the division they lie in.")
    category_code: Class | None = Field(None, description="Class, such as C01037.")
    state: State | None = None
    bbox: Bbox | None = None


class NearQuery(At):
    """A place and a class."""

    lon: QueryDegrees
    lat: QueryDegrees
    datum: Datum
    category_code: Class = Field(
        description="Class of components (C01001), or the matter that is its anomaly (E01001)."
    )
    edition: Edition | None = Field(None, description="Edition of the category; the one in force when left out.")
    accuracy_m: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = Field(
        None, description="Radius that holds the true position with 68 %. Unit: m."
    )
    limit: int = Field(5, ge=1, le=MAX_NEAR)


class ReportNearQuery(Query):
    """How many."""

    limit: int = Field(5, ge=1, le=MAX_NEAR)


class StateBody(BaseModel):
    """A change of state."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"state": "lost", "changed_at": "2026-11-20T08:30:00+08:00"}]}
    )

    state: State = Field(description="完好 intact, 破损 damaged, 丢失 lost, 废弃 abandoned, 移除 removed.")
    changed_at: Instant | None = Field(None, description="Since when; default now.")
    note: Annotated[Text, StringConstraints(max_length=1000)] = ""


class NearComponent(BaseModel):
    """A component near the place. lon and lat are EPSG:4490."""

    component_id: str
    edition: str
    category_code: str
    name: str
    state: State
    accuracy_class: str
    department_code: str
    department_name: str
    owner_code: str
    owner_name: str
    maintainer_code: str
    maintainer_name: str
    lon: float
    lat: float
    distance_m: float
    bearing_deg: float = Field(description="From the place to the component, clockwise from north. Unit: degrees.")
    share: float | None = Field(
        description="How likely it is the one meant, among those listed; null when no accuracy was stated."
    )


class NearAnswer(BaseModel):
    """Components of a class near a place, nearest first. lon and lat are EPSG:4490."""

    lon: float | None = Field(description="Null for a report that waits for its place.")
    lat: float | None
    at: datetime
    edition: str
    category_code: str | None = Field(description="The class looked for; null when the category is about none.")
    category_codes: list[str] = Field(description="Its codes in all editions.")
    accuracy_m: float | None
    radius_m: float = Field(description="How far was looked: the accuracy, at least 50, at most 500. Unit: m.")
    components: list[NearComponent]


@endpoints.get(
    "/components",
    summary="Components of the register",
    tag="components",
    query=ComponentsQuery,
    answers={200: Answer("A page of points.", FeatureCollection, GEOJSON)},
)
def list_components(query: ComponentsQuery) -> Response:
    """List the components held at an instant as GeoJSON points, ordered by id, each with its unit grid then."""
    with open_uow() as uow:
        page = browsing.list_page(
            uow, "components", at=query.at or now(), prefix=query.prefix, bbox=query.bbox, cursor=query.cursor, limit=query.limit,
            count=query.count, with_geometry=True, category_code=query.category_code, state=query.state, component_id=None,
        )  # fmt: skip
    return list_answer(page, key="component_id", as_geojson=True, name="components")


@endpoints.get(
    "/components:near",
    summary="The nearest components of a class",
    tag="components",
    query=NearQuery,
    answers={200: Answer("Nearest first.", NearAnswer)},
)
def list_near_components(query: NearQuery) -> Response:
    """Return the components of a class nearest to a place, with distance, bearing and, with `accuracy_m`, their shares.

    Looked for within the accuracy, at least 50 m and at most 500 m. Removed components are left out, lost ones are not.
    """
    with open_uow() as uow:
        found = register.near_components(
            uow, query.lon, query.lat, query.datum, category_code=query.category_code, edition=query.edition,
            at=query.at or now(), accuracy_m=query.accuracy_m, limit=query.limit,
        )  # fmt: skip
    return json_answer(asdict(found))


@endpoints.get(
    "/reports/<uuid:report_id>/components",
    summary="The components a report may be about",
    tag="components",
    query=ReportNearQuery,
    answers={200: Answer("Nearest first; empty when its category is about no component.", NearAnswer)},
)
def list_report_components(report_id: UUID, query: ReportNearQuery) -> Response:
    """Return the nearest components of the class a stored report is about, as the register was at the report's time."""
    with open_uow() as uow:
        return json_answer(asdict(register.near_report(uow, report_id, limit=query.limit)))


@endpoints.get(
    "/components/<code:component_id>",
    summary="One component",
    tag="components",
    query=At,
    answers={200: Answer("The component and its history.", Feature, GEOJSON)},
)
def get_component(component_id: str, query: At) -> Response:
    """Return a component as it was at an instant, its unit grid then, and what was recorded of it, oldest first."""
    with open_uow() as uow:
        found = register.get_component(uow, component_id, at=query.at or now())
    return _one(found)


@endpoints.post(
    "/components/<code:component_id>:state",
    summary="Change the state of a component",
    tag="components",
    body=StateBody,
    answers={200: Answer("The component as it is then; the same when that state was held already.", Feature, GEOJSON)},
    roles=KEEPERS,
    refusals=(409,),
)
def post_component_state(component_id: str, body: StateBody) -> Response:
    """Let a component be in another state from an instant on; what it was before stays in its history. Safe to retry."""
    with open_uow() as uow:
        found, _ = register.change_state(
            uow, component_id, body.state, changed_at=body.changed_at, now=now(), by=caller().login, note=body.note
        )
    return _one(found)


def _one(found: dict[str, Any]) -> Response:
    return json_answer(feature(found, "component_id"), mimetype=GEOJSON)
