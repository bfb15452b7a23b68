"""The 15-minute service circle: how far one walks from a place, and what the last run found."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import BaseModel, Field, StringConstraints

from gridsvc.circle.travel_times import MOST_MINUTES, WALKER_SPEEDS_M_S
from gridsvc.errors import RequestInvalidError
from gridsvc.services import circles
from gridsvc.services.circle_files import gap_features
from gridsvc.services.circle_gaps import list_gap_areas
from gridsvc.services.circle_places import cover_places, place_rows, run_document
from gridsvc.services.circle_runs import latest_run
from gridsvc.web.api.geojson import GEOJSON, FeatureCollection, collection_answer
from gridsvc.web.callers import caller, now, open_uow, read_by_statements
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import MAX_PAGE, At, Datum, Prefix, Query, QueryDegrees
from gridsvc.web.routing import Answer, Endpoints

circle = Blueprint("circle", __name__)
endpoints = Endpoints(circle)


class IsochroneQuery(At):
    """Where from, and how long."""

    lon: QueryDegrees
    lat: QueryDegrees
    datum: Datum
    minutes: list[Annotated[int, Field(ge=1, le=MOST_MINUTES)]] = Field(
        [5, 10, 15], min_length=1, max_length=6, description="Walking times. Unit: min."
    )
    hour: float | None = Field(
        None,
        ge=0,
        lt=24,
        description="Hour of the day whose gates of compounds are open; without it all that are not closed for good.",
    )


class RunQuery(Query):
    """The division, and which of its runs."""

    division: Prefix = Field("", description="Code prefix of the communities wanted.")
    standard: Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z0-9-]*$")] = Field(
        "", description="The latest run by this standard, or by a list of one's own with this id; empty: by any."
    )
    profile: Literal["planning", "adult", "elderly", "frail"] | None = Field(
        None,
        description="The latest run for this walker: planning 1.1 m/s, adult 1.2, elderly 0.8, frail 0.7; default: any.",
    )

    @property
    def speed_m_s(self) -> float | None:
        """Walking speed of the profile; None without one."""
        return None if self.profile is None else WALKER_SPEEDS_M_S[self.profile]


class CoverageQuery(RunQuery):
    """Which run, and by which places."""

    by: Literal["district", "street", "community", "grid", "residence"] | None = Field(
        None, description="Also a page of places of this kind (grids are governance grids)."
    )
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z:_.-]{0,100}$")] = Field(
        "", description="next_cursor of the page of places before; empty begins."
    )
    limit: int = Field(100, ge=1, le=MAX_PAGE, description="Places of a page.")


class GapsQuery(RunQuery):
    """Which run, which kinds, and how many people at least."""

    kind: list[Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,20}$")]] = Field(
        [], max_length=100, description="Only these kinds, required or not; default: all required ones."
    )
    least_people: int = Field(1, ge=1, le=1_000_000, description="Areas with fewer people are left out.")
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{0,40}$")] = Field(
        "", description="next_cursor of the page before; empty begins."
    )
    limit: int = Field(100, ge=1, le=MAX_PAGE, description="Areas of a page.")


class RunFacts(BaseModel):
    """What a run was computed by, and how far it may be doubted."""

    circle_run_id: int
    division_code: str
    ran_at: datetime
    standard: str
    standard_name: str
    standard_name_en: str
    standard_source: str
    standard_verified: bool = Field(
        description="Whether the whole list was read in its source; a list of one's own never."
    )
    speed_m_s: float
    limit_s: float
    network_sha256: str | None = Field(description="Hash of the walking network.")
    facilities_newest_at: datetime | None
    count_minutes: list[int]
    doubts: dict[str, Any] = Field(description="Of the whole run: counts of input with something missing.")


class Place(BaseModel):
    """Coverage of one place; shares are null where there is nothing to count."""

    place_code: str = Field(description="Code; empty for residences that lie in no such place.")
    name: str
    population: int
    households: int
    residences: int
    complete_share: float | None = Field(description="Share of people who reach every required kind.")
    complete_household_share: float | None
    complete_residence_share: float | None
    compliance: float | None = Field(description="Required kinds reached by 90 % of the people over required kinds.")
    is_qualified: bool | None = Field(description="Whether 90 % reach every required kind; null where nobody lives.")
    lacking: list[str]
    kinds: dict[str, dict[str, Any]] = Field(
        description="By kind: population_share, household_share, residence_share, and mean_counts within each of count_minutes."
    )


class Coverage(BaseModel):
    """The latest service-circle run covering a division: by kind, and by community."""

    division_code: str = Field(description="The division of the run.")
    standard: str
    speed_m_s: float
    limit_s: float
    ran_at: datetime
    coverage: dict[str, Any] = Field(description="Totals, kinds, and communities by code; see docs/data-dictionary.md.")
    run: RunFacts | None = Field(None, description="With `by`: what the run was computed by.")
    by: str | None = Field(None, description="The kind of places, when asked for.")
    places: list[Place] | None = Field(None, description="A page of places by code, when asked for.")
    next_cursor: str | None = Field(
        None, description="Give it as cursor for the next page of places; null on the last."
    )


class Gaps(FeatureCollection):
    """Areas where people lack a kind, by kind and falling population, and what the run was computed by."""

    run: RunFacts


@endpoints.get(
    "/circle/isochrone",
    summary="How far one walks",
    tag="circle",
    query=IsochroneQuery,
    answers={200: Answer("Polygons, smaller times first.", FeatureCollection, GEOJSON)},
)
def isochrone(query: IsochroneQuery) -> Response:
    """Return the area reachable on foot over the walking network from a position, one polygon for each time."""
    at = query.at or now()
    start = read_by_statements(
        lambda uow: circles.walk_start(uow, query.lon, query.lat, query.datum, at=at, hour=query.hour), caller().scope
    )
    areas = circles.isochrones_of(start, sorted(set(query.minutes)))
    return collection_answer(
        (str(minutes), area, {"minutes": minutes, "area_m2": round(size_m2, 1)}) for minutes, area, size_m2 in areas
    )


@endpoints.get(
    "/circle/coverage",
    summary="Service-circle coverage by place",
    tag="circle",
    query=CoverageQuery,
    answers={200: Answer("The latest run.", Coverage)},
)
def coverage(query: CoverageQuery) -> Response:
    """Return what the latest run of the service circle found, by community; with `by`, also a page of places of that kind."""
    with open_uow() as uow:
        run = latest_run(uow, query.division, query.standard or None, query.speed_m_s)
        places = {} if query.by is None else _places(uow, query)
    kept = ("division_code", "standard", "speed_m_s", "limit_s", "ran_at", "coverage")
    answer = {name: run[name] for name in kept}
    communities = answer["coverage"].get("communities", {})
    inside = {code: values for code, values in communities.items() if code.startswith(query.division)}
    return json_answer(answer | {"coverage": answer["coverage"] | {"communities": inside}} | places)


def _places(uow: Any, query: CoverageQuery) -> dict[str, Any]:
    covered = cover_places(
        uow, query.division, by=str(query.by), standard=query.standard or None, speed_m_s=query.speed_m_s
    )
    codes = covered.coverage.place_codes
    begin = bisect_right(codes, query.cursor) if query.cursor else 0
    page = place_rows(covered, begin, begin + query.limit)
    more = begin + query.limit < len(codes)
    return {
        "run": run_document(covered.found),
        "by": query.by,
        "places": page,
        "next_cursor": page[-1]["place_code"] if more else None,
    }


@endpoints.get(
    "/circle/gaps",
    summary="Areas where people lack a facility",
    tag="circle",
    query=GapsQuery,
    answers={200: Answer("Polygons with the people in them.", Gaps, GEOJSON)},
)
def gaps(query: GapsQuery) -> Response:
    """Return the ground of neighbouring residences whose people do not reach a kind in time, from the latest run."""
    with open_uow() as uow:
        found, areas = list_gap_areas(
            uow,
            query.division,
            standard=query.standard or None,
            speed_m_s=query.speed_m_s,
            kinds=query.kind,
            least_people=query.least_people,
        )
    collection = gap_features(found, areas)
    features = collection["features"]
    begin = next((number for number, one in enumerate(features, 1) if one["id"] == query.cursor), None)
    if query.cursor and begin is None:
        raise RequestInvalidError(
            f"The cursor {query.cursor} is of no area of this answer.",
            hint="Begin again without a cursor.",
            field="cursor",
        )
    end = (begin or 0) + query.limit
    page = features[begin or 0 : end]
    more = page[-1]["id"] if end < len(features) else None
    return json_answer(collection | {"features": page, "next_cursor": more}, mimetype=GEOJSON)
