"""The nearest components of a class among 1,000,000, against plain ST_DWithin ordered by ST_Distance, in the same run.

The peer is what one would write at first: components within the radius (ST_DWithin, in degrees wide enough) of the class, ordered by
geodesic distance. It may use an index on the place and one on the class, as most tables have; gridsvc uses its one index on both.
Both answers are compared place by place. Times are wall-clock of one statement on the embedded server, median of each round's
median; the goal is a few milliseconds. Ratio above 1: gridsvc is faster.

    python benchmarks/snap_components.py [--components 1000000] [--places 200] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gridsvc.geo.component_snapping import distances_and_bearings
from gridsvc.resources import content_dir
from gridsvc.store.embedded import EmbeddedPostgres
from gridsvc.store.engine import make_engine
from gridsvc.store.migrate import upgrade
from gridsvc.store.unit_of_work import UnitOfWork

ROUNDS = 5
NEAREST = 5
AT = "2026-06-01T00:00:00Z"
WEST, SOUTH, EAST, NORTH = 116.2, 39.8, 116.6, 40.1  # a built-up city, about 1,100 km2
# a quarter of a city's components are lamps and covers; the others are spread over the other classes
_FILL = """
INSERT INTO components (component_id, edition, category_code, state, division_code, original_x, original_y, valid_from, geom)
SELECT '420103' || substr(code, 2) || lpad((n % 999999 + 1)::text, 6, '0'), 'gbt-47678.5-2026', code, 'intact', '420103001001', x, y,
       '2026-01-01', ST_SetSRID(ST_MakePoint(x, y), 4490)
FROM (
    SELECT n, round(CAST(:west + random() * (:east - :west) AS numeric), 9)::float8 AS x,
           round(CAST(:south + random() * (:north - :south) AS numeric), 9)::float8 AS y,
           CASE WHEN n % 4 = 0 THEN 'C01037' ELSE classes.codes[1 + n % cardinality(classes.codes)] END AS code
    FROM generate_series(1, CAST(:count AS integer)) AS n,
         (SELECT array_agg(code ORDER BY code) AS codes FROM categories
          WHERE edition = 'gbt-47678.5-2026' AND kind = 'component' AND level = 2 AND code <> 'C01037') AS classes
) AS drawn
"""
_PEER = """
SELECT component_id FROM components
WHERE category_code = :code AND ST_DWithin(geom, ST_SetSRID(ST_MakePoint(:lon, :lat), 4490), :degrees)
  AND ST_Distance(geom::geography, ST_SetSRID(ST_MakePoint(:lon, :lat), 4490)::geography) <= :radius_m
  AND valid_from <= :at AND (valid_to IS NULL OR valid_to > :at) AND state <> 'removed'
ORDER BY ST_Distance(geom::geography, ST_SetSRID(ST_MakePoint(:lon, :lat), 4490)::geography), component_id LIMIT :limit
"""


def fill(connection: Connection, count: int) -> None:
    """Register ``count`` components, the same ones every time."""
    box = {"west": WEST, "east": EAST, "south": SOUTH, "north": NORTH, "count": count}
    # the constraint that ids do not overlap is not what is measured, and costs most of the filling
    connection.execute(text("ALTER TABLE components DROP CONSTRAINT ex_components_id_validity"))
    connection.execute(text("SELECT setseed(0.5)"))
    connection.execute(text(_FILL), box)
    connection.execute(text("CREATE INDEX bench_category_code ON components (category_code)"))
    connection.execute(text("ANALYZE components"))


def with_gridsvc(uow: UnitOfWork, lon: float, lat: float, code: str, radius_m: float) -> list[str]:
    """Return the ids of the nearest, as the service measures and orders them."""
    found = uow.components.near(lon, lat, [code], at=AT, radius_m=radius_m, limit=NEAREST)
    distance, _ = distances_and_bearings(lon, lat, [c["lon"] for c in found], [c["lat"] for c in found])
    order = sorted((d, c["component_id"]) for d, c in zip(distance.tolist(), found, strict=True) if d <= radius_m)
    return [component_id for _, component_id in order[:NEAREST]]


def with_plain_sql(uow: UnitOfWork, lon: float, lat: float, code: str, radius_m: float) -> list[str]:
    """Return the ids of the nearest by ST_DWithin and an order by distance."""
    degrees = radius_m / (111_319.0 * np.cos(np.radians(lat + 0.01)))
    bound = {
        "lon": lon,
        "lat": lat,
        "code": code,
        "degrees": float(degrees),
        "radius_m": radius_m,
        "at": AT,
        "limit": NEAREST,
    }
    return list(uow.connection.execute(text(_PEER), bound).scalars())


def measure(uow: UnitOfWork, places: np.ndarray, code: str, radius_m: float) -> dict:
    """Return the milliseconds of both at all places, and at how many they agree."""
    runs = {"gridsvc": with_gridsvc, "plain": with_plain_sql}
    medians: dict[str, list[float]] = {name: [] for name in runs}
    worst: dict[str, list[float]] = {name: [] for name in runs}
    answers: dict[str, list[list[str]]] = {}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            times, answers[name] = [], []
            for lon, lat in places.tolist():
                began = time.perf_counter()
                answers[name].append(run(uow, lon, lat, code, radius_m))
                times.append((time.perf_counter() - began) * 1000)
            medians[name].append(statistics.median(times))
            worst[name].append(float(np.quantile(times, 0.99)))
    middle = {name: statistics.median(values) for name, values in medians.items()}
    return {
        "class": code, "radius_m": radius_m,
        "median_ms": {name: round(value, 3) for name, value in middle.items()},
        "spread_ms": {name: [round(min(values), 3), round(max(values), 3)] for name, values in medians.items()},
        "p99_ms": {name: round(statistics.median(values), 3) for name, values in worst.items()},
        "found": sum(len(ids) for ids in answers["gridsvc"]),
        "agree": sum(a == b for a, b in zip(*answers.values(), strict=True)),
        "ratio": round(middle["plain"] / middle["gridsvc"], 2),
    }  # fmt: skip


def main() -> None:
    """Fill a database of its own, time both, check that they agree, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--components", type=int, default=1_000_000)
    parser.add_argument("--places", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    places = np.round(np.random.default_rng(1).uniform((WEST, SOUTH), (EAST, NORTH), (options.places, 2)), 9)
    with EmbeddedPostgres(content_dir("migrations").parent / "var" / "bench") as server:
        engine = make_engine(server.url())
        upgrade(engine)
        # never committed: the next run begins with an empty register again
        with UnitOfWork(engine) as uow:
            fill(uow.connection, options.components)
            cases = [("C01037", 50.0), ("C01037", 500.0), ("C03005", 50.0), ("C03005", 500.0)]
            results = [measure(uow, places, code, radius_m) for code, radius_m in cases]
        engine.dispose()
    print(json.dumps({"components": options.components, "results": results}, indent=None if options.json else 2))
    if any(result["agree"] != options.places for result in results):
        sys.exit("gridsvc and plain SQL disagree")


if __name__ == "__main__":
    main()
