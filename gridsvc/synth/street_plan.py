"""The streets of a made-up town: a main grid, lanes between, a river with bridges, a lake in a park, a railway.

The plan is drawn in a flat world of axis-parallel lines on whole metres, where junctions are exact, and then bent by a
smooth field and turned, so that nothing stays straight. Neighbouring districts of one city share the field and the
positions of their common border's vertices.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import shapely
import shapely.ops
from numpy.typing import NDArray

from gridsvc.synth.names import LANE_WORDS, STREET_WORDS, Namer

LATTICE_M = 25  # every junction of the flat world lies on it, and so does every vertex of a district's border
STEP_M = 50  # longest straight piece of a bent street
TURN_RAD = np.radians(7.0)  # the town is not laid out due north
RAIL_GAP_M = 12.0  # half the width of a crossing of the railway

Box = tuple[int, int, int, int]
Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Bend:
    """A smooth displacement of the flat world and the place it is laid on. Unit: m, CRS: projected."""

    seed: int
    centre_xy: tuple[float, float]

    def __call__(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bent positions of flat positions, shape (n, 2), rounded to centimetres."""
        rng = np.random.default_rng([self.seed, 77])
        moved = xy.astype(float).copy()
        # slopes 2 pi amplitude / wavelength add up to less than 1, so the field never folds
        for amplitude, wavelength in ((190.0, 5200.0), (70.0, 2300.0), (16.0, 800.0)):
            for axis in (0, 1):
                angle, phase = rng.uniform(0, 2 * np.pi, 2)
                along = (xy[:, 0] * np.cos(angle) + xy[:, 1] * np.sin(angle)) * (2 * np.pi / wavelength)
                moved[:, axis] += amplitude * np.sin(along + phase)
        cos, sin = np.cos(TURN_RAD), np.sin(TURN_RAD)
        turned = np.column_stack([moved[:, 0] * cos - moved[:, 1] * sin, moved[:, 0] * sin + moved[:, 1] * cos])
        return np.round(turned + np.asarray(self.centre_xy), 2)


@dataclass(frozen=True, slots=True)
class PlanSize:
    """What to draw: the flat box and what crosses it. Unit: m; positions on the lattice.

    ``river_x`` is the west bank of a river from south to north, ``rail_y`` a railway from west to east; None for none.
    """

    box: Box
    main_spacing_m: int = 500
    block_m: tuple[int, int] = (175, 330)
    river_x: int | None = None
    river_width_m: int = 150
    rail_y: int | None = None
    has_lake: bool = True
    corners_cut: bool = True


@dataclass(slots=True)
class StreetPlan:
    """Streets, water and rails of one district, in a projected CRS (m); streets are noded."""

    boundary: shapely.Polygon
    lines: NDArray[np.object_]
    street_class: list[str]
    name: list[str]
    layer: NDArray[np.int64]
    cuts: list[shapely.LineString]  # lines that separate blocks without being streets
    rails: list[shapely.LineString] = field(default_factory=list)
    water: list[tuple[str, str, shapely.Polygon]] = field(default_factory=list)
    parks: list[shapely.Polygon] = field(default_factory=list)
    centre_xy: tuple[float, float] = (0.0, 0.0)


@dataclass(slots=True)
class _Sheet:
    """Segments of the flat world while they are drawn: (x0, y0, x1, y1), class, name, layer."""

    segments: list[tuple[Box, str, str, int]] = field(default_factory=list)
    nodes_on_x: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    nodes_on_y: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def node(self, x: int, y: int) -> None:
        self.nodes_on_x[x].add(y)
        self.nodes_on_y[y].add(x)

    def draw(self, segment: Box, street_class: str, name: str, layer: int = 0) -> None:
        self.segments.append((segment, street_class, name, layer))
        self.node(segment[0], segment[1])
        self.node(segment[2], segment[3])

    def noded(self) -> list[tuple[Box, str, str, int]]:
        """Return the segments cut at every node that lies on them."""
        on_x = {x: sorted(ys) for x, ys in self.nodes_on_x.items()}
        on_y = {y: sorted(xs) for y, xs in self.nodes_on_y.items()}
        pieces = []
        for (x0, y0, x1, y1), street_class, name, layer in self.segments:
            if x0 == x1:
                stops = _between(on_x[x0], y0, y1)
                pieces += [((x0, a, x0, b), street_class, name, layer) for a, b in itertools.pairwise(stops)]
            else:
                stops = _between(on_y[y0], x0, x1)
                pieces += [((a, y0, b, y0), street_class, name, layer) for a, b in itertools.pairwise(stops)]
        return pieces


def _between(values: list[int], low: int, high: int) -> list[int]:
    return values[bisect_left(values, low) : bisect_left(values, high) + 1]


def draw_streets(size: PlanSize, bend: Bend, namer: Namer, rng: np.random.Generator) -> StreetPlan:
    """Return the street plan of one district; the same arguments give the same plan."""
    xs, river_column = _main_columns(size, rng)
    ys = _clear_of_rail(_main_lines(size.box[1], size.box[3], size.main_spacing_m, rng), size.rail_y)
    cells = _kept_cells(size, xs, ys, river_column, rng)
    sheet = _Sheet()
    _draw_main_grid(sheet, cells, xs, ys, river_column, namer, rng)
    rail_row = bisect_left(ys, size.rail_y) - 1 if size.rail_y is not None else None
    lake = _lake_cell(size, cells, xs, ys, river_column, rail_row, rng)
    rails = _draw_cells(sheet, cells, xs, ys, river_column, rail_row, lake, size, namer, rng)
    cuts = _river_cuts(sheet, cells, xs, ys, river_column) + rails
    plan = _bent(sheet, cells, xs, ys, rails, cuts, bend)
    if river_column is not None:
        plan.water += _river(cells, xs, ys, river_column, bend)
    if lake is not None:
        _add_lake(plan, (xs[lake[0]], ys[lake[1]], xs[lake[0] + 1], ys[lake[1] + 1]), bend, rng)
    return plan


def _main_lines(low: int, high: int, spacing_m: int, rng: np.random.Generator) -> list[int]:
    """Return positions of main lines from ``low`` to ``high``, about ``spacing_m`` apart, on the lattice."""
    count = max(1, round((high - low) / spacing_m))
    stops = np.linspace(low, high, count + 1)
    stops[1:-1] += rng.uniform(-0.14, 0.14, count - 1) * spacing_m
    lines = [round(stop / LATTICE_M) * LATTICE_M for stop in stops.tolist()]
    return [low, *lines[1:-1], high]


def _main_columns(size: PlanSize, rng: np.random.Generator) -> tuple[list[int], int | None]:
    """Return the x of the main lines, and the index of the river's column (None without a river)."""
    low, high = size.box[0], size.box[2]
    if size.river_x is None:
        return _main_lines(low, high, size.main_spacing_m, rng), None
    west = [low] if size.river_x == low else _main_lines(low, size.river_x, size.main_spacing_m, rng)
    east = _main_lines(size.river_x + size.river_width_m, high, size.main_spacing_m, rng)
    return west + east, len(west) - 1


def _clear_of_rail(ys: list[int], rail_y: int | None) -> list[int]:
    """Return the lines with those too near the railway moved away from it."""
    if rail_y is None:
        return ys
    near = 5 * LATTICE_M
    moved = [y if abs(y - rail_y) >= near else rail_y + (near if y >= rail_y else -near) for y in ys]
    return sorted({ys[0], *moved[1:-1], ys[-1]})


def _kept_cells(size: PlanSize, xs: list[int], ys: list[int], river: int | None, rng: np.random.Generator) -> set[Cell]:
    """Return the cells of the main grid that belong to the district; some corners are cut off."""
    columns, rows = len(xs) - 1, len(ys) - 1
    cells = {(i, j) for i in range(columns) for j in range(rows)}
    if not size.corners_cut or columns < 6 or rows < 6:
        return cells
    for corner_i, corner_j in ((0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1)):
        if rng.random() < 0.7:
            depth_i, depth_j = rng.integers(1, 3), rng.integers(1, 3)
            for i in range(depth_i):
                for j in range(depth_j):
                    cells.discard((abs(corner_i - i), abs(corner_j - j)))
    return cells


def _main_class(index: int, last: int) -> str:
    return "primary" if index in (0, last) or index % 2 == 0 else "secondary"


def _draw_main_grid(
    sheet: _Sheet,
    cells: set[Cell],
    xs: list[int],
    ys: list[int],
    river: int | None,
    namer: Namer,
    rng: np.random.Generator,
) -> None:
    for i, x in enumerate(xs):
        name = namer.street(STREET_WORDS, "大道" if i % 2 == 0 else "路")
        for j in range(len(ys) - 1):
            if (i, j) in cells or (i - 1, j) in cells:
                sheet.draw((x, ys[j], x, ys[j + 1]), _main_class(i, len(xs) - 1), name)
    for j, y in enumerate(ys):
        name = namer.street(STREET_WORDS, "大街" if j % 2 == 0 else "街")
        street_class = _main_class(j, len(ys) - 1)
        bridged = street_class == "primary" or rng.random() < 0.5
        for i in range(len(xs) - 1):
            if (i, j) not in cells and (i, j - 1) not in cells:
                continue
            if i != river:
                sheet.draw((xs[i], y, xs[i + 1], y), street_class, name)
            elif bridged:
                sheet.draw((xs[i], y, xs[i + 1], y), street_class, name.removesuffix("街").removesuffix("大") + "桥", 1)


def _lake_cell(
    size: PlanSize,
    cells: set[Cell],
    xs: list[int],
    ys: list[int],
    river: int | None,
    rail: int | None,
    rng: np.random.Generator,
) -> Cell | None:
    inner = sorted((i, j) for i, j in cells if i != river and j != rail and 0 < i < len(xs) - 2 and 0 < j < len(ys) - 2)
    return inner[int(rng.integers(len(inner)))] if size.has_lake and inner else None


def _draw_cells(
    sheet: _Sheet,
    cells: set[Cell],
    xs: list[int],
    ys: list[int],
    river: int | None,
    rail_row: int | None,
    lake: Cell | None,
    size: PlanSize,
    namer: Namer,
    rng: np.random.Generator,
) -> list[Box]:
    """Draw the lanes of every cell; return the railway's pieces (flat), one per cell it crosses."""
    rails: list[Box] = []
    middle = ((size.box[0] + size.box[2]) / 2, (size.box[1] + size.box[3]) / 2)
    radius = 0.5 * max(size.box[2] - size.box[0], size.box[3] - size.box[1])
    for i, j in sorted(cells):
        box = (xs[i], ys[j], xs[i + 1], ys[j + 1])
        halves = [box]
        if j == rail_row:
            assert size.rail_y is not None
            y = size.rail_y
            rails.append((box[0], y, box[2], y))
            sheet.node(box[0], y)
            sheet.node(box[2], y)
            halves = [(box[0], box[1], box[2], y), (box[0], y, box[2], box[3])]
        if i == river or (i, j) == lake:
            continue
        away = np.hypot((box[0] + box[2]) / 2 - middle[0], (box[1] + box[3]) / 2 - middle[1]) / radius
        longest = size.block_m[0] + (size.block_m[1] - size.block_m[0]) * min(1.0, 0.25 + 0.75 * away)
        for half in halves:
            _split_block(sheet, half, longest, "tertiary", namer, rng)
    return rails


def _split_block(
    sheet: _Sheet, box: Box, longest_m: float, street_class: str, namer: Namer, rng: np.random.Generator
) -> None:
    """Draw a lane across ``box`` and across its halves, until they are no longer than ``longest_m`` (about)."""
    width, height = box[2] - box[0], box[3] - box[1]
    if max(width, height) <= longest_m * rng.uniform(0.85, 1.45) or min(width, height) < 100:
        return
    share = rng.uniform(0.38, 0.62)
    if width >= height:
        x = int(round((box[0] + share * width) / LATTICE_M) * LATTICE_M)
        sheet.draw(
            (x, box[1], x, box[3]), street_class, namer.street(LANE_WORDS, "路" if street_class == "tertiary" else "巷")
        )
        halves = [(box[0], box[1], x, box[3]), (x, box[1], box[2], box[3])]
    else:
        y = int(round((box[1] + share * height) / LATTICE_M) * LATTICE_M)
        sheet.draw(
            (box[0], y, box[2], y), street_class, namer.street(LANE_WORDS, "街" if street_class == "tertiary" else "里")
        )
        halves = [(box[0], box[1], box[2], y), (box[0], y, box[2], box[3])]
    for half in halves:
        _split_block(sheet, half, longest_m, "residential", namer, rng)


def _river_cuts(sheet: _Sheet, cells: set[Cell], xs: list[int], ys: list[int], river: int | None) -> list[Box]:
    """Return the pieces of the river's middle line; borders of communities may follow it."""
    if river is None:
        return []
    x = int(round((xs[river] + xs[river + 1]) / 2 / LATTICE_M) * LATTICE_M)
    pieces = [(x, ys[j], x, ys[j + 1]) for j in range(len(ys) - 1) if (river, j) in cells]
    for piece in pieces:
        sheet.node(piece[0], piece[1])
        sheet.node(piece[2], piece[3])
    return pieces


def _flat_line(piece: Box, step_m: int) -> NDArray[np.float64]:
    """Return the vertices of a flat piece, every ``step_m`` of the lattice so that both sides of a border agree."""
    x0, y0, x1, y1 = piece
    low, high = (y0, y1) if x0 == x1 else (x0, x1)
    first = (low // step_m + 1) * step_m
    stops = [low, *range(first, high, step_m), high]
    return np.array([(x0, s) if x0 == x1 else (s, y0) for s in stops], dtype=float)


def _bent(
    sheet: _Sheet, cells: set[Cell], xs: list[int], ys: list[int], rails: list[Box], cuts: list[Box], bend: Bend
) -> StreetPlan:
    pieces = sheet.noded()
    flat_boundary = shapely.union_all([shapely.box(xs[i], ys[j], xs[i + 1], ys[j + 1]) for i, j in sorted(cells)])
    lines = [shapely.LineString(bend(_flat_line(piece, _step(piece, flat_boundary)))) for piece, *_ in pieces]
    corners = shapely.get_coordinates(flat_boundary.normalize().exterior)
    sides = [_lattice_side(a, b) for a, b in itertools.pairwise(corners)]
    ring = np.concatenate([*sides, corners[:1]])
    middle = np.array([[(xs[0] + xs[-1]) / 2, (ys[0] + ys[-1]) / 2]])
    centre = bend(middle)[0]
    return StreetPlan(
        boundary=shapely.Polygon(bend(ring)),
        lines=np.array(lines, dtype=object),
        street_class=[street_class for _, street_class, _, _ in pieces],
        name=[name for _, _, name, _ in pieces],
        layer=np.array([layer for *_, layer in pieces], dtype=np.int64),
        cuts=[shapely.LineString(bend(_flat_line(piece, STEP_M))) for piece in cuts],
        rails=[_shortened(shapely.LineString(bend(_flat_line(piece, STEP_M)))) for piece in rails],
        centre_xy=(float(centre[0]), float(centre[1])),
    )


def _lattice_side(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lattice points from ``start`` up to, without, ``end``, two corners of the flat boundary."""
    box = (
        int(min(start[0], end[0])),
        int(min(start[1], end[1])),
        int(max(start[0], end[0])),
        int(max(start[1], end[1])),
    )
    points = _flat_line(box, LATTICE_M)
    return points[:-1] if (points[0] == start).all() else points[::-1][:-1]


def _step(piece: Box, flat_boundary: shapely.Geometry) -> int:
    """Return the spacing of vertices: on the district's border every lattice point, else `STEP_M`."""
    middle = shapely.Point((piece[0] + piece[2]) / 2, (piece[1] + piece[3]) / 2)
    return LATTICE_M if flat_boundary.boundary.distance(middle) < 1.0 else STEP_M


def _shortened(line: shapely.LineString) -> shapely.LineString:
    """Return the line without `RAIL_GAP_M` at both ends, where streets cross it."""
    return shapely.ops.substring(line, RAIL_GAP_M, line.length - RAIL_GAP_M)


def _river(
    cells: set[Cell], xs: list[int], ys: list[int], river: int, bend: Bend
) -> list[tuple[str, str, shapely.Polygon]]:
    """Return the water of the river between its bank streets; a run of cells without a gap is one polygon."""
    rows = sorted(j for i, j in cells if i == river)
    if not rows:
        return []
    inset = 14
    box = shapely.box(xs[river] + inset, ys[rows[0]], xs[river + 1] - inset, ys[rows[-1] + 1])
    ring = shapely.get_coordinates(shapely.segmentize(box.exterior, STEP_M))
    return [("澄澜河", "river", shapely.Polygon(bend(ring)))]


def _add_lake(plan: StreetPlan, box: Box, bend: Bend, rng: np.random.Generator) -> None:
    """Add a park that fills ``box`` (flat) and a lake in its middle."""
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    waves = np.ones(len(angle))
    for k in (2, 3, 4):
        waves += rng.uniform(-0.12, 0.12) * np.cos(k * angle + rng.uniform(0, 6.28))
    reach = 0.27 * np.array([box[2] - box[0], box[3] - box[1]])
    shore = middle + np.column_stack([np.cos(angle), np.sin(angle)]) * waves[:, None] * reach
    plan.water.append(("镜云湖", "lake", shapely.Polygon(bend(shore))))
    ring = shapely.get_coordinates(shapely.segmentize(shapely.box(*box).exterior, STEP_M))
    plan.parks.append(shapely.Polygon(bend(ring)))
