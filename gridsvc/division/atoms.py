"""Atoms: the smallest pieces a community is grouped from; none cuts a building, each knows its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.borders import NONE, RAIL, STREET, WALL, WATER, EdgeTable, Neighbours
from gridsvc.division.communities import (
    CommunityInput,
    DivisionRules,
    Floats,
    Geometries,
    Integers,
    counts_or_zero,
    summed,
)
from gridsvc.division.cuts import Standing, cut_lines, through_strips
from gridsvc.division.enclosures import Enclosures, Ground, arrivals, enclose, enclose_again
from gridsvc.division.obstacles import obstacles, within_community
from gridsvc.division.slivers import absorbed


@dataclass(frozen=True, slots=True)
class Atoms:
    """The atoms of one community, and the faces they are made of.

    ``size_m2`` is the area as unit grids count it: land without buildings and water weigh less (``DivisionRules``).
    ``neighbours`` holds borders only; ``linked`` adds links between separate parts of the community, so that it is connected.
    ``atom_of_building`` is -1 for a building that does not belong here. ``owner`` is the dedicated area an atom lies in, -1 for none.
    ``components`` and ``events`` count what is inside; ``border_kind`` says what each edge of ``edges`` follows.
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
    components: Floats
    events: Floats
    owner: Integers
    atom_of_building: Integers
    neighbours: Neighbours
    linked: Neighbours

    def borders(self) -> tuple[Integers, Integers, Integers, Floats]:
        """Return every kind of border between two atoms once: first, second (first < second), position in ``BORDER_KINDS``, length in m."""
        inner = self.edges.right >= 0
        pair = np.stack([self.atom_of_face[self.edges.left[inner]], self.atom_of_face[self.edges.right[inner]]])
        first, second = pair.min(axis=0), pair.max(axis=0)
        apart = first != second
        keys = np.stack([first, second, self.border_kind[inner]])[:, apart]
        found, inverse = np.unique(keys, axis=1, return_inverse=True)
        length = summed(inverse.ravel(), self.edges.length_m[inner][apart], found.shape[1])
        return found[0], found[1], found[2], length


def make_atoms(community: CommunityInput, rules: DivisionRules, strip_m: float) -> Atoms:
    """Return the atoms of a community: street-, wall- and water-bounded enclosures, cut where they are large."""
    boundary = community.boundary
    inside, exists, belongs = within_community(community.buildings, boundary)
    buildings = inside[exists]
    blocks = obstacles(buildings, boundary, rules)
    counted = np.where(belongs[exists], counts_or_zero(community.households, len(inside))[exists], 0)
    water_edges = shapely.boundary(community.water)
    outlines = shapely.boundary(community.dedicated)
    lines = np.concatenate([community.streets, community.barriers, water_edges, outlines])
    ground = Ground.of(boundary, blocks, buildings, community.barriers, rules, strip_m)

    coarse = enclose(lines, ground)
    standing = Standing.of(blocks, _households_of(blocks, buildings, counted))
    is_water = _is_within_water(coarse.faces, community.water)
    cuts = cut_lines(coarse.faces, is_water, standing, rules)
    cuts = np.concatenate([cuts, _strip_cuts(cuts, coarse, is_water, ground)])
    fine = enclose_again(coarse, cuts, ground)
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
    kind = edges.kinds(lines_by_kind(community), 5 * rules.snap_m)
    on_line = kind != NONE
    has_block = np.zeros(len(faces), dtype=bool)
    face_of_block = _faces_holding(faces, blocks, community.boundary)
    has_block[face_of_block[face_of_block >= 0]] = True
    owner = _owners(faces, community.dedicated)
    atom_of_face = absorbed(faces, edges, kind, _is_block(faces, blocks), has_block, owner, rules)

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
        counted_in(faces, atom_of_face, community.components),
        counted_in(faces, atom_of_face, community.events, community.event_counts),
        _owner_of_atom(owner, atom_of_face, size),
        atom_of_building,
        neighbours,
        _linked(neighbours, faces, atom_of_face),
    )


def _owners(faces: Geometries, dedicated: Geometries) -> Integers:
    """Return the dedicated area each face lies in, the first where areas overlap, -1 for none."""
    owner = np.full(len(faces), -1, dtype=np.int64)
    if len(dedicated):
        face, area = shapely.STRtree(dedicated).query(shapely.point_on_surface(faces), predicate="within")
        order = np.argsort(-area, kind="stable")
        owner[face[order]] = area[order]
    return owner


def _owner_of_atom(owner: Integers, atom_of_face: Integers, size: int) -> Integers:
    found = np.full(size, -1, dtype=np.int64)
    found[atom_of_face] = owner
    return found


def counted_in(faces: Geometries, atom_of_face: Integers, points: Geometries, counts: Floats | None = None) -> Floats:
    """Return how many points lie in each atom; one on a border counts in the first of its faces."""
    total = np.zeros(int(atom_of_face.max()) + 1)
    if len(points):
        point, face = shapely.STRtree(faces).query(points, predicate="intersects")
        found, first = np.unique(point, return_index=True)
        weight = np.ones(len(found)) if counts is None or len(counts) == 0 else np.asarray(counts, dtype=float)[found]
        np.add.at(total, atom_of_face[face[first]], weight)
    return total


def lines_by_kind(community: CommunityInput) -> dict[int, Geometries]:
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
