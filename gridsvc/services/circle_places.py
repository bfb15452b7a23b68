"""Coverage of a stored run by residence, community, street, district or grid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import shapely

from gridsvc.circle.coverage import CircleStandard, is_in_time
from gridsvc.circle.place_coverage import WEIGHTS, PlaceCoverage, coverage_by_place, mean_counts
from gridsvc.errors import RequestInvalidError
from gridsvc.services.circle_runs import RunHomes, read_run
from gridsvc.services.grid_lookup import find_places
from gridsvc.store.unit_of_work import UnitOfWork

LEVELS = {"district": 6, "street": 9, "community": 12}  # digits of the code
BY = (*LEVELS, "grid", "residence")
GOVERNANCE_NETWORK = "social"


@dataclass(frozen=True, eq=False, slots=True)
class PlacesCovered:
    """Coverage of a stored run by one kind of place.

    Attributes
    ----------
    names
        Name of each place in Chinese, "" where none is known.
    means
        Facilities a person has within each limit, on average. Shape: (places, kinds, limits).
    """

    by: str
    found: RunHomes
    coverage: PlaceCoverage
    names: tuple[str, ...]
    means: np.ndarray


def cover_places(
    uow: UnitOfWork,
    code: str,
    *,
    by: str = "community",
    standard: str | None = None,
    speed_m_s: float | None = None,
) -> PlacesCovered:
    """Return the coverage of the latest run under ``code``, by district, street, community, governance grid or residence.

    Residences are counted in the grid in force at the instant of the run that holds a point of theirs; a place "" holds those
    in none.

    Parameters
    ----------
    by
        One of :data:`BY`.
    standard, speed_m_s
        The latest run by this standard, at this walking speed; None: by any.

    Raises
    ------
    NotFoundError
        When no circle was computed there.
    RequestInvalidError
        When ``by`` is not known.
    """
    if by not in BY:
        raise RequestInvalidError(f"Coverage is not told by {by!r}.", hint=f"Use one of: {', '.join(BY)}.", field="by")
    return cover_run(uow, code, read_run(uow, code, standard, speed_m_s), by)


def cover_run(uow: UnitOfWork, code: str, found: RunHomes, by: str) -> PlacesCovered:
    """Return the coverage of a run already read under ``code``; as :func:`cover_places`."""
    places = _places(uow, found, by)
    homes = found.homes
    coverage = coverage_by_place(
        found.times_s,
        found.rules,
        population=homes["population"].to_numpy(),
        households=homes["households"].to_numpy(),
        place_codes=places,
    )
    means = mean_counts(found.counts, homes["population"].to_numpy(), places)
    names = _names(uow, found, code, by)
    return PlacesCovered(by, found, coverage, tuple(names.get(place, "") for place in coverage.place_codes), means)


def _places(uow: UnitOfWork, found: RunHomes, by: str) -> list[str]:
    homes = found.homes
    if by == "residence":
        return homes["residence_code"].tolist()
    if by == "grid":
        points = shapely.point_on_surface(homes.geometry.to_numpy())
        at: datetime = found.run["ran_at"]
        where = find_places(uow, shapely.get_x(points), shapely.get_y(points), at, nearest_within_m=0.0)
        return [grid or "" for grid in where.grids[GOVERNANCE_NETWORK]]
    return [code[: LEVELS[by]] for code in homes["community_code"].fillna("")]


def _names(uow: UnitOfWork, found: RunHomes, code: str, by: str) -> dict[str, str]:
    if by == "residence":
        return dict(zip(found.homes["residence_code"], found.homes["name"].fillna(""), strict=True))
    if by not in LEVELS:
        return {}
    above = code[: LEVELS[by]]
    frame = uow.divisions.list(by, prefix=above, at=found.run["ran_at"], with_geometry=False)
    return dict(zip(frame["code"], frame["name"], strict=True))


def run_document(found: RunHomes) -> dict[str, Any]:
    """Return what a run was computed by and how far it may be doubted, JSON-serialisable."""
    run, rules = found.run, found.rules
    coverage = run["coverage"]
    return {
        "circle_run_id": run["circle_run_id"],
        "division_code": run["division_code"],
        "ran_at": run["ran_at"].isoformat(),
        "standard": rules.standard_id,
        "standard_name": rules.name_zh,
        "standard_name_en": rules.name_en,
        "standard_source": rules.source,
        "standard_verified": rules.is_verified,
        "speed_m_s": run["speed_m_s"],
        "limit_s": run["limit_s"],
        "network_sha256": run["network_sha256"],
        "facilities_newest_at": coverage.get("facilities_newest_at"),
        "count_minutes": list(found.count_minutes),
        "doubts": coverage.get("doubts", {}),
    }


def place_rows(covered: PlacesCovered, begin: int = 0, end: int | None = None) -> list[dict[str, Any]]:
    """Return one document for each place (from number ``begin`` up to ``end``): totals, shares, compliance, what it lacks, each kind.

    JSON-serialisable.
    """
    coverage, kinds = covered.coverage, covered.found.rules.codes
    rows = []
    for row in range(len(coverage.place_codes))[begin:end]:  # a document for each place is made one at a time
        place = coverage.place_codes[row]
        judged = bool(coverage.is_judged[row])
        shares, means = coverage.kind_shares[row], covered.means[row]
        rows.append(
            {
                "place_code": place,
                "name": covered.names[row],
                **{name: int(total) for name, total in zip(WEIGHTS, coverage.totals[row], strict=True)},
                "complete_share": _share(coverage.complete_shares[row, 0]),
                "complete_household_share": _share(coverage.complete_shares[row, 1]),
                "complete_residence_share": _share(coverage.complete_shares[row, 2]),
                "compliance": _share(coverage.compliance[row]),
                "is_qualified": bool(coverage.is_qualified[row]) if judged else None,
                "lacking": [kinds[column] for column in np.flatnonzero(coverage.is_lacking[row])],
                "kinds": {
                    kind: {
                        "population_share": _share(shares[0, column]),
                        "household_share": _share(shares[1, column]),
                        "residence_share": _share(shares[2, column]),
                        "mean_counts": [_share(mean) for mean in means[column]],
                    }
                    for column, kind in enumerate(kinds)
                },
            }
        )
    return rows


def residence_rows(found: RunHomes) -> list[dict[str, Any]]:
    """Return one document for each residence: where its walks begin, seconds and numbers of facilities by kind, what it lacks."""
    homes, codes = found.homes, found.rules.codes
    lacks = lacking(found.times_s, found.rules)
    columns = ("residence_code", "community_code", "origin", "households", "population")
    rows = []
    for row, values in enumerate(homes[list(columns)].itertuples(index=False, name=None)):
        code, community, origin, households, population = values
        times_s = found.times_s[row]
        rows.append(
            {
                "residence_code": code,
                "community_code": community if isinstance(community, str) else None,
                "origin": origin,
                "households": int(households),
                "population": int(population),
                "lacking": [codes[column] for column in np.flatnonzero(lacks[row])],
                "walk_s": {codes[column]: float(times_s[column]) for column in np.flatnonzero(np.isfinite(times_s))},
                "counts": {
                    codes[column]: found.counts[row, column].tolist()
                    for column in np.flatnonzero(found.counts[row].any(axis=1))
                },
            }
        )
    return rows


def lacking(times_s: np.ndarray, rules: CircleStandard) -> np.ndarray:
    """Return which required kinds each residence does not reach in time. Shape: (residences, kinds)."""
    return ~is_in_time(times_s, rules) & rules.required[np.newaxis, :]


def _share(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
