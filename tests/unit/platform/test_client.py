"""The client against a server that misbehaves as told: what is tried again, what is not, and what the outbox keeps."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gridsvc.client import Client, EventsGone, Outbox, Refused, Unreachable

ID = "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e11"


class Scripted:
    """A server that answers one call after another as its script says: (status, headers, document) or a function of the connection."""

    def __init__(self) -> None:
        self.script: deque = deque()
        self.calls: list[tuple[str, str, dict, bytes]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                scripted.calls.append((self.command, self.path, dict(self.headers), body))
                step = scripted.script.popleft()
                if callable(step):
                    step(self)
                    return
                status, headers, document = step
                data = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                kind = "application/json" if status < 400 else "application/problem+json"
                for name, value in ({"Content-Type": kind, "Content-Length": str(len(data))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_HEAD = answer

            def log_message(self, *_) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def end(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server():
    made = Scripted()
    yield made
    made.end()


@pytest.fixture
def waits():
    return []


@pytest.fixture
def client(server, waits):
    with Client(server.url, "secret", dice=random.Random(1), sleep=waits.append) as made:
        yield made


def cut(handler) -> None:
    """Answer with less than was announced."""
    handler.send_response(201)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"report_id"')
    handler.close_connection = True


def cut_in_the_head(handler) -> None:
    """Answer with a status and half of the headers."""
    handler.wfile.write(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Le")
    handler.close_connection = True


def cut_after_the_status(handler) -> None:
    handler.wfile.write(b"HTTP/1.1 201 Created\r\n")
    handler.close_connection = True


def silent(handler) -> None:
    handler.close_connection = True


def receipt(**more) -> dict:
    return {"report_id": ID, "content_sha256": "ab" * 32} | more


def test_a_report_is_posted_with_the_token(server, client):
    server.script += [(201, {}, receipt())]

    assert client.post({"report_id": ID}) == (receipt(), True)
    method, path, headers, body = server.calls[0]
    assert (method, path, json.loads(body)) == ("POST", "/api/v1/reports", {"report_id": ID})
    assert headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    "fault",
    [
        cut,
        cut_in_the_head,
        cut_after_the_status,
        silent,
        (503, {}, {}),
        (502, {}, b"<html>"),
        (429, {}, {}),
        (408, {}, {}),
    ],
)
def test_what_may_succeed_later_is_tried_again_unchanged(server, client, waits, fault):
    server.script += [fault, (200, {}, receipt())]

    assert client.post({"report_id": ID}) == (receipt(), False)
    assert len({call[3] for call in server.calls}) == 1 and len(server.calls) == 2
    assert len(waits) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 415, 422])
def test_what_is_refused_for_good_is_not(server, client, status):
    server.script += [(status, {}, {"code": "some-code", "detail": "No.", "hint": "Mend it."})]

    with pytest.raises(Refused, match=r"No\. Mend it\.") as refused:
        client.post({"report_id": ID})

    assert (refused.value.status, refused.value.code) == (status, "some-code")
    assert len(server.calls) == 1


def test_retry_after_is_honoured(server, client, waits):
    server.script += [(429, {"Retry-After": "7"}, {}), (503, {"Retry-After": "nonsense"}, {}), (200, {}, receipt())]
    client.post({"report_id": ID})

    assert 7 <= waits[0] <= 7.7
    assert waits[1] < 1


def test_waits_grow_and_differ(server, client, waits):
    server.script += [(503, {}, {})] * 9 + [(200, {}, receipt())]
    client.post({"report_id": ID})

    assert len(set(waits)) == 9
    assert max(waits[-3:]) > max(waits[:2])
    assert all(0 <= wait <= 30 for wait in waits)


def test_patience_ends(server, waits):
    with Client(server.url, patience_s=0.0, sleep=waits.append) as client:
        server.script += [(503, {}, {})]
        with pytest.raises(Unreachable, match="HTTP status 503"):
            client.post({"report_id": ID})


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "/api"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ValueError, match="not the address of a server"):
        Client(url)


def test_a_large_photo_goes_on_where_the_server_is(server, client):
    photo = random.Random(1).randbytes((1 << 20) + 10)
    server.script += [
        (201, {"Location": f"{server.url}/api/v1/uploads/u1", "Content-Type": "text/plain"}, b""),
        silent,  # the first piece is lost, or its answer
        (200, {"Upload-Offset": str(1 << 20), "Content-Length": "0"}, b""),  # the answer: the server has it
        (409, {}, {"code": "conflict"}),
        (200, {"Upload-Offset": str(1 << 20), "Content-Length": "0"}, b""),
        lambda handler: (handler.send_response(204), handler.end_headers()),
        (200, {}, {"photo": {"state": "stored"}}),
    ]

    assert client.add_photo(ID, photo) == {"state": "stored"}
    patches = [(headers["Upload-Offset"], len(body)) for method, _, headers, body in server.calls if method == "PATCH"]
    assert patches == [("0", 1 << 20), (str(1 << 20), 10), (str(1 << 20), 10)]
    assert photo[1 << 20 :] == server.calls[-2][3]


def test_mine_is_read_to_its_end(server, client):
    server.script += [
        (200, {}, {"items": [{"report_id": "a"}], "next_cursor": "c1", "more": True}),
        (200, {}, {"items": [{"report_id": "b"}], "next_cursor": "c2", "more": False}),
    ]

    assert [item["report_id"] for item in client.mine(device="phone 1")] == ["a", "b"]
    assert server.calls[1][1] == "/api/v1/reports:mine?since=c1&device=phone+1&limit=100"


def stream_of(*frames: bytes):
    def answer(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"".join(frames))
        handler.close_connection = True

    return answer


def test_events_resume_after_the_last_whole_one(server, client):
    one = b'id: 1\nevent: case.moved\ndata: {"seq":1}\n\n'
    two = b'id: 2\nevent: case.moved\ndata: {"seq":2}\n\n'
    server.script += [
        stream_of(b"retry: 1\nid: 0\n\n", one, two[:-9]),
        (503, {}, {}),
        stream_of(two, b'id: 5\nevent: end\ndata: {"reason":"time"}\n\n'),
        (410, {}, {"code": "events-gone"}),
    ]

    seen = []
    with pytest.raises(EventsGone):
        for event in client.events(kinds=["case.moved"]):
            seen.append(event.seq)

    assert seen == [1, 2]
    asked = [path.split("?")[1] for _, path, _, _ in server.calls]
    assert asked == [
        "kinds=case.moved",
        "since=1&kinds=case.moved",
        "since=1&kinds=case.moved",
        "since=5&kinds=case.moved",
    ]


# --- the outbox ----------------------------------------------------------------------------------


@pytest.fixture
def outbox(tmp_path, client):
    with Outbox(tmp_path / "outbox.sqlite3", client, device="phone") as made:
        yield made


def test_what_was_put_is_sent_once_and_refusals_are_kept(server, outbox):
    ids = [outbox.put({"text": str(n)}) for n in range(3)]
    problem = {"code": "datum-missing", "detail": "The body names no datum."}
    server.script += [(201, {}, receipt()), (422, {}, problem), (200, {}, receipt())]
    first, second = outbox.send(), outbox.send()

    assert (first.created, first.repeated, first.refused, first.problems) == (1, 1, 1, {"datum-missing": 1})
    assert (second.created, second.repeated, second.waiting) == (0, 0, 0)
    assert [json.loads(call[3])["report_id"] for call in server.calls] == ids
    assert outbox.refusals() == [(ids[1], problem)]
    assert {json.loads(call[3])["device"] for call in server.calls} == {"phone"}


def test_a_batch_is_noted_item_by_item(server, outbox):
    ids = [outbox.put({"text": str(n)}) for n in range(4)]
    items = [
        {"index": 0, "status": 201, "receipt": receipt()},
        {"index": 2, "status": 422, "problem": {"code": "bad"}},
        {"index": 1, "status": 200, "receipt": receipt()},
        {"index": 3, "status": 503, "problem": {"code": "database-unavailable"}},
    ]
    server.script += [(200, {}, {"items": items}), (201, {}, receipt())]
    sent = outbox.send(batch=10)

    assert (sent.created, sent.repeated, sent.refused) == (2, 1, 1)
    assert outbox.refusals() == [(ids[2], {"code": "bad"})]
    assert json.loads(server.calls[1][3])["report_id"] == ids[3]


def test_the_same_again_changes_nothing_and_other_content_is_refused(outbox):
    outbox.put({"report_id": ID, "text": "a"}, [b"photo"])
    outbox.put({"text": "a", "report_id": ID}, [b"photo"])

    with pytest.raises(ValueError, match="other content"):
        outbox.put_many([({"text": "new"}, ()), ({"report_id": ID, "text": "b"}, ())])
    assert outbox.counts() | {"reports_sent": 0} == {
        "reports_waiting": 1, "reports_sent": 0, "reports_refused": 0, "photos_waiting": 1, "photos_sent": 0, "photos_refused": 0,
    }  # fmt: skip


def test_reconciliation_finds_what_differs_and_puts_back_what_is_missing(server, outbox):
    held, lost, waiting, differing = (outbox.put({"text": str(n)}, [f"photo {n}".encode()]) for n in range(4))
    server.script += [(201, {}, receipt())] * 4 + [(201, {}, {"state": "stored"})] * 4
    outbox.send()
    unsent = outbox.put({"text": "unsent"})
    import hashlib

    def item(report_id, sha="ab" * 32, n=None):
        photos = [] if n is None else [hashlib.sha256(f"photo {n}".encode()).hexdigest()]
        return {"report_id": report_id, "content_sha256": sha, "photos": photos}

    items = [
        item(held, n=0),
        item(waiting),
        item(differing, "cd" * 32, n=3),
        item(unsent),
        item("foreign"),
        item(held, n=0),
    ]
    server.script += [(200, {}, {"items": items, "next_cursor": "c", "more": False})]
    found = outbox.reconcile()

    assert (found.missing, found.differing, found.arrived) == ([lost], [differing], [unsent])
    assert (found.foreign, found.doubled) == (["foreign"], [held])
    assert [i for i, _ in found.missing_photos] == [waiting]
    assert not found.is_clean
    counts = outbox.counts()
    assert (counts["reports_waiting"], counts["photos_waiting"]) == (1, 2)  # the lost one with its photo, and a photo
    server.script += [(201, {}, receipt())] + [(201, {}, {"state": "stored"})] * 2
    assert outbox.send().waiting == 0
    assert b"photo 1" in server.calls[-2][3] and b"photo 2" in server.calls[-1][3]


def test_what_was_put_survives_kill_9(tmp_path, server, client):
    script = (
        "import os, sys; from gridsvc.client import Client, Outbox\n"
        f"outbox = Outbox({str(tmp_path / 'outbox.sqlite3')!r}, Client({server.url!r}))\n"
        "for n in range(1000):\n"
        "    print(outbox.put({'text': str(n)}, [b'photo %d' % n]), flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    told = [process.stdout.readline().strip() for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    told += process.communicate()[0].split()

    with Outbox(tmp_path / "outbox.sqlite3", client) as outbox:
        server.script += [(201, {}, receipt())] * 2000
        outbox.send()
    posted = [json.loads(body)["report_id"] for _, path, _, body in server.calls if path == "/api/v1/reports"]
    assert set(told[:-1]) <= set(posted)  # the last line may have been cut off
    assert len(posted) == len(set(posted))


def test_the_module_runs_alone(tmp_path):
    source = Path(__file__).resolve().parents[3] / "gridsvc" / "client.py"
    (tmp_path / "client.py").write_bytes(source.read_bytes())
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import client; print(client.Client)"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
