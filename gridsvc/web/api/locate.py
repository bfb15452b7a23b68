"""Where is this, and who answers here: positions to grids of every network."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

import numpy as np
from flask import Blueprint, Response, current_app
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from gridsvc.services import browsing, locating
from gridsvc.web.callers import caller, now, open_uow, services
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Datum, Degrees, Instant, QueryDegrees
from gridsvc.web.routing import Answer, Endpoints

locate = Blueprint("locate", __name__)
endpoints = Endpoints(locate)

MAX_POINTS = 10_000


class LocateQuery(At):
    """One position."""

    lon: QueryDegrees
    lat: QueryDegrees
    datum: Datum
    accuracy_m: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = Field(
        None, description="Radius around the position that holds the true one with 68 %, as Android states it. Unit: m."
    )


class LocatedGrid(BaseModel):
    """A grid that answers for the position."""

    network: str
    code: str
    name: str
    kind: str
    community_code: str
    parent_code: str | None
    distance_to_border_m: float
    outside_m: float = Field(
        description="0 where the grid holds the position; else none does, and this is the nearest one, so far away."
    )
    auto_routed: bool = Field(description="Sure enough to be routed without a person having looked.")
    workers: list[dict[str, Any]] = Field(description="On duty, the primary one first; no phone numbers.")
    odds: list[dict[str, Any]] = Field(
        description="Share of each grid, and of none (code null), under accuracy_m; together 1. Empty when no accuracy was given."
    )


class Located(BaseModel):
    """Who answers at a position: divisions, grids of all networks, workers on duty. lon and lat are EPSG:4490."""

    lon: float
    lat: float
    original: dict[str, Any]
    at: datetime
    accuracy_m: float | None
    divisions: list[dict[str, Any]]
    grids: list[LocatedGrid]
    distance_to_border_m: float | None = Field(description="To the nearest grid border; null where no grid answers.")
    unlocated: bool = Field(description="No grid of any network holds the position or is near enough.")


class LocateBody(BaseModel):
    """Many positions in one datum, at one instant."""

    model_config = ConfigDict(extra="forbid")

    lon: list[Degrees] = Field(min_length=1, max_length=MAX_POINTS)
    lat: list[Degrees] = Field(min_length=1, max_length=MAX_POINTS)
    datum: Datum
    at: Instant | None = None
    networks: list[str] | None = Field(None, min_length=1, max_length=8, description="All networks when left out.")

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.lon) != len(self.lat):
            raise PydanticCustomError(
                "lengths_differ", "lon has {lons} values and lat {lats}", {"lons": len(self.lon), "lats": len(self.lat)}
            )
        return self


class LocatedMany(BaseModel):
    """Codes in the order of the positions; null where no grid is in force."""

    count: int
    community: list[str | None]
    grids: dict[str, list[str | None]] = Field(
        description="By network; the nearest grid where none holds the position."
    )
    outside_m: dict[str, list[float | None]] = Field(
        description="By network: 0 where the grid holds the position, the distance to the nearest one, or null without a grid."
    )


@endpoints.get(
    "/locate",
    summary="Who answers at one position",
    tag="locate",
    query=LocateQuery,
    answers={200: Answer("Grids, divisions, workers.", Located)},
)
def locate_one(query: LocateQuery) -> Response:
    """Return the grids of all networks at a position, its divisions, and the workers on duty there.

    A position on a border belongs to exactly one grid of each network: of those that touch it, the smallest code. One that no
    grid holds gets the nearest grid of its community within GRIDSVC_NEAREST_GRID_M, with its distance, else it is unlocated.
    """
    return json_answer(located(query, caller().scope, services(), current_app.config))


def located(query: LocateQuery, scope: str, opened: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answer to a query as a mapping, from the services and the configuration of an application."""
    answer = opened.point_locator.locate(
        query.lon,
        query.lat,
        query.datum,
        scope=scope,
        at=query.at or now(),
        accuracy_m=query.accuracy_m,
        auto_route_odds=config["GRIDSVC_AUTO_ROUTE_ODDS"],
    )
    return {**_fields(answer), "grids": [_fields(grid) for grid in answer.grids]}


def _fields(record: locating.LocatedPoint | locating.LocatedGrid) -> dict[str, Any]:
    """Return a record as a mapping; `dataclasses.asdict` would copy all that is in it, which takes as long as the lookup."""
    return {name: getattr(record, name) for name in record.__slots__}


@endpoints.post(
    "/locate",
    summary="Grids of up to 10,000 positions",
    tag="locate",
    body=LocateBody,
    answers={200: Answer("Codes in the order of the positions.", LocatedMany)},
)
def locate_many(body: LocateBody) -> Response:
    """Return the grid codes of arrays of positions, by the same rule as for one."""
    with open_uow() as uow:
        for wanted in body.networks or ():
            browsing.check_network(uow, wanted)
        found = locating.locate_positions(uow, body.lon, body.lat, body.datum, at=body.at or now())
    networks = body.networks or list(found.grids)
    outside = {name: np.round(found.distance_m[name], 3).tolist() for name in networks}
    return json_answer(
        {
            "count": len(body.lon),
            "community": found.community.tolist(),
            "grids": {name: found.grids[name].tolist() for name in networks},
            "outside_m": {name: [None if d != d else d for d in values] for name, values in outside.items()},
        }
    )
