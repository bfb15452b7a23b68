"""Where one more facility helps most: the best sites among candidates of a division, above what stands there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.cover_sets import cover_sets
from gridsvc.circle.coverage import CircleStandard
from gridsvc.circle.exact_siting import TIME_LIMIT_S, exact_covering, exact_median, exact_share
from gridsvc.circle.greedy_siting import greedy_covering, greedy_median, greedy_share
from gridsvc.circle.siting import COVER, MEDIAN, SHARE, Siting, SitingTask, siting_task
from gridsvc.circle.street_points import street_points
from gridsvc.circle.travel_times import nearest_facilities
from gridsvc.circle.walk_network import Floats
from gridsvc.errors import CoordinateError, FileUnreadableError, RequestInvalidError
from gridsvc.formats.import_fields import as_numbers, as_text
from gridsvc.formats.vector_files import FileTable, read_table
from gridsvc.geo.projections import to_metric, to_storage
from gridsvc.progress import SILENT, Progress
from gridsvc.services.circle_sandboxes import (
    Sandbox,
    Walkers,
    community_at,
    ground_facts,
    kind_limits,
    lay_out,
    read_ground,
)
from gridsvc.services.division_wishes import placed
from gridsvc.services.walk_networks import metric_xy
from gridsvc.store.unit_of_work import UnitOfWork

METHODS = ("greedy", "exact")
STREETS, RESIDENCES, GIVEN = "streets", "residences", "given"
SPACING_M = 100.0
MOST_SITES = 200
MOST_CANDIDATES = 20_000
_SAME_PLACE_M = 1.0  # a facility this near a building is in it


@dataclass(frozen=True, eq=False, slots=True)
class Places:
    """Places that are offered for a facility: points in EPSG:4490, their names, and how many each could serve (None: any number)."""

    points: np.ndarray
    names: tuple[str, ...]
    capacity: Floats | None = None


@dataclass(frozen=True, slots=True)
class SitingWish:
    """What is asked for.

    Attributes
    ----------
    kind_code, minutes
        Kind of the new facilities, and the longest walk to them; None: the minutes of the standard, or of the kind.
    sites
        How many at most.
    share
        Instead of a number: as few as cover this share of all.
    by_time
        Least time walked (p-median) instead of most people within the minutes.
    method
        ``greedy``: quick, with its bound; ``exact``: proven, or the best found in ``time_limit_s`` with its gap.
    candidates
        Without places given: points along ``streets`` at most ``spacing_m`` apart, or ``residences`` in which no facility of the kind is.
    capacity
        People (households, residences) each new facility can serve; None: any number.
    """

    kind_code: str
    minutes: float | None = None
    sites: int = 1
    share: float | None = None
    by_time: bool = False
    method: str = "greedy"
    candidates: str = STREETS
    spacing_m: float = SPACING_M
    capacity: float | None = None
    time_limit_s: float = TIME_LIMIT_S


@dataclass(frozen=True, slots=True)
class Site:
    """A site, in the order in which they help most; ``gain`` is what it brings after those before it.

    For the time walked gains are person-hours. ``candidate`` is its number from 1 among those offered.
    """

    rank: int
    candidate: int
    name: str
    lon: float
    lat: float
    community_code: str
    community_name: str
    gain: float
    share_after: float | None


@dataclass(frozen=True, slots=True)
class SitingAnswer:
    """Sites and how good they are.

    ``before``, ``after``: those served within the minutes, or for the time walked person-hours; ``value`` is what was aimed at (also the number
    of sites), ``bound`` what no other choice betters, ``gap`` how much better one could be at most, as a share.
    """

    aim: str
    method: str
    candidates: int
    candidates_from: str
    candidates_without_street: int
    before: float
    after: float
    value: float
    bound: float
    gap: float
    is_proven: bool
    sites: tuple[Site, ...]
    facts: dict[str, Any] = field(repr=False)
    seconds: float


@dataclass(frozen=True, eq=False, slots=True)
class _Candidates:
    source: str
    attached: Attachments
    points: np.ndarray
    names: tuple[str, ...]
    capacity: Floats | None


def choose_sites(
    uow: UnitOfWork,
    code: str,
    wish: SitingWish,
    *,
    at: datetime,
    walkers: Walkers,
    standard: str | CircleStandard | None = None,
    places: Places | None = None,
    progress: Progress = SILENT,
) -> SitingAnswer:
    """Return the best sites for facilities of a kind in a division, above those that stand in and around it.

    Nothing is stored. The walking network is the latest one stored.

    Parameters
    ----------
    at
        Instant of boundary, facilities and communities.
    places
        Where facilities could be built; None: as the wish says.

    Raises
    ------
    NotFoundError
        When division, residences, walking network or standard are not there.
    RequestInvalidError
        When the wish is impossible, or there are no or too many candidates.
    ConflictError
        When all candidates together do not cover the share asked for.
    """
    began = time.perf_counter()
    _check(wish)
    progress.start("read residences, facilities and network")
    limits = kind_limits(uow, [wish.kind_code], standard=standard, minutes=wish.minutes)
    ground = read_ground(uow, code, limits, at=at, walkers=walkers)
    sandbox = lay_out(ground)
    progress.start("candidates")
    found = _candidates(sandbox, wish, places)
    progress.start("who is in reach of each candidate")
    limit_s = float(ground.limits_s[0])
    served_s = nearest_facilities(sandbox.walk, sandbox.origins, sandbox.targets, sandbox.kind, 1).times_s[:, 0]
    sets = cover_sets(sandbox.walk, found.attached, sandbox.origins, limit_s)
    task = siting_task(sets, ground.weights, served_s=served_s, capacity=found.capacity)
    progress.start("choose")
    siting = _choose(task, wish)
    hours = 3600.0 if siting.aim == MEDIAN else 1.0
    return SitingAnswer(
        aim=siting.aim,
        method=wish.method,
        candidates=len(found.attached),
        candidates_from=found.source,
        candidates_without_street=int((~found.attached.is_attached).sum()),
        before=round(siting.before / hours, 2),
        after=round(siting.after / hours, 2),
        value=round(siting.value / hours, 2),
        bound=round(siting.bound / hours, 2),
        gap=siting.gap,
        is_proven=siting.is_proven,
        sites=_sites(uow, siting, found, at, hours),
        facts=ground_facts(ground, sandbox),
        seconds=time.perf_counter() - began,
    )


def read_candidates(path: Path, datum: str | None) -> Places:
    """Return the points of a file: geometry, or columns lon and lat; a column name or code names them, one of capacity says how many each serves.

    Raises
    ------
    DatumMissingError
        When neither the caller nor the file declares a datum.
    FileUnreadableError
        When the file cannot be read, or has no points.
    GeometryError, CoordinateError
        When a row is no point; names the row.
    RequestInvalidError
        When a capacity is no number from 0 up.
    """
    table = read_table(path)
    columns = {str(name).strip().lower(): name for name in table.frame.columns}
    points = placed(_drawn(table, columns), datum, "point", table.name, file_crs=table.crs)
    named = next((columns[name] for name in ("name", "code") if name in columns), None)
    names = [""] * len(points) if named is None else as_text(table.frame[named]).tolist()
    capacity = None
    if "capacity" in columns:
        capacity, bad = as_numbers(table.frame[columns["capacity"]])
        wrong = np.flatnonzero(bad | ~(np.isfinite(capacity) & (capacity >= 0)))
        if len(wrong):
            raise RequestInvalidError(
                f"{table.name}, row {wrong[0] + 1}: the capacity is no number from 0 up.",
                hint="Say how many can be served there.",
                field="capacity",
            )
    return Places(points, tuple(names), capacity)


def _drawn(table: FileTable, columns: dict[str, Any]) -> np.ndarray:
    """Return the points of a table as they stand in it."""
    if table.geometry is not None:
        return table.geometry
    if not {"lon", "lat"} <= set(columns):
        raise FileUnreadableError(
            f"{table.name} has no points: no geometry, and no columns lon and lat.",
            hint="Give a point, or lon and lat, in each row.",
        )
    numbers = [as_numbers(table.frame[columns[name]]) for name in ("lon", "lat")]
    lon, lat = (values for values, _ in numbers)
    wrong = np.flatnonzero(numbers[0][1] | numbers[1][1] | ~np.isfinite(lon + lat))
    if len(wrong):
        raise CoordinateError(f"{table.name}, row {wrong[0] + 1}: lon or lat is no number.", hint="Write degrees.")
    return shapely.points(lon, lat)


def _check(wish: SitingWish) -> None:
    faults = {
        "method": (wish.method in METHODS, f"{wish.method!r} is no method", f"Use {' or '.join(METHODS)}."),
        "candidates": (
            wish.candidates in (STREETS, RESIDENCES),
            f"Candidates are not taken from {wish.candidates!r}",
            f"Use {STREETS} or {RESIDENCES}, or give places.",
        ),
        "sites": (
            1 <= wish.sites <= MOST_SITES,
            f"{wish.sites} sites were asked for",
            f"Ask for 1 to {MOST_SITES}.",
        ),
        "share": (
            wish.share is None or not wish.by_time,
            "A share and the least time walked were asked for together",
            "Ask for one of them.",
        ),
        "spacing_m": (10.0 <= wish.spacing_m <= 1000.0, f"Points {wish.spacing_m:g} m apart", "Give 10 to 1,000 m."),
        "capacity": (
            wish.capacity is None or 0 < wish.capacity < np.inf,
            f"A capacity of {wish.capacity}",
            "Give a number above 0.",
        ),
    }
    for name, (is_sound, what, hint) in faults.items():
        if not is_sound:
            raise RequestInvalidError(f"{what}.", hint=hint, field=name)


def _candidates(sandbox: Sandbox, wish: SitingWish, places: Places | None) -> _Candidates:
    if places is not None:
        xy = metric_xy(places.points, sandbox.compiled.epsg)
        found = _Candidates(GIVEN, sandbox.attach(xy), places.points, places.names, places.capacity)
    elif wish.candidates == STREETS:
        found = _along_streets(sandbox, wish.spacing_m)
    else:
        found = _in_residences(sandbox)
    count = len(found.attached)
    if not 0 < count <= MOST_CANDIDATES:
        raise RequestInvalidError(
            f"There are {count:,} candidates in {sandbox.ground.code}.",
            hint=f"Give 1 to {MOST_CANDIDATES:,}: choose a smaller division, or points further apart.",
            field="candidates",
        )
    if wish.capacity is None or found.capacity is not None:
        return found
    return _Candidates(found.source, found.attached, found.points, found.names, np.full(count, wish.capacity))


def _along_streets(sandbox: Sandbox, spacing_m: float) -> _Candidates:
    network, boundary = sandbox.compiled.network, sandbox.ground.boundary
    shapely.prepare(boundary)
    min_x, min_y, max_x, max_y = boundary.bounds
    x, y = network.node_xy.T
    box = (x >= min_x) & (x <= max_x) & (y >= min_y) & (y <= max_y)
    attached, xy = street_points(network, spacing_m, np.flatnonzero(box[network.edge_u] | box[network.edge_v]))
    inside = np.flatnonzero(shapely.contains_xy(boundary, xy)) if len(xy) else np.empty(0, dtype=np.int64)
    points = to_storage(shapely.points(xy[inside]), sandbox.compiled.epsg) if len(inside) else np.empty(0, object)
    return _Candidates(STREETS, _some(attached, inside), points, ("",) * len(inside), None)


def _in_residences(sandbox: Sandbox) -> _Candidates:
    """Return the doors of residences in which no facility of the kind is."""
    ground, epsg = sandbox.ground, sandbox.compiled.epsg
    shapes = to_metric(ground.homes.geometry.to_numpy(), epsg)
    taken = np.zeros(len(shapes), dtype=bool)
    if len(ground.facilities):
        tree = shapely.STRtree(to_metric(ground.facilities.geometry.to_numpy(), epsg))
        taken[tree.query(shapes, predicate="dwithin", distance=_SAME_PLACE_M)[0]] = True
    free = np.flatnonzero(~taken)
    points = shapely.point_on_surface(ground.homes.geometry.to_numpy()[free])
    names = ground.homes["residence_code"].to_numpy()[free].tolist()
    return _Candidates(RESIDENCES, _some(sandbox.origins, free), points, tuple(names), None)


def _some(attached: Attachments, chosen: ArrayLike) -> Attachments:
    names = ("edge", "access_m", "offset_m", "to_u_m", "to_v_m")
    return Attachments(*(getattr(attached, name)[chosen] for name in names))


def _choose(task: SitingTask, wish: SitingWish) -> Siting:
    if wish.method == "greedy":
        if wish.share is not None:
            return greedy_share(task, wish.share)
        return greedy_median(task, wish.sites) if wish.by_time else greedy_covering(task, wish.sites)
    if wish.share is not None:
        return exact_share(task, wish.share, time_limit_s=wish.time_limit_s)
    best = exact_median if wish.by_time else exact_covering
    return best(task, wish.sites, time_limit_s=wish.time_limit_s)


def _sites(uow: UnitOfWork, siting: Siting, found: _Candidates, at: datetime, hours: float) -> tuple[Site, ...]:
    lon_lat = np.round(shapely.get_coordinates(found.points[siting.sites]), 7).tolist()
    served = siting.before + np.cumsum(siting.gain)
    has_share = siting.aim in (COVER, SHARE) and siting.people > 0
    sites = []
    for i, number in enumerate(siting.sites.tolist()):  # few: each is looked up in its community
        lon, lat = lon_lat[i]
        community, name = community_at(uow, lon, lat, at)
        sites.append(
            Site(
                rank=i + 1,
                candidate=number + 1,
                name=found.names[number],
                lon=lon,
                lat=lat,
                community_code=community,
                community_name=name,
                gain=round(float(siting.gain[i]) / hours, 2),
                share_after=round(float(served[i]) / siting.people, 4) if has_share else None,
            )
        )
    return tuple(sites)


def places_of(lon_lat: Sequence[tuple[float, float]], datum: str) -> Places:
    """Return places given as longitude and latitude in a datum; errors as of :func:`read_candidates`."""
    points = placed(shapely.points(np.array(lon_lat, dtype=float)), datum, "point", "places")
    return Places(points, ("",) * len(points))
