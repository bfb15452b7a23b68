"""Atoms: the pieces of land on which every net agrees with itself, from any number of nets drawn over the same streets.

Borders that follow one street in several nets never coincide; laid over each other they leave more slivers than land. Here all border
lines are snap-rounded together, the faces they make are labelled in every net by a point inside, and faces thinner than the tolerance go,
whole, to a neighbour: the one that changes what the nets say least over the longest common border. What is left is an exact coverage.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from gridsvc.errors import GridsvcError
from gridsvc.geo.location import GridIndex
from gridsvc.geo.planar_map import PlanarMap
from gridsvc.geo.snap_rounding import NodedEdges, noded_edges
from gridsvc.networks.nets import Net

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Geometries = NDArray[np.object_]

NOBODY = -1
STEP_M = 0.01
TOLERANCE_M = 4.0


@dataclass(frozen=True, slots=True)
class DoubleClaims:
    """Land that a net gives to more than one grid: one row for each owner after the first (whose code is the smallest), by
    atom, net, code.

    ``net`` is the position of the net, ``row`` the grid's in it. Shape of all: (n,).
    """

    atom: Integers
    net: Integers
    row: Integers


@dataclass(frozen=True, slots=True)
class MovedLand:
    """Land whose grid in a net changed when slivers were absorbed: from one row to another (`NOBODY` is a row too). Unit: m2."""

    net: Integers
    from_row: Integers
    to_row: Integers
    area_m2: Floats


@dataclass(frozen=True, slots=True)
class Overlay:
    """The atoms of several nets.

    Attributes
    ----------
    nets
        The nets, as given.
    geometry
        Polygons, an exact coverage: neighbours share every vertex. CRS: that of the nets.
    area_m2
        Unit: m2.
    owner
        Row of the grid that holds each atom, by net; `NOBODY` where none does. Shape: (atoms, nets).
    double
        Further owners, where grids of a net overlap.
    moved
        Land that changed its grid when slivers were absorbed.
    faces
        How many faces there were before.
    """

    nets: tuple[Net, ...]
    geometry: Geometries
    area_m2: Floats
    owner: Integers
    double: DoubleClaims
    moved: MovedLand
    faces: int

    @property
    def is_orphan(self) -> NDArray[np.bool_]:
        """Return which atoms no net holds: land enclosed by nets, or inside the boundary given."""
        return (self.owner == NOBODY).all(axis=1)

    def codes(self, net: int) -> NDArray[np.object_]:
        """Return the code of the grid that holds each atom in a net, None where none does."""
        return np.append(self.nets[net].code, [None])[self.owner[:, net]]


def overlay(
    nets: Sequence[Net],
    *,
    tolerance_m: float = TOLERANCE_M,
    weight: Sequence[float] | None = None,
    boundary: shapely.Geometry | None = None,
    lines: Geometries | None = None,
    keep_land: bool = True,
    step_m: float = STEP_M,
) -> Overlay:
    """Return the atoms of nets: an exact coverage of all land that any net holds, and of what they enclose together.

    Parameters
    ----------
    nets
        At least one. CRS: projected, metric, the same for all.
    tolerance_m
        Faces thinner than this are absorbed; 0 keeps every face. Thickness is twice the area over the perimeter. Unit: m.
    weight
        How much the borders of each net count when a sliver may go to either side; default 1 for all. The line of the net (or of most
        nets) that counts most is the one that stays.
    boundary
        Land to look at. What is outside is left out; land inside that nobody holds is an orphan. Default: all land of the nets.
    lines
        Lines that borders are to stay on (streets, walls, water); they count more than any net and cut nothing by themselves.
    keep_land
        Keep all land that any net holds. If not, slivers along the outer edge may go to the outside as to any neighbour, and the outer edge
        of most nets (or of the one that counts most) stays.
    step_m
        Step of the grid that vertices are rounded to. Unit: m.

    Returns
    -------
    overlay
        Atoms ordered by their lowest vertex from west to east. Independent of the order of grids in a net, and but for the
        order of columns, of nets.

    Raises
    ------
    GridsvcError
        When there are no nets, two have one name, a weight is not above 0 or the tolerance is below 0 or no number.

    Notes
    -----
    Source: snap rounding, Hobby 1999; absorbing slivers by growing sound faces is ours (methods.md section 4 gives its predecessor).
    Cost: grows with the edges; three nets of 41,795 grids, 613,000 faces, take about 30 CPU-seconds and 2 GiB.
    """
    _check(nets, tolerance_m, weight)
    weights = np.ones(len(nets)) if weight is None else np.asarray(weight, dtype=float)
    drawn = [_segments(net.geometry) for net in nets]
    if boundary is not None:
        drawn.append(_segments(np.array([boundary], dtype=object)))
    given = _line_segments(lines)
    planar = PlanarMap.of(noded_edges(_in_order(np.concatenate([*drawn, given])), step_m))
    inside = planar.inner_points()
    owners = [_owners(net, inside) for net in nets]
    label = np.stack([first for first, _, _ in owners], axis=1)
    kept = np.ones(planar.faces, dtype=bool)
    if boundary is not None:
        shapely.prepare(boundary)
        kept = shapely.intersects_xy(boundary, inside[:, 0], inside[:, 1])
    on_line = _on_lines(planar.noded, given, step_m) * (1.0 + 2.0 * weights.sum())
    into = _absorbed(planar, label, kept, weights, on_line, tolerance_m, keep_land)
    return _overlay_of(tuple(nets), planar, label, owners, kept, into)


def _check(nets: Sequence[Net], tolerance_m: float, weight: Sequence[float] | None) -> None:
    names = [net.name for net in nets]
    if not nets:
        raise GridsvcError("There are no networks to lay over each other.", hint="Give at least one.")
    if len(set(names)) < len(names):
        raise GridsvcError(
            f"Two networks are named {max(names, key=names.count)}.", hint="Give each a name of its own."
        )
    if not 0.0 <= tolerance_m < np.inf:
        raise GridsvcError(f"A tolerance of {tolerance_m} m is none.", hint="Give metres, 0 or more.")
    if weight is not None and (len(weight) != len(nets) or not all(0 < each < np.inf for each in weight)):
        raise GridsvcError(f"Weights are {len(nets)} numbers above 0, one for each network.")


def _segments(shapes: Geometries) -> Floats:
    """Return the straight pieces of all rings, lower end first. Shape: (n, 4)."""
    return _line_segments(shapely.get_rings(shapely.get_parts(shapes)))


def _line_segments(lines: Geometries | None) -> Floats:
    if lines is None or len(lines) == 0:
        return np.empty((0, 4))
    vertices, line = shapely.get_coordinates(shapely.get_parts(lines), return_index=True)
    starts = np.flatnonzero(line[1:] == line[:-1])
    a, b = vertices[starts] + 0.0, vertices[starts + 1] + 0.0
    swapped = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
    return np.where(swapped[:, None], np.hstack([b, a]), np.hstack([a, b]))


def _in_order(segments: Floats) -> Floats:
    """Return segments in an order that does not depend on theirs, each once."""
    order = np.lexsort(segments.T[::-1])
    ordered = segments[order]
    is_new = np.ones(len(ordered), dtype=bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return ordered[is_new]


def _owners(net: Net, points: Floats) -> tuple[Integers, Integers, Integers]:
    """Return the grid that holds each point, and pairs of point and further grid; the smallest code comes first."""
    by_code = np.argsort(net.code.astype(str), kind="stable")
    index = GridIndex([f"{i:010d}" for i in range(len(net))], net.geometry[by_code])
    found = index.find(points[:, 0], points[:, 1]).astype(np.int64)
    first = np.append(by_code, NOBODY)[found]
    none = np.empty(0, dtype=np.int64)
    if shapely.coverage_is_valid(net.geometry):
        return first, none, none
    # only where grids overlap can a point have two
    one, other = shapely.STRtree(net.geometry).query(net.geometry, predicate="intersects")
    pairs = (one < other) & ~shapely.touches(net.geometry[one], net.geometry[other])
    several = np.unique(np.concatenate([one[pairs], other[pairs]]))
    shapes = net.geometry[several]
    near, at = shapely.STRtree(shapely.points(points)).query(shapes, predicate="contains")
    held, row = at, several[near]
    further = row != first[held]
    order = np.lexsort((row[further], held[further]))
    return first, held[further][order], row[further][order]


def _on_lines(noded: NodedEdges, given: Floats, step_m: float) -> Floats:
    """Return 1.0 for the edges that lie on given lines, 0.0 for the others."""
    count = len(noded.edges)
    if len(given) == 0 or count == 0:
        return np.zeros(count)
    ends = noded.metres(noded.pixels[noded.edges.ravel()]).reshape(-1, 2, 2)
    lines = shapely.linestrings(given.reshape(-1, 2, 2))
    near, line = shapely.STRtree(lines).query(
        shapely.points(ends.mean(axis=1)), predicate="dwithin", distance=1.5 * step_m
    )
    reach = 1.5 * step_m
    both = shapely.dwithin(shapely.points(ends[near, 0]), lines[line], reach) & shapely.dwithin(
        shapely.points(ends[near, 1]), lines[line], reach
    )
    answer = np.zeros(count)
    answer[near[both]] = 1.0
    return answer


def _absorbed(
    planar: PlanarMap,
    label: Integers,
    kept: NDArray[np.bool_],
    weights: Floats,
    on_line: Floats,
    tolerance_m: float,
    keep_land: bool,
) -> Integers:
    """Return the face that each face goes to, itself where it stays, and the number of faces where it goes outside."""
    if tolerance_m == 0.0 or planar.faces == 0:
        return np.arange(planar.faces)
    length = planar.length_m
    perimeter = np.zeros(planar.faces)
    for side in (planar.left, planar.right):
        np.add.at(perimeter, side[side >= 0], length[side >= 0])
    area = planar.area_m2
    is_thin = kept & (2.0 * area < tolerance_m * perimeter)
    is_thin[_last_of_a_grid(label, area, is_thin, kept)] = False
    # the outside is one more face, which nobody holds
    face = np.where(planar.face >= 0, planar.face, planar.faces)
    halves = np.argsort(face, kind="stable")
    start = np.searchsorted(face[halves], np.arange(planar.faces + 2))
    label = np.vstack([label, np.full((1, label.shape[1]), NOBODY)])
    faces = _Faces(
        face=face,
        start=start,
        halves=halves,
        length=length,
        on_line=on_line,
        area=np.append(area, 0.0),
        label=label,
        kept=np.append(kept, not keep_land),
        weights=weights,
    )
    into = _grown(faces, np.append(is_thin, False))
    return into[:-1]


def _last_of_a_grid(label: Integers, area: Floats, is_thin: NDArray[np.bool_], kept: NDArray[np.bool_]) -> Integers:
    """Return the largest face of each grid that has thin ones only: no grid vanishes, however small it is."""
    found = []
    for n in range(label.shape[1]):
        sound = np.zeros(int(label[:, n].max()) + 2, dtype=bool)
        sound[label[~is_thin & kept, n]] = True
        sound[NOBODY] = True
        faces = np.flatnonzero(is_thin & ~sound[label[:, n]])
        faces = faces[np.lexsort((faces, -area[faces]))]
        found.append(faces[np.unique(label[faces, n], return_index=True)[1]])
    return np.unique(np.concatenate(found))


class _Faces(NamedTuple):
    """Faces as growing needs them, the outside the last of them.

    The halves (edge times two, plus the side) of the edges around face f are ``halves[start[f]:start[f + 1]]``; ``face`` says whose a half
    is. ``length`` and ``on_line`` are by edge.
    """

    face: Integers
    start: Integers
    halves: Integers
    length: Floats
    on_line: Floats
    area: Floats
    label: Integers
    kept: NDArray[np.bool_]
    weights: Floats


@njit(cache=True)
def _grown(faces: _Faces, is_thin: NDArray[np.bool_]) -> Integers:
    """Return the sound face that each thin face goes to: sound faces grow by the thin ones bound to them most, best first."""
    count = len(faces.area)
    into = np.where(is_thin, -1, np.arange(count))
    queue = [(0.0, 0.0, -1, -1)]
    queue.pop()
    for f in range(count):
        if is_thin[f]:
            _offer(queue, f, faces, into)
    order = np.argsort(-faces.area, kind="mergesort")
    for seed in np.append(order, -1):
        while len(queue) > 0:
            _, _, f, target = heapq.heappop(queue)
            if into[f] < 0:
                into[f] = target
                _offer_beside(queue, f, faces, into)
        # thin land with no sound land beside it: its largest face is as sound as any
        if seed >= 0 and into[seed] < 0:
            into[seed] = seed
            _offer_beside(queue, seed, faces, into)
    return into


@njit(cache=True)
def _offer_beside(queue: list, f: int, faces: _Faces, into: Integers) -> None:
    """Put the thin faces beside a grown one in the queue."""
    for k in range(faces.start[f], faces.start[f + 1]):
        g = faces.face[faces.halves[k] ^ 1]
        if into[g] < 0:
            _offer(queue, g, faces, into)


@njit(cache=True)
def _offer(queue: list, f: int, faces: _Faces, into: Integers) -> None:
    """Put a thin face in the queue with the grown face that is bound to it most, if there is one."""
    face, halves, label = faces.face, faces.halves, faces.label
    first, after = faces.start[f], faces.start[f + 1]
    best, target = 0.0, -1
    for k in range(first, after):
        g = face[halves[k] ^ 1]
        if not faces.kept[g] or into[g] < 0:
            continue
        root = into[g]
        shared, held = 0.0, 0.0
        is_first = True
        for m in range(first, after):
            other = face[halves[m] ^ 1]
            if into[other] != root:
                continue
            if m < k:
                is_first = False
                break
            edge = halves[m] // 2
            shared += faces.length[edge]
            held += faces.length[edge] * faces.on_line[edge]
        if not is_first:
            continue
        cost = 0.1 + held / shared
        for n in range(len(faces.weights)):
            if label[f, n] != label[root, n]:
                cost += faces.weights[n]
        score = shared / cost
        if score > best or (score == best and root < target):
            best, target = score, root
    if target >= 0:
        heapq.heappush(queue, (-best, faces.area[f], f, target))


def _overlay_of(
    nets: tuple[Net, ...],
    planar: PlanarMap,
    label: Integers,
    owners: list[tuple[Integers, Integers, Integers]],
    kept: NDArray[np.bool_],
    into: Integers,
) -> Overlay:
    """Return the overlay of faces, once it is known which goes where."""
    stays = kept & (into < planar.faces)
    final = np.vstack([label, np.full((1, len(nets)), NOBODY)])[into]
    claims = _claims(owners, into)
    part = planar.connected(np.where(stays, _alike(final, claims, into), -1))
    known = np.flatnonzero(part >= 0)
    representative = known[np.unique(part[known], return_index=True)[1]]
    part_of_root = np.full(planar.faces, -1, dtype=np.int64)
    part_of_root[into[known]] = part[known]
    double = np.column_stack([part_of_root[claims[:, 0]], claims[:, 1:]])
    double = np.unique(double[double[:, 0] >= 0], axis=0)
    double = double[np.lexsort((_ranks(nets)[double[:, 1], double[:, 2]], double[:, 1], double[:, 0]))]
    area = planar.area_m2
    return Overlay(
        nets=nets,
        geometry=planar.polygons(part),
        area_m2=np.bincount(part[known], area[known], len(representative)).astype(float),
        owner=final[representative],
        double=DoubleClaims(double[:, 0], double[:, 1], double[:, 2]),
        moved=_moved(label[kept], final[kept], area[kept]),
        faces=int(kept.sum()),
    )


def _ranks(nets: tuple[Net, ...]) -> Integers:
    """Return the place of each grid in its net by code. Shape: (nets, most grids of any)."""
    ranks = np.zeros((len(nets), max(len(net) for net in nets)), dtype=np.int64)
    for n, net in enumerate(nets):
        ranks[n, np.argsort(net.code.astype(str), kind="stable")] = np.arange(len(net))
    return ranks


def _claims(owners: list[tuple[Integers, Integers, Integers]], into: Integers) -> Integers:
    """Return the further owners of the faces that stay: face, net, row, in order. Shape: (n, 3)."""
    every = np.concatenate(
        [np.column_stack([point, np.full(len(point), n), row]) for n, (_, point, row) in enumerate(owners)]
    )
    every = every[into[every[:, 0]] == every[:, 0]]
    return every[np.lexsort(every.T[::-1])]


def _alike(final: Integers, claims: Integers, into: Integers) -> Integers:
    """Return a number of each face, the same for faces with the same owners, further ones too."""
    # the further owners of a face as one number, 0 for none
    further = np.zeros(len(final) + 1, dtype=np.int64)
    if len(claims):
        starts = np.flatnonzero(np.append(True, claims[1:, 0] != claims[:-1, 0]))
        sets: dict[bytes, int] = {}
        for a, b in itertools.pairwise([*starts, len(claims)]):
            further[claims[a, 0]] = sets.setdefault(claims[a:b, 1:].tobytes(), len(sets) + 1)
    columns = np.column_stack([final, further[into]])
    order = np.lexsort(columns.T)
    changes = np.ones(len(order), dtype=bool)
    changes[1:] = (columns[order[1:]] != columns[order[:-1]]).any(axis=1)
    group = np.empty(len(order), dtype=np.int64)
    group[order] = np.cumsum(changes) - 1
    return group


def _moved(before: Integers, after: Integers, area: Floats) -> MovedLand:
    tables = []
    for n in range(before.shape[1]):
        changed = before[:, n] != after[:, n]
        pairs = np.column_stack([before[changed, n], after[changed, n]])
        known, inverse = np.unique(pairs, axis=0, return_inverse=True)
        sums = np.bincount(inverse.ravel(), area[changed], len(known)) if len(known) else np.zeros(0)
        tables.append((np.full(len(known), n, dtype=np.int64), known[:, 0], known[:, 1], sums))
    net, from_row, to_row, area_m2 = (np.concatenate(column) for column in zip(*tables, strict=True))
    return MovedLand(net, from_row, to_row, area_m2)
