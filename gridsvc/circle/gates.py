"""Walled compounds and their gates: which streets pass a wall, where, and through which gate.

A street that passes the wall of a compound is cut there; the short piece in between carries the number of the gate, so that
opening or closing a gate is one change. What lies inside of a wall carries the number of its compound, and takes only points
from inside. Bridges and tunnels (layer other than 0) pass over and under walls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from gridsvc.circle.walk_network import NO_GATE, Flags, Floats, Ints, Lines, Numbers
from gridsvc.errors import GeometryError

# Our choices. A street drawn along the outline of a compound lies outside of it, not in its wall.
INSET_M = 1.0
GATE_REACH_M = 10.0  # a gate stands within this of the wall, and lets through the streets that pass the wall within this
LINK_M = 100.0  # a gate on no street is joined to streets within this
GAP_M = 12.0  # an opening in a wall up to this wide is a gate: a carriageway and two footways
_HALF_PASSAGE_M = 0.25
_LEAST_COMPOUND_M2 = 100.0

Geometries = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class GateHours:
    """When a gate is open every day: minutes after midnight, ``opens`` to ``closes``; over midnight where closes < opens."""

    opens: int
    closes: int

    def is_open(self, hour: float) -> bool:
        """Return whether the gate is open at an hour of the day, 0 up to 24."""
        minute = hour * 60.0 % 1440.0
        if self.opens <= self.closes:
            return self.opens <= minute < self.closes
        return minute >= self.opens or minute < self.closes


_HOURS = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)")


def parse_gate_hours(text: str) -> GateHours | None:
    """Return the hours of a text such as ``06:00-22:30``; None for an empty one, which means always.

    Raises
    ------
    GeometryError
        When it is written in another way, or no time passes between the two.

    Examples
    --------
    >>> parse_gate_hours("22:00-06:00").is_open(23.5)
    True
    """
    if not text.strip():
        return None
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        raise GeometryError(f"Gate hours {text!r} are not written like 06:00-22:00.", hint="Leave them empty for always.")
    opens_h, opens_min, closes_h, closes_min = (int(part) for part in found.groups())
    hours = GateHours(opens_h * 60 + opens_min, closes_h * 60 + closes_min)
    if hours.opens == hours.closes or max(hours.opens, hours.closes) > 1440:
        raise GeometryError(f"Gate hours {text!r} are no span of a day.", hint="Example: 06:00-22:00.")
    return hours


@dataclass(frozen=True, eq=False, slots=True)
class Compounds:
    """Walled areas. ``outline``: Polygons along the walls, CRS projected and metric. ``code``: different ones, in order."""

    code: tuple[str, ...]
    outline: Geometries

    @classmethod
    def none(cls) -> Compounds:
        """Return no compounds."""
        return cls((), np.empty(0, dtype=object))

    def numbers_at(self, xy: ArrayLike) -> Numbers:
        """Return the number of the compound that each point lies in (lowest where several do), -1 outside and on the walls."""
        places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        found = np.full(len(places), NO_GATE, dtype=np.int32)
        if len(self.code):
            point, compound = shapely.STRtree(_inside(self.outline)).query(shapely.points(places), predicate="within")
            order = np.lexsort((-compound, point))
            found[point[order]] = compound[order]
        return found


@dataclass(frozen=True, eq=False, slots=True)
class Gates:
    """Gates as they are known: code, position (shape (n, 2), CRS of the compounds), closed for good, open hours ("" always)."""

    code: tuple[str, ...]
    xy: Floats
    is_closed: Flags
    hours: tuple[str, ...]

    @classmethod
    def none(cls) -> Gates:
        """Return no gates."""
        return cls((), np.empty((0, 2)), np.empty(0, dtype=bool), ())


@dataclass(frozen=True, eq=False, slots=True)
class WallPassages:
    """Where streets pass walls, by the number that edges carry.

    The gates come first, in the order given; after them the places where a street meets a wall and no gate is known
    (``code`` ""), closed: the gates that are missing.
    """

    code: tuple[str, ...]
    compound: Numbers
    xy: Floats
    is_closed: Flags
    hours: tuple[str, ...]

    def closed_at(self, hour: float | None = None) -> Ints:
        """Return the numbers of what is closed: for good, or at an hour of the day (0 up to 24) outside of its open hours."""
        shut = self.is_closed.copy()
        if hour is not None:
            for number, text in enumerate(self.hours):
                hours = parse_gate_hours(text)
                shut[number] |= hours is not None and not hours.is_open(hour)
        return np.flatnonzero(shut)


@dataclass(frozen=True, eq=False, slots=True)
class WalledStreets:
    """Streets cut at walls, ready for ``build_walk_network``, and what was doubtful.

    Attributes
    ----------
    lines, layer, penalty_s, gate, is_closed, compound
        By line, as ``build_walk_network`` takes them.
    compounds, passages
        The compounds that count (those with a gate), and all places where a wall is passed.
    yards
        Numbers of compounds without streets of their own: there, straight ways lead from every gate to the middle.
    gates_on_no_wall, gates_without_street, compounds_without_gate
        Codes of what was left out: no wall within 10 m, no street within 100 m, and no way in known, so that the compound is
        taken as not walled.
    """

    lines: Lines
    layer: Ints
    penalty_s: Floats
    gate: Numbers
    is_closed: Flags
    compound: Numbers
    compounds: Compounds
    passages: WallPassages
    yards: tuple[int, ...]
    gates_on_no_wall: tuple[str, ...]
    gates_without_street: tuple[str, ...]
    compounds_without_gate: tuple[str, ...]


def _inside(outline: Geometries) -> Geometries:
    """Return compounds without the strip along their walls; those that are nothing but strip, whole."""
    inner = shapely.buffer(outline, -INSET_M, join_style="mitre")
    return np.where(shapely.is_empty(inner), outline, inner)


def compounds_of_walls(walls: ArrayLike, *, gap_m: float = GAP_M) -> tuple[Compounds, Gates]:
    """Return the areas that walls enclose, and a gate in the middle of every opening of at most ``gap_m``. Open always.

    Parameters
    ----------
    walls
        LineStrings along walls. CRS: projected, metric.

    Returns
    -------
    compounds, gates
        Numbered from west to east; areas under 100 m2 are left out.
    """
    lines = np.asarray(walls, dtype=object)
    if not len(lines):
        return Compounds.none(), Gates.none()
    merged = shapely.get_parts(shapely.line_merge(shapely.multilinestrings([lines])))
    gaps = _wall_gaps(merged, gap_m)
    closed = shapely.linestrings(gaps) if len(gaps) else np.empty(0, dtype=object)
    noded = shapely.union_all(np.concatenate((merged, closed)))
    areas = shapely.get_parts(shapely.polygonize(shapely.get_parts([noded])))
    areas = areas[shapely.area(areas) >= _LEAST_COMPOUND_M2]
    bounds = shapely.bounds(areas).reshape(-1, 4)
    areas = areas[np.lexsort((bounds[:, 3], bounds[:, 2], bounds[:, 1], bounds[:, 0]))]
    compounds = Compounds(tuple(f"wall-{number + 1:05d}" for number in range(len(areas))), areas)
    middle = gaps.mean(axis=1) if len(gaps) else np.empty((0, 2))
    gap, area = shapely.STRtree(areas).query(shapely.points(middle), predicate="dwithin", distance=0.01)
    opens = np.unique(gap)
    owner = np.array([area[gap == number].min() for number in opens], dtype=np.int64)
    order = np.lexsort((middle[opens, 1], middle[opens, 0], owner))
    codes, count = [], dict.fromkeys(range(len(areas)), 0)
    for number in owner[order].tolist():
        count[number] += 1
        codes.append(f"{compounds.code[number]}-{count[number]}")
    return compounds, Gates(tuple(codes), middle[opens][order], np.zeros(len(opens), dtype=bool), ("",) * len(opens))


def _wall_gaps(walls: Geometries, gap_m: float) -> Floats:
    """Return pairs of loose wall ends up to ``gap_m`` apart, the nearest first, each end once. Shape: (n, 2, 2)."""
    ends = np.concatenate((shapely.get_coordinates(shapely.get_point(walls, 0)), shapely.get_coordinates(shapely.get_point(walls, -1))))
    _, of, shared = np.unique(np.round(ends, 3), axis=0, return_inverse=True, return_counts=True)
    ends = ends[shared[of.reshape(-1)] == 1]
    ends = ends[np.lexsort((ends[:, 1], ends[:, 0]))]
    if len(ends) < 2:
        return np.empty((0, 2, 2))
    pairs = cKDTree(ends).query_pairs(gap_m, output_type="ndarray")
    width = np.hypot(*(ends[pairs[:, 0]] - ends[pairs[:, 1]]).T)
    taken = np.zeros(len(ends), dtype=bool)
    gaps = []
    for a, b in pairs[np.lexsort((pairs[:, 1], pairs[:, 0], np.round(width, 3)))].tolist():
        if not (taken[a] or taken[b]):
            taken[[a, b]] = True
            gaps.append((ends[a], ends[b]))
    return np.array(gaps).reshape(-1, 2, 2)


def wall_streets(
    lines: Sequence[Any] | Lines,
    compounds: Compounds,
    gates: Gates,
    *,
    layer: ArrayLike | None = None,
    penalty_s: ArrayLike | None = None,
) -> WalledStreets:
    """Return streets cut where they pass the walls of compounds, each cut with the number of its gate.

    A street passes through the nearest gate within 10 m of where it meets the wall; where there is none, the wall stops it.
    A gate that no street passes is joined to the nearest street outside and, where the compound has streets, inside; a
    compound without streets gets straight ways from its gates to its middle. Without compounds the lines come back as they are.

    Parameters
    ----------
    lines
        LineStrings that people walk along. CRS: projected, metric, that of compounds and gates.
    layer, penalty_s
        As ``build_walk_network``.
    """
    given = np.asarray(lines, dtype=object)
    count = len(given)
    layers = np.zeros(count, dtype=np.int64) if layer is None else np.asarray(layer, dtype=np.int64)
    penalties = np.zeros(count) if penalty_s is None else np.asarray(penalty_s, dtype=np.float64)
    own, on_wall = _gate_compounds(compounds, gates)
    with_gate = np.unique(own[on_wall])
    walled = Compounds(tuple(compounds.code[number] for number in with_gate), compounds.outline[with_gate])
    of_gate = np.where(on_wall, np.searchsorted(with_gate, own), NO_GATE)
    cut = _cut_at_walls(given, layers, penalties, walled, gates, of_gate)
    if len(walled.code):
        cut.join_gates(walled, gates, of_gate)
    without_gate = np.setdiff1d(np.arange(len(compounds.code)), with_gate)
    walls = cut.wall_places()
    passages = WallPassages(
        code=(*gates.code, *("" for _ in walls)),
        compound=np.concatenate((of_gate, [wall[0] for wall in walls])).astype(np.int32),
        xy=np.concatenate((gates.xy, np.array([wall[1:] for wall in walls]).reshape(-1, 2))),
        is_closed=np.concatenate((gates.is_closed, np.ones(len(walls), dtype=bool))),
        hours=(*gates.hours, *("" for _ in walls)),
    )
    number = np.array(cut.gate, dtype=np.int32)
    return WalledStreets(
        lines=_objects(cut.lines),
        layer=np.array(cut.layer, dtype=np.int64),
        penalty_s=np.array(cut.penalty_s, dtype=np.float64),
        gate=number,
        is_closed=np.append(passages.is_closed, False)[number],
        compound=np.array(cut.compound, dtype=np.int32),
        compounds=walled,
        passages=passages,
        yards=tuple(cut.yards),
        gates_on_no_wall=tuple(np.array(gates.code, dtype=object)[~on_wall].tolist()),
        gates_without_street=tuple(cut.without_street),
        compounds_without_gate=tuple(compounds.code[number] for number in without_gate),
    )


def _objects(shapes: Sequence[Any]) -> Geometries:
    held = np.empty(len(shapes), dtype=object)
    held[:] = shapes
    return held


def _gate_compounds(compounds: Compounds, gates: Gates) -> tuple[Ints, Flags]:
    """Return the compound whose wall each gate stands nearest to, and whether that is near enough."""
    own, near = np.full(len(gates.code), NO_GATE, dtype=np.int64), np.zeros(len(gates.code), dtype=bool)
    if not len(compounds.code) or not len(gates.code):
        return own, near
    tree = shapely.STRtree(shapely.boundary(compounds.outline))
    gate, compound = tree.query_nearest(shapely.points(gates.xy), max_distance=GATE_REACH_M)
    order = np.lexsort((-compound, gate))
    own[gate[order]] = compound[order]
    return own, own >= 0


@dataclass(slots=True)
class _CutStreets:
    """Lines and what holds of each, in the making; walls passed without a gate are numbered from ``first_wall``."""

    lines: list[Any]
    layer: list[int]
    penalty_s: list[float]
    gate: list[int]
    compound: list[int]
    first_wall: int
    walls: list[tuple[int, float, float]]
    yards: list[int]
    without_street: list[str]

    def add(self, line: Any, layer: int, penalty_s: float, gate: int, compound: int) -> None:
        self.lines.append(line)
        self.layer.append(layer)
        self.penalty_s.append(penalty_s)
        self.gate.append(gate)
        self.compound.append(compound)

    def wall_places(self) -> list[tuple[int, float, float]]:
        """Return the walls passed without a gate by compound and place, and number the lines so."""
        order = sorted(range(len(self.walls)), key=lambda number: self.walls[number])
        rank = {self.first_wall + number: self.first_wall + place for place, number in enumerate(order)}
        self.gate = [rank.get(number, number) for number in self.gate]
        return [self.walls[number] for number in order]

    def join_gates(self, compounds: Compounds, gates: Gates, of_gate: Ints) -> None:
        """Join gates that no street passes to the streets around, and give compounds without streets ways of their own."""
        used = set(self.gate)
        lost = [number for number in np.flatnonzero(of_gate >= 0).tolist() if number not in used]
        with_streets = set(self.compound)
        bare = [number for number in range(len(compounds.code)) if number not in with_streets]
        inner = _inside(compounds.outline)
        at_gate: dict[int, list[Any]] = {number: [] for number in bare}
        self._link(lost, gates, of_gate, inner, at_gate)
        for number in bare:
            middle = shapely.point_on_surface(inner[number])
            # where a street passes the gate and ends there, the yard begins at the end of the passage
            starts = at_gate[number] + self._passage_ends(number, of_gate, inner[number])
            if starts:
                self.yards.append(number)
            for start in starts:
                if shapely.distance(start, middle) > 0.0:
                    self.add(shapely.linestrings([shapely.get_coordinates(start)[0], shapely.get_coordinates(middle)[0]]), 0, 0.0, NO_GATE, number)

    def _passage_ends(self, number: int, of_gate: Ints, inner: Any) -> list[Any]:
        ends = []
        for line, gate in zip(self.lines, self.gate, strict=True):
            if 0 <= gate < len(of_gate) and of_gate[gate] == number and not getattr(line, "is_empty", True):
                for place in (0, -1):
                    end = shapely.get_point(line, place)
                    if shapely.dwithin(inner, end, 1e-6):
                        ends.append(end)
        return ends
