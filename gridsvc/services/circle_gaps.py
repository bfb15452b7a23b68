"""What a service circle lacks: communities and residences without required kinds, from the latest run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from gridsvc.circle.coverage import CircleStandard, find_standard
from gridsvc.errors import NotFoundError
from gridsvc.services.circles import circle_standards
from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class CommunityGap:
    """A community where fewer than 90 % of the people have all required kinds, and the kinds it lacks."""

    community_code: str
    name: str
    population: int
    complete_share: float
    compliance: float
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResidenceGap:
    """A residence that does not reach every required kind in time."""

    residence_code: str
    community_code: str
    households: int
    population: int
    lacking: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CircleGaps:
    """What a run found lacking: communities, worst first, and residences, most people first; names of the kinds."""

    circle_run_id: int
    standard: str
    ran_at: datetime
    kinds: dict[str, str]
    people_without: dict[str, int]
    communities: tuple[CommunityGap, ...]
    residences: tuple[ResidenceGap, ...]


def latest_run(uow: UnitOfWork, code: str, standard: str | None = None) -> dict[str, Any]:
    """Return the latest stored run (by a standard) that covers a division: its own, or that of a division above it.

    Raises
    ------
    NotFoundError
        When no circle was computed there.
    """
    run = uow.circle_runs.latest(code, standard, whole=True)
    if run is None:
        asked = f" --standard {standard}" if standard else ""
        raise NotFoundError(
            f"No service circle{' by ' + standard if standard else ''} was computed for {code}.",
            hint=f"Run: gridsvc circle coverage {code}{asked}",
        )
    return run


def list_gaps(uow: UnitOfWork, code: str, *, at: datetime, standard: str | None = None) -> CircleGaps:
    """Return the communities and residences under ``code`` that lack required kinds, from the latest run.

    ``at`` is the instant of the communities' names; ``standard`` None takes the latest run by any standard.

    Raises
    ------
    NotFoundError
        When no circle was computed there.
    """
    run = latest_run(uow, code, standard)
    rules = find_standard(circle_standards(), run["standard"])
    names = uow.divisions.list("community", prefix=code, at=at, with_geometry=False).set_index("code")["name"].to_dict()
    homes = uow.residences.list(prefix=code)
    times = uow.circle_runs.times(run["circle_run_id"], code)
    homes = homes.merge(times, on="residence_code")
    residences = tuple(_residence_gaps(homes, rules))
    without: dict[str, int] = {kind.code: 0 for kind in rules.kinds if kind.required}
    for gap in residences:
        for kind in gap.lacking:
            without[kind] += gap.population
    kinds = uow.facilities.kinds().set_index("kind_code")["name_zh"]
    return CircleGaps(
        circle_run_id=run["circle_run_id"],
        standard=run["standard"],
        ran_at=run["ran_at"],
        kinds={kind: str(kinds[kind]) for kind in without},
        people_without={kind: people for kind, people in without.items() if people},
        communities=tuple(_community_gaps(run["coverage"]["communities"], code, names)),
        residences=residences,
    )


def _community_gaps(communities: Mapping[str, Any], code: str, names: Mapping[str, str]) -> list[CommunityGap]:
    gaps = [
        CommunityGap(
            community_code=community,
            name=names.get(community, ""),
            population=found["population"],
            complete_share=found["complete_share"],
            compliance=found["compliance"],
            lacking=tuple(found["lacking"]),
        )
        for community, found in communities.items()
        if community.startswith(code) and found["is_qualified"] is False
    ]
    return sorted(gaps, key=lambda gap: (gap.complete_share, gap.community_code))


def _residence_gaps(homes: pd.DataFrame, rules: CircleStandard) -> list[ResidenceGap]:
    required = [(kind.code, 60.0 * kind.minutes) for kind in rules.kinds if kind.required]
    gaps = []
    columns = ("residence_code", "community_code", "households", "population", "walk_s")
    for code, community, households, population, walk_s in homes[list(columns)].itertuples(index=False, name=None):
        lacking = tuple(kind for kind, limit_s in required if walk_s.get(kind, np.inf) > limit_s)
        if lacking:
            gaps.append(ResidenceGap(code, community, int(households), int(population), lacking))
    return sorted(gaps, key=lambda gap: (-gap.population, gap.residence_code))
