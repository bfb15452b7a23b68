"""Strict JSON in, compact JSON out.

In: only what RFC 8259 calls JSON (no NaN or Infinity, no key twice), only with a JSON content type. Out: UTF-8, no NaN,
instants in UTC with ``Z``.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from flask import Request, Response
from werkzeug.exceptions import BadRequest, UnsupportedMediaType


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON; a number must be finite")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        twice = next(k for i, (k, _) in enumerate(pairs) if any(k == other for other, _ in pairs[:i]))
        raise ValueError(f"the key {twice!r} comes twice in one object")
    return read


def read_json(request: Request) -> Any:
    """Return the parsed JSON body of ``request``.

    Raises
    ------
    UnsupportedMediaType
        When the body is not declared as JSON, or is compressed.
    BadRequest
        When it is not JSON: empty, malformed, not UTF-8, NaN or Infinity, a key twice, nested too deeply.
    RequestEntityTooLarge
        When it is longer than the limit of the settings.
    """
    if not request.is_json:
        raise UnsupportedMediaType(f"The body is {request.mimetype or 'of no declared type'}, not application/json.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("Compressed bodies are not accepted here.")
    body = request.get_data(cache=False)
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_unique_keys)
    except RecursionError:
        raise BadRequest("The JSON body is nested too deeply.") from None
    except ValueError as malformed:
        raise BadRequest(f"The body is not JSON: {malformed}.") from None


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


def dumps(value: Any) -> str:
    """Return compact JSON text; raises ValueError for NaN rather than write something that is not JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)


def json_answer(value: Any, status: int = 200, *, mimetype: str = "application/json") -> Response:
    """Return ``value`` as a JSON response."""
    return Response(dumps(value), status=status, content_type=mimetype)
