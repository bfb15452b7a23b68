"""Redraws: drafts of grids with their checks and impact, approved or discarded by somebody else than the drafter."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import numpy as np
import shapely
from flask import Blueprint, Response, url_for
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gridsvc.errors import GeometryError
from gridsvc.services import redraw_drafting as drafting
from gridsvc.services import redraws as service
from gridsvc.services.division_wishes import Wishes, placed
from gridsvc.web.api.geojson import GEOJSON, Feature
from gridsvc.web.callers import caller, now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import Datum, Instant, PageInfo, Prefix, Query, Text
from gridsvc.web.routing import Answer, Endpoints

redraws = Blueprint("redraws", __name__)
endpoints = Endpoints(redraws)

DRAFTERS = frozenset({"planner", "manager", "admin"})
APPROVERS = frozenset({"manager", "admin"})
MOST_GRIDS = 20_000
DivisionCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,12}$")]
Reason = Annotated[Text, StringConstraints(max_length=1000)]
ShortText = Annotated[Text, StringConstraints(max_length=100)]


class RedrawsQuery(Query):
    """Which redraws."""

    prefix: Prefix = Field("", description="Division-code prefix.")
    state: Literal["draft", "approved", "discarded"] | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9a-f_-]{0,100}$")] = Field(
        "", description="next_cursor of the page before; empty begins."
    )
    limit: int = Field(100, ge=1, le=1000, description="Rows of a page.")


class Redraw(BaseModel):
    """A redraw: what it is about, who drafted it, what was decided."""

    redraw_id: UUID
    division_code: str
    networks: list[str]
    community_codes: list[str] = Field(description="The communities whose grids it draws.")
    state: Literal["draft", "approved", "discarded"]
    origin: str
    reason: str
    drafted_by: str
    drafted_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    in_force_from: datetime | None
    effects_at: datetime | None = Field(description="When cases and assignments followed; null before.")


class RedrawList(PageInfo):
    """A page of redraws, newest draft first."""

    redraws: list[Redraw]


class RedrawDetail(Redraw):
    """A redraw with its consequences. Of a draft, checks and impact are those of this moment."""

    checks: dict[str, Any] = Field(description="passed, areas in m2, faults and warnings.")
    impact: dict[str, Any] = Field(description="Households, open cases, workers, codes, service circle.")
    effects: dict[str, Any] = Field(description="What happened at the instant of force.")
    lineage: list[dict[str, Any]] = Field(description="Old and new codes with what they share and weights both ways.")


class GivenGridProperties(BaseModel):
    """What may be said of a given grid; the rest follows from its place."""

    model_config = ConfigDict(extra="forbid")

    network: Literal["urban", "social", "security"]
    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{15}$")] | None = None
    name: ShortText = ""
    community_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")] | None = None
    parent_code: Annotated[str, StringConstraints(pattern=r"^[0-9]{15}$")] | None = None
    households: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = None
    population: Annotated[int, Field(strict=True, ge=0, le=10_000_000)] | None = None


class GivenGridFeature(BaseModel):
    """A GeoJSON feature with a Polygon or MultiPolygon."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["Feature"]
    id: str | int | None = None
    geometry: dict[str, Any]
    properties: GivenGridProperties


class GivenGrids(BaseModel):
    """All grids of the communities that are redrawn, as a GeoJSON collection."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["FeatureCollection"]
    features: list[GivenGridFeature] = Field(min_length=1, max_length=MOST_GRIDS)


class WishesBody(BaseModel):
    """What is asked of an automatic draft besides the rules."""

    model_config = ConfigDict(extra="forbid")

    locked: list[Annotated[str, StringConstraints(pattern=r"^[0-9]{15}$")]] = Field(
        [], max_length=5_000, description="Codes of governance grids that stay as they are."
    )
    dedicated: list[dict[str, Any]] = Field(
        [], max_length=1_000, description="GeoJSON polygons that become governance grids of their own."
    )
    seeds: list[tuple[float, float]] = Field(
        [], max_length=5_000, description="Longitude, latitude of points that each get a governance grid to themselves."
    )
    balance_events: bool = Field(
        False, description="Spread the reports of the last year evenly where households allow it."
    )
    exact_s: float = Field(
        0.0, ge=0, le=20, description="Seconds for a solver that proves the best governance grids of small communities."
    )


class DraftBody(BaseModel):
    """How to begin a draft: dividing anew, from given polygons, or as a copy of what is in force, to be edited."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"division_code": "420103001001", "origin": "automatic", "reason": "新建小区"}]
        },
    )

    division_code: DivisionCode
    origin: Literal["automatic", "imported", "edited"]
    reason: Reason = ""
    rules: dict[str, Annotated[float, Field(allow_inf_nan=False, gt=0)]] | None = Field(
        None, description="Of automatic drafts: rules of the division that differ from the default."
    )
    wishes: WishesBody | None = Field(None, description="Of automatic drafts: what else is asked for.")
    datum: Datum | None = Field(
        None, description="Datum of the polygons of imported drafts, and of the places in wishes; required with these."
    )
    grids: GivenGrids | None = Field(None, description="Of imported drafts, required: the polygons.")

    @model_validator(mode="after")
    def _of_one_origin(self) -> DraftBody:
        if (self.origin == "imported") != (self.grids is not None):
            raise ValueError("grids are given when origin is imported, and only then")
        if self.rules is not None and self.origin != "automatic":
            raise ValueError("rules are given only when origin is automatic")
        if self.wishes is not None and self.origin != "automatic":
            raise ValueError("wishes are given only when origin is automatic")
        return self


class ApproveBody(BaseModel):
    """From when on the grids hold."""

    model_config = ConfigDict(extra="forbid")

    in_force_from: Instant | None = Field(None, description="Now or later; default now.")


class DiscardBody(BaseModel):
    """Nothing to say."""

    model_config = ConfigDict(extra="forbid")


class ApprovalAnswer(BaseModel):
    """What an approval did."""

    redraw_id: UUID
    in_force_from: datetime
    grids: dict[str, int] = Field(description="Grids retired, inserted, unchanged; neighbours that gained vertices.")
    effects: dict[str, Any] | None = Field(description="What followed at once; null when it is in force later.")


class RedrawGrids(BaseModel):
    """The grids of a redraw as a GeoJSON collection, by network and code."""

    type: Literal["FeatureCollection"]
    features: list[Feature]


@endpoints.get(
    "/redraws",
    summary="Redraws",
    tag="redraws",
    query=RedrawsQuery,
    answers={200: Answer("A page.", RedrawList)},
)
def list_redraws(query: RedrawsQuery) -> Response:
    """List redraws of divisions in your scope, newest draft first."""
    with open_uow() as uow:
        page = service.list_redraws(uow, query.prefix, state=query.state, cursor=query.cursor, limit=query.limit)
    return json_answer({"redraws": page.redraws, "next_cursor": page.next_cursor, "count": None})


@endpoints.post(
    "/redraws",
    summary="Begin a draft",
    tag="redraws",
    body=DraftBody,
    answers={201: Answer("The draft.", Redraw)},
    roles=DRAFTERS,
    refusals=(404, 409),
)
def post_redraw(body: DraftBody) -> Response:
    """Draft the grids of a division; nothing is in force until somebody else approves it.

    ``automatic`` divides anew, ``imported`` takes the polygons given, ``edited`` copies the unit and governance grids in force.
    """
    by, at = caller().login, now()
    with open_uow() as uow:
        if body.origin == "automatic":
            redraw_id = drafting.draft_automatic(
                uow,
                body.division_code,
                by=by,
                now=at,
                reason=body.reason,
                rules=body.rules,
                wishes=_wishes(body.wishes, body.datum),
            )
        elif body.grids is not None:
            redraw_id = drafting.draft_given(
                uow, body.division_code, _given(body.grids), datum=body.datum, by=by, now=at, reason=body.reason
            )
        else:
            redraw_id = drafting.draft_copy(uow, body.division_code, by=by, now=at, reason=body.reason)
        uow.commit()
        answer = json_answer(service.head_of(uow, redraw_id), 201)
    answer.headers["Location"] = url_for("redraws.get_redraw", redraw_id=redraw_id)
    return answer


@endpoints.get(
    "/redraws/<uuid:redraw_id>",
    summary="One redraw with its consequences",
    tag="redraws",
    answers={200: Answer("The redraw.", RedrawDetail)},
)
def get_redraw(redraw_id: UUID) -> Response:
    """Return a redraw with its checks, impact statement, effects and lineage."""
    with open_uow() as uow:
        return json_answer(service.show_redraw(uow, str(redraw_id), now=now()))


@endpoints.get(
    "/redraws/<uuid:redraw_id>/grids",
    summary="The grids of a redraw",
    tag="redraws",
    answers={200: Answer("GeoJSON.", RedrawGrids, GEOJSON)},
)
def get_redraw_grids(redraw_id: UUID) -> Response:
    """Return the grids as drafted, whatever came of them; CRS EPSG:4490."""
    with open_uow() as uow:
        grids = service.redraw_grids(uow, str(redraw_id))
    names = ("network", "kind", "code", "name", "community_code", "parent_code", "households", "population", "area_m2")
    features = [
        {
            "type": "Feature",
            "id": f"{row['network']}:{row['code']}",
            "geometry": json.loads(shape),
            "properties": {name: row[name] if row[name] == row[name] else None for name in names},
        }
        for row, shape in zip(grids.to_dict("records"), shapely.to_geojson(grids.geometry.to_numpy()), strict=True)
    ]
    return json_answer({"type": "FeatureCollection", "features": features}, mimetype=GEOJSON)


@endpoints.post(
    "/redraws/<uuid:redraw_id>:approve",
    summary="Put a draft in force",
    tag="redraws",
    body=ApproveBody,
    answers={200: Answer("In force, or approved for later.", ApprovalAnswer)},
    roles=APPROVERS,
    refusals=(404, 409),
)
def approve_redraw(redraw_id: UUID, body: ApproveBody) -> Response:
    """Approve a draft of somebody else: grids, open cases, assignments and the unified net change at one instant.

    Refused (409) when a check fails, when another redraw of the same grids was approved since the draft was begun, or when
    one is approved for later than the instant asked for; (403) for the drafter.
    """
    with open_uow() as uow:
        done = service.approve_redraw(
            uow, str(redraw_id), by=caller().login, now=now(), in_force_from=body.in_force_from
        )
        uow.commit()
    return json_answer(service.answer_of(done))


@endpoints.post(
    "/redraws/<uuid:redraw_id>:discard",
    summary="Give a draft up",
    tag="redraws",
    body=DiscardBody,
    answers={200: Answer("The discarded redraw.", Redraw)},
    roles=DRAFTERS,
    refusals=(404, 409),
)
def discard_redraw(redraw_id: UUID, body: DiscardBody) -> Response:
    """Discard a draft: the record stays, and its codes are not given again; nothing else is left of it."""
    with open_uow() as uow:
        done = service.discard_redraw(uow, str(redraw_id), by=caller().login, now=now())
        uow.commit()
    return json_answer(done)


def _wishes(body: WishesBody | None, datum: str | None) -> Wishes:
    if body is None:
        return Wishes()
    polygons = np.array([_shape(polygon, "wishes.dedicated") for polygon in body.dedicated], dtype=object)
    points = shapely.points(np.array(body.seeds, dtype=float).reshape(-1, 2)) if body.seeds else polygons[:0]
    return Wishes(
        dedicated=placed(polygons, datum, "polygon", "wishes.dedicated") if len(polygons) else polygons,
        seeds=placed(points, datum, "point", "wishes.seeds") if len(points) else points,
        locked=tuple(body.locked),
        balance_events=body.balance_events,
        exact_s=body.exact_s,
    )


def _shape(geometry: dict[str, Any], where: str) -> shapely.Geometry:
    try:
        return shapely.from_geojson(json.dumps(geometry))
    except shapely.GEOSException:
        raise GeometryError(f"{where} has no geometry that can be read.", hint="Give GeoJSON polygons.") from None


def _given(grids: GivenGrids) -> list[drafting.GivenGrid]:
    given = []
    for number, feature in enumerate(grids.features):
        where, said = f"Feature {number}", feature.properties
        geometry = _shape(feature.geometry, where)
        given.append(
            drafting.GivenGrid(
                geometry=geometry, network=said.network, where=where, code=said.code or "", name=said.name,
                community_code=said.community_code or "", parent_code=said.parent_code or "",
                households=said.households, population=said.population,
            )
        )  # fmt: skip
    return given
