"""What a planner asks of the service circle: where one more facility helps most, which gate to open, what would change. Nothing is stored."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from gridsvc.circle.travel_times import WALKER_SPEEDS_M_S
from gridsvc.services import circle_scenarios as scenarios
from gridsvc.services.circle_gates import rank_gates
from gridsvc.services.circle_sandboxes import Walkers
from gridsvc.services.circle_scenarios import MOST_CHANGES, run_scenario
from gridsvc.services.circle_siting import MOST_SITES, SitingWish, choose_sites, places_of
from gridsvc.services.circle_siting_files import gate_features, site_features
from gridsvc.web.api.geojson import GEOJSON, Feature
from gridsvc.web.callers import now, open_uow
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import At, Datum, Degrees, Instant, Text
from gridsvc.web.routing import Answer, Endpoints

circle_planning = Blueprint("circle_planning", __name__)
endpoints = Endpoints(circle_planning)

PLANNERS = frozenset({"planner", "manager", "admin"})
MOST_PLACES = 5000
MOST_EXACT_S = 20.0
DivisionCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,12}$")]
KindCode = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,20}$")]
StandardId = Annotated[str, StringConstraints(max_length=40, pattern=r"^[a-z0-9-]*$")]
Profile = Literal["planning", "adult", "elderly", "frail"]
Weight = Literal["population", "households", "residences"]
ObjectCode = Annotated[Text, StringConstraints(min_length=1, max_length=100)]
LonLat = tuple[Degrees, Degrees]
Minutes = Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)]
NetworkId = Annotated[int, Field(ge=1, le=2**53)]

_PROFILE = "Who walks: planning 1.1 m/s, adult 1.2, elderly 0.8, frail 0.7."
_MINUTES = "Longest walk to every kind; default: that of the standard, else of the kind. Unit: min."
_STANDARD = "The list that minutes, and kinds where none are named, are of; empty: gb50180-15."
_HOUR = "Hour of the day whose gates are open; without it all that are not closed for good."
_NETWORK = "A stored walking network; default: the latest that takes in the division."


class PlanningBody(BaseModel):
    """Which division, and who walks."""

    model_config = ConfigDict(extra="forbid")

    division: DivisionCode
    profile: Profile = Field("planning", description=_PROFILE)
    weight: Weight = Field("population", description="What is counted.")
    standard: StandardId = Field("", description=_STANDARD)
    minutes: Minutes | None = Field(None, description=_MINUTES)
    hour: Annotated[float, Field(ge=0, lt=24, allow_inf_nan=False)] | None = Field(None, description=_HOUR)
    network_id: NetworkId | None = Field(None, description=_NETWORK)
    at: Instant | None = Field(None, description="Instant of boundary and facilities; default now.")

    @property
    def walkers(self) -> Walkers:
        """Who walks, and how they are counted."""
        return Walkers(WALKER_SPEEDS_M_S[self.profile], self.hour, self.weight, self.network_id)


class SitesBody(PlanningBody):
    """Where facilities of a kind would help most."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"division": "420103", "kind_code": "J02", "sites": 3}]}
    )

    kind_code: KindCode
    sites: int = Field(1, ge=1, le=MOST_SITES, description="How many at most.")
    share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = Field(
        None, description="Instead: as few as reach this share of all."
    )
    by_time: bool = Field(False, description="Least time walked, instead of most people within the minutes.")
    method: Literal["greedy", "exact"] = Field("greedy", description="Quick with its bound, or proven by a solver.")
    exact_s: float = Field(10.0, gt=0, le=MOST_EXACT_S, description="Seconds for the solver; then the best so far.")
    candidates: Literal["streets", "residences"] = Field(
        "streets", description="Points along streets, or residences without such a facility."
    )
    spacing_m: float = Field(100.0, ge=10, le=1000, description="Points along streets are at most this far apart.")
    capacity: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="How many each new facility can serve; default: any number."
    )
    places: list[LonLat] | None = Field(
        None, min_length=1, max_length=MOST_PLACES, description="Candidates instead; needs datum."
    )
    datum: Datum | None = Field(None, description="Of places.")

    @model_validator(mode="after")
    def _places_have_a_datum(self) -> SitesBody:
        if (self.places is None) != (self.datum is None):
            raise ValueError("places and datum are given together")
        return self


class Change(BaseModel):
    """One change; each takes the fields named in its kind."""

    model_config = ConfigDict(extra="forbid")


class AddFacilityChange(Change):
    """A new facility."""

    change: Literal["add_facility"]
    kind_code: KindCode
    lon: Degrees
    lat: Degrees
    facility_code: ObjectCode | None = Field(
        None, description="By which later changes name it; default new-1 and so on."
    )

    def wanted(self) -> scenarios.Wanted:
        """Return the change as the service takes it."""
        return scenarios.AddFacility(self.kind_code, (self.lon, self.lat), self.facility_code or "")


class MoveFacilityChange(Change):
    """A facility that moves."""

    change: Literal["move_facility"]
    facility_code: ObjectCode
    lon: Degrees
    lat: Degrees

    def wanted(self) -> scenarios.Wanted:
        """Return the change as the service takes it."""
        return scenarios.MoveFacility(self.facility_code, (self.lon, self.lat))


class CloseFacilityChange(Change):
    """A facility that closes."""

    change: Literal["close_facility"]
    facility_code: ObjectCode

    def wanted(self) -> scenarios.Wanted:
        """Return the change as the service takes it."""
        return scenarios.CloseFacility(self.facility_code)


class GateChange(Change):
    """A gate that opens or closes: by its code, or the gate or gap in a wall within 30 m of a position."""

    change: Literal["open_gate", "close_gate"]
    gate_code: ObjectCode | None = None
    lon: Degrees | None = None
    lat: Degrees | None = None

    @model_validator(mode="after")
    def _named_once(self) -> GateChange:
        if (self.lon is None) != (self.lat is None) or (self.gate_code is None) != (self.lon is not None):
            raise ValueError("a gate is named by gate_code, or by lon and lat")
        return self

    def wanted(self) -> scenarios.Wanted:
        """Return the change as the service takes it."""
        at = None if self.lon is None or self.lat is None else (self.lon, self.lat)
        made = scenarios.OpenGate if self.change == "open_gate" else scenarios.CloseGate
        return made(self.gate_code or "", at)


class AddPathChange(Change):
    """A path or bridge, from the nearest point of a street (within 50 m) to that of another."""

    change: Literal["add_path"]
    line: list[LonLat] = Field(min_length=2, max_length=1000)
    penalty_s: float = Field(0.0, ge=0, le=3600, description="Seconds beside the metres, as of an overpass. Unit: s.")

    def wanted(self) -> scenarios.Wanted:
        """Return the change as the service takes it."""
        return scenarios.AddPath(tuple(self.line), self.penalty_s)


AnyChange = Annotated[
    AddFacilityChange | MoveFacilityChange | CloseFacilityChange | GateChange | AddPathChange,
    Field(discriminator="change"),
]


class ScenarioChanges(BaseModel):
    """The changes, made one after the other; what a scenario file holds."""

    model_config = ConfigDict(extra="forbid")

    datum: Datum | None = Field(None, description="Of all positions; required with any.")
    changes: list[AnyChange] = Field(min_length=1, max_length=MOST_CHANGES)

    def wanted(self) -> list[scenarios.Wanted]:
        """Return the changes as the service takes them."""
        return [change.wanted() for change in self.changes]


class ScenarioBody(PlanningBody, ScenarioChanges):
    """What if."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "division": "420103",
                    "datum": "wgs84",
                    "changes": [{"change": "add_facility", "kind_code": "J02", "lon": 114.2545, "lat": 30.585}],
                }
            ]
        },
    )

    kinds: list[KindCode] = Field(
        [],
        max_length=100,
        description="Kinds that count; default: the required ones of the standard, and those that are added.",
    )
    residences: bool = Field(False, description="Also every residence and kind whose time is another.")


class GatesQuery(At):
    """Which division, who walks, and what to."""

    division: DivisionCode
    kind: list[KindCode] = Field([], max_length=100, description="Kinds that count; default: the required ones.")
    standard: StandardId = Field("", description=_STANDARD)
    minutes: Minutes | None = Field(None, description=_MINUTES)
    profile: Profile = Field("planning", description=_PROFILE)
    weight: Weight = Field("population", description="What is counted.")
    hour: Annotated[float, Field(ge=0, lt=24, allow_inf_nan=False)] | None = Field(
        None, description=f"{_HOUR} Gates closed at that hour are ranked, too."
    )
    network_id: NetworkId | None = Field(None, description=_NETWORK)
    limit: int = Field(100, ge=1, le=1000, description="The best so many.")


class PlanningFacts(BaseModel):
    """What an answer was computed by, and how far it may be doubted."""

    division_code: str
    at: str
    walk_network_id: int
    network_sha256: str
    network_built_at: str
    speed_m_s: float
    hour: float | None
    weight: Weight
    kinds: dict[str, dict[str, Any]] = Field(
        description="By kind: name, minutes, facilities in and around the division."
    )
    total: float = Field(description="All who are counted.")
    doubts: dict[str, int] = Field(description="Counts of input with something missing.")


class Sites(BaseModel):
    """Sites as points, in the order in which they help most; each has what it brings after those before it."""

    type: Literal["FeatureCollection"]
    features: list[Feature]
    aim: Literal["cover", "share", "median"]
    method: str
    candidates: int
    candidates_from: str
    candidates_without_street: int
    before: float = Field(description="Those within the minutes; with by_time person-hours walked.")
    after: float
    value: float = Field(description="What was aimed at: after, or with a share the number of sites.")
    bound: float = Field(description="What no other choice betters.")
    gap: float = Field(description="How much better another choice could be at most, as a share.")
    is_proven: bool
    facts: PlanningFacts


class MissingGates(BaseModel):
    """Closed gates and gaps in walls as points, the best first; each as if it alone were opened."""

    type: Literal["FeatureCollection"]
    features: list[Feature]
    gates: int = Field(description="All that were tried.")
    helpful: int = Field(description="Those that change anything.")
    facts: PlanningFacts


class KindChange(BaseModel):
    """Those within the minutes of a kind."""

    kind_code: str
    kind_name: str
    minutes: float
    before: float
    after: float


class CommunityChange(BaseModel):
    """A community in which somebody walks another time."""

    community_code: str
    community_name: str
    total: float
    complete_before: float = Field(description="Those who reach every kind.")
    complete_after: float
    kinds: dict[str, tuple[float, float]] = Field(description="Kinds that change: before, after.")


class ResidenceChange(BaseModel):
    """A residence that walks another time to a kind; null where nothing of it is in reach."""

    residence_code: str
    community_code: str
    count: float
    lon: float
    lat: float
    kind_code: str
    before_s: float | None
    after_s: float | None


class Scenario(BaseModel):
    """Before and after, counted in people, households or residences."""

    changes: list[str]
    total: float
    complete_before: float = Field(description="Those who reach every kind.")
    complete_after: float
    nearer: float = Field(description="Those who walk less to at least one kind.")
    farther: float = Field(description="Those who walk more to at least one kind.")
    kinds: list[KindChange]
    communities: list[CommunityChange]
    residences_changed: int = Field(description="Residences and kinds whose time is another.")
    residences: list[ResidenceChange] | None = Field(None, description="When asked for.")
    facts: PlanningFacts


@endpoints.post(
    "/circle/scenarios",
    summary="What would change",
    tag="circle",
    body=ScenarioBody,
    answers={200: Answer("Before and after.", Scenario)},
    roles=PLANNERS,
    refusals=(409,),
)
def post_scenario(body: ScenarioBody) -> Response:
    """Return what changes of facilities, gates and paths do to everybody's walks in a division, exactly. Nothing is stored."""
    with open_uow() as uow:
        found = run_scenario(
            uow,
            body.division,
            body.wanted(),
            datum=body.datum,
            at=body.at or now(),
            walkers=body.walkers,
            kinds=body.kinds,
            standard=body.standard or None,
            minutes=body.minutes,
        )
    told = found if body.residences else replace(found, residences=())
    document = asdict(told) | {"residences_changed": len(found.residences)}
    left_out = ("seconds",) if body.residences else ("seconds", "residences")
    return json_answer({name: value for name, value in document.items() if name not in left_out})


@endpoints.post(
    "/circle/sites",
    summary="Where a facility helps most",
    tag="circle",
    body=SitesBody,
    answers={200: Answer("Points, the best first.", Sites, GEOJSON)},
    roles=PLANNERS,
    refusals=(409,),
)
def post_sites(body: SitesBody) -> Response:
    """Return the best sites for facilities of a kind above those that stand, and how far from the best they can be. Nothing is stored."""
    wish = SitingWish(
        kind_code=body.kind_code,
        minutes=body.minutes,
        sites=body.sites,
        share=body.share,
        by_time=body.by_time,
        method=body.method,
        candidates=body.candidates,
        spacing_m=body.spacing_m,
        capacity=body.capacity,
        time_limit_s=body.exact_s,
    )
    places = None if body.places is None or body.datum is None else places_of(body.places, body.datum)
    with open_uow() as uow:
        found = choose_sites(
            uow,
            body.division,
            wish,
            at=body.at or now(),
            walkers=body.walkers,
            standard=body.standard or None,
            places=places,
        )
    document = {name: value for name, value in asdict(found).items() if name not in ("sites", "seconds")}
    return json_answer(site_features(found) | document, mimetype=GEOJSON)


@endpoints.get(
    "/circle/gates",
    summary="The missing gate",
    tag="circle",
    query=GatesQuery,
    answers={200: Answer("Points, the best first.", MissingGates, GEOJSON)},
    roles=PLANNERS,
)
def list_missing_gates(query: GatesQuery) -> Response:
    """Return closed gates and gaps in walls by the people who would newly reach facilities if each alone were opened."""
    with open_uow() as uow:
        found = rank_gates(
            uow,
            query.division,
            query.kind,
            at=query.at or now(),
            walkers=Walkers(WALKER_SPEEDS_M_S[query.profile], query.hour, query.weight, query.network_id),
            standard=query.standard or None,
            minutes=query.minutes,
            most=query.limit,
        )
    document = {"gates": found.gates, "helpful": found.helpful, "facts": found.facts}
    return json_answer(gate_features(found) | document, mimetype=GEOJSON)
