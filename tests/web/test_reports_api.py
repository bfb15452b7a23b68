"""POST and GET /api/v1/reports: stored once, refused clearly, located by its own place and time."""

from __future__ import annotations

import json
import math

import pytest
from factories import served_town
from factories import stored_town as town

pytestmark = pytest.mark.postgis
ONCE = [1, 1, 1]
NOTHING = [0, 0, 0]


def post(client, **changes):
    return client.post("/api/v1/reports", json=served_town.report_body(**changes))


def test_a_report_is_stored_and_gets_a_receipt_with_the_grids_of_every_network(town_client, stored_reports):
    answer = post(town_client)

    assert answer.status_code == 201
    receipt = answer.json
    assert receipt["report_id"] == served_town.report_body()["report_id"]
    assert receipt["occurred_at"] == "2026-03-05T01:30:00Z"
    assert receipt["received_at"] == "2026-07-01T04:00:00Z"
    assert receipt["community_code"] == "420103001001"
    assert receipt["case_code"].startswith("420103")
    assert receipt["grids"] == {
        "urban": "420103001001002",
        "social": "420103001001001",
        "security": "420103001001001",
        "unified": "420103001001001",
    }
    assert answer.headers["Location"].endswith(receipt["report_id"])
    assert stored_reports() == ONCE


def test_a_retry_answers_200_with_the_same_body_and_stores_nothing_more(town_client, stored_reports):
    first = post(town_client)
    again = post(town_client)

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.data == first.data
    assert stored_reports() == ONCE


def test_a_retry_in_other_spelling_is_the_same_report(town_client):
    body = served_town.report_body()
    post(town_client)

    other = dict(reversed(body.items())) | {"occurred_at": "2026-03-05T01:30:00.000Z", "accuracy_m": 8.0}
    answer = town_client.post("/api/v1/reports", data=json.dumps(other, indent=3), content_type="application/json")

    assert answer.status_code == 200


def test_the_same_id_with_other_content_is_a_conflict(town_client, stored_reports):
    post(town_client)
    answer = post(town_client, description="另一件事")

    assert answer.status_code == 409
    assert answer.json["code"] == "conflict"
    assert stored_reports() == ONCE


def test_a_report_is_read_back_without_reporter_and_device(town_client):
    post(town_client, reporter="张三", device="phone-1")
    answer = town_client.get(f"/api/v1/reports/{served_town.report_body()['report_id']}")

    assert answer.status_code == 200
    assert answer.json["description"] == "道路积水"
    assert answer.json["original_datum"] == "wgs84"
    assert "reporter" not in answer.json and "device" not in answer.json


def test_a_report_that_is_not_there_is_404(town_client):
    answer = town_client.get("/api/v1/reports/00000000-0000-4000-8000-000000000000")

    assert (answer.status_code, answer.json["code"]) == (404, "not-found")


def test_a_position_in_gcj02_is_converted_and_kept_as_posted(town_client):
    body = post(town_client, datum="gcj02", lon=114.258).json
    read = town_client.get(f"/api/v1/reports/{body['report_id']}").json

    assert read["original_lon"] == 114.258
    assert 0.003 < read["original_lon"] - read["lon"] < 0.008  # GCJ-02 lies about 500 m east of here


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        pytest.param({"datum": ...}, 422, "datum-missing", id="no datum"),
        pytest.param({"datum": ""}, 422, "datum-missing", id="empty datum"),
        pytest.param({"datum": "mars"}, 422, "datum-unknown", id="unknown datum"),
        pytest.param({"lon": 30.585, "lat": 114.253}, 422, "coordinate-invalid", id="lon and lat swapped"),
        pytest.param({"lon": 214.25}, 422, "coordinate-invalid", id="longitude out of range"),
        pytest.param({"lon": "114.25"}, 422, "request-invalid", id="longitude as text"),
        pytest.param({"lon": True}, 422, "request-invalid", id="longitude as boolean"),
        pytest.param({"lon": ...}, 422, "request-invalid", id="no longitude"),
        pytest.param({"lon": 116.4, "lat": 39.9}, 422, "position-outside-coverage", id="outside the city"),
        pytest.param({"category_code": "9999"}, 422, "category-unknown", id="unknown category"),
        pytest.param({"edition": "no-such"}, 422, "category-unknown", id="unknown edition"),
        pytest.param({"network": "security"}, 422, "request-invalid", id="network not of the category"),
        pytest.param({"occurred_at": "2026-03-05T09:30:00"}, 422, "request-invalid", id="no offset"),
        pytest.param({"occurred_at": 1772674200}, 422, "request-invalid", id="a number for an instant"),
        pytest.param({"occurred_at": "2026-07-01T04:11:00Z"}, 422, "request-invalid", id="in the future"),
        pytest.param({"occurred_at": "1999-01-01T00:00:00Z"}, 422, "request-invalid", id="long ago"),
        pytest.param({"occurred_at": "0001-01-01T00:00:00+14:00"}, 422, "request-invalid", id="before the year 1"),
        pytest.param({"report_id": "7"}, 422, "request-invalid", id="id is no UUID"),
        pytest.param({"accuracy_m": -1}, 422, "request-invalid", id="negative accuracy"),
        pytest.param({"description": "a\u0000b"}, 422, "request-invalid", id="NUL in text"),
        pytest.param({"description": "x" * 4001}, 422, "request-invalid", id="description too long"),
        pytest.param({"source": "gossip"}, 422, "request-invalid", id="unknown source"),
        pytest.param({"urban_grid": "1"}, 422, "request-invalid", id="a grid typed in"),
    ],
)
def test_bad_reports_are_refused_and_nothing_is_stored(town_client, stored_reports, changes, status, code):
    answer = post(town_client, **changes)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.mimetype == "application/problem+json"
    assert answer.json["hint"]
    assert stored_reports() == NOTHING


@pytest.mark.parametrize("constant", [math.nan, math.inf, -math.inf], ids=["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_not_json_are_refused(town_client, stored_reports, constant):
    data = json.dumps(served_town.report_body(lon=constant))
    answer = town_client.post("/api/v1/reports", data=data, content_type="application/json")

    assert (answer.status_code, answer.json["code"]) == (400, "request-malformed")
    assert stored_reports() == NOTHING


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"report_id":', id="cut off"),
        pytest.param('{"a": "江"}'.encode("gb18030"), id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="nested deeply"),
        pytest.param(b'{"lon": 1, "lon": 2}', id="a key twice"),
        pytest.param(b'{"lon": ' + b"9" * 5000 + b"}", id="a huge number"),
    ],
)
def test_bodies_that_are_not_json_are_400(town_client, stored_reports, data):
    answer = town_client.post("/api/v1/reports", data=data, content_type="application/json")

    assert answer.status_code in (400, 422)
    assert answer.mimetype == "application/problem+json"
    assert stored_reports() == NOTHING


def test_a_number_beyond_doubles_is_refused(town_client, stored_reports):
    data = json.dumps(served_town.report_body(lon=0)).replace('"lon": 0', '"lon": 1e999')
    answer = town_client.post("/api/v1/reports", data=data, content_type="application/json")

    assert (answer.status_code, answer.json["code"]) == (422, "request-invalid")
    assert stored_reports() == NOTHING


def test_a_lone_surrogate_is_refused(town_client, stored_reports):
    data = json.dumps(served_town.report_body(description="X")).replace('"X"', '"\\ud800"')
    answer = town_client.post("/api/v1/reports", data=data, content_type="application/json")

    assert answer.status_code == 422
    assert stored_reports() == NOTHING


def test_a_body_of_10_mb_is_413(town_client, stored_reports):
    answer = post(town_client, description="x" * 10_000_000)

    assert (answer.status_code, answer.json["code"]) == (413, "body-too-large")
    assert stored_reports() == NOTHING


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_of_another_type_is_415(town_client, stored_reports, content_type):
    answer = town_client.post("/api/v1/reports", data=json.dumps(served_town.report_body()), content_type=content_type)

    assert (answer.status_code, answer.json["code"]) == (415, "media-type-unsupported")
    assert stored_reports() == NOTHING


def test_every_fault_is_listed_with_its_field(town_client):
    answer = post(town_client, lon=None, accuracy_m=-1, source="gossip")

    assert [e["field"] for e in answer.json["errors"]] == ["lon", "accuracy_m", "source"]


def test_a_viewer_may_not_report(town_client, token_of, stored_reports):
    answer = town_client.post("/api/v1/reports", json=served_town.report_body(), headers=token_of("viewer"))

    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert stored_reports() == NOTHING


def test_a_report_outside_the_scope_is_refused(town_client, token_of, stored_reports):
    headers = token_of("field", scope=town.STREETS[1])
    answer = town_client.post("/api/v1/reports", json=served_town.report_body(), headers=headers)

    assert answer.status_code in (403, 422)
    assert stored_reports() == NOTHING


def test_a_report_of_another_area_is_not_seen(town_client, token_of):
    post(town_client)
    path = f"/api/v1/reports/{served_town.report_body()['report_id']}"

    assert town_client.get(path, headers=token_of("viewer", town.STREETS[0], "inside")).status_code == 200
    assert town_client.get(path, headers=token_of("viewer", town.STREETS[1], "outside")).status_code == 404


def test_another_site_cannot_post_through_a_browser(town_client, stored_reports):
    headers = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    answer = town_client.post("/api/v1/reports", json=served_town.report_body(), headers=headers)

    assert answer.status_code == 403
    assert stored_reports() == NOTHING
