"""What becomes of the grids of a network when it is redrawn: shared ground and households, weights both ways, kind of change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gridsvc.errors import CodeDuplicateError

KEPT, RESHAPE, SPLIT, MERGE, ARRANGEMENT = KINDS = ("kept", "reshape", "split", "merge", "arrangement")
# weights are whole multiples of 2**-32, which add up without rounding in any order
_UNITS = 2**32

Codes = NDArray[np.object_]
Geometries = NDArray[np.object_]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Homes:
    """Residences as points (projected, metric) with their households and residents. Shape: (n,)."""

    points: Geometries
    households: Integers
    population: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """Pairs of an old and a new grid that share ground, ordered by old code, then new code. Shape: (n,) each.

    Attributes
    ----------
    area_m2, households, population
        What the two share.
    old_area_share, old_household_share
        Weight of the new grid among the successors of the old one; they add up to exactly one for every old code here.
    new_area_share, new_household_share
        Weight of the old grid among the predecessors of the new one; they add up to exactly one for every new code here.
    relation
        Number of the group of grids that exchange ground, from 0, by lowest old code.
    kind
        Of the group, one of `KINDS`: ``kept`` (one grid, same code and shape), ``reshape`` (the same codes with other borders),
        ``split`` (one became several), ``merge`` (several became one), ``arrangement`` (anything else).
    retired, born
        Old codes without successor, new codes without predecessor; ascending.
    """

    old_code: Codes
    new_code: Codes
    area_m2: Floats
    households: Integers
    population: Integers
    old_area_share: Floats
    new_area_share: Floats
    old_household_share: Floats
    new_household_share: Floats
    relation: Integers
    kind: Codes
    retired: Codes
    born: Codes

    def __len__(self) -> int:
        return len(self.old_code)


def lineage_of(
    old_codes: Codes,
    old_grids: Geometries,
    new_codes: Codes,
    new_grids: Geometries,
    homes: Homes,
    *,
    sliver_m2: float = 1.0,
) -> Lineage:
    """Return what became of every old grid, and what every new one is made of.

    Parameters
    ----------
    old_codes, new_codes
        Codes, each once. Shape: (n,), (m,).
    old_grids, new_grids
        Partitions of about the same ground by (multi)polygons. CRS: the same projected, metric one as that of `homes`.
    homes
        Where people live. A home belongs to the grid that holds its point, of several that with the lowest code; without an
        old or a new grid it counts nowhere.
    sliver_m2
        Shared ground smaller than this, on which nobody lives, is the rounding of a border and no relation; the weights
        are those of what is left. A grid that shares only slivers keeps its largest one. Unit: m2.

    Raises
    ------
    CodeDuplicateError
        When a code comes twice among the old grids, or among the new.

    Notes
    -----
    Household weights are by area where a grid has no households. Weights are rounded to multiples of 2**-32; the largest
    of a grid takes the rest. Cost: one intersection for each pair of grids that meet and are not the same.
    """
    old, new = _Grids.of(old_codes, old_grids), _Grids.of(new_codes, new_grids)
    first, second, area = _shared_ground(old.shapes, new.shapes)
    households, population = _shared_people(old, new, homes, first, second)
    real = _no_slivers(first, second, area, households, sliver_m2)
    first, second, area = first[real], second[real], area[real]
    households, population = households[real], population[real]
    relation = _relations(first, second, len(old.codes), len(new.codes))
    by_people = [_household_weights(group, households, area) for group in (first, second)]
    return Lineage(
        old_code=old.codes[first],
        new_code=new.codes[second],
        area_m2=area,
        households=households,
        population=population,
        old_area_share=_weights(first, area),
        new_area_share=_weights(second, area),
        old_household_share=by_people[0],
        new_household_share=by_people[1],
        relation=relation,
        kind=_kinds(old, new, first, second, area, relation, sliver_m2),
        retired=np.delete(old.codes, first),
        born=np.delete(new.codes, second),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Grids:
    """Grids ordered by code."""

    codes: Codes
    shapes: Geometries

    @classmethod
    def of(cls, codes: Codes, shapes: Geometries) -> _Grids:
        names = np.asarray([str(code) for code in codes], dtype=object)
        if len(set(names)) != len(names):
            values, counts = np.unique(names.astype(str), return_counts=True)
            raise CodeDuplicateError(
                f"Grid code {values[counts > 1][0]} comes twice.", hint="Codes are unique in a network."
            )
        order = np.argsort(names, kind="stable")
        return cls(names[order], np.asarray(shapes, dtype=object)[order])

    def holding(self, points: Geometries) -> Integers:
        """Return the position of the grid that holds each point, -1 where none does; of several the first."""
        found = np.full(len(points), len(self.codes), dtype=np.int64)
        if len(points) and len(self.codes):
            point, grid = shapely.STRtree(self.shapes).query(points, predicate="intersects")
            np.minimum.at(found, point, grid)
        found[found == len(self.codes)] = -1
        return found


def _shared_ground(old: Geometries, new: Geometries) -> tuple[Integers, Integers, Floats]:
    """Return pairs of an old and a new grid that share area, with the area, ordered by old, then new."""
    if not len(old) or not len(new):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    same_old, same_new = _identical(old, new)
    rest_old = np.setdiff1d(np.arange(len(old)), same_old)
    rest_new = np.setdiff1d(np.arange(len(new)), same_new)
    b, a = shapely.STRtree(old[rest_old]).query(new[rest_new], predicate="intersects")
    first, second = rest_old[a], rest_new[b]
    area = shapely.area(shapely.intersection(old[first], new[second]))
    first, second = np.concatenate([first, same_old]), np.concatenate([second, same_new])
    area = np.concatenate([area, shapely.area(old[same_old])])
    order = np.lexsort((second, first))
    order = order[area[order] > 0]
    return first[order], second[order], area[order]


def _identical(old: Geometries, new: Geometries) -> tuple[Integers, Integers]:
    """Return the positions of grids that are the same polygon before and after: they share ground with no other."""
    place = {wkb: index for index, wkb in enumerate(shapely.to_wkb(shapely.normalize(old)).tolist())}
    found = [(place.get(wkb, -1), index) for index, wkb in enumerate(shapely.to_wkb(shapely.normalize(new)).tolist())]
    pairs = np.array([pair for pair in found if pair[0] >= 0], dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _shared_people(
    old: _Grids, new: _Grids, homes: Homes, first: Integers, second: Integers
) -> tuple[Integers, Integers]:
    """Return the households and residents on the ground of each pair."""
    before, after = old.holding(homes.points), new.holding(homes.points)
    placed = (before >= 0) & (after >= 0)
    width = max(1, len(new.codes))
    key, wanted = first * width + second, before[placed] * width + after[placed]
    at = np.searchsorted(key, wanted)
    known = (at < len(key)) & (np.take(key, at, mode="clip") == wanted if len(key) else False)
    counts = []
    for people in (homes.households, homes.population):
        total = np.bincount(at[known], weights=np.asarray(people)[placed][known], minlength=len(key))
        counts.append(np.rint(total).astype(np.int64))
    return counts[0], counts[1]


def _no_slivers(
    first: Integers, second: Integers, area: Floats, households: Integers, sliver_m2: float
) -> NDArray[np.bool_]:
    """Return which pairs are a relation: not a sliver, or the largest that one of the two grids has."""
    real = (area >= sliver_m2) | (households > 0)
    for group in (first, second):
        size = int(group.max()) + 1 if len(group) else 0
        has_real = np.zeros(size, dtype=bool)
        has_real[group[real]] = True
        for grid in np.setdiff1d(np.unique(group), np.flatnonzero(has_real)):
            own = np.flatnonzero(group == grid)
            real[own[np.argmax(area[own])]] = True
    return real


def _relations(first: Integers, second: Integers, olds: int, news: int) -> Integers:
    """Return the number of the connected group of each pair, by lowest old grid."""
    if not len(first):
        return np.zeros(0, dtype=np.int64)
    graph = coo_matrix((np.ones(len(first)), (first, second + olds)), shape=(olds + news, olds + news))
    _, component = connected_components(graph, directed=False)
    _, where, number = np.unique(component[first], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(where, kind="stable"), kind="stable")[number.ravel()].astype(np.int64)


def _kinds(
    old: _Grids, new: _Grids, first: Integers, second: Integers, area: Floats, relation: Integers, sliver_m2: float
) -> Codes:
    kinds = np.full(len(first), ARRANGEMENT, dtype=object)
    old_area, new_area = shapely.area(old.shapes), shapely.area(new.shapes)
    order = np.argsort(relation, kind="stable")
    for pairs in np.split(order, np.flatnonzero(np.diff(relation[order])) + 1) if len(order) else []:
        before, after = set(old.codes[first[pairs]]), set(new.codes[second[pairs]])
        if before == after:
            other_ground = old_area[first[pairs[0]]] + new_area[second[pairs[0]]] - 2 * area[pairs[0]]
            kinds[pairs] = KEPT if len(pairs) == 1 and other_ground < max(sliver_m2, 1e-6) else RESHAPE
        elif len(before) == 1 and len(after) > 1:
            kinds[pairs] = SPLIT
        elif len(after) == 1 and len(before) > 1:
            kinds[pairs] = MERGE
    return kinds


def _household_weights(group: Integers, households: Integers, area: Floats) -> Floats:
    """Return the weights by households within each group, by area where a group has none."""
    total = np.bincount(group, weights=households, minlength=int(group.max()) + 1 if len(group) else 0)
    return _weights(group, np.where(total[group] > 0, households, area))


def _weights(group: Integers, values: NDArray) -> Floats:
    """Return the share of each value in its group as multiples of 2**-32; those of a group add up to exactly one."""
    if not len(group):
        return np.zeros(0)
    size = int(group.max()) + 1
    total = np.bincount(group, weights=values, minlength=size)
    units = np.floor(values / total[group] * _UNITS).astype(np.int64)
    given = np.bincount(group, weights=units, minlength=size)
    # of each group the last in order of size takes what rounding left
    order = np.lexsort((values, group))
    largest = order[np.append(group[order][1:] != group[order][:-1], True)]
    units[largest] += _UNITS - np.rint(given[group[largest]]).astype(np.int64)
    return units / _UNITS
