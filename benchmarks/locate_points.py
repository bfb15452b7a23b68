"""Point to grid in three networks against geopandas.sjoin and a PostGIS join, in one run: CPU-seconds, exactness, memory.

Grids: a made-up city of 41,616 unit grids, 10,404 governance and 5,202 security grids with about 46, 90 and 130 vertices. Every method
is given the same work on points drawn from the same city: one grid per point and network, the smallest code on borders. Building an
index counts for none of the ratios and is printed. Prints medians of five with the spread, points by network located in a
CPU-second, the ratios wanted (15 and 100), mismatches against shapely on 1,000,000 random and 100,000 hard points (vertices, points of
edges, and one step of a double beside them), and the peak memory of locating all points.

    python benchmarks/locate_points.py [--points 20000000] [--side 204] [--without-postgis] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas as gpd
import numpy as np
import psycopg
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._measuring import goal, machine_noise, timed
from gridsvc.geo.location import GridIndex, find_in_all, warm
from gridsvc.store.embedded import EmbeddedPostgres
from tests.factories.coverage import coverage_content

NETWORKS = ("urban", "social", "security")
RUNS = 5
SJOIN_POINTS, POSTGIS_POINTS = 100_000, 5_000
TIMES_SJOIN, TIMES_POSTGIS = 15.0, 100.0
MOST_MIB = 2048.0


def city(side: int) -> dict[str, gpd.GeoDataFrame]:
    """Return the grids of the networks of a made-up city of side x side unit grids, by code, with vertices as real ones have."""
    grids = coverage_content(side, side).grids
    return {
        name: grids[name].assign(geometry=shapely.segmentize(grids[name].geometry.to_numpy(), 1e-4))
        for name in NETWORKS
    }


def with_sjoin(networks: dict[str, gpd.GeoDataFrame], lon: np.ndarray, lat: np.ndarray) -> dict[str, np.ndarray]:
    """Return the row of the grid of each point by network, -1 where there is none."""
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(lon, lat), crs=4490)
    answer = {}
    for name, frame in networks.items():
        joined = gpd.sjoin(points, frame[["geometry"]], how="inner", predicate="intersects")
        rows = np.full(len(points), len(frame))
        np.minimum.at(rows, joined.index.to_numpy(), joined["index_right"].to_numpy())
        answer[name] = np.where(rows == len(frame), -1, rows)
    return answer


def hard_points(shapes: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return vertices, points of edges, and both one step of a double away: x and y."""
    vertices = shapely.get_coordinates(shapes)
    chosen = random.integers(0, len(vertices) - 1, count // 4)
    ends, nexts = vertices[chosen], vertices[chosen + 1]
    near = np.abs(ends - nexts).max(axis=1) < 2e-4
    nexts = np.where(near[:, None], nexts, ends)
    on_edges = ends + random.uniform(0, 1, (len(ends), 1)) * (nexts - ends)
    exact = np.concatenate([ends, on_edges])
    beside = np.nextafter(exact, exact + random.choice([-1.0, 1.0], exact.shape))
    return np.concatenate([exact, beside]).T


def mismatches(
    networks: dict[str, gpd.GeoDataFrame], found: dict[str, np.ndarray], lon: np.ndarray, lat: np.ndarray
) -> int:
    """Return how many answers shapely would have given otherwise."""
    wrong, points = 0, shapely.points(lon, lat)
    for name, frame in networks.items():
        point, row = shapely.STRtree(frame.geometry.to_numpy()).query(points, predicate="intersects")
        expected = np.full(len(lon), len(frame))
        np.minimum.at(expected, point, row)
        wrong += int((np.where(expected == len(frame), -1, expected) != found[name]).sum())
    return wrong


@contextmanager
def postgis(networks: dict[str, gpd.GeoDataFrame], lon: np.ndarray, lat: np.ndarray) -> Iterator[psycopg.Connection]:
    """Yield a connection to a PostGIS that holds the grids, indexed, and the points."""
    with tempfile.TemporaryDirectory(prefix="gridsvc-bench-") as folder, EmbeddedPostgres(Path(folder)) as server:
        url = server.url().replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
            connection.execute("CREATE TABLE bench_grids (network text, row int, geom geometry)")
            connection.execute("CREATE TABLE bench_points (geom geometry(point, 4490))")
            with connection.cursor().copy("COPY bench_grids FROM STDIN") as copy:
                for name, frame in networks.items():
                    shapes = shapely.to_wkb(
                        shapely.set_srid(frame.geometry.to_numpy(), 4490), hex=True, include_srid=True
                    )
                    for row, shape in enumerate(shapes):
                        copy.write_row((name, row, shape))
            with connection.cursor().copy("COPY bench_points FROM STDIN") as copy:
                for point in shapely.to_wkb(
                    shapely.set_srid(shapely.points(lon, lat), 4490), hex=True, include_srid=True
                ):
                    copy.write_row((point,))
            connection.execute("CREATE INDEX ON bench_grids USING gist (geom)")
            connection.execute("ANALYZE bench_grids, bench_points")
            connection.execute("SET max_parallel_workers_per_gather = 0")
            connection.execute("SET jit = off")
            yield connection


def backend_cpu_s(pid: int) -> float:
    """Return the CPU-seconds a process of this machine has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def with_postgis(networks: dict[str, gpd.GeoDataFrame], lon: np.ndarray, lat: np.ndarray) -> list[float]:
    """Return the CPU-seconds of the server for each of five joins of the points with the grids of all networks."""
    seconds = []
    with postgis(networks, lon, lat) as connection:
        pid = connection.info.backend_pid
        for _ in range(RUNS):
            began = backend_cpu_s(pid)
            connection.execute(
                "SELECT count(*) FROM (SELECT p.ctid, g.network, min(g.row) FROM bench_points AS p"
                " JOIN bench_grids AS g ON ST_Contains(g.geom, p.geom) GROUP BY 1, 2) AS located"
            )
            seconds.append(backend_cpu_s(pid) - began)
    return seconds


def peak_mib() -> float:
    """Return the most memory this process has held so far. Unit: MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=20_000_000, help="points gridsvc locates in one go")
    parser.add_argument("--side", type=int, default=204, help="unit grids along a side; a multiple of 4")
    parser.add_argument("--without-postgis", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    noise = machine_noise()
    networks = city(options.side)
    warm()
    random = np.random.default_rng(1)
    low_x, low_y, high_x, high_y = networks["urban"].total_bounds
    building = timed(
        lambda: [GridIndex(frame["code"], frame.geometry.to_numpy()) for frame in networks.values()], runs=RUNS
    )
    indexes = building.answer
    some = min(options.points, 1_000_000)
    lon, lat = random.uniform(low_x, high_x, some), random.uniform(low_y, high_y, some)
    hard_x, hard_y = hard_points(networks["urban"].geometry.to_numpy(), 100_000, random)
    wrong = [
        mismatches(networks, dict(zip(networks, find_in_all(indexes, x, y), strict=True)), x, y)
        for x, y in ((lon, lat), (hard_x, hard_y))
    ]
    one = timed(
        lambda: [indexes[0].locate_one(x, y) for x, y in zip(lon[:2000], lat[:2000], strict=True)],
        runs=RUNS,
        items=2000,
    )
    few = slice(0, SJOIN_POINTS)
    sjoin = timed(lambda: with_sjoin(networks, lon[few], lat[few]), runs=RUNS, items=len(lon[few]) * 3)
    # what came before is given back, so that the peak is that of locating
    before = peak_mib()
    many_x, many_y = random.uniform(low_x, high_x, options.points), random.uniform(low_y, high_y, options.points)
    ours = timed(lambda: find_in_all(indexes, many_x, many_y), runs=RUNS, items=options.points * 3)
    result = {
        "machine": noise,
        "points": options.points,
        "grids": {name: len(frame) for name, frame in networks.items()},
        "mismatches": {"random": wrong[0], "hard": wrong[1]},
        "build_cpu_s": round(building.median_s, 2),
        "index_mb": round(sum(index.nbytes for index in indexes) / 1e6, 1),
        "peak_mib": {"before": round(before), "with_all_points": round(peak_mib())},
        "one_point_us": round(one.median_s * 1e6, 1),
        "million_per_cpu_s": {"gridsvc": round(1e-6 / ours.median_s, 3), "sjoin": round(1e-6 / sjoin.median_s, 3)},
        "spread_ns": {
            name: [round(s * 1e9) for s in sorted(t.seconds)] for name, t in (("gridsvc", ours), ("sjoin", sjoin))
        },
        "ratio_sjoin": round(sjoin.median_s / ours.median_s, 1),
    }
    if not options.without_postgis:
        seconds = sorted(with_postgis(networks, lon[:POSTGIS_POINTS], lat[:POSTGIS_POINTS]))
        median = seconds[RUNS // 2] / (3 * POSTGIS_POINTS)
        result["million_per_cpu_s"]["postgis"] = round(1e-6 / median, 4)
        result["ratio_postgis"] = round(median / ours.median_s, 1)
    print(json.dumps(result, indent=None if options.json else 2))
    if not options.json:
        print(goal("against geopandas.sjoin, per CPU-second", result["ratio_sjoin"], TIMES_SJOIN, "{:.1f} times"))
        if "ratio_postgis" in result:
            print(
                goal("against the PostGIS join, per CPU-second", result["ratio_postgis"], TIMES_POSTGIS, "{:.1f} times")
            )
        print(
            f"{'PASS ' if peak_mib() < MOST_MIB else 'SHORT'}  memory: {peak_mib():.0f} MiB, wanted less than {MOST_MIB:.0f}"
        )
    if any(wrong):
        sys.exit("gridsvc and shapely disagree")


if __name__ == "__main__":
    main()
