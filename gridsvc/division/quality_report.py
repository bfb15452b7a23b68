"""The quality report of any division, ours or imported, exact or broken: every number a district asks for, and where it hurts.

All geometry is in one projected metric CRS. Shares are 0 to 1, None where there is nothing to share out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.border_course import COURSES, Course, follow
from gridsvc.division.building_places import ANYWHERE, ELSEWHERE, BuildingPlaces, place_buildings
from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.division.exactness import BorderEdges, Exactness, exactness
from gridsvc.division.quality_figures import BorderShare, GridRow, Pieces, QualityReport, Spread, Stability
from gridsvc.division.quality_problems import Found, problems_of
from gridsvc.errors import GeometryError

KINDS = ("governance", "unit")


def _nothing() -> Geometries:
    return np.empty(0, dtype=object)


def _no_numbers() -> Integers:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class GridSet:
    """Grids of one kind at one instant, as arrays in step.

    Parameters
    ----------
    codes
        Grid codes. Where one comes twice both rows are measured.
    shapes
        (Multi)polygons; missing, empty and invalid ones are measured as far as they can be and listed as problems.
    communities
        Code of the community each grid says it is in.
    households, population
        As stated with the grids; used where no buildings are known. Empty means not stated.
    is_dedicated
        Grids of campuses, markets and the like, which no household bound holds. Empty means none.
    """

    codes: NDArray[np.object_]
    shapes: Geometries
    communities: NDArray[np.object_]
    households: Integers = field(default_factory=_no_numbers)
    population: Integers = field(default_factory=_no_numbers)
    is_dedicated: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))


@dataclass(frozen=True, slots=True)
class Ground:
    """What grids are measured against: communities, the lines borders may follow, buildings.

    Parameters
    ----------
    communities, boundaries
        Codes, and valid (multi)polygons.
    streets, walls, water
        Lines; ``walls`` with railways, ``water`` the edges of water.
    buildings
        Valid polygons.
    building_communities
        Code of the community each building counts in; empty takes the grid that holds most of it, whichever. A building of a
        community that is not among ``communities`` counts in no grid, but may be cut.
    households, population
        Per building; empty means zero everywhere.
    """

    communities: NDArray[np.object_]
    boundaries: Geometries
    streets: Geometries = field(default_factory=_nothing)
    walls: Geometries = field(default_factory=_nothing)
    water: Geometries = field(default_factory=_nothing)
    buildings: Geometries = field(default_factory=_nothing)
    building_communities: NDArray[np.object_] = field(default_factory=_nothing)
    households: Integers = field(default_factory=_no_numbers)
    population: Integers = field(default_factory=_no_numbers)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is expected of the grids, and the tolerances of the report.

    Parameters
    ----------
    households_min, households_max
        Of a governance grid: 300-500, city regulations on grid services. None: not asked (unit grids).
    target_m2
        One area for all, or one for each grid. None: not asked (governance grids).
    area_spread
        A grid is well sized within this share of its target. Our choice: 0.3.
    along_m
        A border lies along a line when it is this close to it. Unit: m. Our choice: 1 m, twice the accuracy of class A survey.
    sliver_m2
        Smaller gaps, overlaps and parts outside are slivers. Unit: m2. Our choice, as in `gridsvc.geo.partitions.check_partition`.
    odd_compactness
        A grid less compact than this is listed as a problem. Our choice: 0.2, a strip of about 1 to 13.
    """

    households_min: int | None = 300
    households_max: int | None = 500
    target_m2: float | Floats | None = None
    area_spread: float = 0.3
    along_m: float = 1.0
    sliver_m2: float = 1.0
    odd_compactness: float = 0.2


@dataclass(frozen=True, slots=True)
class Borders:
    """The inner borders of the grids, piece by piece with what each follows, for drawing; and the grid of each building."""

    course: Course
    places: BuildingPlaces


def quality_report(
    grids: GridSet,
    ground: Ground,
    bounds: Bounds | None = None,
    *,
    kind: str = "governance",
    before: GridSet | None = None,
) -> QualityReport:
    """Return the quality report of grids on their ground.

    Parameters
    ----------
    grids
        Of one kind; any partition, broken ones too.
    ground
        Communities the grids should divide, with lines and buildings. Same CRS: projected, metric.
    bounds
        Expectations; default 300-500 households and no target area.
    kind
        ``governance`` or ``unit``, for the words.
    before
        The grids that these are to replace, for the share of households that keep their grid.

    Raises
    ------
    GeometryError
        When arrays do not match, a community has no valid boundary, or coordinates are not metric.

    Notes
    -----
    Cost: about 20 s for 42,000 grids with 1.5 million buildings on one core.
    """
    return measured(grids, ground, bounds, kind=kind, before=before)[0]


def measured(
    grids: GridSet,
    ground: Ground,
    bounds: Bounds | None = None,
    *,
    kind: str = "governance",
    before: GridSet | None = None,
) -> tuple[QualityReport, Borders]:
    """Return the report and what a map draws of it; see `quality_report`."""
    bounds = bounds or Bounds()
    _check(grids, ground)
    community = _positions(grids.communities, ground.communities)
    shapes, invalid = _repaired(grids.shapes)
    solid = np.flatnonzero(~shapely.is_empty(shapes))
    found = exactness(ground.boundaries, shapes[solid], community[solid])
    edges = _with_outer(found.edges, ground.boundaries, community[solid], found.exact, bounds.along_m)
    inner = ~edges.outer
    course = follow(edges.ends[inner], (ground.streets, ground.walls, ground.water), bounds.along_m)
    home = _homes(ground)
    places = place_buildings(ground.buildings, home, shapes[solid], community[solid], edges, ground.boundaries)
    measure = _Measure(grids, ground, bounds, kind, community, shapes, solid, invalid, found, edges, course, places)
    return measure.report(before), Borders(course, places)


def _check(grids: GridSet, ground: Ground) -> None:
    n = len(grids.codes)
    steps = {"shapes": grids.shapes, "communities": grids.communities}
    stated = {"households": grids.households, "population": grids.population}
    wrong = [name for name, values in steps.items() if len(values) != n]
    wrong += [name for name, values in stated.items() if len(values) not in (0, n)]
    for name in ("households", "population", "building_communities"):
        if len(getattr(ground, name)) not in (0, len(ground.buildings)):
            wrong.append(f"{name} of the buildings")
    if len(ground.communities) != len(ground.boundaries):
        wrong.append("boundaries")
    if wrong:
        raise GeometryError(f"{', '.join(wrong)} do not match in number.", hint="Give arrays in step.")
    polygonal = np.isin(shapely.get_type_id(ground.boundaries), (3, 6))
    sound = polygonal & shapely.is_valid(ground.boundaries) & ~shapely.is_empty(ground.boundaries)
    if not sound.all():
        code = ground.communities[~sound][0]
        raise GeometryError(
            f"Community {code} has no valid polygon as boundary.", hint="Import it again with --repair, or correct it."
        )


def _positions(codes: NDArray[np.object_], known: NDArray[np.object_], missing: int = -1) -> Integers:
    place = {code: i for i, code in enumerate(known)}
    return np.array([place.get(code, missing) for code in codes], dtype=np.int64)


def _homes(ground: Ground) -> Integers:
    """Return the position of each building's community: `ANYWHERE` where none is stated, `ELSEWHERE` for one not among these."""
    if not len(ground.building_communities):
        return np.full(len(ground.buildings), ANYWHERE, dtype=np.int64)
    return _positions(ground.building_communities, ground.communities, ELSEWHERE)


def _repaired(shapes: Geometries) -> tuple[Geometries, NDArray[np.bool_]]:
    """Return the grids as valid polygons (an empty one where nothing is left), and which had to be repaired."""
    missing = shapely.is_missing(shapes) | ~np.isfinite(shapely.bounds(shapes)).all(axis=1)
    made = shapely.force_2d(shapes)
    made[missing] = shapely.Polygon()
    invalid = shapely.is_empty(made) | ~shapely.is_valid(made) | ~np.isin(shapely.get_type_id(made), (3, 6))
    for i in np.flatnonzero(invalid):
        parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(made[i])))
        parts = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        made[i] = shapely.union_all(parts) if len(parts) else shapely.Polygon()
    return made, invalid


def _with_outer(
    edges: BorderEdges, boundaries: Geometries, community: Integers, exact: NDArray[np.bool_], along_m: float
) -> BorderEdges:
    """Return the edges with those of inexact communities that run along their boundary marked outer too."""
    asked = np.flatnonzero((edges.right < 0) & ~edges.outer & (community[edges.left] >= 0))
    if not len(asked):
        return edges
    lines = shapely.boundary(boundaries)
    whose = community[edges.left[asked]]
    shapely.prepare(lines)
    outer = np.ones(len(asked), dtype=bool)
    for point in (edges.ends[asked].mean(axis=1), edges.ends[asked, 0], edges.ends[asked, 1]):
        outer &= shapely.dwithin(lines[whose], shapely.points(point), along_m)
    marked = edges.outer.copy()
    marked[asked[outer]] = True
    return BorderEdges(edges.ends, edges.left, edges.right, marked)


@dataclass(frozen=True, slots=True)
class _EachGrid:
    """What is measured of each grid, in step with the grids given. Areas in m2; ``border_m`` by kind of course, shape (n, 4)."""

    households: Integers
    population: Integers
    buildings: Integers
    area: Floats
    target: Floats | None
    compactness: Floats
    parts: Integers
    parted: NDArray[np.bool_]
    in_bounds: NDArray[np.bool_] | None
    on_target: NDArray[np.bool_] | None
    border_m: Floats
    outside: Floats
    buildings_cut: Integers
    kept: Integers | None


@dataclass(frozen=True, slots=True)
class _Measure:
    """Everything found, in step with the grids given; ``solid`` are the positions of the grids that have a shape."""

    grids: GridSet
    ground: Ground
    bounds: Bounds
    kind: str
    community: Integers
    shapes: Geometries
    solid: Integers
    invalid: NDArray[np.bool_]
    found: Exactness
    edges: BorderEdges
    course: Course
    places: BuildingPlaces

    def report(self, before: GridSet | None) -> QualityReport:
        size = len(self.grids.codes)
        grid_of = np.where(self.places.grid >= 0, self.solid[self.places.grid], -1) if size else self.places.grid
        kept, stability = self._stability(before, grid_of)
        each, source, border = self._each(grid_of, kept)
        bare = np.bincount(self.community[self.community >= 0], minlength=len(self.ground.communities)) == 0
        pieces = {kind: [f for f in self.found.faults if f.kind == kind] for kind in ("gap", "overlap", "outside")}
        sliver_m2 = self.bounds.sliver_m2
        small = [f for f in self.found.faults if f.polygon.area < sliver_m2]
        measurable = each.area > 0
        strangers = measurable & (self.community < 0)
        total = float(border.sum())
        every = self._all_households()
        attainable = self._attainable(each.households)
        in_bounds, on_target = each.in_bounds, each.on_target
        return QualityReport(
            kind=self.kind,
            grids=size,
            communities=len(self.ground.communities),
            exact_communities=int(self.found.exact.sum()),
            communities_without_grids=tuple(str(c) for c in self.ground.communities[bare]),
            gaps=_pieces(pieces["gap"], sliver_m2),
            overlaps=_pieces(pieces["overlap"], sliver_m2),
            outside=_pieces(pieces["outside"], sliver_m2),
            slivers=Pieces(len(small), float(sum(f.polygon.area for f in small))),
            invalid=int(self.invalid.sum()),
            not_contiguous=int(each.parted.sum()),
            outside_community=int(((each.outside >= sliver_m2) | strangers).sum()),
            buildings=len(self.ground.buildings),
            buildings_cut=len(self.places.cut),
            households_from=source,
            households_total=int(every.sum()) if source == "buildings" else int(each.households.sum()),
            households_in_no_grid=int(every[grid_of < 0].sum()) if source == "buildings" else 0,
            households=_spread(each.households),
            in_bounds_share=None if in_bounds is None else _share(in_bounds[self._composite()]),
            attainable_share=None if in_bounds is None else _share(in_bounds[attainable]),
            area_m2=_spread(each.area[measurable]),
            on_target_share=_share(None if on_target is None else on_target[measurable]),
            compactness=_spread(each.compactness[measurable]),
            border_m=total,
            border={
                name: BorderShare(float(metres), float(metres / total) if total else None)
                for name, metres in zip(COURSES, border, strict=True)
            },
            stability=stability,
            rows=self._rows(each),
            problems=problems_of(self._found(each, bare, attainable)),
            notes=self._notes(source),
        )

    def _each(self, grid_of: Integers, kept: Integers | None) -> tuple[_EachGrid, str, Floats]:
        """Return what is measured of each grid, where its households come from, and the metres of border by kind of all."""
        size = len(self.grids.codes)
        households, population, source = self._counts(grid_of)
        area = shapely.area(self.shapes)
        target = self._targets()
        parted, parts = self._parted()
        border_m, border = self._borders()
        cut_by = [g for by in self.places.cut_by for g in by]
        each = _EachGrid(
            households=households,
            population=population,
            buildings=np.bincount(grid_of[grid_of >= 0], minlength=size),
            area=area,
            target=target,
            compactness=np.divide(
                4 * np.pi * area, shapely.length(self.shapes) ** 2, out=np.zeros(size), where=area > 0
            ),
            parts=parts,
            parted=parted,
            in_bounds=self._in_bounds(households),
            on_target=None if target is None else np.abs(area / target - 1) <= self.bounds.area_spread,
            border_m=border_m,
            outside=self._outside(),
            buildings_cut=np.bincount(self.solid[np.array(cut_by, dtype=np.int64)], minlength=size),
            kept=kept,
        )
        return each, source, border

    def _rows(self, each: _EachGrid) -> tuple[GridRow, ...]:
        """Return what is measured of each grid as rows."""
        return tuple(
            GridRow(
                code=str(self.grids.codes[i]),
                community_code=str(self.grids.communities[i]),
                households=int(each.households[i]),
                population=int(each.population[i]),
                buildings=int(each.buildings[i]),
                area_m2=float(each.area[i]),
                target_m2=None if each.target is None else float(each.target[i]),
                compactness=float(each.compactness[i]),
                parts=int(each.parts[i]),
                in_bounds=None if each.in_bounds is None else bool(each.in_bounds[i]),
                on_target=None if each.on_target is None else bool(each.on_target[i]),
                border_m=dict(zip(COURSES, each.border_m[i].tolist(), strict=True)),
                outside_m2=float(each.outside[i]),
                buildings_cut=int(each.buildings_cut[i]),
                households_kept=None if each.kept is None else int(each.kept[i]),
            )
            for i in range(len(self.grids.codes))
        )

    def _found(self, each: _EachGrid, bare: NDArray[np.bool_], attainable: NDArray[np.bool_]) -> Found:
        """Return what problems are told from; ``bare`` communities have no grids, bounds are asked of ``attainable`` grids."""
        none = np.zeros(len(self.grids.codes), dtype=bool)
        return Found(
            codes=self.grids.codes,
            shapes=self.shapes,
            communities=self.ground.communities,
            boundaries=self.ground.boundaries,
            community=self.community,
            stated=self.grids.communities,
            without_grids=np.flatnonzero(bare),
            invalid=self.invalid,
            solid=self.solid,
            faults=self.found.faults,
            sliver_m2=self.bounds.sliver_m2,
            parted=each.parted,
            parts=each.parts,
            buildings=self.ground.buildings,
            cut=self.places.cut,
            cut_by=self.places.cut_by,
            households=each.households,
            bounds=(self.bounds.households_min, self.bounds.households_max),
            out_of_bounds=none if each.in_bounds is None else ~each.in_bounds & attainable,
            area=each.area,
            target=each.target,
            spread=self.bounds.area_spread,
            compactness=each.compactness,
            odd_compactness=self.bounds.odd_compactness,
        )

    def _all_households(self) -> Integers:
        given = self.ground.households
        return given if len(given) else np.zeros(len(self.ground.buildings), dtype=np.int64)

    def _counts(self, grid_of: Integers) -> tuple[Integers, Integers, str]:
        """Return households and population of each grid, and where they come from."""
        size, counted = len(self.grids.codes), grid_of >= 0
        if len(self.ground.buildings) and len(self.ground.households):
            people = self.ground.population if len(self.ground.population) else np.zeros_like(self.ground.households)
            sums = [
                np.rint(np.bincount(grid_of[counted], values[counted], size)).astype(np.int64)
                for values in (self.ground.households, people)
            ]
            return sums[0], sums[1], "buildings"
        none = np.zeros(size, dtype=np.int64)
        stated = [v if len(v) else none for v in (self.grids.households, self.grids.population)]
        return stated[0], stated[1], "grids"

    def _targets(self) -> Floats | None:
        if self.bounds.target_m2 is None:
            return None
        return np.broadcast_to(np.asarray(self.bounds.target_m2, dtype=float), (len(self.grids.codes),))

    def _in_bounds(self, households: Integers) -> NDArray[np.bool_] | None:
        low, high = self.bounds.households_min, self.bounds.households_max
        if low is None and high is None:
            return None
        inside = (households >= (low or 0)) & (households <= (np.inf if high is None else high))
        return inside | ~self._composite()

    def _composite(self) -> NDArray[np.bool_]:
        """Return which grids the bounds are about: all but dedicated ones."""
        dedicated = self.grids.is_dedicated
        return ~dedicated if len(dedicated) else np.ones(len(self.grids.codes), dtype=bool)

    def _attainable(self, households: Integers) -> NDArray[np.bool_]:
        """Return which grids are in a community whose households can be split within the bounds."""
        low, high = self.bounds.households_min, self.bounds.households_max
        known = (self.community >= 0) & self._composite()
        total = np.bincount(self.community[known], households[known], len(self.ground.communities))
        if low and high:
            fewest = np.ceil(total / high)
            splits = (fewest > 0) & (fewest * low <= total)
        else:
            splits = np.ones(len(total), dtype=bool)
        return known & splits[self.community] if len(total) else known

    def _parted(self) -> tuple[NDArray[np.bool_], Integers]:
        """Return which grids fall apart inside one part of their community, and the number of parts of each."""
        parts = np.where(shapely.is_empty(self.shapes), 0, shapely.get_num_geometries(self.shapes))
        parted = np.zeros(len(parts), dtype=bool)
        for i in np.flatnonzero(parts > 1):
            pieces = shapely.get_parts(self.shapes[i])
            if self.community[i] < 0:
                parted[i] = True
                continue
            ground = shapely.get_parts(self.ground.boundaries[self.community[i]])
            _, held = shapely.STRtree(ground).query(shapely.point_on_surface(pieces), predicate="within")
            parted[i] = len(np.unique(held)) < len(pieces)
        return parted, parts

    def _borders(self) -> tuple[Floats, Floats]:
        """Return the metres of inner border by kind, of each grid (shape: (n, 4)) and of all together, each metre once."""
        inner = np.flatnonzero(~self.edges.outer)
        metres = self.course.metres(len(inner))
        left, right = self.edges.left[inner], self.edges.right[inner]
        by_grid = np.zeros((len(self.grids.codes), len(COURSES)))
        shared = right >= 0
        np.add.at(by_grid, self.solid[left], metres)
        np.add.at(by_grid, self.solid[right[shared]], metres[shared])
        return by_grid, (metres * np.where(shared, 1.0, 0.5)[:, None]).sum(axis=0)

    def _outside(self) -> Floats:
        outside = np.zeros(len(self.grids.codes))
        for fault in self.found.faults:
            if fault.kind == "outside":
                outside[self.solid[fault.grids[0]]] += fault.polygon.area
        return outside

    def _stability(self, before: GridSet | None, grid_of: Integers) -> tuple[Integers | None, Stability | None]:
        if before is None:
            return None, None
        old, new = set(before.codes.tolist()), set(self.grids.codes.tolist())
        kept_codes = len(old & new), len(new - old), len(old - new)
        households = self._all_households()
        if not len(self.ground.buildings):
            return None, Stability(None, *kept_codes)
        shapes, _ = _repaired(before.shapes)
        solid = np.flatnonzero(~shapely.is_empty(shapes))
        community = _positions(before.communities, self.ground.communities)
        home = _homes(self.ground)
        held = place_buildings(
            self.ground.buildings, home, shapes[solid], community[solid], None, self.ground.boundaries
        ).grid
        none = np.array([None], dtype=object)
        code_before = np.concatenate([before.codes[solid], none])[held]
        code_after = np.concatenate([self.grids.codes, none])[grid_of]
        same = (code_before == code_after) & (held >= 0)
        counted = households[held >= 0].sum()
        kept = np.bincount(grid_of[same], households[same], len(self.grids.codes)).astype(np.int64)
        return kept, Stability(float(households[same].sum() / counted) if counted else None, *kept_codes)

    def _notes(self, source: str) -> tuple[str, ...]:
        notes = []
        if source == "grids":
            notes.append("no buildings are known here: households are those stated with the grids, and none can be cut")
        if not len(self.ground.streets):
            notes.append("no streets are known here: no border can follow one")
        unknown = int((self.community < 0).sum())
        if unknown:
            notes.append(f"{unknown} grids are of communities that are not known here")
        return tuple(notes)


def _pieces(faults: Sequence, sliver_m2: float) -> Pieces:
    areas = [fault.polygon.area for fault in faults]
    return Pieces(sum(area >= sliver_m2 for area in areas), float(sum(areas)))


def _spread(values: NDArray) -> Spread | None:
    if not len(values):
        return None
    least, quarter, median, three_quarters, most = np.quantile(values, [0, 0.25, 0.5, 0.75, 1]).tolist()
    mean = float(np.mean(values))
    return Spread(least, quarter, median, three_quarters, most, mean, float(np.std(values) / mean) if mean else None)


def _share(flags: NDArray[np.bool_] | None) -> float | None:
    return None if flags is None or not len(flags) else float(np.mean(flags))
