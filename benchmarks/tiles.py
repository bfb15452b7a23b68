"""Vector tiles of a real server: latencies cold and warm at every zoom, and tiles a second beside raw ST_AsMVT and tipg.

A made-up city with winding borders: 41,616 governance grids in 2,601 communities, 51 streets, 16 districts (--side grids each way), the
embedded database, gunicorn with two workers, as `gridsvc serve` starts it. Every tile of the city at every zoom of a layer is
asked for, up to --tiles at a zoom (chosen by a seed): once cold (nothing held by the server), then warm. Peers on the same
database, the same tiles: the statement that Martin sends (ST_AsMVT of ST_AsMVTGeom over the table, in EPSG:3857 beforehand, with a connection
of its own and no server around it), the same behind the smallest HTTP server in Python, and tipg, where it is installed. Prints medians of five rounds.

    python benchmarks/tiles.py [--side 204] [--tiles 40] [--rounds 5] [--keep DIR] [--json]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import psycopg
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._measuring import goal, machine_noise, table
from benchmarks._raw_tiles import raw_tile
from benchmarks._serving import served
from gridsvc.bootstrap import open_app
from gridsvc.geo.map_pixels import EXTENT, HALF_WORLD, lon_lat_to_mercator, pixel_size
from gridsvc.services.tile_shapes import renew_tile_shapes
from gridsvc.settings import read_settings
from gridsvc.store.tiles import LAYERS, SHAPED_ZOOM
from tests.factories.winding_town import put_grids, winding_cells

AT = datetime(2026, 1, 1, tzinfo=UTC)
CITY, SIDE_DEG = "4201", 0.003
SHOWN = ("districts", "street_offices", "communities", "grids_social")
WANTED_COLD_MS, WANTED_WARM_MS = 100.0, 10.0


def put_city(var_dir: Path, side: int) -> tuple[float, float]:
    """Store the city, its shapes drawn, and the tables of the peers; return the seconds of storing and of drawing."""
    cells = winding_cells(side, side, side=SIDE_DEG, points=10)
    place = np.arange(side * side)
    row, column = place // side, place % side

    def squares(width: int) -> np.ndarray:
        return row // width * -(-side // width) + column // width

    district, community = squares(-(-side // 4)), squares(4)
    street_of = squares(28)
    codes = np.empty(len(cells), dtype=object)
    names: dict[int, str] = {}
    serials: dict[str, int] = {}
    for i in place:
        if community[i] not in names:
            # a street belongs to the district, and a community to the street, of its first grid
            above = f"{CITY}{district[i] + 1:02d}{street_of[i] + 1:03d}"
            serials[above] = serials.get(above, 0) + 1
            names[community[i]] = f"{above}{serials[above]:03d}"
        home = names[community[i]]
        serials[home] = serials.get(home, 0) + 1
        codes[i] = f"{home}{serials[home]:03d}"
    grids = gpd.GeoDataFrame(
        {
            "network": "social", "kind": "governance", "code": codes, "community_code": [c[:12] for c in codes],
            "name": "网格", "households": 400, "population": 1000, "area_m2": 90_000.0,
        },
        geometry=cells, crs=4490,
    ).sort_values("code", ignore_index=True)  # fmt: skip
    levels = {"district": 6, "street": 9, "community": 12}
    parts = []
    for level, digits in levels.items():
        of = grids["code"].str[:digits]
        shapes = [shapely.coverage_union_all(part.to_numpy()) for _, part in grids.geometry.groupby(of)]
        named = sorted(of.unique())
        parts.append(
            gpd.GeoDataFrame(
                {
                    "code": named,
                    "name": [f"{level}{c[-3:]}" for c in named],
                    "level": level,
                    "urban_rural_class": None,
                    "parent_code": [c[: {6: 4, 9: 6, 12: 9}[digits]] if digits > 6 else None for c in named],
                },
                geometry=[shapely.MultiPolygon(shapely.get_parts(s).tolist()) for s in shapes],
                crs=4490,
            )
        )
    began = time.perf_counter()
    with open_app(replace(read_settings({}), var_dir=var_dir)) as app, app.unit_of_work() as uow:
        for part in parts:
            uow.divisions.put_frame(part, AT)
        for code in parts[0]["code"]:
            put_grids(uow, grids[grids["code"].str.startswith(code)], AT, communities=[code])
        uow.commit()
        stored = time.perf_counter()
        renew_tile_shapes(uow)
        drawn = time.perf_counter()
        run = uow.connection.exec_driver_sql
        plain = "SELECT {0}, ST_Transform(ST_SetSRID(geom, 4326), 3857)::geometry(MultiPolygon, 3857) AS geom FROM {1}"
        about = "code, name, NULL::text AS community_code, 0 AS households, 0.0 AS area_m2"
        sources = {"grids_social": plain.format("code, name, community_code, households, area_m2", "grids")}
        for layer, level in zip(SHOWN, levels, strict=False):
            sources[layer] = plain.format(about, f"divisions WHERE level = '{level}'")
        for layer, source in sources.items():
            run(f"CREATE TABLE raw_{layer} AS {source}")
            run(f"CREATE INDEX ON raw_{layer} USING gist (geom)")
        uow.commit()
        run("ANALYZE")
        uow.commit()
    return stored - began, drawn - stored


def tiles_at(side: int, z: int, most: int) -> list[tuple[int, int, int]]:
    """Return tiles of the city at a zoom, at most so many, in an order made by a seed."""
    corners = np.array([[114.25, 30.58], [114.25 + side * SIDE_DEG, 30.58 + side * SIDE_DEG]])
    pixels = (lon_lat_to_mercator(corners) - (-HALF_WORLD, HALF_WORLD)) / (pixel_size(z), -pixel_size(z))
    (x0, y1), (x1, y0) = (pixels // EXTENT).astype(int).tolist()
    found = [(z, x, y) for x in range(x0, x1 + 1) for y in range(y0, y1 + 1)]
    return random.Random(z).sample(found, min(most, len(found)))


class Client:
    """One connection to a server that is kept open."""

    def __init__(self, address: tuple[str, int], path: str) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=60)
        self._path = path

    def fetch(self, layer: str, z: int, x: int, y: int) -> bytes:
        """Return the body of a tile."""
        path = self._path.format(layer=layer, z=z, x=x, y=y)
        self._connection.request("GET", path, headers={"Accept-Encoding": "gzip", "Host": "localhost"})
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status in (200, 204), (answer.status, path, body[:300])
        return body


def timed_ms(fetch: Callable[..., bytes], asked: list[tuple[str, int, int, int]]) -> tuple[list[float], int]:
    """Return how long each tile took, and how many bytes the largest had. Unit: ms."""
    times, largest = [], 0
    for layer, z, x, y in asked:
        began = time.perf_counter()
        body = fetch(layer, z, x, y)
        times.append((time.perf_counter() - began) * 1000)
        largest = max(largest, len(body))
    return times, largest


def p95(values: list[float]) -> float:
    """Return the value that 95 % do not exceed."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def raw_fetch(connection: psycopg.Connection) -> Callable[..., bytes]:
    """Return what fetches a tile from the database itself, without a server."""
    return lambda layer, z, x, y: raw_tile(connection, layer, z, x, y)


@contextmanager
def raw_served(url: str) -> Iterator[Client]:
    """Yield a client of the smallest server around the same statement, on two workers as ours."""
    port = 18766
    command = [
        sys.executable, "-m", "gunicorn", "--workers", "2", "--worker-class", "gthread", "--threads", "8", "--keep-alive", "60",
        "--bind", f"127.0.0.1:{port}", "--log-level", "error", "benchmarks._raw_tiles:application",
    ]  # fmt: skip
    root = Path(__file__).resolve().parent.parent
    with subprocess.Popen(command, env=os.environ | {"DATABASE_URL": url}, cwd=root) as process:
        try:
            client = Client(("127.0.0.1", port), "/{layer}/{z}/{x}/{y}")
            waited_for(lambda: Client(("127.0.0.1", port), "/districts/0/0/0").fetch("", 0, 0, 0))
            yield client
        finally:
            process.terminate()


def waited_for(ask: Callable[[], object]) -> None:
    """Ask again until a server answers, for a minute."""
    for _ in range(120):
        try:
            ask()
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError("a peer did not begin to serve")


@contextmanager
def tipg_served(url: str) -> Iterator[Client | None]:
    """Yield a client of tipg over the database, on one worker of uvicorn; None where it is not installed."""
    probe = subprocess.run([sys.executable, "-c", "import tipg, uvicorn"], capture_output=True, check=False)
    if probe.returncode:
        yield None
        return
    port = 18765
    environment = os.environ | {
        "GRIDSVC_BENCH_DATABASE_URL": url,
        "TIPG_DB_SCHEMAS": '["public"]',
        "TIPG_MAX_FEATURES_PER_QUERY": "100000",
    }
    environment |= {"TIPG_DEFAULT_FEATURES_LIMIT": "100000", "TIPG_MAX_FEATURES_PER_TILE": "100000"}
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "benchmarks._tipg_served:app",
        "--port",
        str(port),
        "--log-level",
        "error",
        "--workers",
        "2",
    ]
    with subprocess.Popen(command, env=environment, cwd=Path(__file__).resolve().parent.parent) as process:
        try:
            path = "/collections/public.raw_{layer}/tiles/WebMercatorQuad/{z}/{x}/{y}"
            waited_for(lambda: Client(("127.0.0.1", port), "/healthz").fetch("", 0, 0, 0))
            yield Client(("127.0.0.1", port), path)
        finally:
            process.terminate()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=204)
    parser.add_argument("--tiles", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--keep", type=Path, help="folder to keep the city in, and to take it from where it is there already"
    )
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    print(machine_noise(), flush=True)
    with tempfile.TemporaryDirectory(prefix="gridsvc-tiles-", dir=os.environ.get("TMPDIR")) as folder:
        var_dir = given.keep or Path(folder)
        if not (var_dir / "postgres").is_dir():
            var_dir.mkdir(exist_ok=True)
            var_dir.chmod(0o755)
            stored, drawn = put_city(var_dir, given.side)
            print(f"{given.side**2} grids stored in {stored:.0f} s, drawn for all zooms in {drawn:.1f} s", flush=True)
        with served(var_dir) as (address, _):
            figures = measured(var_dir, address, given)
    print(json.dumps(figures, indent=1) if given.json else shown(figures))


def measured(var_dir: Path, address: tuple[str, int], given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return the figures of each layer and zoom."""
    with open_app(replace(read_settings({}), var_dir=var_dir)) as app:
        url = app.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        figures: dict[str, dict[str, float]] = {}
        with (
            tipg_served(url) as tipg,
            raw_served(url) as served_raw,
            psycopg.connect(url, autocommit=True) as connection,
        ):
            raw, ours = raw_fetch(connection), Client(address, "/tiles/{layer}/{z}/{x}/{y}.mvt")
            for layer in SHOWN:
                for z in range(max(LAYERS[layer].min_zoom, 6), SHAPED_ZOOM + 2):
                    asked = [(layer, *tile) for tile in tiles_at(given.side, z, given.tiles)]
                    rounds = [one_round(asked, connection, ours, raw, served_raw, tipg) for _ in range(given.rounds)]
                    figures[f"{layer} {z}"] = {
                        name: statistics.median(one[name] for one in rounds) for name in rounds[0]
                    }
    return figures


def one_round(
    asked: list[tuple[str, int, int, int]],
    connection: psycopg.Connection,
    ours: Client,
    raw: Callable[..., bytes],
    served_raw: Client,
    tipg: Client | None,
) -> dict[str, float]:
    """Return the figures of one round: ours cold (nothing held), ours warm, the peers, one after the other."""
    # everything held in the server is of another state now; two workers: asked until both hold it
    connection.execute("UPDATE tile_version SET version = gen_random_uuid()")
    cold, largest = timed_ms(ours.fetch, asked)
    for _ in range(3):
        timed_ms(ours.fetch, asked)
    warm, _ = timed_ms(ours.fetch, asked)
    theirs, raw_largest = timed_ms(raw, asked)
    over_http, _ = timed_ms(served_raw.fetch, asked)
    figures = {
        "tiles": len(asked), "cold_ms": statistics.median(cold), "cold_p95_ms": p95(cold),
        "warm_ms": statistics.median(warm), "warm_p95_ms": p95(warm), "raw_ms": statistics.median(theirs), "raw_p95_ms": p95(theirs),
        "largest_kb": largest / 1000, "raw_largest_kb": raw_largest / 1000,
        "of_raw": sum(theirs) / sum(cold), "warm_of_raw": sum(theirs) / sum(warm),
        "cold_s": sum(cold) / 1000, "raw_s": sum(theirs) / 1000, "http_raw_s": sum(over_http) / 1000,
        "http_raw_ms": statistics.median(over_http), "of_http_raw": sum(over_http) / sum(cold), "warm_of_http_raw": sum(over_http) / sum(warm),
    }  # fmt: skip
    if tipg is not None:
        figures["of_tipg"] = sum(timed_ms(tipg.fetch, asked)[0]) / sum(cold)
    return figures


def together(figures: list[dict[str, float]], peer: str) -> float:
    """Return how many times as many tiles a second we make as a peer, over all of them."""
    return sum(one[peer] for one in figures) / sum(one["cold_s"] for one in figures)


def shown(figures: dict[str, dict[str, float]]) -> str:
    """Return the figures as a table, and what they say of the goals."""
    heads = list(next(iter(figures.values())))
    rows = [
        [name, *(f"{value:,.2f}" if value < 10 else f"{value:,.0f}" for value in one.values())]
        for name, one in figures.items()
    ]
    each = list(figures.values())
    slowest = {name: max(one[name] for one in each) for name in ("cold_p95_ms", "warm_p95_ms")}
    lines = [
        table(["layer zoom", *heads], rows),
        goal("cold: goal / slowest p95", WANTED_COLD_MS / slowest["cold_p95_ms"], 1.0, "{:.2f}"),
        goal("warm: goal / slowest p95", WANTED_WARM_MS / slowest["warm_p95_ms"], 1.0, "{:.2f}"),
        # all tiles asked for, in the time they took together
        goal("cold tiles a second of all together / raw ST_AsMVT", together(each, "raw_s"), 0.5, "{:.2f}"),
        goal(
            "cold tiles a second of all together / raw ST_AsMVT behind the smallest HTTP server",
            together(each, "http_raw_s"),
            0.5,
            "{:.2f}",
        ),
        goal(
            "cold tiles a second / raw ST_AsMVT, mean of the zooms",
            statistics.geometric_mean(one["of_raw"] for one in each),
            0.5,
            "{:.2f}",
        ),
        goal("  at the worst zoom", min(one["of_raw"] for one in each), 0.5, "{:.2f}"),
        goal(
            "cold tiles a second / raw ST_AsMVT behind the smallest HTTP server, mean of the zooms",
            statistics.geometric_mean(one["of_http_raw"] for one in each),
            0.5,
            "{:.2f}",
        ),
        goal("  at the worst zoom", min(one["of_http_raw"] for one in each), 0.5, "{:.2f}"),
        goal(
            "warm tiles a second / raw ST_AsMVT behind the smallest HTTP server",
            statistics.geometric_mean(one["warm_of_http_raw"] for one in each),
            1.0,
            "{:.2f}",
        ),
    ]
    if "of_tipg" in heads:
        lines.append(
            goal("cold tiles a second / tipg", statistics.geometric_mean(one["of_tipg"] for one in each), 1.0, "{:.2f}")
        )
        lines.append(goal("  at the worst zoom", min(one["of_tipg"] for one in each), 1.0, "{:.2f}"))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
