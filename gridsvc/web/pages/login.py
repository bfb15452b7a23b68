"""``/login``: a browser session for somebody with a token, where requests without one are not answered."""

from __future__ import annotations

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as BaseResponse

from gridsvc.errors import UnauthenticatedError
from gridsvc.web.callers import principal_of, refuse_other_sites
from gridsvc.web.localisation import local_path

login = Blueprint("login", __name__)


@login.get("/login")
def show() -> Response:
    """Return the form."""
    return _form(200)


@login.post("/login")
def enter() -> BaseResponse:
    """Begin a session with the token given, and go to the page that was asked for; the form again when it is not valid."""
    refuse_other_sites()
    token = request.form.get("token", "").strip()
    try:
        principal_of(token)
    except UnauthenticatedError:
        return _form(401)
    session.clear()
    session["token"] = token
    return redirect(local_path(request.form.get("next", "/")), 303)


@login.post("/logout")
def leave() -> BaseResponse:
    """End the session."""
    refuse_other_sites()
    session.clear()
    return redirect(url_for("login.show"), 303)


def _form(status: int) -> Response:
    asked_for = local_path(request.values.get("next", "/"))
    page = Response(
        render_template("login.html", next=asked_for, failed=status == 401), status=status, mimetype="text/html"
    )
    page.headers["Cache-Control"] = "no-store"
    return page
