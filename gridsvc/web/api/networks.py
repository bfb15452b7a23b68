"""Networks held against each other: where grids cross, crosswalks between nets, figures carried over."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import numpy as np
from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from gridsvc.services import browsing, crosswalks, network_conflicts
from gridsvc.web.api.geojson import GEOJSON, FeatureCollection, list_answer
from gridsvc.web.api.grids import NetworkCode
from gridsvc.web.callers import open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import PageInfo, Prefix, Query
from gridsvc.web.routing import Answer, Endpoints

networks = Blueprint("networks", __name__)
endpoints = Endpoints(networks)

MAX_FIGURES = 100_000

GridCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{13,15}$")]
Weight = Literal["area", "households", "events"]


class ConflictsQuery(Query):
    """Which conflicts."""

    division: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,12}$")] = Field(
        description="Code of the division one of the grids lies in.", examples=["420103"]
    )
    network: NetworkCode | None = Field(None, description="Those in which this network takes part.")
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{0,9}$")] = Field(
        "", description="next_cursor of the page before; empty begins."
    )
    limit: int = Field(100, ge=1, le=1000, description="Rows of a page.")
    count: bool = Field(False, description="Also count all rows; costs a pass over them.")


class CrosswalksQuery(Query):
    """Which crosswalks."""

    prefix: Prefix = Field("", description="Code of the division they are of.")
    network: NetworkCode | None = Field(None, description="Those from or to this network.")
    cursor: Annotated[
        str, StringConstraints(pattern=r"^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?$")
    ] = Field("", description="next_cursor of the page before; empty begins.")
    limit: int = Field(100, ge=1, le=1000, description="Rows of a page.")


class CrosswalkQuery(Query):
    """Of a redraw: in which network."""

    network: NetworkCode | None = Field(None, description="Whose grids, where the id is that of a redraw of several.")


class CrosswalkAbout(BaseModel):
    """What a crosswalk is between: the nets of a division at two instants."""

    crosswalk_id: UUID
    division_code: str
    first_network: str
    first_at: datetime
    second_network: str
    second_at: datetime
    first_grids: int
    second_grids: int
    events_from: datetime | None = Field(description="Reports of [events_from, events_to) are the events.")
    events_to: datetime | None
    origin: Literal["saved", "lineage"] = Field(description="lineage: what a redraw kept of the grids it changed.")
    made_at: datetime | None


class CrosswalkList(PageInfo):
    """A page of crosswalks, ordered by id."""

    crosswalks: list[CrosswalkAbout]


class CrosswalkRow(BaseModel):
    """What two grids have in common; null for land of nobody in that net. Shares of the first and of the second grid's weight."""

    first_code: str | None
    second_code: str | None
    area_m2: float
    households: float
    events: float | None = Field(None, description="Missing in a lineage, which does not count reports.")
    first_area_share: float
    second_area_share: float
    first_households_share: float
    second_households_share: float
    first_events_share: float | None = None
    second_events_share: float | None = None


class CrosswalkWhole(CrosswalkAbout):
    """A crosswalk with its rows, ordered by first code, then second code."""

    rows: list[CrosswalkRow]


class RebaseBody(BaseModel):
    """Figures by grid."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"figures": {"420103001001001": 1200}, "weight": "households", "whole": True}]},
    )

    figures: dict[GridCode, Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e15, le=1e15)]] = Field(
        min_length=1, max_length=MAX_FIGURES,
        description="By code of the grids of the first net (of the second with back). They add up, as people or requests do; no rates. Grids left out count 0.",
    )  # fmt: skip
    weight: Weight = Field("area", description="What land is weighed by.")
    back: bool = Field(False, strict=True, description="From the second net to the first.")
    whole: bool = Field(False, strict=True, description="Carry whole numbers over as whole numbers.")


class RebasedFigure(BaseModel):
    """A figure carried over. The error takes the weights as odds; low and high hold whatever the true spread, for figures of 0 and more."""

    code: str
    value: float
    standard_error: float
    low: float
    high: float


class Rebased(BaseModel):
    """Figures by grid of the other net; placed and unplaced add up to given."""

    crosswalk_id: UUID
    weight: Weight
    given: float
    placed: float
    unplaced: float = Field(description="What lies where the other net has no grid.")
    without_figure: int = Field(description="Grids that had no figure, counted 0.")
    figures: list[RebasedFigure]


@endpoints.get(
    "/networks/conflicts",
    summary="Grids of different networks that cross, and the land they share",
    tag="networks",
    query=ConflictsQuery,
    answers={200: Answer("A page of areas.", FeatureCollection, GEOJSON)},
)
def list_network_conflicts(query: ConflictsQuery) -> Response:
    """List grids that share land while each crosses the other's borders, as `gridsvc networks compare --save` found them last.

    Both grids lie in your area. 404 while the networks of the division were not compared.
    """
    with open_uow() as uow:
        if query.network is not None:
            browsing.check_network(uow, query.network)
        page = network_conflicts.list_conflicts(
            uow, query.division, network=query.network, cursor=query.cursor, limit=query.limit, count=query.count
        )
    return list_answer(page, key="conflict", as_geojson=True, name="conflicts")


@endpoints.get(
    "/crosswalks",
    summary="Crosswalks between nets",
    tag="networks",
    query=CrosswalksQuery,
    answers={200: Answer("A page.", CrosswalkList)},
)
def list_crosswalks(query: CrosswalksQuery) -> Response:
    """List the crosswalks kept, ordered by id. What a redraw did is a crosswalk too, under the id of the redraw."""
    with open_uow() as uow:
        if query.network is not None:
            browsing.check_network(uow, query.network)
        page = crosswalks.list_crosswalks(
            uow, query.prefix, network=query.network, cursor=query.cursor, limit=query.limit
        )
    rows = [_told(row) for row in page.rows]
    return json_answer({"crosswalks": rows, "next_cursor": page.next_cursor, "count": None})


@endpoints.get(
    "/crosswalks/<uuid:crosswalk_id>",
    summary="One crosswalk",
    tag="networks",
    query=CrosswalkQuery,
    answers={200: Answer("Its rows, with shares both ways.", CrosswalkWhole)},
)
def get_crosswalk(crosswalk_id: UUID, query: CrosswalkQuery) -> Response:
    """Return how the grids of two nets share land, households and events; with the id of a redraw in force, its lineage."""
    with open_uow() as uow:
        stored = crosswalks.get_crosswalk(uow, str(crosswalk_id), network=query.network)
    frame = crosswalks.with_shares(stored)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return json_answer(_told(stored.about) | {"rows": rows})


@endpoints.post(
    "/crosswalks/<uuid:crosswalk_id>:rebase",
    summary="Carry figures over to another net",
    tag="networks",
    query=CrosswalkQuery,
    body=RebaseBody,
    answers={200: Answer("Figures by grid of the other net, with error and bounds.", Rebased)},
)
def rebase_figures(crosswalk_id: UUID, query: CrosswalkQuery, body: RebaseBody) -> Response:
    """Carry figures of the grids of one net over to those of the other. Nothing is stored; their sum is preserved, exactly with whole."""
    with open_uow() as uow:
        stored = crosswalks.get_crosswalk(uow, str(crosswalk_id), network=query.network)
    found = crosswalks.rebase_figures(stored, body.figures, weight=body.weight, back=body.back, whole=body.whole)
    return json_answer(
        {
            "crosswalk_id": str(crosswalk_id),
            "weight": body.weight,
            "given": found.given,
            "placed": found.placed,
            "unplaced": found.unplaced,
            "without_figure": found.without_figure,
            "figures": found.values.to_dict("records"),
        }
    )


def _told(about: Any) -> dict[str, Any]:
    """Return what is told of a crosswalk: not who made it."""
    plain = {name: about[name] for name in CrosswalkAbout.model_fields}
    return {name: int(value) if isinstance(value, np.integer) else value for name, value in plain.items()}
