"""The best grouping of a small community's atoms, with proof, or the best found and how far from the best it may be.

The cost is that of the annealing in ``grouping``, term by term: bounds missed, border that follows no line, roundness lost, load
spread unevenly; nothing is made linear or left out. It is a sum over groups, so the best grouping is the cheapest choice of contiguous groups that hold every atom once. There
are far too many groups to write down; instead

1. a linear programme over the groups known so far prices the atoms;
2. groups that cost less than their atoms' prices are added, annealed first, and once that finds none, by ``GroupSearch``,
   which overlooks none: then the programme's value is a lower bound of every grouping's cost;
3. all groups within the gap between this bound and the best grouping known are listed, and the cheapest choice among them
   is searched through to the end. A grouping with a group outside the gap costs more than the best known.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.optimize import linprog

from gridsvc.division.annealed_groups import annealed_groups
from gridsvc.division.atoms import Atoms
from gridsvc.division.borders import Neighbours
from gridsvc.division.communities import CommunityInput, DivisionRules, Floats, Integers
from gridsvc.division.governance_grids import governance_grids
from gridsvc.division.group_choice import cheapest_choice
from gridsvc.division.group_costs import GroupCosts, Groups
from gridsvc.division.group_search import GroupSearch
from gridsvc.division.grouping import Task, group
from gridsvc.errors import GridsvcError

MOST_ATOMS = 150

# costs nearer than this are equal
_EXACT = 1e-6
_STARTS, _MOVES_PER_ATOM = 10, 400
_ANNEALED, _GROUP_MOVES = 60, 4000
_STEPS_PER_S, _CHOICES_PER_S, _MOST_STEPS = 1_000_000, 15_000_000, 400_000_000
_MOST_GROUPS, _MOST_NEW = 400_000, 300
_TANGENTS = (0.8, 1.0, 1.3)


@dataclass(frozen=True, slots=True)
class ExactGrouping:
    """A grouping, what it costs, and what is known of the best.

    Attributes
    ----------
    labels
        Group of each atom, numbered in the order of their first atoms; groups of fixed atoms have their numbers.
    objective
        Cost of the grouping (``grouping_cost``).
    lower_bound
        No grouping into as many contiguous groups costs less.
    gap
        Share of the objective that a better grouping could save at most; 0.0 when proven.
    proven
        Whether no better grouping exists (to 0.000001).
    seconds
        Time taken.
    rounds
        Times the linear programme was solved.
    groups
        Number of groups it chose from at the end.
    """

    labels: Integers
    objective: float
    lower_bound: float
    gap: float
    proven: bool
    seconds: float
    rounds: int
    groups: int


def grouping_cost(task: Task, labels: Integers) -> float:
    """Return the cost that ``group`` anneals and ``solve_exactly`` minimises, for any grouping.

    For each group: how far its weight is off the bounds (with the gentle pull to their middle), 1 / Polsby-Popper, and how far its
    load is off the mean; and the border that follows no line, in sides of a mean group. Groups need not be contiguous. Infinite
    where a fixed atom is not with its like; what was there before is not counted.

    Parameters
    ----------
    labels
        Group of each atom, from 0, none empty.
    """
    return GroupCosts(task, int(labels.max()) + 1).of_labels(labels)


def solve_exactly(
    task: Task, count: int, *, hint: Integers | None = None, seconds: float = 30.0, seed: int = 0
) -> ExactGrouping:
    """Return the cheapest grouping into ``count`` contiguous groups, or the best found in time with its gap.

    Parameters
    ----------
    count
        Number of groups; as many as atoms where there are fewer atoms.
    hint
        Grouping to begin from, as ``group`` returns it; the answer never costs more. Where it has fewer groups than wanted,
        atoms of its heaviest groups are set apart first. Without it, ``group`` is asked.
    seconds
        Time after which the best found is returned, overrun by one step at most (some tenths of a second). What numba compiles on
        the first call ever is not counted.
    seed
        Same task, count, hint and seed, same answer, unless the time ran out.

    Raises
    ------
    GridsvcError
        When the atoms are not connected, are more than ``MOST_ATOMS``, or have borders too entangled; when bounds, weights
        or hint are impossible.

    Notes
    -----
    Cost: grows with the atoms open at a time (``group_search``); measured numbers in docs/decisions/0011-exact-division.md.
    """
    _check(task, count)
    _compile()
    began = time.monotonic()
    size = len(task.weight)
    count = min(count, size)
    if count == 1 or count == size:
        labels = np.arange(size, dtype=np.int64) if count == size else np.zeros(size, dtype=np.int64)
        cost = grouping_cost(task, labels)
        return ExactGrouping(_numbered(labels, task), cost, cost, 0.0, True, time.monotonic() - began, 0, count)
    if hint is None:
        hint, _ = group(task, count, seed=seed, starts=1, moves_per_atom=_MOVES_PER_ATOM)
    choice = _Choice(task, count, _completed(_checked_hint(hint, task, count), task, count))
    search = _Search(choice, began + seconds, seed)
    search.run()
    gap = max(0.0, (choice.cost - search.lower_bound) / choice.cost)
    proven = choice.cost - search.lower_bound <= _EXACT
    return ExactGrouping(
        _numbered(choice.labels, task),
        choice.cost,
        min(search.lower_bound, choice.cost),
        0.0 if proven else gap,
        proven,
        time.monotonic() - began,
        search.rounds,
        len(choice.groups),
    )


def exact_governance_grids(
    atoms: Atoms, rules: DivisionRules, *, seed: int, seconds: float, community: CommunityInput | None = None
) -> tuple[Integers, ExactGrouping]:
    """Return the governance grid of each atom, and what is known of the best with as many grids as ``governance_grids`` makes.

    Dedicated areas are grids of their own as there. What is left may have several parts: each is grouped exactly, their costs add up.

    Parameters
    ----------
    seconds
        For all parts together.
    community
        As for ``governance_grids``.

    Raises
    ------
    GridsvcError
        When a part has more than ``MOST_ATOMS`` atoms, or grids that were there before should be kept.
    """
    _compile()
    until = time.monotonic() + seconds
    parts: list[ExactGrouping] = []

    def improve(task: Task, labels: Integers) -> Integers:
        left = max(0.0, until - time.monotonic())
        parts.append(solve_exactly(task, int(labels.max()) + 1, hint=labels, seconds=left, seed=seed))
        return parts[-1].labels

    labels = governance_grids(atoms, rules, seed=seed, community=community, improve=improve)
    cost, bound = sum(part.objective for part in parts), sum(part.lower_bound for part in parts)
    proven = all(part.proven for part in parts)
    return labels, ExactGrouping(
        labels,
        cost,
        bound,
        0.0 if proven else (cost - bound) / cost,
        proven,
        sum(part.seconds for part in parts),
        sum(part.rounds for part in parts),
        sum(part.groups for part in parts),
    )


@cache
def _compile() -> None:
    """Have the kernels compiled, or read from the cache, by grouping four squares."""
    sides = np.array([0, 0, 1, 2]), np.array([1, 2, 3, 3])
    task = Task(
        Neighbours.of_pairs(4, *sides, np.ones(4), np.ones(4)), np.ones(4), np.ones(4), np.full(4, 4.0), 1.0, 2.0
    )
    _Search(_Choice(task, 2, np.array([0, 0, 0, 1])), np.inf, 0).run()


def _check(task: Task, count: int) -> None:
    size = len(task.weight)
    if size > MOST_ATOMS:
        raise GridsvcError(
            f"The exact grouping takes at most {MOST_ATOMS} atoms; this community has {size}.",
            hint="Divide it without the exact grouping, or by parts.",
            atoms=size,
            most_atoms=MOST_ATOMS,
        )
    if size == 0 or count < 1:
        raise GridsvcError(f"{size} atoms cannot be grouped into {count} groups.", hint="Give one of each at least.")
    if not 0 <= task.low < task.high:
        raise GridsvcError(
            f"A group's weight cannot be kept between {task.low:g} and {task.high:g}.",
            hint="Give bounds with 0 <= low < high.",
        )
    measures = np.stack([task.weight, task.area_m2, task.perimeter_m])
    if not (np.isfinite(measures).all() and (measures >= 0).all()):
        raise GridsvcError(
            "Weights, areas and perimeters of atoms must be finite and not below zero.", hint="Correct the atoms."
        )
    if not task.area_m2.sum() > 0:
        raise GridsvcError("The atoms have no area.", hint="Correct the atoms.")
    if task.former is not None and task.keep_cost > 0:
        raise GridsvcError(
            "The exact grouping does not weigh which group an atom was in before.",
            hint="Divide without it, or with stability 0.",
        )
    if task.fixed is not None and int(task.fixed.max(initial=-1)) >= count:
        raise GridsvcError(
            f"An atom is fixed to group {int(task.fixed.max())}, but {count} groups are wanted.",
            hint="Ask for more groups.",
        )
    parts = int(task.neighbours.components().max()) + 1
    if parts > 1:
        raise GridsvcError(
            f"The atoms fall into {parts} parts that share no border.",
            hint="Link the parts (Atoms.linked), or group each by itself.",
        )


def _checked_hint(hint: Integers, task: Task, count: int) -> Integers:
    """Return the hint numbered from 0 without empty groups, refusing what is no contiguous grouping into so many groups."""
    if len(hint) != len(task.weight):
        raise GridsvcError(
            f"The grouping to begin from has {len(hint)} atoms, the task {len(task.weight)}.",
            hint="Give one label per atom.",
        )
    labels = _in_order(np.asarray(hint))
    groups = int(labels.max()) + 1
    if groups > count:
        raise GridsvcError(
            f"The grouping to begin from has {groups} groups, more than the {count} wanted.",
            hint="Give one with fewer.",
        )
    if int(_parts(task, labels).max()) + 1 > groups:
        raise GridsvcError(
            "The grouping to begin from has a group that is not contiguous.", hint="Give one of contiguous groups."
        )
    if not np.isfinite(grouping_cost(task, labels)):
        raise GridsvcError(
            "The grouping to begin from has an atom that is not in the group it is fixed to.",
            hint="Give one that keeps them.",
        )
    return labels


def _parts(task: Task, labels: Integers) -> Integers:
    """Return the contiguous part of its group that each atom belongs to."""
    near = task.neighbours
    rows = np.repeat(np.arange(len(labels)), np.diff(near.start))
    same = (labels[rows] == labels[near.ids]) & (rows < near.ids)
    nothing = np.zeros(int(same.sum()))
    return type(near).of_pairs(len(labels), rows[same], near.ids[same], nothing, nothing).components()


def _in_order(labels: Integers) -> Integers:
    """Return the labels numbered in the order of their first atoms."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _numbered(labels: Integers, task: Task) -> Integers:
    """Return the labels numbered in the order of their first atoms, but as fixed where atoms are."""
    labels = _in_order(labels)
    if task.fixed is None or not (task.fixed >= 0).any():
        return labels
    groups = int(labels.max()) + 1
    number = np.full(groups, -1, dtype=np.int64)
    held = task.fixed >= 0
    number[labels[held]] = task.fixed[held]
    number[number < 0] = np.setdiff1d(np.arange(groups), number)
    return number[labels]


def _completed(labels: Integers, task: Task, count: int) -> Integers:
    """Return the labels with as many groups as wanted: the heaviest groups give up single atoms they stay whole without."""
    labels = labels.copy()
    for new in range(int(labels.max()) + 1, count):
        sizes, held = np.bincount(labels), np.bincount(labels, task.weight)
        heaviest = int(max(range(new), key=lambda g: (sizes[g] > 1, held[g])))
        members = np.flatnonzero(labels == heaviest)
        if task.fixed is not None:
            members = members[np.argsort(task.fixed[members] >= 0, kind="stable")]
        for atom in members:
            apart = labels.copy()
            apart[atom] = new
            # every contiguous group of two atoms or more has one it stays whole without
            if int(_parts(task, apart).max()) == new:
                labels = apart
                break
    return labels


class _Choice:
    """The groups known so far, each once, and the best choice among them so far."""

    def __init__(self, task: Task, count: int, labels: Integers) -> None:
        self.costs = GroupCosts(task, count)
        self.count = count
        self.groups: list[Groups] = []
        self.cost_of: list[float] = []
        self._known: set[bytes] = set()
        self.labels = labels
        self.cost = np.inf
        self.offer(labels)

    def add(self, groups: Groups) -> int:
        """Take groups not known yet; return how many these were."""
        before = len(self.groups)
        for chosen in groups:
            key = np.packbits(chosen).tobytes()
            if key not in self._known:
                self._known.add(key)
                self.groups.append(chosen.copy())
                self.cost_of.append(float(self.costs.of(chosen[None])[0]))
        return len(self.groups) - before

    def offer(self, labels: Integers) -> None:
        """Take the groups of a grouping, and the grouping itself where it is the best so far."""
        self.add(labels == np.arange(self.count)[:, None])
        cost = self.costs.of_labels(labels)
        if cost < self.cost - 1e-9:
            self.labels, self.cost = labels, cost

    def priced(self) -> tuple[Floats, float, Groups]:
        """Return the prices of the atoms and of one group in the cheapest fractional choice, and the groups chosen."""
        held = np.vstack([np.array(self.groups, dtype=float).T, np.ones(len(self.groups))])
        wanted = np.append(np.ones(len(held) - 1), self.count)
        solved = linprog(self.cost_of, A_eq=held, b_eq=wanted, method="highs")
        prices = solved.eqlin.marginals
        used = np.array([self.groups[i] for i in np.flatnonzero(solved.x > 1e-9)])
        return prices[:-1], float(prices[-1]), used


class _Search:
    """Raises the lower bound and lowers the cost of the best choice until they meet or the time is over."""

    def __init__(self, choice: _Choice, until: float, seed: int) -> None:
        self.choice = choice
        self.until = until
        self.seed = seed
        self.rounds = 0
        # no term of the cost is below zero
        self.lower_bound = 0.0

    def left(self) -> float:
        """Return the time left. Unit: s."""
        return self.until - time.monotonic()

    def run(self) -> None:
        """Search."""
        choice = self.choice
        for start in range(_STARTS):
            if self.left() <= 0:
                return
            labels, _ = group(
                choice.costs.task,
                choice.count,
                seed=self.seed + 1000 + start,
                starts=1,
                moves_per_atom=_MOVES_PER_ATOM,
            )
            if int(labels.max()) + 1 == choice.count:
                choice.offer(labels)
        searched = self._price()
        if searched is not None:
            self._close(*searched)

    def _price(self) -> tuple[GroupSearch, Floats, float, float] | None:
        """Add groups until none costs less than its price; return the search, the prices, the least cost above them, the bound."""
        choice = self.choice
        typical = self._roundness()
        search = GroupSearch(choice.costs, tuple(share * typical for share in _TANGENTS), choice.cost)
        while self.left() > 0:
            prices, price = self._annealed_round()
            if self.left() <= 0:
                break
            least = search.set_prices(prices)
            self._raise(float(prices.sum()) + choice.count * min(price, least))
            found, cost, is_all = search.within(price, most_groups=_MOST_GROUPS, most_steps=self._steps(_STEPS_PER_S))
            cheapest = float(cost.min(initial=price))
            cheap = np.argsort(cost, kind="stable")[:_MOST_NEW]
            added = choice.add(found[cheap[cost[cheap] < price - _EXACT / choice.count]])
            if is_all:
                bound = float(prices.sum()) + choice.count * cheapest
                self._raise(bound)
                if added == 0:
                    return search, prices, cheapest, bound
            elif added == 0:
                break
        return None

    def _annealed_round(self) -> tuple[Floats, float]:
        """Add annealed groups until none is found; return the prices of the atoms and of one group."""
        choice = self.choice
        while True:
            self.rounds += 1
            prices, price, used = choice.priced()
            if self.left() <= 0:
                return prices, price
            draw = np.random.default_rng([self.seed, self.rounds])
            others = used[draw.integers(len(used), size=max(0, _ANNEALED - len(used)))]
            limit = price - _EXACT
            added = 0
            for begun, hot in ((used, 0.05), (others, 0.5)):
                found = annealed_groups(
                    choice.costs, begun, prices, limit, hot=hot, moves=_GROUP_MOVES, seed=self.seed + self.rounds
                )
                added += choice.add(found)
            if added == 0:
                return prices, price

    def _close(self, search: GroupSearch, prices: Floats, least: float, bound: float) -> None:
        """List the groups nearest to their prices, little by little, and choose among them, until nothing better can be left.

        A grouping costs ``bound`` and what its groups cost above their prices and the least, in all.
        """
        choice = self.choice
        reach = 0.02
        while choice.cost - self.lower_bound > _EXACT and self.left() > 0:
            before = choice.cost
            gap = before - bound
            reach = min(reach, gap)
            groups, cost, is_all = search.within(
                least + reach, most_groups=_MOST_GROUPS, most_steps=self._steps(_STEPS_PER_S)
            )
            above = np.maximum(cost - least, 0.0)
            chosen, none_missed = cheapest_choice(groups, above, choice.count, gap - 1e-9, self._steps(_CHOICES_PER_S))
            if len(chosen):
                choice.offer(groups[chosen].argmax(axis=0))
            if is_all and none_missed:
                # a grouping with a group out of reach costs more than the bound and the reach together
                self._raise(bound + reach)
                reach *= 3
            elif choice.cost == before:
                return

    def _steps(self, per_s: int) -> int:
        """Return how many steps a kernel may take in the time left."""
        return int(min(_MOST_STEPS, max(self.left(), 0.05) * per_s))

    def _raise(self, bound: float) -> None:
        """Take a lower bound; it holds for groupings cheaper than the best known, so it ends there."""
        self.lower_bound = max(self.lower_bound, min(bound, self.choice.cost))

    def _roundness(self) -> float:
        """Return perimeter over area of the groups of the best grouping. Unit: 1/m."""
        choice, task = self.choice, self.choice.costs.task
        near = task.neighbours
        rows = np.repeat(np.arange(len(choice.labels)), np.diff(near.start))
        inner_m = near.shared_m[choice.labels[rows] == choice.labels[near.ids]].sum()
        return float((task.perimeter_m.sum() - inner_m) / task.area_m2.sum())
