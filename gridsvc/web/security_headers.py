"""Headers that keep a browser from loading or running anything that is not ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

# blob: workers and images are how MapLibre draws; nothing comes from another host
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "worker-src": "'self' blob:",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}


def _policy(**changed: str) -> str:
    return "; ".join(f"{name} {value}" for name, value in (_POLICY | changed).items())


CONTENT_SECURITY_POLICY = _policy()
# Swagger UI writes style attributes
DOCUMENTATION_POLICY = _policy(**{"style-src": "'self' 'unsafe-inline'"})


_ALWAYS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "geolocation=(self), camera=(), microphone=()"),
]
ALWAYS_WITH_POLICY = [("Content-Security-Policy", CONTENT_SECURITY_POLICY), *_ALWAYS]


def register_security_headers(app: Flask) -> None:
    """Add the headers to every answer of ``app``; one that has a policy of its own keeps it.

    Around the application: Werkzeug looks for each header it sets among those there are and checks it anew, a twelfth of
    the time of a small request.
    """
    inner = app.wsgi_app

    def guarded(environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *failure: Any) -> Callable:
            has_policy = any(name == "Content-Security-Policy" for name, _ in headers)
            return start_response(status, headers + (_ALWAYS if has_policy else ALWAYS_WITH_POLICY), *failure)

        return inner(environ, start)

    app.wsgi_app = guarded  # type: ignore[method-assign]
