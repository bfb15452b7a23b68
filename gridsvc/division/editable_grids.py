"""Grids under the hand of a planner: what an edit starts from, what it may not touch, and what it changed.

Governance grids are always the union of their unit grids, so nesting is exact by construction. All geometry is in one projected
metric CRS and every vertex is a position that storage can hold (9 decimals of a degree), so nothing moves when it is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.errors import CodeDuplicateError, ConflictError, GeometryError, NotFoundError, PartitionError
from gridsvc.geo.partitions import is_exact
from gridsvc.geo.projections import to_metric, to_storage

UNIT, GOVERNANCE = "unit", "governance"
Texts = NDArray[np.object_]
# kind, community code, how many -> that many codes never given before
FreeCodes = Callable[[str, str, int], Sequence[str]]
# borders nearer to each other than this are the same: a vertex put into a straight border moves it by less than 0.1 mm
_SAME_BORDER_M = 5e-4


class GridRef(NamedTuple):
    """One grid: ``unit`` or ``governance``, and its code. The two kinds are different networks and may share codes."""

    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class EditRules:
    """Tolerances of editing by hand; ``SOURCES`` says where each comes from. Lengths in m, areas in m2."""

    snap_m: float = 2.0
    node_m: float = 0.01
    clearance_m: float = 0.1
    least_part_m2: float = 20.0
    least_width_m: float = 0.5
    touch_m: float = 1.0
    plot_reach_m: tuple[float, ...] = (4.0, 8.0, 16.0, 32.0)


SOURCES: dict[str, str] = {
    "snap_m": "our choice: as closing_m of the division, a drawn vertex within 2 m of what is there is meant to be on it",
    "node_m": "our choice: as snap_m of the division, points closer than 1 cm are one point",
    "clearance_m": "our choice: as in the division, a new border keeps this distance from every building",
    "least_part_m2": "our choice: land smaller than this is no grid",
    "least_width_m": "our choice: land narrower than this on average (area over half the perimeter) is no grid",
    "touch_m": "our choice: grids that share less border than this are no neighbours",
    "plot_reach_m": "our choice: the land around a building grows through these distances until it meets the receiving grid",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """What lies under the grids and stays as it is.

    Parameters
    ----------
    epsg
        The projected metric system of all geometry.
    boundaries
        Outer boundary of each community's grids, by community code.
    buildings, building_ids, building_counts
        Polygons no new border may cut; how each is called; households and population of each. Shapes: (n,), (n,), (n, 2).
    lines
        Streets, walls and water edges that drawn vertices snap to.
    locked
        Grids that may gain vertices but keep their land.
    """

    epsg: int
    boundaries: Mapping[str, shapely.Geometry]
    buildings: Geometries
    building_ids: Texts
    building_counts: Integers
    lines: Geometries
    locked: frozenset[GridRef]


@dataclass(frozen=True, slots=True)
class EditableGrids:
    """The unit grids of one community or several neighbouring ones, and the governance grid of each.

    ``parents`` holds the code of each unit grid's governance grid, or None where only one kind of grid is edited. ``counts`` holds
    households and population, shape (n, 2); those of a governance grid are the sums over its unit grids.
    ``retired`` holds what earlier edits retired: such a code is never given again.
    """

    ground: Ground
    codes: Texts
    units: Geometries
    parents: Texts
    communities: Texts
    counts: Integers
    retired: frozenset[GridRef] = frozenset()

    def refs(self) -> set[GridRef]:
        """Return every grid, of both kinds."""
        return {GridRef(UNIT, code) for code in self.codes} | {
            GridRef(GOVERNANCE, parent) for parent in self.parents if parent is not None
        }

    def members(self, ref: GridRef) -> Integers:
        """Return the positions of the unit grids of a grid; of a unit grid its own.

        Raises
        ------
        ConflictError
            When an earlier edit retired it.
        NotFoundError
            When there is no such grid here.
        """
        held = self.codes if ref.kind == UNIT else self.parents
        found: Integers = np.flatnonzero(held == ref.code).astype(np.int64)
        if len(found):
            return found
        if ref in self.retired:
            raise ConflictError(f"The {ref.kind} grid {ref.code} was retired by an earlier step.", grid=ref.code)
        raise NotFoundError(
            f"There is no {ref.kind} grid {ref.code} among the grids edited.",
            hint="Use the code of a grid of this draft.",
        )

    def shape(self, ref: GridRef) -> shapely.Geometry:
        """Return the land of a grid: a Polygon, or a MultiPolygon where it has several parts."""
        return united(self.units[self.members(ref)])

    def community(self, ref: GridRef) -> str:
        """Return the code of the community a grid belongs to."""
        return str(self.communities[self.members(ref)[0]])

    def households(self, ref: GridRef) -> int:
        """Return the households of a grid."""
        return int(self.counts[self.members(ref), 0].sum())


@dataclass(frozen=True, slots=True)
class SnappedVertex:
    """A vertex of a drawn line and where it was put: onto a ``vertex``, a ``line`` (street, wall, water) or a ``border``.

    CRS: as the grids. A vertex drawn by nobody (the line was led to the border) has its place as ``given``.
    """

    given: tuple[float, float]
    placed: tuple[float, float]
    onto: str


@dataclass(frozen=True, slots=True)
class GridChange:
    """What one operation did. All tuples are ordered by kind and code.

    ``reshaped`` have other land than before and keep their code; ``regrouped`` are unit grids in another governance grid;
    ``gained_vertices`` have the same land with more vertices on their border.
    """

    operation: str
    retired: tuple[GridRef, ...] = ()
    new: tuple[GridRef, ...] = ()
    reshaped: tuple[GridRef, ...] = ()
    regrouped: tuple[GridRef, ...] = ()
    gained_vertices: tuple[GridRef, ...] = ()
    snapped: tuple[SnappedVertex, ...] = ()
    notes: tuple[str, ...] = field(default=())


def editable_grids(
    *,
    epsg: int,
    codes: Sequence[str],
    units: Geometries,
    communities: Sequence[str],
    counts: Integers,
    parents: Sequence[str | None] | None = None,
    buildings: Geometries | None = None,
    building_ids: Sequence[str] | None = None,
    building_counts: Integers | None = None,
    lines: Geometries | None = None,
    locked: Iterable[GridRef] = (),
) -> EditableGrids:
    """Return grids that can be edited. The land they cover together is the boundary that no edit changes.

    Parameters
    ----------
    units
        (Multi)polygons that share identical vertices, as `to_metric` gives them from storage. CRS: ``epsg``, metric. Shape: (n,).
    parents
        Code of each unit grid's governance grid; None when there are no governance grids.
    building_ids
        How messages call the buildings; default their position.

    Raises
    ------
    CodeDuplicateError
        When a code is there twice.
    PartitionError
        When the grids are no exact coverage, or a governance grid reaches over communities.
    """
    shapes = np.empty(len(units), dtype=object)
    shapes[:] = [plain(unit) for unit in units]
    if not len(shapes) or not is_exact(shapes):
        raise PartitionError(
            "The grids to be edited are not an exact partition, or there are none.",
            hint="Check the draft first; divide or import the grids again.",
        )
    solid = np.empty(0, dtype=object) if buildings is None else np.asarray(buildings, dtype=object)
    ids = [str(i) for i in range(len(solid))] if building_ids is None else [str(i) for i in building_ids]
    where = np.asarray(communities, dtype=object)
    ground = Ground(
        epsg=epsg,
        boundaries={code: united(shapes[where == code]) for code in sorted(set(where))},
        buildings=solid,
        building_ids=np.array(ids, dtype=object),
        building_counts=np.zeros((len(solid), 2), dtype=np.int64) if building_counts is None else building_counts,
        lines=np.empty(0, dtype=object) if lines is None else np.asarray(lines, dtype=object),
        locked=frozenset(locked),
    )
    above = np.full(len(shapes), None, dtype=object)
    above[:] = [None] * len(shapes) if parents is None else parents
    grids = EditableGrids(ground, np.asarray(codes, dtype=object), shapes, above, where, np.asarray(counts))
    _refuse_repeats(grids)
    return grids


def _refuse_repeats(grids: EditableGrids) -> None:
    codes, times = np.unique(grids.codes.astype(str), return_counts=True)
    if (times > 1).any():
        raise CodeDuplicateError(f"The unit grid {codes[times > 1][0]} is there twice.", hint="Codes are unique.")
    pairs = {(p, c) for p, c in zip(grids.parents, grids.communities, strict=True) if p is not None}
    if len(pairs) > len({parent for parent, _ in pairs}):
        raise PartitionError("A governance grid has unit grids of two communities.", hint="Grids stay in a community.")


def plain(shape: shapely.Geometry) -> shapely.Geometry:
    """Return a MultiPolygon of one part as a Polygon, anything else as it is."""
    return shape.geoms[0] if shape.geom_type == "MultiPolygon" and len(shape.geoms) == 1 else shape


def united(shapes: Geometries) -> shapely.Geometry:
    """Return the union of polygons with identical shared vertices; no vertex moves and none is lost on the outside."""
    return shapes[0] if len(shapes) == 1 else plain(shapely.coverage_union_all(shapes))


def on_lattice(points: Floats, epsg: int) -> Floats:
    """Return the positions storage can hold that are nearest to ``points``. CRS: ``epsg``, metric. Shape: (n, 2)."""
    if len(points) == 0:
        return points
    return shapely.get_coordinates(to_metric(to_storage(shapely.points(points), epsg), epsg))


def place_of(point: Floats, epsg: int) -> str:
    """Return a position as a message gives it: longitude, latitude in CGCS2000."""
    lon, lat = shapely.get_coordinates(to_storage(np.array([shapely.Point(point)], dtype=object), epsg))[0]
    return f"{lon:.7f}, {lat:.7f}"


def apportioned(total: int, weights: Floats) -> Integers:
    """Return whole numbers that add up to ``total``, in proportion to the weights; leftovers by largest remainder, first first."""
    weight = np.asarray(weights, dtype=float)
    if weight.sum() <= 0:
        weight = np.ones(len(weight))
    exact = total * weight / weight.sum()
    share = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - share), kind="stable")
    share[order[: total - int(share.sum())]] += 1
    return share


def piece_counts(grids: EditableGrids, unit: int, pieces: Geometries) -> Integers:
    """Return households and population of the pieces of a unit grid, shape (n, 2); they add up to those of the grid.

    In proportion to what the buildings in each piece hold; where these hold nothing, to area. A building belongs to the piece
    with its inner point.
    """
    ground = grids.ground
    held = np.zeros((len(pieces), 2), dtype=np.int64)
    if len(ground.buildings):
        inner = shapely.point_on_surface(ground.buildings)
        building, piece = shapely.STRtree(inner).query(pieces, predicate="intersects")[::-1]
        first = np.unique(building, return_index=True)[1]
        np.add.at(held, piece[first], ground.building_counts[building[first]])
    areas = shapely.area(pieces)
    columns = [
        apportioned(int(grids.counts[unit, c]), held[:, c] if held[:, c].sum() else areas)  # type: ignore[arg-type]
        for c in range(2)
    ]
    return np.stack(columns, axis=1)


def describe(
    operation: str,
    before: EditableGrids,
    after: EditableGrids,
    snapped: tuple[SnappedVertex, ...] = (),
    notes: tuple[str, ...] = (),
) -> GridChange:
    """Return what changed between two states of the same grids."""
    old, new = before.refs(), after.refs()
    reshaped: list[GridRef] = []
    gained: list[GridRef] = []
    for ref in old & new:
        moved_m = _border_moved_m(before, after, ref)
        if moved_m is not None:
            (reshaped if moved_m >= _SAME_BORDER_M else gained).append(ref)
    parent_of = dict(zip(before.codes, before.parents, strict=True))
    regrouped = [
        GridRef(UNIT, code)
        for code, parent in zip(after.codes, after.parents, strict=True)
        if code in parent_of and parent_of[code] != parent
    ]
    return GridChange(
        operation,
        retired=tuple(sorted(old - new)),
        new=tuple(sorted(new - old)),
        reshaped=tuple(sorted(reshaped)),
        regrouped=tuple(sorted(regrouped)),
        gained_vertices=tuple(sorted(gained)),
        snapped=snapped,
        notes=notes,
    )


def _border_moved_m(before: EditableGrids, after: EditableGrids, ref: GridRef) -> float | None:
    """Return how far the border of a grid moved; None when not even a vertex of it is new."""
    was, now = before.units[before.members(ref)], after.units[after.members(ref)]
    if len(was) == len(now) and all(a is b for a, b in zip(was, now, strict=True)):
        return None
    old, new = united(was), united(now)
    if _same_vertices(old, new):
        return None
    # the distance looks at vertices only; land bounded by the same vertices otherwise joined shows in the area
    mean_m = shapely.symmetric_difference(old, new).area / old.length
    return max(float(shapely.hausdorff_distance(shapely.boundary(old), shapely.boundary(new))), mean_m * 5)


def _same_vertices(first: shapely.Geometry, second: shapely.Geometry) -> bool:
    return shapely.equals_exact(shapely.normalize(first), shapely.normalize(second), tolerance=0.0)


def with_retired(before: EditableGrids, after: EditableGrids) -> EditableGrids:
    """Return ``after`` with every grid that is gone since ``before`` among the retired.

    Raises
    ------
    CodeDuplicateError
        When a new grid has a code that was retired.
    """
    gone = before.refs() - after.refs()
    again = sorted((after.refs() - before.refs()) & before.retired)
    if again:
        raise CodeDuplicateError(
            f"The code {again[0].code} of a retired {again[0].kind} grid was given again.",
            hint="Give a code that was never used.",
        )
    return replace(after, retired=before.retired | gone)


def require_path(line: Floats) -> Floats:
    """Return a drawn line as an array of vertices, shape (n, 2), without repeats.

    Raises
    ------
    GeometryError
        Fewer than two vertices, not finite, or crossing itself.
    """
    path = np.asarray(line, dtype=np.float64)
    if path.ndim != 2 or path.shape[1] < 2 or not np.isfinite(path[:, :2]).all():
        raise GeometryError("The line is no list of finite positions.", hint="Give at least two positions.")
    path = path[:, :2] + 0.0
    path = path[np.append(True, (path[1:] != path[:-1]).any(axis=1))]
    if len(path) < 2:
        raise GeometryError("The line has fewer than two different vertices.", hint="Give at least two positions.")
    if not shapely.LineString(path).is_simple:
        raise GeometryError("The line crosses itself.", hint="Draw it without loops.")
    return path
