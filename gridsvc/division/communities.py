"""What a division starts from and what comes out of it: a community, the rules, the divided community.

All geometry of this room is in one projected metric CRS (CGCS2000 3-degree Gauss-Kruger zone of the place).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import MultiPolygon, Polygon

from gridsvc.errors import GeometryError

BARRIER_KINDS = ("wall", "rail", "water")

Geometries = NDArray[np.object_]
Integers = NDArray[np.integer]
Floats = NDArray[np.floating]


def _no_geometries() -> Geometries:
    return np.empty(0, dtype=object)


def _no_integers() -> Integers:
    return np.zeros(0, dtype=np.int64)


def _no_floats() -> Floats:
    return np.zeros(0, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class CommunityInput:
    """One community and what lies in and around it.

    Parameters
    ----------
    code
        12-digit community code.
    boundary
        Polygon or MultiPolygon, valid, projected metric CRS. Its vertices are never moved; grids may add vertices to it.
    streets, barriers, water
        Lines of streets; lines of walls, railways and water edges; polygons of water. They may reach beyond the boundary.
    barrier_kinds
        ``wall``, ``rail`` or ``water`` per barrier. Empty means walls.
    buildings
        Polygons no grid border may cut. Those crossing the boundary count only inside it.
    households, population
        Per building, whole numbers. Shape: as ``buildings``. Empty means zero everywhere.
    villager_groups
        Number of the villager group (村民小组) of each building, -1 for none. Empty: natural villages are found by the distance of buildings.
    components, events, event_counts
        Points of components, of places with events, and how many events are expected at each (empty: one). Their work is spread
        evenly over the governance grids where the households allow it.
    dedicated
        Polygons that become governance grids of their own (专属网格): campuses, parks, markets, business buildings.
    seeds
        Points, each of which gets a governance grid of its own.
    former
        Governance grids there were before, in an order their numbers mean; households stay with theirs where nothing speaks against it.
    """

    code: str
    boundary: Polygon | MultiPolygon
    streets: Geometries = field(default_factory=_no_geometries)
    barriers: Geometries = field(default_factory=_no_geometries)
    water: Geometries = field(default_factory=_no_geometries)
    barrier_kinds: Geometries = field(default_factory=_no_geometries)
    buildings: Geometries = field(default_factory=_no_geometries)
    households: Integers = field(default_factory=_no_integers)
    population: Integers = field(default_factory=_no_integers)
    villager_groups: Integers = field(default_factory=_no_integers)
    components: Geometries = field(default_factory=_no_geometries)
    events: Geometries = field(default_factory=_no_geometries)
    event_counts: Floats = field(default_factory=_no_floats)
    dedicated: Geometries = field(default_factory=_no_geometries)
    seeds: Geometries = field(default_factory=_no_geometries)
    former: Geometries = field(default_factory=_no_geometries)

    @property
    def is_village(self) -> bool:
        """Answer whether the code is a village committee's (third segment 200-399)."""
        return self.code[9:12].isdigit() and 200 <= int(self.code[9:12]) <= 399


@dataclass(frozen=True, slots=True)
class DivisionRules:
    """Sizes and tolerances of a division; ``SOURCES`` says where each comes from.

    Lengths in m, areas in m2.
    """

    unit_area_m2: float = 10_000.0
    households_min: int = 300
    households_max: int = 500
    open_land_weight: float = 0.25
    water_weight: float = 0.1
    unit_area_spread: float = 0.3
    closing_m: float = 2.0
    gate_m: float = 8.0
    dead_end_m: float = 60.0
    snap_m: float = 0.01
    clearance_m: float = 0.1
    border_strip_m: float = 0.5
    atom_share: float = 0.3
    atom_households: int = 120
    sliver_area_m2: float = 200.0
    sliver_width_m: float = 15.0
    strip_width_m: float = 30.0
    moves_per_atom: int = 400
    starts: int = 3
    most_unit_grids: int = 600
    hamlet_gap_m: float = 40.0
    stability: float = 0.0

    @classmethod
    def for_households(cls, low: int, high: int) -> DivisionRules:
        """Return the rules of governance grids of ``low`` to ``high`` households; enclosures are cut finer where grids are small."""
        default = cls()
        share = min(1.0, high / default.households_max)
        return cls(
            households_min=low,
            households_max=high,
            atom_households=max(1, round(default.atom_households * share)),
            atom_share=max(0.1, default.atom_share * share),
        )

    @classmethod
    def micro(cls) -> DivisionRules:
        """Return the rules of micro-grids (微网格): 50-80 households, cut finer."""
        return cls.for_households(50, 80)

    def enlarged_for(self, size_m2: float) -> DivisionRules:
        """Return these rules with a unit grid large enough that land of ``size_m2`` (open land weighted) needs no more than the most."""
        needed_m2 = size_m2 / self.most_unit_grids
        return self if needed_m2 <= self.unit_area_m2 else replace(self, unit_area_m2=needed_m2)


# what a planner may ask for; the other numbers are tolerances and effort, and belong to whoever runs the machine
ADJUSTABLE = (
    "unit_area_m2", "households_min", "households_max", "open_land_weight", "water_weight", "unit_area_spread", "hamlet_gap_m",
    "stability",
)  # fmt: skip

SOURCES: dict[str, str] = {
    "unit_area_m2": "about 10,000 m2 in built-up land (万米网格), CJ/T 213-2005 as commonly read",
    "households_min": "300-500 resident households per governance grid, 50-80 per micro-grid, city regulations on grid services",
    "households_max": "300-500 resident households per governance grid, city regulations on grid services",
    "open_land_weight": "our choice: land without buildings counts a quarter, so its unit grids reach 40,000 m2",
    "water_weight": "our choice: water counts a tenth and is not cut, so that a river is not chopped into squares",
    "unit_area_spread": "our choice: a unit grid is well sized within 30 % of its target",
    "closing_m": "our choice: line ends missing their street by up to 2 m are drawn to it (finds 99-100 % of blocks)",
    "gate_m": "our choice: a wall is taken as closed across a gate of up to this width on either side of the path",
    "dead_end_m": "our choice: a dead end divides the land before it when the next line lies within this distance straight ahead",
    "snap_m": "our choice: lines are snap-rounded to 1 cm, below the 0.5 m accuracy of class A survey",
    "clearance_m": "our choice: a border keeps this distance from every building, so rounding can never cut one",
    "border_strip_m": "our choice: lines this close to the community boundary are the boundary",
    "atom_share": "our choice: enclosures are cut to this share of a unit grid, fine enough for the spread",
    "atom_households": "our choice: enclosures with several buildings are cut down to about a quarter of a governance grid",
    "hamlet_gap_m": "our choice: village buildings closer than this are one natural village, which no governance grid divides",
    "stability": "our choice: 0 divides afresh, 1 keeps every grid that still serves and every household that can stay",
    "moves_per_atom": "our choice: tries of the annealing for each atom, after which more no longer shorten the border",
    "starts": "our choice: so many starts are annealed and the cheapest wins; 5 are little better than 3 and take longer, decision 0008",
    "most_unit_grids": "our choice: a code has 999 serials per community and none is given twice; the rest is left for redraws",
    "sliver_area_m2": "our choice: smaller enclosures join a neighbour",
    "strip_width_m": "our choice: land without buildings narrower than this is cut crosswise where a line ends at it",
    "sliver_width_m": "our choice: enclosures without buildings narrower than this (dual carriageways) join a neighbour",
}


@dataclass(frozen=True, slots=True)
class CommunityDivision:
    """Unit grids nested in governance grids nested in one community; an exact partition, checked.

    ``unit_grids`` holds one Polygon each, ordered west to east then north to south by centroid; neighbours share identical vertices.
    ``governance_of_unit[u]`` is an index into ``governance_grids`` (Polygon; MultiPolygon only where the community
    itself has several parts). ``unit_of_building`` is -1 for a building that is not (mostly) in the community.
    ``is_dedicated`` marks governance grids of dedicated areas, which no household bound holds. Components and events are counted
    per governance grid. ``border_m`` and ``border_on_lines_m`` measure the inner border of the governance grids: whole, and along streets, walls or water.
    """

    code: str
    unit_grids: Geometries
    governance_of_unit: Integers
    governance_grids: Geometries
    unit_households: Integers
    unit_population: Integers
    unit_target_m2: Floats
    governance_households: Integers
    governance_population: Integers
    governance_components: Floats
    governance_events: Floats
    is_dedicated: NDArray[np.bool_]
    unit_of_building: Integers
    border_m: float
    border_on_lines_m: float
    notes: tuple[str, ...] = ()


def check_community(community: CommunityInput) -> None:
    """Refuse input that cannot be divided, naming the community and the fault.

    Raises
    ------
    GeometryError
        Boundary empty, not polygonal, not valid or without area; buildings not valid; counts that do not match.
    """
    boundary, where = community.boundary, f"Community {community.code}"
    if boundary is None:
        raise GeometryError(f"{where} has no boundary.", hint="Import its boundary first.")
    if shapely.is_empty(boundary) or boundary.geom_type not in ("Polygon", "MultiPolygon"):
        raise GeometryError(
            f"{where} has no polygon as boundary ({boundary.geom_type}).", hint="Import its boundary first."
        )
    if not np.isfinite(shapely.get_coordinates(boundary)).all():
        raise GeometryError(
            f"{where} has a boundary with coordinates that are not finite.", hint="Correct the boundary."
        )
    if not shapely.is_valid(boundary):
        reason = shapely.is_valid_reason(boundary)
        raise GeometryError(
            f"{where} has an invalid boundary: {reason}.", hint="Import it with --repair or correct it."
        )
    _check_lines(community, where)
    _check_buildings(community, where)
    _check_wishes(community, where)


def _check_lines(community: CommunityInput, where: str) -> None:
    for name, kinds in (("streets", (1, 2, 5)), ("barriers", (1, 2, 5)), ("water", (3, 6))):
        shapes = getattr(community, name)
        odd = ~_is_one_of(shapes, kinds)
        odd |= ~np.isfinite(shapely.bounds(shapes)).all(axis=1) if len(shapes) else odd
        if odd.any():
            raise GeometryError(
                f"{where}: number {int(np.flatnonzero(odd)[0]) + 1} of its {name} is empty, not finite or of another type.",
                hint="Leave it out, or correct it.",
            )
    named = community.barrier_kinds
    if len(named) not in (0, len(community.barriers)):
        raise GeometryError(
            f"{where} has {len(community.barriers)} barriers but {len(named)} kinds of barriers.",
            hint="Give one per barrier.",
        )
    unknown = sorted(set(named) - set(BARRIER_KINDS))
    if unknown:
        raise GeometryError(
            f"{where} has a barrier of the kind {unknown[0]!r}.", hint=f"Kinds are {', '.join(BARRIER_KINDS)}."
        )


def _is_one_of(shapes: Geometries, kinds: tuple[int, ...]) -> NDArray[np.bool_]:
    return (shapely.get_type_id(shapes)[:, None] == kinds).any(axis=1)


def _check_wishes(community: CommunityInput, where: str) -> None:
    for name, kinds, what in (
        ("dedicated", (3, 6), "polygon"),
        ("former", (3, 6), "polygon"),
        ("seeds", (0,), "point"),
    ):
        shapes = getattr(community, name)
        bad: Integers = np.flatnonzero(
            ~_is_one_of(shapes, kinds) | shapely.is_empty(shapes) | ~shapely.is_valid(shapes)
        ).astype(np.int64)
        if len(bad):
            raise GeometryError(
                f"{where}: number {bad[0] + 1} of its {name} is no valid {what}.", hint="Correct it or leave it out."
            )
    groups = len(community.villager_groups)
    if groups not in (0, len(community.buildings)):
        raise GeometryError(
            f"{where} has {len(community.buildings)} buildings but {groups} villager groups.",
            hint="Give one per building.",
        )


def _check_buildings(community: CommunityInput, where: str) -> None:
    buildings = community.buildings
    for name in ("households", "population"):
        counts = getattr(community, name)
        if len(counts) not in (0, len(buildings)):
            raise GeometryError(
                f"{where} has {len(buildings)} buildings but {len(counts)} values of {name}.",
                hint="Give one per building.",
            )
        if len(counts) and not (np.isfinite(counts).all() and (np.floor(counts) == counts).all()):
            raise GeometryError(f"{where} has a building whose {name} are no whole number.", hint="Correct the counts.")
        if len(counts) and np.min(counts) < 0:
            raise GeometryError(f"{where} has a building with {name} below zero.", hint="Correct the counts.")
    faults: Integers = np.flatnonzero(~shapely.is_valid(buildings)).astype(np.int64)
    if len(faults):
        reason = shapely.is_valid_reason(buildings[faults[0]])
        raise GeometryError(
            f"{where} has {len(faults)} invalid buildings, the first at position {faults[0]}: {reason}.",
            hint="Import the residences with --repair.",
        )


def summed(labels: Integers, values: Floats | Integers, size: int = 0) -> Floats:
    """Return the sum of the values of each label from 0 on, as floats."""
    return np.bincount(labels, values, size).astype(np.float64)


def counts_or_zero(counts: Sequence[int] | Integers, size: int) -> Integers:
    """Return ``counts`` as int64, or zeros where none were given."""
    return np.asarray(counts, dtype=np.int64) if len(counts) else np.zeros(size, dtype=np.int64)
