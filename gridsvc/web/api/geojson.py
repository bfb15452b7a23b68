"""Rows with a geometry as GeoJSON (RFC 7946; CGCS2000 and WGS 84 longitudes and latitudes are the same numbers here)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import shapely
from flask import Response
from pydantic import BaseModel, Field
from shapely.geometry.base import BaseGeometry

from gridsvc.services.browsing import Page
from gridsvc.web.json_bodies import dumps, json_answer, json_text_answer
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


def collection_answer(features: Iterable[tuple[str, BaseGeometry, dict[str, Any]]]) -> Response:
    """Return shapes of many vertices, each with its id and properties, as a whole GeoJSON collection.

    GEOS writes the geometries, which takes a fifth of the time that Python's lists of them and their text take.
    """
    written = [
        f'{{"type":"Feature","id":{dumps(name)},"geometry":{shapely.to_geojson(shape)},"properties":{dumps(properties)}}}'
        for name, shape, properties in features
    ]
    text = f'{{"type":"FeatureCollection","features":[{",".join(written)}],"next_cursor":null}}'
    return json_text_answer(text, mimetype=GEOJSON)
