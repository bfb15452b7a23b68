"""Small towns for the division tests: a community with streets, compounds, buildings and walls. Metric, near Wuhan."""

from __future__ import annotations

import numpy as np
import shapely

from gridsvc.division.communities import CommunityInput

ORIGIN = np.array([525_000.37, 3_385_000.73])


def lines(*paths):
    """Return LineStrings of paths given in metres from ORIGIN."""
    made = np.empty(len(paths), dtype=object)
    made[:] = [shapely.LineString(np.asarray(path, dtype=float) + ORIGIN) for path in paths]
    return made


def box(x0, y0, x1, y1):
    """Return a rectangle given in metres from ORIGIN."""
    return shapely.box(x0 + ORIGIN[0], y0 + ORIGIN[1], x1 + ORIGIN[0], y1 + ORIGIN[1])


def boxes(*corners):
    """Return rectangles given in metres from ORIGIN."""
    made = np.empty(len(corners), dtype=object)
    made[:] = [box(*corner) for corner in corners]
    return made


def building_rows(width, height, *, block=130.0, street=20.0, depth=14.0, length=45.0, spacing=32.0):
    """Return slab buildings in rows inside square blocks between streets."""
    found = []
    for bx in np.arange(0, width, block):
        for by in np.arange(0, height, block):
            right, top = min(bx + block, width) - street / 2 - 4, min(by + block, height) - street / 2 - 4
            for y in np.arange(by + street / 2 + 6, top - depth, spacing):
                for x in np.arange(bx + street / 2 + 6, right - length, length + 8):
                    found.append((x, y, x + length, y + depth))
    return boxes(*found)


def town(*, width=520.0, height=480.0, block=130.0, households_each=32, seed=1, code="420103001001", **changes):
    """Return a community of square blocks with rows of slabs; any field of CommunityInput can be overridden."""
    rng = np.random.default_rng(seed)
    xs = np.arange(block, width - 1, block)
    ys = np.arange(block, height - 1, block)
    paths = [[(x, -30), (x, height + 30)] for x in xs] + [[(-30, y), (width + 30, y)] for y in ys]
    buildings = changes.pop("buildings", building_rows(width, height, block=block))
    households = changes.pop(
        "households", rng.integers(households_each // 2, households_each * 3 // 2 + 1, len(buildings))
    )
    fields = {
        "code": code,
        "boundary": box(0, 0, width, height),
        "streets": lines(*paths),
        "buildings": buildings,
        "households": households,
        "population": np.asarray(households) * 3,
    }
    return CommunityInput(**(fields | changes))
