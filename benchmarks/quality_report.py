"""The quality report of a synthetic city of about 42,000 governance grids with 1.5 million buildings, against geopandas.

Goal: under 30 s. Prints the median of the runs, their spread, and the ratio geopandas / gridsvc (above 1: gridsvc is faster). The peer
is the same report as one would write it with geopandas (overlay, sjoin, difference, buffer); it runs on a part of the same city, and
its time is scaled by the number of grids, which favours it: its work grows faster than that.

    python benchmarks/quality_report.py [--columns 252] [--rows 168] [--rounds 5] [--peer-share 0.02] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gridsvc.division.quality_report import GridSet, Ground, quality_report

CELLS = 6  # lattice cells along the side of a grid; each holds a building
CELL_M = 60.0
ACROSS, UP = 3, 2  # grids of a community
EPSG = 4547


def city(columns: int, rows: int, seed: int = 1) -> tuple[GridSet, Ground]:
    """Return an exact partition on a jittered lattice: communities of 3 x 2 grids, a building in every lattice cell."""
    rng = np.random.default_rng(seed)
    wide, tall = columns * CELLS, rows * CELLS
    x, y = np.meshgrid(np.arange(wide + 1) * CELL_M, np.arange(tall + 1) * CELL_M)
    lattice = np.stack([x, y], axis=2) + rng.uniform(-8, 8, (tall + 1, wide + 1, 2)) + [400_000.0, 3_300_000.0]
    grids = blocks(lattice, columns, rows, CELLS, CELLS)
    boundaries = blocks(lattice, columns // ACROSS, rows // UP, CELLS * ACROSS, CELLS * UP)
    column, row = np.tile(np.arange(columns), rows), np.repeat(np.arange(rows), columns)
    community = (row // UP) * (columns // ACROSS) + column // ACROSS
    names = np.array([f"42{i // 700 + 1:04d}001{i % 700:03d}" for i in range(len(boundaries))], dtype=object)
    serial = (row % UP) * ACROSS + column % ACROSS + 1
    codes = np.array([f"{names[c]}{s:03d}" for c, s in zip(community, serial, strict=True)], dtype=object)
    streets = np.concatenate([streets_along(lattice, 3), streets_along(lattice.transpose(1, 0, 2), 3)])
    corner = lattice[:-1, :-1].reshape(-1, 2) + 16.0
    size = rng.uniform(10, 28, (len(corner), 2))
    buildings = shapely.box(*corner.T, *(corner + size).T)
    home = (np.arange(tall)[:, None] // (CELLS * UP)) * (columns // ACROSS) + np.arange(wide) // (CELLS * ACROSS)
    households = rng.integers(6, 17, len(buildings))
    ground = Ground(
        names, boundaries, streets, buildings=buildings, building_communities=names[home.ravel()],
        households=households, population=households * 3,
    )  # fmt: skip
    return GridSet(codes, grids, names[community]), ground


def blocks(lattice: np.ndarray, columns: int, rows: int, across: int, up: int) -> np.ndarray:
    """Return polygons of across x up lattice cells, row by row, with every lattice point on their border."""
    walk = [(0, i) for i in range(across)] + [(j, across) for j in range(up)]
    walk += [(up, i) for i in range(across, 0, -1)] + [(j, 0) for j in range(up, -1, -1)]
    step = np.array(walk)
    row, column = np.meshgrid(np.arange(rows) * up, np.arange(columns) * across, indexing="ij")
    rings = lattice[row.ravel()[:, None] + step[:, 0], column.ravel()[:, None] + step[:, 1]]
    return shapely.polygons(rings)


def streets_along(lattice: np.ndarray, every: int) -> np.ndarray:
    """Return street segments of ``every`` edges along each ``every``-th lattice row; a tenth of them is left out."""
    lines = lattice[::every]
    count = (lines.shape[1] - 1) // every
    index = np.arange(count)[:, None] * every + np.arange(every + 1)
    segments = shapely.linestrings(lines[:, index].reshape(-1, every + 1, 2))
    return segments[np.arange(len(segments)) % 10 != 9]


def naive(grids: GridSet, ground: Ground) -> dict[str, float]:
    """Return the main numbers of the report as geopandas gives them in a few lines."""
    frame = gpd.GeoDataFrame({"code": grids.codes, "community": grids.communities}, geometry=grids.shapes, crs=EPSG)
    areas = gpd.GeoDataFrame({"community": ground.communities}, geometry=ground.boundaries, crs=EPSG)
    houses = gpd.GeoDataFrame({"households": ground.households}, geometry=ground.buildings, crs=EPSG)
    gaps = areas.overlay(frame[["geometry"]], how="difference").area.sum()
    met = gpd.sjoin(frame, frame, predicate="overlaps")
    met = met[met.index < met["index_right"]]
    overlaps = (
        frame.geometry.loc[met.index].intersection(frame.geometry.loc[met["index_right"]], align=False).area.sum()
    )
    own = areas.set_index("community").geometry.loc[frame["community"]].reset_index(drop=True)
    outside = frame.geometry.difference(own).area.sum()
    inside = gpd.sjoin(
        houses.set_geometry(houses.representative_point()), frame[["code", "geometry"]], predicate="within"
    )
    households = inside.groupby("code")["households"].sum()
    touched = gpd.sjoin(houses, frame[["code", "geometry"]], predicate="intersects")
    cut = int((touched.groupby(level=0).size() > 1).sum())
    inner = frame.boundary.difference(own.boundary.buffer(1.0))
    streets = gpd.GeoSeries(ground.streets, crs=EPSG).buffer(1.0).union_all()
    along = inner.intersection(streets).length.sum() / inner.length.sum()
    compact = (4 * np.pi * frame.area / frame.length**2).mean()
    return {
        "gap_m2": float(gaps), "overlap_m2": float(overlaps), "outside_m2": float(outside), "cut": cut,
        "in_bounds": float(households.between(300, 500).mean()), "along_streets": float(along), "compactness": float(compact),
    }  # fmt: skip


def part_of(grids: GridSet, ground: Ground, share: float) -> tuple[GridSet, Ground]:
    """Return the communities in the south-west corner of the city that hold about ``share`` of it, with their grids."""
    middles = shapely.get_coordinates(shapely.centroid(ground.boundaries))
    span = np.ptp(middles, axis=0)
    near = ((middles - middles.min(axis=0)) / span <= np.sqrt(share)).all(axis=1)
    names = ground.communities[near]
    mine, stand = np.isin(grids.communities, names), np.isin(ground.building_communities, names)
    here = shapely.box(*shapely.total_bounds(ground.boundaries[near]))
    small = Ground(
        names, ground.boundaries[near], ground.streets[shapely.intersects(ground.streets, here)],
        buildings=ground.buildings[stand], building_communities=ground.building_communities[stand],
        households=ground.households[stand], population=ground.population[stand],
    )  # fmt: skip
    return GridSet(grids.codes[mine], grids.shapes[mine], grids.communities[mine]), small


def main() -> None:
    """Time both, check that they agree, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=252, help="A multiple of 3.")
    parser.add_argument("--rows", type=int, default=168, help="A multiple of 2.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-share", type=float, default=0.02)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    grids, ground = city(options.columns, options.rows)
    part = part_of(grids, ground, options.peer_share)
    quality_report(*part)  # numba compiles on first use
    seconds: dict[str, list[float]] = {"gridsvc": [], "geopandas_on_part": []}
    processor: list[float] = []
    for _ in range(options.rounds):
        began, used = time.perf_counter(), time.process_time()
        report = quality_report(grids, ground)
        seconds["gridsvc"].append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
        began = time.perf_counter()
        peer = naive(*part)
        seconds["geopandas_on_part"].append(time.perf_counter() - began)
    same = quality_report(*part)
    agree = {
        "gap_m2": abs(same.gaps.area_m2 - peer["gap_m2"]) < 1e-3,
        "overlap_m2": abs(same.overlaps.area_m2 - peer["overlap_m2"]) < 1e-3,
        "cut": same.buildings_cut == peer["cut"],
        "in_bounds": abs((same.in_bounds_share or 0) - peer["in_bounds"]) < 1e-9,
        "along_streets": abs((same.border["street"].share or 0) - peer["along_streets"]) < 0.02,
        "compactness": same.compactness is not None and abs(same.compactness.mean - peer["compactness"]) < 1e-9,
    }
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    scaled = medians["geopandas_on_part"] * len(grids.codes) / len(part[0].codes)
    result = {
        "grids": report.grids,
        "communities": report.communities,
        "buildings": report.buildings,
        "exact_communities": report.exact_communities,
        "peer_grids": len(part[0].codes),
        "agree": agree,
        "median_s": {name: round(value, 2) for name, value in medians.items()} | {"geopandas_scaled": round(scaled, 1)},
        "spread_s": {name: [round(min(times), 2), round(max(times), 2)] for name, times in seconds.items()},
        "gridsvc_processor_s": round(statistics.median(processor), 2),
        "ratio": round(scaled / medians["gridsvc"], 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(result, indent=None if options.json else 2))
    if not all(agree.values()):
        sys.exit("gridsvc and geopandas disagree")


if __name__ == "__main__":
    main()
