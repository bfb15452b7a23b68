"""One compound: rows of buildings that face south, the footways to their doors, the gates and the wall.

Works on one parcel (the part of a block that is clear of its streets) in a projected CRS, unit m. Everything is laid out
in a frame turned by the parcel's own angle, on a module of rows and columns, so that paths meet at identical points.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

Floats = NDArray[np.float64]
Geometries = NDArray[np.object_]

DOOR_M = 2.2  # a door's place lies this far in front of its wall, so that no path touches a building
GATE_HALF_M = 3.0
GATE_REACH_M = 95.0
WALL_CLEAR_M = 3.0
SNAP_NODE_M = 4.0  # a path that reaches a street this close to a junction ends in the junction


@dataclass(frozen=True, slots=True)
class Style:
    """How one kind of compound is built. Unit: m. ``floors`` is the usual number, ``stair_m`` the width one stairway serves."""

    use: str
    depth_m: float
    length_m: float
    gap_m: float
    row_gap_m: float
    floors: float
    stair_m: float
    has_wall: bool = True
    most_buildings: int = 10_000


# Our choice, after common plans: six-storey slabs 12 m deep at a spacing of about 1.2 times their height, towers further apart.
STYLES: dict[str, Style] = {
    "slab": Style("residential", 12.0, 48.0, 12.0, 22.0, 6, 16.0),
    "high_slab": Style("residential", 14.0, 36.0, 18.0, 38.0, 15, 18.0),
    "tower": Style("residential", 22.0, 27.0, 26.0, 40.0, 28, 13.5),
    "old": Style("residential", 11.0, 26.0, 6.0, 8.5, 3, 13.0, has_wall=False),
    "school": Style("school", 14.0, 58.0, 16.0, 34.0, 5, 20.0, most_buildings=5),
    "public": Style("public", 16.0, 42.0, 16.0, 30.0, 6, 20.0, most_buildings=6),
    "commercial": Style("commercial", 32.0, 46.0, 18.0, 26.0, 12, 20.0, has_wall=False, most_buildings=14),
    "industrial": Style("industrial", 26.0, 64.0, 16.0, 22.0, 2, 20.0, most_buildings=14),
}
SHOP_DEPTH_M, SHOP_LENGTH_M, SHOP_GAP_M = 11.0, 42.0, 9.0
SHOP_STRIP_M = 17.0  # shops and the space behind them, between pavement and wall


@dataclass(slots=True)
class StreetSide:
    """The streets that paths of a block may end on: their lines and numbers, and the block itself."""

    block: shapely.Polygon
    lines: Geometries
    number: NDArray[np.int64]


@dataclass(slots=True)
class Compound:
    """What was laid out. ``doors`` are the entrances; ``paths`` rows of (x0, y0, x1, y1); ``hits`` are (street number, x, y)."""

    buildings: Geometries = field(default_factory=lambda: np.empty(0, dtype=object))
    doors: Floats = field(default_factory=lambda: np.empty((0, 2)))
    uses: list[str] = field(default_factory=list)
    length_m: Floats = field(default_factory=lambda: np.empty(0))
    paths: Floats = field(default_factory=lambda: np.empty((0, 4)))
    is_shop_path: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool))
    hits: list[tuple[int, float, float]] = field(default_factory=list)
    walls: list[shapely.LineString] = field(default_factory=list)


def south_angle(parcel: shapely.Polygon) -> float:
    """Return the angle (radians) by which rows turn from east-west: the parcel's own, at most 20 degrees."""
    frame = shapely.get_coordinates(shapely.minimum_rotated_rectangle(parcel))
    if len(frame) < 4:
        return 0.0
    side = frame[1] - frame[0]
    angle = np.arctan2(side[1], side[0])
    folded = (angle + np.pi / 4) % (np.pi / 2) - np.pi / 4
    return float(np.clip(folded, -np.radians(20), np.radians(20)))


def lay_out(
    parcel: shapely.Polygon, style: Style, streets: StreetSide, rng: np.random.Generator, *, shops: bool
) -> Compound:
    """Return the compound on ``parcel``; empty when nothing fits or no street can be reached.

    Parameters
    ----------
    parcel
        Clear of streets, water and borders by their clearances. CRS: projected, unit m.
    streets
        Where paths may end.
    shops
        Whether shops line the street side, in front of the wall.
    """
    inside = parcel.buffer(-SHOP_STRIP_M, join_style="mitre", mitre_limit=2.0) if shops else parcel
    inside = max(shapely.get_parts(inside), key=lambda part: part.area, default=shapely.Polygon())
    if inside.area < 350.0:
        inside, shops = parcel, False
    made = _courtyard(inside, style, streets, rng)
    if shops:
        _add_shops(made, parcel, inside, streets, rng)
    return made


def _turn(xy: Floats, angle: float) -> Floats:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.column_stack([xy[:, 0] * cos - xy[:, 1] * sin, xy[:, 0] * sin + xy[:, 1] * cos])


def _boxes(centre: Floats, half_x: Floats | float, low: float, high: float) -> Geometries:
    return shapely.box(centre[:, 0] - half_x, centre[:, 1] + low, centre[:, 0] + half_x, centre[:, 1] + high)


@dataclass(slots=True)
class _Rows:
    """The module of a compound in its turned frame: building centres by row and column, lengths (0 where nothing stands)."""

    x: Floats
    y: Floats
    gap_x: Floats
    path_y: Floats
    length: Floats


def _courtyard(inside: shapely.Polygon, style: Style, streets: StreetSide, rng: np.random.Generator) -> Compound:
    angle = south_angle(inside)
    ground = shapely.transform(inside, lambda xy: _turn(xy, -angle))
    room = ground.buffer(-WALL_CLEAR_M, join_style="mitre", mitre_limit=2.0)
    if room.is_empty:
        return Compound()
    shapely.prepare(room)
    rows = _rows(room, style, rng)
    if rows is None:
        return Compound()
    nodes, edges, front = _path_edges(rows, room, style)
    reached = _largest_component(len(nodes), edges, front)
    if reached is None:
        return Compound()
    ends = _gates(_turn(nodes, angle), reached, rows, angle, streets, rng, inside)
    if not ends:
        return Compound()
    return _assemble(rows, nodes, edges, front, reached, ends, angle, style, inside)


def _rows(room: shapely.Geometry, style: Style, rng: np.random.Generator) -> _Rows | None:
    """Return where buildings fit: whole ones, or shorter ones where the border runs in."""
    min_x, min_y, max_x, max_y = room.bounds
    pitch_x, pitch_y = style.length_m + style.gap_m, style.depth_m + style.row_gap_m
    columns = max(1, int((max_x - min_x + style.gap_m) / pitch_x))
    depth = style.depth_m / 2
    front = style.row_gap_m / 2
    count = max(1, int((max_y - min_y - style.row_gap_m / 2) / pitch_y) + 1)
    slack_x = max(0.0, max_x - min_x - columns * pitch_x + style.gap_m)
    slack_y = max(0.0, max_y - min_y - (count - 1) * pitch_y - style.depth_m - front)
    x = min_x + slack_x * rng.uniform(0.3, 0.7) + style.length_m / 2 + pitch_x * np.arange(columns)
    y = min_y + slack_y * rng.uniform(0.2, 0.8) + depth + pitch_y * np.arange(count)
    centre = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    length = np.zeros(len(centre))
    for share in (1.0, 0.75, 0.5):
        empty = np.flatnonzero(length == 0)
        tried = share * style.length_m
        if tried < 10.0:
            break
        fits = shapely.contains(room, _boxes(centre[empty], tried / 2, -depth, depth + front + 0.5))
        length[empty[fits]] = tried
    length[rng.random(len(length)) < 0.04] = 0.0
    built = np.flatnonzero(length)
    if len(built) > style.most_buildings:
        length[rng.permutation(built)[style.most_buildings :]] = 0.0
    if not length.any():
        return None
    gap_x = np.concatenate([x - pitch_x / 2, x[-1:] + pitch_x / 2])
    return _Rows(x, y, gap_x, y + depth + front, length.reshape(len(y), len(x)))


def _path_edges(
    rows: _Rows, room: shapely.Geometry, style: Style
) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return nodes (gap and front places of every row), edges between them that stay inside, and the front node of each cell."""
    count, columns = len(rows.y), len(rows.x)
    line_x = np.empty(2 * columns + 1)
    line_x[0::2], line_x[1::2] = rows.gap_x, rows.x
    nodes = np.stack(np.meshgrid(line_x, rows.path_y), axis=-1).reshape(-1, 2)
    number = np.arange(len(nodes)).reshape(count, 2 * columns + 1)
    along = np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()])
    up = np.column_stack([number[:-1, 0::2].ravel(), number[1:, 0::2].ravel()])
    edges = np.concatenate([along, up])
    lines = shapely.linestrings(nodes[edges])
    return nodes, edges[shapely.contains(room, lines)], number[:, 1::2]


def _largest_component(count: int, edges: NDArray[np.int64], front: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    if len(edges) == 0:
        return None
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    sizes = np.bincount(label[front.ravel()], minlength=label.max() + 1)
    return label == int(np.argmax(sizes))


def _gates(
    world: Floats,
    reached: NDArray[np.bool_],
    rows: _Rows,
    angle: float,
    streets: StreetSide,
    rng: np.random.Generator,
    inside: shapely.Polygon,
) -> list[tuple[int, int, float, float]]:
    """Return the gates chosen, as (node, street number, x, y on the street)."""
    if len(streets.lines) == 0:
        return []
    count, columns = len(rows.y), len(rows.x)
    number = np.arange(len(world)).reshape(count, 2 * columns + 1)
    ok = reached[number]
    starts: list[tuple[int, float, float]] = []
    for column in range(0, 2 * columns + 1, 2):
        live = np.flatnonzero(ok[:, column])
        if len(live):
            starts += [(int(number[live[0], column]), 0.0, -1.0), (int(number[live[-1], column]), 0.0, 1.0)]
    for row in range(count):
        live = np.flatnonzero(ok[row, :])
        if len(live):
            starts += [(int(number[row, live[0]]), -1.0, 0.0), (int(number[row, live[-1]]), 1.0, 0.0)]
    if not starts:
        return []
    node = np.array([s[0] for s in starts])
    way = _turn(np.array([s[1:] for s in starts]), angle)
    # a ray that leaves southwards passes between two buildings, by the gap of its column
    hits = _first_hits(world[node], way, streets)
    candidates = [
        (node[i], int(hit[0]), hit[1], hit[2], hit[3])
        for i, hit in enumerate(hits)
        if hit is not None and hit[3] <= GATE_REACH_M
    ]
    return _choose_gates(candidates, inside.length, rng)


def _first_hits(origin: Floats, way: Floats, streets: StreetSide) -> list[tuple[int, float, float, float] | None]:
    """Return per ray the first street met (number, x, y, distance), or None; the way there stays inside of the block."""
    rays = shapely.linestrings(np.stack([origin, origin + way * GATE_REACH_M], axis=1))
    tree = shapely.STRtree(streets.lines)
    ray, line = tree.query(rays, predicate="intersects")
    meet = shapely.intersection(rays[ray], streets.lines[line])
    xy, of = shapely.get_coordinates(meet, return_index=True)
    best: list[tuple[int, float, float, float] | None] = [None] * len(origin)
    for (x, y), k in zip(xy, of, strict=True):
        i = int(ray[k])
        distance = float(np.hypot(x - origin[i, 0], y - origin[i, 1]))
        known = best[i]
        if known is None or distance < known[3] - 1e-9:
            best[i] = (int(streets.number[line[k]]), float(x), float(y), distance)
    return [_snapped(hit, origin[i], streets) if hit else None for i, hit in enumerate(best)]


def _snapped(
    hit: tuple[int, float, float, float], origin: Floats, streets: StreetSide
) -> tuple[int, float, float, float] | None:
    """Return the hit moved into a junction when one is near; None when the way leaves the block."""
    street, x, y, distance = hit
    line = streets.lines[int(np.flatnonzero(streets.number == street)[0])]
    for end in (shapely.get_point(line, 0), shapely.get_point(line, -1)):
        if np.hypot(end.x - x, end.y - y) < SNAP_NODE_M:
            x, y = end.x, end.y
    way = shapely.LineString([origin, (x, y)])
    if way.length < 1.0 or (streets.block.exterior.distance(shapely.Point(x, y)) > SNAP_NODE_M and False):
        return None
    short = shapely.LineString([origin, (x + (origin[0] - x) * 0.01, y + (origin[1] - y) * 0.01)])
    return (street, x, y, distance) if streets.block.contains(short) else None


def _choose_gates(
    candidates: list[tuple[int, int, float, float, float]], around_m: float, rng: np.random.Generator
) -> list[tuple[int, int, float, float]]:
    """Return one to four of the candidates: a short way first, then those furthest from the gates there are."""
    if not candidates:
        return []
    wanted = int(np.clip(round(around_m / 330.0 + rng.uniform(-0.4, 0.4)), 1, 4))
    xy = np.array([(c[2], c[3]) for c in candidates])
    length = np.array([c[4] for c in candidates])
    chosen = [int(np.argmin(length + rng.uniform(0, 25, len(length))))]
    while len(chosen) < wanted:
        apart = np.min(np.hypot(xy[:, None, 0] - xy[chosen, 0], xy[:, None, 1] - xy[chosen, 1]), axis=1)
        score = apart - 1.5 * length
        best = int(np.argmax(score))
        if apart[best] < 60.0 or score[best] < 20.0:
            break
        chosen.append(best)
    return [(int(candidates[i][0]), candidates[i][1], candidates[i][2], candidates[i][3]) for i in chosen]


def _assemble(
    rows: _Rows,
    nodes: Floats,
    edges: NDArray[np.int64],
    front: NDArray[np.int64],
    reached: NDArray[np.bool_],
    ends: list[tuple[int, int, float, float]],
    angle: float,
    style: Style,
    inside: shapely.Polygon,
) -> Compound:
    stands = (rows.length > 0) & reached[front]
    cell = np.argwhere(stands)
    if len(cell) == 0:
        return Compound()
    centre = np.column_stack([rows.x[cell[:, 1]], rows.y[cell[:, 0]]])
    length = rows.length[stands]
    fronts = front[stands]
    keep_ends = np.zeros(len(nodes), dtype=bool)
    keep_ends[fronts] = True
    keep_ends[[end[0] for end in ends]] = True
    used = _used_edges(nodes, edges, reached, keep_ends)
    world = _turn(nodes, angle)
    doors = _turn(centre + np.array([0.0, style.depth_m / 2 + DOOR_M]), angle)
    boxes = shapely.transform(
        _boxes(centre, length / 2, -style.depth_m / 2, style.depth_m / 2), lambda xy: _turn(xy, angle)
    )
    gate_paths = [(*world[node], x, y) for node, _, x, y in ends]
    paths = [np.hstack([world[used[:, 0]], world[used[:, 1]]]), np.hstack([doors, world[fronts]]), np.array(gate_paths)]
    made = Compound(
        buildings=boxes,
        doors=doors,
        uses=[style.use] * len(boxes),
        length_m=length,
        paths=np.concatenate(paths),
        hits=[(street, x, y) for _, street, x, y in ends],
    )
    made.is_shop_path = np.zeros(len(made.paths), dtype=bool)
    if style.has_wall:
        openings = shapely.union_all(
            shapely.buffer(shapely.linestrings(np.array(gate_paths).reshape(-1, 2, 2)), GATE_HALF_M)
        )
        ring = shapely.LineString(shapely.get_coordinates(inside.exterior))
        made.walls = [part for part in shapely.get_parts(ring.difference(openings)) if part.length > 2.0]
    return made


def _used_edges(
    nodes: Floats, edges: NDArray[np.int64], reached: NDArray[np.bool_], keep_ends: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return a spanning tree of the paths, loops along the longest rows aside, without ends that lead nowhere."""
    edges = edges[reached[edges[:, 0]] & reached[edges[:, 1]]]
    length = np.hypot(*(nodes[edges[:, 0]] - nodes[edges[:, 1]]).T)
    upright = nodes[edges[:, 0], 0] == nodes[edges[:, 1], 0]
    middle = np.median(nodes[:, 0])
    # the tree climbs near the middle; other upright pieces are taken only where the border breaks a row
    cost = length * np.where(upright, 1.6 + np.abs(nodes[edges[:, 0], 0] - middle) / 100.0, 1.0)
    tree = minimum_spanning_tree(coo_array((cost, (edges[:, 0], edges[:, 1])), shape=(len(nodes),) * 2)).tocoo()
    kept = np.column_stack([tree.row, tree.col]).astype(np.int64)
    outer = upright & np.isin(nodes[edges[:, 0], 0], [nodes[reached, 0].min(), nodes[reached, 0].max()])
    kept = np.unique(np.sort(np.concatenate([kept, edges[outer]]), axis=1), axis=0)
    while True:
        degree = np.bincount(kept.ravel(), minlength=len(nodes))
        dead = (degree == 1) & ~keep_ends
        alive = ~(dead[kept[:, 0]] | dead[kept[:, 1]])
        if alive.all():
            return kept
        kept = kept[alive]


def _add_shops(
    made: Compound, parcel: shapely.Polygon, inside: shapely.Polygon, streets: StreetSide, rng: np.random.Generator
) -> None:
    """Put shops along the street side of the parcel, clear of the wall, the gates and each other."""
    boxes, doors, out = _shop_places(parcel, rng)
    if len(boxes) == 0:
        return
    shapely.prepare(parcel)
    clear = shapely.contains(parcel, boxes) & (shapely.distance(inside, boxes) >= 2.0)
    if len(made.paths):
        ways = shapely.union_all(shapely.linestrings(made.paths.reshape(-1, 2, 2)))
        clear &= shapely.distance(ways, boxes) >= GATE_HALF_M + 1.0
    boxes, doors, out = boxes[clear], doors[clear], out[clear]
    kept = _apart(boxes, 3.0)
    boxes, doors, out = boxes[kept], doors[kept], out[kept]
    if len(boxes) == 0 or len(streets.lines) == 0:
        return
    hits = _first_hits(doors, out, streets)
    found = [(i, hit) for i, hit in enumerate(hits) if hit is not None and hit[3] <= 40.0]
    if not found:
        return
    ways = np.array([(*doors[i], hit[1], hit[2]) for i, hit in found])
    free = _ways_clear(ways, boxes[[i for i, _ in found]])
    found, ways = [pair for pair, f in zip(found, free, strict=True) if f], ways[free]
    good = [i for i, _ in found]
    made.buildings = np.concatenate([made.buildings, boxes[good]])
    made.doors = np.concatenate([made.doors, doors[good]])
    made.uses += ["commercial"] * len(good)
    made.length_m = np.concatenate([made.length_m, np.full(len(good), SHOP_LENGTH_M)])
    made.paths = np.concatenate([made.paths, ways])
    made.is_shop_path = np.concatenate([made.is_shop_path, np.ones(len(good), dtype=bool)])
    made.hits += [(hit[0], hit[1], hit[2]) for _, hit in found]


def _ways_clear(ways: Floats, boxes: Geometries) -> NDArray[np.bool_]:
    lines = shapely.linestrings(ways.reshape(-1, 2, 2))
    way, _ = shapely.STRtree(boxes).query(lines, predicate="intersects")
    free = np.ones(len(ways), dtype=bool)
    free[way] = False
    return free


def _apart(boxes: Geometries, gap_m: float) -> list[int]:
    """Return the boxes that keep ``gap_m`` from every earlier one kept."""
    tree = shapely.STRtree(boxes)
    near: dict[int, list[int]] = {}
    for i, j in zip(*tree.query(boxes, predicate="dwithin", distance=gap_m), strict=True):
        if j < i:
            near.setdefault(int(i), []).append(int(j))
    kept: list[int] = []
    for i in range(len(boxes)):
        if not any(j in kept for j in near.get(i, ())):
            kept.append(i)
    return kept


def _shop_places(parcel: shapely.Polygon, rng: np.random.Generator) -> tuple[Geometries, Floats, Floats]:
    """Return shop boxes along the parcel's sides, their doors towards the street and the way out."""
    ring = shapely.get_coordinates(shapely.simplify(parcel, 4.0).exterior)
    boxes, doors, out = [], [], []
    for start, end in itertools.pairwise(ring):
        side = end - start
        length = float(np.hypot(*side))
        fits = int((length - 14.0) / (SHOP_LENGTH_M + SHOP_GAP_M))
        if fits < 1 or rng.random() < 0.45:
            continue
        along = side / length
        # shapely's exterior rings of normalised polygons run clockwise: the inside is on the right
        inward = np.array([along[1], -along[0]])
        first = (length - fits * (SHOP_LENGTH_M + SHOP_GAP_M) + SHOP_GAP_M) / 2
        for k in range(fits):
            if rng.random() < 0.35:
                continue
            a = start + along * (first + k * (SHOP_LENGTH_M + SHOP_GAP_M)) + inward * 1.5
            b = a + along * SHOP_LENGTH_M
            boxes.append(shapely.Polygon([a, b, b + inward * SHOP_DEPTH_M, a + inward * SHOP_DEPTH_M]))
            doors.append((a + b) / 2 - inward * DOOR_M)
            out.append(-inward)
    return np.array(boxes, dtype=object), np.array(doors).reshape(-1, 2), np.array(out).reshape(-1, 2)
