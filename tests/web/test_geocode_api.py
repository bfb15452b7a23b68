"""``/api/v1/geocode`` and ``/api/v1/reverse``: candidates for an address, words for a position."""

from datetime import UTC, datetime, timedelta

import pytest
from factories import addressed_town
from factories import stored_town as town

from gridsvc.services.gazetteer import build_gazetteer

pytestmark = pytest.mark.postgis


@pytest.fixture
def addressed(open_uow):
    with open_uow() as uow:
        addressed_town.put_addressed_town(uow)
        build_gazetteer(uow, at=town.LATER)
        uow.commit()


def test_an_address_has_candidates_with_scores(town_client, addressed):
    answer = town_client.get("/api/v1/geocode", query_string={"q": "江汉区南湖大道十一号", "limit": "3"})

    assert answer.status_code == 200, answer.text
    first = answer.json["candidates"][0]
    assert (first["match_kind"], first["place_kind"]) == ("door", "plate")
    assert 0.9 < first["score"] <= 1.0
    assert addressed_town.metres_apart(first["lon"], first["lat"], addressed_town.door(11)) < 0.1
    assert answer.json["gazetteer_is_behind"] is False


def test_the_gazetteer_was_built_when_it_was_and_not_at_the_instant_it_was_built_for(town_client, addressed):
    built_at = datetime.fromisoformat(town_client.get("/api/v1/geocode?q=南湖大道").json["gazetteer_built_at"])

    assert abs(datetime.now(UTC) - built_at) < timedelta(hours=1)
    assert abs(town.LATER - built_at) > timedelta(days=1)


def test_nearer_places_come_first(town_client, addressed):
    middle = town.community_box(town.COMMUNITIES[1]).centroid
    query = {"q": "惠民菜场", "near": f"{middle.x},{middle.y}", "datum": "cgcs2000"}

    answer = town_client.get("/api/v1/geocode", query_string=query)

    assert answer.json["candidates"][0]["community_code"] == town.COMMUNITIES[1]


def test_an_unknown_address_has_no_candidates(town_client, addressed):
    answer = town_client.get("/api/v1/geocode", query_string={"q": "不知道哪里"})

    assert (answer.status_code, answer.json["candidates"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({}, "request-invalid"),
        ({"q": " "}, "request-invalid"),
        ({"q": "路" * 300}, "request-invalid"),
        ({"q": "南湖大道", "limit": "0"}, "request-invalid"),
        ({"q": "南湖大道", "near": "114.2"}, "request-invalid"),
        ({"q": "南湖大道", "near": "nan,nan", "datum": "wgs84"}, "request-invalid"),
        ({"q": "南湖大道", "near": "114.2,30.5"}, "datum-missing"),
        ({"q": "南湖大道", "near": "114.2,30.5", "datum": "utm"}, "datum-unknown"),
        ({"q": "南湖大道", "nearby": "1"}, "request-invalid"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_question_is_refused(town_client, query, code):
    answer = town_client.get("/api/v1/geocode", query_string=query)

    assert (answer.status_code, answer.json["code"]) == (422, code)


def test_a_position_is_told_in_words(town_client, addressed):
    lon, lat = addressed_town.door(11)

    answer = town_client.get("/api/v1/reverse", query_string={"lon": lon, "lat": lat, "datum": "cgcs2000"})

    assert answer.status_code == 200, answer.text
    assert answer.json["phrase"].startswith("江汉区民族街道001001社区南湖大道11号附近")
    assert answer.json["plate"]["number"] == "11"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"lon": "114.25", "lat": "30.58"}, "datum-missing"),
        ({"lon": "1e9", "lat": "30.58", "datum": "wgs84"}, "coordinate-invalid"),
        ({"lon": "100", "lat": "40", "datum": "wgs84"}, "position-outside-coverage"),
    ],
    ids=["no datum", "no position", "nothing near"],
)
def test_a_position_that_cannot_be_told_is_refused(town_client, query, code):
    answer = town_client.get("/api/v1/reverse", query_string=query)

    assert (answer.status_code, answer.json["code"]) == (422, code)
