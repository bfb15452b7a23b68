"""Walled compounds and their gates: which streets pass a wall, where, and through which gate.

A street that passes the wall of a compound is cut there; the short piece in between carries the number of the gate, so that
opening or closing a gate is one change. What lies inside of a wall carries the number of its compound, and takes only points
from inside. Bridges and tunnels (layer other than 0) pass over and under walls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from gridsvc.circle.street_lines import StreetLines
from gridsvc.circle.walk_network import NO_GATE, Flags, Floats, Ints, Lines, Numbers
from gridsvc.errors import GeometryError

# Our choices. A street drawn along the outline of a compound lies outside of it, not in its wall.
INSET_M = 1.0
GATE_REACH_M = (
    10.0  # a gate stands within this of the wall, and lets through the streets that pass the wall within this
)
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
        raise GeometryError(
            f"Gate hours {text!r} are not written like 06:00-22:00.", hint="Leave them empty for always."
        )
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
        """Return the number of the compound that each point lies in (the smallest where several do), -1 outside and on the walls."""
        places = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        return _numbers_within(_inside(self.outline), shapely.points(places))


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
    for number in map(int, owner[order]):
        count[number] += 1
        codes.append(f"{compounds.code[number]}-{count[number]}")
    return compounds, Gates(tuple(codes), middle[opens][order], np.zeros(len(opens), dtype=bool), ("",) * len(opens))


def with_more_compounds(known: Compounds, further: Compounds) -> Compounds:
    """Return compounds and those further ones whose middle lies in none of them."""
    new = np.flatnonzero(
        known.numbers_at(shapely.get_coordinates(shapely.point_on_surface(further.outline))) == NO_GATE
    )
    return Compounds(
        (*known.code, *(further.code[number] for number in new)), np.concatenate((known.outline, further.outline[new]))
    )


def with_more_gates(known: Gates, further: Gates) -> Gates:
    """Return gates and those further ones that stand more than 10 m from all of them."""
    new = np.arange(len(further.code))
    if len(known.code) and len(new):
        apart, _ = cKDTree(known.xy).query(further.xy)
        new = np.flatnonzero(apart > GATE_REACH_M)
    return Gates(
        (*known.code, *(further.code[number] for number in new)),
        np.concatenate((known.xy, further.xy[new])),
        np.concatenate((known.is_closed, further.is_closed[new])),
        (*known.hours, *(further.hours[number] for number in new)),
    )


def _wall_gaps(walls: Geometries, gap_m: float) -> Floats:
    """Return pairs of loose wall ends up to ``gap_m`` apart, the nearest first, each end once. Shape: (n, 2, 2)."""
    ends = np.concatenate(
        (shapely.get_coordinates(shapely.get_point(walls, 0)), shapely.get_coordinates(shapely.get_point(walls, -1)))
    )
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
    streets = StreetLines.of(lines, layer, penalty_s)
    own, on_wall = _gate_compounds(compounds, gates)
    with_gate = np.unique(own[on_wall])
    walled = Compounds(tuple(compounds.code[number] for number in with_gate), compounds.outline[with_gate])
    without_gate = np.setdiff1d(np.arange(len(compounds.code)), with_gate)
    of_gate = np.where(on_wall, np.searchsorted(with_gate, own), NO_GATE).astype(np.int32)
    walls: Floats = np.empty((0, 3))
    yards: tuple[int, ...] = ()
    without_street: tuple[int, ...] = ()
    if len(walled.code):
        inner = _inside(walled.outline)
        streets, walls = _cut_at_walls(streets, inner, gates, on_wall)
        streets, yards, without_street = _join_gates(streets, inner, gates, of_gate)
    passages = WallPassages(
        code=(*gates.code, *[""] * len(walls)),
        compound=np.concatenate((of_gate, walls[:, 0].astype(np.int32))),
        xy=np.concatenate((gates.xy, walls[:, 1:])),
        is_closed=np.concatenate((gates.is_closed, np.ones(len(walls), dtype=bool))),
        hours=(*gates.hours, *[""] * len(walls)),
    )
    return WalledStreets(
        lines=streets.lines,
        layer=streets.layer,
        penalty_s=streets.penalty_s,
        gate=streets.gate,
        is_closed=np.append(passages.is_closed, False)[streets.gate],
        compound=streets.compound,
        compounds=walled,
        passages=passages,
        yards=yards,
        gates_on_no_wall=tuple(np.array(gates.code, dtype=object)[~on_wall].tolist()),
        gates_without_street=tuple(gates.code[number] for number in without_street),
        compounds_without_gate=tuple(compounds.code[number] for number in without_gate),
    )


def _gate_compounds(compounds: Compounds, gates: Gates) -> tuple[Ints, Flags]:
    """Return the compound whose wall each gate stands nearest to, and whether that is near enough."""
    own = np.full(len(gates.code), NO_GATE, dtype=np.int64)
    if len(compounds.code) and len(gates.code):
        tree = shapely.STRtree(shapely.boundary(compounds.outline))
        gate, compound = tree.query_nearest(shapely.points(gates.xy), max_distance=GATE_REACH_M)
        order = np.lexsort((-compound, gate))
        own[gate[order]] = compound[order]
    return own, own >= 0


def _cut_at_walls(streets: StreetLines, inner: Geometries, gates: Gates, on_wall: Flags) -> tuple[StreetLines, Floats]:
    """Return streets cut on both sides of every wall they pass, and the places passed without a gate: compound, x, y."""
    ground = np.flatnonzero(streets.layer == 0)
    rings = shapely.boundary(inner)
    line, ring = shapely.STRtree(rings).query(streets.lines[ground], predicate="intersects")
    line = ground[line]
    place, pair = shapely.get_coordinates(shapely.intersection(streets.lines[line], rings[ring]), return_index=True)
    line, ring = line[pair], ring[pair]
    offset = shapely.line_locate_point(streets.lines[line], shapely.points(place))
    gate, walls = _gate_at(place, ring, gates, on_wall)
    cut, source, middle = streets.cut(
        np.concatenate((line, line)), np.concatenate((offset - _HALF_PASSAGE_M, offset + _HALF_PASSAGE_M))
    )
    compound = _numbers_within(inner, shapely.line_interpolate_point(cut.lines, 0.5, normalized=True))
    compound[cut.layer != 0] = NO_GATE
    passes = np.full(len(cut.lines), NO_GATE, dtype=np.int32)
    order = np.lexsort((offset, line))
    line, offset, gate = line[order], offset[order], gate[order]
    first, last = np.searchsorted(line, source, "left"), np.searchsorted(line, source, "right")
    for piece in map(int, np.flatnonzero(last > first)):  # only pieces of lines that meet a wall
        near = np.flatnonzero(np.abs(offset[first[piece] : last[piece]] - middle[piece]) <= _HALF_PASSAGE_M)
        if len(near) and not _is_between_like(piece, source, passes, compound):
            passes[piece] = gate[first[piece] + near[0]]
    compound[passes != NO_GATE] = NO_GATE
    return StreetLines(cut.lines, cut.layer, cut.penalty_s, passes, compound), walls


def _is_between_like(piece: int, source: Ints, passes: Numbers, compound: Numbers) -> bool:
    """Return whether the pieces before and after one lie on the same side of the wall: the street touches it only."""
    if piece == 0 or piece + 1 == len(source) or not source[piece - 1] == source[piece] == source[piece + 1]:
        return False
    return bool(passes[piece - 1] == NO_GATE and compound[piece - 1] == compound[piece + 1])


def _gate_at(place: Floats, ring: Ints, gates: Gates, on_wall: Flags) -> tuple[Ints, Floats]:
    """Return the number of the gate, or of the gap in the wall, at each place; and the gaps: compound, x, y."""
    standing = np.flatnonzero(on_wall)
    apart, nearest = cKDTree(gates.xy[standing]).query(place, distance_upper_bound=GATE_REACH_M + INSET_M)
    through = np.isfinite(apart)
    number = np.full(len(place), NO_GATE, dtype=np.int64)
    number[through] = standing[nearest[through]]
    gaps = np.column_stack((ring, np.round(place, 1)))[~through]
    walls, gap = np.unique(gaps, axis=0, return_inverse=True)
    number[~through] = len(gates.code) + gap.reshape(-1)
    return number, walls


def _numbers_within(inner: Geometries, points: Geometries) -> Numbers:
    """Return the number of the smallest area around each point, -1 where there is none."""
    found = np.full(len(points), NO_GATE, dtype=np.int32)
    if len(inner):
        point, compound = shapely.STRtree(inner).query(points, predicate="within")
        # the last one stays
        order = np.lexsort((-compound, -shapely.area(inner)[compound], point))
        found[point[order]] = compound[order]
    return found


def _join_gates(
    streets: StreetLines, inner: Geometries, gates: Gates, of_gate: Numbers
) -> tuple[StreetLines, tuple[int, ...], tuple[int, ...]]:
    """Return streets with ways to the gates that none of them passes; then compounds without streets, and gates left alone."""
    # of -1, for none, the last place is told
    has_streets, is_passed = np.zeros(len(inner) + 1, dtype=bool), np.zeros(len(of_gate) + 1, dtype=bool)
    has_streets[streets.compound] = True
    is_passed[np.where(streets.gate < len(of_gate), streets.gate, NO_GATE)] = True
    lost = np.flatnonzero((of_gate != NO_GATE) & (~is_passed[:-1] | ~has_streets[of_gate]))
    outside = np.flatnonzero((streets.compound == NO_GATE) & (streets.gate == NO_GATE) & (streets.layer == 0))
    here = shapely.points(gates.xy[lost])
    found, street = shapely.STRtree(streets.lines[outside]).query_nearest(here, max_distance=LINK_M)
    found, street = _first_by_place(found, street, here, streets.lines[outside])
    ends = [_gate_ends(gates.xy[gate], inner[of_gate[gate]]) for gate in lost[found].tolist()]
    outer_end = shapely.points(np.array([pair[0] for pair in ends]).reshape(-1, 2))
    inner_end = shapely.points(np.array([pair[1] for pair in ends]).reshape(-1, 2))
    gate = lost[found]
    target = outside[street]
    target_m = shapely.line_locate_point(streets.lines[target], outer_end)
    links = [(outer_end, shapely.line_interpolate_point(streets.lines[target], target_m), np.full(len(gate), NO_GATE))]
    own, own_m, has_street = _nearest_inside(streets, inner_end, of_gate[gate])
    joined = shapely.line_interpolate_point(streets.lines[own[has_street]], own_m[has_street])
    middles = shapely.point_on_surface(inner[of_gate[gate[~has_street]]])
    links.append((inner_end[has_street], joined, of_gate[gate[has_street]]))
    links.append((inner_end[~has_street], middles, of_gate[gate[~has_street]]))
    cut, _, _ = streets.cut(np.concatenate((target, own[has_street])), np.concatenate((target_m, own_m[has_street])))
    for start, end, compound in links:
        apart = shapely.distance(start, end) > 0.0
        cut = cut.with_more(_between(start[apart], end[apart]), NO_GATE, compound[apart])
    cut = cut.with_more(_between(outer_end, inner_end), gate, NO_GATE)
    yards = np.unique(of_gate[gate[~has_street]])
    return cut, tuple(yards.tolist()), tuple(np.setdiff1d(lost, gate).tolist())


def _first_by_place(point: Ints, line: Ints, points: Geometries, lines: Lines) -> tuple[Ints, Ints]:
    """Return for each point, of lines equally near, the one whose nearest point lies furthest west, then south."""
    meets = shapely.get_coordinates(shapely.get_point(shapely.shortest_line(lines[line], points[point]), 0))
    order = np.lexsort((meets[:, 1], meets[:, 0], point))
    point, line = point[order], line[order]
    new = np.append(True, point[1:] != point[:-1])[: len(point)]
    return point[new], line[new]


def _between(start: Geometries, end: Geometries) -> Lines:
    ways = np.stack((shapely.get_coordinates(start), shapely.get_coordinates(end)), axis=1)
    return shapely.linestrings(ways) if len(ways) else np.empty(0, dtype=object)


def _gate_ends(xy: Floats, inner: Any) -> tuple[Floats, Floats]:
    """Return the places before and behind a gate between which the passage lies."""
    here = shapely.points(xy)
    behind = shapely.get_coordinates(shapely.shortest_line(shapely.boundary(inner), here))[0]
    if np.hypot(*(xy - behind)) >= 2 * _HALF_PASSAGE_M and not shapely.intersects(inner, here):
        return xy, behind
    away = behind - shapely.get_coordinates(shapely.point_on_surface(inner))[0]
    return behind + away / np.hypot(*away) * 2 * _HALF_PASSAGE_M, behind


def _nearest_inside(streets: StreetLines, inner_end: Geometries, compound: Numbers) -> tuple[Ints, Floats, Flags]:
    """Return the street of its own compound nearest to each place, the metres along it, and whether there is one."""
    order = np.argsort(streets.compound, kind="stable")
    ranked = streets.compound[order]
    own, own_m, found = (
        np.zeros(len(inner_end), dtype=np.int64),
        np.zeros(len(inner_end)),
        np.zeros(len(inner_end), dtype=bool),
    )
    for place, number in enumerate(compound.tolist()):  # gates without a street: few
        mine = order[np.searchsorted(ranked, number, "left") : np.searchsorted(ranked, number, "right")]
        if len(mine):
            apart = shapely.distance(streets.lines[mine], inner_end[place])
            near = mine[apart == apart.min()]
            _, first = _first_by_place(np.zeros_like(near), near, inner_end[place : place + 1], streets.lines)
            own[place] = first[0]
            own_m[place] = shapely.line_locate_point(streets.lines[own[place]], inner_end[place])
            found[place] = True
    return own, own_m, found
