"""What a service circle lacks: communities and residences without required kinds, from the latest run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from shapely.geometry import Polygon

from gridsvc.circle.coverage import is_in_time
from gridsvc.circle.gap_areas import REACH_M, GapArea, gap_areas
from gridsvc.errors import RequestInvalidError
from gridsvc.geo.projections import to_metric, to_storage, zone_of
from gridsvc.services.circle_places import lacking
from gridsvc.services.circle_runs import RunHomes, read_run
from gridsvc.store.unit_of_work import UnitOfWork

# areas asked for last, by a hash of all they come from
_KEPT = 4
_recent: dict[str, tuple[GapArea, ...]] = {}
_lock = Lock()


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


def list_gaps(
    uow: UnitOfWork, code: str, *, at: datetime, standard: str | None = None, speed_m_s: float | None = None
) -> CircleGaps:
    """Return the communities and residences under ``code`` that lack required kinds, from the latest run.

    ``at`` is the instant of the communities' names; ``standard`` None takes the latest run by any standard.

    Raises
    ------
    NotFoundError
        When no circle was computed there.
    """
    found = read_run(uow, code, standard, speed_m_s)
    run, rules = found.run, found.rules
    names = uow.divisions.list("community", prefix=code, at=at, with_geometry=False).set_index("code")["name"].to_dict()
    residences = tuple(_residence_gaps(found))
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


def _residence_gaps(found: RunHomes) -> list[ResidenceGap]:
    lacks, codes = lacking(found.times_s, found.rules), found.rules.codes
    columns = ("residence_code", "community_code", "households", "population")
    gaps = []
    for row, values in enumerate(found.homes[list(columns)].itertuples(index=False, name=None)):
        code, community, households, population = values
        kinds = tuple(codes[column] for column in np.flatnonzero(lacks[row]))
        if kinds:
            gaps.append(ResidenceGap(code, community, int(households), int(population), kinds))
    return sorted(gaps, key=lambda gap: (-gap.population, gap.residence_code))


@dataclass(frozen=True, slots=True)
class KindGap:
    """An area where people live who do not reach a kind in time. ``area`` is a polygon in EPSG:4490."""

    kind_code: str
    kind_name: str
    population: int
    households: int
    residences: int
    communities: tuple[str, ...]
    area_m2: float
    area: Polygon


def list_gap_areas(
    uow: UnitOfWork,
    code: str,
    *,
    standard: str | None = None,
    speed_m_s: float | None = None,
    kinds: Sequence[str] = (),
    reach_m: float = REACH_M,
    least_people: int = 1,
) -> tuple[RunHomes, list[KindGap]]:
    """Return the latest run under ``code`` and the areas where people lack a required kind, from it.

    Parameters
    ----------
    kinds
        Only these kinds, required or not; empty: all required ones.
    reach_m, least_people
        As in :func:`gridsvc.circle.gap_areas.gap_areas`.

    Returns
    -------
    areas
        By kind in the order of the standard, then by falling population.

    Raises
    ------
    NotFoundError
        When no circle was computed there.
    RequestInvalidError
        When a kind is not in the list of the run, or the reach is impossible.
    """
    found = read_run(uow, code, standard, speed_m_s)
    rules, homes = found.rules, found.homes
    wrong = [kind for kind in kinds if kind not in rules.codes]
    if wrong:
        raise RequestInvalidError(
            f"The run by {rules.standard_id} did not look for {', '.join(wrong)}.",
            hint=f"Use: {', '.join(rules.codes)}.",
            field="kind",
        )
    if homes.empty:
        return found, []
    asked = np.array([code in kinds for code in rules.codes]) if kinds else rules.required
    epsg = zone_of(homes.geometry.to_numpy())
    lacks = ~is_in_time(found.times_s, rules) & asked[np.newaxis, :]
    areas = _areas_once(homes, epsg, lacks, reach_m, least_people)
    names = uow.facilities.kinds().set_index("kind_code")["name_zh"]
    shapes = to_storage(np.array([area.area for area in areas], dtype=object), epsg)
    community = homes["community_code"].fillna("").to_numpy(object)
    return found, [
        KindGap(
            kind_code=rules.codes[area.kind],
            kind_name=str(names[rules.codes[area.kind]]),
            population=area.population,
            households=area.households,
            residences=area.residences,
            communities=tuple(sorted({str(of) for of in community[area.members]} - {""})),
            area_m2=round(float(area.area.area), 1),
            area=shape,
        )
        for area, shape in zip(areas, shapes, strict=True)
    ]


def _areas_once(
    homes: gpd.GeoDataFrame, epsg: int, lacks: np.ndarray, reach_m: float, least_people: int
) -> tuple[GapArea, ...]:
    """Return the areas of gaps; those asked for lately are not made again for each page of them."""
    people, households = homes["population"].to_numpy(np.int64), homes["households"].to_numpy(np.int64)
    asked = hashlib.sha256(f"{epsg} {reach_m} {least_people} {lacks.shape}".encode())
    for content in (np.packbits(lacks), people, households):
        asked.update(content.tobytes())
    for shape in shapely.to_wkb(homes.geometry.to_numpy()):
        asked.update(shape)
    key = asked.hexdigest()
    with _lock:
        known = _recent.pop(key, None)
    if known is None:
        grounds = to_metric(homes.geometry.to_numpy(), epsg)
        known = tuple(
            gap_areas(
                grounds, lacks, population=people, households=households, reach_m=reach_m, least_people=least_people
            )
        )
    with _lock:
        _recent[key] = known
        while len(_recent) > _KEPT:
            del _recent[next(iter(_recent))]
    return known
