"""Governance grids: contiguous groups of atoms with 300-500 households, bordered by streets, walls and water first.

Dedicated areas are grids of their own, a seed has a grid to itself, natural villages stay whole, and households stay in the
grid they were in where that is wanted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import shapely

from gridsvc.division.atoms import Atoms
from gridsvc.division.borders import Neighbours, components_within
from gridsvc.division.communities import CommunityInput, DivisionRules, Floats, Integers, summed
from gridsvc.division.grouping import Task, group
from gridsvc.division.hamlets import linked_atoms

# cost of all households changing their grid at full stability, of the spread of components and events
_KEEP_COST, _LOAD_COST = 40.0, 0.2
_COUNTS_TRIED = 3


def likely_counts(households: int, rules: DivisionRules) -> list[int]:
    """Return the numbers of governance grids to try, best first; never empty.

    Numbers that allow every grid inside the bounds come first, nearest to their middle. Where none does (550 households: one
    grid too large or two too small), the number that misses the bounds by least is the only one.

    Examples
    --------
    >>> likely_counts(2000, DivisionRules())
    [5, 6, 4]
    >>> likely_counts(550, DivisionRules())
    [2]
    """
    low, high = rules.households_min, rules.households_max
    fewest, most = math.ceil(households / high), households // low
    middle = households / (0.5 * (low + high))
    if 1 <= fewest <= most:
        counts = range(fewest, most + 1)
        return sorted(counts, key=lambda count: (abs(count - middle), count))[:_COUNTS_TRIED]
    return [min((max(1, most), max(1, fewest)), key=lambda count: (_missed(households / count, low, high), count))]


def _missed(households: float, low: int, high: int) -> float:
    return max(0.0, (low - households) / low, (households - high) / high)


def governance_grids(
    atoms: Atoms,
    rules: DivisionRules,
    *,
    seed: int,
    community: CommunityInput | None = None,
    improve: Callable[[Task, Integers], Integers] | None = None,
) -> Integers:
    """Return the governance grid of each atom, numbered from 0.

    Grids are contiguous; where the community has separate parts, a part too small for a grid of its own joins the nearest one.

    Parameters
    ----------
    community
        Where seeds, former grids and villager groups are read from; without it atoms are grouped as they are.
    improve
        Takes each task and the grouping found, and returns the one to use (``exact_grouping``).
    """
    grid = np.full(len(atoms.area_m2), -1, dtype=np.int64)
    made = 0
    for area in range(int(atoms.owner.max()) + 1):
        members = np.flatnonzero(atoms.owner == area)
        if len(members) == 0:
            continue
        # a street through a campus leaves it whole; a part beyond other land is ordinary ground again
        part = atoms.neighbours.among(members).components()
        largest = np.bincount(part, atoms.area_m2[members]).argmax()
        grid[members[part == largest]] = made
        made += 1
    free = np.flatnonzero(grid < 0)
    part = components_within(atoms.linked.start, atoms.linked.ids, np.where(grid < 0, 0, 1 + grid))[free]
    for chosen in (some for piece in np.unique(part) for some in _shores(atoms, free[part == piece], rules)):
        grid[chosen] = made + _grouped(atoms, chosen, rules, seed, community, improve)
        made = int(grid[chosen].max()) + 1
    return grid


def _shores(atoms: Atoms, chosen: Integers, rules: DivisionRules) -> list[Integers]:
    """Return the atoms in sets that are divided by themselves: separate parts of a community where each can be.

    A part with too few households for a grid goes with the part it is tied to. Where a set could then not be shared out in
    bounds, all are one set, and a grid may reach over the gap.
    """
    part = atoms.neighbours.among(chosen).components()
    if part.max() == 0:
        return [chosen]
    tied = atoms.linked.among(chosen)
    rows = np.repeat(np.arange(len(chosen)), np.diff(tied.start))
    across = part[rows] != part[tied.ids]
    links = np.unique(np.stack([part[rows[across]], part[tied.ids[across]]]), axis=1)
    shore = np.arange(int(part.max()) + 1)
    while True:
        held = summed(shore[part], atoms.households[chosen], len(shore))
        apart = shore[links[0]] != shore[links[1]]
        small = apart & (held[shore[links[0]]] < rules.households_min)
        if not small.any():
            break
        first, second = shore[links[:, small][:, 0]]
        shore[shore == first] = second
    for number in np.unique(shore):
        total = int(held[number])
        count = likely_counts(total, rules)[0]
        if not rules.households_min <= total / count <= rules.households_max:
            return [chosen]
    return [chosen[shore[part] == number] for number in np.unique(shore)]


def _grouped(
    atoms: Atoms,
    chosen: Integers,
    rules: DivisionRules,
    seed: int,
    community: CommunityInput | None,
    improve: Callable[[Task, Integers], Integers] | None,
) -> Integers:
    """Return the group of each of the chosen atoms, which are connected."""
    bundle = np.arange(len(chosen)) if community is None else linked_atoms(atoms, chosen, community, rules)
    task = _task(atoms, chosen, bundle, rules)
    fixed, former = (None, None) if community is None else (_seeded(atoms, chosen, bundle, community), None)
    if community is not None and len(community.former) and rules.stability > 0:
        former = _former(atoms, chosen, bundle, community)
    task = replace(task, fixed=fixed, former=former, keep_cost=_KEEP_COST * rules.stability)
    counts = likely_counts(int(task.weight.sum()), rules)
    if former is not None and int(former.max()) + 1 in counts:
        counts.sort(key=lambda count: count != int(former.max()) + 1)
    if fixed is not None:
        counts = [max(count, int(fixed.max()) + 1) for count in counts]
    labels = _best(task, counts, rules, seed)
    return (labels if improve is None else improve(task, labels))[bundle]


def _best(task: Task, counts: list[int], rules: DivisionRules, seed: int) -> Integers:
    """Return the grouping of the first number of groups that keeps all in bounds, else of the one that misses least."""
    peopled = max(int((task.weight > 0).sum()), 1)
    best: Integers = np.zeros(len(task.weight), dtype=np.int64)
    best_missed = np.inf
    for count in dict.fromkeys(counts):
        if count > peopled and task.fixed is None:
            continue
        labels, _ = group(task, count, seed=seed, starts=rules.starts, moves_per_atom=rules.moves_per_atom)
        held = np.bincount(labels, task.weight)
        missed = float(np.mean((held < rules.households_min) | (held > rules.households_max)))
        if missed < best_missed:
            best, best_missed = labels, missed
        if missed == 0.0:
            break
    return best


def _task(atoms: Atoms, chosen: Integers, bundle: Integers, rules: DivisionRules) -> Task:
    """Return the task of grouping bundles of atoms."""
    near = atoms.linked.among(chosen)
    size = int(bundle.max()) + 1
    rows = np.repeat(np.arange(len(chosen)), np.diff(near.start))
    once = rows < near.ids
    first, second = bundle[rows[once]], bundle[near.ids[once]]
    inside = first == second
    perimeter = summed(bundle, atoms.perimeter_m[chosen], size)
    perimeter -= 2 * summed(first[inside], near.shared_m[once][inside], size)
    return Task(
        Neighbours.of_pairs(size, first, second, near.shared_m[once], near.off_line_m[once]),
        summed(bundle, atoms.households[chosen], size),
        summed(bundle, atoms.area_m2[chosen], size),
        perimeter,
        float(rules.households_min),
        float(rules.households_max),
        load=summed(bundle, _share(atoms.components[chosen]) + _share(atoms.events[chosen]), size),
        load_cost=_LOAD_COST,
    )


def _share(counts: Floats) -> Floats:
    return counts / max(float(counts.sum()), 1.0)


def _seeded(atoms: Atoms, chosen: Integers, bundle: Integers, community: CommunityInput) -> Integers | None:
    """Return the group each bundle is fixed to by a seed, -1 for the others; None without seeds here.

    Of several seeds in one bundle the first counts: what cannot be divided cannot be two grids.
    """
    if len(community.seeds) == 0:
        return None
    seed, face = shapely.STRtree(atoms.faces).query(community.seeds, predicate="intersects")
    place = np.full(len(atoms.area_m2), -1, dtype=np.int64)
    place[chosen] = bundle
    fixed = np.full(int(bundle.max()) + 1, -1, dtype=np.int64)
    _, first = np.unique(seed, return_index=True)
    seeded = place[atoms.atom_of_face[face[first]]]
    held = list(dict.fromkeys(int(b) for b in seeded if b >= 0))
    fixed[held] = np.arange(len(held))
    return fixed if held else None


def _former(atoms: Atoms, chosen: Integers, bundle: Integers, community: CommunityInput) -> Integers | None:
    """Return the former grid of each bundle, numbered from 0 by falling households; -1 where there was none."""
    inner = shapely.point_on_surface(atoms.faces)
    face, grid = shapely.STRtree(community.former).query(inner, predicate="intersects")
    overlap = np.zeros((len(atoms.area_m2), len(community.former)))
    np.add.at(overlap, (atoms.atom_of_face[face], grid), shapely.area(atoms.faces[face]))
    by_bundle = np.zeros((int(bundle.max()) + 1, len(community.former)))
    np.add.at(by_bundle, bundle, overlap[chosen])
    former = np.where(by_bundle.sum(axis=1) > 0, by_bundle.argmax(axis=1), -1)
    households = np.bincount(bundle, atoms.households[chosen])
    held = np.bincount(former[former >= 0], households[former >= 0] + 1e-6, len(community.former))
    order = np.argsort(-held, kind="stable")[: int((held > 0).sum())]
    number = np.full(len(community.former) + 1, -1, dtype=np.int64)  # the last one is for -1
    number[order] = np.arange(len(order))
    return number[former] if len(order) else None
