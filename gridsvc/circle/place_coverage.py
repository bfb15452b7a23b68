"""Coverage of a service circle by place: communities, streets, districts, grids, or any other way to tell residences apart.

Shares are counted three ways - people, households, residences - and never where there is nothing to count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridsvc.circle.coverage import QUALIFIED_SHARE, CircleStandard, is_in_time
from gridsvc.circle.walk_network import Floats, Ints
from gridsvc.errors import RequestInvalidError

WEIGHTS = ("population", "households", "residences")


@dataclass(frozen=True, eq=False, slots=True)
class PlaceCoverage:
    """Coverage of places, in the order of their codes; kinds in the order of the standard.

    Attributes
    ----------
    place_codes
        Codes, each once; "" holds the residences that lie in no place.
    totals
        People, households and residences of each place. Shape: (places, 3), see :data:`WEIGHTS`.
    kind_shares
        Share of each of the three that reaches each kind in its minutes. Shape: (places, 3, kinds); NaN where there is none.
    complete_shares
        Share of each of the three that reaches *every* required kind. Shape: (places, 3); NaN where there is none.
    compliance
        Required kinds reached by at least ``qualified_share`` of the people over required kinds; NaN where nobody lives.
    is_lacking
        Required kinds that fewer people reach; False where nobody lives. Shape: (places, kinds).
    is_judged
        Whether people live there.
    is_qualified
        Whether at least ``qualified_share`` of the people reach every required kind; False where nobody lives.
    """

    place_codes: tuple[str, ...]
    totals: Ints
    kind_shares: Floats
    complete_shares: Floats
    compliance: Floats
    is_lacking: NDArray[np.bool_]
    is_judged: NDArray[np.bool_]
    is_qualified: NDArray[np.bool_]

    @property
    def qualified_place_share(self) -> float | None:
        """Qualified places over places where people live; None where nobody does."""
        judged = int(self.is_judged.sum())
        return int(self.is_qualified.sum()) / judged if judged else None


def coverage_by_place(
    times_s: Floats,
    standard: CircleStandard,
    *,
    population: ArrayLike,
    households: ArrayLike,
    place_codes: Sequence[str],
    qualified_share: float = QUALIFIED_SHARE,
) -> PlaceCoverage:
    """Return who reaches what in each place.

    Parameters
    ----------
    times_s
        Shape (residences, kinds), kinds in the order of the standard; infinite out of reach.
    population, households
        People and households of each residence.
    place_codes
        Place of each residence; "" where it lies in none.

    Raises
    ------
    RequestInvalidError
        When the arrays are not of one length, or the standard asks for no kind.

    Notes
    -----
    Population coverage is people whose building is within the limit over all people, household and residence coverage likewise. The
    qualified circle and its 90 % are our design, from no standard. Cost: one pass over the residences for each kind.
    """
    counted = _counted(population, households, len(times_s))
    _check_lengths(times_s, standard, counted, place_codes)
    names, place = np.unique(np.asarray(place_codes, dtype=str), return_inverse=True)
    reached = is_in_time(times_s, standard)
    totals = _sums(np.ones((len(place), 1), dtype=bool), counted, place, len(names))[:, :, 0]
    kind_shares = _shares(_sums(reached, counted, place, len(names)), totals)
    complete = np.asarray(reached[:, standard.required].all(axis=1))[:, np.newaxis]
    complete_shares = _shares(_sums(complete, counted, place, len(names)), totals)[:, :, 0]
    is_judged = totals[:, 0] > 0
    is_lacking = (standard.required & (kind_shares[:, 0] < qualified_share)) & is_judged[:, np.newaxis]
    needed = int(standard.required.sum())
    compliance = np.where(is_judged & (needed > 0), 1.0 - is_lacking.sum(axis=1) / max(needed, 1), np.nan)
    return PlaceCoverage(
        place_codes=tuple(str(name) for name in names),
        totals=totals.astype(np.int64),
        kind_shares=kind_shares,
        complete_shares=complete_shares,
        compliance=compliance,
        is_lacking=is_lacking,
        is_judged=is_judged,
        is_qualified=is_judged & (complete_shares[:, 0] >= qualified_share),
    )


def mean_counts(counts: Ints, population: ArrayLike, place_codes: Sequence[str]) -> Floats:
    """Return how many facilities of each kind a person of each place has within each limit, on average.

    Parameters
    ----------
    counts
        Facilities within reach of each residence. Shape: (residences, kinds, limits).

    Returns
    -------
    means
        Weighted by people; NaN where nobody lives. Shape: (places, kinds, limits), places in the order of their codes.
    """
    people = np.asarray(population, dtype=np.float64)
    names, place = np.unique(np.asarray(place_codes, dtype=str), return_inverse=True)
    flat = counts.reshape(len(people), counts.shape[1] * counts.shape[2])
    sums = np.zeros((len(names), flat.shape[1]))
    for column in range(flat.shape[1]):
        sums[:, column] = np.bincount(place, weights=people * flat[:, column], minlength=len(names))
    total = np.bincount(place, weights=people, minlength=len(names)).astype(np.float64)
    return _over(sums, total[:, np.newaxis]).reshape(len(names), *counts.shape[1:])


def _counted(population: ArrayLike, households: ArrayLike, residences: int) -> Floats:
    """Return what is counted of each residence: people, households, itself. Shape: (3, residences)."""
    people, homes = np.asarray(population, dtype=np.float64), np.asarray(households, dtype=np.float64)
    if people.shape != (residences,) or homes.shape != (residences,):
        raise RequestInvalidError(
            f"{residences} residences came with {people.size} numbers of people and {homes.size} of households.",
            hint="Give one of each for every residence.",
        )
    return np.stack([people, homes, np.ones(residences)])


def _check_lengths(times_s: Floats, standard: CircleStandard, counted: Floats, place_codes: Sequence[str]) -> None:
    if not standard.kinds:
        raise RequestInvalidError(
            f"The standard {standard.standard_id} asks for no facility kind.", hint="Name at least one."
        )
    if times_s.shape != (counted.shape[1], len(standard.kinds)) or len(place_codes) != counted.shape[1]:
        raise RequestInvalidError(
            f"Times of shape {times_s.shape} came with {len(place_codes)} places and {len(standard.kinds)} kinds.",
            hint="Give a row and a place for each residence, a column for each kind.",
        )


def _sums(reached: NDArray[np.bool_], counted: Floats, place: Ints, places: int) -> Floats:
    """Return sums of what is counted over the residences that reach each column. Shape: (places, 3, columns)."""
    sums = np.empty((places, len(counted), reached.shape[1]))
    for row, weight in enumerate(counted):
        for column in range(reached.shape[1]):
            sums[:, row, column] = np.bincount(place, weights=weight * reached[:, column], minlength=places)
    return sums


def _shares(sums: Floats, totals: Floats) -> Floats:
    return _over(sums, totals[:, :, np.newaxis])


def _over(sums: Floats, totals: Floats) -> Floats:
    """Return sums over totals, NaN where a total is nothing."""
    total = np.broadcast_to(totals, sums.shape)
    return np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)
