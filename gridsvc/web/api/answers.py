"""Who answers for a place: grid, department and workers of every network. `/locate` is quicker and knows no departments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from gridsvc.services import browsing
from gridsvc.services.answering import Answer as NetworkAnswer
from gridsvc.services.answering import PlaceAnswers, WhoAnswers, who_answers_at, who_answers_for
from gridsvc.services.place_index import NETWORKS
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Datum, Degrees, Instant, QueryDegrees
from gridsvc.web.routing import Answer, Endpoints

answers = Blueprint("answers", __name__)
endpoints = Endpoints(answers)

MAX_POINTS = 10_000

CategoryCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{1,20}$")]
Edition = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,40}$")]
_CATEGORY = "Class of the matter; without it only duties for every category answer."


class AnswersQuery(At):
    """One position, and what the matter is."""

    lon: QueryDegrees
    lat: QueryDegrees
    datum: Datum
    category: CategoryCode | None = Field(None, description=_CATEGORY, examples=["E06001"])
    edition: Edition | None = Field(None, description="Edition of the category; default the one in force.")


class AnsweringDepartment(BaseModel):
    """A department that answers."""

    department_code: str
    name: str | None = Field(description="Null when the department itself has ended.")
    kind_code: str | None


class DecidingDuty(BaseModel):
    """A duty that matches."""

    duty_code: str
    department_code: str
    network: str | None
    ground_code: str
    edition: str | None
    category_code: str | None


class AnswerOfNetwork(BaseModel):
    """Who answers in one network."""

    network: str
    grid: str | None = Field(
        description="The grid that holds the position, else the nearest one near enough; null: nobody's land."
    )
    outside_m: float | None = Field(description="0 where the grid holds the position, else how far away it is.")
    department: AnsweringDepartment | None = Field(
        description="Null: no duty matches, or several departments stand alike."
    )
    is_conflict: bool = Field(
        description="Several departments stand alike; duties says which. Nobody chooses between them here."
    )
    duties: list[DecidingDuty] = Field(
        description="The duties that decide: on the smallest ground, of the nearest category."
    )
    beaten: list[DecidingDuty] = Field(description="The others that match, strongest first.")
    workers: list[dict[str, Any]] = Field(description="On duty, the primary one first; no phone numbers.")
    claims: list[str] = Field(description="All grids of the network that hold the position, where several do.")


class AnswersOfPlace(BaseModel):
    """Who answers for a position in every network."""

    lon: float
    lat: float
    datum: str
    at: datetime
    district: str | None
    community: str | None
    is_orphan: bool = Field(description="No network holds it; one near may answer all the same.")
    is_claimed_twice: bool = Field(description="Several grids of one network hold it.")
    networks: list[AnswerOfNetwork]


class AnswersBody(BaseModel):
    """Many positions in one datum, at one instant, of one category or each of its own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"lon": [114.2545], "lat": [30.585], "datum": "wgs84", "categories": ["E06001"]}]
        },
    )

    lon: list[Degrees] = Field(min_length=1, max_length=MAX_POINTS)
    lat: list[Degrees] = Field(min_length=1, max_length=MAX_POINTS)
    datum: Datum
    at: Instant | None = None
    category: CategoryCode | None = Field(None, description=_CATEGORY)
    categories: list[CategoryCode | None] | None = Field(
        None, min_length=1, max_length=MAX_POINTS, description="One for each position, in place of category."
    )
    edition: Edition | None = None
    networks: list[str] | None = Field(None, min_length=1, max_length=8, description="All networks when left out.")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        lengths = {len(self.lon), len(self.lat), *([len(self.categories)] if self.categories is not None else [])}
        if len(lengths) > 1:
            raise PydanticCustomError("lengths_differ", "lon, lat and categories differ in length")
        if self.category is not None and self.categories is not None:
            raise PydanticCustomError("category_twice", "give category or categories, not both")
        return self


class AnswersOfMany(BaseModel):
    """Arrays in the order of the positions, by network; null where nobody answers."""

    count: int
    community: list[str | None]
    grids: dict[str, list[str | None]]
    outside_m: dict[str, list[float | None]]
    departments: dict[str, list[str | None]]
    workers: dict[str, list[str | None]] = Field(description="The primary worker on duty, else the first.")
    is_conflict: dict[str, list[bool]] = Field(description="Several departments stand alike; ask for the one position.")
    is_orphan: list[bool]
    is_claimed_twice: list[bool]
    is_outside: list[bool] = Field(description="In no division of your area; nobody answers.")
    names: dict[str, dict[str, str]] = Field(description="Name and kind of each department named.")


@endpoints.get(
    "/answers",
    summary="Who answers at one position, departments included",
    tag="answers",
    query=AnswersQuery,
    answers={200: Answer("Grid, department and workers of every network.", AnswersOfPlace)},
)
def answer_one(query: AnswersQuery) -> Response:
    """Return who answers at a position for a category: in each network the grid, the department and the workers on duty.

    Of several duties that match, the one on the smallest ground decides, then the one of the nearest category; departments that still stand
    alike are told as a conflict.
    """
    at = query.at or now()
    with open_uow() as uow:
        found = who_answers_at(
            uow, query.lon, query.lat, query.datum, at=at, category=query.category, edition=query.edition
        )
    place = found.places[0]
    return json_answer(
        {
            "lon": query.lon,
            "lat": query.lat,
            "datum": query.datum,
            "at": at,
            "district": place.district,
            "community": place.community,
            "is_orphan": place.is_orphan,
            "is_claimed_twice": place.is_claimed_twice,
            "networks": [_shown(answer, found) for answer in place.answers],
        }
    )


def _shown(answer: NetworkAnswer, found: WhoAnswers) -> dict[str, Any]:
    code = answer.department
    return {
        "network": answer.network,
        "grid": answer.grid,
        "outside_m": answer.outside_m,
        "department": None
        if code is None
        else {"department_code": code, "name": None, "kind_code": None} | found.departments.get(code, {}),
        "is_conflict": answer.settled.is_conflict,
        "duties": [_duty(duty) for duty in answer.settled.duties],
        "beaten": [_duty(duty) for duty in answer.settled.beaten],
        "workers": answer.workers,
        "claims": answer.claims,
    }


def _duty(duty: Any) -> dict[str, Any]:
    return {
        "duty_code": duty.code,
        "department_code": duty.department,
        "network": duty.network,
        "ground_code": duty.ground,
        "edition": duty.edition,
        "category_code": duty.category,
    }


@endpoints.post(
    "/answers",
    summary="Who answers at up to 10,000 positions",
    tag="answers",
    body=AnswersBody,
    answers={200: Answer("Arrays in the order of the positions.", AnswersOfMany)},
)
def answer_many(body: AnswersBody) -> Response:
    """Return grids, departments and workers of arrays of positions, by the same rule as for one."""
    categories = body.categories if body.categories is not None else [body.category] * len(body.lon)
    networks = body.networks or NETWORKS
    with open_uow() as uow:
        for wanted in body.networks or ():
            browsing.check_network(uow, wanted)
        found = who_answers_for(
            uow, body.lon, body.lat, body.datum, at=body.at or now(), categories=categories, edition=body.edition,
            networks=tuple(dict.fromkeys(networks)),
        )  # fmt: skip
    return json_answer(_columns(found))


def _columns(found: WhoAnswers) -> dict[str, Any]:
    places: list[PlaceAnswers] = found.places
    names = [answer.network for answer in places[0].answers]
    by_network = {name: [place.answers[n] for place in places] for n, name in enumerate(names)}

    def of(read: Any) -> dict[str, list[Any]]:
        return {name: [read(answer) for answer in listed] for name, listed in by_network.items()}

    return {
        "count": len(places),
        "community": [place.community for place in places],
        "grids": of(lambda answer: answer.grid),
        "outside_m": of(lambda answer: answer.outside_m),
        "departments": of(lambda answer: answer.department),
        "workers": of(lambda answer: answer.workers[0]["worker_code"] if answer.workers else None),
        "is_conflict": of(lambda answer: answer.settled.is_conflict),
        "is_orphan": [place.is_orphan for place in places],
        "is_claimed_twice": [place.is_claimed_twice for place in places],
        "is_outside": [place.is_outside for place in places],
        "names": found.departments,
    }
