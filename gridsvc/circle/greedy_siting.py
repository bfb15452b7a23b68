"""Sites chosen one after the other, each the one that helps most: quick, and never far from the best.

Benefits of covering and of time saved are submodular (a site helps less, the more others there are). So k greedy sites reach at
least 1 - (1 - 1/k)^k > 1 - 1/e = 63 % of the best (Nemhauser, Wolsey, Fisher 1978), and after any choice S no k sites bring more
than f(S) and the k largest gains that are left: the bound of this very task, mostly within a few per cent. Gains are looked at
again only where they could still be the largest (lazy greedy, Minoux 1978). Of equal gains the lowest candidate number wins.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gridsvc.circle.site_flows import LEAST_PEOPLE, SiteFlows, gain_of_site, open_site, site_flows
from gridsvc.circle.siting import (
    COVER,
    MEDIAN,
    SHARE,
    Benefits,
    Siting,
    SitingTask,
    checked_number,
    checked_out_of_reach,
    checked_share,
    covering_benefits,
    saving_benefits,
)
from gridsvc.circle.walk_network import Flags, Floats, Ints, Numbers
from gridsvc.errors import ConflictError, RequestInvalidError

_ROUNDING = 1e-9  # of all people: sums of fractions of people


def greedy_covering(task: SitingTask, sites: int) -> Siting:
    """Return so many sites that together cover many more people within the limit, and the bound of what is possible.

    Sites that would bring nobody are left out, so there may be fewer. People who are served already bring nothing.

    Raises
    ------
    RequestInvalidError
        When no site is asked for, or there is no candidate.
    """
    number = checked_number(task, sites)
    benefits = covering_benefits(task)
    chosen, gain = choose(benefits, number)
    before = served_before(benefits)
    return _most(COVER, task, chosen, gain, before, before + upper_bound(benefits, chosen, gain, number))


def greedy_share(task: SitingTask, share: float) -> Siting:
    """Return few sites that cover a share of all people within the limit; ``bound`` is the least number that could.

    Raises
    ------
    RequestInvalidError
        When the share is not above 0 and up to 1.
    ConflictError
        When all candidates together do not cover that share.
    """
    benefits = covering_benefits(task)
    before, needed = missing_people(task, benefits, share)
    chosen, gain = choose(benefits, len(benefits), needed=needed)
    check_reached(task, before, needed, gain)
    return Siting(
        aim=SHARE,
        sites=chosen,
        gain=gain,
        before=before,
        after=before + float(gain.sum()),
        value=float(len(chosen)),
        bound=float(least_sites(benefits, chosen, gain, needed)),
        people=float(task.people.sum()),
    )


def greedy_median(task: SitingTask, sites: int, *, out_of_reach_s: float | None = None) -> Siting:
    """Return so many sites after which people walk little to the nearest, and the bound of how little is possible.

    ``before``, ``after``, ``value`` and ``bound`` are person-seconds. Somebody with no site within the limit counts as walking
    ``out_of_reach_s``, at least and by default the limit.

    Raises
    ------
    RequestInvalidError
        As :func:`greedy_covering`, or when the task has capacities: those only the exact choice takes.
    """
    number = checked_number(task, sites)
    out_s = checked_out_of_reach(task, out_of_reach_s)
    if task.capacity is not None:
        raise RequestInvalidError(
            "Sites with capacities were asked for by the time walked.",
            hint="Choose them exactly, or leave capacities out.",
        )
    benefits = saving_benefits(task, out_s)
    chosen, gain = choose(benefits, number)
    before = float(task.people.sum()) * out_s - benefits.base
    return _least(task, chosen, gain, before, before - upper_bound(benefits, chosen, gain, number))


def _most(aim: str, task: SitingTask, chosen: Ints, gain: Floats, before: float, bound: float) -> Siting:
    after = before + float(gain.sum())
    return Siting(aim, chosen, gain, before, after, after, max(after, bound), float(task.people.sum()))


def _least(task: SitingTask, chosen: Ints, gain: Floats, before: float, bound: float) -> Siting:
    after = before - float(gain.sum())
    return Siting(MEDIAN, chosen, gain, before, after, after, min(after, bound), float(task.people.sum()))


def served_before(benefits: Benefits) -> float:
    """Return the people served by what stands already."""
    if benefits.capacity is None:
        return benefits.base
    return benefits.base + float(_standing_flows(benefits)[1])


def missing_people(task: SitingTask, benefits: Benefits, share: float) -> tuple[float, float]:
    """Return how many people are served already, and how many more must be for a share of all."""
    before, people = served_before(benefits), float(task.people.sum())
    return before, max(0.0, checked_share(share) * people - before - _ROUNDING * people)


def check_reached(task: SitingTask, before: float, needed: float, gain: Floats) -> None:
    """Raise ConflictError where even all sites that bring anybody do not reach the people needed."""
    if gain.sum() < needed:
        people = float(task.people.sum())
        raise ConflictError(
            f"All candidates together cover {(before + float(gain.sum())) / people:.2%} of the people.",
            hint="Ask for a smaller share, or give more candidates.",
        )


def choose(benefits: Benefits, most: int, *, needed: float = np.inf, among: Ints | None = None) -> tuple[Ints, Floats]:
    """Return sites chosen greedily, and what each brings after those before it.

    Parameters
    ----------
    most
        Number of sites at most; those that bring nothing are left out.
    needed
        Stop once so much is reached.
    among
        Numbers of the sites to choose from; None for all that do not stand.
    """
    allowed = np.ones(len(benefits), dtype=bool) if among is None else np.isin(np.arange(len(benefits)), among)
    allowed[benefits.standing] = False
    if benefits.capacity is None:
        best = np.zeros(len(benefits.people))
        return _choose(
            benefits.first, benefits.residence, benefits.benefit, benefits.people, best, allowed, most, needed
        )
    return _choose_limited(_standing_flows(benefits)[0], benefits.people, allowed, most, needed)


def gains_after(benefits: Benefits, chosen: Ints) -> Floats:
    """Return what each further site would bring after some that are chosen; 0 for those and for standing ones."""
    if benefits.capacity is None:
        best = np.zeros(len(benefits.people))
        for site in chosen.tolist():
            own = slice(benefits.first[site], benefits.first[site + 1])
            np.maximum.at(best, benefits.residence[own], benefits.benefit[own])
        return _gains(benefits.first, benefits.residence, benefits.benefit, benefits.people, best)
    flows, _ = _standing_flows(benefits)
    for site in chosen.tolist():
        open_site(flows, site)
    return _gains_limited(flows)


def upper_bound(benefits: Benefits, chosen: Ints, gain: Floats, sites: int) -> float:
    """Return what no choice of so many sites can bring more of: the least of the bounds after none, half, and all of the chosen."""
    bounds = [float(gain.sum()) / (1.0 - (1.0 - 1.0 / sites) ** sites)]
    for part in sorted({0, len(chosen) // 2, len(chosen)}):
        left = np.sort(gains_after(benefits, chosen[:part]))[::-1]
        bounds.append(float(gain[:part].sum()) + float(left[:sites].sum()))
    return min(bounds)


def least_sites(benefits: Benefits, chosen: Ints, gain: Floats, needed: float) -> int:
    """Return the number of sites below which no choice brings what is needed."""
    least = 0
    for part in sorted({0, len(chosen) // 4, len(chosen) // 2, 3 * len(chosen) // 4}):
        left = np.cumsum(np.sort(gains_after(benefits, chosen[:part]))[::-1])
        still = needed - float(gain[:part].sum())
        # rounding in sums must not raise the bound
        least = max(least, int(np.searchsorted(left, still * (1.0 - _ROUNDING))) + 1 if still > 0 else 0)
    return min(least, len(chosen))


def _standing_flows(benefits: Benefits) -> tuple[SiteFlows, float]:
    """Return the flows with the standing sites open, and how many people those serve."""
    assert benefits.capacity is not None
    flows = site_flows(benefits.first, benefits.residence, benefits.people, benefits.capacity)
    return flows, sum(open_site(flows, site) for site in benefits.standing.tolist())


@njit(cache=True, nogil=True)
def _gain(first: Ints, residence: Numbers, benefit: Floats, people: Floats, best: Floats, site: int) -> float:
    gain = 0.0
    for e in range(first[site], first[site + 1]):
        more = benefit[e] - best[residence[e]]
        if more > 0.0:
            gain += people[residence[e]] * more
    return gain


@njit(cache=True, nogil=True)
def _gains(first: Ints, residence: Numbers, benefit: Floats, people: Floats, best: Floats) -> Floats:
    gains = np.empty(len(first) - 1)
    for site in range(len(gains)):
        gains[site] = _gain(first, residence, benefit, people, best, site)
    return gains


@njit(cache=True, nogil=True)
def _choose(
    first: Ints,
    residence: Numbers,
    benefit: Floats,
    people: Floats,
    best: Floats,
    allowed: Flags,
    most: int,
    needed: float,
) -> tuple[Ints, Floats]:
    """Choose among sites without capacities; ``best`` is what each residence has so far, and is brought up to date."""
    upper = _gains(first, residence, benefit, people, best)
    upper[~allowed] = 0.0
    fresh = np.zeros(len(upper), np.int64)
    chosen, gain, count, total = np.empty(most, np.int64), np.empty(most), 0, 0.0
    while count < most and total < needed:
        site = int(np.argmax(upper))
        if upper[site] <= 0.0:
            break
        if fresh[site] != count:
            upper[site], fresh[site] = _gain(first, residence, benefit, people, best, site), count
            continue
        for e in range(first[site], first[site + 1]):
            best[residence[e]] = max(best[residence[e]], benefit[e])
        chosen[count], gain[count] = site, upper[site]
        total += upper[site]
        upper[site] = 0.0
        count += 1
    return chosen[:count], gain[:count]


@njit(cache=True, nogil=True)
def _gains_limited(flows: SiteFlows) -> Floats:
    gains = np.zeros(len(flows.room))
    for site in range(len(gains)):
        if not flows.is_open[site]:
            gains[site] = gain_of_site(flows, site)
    return gains


@njit(cache=True, nogil=True)
def _choose_limited(flows: SiteFlows, people: Floats, allowed: Flags, most: int, needed: float) -> tuple[Ints, Floats]:
    """Choose among sites with capacities."""
    upper = np.zeros(len(flows.room))
    for site in range(len(upper)):
        if allowed[site]:
            for e in range(flows.first[site], flows.first[site + 1]):
                # people who go to full sites already count: a new site may take them over
                upper[site] += people[flows.residence[e]]
            upper[site] = min(upper[site], flows.room[site])
    fresh = np.full(len(upper), -1, np.int64)
    chosen, gain, count, total = np.empty(most, np.int64), np.empty(most), 0, 0.0
    while count < most and total < needed:
        site = int(np.argmax(upper))
        if upper[site] <= LEAST_PEOPLE:
            break
        if fresh[site] != count:
            upper[site], fresh[site] = gain_of_site(flows, site), count
            continue
        chosen[count], gain[count] = site, open_site(flows, site)
        total += gain[count]
        upper[site] = 0.0
        count += 1
    return chosen[:count], gain[:count]
