"""Corrections of facilities over HTTP: posted once, listed by scope, decided by planners and managers."""

from __future__ import annotations

import pytest
from factories import stored_town as town

pytestmark = pytest.mark.postgis
ONE = "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e11"
PATH = "/api/v1/facilities/corrections"
LON, LAT = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]


def body(**changes):
    said = {
        "correction_id": ONE, "what": "moved", "facility_code": "F0000", "observed_at": "2026-06-20T08:30:00+08:00",
        "lon": LON + 0.001, "lat": LAT, "datum": "cgcs2000",
    } | changes  # fmt: skip
    return {name: value for name, value in said.items() if value is not ...}


def post(client, headers=None, **changes):
    return client.post(PATH, json=body(**changes), headers=headers)


def test_a_correction_is_posted_once(town_client):
    first, again = post(town_client), post(town_client)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json == again.json
    assert first.headers["Location"].endswith(f"{PATH}/{ONE}")
    assert (first.json["state"], first.json["reported_by"], first.json["findings"]) == ("open", "anonymous", [])


def test_it_is_accepted_by_a_planner_and_the_facility_keeps_its_past(town_client, token_of):
    post(town_client)
    headers = token_of("planner", town.DISTRICT, login="pan")
    decision = {"reason": "现场核实", "in_force_from": "2026-06-21T00:00:00+08:00"}

    done = town_client.post(f"{PATH}/{ONE}:accept", json=decision, headers=headers)
    again = town_client.post(f"{PATH}/{ONE}:accept", json=decision, headers=headers)

    assert (done.status_code, again.status_code, done.json) == (200, 200, again.json)
    assert (done.json["state"], done.json["decided_by"], done.json["applied_code"]) == ("accepted", "pan", "F0000")
    facility = town_client.get("/api/v1/facilities/F0000").json
    assert facility["geometry"]["coordinates"] == pytest.approx([LON + 0.001, LAT])
    assert [(v["valid_from"], v["valid_to"]) for v in facility["properties"]["history"]] == [
        ("2026-01-01T00:00:00Z", "2026-06-20T16:00:00Z"), ("2026-06-20T16:00:00Z", None),
    ]  # fmt: skip
    before = town_client.get("/api/v1/facilities/F0000?at=2026-06-01T00:00:00Z").json
    assert before["geometry"]["coordinates"] == pytest.approx([LON, LAT])


def test_it_is_refused_with_a_reason(town_client, token_of):
    post(town_client)
    headers = token_of("manager")

    done = town_client.post(f"{PATH}/{ONE}:refuse", json={"reason": "位置无误"}, headers=headers)
    after = town_client.post(f"{PATH}/{ONE}:accept", json={"reason": "x"}, headers=headers)

    assert (done.json["state"], done.json["reason"]) == ("refused", "位置无误")
    assert (after.status_code, after.json["code"]) == (409, "conflict")


def test_what_speaks_against_it_is_told_before_and_at_the_decision(town_client, token_of):
    post(town_client, lon=LON + 0.01)
    headers = token_of("manager")

    shown = town_client.get(f"{PATH}/{ONE}", headers=headers).json
    refused = town_client.post(f"{PATH}/{ONE}:accept", json={"reason": "x"}, headers=headers)
    done = town_client.post(f"{PATH}/{ONE}:accept", json={"reason": "x", "anyway": True}, headers=headers)

    assert [finding["code"] for finding in shown["findings"]] == ["far-move", "duplicate"]
    assert (refused.status_code, refused.json["details"]["findings"]) == (409, shown["findings"])
    assert (done.status_code, done.json["findings"]) == (200, shown["findings"])


@pytest.mark.parametrize("role", ["viewer", "field"])
def test_readers_and_reporters_do_not_see_the_queue(town_client, token_of, role):
    assert town_client.get(PATH, headers=token_of(role)).json["code"] == "forbidden"


@pytest.mark.parametrize("role", ["field", "dispatcher"])
def test_only_planners_and_managers_decide(town_client, token_of, role):
    post(town_client)

    for verb in ("accept", "refuse"):
        answer = town_client.post(f"{PATH}/{ONE}:{verb}", json={"reason": "x"}, headers=token_of(role, login=verb))
        assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


def test_a_viewer_posts_none(town_client, token_of):
    assert post(town_client, token_of("viewer")).status_code == 403


def test_lists_are_cut_to_the_scope_and_filtered(town_client, token_of):
    post(town_client)
    inside, outside = (
        token_of("manager", scope, login=f"m{i}") for i, scope in enumerate((town.STREETS[0], town.STREETS[1]))
    )

    assert [c["correction_id"] for c in town_client.get(PATH, headers=inside).json["corrections"]] == [ONE]
    assert town_client.get(f"{PATH}?state=accepted", headers=inside).json["corrections"] == []
    assert town_client.get(f"{PATH}?what=moved&facility_code=F0000", headers=inside).json["corrections"]
    assert town_client.get(PATH, headers=outside).json["corrections"] == []
    assert town_client.get(f"{PATH}/{ONE}", headers=outside).status_code == 404
    assert town_client.post(f"{PATH}/{ONE}:accept", json={"reason": "x"}, headers=outside).status_code == 404


def test_a_list_goes_page_by_page(town_client, token_of):
    for number in range(3):
        post(town_client, correction_id=f"7d2f9a54-0f0e-4c4c-9a2b-00000000000{number}")
    headers = token_of("manager")

    first = town_client.get(f"{PATH}?limit=2", headers=headers).json
    second = town_client.get(f"{PATH}?limit=2&cursor={first['next_cursor']}", headers=headers).json

    assert [c["correction_id"][-1] for c in first["corrections"] + second["corrections"]] == ["0", "1", "2"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"datum": ...}, 422, "datum-missing"),
        ({"datum": "mars"}, 422, "datum-unknown"),
        ({"lon": 999}, 422, "coordinate-invalid"),
        ({"lon": ..., "lat": ...}, 422, "request-invalid"),
        ({"what": "gone"}, 422, "request-invalid"),
        ({"correction_id": "00000000-0000-1000-8000-000000000000"}, 422, "request-invalid"),
        ({"observed_at": "2026-08-01T00:00:00Z"}, 422, "request-invalid"),
        ({"facility_code": "F9999"}, 404, "not-found"),
        ({"what": "new", "facility_code": ..., "kind_code": "M101", "name": "店", "lon": 100}, 422, "position-outside-coverage"),
        ({"note": "a\u0000b"}, 422, "request-invalid"),
        ({"phone": "138"}, 422, "request-invalid"),
    ],
)  # fmt: skip
def test_a_correction_that_cannot_be_is_refused_and_nothing_kept(town_client, token_of, changes, status, code):
    answer = post(town_client, **changes)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert town_client.get(PATH, headers=token_of("manager")).json["corrections"] == []


def test_the_same_id_for_something_else_is_409(town_client):
    post(town_client)

    assert post(town_client, lon=LON + 0.002).json["code"] == "conflict"


@pytest.mark.parametrize(
    "decision", [{}, {"reason": ""}, {"reason": "x", "in_force_from": "2027-01-01T00:00:00Z"}, {"reason": "x", "anyway": "yes"}]
)  # fmt: skip
def test_a_decision_that_cannot_be_is_refused(town_client, token_of, decision):
    post(town_client)

    answer = town_client.post(f"{PATH}/{ONE}:accept", json=decision, headers=token_of("manager"))

    assert (answer.status_code, answer.json["code"]) == (422, "request-invalid")


def test_a_facility_or_correction_that_is_not_there_is_404(town_client, token_of):
    headers = token_of("manager")

    assert town_client.get("/api/v1/facilities/F9999").json["code"] == "not-found"
    assert town_client.get("/api/v1/facilities/%00").status_code in (404, 422)
    assert town_client.get(f"{PATH}/{ONE}", headers=headers).json["code"] == "not-found"
    assert town_client.get(f"{PATH}?cursor=x", headers=headers).json["code"] == "request-invalid"
