"""The ground of a real district: its own streets and boundary, cleaned just enough to close blocks. Projected CRS, unit m."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.errors import GeometryError
from gridsvc.synth.blocks import GRID_M, close_loose_ends
from gridsvc.synth.ground import Ground, Streets
from gridsvc.synth.street_network import NO_WALK, main_networks

Geometries = NDArray[np.object_]

MARGIN_M = 300.0  # streets this far outside are kept, so that ways round the border stay connected
SMALLEST_PART_M2 = 10_000.0
_LONGEST_PIECE_M = 200.0
FAR_FROM_STREETS_M = 170.0
FAR_FROM_SIDE_STREETS_M = 260.0
SMALLEST_OPEN_LAND_M2 = 20_000.0
LEAST_ROOM_M2 = 40_000.0  # of one community, streets included


def real_ground(boundary: shapely.Geometry, streets: Streets, *, communities: int) -> Ground:
    """Return the ground of a real district; districts beside it, made by themselves, meet it in the boundary as given.

    Parameters
    ----------
    boundary
        Valid polygon or multipolygon.
    streets
        Lines as drawn; those further than `MARGIN_M` outside are left out.
    communities
        How many have to find room.

    Raises
    ------
    GeometryError
        When no street touches the boundary, or the boundary has no area.
    """
    area = _tidy_boundary(boundary)
    keep = np.flatnonzero(shapely.dwithin(streets.lines, area, MARGIN_M))
    if not len(keep) or not shapely.intersects(streets.lines[keep], area).any():
        raise GeometryError(
            "No street lies inside of the boundary.",
            hint="Check that both files show the same place and that --datum and --streets-datum are right.",
        )
    kept = _without_detached(_on_grid(streets, keep), area)
    inside = shapely.intersects(kept.lines, area)
    ties = close_loose_ends(kept.lines[inside], area)
    return Ground(
        area,
        kept,
        cuts=[tie for tie in ties if tie.length > 0],
        centre_xy=_densest(kept.lines[inside], area.centroid),
        open_land=_open_land(area, kept, communities * LEAST_ROOM_M2),
        outline=shapely.boundary(boundary),
    )


def _open_land(area: shapely.Geometry, streets: Streets, least_room_m2: float) -> list[shapely.Geometry]:
    """Return what lies far from every street with side streets: open water, yards, hills, as far as streets can tell.

    A main road alone (a bridge, a dyke, an approach) brings no houses; expressways never do. Where the rest is less than
    ``least_room_m2`` the streets are not the whole network, and they tell nothing.
    """
    lines = shapely.simplify(streets.lines, 5.0)
    is_main = np.array([c.removesuffix("_link") == "primary" for c in streets.street_class])
    is_side = ~is_main & np.array([c not in NO_WALK for c in streets.street_class])
    side = shapely.union_all(shapely.buffer(lines[is_side], FAR_FROM_STREETS_M, quad_segs=2))
    around_side = shapely.union_all(shapely.buffer(lines[is_side], FAR_FROM_SIDE_STREETS_M, quad_segs=2))
    main = shapely.union_all(shapely.buffer(lines[is_main], FAR_FROM_STREETS_M, quad_segs=2))
    reach = shapely.union(side, shapely.intersection(main, around_side))
    land = [part for part in shapely.get_parts(shapely.difference(area, reach)) if part.area >= SMALLEST_OPEN_LAND_M2]
    return land if area.area - sum(part.area for part in land) >= least_room_m2 else []


def _tidy_boundary(boundary: shapely.Geometry) -> shapely.Geometry:
    """Return the boundary on the grid, without crumbs and pinholes, long sides cut so that they bend with the projection."""
    area = shapely.set_precision(shapely.make_valid(boundary, method="structure"), GRID_M)
    parts = [part for part in shapely.get_parts(area) if shapely.get_type_id(part) == 3]
    parts = [part for part in parts if part.area >= SMALLEST_PART_M2] or parts
    if not parts or sum(part.area for part in parts) < 1.0:
        raise GeometryError("The boundary has no area.", hint="Give a polygon layer.")
    whole = shapely.segmentize(shapely.union_all(parts), _LONGEST_PIECE_M)
    return shapely.set_precision(whole, GRID_M)


def _on_grid(streets: Streets, keep: NDArray[np.int64]) -> Streets:
    """Return some of the streets with vertices on the grid; what collapses is left out."""
    lines = shapely.transform(streets.lines[keep], lambda xy: np.round(xy, 2))
    lines = shapely.remove_repeated_points(lines)
    stays = np.flatnonzero(shapely.length(lines) > 2 * GRID_M)
    keep = keep[stays]
    return Streets(
        lines[stays], [streets.street_class[i] for i in keep], [streets.name[i] for i in keep], streets.layer[keep]
    )


def _without_detached(streets: Streets, area: shapely.Geometry) -> Streets:
    """Return the streets without those outside of ``area`` that hang on nothing inside."""
    stays = np.flatnonzero(
        main_networks(streets.lines, np.ones(len(streets.lines), dtype=bool)) | shapely.intersects(streets.lines, area)
    )
    return Streets(
        streets.lines[stays],
        [streets.street_class[i] for i in stays],
        [streets.name[i] for i in stays],
        streets.layer[stays],
    )


def _densest(lines: Geometries, fallback: shapely.Point) -> tuple[float, float]:
    """Return the middle of the densest streets: the old centre of the town, about."""
    xy = shapely.get_coordinates(shapely.line_interpolate_point(lines, 0.5, normalized=True))
    if len(xy) < 20:
        return (fallback.x, fallback.y)
    cell = np.floor(xy / 1000.0).astype(np.int64)
    places, count = np.unique(cell, axis=0, return_counts=True)
    best = places[int(np.argmax(count))]
    return (float(best[0] * 1000 + 500), float(best[1] * 1000 + 500))
