"""One district, complete: the pieces of a data set as columns, lon lat (datum wgs84), ready to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.geo.datums import convert
from gridsvc.geo.projections import to_storage
from gridsvc.progress import SILENT, Progress
from gridsvc.synth.blocks import group_union
from gridsvc.synth.departments import departments_of, duties_of
from gridsvc.synth.door_numbers import DoorNumbers
from gridsvc.synth.ground import DividedGround, Ground, Streets, divide_ground
from gridsvc.synth.names import COMPOUND_WORDS
from gridsvc.synth.points_of_service import Facilities, place_facilities
from gridsvc.synth.regions import grow_regions
from gridsvc.synth.reports import Places, Reports, make_reports, network_of
from gridsvc.synth.roster import Roster, enlist
from gridsvc.synth.settlement import Settlement, StreetNet, build_community, half_width_m
from gridsvc.synth.street_network import NO_WALK

Geometries = NDArray[np.object_]
Columns = dict[str, Any]

HOUSEHOLDS_PER_SECURITY_GRID = 1000
URBAN_CLASS = 111  # urban-rural class 111: main urban area
RAIL_CLEAR_M, WATER_CLEAR_M = 13.0, 7.0
KERB_EVERY_M = 40.0
ADDRESS_REACH_M = 250.0
REPORT_DECIMALS = 7


@dataclass(frozen=True, slots=True)
class Division:
    """Code and name of one division."""

    code: str
    name: str


@dataclass(frozen=True, slots=True)
class DivisionTree:
    """A city, one of its districts, the district's street offices, and the communities of each, in code order."""

    city: Division | None
    district: Division
    street_offices: tuple[Division, ...]
    communities: tuple[tuple[Division, ...], ...]
    has_street_level: bool = True


@dataclass(frozen=True, slots=True)
class TownRecipe:
    """What the ground does not say: recipes of ``data/synth``, category names, mean households of a community."""

    facility_types: list[Mapping[str, Any]]
    report_recipe: Mapping[str, Any]
    category_names: Mapping[str, str]
    mean_households: float = 1900.0
    is_roster_lean: bool = False


@dataclass(slots=True)
class _Community:
    """What was made in one community."""

    division: Division
    shape: shapely.Geometry
    settlement: Settlement
    facilities: Facilities
    roster: Roster
    reports: Reports
    kerbs: NDArray[np.float64]


def build_district(
    ground: Ground,
    tree: DivisionTree,
    recipe: TownRecipe,
    *,
    epsg: int,
    as_of: datetime,
    seed: int,
    with_city_row: bool = True,
    progress: Progress = SILENT,
) -> dict[str, Columns]:
    """Return the data set pieces of one district: kind to columns, geometries lon lat rounded to 9 decimals.

    Parameters
    ----------
    ground
        CRS: ``epsg``, projected, unit m.
    as_of
        Aware; local midnight from which the reports run.
    with_city_row
        Whether the divisions include the city, drawn as this district; not when it is one of several.

    Raises
    ------
    PartitionError
        When the ground cannot be given to that many communities.
    """
    counts = [len(members) for members in tree.communities]
    divided = divide_ground(ground, counts, seed=seed, lane_name="巷道", progress=progress)
    shapes = group_union(divided.faces, divided.community)
    district = shapely.union_all(shapely.buffer(shapes, 0.0)).buffer(-1.5)
    made = _build_communities(ground, divided, shapes, district, tree, recipe, as_of, seed, progress)
    progress.start("writing columns")
    doors = DoorNumbers.of(divided.streets)
    pieces = {
        "divisions": _divisions(divided, shapes, tree, with_city_row),
        "streets": _streets(divided.streets, made, tree.district.code),
        "water": _water(ground, tree.district.code),
        "barriers": _barriers(ground, divided.streets, made, tree.district.code),
        "residences": _residences(made),
        "facilities": _facilities(made, doors),
        "workers": _workers(made),
        "grids": _security_grids(divided, made, seed),
        "departments": {},
        "duties": {},
        "reports": {},
    }
    for columns in pieces.values():
        if "geometry" in columns:
            columns["geometry"] = to_storage(columns["geometry"], epsg)
    pieces["residences"]["entrance_lon"], pieces["residences"]["entrance_lat"] = _lonlat(
        np.array([door for c in made for door in c.settlement.doors]).reshape(-1, 2), epsg
    )
    pieces["departments"], pieces["duties"] = _departments(tree)
    pieces["reports"] = _reports(made, doors, recipe, epsg)
    return pieces


def _departments(tree: DivisionTree) -> tuple[Columns, Columns]:
    district = tree.district.code, tree.district.name
    streets = [(d.code, d.name) for d in tree.street_offices] if tree.has_street_level else []
    communities = [d.code for members in tree.communities for d in members]
    return departments_of(district, streets), duties_of(district, streets, communities)


def _lonlat(xy: NDArray[np.float64], epsg: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if len(xy) == 0:
        return np.empty(0), np.empty(0)
    lonlat = shapely.get_coordinates(to_storage(shapely.points(xy), epsg))
    return lonlat[:, 0], lonlat[:, 1]


def _build_communities(
    ground: Ground,
    divided: DividedGround,
    shapes: Geometries,
    district: shapely.Geometry,
    tree: DivisionTree,
    recipe: TownRecipe,
    as_of: datetime,
    seed: int,
    progress: Progress,
) -> list[_Community]:
    streets = divided.streets
    net = StreetNet(streets.lines, streets.street_class, streets.layer)
    obstacles = [water.buffer(WATER_CLEAR_M, quad_segs=2) for _, _, water in ground.water]
    obstacles += [rail.buffer(RAIL_CLEAR_M + 12.0, quad_segs=2) for rail in ground.rails]
    obstacles += [*ground.open_land, *_border_strips(shapes, streets)]
    obstacle_tree = shapely.STRtree(np.array(obstacles, dtype=object))
    divisions = [d for members in tree.communities for d in members]
    radius = max(1.0, np.sqrt(district.area / np.pi))
    first_worker = 0
    made = []
    progress.start("communities", len(divisions))
    shapely.prepare(district)
    for k, division in enumerate(divisions):
        # drawn from the code, not the position in the list: two districts of one seed must not share a report's UUID
        rng = np.random.default_rng([seed, 31, int(division.code)])
        faces = np.flatnonzero(divided.community == k)
        middle = shapes[k].centroid
        away = np.hypot(middle.x - ground.centre_xy[0], middle.y - ground.centre_xy[1]) / radius
        settlement = build_community(
            list(divided.faces[faces]),
            divided.is_open[faces].tolist(),
            net,
            obstacle_tree,
            age=float(np.clip(1.0 - away + rng.normal(0, 0.15), 0.0, 1.0)),
            households=float(np.exp(rng.normal(0, 0.26)) * recipe.mean_households),
            rng=rng,
        )
        kerbs = _kerbs(shapes[k], net, rng)
        office = _office_of(k, tree)
        facilities = place_facilities(
            settlement,
            kerbs,
            recipe.facility_types,
            community_name=division.name,
            office_name=tree.street_offices[office].name,
            share_of_office=1.0 / len(tree.communities[office]),
            seat_of_office=division is tree.communities[office][len(tree.communities[office]) // 2],
            rng=rng,
        )
        spot = shapes[k].point_on_surface()
        roster = enlist(settlement, (spot.x, spot.y), first_number=first_worker, is_lean=recipe.is_roster_lean, rng=rng)
        first_worker += len(roster.name)
        codes = [f"{division.code}W{i + 1:03d}" for i in range(len(roster.name))]
        use = np.array(settlement.use, dtype=object)
        doors = np.array(settlement.doors).reshape(-1, 2)
        places = Places(doors[use == "residential"], doors[use == "commercial"], kerbs)
        reports = make_reports(int(settlement.households.sum()), places, recipe.report_recipe, as_of, codes, rng)
        _keep_inside(reports, district, spot)
        made.append(_Community(division, shapes[k], settlement, facilities, roster, reports, kerbs))
        progress.advance()
    return made


def _office_of(community: int, tree: DivisionTree) -> int:
    ends = np.cumsum([len(members) for members in tree.communities])
    return int(np.searchsorted(ends, community, side="right"))


def _border_strips(shapes: Geometries, streets: Streets) -> list[shapely.Geometry]:
    """Return strips along community borders that follow no street, to be kept free of buildings and paths."""
    borders = shapely.get_parts(shapely.union_all(shapely.boundary(shapes)))
    tree = shapely.STRtree(streets.lines)
    on = np.unique(
        tree.query(shapely.line_interpolate_point(borders, 0.5, normalized=True), predicate="dwithin", distance=0.1)[0]
    )
    loose = np.delete(borders, on)
    return list(shapely.buffer(loose, 3.0, quad_segs=2))


def _kerbs(shape: shapely.Geometry, net: StreetNet, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return places on the pavements of a community's streets, about every `KERB_EVERY_M`; busy streets have more."""
    near = np.sort(net.tree.query(shape, predicate="intersects"))
    near = near[[net.street_class[i] not in NO_WALK and net.layer[i] == 0 for i in near]] if len(near) else near
    spots = []
    for i in near.tolist():
        line = net.lines[i]
        offset = half_width_m(net.street_class[i]) - 2.0
        busy = 2.0 if net.street_class[i] in ("primary", "secondary") else 1.0
        for side in (-1.0, 1.0):
            count = max(1, int(line.length * busy / KERB_EVERY_M))
            at = rng.uniform(0.05, 0.95, count) * line.length
            a = shapely.get_coordinates(shapely.line_interpolate_point(line, at))
            b = shapely.get_coordinates(shapely.line_interpolate_point(line, np.minimum(at + 0.5, line.length)))
            way = b - a
            size = np.maximum(np.hypot(*way.T), 1e-9)
            spots.append(a + np.column_stack([-way[:, 1], way[:, 0]]) / size[:, None] * side * offset)
    if not spots:
        return np.empty((0, 2))
    xy = np.concatenate(spots)
    shapely.prepare(shape)
    return xy[shapely.contains_xy(shape, xy[:, 0], xy[:, 1])]


def _keep_inside(reports: Reports, district: shapely.Geometry, spot: shapely.Point) -> None:
    """Move observed positions outside of the district back to where it happened, or into the community."""
    if len(reports.xy) == 0:
        return
    for fallback in (reports.true_xy, np.broadcast_to([[spot.x, spot.y]], reports.xy.shape)):
        out = ~shapely.contains_xy(district, reports.xy[:, 0], reports.xy[:, 1])
        reports.xy[out] = fallback[out]


def _multi(geometries: Geometries) -> Geometries:
    return np.array([shapely.MultiPolygon(shapely.get_parts(g).tolist()) for g in geometries], dtype=object)


def _divisions(divided: DividedGround, shapes: Geometries, tree: DivisionTree, with_city_row: bool) -> Columns:
    offices = group_union(divided.faces, divided.street_office)
    whole = shapely.coverage_union_all(divided.faces)
    rows: list[tuple[Division, str, str | None, shapely.Geometry]] = []
    if tree.city is not None and with_city_row:
        rows.append((tree.city, "city", None, whole))
    rows.append((tree.district, "district", tree.city.code if tree.city else None, whole))
    if tree.has_street_level:
        rows += [(d, "street", tree.district.code, g) for d, g in zip(tree.street_offices, offices, strict=True)]
    k = 0
    for office, members in zip(tree.street_offices, tree.communities, strict=True):
        parent = office.code if tree.has_street_level else tree.district.code
        for division in members:
            rows.append((division, "community", parent, shapes[k]))
            k += 1
    return {
        "code": [d.code for d, *_ in rows],
        "name": [d.name for d, *_ in rows],
        "level": [level for _, level, _, _ in rows],
        "parent_code": [parent for _, _, parent, _ in rows],
        "urban_rural_class": [URBAN_CLASS if level == "community" else None for _, level, _, _ in rows],
        "geometry": _multi(np.array([g for *_, g in rows], dtype=object)),
    }


def _streets(streets: Streets, made: list[_Community], district_code: str) -> Columns:
    hits = [hit for c in made for hit in c.settlement.hits]
    number = np.array([hit[0] for hit in hits], dtype=np.int64)
    cut = streets.cut_at(number, np.array([hit[1:] for hit in hits]).reshape(-1, 2))
    pieces = [np.concatenate(c.settlement.paths) for c in made if c.settlement.paths]
    paths = np.concatenate(pieces) if pieces else np.empty((0, 4))
    paths = np.unique(paths[np.hypot(paths[:, 0] - paths[:, 2], paths[:, 1] - paths[:, 3]) > 0.05], axis=0)
    lines = shapely.linestrings(paths.reshape(-1, 2, 2)) if len(paths) else np.empty(0, dtype=object)
    everything = cut.plus(lines, "footway", [""] * len(lines))
    return {
        "street_code": [f"{district_code}S{i + 1:06d}" for i in range(len(everything.lines))],
        "name": everything.name,
        "street_class": everything.street_class,
        "layer": everything.layer,
        "geometry": everything.lines,
    }


def _water(ground: Ground, district_code: str) -> Columns:
    shapes = np.array([shapely.intersection(w, ground.boundary) for _, _, w in ground.water], dtype=object)
    return {
        "water_code": [f"{district_code}A{i + 1:04d}" for i in range(len(shapes))],
        "name": [name for name, _, _ in ground.water],
        "kind": [kind for _, kind, _ in ground.water],
        "geometry": _multi(shapes) if len(shapes) else shapes,
    }


def _barriers(ground: Ground, streets: Streets, made: list[_Community], district_code: str) -> Columns:
    walls = [(wall, "wall") for c in made for wall in c.settlement.walls]
    rails = [(rail, "rail") for rail in ground.rails]
    banks = []
    over = streets.lines[streets.layer > 0]
    for _, _, water in ground.water:
        bank = shapely.intersection(water.exterior, ground.boundary.buffer(-1.0))
        near = over[shapely.intersects(over, water)]
        if len(near):
            bank = bank.difference(shapely.union_all(shapely.buffer(near, 14.0)))
        banks += [
            (shapely.LineString(part), "water")
            for part in shapely.get_parts(shapely.line_merge(bank))
            if part.length > 1.0
        ]
    rows = rails + banks + walls
    return {
        "barrier_code": [f"{district_code}B{i + 1:06d}" for i in range(len(rows))],
        "kind": [kind for _, kind in rows],
        "geometry": np.array([line for line, _ in rows], dtype=object),
    }


def _residences(made: list[_Community]) -> Columns:
    code, name, use = [], [], []
    for c in made:
        named = _building_names(c)
        for i, (title, purpose) in enumerate(zip(named, c.settlement.use, strict=True)):
            code.append(f"{c.division.code}{i + 1:05d}")
            name.append(title)
            use.append(purpose)
    return {
        "residence_code": code,
        "name": name,
        "use": use,
        "households": _joined(c.settlement.households for c in made),
        "population": _joined(c.settlement.population for c in made),
        "floors": _joined(c.settlement.floors for c in made),
        "geometry": np.array([b for c in made for b in c.settlement.buildings], dtype=object),
    }


def _joined(parts: Any) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])


def _building_names(c: _Community) -> list[str]:
    seen: dict[tuple[int, str], int] = {}
    words = {"commercial": "商铺", "school": "学校", "public": "公共楼", "industrial": "厂房"}
    start = sum(map(ord, c.division.name))
    names = []
    for number, use in zip(c.settlement.compound, c.settlement.use, strict=True):
        seen[number, use] = seen.get((number, use), 0) + 1
        estate = COMPOUND_WORDS[(start + number) % len(COMPOUND_WORDS)]
        suffix = "小区" if number < len(COMPOUND_WORDS) else f"小区{number // len(COMPOUND_WORDS) + 1}期"
        names.append(f"{estate}{suffix if use == 'residential' else words[use]}{seen[number, use]}号")
    return names


def _facilities(made: list[_Community], doors: DoorNumbers) -> Columns:
    xy = np.array([p for c in made for p in c.facilities.xy]).reshape(-1, 2)
    points = shapely.points(xy) if len(xy) else np.empty(0, dtype=object)
    return {
        "facility_code": [f"{c.division.code}F{i + 1:04d}" for c in made for i in range(len(c.facilities.name))],
        "kind_code": [k for c in made for k in c.facilities.kind_code],
        "name": [n for c in made for n in c.facilities.name],
        "address": _addresses(points, doors, [c.division.name for c in made for _ in c.facilities.name]),
        "geometry": points,
    }


def _addresses(points: Geometries, doors: DoorNumbers, otherwise: list[str]) -> list[str]:
    """Return the nearest named street and the door number there for each point; the name ``otherwise`` where none is near."""
    if len(doors.lines) == 0 or len(points) == 0:
        return otherwise
    nearest = doors.nearest(points)
    numbers = doors.numbers(nearest, points)
    far = shapely.distance(doors.lines[nearest], points) > ADDRESS_REACH_M
    return [
        other if out else f"{doors.names[i]}{number}号"
        for i, number, out, other in zip(nearest, numbers, far, otherwise, strict=True)
    ]


def _workers(made: list[_Community]) -> Columns:
    xy = np.array([p for c in made for p in c.roster.xy]).reshape(-1, 2)
    return {
        "worker_code": [f"{c.division.code}W{i + 1:03d}" for c in made for i in range(len(c.roster.name))],
        "name": [n for c in made for n in c.roster.name],
        "kind_code": [k for c in made for k in c.roster.kind_code],
        "division_code": [c.division.code for c in made for _ in c.roster.name],
        "phone": [p for c in made for p in c.roster.phone],
        "capacity_grids": [n for c in made for n in c.roster.capacity_grids],
        "geometry": shapely.points(xy),
    }


def _security_grids(divided: DividedGround, made: list[_Community], seed: int) -> Columns:
    """Return police grids: one to three per community, grouped from blocks, so their borders follow streets."""
    code, name, parent, shapes = [], [], [], []
    for k, c in enumerate(made):
        faces = np.flatnonzero(divided.community == k)
        households = int(c.settlement.households.sum())
        wanted = int(np.clip(round(households / HOUSEHOLDS_PER_SECURITY_GRID), 1, min(3, len(faces))))
        label = grow_regions(divided.graph.part(faces), np.ones(wanted), seed=seed)
        grids = group_union(divided.faces[faces], label)
        centre = np.round(shapely.get_coordinates(shapely.centroid(grids)))
        order = np.lexsort((-centre[:, 1], centre[:, 0]))
        for serial, i in enumerate(order, start=1):
            code.append(f"{c.division.code}{serial:03d}")
            name.append(f"{c.division.name.removesuffix('居委会')}警务网格{serial}")
            parent.append(c.division.code)
            shapes.append(grids[i])
    return {"code": code, "name": name, "community_code": parent, "geometry": _multi(np.array(shapes, dtype=object))}


def _reports(made: list[_Community], doors: DoorNumbers, recipe: TownRecipe, epsg: int) -> Columns:
    parts = [c.reports for c in made]
    xy = np.concatenate([np.empty((0, 2)), *(r.xy for r in parts)])
    lon, lat = _lonlat(xy, epsg)
    gcj = np.concatenate([np.empty(0, dtype=bool), *(r.is_gcj02 for r in parts)])
    if gcj.any():
        lon[gcj], lat[gcj] = convert(lon[gcj], lat[gcj], "wgs84", "gcj02")
    category = [code for r in parts for code in r.category_code]
    near = _addresses(
        shapely.points(xy) if len(xy) else np.empty(0, dtype=object),
        doors,
        [c.division.name for c in made for _ in c.reports.report_id],
    )
    repeat = np.concatenate([np.empty(0, dtype=bool), *(r.is_repeat for r in parts)])
    columns: Columns = {
        "report_id": [i for r in parts for i in r.report_id],
        "edition": [recipe.report_recipe["edition"]] * len(category),
        "category_code": category,
        "network": [network_of(code) for code in category],
        "source": [s for r in parts for s in r.source],
        "description": [
            f"{where}附近{'又' if again else ''}发现{recipe.category_names.get(code, '问题')}"
            for where, code, again in zip(near, category, repeat, strict=True)
        ],
        "reporter": [p for r in parts for p in r.reporter],
        "device": [d for r in parts for d in r.device],
        "occurred_at": [t.isoformat() for r in parts for t in r.occurred_at],
        "lon": np.round(lon, REPORT_DECIMALS),
        "lat": np.round(lat, REPORT_DECIMALS),
        "datum": np.where(gcj, "gcj02", "wgs84"),
        "accuracy_m": np.concatenate([np.empty(0), *(r.accuracy_m for r in parts)]),
    }
    order = sorted(range(len(category)), key=lambda i: (columns["occurred_at"][i], columns["report_id"][i]))
    return {name: [values[i] for i in order] for name, values in columns.items()}
