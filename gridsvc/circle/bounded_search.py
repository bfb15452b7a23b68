"""Searches outward from a few points, bounded by the longest walk: they touch what they reach, whatever the city's size.

Nodes wait in buckets of about a second each, at most once (a doubly linked list through arrays), and may come back while
they get quicker; whole ticks make the answer the same for every order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from gridsvc.circle.doors import Doors, direct_ticks
from gridsvc.circle.hierarchy import OUT, Links
from gridsvc.circle.walk_network import Flags, Ints, Numbers

_NOBODY = 2**31 - 1  # as in the blocks of sweeps
_AWAY = -2  # a node that does not wait
_BUCKET_BITS = 10


class Space(NamedTuple):
    """Room for one search at a time over n nodes: as :func:`search_space` makes it, and as every search leaves it.

    ``reach`` holds ``OUT`` for every node and ``noted`` False; ``later`` and ``earlier`` are the lists of the buckets, whose first
    nodes are in ``head``; ``touched`` and ``came`` are free. A search leaves in ``came`` the link that led to each node, -1 from a
    door.
    """

    reach: Numbers
    came: Ints
    noted: Flags
    later: Numbers
    earlier: Numbers
    head: Numbers
    touched: Numbers


@njit(cache=True, nogil=True)
def search_space(nodes: int) -> Space:
    """Return room for searches over so many nodes."""
    return Space(
        np.full(nodes, OUT, np.int32),
        np.empty(nodes, np.int64),
        np.zeros(nodes, np.bool_),
        np.empty(nodes, np.int32),
        np.full(nodes, _AWAY, np.int32),
        np.full(1 << _BUCKET_BITS, -1, np.int32),
        np.empty(nodes, np.int32),
    )


@njit(cache=True, nogil=True)
def _bucket_shift(limit: int) -> int:
    """Return by how many bits ticks are shifted to give their bucket."""
    shift = 0
    while limit >> shift >= 1 << _BUCKET_BITS:
        shift += 1
    return shift


@njit(cache=True, nogil=True)
def _wait(space: Space, x: int, bucket: int) -> None:
    """Let node x wait in a bucket."""
    first = space.head[bucket]
    space.later[x], space.earlier[x] = first, -1
    if first >= 0:
        space.earlier[first] = x
    space.head[bucket] = x


@njit(cache=True, nogil=True)
def _leave(space: Space, x: int, bucket: int) -> None:
    """Take node x out of the bucket it waits in."""
    before, behind = space.earlier[x], space.later[x]
    if before >= 0:
        space.later[before] = behind
    else:
        space.head[bucket] = behind
    if behind >= 0:
        space.earlier[behind] = before
    space.earlier[x] = _AWAY


@njit(cache=True, nogil=True)
def _start(space: Space, x: int, ticks: int, limit: int, shift: int, count: int) -> int:
    """Begin a search at a node, too; return the number of nodes touched."""
    if ticks > limit or ticks >= space.reach[x]:
        return count
    if space.reach[x] == OUT:
        space.touched[count] = x
        count += 1
    if space.earlier[x] != _AWAY:
        _leave(space, x, space.reach[x] >> shift)
    space.reach[x], space.came[x] = ticks, -1
    _wait(space, x, ticks >> shift)
    return count


@njit(cache=True, nogil=True)
def reach_from(links: Links, doors: Doors, number: int, limit: int, space: Space) -> int:
    """Find the ticks from a door to every node within the limit: ``space.reach`` of the nodes in ``space.touched[:count]``.

    Returns the count. The caller gives the space back with :func:`clear_reach`.
    """
    shift = _bucket_shift(limit)
    count = _start(space, doors.a[number], doors.to_a[number], limit, shift, 0)
    count = _start(space, doors.b[number], doors.to_b[number], limit, shift, count)
    return _reach_on(links, limit, shift, space, count)


@njit(cache=True, nogil=True)
def reach_from_some(links: Links, doors: Doors, begin: int, stop: int, limit: int, space: Space) -> int:
    """Find the ticks from the nearest of doors ``begin`` to ``stop`` to every node within the limit, as :func:`reach_from` from one."""
    shift, count = _bucket_shift(limit), 0
    for i in range(begin, stop):
        count = _start(space, doors.a[i], doors.to_a[i], limit, shift, count)
        count = _start(space, doors.b[i], doors.to_b[i], limit, shift, count)
    return _reach_on(links, limit, shift, space, count)


@njit(cache=True, nogil=True)
def _reach_on(links: Links, limit: int, shift: int, space: Space, count: int) -> int:
    reach, earlier = space.reach, space.earlier
    for bucket in range((limit >> shift) + 1):
        while space.head[bucket] >= 0:
            x = space.head[bucket]
            _leave(space, x, bucket)
            for j in range(links.first[x], links.first[x + 1]):
                ticks, y = reach[x] + links.ticks[j], links.node[j]
                if ticks > limit or ticks >= reach[y]:
                    continue
                if reach[y] == OUT:
                    space.touched[count] = y
                    count += 1
                if earlier[y] != _AWAY:
                    _leave(space, y, reach[y] >> shift)
                reach[y], space.came[y] = ticks, j
                _wait(space, y, ticks >> shift)
    return count


@njit(cache=True, nogil=True)
def clear_reach(space: Space, count: int) -> None:
    """Give back the space of a search that touched so many nodes."""
    for i in range(count):
        space.reach[space.touched[i]] = OUT


@njit(cache=True, nogil=True)
def matrix_rows(links: Links, origins: Doors, targets: Doors, limit: int, begin: int, stop: int, out: Numbers) -> None:
    """Fill rows ``begin`` to ``stop`` of ``out`` with the ticks from origins to targets, ``OUT`` beyond the limit."""
    space = search_space(len(links.first) - 1)
    for i in range(begin, stop):
        count = reach_from(links, origins, i, limit, space)
        for j in range(len(targets.edge)):
            ticks = min(space.reach[targets.a[j]] + targets.to_a[j], space.reach[targets.b[j]] + targets.to_b[j])
            if origins.edge[i] >= 0 and origins.edge[i] == targets.edge[j]:
                ticks = min(ticks, direct_ticks(origins, i, targets, j))
            out[i, j] = ticks if ticks <= limit else OUT
        clear_reach(space, count)


@njit(cache=True, nogil=True)
def _count_on_edge(
    edge: int,
    from_a: int,
    from_b: int,
    entrances: Doors,
    begin: int,
    stop: int,
    doors: Doors,
    by_edge: Ints,
    first_of_edge: Ints,
    limits: Ints,
    out: Numbers,
) -> None:
    """Count a facility, of entrances ``begin`` to ``stop``, for the doors of one edge, whose ends it reaches in so many ticks."""
    first = begin
    while first < stop and entrances.edge[first] != edge:
        first += 1
    for k in range(first_of_edge[edge], first_of_edge[edge + 1]):
        i = by_edge[k]
        ticks = min(from_a + doors.to_a[i], from_b + doors.to_b[i])
        for f in range(first, stop):
            if entrances.edge[f] == edge:
                ticks = min(ticks, direct_ticks(entrances, f, doors, i))
        for j in range(len(limits)):
            if ticks <= limits[j]:
                out[i, j] += 1


@njit(cache=True, nogil=True)
def count_kinds(
    links: Links,
    edge_a: Numbers,
    edge_b: Numbers,
    doors: Doors,
    by_edge: Ints,
    first_of_edge: Ints,
    entrances: Doors,
    first_entrance: Ints,
    kind: Ints,
    some: Ints,
    limits: Ints,
    out: Numbers,
) -> None:
    """Count for each door some of the facilities within each limit, by their nearest entrance, into ``out[door, kind, limit]``.

    ``by_edge`` are the doors by edge, of which ``first_of_edge`` says where each begins; ``first_entrance`` says it of the entrances of
    each facility. Facilities of one place should follow each other in ``some``: their searches then find the streets in the cache.
    """
    limit = limits.max()
    space = search_space(len(links.first) - 1)
    reach = space.reach
    for number in some:
        begin, stop, counts = first_entrance[number], first_entrance[number + 1], out[:, kind[number]]
        touched = reach_from_some(links, entrances, begin, stop, limit, space)
        for t in range(touched):
            x = space.touched[t]
            for j in range(links.first[x], links.first[x + 1]):
                edge, y = links.edge[j], links.node[j]
                # an edge with both ends reached is met twice, and counted from its lower end
                if first_of_edge[edge] == first_of_edge[edge + 1] or (y < x and reach[y] != OUT):
                    continue
                from_a, from_b = reach[edge_a[edge]], reach[edge_b[edge]]
                _count_on_edge(
                    edge, from_a, from_b, entrances, begin, stop, doors, by_edge, first_of_edge, limits, counts
                )
        for f in range(begin, stop):
            own = entrances.edge[f]
            if reach[edge_a[own]] == OUT and reach[edge_b[own]] == OUT and own not in entrances.edge[begin:f]:
                _count_on_edge(own, OUT, OUT, entrances, begin, stop, doors, by_edge, first_of_edge, limits, counts)
        clear_reach(space, touched)


@njit(cache=True, nogil=True)
def way_between(
    links: Links, edge_a: Numbers, edge_b: Numbers, origins: Doors, targets: Doors, limit: int, space: Space
) -> tuple[int, Numbers, Numbers]:
    """Return the ticks from the first origin to the first target, and the nodes and the edges between them on the way.

    Both begin at the target; the edges that the points lie on are left out. No nodes: straight along one edge, or (``OUT``
    ticks) no way. Of equal ways the one straight along the edge, then that over the target's node a.
    """
    count = reach_from(links, origins, 0, limit, space)
    by_a = space.reach[targets.a[0]] + targets.to_a[0]
    by_b = space.reach[targets.b[0]] + targets.to_b[0]
    ticks, x = (by_a, targets.a[0]) if by_a <= by_b else (by_b, targets.b[0])
    straight = OUT
    if origins.edge[0] == targets.edge[0] and origins.edge[0] >= 0:
        straight = direct_ticks(origins, 0, targets, 0)
    nodes, edges, steps = np.empty(count, np.int32), np.empty(count, np.int32), 0
    if ticks < straight and ticks <= limit:
        nodes[0], steps = x, 1
        while space.came[x] >= 0:
            edge = links.edge[space.came[x]]
            x = edge_a[edge] + edge_b[edge] - x
            nodes[steps], edges[steps - 1] = x, edge
            steps += 1
    clear_reach(space, count)
    ticks = min(ticks, straight)
    return (ticks if ticks <= limit else OUT), nodes[:steps], edges[: max(steps - 1, 0)]


class Labels(NamedTuple):
    """Nearest facility of one kind at each node: column ``lane`` of a block of sweeps, and what stood there before a change.

    ``was_ticks`` and ``was_facility`` are by place in ``space.touched``; nodes changed so far are ``space.noted``.
    """

    block: Numbers
    lane: int
    lanes: int
    space: Space
    was_ticks: Numbers
    was_facility: Numbers


@njit(cache=True, nogil=True)
def _set(labels: Labels, x: int, ticks: int, facility: int, count: int) -> int:
    """Write a label and note what stood there; return the number of nodes touched."""
    space = labels.space
    if not space.noted[x]:
        space.noted[x], space.touched[count] = True, x
        labels.was_ticks[count] = labels.block[x, labels.lane]
        labels.was_facility[count] = labels.block[x, labels.lanes + labels.lane]
        count += 1
    labels.block[x, labels.lane], labels.block[x, labels.lanes + labels.lane] = ticks, facility
    return count


@njit(cache=True, nogil=True)
def _offer(labels: Labels, x: int, ticks: int, facility: int, limit: int, shift: int, count: int) -> int:
    """Take a label over where it is nearer (of equals the lower number), and let the node wait to pass it on."""
    known = labels.block[x, labels.lane]
    if ticks > limit or ticks > known:
        return count
    if ticks == known and facility >= labels.block[x, labels.lanes + labels.lane]:
        return count
    if labels.space.earlier[x] != _AWAY:
        _leave(labels.space, x, known >> shift)
    count = _set(labels, x, ticks, facility, count)
    _wait(labels.space, x, ticks >> shift)
    return count


@njit(cache=True, nogil=True)
def _pass_on(links: Links, labels: Labels, limit: int, shift: int, count: int) -> int:
    """Carry labels on until nothing gets nearer."""
    block, space = labels.block, labels.space
    for bucket in range((limit >> shift) + 1):
        while space.head[bucket] >= 0:
            x = space.head[bucket]
            _leave(space, x, bucket)
            for j in range(links.first[x], links.first[x + 1]):
                ticks, facility = block[x, labels.lane] + links.ticks[j], block[x, labels.lanes + labels.lane]
                count = _offer(labels, links.node[j], ticks, facility, limit, shift, count)
    return count


@njit(cache=True, nogil=True)
def improve(links: Links, labels: Labels, doors: Doors, numbers: Ints, limit: int, count: int) -> int:
    """Let some facilities (or any of their kind) serve from their doors; return the number of nodes touched."""
    shift = _bucket_shift(limit)
    for f in numbers:
        if doors.edge[f] >= 0:
            count = _offer(labels, doors.a[f], doors.to_a[f], f, limit, shift, count)
            count = _offer(labels, doors.b[f], doors.to_b[f], f, limit, shift, count)
    return _pass_on(links, labels, limit, shift, count)


@njit(cache=True, nogil=True)
def improve_over(links: Links, labels: Labels, a: Numbers, b: Numbers, ticks: Numbers, limit: int, count: int) -> int:
    """Carry labels over edges that got quicker, both ways, and on."""
    shift, block = _bucket_shift(limit), labels.block
    for e in range(len(a)):
        for x, y in ((a[e], b[e]), (b[e], a[e])):
            facility = block[x, labels.lanes + labels.lane]
            count = _offer(labels, y, block[x, labels.lane] + ticks[e], facility, limit, shift, count)
    return _pass_on(links, labels, limit, shift, count)


@njit(cache=True, nogil=True)
def forget_facility(links: Links, labels: Labels, doors: Doors, number: int, count: int) -> int:
    """Take back the labels of a facility everywhere: its nodes hang together from its door on."""
    begin = count
    for x in (doors.a[number], doors.b[number]):
        if doors.edge[number] >= 0 and labels.block[x, labels.lanes + labels.lane] == number:
            count = _set(labels, x, OUT, _NOBODY, count)
    while begin < count:
        x = labels.space.touched[begin]
        begin += 1
        for j in range(links.first[x], links.first[x + 1]):
            y = links.node[j]
            if labels.block[y, labels.lanes + labels.lane] == number:
                count = _set(labels, y, OUT, _NOBODY, count)
    return count


@njit(cache=True, nogil=True)
def _came_over(labels: Labels, x: int, ticks: int, facility: int) -> bool:
    """Return whether node x may have its label from a neighbour that gives these ticks."""
    return labels.block[x, labels.lane] == ticks and labels.block[x, labels.lanes + labels.lane] == facility


@njit(cache=True, nogil=True)
def forget_edges(links: Links, labels: Labels, a: Numbers, b: Numbers, ticks: Numbers, count: int) -> int:
    """Take back every label that may have come over some edges, which took ``ticks``, and over ``links`` from there on."""
    block, space = labels.block, labels.space
    begin = count
    for e in range(len(a)):
        for x, y in ((a[e], b[e]), (b[e], a[e])):
            facility = block[x, labels.lanes + labels.lane]
            came_over = _came_over(labels, y, block[x, labels.lane] + ticks[e], facility)
            # labels are taken back only after all of these edges were looked at, in both directions
            if facility != _NOBODY and came_over and not space.noted[y]:
                count = _set(labels, y, block[y, labels.lane], facility, count)
    for i in range(begin, count):
        x = space.touched[i]
        block[x, labels.lane], block[x, labels.lanes + labels.lane] = OUT, _NOBODY
    while begin < count:
        x, ticks_x, facility = space.touched[begin], labels.was_ticks[begin], labels.was_facility[begin]
        begin += 1
        for j in range(links.first[x], links.first[x + 1]):
            y = links.node[j]
            if _came_over(labels, y, ticks_x + links.ticks[j], facility):
                count = _set(labels, y, OUT, _NOBODY, count)
    return count


@njit(cache=True, nogil=True)
def refill(links: Links, labels: Labels, doors: Doors, numbers: Ints, limit: int, count: int) -> int:
    """Give nodes whose labels were taken back new ones: from their neighbours and from the facilities of the kind."""
    shift, block, space = _bucket_shift(limit), labels.block, labels.space
    for i in range(count):
        x = space.touched[i]
        for j in range(links.first[x], links.first[x + 1]):
            y = links.node[j]
            ticks, facility = block[y, labels.lane] + links.ticks[j], block[y, labels.lanes + labels.lane]
            count = _offer(labels, x, ticks, facility, limit, shift, count)
    return improve(links, labels, doors, numbers, limit, count)


@njit(cache=True, nogil=True)
def cut_block(block: Numbers, lanes: int, limit: int) -> None:
    """Make what lies beyond the limit plainly out of reach."""
    for x in range(len(block)):
        for k in range(lanes):
            if block[x, k] > limit:
                block[x, k], block[x, lanes + k] = OUT, _NOBODY


@njit(cache=True, nogil=True)
def changed_doors(
    links: Links,
    edge_a: Numbers,
    edge_b: Numbers,
    labels: Labels,
    count: int,
    edges: Numbers,
    doors: Doors,
    by_edge: Ints,
    first_of_edge: Ints,
    facilities: Doors,
    first_facility: Numbers,
    next_facility: Numbers,
    kind: Ints,
    own_kind: int,
    limit: int,
    ticks: Numbers,
    facility: Numbers,
) -> tuple[Ints, Numbers, Numbers]:
    """Renew what doors find of one kind on the edges of the nodes touched, and on ``edges``; clear the notes.

    ``first_facility`` of an edge and ``next_facility`` are the facilities on it as a chain. Returns the doors that changed and their
    ticks and facilities before.
    """
    space = labels.space
    changed, was_t, was_f = np.empty(16, np.int64), np.empty(16, np.int32), np.empty(16, np.int32)
    total = 0
    for t in range(count + len(edges)):
        x = space.touched[t] if t < count else edge_a[edges[t - count]]
        begin, stop = (links.first[x], links.first[x + 1]) if t < count else (0, 1)
        for j in range(begin, stop):
            edge = links.edge[j] if t < count else edges[t - count]
            if t < count:
                if links.node[j] < x and space.noted[links.node[j]]:
                    continue
            elif space.noted[edge_a[edge]] or space.noted[edge_b[edge]]:
                continue
            for d in range(first_of_edge[edge], first_of_edge[edge + 1]):
                i = by_edge[d]
                new_t, new_f = _at_door(
                    labels, doors, i, facilities, first_facility, next_facility, kind, own_kind, limit
                )
                if new_t == ticks[i, own_kind] and new_f == facility[i, own_kind]:
                    continue
                if total == len(changed):
                    changed, was_t, was_f = _doubled(changed), _doubled(was_t), _doubled(was_f)
                changed[total], was_t[total], was_f[total] = i, ticks[i, own_kind], facility[i, own_kind]
                ticks[i, own_kind], facility[i, own_kind] = new_t, new_f
                total += 1
    for t in range(count):
        space.noted[space.touched[t]] = False
    return changed[:total], was_t[:total], was_f[:total]


@njit(cache=True, nogil=True)
def _at_door(
    labels: Labels,
    doors: Doors,
    i: int,
    facilities: Doors,
    first_facility: Numbers,
    next_facility: Numbers,
    kind: Ints,
    own_kind: int,
    limit: int,
) -> tuple[int, int]:
    """Return the ticks and number of the nearest facility of a kind from a door, ``OUT`` and -1 beyond the limit."""
    block, lane, lanes = labels.block, labels.lane, labels.lanes
    best, number = block[doors.a[i], lane] + doors.to_a[i], block[doors.a[i], lanes + lane]
    by_b, other = block[doors.b[i], lane] + doors.to_b[i], block[doors.b[i], lanes + lane]
    if by_b < best or (by_b == best and other < number):
        best, number = by_b, other
    f = first_facility[doors.edge[i]]
    while f >= 0:
        if kind[f] == own_kind:
            direct = direct_ticks(doors, i, facilities, f)
            if direct < best or (direct == best and f < number):
                best, number = direct, f
        f = next_facility[f]
    return (best, number) if best <= limit else (OUT, -1)


@njit(cache=True, nogil=True)
def _doubled(values):  # type: ignore[no-untyped-def]  # numba: for arrays of any whole numbers
    grown = np.empty(2 * len(values), values.dtype)
    grown[: len(values)] = values
    return grown
