"""The 15-minute service circle: how far one walks from a place, and what the last run found."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from flask import Blueprint, Response
from pydantic import BaseModel, Field
from shapely.geometry import mapping

from gridsvc.geo.projections import area_m2
from gridsvc.services import circles
from gridsvc.services.circle_gaps import latest_run
from gridsvc.web.api.geojson import GEOJSON, FeatureCollection
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Datum, Prefix, Query, QueryDegrees
from gridsvc.web.routing import Answer, Endpoints

circle = Blueprint("circle", __name__)
endpoints = Endpoints(circle)


class IsochroneQuery(At):
    """Where from, and how long."""

    lon: QueryDegrees
    lat: QueryDegrees
    datum: Datum
    minutes: list[int] = Field(
        [5, 10, 15], min_length=1, max_length=6, description="Walking times. Unit: min, 1 to 60."
    )
    hour: float | None = Field(
        None,
        ge=0,
        lt=24,
        description="Hour of the day whose gates of compounds are open; without it all that are not closed for good.",
    )


class CoverageQuery(Query):
    """The division."""

    division: Prefix = Field("", description="Code prefix of the communities wanted.")


class Coverage(BaseModel):
    """The latest service-circle run covering a division: by kind, and by community."""

    division_code: str = Field(description="The division of the run.")
    standard: str
    speed_m_s: float
    limit_s: float
    ran_at: datetime
    coverage: dict[str, Any] = Field(description="Totals, kinds, and communities by code; see docs/data-dictionary.md.")


@endpoints.get(
    "/circle/isochrone",
    summary="How far one walks",
    tag="circle",
    query=IsochroneQuery,
    answers={200: Answer("Polygons, smaller times first.", FeatureCollection, GEOJSON)},
)
def isochrone(query: IsochroneQuery) -> Response:
    """Return the area reachable on foot over the walking network from a position, one polygon for each time."""
    with open_uow() as uow:
        areas = circles.isochrone(
            uow,
            query.lon,
            query.lat,
            query.datum,
            sorted(set(query.minutes)),
            at=query.at or now(),
            hour=query.hour,
        )
    sizes = area_m2(np.array([area for _, area in areas], dtype=object))
    features = [
        {
            "type": "Feature",
            "id": str(minutes),
            "geometry": mapping(area),
            "properties": {"minutes": minutes, "area_m2": round(float(size), 1)},
        }
        for (minutes, area), size in zip(areas, sizes, strict=True)
    ]
    return json_answer({"type": "FeatureCollection", "features": features, "next_cursor": None}, mimetype=GEOJSON)


@endpoints.get(
    "/circle/coverage",
    summary="Service-circle coverage by community",
    tag="circle",
    query=CoverageQuery,
    answers={200: Answer("The latest run.", Coverage)},
)
def coverage(query: CoverageQuery) -> Response:
    """Return what the latest run of the service circle found, by community."""
    with open_uow() as uow:
        run = latest_run(uow, query.division)
    kept = ("division_code", "standard", "speed_m_s", "limit_s", "ran_at", "coverage")
    answer = {name: run[name] for name in kept}
    communities = answer["coverage"].get("communities", {})
    inside = {code: values for code, values in communities.items() if code.startswith(query.division)}
    return json_answer(answer | {"coverage": answer["coverage"] | {"communities": inside}})
