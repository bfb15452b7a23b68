"""GET /api/v1/quality: bounded, scoped, and the same numbers as the service."""

import pytest
from factories import stored_town as town

pytestmark = pytest.mark.postgis


def test_the_report_of_a_district_comes_without_rows(town_client):
    answer = town_client.get(f"/api/v1/quality?prefix={town.DISTRICT}")

    body = answer.json
    assert answer.status_code == 200, answer.text
    assert (body["kind"], body["grids"], body["communities"], body["exact_communities"]) == ("governance", 8, 4, 4)
    assert body["gaps"] == {"count": 0, "area_m2": 0.0}
    assert (body["rows"], body["next_offset"]) == (None, None)
    assert body["problems_total"] >= len(body["problems"])


def test_rows_come_in_pages_when_asked_for(town_client):
    path = f"/api/v1/quality?prefix={town.DISTRICT}&rows=true&limit=5&problems=0"
    first = town_client.get(path).json
    second = town_client.get(f"{path}&offset={first['next_offset']}").json

    codes = [row["code"] for row in first["rows"] + second["rows"]]
    assert (len(first["rows"]), len(second["rows"]), second["next_offset"]) == (5, 3, None)
    assert codes == sorted(codes)
    assert first["problems"] == []


def test_a_caller_sees_the_own_scope_only(town_client, token_of):
    headers = token_of("viewer", scope=town.COMMUNITIES[0])

    body = town_client.get(f"/api/v1/quality?prefix={town.DISTRICT}&rows=true", headers=headers).json

    assert {row["community_code"] for row in body["rows"]} == {town.COMMUNITIES[0]}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        pytest.param("", 422, "request-invalid", id="no prefix"),
        pytest.param("prefix=42010x", 422, "request-invalid", id="letters in the prefix"),
        pytest.param("prefix=420103&network=security", 422, "request-invalid", id="a network without rules"),
        pytest.param("prefix=420103&redraw=7", 422, "request-invalid", id="not an id"),
        pytest.param(
            "prefix=420103&redraw=00000000-0000-0000-0000-000000000000", 404, "not-found", id="an unknown redraw"
        ),
        pytest.param("prefix=110101", 404, "not-found", id="an unknown division"),
    ],
)
def test_what_cannot_be_reported_on_is_a_problem_document(town_client, query, status, code):
    answer = town_client.get(f"/api/v1/quality?{query}")

    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_too_large_a_division_is_refused_before_any_work(town_client, monkeypatch):
    from gridsvc.web.api import quality

    monkeypatch.setattr(quality, "MOST_COMMUNITIES", 3)

    answer = town_client.get(f"/api/v1/quality?prefix={town.DISTRICT}")

    assert answer.status_code == 422
    assert answer.json["errors"][0]["code"] == "too_large"
