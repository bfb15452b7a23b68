"""The short way of the two requests that come hundreds of times a second: a report posted, and a position asked about.

What programs send for these is alike: one plain head, a query or a small JSON body. Such a request is read, answered by the same models and services
as its endpoint, and written, without what the server and Flask do for requests of any kind, which takes several times as long as the answer.
Whatever is not plain (a cookie, a header not known here, a fault of any kind, a refusal) goes the way of all others, from the start; both of these
requests can be done again without harm. A test holds that both ways say the same.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

from flask import Flask

from gridsvc.web.api.locate import LocateQuery, located
from gridsvc.web.api.reports import ReportBody, stored
from gridsvc.web.callers import ANONYMOUS, PRIVATE_HEADERS, REPORTERS, Caller, poster_of, remembered
from gridsvc.web.json_bodies import dumps, parsed
from gridsvc.web.rate_limits import spend_as
from gridsvc.web.security_headers import ALWAYS_WITH_POLICY

MOST_BYTES = 16 * 1024
LOCATE, REPORTS = b"GET /api/v1/locate?", b"POST /api/v1/reports HTTP/1.1\r\n"
BEGINNINGS = (LOCATE, REPORTS)

_LINES = re.compile(rb"(?:[A-Za-z-]+:[ -~]*\r\n)+")
# what may be said without changing the answer
_KNOWN = frozenset({b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"connection"})
_OF_BODY = frozenset({b"content-type", b"content-length", b"authorization"})
_QUERY = re.compile(rb"[A-Za-z0-9_.=&:+-]+ HTTP/1\.1")
_FIXED = "".join(f"{name}: {value}\r\n" for name, value in [*PRIVATE_HEADERS, *ALWAYS_WITH_POLICY])


@dataclass(frozen=True, slots=True)
class _Plain:
    """A request that has come whole: its headers by name, without those that do not matter, and its body."""

    headers: dict[bytes, bytes]
    body: bytes


def read_plain(seen: bytes) -> _Plain | None:
    """Return the bytes a client has sent as one whole plain request; None where they are anything else, or not all there."""
    end = seen.find(b"\r\n\r\n")
    begin = seen.find(b"\r\n") + 2
    if not 0 < begin <= end or not _LINES.fullmatch(seen, begin, end + 2):
        return None
    headers: dict[bytes, bytes] = {}
    for line in seen[begin:end].split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in headers or not (name in _KNOWN or name in _OF_BODY):
            return None
        headers[name] = value.strip()
    if b"host" not in headers or headers.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    length = headers.get(b"content-length", b"0")
    body = seen[end + 4 :]
    if not (length.isdigit() and len(length) < 6 and int(length) == len(body)):
        return None
    return _Plain(headers, body)


class ShortWay:
    """Answers plain requests of one application."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._services = app.extensions["gridsvc"]
        self._date: tuple[int, str] = (0, "")

    def answer(self, seen: bytes, address: str) -> bytes | None:
        """Return the whole answer to the bytes a client at an address has sent; None where they are to go the way of all others."""
        plain = read_plain(seen)
        if plain is None:
            return None
        find = self._locate if seen.startswith(LOCATE) else self._store
        try:
            found = find(seen, plain, address)
        except Exception:  # whatever it is, it is told the other way
            return None
        return None if found is None else self._written(*found)

    def _locate(self, seen: bytes, plain: _Plain, address: str) -> tuple[int, str, str] | None:
        asked = _QUERY.match(seen, len(LOCATE))
        # a token is checked at every question: by those who ask the database anyway
        if (
            asked is None
            or plain.body
            or not self._app.config["GRIDSVC_ANONYMOUS"]
            or b"authorization" in plain.headers
        ):
            return None
        pairs = [part.split("=") for part in asked[0][:-9].decode("ascii").split("&")]
        values = {name: value for name, value in pairs}  # noqa: C416  # a part without "=" is refused
        if len(values) < len(pairs) or any("+" in value or "_" in value for value in values.values()):
            return None
        found = located(LocateQuery.model_validate(values), ANONYMOUS.scope, self._services, self._app.config)
        return 200, dumps(found), ""

    def _store(self, seen: bytes, plain: _Plain, address: str) -> tuple[int, str, str] | None:
        who = self._caller(plain.headers.get(b"authorization"))
        too_long = len(plain.body) > self._app.config["MAX_CONTENT_LENGTH"]
        if who is None or too_long or plain.headers.get(b"content-type") != b"application/json":
            return None
        if who.role not in REPORTERS:
            return None
        body = ReportBody.model_validate(parsed(plain.body, "body"))
        spend_as(self._app.extensions["gridsvc_rate_limit"], who, address, 1)
        receipt, created = stored(body, poster_of(who), self._services)
        return 201 if created else 200, dumps(receipt), f"Location: /api/v1/reports/{receipt['report_id']}\r\n"

    def _caller(self, authorization: bytes | None) -> Caller | None:
        if authorization is None:
            return ANONYMOUS if self._app.config["GRIDSVC_ANONYMOUS"] else None
        kind, _, token = authorization.partition(b" ")
        return remembered(self._app, token.strip().decode("ascii")) if kind.lower() == b"bearer" else None

    def _written(self, status: int, body: str, more: str) -> bytes:
        now = int(time.time())
        if self._date[0] != now:
            self._date = now, formatdate(now, usegmt=True)
        content = body.encode("utf-8")
        return (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: gunicorn\r\nDate: {self._date[1]}\r\n"
            f"Connection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n{more}{_FIXED}\r\n"
        ).encode("ascii") + content
