"""Nothing lost, nothing twice: reports posted while the web server and the database are killed with SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest
from factories import served_town
from sqlalchemy import text

from gridsvc.bootstrap import embedded_server, open_app
from gridsvc.settings import read_settings

pytestmark = [pytest.mark.slow, pytest.mark.postgis]

CLIENTS = 6
ENOUGH = 25  # reports acknowledged between two blows


class Server:
    """``gridsvc serve`` as a process group of its own, on one port through all its lives."""

    def __init__(self, environment: dict[str, str], port: int, log) -> None:
        self.environment, self.port, self.log = environment, port, log
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "gridsvc.cli.main", "serve", "--port", str(self.port)]
        self.process = subprocess.Popen(
            command, env=self.environment, start_new_session=True, stdout=self.log, stderr=self.log
        )
        self.wait_ready()

    def wait_ready(self) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the server was not ready within 90 s")

    def kill(self) -> None:
        """Kill master and workers at once, as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)


class Poster(threading.Thread):
    """A client that posts one report after another and tries each again, unchanged, until it is acknowledged."""

    def __init__(self, url: str, acknowledged: dict[str, list[int]], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.url, self.acknowledged, self.stop = url, acknowledged, stop
        self.unexpected: list[str] = []

    def run(self) -> None:
        while not self.stop.is_set():
            body = served_town.report_body(report_id=str(uuid.uuid4()))
            status = 0
            while status not in (200, 201) and not self.stop.is_set():
                status = self.post(body)
            if status in (200, 201):
                self.acknowledged[body["report_id"]] = status

    def post(self, body: dict) -> int:
        request = urllib.request.Request(
            self.url, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            if refused.code != 503:  # an outage is 503 and nothing else
                self.unexpected.append(f"{refused.code} {refused.read()[:300]!r}")
        except OSError:
            pass
        time.sleep(0.05)
        return 0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def environment(tmp_path):
    """The environment of a server with a cluster of its own, the town in it."""
    given = {"GRIDSVC_VAR": str(tmp_path / "var"), "GRIDSVC_WORKERS": "2"}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GRIDSVC_")} | given
    with open_app(read_settings(environment)) as app, app.unit_of_work() as uow:
        served_town.put_town(uow)
        uow.commit()
    return environment


def wait_for_more(acknowledged: dict, count: int) -> None:
    wanted, end = len(acknowledged) + count, time.monotonic() + 120
    while len(acknowledged) < wanted:
        assert time.monotonic() < end, f"only {len(acknowledged)} reports acknowledged"
        time.sleep(0.02)


def test_acknowledged_reports_are_there_once_after_kills_of_server_and_database(environment, tmp_path):
    acknowledged, stop = {}, threading.Event()
    with (tmp_path / "serve.log").open("wb") as log:
        server = Server(environment, free_port(), log)
        server.start()
        url = f"http://127.0.0.1:{server.port}/api/v1/reports"
        posters = [Poster(url, acknowledged, stop) for _ in range(CLIENTS)]
        for poster in posters:
            poster.start()
        try:
            for _ in range(2):
                wait_for_more(acknowledged, ENOUGH)
                server.kill()
                server.start()
                wait_for_more(acknowledged, ENOUGH)
                os.kill(embedded_server(read_settings(environment)).postmaster_pid(), signal.SIGKILL)
            wait_for_more(acknowledged, ENOUGH)
        finally:
            stop.set()
            for poster in posters:
                poster.join(timeout=30)
            server.end()

    with open_app(read_settings(environment)) as app, app.unit_of_work() as uow:
        counts = dict(uow.connection.execute(text("SELECT report_id::text, count(*) FROM reports GROUP BY 1")).all())
        cases = dict(uow.connection.execute(text("SELECT report_id::text, count(*) FROM cases GROUP BY 1")).all())
    assert len(acknowledged) >= 5 * ENOUGH
    assert [i for i in acknowledged if i not in counts] == [], "acknowledged and lost"
    assert set(counts.values()) == {1} and set(cases.values()) == {1}, "stored twice"
    assert set(cases) == set(counts)
    assert [u for p in posters for u in p.unexpected] == []
