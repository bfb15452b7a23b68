"""A client for gridsvc: reports and photos that arrive once, whatever the network does. One file, standard library only.

It may be copied alone into another program::

    from client import Client, Outbox

    client = Client("http://127.0.0.1:8000", token="...")
    with Outbox("outbox.sqlite3", client) as outbox:
        outbox.put({"occurred_at": "2026-11-20T08:30:00+08:00", "lon": 114.2545, "lat": 30.585, "datum": "wgs84",
                    "category_code": "E06001"}, photos=["street.jpg"])
        outbox.send()

`Client` tries again by itself what may succeed later. `Outbox` keeps reports and photos in a file before they are sent: what
was put there survives ``kill -9`` and is sent until the server has acknowledged it, and the ids made here let the
server keep it once.
"""

from __future__ import annotations

import base64
import contextlib
import email.utils
import hashlib
import http.client
import json
import random
import socket
import sqlite3
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

__all__ = ["Answer", "Client", "Event", "EventsGone", "Outbox", "Outcome", "Reconciliation", "Refused", "Unreachable"]

# answers that say nothing of the request itself, only that now is not the time
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 30.0
UPLOAD_FROM_BYTES = 1 << 20  # larger photos go in pieces (tus), so that a break costs one piece
PIECE_BYTES = 1 << 20
BATCH_REPORTS = 1_000
BATCH_BYTES = 1 << 20
_FAULTS = (OSError, http.client.HTTPException, ssl.SSLError)


class Refused(Exception):
    """The server refuses the request for good; sending it again unchanged would not help.

    Attributes
    ----------
    status
        HTTP status.
    code
        Stable code of the problem document (RFC 9457), "" where the answer was none.
    problem
        The problem document, or {}.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status, self.problem = status, dict(problem)
        self.code = str(problem.get("code", ""))
        said = f"{problem.get('detail', '')} {problem.get('hint', '')}".strip()
        super().__init__(said or f"The server answered with HTTP status {status}.")


class EventsGone(Refused):
    """Events to resume from are kept no more: read the present state anew, then follow without ``since``."""


class Unreachable(Exception):
    """No answer that counts within the client's patience; nothing is known of the last try."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the server: status, headers (names in lower case), body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; ValueError when it is none, as when it was cut off."""
        return json.loads(self.body.decode("utf-8"))


@dataclass(frozen=True, slots=True)
class Event:
    """A live event: number, kind and what the server told of it."""

    seq: int
    kind: str
    data: dict[str, Any]


class Client:
    """Calls of one server. One thread at a time may use it; make one for each thread.

    Parameters
    ----------
    url
        Address of the server, such as ``https://grid.example.cn``; a path before ``/api`` is kept.
    token
        Bearer token, "" for none.
    timeout_s
        Longest silence of the server in one try. Unit: s.
    patience_s
        How long one call goes on trying before `Unreachable`. Unit: s.
    dice
        Source of the jitter between tries.
    sleep
        Called to wait; stands in for ``time.sleep`` in tests and in programs that want to be interrupted.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeout_s: float = 30.0,
        patience_s: float = 300.0,
        dice: random.Random | None = None,
        sleep: Callable[[float], Any] = time.sleep,
    ) -> None:
        parts = urlsplit(url if "//" in url else f"//{url}", scheme="http")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of a server, such as http://127.0.0.1:8000")
        self._parts, self._token = parts, token
        self.timeout_s, self.patience_s = timeout_s, patience_s
        self._dice = dice or random.Random()
        self._sleep = sleep
        self._connection: http.client.HTTPConnection | None = None
        self.tries = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- calls -----------------------------------------------------------------------------------

    def post(self, report: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """Post a report with its ``report_id``; return its receipt and whether it was new.

        Raises
        ------
        Refused
            When the server will not have it.
        Unreachable
            When it cannot be known whether it has it; posting it again is safe.
        """
        answer = self.call("POST", "/api/v1/reports", document=report)
        return answer.json(), answer.status == 201

    def post_batch(self, reports: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Post up to 1,000 reports; return what became of each, in order: ``status``, ``receipt`` or ``problem``."""
        lines = "".join(json.dumps(dict(report), ensure_ascii=False) + "\n" for report in reports)
        headers = {"Content-Type": "application/x-ndjson"}
        items = self.call("POST", "/api/v1/reports:batch", body=lines.encode(), headers=headers).json()["items"]
        return sorted(items, key=lambda item: item["index"])

    def post_update(self, report_id: str, update: Mapping[str, Any]) -> dict[str, Any]:
        """Tell more of a report (``update_id``, ``occurred_at``, ``description``); return the receipt."""
        return self.call("POST", f"/api/v1/reports/{report_id}/updates", document=update).json()

    def add_photo(self, report_id: str, photo: bytes, *, name: str = "photo.jpg") -> dict[str, Any]:
        """Send a photo of a report, large ones in pieces; return what the server holds of it. It may come before its report."""
        if len(photo) >= UPLOAD_FROM_BYTES:
            return self._upload_anew(report_id, photo, name)
        sha256 = hashlib.sha256(photo).hexdigest()
        body, content_type = _form(photo, sha256, name)
        path = f"/api/v1/reports/{report_id}/photos"
        return self.call("POST", path, body=body, headers={"Content-Type": content_type}).json()

    def mine(self, *, since: str = "", device: str | None = None, limit: int = 100) -> Iterator[dict[str, Any]]:
        """Yield what the server holds of this caller, and of ``device``: ``report_id``, ``content_sha256``, ``photos``."""
        while True:
            asked = {"since": since, "device": device, "limit": limit}
            page = self.call("GET", "/api/v1/reports:mine", query=asked).json()
            yield from page["items"]
            since = page.get("next_cursor") or ""
            if not page.get("more", bool(page["items"] and since)):
                return

    def events(
        self,
        *,
        since: int | None = None,
        prefix: str = "",
        kinds: Iterable[str] = (),
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        """Yield live events without end, each once and in order, across breaks of the connection.

        Parameters
        ----------
        since
            Number after which to begin; None begins now.
        prefix
            Only events of divisions whose code begins with this.
        kinds
            Only these kinds; none given means all.
        stop
            Ends the iteration when set, at the latest with the next heartbeat.

        Raises
        ------
        EventsGone
            When the events to resume from are kept no more.
        """
        waits = _Waits(self._dice)
        place = since
        while not (stop and stop.is_set()):
            try:
                for number, kind, data in self._listen(place, prefix, ",".join(kinds)):
                    waits.start_again()
                    place = number if number is not None else place
                    if kind and kind != "end":
                        yield Event(number or 0, kind, json.loads(data))
                    if stop and stop.is_set():
                        return
            except Refused as refused:
                if refused.status == 410:
                    raise EventsGone(410, refused.problem) from None
                if refused.status not in TRY_AGAIN:
                    raise
            except (*_FAULTS, ValueError):
                pass  # broken off in the middle: resume after the last whole event
            self._sleep(waits.next())

    # --- how calls are made ----------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        document: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        good: Iterable[int] = (),
    ) -> Answer:
        """Make a call that may safely be made again, until it is answered; return the answer (2xx, or one of ``good``).

        Raises
        ------
        Refused
            On any other answer that is not worth another try.
        Unreachable
            When none came within ``patience_s``.
        """
        given = dict(headers or {})
        if document is not None:
            body = json.dumps(document, ensure_ascii=False).encode()
            given["Content-Type"] = "application/json"
        waits, end, last = _Waits(self._dice), time.monotonic() + self.patience_s, "nothing was tried"
        while True:
            wait_s = 0.0
            try:
                answer = self.try_once(method, path, query=query, body=body, headers=given)
            except _FAULTS as fault:
                last = str(fault) or type(fault).__name__
            else:
                if 200 <= answer.status < 300 or answer.status in good:
                    return answer
                if answer.status not in TRY_AGAIN:
                    raise Refused(answer.status, _problem(answer))
                last, wait_s = f"HTTP status {answer.status}", _retry_after_s(answer)
            wait_s = max(waits.next(), wait_s * (1 + self._dice.random() / 10))
            if time.monotonic() + wait_s > end:
                raise Unreachable(f"{method} {path} had no answer in {self.patience_s:g} s: {last}.")
            self._sleep(wait_s)

    def try_once(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make a call once and return its whole answer.

        Raises
        ------
        OSError, http.client.HTTPException
            When there is none, or it was cut off; the call may or may not have been done.
        """
        self.tries += 1
        connection = self._connected()
        try:
            connection.request(method, self._target(path, query), body=body, headers=self._headers(headers))
            raw = connection.getresponse()
            answer = Answer(raw.status, {name.lower(): value for name, value in raw.getheaders()}, raw.read())
            if raw.will_close:
                self.close()
            is_json = answer.headers.get("content-type", "").startswith(
                ("application/json", "application/problem+json")
            )
            if is_json and answer.body:
                answer.json()
        except ValueError as cut:
            self.close()
            raise http.client.IncompleteRead(b"") from cut
        except BaseException:
            self.close()  # what is left on the connection belongs to a call that is over
            raise
        return answer

    def _connected(self) -> http.client.HTTPConnection:
        if self._connection is None:
            self._connection = self._open(self.timeout_s)
        return self._connection

    def _open(self, timeout_s: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=timeout_s)
        connection.response_class = _WholeHead
        connection.connect()
        if connection.sock is not None:
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _target(self, path: str, query: Mapping[str, Any] | None) -> str:
        asked = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        whole = self._parts.path.rstrip("/") + quote(path, safe="/:")
        return f"{whole}?{urlencode(asked)}" if asked else whole

    def _headers(self, more: Mapping[str, str] | None) -> dict[str, str]:
        known = {"User-Agent": "gridsvc-client", "Accept": "application/json"}
        if self._token:
            known["Authorization"] = f"Bearer {self._token}"
        return known | dict(more or {})

    def _listen(self, place: int | None, prefix: str, kinds: str) -> Iterator[tuple[int | None, str, str]]:
        """Yield (number, kind, data) of each frame of one stream."""
        query = {"since": place, "prefix": prefix, "kinds": kinds}
        with contextlib.closing(self._open(self.timeout_s)) as connection:
            connection.request(
                "GET", self._target("/api/v1/stream", query), headers=self._headers({"Accept": "text/event-stream"})
            )
            raw = connection.getresponse()
            if raw.status != 200:
                raise Refused(raw.status, _problem(Answer(raw.status, {}, raw.read())))
            found: dict[str, str] = {}
            while line := raw.readline():
                if not line.endswith(b"\n"):
                    return  # cut off in the middle of an event
                text = line.decode("utf-8").rstrip("\r\n")
                if text:
                    name, _, value = text.partition(":")
                    found[name] = value.removeprefix(" ")
                    continue
                number = found.get("id", "")
                yield (int(number) if number else None), found.get("event", ""), found.get("data", "")
                found = {}

    def _upload_anew(self, report_id: str, photo: bytes, name: str) -> dict[str, Any]:
        """Send a photo in pieces, from the beginning again when the server has given the upload up meanwhile."""
        for _ in range(3):
            try:
                return self._upload(report_id, photo, name)
            except Refused as refused:
                if refused.status not in (404, 410):
                    raise
        return self._upload(report_id, photo, name)

    def _upload(self, report_id: str, photo: bytes, name: str) -> dict[str, Any]:
        """Send a photo in pieces (tus 1.0.0), going on where the server says it is after every break."""
        sha256 = hashlib.sha256(photo).hexdigest()
        told = {"report_id": report_id, "sha256": sha256, "filename": name}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in told.items())
        tus = {"Tus-Resumable": "1.0.0"}
        begun = self.call(
            "POST", "/api/v1/uploads", headers=tus | {"Upload-Length": str(len(photo)), "Upload-Metadata": metadata}
        )
        place = urlsplit(begun.headers["location"]).path
        place = place[place.index("/api/v1/") :]
        end = time.monotonic() + self.patience_s
        offset = 0
        while offset < len(photo):
            piece = photo[offset : offset + PIECE_BYTES]
            checksum = "sha256 " + base64.b64encode(hashlib.sha256(piece).digest()).decode()
            headers = tus | {
                "Content-Type": "application/offset+octet-stream",
                "Upload-Offset": str(offset),
                "Upload-Checksum": checksum,
            }
            try:
                sent = self.try_once("PATCH", place, body=piece, headers=headers)
                is_kept = sent.status == 204
                if not is_kept and sent.status not in TRY_AGAIN | {409, 460}:
                    raise Refused(sent.status, _problem(sent))
            except _FAULTS:
                is_kept = False
            if is_kept:
                offset += len(piece)
                continue
            if time.monotonic() > end:
                raise Unreachable(f"The upload of a photo of {report_id} had no answer in {self.patience_s:g} s.")
            self._sleep(FIRST_WAIT_S * self._dice.random())
            offset = int(self.call("HEAD", place, headers=tus).headers["upload-offset"])
        return self.call("GET", place).json()["photo"]


class _WholeHead(http.client.HTTPResponse):
    """An answer whose head came whole; http.client takes one that was cut off for one with fewer headers."""

    def begin(self) -> None:
        """Read the status line and the headers, or raise IncompleteRead."""
        lines: Any = _Lines(self.fp)
        self.fp = lines
        super().begin()
        if lines.last not in (b"\r\n", b"\n"):
            raise http.client.IncompleteRead(b"")


class _Lines:
    """A file that remembers the last line that was read from it."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.last = b""

    def readline(self, *limit: int) -> bytes:
        self.last = self._file.readline(*limit)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Waits:
    """Growing waits with full jitter, so that many clients do not come back at the same moment."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.start_again()

    def start_again(self) -> None:
        self._top_s = FIRST_WAIT_S

    def next(self) -> float:
        wait_s = self._dice.uniform(0, self._top_s)
        self._top_s = min(LONGEST_WAIT_S, self._top_s * 2)
        return wait_s


def _problem(answer: Answer) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _retry_after_s(answer: Answer) -> float:
    """Return the seconds the server asks to wait: a number or an HTTP date; 0 when it asks for none."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:6])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()) if text else 0.0
    except ValueError:
        return 0.0


def _form(photo: bytes, sha256: str, name: str) -> tuple[bytes, str]:
    """Return a multipart form with the photo and its hash, and its content type."""
    border = f"gridsvc-{sha256[:32]}"  # the same photo makes the same bytes
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name) or "photo"
    head = (
        f'--{border}\r\nContent-Disposition: form-data; name="sha256"\r\n\r\n{sha256}\r\n'
        f'--{border}\r\nContent-Disposition: form-data; name="photo"; filename="{safe}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + photo + f"\r\n--{border}--\r\n".encode(), f"multipart/form-data; boundary={border}"


# --- the outbox ----------------------------------------------------------------------------------


@dataclass(slots=True)
class Outcome:
    """What one `Outbox.send` did: reports and photos acknowledged now, refused for good, and still waiting."""

    created: int = 0
    repeated: int = 0
    photos: int = 0
    refused: int = 0
    waiting: int = 0
    problems: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Reconciliation:
    """What the server holds against what this outbox knows.

    Attributes
    ----------
    held
        Reports the server holds of this device, and ``photos`` their photos.
    missing, missing_photos
        Acknowledged before and not there: put back to be sent again. Should be empty, always.
    arrived
        Reports that had arrived although their acknowledgement was lost.
    differing
        Held with another content than the receipt said.
    doubled
        Ids that came twice.
    foreign
        Held, but not of this outbox.
    """

    held: int = 0
    photos: int = 0
    missing: list[str] = field(default_factory=list)
    missing_photos: list[tuple[str, str]] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Return whether both sides say the same."""
        return not (self.missing or self.missing_photos or self.differing or self.doubled)


_TABLES = """
CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY, report_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'refused')),
    content_sha256 TEXT, problem TEXT
);
CREATE TABLE IF NOT EXISTS photos (
    number INTEGER PRIMARY KEY, report_id TEXT NOT NULL, sha256 TEXT NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'refused')),
    problem TEXT, UNIQUE (report_id, sha256)
);
CREATE INDEX IF NOT EXISTS reports_waiting ON reports (number) WHERE state = 'waiting';
CREATE INDEX IF NOT EXISTS photos_waiting ON photos (number) WHERE state = 'waiting';
"""


class Outbox:
    """Reports and photos in an SQLite file until the server has acknowledged them.

    `put` returns when they are on disk. `send` may be killed at any moment: what it had sent without keeping the
    acknowledgement is sent again, and the server recognises it. Photos keep their bytes here until `reconcile` has seen them
    on the server.

    Parameters
    ----------
    path
        The file; made where there is none.
    client
        Whom to send to.
    device
        Name of this device, put into every report; `reconcile` asks the server for it.
    """

    def __init__(self, path: str | Path, client: Client, *, device: str | None = None) -> None:
        self._client, self._device = client, device
        self._file = sqlite3.connect(str(path), timeout=30.0, isolation_level=None)
        # FULL: a commit is on disk when it returns, also after a power cut
        self._file.execute("PRAGMA journal_mode = WAL")
        self._file.execute("PRAGMA synchronous = FULL")
        self._file.executescript(_TABLES)

    def __enter__(self) -> Outbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what waits in it is there when it is opened again."""
        self._file.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield self._file
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def put(self, report: Mapping[str, Any], photos: Iterable[bytes | str | Path] = ()) -> str:
        """Keep a report and its photos (bytes, or files to read now) to be sent; return its id, made here when it has none.

        The same id with the same content again is no fault and changes nothing; ValueError when the content differs.
        """
        return self.put_many([(report, photos)])[0]

    def put_many(self, reports: Iterable[tuple[Mapping[str, Any], Iterable[bytes | str | Path]]]) -> list[str]:
        """Keep many reports with their photos, all or none; return their ids."""
        read = [(dict(report), [_photo(photo) for photo in photos]) for report, photos in reports]
        with self._transaction():
            return [self._keep(report, photos) for report, photos in read]

    def _keep(self, report: dict[str, Any], photos: list[tuple[str, bytes]]) -> str:
        report_id = str(report.setdefault("report_id", str(uuid.uuid4())))
        if self._device is not None:
            report["device"] = self._device
        body = json.dumps(report, ensure_ascii=False, sort_keys=True)
        self._file.execute("INSERT OR IGNORE INTO reports (report_id, body) VALUES (?, ?)", (report_id, body))
        (kept,) = self._file.execute("SELECT body FROM reports WHERE report_id = ?", (report_id,)).fetchone()
        if kept != body:
            raise ValueError(f"report {report_id} is in the outbox with other content")
        for name, data in photos:
            self._file.execute(
                "INSERT OR IGNORE INTO photos (report_id, sha256, name, bytes) VALUES (?, ?, ?, ?)",
                (report_id, hashlib.sha256(data).hexdigest(), name, data),
            )
        return report_id

    def counts(self) -> dict[str, int]:
        """Return how many reports and photos wait, were sent, were refused: ``reports_waiting``, ``photos_sent`` ..."""
        found = {f"{what}_{state}": 0 for what in ("reports", "photos") for state in ("waiting", "sent", "refused")}
        for what in ("reports", "photos"):
            rows = self._file.execute(f"SELECT state, count(*) FROM {what} GROUP BY state")
            found |= {f"{what}_{state}": count for state, count in rows}
        return found

    def refusals(self) -> list[tuple[str, dict[str, Any]]]:
        """Return id and problem document of the reports that were refused for good, in the order they were put."""
        rows = self._file.execute("SELECT report_id, problem FROM reports WHERE state = 'refused' ORDER BY number")
        return [(report_id, json.loads(problem)) for report_id, problem in rows]

    def send(
        self,
        *,
        batch: int = 1,
        rate: float | None = None,
        told: Callable[[int], Any] = lambda _count: None,
        stop: threading.Event | None = None,
    ) -> Outcome:
        """Send what waits, oldest first, until nothing does; return what became of it.

        Parameters
        ----------
        batch
            Reports posted together, 1 to 1,000; with 1 each has a call of its own.
        rate
            Most reports a second; None for as fast as it goes.
        told
            Called with the number of reports or photos that were dealt with.
        stop
            Ends it, after the call that is being made, when set.

        Raises
        ------
        Unreachable
            When the server cannot be reached; what waits keeps waiting.
        Refused
            When the server refuses this caller (401, 403), so that nothing can be sent.
        """
        if not 1 <= batch <= BATCH_REPORTS:
            raise ValueError(f"a batch has 1 to {BATCH_REPORTS} reports, not {batch}")
        outcome, pace, idle = Outcome(), _Pace(rate), _Idle(self._client)
        while not (stop and stop.is_set()) and (rows := self._waiting(batch)):
            pace.wait(len(rows))
            done = self._send_reports(rows, outcome)
            told(done)
            idle.after(done)
        while not (stop and stop.is_set()) and (photo := self._waiting_photo()):
            self._send_photo(*photo, outcome)
            told(1)
        counts = self.counts()
        outcome.waiting = counts["reports_waiting"] + counts["photos_waiting"]
        return outcome

    def _waiting(self, most: int) -> list[tuple[str, str]]:
        query = "SELECT report_id, body FROM reports WHERE state = 'waiting' ORDER BY number LIMIT ?"
        rows = self._file.execute(query, (most,)).fetchall()
        size = 0
        kept: list[tuple[str, str]] = []
        for report_id, body in rows:
            size += len(body.encode()) + 1
            if kept and size > BATCH_BYTES:
                break
            kept.append((report_id, body))
        return kept

    def _send_reports(self, rows: list[tuple[str, str]], outcome: Outcome) -> int:
        """Send reports and return how many were answered for good."""
        if len(rows) == 1:
            results = [self._post_one(json.loads(rows[0][1]))]
        else:
            items = self._client.post_batch(json.loads(body) for _, body in rows)
            results = [(item["status"], item.get("receipt"), item.get("problem")) for item in items]
        with self._transaction():
            for (report_id, _), (status, receipt, problem) in zip(rows, results, strict=True):
                self._note(report_id, status, receipt, problem, outcome)
        return sum(status not in TRY_AGAIN for status, _, _ in results)

    def _post_one(self, report: dict[str, Any]) -> tuple[int, dict[str, Any] | None, dict[str, Any] | None]:
        try:
            receipt, is_new = self._client.post(report)
        except Refused as refused:
            if refused.status in (401, 403, 404):
                raise
            return refused.status, None, refused.problem or {"status": refused.status}
        return (201 if is_new else 200), receipt, None

    def _note(
        self,
        report_id: str,
        status: int,
        receipt: dict[str, Any] | None,
        problem: dict[str, Any] | None,
        outcome: Outcome,
    ) -> None:
        if status in TRY_AGAIN:
            return
        if status in (200, 201):
            sha256 = (receipt or {}).get("content_sha256")
            self._file.execute(
                "UPDATE reports SET state = 'sent', content_sha256 = ?, problem = NULL WHERE report_id = ?",
                (sha256, report_id),
            )
            outcome.created += status == 201
            outcome.repeated += status == 200
            return
        self._file.execute(
            "UPDATE reports SET state = 'refused', problem = ? WHERE report_id = ?",
            (json.dumps(problem or {}, ensure_ascii=False), report_id),
        )
        self._refused(problem, outcome)

    @staticmethod
    def _refused(problem: Mapping[str, Any] | None, outcome: Outcome) -> None:
        outcome.refused += 1
        code = str((problem or {}).get("code", "unknown"))
        outcome.problems[code] = outcome.problems.get(code, 0) + 1

    def _waiting_photo(self) -> tuple[str, str, str, bytes] | None:
        query = "SELECT report_id, sha256, name, bytes FROM photos WHERE state = 'waiting' ORDER BY number LIMIT 1"
        return self._file.execute(query).fetchone()

    def _send_photo(self, report_id: str, sha256: str, name: str, data: bytes, outcome: Outcome) -> None:
        state, problem = "sent", None
        try:
            self._client.add_photo(report_id, data, name=name)
            outcome.photos += 1
        except Refused as refused:
            if refused.status in (401, 403):
                raise
            state, problem = "refused", json.dumps(refused.problem, ensure_ascii=False)
            self._refused(refused.problem, outcome)
        with self._transaction():
            self._file.execute(
                "UPDATE photos SET state = ?, problem = ? WHERE report_id = ? AND sha256 = ?",
                (state, problem, report_id, sha256),
            )

    def reconcile(self) -> Reconciliation:
        """Compare with what the server holds of this device; what is missing there is put back to be sent again."""
        found = Reconciliation()
        held: dict[str, set[str]] = {}
        for item in self._client.mine(device=self._device):
            report_id = str(item["report_id"])
            if report_id in held:
                found.doubled.append(report_id)
            held[report_id] = set(item.get("photos", ()))
            if len(item.get("photos", ())) != len(held[report_id]):
                found.doubled.append(report_id)
            self._compare(report_id, item, found)
        found.held, found.photos = len(held), sum(map(len, held.values()))
        sent = self._file.execute("SELECT report_id FROM reports WHERE state = 'sent' ORDER BY number").fetchall()
        found.missing = [report_id for (report_id,) in sent if report_id not in held]
        pictures = self._file.execute(
            "SELECT report_id, sha256, length(bytes) FROM photos WHERE state = 'sent' ORDER BY number"
        ).fetchall()
        found.missing_photos = [(i, sha) for i, sha, _ in pictures if i in held and sha not in held[i]]
        safe = [(i, sha) for i, sha, size in pictures if size and sha in held.get(i, ())]
        with self._transaction() as file:
            file.executemany("UPDATE reports SET state = 'waiting' WHERE report_id = ?", [(i,) for i in found.missing])
            again = found.missing_photos + [(i, sha) for i, sha, _ in pictures if i not in held]
            file.executemany("UPDATE photos SET state = 'waiting' WHERE report_id = ? AND sha256 = ?", again)
            # from now on the bytes are the server's to keep
            file.executemany("UPDATE photos SET bytes = x'' WHERE report_id = ? AND sha256 = ?", safe)
        return found

    def _compare(self, report_id: str, item: Mapping[str, Any], found: Reconciliation) -> None:
        row = self._file.execute(
            "SELECT state, content_sha256 FROM reports WHERE report_id = ?", (report_id,)
        ).fetchone()
        if row is None:
            found.foreign.append(report_id)
        elif row[0] == "waiting":
            with self._transaction():
                self._file.execute(
                    "UPDATE reports SET state = 'sent', content_sha256 = ? WHERE report_id = ?",
                    (item["content_sha256"], report_id),
                )
            found.arrived.append(report_id)
        elif row[1] is not None and row[1] != item["content_sha256"]:
            found.differing.append(report_id)


class _Idle:
    """Waits when the server puts off every report of a batch, and gives up after the client's patience."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waits = _Waits(client._dice)
        self._end: float | None = None

    def after(self, done: int) -> None:
        if done:
            self._waits.start_again()
            self._end = None
            return
        self._end = self._end or time.monotonic() + self._client.patience_s
        if time.monotonic() > self._end:
            raise Unreachable(f"The server put off every report for {self._client.patience_s:g} s.")
        self._client._sleep(self._waits.next())


class _Pace:
    """Holds sending to a number of reports a second."""

    def __init__(self, rate: float | None) -> None:
        self._rate, self._next = rate, time.monotonic()

    def wait(self, count: int) -> None:
        if self._rate is None:
            return
        left = self._next - time.monotonic()
        if left > 0:
            time.sleep(left)
        self._next = max(self._next, time.monotonic()) + count / self._rate


def _photo(photo: bytes | str | Path) -> tuple[str, bytes]:
    return (
        ("photo.jpg", bytes(photo))
        if isinstance(photo, bytes | bytearray)
        else (Path(photo).name, Path(photo).read_bytes())
    )
