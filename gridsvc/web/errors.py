"""From refusals to HTTP: the only table from error class to status, and the only error shape (RFC 9457).

Every error the server answers with, its own and the framework's, is an ``application/problem+json`` document with the
members ``type``, ``title``, ``status``, ``code``, ``detail``, ``hint``, ``instance`` and, where there are several
faults, ``errors`` (field, code, message). Handlers stay free of ``try`` blocks.
"""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from gridsvc import errors as refusals

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_S = 5

STATUS: dict[type[refusals.GridsvcError], int] = {
    refusals.GridsvcError: 400,
    refusals.DatumMissingError: 422,
    refusals.DatumUnknownError: 422,
    refusals.CoordinateError: 422,
    refusals.OutsideCoverageError: 422,
    refusals.CrsMismatchError: 422,
    refusals.NotProjectedError: 422,
    refusals.GeometryError: 422,
    refusals.PartitionError: 409,
    refusals.CodeMalformedError: 422,
    refusals.CodeDuplicateError: 409,
    refusals.CodesExhaustedError: 409,
    refusals.ParentMissingError: 422,
    refusals.CategoryUnknownError: 422,
    refusals.NotFoundError: 404,
    refusals.ConflictError: 409,
    refusals.ForbiddenError: 403,
    refusals.UnauthenticatedError: 401,
    refusals.RequestInvalidError: 422,
    refusals.TooManyRequestsError: 429,
    refusals.EventsGoneError: 410,
    refusals.StreamsFullError: 503,
    refusals.FileUnreadableError: 422,
    refusals.ImportRefusedError: 422,
    refusals.PhotoTypeError: 415,
    refusals.PhotoTooLargeError: 413,
    refusals.PhotoPixelsError: 422,
    refusals.PhotoUnreadableError: 422,
    refusals.PhotoContentError: 422,
    refusals.PhotoHashError: 422,
    refusals.PhotosTooManyError: 422,
    refusals.PhotoStoreError: 503,
    refusals.UploadVersionError: 412,
    refusals.UploadOffsetError: 409,
    refusals.UploadEndedError: 410,
    refusals.UploadChecksumError: 460,  # the number that the tus protocol gives it
    refusals.UploadsTooManyError: 429,
    refusals.SettingError: 500,
    refusals.DatabaseUnavailableError: 503,
    refusals.DatabaseBusyError: 503,
    refusals.MigrationsBehindError: 503,
}

# What the framework refuses by itself: status -> code, hint.
HTTP_CODES: dict[int, tuple[str, str]] = {
    400: ("request-malformed", "Check the request line, the headers and the body."),
    404: ("not-found", "See /openapi.json for the paths there are."),
    405: ("method-not-allowed", "The Allow header lists the methods of this path."),
    406: ("not-acceptable", ""),
    408: ("request-timeout", "Send the body faster, or in smaller pieces."),
    413: ("body-too-large", "Send fewer or smaller items in one request."),
    414: ("uri-too-long", "Send long input in a body with POST."),
    415: (
        "media-type-unsupported",
        "Send JSON with Content-Type: application/json, plain or with Content-Encoding: gzip.",
    ),
    429: ("too-many-requests", "Wait as long as the Retry-After header says."),
    431: ("headers-too-large", "Send fewer or shorter headers."),
    500: ("internal-error", "Try again; if it stays, give the operator the time and the path."),
    503: ("unavailable", "Try again later."),
}


def status_of(error: refusals.GridsvcError) -> int:
    """Return the HTTP status of a refusal: that of its class, else of the nearest ancestor in the table."""
    return next(STATUS[c] for c in type(error).__mro__ if c in STATUS)


def title_of(error: refusals.GridsvcError) -> str:
    """Return the fixed title of a refusal's class: the first line of its docstring."""
    return (type(error).__doc__ or type(error).__name__).strip().splitlines()[0]


def problem_document(status: int, code: str, title: str, detail: str, hint: str = "", **more: Any) -> dict[str, Any]:
    """Return the members of an RFC 9457 problem document; ``more`` are extension members."""
    return {
        "type": f"urn:gridsvc:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "hint": hint,
        "instance": request.path,
        **more,
    }


def problem(
    status: int, code: str, title: str, detail: str, hint: str = "", headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """Return an RFC 9457 problem document as a response; ``more`` are extension members."""
    return _problem_answer(problem_document(status, code, title, detail, hint, **more), headers)


def _problem_answer(document: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    body = json.dumps(document, ensure_ascii=False, default=str)
    answer = Response(body, status=document["status"], content_type=PROBLEM_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers.update(headers or {})
    return answer


def problem_of(error: refusals.GridsvcError) -> dict[str, Any]:
    """Return the problem document of one of our own refusals: an answer's, or that of one item among many."""
    details = dict(error.details)
    more: dict[str, Any] = {"errors": details.pop("errors", [])}
    if isinstance(error, refusals.ImportRefusedError):
        more["errors"] = [
            {"row": r.row, "field": r.field, "code": error.code, "message": r.reason, "value": r.value}
            for r in error.rows
        ]
    if details:
        more["details"] = details
    return problem_document(status_of(error), error.code, title_of(error), error.message, error.hint, **more)


def refusal_to_problem(error: refusals.GridsvcError) -> Response:
    """Return the answer to one of our own refusals."""
    status = status_of(error)
    headers = {}
    if status in (429, 503):
        headers["Retry-After"] = str(error.details.get("retry_after_s", RETRY_AFTER_S))
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="gridsvc"'
    if status >= 500:
        logger.error("refused with %s: %s", status, error, extra={"code": error.code})
    return _problem_answer(problem_of(error), headers)


def http_to_problem(error: HTTPException) -> BaseResponse:
    """Return the problem document of an error the framework raised (404, 405, 413, 415 ...), keeping its headers."""
    status = error.code or 500
    if error.response is not None or status < 400:
        return error.get_response(request.environ)
    code, hint = HTTP_CODES.get(status, (HTTPStatus(status).phrase.lower().replace(" ", "-"), ""))
    kept = {
        name: value
        for name, value in error.get_headers(request.environ)
        if name.lower() not in ("content-type", "content-length")
    }
    if status in (429, 503):
        kept.setdefault("Retry-After", str(RETRY_AFTER_S))
    detail = error.description or HTTPStatus(status).phrase
    return problem(status, code, HTTPStatus(status).phrase, detail, hint, kept, errors=[])


def unexpected_to_problem(error: Exception) -> Response:
    """Return a 500 problem that tells nothing of the inside; the traceback goes to the log only."""
    logger.exception("unexpected error on %s %s", request.method, request.path, exc_info=error)
    code, hint = HTTP_CODES[500]
    return problem(500, code, "Internal Server Error", "The server met an unexpected error.", hint, errors=[])


def wants_page() -> bool:
    """Return whether the caller is a person's browser asking for a page, not a program asking for data."""
    if request.path.startswith(("/api/", "/tiles/", "/healthz", "/readyz", "/openapi.json", "/static/")):
        return False
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def _shown(answer: BaseResponse) -> BaseResponse:
    """Return ``answer`` as a page when a person asked for one, else as it is."""
    if answer.status_code < 400 or not wants_page():
        return answer
    document = json.loads(answer.get_data())
    page = Response(render_template("problem.html", problem=document), status=answer.status_code, mimetype="text/html")
    for name in ("Retry-After", "WWW-Authenticate", "Allow"):
        if name in answer.headers:
            page.headers[name] = answer.headers[name]
    page.headers["Cache-Control"] = "no-store"
    return page


def register_errors(app: Flask) -> None:
    """Make every error of ``app`` a problem document."""
    app.register_error_handler(refusals.GridsvcError, lambda e: _shown(refusal_to_problem(e)))
    app.register_error_handler(HTTPException, lambda e: _shown(http_to_problem(e)))
    app.register_error_handler(Exception, lambda e: _shown(unexpected_to_problem(e)))
