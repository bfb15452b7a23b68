"""Right to the door: points attached to the nearest point of an edge, not to the nearest node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridsvc.circle.edge_grid import nearest_edges, piece_offsets
from gridsvc.circle.walk_network import NO_GATE, Floats, Ints, Lines, Numbers, WalkNetwork, edge_seconds
from gridsvc.errors import CoordinateError, GeometryError

MAX_ACCESS_M = 300.0  # our choice: a door further than this from every street has no known way to it


@dataclass(frozen=True, eq=False, slots=True)
class Attachments:
    """Points attached to the nearest point of an edge; one entry per point, in the order given.

    ``edge`` is -1 where no edge lies within reach, and the metres are then infinite. ``to_u_m`` and ``to_v_m`` are the
    whole walk from the point to the ends of its edge: the access leg, then along the edge. Its time is `end_seconds`.
    """

    edge: Ints
    access_m: Floats
    offset_m: Floats
    to_u_m: Floats
    to_v_m: Floats

    def __len__(self) -> int:
        return len(self.edge)

    @property
    def is_attached(self) -> NDArray[np.bool_]:
        """True where an edge lies within reach."""
        return self.edge >= 0


_NO_COMPOUNDS = np.empty(0, dtype=np.int32)


def attach_points(
    network: WalkNetwork, xy: ArrayLike, *, max_access_m: float = MAX_ACCESS_M, compound: ArrayLike | None = None
) -> Attachments:
    """Return where points join the network: the nearest point of the nearest edge, not the nearest node.

    Parameters
    ----------
    xy
        Shape (n, 2), columns x, y, in the CRS of the network. Unit: m.
    max_access_m
        Points further than this from every edge stay unattached.
    compound
        Number of the walled compound each point lies in, -1 for none: it takes only edges of the same number. None lets every
        point take any edge.

    Raises
    ------
    CoordinateError
        When a coordinate is NaN or infinite.

    Notes
    -----
    The access leg is a straight line. Edges that pass a gate or a wall take nobody. Of edges equally near, the one with the lowest number is taken.
    Cost: about 1 µs a point once the grid is there, see ``benchmarks/attach_points.py``.
    """
    places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(places).all():
        bad = int(np.flatnonzero(~np.isfinite(places).all(axis=1))[0])
        raise CoordinateError(
            f"Point {bad} has no finite position: {places[bad].tolist()}.", hint="Give x and y in metres."
        )
    grid = network.edge_grid
    own = _NO_COMPOUNDS if compound is None else np.asarray(compound, dtype=np.int32)
    piece, access = nearest_edges(grid, network.vertex_xy, places, max_access_m, network.edge_compound, own)
    edge = np.where(piece >= 0, grid.edge_of[piece], -1).astype(np.int64)
    offset = piece_offsets(network.vertex_xy, network.edge_first_vertex, grid.edge_of, piece, places)
    length = np.where(piece >= 0, network.edge_length_m[edge], np.inf)
    offset = np.minimum(offset, length)
    rest = np.where(piece >= 0, length - np.where(piece >= 0, offset, 0.0), np.inf)
    return Attachments(edge, access, offset, access + offset, access + rest)


def attach_areas(
    network: WalkNetwork,
    outlines: ArrayLike,
    *,
    entrances: ArrayLike | None = None,
    entrance_of: ArrayLike | None = None,
    max_access_m: float = MAX_ACCESS_M,
    compound: ArrayLike | None = None,
    entrance_compound: ArrayLike | None = None,
) -> tuple[Attachments, Ints]:
    """Return where areas (a park, a school ground) join the network, and the number of the area of each attachment.

    An area with entrances is entered by any of them. One without is entered wherever a street crosses its outline; where none does,
    at the point of its outline nearest to a street. The access leg is the way to the outline, not into the area.

    Parameters
    ----------
    outlines
        Polygons or MultiPolygons, in the CRS of the network.
    entrances, entrance_of
        Points of all entrances, shape (n, 2), and the number of the area of each.
    compound, entrance_compound
        Numbers of the walled compounds that areas and entrances lie in, -1 for none: they take only edges of the same number. None
        lets them take any edge.

    Returns
    -------
    attached, area
        At least one attachment for each area, ordered by area; unattached where nothing is within reach.

    Raises
    ------
    GeometryError
        When an outline is empty or no area, or an entrance belongs to none.
    """
    areas = np.asarray(outlines, dtype=object).reshape(-1)
    shapes = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    wrong = np.flatnonzero(~np.isin(shapely.get_type_id(areas), shapes) | shapely.is_empty(areas))
    if len(wrong):
        raise GeometryError(f"Outline {wrong[0]} is no area.", hint="Give polygons that are not empty.")
    places = np.empty((0, 2)) if entrances is None else np.asarray(entrances, dtype=np.float64).reshape(-1, 2)
    owner = np.empty(0, dtype=np.int64) if entrance_of is None else np.asarray(entrance_of, dtype=np.int64)
    if len(places) != len(owner) or ((owner < 0) | (owner >= len(areas))).any():
        raise GeometryError("Not every entrance belongs to an area.", hint="Give the number of its area for each.")
    closed = np.setdiff1d(np.arange(len(areas)), owner)
    borders = shapely.boundary(areas[closed])
    if compound is None:
        found, of = _outline_places(network, borders, max_access_m)
        within = None
    else:
        inside = np.asarray(compound, dtype=np.int32)
        found, of = _outline_places_by_compound(network, borders, inside[closed], max_access_m)
        doors = np.full(len(places), -1) if entrance_compound is None else np.asarray(entrance_compound)
        within = np.concatenate((doors, inside[closed[of]])).astype(np.int32)
    xy, area = np.concatenate((places, found)), np.concatenate((owner, closed[of]))
    order = np.lexsort((xy[:, 1], xy[:, 0], area))
    attached = attach_points(
        network, xy[order], max_access_m=max_access_m, compound=None if within is None else within[order]
    )
    return attached, area[order]


def _outline_places_by_compound(
    network: WalkNetwork, borders: Lines, compound: Numbers, max_access_m: float
) -> tuple[Floats, Ints]:
    """Return the points of `_outline_places`, each border meeting only the edges of the compound it lies in."""
    places, owners = [np.empty((0, 2))], [np.empty(0, dtype=np.int64)]
    for number in np.unique(compound):
        here = np.flatnonzero(compound == number)
        found, of = _outline_places(network, borders[here], max_access_m, network.edge_compound == number)
        places.append(found)
        owners.append(here[of])
    return np.concatenate(places), np.concatenate(owners)


def _outline_places(
    network: WalkNetwork, borders: Lines, max_access_m: float, allowed: NDArray[np.bool_] | None = None
) -> tuple[Floats, Ints]:
    """Return the points of borders that streets cross; where none does, the one nearest to a street, or any; and whose they are."""
    is_street = network.edge_gate == NO_GATE
    if allowed is not None:
        is_street = is_street & allowed
    streets = np.flatnonzero(is_street)
    border, edge = network.tree.query(borders, predicate="intersects")
    street = is_street[edge]
    border, edge = border[street], edge[street]
    crossing, pair = shapely.get_coordinates(
        shapely.intersection(borders[border], network.edge_lines[edge]), return_index=True
    )
    crossed = border[pair]
    rest = np.setdiff1d(np.arange(len(borders)), border)
    # the box of an edge may be near where the edge is not: nearest by shapely, the lowest number on ties
    tree = network.tree if len(streets) == len(network.edge_u) else shapely.STRtree(network.edge_lines[streets])
    near, nearest = tree.query_nearest(borders[rest], max_distance=max_access_m)
    order = np.lexsort((-nearest, near))
    best = np.full(len(rest), -1, dtype=np.int64)
    best[near[order]] = streets[nearest[order]]
    place = shapely.get_coordinates(shapely.get_point(shapely.get_geometry(borders[rest], 0), 0))
    on = best >= 0
    legs = shapely.shortest_line(borders[rest[on]], network.edge_lines[best[on]])
    place[on] = shapely.get_coordinates(shapely.get_point(legs, 0))
    return np.concatenate((crossing, place)), np.concatenate((crossed, rest))


def end_seconds(network: WalkNetwork, attached: Attachments, speed_m_s: float) -> tuple[Floats, Floats]:
    """Return the seconds from each point to the ends u and v of its edge, access leg included; infinite where unattached."""
    to_u, to_v = np.full(len(attached), np.inf), np.full(len(attached), np.inf)
    on = attached.is_attached
    edge = attached.edge[on]
    share = attached.offset_m[on] / network.edge_length_m[edge]
    whole = edge_seconds(network, speed_m_s)[edge]
    access = attached.access_m[on] / speed_m_s
    to_u[on], to_v[on] = access + share * whole, access + (1.0 - share) * whole
    return to_u, to_v
