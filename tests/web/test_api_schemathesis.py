"""The whole of /openapi.json against the server, with inputs nobody thought of: valid ones, and ones that break the schema.

Every operation is called as an administrator and as an ordinary reporter. What is held: no answer is a 5xx, every answer is one the
document names (status, media type, body), what the schema forbids is refused, what it allows is not refused for its form.
Both runs are the same every time, so that what CI says can be looked into; the deep one (``-m slow``) tries twenty times as much.
"""

from __future__ import annotations

import pytest
import schemathesis
from factories import photos, served_town
from factories import stored_town as town
from hypothesis import HealthCheck, settings
from hypothesis.strategies import binary, just
from schemathesis.config import SchemathesisConfig

from gridsvc.web import create_app

pytestmark = pytest.mark.postgis

# a refusal that follows from what is stored or from how values fit together is 422 with a code, which no schema can tell
_TAKEN = ("2xx", "3xx", "401", "403", "404", "409", "422", "429")
_CHECKS = {
    # any refusal is one: paths broken into others are 405, bodies that are too large 413, uploads have 410, 412 and 460 as well
    "negative_data_rejection": {"expected-statuses": ["4xx"]},
    "missing_required_header": {"expected-statuses": ["4xx"]},
    "positive_data_acceptance": {"expected-statuses": list(_TAKEN)},
}


@schemathesis.serializer("application/x-ndjson")
def _as_lines(_context, lines) -> bytes:
    """Send what was made for an NDJSON body as it is: a text of lines."""
    return lines if isinstance(lines, bytes) else str(lines).encode("utf-8", "surrogatepass")


# pieces of an upload are bytes as any others
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

for _kind in ("jpeg", "png", "webp"):
    _photo = photos.photo(kind=_kind.upper(), size=(64, 48))
    schemathesis.openapi.media_type(f"image/{_kind}", just(_photo) | binary())


def _taken_or(status: str) -> dict:
    return {"positive_data_acceptance": {"expected-statuses": [*_TAKEN, status]}}


_OPERATIONS = [
    # each item of a batch is answered for itself, so that a bad one is refused inside a 200
    {"include-path": "/api/v1/reports:batch", "checks": {"negative_data_rejection": {"enabled": False}}},
    # the document names the kinds of picture, but to a schema all files are bytes: a GIF sent as a JPEG is of another kind
    {"include-path": "/api/v1/reports/{report_id}/photos", "checks": _taken_or("415")},
    # any whole number is one of an event by its form; those forgotten or not given yet are gone
    {"include-path": "/api/v1/stream", "checks": _taken_or("410")},
]


def _schema(**generation):
    config = {
        "generation": {"database": "none", "deterministic": True} | generation,
        "checks": _CHECKS,
        "operations": _OPERATIONS,
        "phases": {"stateful": {"enabled": False}},
    }
    return schemathesis.openapi.from_wsgi("/openapi.json", _APP, config=SchemathesisConfig.from_dict(config))


# made once, when tests are collected; each test puts the town of its own behind it
_APP = create_app(served_town.Services(None), served_town.settings(reports_per_minute=1_000_000))
quick = _schema(**{"max-examples": 8})
deep = _schema(**{"max-examples": 150})


# the town stays the same between examples of one operation; what one stores the next may meet, as in life
_bounded = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def caller_of(open_uow, photo_files, still_clock, token_of):
    """Return a function that gives the headers of a caller, with the stored town behind the application."""
    _APP.extensions["gridsvc"] = served_town.Services(open_uow, photo_files)
    made = {}

    def headers(role: str) -> dict[str, str]:
        if role not in made:
            made[role] = token_of(role, scope="" if role == "admin" else town.DISTRICT, login=role)
        return made[role]

    return headers


def _end_at_once(case) -> None:
    """Let a stream tell what has happened and end, unless how long it lasts is said wrongly: nobody waits for it here."""
    asked = dict(case.query or {})
    try:
        lasts = 0 <= float(asked.get("for_s", 0)) <= 300
    except (TypeError, ValueError):
        lasts = asked.get("for_s") is None
    case.query = asked | {"for_s": 0} if lasts else asked


def _call(case, caller_of) -> None:
    """Send a case as an administrator, for whom nothing ends at a role, then as an ordinary reporter."""
    if case.path == "/api/v1/stream":
        _end_at_once(case)
    for role in ("admin", "field"):
        case.call_and_validate(headers=caller_of(role))


@quick.parametrize()
@_bounded
def test_no_operation_answers_what_the_document_does_not_say(case, caller_of):
    _call(case, caller_of)


@pytest.mark.slow
@deep.parametrize()
@_bounded
def test_no_operation_does_so_after_many_more_tries(case, caller_of):
    _call(case, caller_of)
