"""Who calls: the principal of a bearer token or of a browser session, and what role and scope that gives.

Every route is guarded unless its endpoint is in ``OPEN_ENDPOINTS``; a test holds the list. The token of a browser
session travels in a signed, HttpOnly, SameSite cookie and is checked in the database on every request, so that
withdrawing it acts at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, Request, Response, current_app, g, redirect, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from werkzeug.wrappers import Response as BaseResponse

from gridsvc.errors import DatabaseUnavailableError, ForbiddenError, UnauthenticatedError
from gridsvc.services import access, browsing
from gridsvc.services.reporting import Poster
from gridsvc.web.errors import wants_page

OPEN_ENDPOINTS = frozenset(
    {"static", "health.healthz", "health.readyz", "login.show", "login.enter", "login.leave", "language.choose"}
)
# their work checks the token once more, in the transaction that stores: here it may be remembered for a while
VERIFIED_WHEN_STORED = frozenset({"reports.post_report", "reports.post_batch"})
REMEMBER_S = 60.0
REMEMBER_MOST = 10_000
# so many threads of a process read by statements at once: more of them only wait for the same Python lock, in the middle of things
_TURNS = threading.BoundedSemaphore(4)
_VARY, _CACHE_CONTROL = "Authorization, Cookie", "private, no-cache"
# what keeps answers that depend on the caller out of shared caches
PRIVATE_HEADERS = [("Vary", _VARY), ("Cache-Control", _CACHE_CONTROL)]
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
Answered = TypeVar("Answered")
READERS = frozenset({"viewer", "field", "dispatcher", "planner", "manager", "admin"})
REPORTERS = READERS - {"viewer"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from; ``scope`` is a division-code prefix, "" is everything."""

    login: str
    role: str
    scope: str
    is_anonymous: bool = False
    token_sha256: bytes | None = None


ANONYMOUS = Caller("anonymous", "field", "", is_anonymous=True)


def now() -> datetime:
    """Return the present instant; the web room reads the clock here and nowhere else."""
    return datetime.now(UTC)


def caller() -> Caller:
    """Return the caller of the present request, as the guard found it."""
    return g.caller


def open_uow():
    """Return a unit of work cut to the caller's scope; to be used with ``with``."""
    return current_app.extensions["gridsvc"].unit_of_work(caller().scope)


def read_by_statements(read: Callable[[Any], Answered], scope: str = "") -> Answered:
    """Return what ``read`` reads in a unit of work whose statements need not be of one state.

    It costs one round to the database for each; a transaction takes three more. Where the connection turns out to be from before
    a restart of the database, it is read once more over one that was tested.
    """
    with _TURNS:
        try:
            with services().unit_of_statements(scope) as uow:
                return read(uow)
        except DatabaseUnavailableError:
            with services().unit_of_work(scope) as uow:
                return read(uow)


def poster() -> Poster:
    """Return the caller as who posts; their token is checked again in the transaction that stores."""
    return poster_of(caller())


def poster_of(who: Caller) -> Poster:
    """Return a caller as who posts."""
    return Poster(who.login, who.role, who.scope, who.token_sha256)


def services() -> Any:
    """Return the services of this process (``application.AppServices``)."""
    return current_app.extensions["gridsvc"]


def require_role(roles: frozenset[str]) -> None:
    """Raise ForbiddenError unless the caller has one of ``roles``."""
    who = caller()
    if who.role not in roles:
        raise ForbiddenError(
            f"The role {who.role} may not do this.", hint=f"It takes one of: {', '.join(sorted(roles))}."
        )


def principal_of(token: str) -> Caller:
    """Return the caller a token stands for, or raise UnauthenticatedError."""
    principal = read_by_statements(lambda uow: browsing.principal_of(uow, token, at=now()))
    if principal is None:
        raise UnauthenticatedError(
            "The token is unknown, expired or withdrawn.",
            hint="Ask an administrator for a new one: gridsvc token issue.",
        )
    return Caller(principal.login, principal.role, principal.scope_prefix, token_sha256=access.token_hash(token))


def _bearer_token() -> str | None:
    header = request.environ.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    kind, _, token = header.partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError(
            "The Authorization header is not a bearer token.", hint="Send Authorization: Bearer TOKEN."
        )
    return token.strip()


def remembered(app: Flask, token: str) -> Caller | None:
    """Return the caller of a token where it was asked for within the last minute, else None."""
    until, who = app.extensions["gridsvc_tokens"].get(access.token_hash(token), (0.0, None))
    return who if time.monotonic() < until else None


def _remembered(token: str) -> Caller:
    """Return the caller of a token, from memory where it was asked for within the last minute."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    who = remembered(app, token)
    if who is None:
        who = principal_of(token)
        tokens: dict[bytes, tuple[float, Caller]] = app.extensions["gridsvc_tokens"]
        if len(tokens) >= REMEMBER_MOST:
            tokens.clear()
        tokens[access.token_hash(token)] = (time.monotonic() + REMEMBER_S, who)
    return who


def _forget_refused(answer: Response) -> Response:
    """Forget a token that was refused, so that the next request asks the database for what it stands for now."""
    if answer.status_code == 401 and request.endpoint in VERIFIED_WHEN_STORED:
        token = request.headers.get("Authorization", "").partition(" ")[2].strip()
        current_app.extensions["gridsvc_tokens"].pop(access.token_hash(token), None)
    return answer


def _identify() -> Caller:
    token = _bearer_token()
    if token is not None:
        return _remembered(token) if request.endpoint in VERIFIED_WHEN_STORED else principal_of(token)
    if session.get("token"):
        refuse_other_sites()
        return principal_of(session["token"])
    if current_app.config["GRIDSVC_ANONYMOUS"]:
        refuse_other_sites()
        return ANONYMOUS
    raise UnauthenticatedError("This needs a token.", hint="Send Authorization: Bearer TOKEN, or sign in at /login.")


def refuse_other_sites() -> None:
    """Raise ForbiddenError when a browser sends a writing request on behalf of another site.

    SameSite keeps the cookie home already; this also covers anonymous use and old browsers. Programs send neither header.
    """
    if request.method in SAFE_METHODS:
        return
    site = request.headers.get("Sec-Fetch-Site", "none")
    origin = request.headers.get("Origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.host
    if site not in ("same-origin", "none") or foreign:
        raise ForbiddenError(
            "This request came from another site.", hint="Send it from gridsvc's own pages, or with a bearer token."
        )


def _guard() -> BaseResponse | None:
    if request.endpoint is None or request.endpoint in OPEN_ENDPOINTS:
        return None
    try:
        g.caller = _identify()
    except UnauthenticatedError:
        if wants_page():
            session.pop("token", None)
            return redirect(url_for("login.show", next=request.full_path.rstrip("?")))
        raise
    return None


def _mark_private(answer: Response) -> Response:
    """Keep answers that depend on the caller out of shared caches."""
    if "caller" in g:
        if "Vary" in answer.headers:
            answer.vary.update(("Authorization", "Cookie"))
        else:
            answer.headers["Vary"] = _VARY
        answer.headers.setdefault("Cache-Control", _CACHE_CONTROL)
    return answer


class _BrowserSessions(SecureCookieSessionInterface):
    """Sessions in cookies; a request without one, such as a program's, is spared all that is made to read and write them."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if self.get_cookie_name(app) in request.environ.get("HTTP_COOKIE", ""):
            return super().open_session(app, request)
        return self.session_class()

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        if session.accessed or session.modified:
            super().save_session(app, session, response)


def register_callers(app: Flask) -> None:
    """Guard every route of ``app`` and mark what depends on the caller."""
    app.session_interface = _BrowserSessions()
    app.extensions["gridsvc_tokens"] = {}
    app.before_request(_guard)
    app.after_request(_forget_refused)
    app.after_request(_mark_private)
