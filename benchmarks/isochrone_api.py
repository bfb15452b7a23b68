"""GET /api/v1/circle/isochrone of a real server: how long one waits for 5, 10 and 15 minutes from a place, asked one after another.

A made-up city of ``--nodes`` street corners (see _street_lattice.py) around one district, the embedded database, gunicorn with two
workers as `gridsvc serve` starts it. Every request asks about another place, by a kept connection; latencies are those of the client,
the whole body read. The first answers of each worker, which load the network from its file, are told apart. Five rounds.

    python benchmarks/isochrone_api.py [--nodes 600000] [--places 200] [--json]
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from _measuring import machine_noise
from _serving import served
from _street_lattice import SPACING_M, lattice_network, street_lattice

from gridsvc.bootstrap import open_app
from gridsvc.circle.gates import Compounds, WallPassages
from gridsvc.geo.projections import to_storage
from gridsvc.services.compiled_network import CompiledNetwork
from gridsvc.services.walk_networks import store_snapshot
from gridsvc.settings import read_settings

ROUNDS = 5
AT = datetime(2026, 1, 1, tzinfo=UTC)
EPSG = 4547  # CGCS2000 / 3-degree, central meridian 114 E
ORIGIN = (500_000.0, 3_350_000.0)
WANTED_P95_MS = 25.0
CODES = ("420102", "420102001", "420102001001")


def put_city(var_dir: Path, nodes: int) -> np.ndarray:
    """Store a city of streets within one community; return places on the streets, lon lat."""
    network = lattice_network(street_lattice(nodes))
    network = replace(network, node_xy=network.node_xy + ORIGIN, vertex_xy=network.vertex_xy + ORIGIN)
    low, high = network.node_xy.min(axis=0) - SPACING_M, network.node_xy.max(axis=0) + SPACING_M
    square = shapely.MultiPolygon([shapely.segmentize(shapely.box(*low, *high), 1000.0)])
    nobody = WallPassages((), np.empty(0, np.int32), np.empty((0, 2)), np.empty(0, bool), ())
    with open_app(replace(read_settings({}), var_dir=var_dir)) as app, app.unit_of_work() as uow:
        outline = to_storage(np.array([square], dtype=object), EPSG)
        levels = ("district", "street", "community")
        divisions = {"code": list(CODES), "name": "试验", "level": levels, "parent_code": [None, *CODES[:-1]]}
        uow.divisions.put_frame(gpd.GeoDataFrame(divisions, geometry=np.repeat(outline, len(CODES)), crs=4490), AT)
        store_snapshot(uow, CODES[0], AT, CompiledNetwork(network, EPSG, Compounds.none(), nobody))
        uow.commit()
    places = np.random.default_rng(1).permutation(network.node_xy)
    return shapely.get_coordinates(to_storage(shapely.points(places[:10_000] + 15.0), EPSG))


def ask(connection: http.client.HTTPConnection, place: np.ndarray) -> tuple[float, int]:
    """Return the milliseconds of an answer and its length; anything but a good answer ends the benchmark."""
    began = time.perf_counter()
    connection.request("GET", f"/api/v1/circle/isochrone?lon={place[0]:.7f}&lat={place[1]:.7f}&datum=cgcs2000")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{answer.status}: {body[:500]!r}")
    return (time.perf_counter() - began) * 1000, len(body)


def measure(address: tuple[str, int], places: np.ndarray, count: int) -> dict[str, object]:
    """Return the figures of the rounds, after the first answers."""
    first = []
    # a new connection may come to either worker; what is compiled is loaded, or on a new machine compiled, meanwhile
    for number in range(40):
        fresh = http.client.HTTPConnection(*address)
        first.append(ask(fresh, places[-1 - number])[0])
        fresh.close()
    rounds, sizes = [], []
    for number in range(ROUNDS):
        connection = http.client.HTTPConnection(*address)
        asked = [ask(connection, place) for place in places[number * count : (number + 1) * count]]
        rounds.append([ms for ms, _ in asked])
        sizes += [size for _, size in asked]
        connection.close()
    p50, p95 = ([float(np.percentile(taken, share)) for taken in rounds] for share in (50, 95))
    return {
        "machine": machine_noise(),
        "first_ms": [round(ms) for ms in sorted(first, reverse=True)[:3]],
        "p50_ms": round(statistics.median(p50), 1),
        "p95_ms": round(statistics.median(p95), 1),
        "p95_ms_of_rounds": [round(ms, 1) for ms in sorted(p95)],
        "body_kib": round(statistics.median(sizes) / 1024),
    }


def main() -> None:
    """Serve, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=600_000)
    parser.add_argument("--places", type=int, default=200, help="asked about in a round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gridsvc-bench-") as folder:
        var_dir = Path(folder)
        var_dir.chmod(0o755)
        places = put_city(var_dir, options.nodes)
        with served(var_dir) as (address, _):
            result = measure(address, places, options.places)
    print(json.dumps(result, indent=None if options.json else 2))
    if not options.json:
        word = "PASS " if float(str(result["p95_ms"])) < WANTED_P95_MS else "SHORT"
        print(f"{word}  p95 of an isochrone: {result['p95_ms']} ms, wanted less than {WANTED_P95_MS:.0f}")


if __name__ == "__main__":
    main()
