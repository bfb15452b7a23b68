"""The API's description: ``/openapi.json`` for programs, ``/docs`` for people (Swagger UI, served from here)."""

from __future__ import annotations

from flask import Blueprint, Response, current_app, render_template

from gridsvc.web.json_bodies import json_answer
from gridsvc.web.security_headers import DOCUMENTATION_POLICY

documentation = Blueprint("documentation", __name__)


@documentation.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI 3.1 document."""
    return json_answer(current_app.extensions["gridsvc_openapi"])


@documentation.get("/docs")
def show() -> Response:
    """Return the page that shows the document and tries its calls out."""
    page = Response(render_template("documentation.html"), mimetype="text/html")
    page.headers["Content-Security-Policy"] = DOCUMENTATION_POLICY
    return page
