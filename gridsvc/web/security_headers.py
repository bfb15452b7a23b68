"""Headers that keep a browser from loading or running anything that is not ours."""

from __future__ import annotations

from flask import Flask, Response

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


def _add_headers(answer: Response) -> Response:
    answer.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    answer.headers.setdefault("Referrer-Policy", "same-origin")
    answer.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    answer.headers.setdefault("Permissions-Policy", "geolocation=(self), camera=(), microphone=()")
    return answer


def register_security_headers(app: Flask) -> None:
    """Add the headers to every answer of ``app``."""
    app.after_request(_add_headers)
