"""Street lines for tests of walking: a square net of streets with 100 m blocks, metric coordinates, origin (0, 0)."""

from __future__ import annotations

import numpy as np
import shapely

from gridsvc.circle.walk_network import WalkNetwork, build_walk_network


def street_net(columns: int = 4, rows: int = 4, block_m: float = 100.0) -> list[shapely.LineString]:
    """Return the streets between neighbouring corners of a net of ``columns`` by ``rows`` blocks."""
    east = [
        shapely.LineString([(i * block_m, j * block_m), ((i + 1) * block_m, j * block_m)])
        for j in range(rows + 1)
        for i in range(columns)
    ]
    north = [
        shapely.LineString([(i * block_m, j * block_m), (i * block_m, (j + 1) * block_m)])
        for j in range(rows)
        for i in range(columns + 1)
    ]
    return east + north


def net_network(columns: int = 4, rows: int = 4, block_m: float = 100.0) -> WalkNetwork:
    """Return the walking network of :func:`street_net`."""
    return build_walk_network(street_net(columns, rows, block_m))


def crooked_net(seed: int, columns: int = 6, rows: int = 6, kept: float = 0.8) -> list[shapely.LineString]:
    """Return a net with uneven blocks, bent streets and some missing; may fall into several components."""
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(40, 160, columns + 1))
    y = np.cumsum(rng.uniform(40, 160, rows + 1))
    lines = []
    for i in range(columns + 1):
        for j in range(rows + 1):
            for to_i, to_j in ((i + 1, j), (i, j + 1)):
                if to_i <= columns and to_j <= rows and rng.random() < kept:
                    bend = (np.array([x[i] + x[to_i], y[j] + y[to_j]]) / 2) + rng.uniform(-15, 15, 2)
                    lines.append(shapely.LineString([(x[i], y[j]), bend, (x[to_i], y[to_j])]))
    return lines
