"""Walking times to the nearest facility of each kind, against networkx (and pandana where it is installed).

    python benchmarks/circle_times.py [--blocks 100] [--kinds 40] [--runs 5]

All engines get the same net of streets, the same residences and facilities, in the same process. CPU-seconds, medians
with the lowest and highest run beside them. networkx searches the same split graph and must agree within 0.1 s; pandana
snaps to nodes, and its error is shown.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import networkx
import numpy as np
import shapely

from gridsvc.circle.attachments import Attachments, attach_points
from gridsvc.circle.isochrones import isochrones
from gridsvc.circle.travel_times import CIRCLE_LIMIT_S, PLANNING_SPEED_M_S, nearest_times
from gridsvc.circle.walk_network import WalkNetwork, build_walk_network

LIMIT_M = CIRCLE_LIMIT_S * PLANNING_SPEED_M_S


@dataclass(frozen=True, eq=False)
class Town:
    """Streets, residences and facilities with their kinds; metres."""

    lines: list[shapely.LineString]
    residences: np.ndarray
    facilities: np.ndarray
    kind: np.ndarray
    kinds: int


def make_town(blocks: int, kinds: int, residences: int, seed: int) -> Town:
    """Return an uneven net of ``blocks`` by ``blocks`` with a tenth of its streets missing."""
    rng = np.random.default_rng(seed)
    x, y = (np.cumsum(rng.uniform(30, 80, blocks + 1)) for _ in range(2))
    lines = [
        shapely.LineString([(x[i], y[j]), (x[to_i], y[to_j])])
        for i in range(blocks + 1)
        for j in range(blocks + 1)
        for to_i, to_j in ((i + 1, j), (i, j + 1))
        if to_i <= blocks and to_j <= blocks and rng.random() < 0.9
    ]
    corner = (x[-1], y[-1])
    facilities = rng.uniform((0, 0), corner, (kinds * 60, 2))
    return Town(
        lines, rng.uniform((0, 0), corner, (residences, 2)), facilities, np.arange(len(facilities)) % kinds, kinds
    )


def timed(run: Callable[[], object], runs: int) -> tuple[str, float, object]:
    """Return a line of CPU-seconds (median, lowest, highest), the median, and the last answer."""
    seconds, answer = [], None
    for _ in range(runs):
        began = time.process_time()
        answer = run()
        seconds.append(time.process_time() - began)
    middle = statistics.median(seconds)
    return f"{middle:9.4f} s   ({min(seconds):.4f} - {max(seconds):.4f}, {runs} runs)", middle, answer


def networkx_graph(network: WalkNetwork, facilities: Attachments, kind: np.ndarray, kinds: int) -> networkx.DiGraph:
    """Return the split graph with one source per kind, as in the engine measured."""
    graph = networkx.DiGraph()
    ends = zip(network.edge_u.tolist(), network.edge_v.tolist(), network.edge_length_m.tolist(), strict=True)
    for u, v, metres in ends:
        graph.add_edge(u, v, weight=metres)
        graph.add_edge(v, u, weight=metres)
    for number in range(len(facilities)):
        edge, source = int(facilities.edge[number]), f"kind {kind[number]}"
        for node, metres in (
            (network.edge_u[edge], facilities.to_u_m[number]),
            (network.edge_v[edge], facilities.to_v_m[number]),
        ):
            known = graph.get_edge_data(source, int(node), {"weight": np.inf})["weight"]
            graph.add_edge(source, int(node), weight=min(known, float(metres)))
    graph.add_nodes_from(f"kind {number}" for number in range(kinds))
    return graph


def networkx_times(graph: networkx.DiGraph, network: WalkNetwork, origins: Attachments, kinds: int) -> np.ndarray:
    """Return seconds per residence and kind by bounded Dijkstra searches; meetings along one edge are left out."""
    times = np.full((len(origins), kinds), np.inf)
    for number in range(kinds):
        metres = np.full(len(network.node_xy), np.inf)
        for node, reach in networkx.single_source_dijkstra_path_length(graph, f"kind {number}", cutoff=LIMIT_M).items():
            if not isinstance(node, str):
                metres[node] = reach
        u, v = network.edge_u[origins.edge], network.edge_v[origins.edge]
        times[:, number] = np.minimum(origins.to_u_m + metres[u], origins.to_v_m + metres[v])
    return np.where(times <= LIMIT_M, times / PLANNING_SPEED_M_S, np.inf)


def pandana_times(town: Town, network: WalkNetwork, runs: int) -> tuple[str, float, np.ndarray]:
    """Return pandana's seconds to the nearest of each kind, both ends snapped to nodes."""
    import pandana
    import pandas as pd

    nodes = pd.DataFrame(network.node_xy, columns=["x", "y"])
    edges = pd.DataFrame({"u": network.edge_u, "v": network.edge_v, "m": network.edge_length_m})
    net = pandana.Network(nodes.x, nodes.y, edges.u, edges.v, edges[["m"]])
    net.precompute(LIMIT_M)
    for number in range(town.kinds):
        here = town.facilities[town.kind == number]
        net.set_pois(f"k{number}", LIMIT_M, 1, here[:, 0], here[:, 1])
    at = net.get_node_ids(town.residences[:, 0], town.residences[:, 1]).to_numpy()

    def run() -> np.ndarray:
        columns = [net.nearest_pois(LIMIT_M, f"k{n}", num_pois=1, max_distance=np.inf)[1] for n in range(town.kinds)]
        return np.column_stack([column.to_numpy()[at] for column in columns]) / PLANNING_SPEED_M_S

    return timed(run, runs)


def agreement(name: str, times: np.ndarray, truth: np.ndarray) -> str:
    """Return how far ``times`` are from ``truth`` and how many pairs fall on the other side of the limit."""
    both = np.isfinite(times) & np.isfinite(truth)
    apart = np.abs(times[both] - truth[both])
    sides = (np.isfinite(times) != np.isfinite(truth)).mean()
    return f"  {name}: median {np.median(apart):.4f} s, 99 % {np.quantile(apart, 0.99):.4f} s, other side of the limit {sides:.3%}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=100)
    parser.add_argument("--kinds", type=int, default=40)
    parser.add_argument("--residences", type=int, default=6000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    town = make_town(options.blocks, options.kinds, options.residences, options.seed)

    line, _, network = timed(lambda: build_walk_network(town.lines), options.runs)
    assert isinstance(network, WalkNetwork)
    print(
        f"{len(network.node_xy):,} nodes, {len(network.edge_u):,} edges, {len(town.residences):,} residences, {town.kinds} kinds"
    )
    print(f"build network          {line}")
    line, _, origins = timed(lambda: attach_points(network, town.residences), options.runs)
    print(f"attach residences      {line}")
    assert isinstance(origins, Attachments)
    facilities = attach_points(network, town.facilities)
    line, ours, times = timed(lambda: nearest_times(network, origins, facilities, town.kind, town.kinds), options.runs)
    print(f"times, gridsvc         {line}")
    graph = networkx_graph(network, facilities, town.kind, town.kinds)
    line, theirs, checked = timed(lambda: networkx_times(graph, network, origins, town.kinds), min(options.runs, 3))
    print(f"times, networkx        {line}")
    print(f"  ratio {theirs / ours:.0f}")
    print(agreement("gridsvc against networkx", np.asarray(times), np.asarray(checked)))
    if importlib.util.find_spec("pandana"):
        line, theirs, snapped = pandana_times(town, network, options.runs)
        print(f"times, pandana         {line}   (its preparation not counted)")
        print(f"  ratio {theirs / ours:.0f}")
        print(agreement("pandana against gridsvc", np.asarray(snapped), np.asarray(times)))
    else:
        print("pandana is not installed; left out")
    places = town.residences[:100]
    isochrones(network, tuple(places[0]))  # compile first
    seconds = []
    for place in places:
        began = time.perf_counter()
        isochrones(network, (float(place[0]), float(place[1])))
        seconds.append(time.perf_counter() - began)
    print(
        f"isochrones 5/10/15 min {1000 * np.median(seconds):.1f} ms median, {1000 * np.quantile(seconds, 0.95):.1f} ms p95 of 100 points"
    )


if __name__ == "__main__":
    main()
