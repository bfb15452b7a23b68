"""Groups of blocks on which networks agree: pairs of blocks that most networks hold together are together, others are apart.

Every pair of blocks is a vote of every network: together, apart, half a vote for apart where it holds one of them only, nothing where it holds
neither. The vote counts the product of what both weigh. Groups hang together. Best pairs are joined first, then single blocks change sides
as long as that helps.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gridsvc.geo.planar_map import numbered_by_first
from gridsvc.networks.overlay import NOBODY
from gridsvc.networks.unified_ground import UnifiedGround

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_ROUNDS = 12
# pools of more blocks than this are not cut anew; a pool is grown from about so many of its blocks
_MOST_POOLED, _SEEDS = 400, 16
# a network has four votes; two more for the reference break ties and outvote no two others. Land it leaves out is half a vote.
_VOTE, _REFERENCE_VOTE, _HALF = 4, 6, 2


class Votes(NamedTuple):
    """Blocks and what networks say of them, flat.

    Pieces of block b are ``start[b]`` to ``start[b + 1]`` of ``label`` (a number of the grid in each network, unique over all; -1 for none; shape
    (pieces, networks)) and ``weight``. Neighbours it may be joined with are ``near[near_start[b]:near_start[b + 1]]``, common border
    ``near_m``. ``vote`` is what each network counts; ``homes`` the households of each block.
    """

    start: Integers
    label: Integers
    weight: Integers
    near_start: Integers
    near: Integers
    near_m: Floats
    vote: Integers
    homes: Floats
    labels: int


def votes_of(ground: UnifiedGround) -> Votes:
    """Return the votes of a ground."""
    order = np.argsort(ground.block, kind="stable")
    offset = np.concatenate([[0], np.cumsum(ground.sizes())]).astype(np.int64)
    label = np.where(ground.owner == NOBODY, -1, ground.owner + offset[:-1])
    one = np.concatenate([ground.first, ground.second])
    other = np.concatenate([ground.second, ground.first])
    by_block = np.lexsort((other, one))
    vote = np.full(len(ground.voters), _VOTE, dtype=np.int64)
    vote[ground.reference] = _REFERENCE_VOTE
    homes = np.zeros(len(ground.block)) if ground.households is None else ground.households
    return Votes(
        start=np.searchsorted(ground.block[order], np.arange(ground.blocks + 1)).astype(np.int64),
        label=np.ascontiguousarray(label[order]),
        weight=ground.weight[order],
        near_start=np.searchsorted(one[by_block], np.arange(ground.blocks + 1)).astype(np.int64),
        near=other[by_block],
        near_m=np.concatenate([ground.border_m, ground.border_m])[by_block],
        vote=vote,
        homes=np.bincount(ground.block, homes, ground.blocks).astype(float),
        labels=int(offset[-1]),
    )


def agreed_groups(votes: Votes, group: Integers | None = None) -> Integers:
    """Return groups of blocks on which networks agree, from single blocks or from groups given: a local optimum of `agreement`.

    Numbered by their first block. Where most networks draw the same grid and each grid hangs together, it is a group.
    """
    groups = np.arange(len(votes.homes)) if group is None else group
    for _ in range(_ROUNDS):
        before = groups
        groups = joined(votes, groups)
        groups = moved(votes, groups)
        if (numbered_by_first(groups) == numbered_by_first(before)).all():
            break
    return numbered_by_first(groups)


def agreement(votes: Votes, group: Integers) -> int:
    """Return what groups are worth: votes for all pairs that are together, less votes against, twice; counted in weights squared."""
    of_piece = np.repeat(group, np.diff(votes.start))
    everything = np.bincount(of_piece, votes.weight).astype(np.int64)
    worth = 0
    for n, vote in enumerate(votes.vote.tolist()):
        held = votes.label[:, n] >= 0
        key = of_piece[held] * votes.labels + votes.label[held, n]
        same = np.bincount(np.unique(key, return_inverse=True)[1].ravel(), votes.weight[held])
        total = np.bincount(of_piece[held], votes.weight[held], len(everything))
        # every pair comes twice; pairs of a block with itself are the same in every grouping
        worth += vote * (2 * sum(int(x) ** 2 for x in same) - sum(int(x) ** 2 for x in total))
        silent = zip(total.tolist(), everything.tolist(), strict=True)
        worth -= vote // _HALF * 2 * sum(int(x) * (int(w) - int(x)) for x, w in silent)
    return worth


def joined(votes: Votes, group: Integers, *, cap: float = np.inf, below: float = -1.0) -> Integers:
    """Return groups joined with neighbours, the pair with the highest share of votes first.

    Parameters
    ----------
    cap
        No group gets more households than this by joining.
    below
        Groups with fewer households are joined even where most networks keep them apart; others only where most hold them together.
    """
    return _joined(votes, numbered_by_first(group), cap, below)


def moved(votes: Votes, group: Integers, *, low: float = 0.0, high: float = np.inf) -> Integers:
    """Return groups after single blocks changed sides, or left for themselves, as long as that helps; groups stay in one piece.

    What helps is fewer groups, and households, outside of ``low`` to ``high``, then more agreement.
    """
    return _moved(votes, numbered_by_first(group), low, high, _ROUNDS)


def recut(votes: Votes, group: Integers, *, low: float, high: float) -> Integers:
    """Return groups with those of too few or too many households pooled with a neighbour and cut anew, where that helps.

    Both parts hang together. Of the cuts that leave fewest households outside of ``low`` to ``high`` the one that parts least of what networks
    hold together is taken.
    """
    return _recut(votes, numbered_by_first(group), low, high)


def absorbed(votes: Votes, group: Integers, is_weak: NDArray[np.bool_]) -> Integers:
    """Return groups with the weak ones, lightest first, joined to the neighbour most networks hold them together with.

    Of equal neighbours it is the one with the longest common border. A weak group without neighbours stays.
    """
    return _absorbed(votes, group, is_weak)


def standing(votes: Votes, group: Integers) -> NDArray[np.bool_]:
    """Return which groups hold more than half of some network's grid, by weight: the others are crumbs of all networks."""
    of_piece = np.repeat(group, np.diff(votes.start))
    answer = np.zeros(int(group.max()) + 1, dtype=bool)
    for n in range(votes.label.shape[1]):
        held = votes.label[:, n] >= 0
        label, weight = votes.label[held, n], votes.weight[held]
        key, which = np.unique(of_piece[held] * votes.labels + label, return_inverse=True)
        shared = np.bincount(which.ravel(), weight, len(key))
        total = np.bincount(label, weight, votes.labels)
        most = 2 * shared > total[key % votes.labels]
        answer[key[most] // votes.labels] = True
    return answer


class _Groups(NamedTuple):
    """Groups as linked lists of blocks. ``size`` 0: the number is free."""

    group: Integers
    head: Integers
    following: Integers
    before: Integers
    size: Integers
    weight: Integers
    homes: Floats


@njit(cache=True)
def _linked(votes: Votes, group: Integers) -> _Groups:
    count = len(group)
    groups = _Groups(
        group.copy(),
        np.full(count, -1, np.int64),
        np.full(count, -1, np.int64),
        np.full(count, -1, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.zeros(count),
    )
    for b in range(count - 1, -1, -1):
        _put(votes, groups, b, group[b])
    return groups


@njit(cache=True)
def _weight(votes: Votes, b: int) -> int:
    total = 0
    for i in range(votes.start[b], votes.start[b + 1]):
        total += votes.weight[i]
    return total


@njit(cache=True)
def _put(votes: Votes, groups: _Groups, b: int, g: int) -> None:
    first = groups.head[g]
    groups.following[b], groups.before[b] = first, -1
    if first >= 0:
        groups.before[first] = b
    groups.head[g] = b
    groups.group[b] = g
    groups.size[g] += 1
    groups.weight[g] += _weight(votes, b)
    groups.homes[g] += votes.homes[b]


@njit(cache=True)
def _take(votes: Votes, groups: _Groups, b: int) -> None:
    g, p, f = groups.group[b], groups.before[b], groups.following[b]
    if p >= 0:
        groups.following[p] = f
    else:
        groups.head[g] = f
    if f >= 0:
        groups.before[f] = p
    groups.size[g] -= 1
    groups.weight[g] -= _weight(votes, b)
    groups.homes[g] -= votes.homes[b]


@njit(cache=True)
def _count_in(votes: Votes, b: int, held: Integers, total: Integers, sign: int) -> None:
    """Add what a block weighs (times ``sign``) to the sums by grid and by network; the last of ``total`` is the sum of all."""
    for i in range(votes.start[b], votes.start[b + 1]):
        total[-1] += sign * votes.weight[i]
        for n in range(len(votes.vote)):
            if votes.label[i, n] >= 0:
                held[votes.label[i, n]] += sign * votes.weight[i]
                total[n] += sign * votes.weight[i]


@njit(cache=True)
def _gain_of_block(votes: Votes, b: int, held: Integers, total: Integers) -> int:
    """Return the votes for putting a block together with the blocks that were counted in."""
    gain = 0
    for i in range(votes.start[b], votes.start[b + 1]):
        for n in range(len(votes.vote)):
            half = votes.vote[n] // _HALF
            if votes.label[i, n] >= 0:
                together = 2 * held[votes.label[i, n]] - total[n]
                gain += votes.weight[i] * (votes.vote[n] * together - half * (total[-1] - total[n]))
            else:
                gain -= votes.weight[i] * half * total[n]
    return gain


@njit(cache=True)
def _gain(votes: Votes, groups: _Groups, g: int, held: Integers, total: Integers) -> int:
    gain = 0
    b = groups.head[g]
    while b >= 0:
        gain += _gain_of_block(votes, b, held, total)
        b = groups.following[b]
    return gain


@njit(cache=True)
def _count_group(votes: Votes, groups: _Groups, g: int, held: Integers, total: Integers, sign: int) -> None:
    b = groups.head[g]
    while b >= 0:
        _count_in(votes, b, held, total, sign)
        b = groups.following[b]


@njit(cache=True)
def _neighbours(votes: Votes, groups: _Groups, g: int, border: Floats) -> list:
    """Return the groups beside a group; their common borders are put in ``border``, which the caller clears."""
    found = [-1]
    found.pop()
    b = groups.head[g]
    while b >= 0:
        for k in range(votes.near_start[b], votes.near_start[b + 1]):
            h = groups.group[votes.near[k]]
            if h != g:
                if border[h] == 0.0:
                    found.append(h)
                border[h] += votes.near_m[k]
        b = groups.following[b]
    return found


@njit(cache=True)
def _joined(votes: Votes, group: Integers, cap: float, below: float) -> Integers:
    count = len(group)
    groups = _linked(votes, group)
    held, total = np.zeros(votes.labels, np.int64), np.zeros(len(votes.vote) + 1, np.int64)
    border = np.zeros(count)
    stamp = np.zeros(count, np.int64)
    queue = [(0.0, 0.0, 0, 0, 0, 0)]
    queue.pop()
    for g in range(count):
        if groups.size[g] > 0:
            _offer(votes, groups, g, cap, below, stamp, held, total, border, queue, True)
    while len(queue) > 0:
        _, _, u, v, of_u, of_v = heapq.heappop(queue)
        if stamp[u] != of_u or stamp[v] != of_v:
            continue
        if groups.size[v] > groups.size[u]:
            u, v = v, u
        b = groups.head[v]
        while b >= 0:
            after = groups.following[b]
            _take(votes, groups, b)
            _put(votes, groups, b, u)
            b = after
        stamp[u] += 1
        stamp[v] = -1
        _offer(votes, groups, u, cap, below, stamp, held, total, border, queue, False)
    return groups.group


@njit(cache=True)
def _offer(
    votes: Votes,
    groups: _Groups,
    g: int,
    cap: float,
    below: float,
    stamp: Integers,
    held: Integers,
    total: Integers,
    border: Floats,
    queue: list,
    is_first: bool,
) -> None:
    """Put the pairs of a group and its neighbours that may be joined in the queue; the first time each pair once."""
    _count_group(votes, groups, g, held, total, 1)
    all_votes = votes.vote.sum()
    for h in _neighbours(votes, groups, g, border):
        is_open = groups.homes[g] + groups.homes[h] <= cap and not (is_first and h < g)
        if is_open:
            gain = _gain(votes, groups, h, held, total)
            if gain > 0 or min(groups.homes[g], groups.homes[h]) < below:
                share = float(gain) / (float(groups.weight[g]) * float(groups.weight[h]) * all_votes)
                u, v = min(g, h), max(g, h)
                heapq.heappush(queue, (-share, -border[h], u, v, stamp[u], stamp[v]))
        border[h] = 0.0
    _count_group(votes, groups, g, held, total, -1)


@njit(cache=True)
def _outside(homes: float, low: float, high: float) -> float:
    """Return how far outside of the bounds a group is, in households; half the width of the bounds more, for being outside at all."""
    if low <= homes <= high:
        return 0.0
    return max(low - homes, homes - high) + 0.5 * (high - low)


@njit(cache=True)
def _stays_whole(votes: Votes, groups: _Groups, b: int, mark: Integers) -> bool:
    """Answer whether the group of a block hangs together without it; ``mark`` is -1 everywhere, and again afterwards."""
    g = groups.group[b]
    first = groups.head[g]
    if first == b:
        first = groups.following[b]
    if first < 0:
        return True
    stack = [first]
    reached = [first]
    mark[first] = b
    while len(stack) > 0:
        c = stack.pop()
        for k in range(votes.near_start[c], votes.near_start[c + 1]):
            d = votes.near[k]
            if d != b and groups.group[d] == g and mark[d] < 0:
                mark[d] = b
                stack.append(d)
                reached.append(d)
    for c in reached:
        mark[c] = -1
    return len(reached) == groups.size[g] - 1


@njit(cache=True)
def _moved(votes: Votes, group: Integers, low: float, high: float, rounds: int) -> Integers:
    count = len(group)
    groups = _linked(votes, group)
    held, total = np.zeros(votes.labels, np.int64), np.zeros(len(votes.vote) + 1, np.int64)
    mark = np.full(count, -1, np.int64)
    free = [-1]
    for g in range(count - 1, -1, -1):
        if groups.size[g] == 0:
            free.append(g)
    for _ in range(rounds):
        changes = 0
        for b in range(count):
            g = groups.group[b]
            to, is_new = _better(votes, groups, b, low, high, held, total)
            if is_new and len(free) == 1:
                continue
            if (to < 0 and not is_new) or not _stays_whole(votes, groups, b, mark):
                continue
            if is_new:
                to = free.pop()
            _take(votes, groups, b)
            _put(votes, groups, b, to)
            if groups.size[g] == 0:
                free.append(g)
            changes += 1
        if changes == 0:
            break
    return groups.group


@njit(cache=True)
def _better(
    votes: Votes, groups: _Groups, b: int, low: float, high: float, held: Integers, total: Integers
) -> tuple[int, bool]:
    """Return the group a block had better be in, -1 for where it is, and whether that is a new one of its own."""
    g = groups.group[b]
    is_inner = True
    for k in range(votes.near_start[b], votes.near_start[b + 1]):
        if groups.group[votes.near[k]] != g:
            is_inner = False
    if is_inner:
        return -1, False
    _count_in(votes, b, held, total, 1)
    own = 0
    c = groups.head[g]
    while c >= 0:
        if c != b:
            own += _gain_of_block(votes, c, held, total)
        c = groups.following[c]
    homes = votes.homes[b]
    is_last = groups.size[g] == 1
    left = 0.0 if is_last else _outside(groups.homes[g] - homes, low, high)
    here = _outside(groups.homes[g], low, high)
    best, is_new = -1, False
    best_outside, best_gain = 0.0, 0
    if not is_last:
        change = left + _outside(homes, low, high) - here
        if change < -1e-9 or (change <= 1e-9 and own < 0):
            is_new, best_outside, best_gain = True, change, -own
    for k in range(votes.near_start[b], votes.near_start[b + 1]):
        h = groups.group[votes.near[k]]
        if h == g:
            continue
        change = left + _outside(groups.homes[h] + homes, low, high) - here - _outside(groups.homes[h], low, high)
        if change > 1e-9:
            continue
        gain = _gain(votes, groups, h, held, total) - own
        if change > -1e-9 and gain <= 0:
            continue
        has_none = best < 0 and not is_new
        if has_none or change < best_outside - 1e-9 or (change < best_outside + 1e-9 and gain > best_gain):
            best, is_new, best_outside, best_gain = h, False, change, gain
    _count_in(votes, b, held, total, -1)
    return best, is_new


@njit(cache=True)
def _absorbed(votes: Votes, group: Integers, is_weak: NDArray[np.bool_]) -> Integers:
    groups = _linked(votes, group)
    held, total = np.zeros(votes.labels, np.int64), np.zeros(len(votes.vote) + 1, np.int64)
    border = np.zeros(len(group))
    weak = np.flatnonzero(is_weak)
    for g in weak[np.argsort(groups.weight[weak], kind="mergesort")]:
        if groups.size[g] == 0:
            continue
        _count_group(votes, groups, g, held, total, 1)
        best, best_share, best_m = -1, 0.0, 0.0
        for h in _neighbours(votes, groups, g, border):
            share = float(_gain(votes, groups, h, held, total)) / float(groups.weight[h])
            if best < 0 or share > best_share or (share == best_share and border[h] > best_m):
                best, best_share, best_m = h, share, border[h]
            border[h] = 0.0
        _count_group(votes, groups, g, held, total, -1)
        if best < 0:
            continue
        b = groups.head[g]
        while b >= 0:
            after = groups.following[b]
            _take(votes, groups, b)
            _put(votes, groups, b, best)
            b = after
    return groups.group


@njit(cache=True)
def _recut(votes: Votes, group: Integers, low: float, high: float) -> Integers:
    count = len(group)
    groups = _linked(votes, group)
    border = np.zeros(count)
    held, total = np.zeros(votes.labels, np.int64), np.zeros(len(votes.vote) + 1, np.int64)
    side = np.zeros(count, np.int64)
    for g in range(count):
        if groups.size[g] == 0 or _outside(groups.homes[g], low, high) == 0.0:
            continue
        best_h = -1
        best_change, best_gain = -1e-9, 0
        best_part = np.empty(0, np.int64)
        neighbours = _neighbours(votes, groups, g, border)
        for h in neighbours:
            border[h] = 0.0
        for h in neighbours:
            before = _outside(groups.homes[g], low, high) + _outside(groups.homes[h], low, high)
            if groups.size[g] + groups.size[h] > _MOST_POOLED:
                continue
            pool = np.empty(groups.size[g] + groups.size[h], np.int64)
            filled = 0
            for one in (g, h):
                b = groups.head[one]
                while b >= 0:
                    pool[filled] = b
                    filled += 1
                    b = groups.following[b]
            pool = np.sort(pool)
            for k in range(0, len(pool), max(1, len(pool) // _SEEDS)):
                outside, gain, part = _grown_part(votes, pool, int(pool[k]), low, high, side, held, total)
                change = outside - before
                if change < best_change - 1e-9 or (best_h >= 0 and change < best_change + 1e-9 and gain < best_gain):
                    best_h, best_change, best_gain, best_part = h, change, gain, part
        if best_h < 0:
            continue
        b = groups.head[g]
        while b >= 0:
            after = groups.following[b]
            _take(votes, groups, b)
            _put(votes, groups, b, best_h)
            b = after
        for c in best_part:
            _take(votes, groups, int(c))
            _put(votes, groups, int(c), g)
    return groups.group


@njit(cache=True)
def _grown_part(
    votes: Votes,
    pool: Integers,
    seed: int,
    low: float,
    high: float,
    side: Integers,
    held: Integers,
    total: Integers,
) -> tuple[float, int, Integers]:
    """Return the best first part of a pool of blocks, grown from a seed: households outside the bounds in both, votes parted, its blocks.

    ``side`` is 0 everywhere, and again afterwards: 1 for the rest, 2 for the part.
    """
    all_homes = 0.0
    for b in pool:
        side[b] = 1
        all_homes += votes.homes[b]
    part = np.empty(len(pool), np.int64)
    best, best_outside, best_gain = 0, np.inf, 0
    homes, size, c = 0.0, 0, seed
    while c >= 0 and size < len(pool) - 1:
        side[c] = 2
        part[size] = c
        size += 1
        homes += votes.homes[c]
        _count_in(votes, c, held, total, 1)
        parted, c, best_share = 0, -1, 0.0
        for b in pool:
            if side[b] != 1:
                continue
            gain = _gain_of_block(votes, b, held, total)
            parted += gain
            share = float(gain) / float(_weight(votes, b))
            is_beside = False
            for k in range(votes.near_start[b], votes.near_start[b + 1]):
                is_beside = is_beside or side[votes.near[k]] == 2
            if is_beside and (c < 0 or share > best_share):
                c, best_share = b, share
        outside = _outside(homes, low, high) + _outside(all_homes - homes, low, high)
        is_better = outside < best_outside - 1e-9 or (outside < best_outside + 1e-9 and parted < best_gain)
        if is_better and _rest_is_whole(votes, pool, side, len(pool) - size):
            best, best_outside, best_gain = size, outside, parted
    for k in range(size):
        _count_in(votes, part[k], held, total, -1)
    for b in pool:
        side[b] = 0
    return best_outside, best_gain, part[:best].copy()


@njit(cache=True)
def _rest_is_whole(votes: Votes, pool: Integers, side: Integers, size: int) -> bool:
    """Answer whether the blocks of side 1 hang together; there are ``size`` of them."""
    stack = [-1]
    stack.pop()
    for b in pool:
        if side[b] == 1:
            stack.append(b)
            break
    reached = [stack[0]]
    side[stack[0]] = 3
    while len(stack) > 0:
        b = stack.pop()
        for k in range(votes.near_start[b], votes.near_start[b + 1]):
            c = votes.near[k]
            if side[c] == 1:
                side[c] = 3
                stack.append(c)
                reached.append(c)
    for b in reached:
        side[b] = 1
    return len(reached) == size
