"""Cover sets: which residences each candidate site reaches on foot within a limit, and in what time, as CSR arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.sparse import coo_array

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.bounded_search import clear_reach, reach_from, search_space
from gridsvc.circle.doors import Doors, direct_ticks
from gridsvc.circle.hierarchy import OUT, Links
from gridsvc.circle.sweeps import on_all_cores
from gridsvc.circle.travel_times import CompiledWalk, grouped
from gridsvc.circle.walk_network import Floats, Ints, Numbers
from gridsvc.errors import RequestInvalidError

_PARTS = 4


@dataclass(frozen=True, eq=False, slots=True)
class CoverSets:
    """Which of so many residences each candidate reaches within ``limit_s``, and in what time.

    Candidate i reaches ``residence[first[i]:first[i + 1]]``, rising, in ``walk_s`` (s) of the same places.
    """

    first: Ints
    residence: Numbers
    walk_s: Floats
    residences: int
    limit_s: float

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def candidate(self) -> Ints:
        """The candidate of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))


def cover_sets(
    walk: CompiledWalk, candidates: Attachments, residences: Attachments, limit_s: float | None = None
) -> CoverSets:
    """Return which residences each candidate reaches, exactly and right to the door.

    Parameters
    ----------
    candidates, residences
        Points attached to the walk's network; unattached ones reach nobody and are reached by nobody.
    limit_s
        Longest walk, up to that of the walk (the default). Unit: s; a walk of exactly this time is within.

    Raises
    ------
    RequestInvalidError
        When the limit is negative or beyond the walk's.

    Notes
    -----
    One bounded search per candidate, in the order of their places, on all cores. Memory: 12 bytes an entry, about three times
    that while it is made.
    """
    limit = walk.limit_s if limit_s is None else float(limit_s)
    if not 0 <= limit <= walk.limit_s:
        raise RequestInvalidError(
            f"A limit of {limit:g} s is not within 0 to {walk.limit_s:g} s.",
            hint="Compile the walk for a longer limit.",
        )
    graph = walk.graph
    doors, sites = walk.doors(graph, residences), walk.doors(graph, candidates)
    by_edge, first_of_edge = grouped(doors.edge, len(graph.edge_a))
    by_place = np.flatnonzero(candidates.is_attached)
    by_place = by_place[np.argsort(sites.a[by_place], kind="stable")]
    parts = np.array_split(by_place, _PARTS)
    found: list[tuple[Ints, Numbers, Numbers]] = [(np.empty(0, dtype=np.int64),) * 3] * _PARTS  # type: ignore[list-item]

    def work(part: int) -> None:
        found[part] = _reached(
            graph.links,
            graph.edge_a,
            graph.edge_b,
            doors,
            by_edge,
            first_of_edge,
            sites,
            parts[part],
            graph.whole_ticks(limit),
        )

    on_all_cores(work, range(_PARTS))
    counts, residence, ticks = (np.concatenate([row[i] for row in found]) for i in range(3))
    shape = (len(candidates), len(residences))
    # by residence first, then by candidate: both in linear time, and residences rise
    table = coo_array((ticks, (np.repeat(by_place, counts), residence)), shape=shape).tocsc().tocsr()
    return CoverSets(
        first=table.indptr.astype(np.int64),
        residence=table.indices.astype(np.int32),
        walk_s=np.minimum(graph.seconds(table.data), limit),
        residences=len(residences),
        limit_s=limit,
    )


@njit(cache=True, nogil=True)
def _reached(
    links: Links,
    edge_a: Numbers,
    edge_b: Numbers,
    doors: Doors,
    by_edge: Ints,
    first_of_edge: Ints,
    sites: Doors,
    some: Ints,
    limit: int,
) -> tuple[Ints, Numbers, Numbers]:
    """Return for some sites how many doors each reaches, and one after the other which, and in how many ticks."""
    space = search_space(len(links.first) - 1)
    reach = space.reach
    counts, doors_met, ticks, total = np.empty(len(some), np.int64), np.empty(256, np.int32), np.empty(256, np.int32), 0
    for s in range(len(some)):
        number, began = some[s], total
        own = sites.edge[number]
        touched = reach_from(links, sites, number, limit, space)
        # the site's own edge last, and only where its ends are out of reach: no node leads to it then
        for t in range(touched + 1):
            if t == touched and not (reach[edge_a[own]] == OUT and reach[edge_b[own]] == OUT):
                break
            x = space.touched[t] if t < touched else edge_a[own]
            begin, stop = (links.first[x], links.first[x + 1]) if t < touched else (0, 1)
            for j in range(begin, stop):
                edge = links.edge[j] if t < touched else own
                # an edge with both ends reached is met twice, and looked at from its lower end
                if t < touched and links.node[j] < x and reach[links.node[j]] != OUT:
                    continue
                here = first_of_edge[edge + 1] - first_of_edge[edge]
                if total + here > len(ticks):
                    doors_met, ticks = _grown(doors_met, here), _grown(ticks, here)
                for d in range(first_of_edge[edge], first_of_edge[edge + 1]):
                    i = by_edge[d]
                    nearest = min(reach[edge_a[edge]] + doors.to_a[i], reach[edge_b[edge]] + doors.to_b[i])
                    if edge == own:
                        nearest = min(nearest, direct_ticks(sites, number, doors, i))
                    if nearest <= limit:
                        doors_met[total], ticks[total] = i, nearest
                        total += 1
        clear_reach(space, touched)
        counts[s] = total - began
    return counts, doors_met[:total], ticks[:total]


@njit(cache=True, nogil=True)
def _grown(values: NDArray[Any], more: int) -> NDArray[Any]:
    longer = np.empty(2 * len(values) + more, values.dtype)
    longer[: len(values)] = values
    return longer
