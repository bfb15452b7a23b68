"""People shared out among sites of limited capacity: the most that open sites can serve, kept up as one more opens.

A residence's people may go to several sites. Opening a site takes people who go nowhere first, then lets it relieve full sites
along the shortest chain, until no chain is left (Edmonds and Karp 1972). What is served by a set of sites is a maximum
flow, and so submodular in the set: the guarantees of greedy choice hold.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from gridsvc.circle.walk_network import Flags, Floats, Ints, Numbers

LEAST_PEOPLE = 1e-9  # less is rounding


class SiteFlows(NamedTuple):
    """Sites, the residences in reach of each, and who goes where now.

    Entry e of a site (``first``) is ``residence[e]``; ``entry_of`` are the entries by residence (``entry_first``), ``site_of`` the
    sites of entries. ``flow`` is people by entry, ``left`` people of each residence who go nowhere, ``room`` what each site could
    still serve.
    """

    first: Ints
    residence: Numbers
    entry_first: Ints
    entry_of: Ints
    site_of: Numbers
    flow: Floats
    left: Floats
    room: Floats
    is_open: Flags


def site_flows(first: Ints, residence: Numbers, people: Floats, capacity: Floats) -> SiteFlows:
    """Return flows with no site open yet."""
    sites = len(first) - 1
    entry_first = np.zeros(len(people) + 1, dtype=np.int64)
    np.cumsum(np.bincount(residence, minlength=len(people)), out=entry_first[1:])
    return SiteFlows(
        first=first,
        residence=residence,
        entry_first=entry_first,
        entry_of=np.argsort(residence, kind="stable"),
        site_of=np.repeat(np.arange(sites, dtype=np.int32), np.diff(first)),
        flow=np.zeros(len(residence)),
        left=people.copy(),
        room=capacity.copy(),
        is_open=np.zeros(sites, dtype=bool),
    )


@njit(cache=True, nogil=True)
def open_site(flows: SiteFlows, site: int) -> float:
    """Open a site; return how many people more are served by all open sites together."""
    flows.is_open[site] = True
    gained = 0.0
    for e in range(flows.first[site], flows.first[site + 1]):
        people = min(flows.left[flows.residence[e]], flows.room[site])
        flows.flow[e] += people
        flows.left[flows.residence[e]] -= people
        flows.room[site] -= people
        gained += people
    sites = len(flows.room)
    queue, taken_by, given_by = np.empty(sites, np.int32), np.full(sites, -1, np.int64), np.full(sites, -1, np.int64)
    while flows.room[site] > LEAST_PEOPLE:
        people = _relieve(flows, site, queue, taken_by, given_by)
        if people <= 0.0:
            break
        gained += people
    return gained


@njit(cache=True, nogil=True)
def _relieve(flows: SiteFlows, site: int, queue: Numbers, taken_by: Ints, given_by: Ints) -> float:
    """Let a site serve more along the shortest chain of sites that hand people on; return how many more are served.

    Site t of a chain gives the people of entry ``given_by[t]`` to the site of entry ``taken_by[t]``. Both arrays are all -1
    before and after.
    """
    queue[0], waiting, served = site, 1, 0.0
    at = 0
    while at < waiting and served == 0.0:
        s = queue[at]
        at += 1
        for e in range(flows.first[s], flows.first[s + 1]):
            j = flows.residence[e]
            if flows.left[j] > LEAST_PEOPLE:
                served = _hand_on(flows, site, s, e, taken_by, given_by)
                break
            for i in range(flows.entry_first[j], flows.entry_first[j + 1]):
                other = flows.entry_of[i]
                t = flows.site_of[other]
                if t != site and given_by[t] < 0 and flows.is_open[t] and flows.flow[other] > LEAST_PEOPLE:
                    taken_by[t], given_by[t] = e, other
                    queue[waiting] = t
                    waiting += 1
    for i in range(waiting):
        taken_by[queue[i]], given_by[queue[i]] = -1, -1
    return served


@njit(cache=True, nogil=True)
def _hand_on(flows: SiteFlows, site: int, last: int, entry: int, taken_by: Ints, given_by: Ints) -> float:
    """Let ``last`` serve people of an entry who go nowhere, and the sites before it in the chain take over from it."""
    people = min(flows.left[flows.residence[entry]], flows.room[site])
    s = last
    while s != site:
        people = min(people, flows.flow[given_by[s]])
        s = flows.site_of[taken_by[s]]
    flows.left[flows.residence[entry]] -= people
    flows.flow[entry] += people
    flows.room[site] -= people
    s = last
    while s != site:
        flows.flow[given_by[s]] -= people
        flows.flow[taken_by[s]] += people
        s = flows.site_of[taken_by[s]]
    return people


@njit(cache=True, nogil=True)
def gain_of_site(flows: SiteFlows, site: int) -> float:
    """Return how many people more would be served if a site opened; everything is as it was afterwards."""
    begin, stop = flows.first[site], flows.first[site + 1]
    direct = 0.0
    for e in range(begin, stop):
        direct += flows.left[flows.residence[e]]
    if direct >= flows.room[site] or not flows.is_open.any():
        return min(direct, flows.room[site])
    flow, left, room = flows.flow.copy(), flows.left.copy(), flows.room[site]
    gained = open_site(flows, site)
    flows.flow[:], flows.left[:] = flow, left
    flows.room[site], flows.is_open[site] = room, False
    return gained
