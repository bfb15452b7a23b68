"""Strict JSON in, compact JSON out.

In: only what RFC 8259 calls JSON (no NaN or Infinity, no key twice), only with a JSON content type, gzipped or plain. Out: UTF-8, no NaN,
instants in UTC with ``Z``; long answers gzipped for those who accept that.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from flask import Request, Response, has_request_context
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from gridsvc.errors import RequestInvalidError
from gridsvc.web.compressed_answers import FROM_BYTES, compressed

NDJSON_TYPES = ("application/x-ndjson", "application/ndjson")
_GZIP_ONLY = 31  # window bits of zlib: largest window, gzip header required


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; a number must be finite")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        twice = next(k for i, (k, _) in enumerate(pairs) if any(k == other for other, _ in pairs[:i]))
        raise ValueError(f"the key {twice!r} comes twice in one object")
    return read


# made once: making one takes longer than reading or writing a report
_DECODER = json.JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_unique_keys)


def read_json(request: Request) -> Any:
    """Return the parsed JSON body of ``request``.

    Raises
    ------
    UnsupportedMediaType
        When the body is not declared as JSON, or is compressed otherwise than with gzip.
    BadRequest
        When it is not JSON: empty, malformed, not UTF-8, NaN or Infinity, a key twice, nested too deeply.
    RequestEntityTooLarge
        When it is longer than the limit of the settings, as sent or unpacked.
    """
    if request.environ.get("CONTENT_TYPE") != "application/json" and not request.is_json:
        raise UnsupportedMediaType(f"The body is {request.mimetype or 'of no declared type'}, not application/json.")
    return parsed(body_bytes(request), "body")


def read_items(request: Request, most: int) -> list[Any]:
    """Return the items of a JSON array, or of the lines of an NDJSON body; a line that is not JSON is a RequestInvalidError.

    Parameters
    ----------
    most
        Items accepted. Empty lines do not count.

    Raises
    ------
    RequestInvalidError
        When there are none, or more than ``most``, or the body is JSON but no array.
    UnsupportedMediaType, BadRequest, RequestEntityTooLarge
        As `read_json`.
    """
    if request.mimetype in NDJSON_TYPES:
        lines = [line for line in body_bytes(request).split(b"\n") if line.strip()]
        _check_count(len(lines), most)
        return [_parsed_line(line) for line in lines]
    items = read_json(request)
    if not isinstance(items, list):
        raise RequestInvalidError("The body is JSON, but no array.", hint="Send [report, ...], or one report a line.")
    _check_count(len(items), most)
    return items


def _check_count(count: int, most: int) -> None:
    if not 1 <= count <= most:
        message = f"{count:,} items came; a batch holds 1 to {most:,}"
        raise RequestInvalidError(
            f"{message}.",
            hint="Send several batches.",
            errors=[{"field": "", "code": "batch-size", "message": message}],
        )


def body_bytes(request: Request) -> bytes:
    """Return the body of ``request``, unpacked when it came with ``Content-Encoding: gzip``.

    Raises
    ------
    UnsupportedMediaType
        When it is compressed in another way.
    BadRequest
        When it is not gzip although it says so.
    RequestEntityTooLarge
        When it is longer than the limit of the settings, as sent or unpacked; no more than that is ever unpacked.
    """
    encoding = request.environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    body = request.get_data(cache=False)
    if encoding == "identity":
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise UnsupportedMediaType(f"Bodies compressed with {encoding} are not accepted; use gzip or none.")
    limit = request.max_content_length
    unpacking = zlib.decompressobj(_GZIP_ONLY)
    try:
        unpacked = unpacking.decompress(body, 0 if limit is None else limit + 1)
    except zlib.error as malformed:
        raise BadRequest(f"The body is not gzip: {malformed}.") from None
    if limit is not None and len(unpacked) > limit:
        raise RequestEntityTooLarge(f"The body unpacks to more than {limit:,} bytes.")
    if not unpacking.eof or unpacking.unused_data:
        raise BadRequest("The body is not one whole gzip member.")
    return unpacked


def parsed(body: bytes, what: str) -> Any:
    """Return JSON text parsed; raises BadRequest, which names it ``what``."""
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except RecursionError:
        raise BadRequest(f"The JSON {what} is nested too deeply.") from None
    except ValueError as malformed:
        raise BadRequest(f"The {what} is not JSON: {malformed}.") from None


def _parsed_line(line: bytes) -> Any:
    try:
        return parsed(line, "line")
    except BadRequest as malformed:
        return RequestInvalidError(
            str(malformed.description),
            hint="Each line is one JSON object.",
            errors=[{"field": "", "code": "json-malformed", "message": str(malformed.description)}],
        )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, (UUID, date)):
        return str(value)
    if hasattr(value, "item"):  # numpy scalars
        return value.item()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def instant_text(value: datetime) -> str:
    """Return an aware instant as RFC 3339 text in UTC, such as ``2026-01-01T00:00:00Z``."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)


def dumps(value: Any) -> str:
    """Return compact JSON text; raises ValueError for NaN rather than write something that is not JSON."""
    return _ENCODER.encode(value)


class _Answer(Response):
    """An answer that is complete when made: Werkzeug would go through its headers once more to send it."""

    def get_wsgi_response(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        """Return body, status and headers as they are."""
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().get_wsgi_response(environ)
        return self.iter_encoded(), self.status, self.headers.to_wsgi_list()


def json_answer(value: Any, status: int = 200, *, mimetype: str = "application/json") -> Response:
    """Return ``value`` as a JSON response."""
    return json_text_answer(dumps(value), status, mimetype=mimetype)


def json_text_answer(text: str, status: int = 200, *, mimetype: str = "application/json") -> Response:
    """Return JSON text as a response, a long one compressed where the request accepts that."""
    answer = _Answer(text, status=status, content_type=mimetype)
    return compressed(answer) if len(text) >= FROM_BYTES and has_request_context() else answer
