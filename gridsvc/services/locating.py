"""Point to grid as a use case: one point with all that is known of its place, arrays, reports.

Grids follow from position and time. All answers come from `grid_lookup`, whose index says the same as the database.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import ConflictError, CoordinateError, OutsideCoverageError
from gridsvc.geo.datums import STORAGE_DECIMALS, check_lonlat, convert, parse_datum
from gridsvc.geo.location_odds import ACCURACY_IN_DEVIATIONS, REACH, grid_odds
from gridsvc.progress import SILENT, Progress
from gridsvc.services.grid_lookup import (
    Places,
    box_of,
    find_places,
    held_indexes,
    last_version,
    place_index,
    places_around,
)
from gridsvc.services.place_index import LEVELS, NETWORKS, PlaceIndex
from gridsvc.store.grid_history import GridHistory
from gridsvc.store.unit_of_work import UnitOfWork

COMMUNITY = "community"
# how often the grids may change while one point is answered, before we wait for the writer
_TRIES = 5
# a position less accurate than this says nothing of a grid, and the odds of thousands would be asked for. Unit: m.
MOST_ACCURACY_M = 1000.0
# odds are rounded to this, their sum is 1 all the same
_ODDS_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class LocateResult:
    """Reports located: how many were looked at, how many got a grid by network, how many lack one they should have."""

    reports: int
    located: dict[str, int]
    unlocated: int


@dataclass(frozen=True, slots=True)
class LocatedGrid:
    """One grid that answers for a point.

    ``outside_m`` is 0 where the grid holds the point; else no grid of the network does, and this is the nearest one, at that distance.
    ``odds`` are the shares (0 to 1) of this network's grids under the stated accuracy, by falling share, code None for
    none; empty when no accuracy was stated, or one over `MOST_ACCURACY_M`. ``auto_routed``: sure enough to be routed without a person having looked.
    ``workers`` are those on duty, the primary one first, without phone numbers.
    """

    network: str
    code: str
    name: str
    kind: str
    community_code: str
    parent_code: str | None
    distance_to_border_m: float
    outside_m: float
    auto_routed: bool
    workers: list[dict[str, Any]] = field(default_factory=list)
    odds: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LocatedPoint:
    """What is known of a place at an instant. ``lon, lat`` are CGCS2000; the original position and datum are beside them.

    ``distance_to_border_m`` is the smallest over the networks, None where no grid answers: the point is ``unlocated`` then.
    """

    lon: float
    lat: float
    original: dict[str, Any]
    at: datetime
    accuracy_m: float | None
    divisions: list[dict[str, Any]]
    grids: list[LocatedGrid]
    distance_to_border_m: float | None
    unlocated: bool


def locate_point(
    uow: UnitOfWork,
    lon: float,
    lat: float,
    datum: str | None,
    *,
    at: datetime,
    accuracy_m: float | None = None,
    nearest_within_m: float | None = None,
    auto_route_odds: float = 1.0,
) -> LocatedPoint:
    """Return the divisions, the grid of every network, the distance to the border and the workers on duty at a place.

    Parameters
    ----------
    lon, lat, datum
        The position as it came. Unit: degrees.
    at
        The instant whose grids and assignments are meant.
    accuracy_m
        Radius that holds the true position with 68 %; given, each network carries the odds of its grids. Unit: m.
    nearest_within_m
        Where no grid of a network holds the point, the nearest one within this distance answers; None: that of ``uow``
        (`find_places`). Unit: m.
    auto_route_odds
        A grid is ``auto_routed`` when its odds are at least this; without an accuracy, when it holds the point.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When the position is not one.
    OutsideCoverageError
        When it lies in no district held here (in this scope), and no grid is near enough.
    """
    within_m = uow.nearest_within_m if nearest_within_m is None else nearest_within_m
    asked = AskedPoint.of(lon, lat, datum, at, accuracy_m, within_m, auto_route_odds)
    history = GridHistory(uow.connection)
    guess = last_version()
    for _ in range(_TRIES):
        index = held_indexes(guess, [at])[0] if guess else place_index(uow, at, build=False)
        found = asked.place(index or _places_near(uow, asked), uow.scope)
        version, workers = history.on_duty(found.on_duty_asked())
        if version == found.index.version:
            return asked.answer(found, workers)
        guess = None
    raise ConflictError("The grids change faster than they can be read.", hint="Try again in a moment.")


def locate_arrays(
    uow: UnitOfWork,
    lon: ArrayLike,
    lat: ArrayLike,
    datum: str | None,
    *,
    at: datetime,
    networks: Sequence[str] = NETWORKS,
    nearest_within_m: float | None = None,
) -> dict[str, NDArray[np.object_]]:
    """Return for each network, and for ``community``, an array of codes, None where no grid holds the point or is near enough.

    Parameters
    ----------
    lon, lat, datum
        Positions as they came, one dimension, one datum for all. Unit: degrees.
    at
        The instant whose grids are meant.
    nearest_within_m
        Where no grid of a network holds a point, it gets the nearest one within this distance; None: that of ``uow``
        (`find_places`). Unit: m.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When a position is not one; ``details["index"]`` says which.
    """
    places = locate_positions(uow, lon, lat, datum, at=at, nearest_within_m=nearest_within_m)
    return {network: places.grids[network] for network in networks} | {COMMUNITY: places.community}


def locate_positions(
    uow: UnitOfWork,
    lon: ArrayLike,
    lat: ArrayLike,
    datum: str | None,
    *,
    at: datetime | Sequence[datetime],
    nearest_within_m: float | None = None,
) -> Places:
    """Return where positions in any datum are, each at its own instant or all at one; refuses as `locate_arrays` does."""
    x, y = storage_positions(lon, lat, datum)
    return find_places(uow, x, y, at, nearest_within_m=nearest_within_m)


def storage_positions(lon: ArrayLike, lat: ArrayLike, datum: str | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return positions in any datum as they are looked up: EPSG:4490, rounded as stored; refuses as `locate_arrays` does."""
    name = parse_datum(datum)
    x, y = np.atleast_1d(np.asarray(lon, dtype=float)), np.atleast_1d(np.asarray(lat, dtype=float))
    check_lonlat(x, y)
    return _to_storage(x, y, name)


def locate_reports(
    uow: UnitOfWork, prefix: str = "", *, at: datetime | None = None, progress: Progress = SILENT
) -> LocateResult:
    """Write the community and the grid of each network to every report under ``prefix`` that has none yet.

    Each report gets the grids of its own time; with ``at`` all get those of that one instant. Doing it again changes
    nothing. The caller commits.

    Returns
    -------
    result
        ``unlocated`` counts reports without a grid in some network that had grids there at the time.
    """
    waiting = uow.reports.unlocated(prefix)
    counts = dict.fromkeys(NETWORKS, 0)
    progress.start("locate reports", len(waiting))
    unlocated = 0
    for epoch in _epochs(uow, waiting, prefix, at):
        instant = at if at is not None else epoch["reported_at"].min().to_pydatetime()
        places = find_places(uow, epoch["lon"].to_numpy(float), epoch["lat"].to_numpy(float), instant)
        missing = np.zeros(len(epoch), dtype=bool)
        for network in NETWORKS:
            found = ~np.isnan(places.distance_m[network])
            counts[network] += int(found.sum())
            missing |= ~found & _has_grids(uow, network, epoch["district_code"], instant)
        unlocated += int(missing.sum())
        keys = epoch[["district_code", "reported_at", "report_id"]]
        grids = {f"{network}_grid": places.grids[network] for network in NETWORKS}
        uow.reports.set_grids(keys.assign(community_code=places.community, **grids))
        progress.advance(len(epoch))
    return LocateResult(len(waiting), counts, unlocated)


def count_located(uow: UnitOfWork, prefix: str = "") -> LocateResult:
    """Return how many reports are held under ``prefix`` and how many of them have a grid, by network.

    ``unlocated`` counts the reports whose grids are still to be derived.
    """
    return LocateResult(
        uow.reports.count(prefix), uow.reports.located_counts(prefix), len(uow.reports.unlocated(prefix))
    )


@dataclass(frozen=True, slots=True)
class AskedPoint:
    """A position asked about, checked; see `locate_point`. ``x, y``: CRS EPSG:4490, rounded as stored."""

    x: float
    y: float
    original: dict[str, Any]
    at: datetime
    accuracy_m: float | None
    nearest_within_m: float
    auto_route_odds: float

    @classmethod
    def of(
        cls,
        lon: float,
        lat: float,
        datum: str | None,
        at: datetime,
        accuracy_m: float | None,
        nearest_within_m: float,
        auto_route_odds: float,
    ) -> AskedPoint:
        """Return a position as it came; raises what `locate_point` raises for one."""
        name = parse_datum(datum)
        check_lonlat(lon, lat)
        if accuracy_m is not None and not (math.isfinite(accuracy_m) and accuracy_m >= 0):
            raise CoordinateError(
                f"accuracy_m is {accuracy_m}.", hint="Give metres, zero or more.", field="accuracy_m", reason="negative"
            )
        x, y = _one_to_storage(float(lon), float(lat), name)
        original = {"lon": float(lon), "lat": float(lat), "datum": name}
        return cls(x, y, original, at, accuracy_m, nearest_within_m, auto_route_odds)

    def place(self, index: PlaceIndex, scope: str) -> _Place:
        """Return what an index says of the position."""
        return _Place.of(index, self, scope)

    def answer(self, place: _Place, workers: Sequence[tuple[int, dict[str, Any]]]) -> LocatedPoint:
        """Return what is known of the place with the workers found on duty there, see `_Place.on_duty_asked`."""
        if not any(division["level"] == "district" for division in place.divisions):
            original = self.original
            raise OutsideCoverageError(
                f"The position ({original['lon']:.6g}, {original['lat']:.6g}) in {original['datum']} lies in no district held here.",
                hint="Check datum and axis order; the divisions may be missing at that instant.",
                lon=original["lon"],
                lat=original["lat"],
            )
        grids = [
            place.grid(network, [who for at_place, who in workers if at_place == number])
            for number, network in enumerate(NETWORKS)
            if network in place.rows
        ]
        return LocatedPoint(
            lon=self.x,
            lat=self.y,
            original=self.original,
            at=self.at,
            accuracy_m=self.accuracy_m,
            divisions=place.divisions,
            grids=grids,
            distance_to_border_m=min((grid.distance_to_border_m for grid in grids), default=None),
            unlocated=not grids,
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """What an index says of one point: the rows of the grids that answer, how far outside of them it is, its divisions."""

    index: PlaceIndex
    point: AskedPoint
    rows: dict[str, int]
    outside_m: dict[str, float]
    divisions: list[dict[str, Any]]

    @classmethod
    def of(cls, index: PlaceIndex, point: AskedPoint, scope: str) -> _Place:
        rows, outside_m, divisions = {}, {}, []
        found, distances = _rows_and_distances(index, point)
        for network in NETWORKS:
            row = found[network]
            if row >= 0 and index.layers[network].code_of(row).startswith(scope):
                rows[network], outside_m[network] = row, distances.get(network, 0.0)
        for level in LEVELS:
            row = found[level]
            code = index.layers[level].code_of(row) if row >= 0 else None
            if code is not None and (code.startswith(scope) or scope.startswith(code)):
                divisions.append({"code": code, "name": index.about[level].name[row], "level": level})
        return cls(index, point, rows, outside_m, divisions)

    def on_duty_asked(self) -> list[tuple[int, str, str, bool, datetime]]:
        """Return the grids whose workers are meant, see `GridHistory.on_duty`.

        Who answers in a unit grid is who answers in the governance grid it lies in; in a merged grid, the worker
        responsible for the governance grid that answers for it.
        """
        asked, at = [], self.point.at
        for number, network in enumerate(NETWORKS):
            if network not in self.rows:
                continue
            row, about = self.rows[network], self.index.about[network]
            asked.append((number, network, self.index.layers[network].code_of(row), False, at))
            parent, responsible = about.parent_code[row], about.responsible[row]
            if network == "urban" and parent:
                asked.append((number, "social", parent, False, at))
            if network == "unified" and responsible:
                asked.append((number, "social", responsible, True, at))
        return asked

    def grid(self, network: str, workers: list[dict[str, Any]]) -> LocatedGrid:
        x, y, accuracy_m = self.point.x, self.point.y, self.point.accuracy_m or 0.0
        row, about, grids = self.rows[network], self.index.about[network], self.index.layers[network]
        code = grids.code_of(row)
        distance = grids.border_distance_m(x, y, row)
        odds = _odds(self.index, network, x, y, accuracy_m) if 0.0 < accuracy_m <= MOST_ACCURACY_M else []
        sure = self.outside_m[network] == 0.0
        if accuracy_m:
            sure = any(part["code"] == code and part["share"] >= self.point.auto_route_odds for part in odds)
        return LocatedGrid(
            network=network,
            code=code,
            name=about.name[row],
            kind=about.kind[row],
            community_code=about.community_code[row],
            parent_code=about.parent_code[row],
            distance_to_border_m=round(distance, 3),
            outside_m=round(self.outside_m[network], 3),
            auto_routed=sure,
            workers=workers,
            odds=odds,
        )


def _rows_and_distances(index: PlaceIndex, point: AskedPoint) -> tuple[dict[str, int], dict[str, float]]:
    """Return the row of the point in every layer, -1 where there is none, and how far outside of the nearest grids it is."""
    x, y, layers = point.x, point.y, (*NETWORKS, *LEVELS)
    rows = index.rows_at(x, y, layers)
    is_held = all(row >= 0 or not len(index.layers[layer]) for layer, row in rows.items())
    if is_held or not point.nearest_within_m:
        return rows, {}
    found = index.find(np.array([x]), np.array([y]), layers, point.nearest_within_m)
    codes = {layer: found.codes[layer][0] for layer in layers}
    rows = {layer: -1 if code is None else index.layers[layer].row_of(code) for layer, code in codes.items()}
    return rows, {network: float(found.distance_m[network][0]) for network in NETWORKS}


def _places_near(uow: UnitOfWork, point: AskedPoint) -> PlaceIndex:
    reach = REACH * min(point.accuracy_m or 0.0, MOST_ACCURACY_M) / ACCURACY_IN_DEVIATIONS
    box = box_of(np.array([point.x]), np.array([point.y]), max(point.nearest_within_m, reach))
    assert box is not None, "positions are checked to be numbers"
    return places_around(uow, box, point.at)


def _odds(index: PlaceIndex, network: str, x: float, y: float, accuracy_m: float) -> list[dict[str, Any]]:
    """Return code and share of each grid around a point, and of none, by falling share; rounded, with the sum kept at 1."""
    found = grid_odds(index.layers[network], x, y, accuracy_m)
    parts: list[tuple[str | None, float]] = [*zip(found.codes, found.odds, strict=True), (None, found.none)]
    unit = 10**_ODDS_DECIMALS
    whole = [int(np.floor(share * unit)) for _, share in parts]
    # what rounding down lost goes to those that lost most
    lost = sorted(range(len(parts)), key=lambda n: (whole[n] - parts[n][1] * unit, n))
    for n in lost[: unit - sum(whole)]:
        whole[n] += 1
    ranked = sorted((-count, code or "") for (code, _), count in zip(parts, whole, strict=True) if count)
    return [{"code": code or None, "share": -count / unit} for count, code in ranked]


def _has_grids(uow: UnitOfWork, network: str, districts: pd.Series, at: datetime) -> NDArray[np.bool_]:
    """Return for each report whether its district has grids of a network."""
    held = {district: uow.grids.count(network, district, at) > 0 for district in set(districts)}
    return districts.map(held).to_numpy(dtype=bool)


def _to_storage(lon: ArrayLike, lat: ArrayLike, datum: str) -> tuple[Any, Any]:
    """Return positions in CGCS2000, rounded as stored geometries are, so that a vertex given as text is that vertex."""
    x, y = convert(lon, lat, datum, "cgcs2000")
    return np.round(x, STORAGE_DECIMALS), np.round(y, STORAGE_DECIMALS)


_UNIT = 10.0**STORAGE_DECIMALS


def _one_to_storage(lon: float, lat: float, datum: str) -> tuple[float, float]:
    """Return one position as `_to_storage` does, to the last bit, without arrays."""
    x, y = convert(lon, lat, datum, "cgcs2000")
    return round(float(x) * _UNIT) / _UNIT, round(float(y) * _UNIT) / _UNIT


def _epochs(uow: UnitOfWork, waiting: pd.DataFrame, prefix: str, at: datetime | None) -> list[pd.DataFrame]:
    """Return the reports in groups during which no grid changed."""
    if waiting.empty:
        return []
    if at is not None:
        return [waiting]
    times = waiting["reported_at"]
    changes = GridHistory(uow.connection, uow.scope).changes(
        prefix, times.min().to_pydatetime(), times.max().to_pydatetime()
    )
    if not changes:
        return [waiting]
    # [valid_from, valid_to): an instant of change already belongs to what comes after
    epoch = np.searchsorted(
        pd.DatetimeIndex(changes).as_unit("us").asi8, times.dt.as_unit("us").astype("int64"), side="right"
    )
    return [group for _, group in waiting.groupby(epoch, sort=True)]
