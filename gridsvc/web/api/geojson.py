"""Rows with a geometry as GeoJSON (RFC 7946; CGCS2000 and WGS 84 longitudes and latitudes are the same numbers here)."""

from __future__ import annotations

from typing import Any, Literal

from flask import Response
from pydantic import BaseModel, Field

from gridsvc.services.browsing import Page
from gridsvc.web.json_bodies import json_answer
from gridsvc.web.parameters import PageInfo

GEOJSON = "application/geo+json"


class Feature(BaseModel):
    """A GeoJSON feature."""

    type: Literal["Feature"]
    id: str
    geometry: dict[str, Any] | None
    properties: dict[str, Any]


class FeatureCollection(PageInfo):
    """A page of GeoJSON features; foreign members say where the list goes on."""

    type: Literal["FeatureCollection"]
    features: list[Feature] = Field(description="Ordered by code.")


def feature(row: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a row as a GeoJSON feature whose id is its ``key``."""
    properties = {name: value for name, value in row.items() if name != "geometry"}
    return {"type": "Feature", "id": row[key], "geometry": row.get("geometry"), "properties": properties}


def list_answer(page: Page, *, key: str, as_geojson: bool, name: str) -> Response:
    """Return a page as a GeoJSON collection, or without geometry as ``{name: [...]}``; both say where to go on."""
    info = {"next_cursor": page.next_cursor, "count": page.count}
    if as_geojson:
        features = [feature(row, key) for row in page.rows]
        return json_answer({"type": "FeatureCollection", "features": features, **info}, mimetype=GEOJSON)
    rows = [{field: value for field, value in row.items() if field != "geometry"} for row in page.rows]
    return json_answer({name: rows, **info})
