"""Edit grids by hand: split, merge, move a border, a building or a unit grid. The partition is exact after every step.

Every operation returns new grids and what changed, or refuses and changes nothing. Neighbours across a border get the new
vertices too. Codes: after a split the part with most households keeps the code (with most land where nobody lives; the westernmost
of equals), the other parts get new codes, numbered west to east then north to south; a merged grid keeps the code of its largest part
(the lowest code of those equal to 1 m2); a grid with a new border keeps its code. A retired code is never given again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely

from gridsvc.division.communities import Floats, Geometries, Integers
from gridsvc.division.edit_checks import checked_edit, is_too_small
from gridsvc.division.edit_cuts import (
    Cut,
    components_between,
    cut_by,
    edge_keys,
    is_inside_curve,
    joined_fragments,
    shared_edges,
    way_between,
)
from gridsvc.division.edit_lines import DrawnLine, kept_clear, led_to_border, nearest_on, snapped_line
from gridsvc.division.edit_rows import Fresh, Pieces, Row, governance_codes, kept_rows, rebuilt, row_like, unit_rows
from gridsvc.division.editable_grids import (
    GOVERNANCE,
    UNIT,
    EditableGrids,
    EditRules,
    FreeCodes,
    GridChange,
    GridRef,
    SnappedVertex,
    on_lattice,
    place_of,
    require_path,
    united,
)
from gridsvc.division.plots import attached, plots
from gridsvc.errors import (
    ConflictError,
    GeometryError,
    GridsvcError,
    NotFoundError,
    PartitionError,
)

Edited = tuple[EditableGrids, GridChange]


def split(
    grids: EditableGrids,
    ref: GridRef,
    line: Floats,
    *,
    free_codes: FreeCodes,
    along_units: bool = False,
    around_buildings: bool = False,
    rules: EditRules | None = None,
) -> Edited:
    """Split a grid by a line that crosses it from border to border (or closes around a part of it).

    Splitting a governance grid cuts the unit grids that the line crosses; pieces too small for a unit grid join the neighbour on
    their side. What the line does outside the grid is ignored.

    Parameters
    ----------
    line
        Vertices in the CRS of the grids. Shape: (n, 2). Snapped first, see `snapped_line`.
    free_codes
        Gives codes never used before, for a kind and community.
    along_units
        Of a governance grid: cut no unit grid; each goes whole to the side that holds most of it.
    around_buildings
        Lead the line around buildings in its way instead of refusing it.

    Raises
    ------
    GeometryError
        The line ends inside the grid, runs through a building, or leaves a part too small.
    PartitionError
        A part would fall apart.
    ConflictError
        The grid is locked, or was retired.
    """
    rules = rules or EditRules()
    members, land = grids.members(ref), grids.shape(ref)
    drawn = led_to_border(snapped_line(grids, line, rules), land, rules, grids.ground.epsg)
    if not along_units or ref.kind == UNIT:
        drawn = kept_clear(grids, drawn, land, rules, around_buildings=around_buildings)
    cut = cut_by(grids.units, members, drawn.path, grids.ground.epsg, rules.node_m)
    pieces = Pieces.of(grids, cut, members)
    side = _sides(pieces, cut, ref)
    fresh = Fresh(grids, free_codes, grids.community(ref))
    if ref.kind == UNIT:
        rows = unit_rows(grids, pieces, np.arange(len(pieces.shapes)), fresh)
    elif along_units:
        pieces, side = _whole_units(grids, pieces, side, ref)
        rows = kept_rows(grids, pieces, governance_codes(pieces, side, ref, fresh))
        cut = replace(cut, polygons=grids.units)
    else:
        small = np.array([is_too_small(shape, rules) for shape in pieces.shapes], dtype=bool)
        into = joined_fragments(pieces.shapes, side, small & ~pieces.is_main)
        rows = unit_rows(grids, pieces, into, fresh, governance_codes(pieces, side, ref, fresh))
    return checked_edit("split", grids, rebuilt(grids, cut.polygons, pieces, rows), rules, snapped=drawn.snapped)


def merge(grids: EditableGrids, refs: Sequence[GridRef], *, rules: EditRules | None = None) -> Edited:
    """Merge two or more grids of one kind that hang together: unit grids of one governance grid, or governance grids of one community.

    Unit grids of merged governance grids stay as they are.

    Raises
    ------
    ConflictError
        Fewer than two grids, of two kinds, or not of one governance grid or community.
    PartitionError
        They do not hang together along borders.
    """
    rules = rules or EditRules()
    chosen = sorted(set(refs))
    if len(chosen) < 2 or len({ref.kind for ref in chosen}) > 1:
        raise ConflictError(
            "A merge takes two or more different grids of one kind.", hint="Name the grids that become one."
        )
    members = [grids.members(ref) for ref in chosen]
    _require_one_owner(grids, chosen, members)
    positions = np.concatenate(members)
    areas = [round(float(shapely.area(grids.units[own]).sum())) for own in members]
    kept = chosen[int(np.argmax(areas))]
    label = np.repeat(np.arange(len(members)), [len(own) for own in members])
    _require_together(grids, chosen, positions, label)
    pieces = Pieces(grids.units[positions], positions, grids.counts[positions])
    if kept.kind == GOVERNANCE:
        rows = kept_rows(grids, pieces, [kept.code] * len(positions))
    else:
        first = positions[0]
        rows = [Row(np.arange(len(positions)), kept.code, grids.parents[first], grids.communities[first])]
    return checked_edit("merge", grids, rebuilt(grids, grids.units, pieces, rows), rules)


def _require_one_owner(grids: EditableGrids, refs: list[GridRef], members: list[Integers]) -> None:
    positions = np.concatenate(members)
    above = grids.parents if refs[0].kind == UNIT else grids.communities
    owners = sorted({str(owner) for owner in above[positions]})
    communities = sorted(set(grids.communities[positions]))
    if len(owners) > 1 or len(communities) > 1:
        what = "governance grids" if refs[0].kind == UNIT and len(communities) == 1 else "communities"
        raise ConflictError(
            f"The grids lie in different {what}: {', '.join(owners if len(owners) > 1 else communities)}.",
            hint="Merge unit grids of one governance grid, or governance grids of one community.",
        )


def _require_together(grids: EditableGrids, refs: list[GridRef], positions: Integers, label: Integers) -> None:
    """Refuse grids not all of which can be reached from the first across shared borders."""
    reached = {0}
    for _ in refs:
        inside = np.isin(label, list(reached))
        for other in set(range(len(refs))) - reached:
            if len(shared_edges(grids.units, positions[inside], positions[label == other])):
                reached.add(other)
    apart = sorted(set(range(len(refs))) - reached)
    if apart:
        raise PartitionError(
            f"The {refs[0].kind} grids {refs[0].code} and {refs[apart[0]].code} share no border.",
            hint="Name grids that hang together, those between them included.",
            check="contiguity",
        )


def move_border(
    grids: EditableGrids,
    first: GridRef,
    second: GridRef,
    line: Floats,
    *,
    around_buildings: bool = False,
    rules: EditRules | None = None,
) -> Edited:
    """Replace the border of two grids between two points on it by a line; both grids change together.

    The land between the old and the new border changes hands. Of governance grids, unit grids wholly between the two go over as they
    are; of those cut, the land that changes hands joins the neighbouring unit grid with the longest shared border.

    Parameters
    ----------
    line
        From a point on the shared border to another, through the two grids. CRS: as the grids. Shape: (n, 2).

    Raises
    ------
    GeometryError
        An end is not on the shared border, the line leaves the two grids or runs through a building.
    ConflictError
        The two are no neighbours of one community, or one would vanish.
    PartitionError
        A grid would fall apart.
    """
    rules = rules or EditRules()
    a, b = _neighbours(grids, first, second, rules)
    land = united(grids.units[np.concatenate([a, b])])
    drawn = _between_border_points(grids, snapped_line(grids, line, rules), shared_edges(grids.units, a, b), rules)
    drawn = kept_clear(grids, drawn, land, rules, around_buildings=around_buildings)
    cut = cut_by(grids.units, np.concatenate([a, b]), drawn.path, grids.ground.epsg, rules.node_m)
    _require_within(grids, cut, np.concatenate([a, b]), rules)
    curve = _closed_curve(shared_edges(cut.polygons, a, b), cut.path, first, second)
    pieces = Pieces.of(grids, cut, np.concatenate([a, b]))
    inner = shapely.get_coordinates(shapely.point_on_surface(pieces.shapes))
    was_second = np.isin(pieces.owner, b)
    is_second = was_second ^ is_inside_curve(inner, curve)
    for ref, left in ((first, ~is_second), (second, is_second)):
        if not left.any():
            raise ConflictError(f"The {ref.kind} grid {ref.code} would vanish.", hint="Merge the two grids instead.")
    if first.kind == UNIT:
        rows = [row_like(grids, np.flatnonzero(is_second == side), int(own[0])) for side, own in ((0, a), (1, b))]
    else:
        rows = _rows_changing_hands(grids, pieces, was_second, is_second, (first.code, second.code))
    after = rebuilt(grids, cut.polygons, pieces, rows)
    return checked_edit("move-border", grids, after, rules, snapped=drawn.snapped)


def _neighbours(grids: EditableGrids, first: GridRef, second: GridRef, rules: EditRules) -> tuple[Integers, Integers]:
    """Return the unit grids of two neighbouring grids of one kind and community."""
    if first == second or first.kind != second.kind:
        raise ConflictError("A border lies between two different grids of one kind.", hint="Name both grids.")
    a, b = grids.members(first), grids.members(second)
    if grids.community(first) != grids.community(second):
        raise ConflictError(
            f"{first.code} and {second.code} lie in different communities, whose border is not moved here.",
            hint="Import the new community boundaries instead.",
        )
    edges = shared_edges(grids.units, a, b)
    if np.hypot(*(edges[:, 1] - edges[:, 0]).T).sum() < rules.touch_m:
        raise ConflictError(
            f"The {first.kind} grids {first.code} and {second.code} are no neighbours: they share less than {rules.touch_m:g} m of border.",
            hint="Name two grids with a shared border.",
        )
    return a, b


def _between_border_points(grids: EditableGrids, line: DrawnLine, border: Floats, rules: EditRules) -> DrawnLine:
    """Return the line with both ends on the shared border, drawn on to it where they miss it by twice the tolerance."""
    path, snapped = line.path, list(line.snapped)
    edges = shapely.linestrings(border)
    for at, name in ((0, "first"), (-1, "last")):
        target = nearest_on(edges, path[at])
        assert target is not None
        miss_m = float(np.hypot(*(target - path[at])))
        if miss_m <= rules.node_m:
            continue
        if miss_m > max(2 * rules.snap_m, rules.node_m):
            raise GeometryError(
                f"The {name} vertex, at {place_of(path[at], grids.ground.epsg)}, is {miss_m:.1f} m from the shared border.",
                hint="Begin and end the new border on the old one.",
                ends_at=place_of(path[at], grids.ground.epsg),
                distance_m=round(miss_m, 3),
            )
        target = on_lattice(target[None, :], grids.ground.epsg)[0]
        snapped.append(SnappedVertex(tuple(path[at].tolist()), tuple(target.tolist()), "border"))
        path = np.vstack([target, path] if at == 0 else [path, target])
    return DrawnLine(require_path(path), tuple(snapped))


def _require_within(grids: EditableGrids, cut: Cut, members: Integers, rules: EditRules) -> None:
    """Refuse a path that leaves the land of the grids, naming what it reaches into."""
    land = shapely.buffer(united(cut.polygons[members]), 2 * rules.node_m)
    middle = shapely.points(cut.path_edges.mean(axis=1))
    outside = middle[~shapely.covers(land, middle)]
    if len(outside) == 0:
        return
    place = place_of(shapely.get_coordinates(outside[:1])[0], grids.ground.epsg)
    reached = np.flatnonzero(shapely.intersects(cut.polygons, outside[0]))
    what = f"into unit grid {grids.codes[reached[0]]}" if len(reached) else "out of the area"
    raise GeometryError(
        f"The line reaches {what} at {place}.", hint="Keep it within the two grids whose border moves.", at=place
    )


def _closed_curve(border: Floats, path: Floats, first: GridRef, second: GridRef) -> Floats:
    """Return the closed curve of the old border between the ends of the path and the path backwards; the smaller one around a ring."""
    ways = way_between(border, path[0], path[-1])
    if not ways:
        raise GeometryError(
            f"The ends of the line are not joined by one stretch of the border of {first.code} and {second.code}.",
            hint="Begin and end on the same stretch of the shared border, at two different points.",
        )
    curves = [np.vstack([way[:-1], path[:0:-1]]) for way in ways]
    if min(len(curve) for curve in curves) < 3:
        raise ConflictError("The line is the border that is there.", hint="Draw the line away from it.")
    return min(curves, key=lambda curve: abs(shapely.Polygon(curve).area))


def _rows_changing_hands(
    grids: EditableGrids, pieces: Pieces, was_second: np.ndarray, is_second: np.ndarray, codes: tuple[str, str]
) -> list[Row]:
    """Return the unit grids of two governance grids after land changed hands; see `move_border`."""
    main = np.zeros(len(pieces.shapes), dtype=bool)
    areas = shapely.area(pieces.shapes)
    for unit in np.unique(pieces.owner):
        own = np.flatnonzero(pieces.owner == unit)
        stayed = own[is_second[own] == was_second[own]]
        among = stayed if len(stayed) else own
        main[among[areas[among].argmax()]] = True
    into = joined_fragments(pieces.shapes, is_second.astype(np.int64), ~main)
    lost = np.flatnonzero(~main[into])
    if len(lost):
        raise PartitionError(
            "Land that would change hands touches no unit grid of the receiving governance grid.",
            hint="Split the unit grid first, or move whole unit grids.",
            check="contiguity",
        )
    return [
        replace(
            row_like(grids, np.flatnonzero(into == base), int(pieces.owner[base])), parent=codes[int(is_second[base])]
        )
        for base in np.flatnonzero(main)
    ]


def move_building(
    grids: EditableGrids,
    building: str,
    to: GridRef,
    *,
    with_attached: bool = False,
    rules: EditRules | None = None,
) -> Edited:
    """Move a building with its land from the unit grid it stands in to a neighbouring grid.

    The land is the smallest of several (see `plots`) with which both grids stay in one piece. Into a governance grid it goes to the unit
    grid that shares the longest border with it.

    Parameters
    ----------
    building
        Its id.
    with_attached
        Move the buildings that stand wall to wall with it too, instead of refusing.

    Raises
    ------
    NotFoundError
        No such building here.
    ConflictError
        It is in the receiving grid already, the two are no neighbours, or nothing else stands in its grid.
    GeometryError
        It stands wall to wall with others, is cut by a border, or no sensible land joins it to the receiving grid.
    """
    rules = rules or EditRules()
    ground = grids.ground
    which, source = _standing_in(grids, building)
    receivers = grids.members(to)
    if source in receivers:
        raise ConflictError(f"Building {building} is in {to.kind} grid {to.code} already.", hint="Name another grid.")
    source_ref = GridRef(to.kind, grids.codes[source] if to.kind == UNIT else grids.parents[source])
    _neighbours(grids, source_ref, to, rules)
    here = np.flatnonzero(shapely.intersects(ground.buildings, grids.units[source]))
    group = here[attached(ground.buildings[here], int(np.flatnonzero(here == which)[0]), rules.clearance_m)]
    if len(group) > 1 and not with_attached:
        names = [str(ground.building_ids[i]) for i in group if i != which]
        raise GeometryError(
            f"Building {building} stands wall to wall with {', '.join(names[:3])}.",
            hint="Move them together (with_attached).",
            buildings=names,
        )
    refused: GridsvcError | None = None
    others = ground.buildings[np.setdiff1d(here, group)]
    receiving = united(grids.units[receivers])
    for plot in plots(ground.buildings[group], others, grids.units[source], receiving, rules):
        try:
            return _with_plot(grids, plot, source, to, rules)
        except (PartitionError, GeometryError, ConflictError) as error:
            if isinstance(error, ConflictError) and "locked" in error.details:
                raise
            refused = refused or error
    raise GeometryError(
        f"No land joins building {building} to {to.kind} grid {to.code} without cutting off other buildings.",
        hint="Move the buildings between first, or move the border by a line.",
        reason=str(refused) if refused else "the land around it does not reach the grid",
    )


def _standing_in(grids: EditableGrids, building: str) -> tuple[int, int]:
    """Return the position of a building and of the one unit grid it stands in."""
    ground = grids.ground
    found = np.flatnonzero(ground.building_ids == building)
    if len(found) == 0:
        raise NotFoundError(f"There is no building {building} here.", hint="Use the id of a building of these grids.")
    shape = ground.buildings[found[0]]
    units = np.flatnonzero(shapely.relate_pattern(grids.units, shape, "T********"))
    if len(units) == 0:
        raise NotFoundError(f"Building {building} stands in none of these grids.", hint="Edit the grids around it.")
    if len(units) > 1:
        raise GeometryError(
            f"Building {building} is cut by a border already: {', '.join(grids.codes[units][:3])}.",
            hint="Move the border around it instead.",
        )
    return int(found[0]), int(units[0])


def _with_plot(grids: EditableGrids, plot: shapely.Polygon, source: int, to: GridRef, rules: EditRules) -> Edited:
    """Return the grids with a plot of one unit grid handed to the unit grid of ``to`` that shares most border with it."""
    path = on_lattice(shapely.get_coordinates(plot.exterior), grids.ground.epsg)
    cut = cut_by(grids.units, np.array([source]), path, grids.ground.epsg, rules.node_m)
    pieces = Pieces.of(grids, cut, np.array([source]))
    inner = shapely.get_coordinates(shapely.point_on_surface(pieces.shapes))
    moves = is_inside_curve(inner, path[:-1])
    if moves.all():
        raise ConflictError(f"Nothing would be left of unit grid {grids.codes[source]}.", hint="Merge the two grids.")
    taken = pieces.shapes[moves]
    receivers = grids.members(to)
    shared_m = [_shared_m(taken, cut.polygons[receiver]) for receiver in receivers]
    receiver = receivers[int(np.argmax(shared_m))]
    if max(shared_m) < rules.touch_m:
        raise ConflictError("The land around the building does not touch the receiving grid.")
    shapes = np.append(pieces.shapes, [cut.polygons[receiver]])
    both = Pieces(
        shapes, np.append(pieces.owner, receiver), np.vstack([pieces.counts, grids.counts[receiver][None, :]])
    )
    goes = np.append(moves, True)
    rows = [row_like(grids, np.flatnonzero(~goes), source), row_like(grids, np.flatnonzero(goes), int(receiver))]
    return checked_edit("move-building", grids, rebuilt(grids, cut.polygons, both, rows), rules)


def _shared_m(taken: Geometries, receiver: shapely.Geometry) -> float:
    polygons = np.append(taken, [receiver])
    edges = shared_edges(polygons, np.arange(len(taken)), np.array([len(taken)]))
    return float(np.hypot(*(edges[:, 1] - edges[:, 0]).T).sum())


def move_unit(grids: EditableGrids, unit: GridRef, to: GridRef, *, rules: EditRules | None = None) -> Edited:
    """Move a whole unit grid from its governance grid to a neighbouring one of the same community.

    Raises
    ------
    ConflictError
        It is there already, it is the last of its governance grid, the two do not touch or lie in different communities.
    PartitionError
        The governance grid it leaves would fall apart.
    """
    rules = rules or EditRules()
    if unit.kind != UNIT or to.kind != GOVERNANCE:
        raise ConflictError("A unit grid moves to a governance grid.", hint="Name a unit grid and a governance grid.")
    position, receivers = int(grids.members(unit)[0]), grids.members(to)
    leaving = grids.parents[position]
    if leaving == to.code:
        raise ConflictError(f"Unit grid {unit.code} is in {to.code} already.", hint="Name another governance grid.")
    if grids.communities[position] != grids.communities[receivers[0]]:
        raise ConflictError(f"{to.code} is in another community than {unit.code}.", hint="Grids stay in a community.")
    if int((grids.parents == leaving).sum()) == 1:
        raise ConflictError(
            f"Unit grid {unit.code} is the last of governance grid {leaving}.",
            hint="Merge the two governance grids instead.",
        )
    edges = shared_edges(grids.units, np.array([position]), receivers)
    if np.hypot(*(edges[:, 1] - edges[:, 0]).T).sum() < rules.touch_m:
        raise ConflictError(f"Unit grid {unit.code} does not touch {to.code}.", hint="Name a neighbouring one.")
    parents = grids.parents.copy()
    parents[position] = to.code
    return checked_edit("move-unit", grids, replace(grids, parents=parents), rules)


def _sides(pieces: Pieces, cut: Cut, ref: GridRef) -> Integers:
    """Return the side of the line each piece is on, numbered from 0.

    Parts of a grid in several parts that the line does not touch stay with the side that has most households.
    """
    walls = cut.path_edges
    side = components_between(pieces.shapes, walls)
    at_wall = _has_edge(pieces.shapes, walls)
    split_sides = np.unique(side[at_wall])
    if len(split_sides) < 2:
        raise GeometryError(
            f"The line does not divide the {ref.kind} grid {ref.code}: all its land is on one side.",
            hint="Draw it across the grid, from border to border, not along its border.",
        )
    held = np.bincount(side, pieces.counts[:, 0]) * 1e6 + np.bincount(side, shapely.area(pieces.shapes)) * 1e-6
    largest = split_sides[int(held[split_sides].argmax())]
    side = np.where(np.isin(side, split_sides), side, largest)
    return np.unique(side, return_inverse=True)[1].ravel().astype(np.int64)


def _has_edge(shapes: Geometries, edges: Floats) -> np.ndarray:
    """Return which polygons have one of the edges."""
    known = {tuple(pair) for pair in edge_keys(edges).tolist()}
    found = np.zeros(len(shapes), dtype=bool)
    for i, shape in enumerate(shapes):
        coordinates, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shape)), return_index=True)
        same = ring[1:] == ring[:-1]
        own = edge_keys(np.stack([coordinates[:-1][same], coordinates[1:][same]], axis=1))
        found[i] = any(tuple(pair) in known for pair in own.tolist())
    return found


def _whole_units(grids: EditableGrids, pieces: Pieces, side: Integers, ref: GridRef) -> tuple[Pieces, Integers]:
    """Return the unit grids uncut, each on the side that holds most of its land."""
    units = np.unique(pieces.owner)
    areas = shapely.area(pieces.shapes)
    chosen = [int(np.bincount(side[pieces.owner == unit], areas[pieces.owner == unit]).argmax()) for unit in units]
    sides = np.unique(chosen, return_inverse=True)[1].ravel().astype(np.int64)
    if sides.max() == 0:
        raise GeometryError(
            f"No whole unit grid of {ref.code} lies mostly on the other side of the line.",
            hint="Draw the line deeper into the grid, or let it cut unit grids.",
        )
    return Pieces(grids.units[units], units, grids.counts[units]), sides
