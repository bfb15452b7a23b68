"""Isochrones of 5, 10 and 15 minutes: time of the kernel part, and agreement with a finely sampled truth.

    python benchmarks/isochrones.py [--nodes 600000] [--points 200] [--truths 20]

Streets are made up (see _street_lattice.py); points lie at random places along them. The truth is a field of cells of 2 m in which every
cell asks for its nearest street by itself and is in or out by its own time; agreement is intersection over union of the
polygon with those cells. For comparison, street pieces reached, buffered by 25 m, as many tools draw them.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _measuring import goal, machine_noise, table
from _street_lattice import lattice_network, street_lattice

from gridsvc.circle.attachments import Attachments, attach_points
from gridsvc.circle.isochrones import CELL_M, SIDE_M, IsochroneWalk, isochrones_from
from gridsvc.circle.travel_times import CompiledWalk, time_matrix
from gridsvc.circle.walk_network import WalkNetwork

MINUTES = (5, 10, 15)
FINE_M = 2.0


def random_origins(network: WalkNetwork, count: int, seed: int) -> list[Attachments]:
    """Return attached points at random places along the streets, up to 20 m off them."""
    rng = np.random.default_rng(seed)
    edge = rng.integers(0, len(network.edge_u), count)
    length = network.edge_length_m[edge]
    offset, access = rng.uniform(0, 1, count) * length, rng.uniform(0, 20, count)
    whole = Attachments(edge, access, offset, access + offset, access + length - offset)
    names = ("edge", "access_m", "offset_m", "to_u_m", "to_v_m")
    return [Attachments(*(getattr(whole, name)[i : i + 1] for name in names)) for i in range(count)]


def piece_of(network: WalkNetwork, box: tuple[float, float, float, float]) -> tuple[WalkNetwork, np.ndarray]:
    """Return the streets that touch a box as a network of their own, and the numbers of its edges."""
    u, v = network.node_xy[network.edge_u], network.node_xy[network.edge_v]
    low, high = np.minimum(u, v), np.maximum(u, v)
    near = (high[:, 0] >= box[0]) & (high[:, 1] >= box[1]) & (low[:, 0] <= box[2]) & (low[:, 1] <= box[3])
    edge = np.flatnonzero(near)
    nodes, ends = np.unique(np.concatenate((network.edge_u[edge], network.edge_v[edge])), return_inverse=True)
    count = len(edge)
    small = WalkNetwork(
        node_xy=network.node_xy[nodes],
        edge_u=ends[:count],
        edge_v=ends[count:],
        edge_length_m=network.edge_length_m[edge],
        vertex_xy=np.stack((u[edge], v[edge]), axis=1).reshape(-1, 2),
        edge_first_vertex=np.arange(0, 2 * count + 1, 2),
        edge_penalty_s=np.zeros(count),
        edge_gate=np.full(count, -1, dtype=np.int32),
        edge_closed_by=np.full(count, -1, dtype=np.int32),
        edge_compound=np.full(count, -1, dtype=np.int32),
    )
    return small, edge


def agreements(ready: IsochroneWalk, origin: Attachments) -> tuple[list[float], list[float]]:
    """Return intersection over union with the truth by minutes, of our polygons and of buffered streets."""
    areas = isochrones_from(ready, origin, MINUTES)
    min_x, min_y, max_x, max_y = areas[-1].bounds
    box = (min_x - 40, min_y - 40, max_x + 40, max_y + 40)
    small, edges = piece_of(ready.walk.network, tuple(np.add(box, (-1500, -1500, 1500, 1500))))
    x, y = np.arange(box[0], box[2], FINE_M), np.arange(box[1], box[3], FINE_M)
    cells = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    attached = attach_points(small, cells, max_access_m=SIDE_M)
    here = Attachments(
        np.searchsorted(edges, origin.edge), origin.access_m, origin.offset_m, origin.to_u_m, origin.to_v_m
    )
    walk = CompiledWalk(small, ready.walk.speed_m_s)
    times = time_matrix(walk, here, attached)[0]
    ours, buffered = [], []
    middle = small.vertex_xy.reshape(-1, 2, 2).mean(axis=1)
    middles = time_matrix(walk, here, attach_points(small, middle))[0]
    for area, limit in zip(areas, MINUTES, strict=True):
        truth = times <= limit * 60.0
        shapely.prepare(area)
        inside = shapely.contains_xy(area, cells)
        ours.append((inside & truth).sum() / (inside | truth).sum())
        streets = small.edge_lines[middles <= limit * 60.0]
        drawn = shapely.union_all(shapely.buffer(streets, 25.0))
        shapely.prepare(drawn)
        inside = shapely.contains_xy(drawn, cells)
        buffered.append((inside & truth).sum() / (inside | truth).sum())
    return ours, buffered


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=600_000)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--truths", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(machine_noise())
    network = lattice_network(street_lattice(options.nodes, seed=options.seed))
    ready = IsochroneWalk(CompiledWalk(network))
    origins = random_origins(network, options.points, options.seed)
    began = time.process_time()
    isochrones_from(ready, origins[0], MINUTES)
    print(f"{options.nodes:,} nodes; made ready in {time.process_time() - began:.2f} CPU-s, once")
    wall, cpu = [], []
    for origin in origins:
        started, used = time.perf_counter(), time.process_time()
        isochrones_from(ready, origin, MINUTES)
        wall.append(1000 * (time.perf_counter() - started))
        cpu.append(1000 * (time.process_time() - used))
    rows = [
        [name, *(f"{np.quantile(values, part):.1f}" for part in (0.5, 0.95, 1.0))]
        for name, values in (("wall", wall), ("CPU", cpu))
    ]
    print(table(["ms for 5, 10 and 15 minutes", "p50", "p95", "most"], rows))
    found = [agreements(ready, origin) for origin in origins[: options.truths]]
    ours, buffered = (np.array([pair[part] for pair in found]) for part in (0, 1))
    rows = [
        [name, *(f"{value:.4f}" for value in values.mean(axis=0)), f"{values.min():.4f}"]
        for name, values in ((f"gridsvc, {CELL_M:g} m field", ours), ("streets buffered by 25 m", buffered))
    ]
    print(table([f"agreement, {options.truths} places", "5 min", "10 min", "15 min", "worst"], rows))
    print(goal("25 ms over p95", 25.0 / float(np.quantile(wall, 0.95)), 1.0, "{:.2f}"))
    print(goal("agreement at 15 minutes, mean", float(ours[:, 2].mean()), 0.98, "{:.4f}"))


if __name__ == "__main__":
    main()
