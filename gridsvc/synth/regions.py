"""Regions: blocks grouped into a given number of connected areas of given shares, with borders on main streets.

A METIS k-way partition of the blocks' adjacency graph gives the start; repair makes every region connected and large
enough; small moves even the weights out. Deterministic for a seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pymetis
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from gridsvc.errors import PartitionError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_EVENING_ROUNDS = 6
_ATTEMPTS = 8
_BLOCKS_FOR_METIS = 4  # with fewer blocks per region METIS leaves regions empty (and says so on standard output)
_METIS_SCALE = 10_000


@dataclass(frozen=True, slots=True)
class BlockGraph:
    """Blocks as nodes, shared borders as links.

    Parameters
    ----------
    weight
        Shape (n,). What is to be shared out evenly, such as the area one can build on; zero is allowed.
    xy
        Shape (n, 2). A place in each block. Unit: m.
    link_a, link_b
        Shape (m,). Blocks of each link.
    link_cost
        Shape (m,). What it costs to run a border between the two; low along main streets.
    """

    weight: Floats
    xy: Floats
    link_a: Ints
    link_b: Ints
    link_cost: Floats

    def part(self, members: Ints) -> BlockGraph:
        """Return the graph of some blocks only, numbered as in ``members``."""
        place = np.full(len(self.weight), -1, dtype=np.int64)
        place[members] = np.arange(len(members))
        keep = (place[self.link_a] >= 0) & (place[self.link_b] >= 0)
        return BlockGraph(
            self.weight[members],
            self.xy[members],
            place[self.link_a[keep]],
            place[self.link_b[keep]],
            self.link_cost[keep],
        )

    def connected(self) -> BlockGraph:
        """Return the graph with cheap-to-cut links between its islands, nearest ones first."""
        _, label = self._components()
        if label.max(initial=0) == 0:
            return self
        extra = _island_links(self.xy, label)
        return BlockGraph(
            self.weight,
            self.xy,
            np.concatenate([self.link_a, extra[:, 0]]),
            np.concatenate([self.link_b, extra[:, 1]]),
            np.concatenate([self.link_cost, np.full(len(extra), 1e-3)]),
        )

    def _components(self) -> tuple[int, Ints]:
        return connected_components(_adjacency(self), directed=False)

    def neighbours(self) -> list[dict[int, float]]:
        """Return, per block, its neighbours and the cost of a border to each."""
        found: list[dict[int, float]] = [{} for _ in self.weight]
        for a, b, cost in zip(self.link_a.tolist(), self.link_b.tolist(), self.link_cost.tolist(), strict=True):
            found[a][b] = found[a].get(b, 0.0) + cost
            found[b][a] = found[b].get(a, 0.0) + cost
        return found


def _adjacency(graph: BlockGraph) -> coo_array:
    n = len(graph.weight)
    return coo_array((np.ones(len(graph.link_a)), (graph.link_a, graph.link_b)), shape=(n, n)).tocsr()


def _island_links(xy: Floats, label: Ints) -> Ints:
    """Return one link per island that joins all islands, by a spanning tree over nearest pairs."""
    count = int(label.max()) + 1
    members = [np.flatnonzero(label == k) for k in range(count)]
    gap = np.zeros((count, count))
    pair: dict[tuple[int, int], tuple[int, int]] = {}
    for i in range(count):
        tree = cKDTree(xy[members[i]])
        for j in range(i + 1, count):
            distance, nearest = tree.query(xy[members[j]])
            best = int(np.argmin(distance))
            gap[i, j] = distance[best] + 1e-6
            pair[i, j] = (int(members[i][nearest[best]]), int(members[j][best]))
    tree = minimum_spanning_tree(gap).tocoo()
    return np.array(
        sorted(pair[int(i), int(j)] for i, j in zip(tree.row, tree.col, strict=True)), dtype=np.int64
    ).reshape(-1, 2)


def grow_regions(graph: BlockGraph, shares: Floats, *, blocks_needed: Ints | None = None, seed: int = 0) -> Ints:
    """Return the region, 0..k-1, of every block.

    Parameters
    ----------
    shares
        Shape (k,). The part of the total weight each region should get; need not sum to 1.
    blocks_needed
        Shape (k,). The smallest number of blocks of each region, default 1 each.

    Returns
    -------
    Region of each block. Every region is connected (through the links between islands where there are islands) and has
    at least the blocks it needs.

    Raises
    ------
    PartitionError
        When there are fewer blocks than needed in all, or no grouping is found.
    """
    shares = np.asarray(shares, dtype=float) / np.sum(shares)
    needed = (
        np.ones(len(shares), dtype=np.int64) if blocks_needed is None else np.asarray(blocks_needed, dtype=np.int64)
    )
    if len(graph.weight) < needed.sum():
        raise PartitionError(
            f"{len(graph.weight)} blocks cannot make regions of {int(needed.sum())} blocks in all.",
            hint="Give more streets, a larger boundary, or fewer divisions.",
        )
    if len(shares) == 1:
        return np.zeros(len(graph.weight), dtype=np.int64)
    graph = graph.connected()
    near = graph.neighbours()
    for attempt in range(_ATTEMPTS):
        is_sparse = len(graph.weight) < _BLOCKS_FOR_METIS * len(shares)
        region = (
            _grown(graph, near, shares, seed + attempt)
            if is_sparse or attempt % 2
            else _metis(graph, near, shares, seed + attempt)
        )
        _reconnect(region, graph.weight, near, len(shares))
        if _fill_short(region, graph, near, needed):
            _even_out(region, graph.weight, near, shares, needed)
            return region
    raise PartitionError(
        f"{len(graph.weight)} blocks could not be grouped into {len(shares)} connected regions of at least"
        f" {int(needed.min())} to {int(needed.max())} blocks.",
        hint="Give more streets or fewer divisions.",
    )


def _grown(graph: BlockGraph, near: list[dict[int, float]], shares: Floats, seed: int) -> Ints:
    """Return regions grown from seeds that lie far apart; the region furthest behind its share takes the next block."""
    rng = np.random.default_rng([seed, 5])
    count = len(shares)
    first = int(rng.integers(len(graph.weight)))
    starts = [first]
    apart = np.hypot(*(graph.xy - graph.xy[first]).T)
    while len(starts) < count:
        apart[starts] = -1.0
        starts.append(int(np.argmax(apart)))
        apart = np.minimum(apart, np.hypot(*(graph.xy - graph.xy[starts[-1]]).T))
    region = np.full(len(graph.weight), -1, dtype=np.int64)
    region[starts] = np.arange(count)
    # an empty block still counts for something, so that no region swallows all of them
    size = graph.weight + max(float(graph.weight.mean()), 1e-9) * 0.05
    held = size[starts] / np.maximum(shares, 1e-9)
    fringe = [dict(near[start]) for start in starts]
    for _ in range(len(graph.weight) - count):
        open_regions = [k for k in range(count) if any(region[block] < 0 for block in fringe[k])]
        k = min(open_regions, key=lambda r: (held[r], r))
        free = [block for block in fringe[k] if region[block] < 0]
        block = max(free, key=lambda b: (sum(c for o, c in near[b].items() if region[o] == k), -b))
        region[block] = k
        held[k] += size[block] / max(shares[k], 1e-9)
        fringe[k].update(near[block])
    return region


def _metis(graph: BlockGraph, near: list[dict[int, float]], shares: Floats, seed: int) -> Ints:
    order = [sorted(links) for links in near]
    top = max(float(graph.link_cost.max(initial=1.0)), 1e-9)
    xadj = np.concatenate([[0], np.cumsum([len(links) for links in order])])
    adjncy = [other for links in order for other in links]
    eweights = [max(1, round(1000 * near[i][j] / top)) for i, links in enumerate(order) for j in links]
    total = max(float(graph.weight.sum()), 1e-9)
    vweights = [1 + round(_METIS_SCALE * len(shares) * w / total) for w in graph.weight.tolist()]
    options = pymetis.Options(seed=seed % 2**31, contig=1, ufactor=60)
    parts = pymetis.part_graph(
        len(shares),
        pymetis.CSRAdjacency(xadj.tolist(), adjncy),
        vweights=vweights,
        eweights=eweights,
        tpwgts=shares.tolist(),
        recursive=False,
        options=options,
    )
    return np.asarray(parts[1], dtype=np.int64)


def _pieces(members: list[int], near: list[dict[int, float]]) -> list[list[int]]:
    """Return the connected pieces of a set of blocks."""
    left, pieces = set(members), []
    for start in members:
        if start not in left:
            continue
        left.discard(start)
        piece, todo = [start], [start]
        while todo:
            for other in near[todo.pop()]:
                if other in left:
                    left.discard(other)
                    piece.append(other)
                    todo.append(other)
        pieces.append(sorted(piece))
    return pieces


def _reconnect(region: Ints, weight: Floats, near: list[dict[int, float]], count: int) -> None:
    """Give every piece but the heaviest of a region to the neighbour region with most border."""
    for _ in range(20):
        moved = False
        for k in range(count):
            pieces = _pieces(np.flatnonzero(region == k).tolist(), near)
            pieces.sort(key=lambda piece: (-sum(weight[b] for b in piece), -len(piece), piece[0]))
            for piece in pieces[1:]:
                region[piece] = _best_neighbour(piece, region, near, k)
                moved = True
        if not moved:
            return


def _best_neighbour(piece: list[int], region: Ints, near: list[dict[int, float]], own: int) -> int:
    border: dict[int, float] = {}
    for block in piece:
        for other, cost in near[block].items():
            if region[other] != own:
                border[int(region[other])] = border.get(int(region[other]), 0.0) + cost
    return min(border, key=lambda k: (-border[k], k))


def _fill_short(region: Ints, graph: BlockGraph, near: list[dict[int, float]], needed: Ints) -> bool:
    """Give regions with too few blocks more, from neighbours or through them; return whether all have enough."""
    for _ in range(10 * len(region)):
        held = np.bincount(region, minlength=len(needed))
        short = np.flatnonzero(held < needed)
        if len(short) == 0:
            return True
        k = int(short[0])
        moved = (
            _split_off(region, near, k, held - needed)
            if held[k] == 0
            else _take_towards(region, near, k, held - needed)
        )
        if not moved:
            return False
    return False


def _split_off(region: Ints, near: list[dict[int, float]], empty: int, spare: Ints) -> bool:
    """Start an empty region with one block of the region with most to spare, leaving that one connected."""
    for donor in np.argsort(-spare, kind="stable").tolist():
        members = np.flatnonzero(region == donor).tolist()
        for block in members if len(members) > 1 else []:
            if len(_pieces([m for m in members if m != block], near)) == 1:
                region[block] = empty
                return True
    return False


def _take_towards(region: Ints, near: list[dict[int, float]], short: int, spare: Ints) -> bool:
    """Move one block towards region ``short`` along the shortest chain of regions that starts at one with spare blocks."""
    links: dict[int, set[int]] = {}
    for block, others in enumerate(near):
        for other in others:
            if region[block] != region[other]:
                links.setdefault(int(region[block]), set()).add(int(region[other]))
    back: dict[int, int] = {short: -1}
    todo = [short]
    for k in todo:
        if spare[k] > 0 and k != short and _hand_over(region, near, k, back[k]):
            return True
        for other in sorted(links.get(k, ())):
            if other not in back:
                back[other] = k
                todo.append(other)
    return False


def _hand_over(region: Ints, near: list[dict[int, float]], donor: int, taker: int) -> bool:
    """Move one block from ``donor`` to its neighbour region ``taker``, keeping the donor connected."""
    members = np.flatnonzero(region == donor).tolist()
    for block in members:
        if any(region[other] == taker for other in near[block]):
            rest = [m for m in members if m != block]
            if rest and len(_pieces(rest, near)) == 1:
                region[block] = taker
                return True
    return False


def _even_out(region: Ints, weight: Floats, near: list[dict[int, float]], shares: Floats, needed: Ints) -> None:
    """Move blocks on borders from heavier to lighter regions while that lessens the squared relative misfit."""
    target = np.maximum(shares * weight.sum(), 1e-9)
    held = np.bincount(region, weights=weight, minlength=len(shares)).astype(np.float64)
    count = np.bincount(region, minlength=len(shares))
    for _ in range(_EVENING_ROUNDS):
        moved = False
        for block in range(len(weight)):
            own = int(region[block])
            others = sorted({int(region[o]) for o in near[block]} - {own})
            if not others or count[own] <= needed[own] or weight[block] == 0:
                continue
            gains = [_gain(held, target, weight[block], own, other) for other in others]
            best = int(np.argmax(gains))
            members = np.flatnonzero(region == own)
            if gains[best] > 1e-3 and len(_pieces([m for m in members.tolist() if m != block], near)) == 1:
                other = others[best]
                region[block] = other
                held[own] -= weight[block]
                held[other] += weight[block]
                count[own] -= 1
                count[other] += 1
                moved = True
        if not moved:
            return


def _gain(held: Floats, target: Floats, weight: float, own: int, other: int) -> float:
    before = (held[own] / target[own] - 1) ** 2 + (held[other] / target[other] - 1) ** 2
    after = ((held[own] - weight) / target[own] - 1) ** 2 + ((held[other] + weight) / target[other] - 1) ** 2
    return float(before - after)
