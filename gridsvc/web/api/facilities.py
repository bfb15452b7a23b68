"""Service facilities in force, and one with its history."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import Field

from gridsvc.services import browsing
from gridsvc.services import facility_corrections as corrections
from gridsvc.web.api.geojson import GEOJSON, Feature, FeatureCollection, feature, list_answer
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Bbox, Paged, Prefix
from gridsvc.web.routing import Answer, Endpoints

facilities = Blueprint("facilities", __name__)
endpoints = Endpoints(facilities)


class FacilitiesQuery(Paged):
    """Which facilities."""

    prefix: Prefix = Field("", description="Code of the division they lie in.")
    kind_code: str | None = Field(None, max_length=20, pattern=r"^[0-9A-Za-z]+$")
    bbox: Bbox | None = None


@endpoints.get(
    "/facilities",
    summary="Service facilities in force",
    tag="facilities",
    query=FacilitiesQuery,
    answers={200: Answer("A page of points.", FeatureCollection, GEOJSON)},
)
def list_facilities(query: FacilitiesQuery) -> Response:
    """List facilities in force at an instant as GeoJSON points, ordered by code."""
    with open_uow() as uow:
        page = browsing.list_page(
            uow, "facilities", at=query.at or now(), prefix=query.prefix, bbox=query.bbox, cursor=query.cursor,
            limit=query.limit, count=query.count, with_geometry=True, kind_code=query.kind_code,
        )  # fmt: skip
    return list_answer(page, key="facility_code", as_geojson=True, name="facilities")


@endpoints.get(
    "/facilities/<code:facility_code>",
    summary="One facility",
    tag="facilities",
    query=At,
    answers={200: Answer("The facility and its history.", Feature, GEOJSON)},
)
def get_facility(facility_code: str, query: At) -> Response:
    """Return a facility as it was at an instant, with area and entrances, and what held of it, oldest first."""
    with open_uow() as uow:
        found = corrections.get_facility(uow, facility_code, at=query.at or now())
    return json_answer(feature(found, "facility_code"), mimetype=GEOJSON)
