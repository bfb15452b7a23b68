"""Merge networks over common parcels: who answers for each parcel in each network, and one grid above them all.

Parcels are the smallest pieces everybody agrees on (unit grids). A parcel belongs to the grid of a network that holds its inner
point; a merged grid is a union of parcels, so it is as exact as they are. For a merged grid the answering grid of a network is the
one with most of its households.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.errors import GridsvcError

Codes = NDArray[np.object_]
Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Parcels:
    """The parcels of an area, an exact coverage.

    ``code`` is text; ``area_m2`` in m2; ``households`` and ``population`` whole numbers. Shape of all: (n,). CRS: any, one.
    """

    code: Codes
    geometry: NDArray[np.object_]
    area_m2: Floats
    households: NDArray[np.integer]
    population: NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Responsible:
    """Who answers for a merged grid in one network.

    ``code`` is the grid with most households (most area where nobody lives), None where the network has no grid there. ``share`` is its
    share of the households, ``area_share`` of the area. ``is_nested`` says that each of the ``grids`` grids of that network
    found here lies wholly in this merged grid, so that nobody is split.
    """

    code: str | None
    share: float
    area_share: float
    grids: int
    is_nested: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """A merged grid in which several grids of a network answer, none of them wholly inside it; ``shares`` by code, of households."""

    unified_code: str
    network: str
    shares: dict[str, float]
    area_shares: dict[str, float]


@dataclass(frozen=True, slots=True)
class CrosswalkRow:
    """How much of a network's grid went into a merged grid. The shares of one ``from_code`` add up to one."""

    network: str
    from_code: str
    unified_code: str
    area_m2: float
    area_share: float
    households: int
    household_share: float


@dataclass(frozen=True, slots=True)
class MergedNet:
    """The merged net.

    ``code`` of each merged grid is that of the reference network's grid it continues. ``who_answers`` gives, for each parcel and
    network, the grid that answers there or None; ``unified_of_parcel`` indexes ``code``, -1 for a parcel the reference does not hold.
    """

    code: Codes
    geometry: NDArray[np.object_]
    households: NDArray[np.integer]
    population: NDArray[np.integer]
    area_m2: Floats
    responsible: list[dict[str, Responsible]]
    conflicts: list[Conflict]
    crosswalk: list[CrosswalkRow]
    who_answers: dict[str, Codes]
    unified_of_parcel: NDArray[np.integer]


def merge_by_parcels(
    parcels: Parcels, labels: Mapping[str, Codes], *, reference: str = "social", unified: Codes | None = None
) -> MergedNet:
    """Return the merged net: the reference network's grids rebuilt from parcels, with who answers in every network.

    Parameters
    ----------
    parcels
        Unit grids.
    labels
        By network, the grid code of each parcel by its inner point, None where there is none. Shape: as the parcels.
    reference
        Network whose grids the merged net continues.
    unified
        Code of the merged grid of each parcel, None for none, where that is not the reference's. Shape: as the parcels.

    Raises
    ------
    GridsvcError
        When the reference network has no labels, or labels and parcels differ in number.

    Notes
    -----
    Source: three nets into one, domain.md 2.1; voting by inner points, methods.md section 4. Shares are ours.
    """
    _check(parcels, labels, reference)
    order, group = _unified(labels[reference] if unified is None else unified)
    held = group >= 0
    size = len(order)
    merged = MergedNet(
        code=order,
        geometry=_unions(parcels.geometry, group, size),
        households=_sums(group, parcels.households, size).astype(np.int64),
        population=_sums(group, parcels.population, size).astype(np.int64),
        area_m2=_sums(group, parcels.area_m2, size),
        responsible=[{} for _ in range(size)],
        conflicts=[],
        crosswalk=[],
        who_answers={network: codes.copy() for network, codes in labels.items()},
        unified_of_parcel=group,
    )
    for network, codes in labels.items():
        table = _Meeting.of(parcels, group, codes, held)
        _fill_responsible(merged, network, table)
        merged.crosswalk.extend(table.crosswalk(network, order))
    return merged


def _check(parcels: Parcels, labels: Mapping[str, Codes], reference: str) -> None:
    if reference not in labels:
        raise GridsvcError(f"Network {reference} has no grids here.", hint="Divide or import it first.")
    wrong = [network for network, codes in labels.items() if len(codes) != len(parcels.code)]
    if wrong:
        raise GridsvcError(f"{len(parcels.code)} parcels but another number of labels of {', '.join(wrong)}.")


def _unified(codes: Codes) -> tuple[Codes, NDArray[np.integer]]:
    """Return the codes of the merged grids in order, and the merged grid of each parcel."""
    known = np.array([code is not None for code in codes], dtype=bool)
    order, inverse = np.unique(codes[known].astype(str), return_inverse=True)
    unified = np.full(len(codes), -1, dtype=np.int64)
    unified[known] = inverse
    return order.astype(object), unified


def _sums(group: NDArray[np.integer], values: NDArray, size: int) -> Floats:
    held = group >= 0
    return np.bincount(group[held], np.asarray(values, dtype=float)[held], size).astype(float)


def _unions(polygons: NDArray[np.object_], group: NDArray[np.integer], size: int) -> NDArray[np.object_]:
    order = np.argsort(group, kind="stable")
    order = order[group[order] >= 0]
    unions = np.empty(size, dtype=object)
    if size:
        pieces = np.split(polygons[order], np.flatnonzero(np.diff(group[order])) + 1)
        unions[:] = [shapely.coverage_union_all(piece) for piece in pieces]
    return unions


@dataclass(frozen=True, slots=True)
class _Meeting:
    """Where grids of one network meet merged grids: one row per pair, with what they share and what the network's grid has in all.

    ``code`` is None for land the network does not hold. Rows are ordered by merged grid, then code.
    """

    unified: NDArray[np.integer]
    code: list[str | None]
    area_m2: Floats
    households: Floats
    all_area_m2: Floats
    all_households: Floats

    @classmethod
    def of(cls, parcels: Parcels, unified: NDArray[np.integer], codes: Codes, held: NDArray[np.bool_]) -> _Meeting:
        names, label = np.unique([code or "" for code in codes], return_inverse=True)
        total_area = np.bincount(label, np.where(held, parcels.area_m2, 0.0), len(names))
        total_households = np.bincount(label, np.where(held, parcels.households, 0), len(names))
        pairs, row = np.unique(unified[held] * len(names) + label[held], return_inverse=True)
        which = pairs % len(names)
        return cls(
            unified=pairs // len(names),
            code=[str(names[i]) or None for i in which],
            area_m2=np.bincount(row, parcels.area_m2[held], len(pairs)).astype(float),
            households=np.bincount(row, parcels.households[held], len(pairs)).astype(float),
            all_area_m2=total_area[which],
            all_households=total_households[which],
        )

    def crosswalk(self, network: str, unified_codes: Codes) -> list[CrosswalkRow]:
        """Return the crosswalk rows of the network, by its code, then merged code."""
        rows = []
        for i, code in enumerate(self.code):
            if code is None:
                continue
            area_share = float(self.area_m2[i] / self.all_area_m2[i])
            # where nobody lives, households follow area
            peopled = self.all_households[i] > 0
            household_share = float(self.households[i] / self.all_households[i]) if peopled else area_share
            rows.append(
                CrosswalkRow(
                    network,
                    code,
                    unified_codes[self.unified[i]],
                    float(self.area_m2[i]),
                    area_share,
                    int(self.households[i]),
                    household_share,
                )
            )
        return sorted(rows, key=lambda row: (row.from_code, row.unified_code))


def _fill_responsible(merged: MergedNet, network: str, table: _Meeting) -> None:
    first = np.searchsorted(table.unified, np.arange(len(merged.code) + 1))
    for index, (a, b) in enumerate(itertools.pairwise(first)):
        answer, conflict = _answering(merged, index, network, table, slice(a, b))
        merged.responsible[index][network] = answer
        if conflict is not None:
            merged.conflicts.append(conflict)


def _answering(
    merged: MergedNet, index: int, network: str, table: _Meeting, rows: slice
) -> tuple[Responsible, Conflict | None]:
    codes = table.code[rows]
    area_shares = table.area_m2[rows] / merged.area_m2[index]
    households = merged.households[index]
    shares = table.households[rows] / households if households else area_shares
    best = min(range(len(codes)), key=lambda i: (-shares[i], -area_shares[i], codes[i] or ""))
    whole = np.abs(table.area_m2[rows] - table.all_area_m2[rows]) <= 1e-9 * table.all_area_m2[rows]
    is_nested = all(codes) and bool(whole.all())
    answer = Responsible(codes[best], float(shares[best]), float(area_shares[best]), len(codes), is_nested)
    if len(codes) == 1 or is_nested:
        return answer, None
    named = [code or "" for code in codes]
    return answer, Conflict(
        merged.code[index],
        network,
        dict(zip(named, map(float, shares), strict=True)),
        dict(zip(named, map(float, area_shares), strict=True)),
    )
