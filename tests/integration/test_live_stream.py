"""Live events from a running server: they arrive at once, break off and resume, and hinder nothing else."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from factories.serve_process import ServeProcess, town_environment

from gridsvc.bootstrap import open_app
from gridsvc.settings import read_settings

pytestmark = [pytest.mark.postgis, pytest.mark.slow]
HERE = "420103001001"
STREAMS = 5


@pytest.fixture(scope="module")
def served():
    with tempfile.TemporaryDirectory(prefix="gridsvc-stream-") as folder:
        Path(folder).chmod(0o755)
        environment = town_environment(Path(folder), GRIDSVC_STREAMS=str(STREAMS), GRIDSVC_WORKERS="1")
        with (Path(folder) / "serve.log").open("wb") as log:
            server = ServeProcess(environment, log)
            server.start()
            yield server
            server.end()


@pytest.fixture
def tell(served):
    """Return a function that commits events as another process would, and returns when it had done so."""

    def told(count=1, size=1):
        with open_app(read_settings(served.environment)) as app, app.unit_of_work() as uow:
            payload = {"from_grid": "x" * size}
            uow.events.add_many("case.moved", [(HERE, f"case-{n}", payload) for n in range(count)])
            uow.commit()
            return time.monotonic()

    return told


class Reader:
    """A reader of the stream, frame by frame."""

    def __init__(self, port: int, last: int | None = None, query: str = "") -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        self.connection.request("GET", f"/api/v1/stream{query}", headers=headers)
        self.answer = self.connection.getresponse()
        self.status, self.last = self.answer.status, last

    def frame(self) -> dict:
        fields = {}
        assert self.status == 200, self.answer.read()
        while line := self.answer.readline().decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            fields[name] = value
        if "id" in fields:
            self.last = int(fields["id"])
        return fields

    def event(self) -> dict:
        """Return the next event; lines of id alone are passed over."""
        while True:
            fields = self.frame()
            if "data" in fields or not fields:
                return fields

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def test_an_event_of_another_process_arrives_at_once(served, tell):
    reader = Reader(served.port)
    reader.frame()
    time.sleep(1.5)  # the hub has found that somebody follows

    told_at = tell()
    event = reader.event()
    took = time.monotonic() - told_at
    reader.close()

    assert event["event"] == "case.moved"
    assert json.loads(event["data"])["subject"] == "case-0"
    assert took < 10


def test_a_reader_that_breaks_off_again_and_again_sees_everything_once(served, tell):
    reader = Reader(served.port)
    reader.frame()
    begun, seen = reader.last, []
    for _ in range(6):
        reader.close()
        tell(300)
        reader = Reader(served.port, last=reader.last)
        for _ in range(250):
            seen.append(int(reader.event()["id"]))
    while len(seen) < 1800:
        seen.append(int(reader.event()["id"]))
    reader.close()

    assert seen == list(range(begun + 1, begun + 1801))


def test_full_of_streams_the_server_answers_everybody_else(served):
    time.sleep(2.5)  # places of readers that left are free within a second or two
    readers = [Reader(served.port) for _ in range(STREAMS)]
    refused = Reader(served.port)
    for _ in range(20):
        with urllib.request.urlopen(f"{served.url}/readyz", timeout=10) as answer:
            assert answer.status == 200
    for reader in readers:
        reader.close()

    assert [reader.status for reader in readers] == [200] * STREAMS
    assert refused.status == 503
    assert json.loads(refused.answer.read())["code"] == "streams-full"
    refused.close()


def reader_when_free(port: int, last: int | None = None) -> Reader:
    """Return a reader as soon as there is room for one: streams of the test before count until the server sees them closed."""
    end = time.monotonic() + 60
    while True:
        reader = Reader(port, last=last)
        if reader.status != 503 or time.monotonic() > end:
            return reader
        reader.close()
        time.sleep(0.2)


def test_streams_live_through_the_death_of_the_database(served, tell):
    reader = reader_when_free(served.port)
    reader.frame()

    served.kill_database()
    time.sleep(0.5)
    served.wait_ready()
    tell()
    event = reader.event()
    reader.close()

    assert event["event"] == "case.moved"


def slow_connection(port: int) -> tuple[socket.socket, bytes]:
    """Return a connection that asked for the stream and takes little at a time, and the first bytes of its answer."""
    end = time.monotonic() + 60
    while True:
        slow = socket.create_connection(("127.0.0.1", port))
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: gridsvc\r\n\r\n")
        first = slow.recv(1024)
        if first.startswith(b"HTTP/1.1 200") or time.monotonic() > end:
            return slow, first
        slow.close()
        time.sleep(0.5)


def test_a_slow_reader_is_cut_off_with_a_last_event_and_resumes(served, tell):
    slow, first = slow_connection(served.port)
    with slow:
        time.sleep(1.5)
        tell(4000, size=2000)  # 8 MB, far more than the buffers on the way hold
        time.sleep(25)  # reads nothing meanwhile
        received = bytearray(first)
        while block := slow.recv(65536):
            received += block
    text = received.decode()
    last = text[text.rindex("event: end") :]
    resume_after = json.loads(last[last.index("{") : last.index("}") + 1])["resume_after"]
    ids = [int(line.removeprefix("id: ")) for line in text.splitlines() if line.startswith("id: ")]
    reader = reader_when_free(served.port, last=resume_after)
    following = int(reader.event()["id"])
    reader.close()

    assert '"reason":"slow"' in last
    assert max(ids) == resume_after
    assert following == resume_after + 1


def test_sigterm_ends_streams_at_once(served):
    reader = reader_when_free(served.port)
    reader.frame()
    (worker,) = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()

    begun = time.monotonic()
    os.kill(int(worker), signal.SIGTERM)
    event = reader.event()
    took = time.monotonic() - begun
    reader.close()

    assert event["event"] == "end"
    assert json.loads(event["data"])["reason"] == "closing"
    assert took < 15  # not the grace of 20 s that running requests have
