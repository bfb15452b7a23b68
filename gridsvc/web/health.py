"""Whether the process is alive (``/healthz``) and whether it can do its work (``/readyz``)."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from gridsvc import __version__
from gridsvc.services.readiness import check_ready
from gridsvc.web.json_bodies import json_answer

health = Blueprint("health", __name__)


@health.after_request
def _never_kept(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer


@health.get("/healthz")
def healthz() -> Response:
    """Answer 200 as long as the process answers at all; touches nothing else."""
    return json_answer({"status": "alive", "version": __version__})


@health.get("/readyz")
def readyz() -> Response:
    """Answer 200 when the database is reachable and its schema is this program's; else a 503 problem."""
    revision = check_ready(current_app.extensions["gridsvc"])
    return json_answer({"status": "ready", "schema": revision})
