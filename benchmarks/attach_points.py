"""Attaching points to the nearest point of an edge, against shapely's STRtree, in one run.

    python benchmarks/attach_points.py [--nodes 600000] [--points 1000000] [--peer-points 1000000] [--runs 5]

Both get the same made-up streets (an uneven net, bent and with streets missing) and the same points. CPU-seconds, medians
with the lowest and highest run beside them. Both must find the same distances.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import shapely

from gridsvc.circle.attachments import MAX_ACCESS_M, attach_points
from gridsvc.circle.edge_grid import build_edge_grid
from gridsvc.circle.walk_network import build_walk_network

if TYPE_CHECKING:
    from gridsvc.circle.walk_network import WalkNetwork


def made_up_streets(nodes: int, seed: int = 1) -> np.ndarray:
    """Return about 1.4 bent street lines for each of ``nodes`` corners, 30 to 110 m apart, a quarter of them missing."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(nodes))
    x, y = np.meshgrid(np.cumsum(rng.uniform(30, 110, side)), np.cumsum(rng.uniform(30, 110, side)), indexing="ij")
    corners = np.stack((x, y), axis=-1) + rng.uniform(-12, 12, (side, side, 2))
    pairs = [(corners[:-1], corners[1:]), (corners[:, :-1], corners[:, 1:])]
    begin, end = (np.concatenate([pair[n].reshape(-1, 2) for pair in pairs]) for n in (0, 1))
    kept = rng.random(len(begin)) < 0.75
    begin, end = begin[kept], end[kept]
    bend = (begin + end) / 2 + rng.uniform(-6, 6, begin.shape)
    return shapely.linestrings(np.stack((begin, bend, end), axis=1))


def timed(run: Callable[[], object], runs: int) -> tuple[float, str]:
    """Return the median of CPU-seconds and a line that tells it with the lowest and highest."""
    seconds = []
    for _ in range(runs):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    middle = statistics.median(seconds)
    return middle, f"{middle:8.3f} CPU-s   ({min(seconds):.3f} - {max(seconds):.3f}, {runs} runs)"


def shapely_distances(tree: shapely.STRtree, lines: np.ndarray, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distance and place along its line of each point, infinite out of reach, as one does it with shapely."""
    points = shapely.points(xy)
    found, apart = tree.query_nearest(points, max_distance=MAX_ACCESS_M, return_distance=True, all_matches=False)
    distance, offset = np.full(len(xy), np.inf), np.full(len(xy), np.inf)
    distance[found[0]] = apart
    offset[found[0]] = shapely.line_locate_point(lines[found[1]], points[found[0]])
    return distance, offset


def compare(network: WalkNetwork, xy: np.ndarray, peer_points: int, runs: int) -> None:
    """Measure both, alternating, and print."""
    tree = shapely.STRtree(network.edge_lines)
    tree.query_nearest(shapely.points(xy[:10]))  # builds it
    some = xy[:peer_points]
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(timed(lambda: attach_points(network, xy), 1)[0] / len(xy))
        theirs.append(timed(lambda: shapely_distances(tree, network.edge_lines, some), 1)[0] / len(some))
    mine, peer = (statistics.median(seconds) for seconds in (ours, theirs))
    print(
        f"attach_points     {1e6 * mine:6.2f} µs a point   ({1e6 * min(ours):.2f} - {1e6 * max(ours):.2f}, {runs} runs)"
    )
    print(f"shapely STRtree   {1e6 * peer:6.2f} µs a point   ({1e6 * min(theirs):.2f} - {1e6 * max(theirs):.2f})")
    print(f"  ratio {peer / mine:.1f}")
    distance, _ = shapely_distances(tree, network.edge_lines, some)
    found = attach_points(network, some).access_m
    both = np.isfinite(distance)
    apart = np.abs(found[both] - distance[both])
    print(f"  same points within reach: {bool((both == np.isfinite(found)).all())}, most apart {apart.max():.1e} m")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=600_000)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--peer-points", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cell", type=float, help="side of a cell in metres, instead of that of the program")
    options = parser.parse_args()
    lines = made_up_streets(options.nodes)
    build_walk_network(lines[:100])  # compiled
    began = time.process_time()
    network = build_walk_network(lines)
    print(f"{len(network.node_xy):,} nodes, {len(network.edge_u):,} edges in {time.process_time() - began:.2f} CPU-s")
    attach_points(build_walk_network(lines[:100]), [(0, 0)])
    if options.cell:
        left_out = np.zeros(len(network.edge_u), dtype=bool)
        vars(network)["edge_grid"] = build_edge_grid(
            network.vertex_xy, network.edge_first_vertex, left_out, options.cell
        )
    began = time.process_time()
    grid = network.edge_grid
    print(f"grid of {grid.frame[2]:g} m cells, {grid.nbytes / 1e6:,.0f} MB in {time.process_time() - began:.2f} CPU-s")
    low, high = network.node_xy.min(axis=0), network.node_xy.max(axis=0)
    xy = np.random.default_rng(2).uniform(low, high, (options.points, 2))
    compare(network, xy, options.peer_points, options.runs)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB, with both and the streets")


if __name__ == "__main__":
    main()
