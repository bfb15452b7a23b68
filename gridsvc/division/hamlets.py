"""Natural villages and villager groups: atoms of a village that no governance grid may divide."""

from __future__ import annotations

import numpy as np
import shapely
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gridsvc.division.atoms import Atoms
from gridsvc.division.borders import components_within
from gridsvc.division.communities import CommunityInput, DivisionRules, Integers


def linked_atoms(atoms: Atoms, chosen: Integers, community: CommunityInput, rules: DivisionRules) -> Integers:
    """Return the bundle each of the chosen atoms belongs to, numbered from 0: bundles are moved between grids as a whole.

    In a village the atoms of one villager group, or of one natural village (buildings within ``hamlet_gap_m`` of each other), are one
    bundle where they touch and hold no more households than a grid may. Elsewhere every atom is its own bundle.

    Notes
    -----
    Source: rural composite grids follow natural villages, villager groups or a number of households (domain.md 2.5, [S18][S20]).
    """
    size = len(chosen)
    if not community.is_village and len(community.villager_groups) == 0:
        return np.arange(size, dtype=np.int64)
    hamlet = _hamlet_of_atom(atoms, community, rules)[chosen]
    near = atoms.linked.among(chosen)
    # atoms without a hamlet keep apart from each other
    label = np.where(hamlet >= 0, hamlet, len(atoms.area_m2) + np.arange(size))
    part = components_within(near.start, near.ids, label)
    held = np.bincount(part, atoms.households[chosen])
    too_large = held[part] > rules.households_max
    _, bundle = np.unique(np.where(too_large, int(part.max()) + 1 + np.arange(size), part), return_inverse=True)
    return bundle.astype(np.int64)


def _hamlet_of_atom(atoms: Atoms, community: CommunityInput, rules: DivisionRules) -> Integers:
    """Return the hamlet with most households in each atom, -1 where no building stands."""
    groups = community.villager_groups
    hamlet = groups if len(groups) else natural_villages(community.buildings, rules.hamlet_gap_m)
    found = np.full(len(atoms.area_m2), -1, dtype=np.int64)
    held = (atoms.atom_of_building >= 0) & (hamlet >= 0)
    if not held.any():
        return found
    households = np.asarray(community.households)[held] if len(community.households) else np.zeros(int(held.sum()))
    keys = np.stack([atoms.atom_of_building[held], hamlet[held]])
    pairs, inverse = np.unique(keys, axis=1, return_inverse=True)
    weight = np.bincount(inverse.ravel(), households + 1.0)
    order = np.argsort(weight, kind="stable")
    found[pairs[0, order]] = pairs[1, order]
    return found


def natural_villages(buildings: np.ndarray, gap_m: float) -> Integers:
    """Return the natural village of each building: buildings chained at distances up to ``gap_m`` are one. Numbered from 0."""
    size = len(buildings)
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    first, second = shapely.STRtree(buildings).query(buildings, predicate="dwithin", distance=gap_m)
    graph = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(size, size))
    return connected_components(graph, directed=False)[1].astype(np.int64)
