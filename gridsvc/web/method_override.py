"""Methods that a proxy on the way does not let through: PATCH and DELETE of uploads may come as POST and say so.

The tus protocol asks servers for this (tus 1.0.0, X-HTTP-Method-Override). Only there: elsewhere a header that changes what a
request means would only help those who want to get around a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

_PATH = "/api/v1/uploads/"
_METHODS = frozenset({"PATCH", "DELETE"})


def register_method_override(app: Flask) -> None:
    """Make ``app`` take ``X-HTTP-Method-Override`` on posts to an upload."""
    inner = app.wsgi_app

    def overridden(environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        wanted = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "").upper()
        posted = environ["REQUEST_METHOD"] == "POST" and environ.get("PATH_INFO", "").startswith(_PATH)
        if posted and wanted in _METHODS:
            environ["REQUEST_METHOD"] = wanted
        return inner(environ, start_response)

    app.wsgi_app = overridden  # type: ignore[method-assign]
