"""Point to grid against geopandas.sjoin, in the same run: 20,000 points, three networks of a district.

Prints the median of five timings of each, their spread, and the ratio sjoin / gridsvc (above 1: gridsvc is faster). sjoin is
given the same work: the points in each network, one grid per point (its smallest code). Both build their index once a run.

    python benchmarks/locate_points.py [--points 20000] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gridsvc.geo.location import GridIndex
from tests.factories.coverage import coverage_content

NETWORKS = ("urban", "social", "security")
ROUNDS = 5


def with_gridsvc(networks: dict[str, gpd.GeoDataFrame], lon: np.ndarray, lat: np.ndarray) -> dict[str, list]:
    """Return the codes of all points by network."""
    return {
        name: GridIndex(frame["code"], frame.geometry.to_numpy()).locate(lon, lat).tolist()
        for name, frame in networks.items()
    }


def with_sjoin(networks: dict[str, gpd.GeoDataFrame], lon: np.ndarray, lat: np.ndarray) -> dict[str, list]:
    """Return the codes of all points by network, None where there is none."""
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(lon, lat), crs=4490)
    answer = {}
    for name, frame in networks.items():
        joined = gpd.sjoin(points, frame[["code", "geometry"]], how="left", predicate="intersects")
        first = joined.sort_values("code", kind="stable").groupby(level=0)["code"].first()
        codes = first.reindex(points.index)
        answer[name] = [code if isinstance(code, str) else None for code in codes]
    return answer


def main() -> None:
    """Time both, check that they agree, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    grids = coverage_content(56, 56).grids
    networks = {
        name: grids[name].assign(geometry=shapely.segmentize(grids[name].geometry.to_numpy(), 2e-4))
        for name in NETWORKS
    }
    low_x, low_y, high_x, high_y = networks["urban"].total_bounds
    draw = np.random.default_rng(1)
    lon, lat = draw.uniform(low_x, high_x, options.points), draw.uniform(low_y, high_y, options.points)
    seconds: dict[str, list[float]] = {"gridsvc": [], "sjoin": []}
    answers = {}
    for _ in range(ROUNDS):
        for name, run in (("gridsvc", with_gridsvc), ("sjoin", with_sjoin)):
            began = time.perf_counter()
            answers[name] = run(networks, lon, lat)
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    result = {
        "points": options.points,
        "grids": {name: len(frame) for name, frame in networks.items()},
        "agree": answers["gridsvc"] == answers["sjoin"],
        "median_s": {name: round(value, 4) for name, value in medians.items()},
        "spread_s": {name: [round(min(times), 4), round(max(times), 4)] for name, times in seconds.items()},
        "ratio": round(medians["sjoin"] / medians["gridsvc"], 2),
    }
    print(json.dumps(result, indent=None if options.json else 2))
    if not result["agree"]:
        sys.exit("gridsvc and sjoin disagree")


if __name__ == "__main__":
    main()
