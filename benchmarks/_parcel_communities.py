"""Made-up communities whose truth is known: streets, walls, a canal, about 180 parcels with buildings, a planted division.

Used by the benchmarks of division; deterministic in a seed. A community is about 0.4 km2 of town: streets every 90 to 250 m
that bend, with crossings, T-junctions, superblocks where a street is missing (half of them with a wall in its place), dead ends, in
a third of the communities a canal; compounds of 600 to 6,000 m2 with rows of slabs, towers, shops, and some open land.

Planted: the faces of streets, walls and banks are joined to ``GRIDS`` compact groups and households are given out so
that each holds 330 to 470. A division with every grid in the band and every border on a line therefore exists; no engine is told where.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import affinity, ops

from gridsvc.division.communities import CommunityInput

Geometries = NDArray[np.object_]
Cell = tuple[int, int]

GRIDS = 7
ORIGIN = np.array([525_000.0, 3_385_000.0])
CANAL_M = 18.0
KERB_M = 7.0  # from the middle of a street to the nearest building
SMALLEST_PARCEL_M2, LARGEST_PARCEL_M2 = 600.0, 6_000.0


@dataclass(frozen=True, slots=True)
class ParcelCommunity:
    """A community and what is true about it: its parcels, the planted governance grid of each, the planted grids. CRS: metric."""

    community: CommunityInput
    parcels: Geometries
    planted: NDArray[np.int64]
    planted_grids: Geometries


@dataclass(frozen=True, slots=True)
class StreetNet:
    """Streets from junction to junction inside a boundary, their ends exactly noded, and the blocks they enclose. CRS: metric."""

    boundary: shapely.Polygon
    pieces: Geometries
    blocks: Geometries


def parcel_communities(count: int, *, seed: int = 1) -> list[ParcelCommunity]:
    """Return ``count`` communities; the same seed gives the same ones, and a longer list begins with the shorter one."""
    return [_Maker(seed, number).made() for number in range(count)]


def street_nets(count: int, *, seed: int = 1) -> list[StreetNet]:
    """Return the streets alone of the same communities."""
    return [_Maker(seed, number).net() for number in range(count)]


def array(items: list) -> Geometries:
    """Return geometries as an array of objects."""
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


class _Maker:
    """Draws one community in a flat lattice of streets and bends it."""

    def __init__(self, seed: int, number: int) -> None:
        self.rng = np.random.default_rng([seed, number])
        self.code = f"4201030{1 + number // 900:02d}{1 + number % 900:03d}"
        self.x, self.y = (self._positions() for _ in range(2))
        self.jitter = self.rng.uniform(-10, 10, (len(self.x), len(self.y), 2))
        self.phase = self.rng.uniform(0, 2 * np.pi, 4)
        self.turn = self.rng.uniform(0, np.pi / 2)
        self.place = ORIGIN + 2_000.0 * np.array([number % 50, number // 50]) + self.rng.uniform(0, 1, 2)

    def _positions(self) -> NDArray[np.float64]:
        """Return street positions 90 to 190 m apart over 600 to 700 m; where a street is left out they are up to twice that apart."""
        while True:
            gaps = self.rng.uniform(90, 190, int(self.rng.integers(4, 7)))
            if 600 < gaps.sum() < 700:
                return np.append(0.0, np.cumsum(gaps))

    def _bent(self, flat: NDArray[np.float64]) -> NDArray[np.float64]:
        u, v = flat.T
        bent = flat.copy()
        bent[:, 0] += 22 * np.sin(v / 110 + self.phase[0]) + 8 * np.sin(u / 60 + self.phase[1])
        bent[:, 1] += 22 * np.sin(u / 110 + self.phase[2]) + 8 * np.sin(v / 60 + self.phase[3])
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        turned = np.column_stack([bent[:, 0] * cos - bent[:, 1] * sin, bent[:, 0] * sin + bent[:, 1] * cos])
        return np.round(turned + self.place, 2)

    def _node(self, i: int, j: int) -> NDArray[np.float64]:
        return np.array([self.x[i], self.y[j]]) + self.jitter[i, j]

    def _path(self, a: Cell, b: Cell, share: float = 1.0) -> shapely.LineString:
        """Return the bent line from lattice node a to b, or its first ``share``."""
        start, end = self._node(*a), self._node(*b)
        steps = np.linspace(0, share, max(2, round(5 * share)))[:, None]
        return shapely.LineString(self._bent(start + steps * (end - start)))

    def net(self) -> StreetNet:
        self._draw_lines()
        return StreetNet(self.boundary, self.pieces, _faces(self.pieces, self.boundary))

    def made(self) -> ParcelCommunity:
        self._draw_lines()
        lines = np.concatenate([self.pieces, self.walls, shapely.boundary(self.water)])
        faces = _faces(lines, self.boundary)
        dry = faces[~_within_any(faces, self.water)]
        groups = _joined(dry, GRIDS)
        parcels, face = self._parcels(dry)
        buildings, parcel = self._buildings(parcels, lines)
        households = self._households(buildings, groups[face][parcel])
        community = CommunityInput(
            self.code,
            self.boundary,
            streets=self.streets,
            barriers=self.walls,
            water=self.water,
            buildings=buildings,
            households=households,
            population=households * 3,
        )
        grids = array([shapely.coverage_union_all(dry[groups == g]) for g in range(GRIDS)])
        return ParcelCommunity(community, parcels, groups[face], grids)

    def _draw_lines(self) -> None:
        rng, last_i, last_j = self.rng, len(self.x) - 1, len(self.y) - 1
        canal = int(rng.integers(1, last_i)) if rng.random() < 1 / 3 else -1
        pieces, walls, bank, tails = [], [], [], []
        for i in range(last_i + 1):
            for j in range(last_j + 1):
                for to in ((i + 1, j), (i, j + 1)):
                    upward = to[0] == i
                    if to[0] > last_i or to[1] > last_j or (i in (0, last_i) if upward else j in (0, last_j)):
                        continue
                    if upward and i == canal:
                        bank.append(self._path((i, j), to))
                    elif rng.random() < 0.2:
                        self._leave_out((i, j), to, walls, pieces, crosses_canal=not upward and canal in (i, to[0]))
                    else:
                        pieces.append(self._path((i, j), to))
        ring = [(i, 0) for i in range(last_i)] + [(last_i, j) for j in range(last_j)]
        ring += [(i, last_j) for i in range(last_i, 0, -1)] + [(0, j) for j in range(last_j, 0, -1)]
        sides = [self._path(a, b) for a, b in zip(ring, ring[1:] + ring[:1], strict=True)]
        self.boundary = shapely.Polygon(np.vstack([shapely.get_coordinates(s)[:-1] for s in sides]))
        # some of the streets go on into the next community, and most of the border is a street itself
        for piece in pieces:
            end = shapely.get_coordinates(piece)[-1]
            if shapely.distance(shapely.Point(end), shapely.boundary(self.boundary)) < 1e-6 and rng.random() < 0.5:
                step = end - shapely.get_coordinates(piece)[-2]
                tails.append(shapely.LineString([end, end + step / np.hypot(*step) * 30]))
        self.pieces = array(pieces)
        self.streets = array(pieces + tails + [side for side in sides if rng.random() < 0.7])
        self.walls = array(walls)
        self.water = array([])
        if bank:
            middle = shapely.get_coordinates(array(bank))
            ends = np.array([middle[0] - (middle[1] - middle[0]), middle[-1] + (middle[-1] - middle[-2])])
            course = shapely.LineString(np.vstack([ends[:1], middle, ends[1:]]))
            self.water = array([shapely.set_precision(course.buffer(CANAL_M / 2, cap_style="flat"), 0.01)])

    def _leave_out(self, a: Cell, b: Cell, walls: list, pieces: list, *, crosses_canal: bool) -> None:
        """Leave out a street: a wall in its place, a dead end, or nothing."""
        kind = self.rng.random()
        if kind < 0.5 and not crosses_canal:
            walls.append(self._path(a, b))
        elif kind < 0.8:
            pieces.append(self._path(a, b, self.rng.uniform(0.3, 0.6)))

    def _parcels(self, faces: Geometries) -> tuple[Geometries, NDArray[np.int64]]:
        parcels, face = [], []
        for number, shape in enumerate(faces):
            todo = [shape]
            while todo:
                part = todo.pop()
                wanted = float(np.clip(self.rng.lognormal(np.log(2_700), 0.5), SMALLEST_PARCEL_M2, LARGEST_PARCEL_M2))
                halves = self._halved(part) if part.area > 1.35 * wanted else []
                if halves:
                    todo.extend(halves)
                else:
                    parcels.append(part)
                    face.append(number)
        return array(parcels), np.array(face)

    def _halved(self, shape: shapely.Polygon) -> list[shapely.Polygon]:
        """Return the shape cut across its longer axis at 35 to 65 %; nothing when a part would be too small."""
        corners = shapely.get_coordinates(shapely.oriented_envelope(shape))
        sides = corners[1:3] - corners[0:2]
        long = int(np.hypot(*sides.T).argmax())
        at = corners[long] + self.rng.uniform(0.35, 0.65) * sides[long]
        across = sides[1 - long] * 3
        parts = shapely.get_parts(ops.split(shape, shapely.LineString([at - across, at + across])))
        parts = [part for part in parts if part.geom_type == "Polygon"]
        return parts if len(parts) > 1 and min(p.area for p in parts) > SMALLEST_PARCEL_M2 / 2 else []

    def _buildings(self, parcels: Geometries, lines: Geometries) -> tuple[Geometries, NDArray[np.int64]]:
        kept_free = shapely.union_all(
            shapely.buffer(np.concatenate([lines, array([shapely.boundary(self.boundary)])]), KERB_M)
        )
        buildings, owner = [], []
        for number, parcel in enumerate(parcels):
            yard = parcel.buffer(-2.5).difference(kept_free)
            if yard.is_empty or self.rng.random() < 0.07:
                continue
            found = self._rows(yard)
            buildings.extend(found)
            owner.extend([number] * len(found))
        return array(buildings), np.array(owner)

    def _rows(self, yard: shapely.Geometry) -> list[shapely.Polygon]:
        """Return slabs in rows (or towers, or one large shop) that fit into the yard."""
        rng = self.rng
        corners = shapely.get_coordinates(shapely.oriented_envelope(yard))
        if len(corners) < 4:
            return []
        angle = np.degrees(np.arctan2(*(corners[1] - corners[0])[::-1]))
        flat = affinity.rotate(yard, -angle, origin=tuple(corners[0]))
        kind = rng.random()
        length, depth, gap = (
            (rng.uniform(24, 56), 12.0, rng.uniform(10, 18))
            if kind < 0.75
            else (22.0, 20.0, 16.0)
            if kind < 0.9
            else (30.0, 24.0, 12.0)
        )
        low_x, low_y, high_x, high_y = flat.bounds
        shapely.prepare(flat)
        found, y = [], low_y
        while y + depth <= high_y:
            x, row = low_x, 0
            while x + 10 <= high_x:
                slab = shapely.box(x, y, min(x + length, high_x), y + depth)
                if shapely.covers(flat, slab):
                    found.append(slab)
                    row += 1
                    x += length + 7
                else:
                    x += 3
            y += depth + gap if row else 3
        return [affinity.rotate(slab, angle, origin=tuple(corners[0])) for slab in found]

    def _households(self, buildings: Geometries, group: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return households by building; every planted group holds 330 to 470."""
        storeys = self.rng.choice([4, 6, 6, 7, 11, 18], len(buildings))
        share = shapely.area(buildings) * storeys
        shop = shapely.area(buildings) > 700
        share[shop & (np.bincount(group, ~shop, GRIDS)[group] > 0)] = 0
        households = np.zeros(len(buildings), dtype=np.int64)
        for number in range(GRIDS):
            members = np.flatnonzero(group == number)
            wanted = self.rng.uniform(335, 465)
            # whole numbers that add up: differences of the rounded running sum
            running = np.rint(np.cumsum(share[members]) / share[members].sum() * wanted)
            households[members] = np.diff(running, prepend=0.0)
        return households


def _faces(lines: Geometries, boundary: shapely.Polygon) -> Geometries:
    noded = shapely.union_all(np.concatenate([lines, array([shapely.boundary(boundary)])]))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(noded)))
    return faces[shapely.contains_properly(boundary, shapely.point_on_surface(faces))]


def _within_any(faces: Geometries, areas: Geometries) -> NDArray[np.bool_]:
    inside = np.zeros(len(faces), dtype=bool)
    for area in areas:
        inside |= shapely.contains_properly(area, shapely.point_on_surface(faces))
    return inside


def _joined(faces: Geometries, count: int) -> NDArray[np.int64]:
    """Return the group of each face: the smallest group joins the neighbour with which it is roundest, until ``count`` are left."""
    groups = {i: [i] for i in range(len(faces))}
    shapes = dict(enumerate(faces))
    while len(groups) > count:
        for small in sorted(groups, key=lambda g: shapes[g].area):
            near = [g for g in groups if g != small and shapely.intersects(shapes[small], shapes[g])]
            unions = {g: shapely.union(shapes[small], shapes[g]) for g in near}
            roundness = {g: u.area / u.length**2 for g, u in unions.items() if u.geom_type == "Polygon"}
            if roundness:
                into = max(roundness, key=lambda g: roundness[g])
                groups[into] += groups.pop(small)
                shapes[into] = unions[into]
                break
        else:
            raise ValueError("the faces of a community do not hang together")
    labels = np.zeros(len(faces), dtype=np.int64)
    for number, members in enumerate(groups.values()):
        labels[members] = number
    return labels
