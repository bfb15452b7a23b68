"""A town whose borders wind like streets and streams: squares of communities, each of so many grids a side, one with an island in it."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely

from tests.factories.stored_town import frame

DISTRICT, STREET = "420103", "420103001"
WEST, SOUTH = 114.25, 30.58


def winding_cells(columns: int, rows: int, *, side: float, points: int = 24, seed: int = 1) -> np.ndarray:
    """Return columns x rows polygons, row by row from the south-west, that share ``points`` winding vertices with each neighbour.

    ``side`` is in degrees. Corners are moved, and every border is a line of three waves, so that simplifying it matters.
    """
    random = np.random.default_rng(seed)
    corners = np.stack(np.meshgrid(np.arange(columns + 1.0), np.arange(rows + 1.0)), axis=-1)
    corners += random.uniform(-0.2, 0.2, corners.shape)
    along = np.linspace(0, 1, points + 2)[:, None]

    def line(start, end):
        across = np.array([start[1] - end[1], end[0] - start[0]])
        size = random.uniform(-1, 1, 3) * (0.06, 0.04, 0.015)
        wave = np.sin(np.pi * along) * sum(a * np.sin(np.pi * k * along) for a, k in zip(size, (1, 4, 11), strict=True))
        return np.round([WEST, SOUTH] + side * (start + along * (end - start) + wave * across), 9)

    level = [[line(corners[r, c], corners[r, c + 1]) for c in range(columns)] for r in range(rows + 1)]
    upright = [[line(corners[r, c], corners[r + 1, c]) for c in range(columns + 1)] for r in range(rows)]
    rings = [
        np.concatenate([level[r][c], upright[r][c + 1][1:], level[r + 1][c][::-1][1:], upright[r][c][::-1][1:]])
        for r in range(rows)
        for c in range(columns)
    ]
    return np.array([shapely.Polygon(ring) for ring in rings], dtype=object)


def with_island(cell: shapely.Polygon, *, side: float) -> tuple[shapely.Polygon, shapely.Polygon]:
    """Return the cell with a round hole, and what fills it."""
    centre, turn = shapely.get_coordinates(cell.centroid)[0], np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = side * (0.15 + 0.03 * np.sin(5 * turn))
    island = shapely.Polygon(np.round(centre + np.column_stack([np.cos(turn), np.sin(turn)]) * radius[:, None], 9))
    return shapely.Polygon(cell.exterior, [island.exterior.coords]), island


def town_frames(
    communities: int = 3, grids: int = 3, *, side: float = 0.003, network: str = "social", kind: str = "governance"
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Return divisions and grids of communities x communities squares of grids x grids each; the first grid has an island in it.

    ``side`` is that of a grid. Unit: degrees.
    """
    wide = communities * grids
    cells = list(winding_cells(wide, wide, side=side))
    home = [(i // wide // grids) * communities + (i % wide) // grids for i in range(len(cells))]
    cells[0], island = with_island(cells[0], side=side)
    cells.append(island)
    home.append(0)
    names = [f"{STREET}{i + 1:03d}" for i in range(communities**2)]
    serial = [sum(1 for other in home[: i + 1] if other == where) for i, where in enumerate(home)]
    codes = [f"{names[where]}{number:03d}" for where, number in zip(home, serial, strict=True)]
    shapes = np.array(cells, dtype=object)
    columns = {"network": network, "kind": kind, "code": codes, "community_code": [names[where] for where in home]}
    about = {"name": "", "households": 400, "population": 1200, "area_m2": 90_000.0}
    whole = [shapely.coverage_union_all(shapes[np.array(home) == i]) for i in range(len(names))]
    every = shapely.coverage_union_all(shapes)
    divided = frame(
        {
            "code": [DISTRICT, STREET, *names],
            "name": ["江汉区", "民族街道", *[f"第{i + 1}社区" for i in range(len(names))]],
            "level": ["district", "street", *["community"] * len(names)],
            "parent_code": [None, DISTRICT, *[STREET] * len(names)],
            "urban_rural_class": [None, None, *[111] * len(names)],
        },
        [shapely.MultiPolygon([s]) if s.geom_type == "Polygon" else s for s in (every, every, *whole)],
    )
    return divided, frame(columns | about, shapes).sort_values("code", ignore_index=True)


def put_grids(uow, grids: gpd.GeoDataFrame, at, *, communities: list[str] | None = None) -> None:
    """Put grids of one network in force from ``at``."""
    network = grids["network"].iloc[0]
    within = communities or [DISTRICT]
    redraw = uow.redraws.open_draft(network, within[0], "edited", "test", at)
    uow.redraws.put_grids(redraw, grids)
    uow.redraws.approve(redraw, "test", at, at, {})
