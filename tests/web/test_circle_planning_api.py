"""What planners ask of the service circle over HTTP: sites, missing gates, scenarios."""

from __future__ import annotations

import os

import pytest
from factories import stored_town as town
from factories import walking_town

from gridsvc.services.walk_networks import build_network
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis

CORNER = {"lon": 114.2502, "lat": 30.5802}
PLACE = [CORNER["lon"], CORNER["lat"]]
ADD = {"change": "add_facility", "kind_code": "J01", **CORNER}


@pytest.fixture(scope="module")
def walled_engine(postgis_server, template_database):
    """Engine of a database with streets, homes, a walled estate and one shop of two kinds; filled once, nothing here commits to it."""
    name = f"gridsvc_test_{os.getpid()}_web_planning"
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        walking_town.put_town(uow, walking_town.shops(["J01", "J02"], [walking_town.MIDDLE]))
        walking_town.put_estate(uow)
        build_network(uow, town.DISTRICT, town.LATER)
        uow.commit()
    yield made
    made.dispose()
    postgis_server.drop(name)


@pytest.fixture
def connection(walled_engine):
    with walled_engine.connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


@pytest.fixture
def planner(town_client, token_of):
    """A function that asks as a planner of the whole town."""
    headers = token_of("planner")

    def ask(path, body=None, **changed):
        url = f"/api/v1/circle/{path}"
        if body is None:
            return town_client.get(url, headers=headers)
        return town_client.post(url, json={"division": town.DISTRICT} | body | changed, headers=headers)

    return ask


def test_sites_are_points_with_their_bound_and_what_they_were_computed_by(planner):
    answer = planner("sites", {"kind_code": "J01", "minutes": 5, "sites": 2, "weight": "households"})

    body = answer.json
    assert (answer.status_code, answer.mimetype) == (200, "application/geo+json")
    first, second = body["features"]
    assert first["properties"]["gain"] >= second["properties"]["gain"] > 0
    assert body["after"] == body["before"] + first["properties"]["gain"] + second["properties"]["gain"] <= body["bound"]
    assert body["facts"]["kinds"]["J01"]["minutes"] == 5 and len(body["facts"]["network_sha256"]) == 64
    assert body["facts"]["weight"] == "households" and "seconds" not in body

    given = planner("sites", {"kind_code": "J01", "minutes": 5, "places": [PLACE], "datum": "wgs84", "method": "exact"})
    assert [feature["geometry"]["coordinates"] for feature in given.json["features"]] == [PLACE]
    assert given.json["is_proven"] is True


def test_missing_gates_are_points_best_first(planner):
    body = planner(f"gates?division={town.DISTRICT}&kind=J01,J02&minutes=12").json

    gains = [feature["properties"]["gain"] for feature in body["features"]]
    assert gains == sorted(gains, reverse=True) and gains[0] > 0
    assert (body["gates"], body["helpful"]) == (3, len(gains))
    assert list(body["facts"]["kinds"]) == ["J01", "J02"]
    best = body["features"][0]["geometry"]["coordinates"]

    opened = planner(
        "scenarios",
        {"kinds": ["J01", "J02"], "minutes": 12, "datum": "cgcs2000"},
        changes=[{"change": "open_gate", "lon": best[0], "lat": best[1]}],
    ).json
    assert sum(kind["after"] - kind["before"] for kind in opened["kinds"]) == gains[0]


def test_scenarios_tell_before_and_after_and_leave_nothing_behind(planner):
    path = {"change": "add_path", "line": [PLACE, [114.2512, 30.5812]]}
    changes = [
        ADD,
        {"change": "close_facility", "facility_code": "S0001"},
        {"change": "close_gate", "gate_code": "G1"},
        path,
    ]

    body = planner("scenarios", {"datum": "wgs84", "kinds": ["J01", "J02"], "changes": changes}).json

    assert body["changes"][:3] == ["add J01 as new-1", "close S0001", "close G1"]
    vegetables, shop = body["kinds"]
    assert vegetables["after"] > vegetables["before"] and shop["after"] == 0.0 < shop["before"]
    assert body["residences_changed"] > 0 and "residences" not in body
    assert {row["community_code"] for row in body["communities"]} <= set(town.COMMUNITIES)
    again = planner("scenarios", {"datum": "wgs84", "kinds": ["J01", "J02"], "changes": [ADD], "residences": True}).json
    assert again["kinds"][0]["before"] == vegetables["before"]
    assert len(again["residences"]) == again["residences_changed"] > 0


def test_planning_is_for_planners(town_client, token_of):
    for role, status in (("viewer", 403), ("field", 403), ("manager", 404)):
        answer = town_client.post(
            "/api/v1/circle/sites", json={"division": "990101", "kind_code": "J01"}, headers=token_of(role, login=role)
        )
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        ("sites", {"kind_code": "X1"}, 422, "request-invalid", None),
        ("sites", {"kind_code": "J01", "places": [PLACE]}, 422, "request-invalid", ""),
        ("sites", {"kind_code": "J01", "standard": "none"}, 404, "not-found", None),
        ("sites", {"kind_code": "J01", "sites": 0}, 422, "request-invalid", "sites"),
        ("scenarios", {"changes": []}, 422, "request-invalid", "changes"),
        ("scenarios", {"changes": [ADD]}, 422, "datum-missing", None),
        ("scenarios", {"changes": [{"change": "grow"}]}, 422, "request-invalid", "changes.0"),
        ("scenarios", {"changes": [{"change": "open_gate"}]}, 422, "request-invalid", "changes.0.open_gate"),
        ("scenarios", {"changes": [ADD], "datum": "mars"}, 422, "datum-unknown", None),
        ("scenarios", {"changes": [{"change": "close_facility", "facility_code": "GONE"}]}, 404, "not-found", None),
        ("scenarios", {"changes": [{"change": "close_facility", "facility_code": "S0000"}] * 2, "kinds": ["J01"]}, 409, "conflict", None),
        ("gates?division=990101", None, 404, "not-found", None),
        (f"gates?division={town.DISTRICT}&minutes=61", None, 422, "request-invalid", "minutes"),
    ],
)  # fmt: skip
def test_bad_questions_are_problems(planner, path, body, status, code, field):
    answer = planner(path, body)

    assert (answer.mimetype, answer.status_code, answer.json["code"]) == ("application/problem+json", status, code)
    if field is not None:
        assert answer.json["errors"][0]["field"] == field
