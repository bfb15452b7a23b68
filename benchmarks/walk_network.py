"""What building a walking network costs, by its size: joined, walled, noded, with the grid for doors, and as a file.

    python benchmarks/walk_network.py [--nodes 150000,600000,2400000] [--compounds-per-node 0.01] [--stored]

Made-up streets (an uneven net, bent and with streets missing) with walled compounds among them, each with a gate in two of its sides. Each
size runs in a process of its own; CPU-seconds and peak memory of it, the made-up streets included. With ``--stored`` the same by way of an
embedded database: read, built, stored, read back, in seconds of the clock, since the database works beside.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from attach_points import made_up_streets

from gridsvc.bootstrap import open_app
from gridsvc.circle.attachments import attach_points
from gridsvc.circle.gates import Compounds, Gates, wall_streets
from gridsvc.circle.street_lines import StreetLines, join_loose_ends
from gridsvc.circle.walk_network import build_walk_network
from gridsvc.geo.projections import to_metric, to_storage
from gridsvc.services import walk_networks
from gridsvc.services.compiled_network import CompiledNetwork, load_network, save_network
from gridsvc.services.walk_networks import build_network, network_at
from gridsvc.settings import read_settings

AT = datetime(2026, 1, 1, tzinfo=UTC)
CORNER, EPSG = (114.0, 30.3), 4547


def made_up_compounds(lines: np.ndarray, count: int, seed: int = 3) -> tuple[Compounds, Gates]:
    """Return ``count`` compounds of 150 m, apart from each other, and gates where a street meets their first sides."""
    west, south, east, north = shapely.total_bounds(lines)
    side = int(np.sqrt(count))
    x, y = np.meshgrid(np.linspace(west, east - 200, side), np.linspace(south, north - 200, side), indexing="ij")
    x, y = (axis.ravel() + np.random.default_rng(seed).uniform(0, 20, axis.size) for axis in (x, y))
    areas = shapely.box(x, y, x + 150, y + 150)
    street, area = shapely.STRtree(areas).query(lines, predicate="intersects")
    place, pair = shapely.get_coordinates(
        shapely.intersection(lines[street], shapely.boundary(areas[area])), return_index=True
    )
    area = area[pair]
    order = np.lexsort((place[:, 1], place[:, 0], area))
    _, first = np.unique(area[order], return_index=True)
    chosen = order[np.unique(np.concatenate((first, np.minimum(first + 1, len(order) - 1))))]
    codes = tuple(f"c{number:06d}" for number in range(len(areas)))
    gates = Gates(
        tuple(f"g{number:06d}" for number in range(len(chosen))),
        place[chosen],
        np.zeros(len(chosen), dtype=bool),
        ("",) * len(chosen),
    )
    return Compounds(codes, areas), gates


class Steps:
    """Prints what each step took."""

    def __init__(self) -> None:
        self.last = time.process_time()
        self.total = 0.0

    def done(self, name: str) -> None:
        """Print the CPU-seconds since the last step."""
        took = time.process_time() - self.last
        self.total += took
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"  {name:28} {took:8.2f} CPU-s   peak {peak:5.2f} GB")
        self.last = time.process_time()


def measure(nodes: int, compounds_per_node: float) -> None:
    """Build one network and print."""
    few = made_up_streets(400)
    walled = wall_streets(few, *made_up_compounds(few, 4))  # compiled
    small = build_walk_network(join_loose_ends(StreetLines.of(walled.lines, None, None))[0].lines)
    attach_points(small, [(0.0, 0.0)])
    lines = made_up_streets(nodes)
    compounds, gates = made_up_compounds(lines, int(nodes * compounds_per_node))
    print(f"{nodes:,} corners, {len(lines):,} streets, {len(compounds.code):,} compounds, {len(gates.code):,} gates")
    steps = Steps()
    joined, _ = join_loose_ends(StreetLines.of(lines, None, None))
    steps.done("join loose ends")
    walled = wall_streets(joined.lines, compounds, gates)
    steps.done("cut at walls")
    network = build_walk_network(walled.lines, gate=walled.gate, is_closed=walled.is_closed, compound=walled.compound)
    steps.done("nodes and edges")
    report = network.components
    steps.done("component report")
    grid = network.edge_grid
    steps.done("grid for doors")
    print(
        f"  in all {steps.total:.2f} CPU-s: {len(network.node_xy):,} nodes, {len(network.edge_u):,} edges, {report.components:,} components"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.walk"
        save_network(path, CompiledNetwork(network, 4547, walled.compounds, walled.passages))
        steps.done("write the file")
        load_network(path)
        steps.done("map the file")
        print(f"  file {path.stat().st_size / 1e6:,.0f} MB, of it the grid {grid.nbytes / 1e6:,.0f} MB")


def measure_stored(nodes: int, compounds_per_node: float) -> None:
    """Build one network out of a database of its own, as ``gridsvc circle build`` does, and print."""
    lines = made_up_streets(nodes)
    compounds, gates = made_up_compounds(lines, int(nodes * compounds_per_node))
    corner = shapely.get_coordinates(to_metric([shapely.Point(*CORNER)], EPSG))[0]

    def stored(shapes: np.ndarray) -> np.ndarray:
        return to_storage(shapely.transform(shapes, lambda xy: xy + corner), EPSG)

    def frame(columns: dict[str, Any], shapes: np.ndarray) -> gpd.GeoDataFrame:
        return gpd.GeoDataFrame(columns, geometry=stored(shapes), crs=4490)

    whole = shapely.MultiPolygon([shapely.box(*shapely.total_bounds(lines)).segmentize(5000.0)])
    with tempfile.TemporaryDirectory() as made:
        settings = replace(read_settings({}), database_url="", var_dir=Path(made) / "var")
        with open_app(settings) as app, app.unit_of_work() as uow:
            district = {"code": ["420103"], "name": "江汉区", "level": "district", "parent_code": None}
            uow.divisions.put_frame(frame(district | {"urban_rural_class": None}, np.array([whole], dtype=object)), AT)
            codes = [f"s{number:08d}" for number in range(len(lines))]
            about = {"street_code": codes, "street_class": "residential", "is_walkable": True, "layer": 0}
            uow.streets.put_frame(frame(about, lines))
            uow.compounds.put_frame(frame({"compound_code": list(compounds.code)}, compounds.outline))
            uow.gates.put_frame(frame({"gate_code": list(gates.code)}, shapely.points(gates.xy)))
            uow.commit()
            print(f"{nodes:,} corners, {len(lines):,} streets in the database")
            result = build_network(uow, "420103", AT)
            uow.commit()
            print(
                f"  built and stored in {result.seconds:.1f} s: {result.nodes:,} nodes, {result.gates:,} gates, {result.wall_gaps:,} gaps"
            )
            lon, lat = shapely.get_coordinates(stored(np.array([whole.centroid], dtype=object)))[0]
            for how in ("read from the database, file written", "mapped from the file"):
                walk_networks._recent = walk_networks._RecentNetworks()
                began = time.perf_counter()
                network_at(uow, float(lon), float(lat), AT)
                print(f"  {how:38} {time.perf_counter() - began:8.2f} s")
    print(f"  peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, without the database")


def main() -> None:
    """Measure every size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="150000,600000,2400000")
    parser.add_argument("--compounds-per-node", type=float, default=0.01)
    parser.add_argument("--stored", action="store_true", help="by way of a database")
    options = parser.parse_args()
    sizes = [int(size) for size in options.nodes.split(",")]
    if len(sizes) == 1:
        (measure_stored if options.stored else measure)(sizes[0], options.compounds_per_node)
        return
    for size in sizes:
        command = [
            sys.executable,
            __file__,
            "--nodes",
            str(size),
            "--compounds-per-node",
            str(options.compounds_per_node),
        ]
        subprocess.run(command + ["--stored"] * options.stored, check=True)


if __name__ == "__main__":
    main()
