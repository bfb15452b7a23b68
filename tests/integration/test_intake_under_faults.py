"""Nothing lost, nothing doubled: clients post reports and photos through a bad network while everything is killed in turn."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from factories import faulty_intake
from factories.faulty_proxy import FaultyProxy
from factories.serve_process import ServeProcess, town_environment
from sqlalchemy import text

from gridsvc.bootstrap import open_app
from gridsvc.settings import read_settings

pytestmark = pytest.mark.postgis
CLIENTS = 8
VICTIMS = ("server", "database", "client")


class ClientProcess:
    """A client with its outbox; killed, it begins again where its outbox is."""

    def __init__(self, folder: Path, url: str, number: int, reports: int, every: int) -> None:
        self.path = folder / f"outbox-{number}.sqlite3"
        self.errors = folder / f"client-{number}.log"
        # odd ones post one by one, even ones in batches
        batch = 1 if number % 2 else 50
        numbers = [str(n) for n in (reports, every, batch, number)]
        self.command = [sys.executable, faulty_intake.__file__, url, str(self.path), f"phone-{number}", *numbers]
        self.start()

    def start(self) -> None:
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=errors)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def result(self, seconds: float) -> dict:
        output, _ = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, self.errors.read_text()[-2000:]
        return json.loads(output)

    def kept(self, table: str, columns: str) -> list[tuple]:
        """Return rows of the outbox that were acknowledged."""
        if not self.path.exists():
            return []
        with sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30) as file:
            try:
                rows = file.execute(f"SELECT {columns} FROM {table} WHERE state = 'sent'").fetchall()
            except sqlite3.OperationalError:  # not made yet
                rows = []
        file.close()
        return rows


def acknowledged(clients: list[ClientProcess]) -> int:
    return sum(len(client.kept("reports", "report_id")) for client in clients)


def post_under_faults(folder: Path, *, reports: int, every: int, blows: int, seed: int, seconds: float) -> None:
    environment = town_environment(folder / "var", GRIDSVC_REPORTS_PER_MINUTE="0")
    dice = random.Random(seed)
    # each victim is hit, in an order and at moments that the seed gives
    victims = [VICTIMS[i % len(VICTIMS)] for i in range(blows)]
    dice.shuffle(victims)
    moments = sorted(dice.uniform(0.02, 0.95) for _ in victims)
    end = time.monotonic() + seconds
    with (folder / "serve.log").open("wb") as log:
        server = ServeProcess(environment, log)
        server.start()
        try:
            with FaultyProxy(server.port, seed) as proxy:
                clients = [ClientProcess(folder, proxy.url, n, reports // CLIENTS, every) for n in range(CLIENTS)]
                try:
                    for victim, moment in zip(victims, moments, strict=True):
                        while acknowledged(clients) < moment * reports:
                            assert time.monotonic() < end, f"{acknowledged(clients)} of {reports} acknowledged"
                            time.sleep(0.05)
                        strike(victim, server, clients, dice)
                    results = [client.result(max(1.0, end - time.monotonic())) for client in clients]
                finally:
                    for client in clients:
                        client.kill()
                faults = dict(proxy.seen)
        finally:
            server.end()
    check(environment, clients, results, reports, every)
    assert {"worn_out", "refused", "request_cut", "answer_cut", "answer_lost", "doubled", "delayed"} <= set(faults), (
        faults
    )


def strike(victim: str, server: ServeProcess, clients: list[ClientProcess], dice: random.Random) -> None:
    if victim == "server":
        server.kill()
        server.start()
    elif victim == "database":
        server.kill_database()
    else:
        client = dice.choice(clients)
        if client.process.poll() is None:
            client.kill()
            client.start()


def check(
    environment: dict[str, str], clients: list[ClientProcess], results: list[dict], reports: int, every: int
) -> None:
    """Compare what devices, reconciliation and database say: the same, each report and photo once."""
    sent = Counter(i for client in clients for (i,) in client.kept("reports", "report_id"))
    pictures = Counter(row for client in clients for row in client.kept("photos", "report_id, sha256"))
    own = reports // CLIENTS
    assert len(sent) == own * CLIENTS and set(sent.values()) == {1}
    assert len(pictures) == -(-own // every) * CLIENTS
    for result in results:
        assert not any(result[k] for k in ("missing", "missing_photos", "differing", "doubled", "foreign")), result
        assert result["held"] == own and result["photos"] == -(-own // every)
    with open_app(read_settings(environment)) as app, app.unit_of_work() as uow:
        query = uow.connection.execute
        stored = Counter(dict(query(text("SELECT report_id::text, count(*) FROM reports GROUP BY 1")).all()))
        cases = Counter(dict(query(text("SELECT report_id::text, count(*) FROM cases GROUP BY 1")).all()))
        photos = Counter(
            (row.report_id, row.sha256)
            for row in query(text("SELECT report_id::text, encode(sha256, 'hex') AS sha256 FROM photos"))
        )
        uow.events.number(kept=10**6)
        told = Counter(query(text("SELECT subject FROM events WHERE kind = 'report.received'")).scalars())
    assert stored == sent, "reports lost or doubled"
    assert cases == sent, "cases lost or doubled"
    assert photos == pictures, "photos lost or doubled"
    assert told == sent, "events lost or doubled"


@pytest.mark.slow
def test_reports_and_photos_are_there_once_whatever_is_killed(tmp_path):
    """240 reports, every 6th with a photo; server, database and a client are killed once each."""
    tmp_path.chmod(0o755)
    post_under_faults(tmp_path, reports=240, every=6, blows=3, seed=20260305, seconds=900)


@pytest.mark.slow
def test_20000_reports_with_2000_photos_are_there_once_whatever_is_killed(tmp_path):
    """20,000 reports, every 10th with a photo; 24 kills."""
    tmp_path.chmod(0o755)
    post_under_faults(tmp_path, reports=20_000, every=10, blows=24, seed=4, seconds=7200)
