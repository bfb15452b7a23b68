"""Atoms: the smallest pieces a community is grouped from; none cuts a building, each knows its neighbours."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.borders import NONE, RAIL, STREET, WALL, WATER, EdgeTable, Neighbours
from gridsvc.division.communities import CommunityInput, DivisionRules, Floats, Geometries, Integers, counts_or_zero
from gridsvc.division.cuts import Standing, cut_lines, through_strips
from gridsvc.division.enclosures import Enclosures, Ground, arrivals, enclose
from gridsvc.division.obstacles import obstacles, within_community


@dataclass(frozen=True, slots=True)
class Atoms:
    """The atoms of one community, and the faces they are made of.

    ``size_m2`` is the area as unit grids count it: land without buildings and water weigh less (``DivisionRules``).
    ``neighbours`` holds borders only; ``linked`` adds links between separate parts of the community, so that it is connected.
    ``atom_of_building`` is -1 for a building that does not belong here.
    """

    faces: Geometries
    atom_of_face: Integers
    edges: EdgeTable
    border_kind: Integers
    added: Floats
    area_m2: Floats
    perimeter_m: Floats
    size_m2: Floats
    households: Integers
    population: Integers
    atom_of_building: Integers
    neighbours: Neighbours
    linked: Neighbours


def make_atoms(community: CommunityInput, rules: DivisionRules, strip_m: float) -> Atoms:
    """Return the atoms of a community: street-, wall- and water-bounded enclosures, cut where they are large."""
    boundary = community.boundary
    inside, exists, belongs = within_community(community.buildings, boundary)
    buildings = inside[exists]
    blocks = obstacles(buildings, boundary, rules)
    counted = np.where(belongs[exists], counts_or_zero(community.households, len(inside))[exists], 0)
    water_edges = shapely.boundary(community.water)
    lines = np.concatenate([community.streets, community.barriers, water_edges])
    ground = Ground.of(boundary, blocks, buildings, community.barriers, rules, strip_m)

    coarse = enclose(lines, ground)
    standing = Standing.of(blocks, _households_of(blocks, buildings, counted))
    is_water = _is_within_water(coarse.faces, community.water)
    cuts = cut_lines(coarse.faces, is_water, standing, rules)
    cuts = np.concatenate([cuts, _strip_cuts(cuts, coarse, is_water, ground)])
    fine = enclose(np.concatenate([coarse.lines, cuts]), ground, closing=False) if len(cuts) else coarse
    return _grouped_faces(fine, community, blocks, belongs & exists, inside, lines, rules)


# a strip is less round than this (Polsby-Popper): 1 to 6 or longer
_STRIP_ROUNDNESS = 0.4


def _strip_cuts(cuts: Geometries, coarse: Enclosures, is_water: NDArray[np.bool_], ground: Ground) -> Geometries:
    """Return the continuations of cuts and lines through narrow strips, as between a wall and the street it stands along."""
    width = ground.rules.strip_width_m
    area, perimeter = shapely.area(coarse.faces), shapely.length(coarse.faces)
    narrow = ~is_water & (2 * area < perimeter * width) & (4 * np.pi * area < _STRIP_ROUNDNESS * perimeter**2)
    if len(ground.obstacles) and narrow.any():
        held = shapely.STRtree(coarse.faces).query(shapely.point_on_surface(ground.obstacles), predicate="within")[1]
        narrow[held] = False
    bounds = np.concatenate([coarse.lines, shapely.get_parts(shapely.boundary(np.array([ground.boundary])))])
    cut_ends, cut_heading, _ = arrivals(cuts)
    ends, heading, meeting = arrivals(coarse.lines)
    return through_strips(
        np.concatenate([cut_ends, ends[meeting >= 3]]),
        np.concatenate([cut_heading, heading[meeting >= 3]]),
        coarse.faces[narrow],
        bounds,
        ground.obstacles,
        1.5 * width,
    )


def _households_of(blocks: Geometries, buildings: Geometries, households: Integers) -> Integers:
    total = np.zeros(len(blocks), dtype=np.int64)
    if len(blocks) and len(buildings):
        building, block = shapely.STRtree(blocks).query(shapely.point_on_surface(buildings), predicate="within")
        np.add.at(total, block, households[building])
    return total


def _is_within_water(faces: Geometries, water: Geometries) -> NDArray[np.bool_]:
    is_water = np.zeros(len(faces), dtype=bool)
    if len(water):
        is_water[shapely.STRtree(water).query(shapely.point_on_surface(faces), predicate="within")[0]] = True
    return is_water


def _grouped_faces(
    fine: Enclosures,
    community: CommunityInput,
    blocks: Geometries,
    belongs: NDArray[np.bool_],
    inside: Geometries,
    lines: Geometries,
    rules: DivisionRules,
) -> Atoms:
    faces = fine.faces
    edges = EdgeTable.of(faces)
    kind = edges.kinds(_lines_by_kind(community), 5 * rules.snap_m)
    on_line = kind != NONE
    has_block = np.zeros(len(faces), dtype=bool)
    face_of_block = _faces_holding(faces, blocks, community.boundary)
    has_block[face_of_block[face_of_block >= 0]] = True
    atom_of_face = _absorbed(faces, edges, kind, _is_block(faces, blocks), has_block, rules)

    size = int(atom_of_face.max()) + 1
    area: Floats = np.bincount(atom_of_face, shapely.area(faces), size).astype(float)
    inner = edges.right >= 0
    left, right = atom_of_face[edges.left[inner]], atom_of_face[edges.right[inner]]
    length = edges.length_m[inner]
    neighbours = Neighbours.of_pairs(size, left, right, length, np.where(on_line[inner], 0.0, length))
    perimeter: Floats = np.bincount(atom_of_face, shapely.length(faces), size).astype(float)
    perimeter -= 2 * np.bincount(left[left == right], length[left == right], size)

    atom_of_building = _atoms_of_buildings(faces, atom_of_face, inside, belongs)
    households = _summed(counts_or_zero(community.households, len(inside)), atom_of_building, size)
    population = _summed(counts_or_zero(community.population, len(inside)), atom_of_building, size)
    built = np.bincount(atom_of_face, has_block, size) > 0
    water = np.bincount(
        atom_of_face, np.where(_is_within_water(faces, community.water), shapely.area(faces), 0.0), size
    )
    weight = np.where(built, 1.0, np.where(2 * water > area, rules.water_weight, rules.open_land_weight))
    return Atoms(
        faces,
        atom_of_face,
        edges,
        kind,
        fine.added,
        area,
        perimeter,
        area * weight,
        households,
        population,
        atom_of_building,
        neighbours,
        _linked(neighbours, faces, atom_of_face),
    )


def _lines_by_kind(community: CommunityInput) -> dict[int, Geometries]:
    """Return the straight pieces of what borders may follow, by kind."""
    barriers, kinds = community.barriers, community.barrier_kinds
    named = {name: barriers[kinds == name] if len(kinds) else barriers[:0] for name in ("rail", "water")}
    walls = barriers[(kinds != "rail") & (kinds != "water")] if len(kinds) else barriers
    lines = {
        STREET: community.streets,
        RAIL: named["rail"],
        WATER: np.concatenate([named["water"], shapely.boundary(community.water)]),
        WALL: walls,
    }
    return {kind: _line_pieces(some, community.boundary) for kind, some in lines.items() if len(some)}


def _line_pieces(lines: Geometries, boundary: shapely.Geometry) -> Geometries:
    """Return the straight pieces of the lines near the boundary, so that a tree over them is sharp."""
    box = shapely.box(*shapely.bounds(boundary))
    near = shapely.get_parts(lines[shapely.intersects(lines, box)])
    coordinates, index = shapely.get_coordinates(shapely.get_parts(near), return_index=True)
    same = index[1:] == index[:-1]
    pieces = shapely.linestrings(np.stack([coordinates[:-1][same], coordinates[1:][same]], axis=1))
    return pieces[shapely.intersects(pieces, box)]


def _faces_holding(faces: Geometries, blocks: Geometries, boundary: shapely.Geometry) -> Integers:
    """Return the face each obstacle stands in, -1 where its inner point lies outside the community."""
    holder = np.full(len(blocks), -1, dtype=np.int64)
    if len(blocks):
        point, face = shapely.STRtree(faces).query(shapely.point_on_surface(blocks), predicate="within")
        holder[point] = face
    return holder


def _is_block(faces: Geometries, blocks: Geometries) -> NDArray[np.bool_]:
    """Return which faces are (parts of) obstacles themselves, outlined because a line ran into them."""
    is_block = np.zeros(len(faces), dtype=bool)
    if len(blocks):
        face, block = shapely.STRtree(blocks).query(shapely.point_on_surface(faces), predicate="within")
        fits = shapely.area(faces[face]) <= shapely.area(blocks[block]) * 1.02 + 1.0
        is_block[face[fits]] = True
    return is_block


# how strongly a piece of land belongs to what lies beyond a border: least across a street, most where there is nothing
_BOND_OF_KIND = np.array([1.0, 1.0, 1.0, 2.0, 4.0])


def _absorbed(
    faces: Geometries,
    edges: EdgeTable,
    kind: Integers,
    is_block: NDArray[np.bool_],
    has_block: NDArray[np.bool_],
    rules: DivisionRules,
) -> Integers:
    """Return the atom of each face: outlined buildings and slivers join the neighbour they are bound to most.

    The strip between a wall and a street goes to the side of the wall. Smallest first; a sliver without neighbours (a part of
    the community by itself) stays.
    """
    inner = edges.right >= 0
    length = edges.length_m[inner]
    pairs = Neighbours.of_pairs(
        len(faces), edges.left[inner], edges.right[inner], length, length * _BOND_OF_KIND[kind[inner]]
    )
    merger = _Merger(faces, pairs, is_block, has_block, rules)
    merger.run()
    _, atom = np.unique([merger.root(i) for i in range(len(faces))], return_inverse=True)
    return atom.astype(np.int64)


class _Merger:
    """Joins faces that are too small to stand alone to their neighbours, smallest first."""

    def __init__(
        self,
        faces: Geometries,
        pairs: Neighbours,
        is_block: NDArray[np.bool_],
        has_block: NDArray[np.bool_],
        rules: DivisionRules,
    ) -> None:
        self.parent = list(range(len(faces)))
        self.area = shapely.area(faces).tolist()
        self.perimeter = shapely.length(faces).tolist()
        self.is_block = is_block.tolist()
        self.has_block = has_block.tolist()
        self.rules = rules
        # neighbour -> length shared and bond
        self.shared = [
            dict(
                zip(
                    pairs.ids[a:b].tolist(),
                    zip(pairs.shared_m[a:b].tolist(), pairs.off_line_m[a:b].tolist(), strict=True),
                    strict=True,
                )
            )
            for a, b in zip(pairs.start[:-1], pairs.start[1:], strict=True)
        ]

    def root(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def is_sliver(self, i: int) -> bool:
        if self.is_block[i] or self.area[i] < self.rules.sliver_area_m2:
            return True
        return not self.has_block[i] and 2 * self.area[i] < self.perimeter[i] * self.rules.sliver_width_m

    def run(self) -> None:
        queue = [(not self.is_block[i], self.area[i], i) for i in range(len(self.parent)) if self.is_sliver(i)]
        heapq.heapify(queue)
        while queue:
            _, area, i = heapq.heappop(queue)
            if self.parent[i] != i or area != self.area[i] or not self.shared[i] or not self.is_sliver(i):
                continue
            into = max(self.shared[i], key=lambda j: (self.shared[i][j][1], -j))
            self.join(i, into)
            if self.is_sliver(into):
                heapq.heappush(queue, (not self.is_block[into], self.area[into], into))

    def join(self, i: int, into: int) -> None:
        self.parent[i] = into
        self.perimeter[into] += self.perimeter[i] - 2 * self.shared[i][into][0]
        self.area[into] += self.area[i]
        self.has_block[into] = self.has_block[into] or self.has_block[i] or self.is_block[i]
        self.is_block[into] = self.is_block[into] and self.is_block[i]
        for j, (length, bond) in self.shared[i].items():
            del self.shared[j][i]
            if j != into:
                known = self.shared[into].get(j, (0.0, 0.0))
                self.shared[into][j] = self.shared[j][into] = (known[0] + length, known[1] + bond)
        self.shared[i] = {}


def _atoms_of_buildings(
    faces: Geometries, atom_of_face: Integers, inside: Geometries, belongs: NDArray[np.bool_]
) -> Integers:
    atom = np.full(len(inside), -1, dtype=np.int64)
    chosen = np.flatnonzero(belongs)
    if len(chosen):
        point, face = shapely.STRtree(faces).query(shapely.point_on_surface(inside[chosen]), predicate="within")
        atom[chosen[point]] = atom_of_face[face]
    return atom


def _summed(counts: Integers, atom_of_building: Integers, size: int) -> Integers:
    held = atom_of_building >= 0
    return np.bincount(atom_of_building[held], counts[held], size).astype(np.int64)


def _linked(neighbours: Neighbours, faces: Geometries, atom_of_face: Integers) -> Neighbours:
    """Return the neighbours with the parts of the community tied together, each to the nearest part, as a tree."""
    part = neighbours.components()
    if part.max() == 0:
        return neighbours
    part_of_face = part[atom_of_face]
    first, second = [], []
    joined = part_of_face == 0
    while not joined.all():
        inside, outside = np.flatnonzero(joined), np.flatnonzero(~joined)
        (from_face, to_face), gap = shapely.STRtree(faces[inside]).query_nearest(faces[outside], return_distance=True)
        nearest = np.lexsort((inside[to_face], outside[from_face], gap))[0]
        a, b = outside[from_face[nearest]], inside[to_face[nearest]]
        first.append(atom_of_face[a])
        second.append(atom_of_face[b])
        joined |= part_of_face == part_of_face[a]
    size = len(part)
    rows = np.repeat(np.arange(size), np.diff(neighbours.start))
    once = rows < neighbours.ids
    nothing = np.zeros(len(first))
    return Neighbours.of_pairs(
        size,
        np.concatenate([rows[once], np.array(first, dtype=np.int64)]),
        np.concatenate([neighbours.ids[once], np.array(second, dtype=np.int64)]),
        np.concatenate([neighbours.shared_m[once], nothing]),
        np.concatenate([neighbours.off_line_m[once], nothing]),
    )
