"""What a report may say: ids, positions or addresses, heights; and what is told of it later; and lists of reports."""

from __future__ import annotations

import uuid

import pytest
from factories import served_town
from factories import stored_town as town

pytestmark = pytest.mark.postgis
REPORT_ID = served_town.report_body()["report_id"]
UPDATE = {
    "update_id": "0e7b1d3c-58a9-4d0b-9a51-6a3c1b2f4d77",
    "occurred_at": "2026-03-05T10:00:00+08:00",
    "description": "水已退",
}


def post(client, **changes):
    return client.post("/api/v1/reports", json=served_town.report_body(**changes))


def addressed(**changes):
    """Return changes that make of a report one with an address only."""
    return {"lon": ..., "lat": ..., "datum": ..., "accuracy_m": ..., "address": "江汉路1号"} | changes


@pytest.mark.parametrize(
    ("report_id", "status"),
    [
        pytest.param("7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e11", 201, id="version 4"),
        pytest.param("0192d7a5-6c00-7abc-8def-0123456789ab", 201, id="version 7"),
        pytest.param("7d2f9a54-0f0e-1c4c-9a2b-1f6a4d0c7e11", 422, id="version 1"),
        pytest.param("7d2f9a54-0f0e-5c4c-9a2b-1f6a4d0c7e11", 422, id="version 5"),
        pytest.param("00000000-0000-0000-0000-000000000000", 422, id="nil"),
        pytest.param("7d2f9a54-0f0e-4c4c-1a2b-1f6a4d0c7e11", 422, id="another variant"),
    ],
)
def test_ids_are_random_or_time_ordered(town_client, report_id, status):
    answer = post(town_client, report_id=report_id)

    assert answer.status_code == status
    if status == 422:
        assert (answer.json["errors"][0]["field"], answer.json["errors"][0]["code"]) == ("report_id", "uuid-version")


def test_height_heading_and_address_are_kept(town_client):
    assert post(town_client, altitude_m=31.5, heading_deg=270, address="江汉路1号").status_code == 201
    read = town_client.get(f"/api/v1/reports/{REPORT_ID}").json

    assert (read["altitude_m"], read["heading_deg"], read["address"]) == (31.5, 270.0, "江汉路1号")


def test_the_hash_of_a_report_is_that_of_the_release_before():
    # a device may retry after an upgrade: what says nothing new must hash as it did
    from gridsvc.services.reporting import content_sha256
    from gridsvc.web.api.reports import ReportBody, _new_report

    report = _new_report(ReportBody.model_validate(served_town.report_body(lon=114.253, lat=30.585)))

    assert content_sha256(report).hex() == "620768f8ccc006b6853ae1fc6dda1819348f749b81a26e086b6d5c8eb867564d"


def test_a_report_with_an_address_only_is_stored_and_waits_for_its_place(town_client):
    answer = post(town_client, **addressed())
    again = post(town_client, **addressed())

    assert (answer.status_code, again.status_code) == (201, 200)
    assert again.data == answer.data
    assert answer.json["lon"] is answer.json["district_code"] is answer.json["case_code"] is None
    assert set(answer.json["grids"].values()) == {None}
    read = town_client.get(f"/api/v1/reports/{REPORT_ID}").json
    assert (read["address"], read["description"], read["updates"]) == ("江汉路1号", "道路积水", [])
    assert post(town_client, **addressed(address="江汉路2号")).status_code == 409


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        pytest.param({"lon": ..., "lat": ..., "datum": ..., "accuracy_m": ...}, ["lon", "lat", "datum"], id="nowhere"),
        pytest.param({"lat": ..., "address": "江汉路1号"}, ["lat"], id="half a position"),
        pytest.param({"lon": ..., "address": "江汉路1号"}, ["lat", "datum", "accuracy_m"], id="the other half"),
        pytest.param(addressed(datum="wgs84"), ["datum"], id="a datum of nothing"),
        pytest.param(addressed(accuracy_m=8), ["accuracy_m"], id="accuracy of nothing"),
        pytest.param(addressed(heading_deg=8), ["heading_deg"], id="heading from nowhere"),
        pytest.param(addressed(address=" "), ["address"], id="empty address"),
        pytest.param({"heading_deg": 360}, ["heading_deg"], id="heading 360"),
        pytest.param({"altitude_m": 1e9}, ["altitude_m"], id="altitude beyond the sky"),
    ],
)
def test_a_place_is_whole_or_an_address(town_client, stored_reports, changes, fields):
    answer = post(town_client, **changes)

    assert (answer.status_code, answer.json["code"]) == (422, "request-invalid")
    assert [e["field"] for e in answer.json["errors"]] == fields
    assert stored_reports() == [0, 0, 0]


def test_an_update_is_shown_with_its_report(town_client):
    post(town_client)
    first = town_client.post(f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE)
    again = town_client.post(f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE)

    assert (first.status_code, first.json["state"]) == (201, "joined")
    assert (again.status_code, again.data) == (200, first.data)
    shown = town_client.get(f"/api/v1/reports/{REPORT_ID}").json["updates"]
    assert [(u["update_id"], u["description"]) for u in shown] == [(UPDATE["update_id"], "水已退")]


def test_an_update_before_its_report_is_held_and_joins(town_client):
    held = town_client.post(f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE)
    assert (held.status_code, held.json["state"]) == (201, "held")
    assert town_client.get(f"/api/v1/reports/{REPORT_ID}").status_code == 404

    post(town_client)

    assert len(town_client.get(f"/api/v1/reports/{REPORT_ID}").json["updates"]) == 1
    assert town_client.post(f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE).json["state"] == "joined"


def test_an_update_id_used_for_other_content_is_a_conflict(town_client):
    town_client.post(f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE)
    other = town_client.post(f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE | {"description": "别的"})
    elsewhere = town_client.post(f"/api/v1/reports/{uuid.uuid4()}/updates", json=UPDATE)

    assert (other.status_code, elsewhere.status_code) == (409, 409)


def test_updates_keep_to_the_scope_of_who_posts_them(town_client, token_of):
    outside = token_of("field", town.STREETS[1], "outside")
    early = town_client.post(f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE, headers=outside)
    post(town_client)
    late = town_client.post(
        f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE | {"update_id": str(uuid.uuid4())}, headers=outside
    )

    assert (early.status_code, late.status_code) == (201, 403)
    assert town_client.get(f"/api/v1/reports/{REPORT_ID}").json["updates"] == []


@pytest.mark.parametrize(
    "changes", [{"update_id": "1"}, {"description": ""}, {"occurred_at": "2026-03-05T10:00:00"}, {"more": 1}]
)
def test_bad_updates_are_refused(town_client, changes):
    answer = town_client.post(f"/api/v1/reports/{REPORT_ID}/updates", json=UPDATE | changes)

    assert (answer.status_code, answer.json["code"]) == (422, "request-invalid")


@pytest.fixture
def reported(town_client):
    """Seven reports a minute apart: five in two communities, one with an address only, one in no grid; ids oldest first."""
    ids = []
    for i in range(6):
        box = town.community_box(town.COMMUNITIES[i % 2])
        lon, lat = box.centroid.coords[0]
        place = {"lon": lon - 0.002, "lat": lat} if i < 5 else addressed()
        made = post(town_client, report_id=str(uuid.uuid4()), occurred_at=f"2026-03-05T01:3{i}:00Z", **place)
        assert made.status_code == 201
        ids.append(made.json["report_id"])
    return ids


def listed(client, **query):
    answer = client.get("/api/v1/reports", query_string=query)
    assert answer.status_code == 200, answer.json
    return [item["report_id"] for item in answer.json["items"]], answer.json["next_cursor"]


def test_reports_are_listed_newest_first_a_page_at_a_time(town_client, reported):
    seen, cursor = [], ""
    while cursor is not None:
        page, cursor = listed(town_client, limit=2, cursor=cursor)
        seen += page

    assert seen == reported[4::-1]


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({"grid": "420103001001001"}, [4, 2, 0]),
        ({"grid": "420103001001002", "network": "urban"}, [4, 2, 0]),
        ({"prefix": "420103001002"}, [3, 1]),
        ({"category": "E06001", "since": "2026-03-05T01:31:00Z", "until": "2026-03-05T01:33:00Z"}, [2, 1]),
        ({"category": "E06002"}, []),
        ({"network": "social"}, []),
        ({"unlocated": "true"}, [5]),
        ({"unlocated": "true", "until": "2026-03-05T01:35:00Z"}, []),
    ],
)
def test_lists_are_cut(town_client, reported, query, places):
    assert listed(town_client, **query)[0] == [reported[i] for i in places]


def test_what_lies_in_no_grid_is_queued_with_what_has_no_place(town_client, reported, connection):
    from sqlalchemy import text

    bare = "UPDATE reports SET urban_grid = NULL, social_grid = NULL, security_grid = NULL, unified_grid = NULL"
    connection.execute(text(f"{bare} WHERE report_id = :id"), {"id": reported[2]})

    first, cursor = listed(town_client, unlocated="true", limit=1)
    second, end = listed(town_client, unlocated="true", limit=1, cursor=cursor)
    assert (first, second, end) == ([reported[5]], [reported[2]], None)


def test_a_list_is_cut_to_the_scope(town_client, reported, token_of):
    headers = token_of("viewer", town.COMMUNITIES[1])
    answer = town_client.get("/api/v1/reports", headers=headers)

    assert [item["report_id"] for item in answer.json["items"]] == [reported[3], reported[1]]


@pytest.mark.parametrize("cursor", ["x", "20260305T013000.000000Z_7", "20261305T013000.000000Z_" + REPORT_ID])
def test_a_cursor_of_another_list_is_refused(town_client, cursor):
    answer = town_client.get("/api/v1/reports", query_string={"cursor": cursor})

    assert (answer.status_code, answer.json["code"]) == (422, "request-invalid")
