"""The smallest server of tiles there can be in Python: gunicorn, one statement, gzip; the peer of `benchmarks/tiles.py`.

    DATABASE_URL=... gunicorn benchmarks._raw_tiles:application

What raw ST_AsMVT takes once it is asked for over HTTP, as Martin is: ours does the same plus scope, times, versions, shapes for each zoom.
"""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import psycopg

# as Martin 0.14 asks for the tile of a table (its function in docs, "pg" source), columns as ours
RAW = """SELECT ST_AsMVT(tile, %(layer)s, 4096, 'geom') FROM (
  SELECT ST_AsMVTGeom(geom, ST_TileEnvelope(%(z)s, %(x)s, %(y)s), 4096, 64, true) AS geom, code, community_code, name, households, area_m2
  FROM raw_{layer} WHERE geom && ST_TileEnvelope(%(z)s, %(x)s, %(y)s, margin => 64.0 / 4096)) AS tile"""

_held = threading.local()


def raw_tile(connection: psycopg.Connection, layer: str, z: int, x: int, y: int) -> bytes:
    """Return a tile as Martin asks for it: one prepared statement on a kept connection."""
    bound = {"layer": layer, "z": z, "x": x, "y": y}
    row = connection.execute(RAW.format(layer=layer), bound, prepare=True, binary=True).fetchone()
    return bytes(row[0] or b"") if row else b""


def application(environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
    """Answer /LAYER/Z/X/Y with a tile."""
    if not hasattr(_held, "connection"):
        _held.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    layer, z, x, y = environ["PATH_INFO"].strip("/").split("/")
    body = raw_tile(_held.connection, layer, int(z), int(x), int(y))
    headers = [("Content-Type", "application/vnd.mapbox-vector-tile")]
    if len(body) >= 256:
        body = gzip.compress(body, 6, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]
