"""Points that belong to several grids by geometry and to one by the rule."""

from __future__ import annotations

import itertools

import numpy as np
import shapely


def shared_points(shapes):
    """Return x and y of all vertices of grids, and of the middles of the edges that two of them share, as doubles and as stored."""
    rings = [shapely.get_coordinates(ring) for ring in shapely.get_rings(shapely.get_parts(shapes))]
    seen, middles = set(), []
    for ring in rings:
        for a, b in itertools.pairwise(map(tuple, ring.tolist())):
            edge = (min(a, b), max(a, b))
            if edge in seen:
                middles.append(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2))
            seen.add(edge)
    assert middles, "no two grids share an edge"
    return np.unique(np.concatenate([*rings, middles, np.round(middles, 9)]), axis=0).T
