"""Live events as server-sent events (HTML Living Standard, section 9.2): resumable by number, cut to the caller's area."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
import time
from collections.abc import Iterable, Iterator
from typing import Annotated

from flask import Blueprint, Response, current_app, request
from pydantic import BaseModel, Field, StringConstraints

from gridsvc.errors import EventsGoneError, RequestInvalidError
from gridsvc.services.event_stream import EVENT_KINDS, Event, EventStream
from gridsvc.web.callers import caller
from gridsvc.web.json_bodies import dumps
from gridsvc.web.parameters import Prefix, Query
from gridsvc.web.routing import Answer, Endpoints

stream = Blueprint("stream", __name__)
endpoints = Endpoints(stream)

HEARTBEAT_S = 15.0
MOVED_S = 2.0  # a place that moved is told no more often than this
LOOK_S = 1.0  # how often it is looked whether the reader is still there
# a stream ends and is taken up again by its client, so that a withdrawn token follows no longer than this
LONGEST_S = 300.0
RETRY_MS = 2_000
CHUNK_BYTES = 16 * 1024
# more than this not taken by the reader's machine yet: wait; the kernel's buffer holds four times as much, so no send blocks
UNSENT_BYTES = 64 * 1024
SEND_BUFFER_BYTES = 256 * 1024
SLOW_S = 20.0
_HIGHEST = 2**63 - 1


class StreamEvent(BaseModel):
    """One server-sent event; without ``event`` it only says that nothing else happened up to ``id``."""

    id: str | None = Field(None, description="Its number; send the last one as Last-Event-ID to go on after it.")
    event: str | None = Field(None, description="Its kind, or end.")
    data: str | None = Field(None, description="One line of JSON.")
    retry: str | int | None = Field(None, description="How long to wait before coming back. Unit: ms.")


class StreamQuery(Query):
    """Where to resume, and what to leave out."""

    since: int | None = Field(
        None, ge=0, le=_HIGHEST, description="Give the events after this number; without it, those from now on."
    )
    prefix: Prefix = Field("", description="Only events of divisions whose code begins with this.")
    kinds: list[Annotated[str, StringConstraints(max_length=40)]] | None = Field(
        None, description=f"Only these kinds, of: {', '.join(EVENT_KINDS)}."
    )
    for_s: float | None = Field(
        None, ge=0, le=LONGEST_S, allow_inf_nan=False,
        description="End after so many seconds; 0 gives what has happened already. Unit: s.",
    )  # fmt: skip


@endpoints.get(
    "/stream",
    summary="Live events",
    tag="stream",
    query=StreamQuery,
    answers={200: Answer("Server-sent events, without end.", StreamEvent, media_type="text/event-stream")},
    refusals=(410,),
)
def follow(query: StreamQuery) -> Response:
    """Give events as they are committed, in the order of commits and without a gap, as server-sent events.

    Each has an `id`, its number. After a break, send the last one as the header `Last-Event-ID` (it goes before `since`), as
    browsers do by themselves. Lines of `id` alone say that nothing else happened up to there. Before the server ends a stream it sends an
    event `end` with the `reason`: `time` or `closing` (come back), `slow` (this reader did not take what was sent), `gone` (it fell behind what
    is kept). 410 `events-gone`: what was to be resumed from is kept no more; read the present state anew, then follow without `since`.
    """
    hub = current_app.extensions["gridsvc"].events
    since = query.since if (header := _last_event_id()) is None else header
    opened = hub.subscribe(scope=caller().scope, prefix=query.prefix, since=since, kinds=query.kinds)
    seconds = LONGEST_S if query.for_s is None else query.for_s
    pace = SendPace(request.environ.get("gunicorn.socket"))
    answer = Response(_frames(opened, pace, seconds), content_type="text/event-stream; charset=utf-8")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Accel-Buffering"] = "no"  # or nginx would hold events back
    answer.call_on_close(opened.close)
    return answer


def _last_event_id() -> int | None:
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not 0 <= number <= _HIGHEST:
        raise RequestInvalidError(
            f"Last-Event-ID {text[:40]!r} is not the id of an event.",
            hint="Send the id of the last event read, a whole number.",
            errors=[{"field": "Last-Event-ID", "code": "malformed", "message": "not a whole number"}],
        )
    return number


def _frames(stream: EventStream, pace: SendPace, seconds: float) -> Iterator[bytes]:
    end = time.monotonic() + seconds
    yield f"retry: {RETRY_MS}\nid: {stream.seq}\n\n".encode()
    said_at, said = time.monotonic(), stream.seq
    while True:
        left = end - time.monotonic()
        try:
            taken = stream.take(max(0.0, min(LOOK_S, left)))
        except EventsGoneError:
            yield _end("gone", stream.seq)
            return
        if pace.has_left():
            return
        given = taken.seq if not taken.events else taken.events[0].seq - 1
        for chunk, last in _chunks(taken.events):
            if not pace.is_taken():
                yield _end("slow", given)
                return
            yield chunk
            given = last
            said_at, said = time.monotonic(), last
        # what happened elsewhere moves the reader's place, too; every so often it is said again, as a heartbeat
        if time.monotonic() - said_at >= (HEARTBEAT_S if said == taken.seq else MOVED_S):
            if not pace.is_taken():
                yield _end("slow", given)
                return
            yield f"id: {taken.seq}\n\n".encode()
            said_at, said = time.monotonic(), taken.seq
        # with for_s=0 everything that had happened before it was asked is given first
        if left <= 0 and (stream.seq >= stream.newest or left < -SLOW_S):
            yield _end("time", stream.seq)
            return
        if stream.is_ending:
            yield _end("closing", stream.seq)
            return


def _chunks(events: Iterable[Event]) -> Iterator[tuple[bytes, int]]:
    """Yield pieces of whole events, of about CHUNK_BYTES, each with the number of its last event."""
    piece, last = bytearray(), 0
    for event in events:
        piece += frame(event)
        last = event.seq
        if len(piece) >= CHUNK_BYTES:
            yield bytes(piece), last
            piece = bytearray()
    if piece:
        yield bytes(piece), last


def frame(event: Event) -> bytes:
    """Return an event as it is sent: id, kind, and one line of JSON."""
    told = {
        "seq": event.seq,
        "kind": event.kind,
        "at": event.at,
        "division_code": event.division_code,
        "subject": event.subject,
        "payload": event.payload,
    }
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {dumps(told)}\n\n".encode()


def _end(reason: str, seq: int) -> bytes:
    return f"id: {seq}\nevent: end\ndata: {dumps({'reason': reason, 'resume_after': seq})}\n\n".encode()


class SendPace:
    """Tells whether a reader takes what is sent to it, by what the kernel has not been able to send yet.

    Without a socket (another server than gunicorn) it says yes always: that server's own limits hold.
    """

    def __init__(self, connection: socket.socket | None, *, slow_s: float = SLOW_S) -> None:
        self._connection = connection
        self._slow_s = slow_s
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def is_taken(self) -> bool:
        """Return True once little is unsent; False when that has not come about for ``slow_s``."""
        end = time.monotonic() + self._slow_s
        while self._unsent() > UNSENT_BYTES:
            if time.monotonic() > end:
                self._stop_reading()
                return False
            time.sleep(0.05)
        return True

    def has_left(self) -> bool:
        """Return whether the reader closed its side, so that its place is free at once and not with the next heartbeat."""
        if self._connection is None:
            return False
        try:
            return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _unsent(self) -> int:
        if self._connection is None:
            return 0
        try:
            answer = fcntl.ioctl(self._connection.fileno(), termios.TIOCOUTQ, bytes(4))
        except (OSError, ValueError):
            return 0  # closed: the next write says so
        return struct.unpack("i", answer)[0]

    def _stop_reading(self) -> None:
        # the server's main thread drains what a client still sends before it closes; this one sends nothing worth waiting for
        if self._connection is not None:
            try:
                self._connection.shutdown(socket.SHUT_RD)
            except OSError:
                return
