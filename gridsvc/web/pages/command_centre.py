"""``/``: the command centre's map of what is in force, from district to grid."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, current_app, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import escape

from gridsvc.maps.overview import MOST_SHAPES, UNIT_PIXELS, Frame, Overview, layers_of_overview, overview_of
from gridsvc.resources import content_dir
from gridsvc.services import browsing, tiles
from gridsvc.services.circles import circle_standards
from gridsvc.services.data_sources import DataSources, read_sources
from gridsvc.web.callers import caller, now, open_uow
from gridsvc.web.compressed_answers import compressed
from gridsvc.web.json_bodies import instant_text, json_answer
from gridsvc.web.localisation import html_language
from gridsvc.web.pages.map_texts import map_texts
from gridsvc.web.parameters import At
from gridsvc.web.routing import read_query

# the window of reports shown first, unless it holds fewer and there are older ones
_RECENT, _ENOUGH_REPORTS = timedelta(days=30), 10
_FILES_NAMED = 3  # a longer list would hide the map; the rest is counted
_FONT = "vendor/noto-sans-sc"

command_centre = Blueprint("command_centre", __name__)


@cache
def map_definition() -> dict[str, Any]:
    """Return the layers, colours and legends of every map (``maps/layers.json``)."""
    return json.loads((content_dir("maps") / "layers.json").read_text(encoding="utf-8"))


def font_faces() -> list[dict[str, Any]]:
    """Return the files of the vendored Chinese font and the characters in each, so that labels load only what they need."""
    return [
        {"url": url_for("static", filename=f"{_FONT}/{name}", _external=True), "unicode-range": list(characters)}
        for name, characters in _font_files()
    ]


@cache
def _font_files() -> tuple[tuple[str, tuple[str, ...]], ...]:
    style_sheet = Path(current_app.static_folder or "") / _FONT / "400.css"
    text = style_sheet.read_text(encoding="utf-8") if style_sheet.is_file() else ""
    faces = re.findall(r"url\(\./(files/[^)]+\.woff2)\).*?unicode-range:\s*([^;]+);", text, re.DOTALL)
    return tuple((name, tuple(part.strip() for part in characters.split(","))) for name, characters in faces)


def attribution(sources: DataSources) -> list[str]:
    """Return the credits of the map as HTML, in the language of the request; names of files are only ever text."""
    lines = []
    if sources.files:
        more = f" (+{len(sources.files) - _FILES_NAMED})" if len(sources.files) > _FILES_NAMED else ""
        names = ", ".join(sources.files[:_FILES_NAMED]) + more
        lines.append(_("Data: {names}").replace("{names}", str(escape(names))))
    if sources.uses_osm:
        credit = escape(_("© OpenStreetMap contributors (ODbL)"))
        lines.append(f'<a href="https://www.openstreetmap.org/copyright" rel="noreferrer">{credit}</a>')
    return lines


def overview(uow: Any, extent: dict[str, Any] | None, *, at: datetime) -> Overview | None:
    """Return the picture of all that is in scope at an instant; None where nothing is drawn yet."""
    if extent is None:
        return None
    west, south, east, north = (extent[side] for side in ("min_lon", "min_lat", "max_lon", "max_lat"))
    frame = Frame.of(west, south, east, north, tiles.LAST_SHAPED_ZOOM)
    names = layers_of_overview(map_definition(), frame, tiles.SHAPED_LAYERS)
    drawn = tiles.map_outlines(
        uow, names, frame.z, at=at, left=frame.left, top=frame.top, unit=UNIT_PIXELS, most=MOST_SHAPES
    )
    return overview_of(map_definition(), frame, drawn.layers)


@command_centre.get("/")
def show() -> Response:
    """Return the page; what it draws comes from the tiles and the API."""
    query = read_query(At)
    at = query.at or now()
    with open_uow() as uow:
        extent = browsing.extent(uow, at=at)
        networks = browsing.list_networks(uow)
        circle_runs = browsing.list_circle_runs(uow)
        sources = read_sources(uow)
        picture = overview(uow, extent, at=at)
        recent = browsing.recent_reports(uow, since=at - _RECENT, until=at, enough=_ENOUGH_REPORTS)
    local = at.astimezone(ZoneInfo(current_app.config["GRIDSVC_TIMEZONE"]))
    offset = local.strftime("%z")
    settings = {
        "at": instant_text(query.at) if query.at else None,
        "shownAt": instant_text(at),
        "shownLocal": local.strftime("%Y-%m-%dT%H:%M"),
        "utcOffset": f"{offset[:3]}:{offset[3:]}",
        "timezone": current_app.config["GRIDSVC_TIMEZONE"],
        "language": html_language(),
        "extent": extent,
        "networks": networks,
        "circleRuns": circle_runs,
        "standards": {key: {"name_zh": one.name_zh, "name_en": one.name_en} for key, one in circle_standards().items()},
        "attribution": attribution(sources),
        "reportWindow": "days30" if recent.are_enough else "all",
        "newestReport": None if recent.newest_at is None else instant_text(recent.newest_at),
        "map": map_definition(),
        "fontFaces": font_faces(),
        "texts": map_texts(),
        "urls": {
            "api": "/api/v1",
            "tiles": "/tiles/{layer}/{z}/{x}/{y}.mvt",
            "worker": url_for("static", filename="vendor/maplibre-gl/maplibre-gl-worker.mjs"),
        },
    }
    who = caller()
    here = request.full_path.rstrip("?")
    page = render_template("command_centre.html", settings=settings, caller=who, here=here, overview=picture)
    return compressed(Response(page, mimetype="text/html"))


@command_centre.get("/maps/layers.json")
def layers() -> Response:
    """Return the map definition, for other programs that draw the same layers."""
    return json_answer(map_definition())
