"""Networks as offices would have drawn them over one city, with the truth kept: what was drawn, and what it should have been.

The city is a brickwork of parcels, bent so that no street is straight. A net groups parcels into grids that hang together; drawing
it moves every vertex by a little, the same for both neighbours. Copies of one net may have corners moved farther, grids merged, grids
split and grids forgotten.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gridsvc.networks.nets import Net

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Geometries = NDArray[np.object_]

# corners of neighbouring rows are at least a fifth of a parcel apart
_OFFSET, _SHAKE = 0.25, 0.15
_PIECES_OF_A_SIDE = 3


@dataclass(frozen=True, slots=True)
class ParcelCity:
    """True parcels, an exact coverage of a bent square.

    ``vertices`` shape (n, 2), m; ``places`` and ``parcel`` are the vertices of all rings, closed, counter-clockwise, and the parcel of each;
    ``first``, ``second`` the pairs of parcels that share a border.
    """

    vertices: Floats
    places: Integers
    parcel: Integers
    first: Integers
    second: Integers

    @property
    def parcels(self) -> int:
        """The number of parcels."""
        return int(self.parcel[-1]) + 1

    def polygons(self, moved: Floats | None = None) -> Geometries:
        """Return the parcels, with vertices moved by so much when ``moved`` is given (m)."""
        vertices = self.vertices if moved is None else self.vertices + moved
        return shapely.polygons(shapely.linearrings(vertices[self.places], indices=self.parcel))

    def connected(self, *labels: Integers) -> Integers:
        """Return the parts that hang together of parcels alike in all labels, numbered by their first parcel."""
        same = np.logical_and.reduce([each[self.first] == each[self.second] for each in labels])
        graph = coo_matrix(
            (np.ones(same.sum()), (self.first[same], self.second[same])), shape=(self.parcels, self.parcels)
        )
        return connected_components(graph, directed=False)[1].astype(np.int64)


@dataclass(frozen=True, slots=True)
class DrawnNet:
    """A net as drawn, and which of its grids (rows) truly holds each parcel, -1 for none."""

    net: Net
    grid_of_parcel: Integers


@dataclass(frozen=True, slots=True)
class Distortion:
    """How a copy differs from the truth.

    ``jitter_m`` is the farthest any vertex moves; ``shifted`` the share of vertices moved by ``shift_m`` instead; ``missing``, ``merged`` and
    ``split`` shares of the grids.
    """

    jitter_m: float = 2.0
    shifted: float = 0.0
    shift_m: float = 9.0
    missing: float = 0.0
    merged: float = 0.0
    split: float = 0.0


def parcel_city(parcels: int, *, side_m: float = 59.0, seed: int = 1) -> ParcelCity:
    """Return a city of about so many parcels (a square number of them) of about ``side_m`` by ``side_m``."""
    rng = np.random.default_rng(seed)
    count = max(2, round(np.sqrt(parcels)))
    offset = np.where(np.arange(count) % 2, _OFFSET, -_OFFSET)[:, None]
    inner = np.arange(1, count) + offset + rng.uniform(-_SHAKE, _SHAKE, (count, count - 1))
    corners = np.hstack([np.zeros((count, 1)), inner, np.full((count, 1), float(count))])
    lines = [np.unique(np.concatenate([corners[max(r - 1, 0)], corners[min(r, count - 1)]])) for r in range(count + 1)]
    line_start = np.concatenate([[0], np.cumsum([len(line) for line in lines])])
    along = np.arange(1, _PIECES_OF_A_SIDE) / _PIECES_OF_A_SIDE
    upright = [
        np.stack([np.broadcast_to(corners[:, :, None], (count, count + 1, len(along))).ravel(),
                  np.broadcast_to(np.arange(count)[:, None, None] + along, (count, count + 1, len(along))).ravel()], axis=1)
    ]  # fmt: skip
    level = [np.stack([line, np.full(len(line), float(r))], axis=1) for r, line in enumerate(lines)]
    vertices = np.concatenate(level + upright)
    first_upright = line_start[-1]
    rings = []
    for r in range(count):
        below = line_start[r] + np.searchsorted(lines[r], corners[r])
        above = line_start[r + 1] + np.searchsorted(lines[r + 1], corners[r])
        for c in range(count):
            west = first_upright + (r * (count + 1) + c) * len(along) + np.arange(len(along))
            east = west + len(along)
            bottom = np.arange(below[c], below[c + 1] + 1)
            top = np.arange(above[c + 1], above[c] - 1, -1)
            rings.append(np.concatenate([bottom, east, top, west[::-1], bottom[:1]]))
    places = np.concatenate(rings)
    parcel = np.repeat(np.arange(count * count), [len(ring) for ring in rings])
    return ParcelCity(_bent(vertices * side_m), places, parcel, *_neighbours(places, parcel))


def _bent(xy: Floats) -> Floats:
    """Return places bent along long waves, so that streets curve."""
    x, y = xy.T
    east, north = x + 12.0 * np.sin(y / 97.0) + 0.2 * y, y + 12.0 * np.sin(x / 113.0)
    return np.stack([500_000.0 + east, 4_000_000.0 + north], axis=1)


def _neighbours(places: Integers, parcel: Integers) -> tuple[Integers, Integers]:
    same = parcel[1:] == parcel[:-1]
    a, b, owner = places[:-1][same], places[1:][same], parcel[:-1][same]
    key = np.minimum(a, b) * (int(places.max()) + 1) + np.maximum(a, b)
    order = np.argsort(key, kind="stable")
    twice = np.flatnonzero(key[order][1:] == key[order][:-1])
    pairs = np.unique(np.sort(np.stack([owner[order[twice]], owner[order[twice + 1]]], axis=1), axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1]


def grouped(city: ParcelCity, grids: int, *, seed: int) -> Integers:
    """Return the grid of each parcel: ``grids`` groups that hang together, of up to five parcels where that is enough."""
    rng = np.random.default_rng(seed)
    parent = np.arange(city.parcels)
    size = np.ones(city.parcels, dtype=np.int64)
    left = city.parcels

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for most in (5, city.parcels):
        for k in rng.permutation(len(city.first)):
            if left <= grids:
                break
            a, b = root(city.first[k]), root(city.second[k])
            if a != b and size[a] + size[b] <= most:
                parent[b], size[a], left = a, size[a] + size[b], left - 1
    return np.unique([root(i) for i in range(city.parcels)], return_inverse=True)[1].astype(np.int64)


def drawn(
    city: ParcelCity, name: str, grid_of_parcel: Integers, distortion: Distortion = Distortion(), *, seed: int
) -> DrawnNet:
    """Return a net drawn over the city: the grids given, distorted, in random order, with codes of their own.

    Codes are G and the number of the grid in ``grid_of_parcel``; a grid merged away or split has the code of its larger half, the
    other half of a split one that code with an S behind it.
    """
    rng = np.random.default_rng(seed)
    grid, codes = grid_of_parcel.copy(), [f"G{i:06d}" for i in range(int(grid_of_parcel.max()) + 1)]
    grid = _merged(city, grid, distortion.merged, rng)
    grid, codes = _split(city, grid, codes, distortion.split, rng)
    kept = np.unique(grid)
    kept = np.sort(rng.permutation(kept)[: max(1, len(kept) - round(distortion.missing * len(kept)))])
    kept = rng.permutation(kept)
    row = np.full(len(codes), -1, dtype=np.int64)
    row[kept] = np.arange(len(kept))
    row_of_parcel = row[grid]
    shapes = city.polygons(_moves(city, distortion, rng))
    members = np.argsort(row_of_parcel, kind="stable")
    start = np.searchsorted(row_of_parcel[members], np.arange(len(kept) + 1))
    geometry = np.empty(len(kept), dtype=object)
    geometry[:] = [shapely.coverage_union_all(shapes[members[a:b]]) for a, b in itertools.pairwise(start)]
    net = Net.of(name, [codes[i] for i in kept], shapely.normalize(geometry), [f"grid {codes[i][1:]}" for i in kept])
    return DrawnNet(net, row_of_parcel)


def _moves(city: ParcelCity, distortion: Distortion, rng: np.random.Generator) -> Floats:
    count = len(city.vertices)
    angle = rng.uniform(0.0, 2 * np.pi, count)
    reach = np.where(
        rng.random(count) < distortion.shifted,
        distortion.shift_m,
        distortion.jitter_m * np.sqrt(rng.random(count)),
    )
    moves = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
    while True:
        # what would fold a parcel over stays where it is
        shapes = city.polygons(moves)
        folded = ~shapely.is_valid(shapes) | ~shapely.is_empty(shapely.coverage_invalid_edges(shapes))
        if not folded.any():
            return moves
        moves[city.places[folded[city.parcel]]] = 0.0


def _merged(city: ParcelCity, grid: Integers, share: float, rng: np.random.Generator) -> Integers:
    """Return the grids with pairs of neighbours joined: so many that this share of all grids is in a pair."""
    a, b = grid[city.first], grid[city.second]
    pairs = np.unique(np.sort(np.stack([a, b], axis=1)[a != b], axis=1), axis=0)
    wanted = round(share * (int(grid.max()) + 1) / 2)
    into = np.arange(int(grid.max()) + 1)
    is_taken = np.zeros(len(into), dtype=bool)
    for one, other in pairs[rng.permutation(len(pairs))]:
        if wanted == 0:
            break
        if not is_taken[one] and not is_taken[other]:
            is_taken[[one, other]] = True
            into[other] = one
            wanted -= 1
    return into[grid]


def _split(
    city: ParcelCity, grid: Integers, codes: list[str], share: float, rng: np.random.Generator
) -> tuple[Integers, list[str]]:
    """Return the grids with this share of them cut: one parcel, whose loss leaves the rest in one piece, becomes a grid."""
    sizes = np.bincount(grid, minlength=len(codes))
    able = rng.permutation(np.flatnonzero(sizes > 1))
    grid, codes = grid.copy(), list(codes)
    wanted = round(share * len(codes))
    inner = grid[city.first] == grid[city.second]
    ends = np.concatenate([city.first[inner], city.second[inner]])
    degree = np.bincount(ends, minlength=city.parcels)
    for one in able[:wanted]:
        members = np.flatnonzero(grid == one)
        # a parcel with one neighbour in the grid is at its end
        loose = members[degree[members] == 1]
        if len(loose):
            grid[loose[0]] = len(codes)
            codes.append(f"{codes[one]}S")
    return grid, codes


@dataclass(frozen=True, slots=True)
class AtomJudgement:
    """How atoms compare with the true ones.

    An atom is right when it has the labels of a true one and shares over half of the land of both. ``mislabelled`` is the share of land
    farther than the jitter from every true border that has wrong labels; ``mislabelled_anywhere`` of all land, borders included.
    """

    true: int
    found: int
    spurious: int
    missing: int
    mislabelled: float
    mislabelled_anywhere: float


def judge_atoms(
    city: ParcelCity,
    nets: list[DrawnNet],
    geometry: Geometries,
    owner: Integers,
    *,
    clear_m: float,
    points: int = 4,
    seed: int = 1,
) -> AtomJudgement:
    """Return how atoms (polygons and the grid of each net they lie in, shape (atoms, nets)) compare with the truth.

    ``clear_m`` is how far land counted for ``mislabelled`` lies from true borders; ``points`` are drawn in each parcel for it.
    """
    labels = np.stack([net.grid_of_parcel for net in nets], axis=1)
    part = city.connected(*labels.T)
    order = np.argsort(part, kind="stable")
    start = np.searchsorted(part[order], np.arange(part.max() + 2))
    parcels = city.polygons()
    true = np.empty(len(start) - 1, dtype=object)
    true[:] = [shapely.coverage_union_all(parcels[order[a:b]]) for a, b in itertools.pairwise(start)]
    true_labels = labels[order[start[:-1]]]
    tree = shapely.STRtree(geometry)
    which, found = tree.query(true, predicate="intersects")
    alike = (true_labels[which] == owner[found]).all(axis=1)
    which, found = which[alike], found[alike]
    shared = shapely.area(shapely.intersection(true[which], geometry[found]))
    right = (shared > 0.5 * shapely.area(true[which])) & (shared > 0.5 * shapely.area(geometry[found]))
    rng = np.random.default_rng(seed)
    box = shapely.bounds(parcels)[:, None, :]
    at = box[..., :2] + rng.random((len(parcels), points, 2)) * (box[..., 2:] - box[..., :2])
    at, of_parcel = shapely.points(at.reshape(-1, 2)), np.repeat(np.arange(len(parcels)), points)
    inside = shapely.contains_properly(parcels[of_parcel], at)
    at, of_parcel = at[inside], of_parcel[inside]
    point, atom = tree.query(at, predicate="intersects")
    _, once = np.unique(point, return_index=True)
    held = np.full((len(at), owner.shape[1]), -2)
    held[point[once]] = owner[atom[once]]
    wrong = (held != labels[of_parcel]).any(axis=1)
    clear = shapely.distance(at, shapely.boundary(true[part[of_parcel]])) > clear_m
    return AtomJudgement(
        true=len(true),
        found=len(geometry),
        spurious=len(geometry) - len(np.unique(found[right])),
        missing=len(true) - len(np.unique(which[right])),
        mislabelled=float(wrong[clear].mean()),
        mislabelled_anywhere=float(wrong.mean()),
    )


def copies(
    city: ParcelCity, grid_of_parcel: Integers, distortions: list[Distortion], *, same_lines: bool = False, seed: int
) -> list[DrawnNet]:
    """Return copies of one true net, each distorted; with ``same_lines`` the first two are drawn alike in their vertices.

    Copies that agree in their lines are how two offices look that took their borders from one base map.
    """
    made = []
    for k, distortion in enumerate(distortions):
        used = replace(distortion, jitter_m=0.0, shifted=0.0) if same_lines and k < 2 else distortion
        made.append(drawn(city, f"copy {k + 1}", grid_of_parcel, used, seed=seed + k))
    return made


def true_matches(city: ParcelCity, one: DrawnNet, other: DrawnNet, *, share: float = 0.5) -> set[tuple[int, int]]:
    """Return the pairs of rows that truly are one grid: parcels held by both are over ``share`` of the land held by either."""
    area = shapely.area(city.polygons())
    a, b = one.grid_of_parcel, other.grid_of_parcel
    both = (a >= 0) & (b >= 0)
    pairs, inverse = np.unique(np.column_stack([a, b])[both], axis=0, return_inverse=True)
    shared = np.bincount(inverse.ravel(), area[both])
    all_a = np.bincount(a[a >= 0], area[a >= 0])[pairs[:, 0]]
    all_b = np.bincount(b[b >= 0], area[b >= 0])[pairs[:, 1]]
    alike = shared > share * (all_a + all_b - shared)
    return {(int(i), int(j)) for i, j in pairs[alike]}
