"""``/tiles/{layer}/{z}/{x}/{y}.mvt``: vector tiles, the same bytes for the same data, tagged, compressed.

Caching: every tile carries a strong ETag and is asked for again (``no-cache``), so that a redraw in force changes the
next tile. Answers to callers with a token, or inside a scope, stay out of shared caches (``private``, ``Vary``).
"""

from __future__ import annotations

from flask import Blueprint, Response, request
from pydantic import Field

from gridsvc.services.tiles import Tile, render_tile
from gridsvc.web.callers import caller, now, read_by_statements
from gridsvc.web.parameters import At, Instant
from gridsvc.web.routing import Answer, Endpoints

vector_tiles = Blueprint("tiles", __name__)
endpoints = Endpoints(vector_tiles)

MVT = "application/vnd.mapbox-vector-tile"


class TileQuery(At):
    """Which instant."""

    since: Instant | None = Field(None, description="Layer reports only: leave out reports made before.")


@endpoints.get(
    "/tiles/<layer>/<int:z>/<int:x>/<int:y>.mvt",
    summary="A vector tile",
    tag="tiles",
    query=TileQuery,
    answers={
        200: Answer(
            "Mapbox Vector Tile 2: a layer named as in the path; divisions also have NAME_labels, one point each.",
            None,
            MVT,
        ),
        204: Answer("Nothing is drawn there."),
        304: Answer("The tile you hold is still right."),
    },
)
def get_tile(layer: str, z: int, x: int, y: int, query: TileQuery) -> Response:
    """Return one tile of one layer, in Web Mercator, XYZ numbering.

    Layers: districts, street_offices, communities, grids_urban, grids_social, grids_security, grids_unified, streets,
    water, residences, facilities, components, reports, workers (at a point inside their grid, never at home).
    """
    at = query.at or now()
    tile = read_by_statements(lambda uow: render_tile(uow, layer, z, x, y, at=at, since=query.since), caller().scope)
    return _tile_answer(tile)


def _tile_answer(tile: Tile) -> Response:
    accepted = tile.compressed if request.accept_encodings["gzip"] > 0 else None
    answer = Response(status=200 if tile.content else 204)
    if tile.content:
        answer.set_data(tile.content if accepted is None else accepted)
        answer.content_type = MVT
    if accepted is not None:
        answer.headers["Content-Encoding"] = "gzip"
    answer.vary.update(("Accept-Encoding", "Authorization", "Cookie"))
    who = caller()
    answer.headers["Cache-Control"] = "public, no-cache" if who.is_anonymous and not who.scope else "private, no-cache"
    answer.set_etag(f"{tile.tag}-gzip" if accepted is not None else tile.tag)
    answer.make_conditional(request)
    return answer
