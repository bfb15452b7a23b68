"""Who answers for a place: in every network the grid, the department and the workers on duty; orphan and doubly claimed land flagged.

Apart from `services.locating`, whose single answers come from memory within milliseconds: departments are asked of the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gridsvc.errors import CategoryUnknownError, ConflictError, NotFoundError, OutsideCoverageError, RequestInvalidError
from gridsvc.networks.duties import NOBODY, Category, DutyIndex, Settled
from gridsvc.services.comparing_networks import NetworkReport
from gridsvc.services.grid_lookup import Places
from gridsvc.services.locating import locate_positions, storage_positions
from gridsvc.services.network_sources import StoredSource
from gridsvc.services.place_index import NETWORKS
from gridsvc.store.answering import AnsweringRepository, Grid
from gridsvc.store.grid_history import GridHistory
from gridsvc.store.unit_of_work import UnitOfWork

# how often the grids may change while a request is answered
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """Who answers for a place in one network.

    ``grid`` is None where the network has none; ``outside_m`` is 0 where the grid holds the place, else how far away the nearest one is, None
    without one. ``department`` is None where no duty matches and where several departments stand alike (``settled.is_conflict``).
    ``workers`` are those on duty, the primary one first, without phone numbers. ``claims``: all grids that hold the place, where several do.
    """

    network: str
    grid: str | None
    outside_m: float | None
    settled: Settled
    workers: list[dict[str, Any]]
    claims: list[str]

    @property
    def department(self) -> str | None:
        """Return the code of the department that answers."""
        return self.settled.department


@dataclass(frozen=True, slots=True)
class PlaceAnswers:
    """Who answers for one place.

    ``is_orphan``: no network holds it, though one near may answer. ``is_outside``: it lies in no division of the scope, and nobody answers.
    """

    district: str | None
    community: str | None
    is_orphan: bool
    is_claimed_twice: bool
    is_outside: bool
    answers: list[Answer]


@dataclass(frozen=True, slots=True)
class WhoAnswers:
    """Who answers for places, in the order they were asked for. ``departments``: code to name and kind, of those named."""

    places: list[PlaceAnswers]
    departments: dict[str, dict[str, str]] = field(default_factory=dict)


def who_answers_at(
    uow: UnitOfWork,
    lon: float,
    lat: float,
    datum: str | None,
    *,
    at: datetime,
    category: str | None = None,
    edition: str | None = None,
    networks: Sequence[str] = NETWORKS,
) -> WhoAnswers:
    """Return who answers for one place; as `who_answers_for`.

    Raises
    ------
    OutsideCoverageError
        When it lies in no division held here (in this scope).
    """
    found = who_answers_for(uow, [lon], [lat], datum, at=at, categories=[category], edition=edition, networks=networks)
    if found.places[0].is_outside:
        raise OutsideCoverageError(
            f"The position ({lon:.6g}, {lat:.6g}) in {datum} lies in no division held here.",
            hint="Check datum and axis order; it may also lie outside of your area.",
            lon=lon,
            lat=lat,
        )
    return found


def who_answers_for(
    uow: UnitOfWork,
    lon: ArrayLike,
    lat: ArrayLike,
    datum: str | None,
    *,
    at: datetime,
    categories: Sequence[str | None] | None = None,
    edition: str | None = None,
    networks: Sequence[str] = NETWORKS,
) -> WhoAnswers:
    """Return who answers for places, each for a category where one is named.

    Where a network has no grid, its departments answer by the community, else the district, the place lies in.

    Parameters
    ----------
    lon, lat, datum
        Positions as they came, one datum for all. Unit: degrees.
    at
        The instant whose grids, duties and assignments are meant.
    categories
        One for each place, None for a matter of whatever kind: only duties for every category answer then.
    edition
        Of the categories; default the one in force.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When a position is not one; ``details["index"]`` says which.
    CategoryUnknownError
        When the edition has no such category.
    RequestInvalidError
        When there are other categories than places.
    ConflictError
        When the grids change faster than they can be read.
    """
    count = len(np.atleast_1d(np.asarray(lon, dtype=float)))
    wanted = [None] * count if categories is None else list(categories)
    if len(wanted) != count:
        raise RequestInvalidError(f"{len(wanted)} categories came for {count} positions.", field="categories")
    classes = _classes(uow, wanted, edition)
    for _ in range(_TRIES):
        places = locate_positions(uow, lon, lat, datum, at=at)
        held = _grids_of(places, networks)
        version, workers = _workers(uow, held, at)
        if version == places.version:
            break
    else:
        raise ConflictError("The grids change faster than they can be read.", hint="Try again in a moment.")
    x, y = storage_positions(lon, lat, datum)
    claims = AnsweringRepository(uow.connection, uow.scope).claimed_twice(x.tolist(), y.tolist(), at)
    grounds = [_grounds(places, k, networks) for k in range(count)]
    duties = _duties(uow, {code for ground in grounds for _, code in ground}, at)
    settled = _Settling(duties)
    answered = [_place(places, k, uow.scope, grounds[k], classes[k], settled, workers, claims) for k in range(count)]
    named = {duty.department for place in answered for answer in place.answers for duty in answer.settled.duties}
    return WhoAnswers(answered, _described(uow, named, at))


def with_duties(
    uow: UnitOfWork,
    report: NetworkReport,
    sources: Sequence[StoredSource],
    *,
    category: str | None = None,
    column: str | None = None,
) -> NetworkReport:
    """Return what `answers_for_points` found with the department and the primary worker of each stored network beside its grid.

    A conflict of departments is written as their codes with `` | `` between them.

    Parameters
    ----------
    category, column
        The class asked about, or the column of the points that names one for each; one of the two, or neither.

    Raises
    ------
    NotFoundError
        When the points have no such column.
    RequestInvalidError
        When both are given.
    """
    frame = report.tables["answers"].copy()
    if category is not None and column is not None:
        raise RequestInvalidError("Give one category for all, or a column of categories.", field="category")
    if column is not None and column not in frame:
        known_columns = ", ".join(map(str, frame.columns))
        raise NotFoundError(f"The points have no column {column}.", hint=f"They have: {known_columns}.")
    named = [category] * len(frame) if column is None else [_named(value) for value in frame[column]]
    classes = _classes(uow, named, None)
    for source in sources:
        codes = [None if pd.isna(code) else str(code) for code in frame[f"grid_{source.label}"]]
        held = sorted({code for code in codes if code is not None})
        settled = _Settling(_duties(uow, set(held), source.at))
        _, workers = _workers(uow, [(source.network, code) for code in held], source.at)
        frame[f"department_{source.label}"] = [
            None if code is None else _department_text(settled(source.network, code, known))
            for code, known in zip(codes, classes, strict=True)
        ]
        on_duty = [workers.get((source.network, code), []) if code is not None else [] for code in codes]
        frame[f"worker_{source.label}"] = [found[0]["worker_code"] if found else None for found in on_duty]
    layer = gpd.GeoDataFrame(frame, geometry=report.layers["answers"].geometry)
    return NetworkReport({**report.tables, "answers": frame}, {**report.layers, "answers": layer})


def _named(value: Any) -> str | None:
    return None if pd.isna(value) or not str(value).strip() else str(value).strip()


def _department_text(settled: Settled) -> str | None:
    names = sorted({duty.department for duty in settled.duties})
    return " | ".join(names) or None


def _classes(uow: UnitOfWork, categories: Sequence[str | None], edition: str | None) -> list[tuple[Category, ...]]:
    named = {code for code in categories if code is not None}
    if not named:
        return [()] * len(categories)
    chosen = edition or uow.categories.edition_default()
    known = uow.categories.codes_of(chosen, named)
    unknown = sorted(named - known.keys())
    if unknown:
        raise CategoryUnknownError(
            f"The edition {chosen} has no category {unknown[0]}.",
            hint="See /api/v1/categories; a bare code means the edition in force.",
            field="category",
            edition=chosen,
            unknown=unknown[:20],
        )
    return [() if code is None else known[code] for code in categories]


def _grids_of(places: Places, networks: Iterable[str]) -> list[Grid]:
    return [(name, code) for name in networks for code in sorted({c for c in places.grids[name] if c is not None})]


def _workers(uow: UnitOfWork, grids: list[Grid], at: datetime) -> tuple[str, dict[Grid, list[dict[str, Any]]]]:
    """Return the version of the grids, and who is on duty in each, by the rule of `locating`: unit grids are worked through governance grids."""
    through = AnsweringRepository(uow.connection, uow.scope).worked_through(grids, at)
    asked = [(number, *grid, False, at) for number, grid in enumerate(grids)]
    asked += [
        (number, "social", through[grid], grid[0] == "unified", at)
        for number, grid in enumerate(grids)
        if grid in through
    ]
    version, found = GridHistory(uow.connection, uow.scope).on_duty(asked)
    workers: dict[Grid, list[dict[str, Any]]] = {}
    for number, worker in found:
        workers.setdefault(grids[number], []).append(worker)
    return version, workers


def _grounds(places: Places, k: int, networks: Sequence[str]) -> list[tuple[str, str]]:
    """Return for each network the code by which its departments answer for a place, "" for none."""
    around = places.community[k] or places.district[k] or ""
    return [(name, places.grids[name][k] or around) for name in networks]


def _duties(uow: UnitOfWork, codes: set[str], at: datetime) -> DutyIndex:
    grounds = {code[:digits] for code in codes for digits in range(2, len(code) + 1)}
    return DutyIndex.of(uow.department_duties.about(grounds, at)) if grounds else DutyIndex()


class _Settling:
    """Settles each grid and class once, however many places ask."""

    def __init__(self, duties: DutyIndex) -> None:
        self._duties = duties
        self._known: dict[tuple[str, str, tuple[Category, ...]], Settled] = {}

    def __call__(self, network: str, code: str, classes: tuple[Category, ...]) -> Settled:
        key = (network, code, classes)
        if key not in self._known:
            self._known[key] = self._duties.settle(network, code, classes) if code else NOBODY
        return self._known[key]


def _place(
    places: Places,
    k: int,
    scope: str,
    grounds: list[tuple[str, str]],
    classes: tuple[Category, ...],
    settled: _Settling,
    workers: dict[Grid, list[dict[str, Any]]],
    claims: dict[tuple[int, str], list[str]],
) -> PlaceAnswers:
    # within a scope, a place whose community is not told lies in somebody else's
    has_grid = any(places.grids[network][k] is not None for network, _ in grounds)
    is_outside = not has_grid and (places.community[k] if scope else places.district[k]) is None
    answers = []
    for network, code in grounds:
        grid, distance = places.grids[network][k], float(places.distance_m[network][k])
        answers.append(
            Answer(
                network,
                grid,
                None if grid is None else round(distance, 3),
                NOBODY if is_outside else settled(network, code, classes),
                workers.get((network, grid), []) if grid is not None else [],
                claims.get((k, network), []),
            )
        )
    return PlaceAnswers(
        district=places.district[k],
        community=places.community[k],
        is_orphan=not is_outside and not any(answer.outside_m == 0.0 for answer in answers),
        is_claimed_twice=any(answer.claims for answer in answers),
        is_outside=is_outside,
        answers=answers,
    )


def _described(uow: UnitOfWork, codes: set[str], at: datetime) -> dict[str, dict[str, str]]:
    """Return name and kind of departments; whatever the scope, since they are named for ground within it."""
    if not codes:
        return {}
    held = uow.everywhere().departments.list(at=at, codes=sorted(codes))
    return {row.department_code: {"name": row.name, "kind_code": row.kind_code} for row in held.itertuples()}
