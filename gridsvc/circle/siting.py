"""Where the next facilities help most: the task, what counts as help, and the answer with its bound.

Help is a benefit for every pair of site and residence: 1 for everybody within the limit (covering), or the seconds saved
(p-median). :mod:`greedy_siting` is quick and says how far from the best it can be at most; :mod:`exact_siting` proves the best,
or states the gap that is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridsvc.circle.cover_sets import CoverSets
from gridsvc.circle.walk_network import Floats, Ints, Numbers
from gridsvc.errors import RequestInvalidError

COVER, SHARE, MEDIAN = "cover", "share", "median"
_PROVEN = 1e-6  # of the value: the tolerance of the solver, not a gap


@dataclass(frozen=True, eq=False, slots=True)
class SitingTask:
    """Candidates, the people they could serve, and what is there already; made by :func:`siting_task`.

    Parameters
    ----------
    sets
        Which residences each candidate reaches, and in what time.
    people
        People of each residence.
    served_s
        Seconds from each residence to the nearest facility that is there already; infinite where none is.
    standing
        Numbers of candidates that stand already, rising: they count, and are not chosen.
    capacity
        People each candidate can serve; None: any number. The people of one residence may go to several sites.
    """

    sets: CoverSets
    people: Floats
    served_s: Floats
    standing: Ints
    capacity: Floats | None


def siting_task(
    sets: CoverSets,
    people: ArrayLike,
    *,
    served_s: ArrayLike | None = None,
    standing: Sequence[int] = (),
    capacity: ArrayLike | None = None,
) -> SitingTask:
    """Return a task after checking it.

    Facilities that are there already count in one of two ways: by ``served_s`` (one column of ``nearest_facilities``), when any
    number of people may go to them, or as ``standing`` candidates, when they have a capacity.

    Raises
    ------
    RequestInvalidError
        When lengths differ, people, times or capacities are negative or no number, or a standing candidate is not there.
    """
    served = np.full(sets.residences, np.inf) if served_s is None else np.asarray(served_s, dtype=np.float64)
    _checked(np.where(np.isposinf(served), 0.0, served), sets.residences, "times", "residences")
    stands = np.unique(np.asarray(standing, dtype=np.int64))
    wrong = stands[(stands < 0) | (stands >= len(sets))]
    if len(wrong):
        raise RequestInvalidError(
            f"There is no candidate {wrong[0]} to stand.", hint=f"Candidates are 0 to {len(sets) - 1}."
        )
    return SitingTask(
        sets=sets,
        people=_checked(people, sets.residences, "people", "residences"),
        served_s=served,
        standing=stands,
        capacity=None if capacity is None else _checked(capacity, len(sets), "capacities", "candidates"),
    )


def _checked(values: ArrayLike, wanted: int, what: str, owners: str) -> Floats:
    given = np.asarray(values, dtype=np.float64)
    if given.shape != (wanted,):
        raise RequestInvalidError(
            f"{what.capitalize()} of shape {given.shape} came for {wanted} {owners}.",
            hint=f"Give one of the {owners} each.",
        )
    wrong = np.flatnonzero(~(np.isfinite(given) & (given >= 0)))
    if len(wrong):
        raise RequestInvalidError(
            f"The {what} at number {wrong[0]} of the {owners} are {given[wrong[0]]}.", hint="Give numbers from 0 up."
        )
    return given


@dataclass(frozen=True, eq=False, slots=True)
class Siting:
    """Sites chosen, what they bring, and how much better any other choice could be at most.

    Attributes
    ----------
    aim
        ``cover``: most people within the limit; ``share``: fewest sites for a share of the people; ``median``: least time walked.
    sites
        Candidate numbers in the order in which they help most, each after those before it.
    gain
        What each brings after those before it: people, or for ``median`` person-seconds.
    before, after
        People served (``cover``, ``share``) or person-seconds walked (``median``), without and with the sites.
    value, bound
        What is aimed at, and what no other choice can better: ``after`` (``cover``, ``median``) or the number of sites (``share``).
    people
        All people of the task.
    """

    aim: str
    sites: Ints
    gain: Floats
    before: float
    after: float
    value: float
    bound: float
    people: float

    @property
    def gap(self) -> float:
        """How much better the best choice could be at most, as a share of the bound (``cover``) or of the value."""
        apart = abs(self.bound - self.value)
        largest = max(abs(self.bound), abs(self.value))
        return 0.0 if apart <= _PROVEN * largest else apart / largest

    @property
    def is_proven(self) -> bool:
        """Whether no choice is better."""
        return self.gap == 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Benefits:
    """What a person of each residence gains from each site above what is there: entries as in the cover sets, all positive.

    ``base`` is what stands already: people served, or person-seconds saved against everybody out of reach. ``capacity`` and
    ``standing`` are those of the task; without capacities standing sites are in the base, and have no entries.
    """

    first: Ints
    residence: Numbers
    benefit: Floats
    people: Floats
    base: float
    standing: Ints
    capacity: Floats | None

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def site(self) -> Ints:
        """The site of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))


def covering_benefits(task: SitingTask) -> Benefits:
    """Return the benefit of being within the limit: 1 for everybody who is not yet."""
    return _above_base(task, np.ones(len(task.sets.residence)), (task.served_s <= task.sets.limit_s).astype(np.float64))


def saving_benefits(task: SitingTask, out_of_reach_s: float) -> Benefits:
    """Return the seconds that a person saves, who without any site within the limit counts as walking ``out_of_reach_s``."""
    served = np.minimum(task.served_s, out_of_reach_s)
    return _above_base(task, np.maximum(out_of_reach_s - task.sets.walk_s, 0.0), out_of_reach_s - served)


def _above_base(task: SitingTask, benefit: Floats, there: Floats) -> Benefits:
    sets, candidate = task.sets, task.sets.candidate
    keep = task.people[sets.residence] > 0
    standing = task.standing
    if task.capacity is None:
        stands = np.isin(candidate, standing)
        there = there.copy()
        np.maximum.at(there, sets.residence[stands], benefit[stands])
        keep, standing = keep & ~stands, standing[:0]
    more = benefit - there[sets.residence]
    keep = keep & (more > 0)
    first = np.zeros(len(sets) + 1, dtype=np.int64)
    np.cumsum(np.bincount(candidate[keep], minlength=len(sets)), out=first[1:])
    return Benefits(
        first, sets.residence[keep], more[keep], task.people, float(there @ task.people), standing, task.capacity
    )


def checked_number(task: SitingTask, sites: int) -> int:
    """Return how many sites are to be chosen, at most all that do not stand yet, or raise RequestInvalidError."""
    free = len(task.sets) - len(task.standing)
    if sites < 1:
        raise RequestInvalidError(f"{sites} sites were asked for.", hint="Ask for at least one.")
    if not free:
        raise RequestInvalidError(
            "There is no candidate to choose from.", hint="Give candidates that do not stand yet."
        )
    return min(sites, free)


def checked_share(share: float) -> float:
    """Return a share of the people to be covered, or raise RequestInvalidError."""
    if not 0 < share <= 1:
        raise RequestInvalidError(f"A share of {share} of the people was asked for.", hint="Give it from above 0 to 1.")
    return float(share)


def checked_out_of_reach(task: SitingTask, out_of_reach_s: float | None) -> float:
    """Return the seconds that count for people out of reach (the limit where None), or raise RequestInvalidError."""
    seconds = task.sets.limit_s if out_of_reach_s is None else float(out_of_reach_s)
    if not (np.isfinite(seconds) and seconds >= task.sets.limit_s):
        raise RequestInvalidError(
            f"People out of reach cannot count as walking {seconds:g} s.",
            hint=f"Give at least the limit, {task.sets.limit_s:g} s.",
        )
    return seconds
