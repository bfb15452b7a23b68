"""``/``: the command centre's map of what is in force, from district to grid."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request, url_for

from gridsvc.resources import content_dir
from gridsvc.services import browsing
from gridsvc.web.callers import caller, now, open_uow
from gridsvc.web.json_bodies import instant_text, json_answer
from gridsvc.web.localisation import html_language
from gridsvc.web.pages.map_texts import map_texts
from gridsvc.web.parameters import At
from gridsvc.web.routing import read_query

command_centre = Blueprint("command_centre", __name__)


@cache
def map_definition() -> dict[str, Any]:
    """Return the layers, colours and legends of every map (``maps/layers.json``)."""
    return json.loads((content_dir("maps") / "layers.json").read_text(encoding="utf-8"))


@command_centre.get("/")
def show() -> Response:
    """Return the page; what it draws comes from the tiles and the API."""
    query = read_query(At)
    at = query.at or now()
    with open_uow() as uow:
        extent = browsing.extent(uow, at=at)
        networks = browsing.list_networks(uow)
    settings = {
        "at": instant_text(query.at) if query.at else None,
        "shownAt": instant_text(at),
        "timezone": current_app.config["GRIDSVC_TIMEZONE"],
        "language": html_language(),
        "extent": extent,
        "networks": networks,
        "map": map_definition(),
        "texts": map_texts(),
        "urls": {
            "api": "/api/v1",
            "tiles": "/tiles/{layer}/{z}/{x}/{y}.mvt",
            "worker": url_for("static", filename="vendor/maplibre-gl/maplibre-gl-worker.mjs"),
        },
    }
    who = caller()
    page = render_template("command_centre.html", settings=settings, caller=who, here=request.full_path.rstrip("?"))
    return Response(page, mimetype="text/html")


@command_centre.get("/maps/layers.json")
def layers() -> Response:
    """Return the map definition, for other programs that draw the same layers."""
    return json_answer(map_definition())
