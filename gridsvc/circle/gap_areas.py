"""Gaps of a service circle as areas: the ground of neighbouring residences whose people do not reach a kind in time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import Polygon

from gridsvc.circle.walk_network import Ints
from gridsvc.errors import RequestInvalidError

REACH_M = 30.0  # our design: residences up to 60 m apart make one area
_CORNER = 1.5  # how far a corner of a widened footprint may lie from its own corner, in reaches
_RIM_M = 5.0  # what is left around each building, so that areas are seen and hold their buildings


@dataclass(frozen=True, eq=False, slots=True)
class GapArea:
    """Ground where people live who do not reach a kind in time.

    Attributes
    ----------
    kind
        Column of the kind.
    area
        Valid polygon that holds the ground of every residence in it. CRS: that of the grounds.
    members
        Numbers of the residences counted, rising.
    """

    kind: int
    area: Polygon
    members: Ints
    residences: int
    households: int
    population: int


def gap_areas(
    grounds: NDArray[np.object_],
    is_lacking: NDArray[np.bool_],
    *,
    population: ArrayLike,
    households: ArrayLike,
    reach_m: float = REACH_M,
    least_people: int = 1,
) -> list[GapArea]:
    """Return for each kind the areas where people live who lack it.

    Every residence with people that lacks a kind is in exactly one area of that kind. An area may also hold ground between its
    residences, and residences there that do reach the kind; those are not counted.

    Parameters
    ----------
    grounds
        Footprints of the residences (points are fine, too). CRS: projected, metres. Shape: (residences,).
    is_lacking
        Shape (residences, kinds).
    population, households
        People and households of each residence; residences without people make no area.
    reach_m
        Residences up to twice this apart make one area; corner to corner up to three times. Unit: m, more than 5 and up to 500.
    least_people
        Areas with fewer people are left out.

    Returns
    -------
    areas
        By kind, then by falling population, then by min_x and min_y.

    Raises
    ------
    RequestInvalidError
        When ``reach_m`` is out of range.

    Notes
    -----
    Source: our design. Footprints are widened by ``reach_m`` with their corners kept, joined, and narrowed again up to a rim of 5 m.
    """
    if not _RIM_M < reach_m <= 500.0:
        raise RequestInvalidError(
            f"A reach of {reach_m:g} m is not over {_RIM_M:g} and up to 500.", hint=f"Use {REACH_M:g}."
        )
    people, homes = np.asarray(population, dtype=np.int64), np.asarray(households, dtype=np.int64)
    found: list[GapArea] = []
    for kind in range(is_lacking.shape[1]):
        members = np.flatnonzero(is_lacking[:, kind] & (people > 0))
        areas = _areas_of(kind, members, grounds, people, homes, reach_m)
        found += sorted(
            (area for area in areas if area.population >= least_people),
            key=lambda area: (-area.population, *area.area.bounds),
        )
    return found


def _areas_of(
    kind: int, members: Ints, grounds: NDArray[np.object_], people: Ints, homes: Ints, reach_m: float
) -> list[GapArea]:
    if not len(members):
        return []
    own = grounds[members]
    # corners stay corners on the way out: a third of the vertices, half of the time, and no ground is nearer to the outside
    wide = shapely.buffer(own, reach_m, quad_segs=4, join_style="mitre", mitre_limit=_CORNER)
    joined = shapely.get_parts(shapely.disjoint_subset_union_all(wide))
    # part by part: narrowing all at once takes eight times as long
    parts = shapely.get_parts(shapely.buffer(joined, _RIM_M - reach_m, quad_segs=2))
    part_of = _first_part(parts, own)
    return [_area(kind, parts[part], members[part_of == part], people, homes) for part in np.unique(part_of)]


def _first_part(parts: NDArray[np.object_], own: NDArray[np.object_]) -> Ints:
    """Return the part that holds each ground; of two that touch it the lower number."""
    part, number = shapely.STRtree(own).query(parts, predicate="intersects")
    first = np.full(len(own), len(parts), dtype=np.int64)
    np.minimum.at(first, number, part)
    return first


def _area(kind: int, area: Polygon, members: Ints, people: Ints, homes: Ints) -> GapArea:
    return GapArea(kind, area, members, len(members), int(homes[members].sum()), int(people[members].sum()))
