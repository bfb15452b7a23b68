"""Nearest facility of every kind for a whole city: two sweeps over a hierarchy, kinds side by side.

A block is an array with one row per node: the ticks to the nearest facility of each of its kinds, then the numbers of those
facilities. Of facilities equally near the lowest number stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from threading import main_thread
from typing import Any

import numpy as np
from numba import config, njit

from gridsvc.circle.doors import Doors, direct_ticks
from gridsvc.circle.hierarchy import OUT, WalkHierarchy
from gridsvc.circle.walk_network import Ints, Numbers

NOBODY = 2**31 - 1  # stands for no facility; every facility number is lower
CORES: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # what this process may run on
_MOST_LANES = 32  # kinds of one block: rows of 256 bytes


@lru_cache(maxsize=1)
def _helpers(process: int | None) -> ThreadPoolExecutor:
    """Return threads for all cores but the caller's, kept: to begin and end one takes a millisecond, as long as an isochrone's strip.

    Asked for by the id of the main thread, which is another in a process forked off; threads stay with the parent.
    """
    return ThreadPoolExecutor(max(1, CORES - 1), thread_name_prefix="core")


def on_all_cores(work: Callable[[Any], None], parts: Iterable[Any]) -> None:
    """Do ``work`` for every part, as many at a time as this process may use cores; kernels release the interpreter.

    The cores are those numba counts: what the process may run on, or ``NUMBA_NUM_THREADS``. The caller works, too, and does all where
    the helpers are busy with the parts of others.
    """
    tasks = list(parts)
    waiting = iter(tasks)

    def take_turns() -> None:
        for task in waiting:
            work(task)

    helpers = _helpers(main_thread().native_id)
    helping = [helpers.submit(take_turns) for _ in range(min(CORES, len(tasks)) - 1)]
    try:
        take_turns()
    finally:
        begun = [helper for helper in helping if not helper.cancel()]
        wait(begun)
    for helper in begun:
        helper.result()


def kind_blocks(kinds: int) -> list[range]:
    """Return the kinds in runs of 8, 16, 24 or 32 that keep all cores busy."""
    width = min(_MOST_LANES, 8 * max(1, -(-kinds // (8 * CORES))))
    return [range(first, min(first + width, kinds)) for first in range(0, kinds, width)]


def swept_block(hierarchy: WalkHierarchy, facilities: Doors, kind: Ints, lanes: range) -> Numbers:
    """Return the block of a run of kinds for all nodes; what lies beyond the limit may be out of reach or just too far."""
    block = np.empty((hierarchy.graph.nodes, 2 * len(lanes)), dtype=np.int32)
    block[:, : len(lanes)], block[:, len(lanes) :] = OUT, NOBODY
    _seed(block, facilities, kind, lanes.start, len(lanes))
    _sweep(hierarchy.up_first, hierarchy.up_node, hierarchy.up_ticks, block, len(lanes))
    return block


@njit(cache=True, nogil=True)
def _seed(block: Numbers, facilities: Doors, kind: Ints, first_kind: int, lanes: int) -> None:
    for f in range(len(kind)):
        lane = kind[f] - first_kind
        if facilities.edge[f] < 0 or lane < 0 or lane >= lanes:
            continue
        for node, ticks in ((facilities.a[f], facilities.to_a[f]), (facilities.b[f], facilities.to_b[f])):
            if ticks < block[node, lane]:
                block[node, lane], block[node, lanes + lane] = ticks, f


@njit(cache=True, nogil=True)
def _sweep(up_first: Ints, up_node: Numbers, up_ticks: Numbers, block: Numbers, lanes: int) -> None:
    """Carry ticks and numbers along the arcs up, node by node, then down again.

    The two inner loops are alike and become vector code; called as a function they take half as long again.
    """
    nodes = len(up_first) - 1
    for v in range(nodes):
        source = block[v]
        for j in range(up_first[v], up_first[v + 1]):
            step, target = up_ticks[j], block[up_node[j]]
            for k in range(lanes):
                new, old = np.int32(source[k] + step), target[k]
                by, known = source[lanes + k], target[lanes + k]
                lower, nearer = min(by, known), by if new < old else known
                target[lanes + k] = lower if new == old else nearer
                target[k] = new if new < old else old
    for v in range(nodes - 1, -1, -1):
        target = block[v]
        for j in range(up_first[v], up_first[v + 1]):
            step, source = up_ticks[j], block[up_node[j]]
            for k in range(lanes):
                new, old = np.int32(source[k] + step), target[k]
                by, known = source[lanes + k], target[lanes + k]
                lower, nearer = min(by, known), by if new < old else known
                target[lanes + k] = lower if new == old else nearer
                target[k] = new if new < old else old


@njit(cache=True, nogil=True)
def read_block(
    block: Numbers, lanes: int, first_kind: int, doors: Doors, limit: int, out_ticks: Numbers, out_facility: Numbers
) -> None:
    """Write for each door what it finds over the ends of its edge: columns ``first_kind`` on; ``OUT`` and -1 beyond the limit."""
    for i in range(len(doors.edge)):
        at_a, at_b, to_a, to_b = block[doors.a[i]], block[doors.b[i]], doors.to_a[i], doors.to_b[i]
        ticks, facility = out_ticks[i], out_facility[i]
        for k in range(lanes):
            by_a, by_b = np.int32(at_a[k] + to_a), np.int32(at_b[k] + to_b)
            f_a, f_b = at_a[lanes + k], at_b[lanes + k]
            nearer = f_a if by_a < by_b else f_b
            best, number = min(by_a, by_b), min(f_a, f_b) if by_a == by_b else nearer
            ticks[first_kind + k] = best if best <= limit else OUT
            facility[first_kind + k] = number if best <= limit else -1


@njit(cache=True, nogil=True)
def meet_on_edges(
    doors: Doors, facilities: Doors, kind: Ints, edges: int, limit: int, ticks: Numbers, facility: Numbers
) -> None:
    """Shorten what doors find where a facility hangs on the same edge and is nearer along it."""
    head, after = np.full(edges, -1, np.int32), np.empty(len(kind), np.int32)
    for f in range(len(kind)):
        if facilities.edge[f] >= 0:
            after[f] = head[facilities.edge[f]]
            head[facilities.edge[f]] = f
    for i in range(len(doors.edge)):
        f = head[doors.edge[i]] if doors.edge[i] >= 0 else -1
        while f >= 0:
            k, direct = kind[f], direct_ticks(doors, i, facilities, f)
            nearer = direct < ticks[i, k] or (direct == ticks[i, k] and f < facility[i, k])
            if direct <= limit and nearer:
                ticks[i, k], facility[i, k] = direct, f
            f = after[f]
