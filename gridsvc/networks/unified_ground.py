"""What a unified net is made of: atoms bound to blocks that are never cut, what every network says of them, people, and borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gridsvc.errors import GridsvcError
from gridsvc.geo.partitions import SharedEdges, shared_edges
from gridsvc.geo.planar_map import numbered_by_first
from gridsvc.networks.overlay import NOBODY, Overlay

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Geometries = NDArray[np.object_]

LINE_TOLERANCE_M = 8.0
# land and people of all atoms together: so fine that an atom of a city is a few hundred, so coarse that sums of products fit 63 bits
_WEIGHT = 2**27


@dataclass(frozen=True, slots=True)
class Borders:
    """Borders between atoms, one row for each pair that touches along a line. Shape of all: (n,).

    ``is_drawn`` says whether any network has its border there; ``off_lines_m`` how much of it lies off the lines given, None when none were.
    """

    first: Integers
    second: Integers
    length_m: Floats
    is_drawn: NDArray[np.bool_]
    off_lines_m: Floats | None


@dataclass(frozen=True, slots=True)
class UnifiedGround:
    """Atoms as a unified net is made of them.

    Attributes
    ----------
    atoms
        Of all networks, and of what else cuts land (communities, dedicated grids).
    voters
        Positions in ``atoms`` of the networks that are made one.
    reference
        Place among the voters of the network whose codes are kept.
    owner
        Grid of each voter that holds each atom, `NOBODY` for none; land claimed twice is settled. Shape: (atoms, voters).
    block
        Block of each atom; blocks are never cut. Numbered by their first atom.
    dedicated
        Number of the dedicated grid each block is, -1 for none.
    people, households
        Of each atom; households None where nothing is known of them.
    weight
        What each atom counts: half its share of all land, half its share of all people, in whole numbers.
    first, second, border_m
        Pairs of blocks that may be joined (same zone, none dedicated), and the length of their common border.
    borders
        Between atoms.
    """

    atoms: Overlay
    voters: tuple[int, ...]
    reference: int
    owner: Integers
    block: Integers
    dedicated: Integers
    people: Floats
    households: Floats | None
    weight: Integers
    first: Integers
    second: Integers
    border_m: Floats
    borders: Borders

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return len(self.dedicated)

    @property
    def names(self) -> list[str]:
        """Return the names of the networks that are made one, in order."""
        return [self.atoms.nets[n].name for n in self.voters]

    def sizes(self) -> list[int]:
        """Return the number of grids of each network that is made one."""
        return [len(self.atoms.nets[n]) for n in self.voters]


def unified_ground(
    atoms: Overlay,
    *,
    reference: int,
    voters: Sequence[int] | None = None,
    people: ArrayLike | None = None,
    households: ArrayLike | None = None,
    zone: ArrayLike | None = None,
    whole: Sequence[ArrayLike] = (),
    dedicated: ArrayLike | None = None,
    lines: Geometries | None = None,
    line_tolerance_m: float = LINE_TOLERANCE_M,
) -> UnifiedGround:
    """Return the ground of a unified net.

    Parameters
    ----------
    atoms
        Of `overlay`. CRS: projected, metric.
    reference
        Position of the network whose codes are kept.
    voters
        Positions of the networks to be made one; default all.
    people, households
        Of each atom, 0 or more; default nobody, and nothing known. Shape: (atoms,).
    zone
        Number of the community of each atom: no unified grid crosses from one to another.
    whole
        Numbers of things never cut, by atom, -1 for none: unit grids. Several are several arrays.
    dedicated
        Number of the dedicated grid of each atom, -1 for none: each becomes a unified grid as it is.
    lines
        Streets, walls and water that borders should lie on. Unit of ``line_tolerance_m``, how near is on them: m.

    Raises
    ------
    GridsvcError
        When there are no voters, the reference is none of them, or figures are of another number, below 0 or no numbers.
    """
    chosen = tuple(range(len(atoms.nets)) if voters is None else voters)
    if reference not in chosen:
        raise GridsvcError("The reference is none of the networks to be made one.", hint="Name one of them.")
    count = len(atoms.area_m2)
    counted = np.zeros(count) if people is None else _figures(people, count, "people")
    homes = None if households is None else _figures(households, count, "households")
    edges = shared_edges(atoms.geometry)
    owner = settled_owners(atoms, edges)
    reserved = _numbers(dedicated, count, -1)
    block = _blocks(count, [*(_numbers(each, count, -1) for each in whole), reserved])
    of_block = np.unique(block, return_index=True)[1]
    reserved, area = reserved[of_block], _numbers(zone, count, 0)[of_block]
    own = owner[:, chosen]
    borders = _borders(edges, own, lines, line_tolerance_m)
    first, second, border_m = _joinable(borders, block, reserved, area)
    return UnifiedGround(
        atoms=atoms,
        voters=chosen,
        reference=chosen.index(reference),
        owner=own,
        block=block,
        dedicated=reserved,
        people=counted,
        households=homes,
        weight=_weights(atoms.area_m2, counted if counted.any() or homes is None else homes),
        first=first,
        second=second,
        border_m=border_m,
        borders=borders,
    )


def _figures(values: ArrayLike, count: int, what: str) -> Floats:
    figures = np.asarray(values, dtype=float)
    if figures.shape != (count,) or not (np.isfinite(figures) & (figures >= 0)).all():
        raise GridsvcError(f"The {what} are {count} numbers of 0 or more, one for each atom.")
    return figures


def _weights(area_m2: Floats, people: Floats) -> Integers:
    share = area_m2 / area_m2.sum() if len(area_m2) else area_m2
    if people.any():
        share = 0.5 * share + 0.5 * people / people.sum()
    return np.maximum(1, np.rint(share * _WEIGHT)).astype(np.int64)


def settled_owners(atoms: Overlay, edges: SharedEdges | None = None) -> Integers:
    """Return the owner of each atom in every net, land that several grids of a net claim given to one of them.

    It goes to the grid that would have no land else (the smaller one), then to the one with the longest border between the claimed
    land and land it holds alone, then to the smaller code. Shape: (atoms, nets).
    """
    owner = atoms.owner.copy()
    if not len(atoms.double.atom):
        return owner
    shared = shared_edges(atoms.geometry) if edges is None else edges
    pairs = np.column_stack([shared.first, shared.second])
    length = shared.length_m
    touching: dict[int, list[tuple[int, float]]] = {}
    claimed = np.zeros(len(owner), dtype=bool)
    claimed[atoms.double.atom] = True
    near = np.flatnonzero(claimed[pairs].any(axis=1))
    for (a, b), m in zip(pairs[near].tolist(), length[near].tolist(), strict=True):
        touching.setdefault(a, []).append((b, m))
        touching.setdefault(b, []).append((a, m))
    claims: dict[tuple[int, int], list[int]] = {}
    for atom, net, row in zip(
        atoms.double.atom.tolist(), atoms.double.net.tolist(), atoms.double.row.tolist(), strict=True
    ):
        claims.setdefault((atom, net), [int(atoms.owner[atom, net])]).append(row)
    alone = [np.zeros(len(net), dtype=bool) for net in atoms.nets]
    for n in range(len(atoms.nets)):
        undisputed = np.ones(len(owner), dtype=bool)
        undisputed[[atom for atom, net in claims if net == n]] = False
        alone[n][owner[undisputed & (owner[:, n] != NOBODY), n]] = True
    for (atom, net), rows in claims.items():
        owner[atom, net] = min(rows, key=lambda row: _claim_rank(atoms, claims, touching, alone, atom, net, row))
    return owner


def _claim_rank(
    atoms: Overlay,
    claims: dict[tuple[int, int], list[int]],
    touching: dict[int, list[tuple[int, float]]],
    alone: list[NDArray[np.bool_]],
    atom: int,
    net: int,
    row: int,
) -> tuple[bool, float, float, str]:
    """Return the place of a grid among those that claim an atom; the lowest gets it."""
    has_land = bool(alone[net][row])
    border_m = sum(
        m for other, m in touching.get(atom, ()) if (other, net) not in claims and atoms.owner[other, net] == row
    )
    size_m2 = 0.0 if has_land else float(shapely.area(atoms.nets[net].geometry[row]))
    return has_land, size_m2, -border_m, str(atoms.nets[net].code[row])


def _numbers(values: ArrayLike | None, count: int, default: int) -> Integers:
    return np.full(count, default, dtype=np.int64) if values is None else np.asarray(values, dtype=np.int64)


def _blocks(count: int, whole: Sequence[Integers]) -> Integers:
    """Return the block of each atom: atoms of one thing that is never cut are one."""
    one, other = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for number in whole:
        held = np.flatnonzero(number >= 0)
        _, start, which = np.unique(number[held], return_index=True, return_inverse=True)
        one.append(held)
        other.append(held[start][which.ravel()])
    a, b = np.concatenate(one), np.concatenate(other)
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(count, count))
    return numbered_by_first(connected_components(graph, directed=False)[1].astype(np.int64))


def _borders(edges: SharedEdges, owner: Integers, lines: Geometries | None, line_tolerance_m: float) -> Borders:
    key, which = np.unique(np.column_stack([edges.first, edges.second]), axis=0, return_inverse=True)
    which = which.ravel()
    length = edges.length_m
    off = None
    if lines is not None:
        middle = shapely.points(0.5 * (edges.ends[:, :2] + edges.ends[:, 2:]))
        is_off = np.ones(len(middle), dtype=bool)
        if len(lines):
            is_off[shapely.STRtree(lines).query(middle, predicate="dwithin", distance=line_tolerance_m)[0]] = False
        off = np.bincount(which, length * is_off, len(key)).astype(float)
    first, second = key[:, 0], key[:, 1]
    return Borders(
        first=first,
        second=second,
        length_m=np.bincount(which, length, len(key)).astype(float),
        is_drawn=(owner[first] != owner[second]).any(axis=1),
        off_lines_m=off,
    )


def _joinable(
    borders: Borders, block: Integers, dedicated: Integers, zone: Integers
) -> tuple[Integers, Integers, Floats]:
    ends = np.sort(np.column_stack([block[borders.first], block[borders.second]]), axis=1)
    a, b = ends.T
    open_to_all = (a != b) & (dedicated[a] < 0) & (dedicated[b] < 0) & (zone[a] == zone[b])
    pairs, which = np.unique(ends[open_to_all], axis=0, return_inverse=True)
    length = np.bincount(which.ravel(), borders.length_m[open_to_all], len(pairs)).astype(float)
    return pairs[:, 0], pairs[:, 1], length
