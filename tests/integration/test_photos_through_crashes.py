"""No acknowledged photo is lost and no half file is served: photos sent whole and in pieces through kills of server and database."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import random
import signal
import socket
import threading
import time
import uuid

import pytest
from factories import photos as made
from factories.killed_server import ServedProcess, environment_of
from PIL import Image
from sqlalchemy import text

from gridsvc.bootstrap import embedded_server, open_app
from gridsvc.settings import read_settings
from gridsvc.store.photo_files import PhotoFiles, picture_name, thumbnail_name

pytestmark = [pytest.mark.slow, pytest.mark.postgis]

CLIENTS = 4
ENOUGH = 12  # photos acknowledged between two blows
TUS = {"Tus-Resumable": "1.0.0"}


class Client(threading.Thread):
    """Sends one photo after another, each until it is acknowledged; every other one in pieces, some cut off half way."""

    def __init__(self, port: int, number: int, acknowledged: dict[str, str], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.port, self.acknowledged, self.stop = port, acknowledged, stop
        self.random, self.number = random.Random(number), number
        self.unexpected: list[str] = []

    def run(self) -> None:
        count = 0
        while not self.stop.is_set():
            count += 1
            data, report_id = made.photo(self.number * 1000 + count, size=(320, 240)), str(uuid.uuid4())
            send = self.send_whole if count % 2 else self.send_in_pieces
            if send(report_id, data):
                self.acknowledged[report_id] = made.sha256(data)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict, bytes]:
        """Return status (0: no answer), headers, body; outages are waited for, anything unexpected is noted."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
            return 0, {}, b""
        finally:
            connection.close()
        if found[0] == 503:
            time.sleep(0.05)
        elif found[0] >= 400 and found[0] != 409:
            self.unexpected.append(f"{method} {path}: {found[0]} {found[2][:300]!r}")
        return found

    def send_whole(self, report_id: str, data: bytes) -> bool:
        form = (
            b'--edge\r\nContent-Disposition: form-data; name="photo"; filename="p.jpg"\r\n\r\n'
            + data
            + b"\r\n--edge--\r\n"
        )
        while not self.stop.is_set():
            kind = {"Content-Type": "multipart/form-data; boundary=edge"}
            status, _, body = self.ask("POST", f"/api/v1/reports/{report_id}/photos", form, **kind)
            if status in (200, 201):
                return json.loads(body)["sha256"] == made.sha256(data)
        return False

    def send_in_pieces(self, report_id: str, data: bytes) -> bool:
        known = ",".join(
            f"{k} {base64.b64encode(v.encode()).decode()}"
            for k, v in {"report_id": report_id, "sha256": made.sha256(data)}.items()
        )
        where = ""
        while not where and not self.stop.is_set():
            begin = TUS | {"Upload-Length": str(len(data)), "Upload-Metadata": known}
            where = self.ask("POST", "/api/v1/uploads", **begin)[1].get("location", "")
        while not self.stop.is_set():
            status, headers, _ = self.ask("HEAD", where, **TUS)
            if status != 200:
                continue
            offset = int(headers["upload-offset"])
            if offset == len(data):
                return True
            self.send_piece(where, offset, data[offset : offset + self.random.randint(1, len(data))])
        return False

    def send_piece(self, where: str, offset: int, piece: bytes) -> None:
        kind = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        if self.random.random() < 0.3:
            self.break_off(where, piece, TUS | kind)
        else:
            self.ask("PATCH", where, piece, **TUS, **kind)

    def break_off(self, where: str, piece: bytes, headers: dict[str, str]) -> None:
        """Announce all and send half, then hang up."""
        lines = [
            f"PATCH {where} HTTP/1.1",
            "Host: x",
            f"Content-Length: {len(piece)}",
            *map(": ".join, headers.items()),
        ]
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as opened:
                opened.sendall("\r\n".join([*lines, "", ""]).encode() + piece[: len(piece) // 2])
        except OSError:
            pass


def wait_for_more(acknowledged: dict, count: int) -> None:
    wanted, end = len(acknowledged) + count, time.monotonic() + 150
    while len(acknowledged) < wanted:
        assert time.monotonic() < end, f"only {len(acknowledged)} photos acknowledged"
        time.sleep(0.02)


def test_acknowledged_photos_are_there_once_and_whole_after_kills_of_server_and_database(tmp_path):
    environment, acknowledged, stop = environment_of(tmp_path / "var"), {}, threading.Event()
    settings = read_settings(environment)
    with (tmp_path / "serve.log").open("wb") as log:
        server = ServedProcess(environment, log)
        server.start()
        clients = [Client(server.port, number, acknowledged, stop) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for _ in range(2):
                wait_for_more(acknowledged, ENOUGH)
                server.kill()
                server.start()
                wait_for_more(acknowledged, ENOUGH)
                os.kill(embedded_server(settings).postmaster_pid(), signal.SIGKILL)
            wait_for_more(acknowledged, ENOUGH)
        finally:
            stop.set()
            for client in clients:
                client.join(timeout=30)
            server.end()

    with open_app(settings) as app, app.unit_of_work() as uow:
        statement = text("SELECT report_id::text, encode(sha256, 'hex'), stored_sha256, width, height FROM photos")
        rows = uow.connection.execute(statement).all()
    assert len(acknowledged) >= 5 * ENOUGH
    kept = [(report_id, sha256) for report_id, sha256, *_ in rows]
    assert [pair for pair in acknowledged.items() if pair not in kept] == [], "acknowledged and lost"
    assert len(kept) == len(set(kept)) == len({report_id for report_id, _ in kept}), "kept twice"
    files = PhotoFiles(settings.photos)
    for _, _, stored, width, height in rows:
        picture = files.read(picture_name(bytes(stored)))
        assert hashlib.sha256(picture).digest() == bytes(stored)
        Image.open(io.BytesIO(files.read(thumbnail_name(bytes(stored))))).load()
        assert (width, height) == (320, 240)
    assert [u for client in clients for u in client.unexpected] == []
