"""Small partitions with shared vertices, made here so that tests of the geo room need no other room."""

from __future__ import annotations

import itertools

import numpy as np
import shapely

from gridsvc.geo import projections

ORIGIN_M = (450_000.0, 4_419_000.0)  # near 116.4 E 39.9 N in EPSG:4548
EPSG = 4548


def jittered_quads(columns=4, rows=3, *, size_m=100.0, jitter=0.3, seed=1, origin=ORIGIN_M):
    """Return ``(boundary, grids)`` in EPSG:4548: quadrilaterals that share their corners, row by row from the south-west."""
    draw = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(columns + 1.0), np.arange(rows + 1.0))
    inner = np.zeros(x.shape, dtype=bool)
    inner[1:-1, 1:-1] = True
    x = x + np.where(inner, draw.uniform(-jitter, jitter, x.shape), 0.0)
    y = y + np.where(inner, draw.uniform(-jitter, jitter, y.shape), 0.0)
    corners = np.stack([x, y], axis=-1) * size_m + origin
    grids = [
        shapely.Polygon([corners[r, c], corners[r, c + 1], corners[r + 1, c + 1], corners[r + 1, c]])
        for r in range(rows)
        for c in range(columns)
    ]
    edge = [*corners[0, :-1], *corners[:-1, -1], *corners[-1, :0:-1], *corners[:0:-1, 0]]
    return shapely.Polygon(edge), np.array(grids, dtype=object)


def with_t_junctions(grids, *, seed=1):
    """Return the grids with extra vertices on half of their edges, known to one side only (off the line by rounding)."""
    draw = np.random.default_rng(seed)
    bent = []
    for grid in grids:
        ring = shapely.get_coordinates(grid.exterior)
        vertices = []
        for start, end in itertools.pairwise(ring):
            vertices.append(start)
            if draw.random() < 0.5:
                vertices.append(start + (end - start) * draw.uniform(0.2, 0.8))
        bent.append(shapely.Polygon(vertices))
    return np.array(bent, dtype=object)


def stored(grids, epsg=EPSG):
    """Return metric grids as stored: lon lat, 9 decimals."""
    return projections.to_storage(grids, epsg)


def codes_of(grids, community="110101001001"):
    """Return a grid code for each grid, in order."""
    return [f"{community[:9]}{int(community[9:]) + i // 999:03d}{i % 999 + 1:03d}" for i in range(len(grids))]
