"""GET /api/v1/stream: resumable by number, cut to the caller's area, clear about what is gone."""

from __future__ import annotations

import hashlib
import io
import json

import pytest
from factories import photos, served_town
from factories import stored_town as town

from gridsvc.web.api.stream import SendPace

pytestmark = pytest.mark.postgis
SOUTH, NORTH = town.COMMUNITIES[0], town.COMMUNITIES[2]


def parsed(answer) -> list[dict]:
    """Return the frames of a stream as a browser reads them: id, event, data."""
    frames = []
    for block in answer.get_data(as_text=True).split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        frames.append(fields | ({"data": json.loads(fields["data"])} if "data" in fields else {}))
    return frames


def events(answer) -> list[dict]:
    return [f for f in parsed(answer) if "data" in f and f["event"] != "end"]


@pytest.fixture
def tell(open_uow):
    """Return a function that tells of moved cases in communities, in a transaction of their own."""

    def told(*codes, kind="case.moved", **payload):
        with open_uow() as uow:
            for n, code in enumerate(codes):
                uow.events.add(kind, code, f"case-{n}", payload)
            uow.commit()

    return told


def read(client, headers=None, **query):
    return client.get("/api/v1/stream", query_string={"for_s": 0} | query, headers=headers)


def test_what_has_happened_is_given_in_order_then_the_stream_ends(town_client, tell):
    tell(SOUTH, NORTH, network="social", to_grid="420103001001001")
    answer = read(town_client, since=0)

    assert answer.status_code == 200
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    assert [f["id"] for f in events(answer)] == ["1", "2"]
    first = events(answer)[0]
    assert first["event"] == "case.moved"
    assert first["data"]["subject"] == "case-0" and first["data"]["division_code"] == SOUTH
    assert first["data"]["payload"] == {"network": "social", "to_grid": "420103001001001"}
    assert first["data"]["at"].endswith("Z")
    assert parsed(answer)[-1] == {"id": "2", "event": "end", "data": {"reason": "time", "resume_after": 2}}


def test_without_since_only_what_comes_is_given_and_where_one_stands(town_client, tell):
    tell(SOUTH)
    answer = read(town_client)

    assert events(answer) == []
    assert parsed(answer)[0] == {"retry": "2000", "id": "1"}


def test_last_event_id_resumes_and_goes_before_since(town_client, tell):
    tell(*[SOUTH] * 3)
    answer = read(town_client, since=0, headers={"Last-Event-ID": "2"})

    assert [f["id"] for f in events(answer)] == ["3"]


def test_a_reader_sees_its_area_only_and_its_place_moves_on_all_the_same(town_client, token_of, tell):
    tell(SOUTH, NORTH, "420103", SOUTH)
    answer = read(town_client, since=0, headers=token_of("viewer", town.STREETS[1]))

    assert [f["data"]["division_code"] for f in events(answer)] == [NORTH]
    assert parsed(answer)[-1]["id"] == "4"


def test_a_wider_prefix_than_the_scope_shows_no_more(town_client, token_of, tell):
    tell(SOUTH, NORTH)
    headers = token_of("viewer", town.STREETS[1])

    assert len(events(read(town_client, since=0, prefix="420103", headers=headers))) == 1
    assert events(read(town_client, since=0, prefix=town.STREETS[0], headers=headers)) == []


def test_kinds_and_prefix_leave_others_out(town_client, tell):
    tell(SOUTH)
    tell(NORTH, kind="photo.joined")

    assert [f["event"] for f in events(read(town_client, since=0, kinds="photo.joined,case.moved"))] == [
        "case.moved",
        "photo.joined",
    ]
    assert [f["event"] for f in events(read(town_client, since=0, kinds="photo.joined"))] == ["photo.joined"]
    assert [f["event"] for f in events(read(town_client, since=0, prefix=town.STREETS[1]))] == ["photo.joined"]


def test_many_events_come_in_pages(town_client, tell):
    tell(*[SOUTH] * 903)
    answer = read(town_client, since=1)

    assert [int(f["id"]) for f in events(answer)] == list(range(2, 904))


def test_what_is_kept_no_more_is_410(town_client, tell):
    for _ in range(3):
        tell(*[SOUTH] * 500)  # the hub of these tests keeps 1,000
        read(town_client)
    answer = read(town_client, since=400)

    assert (answer.status_code, answer.json["code"]) == (410, "events-gone")
    assert answer.json["details"] == {"first_seq": 501, "last_seq": 1500}
    assert "without since" in answer.json["hint"]
    assert read(town_client, since=500).status_code == 200


def test_a_number_that_was_not_given_yet_is_410(town_client, tell):
    tell(SOUTH)
    answer = read(town_client, headers={"Last-Event-ID": "2"})

    assert (answer.status_code, answer.json["code"]) == (410, "events-gone")
    assert "restored" in answer.json["detail"]


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        pytest.param({"since": "-1"}, {}, id="negative"),
        pytest.param({"since": "x"}, {}, id="no number"),
        pytest.param({"since": str(2**63)}, {}, id="beyond 64 bits"),
        pytest.param({"prefix": "42%"}, {}, id="a pattern for a prefix"),
        pytest.param({"kinds": "gossip"}, {}, id="unknown kind"),
        pytest.param({"for_s": "NaN"}, {}, id="not a time"),
        pytest.param({"for_s": "100000"}, {}, id="too long"),
        pytest.param({}, {"Last-Event-ID": "abc"}, id="last id is no number"),
        pytest.param({}, {"Last-Event-ID": "9" * 30}, id="last id too long"),
        pytest.param({}, {"Last-Event-ID": "²"}, id="last id is a digit of another kind"),
    ],
)
def test_bad_requests_are_refused(town_client, query, headers):
    answer = read(town_client, headers=headers, **query)

    assert (answer.status_code, answer.json["code"]) == (422, "request-invalid")


def test_more_streams_than_there_are_places_are_told_to_wait(town_client):
    opened = [town_client.get("/api/v1/stream", buffered=False) for _ in range(4)]
    refused = read(town_client)

    assert [answer.status_code for answer in opened] == [200] * 4
    assert (refused.status_code, refused.json["code"]) == (503, "streams-full")
    assert refused.headers["Retry-After"]

    for answer in opened:
        answer.close()
    assert read(town_client).status_code == 200


class StuckConnection:
    """A socket whose reader takes nothing."""

    def __init__(self):
        self.shut = False

    def setsockopt(self, *_):
        pass

    def shutdown(self, _how):
        self.shut = True


def test_a_reader_that_takes_nothing_is_found_out(monkeypatch):
    connection = StuckConnection()
    pace = SendPace(connection, slow_s=0.1)
    monkeypatch.setattr(pace, "_unsent", lambda: 100_000, raising=False)

    assert not pace.is_taken()
    assert connection.shut


def test_a_report_its_photo_and_an_update_are_told_without_who_posted_them(town_client):
    from factories import served_town

    body = served_town.report_body(reporter="张三", device="phone-7", description="路边有人晕倒")
    receipt = town_client.post("/api/v1/reports", json=body).json
    town_client.post("/api/v1/reports", json=body)  # a retry is no event
    update = {
        "update_id": "0e7b1d3c-58a9-4d0b-9a51-6a3c1b2f4d77",
        "occurred_at": "2026-03-05T10:00:00+08:00",
        "description": "已送医",
    }
    town_client.post(f"/api/v1/reports/{body['report_id']}/updates", json=update)
    answer = read(town_client, since=0)

    received, updated = (f["data"] for f in events(answer))
    assert (received["kind"], received["subject"], received["division_code"]) == (
        "report.received", body["report_id"], town.COMMUNITIES[0],
    )  # fmt: skip
    told = received["payload"]
    assert told["case_code"] == receipt["case_code"]
    assert {f"{network}_grid" for network in receipt["grids"]} <= set(told)
    assert (told["lon"], told["lat"]) == (receipt["lon"], receipt["lat"])
    assert (updated["kind"], updated["payload"]["update_id"]) == ("report.updated", update["update_id"])
    assert not any(word in answer.text for word in ("张三", "phone-7", "晕倒", "送医"))


def test_what_was_held_is_told_when_its_report_comes_after_it(town_client, tell):
    body = served_town.report_body()
    address = f"/api/v1/reports/{body['report_id']}"
    update = {
        "update_id": "0e7b1d3c-58a9-4d0b-9a51-6a3c1b2f4d78",
        "occurred_at": "2026-03-05T10:00:00+08:00",
        "description": "已送医",
    }
    photo = photos.photo(size=(64, 48))
    town_client.post(f"{address}/updates", json=update)
    town_client.post(f"{address}/photos", data={"photo": (io.BytesIO(photo), "photo.jpg")})
    assert events(read(town_client, since=0)) == []

    town_client.post("/api/v1/reports", json=body)
    town_client.post("/api/v1/reports", json=body)  # a retry is no event

    told = [f["data"] for f in events(read(town_client, since=0))]
    assert told[0]["kind"] == "report.received"
    assert {(t["kind"], t["subject"], t["division_code"]) for t in told} == {
        (kind, body["report_id"], town.COMMUNITIES[0]) for kind in ("report.received", "report.updated", "photo.joined")
    }
    payloads = {t["kind"]: t["payload"] for t in told[1:]}
    assert payloads == {
        "report.updated": {"update_id": update["update_id"], "occurred_at": "2026-03-05T02:00:00+00:00"},
        "photo.joined": {"sha256": hashlib.sha256(photo).hexdigest(), "width": 64, "height": 48},
    }
