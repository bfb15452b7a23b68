"""Who answers, over HTTP: departments by ground and category, conflicts told, orphans and double claims flagged, cut to the scope."""

from __future__ import annotations

import geopandas as gpd
import pytest
import shapely
from factories import served_duties, served_town
from factories import stored_town as town

pytestmark = pytest.mark.postgis

WEST, SOUTH, EAST, NORTH = town.community_box(town.COMMUNITIES[0]).bounds
HERE = (WEST + 0.002, SOUTH + 0.005)
GRID = served_duties.GRID


def middle(community: str) -> tuple[float, float]:
    west, south, _, north = town.community_box(community).bounds
    return (west + 0.002, (south + north) / 2)


def asked(client, place=HERE, **more):
    words = {"lon": place[0], "lat": place[1], "datum": "cgcs2000"} | more
    return client.get("/api/v1/answers", query_string={name: v for name, v in words.items() if v is not None})


def networks(client, place=HERE, **more) -> dict[str, dict]:
    answer = asked(client, place, **more)
    assert answer.status_code == 200, answer.text
    return {found["network"]: found for found in answer.json["networks"]}


def test_the_smallest_ground_then_the_nearest_category_answers(town_client):
    whatever, road = networks(town_client), networks(town_client, middle(town.COMMUNITIES[2]), category="E06001")

    assert {name: found["department"]["department_code"] for name, found in whatever.items()} == {
        "urban": "STREET", "social": "STREET", "security": "POLICE", "unified": "STREET",
    }  # fmt: skip
    assert [duty["duty_code"] for duty in whatever["security"]["beaten"]] == ["D3", "D1"]
    assert road["urban"]["department"] == {"department_code": "ROADS", "name": "江汉区ROADS", "kind_code": "D01"}
    assert road["social"]["department"]["department_code"] == "FIRE"


def test_a_class_is_known_by_its_code_of_another_edition(town_client):
    found = networks(town_client, middle(town.COMMUNITIES[2]), category="E0101", edition="gbt-30428.2-2013")

    assert found["urban"]["department"]["department_code"] == "ROADS"


def test_departments_that_stand_alike_are_told_and_not_chosen_between(town_client):
    found = networks(town_client, middle(town.COMMUNITIES[3]), category="E06001")["social"]

    assert found["department"] is None
    assert found["is_conflict"] is True
    assert [duty["department_code"] for duty in found["duties"]] == ["FIRE", "ROADS"]


def test_workers_are_those_that_locate_names(town_client):
    located = town_client.get(f"/api/v1/locate?lon={HERE[0]}&lat={HERE[1]}&datum=cgcs2000").json

    found = networks(town_client)

    assert {grid["network"]: (grid["code"], grid["workers"]) for grid in located["grids"]} == {
        name: (answer["grid"], answer["workers"]) for name, answer in found.items()
    }
    assert found["social"]["workers"][0]["worker_code"] == "WK0000"
    assert "phone" not in str(found)


def test_an_instant_before_the_duties_knows_none(town_client):
    answer = asked(town_client, at="2025-12-31T00:00:00Z")

    assert answer.status_code == 422  # nor any division
    assert answer.json["code"] == "position-outside-coverage"


def put_security(uow, shapes: list[shapely.Geometry]) -> None:
    """Put the security grids of the first community in force from ``town.LATER``: as drawn, whatever they cover."""
    columns = {
        "network": "security", "kind": "security", "code": [f"{GRID[:-1]}{i + 5}" for i in range(len(shapes))],
        "community_code": town.COMMUNITIES[0], "households": 1, "population": 1, "area_m2": 1.0,
    }  # fmt: skip
    frame = gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4490")
    redraw = uow.redraws.open_draft("security", town.DISTRICT, "imported", "test", town.LATER)
    uow.redraws.put_grids(redraw, frame, [town.COMMUNITIES[0]])
    uow.redraws.approve(redraw, "test", town.LATER, town.LATER, {})


def test_land_that_several_grids_of_a_network_claim_is_flagged(town_client, open_uow):
    with open_uow() as uow:
        put_security(
            uow, [shapely.box(WEST, SOUTH, WEST + 0.006, NORTH), shapely.box(WEST + 0.001, SOUTH, EAST, NORTH)]
        )
        uow.commit()

    answer = asked(town_client).json

    assert answer["is_claimed_twice"] is True
    claims = {found["network"]: found["claims"] for found in answer["networks"]}
    assert claims == {"urban": [], "social": [], "security": [f"{GRID[:-1]}5", f"{GRID[:-1]}6"], "unified": []}


def test_land_of_one_network_only_has_a_department_in_the_others_all_the_same(town_client, open_uow):
    with open_uow() as uow:
        put_security(uow, [shapely.box(WEST + 0.008, SOUTH, EAST, NORTH)])
        uow.commit()

    found = networks(town_client)["security"]

    assert (found["grid"], found["outside_m"], found["workers"]) == (None, None, [])
    assert found["department"]["department_code"] == "STREET"


def test_arrays_say_what_single_positions_say(town_client):
    places = [HERE, middle(town.COMMUNITIES[2]), middle(town.COMMUNITIES[3]), (WEST - 0.5, SOUTH)]
    categories = [None, "E06001", "E06001", None]

    body = {"lon": [p[0] for p in places], "lat": [p[1] for p in places], "datum": "cgcs2000", "categories": categories}
    many = town_client.post("/api/v1/answers", json=body).json

    assert many["is_outside"] == [False, False, False, True]
    assert many["is_orphan"] == [False] * 4
    for k, (place, category) in enumerate(zip(places[:3], categories, strict=False)):
        for name, found in networks(town_client, place, category=category).items():
            code = found["department"] and found["department"]["department_code"]
            assert (many["grids"][name][k], many["departments"][name][k]) == (found["grid"], code)
            assert many["is_conflict"][name][k] == found["is_conflict"]
            assert many["workers"][name][k] == (found["workers"][0]["worker_code"] if found["workers"] else None)
    assert set(many["names"]) == {"FIRE", "POLICE", "ROADS", "STREET"}


def test_one_category_for_all_and_chosen_networks(town_client):
    body = {"lon": [HERE[0]], "lat": [HERE[1]], "datum": "cgcs2000", "category": "E06001", "networks": ["urban"]}

    many = town_client.post("/api/v1/answers", json=body).json

    assert many["departments"] == {"urban": ["STREET"]}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"datum": None}, "datum-missing"),
        ({"category": "E99999"}, "category-unknown"),
        ({"edition": "1999", "category": "E06001"}, "category-unknown"),
        ({"category": "x"}, "request-invalid"),
        ({"lon": "nan"}, "request-invalid"),
        ({"lat": 95}, "coordinate-invalid"),
        ({"lon": 10}, "position-outside-coverage"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_with_a_code(town_client, changes, code):
    answer = asked(town_client, **changes)

    assert (answer.status_code, answer.json["code"]) == (422, code)


@pytest.mark.parametrize(
    "changes",
    [{"lat": [1.0, 2.0]}, {"categories": ["E06001", None]}, {"categories": ["E06001"], "category": "E06001"}, {"networks": ["rail"]}],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(town_client, changes):
    body = {"lon": [HERE[0]], "lat": [HERE[1]], "datum": "cgcs2000"} | changes

    assert town_client.post("/api/v1/answers", json=body).json["code"] == "request-invalid"


def test_a_scope_is_told_of_its_own_ground_only(town_client, token_of):
    inside, outside = token_of(scope=town.STREETS[0], login="a"), token_of(scope=town.STREETS[1], login="b")
    words = {"lon": HERE[0], "lat": HERE[1], "datum": "cgcs2000"}

    mine = town_client.get("/api/v1/answers", query_string=words, headers=inside)
    theirs = town_client.get("/api/v1/answers", query_string=words, headers=outside)
    many = town_client.post(
        "/api/v1/answers", json={"lon": [HERE[0]], "lat": [HERE[1]], "datum": "cgcs2000"}, headers=outside
    ).json

    assert mine.json["networks"][0]["department"]["department_code"] == "STREET"
    assert theirs.json["code"] == "position-outside-coverage"
    assert (many["is_outside"], many["grids"]["urban"], many["departments"]["urban"]) == ([True], [None], [None])


def test_departments_and_duties_are_listed_for_a_scope(town_client, token_of):
    whole = town_client.get("/api/v1/duties?count=true&limit=2").json
    rest = town_client.get(f"/api/v1/duties?cursor={whole['next_cursor']}").json
    north = token_of(scope=town.STREETS[1])

    assert (whole["count"], [d["duty_code"] for d in whole["duties"] + rest["duties"]]) == (
        6,
        list(served_duties.DUTIES),
    )
    assert [d["duty_code"] for d in town_client.get("/api/v1/duties", headers=north).json["duties"]] == [
        "D1",
        "D2",
        "D5",
        "D6",
    ]
    assert (
        town_client.get("/api/v1/duties?network=security&department_code=POLICE").json["duties"][0]["ground_code"]
        == GRID
    )
    assert town_client.get("/api/v1/duties?network=rail").status_code == 422
    departments = town_client.get("/api/v1/departments?kind_code=D03", headers=north).json["departments"]
    assert [(d["department_code"], d["kind_name_zh"]) for d in departments] == [("FIRE", "消防")]
    kinds = town_client.get("/api/v1/departments/kinds").json["kinds"]
    assert (len(kinds), any(kind["verified"] for kind in kinds)) == (12, False)


def test_the_town_has_the_networks_asked(town_client):
    assert set(networks(town_client)) == set(served_town.NETWORKS)
