"""Coverage of a service circle: who walks to what in time, which communities are complete, and what is lacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridsvc.circle.walk_network import Floats, Ints
from gridsvc.errors import NotFoundError

QUALIFIED_SHARE = (
    0.9  # our design, no standard says: a circle is qualified when 90 % of the people have all required kinds
)


@dataclass(frozen=True, slots=True)
class StandardKind:
    """A facility kind asked for by a standard: its code, the minutes it should be walked to in, whether it must be.

    ``is_verified`` says whether the kind was read in its source; ``group`` is the part of the standard it belongs to (Beijing: 一校, 二栏 ...).
    """

    code: str
    minutes: float
    required: bool
    is_verified: bool = False
    group: str = ""


@dataclass(frozen=True, slots=True)
class CircleStandard:
    """A list of facility kinds with minutes. ``is_verified`` says whether the list was checked against its source."""

    standard_id: str
    name_zh: str
    name_en: str
    source: str
    is_verified: bool
    note: str
    kinds: tuple[StandardKind, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        """Kind codes in the order of the standard."""
        return tuple(kind.code for kind in self.kinds)

    @property
    def limits_s(self) -> Floats:
        """Seconds to walk, per kind."""
        return np.array([60.0 * kind.minutes for kind in self.kinds])

    @property
    def required(self) -> NDArray[np.bool_]:
        """Whether each kind is required."""
        return np.array([kind.required for kind in self.kinds], dtype=bool)


def load_standards(parsed: Mapping[str, Any]) -> dict[str, CircleStandard]:
    """Return the standards of a parsed ``data/circle_standards.json`` by id."""
    return {
        row["id"]: CircleStandard(
            standard_id=row["id"],
            name_zh=row["name_zh"],
            name_en=row["name_en"],
            source=row["source"],
            is_verified=row["verified"],
            note=row["note"],
            kinds=tuple(
                StandardKind(kind["code"], kind["minutes"], kind["required"], kind["verified"], kind.get("group", ""))
                for kind in row["kinds"]
            ),
        )
        for row in parsed["standards"]
    }


def standard_document(standard: CircleStandard) -> dict[str, Any]:
    """Return a standard as it is stored with a run; :func:`load_standards` reads a list of such."""
    return {
        "id": standard.standard_id,
        "name_zh": standard.name_zh,
        "name_en": standard.name_en,
        "source": standard.source,
        "verified": standard.is_verified,
        "note": standard.note,
        "kinds": [
            {
                "code": kind.code,
                "minutes": kind.minutes,
                "required": kind.required,
                "verified": kind.is_verified,
                "group": kind.group,
            }
            for kind in standard.kinds
        ],
    }


def find_standard(standards: Mapping[str, CircleStandard], standard_id: str) -> CircleStandard:
    """Return a standard by id, or raise NotFoundError naming those there are."""
    if standard_id not in standards:
        raise NotFoundError(
            f"There is no circle standard {standard_id!r}.", hint=f"Use one of: {', '.join(standards)}."
        )
    return standards[standard_id]


@dataclass(frozen=True, slots=True)
class KindCoverage:
    """Coverage of one kind; shares are of all people, households and residences, None where there are none."""

    code: str
    minutes: float
    required: bool
    facilities: int
    population_covered: int
    population_share: float | None
    household_share: float | None
    residence_share: float | None


@dataclass(frozen=True, slots=True)
class CommunityCoverage:
    """Coverage of one community.

    ``compliance`` is required kinds reached by at least 90 % of the people over required kinds. ``complete_share`` is the
    share of people who reach *every* required kind; ``is_qualified`` when it is at least 90 %. All three are None where
    nobody lives.
    """

    community_code: str
    residences: int
    households: int
    population: int
    kind_population_share: dict[str, float]
    lacking: tuple[str, ...]
    compliance: float | None
    complete_share: float | None
    is_qualified: bool | None


@dataclass(frozen=True, slots=True)
class CircleCoverage:
    """Coverage of a whole run: by kind, by community, and of all residences together."""

    kinds: tuple[KindCoverage, ...]
    communities: tuple[CommunityCoverage, ...]
    population: int
    households: int
    complete_share: float | None

    @property
    def qualified(self) -> int:
        """Number of qualified communities."""
        return sum(bool(community.is_qualified) for community in self.communities)

    @property
    def community_share(self) -> float | None:
        """Qualified communities over communities where people live (the reported coverage of service circles)."""
        inhabited = sum(community.is_qualified is not None for community in self.communities)
        return self.qualified / inhabited if inhabited else None


def is_in_time(times_s: Floats, standard: CircleStandard) -> NDArray[np.bool_]:
    """Return which residence reaches which kind within the standard's minutes; shape (residences, kinds)."""
    return times_s <= standard.limits_s[np.newaxis, :]


def circle_coverage(
    times_s: Floats,
    standard: CircleStandard,
    *,
    population: ArrayLike,
    households: ArrayLike,
    community_codes: Sequence[str],
    facilities_of_kind: ArrayLike,
    qualified_share: float = QUALIFIED_SHARE,
) -> CircleCoverage:
    """Return the coverage by kind and by community.

    Parameters
    ----------
    times_s
        Shape (residences, kinds), kinds in the order of the standard; infinite out of reach.
    population, households
        People and households of each residence.
    community_codes
        Community of each residence.
    facilities_of_kind
        Number of facilities of each kind that took part.

    Notes
    -----
    Population coverage is people whose building is within the limit over all people; household and residence coverage
    likewise; community coverage is qualified communities over communities, as Beijing reports it. The qualified circle and
    its 90 % are our design, from no standard.
    """
    people, homes = np.asarray(population, dtype=np.float64), np.asarray(households, dtype=np.float64)
    reached = is_in_time(times_s, standard)
    complete = np.asarray(reached[:, standard.required].all(axis=1))
    names, community = np.unique(np.asarray(community_codes, dtype=str), return_inverse=True)
    communities = tuple(
        _community(str(name), community == number, reached, complete, people, homes, standard, qualified_share)
        for number, name in enumerate(names)
    )
    counts = np.asarray(facilities_of_kind, dtype=np.int64)
    kinds = tuple(
        _kind(kind, reached[:, column], people, homes, int(counts[column]))
        for column, kind in enumerate(standard.kinds)
    )
    return CircleCoverage(kinds, communities, int(people.sum()), int(homes.sum()), _share(people, complete))


def _share(weight: Floats, part: NDArray[np.bool_]) -> float | None:
    total = float(weight.sum())
    return float(weight[part].sum()) / total if total > 0 else None


def _kind(
    kind: StandardKind, reached: NDArray[np.bool_], people: Floats, homes: Floats, facilities: int
) -> KindCoverage:
    return KindCoverage(
        code=kind.code,
        minutes=kind.minutes,
        required=kind.required,
        facilities=facilities,
        population_covered=int(people[reached].sum()),
        population_share=_share(people, reached),
        household_share=_share(homes, reached),
        residence_share=_share(np.ones(len(reached)), reached),
    )


def _community(
    code: str,
    inside: NDArray[np.bool_],
    reached: NDArray[np.bool_],
    complete: NDArray[np.bool_],
    people: Floats,
    homes: Floats,
    standard: CircleStandard,
    qualified_share: float,
) -> CommunityCoverage:
    total = float(people[inside].sum())
    shares = people[inside] @ reached[inside] / total if total > 0 else np.zeros(len(standard.kinds))
    lacking = standard.required & (shares < qualified_share)
    needed = int(standard.required.sum())
    complete_share = _share(people[inside], complete[inside])
    return CommunityCoverage(
        community_code=code,
        residences=int(inside.sum()),
        households=int(homes[inside].sum()),
        population=int(total),
        kind_population_share={
            kind: round(float(share), 4) for kind, share in zip(standard.codes, shares, strict=True)
        },
        lacking=tuple(np.array(standard.codes)[lacking].tolist()) if total > 0 else (),
        compliance=1.0 - int(lacking.sum()) / needed if total > 0 and needed else None,
        complete_share=complete_share,
        is_qualified=None if complete_share is None else complete_share >= qualified_share,
    )


def kinds_lacking(times_s: Floats, standard: CircleStandard) -> Ints:
    """Return how many required kinds each residence does not reach in time."""
    return (~is_in_time(times_s, standard) & standard.required[np.newaxis, :]).sum(axis=1)
