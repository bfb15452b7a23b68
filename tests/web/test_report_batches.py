"""POST /api/v1/reports:batch: each item for itself, in order, from arrays, lines and gzip."""

from __future__ import annotations

import gzip
import json
import uuid

import pytest
from factories import served_town
from factories import stored_town as town

pytestmark = pytest.mark.postgis
PATH = "/api/v1/reports:batch"
NOTHING = [0, 0, 0]


def body(**changes) -> dict:
    return served_town.report_body(report_id=str(uuid.uuid4()), **changes)


def post_lines(client, lines: list[bytes], **more):
    return client.post(PATH, data=b"\n".join(lines), content_type="application/x-ndjson", **more)


def test_every_item_is_told_in_order_and_a_bad_one_does_not_stop_the_others(town_client, stored_reports):
    good, bad, far, other = body(), body(accuracy_m=-1), body(lon=116.4, lat=39.9), body()
    answer = town_client.post(PATH, json=[good, bad, far, "text", other])

    assert answer.status_code == 200
    told = answer.json
    assert [item["status"] for item in told["items"]] == [201, 422, 422, 422, 201]
    assert [item["index"] for item in told["items"]] == [0, 1, 2, 3, 4]
    assert [item["report_id"] for item in told["items"]] == [
        good["report_id"], bad["report_id"], far["report_id"], None, other["report_id"],
    ]  # fmt: skip
    assert (told["created"], told["repeated"], told["refused"]) == (2, 0, 3)
    assert told["items"][1]["problem"]["errors"][0]["field"] == "accuracy_m"
    assert told["items"][2]["problem"]["code"] == "position-outside-coverage"
    assert told["items"][0]["receipt"]["grids"]["social"] == "420103001001001"
    assert stored_reports() == [2, 2, 2]


def test_an_item_is_answered_as_it_would_be_alone(town_client):
    posted = body()
    alone = town_client.post("/api/v1/reports", json=posted).json
    item = town_client.post(PATH, json=[posted]).json["items"][0]

    assert (item["status"], item["receipt"]) == (200, alone)


def test_the_same_batch_again_stores_nothing_more(town_client, stored_reports):
    batch = [body() for _ in range(5)]
    first = town_client.post(PATH, json=batch).json
    again = town_client.post(PATH, json=batch).json

    assert (first["created"], again["created"], again["repeated"]) == (5, 0, 5)
    assert [item["receipt"] for item in again["items"]] == [item["receipt"] for item in first["items"]]
    assert stored_reports() == [5, 5, 5]


def test_an_id_twice_in_a_batch_is_stored_once(town_client, stored_reports):
    posted = body()
    told = town_client.post(PATH, json=[posted, dict(posted), posted | {"description": "别的"}]).json

    assert [item["status"] for item in told["items"]] == [201, 200, 409]
    assert told["items"][1]["receipt"] == told["items"][0]["receipt"]
    assert stored_reports() == [1, 1, 1]


def test_a_refused_item_does_not_take_its_id_from_a_later_sound_one(town_client):
    posted = body()
    told = town_client.post(PATH, json=[posted | {"occurred_at": "1999-01-01T00:00:00Z"}, posted]).json

    assert [item["status"] for item in told["items"]] == [422, 201]


def test_lines_are_items_and_a_broken_line_is_one_refusal(town_client):
    posted = [body(), body()]
    lines = [json.dumps(posted[0]).encode(), b'{"report_id":', b"", json.dumps(posted[1]).encode(), b"\xff"]
    told = post_lines(town_client, lines).json

    assert [item["status"] for item in told["items"]] == [201, 422, 201, 422]
    assert told["items"][1]["problem"]["errors"][0]["code"] == "json-malformed"


@pytest.mark.parametrize("path", [PATH, "/api/v1/reports"])
def test_gzip_is_unpacked(town_client, path):
    value = [body()] if path == PATH else body()
    packed = gzip.compress(json.dumps(value).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}

    assert town_client.post(path, data=packed, headers=headers).status_code in (200, 201)


@pytest.mark.parametrize(
    ("data", "encoding", "status"),
    [
        pytest.param(gzip.compress(b" " * 50_000_000), "gzip", 413, id="a bomb"),
        pytest.param(b"not gzip", "gzip", 400, id="not gzip"),
        pytest.param(gzip.compress(b"[1]")[:-4], "gzip", 400, id="cut off"),
        pytest.param(gzip.compress(b"[1]") * 2, "gzip", 400, id="two members"),
        pytest.param(b"[1]", "br", 415, id="another compression"),
    ],
)
def test_bodies_that_cannot_be_unpacked_are_refused(town_client, stored_reports, data, encoding, status):
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    answer = town_client.post(PATH, data=data, headers=headers)

    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert stored_reports() == NOTHING


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(b"[]", 422, id="empty array"),
        pytest.param(b'{"report_id": 1}', 422, id="no array"),
        pytest.param(b"[" + b",".join([b"1"] * 1001) + b"]", 422, id="too many"),
        pytest.param(b"[1,", 400, id="broken"),
        pytest.param(b"[" * 100_000, 400, id="nested deeply"),
    ],
)
def test_a_body_that_is_no_batch_is_refused_as_a_whole(town_client, stored_reports, data, status):
    answer = town_client.post(PATH, data=data, content_type="application/json")

    assert answer.status_code == status
    assert stored_reports() == NOTHING


def test_a_batch_may_be_larger_than_a_single_body_but_has_a_limit(make_client):
    client = make_client(max_body_bytes=20_000, max_batch_bytes=40_000)
    many = [body(description="水" * 500) for _ in range(15)]

    assert client.post(PATH, json=many).json["created"] == 15
    assert client.post(PATH, json=many * 4).status_code == 413


def test_a_scope_takes_its_own_items_only(town_client, token_of):
    inside = body()
    lon, lat = town.community_box(town.COMMUNITIES[2]).centroid.coords[0]
    outside = body(lon=lon, lat=lat)
    told = town_client.post(PATH, json=[inside, outside], headers=token_of("field", scope=town.COMMUNITIES[0])).json

    assert told["items"][0]["status"] == 201
    assert told["items"][1]["problem"]["code"] == "forbidden"


def test_a_viewer_may_not_post_a_batch(town_client, token_of, stored_reports):
    assert town_client.post(PATH, json=[body()], headers=token_of("viewer")).status_code == 403
    assert stored_reports() == NOTHING


def test_more_than_a_caller_may_post_is_429_with_the_time_to_wait(make_client, stored_reports):
    client = make_client(reports_per_minute=1)
    first = client.post(PATH, json=[1] * 1000)
    second = client.post("/api/v1/reports", json=body())

    assert first.status_code == 200
    assert (second.status_code, second.json["code"]) == (429, "too-many-requests")
    assert second.mimetype == "application/problem+json"
    assert 1 <= int(second.headers["Retry-After"]) <= 60
    assert stored_reports() == NOTHING


def test_callers_have_limits_of_their_own(make_client, token_of):
    client = make_client(reports_per_minute=1)
    client.post(PATH, json=[1] * 1000)

    assert client.post("/api/v1/reports", json=body(), headers=token_of("field")).status_code == 201
