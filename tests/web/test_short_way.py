"""The short way of frequent requests says what Flask says, and leaves everything that is not plain to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from factories import served_town
from factories import stored_town as town

from gridsvc.geo.datums import convert
from gridsvc.web import create_app
from gridsvc.web.short_way import read_plain

ADDRESS = "127.0.0.1"
NOW = datetime(2026, 7, 1, tzinfo=UTC)
# what the server adds to an answer of Flask's
OF_SERVER = {"server", "date", "connection"}


@pytest.fixture
def make_app(open_uow, still_clock, photo_files):
    """Return a function that makes the application, with any setting changed."""
    return lambda **changes: create_app(served_town.Services(open_uow, photo_files), served_town.settings(**changes))


def a_post(body, **headers) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Host": "gridsvc", "Content-Type": "application/json", "Content-Length": str(len(content))} | headers
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value is not None)
    return f"POST /api/v1/reports HTTP/1.1\r\n{head}\r\n".encode() + content


def a_question(query: str, head: str = "Host: gridsvc\r\n") -> bytes:
    return f"GET /api/v1/locate?{query} HTTP/1.1\r\n{head}\r\n".encode()


def read(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    return int(first.split()[1]), {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}, body


def as_flask_says(answer) -> tuple[int, dict[str, str], bytes]:
    return answer.status_code, {name.lower(): value for name, value in answer.headers}, answer.data


def place(dx: float = -0.002) -> tuple[float, float]:
    lon, lat = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]
    return lon + dx, lat


@pytest.mark.parametrize("more", ["", "&accuracy_m=30", "&at=2026-03-05T09:30:00Z", "&accuracy_m=0"])
@pytest.mark.parametrize("datum", ["wgs84", "cgcs2000", "gcj02", "bd09"])
def test_a_question_is_answered_as_by_flask(make_app, datum, more):
    app = make_app()
    lon, lat = (float(value) for value in convert(*place(), "cgcs2000", datum))
    query = f"lon={lon}&lat={lat}&datum={datum}{more}"

    status, headers, body = read(app.extensions["gridsvc_short_way"](a_question(query), ADDRESS))

    assert headers.keys() >= OF_SERVER
    told = {name: value for name, value in headers.items() if name not in OF_SERVER}
    assert (status, told, body) == as_flask_says(app.test_client().get(f"/api/v1/locate?{query}"))
    assert json.loads(body)["grids"]


@pytest.mark.parametrize("signed_in", [True, False])
def test_a_report_is_taken_as_by_flask(make_app, token_of, stored_reports, signed_in):
    app = make_app(anonymous=not signed_in)
    client, headers = app.test_client(), token_of("field") if signed_in else {}
    first, second = (served_town.report_body(report_id=f"7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e{n}") for n in (11, 12))
    if signed_in:  # who a token stands for is learnt from the first request that brings it
        assert app.extensions["gridsvc_short_way"](a_post(first, **headers), ADDRESS) is None
        assert client.post("/api/v1/reports", json=first, headers=headers).status_code == 201

    status, told, body = read(app.extensions["gridsvc_short_way"](a_post(second, **headers), ADDRESS))
    again = read(app.extensions["gridsvc_short_way"](a_post(second, **headers), ADDRESS))

    assert status == 201
    assert again[0] == 200
    assert again[2] == body
    flask = as_flask_says(client.post("/api/v1/reports", json=second, headers=headers))
    assert (200, {n: v for n, v in told.items() if n not in OF_SERVER}, body) == flask
    assert stored_reports() == [2, 2, 2] if signed_in else [1, 1, 1]


def test_a_withdrawn_token_is_left_to_flask_and_stores_nothing(make_app, token_of, open_uow, stored_reports):
    app = make_app(anonymous=False)
    headers = token_of("field")
    first, second = (served_town.report_body(report_id=f"7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e{n}") for n in (11, 12))
    assert app.test_client().post("/api/v1/reports", json=first, headers=headers).status_code == 201
    with open_uow() as uow:
        for token_id in uow.access.list_tokens("tester")["token_id"]:
            uow.access.withdraw_token(int(token_id), NOW)
        uow.commit()

    assert app.extensions["gridsvc_short_way"](a_post(second, **headers), ADDRESS) is None
    assert app.test_client().post("/api/v1/reports", json=second, headers=headers).status_code == 401
    assert stored_reports() == [1, 1, 1]


def refused_posts():
    good = served_town.report_body()
    return {
        "no JSON": a_post(b"{"),
        "NaN": a_post(json.dumps(good).encode().replace(b'"accuracy_m": 8', b'"accuracy_m": NaN')),
        "key twice": a_post(json.dumps(good).encode().replace(b"{", b'{"device": "a", "device": "b", ', 1)),
        "nested": a_post(b"[" * 8000),
        "unknown field": a_post(good | {"colour": "red"}),
        "no datum": a_post({name: value for name, value in good.items() if name != "datum"}),
        "elsewhere": a_post(good | {"lon": 10.0}),
        "form": a_post(good, **{"Content-Type": "text/plain"}),
        "no length": a_post(good, **{"Content-Length": None}),
        "cookie": a_post(good, Cookie="a=b"),
        "other site": a_post(good, Origin="http://elsewhere"),
        "gzip": a_post(good, **{"Content-Encoding": "gzip"}),
        "chunked": a_post(good, **{"Transfer-Encoding": "chunked"}),
        "wrong token": a_post(good, Authorization="Bearer wrong"),
        "no bearer": a_post(good, Authorization="Basic YTpi"),
    }


@pytest.mark.parametrize("what", refused_posts())
def test_what_is_refused_or_not_plain_is_left_to_flask(make_app, stored_reports, what):
    app = make_app()

    assert app.extensions["gridsvc_short_way"](refused_posts()[what], ADDRESS) is None
    assert stored_reports() == [0, 0, 0]


def test_more_than_the_limit_is_left_to_flask(make_app):
    app = make_app(reports_per_minute=1)
    answer = app.extensions["gridsvc_short_way"]
    bodies = [served_town.report_body(report_id=f"7d2f9a54-0f0e-4c4c-9a2b-{n:012x}") for n in range(1001)]

    assert all(answer(a_post({"report_id": "x"} | body), ADDRESS) for body in bodies[:3])
    app.extensions["gridsvc_rate_limit"].spend(f"address {ADDRESS}", 997)
    assert answer(a_post(bodies[-1]), ADDRESS) is None
    assert app.test_client().post("/api/v1/reports", json=bodies[-1]).status_code == 429


@pytest.mark.parametrize(
    "query",
    [
        "", "lon=114", "lon=114.25&lat=30.58", "lon=114.25&lat=30.58&datum=wgs84&datum=wgs84", "lon=1_1&lat=30&datum=wgs84", "lon=nan&lat=30&datum=wgs84",
        "lon=114.25&lat=30.58&datum=wgs84&x=1", "lon=114.25&lat=30.58&datum=wgs84&", "lon=0&lat=0&datum=wgs84", "lon=%31&lat=30&datum=wgs84",
        "lon=114.25&lat=30.58&datum=wgs84&at=2026-03-05T09:30:00+08:00",
    ],
)  # fmt: skip
def test_a_question_that_is_not_plain_is_left_to_flask(make_app, query):
    assert make_app().extensions["gridsvc_short_way"](a_question(query), ADDRESS) is None


def test_a_question_with_a_token_or_where_one_is_needed_is_left_to_flask(make_app, token_of):
    lon, lat = place()
    query = f"lon={lon}&lat={lat}&datum=wgs84"
    token = f"Host: gridsvc\r\nAuthorization: {token_of()['Authorization']}\r\n"

    assert make_app().extensions["gridsvc_short_way"](a_question(query, token), ADDRESS) is None
    assert make_app(anonymous=False).extensions["gridsvc_short_way"](a_question(query), ADDRESS) is None


@pytest.mark.parametrize(
    "seen",
    [
        b"", b"GET", b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\n", b"GET /api/v1/locate?a=b HTTP/1.1\r\n\r\n",
        b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\nX-Other: y\r\n\r\n",
        b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\nAccept: y\r\n\r\n", b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: \x00\r\n\r\n",
        b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\n\r\nmore",
        b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nfour",
        b"GET /api/v1/locate?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nfour",
    ],
)  # fmt: skip
def test_bytes_that_are_not_one_whole_plain_request_are_left_to_the_server(seen):
    assert read_plain(seen) is None


def test_a_plain_request_is_read():
    plain = read_plain(a_post(b"{}", Accept="*/*", **{"User-Agent": "app/1.0 (phone)"}))

    assert plain.body == b"{}"
    assert plain.headers[b"content-type"] == b"application/json"
