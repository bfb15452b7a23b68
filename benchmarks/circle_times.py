"""Whole-city walking times: gridsvc against pandana, scipy and networkx on one made-up network, in one process.

    python benchmarks/circle_times.py [--nodes 600000] [--kinds 40] [--per-kind 500] [--runs 5]
    python benchmarks/circle_times.py --growth          # 150,000, 600,000 and 2,400,000 nodes, gridsvc only

CPU-seconds of all threads, medians with the lowest and highest run beside them. Every engine gets the same streets,
residences and facilities. networkx searches the same graph and must agree within 0.1 s on random residence-facility pairs;
pandana snaps both ends to nodes, and its error is shown. It is measured for a few kinds and scaled to all.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import dijkstra

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _measuring import Timing, goal, machine_noise, timed
from _street_lattice import StreetLattice, lattice_network, street_lattice

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.live_times import LiveTimes
from gridsvc.circle.travel_times import (
    CIRCLE_LIMIT_S,
    PLANNING_SPEED_M_S,
    CompiledWalk,
    facility_counts,
    nearest_facilities,
    time_matrix,
)
from gridsvc.circle.walk_network import WalkNetwork

LIMIT_M = CIRCLE_LIMIT_S * PLANNING_SPEED_M_S
LIMITS_S = (300.0, 600.0, 900.0)


class City:
    """A network with residences and facilities at random places along its streets, up to 30 m off them."""

    def __init__(self, nodes: int, kinds: int, per_kind: int, seed: int) -> None:
        self.lattice: StreetLattice = street_lattice(nodes, seed=seed)
        self.network: WalkNetwork = lattice_network(self.lattice)
        self.kinds = kinds
        rng = np.random.default_rng(seed)
        self.residences = self._along_streets(rng, nodes // 3)
        self.facilities = self._along_streets(rng, kinds * per_kind)
        self.kind = np.arange(kinds * per_kind) % kinds
        self.spare = self._along_streets(rng, 200)

    def _along_streets(self, rng: np.random.Generator, count: int) -> Attachments:
        edge = rng.integers(0, len(self.lattice.edge_u), count)
        length = self.lattice.edge_length_m[edge]
        offset, access = rng.uniform(0, 1, count) * length, rng.uniform(0, 30, count)
        return Attachments(edge, access, offset, access + offset, access + length - offset)

    def places(self, attached: Attachments) -> np.ndarray:
        """Return the points of the streets that points are joined to."""
        u, v = (self.lattice.node_xy[ends[attached.edge]] for ends in (self.lattice.edge_u, self.lattice.edge_v))
        share = (attached.offset_m / self.lattice.edge_length_m[attached.edge])[:, np.newaxis]
        return u + share * (v - u)


def one(attached: Attachments, number: int) -> Attachments:
    """Return one of several attached points."""
    names = ("edge", "access_m", "offset_m", "to_u_m", "to_v_m")
    return Attachments(*(getattr(attached, name)[number : number + 1] for name in names))


def peak_gib() -> float:
    """Return the most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def warm_up() -> None:
    """Compile all kernels on a small network."""
    city = City(500, 10, 3, 1)
    walk = CompiledWalk(city.network)
    nearest_facilities(walk, None, city.facilities, city.kind, city.kinds)
    facility_counts(walk, city.residences, city.facilities, city.kind, city.kinds, LIMITS_S)
    time_matrix(walk, city.residences, one(city.facilities, 0))
    live = LiveTimes(walk, city.residences, city.facilities, city.kind, city.kinds)
    live.add_facility(one(city.spare, 0), 0)
    live.move_facility(0, one(city.spare, 1))
    numbers, _ = live.add_paths([0], [5], 10.0)
    live.set_edges(numbers, np.inf)
    live.set_edges(numbers, 5.0)
    live.undo()


def preparation(city: City) -> tuple[CompiledWalk, float]:
    """Compile the city; print and return CPU-seconds."""
    walk = CompiledWalk(city.network)
    began = time.process_time()
    _ = walk.hierarchy
    seconds = time.process_time() - began
    arcs = len(walk.hierarchy.up_node) / len(city.network.node_xy)
    print(f"gridsvc: preparation               {seconds:8.2f} s once   ({arcs:.1f} arcs a node)")
    other = timed(lambda: CompiledWalk(city.network, 0.8, node_rank=walk.hierarchy.graph.node_rank).hierarchy, runs=1)
    print(f"gridsvc: another walker            {other.median_s:8.2f} s once   (order of the nodes kept)")
    return walk, seconds


def whole_city(city: City, walk: CompiledWalk, runs: int) -> tuple[Timing[Any], float]:
    """Return CPU-seconds for all nodes, and the wall time for all residences."""
    nodes = timed(lambda: nearest_facilities(walk, None, city.facilities, city.kind, city.kinds), runs=runs)
    print(f"gridsvc: nearest, all nodes        {nodes}")
    wall = []

    def residences() -> Any:
        began = time.perf_counter()
        found = nearest_facilities(walk, city.residences, city.facilities, city.kind, city.kinds)
        wall.append(time.perf_counter() - began)
        return found

    homes = timed(residences, runs=runs)
    print(f"gridsvc: nearest, all residences   {homes}, wall {1000 * float(np.median(wall)):.0f} ms")
    return nodes, float(np.median(wall))


def what_if(city: City, walk: CompiledWalk) -> tuple[float, float]:
    """Print and return the 95th percentile wall time of a facility change and of a network change. Unit: s."""
    live = LiveTimes(walk, city.residences, city.facilities, city.kind, city.kinds)
    rng = np.random.default_rng(3)
    facility: list[float] = []
    reached = 0
    for turn in range(150):
        number, place = int(rng.integers(0, len(city.kind))), one(city.spare, turn)
        change = (
            lambda p=place, k=turn % city.kinds: live.add_facility(p, k)[1],
            lambda n=number: live.close_facility(n),
            lambda n=number, p=place: live.move_facility(n, p),
        )[turn % 3]
        began = time.perf_counter()
        reached += len(change().origin)
        facility.append(time.perf_counter() - began)
    network = []
    for _ in range(10):
        u = int(rng.integers(0, len(city.network.node_xy)))
        v = int(np.argmin(np.abs(np.hypot(*(city.network.node_xy - city.network.node_xy[u]).T) - 300.0)))
        began = time.perf_counter()
        numbers, _ = live.add_paths([u], [v], 250.0)
        middle = time.perf_counter()
        live.set_edges(numbers, np.inf)
        network += [middle - began, time.perf_counter() - middle]
    while live.changes:
        live.undo()
    fresh = nearest_facilities(walk, city.residences, city.facilities, city.kind, city.kinds)
    same = live.nearest.ticks.tobytes() == fresh.ticks.tobytes()
    worst, slowest = float(np.quantile(facility, 0.95)), float(np.quantile(network, 0.95))
    print(f"gridsvc: facility changed          p95 {1000 * worst:8.2f} ms of 150 (residences changed: {reached:,})")
    print(
        f"gridsvc: path added, closed        p95 {1000 * slowest:8.2f} ms of 20; after undoing all equal to anew: {same}"
    )
    return worst, slowest


def scipy_nodes(city: City, kinds: int) -> Timing[Any]:
    """Return CPU-seconds of scipy's bounded Dijkstra from all facilities of a kind at once, for all kinds; times only."""
    nodes = len(city.network.node_xy)
    u, v, m = city.lattice.edge_u, city.lattice.edge_v, city.lattice.edge_length_m
    at, source = city.facilities, nodes + city.kind
    rows = np.concatenate((u, v, source, source))
    columns = np.concatenate((v, u, u[at.edge], v[at.edge]))
    metres = np.concatenate((m, m, at.to_u_m, at.to_v_m))
    order = np.lexsort((metres, columns, rows))
    rows, columns, metres = rows[order], columns[order], metres[order]
    new = np.ones(len(rows), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    size = (nodes + city.kinds, nodes + city.kinds)
    graph = csr_array(coo_array((metres[new], (rows[new], columns[new])), shape=size))

    def run() -> np.ndarray:
        return np.array([dijkstra(graph, indices=nodes + k, limit=LIMIT_M)[:nodes] for k in range(kinds)])

    return timed(run, runs=1)


def pandana_peer(city: City, runs: int, some: int) -> dict[str, Any]:
    """Return what pandana takes for ``some`` of the kinds (scaled to all), its preparation, and its answers for them."""
    import pandana
    import pandas as pd

    nodes = pd.DataFrame(city.lattice.node_xy, columns=["x", "y"])
    edges = pd.DataFrame({"u": city.lattice.edge_u, "v": city.lattice.edge_v, "m": city.lattice.edge_length_m})
    places = city.places(city.facilities)
    began = time.process_time()
    net = pandana.Network(nodes.x, nodes.y, edges.u, edges.v, edges[["m"]])
    for k in range(some):
        here = places[city.kind == k]
        net.set_pois(f"k{k}", LIMIT_M, 1, here[:, 0], here[:, 1])
    prepared = time.process_time() - began

    def nearest() -> np.ndarray:
        columns = [net.nearest_pois(LIMIT_M, f"k{k}", num_pois=1, max_distance=np.inf)[1] for k in range(some)]
        return np.column_stack([column.to_numpy() for column in columns]) / PLANNING_SPEED_M_S

    found = timed(nearest, runs=runs)
    began = time.process_time()
    net.precompute(LIMIT_M)
    ranges = time.process_time() - began
    facility_node = net.get_node_ids(places[:, 0], places[:, 1]).to_numpy()

    def counts() -> None:
        for k in range(some):
            net.set(pd.Series(facility_node[city.kind == k]), name="facilities")
            for limit in LIMITS_S:
                net.aggregate(limit * PLANNING_SPEED_M_S, type="count", decay="flat", name="facilities")

    counted = timed(counts, runs=1)
    at = city.places(city.residences)
    home = net.get_node_ids(at[:, 0], at[:, 1]).to_numpy()
    return {
        "preparation": prepared,
        "nearest_s": found.median_s * city.kinds / some,
        "answer": found.answer,
        "ranges": ranges,
        "counts_s": counted.median_s * city.kinds / some,
        "home": home,
    }


def networkx_agreement(city: City, walk: CompiledWalk, pairs: int, seed: int) -> float:
    """Print and return the greatest difference from networkx, both ends split into the graph, over random pairs in reach."""
    import networkx

    rng = np.random.default_rng(seed)
    facility_xy, home_xy = city.places(city.facilities), city.places(city.residences)
    graph = networkx.Graph()
    u, v, m = city.lattice.edge_u, city.lattice.edge_v, city.lattice.edge_length_m
    graph.add_weighted_edges_from(zip(u.tolist(), v.tolist(), m.tolist(), strict=True))
    checked, worst = 0, 0.0
    while checked < pairs:
        f = int(rng.integers(0, len(city.kind)))
        near = np.flatnonzero(np.abs(home_xy - facility_xy[f]).max(axis=1) < LIMIT_M)[:200]
        origins = Attachments(
            *(getattr(city.residences, n)[near] for n in ("edge", "access_m", "offset_m", "to_u_m", "to_v_m"))
        )
        ours = time_matrix(walk, origins, one(city.facilities, f))[:, 0]
        truth = _split_graph_times(graph, city, f, near)
        both = np.isfinite(ours) & np.isfinite(truth)
        edge_of_limit = np.abs(np.nan_to_num(np.where(both, 0.0, np.minimum(ours, truth)), posinf=0.0))
        if (np.isfinite(ours) != np.isfinite(truth)).any() and (edge_of_limit[edge_of_limit > 0] < 899.9).any():
            worst = np.inf
        worst = max(worst, float(np.abs(ours[both] - truth[both]).max(initial=0.0)))
        checked += int(both.sum())
    print(f"networkx on the same split graph   greatest difference {worst:.6f} s over {checked:,} pairs in reach")
    return worst


def _split_graph_times(graph: Any, city: City, facility: int, homes: np.ndarray) -> np.ndarray:
    """Return networkx's seconds from a facility to residences, every door a node of its own on its edge."""
    import networkx

    on_edge: dict[int, list[tuple[float, str, float]]] = {}
    for name, attached, number in [("f", city.facilities, facility), *(("h", city.residences, int(h)) for h in homes)]:
        stop = (float(attached.offset_m[number]), f"{name}{number}", float(attached.access_m[number]))
        on_edge.setdefault(int(attached.edge[number]), []).append(stop)
    added = []
    for edge, stops in on_edge.items():
        before: Any = (0.0, int(city.lattice.edge_u[edge]))
        for at, name, access in sorted(stops):
            graph.add_edge(before[1], f"{name}*", weight=at - before[0])
            graph.add_edge(f"{name}*", name, weight=access)
            before = (at, f"{name}*")
            added += [name, f"{name}*"]
        graph.add_edge(before[1], int(city.lattice.edge_v[edge]), weight=city.lattice.edge_length_m[edge] - before[0])
    reach = networkx.single_source_dijkstra_path_length(graph, f"f{facility}", cutoff=LIMIT_M)
    graph.remove_nodes_from(added)
    return np.array([reach.get(f"h{h}", np.inf) for h in homes]) / PLANNING_SPEED_M_S


def compare(options: argparse.Namespace) -> None:
    """Measure one city against the peers."""
    city = City(options.nodes, options.kinds, options.per_kind, options.seed)
    print(
        f"{options.nodes:,} nodes, {len(city.lattice.edge_u):,} edges, {len(city.residences):,} residences, "
        f"{len(city.kind):,} facilities of {city.kinds} kinds, 15 minutes"
    )
    walk, prepared = preparation(city)
    nodes, wall = whole_city(city, walk, options.runs)
    counts = timed(
        lambda: facility_counts(walk, city.residences, city.facilities, city.kind, city.kinds, LIMITS_S),
        runs=options.runs,
    )
    print(f"gridsvc: counts in 5/10/15 min     {counts}, peak memory so far {peak_gib():.2f} GiB")
    worst, slowest = what_if(city, walk)
    peer = scipy_nodes(city, options.kinds)
    ours = nodes.answer.times_s
    theirs = peer.answer.T / PLANNING_SPEED_M_S
    both = np.isfinite(ours) & np.isfinite(theirs)
    print(
        f"scipy:   nearest, all nodes        {peer} (times only), {peer.median_s / nodes.median_s:.0f} times gridsvc; "
        f"greatest difference {np.abs(ours[both] - theirs[both]).max():.6f} s, in reach of one only: "
        f"{int((np.isfinite(ours) != np.isfinite(theirs)).sum())}"
    )
    print(goal("seconds of preparation (below 10)", 10.0 / prepared, 1.0, "{:.1f} times better"))
    print(goal("whole city in half a second, wall", 0.5 / wall, 1.0, "{:.1f} times better"))
    print(goal("facility changed in 50 ms", 0.05 / worst, 1.0, "{:.0f} times better"))
    print(goal("network changed in 1 s", 1.0 / slowest, 1.0, "{:.0f} times better"))
    if importlib.util.find_spec("networkx"):
        print(
            goal("0.1 s over difference from networkx", 0.1 / networkx_agreement(city, walk, 10_000, 5), 1.0, "{:.0f}")
        )
    if importlib.util.find_spec("pandana"):
        against_pandana(city, walk, nodes, counts, options)
    else:
        print("pandana is not installed; left out")


def against_pandana(
    city: City, walk: CompiledWalk, nodes: Timing[Any], counts: Timing[Any], options: argparse.Namespace
) -> None:
    """Measure pandana and print the ratios, and what snapping to nodes does to its times."""
    peer = pandana_peer(city, options.peer_runs, options.peer_kinds)
    print(
        f"pandana: preparation               {peer['preparation']:8.2f} s, and {peer['ranges']:.2f} s more for counts"
    )
    scaled = f"({options.peer_kinds} kinds measured, scaled to {city.kinds})"
    print(f"pandana: nearest, all nodes        {peer['nearest_s']:8.2f} s {scaled}")
    print(f"pandana: counts in 5/10/15 min     {peer['counts_s']:8.2f} s {scaled}")
    print(goal("nearest: times pandana", peer["nearest_s"] / nodes.median_s, 300, "{:.0f}"))
    print(goal("counts: times pandana", peer["counts_s"] / counts.median_s, 20, "{:.0f}"))
    print(
        goal(
            "counts with the preparation for them", (peer["counts_s"] + peer["ranges"]) / counts.median_s, 20, "{:.0f}"
        )
    )
    ours = nearest_facilities(walk, city.residences, city.facilities, city.kind, city.kinds).times_s[
        :, : options.peer_kinds
    ]
    theirs = peer["answer"][peer["home"]]
    theirs = np.where(theirs * PLANNING_SPEED_M_S >= LIMIT_M, np.inf, theirs)
    both = np.isfinite(ours) & np.isfinite(theirs)
    apart = np.abs(ours[both] - theirs[both])
    print(
        f"pandana's snapping to nodes: median {np.median(apart):.1f} s, 99 % {np.quantile(apart, 0.99):.1f} s, most "
        f"{apart.max():.0f} s; on the other side of 15 minutes {(np.isfinite(ours) != np.isfinite(theirs)).mean():.2%}"
    )


def growth(options: argparse.Namespace) -> None:
    """Measure three sizes, each in this process one after the other; peak memory is that so far."""
    for nodes in (150_000, 600_000, 2_400_000):
        city = City(nodes, options.kinds, options.per_kind * nodes // 600_000, options.seed)
        print(f"-- {nodes:,} nodes, {len(city.residences):,} residences, {len(city.kind):,} facilities")
        walk, _ = preparation(city)
        wall = timed(lambda: nearest_facilities(walk, city.residences, city.facilities, city.kind, city.kinds), runs=3)  # noqa: B023
        print(f"gridsvc: nearest, all residences   {wall}")
        counts = timed(
            lambda: facility_counts(walk, city.residences, city.facilities, city.kind, city.kinds, (900.0,)),  # noqa: B023
            runs=1,
        )
        print(f"gridsvc: counts in 15 min          {counts}")
        print(goal("3 GiB over peak memory", 3.0 / peak_gib(), 1.0, "{:.2f}"), f"({peak_gib():.2f} GiB)")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=600_000)
    parser.add_argument("--kinds", type=int, default=40)
    parser.add_argument("--per-kind", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer-runs", type=int, default=1, help="runs of pandana")
    parser.add_argument(
        "--peer-kinds", type=int, default=4, help="kinds measured of pandana; it takes seconds for each"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--growth", action="store_true", help="three sizes, without peers")
    options = parser.parse_args()
    print(machine_noise())
    warm_up()
    if options.growth:
        growth(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
