"""The ground of a district: its streets, the blocks they close, and which community every block belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.errors import PartitionError
from gridsvc.progress import SILENT, Progress
from gridsvc.synth.blocks import GRID_M, faces_of, lane_across, meet_outline, merge_slivers, shared_borders
from gridsvc.synth.regions import BlockGraph, grow_regions
from gridsvc.synth.street_network import NO_WALK

Geometries = NDArray[np.object_]
Ints = NDArray[np.int64]

LARGEST_SHARE = 0.4  # a block holding more than this share of a community's area is cut by a lane
_CUT_ROUNDS = 8
# what a border costs per metre, by the street it follows; our choice: borders like main streets, water and rails
_BORDER_COST = {"primary": 1.0, "trunk": 1.0, "motorway": 1.0, "secondary": 1.5, "tertiary": 2.5, "residential": 5.0}
_COST_CUT, _COST_OTHER = 1.0, 8.0


@dataclass(slots=True)
class Streets:
    """Street lines with their attributes, one entry each. CRS: projected, unit m; lines that meet share end points."""

    lines: Geometries
    street_class: list[str]
    name: list[str]
    layer: Ints

    def plus(self, lines: Geometries, street_class: str, names: list[str]) -> Streets:
        """Return these streets and more lines of one class."""
        return Streets(
            np.concatenate([self.lines, lines]),
            self.street_class + [street_class] * len(lines),
            self.name + names,
            np.concatenate([self.layer, np.zeros(len(lines), dtype=np.int64)]),
        )

    def cut_at(self, number: Ints, xy: NDArray[np.float64]) -> Streets:
        """Return the streets cut at points on them; the point becomes the shared end of both pieces.

        Parameters
        ----------
        number
            Street of each point.
        xy
            Shape (n, 2). Points on (or within millimetres of) their streets.
        """
        cuts: dict[int, list[tuple[float, float]]] = {}
        for street, (x, y) in zip(number.tolist(), xy.tolist(), strict=True):
            cuts.setdefault(street, []).append((x, y))
        lines: list[shapely.LineString] = []
        origin: list[int] = []
        for street, line in enumerate(self.lines):
            pieces = _cut_line(line, cuts[street]) if street in cuts else [line]
            lines += pieces
            origin += [street] * len(pieces)
        return Streets(
            np.array(lines, dtype=object),
            [self.street_class[i] for i in origin],
            [self.name[i] for i in origin],
            self.layer[origin],
        )


def _cut_line(line: shapely.LineString, points: list[tuple[float, float]]) -> list[shapely.LineString]:
    xy = shapely.get_coordinates(line)
    steps = np.hypot(*np.diff(xy, axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(steps)])
    places = sorted({(round(float(line.project(shapely.Point(p))), 6), p) for p in points})
    pieces, begun = [], [tuple(xy[0])]
    vertex = 1
    for distance, point in places:
        if point in (tuple(xy[0]), tuple(xy[-1])) or distance <= 1e-6 or distance >= at[-1] - 1e-6:
            continue
        while vertex < len(xy) - 1 and at[vertex] < distance - 1e-6:
            begun.append(tuple(xy[vertex]))
            vertex += 1
        if vertex < len(xy) - 1 and abs(at[vertex] - distance) <= 1e-6:
            vertex += 1
        if begun[-1] == point:
            continue
        pieces.append(shapely.LineString([*begun, point]))
        begun = [point]
    pieces.append(shapely.LineString([*begun, *map(tuple, xy[vertex:])]))
    return pieces


@dataclass(slots=True)
class Ground:
    """What a town is built on. CRS: projected, unit m."""

    boundary: shapely.Geometry
    streets: Streets
    cuts: list[shapely.LineString] = field(default_factory=list)
    rails: list[shapely.LineString] = field(default_factory=list)
    water: list[tuple[str, str, shapely.Geometry]] = field(default_factory=list)
    parks: list[shapely.Geometry] = field(default_factory=list)
    centre_xy: tuple[float, float] = (0.0, 0.0)
    open_land: list[shapely.Geometry] = field(default_factory=list)  # far from every street; nothing is built there
    has_fixed_border: bool = False  # another district has the same border: no vertex may be added to it
    outline: shapely.Geometry | None = (
        None  # the border as drawn; other districts have the same: vertices lie exactly on it
    )


@dataclass(slots=True)
class DividedGround:
    """Blocks and their communities. ``community`` and ``street_office`` number the divisions in code order."""

    streets: Streets
    faces: Geometries
    is_open: NDArray[np.bool_]
    weight: NDArray[np.float64]
    community: Ints
    street_office: Ints
    graph: BlockGraph


def divide_ground(
    ground: Ground, communities_per_street: list[int], *, seed: int, lane_name: str, progress: Progress = SILENT
) -> DividedGround:
    """Return the blocks of the ground, grouped into street offices and their communities.

    Parameters
    ----------
    communities_per_street
        Number of communities of every street office, each at least 1.

    Raises
    ------
    PartitionError
        When the boundary has no area to give to that many communities.
    """
    progress.start("blocks")
    streets, faces, is_open, weight = _fine_blocks(ground, sum(communities_per_street), lane_name)
    graph = _graph(faces, weight, streets, ground)
    progress.start("street offices and communities", len(communities_per_street))
    counts = np.array(communities_per_street)
    office = grow_regions(graph, counts, blocks_needed=counts, seed=seed)
    office = _numbered_by_place(office, graph, counts)
    community = np.full(len(faces), -1, dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(counts)])
    for k, count in enumerate(communities_per_street):
        members = np.flatnonzero(office == k)
        inner = graph.part(members)
        label = grow_regions(inner, np.ones(count), seed=seed + 1 + k)
        community[members] = first[k] + _numbered_by_place(label, inner, np.ones(count, dtype=np.int64))
        progress.advance()
    if ground.outline is not None:
        faces = meet_outline(faces, ground.outline)
    return DividedGround(streets, faces, is_open, weight, community, office, graph)


def _numbered_by_place(region: Ints, graph: BlockGraph, counts: Ints) -> Ints:
    """Return the regions renumbered from north-west to south-east, among regions of equal count only."""
    centre = np.array([graph.xy[region == k].mean(axis=0) for k in range(len(counts))])
    new = np.arange(len(counts))
    for count in np.unique(counts):
        same = np.flatnonzero(counts == count)
        order = same[np.lexsort((centre[same, 0], centre[same, 0] - centre[same, 1]))]
        new[order] = same
    return new[region]


def _fine_blocks(
    ground: Ground, communities: int, lane_name: str
) -> tuple[Streets, Geometries, NDArray[np.bool_], NDArray[np.float64]]:
    """Return streets and blocks, with lanes across blocks that are large for one community."""
    streets, cuts = ground.streets, list(ground.cuts)
    for _ in range(_CUT_ROUNDS + 1):
        faces = merge_slivers(faces_of([*streets.lines, *cuts], ground.boundary))
        if len(faces) == 0:
            raise PartitionError("The boundary closes no block.", hint="Check that boundary and streets overlap.")
        is_open = _open_faces(faces, ground)
        weight = _buildable(faces, is_open, ground, streets)
        heavy = _heavy(weight, shapely.area(faces), communities)
        if len(heavy) == 0:
            break
        streets, more = _cut_by_lanes(streets, faces[heavy], ground, lane_name)
        cuts += more
    return streets, faces, is_open, weight


def _heavy(weight: NDArray[np.float64], area: NDArray[np.float64], communities: int) -> Ints:
    """Return the blocks to cut: too large for one community, or (when blocks are too few) the largest of all."""
    limit = max(LARGEST_SHARE * weight.sum() / communities, 3000.0)
    heavy = np.flatnonzero(weight > limit)
    missing = 3 * communities - (len(weight) + len(heavy))
    if missing > 0:
        order = np.argsort(-np.maximum(weight, 0.2 * area), kind="stable")
        heavy = np.union1d(heavy, order[: min(len(order), missing + len(heavy))])
    return heavy


def _cut_by_lanes(
    streets: Streets, faces: Geometries, ground: Ground, lane_name: str
) -> tuple[Streets, list[shapely.LineString]]:
    """Return the streets with a lane across every face; lanes that reach no street at all only cut."""
    wet = shapely.union_all([shapely.Polygon(), *(w for _, _, w in ground.water)])
    open_land = shapely.union_all([shapely.Polygon(), *ground.open_land])
    tree = shapely.STRtree(streets.lines)
    border = shapely.MultiPoint(shapely.get_coordinates(ground.boundary)) if ground.has_fixed_border else None
    lanes: list[shapely.LineString] = []
    cuts: list[shapely.LineString] = []
    hits: list[tuple[int, tuple[float, float]]] = []
    for face in faces:
        for drawn in lane_across(face):
            lane = shapely.LineString(np.round(shapely.get_coordinates(drawn), 2))
            if border is not None:
                lane = _ending_on_vertices(lane, ground.boundary, border)
                if not face.buffer(2 * GRID_M).covers(lane):
                    continue
            met = _meetings(lane, tree, streets)
            if not met or lane.intersects(wet) or lane.intersection(open_land).length > 0.3 * lane.length:
                cuts.append(lane)
                continue
            lanes += _cut_line(lane, [point for _, point in met])
            hits += met
    number = np.array([street for street, _ in hits], dtype=np.int64)
    cut = streets.cut_at(number, np.array([point for _, point in hits]).reshape(-1, 2))
    return cut.plus(np.array(lanes, dtype=object), "service", [lane_name] * len(lanes)), cuts


def _ending_on_vertices(
    lane: shapely.LineString, boundary: shapely.Geometry, vertices: shapely.MultiPoint
) -> shapely.LineString:
    """Return the lane with ends that lie on the boundary moved to the boundary's nearest vertex."""
    edge = shapely.boundary(boundary)
    ends = []
    for xy in shapely.get_coordinates(lane):
        point = shapely.Point(xy)
        nearest = shapely.shortest_line(point, vertices) if edge.distance(point) <= 2 * GRID_M else None
        ends.append(xy if nearest is None else shapely.get_coordinates(nearest)[-1])
    return shapely.LineString(ends)


def _meetings(
    lane: shapely.LineString, tree: shapely.STRtree, streets: Streets
) -> list[tuple[int, tuple[float, float]]]:
    """Return where a lane meets streets at grade: street number and point, at the lane's ends or where it crosses."""
    met = []
    ends = [tuple(xy) for xy in shapely.get_coordinates(lane)]
    for i in sorted(tree.query(lane, predicate="dwithin", distance=2 * GRID_M).tolist()):
        if streets.street_class[i].startswith(("motorway", "trunk")) or streets.layer[i] != 0:
            continue
        line = streets.lines[i]
        near = [end for end in ends if line.distance(shapely.Point(end)) <= 2 * GRID_M]
        if near:
            met += [(i, end) for end in near]
        elif lane.crosses(line):
            crossing = shapely.get_coordinates(lane.intersection(line))[0]
            met.append((i, (float(round(crossing[0], 2)), float(round(crossing[1], 2)))))
    return met


def _open_faces(faces: Geometries, ground: Ground) -> NDArray[np.bool_]:
    """Return which faces lie in a park or mostly in water."""
    is_open = np.zeros(len(faces), dtype=bool)
    wide = [*ground.parks, *(water for _, _, water in ground.water)]
    if wide:
        tree = shapely.STRtree(faces)
        for area in wide:
            near = tree.query(area, predicate="intersects")
            share = shapely.area(shapely.intersection(faces[near], area)) / shapely.area(faces[near])
            is_open[near[share > 0.5]] = True
    return is_open


def _buildable(faces: Geometries, is_open: NDArray[np.bool_], ground: Ground, streets: Streets) -> NDArray[np.float64]:
    """Return the area of each face one can build on, about: less a margin along its border and less open land.

    Nothing where no street that one may walk on touches the face.
    """
    area = np.maximum(shapely.area(faces) - 9.0 * shapely.length(faces), 0.0)
    tree = shapely.STRtree(faces)
    for land in ground.open_land:
        near = tree.query(land, predicate="intersects")
        area[near] = np.maximum(area[near] - shapely.area(shapely.intersection(faces[near], land)), 0.0)
    walkable = np.array([c not in NO_WALK for c in streets.street_class], dtype=bool)
    touched = tree.query(streets.lines[walkable], predicate="intersects")[1]
    reached = np.isin(np.arange(len(faces)), touched)
    area[is_open | ~reached] = 0.0
    return area


def _graph(faces: Geometries, weight: NDArray[np.float64], streets: Streets, ground: Ground) -> BlockGraph:
    borders = shared_borders(faces)
    unit = np.full(len(borders.length_m), _COST_OTHER)
    cut_lines = np.array(ground.cuts, dtype=object)
    if len(cut_lines):
        on, _ = shapely.STRtree(cut_lines).query(borders.middle, predicate="dwithin", distance=0.5)
        unit[on] = _COST_CUT
    tree = shapely.STRtree(streets.lines)
    at, street = tree.query(borders.middle, predicate="dwithin", distance=0.5)
    cost = np.array([_BORDER_COST.get(c.removesuffix("_link"), 6.0) for c in streets.street_class])
    np.minimum.at(unit, at, cost[street])
    xy = shapely.get_coordinates(shapely.point_on_surface(faces))
    return BlockGraph(weight, xy, borders.face_a, borders.face_b, borders.length_m * unit)
