"""Address to point and point to words, from the gazetteer held here."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from gridsvc.geo.addresses import LONGEST_TEXT
from gridsvc.geo.datums import check_lonlat, convert, parse_datum
from gridsvc.services import geocoding, reverse_geocoding
from gridsvc.services.gazetteer import gazetteer_state
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Datum, QueryDegrees, Text
from gridsvc.web.routing import Answer, Endpoints

geocode = Blueprint("geocode", __name__)
endpoints = Endpoints(geocode)


def _pair(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = tuple(float(part) for part in value.split(","))
        except ValueError:
            value = ()
    if len(value) != 2 or not all(abs(part) <= 180 for part in value):
        raise PydanticCustomError("near_malformed", "not two numbers lon,lat in degrees")
    return value


class GeocodeQuery(At):
    """An address."""

    q: Annotated[Text, StringConstraints(max_length=LONGEST_TEXT, pattern=r"\S")] = Field(
        description="Address as text; full-width figures and Chinese numerals are understood.",
        examples=["江汉区中山大道一百二十号"],
    )
    limit: int = Field(5, ge=1, le=geocoding.MOST_CANDIDATES, description="Candidates at most.")
    near: Annotated[tuple[float, float], BeforeValidator(_pair, json_schema_input_type=str)] | None = Field(
        None,
        description="lon,lat; of places that agree alike, nearer ones come first. Needs datum.",
        examples=["114.27,30.58"],
    )
    datum: Datum | None = Field(None, description="Datum of near; required with it, never guessed.")


class AddressCandidate(BaseModel):
    """A place the address may mean. lon and lat are EPSG:4490."""

    lon: float
    lat: float
    score: float = Field(ge=0, le=1, description="Estimated chance that the place meant is here.")
    accuracy_m: float = Field(description="Radius that holds the true place in about two of three cases. Unit: m.")
    match_kind: str = Field(description=f"What was found: {', '.join(geocoding.PLACE_KINDS)}.")
    place_kind: str = Field(description="Kind of place of GB/T 30428.3: region, quarter, street, plate, poi.")
    address: str
    district_code: str | None
    community_code: str | None
    parts: dict[str, float] = Field(description="Agreement by part of the address, 0 to 1.")


class Geocoded(BaseModel):
    """Candidates, the likeliest first; none when nothing of the address is known here."""

    q: str
    candidates: list[AddressCandidate]
    gazetteer_built_at: datetime | None = Field(description="null: it was never built.")
    gazetteer_is_behind: bool = Field(description="A source changed after that.")


class ReverseQuery(At):
    """One position."""

    lon: QueryDegrees
    lat: QueryDegrees
    datum: Datum


class NamedNear(BaseModel):
    """Something with a name near the position; direction as seen from it."""

    name: str
    kind: str
    number: str
    distance_m: float
    direction: str


class Reversed(BaseModel):
    """Where a position is: a phrase, and what it is made of. lon and lat are EPSG:4490."""

    lon: float
    lat: float
    phrase: str = Field(examples=["江汉区民族街道中山大道12号附近，民众乐园东北方向约80米"])
    divisions: list[dict[str, Any]]
    street: NamedNear | None
    plate: NamedNear | None = Field(description="The nearest door number within 50 m.")
    nearest: NamedNear | None = Field(description="The nearest compound, building or point of interest.")


@endpoints.get(
    "/geocode",
    summary="Places an address may mean",
    tag="geocode",
    query=GeocodeQuery,
    answers={200: Answer("Candidates, the likeliest first.", Geocoded)},
)
def geocode_text(query: GeocodeQuery) -> Response:
    """Return the places a Chinese address may mean, found in the local gazetteer only.

    A door number that is not known is placed between the known ones on its side of the street (`door_interpolated`).
    """
    near = None
    if query.near is not None:
        datum = parse_datum(query.datum)
        check_lonlat(*query.near)
        lon, lat = convert(*query.near, datum, "cgcs2000")
        near = (float(lon), float(lat))
    with open_uow() as uow:
        state = gazetteer_state(uow)
        found = geocoding.geocode(uow, query.q, limit=query.limit, near=near, at=query.at or now())
    return json_answer(
        {
            "q": query.q,
            "candidates": [asdict(candidate) for candidate in found],
            "gazetteer_built_at": state.built_at,
            "gazetteer_is_behind": state.is_behind,
        }
    )


@endpoints.get(
    "/reverse",
    summary="Where a position is, in words",
    tag="geocode",
    query=ReverseQuery,
    answers={200: Answer("Phrase and fields.", Reversed)},
)
def reverse_point(query: ReverseQuery) -> Response:
    """Return a readable Chinese phrase for a position: divisions, street and number, the way from the nearest place of a name."""
    with open_uow() as uow:
        answer = reverse_geocoding.reverse_geocode(uow, query.lon, query.lat, query.datum, at=query.at or now())
    return json_answer(asdict(answer))
