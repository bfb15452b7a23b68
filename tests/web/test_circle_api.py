"""The service circle over HTTP: coverage by place, gaps as areas."""

from __future__ import annotations

import pytest
import shapely
from factories import stored_town as town
from factories import walking_town

from gridsvc.services.circles import circle_standards, run_circle

pytestmark = pytest.mark.postgis

STANDARD = "beijing-convenience"
KINDS = list(circle_standards()[STANDARD].codes)


@pytest.fixture
def walked(open_uow):
    """The stored town with streets, homes and all kinds but one; a run for the planner's walker."""
    with open_uow() as uow:
        uow.streets.put_frame(walking_town.walking_streets())
        uow.residences.put_frame(walking_town.homes())
        uow.facilities.put_frame(walking_town.shops(KINDS[1:], [walking_town.MIDDLE]), town.START)
        run_circle(uow, town.DISTRICT, at=town.LATER, standard=STANDARD)
        uow.commit()


def get(client, path, **kwargs):
    answer = client.get(f"/api/v1/circle/{path}", **kwargs)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_places_come_in_pages_by_code(town_client, walked):
    seen, cursor = [], ""
    while cursor is not None:
        body = get(town_client, f"coverage?division={town.DISTRICT}&by=residence&limit=7&cursor={cursor}")
        seen += [place["place_code"] for place in body["places"]]
        cursor = body["next_cursor"]

    assert seen == sorted(set(seen)) and {f"H{i:04d}" for i in range(16)} <= set(seen)


def test_coverage_by_place_says_what_it_was_computed_by(town_client, walked):
    body = get(town_client, f"coverage?division={town.DISTRICT}&by=street&standard={STANDARD}&profile=planning")

    assert [place["place_code"] for place in body["places"]] == sorted(town.STREETS)
    assert body["run"]["standard"] == STANDARD and len(body["run"]["network_sha256"]) == 64
    assert body["places"][0]["lacking"][0] == "J01" and body["places"][0]["is_qualified"] is False
    assert len(body["places"][0]["kinds"]["J02"]["mean_counts"]) == 3

    plain = get(town_client, f"coverage?division={town.COMMUNITIES[0]}")
    assert set(plain["coverage"]["communities"]) == {town.COMMUNITIES[0]} and "places" not in plain


def test_gaps_are_areas_with_people_worst_first_in_pages(town_client, walked):
    body = get(town_client, f"gaps?division={town.DISTRICT}&kind=J01")

    people = [feature["properties"]["population"] for feature in body["features"]]
    assert people == sorted(people, reverse=True) and sum(people) >= 16 * 90
    assert {feature["properties"]["kind_code"] for feature in body["features"]} == {"J01"}
    assert all(shapely.geometry.shape(feature["geometry"]).is_valid for feature in body["features"])
    assert body["run"]["standard_verified"] is True

    path = f"gaps?division={town.DISTRICT}&kind=J01,J02"
    whole = get(town_client, path)["features"]
    seen, cursor = [], ""
    while cursor is not None:
        body = get(town_client, f"{path}&limit=3&cursor={cursor}")
        seen += body["features"]
        cursor = body["next_cursor"]

    assert len(whole) > 3 and seen == whole


def test_scope_cuts_places_and_gaps(town_client, walked, token_of):
    headers = token_of("viewer", scope=town.STREETS[1])

    places = get(town_client, f"coverage?division={town.STREETS[1]}&by=community", headers=headers)["places"]
    gaps = get(town_client, "gaps?division=" + town.DISTRICT, headers=headers)["features"]

    assert places and all(place["place_code"].startswith(town.STREETS[1]) for place in places)
    assert gaps
    assert all(code.startswith(town.STREETS[1]) for gap in gaps for code in gap["properties"]["communities"])


def problem(client, path):
    answer = client.get(f"/api/v1/circle/{path}")
    assert answer.mimetype == "application/problem+json"
    return answer.status_code, answer.json["code"]


def test_runs_kinds_and_cursors_that_are_not_there_are_problems(town_client, walked):
    here = f"division={town.DISTRICT}"

    assert problem(town_client, f"coverage?{here}&standard=own-list") == (404, "not-found")
    assert problem(town_client, f"coverage?{here}&profile=elderly&by=street") == (404, "not-found")
    assert problem(town_client, f"gaps?{here}&kind=G1001") == (422, "request-invalid")
    assert problem(town_client, f"gaps?{here}&cursor=J01-999999") == (422, "request-invalid")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("coverage?by=house", 422, "request-invalid"),
        ("coverage?profile=runner", 422, "request-invalid"),
        ("coverage?standard=%25", 422, "request-invalid"),
        ("gaps?division=990101", 404, "not-found"),
        ("gaps?least_people=0", 422, "request-invalid"),
    ],
)
def test_bad_questions_are_problems(town_client, path, status, code):
    assert problem(town_client, path) == (status, code)
