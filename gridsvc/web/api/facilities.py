"""Service facilities in force."""

from __future__ import annotations

from flask import Blueprint, Response
from pydantic import Field

from gridsvc.services import browsing
from gridsvc.web.api.geojson import GEOJSON, FeatureCollection, list_answer
from gridsvc.web.callers import now, open_uow
from gridsvc.web.parameters import Bbox, Paged, Prefix
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
