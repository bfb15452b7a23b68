"""Point to grid as a use case: one point with all that is known of its place, arrays, reports, files.

Grids follow from position and time. One point is answered by the database, many by ``geo.location``; a test holds the two to
the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import CoordinateError, OutsideCoverageError
from gridsvc.geo import projections
from gridsvc.geo.datums import STORAGE_DECIMALS, check_lonlat, convert, parse_datum
from gridsvc.geo.location import GridIndex
from gridsvc.progress import SILENT, Progress
from gridsvc.store.grid_history import GridHistory
from gridsvc.store.listings import Listings
from gridsvc.store.unit_of_work import UnitOfWork

NETWORKS = ("urban", "social", "security", "unified")
COMMUNITY = "community"

# up to this many points the database answers faster than the grids can be read
_FEW_POINTS = 32
_DISTRICT_DIGITS = 6

# An accuracy is the radius that holds the true position with 68 %, as phones state it; 1.51 standard deviations.
_ACCURACY_IN_DEVIATIONS = 1.5096
_ODDS_RINGS, _ODDS_SPOKES = 12, 16


@dataclass(frozen=True, slots=True)
class LocateResult:
    """Reports located: how many were looked at, how many got a grid by network, how many lack one they should have."""

    reports: int
    located: dict[str, int]
    unlocated: int


@dataclass(frozen=True, slots=True)
class LocatedGrid:
    """One grid that answers for a point.

    ``odds`` are the shares (0 to 1) of this network's grids under the stated accuracy, by falling share, code None for
    none; empty when no accuracy was stated. ``workers`` are those on duty, the primary one first, without phone numbers.
    """

    network: str
    code: str
    name: str
    kind: str
    community_code: str
    parent_code: str | None
    distance_to_border_m: float
    workers: list[dict[str, Any]] = field(default_factory=list)
    odds: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LocatedPoint:
    """What is known of a place at an instant. ``lon, lat`` are CGCS2000; the original position and datum are beside them.

    ``distance_to_border_m`` is the smallest over the networks, None where no grid answers.
    """

    lon: float
    lat: float
    original: dict[str, Any]
    at: datetime
    accuracy_m: float | None
    divisions: list[dict[str, Any]]
    grids: list[LocatedGrid]
    distance_to_border_m: float | None


def locate_point(
    uow: UnitOfWork, lon: float, lat: float, datum: str | None, *, at: datetime, accuracy_m: float | None = None
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

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When the position is not one.
    OutsideCoverageError
        When it lies in no district held here (in this scope).
    """
    name = parse_datum(datum)
    check_lonlat(lon, lat)
    if accuracy_m is not None and not (np.isfinite(accuracy_m) and accuracy_m >= 0):
        raise CoordinateError(
            f"accuracy_m is {accuracy_m}.", hint="Give metres, zero or more.", field="accuracy_m", reason="negative"
        )
    x, y = _to_storage(lon, lat, name)
    codes = uow.grids.locate_one(float(x), float(y), at)
    divisions = _divisions_at(uow, float(x), float(y), at)
    if not any(division["level"] == "district" for division in divisions):
        raise OutsideCoverageError(
            f"The position ({lon:.6g}, {lat:.6g}) in {name} lies in no district held here.",
            hint="Check datum and axis order; the divisions may be missing at that instant.",
            lon=float(lon),
            lat=float(lat),
        )
    grids = [
        _located_grid(uow, network, code, float(x), float(y), at, accuracy_m)
        for network in NETWORKS
        if (code := codes[network]) is not None
    ]
    return LocatedPoint(
        lon=float(x),
        lat=float(y),
        original={"lon": float(lon), "lat": float(lat), "datum": name},
        at=at,
        accuracy_m=accuracy_m,
        divisions=divisions,
        grids=grids,
        distance_to_border_m=min((grid.distance_to_border_m for grid in grids), default=None),
    )


def locate_arrays(
    uow: UnitOfWork,
    lon: ArrayLike,
    lat: ArrayLike,
    datum: str | None,
    *,
    at: datetime,
    networks: Sequence[str] = NETWORKS,
) -> dict[str, NDArray[np.object_]]:
    """Return for each network, and for ``community``, an array of codes, None where no grid holds the point.

    Parameters
    ----------
    lon, lat, datum
        Positions as they came, one dimension, one datum for all. Unit: degrees.
    at
        The instant whose grids are meant.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When a position is not one; ``details["index"]`` says which.
    """
    name = parse_datum(datum)
    x, y = np.atleast_1d(np.asarray(lon, dtype=float)), np.atleast_1d(np.asarray(lat, dtype=float))
    check_lonlat(x, y)
    x, y = _to_storage(x, y, name)
    if len(x) <= _FEW_POINTS:
        one_by_one = [uow.grids.locate_one(float(a), float(b), at) for a, b in zip(x, y, strict=True)]
        return {
            key: np.array([found[key] for found in one_by_one] or [], dtype=object) for key in (*networks, COMMUNITY)
        }
    return _Indexes.read(uow, _prefixes_around(uow, x, y, at), at, networks).locate(x, y)


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
        indexes = _Indexes.read(uow, sorted(set(epoch["district_code"])), instant, NETWORKS)
        codes = indexes.locate(epoch["lon"].to_numpy(float), epoch["lat"].to_numpy(float))
        missing = np.zeros(len(epoch), dtype=bool)
        for network in NETWORKS:
            found = codes[network] != None  # noqa: E711 - elementwise on an object array
            counts[network] += int(found.sum())
            missing |= ~found if len(indexes.by_network[network]) else False
        unlocated += int(missing.sum())
        keys = epoch[["district_code", "reported_at", "report_id"]]
        grids = {f"{network}_grid": codes[network] for network in NETWORKS}
        uow.reports.set_grids(keys.assign(community_code=codes[COMMUNITY], **grids))
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
class _Indexes:
    """The grids of several networks and the communities at one instant, ready for looking up."""

    by_network: dict[str, GridIndex]

    @classmethod
    def read(cls, uow: UnitOfWork, prefixes: Sequence[str], at: datetime, networks: Sequence[str]) -> _Indexes:
        by_network = {}
        for network in networks:
            by_network[network] = _index([uow.grids.list(network, prefix, at) for prefix in prefixes])
        communities = [uow.divisions.list(COMMUNITY, prefix, at) for prefix in prefixes]
        by_network[COMMUNITY] = _index([frame[frame.geometry.notna()] for frame in communities])
        return cls(by_network)

    def locate(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> dict[str, NDArray[np.object_]]:
        return {name: index.locate(lon, lat) for name, index in self.by_network.items()}


def _index(frames: list[Any]) -> GridIndex:
    if not frames:
        return GridIndex([], np.array([], dtype=object))
    codes = [str(code) for frame in frames for code in frame["code"]]
    return GridIndex(codes, np.concatenate([frame.geometry.to_numpy() for frame in frames]))


def _to_storage(lon: ArrayLike, lat: ArrayLike, datum: str) -> tuple[Any, Any]:
    """Return positions in CGCS2000, rounded as stored geometries are, so that a vertex given as text is that vertex."""
    x, y = convert(lon, lat, datum, "cgcs2000")
    return np.round(x, STORAGE_DECIMALS), np.round(y, STORAGE_DECIMALS)


def _prefixes_around(uow: UnitOfWork, x: NDArray[np.float64], y: NDArray[np.float64], at: datetime) -> list[str]:
    """Return the codes of the districts whose bounds hold one of the points: only their grids need to be read."""
    districts = uow.divisions.list("district", at=at)
    codes = []
    for code, geometry in zip(districts["code"], districts.geometry, strict=True):
        if geometry is None:
            continue
        min_x, min_y, max_x, max_y = geometry.bounds
        if ((x >= min_x) & (x <= max_x) & (y >= min_y) & (y <= max_y)).any():
            codes.append(str(code))
    return codes


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


def _divisions_at(uow: UnitOfWork, lon: float, lat: float, at: datetime) -> list[dict[str, Any]]:
    """Return the divisions a point is in, from large to small: code, name, level."""
    found = []
    for level in ("city", "district", "street", "community"):
        code = uow.divisions.at(lon, lat, at, level)
        division = uow.divisions.get(code, at) if code else None
        if division is not None:
            found.append({"code": code, "name": division["name"], "level": level})
    return found


def _located_grid(
    uow: UnitOfWork, network: str, code: str, lon: float, lat: float, at: datetime, accuracy_m: float | None
) -> LocatedGrid:
    frame = uow.grids.get(network, code, at)
    row = frame.iloc[0]
    card = Listings(uow.connection, uow.scope).grid(network, code, at=at) or {}
    hidden = ("phone", "phone_masked")
    workers = [{key: value for key, value in worker.items() if key not in hidden} for worker in card.get("workers", [])]
    distance = GridIndex([code], frame.geometry.to_numpy()).distance_to_border_m(lon, lat)[0]
    return LocatedGrid(
        network=network,
        code=code,
        name=row["name"],
        kind=row["kind"],
        community_code=row["community_code"],
        parent_code=row["parent_code"] if isinstance(row["parent_code"], str) else None,
        distance_to_border_m=round(float(distance), 3),
        workers=workers,
        odds=_odds(uow, network, lon, lat, at, accuracy_m) if accuracy_m else [],
    )


def _odds(
    uow: UnitOfWork, network: str, lon: float, lat: float, at: datetime, accuracy_m: float
) -> list[dict[str, Any]]:
    """Return the share of each grid around a point whose error is a round normal one, from rings of equal probability."""
    share = (np.arange(_ODDS_RINGS) + 0.5) / _ODDS_RINGS
    radius = accuracy_m / _ACCURACY_IN_DEVIATIONS * np.sqrt(-2.0 * np.log(1.0 - share))
    angle = 2.0 * np.pi * (np.arange(_ODDS_SPOKES) + 0.5) / _ODDS_SPOKES
    epsg = projections.gauss_kruger_epsg(lon)
    middle = projections.to_metric([shapely.Point(lon, lat)], epsg)[0]
    x = middle.x + np.outer(radius, np.cos(angle)).ravel()
    y = middle.y + np.outer(radius, np.sin(angle)).ravel()
    points = projections.to_storage(shapely.points(x, y), epsg)
    codes = uow.grids.locate_many_sql(shapely.get_x(points), shapely.get_y(points), network, at)
    names, counts = np.unique(np.array(["" if code is None else code for code in codes]), return_counts=True)
    ranked = sorted(
        zip(names.tolist(), (counts / len(codes)).tolist(), strict=True), key=lambda pair: (-pair[1], pair[0])
    )
    return [{"code": code or None, "share": round(part, 4)} for code, part in ranked]
