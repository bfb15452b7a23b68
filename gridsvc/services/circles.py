"""Service circles and isochrones of a division.

A circle may reach over borders: streets and facilities are taken with a margin of one full walk around the division.
"""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from shapely.geometry import MultiPolygon

from gridsvc.circle.attachments import Attachments, attach_areas, attach_points
from gridsvc.circle.coverage import (
    CircleCoverage,
    CircleStandard,
    circle_coverage,
    find_standard,
    load_standards,
    standard_document,
)
from gridsvc.circle.gates import Compounds, WallPassages
from gridsvc.circle.isochrones import IsochroneWalk, isochrones_from
from gridsvc.circle.travel_times import (
    CIRCLE_LIMIT_S,
    MOST_MINUTES,
    PLANNING_SPEED_M_S,
    CompiledWalk,
    facility_counts,
    nearest_facilities,
)
from gridsvc.circle.walk_network import WalkNetwork, build_walk_network
from gridsvc.errors import NotFoundError, OutsideCoverageError, RequestInvalidError
from gridsvc.geo.datums import check_lonlat, convert, parse_datum
from gridsvc.geo.projections import to_metric, to_storage
from gridsvc.progress import SILENT, Progress
from gridsvc.resources import content_dir
from gridsvc.services.compiled_network import CompiledNetwork, load_network, save_network
from gridsvc.services.walk_networks import (
    MARGIN_M,
    BuildOptions,
    box_around,
    build_network,
    compile_network,
    metric_xy,
    network_at,
    store_snapshot,
)
from gridsvc.store.facilities import LONG_AGO
from gridsvc.store.unit_of_work import UnitOfWork

DEFAULT_STANDARD = "gb50180-15"
MINUTES = (5, 10, 15)

__all__ = [
    "CircleResult",
    "Doubts",
    "Isochrone",
    "WalkStart",
    "build_network",
    "circle_standards",
    "isochrone_features",
    "isochrones_of",
    "kind_names",
    "rules_of_run",
    "run_circle",
    "stored_seconds",
    "walk_start",
]


@dataclass(frozen=True, slots=True)
class Doubts:
    """What makes a result less certain: counts of input with something missing.

    Residences without an entrance start at their centroid, those in a walled compound without streets at its gates. Unattached ones have no street within 300 m; detached ones join
    a piece of network that is cut off from the largest. Of facilities of unknown date nobody said since when they are there.
    ``kinds_without_facilities`` may be a lack of data, not of clinics; ``unverified_kinds`` were not read in the source of the standard.
    """

    residences_without_entrance: int
    residences_from_gate: int
    residences_unattached: int
    residences_detached: int
    residences_without_community: int
    residences_without_population: int
    facilities_unattached: int
    facilities_of_unknown_date: int
    unattached_people_share: float | None
    areas_without_entrance: int
    kinds_without_facilities: tuple[str, ...]
    unverified_kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CircleResult:
    """A stored run: what took part, people covered by kind, qualified communities, and the coverage in full."""

    circle_run_id: int
    walk_network_id: int
    standard: str
    speed_m_s: float
    residences: int
    facilities: int
    kinds: int
    nodes: int
    edges: int
    population: int
    population_covered: dict[str, int]
    qualified_communities: int
    communities: int
    coverage: CircleCoverage
    doubts: Doubts
    seconds: float


@cache
def circle_standards() -> Mapping[str, CircleStandard]:
    """Return the standards of ``data/circle_standards.json`` by id, in the order of the file."""
    path = content_dir("data") / "circle_standards.json"
    return load_standards(json.loads(path.read_text("utf-8")))


@cache
def kind_names() -> Mapping[str, str]:
    """Return the Chinese names of the facility kinds that come with the program, by code."""
    path = content_dir("data") / "catalogue" / "facilities.csv"
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {row["code"]: row["name_zh"] for row in csv.DictReader(file)}


def rules_of_run(run: Mapping[str, Any]) -> CircleStandard:
    """Return the list of kinds a stored run was judged by.

    Raises
    ------
    NotFoundError
        When the run is of before lists were kept, by a standard that is gone.
    """
    if run["rules"]:
        return load_standards({"standards": [run["rules"]]})[run["rules"]["id"]]
    return find_standard(circle_standards(), run["standard"])


def run_circle(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    standard: str | CircleStandard = DEFAULT_STANDARD,
    speed_m_s: float = PLANNING_SPEED_M_S,
    limit_s: float = CIRCLE_LIMIT_S,
    hour: float | None = None,
    options: BuildOptions | None = None,
    progress: Progress = SILENT,
) -> CircleResult:
    """Compute who walks to what in the service circle of a division and store the run; the caller commits.

    Origins are residences with households or people: their entrance, or the centroid where none is known. The walking network is
    brought up to date first. A run that comes out exactly like the latest one is not stored again.

    Parameters
    ----------
    at
        Instant of boundary, facilities and network, kept as the date of the run.
    standard
        Id in ``data/circle_standards.json``, or a list of one's own, which is kept with the run.
    speed_m_s
        Walking speed, 0.3 to 3 m/s.
    limit_s
        Longest walk looked for, at least the longest of the standard.
    hour
        Hour of the day, 0 up to 24, whose gates are open; None takes all that are not closed for good as open.
    options
        How the walking network is built; None: as the latest one of the division was.

    Raises
    ------
    NotFoundError
        When division, standard or residences are not there.
    RequestInvalidError
        When speed or limit are impossible.
    """
    began = time.perf_counter()
    rules = find_standard(circle_standards(), standard) if isinstance(standard, str) else standard
    _check_walk(rules, speed_m_s, limit_s)
    progress.start("walking network")
    margin_m = max(MARGIN_M, limit_s * speed_m_s)
    compiled, boundary = compile_network(uow, code, at, margin_m, options)
    network_id, _ = store_snapshot(uow, code, at, compiled)
    if hour is not None:
        compiled = compiled.with_closed(compiled.closed_at(hour))
    homes = list_homes(uow, code)
    facilities = _facilities(uow, rules, at, boundary, compiled.epsg, margin_m)
    walked = _walk(compiled, homes, facilities, rules, speed_m_s, limit_s, progress)
    progress.start("coverage")
    coverage = circle_coverage(
        walked.times_s,
        rules,
        population=homes["population"].to_numpy(),
        households=homes["households"].to_numpy(),
        community_codes=homes["community_code"].fillna("").tolist(),
        facilities_of_kind=walked.facilities_of_kind,
    )
    doubts = _doubts(compiled.network, homes, facilities, walked, rules)
    run = {
        "walk_network_id": network_id,
        "division_code": code,
        "standard": rules.standard_id,
        "speed_m_s": speed_m_s,
        "limit_s": limit_s,
        "ran_at": at,
        "rules": standard_document(rules),
        "coverage": _coverage_document(coverage, doubts, facilities, walked)
        | ({} if hour is None else {"gates_at_hour": hour}),
    }
    run_id = _store_run(uow, run, homes, walked, rules)
    return _result(run_id, run, compiled.network, coverage, doubts, len(homes), time.perf_counter() - began)


def _result(
    run_id: int,
    run: Mapping[str, Any],
    network: WalkNetwork,
    coverage: CircleCoverage,
    doubts: Doubts,
    residences: int,
    seconds: float,
) -> CircleResult:
    return CircleResult(
        circle_run_id=run_id,
        walk_network_id=run["walk_network_id"],
        standard=run["standard"],
        speed_m_s=run["speed_m_s"],
        residences=residences,
        facilities=sum(of_kind.facilities for of_kind in coverage.kinds),
        kinds=len(coverage.kinds),
        nodes=len(network.node_xy),
        edges=len(network.edge_u),
        population=coverage.population,
        population_covered={of_kind.code: of_kind.population_covered for of_kind in coverage.kinds},
        qualified_communities=coverage.qualified,
        communities=len(coverage.communities),
        coverage=coverage,
        doubts=doubts,
        seconds=seconds,
    )


@dataclass(frozen=True, eq=False, slots=True)
class _Walked:
    """Times from residences to kinds, numbers of facilities within each of ``count_minutes``, how both ends joined the network, and where
    each walk begins: entrance, centroid or gate.
    """

    times_s: np.ndarray
    counts: np.ndarray
    count_minutes: tuple[int, ...]
    origins: Attachments
    # several for a facility with several entrances
    targets: Attachments
    target_of: np.ndarray
    origin: np.ndarray
    facilities_of_kind: np.ndarray


def _walk(
    compiled: CompiledNetwork,
    homes: gpd.GeoDataFrame,
    facilities: gpd.GeoDataFrame,
    rules: CircleStandard,
    speed_m_s: float,
    limit_s: float,
    progress: Progress,
) -> _Walked:
    progress.start("attach residences and facilities")
    origins, origin = attach_homes(compiled, homes)
    targets, target_of = attach_facilities(compiled, facilities)
    number = {name: i for i, name in enumerate(rules.codes)}
    kind = np.array([number[name] for name in facilities["kind_code"]], dtype=np.int64)
    walk = CompiledWalk(compiled.network, speed_m_s, limit_s)
    times_s = nearest_facilities(walk, origins, targets, kind[target_of], len(number), progress=progress).times_s
    count_minutes = tuple(minutes for minutes in MINUTES if 60.0 * minutes <= limit_s)
    progress.start("facilities within reach")
    counts = _counts(walk, origins, targets, target_of, kind, len(number), count_minutes)
    of_kind = np.bincount(kind, minlength=len(number))
    return _Walked(times_s, counts, count_minutes, origins, targets, target_of, origin, of_kind)


def _counts(
    walk: CompiledWalk,
    origins: Attachments,
    targets: Attachments,
    target_of: np.ndarray,
    kind: np.ndarray,
    kinds: int,
    count_minutes: Sequence[int],
) -> np.ndarray:
    if not count_minutes:
        return np.zeros((len(origins), kinds, 0), dtype=np.int32)
    limits_s = [60.0 * minutes for minutes in count_minutes]
    return facility_counts(walk, origins, targets, kind[target_of], kinds, limits_s, facility_of=target_of)


def attach_facilities(compiled: CompiledNetwork, facilities: gpd.GeoDataFrame) -> tuple[Attachments, np.ndarray]:
    """Attach facilities by their entrances, those without by the outline of their area, the others by their point; return whose each is."""
    area, entrances = facilities["area"].to_numpy(), facilities["entrances"].to_numpy()
    is_area, has_entrances = ~shapely.is_missing(area), ~shapely.is_missing(entrances)
    points = facilities["geometry"].to_numpy()
    doors, door_of = shapely.get_parts(entrances[has_entrances], return_index=True)
    plain = np.flatnonzero(~is_area & ~has_entrances)
    xy = metric_xy(np.concatenate((points[plain], doors)), compiled.epsg)
    owner = np.concatenate((plain, np.flatnonzero(has_entrances)[door_of]))
    by_point = attach_points(compiled.network, xy, compound=compiled.compounds_of(xy))
    outlined = np.flatnonzero(is_area & ~has_entrances)
    if not len(outlined):
        return by_point, owner
    inside = compiled.compounds_of(metric_xy(points[outlined], compiled.epsg))
    by_outline, of = attach_areas(compiled.network, to_metric(area[outlined], compiled.epsg), compound=inside)
    return _joined(by_point, by_outline), np.concatenate((owner, outlined[of]))


def _joined(first: Attachments, second: Attachments) -> Attachments:
    return Attachments(
        *(np.concatenate((getattr(first, each.name), getattr(second, each.name))) for each in fields(Attachments))
    )


def _store_run(
    uow: UnitOfWork, run: Mapping[str, Any], homes: gpd.GeoDataFrame, walked: _Walked, rules: CircleStandard
) -> int:
    """Store a run, unless the latest one is exactly the same; return its id."""
    latest = uow.circle_runs.latest(run["division_code"], run["standard"])
    if latest is not None and all(latest[name] == value for name, value in run.items()):
        return int(latest["circle_run_id"])
    return uow.circle_runs.put(**run, times=_times_frame(homes, walked, rules))


def _check_walk(rules: CircleStandard, speed_m_s: float, limit_s: float) -> None:
    check_speed(speed_m_s)
    longest_s = float(rules.limits_s.max())
    if not longest_s <= limit_s <= 60.0 * MOST_MINUTES:
        raise RequestInvalidError(
            f"The limit of {limit_s:g} s does not lie between the standard's {longest_s:g} s and an hour.",
            hint=f"Use {longest_s:g}.",
        )


def check_speed(speed_m_s: float) -> None:
    """Do nothing for a speed that people walk at; raise RequestInvalidError for others."""
    if not 0.3 <= speed_m_s <= 3.0:
        raise RequestInvalidError(
            f"A walking speed of {speed_m_s:g} m/s is outside 0.3 to 3.", hint="Planning default: 1.1; elderly: 0.8."
        )


def list_homes(uow: UnitOfWork, code: str) -> gpd.GeoDataFrame:
    """Return the residences with households of a division, by code; raise NotFoundError where there are none."""
    homes = uow.residences.list(prefix=code)
    homes = homes[(homes["households"] > 0) | (homes["population"] > 0)]
    if homes.empty:
        raise NotFoundError(
            f"{code} has no residences with households or people in its communities.",
            hint="Import communities with their boundaries, then residences.",
        )
    return homes


def _facilities(
    uow: UnitOfWork, rules: CircleStandard, at: datetime, boundary: Any, epsg: int, margin_m: float
) -> gpd.GeoDataFrame:
    found = uow.facilities.list(bbox=box_around(boundary, epsg, margin_m), at=at, with_areas=True)
    return found[found["kind_code"].isin(rules.codes)]


def attach_homes(compiled: CompiledNetwork, homes: gpd.GeoDataFrame) -> tuple[Attachments, np.ndarray]:
    """Attach entrances, or centroids where there is none; return which was taken, ``gate`` in compounds without streets."""
    doors = homes[["entrance_lon", "entrance_lat"]].to_numpy(dtype=float, copy=True)
    unknown = ~np.isfinite(doors).all(axis=1)
    doors[unknown] = shapely.get_coordinates(shapely.centroid(homes["geometry"].to_numpy()[unknown]))
    xy = metric_xy(shapely.points(doors), compiled.epsg)
    compound = compiled.compounds_of(xy)
    origin = np.where(np.isin(compound, compiled.yards), "gate", np.where(unknown, "centroid", "entrance"))
    return attach_points(compiled.network, xy, compound=compound), origin.astype(object)


def _doubts(
    network: WalkNetwork, homes: gpd.GeoDataFrame, facilities: gpd.GeoDataFrame, walked: _Walked, rules: CircleStandard
) -> Doubts:
    on = walked.origins.is_attached
    people = homes["population"].to_numpy(dtype=float)
    reached = np.unique(walked.target_of[walked.targets.is_attached])
    outlined = facilities["area"].notna() & facilities["entrances"].isna()
    return Doubts(
        residences_without_entrance=int((walked.origin == "centroid").sum()),
        residences_from_gate=int((walked.origin == "gate").sum()),
        residences_unattached=int((~on).sum()),
        residences_detached=int((network.node_component[network.edge_u[walked.origins.edge[on]]] > 0).sum()),
        residences_without_community=int(homes["community_code"].isna().sum()),
        residences_without_population=int((homes["population"] == 0).sum()),
        facilities_unattached=len(facilities) - len(reached),
        facilities_of_unknown_date=int((facilities["valid_from"] <= LONG_AGO).sum()) if len(facilities) else 0,
        unattached_people_share=float(people[~on].sum() / people.sum()) if people.sum() > 0 else None,
        areas_without_entrance=int(outlined.sum()),
        kinds_without_facilities=tuple(np.array(rules.codes)[walked.facilities_of_kind == 0].tolist()),
        unverified_kinds=tuple(kind.code for kind in rules.kinds if not kind.is_verified),
    )


def _rounded(document: Any) -> Any:
    """Return a JSON document with shares cut to four decimals."""
    if isinstance(document, dict):
        return {key: _rounded(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_rounded(value) for value in document]
    return round(document, 4) if isinstance(document, float) else document


def _coverage_document(
    coverage: CircleCoverage, doubts: Doubts, facilities: pd.DataFrame, walked: _Walked
) -> dict[str, Any]:
    newest = facilities["valid_from"].max() if len(facilities) else None
    communities = {c.community_code: asdict(c) for c in coverage.communities}
    for community in communities.values():
        del community["community_code"]
    return _rounded(
        {
            "population": coverage.population,
            "households": coverage.households,
            "complete_share": coverage.complete_share,
            "qualified_communities": coverage.qualified,
            "community_share": coverage.community_share,
            "facilities_newest_at": None if newest is None or pd.isna(newest) else newest.isoformat(),
            "times_sha256": hashlib.sha256(np.round(walked.times_s, 1).tobytes() + walked.counts.tobytes()).hexdigest(),
            "count_minutes": list(walked.count_minutes),
            "doubts": asdict(doubts),
            "kinds": [asdict(of_kind) for of_kind in coverage.kinds],
            "communities": communities,
        }
    )


def _times_frame(homes: gpd.GeoDataFrame, walked: _Walked, rules: CircleStandard) -> pd.DataFrame:
    """Return one row per residence with the seconds to each kind reached and how many are within reach, as it is stored."""
    reached = np.isfinite(walked.times_s)
    tenths = stored_seconds(walked.times_s, rules.limits_s)
    return pd.DataFrame(
        {
            "residence_code": homes["residence_code"].to_numpy(),
            "walk_s": _by_kind(tenths, reached, rules.codes),
            "kinds_reached": reached.sum(axis=1),
            "origin": walked.origin,
            "facility_counts": _by_kind(walked.counts, np.any(walked.counts > 0, axis=2), rules.codes),
            "households": homes["households"].to_numpy(),
            "population": homes["population"].to_numpy(),
        }
    )


def _by_kind(values: np.ndarray, is_known: np.ndarray, codes: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each residence its known values by kind; a city has millions of them."""
    kinds = np.array(codes, dtype=object)[np.nonzero(is_known)[1]].tolist()
    kept = values[is_known].tolist()
    ends = np.cumsum(is_known.sum(axis=1)).tolist()
    return [dict(zip(kinds[begin:end], kept[begin:end], strict=True)) for begin, end in pairwise([0, *ends])]


def stored_seconds(times_s: np.ndarray, limits_s: np.ndarray) -> np.ndarray:
    """Return seconds to a tenth, never rounded over the limit of their kind: a walk of 900.04 s is kept as 900.1, not as 900.

    What is read back is within its limit exactly where the walk was.
    """
    tenths = np.round(times_s, 1)
    last = np.broadcast_to(np.floor(limits_s * 10.0) / 10.0, times_s.shape)
    over = (times_s > limits_s) & (tenths <= limits_s)
    under = (times_s <= limits_s) & (tenths > limits_s)
    return np.where(over, np.round(last + 0.1, 1), np.where(under, last, tenths))


class Isochrone(NamedTuple):
    """The area walked to within a number of minutes: a valid MultiPolygon (EPSG:4490), and its size. Unit: m2."""

    minutes: float
    area: MultiPolygon
    area_m2: float


@dataclass(frozen=True, eq=False, slots=True)
class WalkStart:
    """Where a walk begins, EPSG:4490, and the network around it."""

    lon: float
    lat: float
    compiled: CompiledNetwork


def walk_start(
    uow: UnitOfWork, lon: float, lat: float, datum: str, *, at: datetime, hour: float | None = None
) -> WalkStart:
    """Return the place and the latest stored network around it: all that an isochrone reads.

    Parameters
    ----------
    lon, lat
        Where the walk begins, in ``datum``. Unit: degrees.
    at
        Instant of the divisions.
    hour
        Hour of the day, 0 up to 24, whose gates are open; None takes all that are not closed for good as open.

    Raises
    ------
    OutsideCoverageError
        When the point lies in no district.
    NotFoundError
        When no walking network was built there.
    """
    check_lonlat(lon, lat)
    own_lon, own_lat = (float(value) for value in convert(lon, lat, parse_datum(datum), "cgcs2000"))
    return WalkStart(own_lon, own_lat, network_at(uow, own_lon, own_lat, at, hour=hour))


def isochrones_of(
    start: WalkStart, minutes: Sequence[float] = MINUTES, *, speed_m_s: float = PLANNING_SPEED_M_S
) -> list[Isochrone]:
    """Return the areas walked to from a place within each number of minutes, up to 60 each; reads nothing.

    Returns
    -------
    areas
        In the order of ``minutes``; each inside those of longer times.

    Raises
    ------
    OutsideCoverageError
        When no street is near.
    """
    if not minutes or not all(0 < limit <= MOST_MINUTES for limit in minutes):
        raise RequestInvalidError(f"Minutes {list(minutes)} are not all within 0 to 60.", hint="Example: 5, 10, 15.")
    check_speed(speed_m_s)
    compiled = start.compiled
    xy = metric_xy(np.array([shapely.Point(start.lon, start.lat)], dtype=object), compiled.epsg)
    origin = attach_points(compiled.network, xy, compound=compiled.compounds_of(xy))
    if not origin.is_attached[0]:
        raise OutsideCoverageError(
            f"No street lies near ({start.lon:.6f}, {start.lat:.6f}).",
            hint="Choose a point closer to a walkable street.",
        )
    areas = isochrones_from(_isochrone_walk(compiled.network, speed_m_s), origin, minutes)
    sizes = shapely.area(np.array(areas, dtype=object)).tolist()
    return [Isochrone(*row) for row in zip(minutes, _stored_areas(areas, compiled.epsg), sizes, strict=True)]


@lru_cache(maxsize=4)
def _isochrone_walk(network: WalkNetwork, speed_m_s: float) -> IsochroneWalk:
    """Return a network in memory made ready for one speed, once per process while it is among the last used."""
    return IsochroneWalk(CompiledWalk(network, speed_m_s, MOST_MINUTES * 60.0))


def warm_isochrones() -> None:
    """Load or compile everything compiled that an isochrone needs, which takes most of a minute the first time on a machine.

    By a cross of streets kept in a file, as the networks are that are asked about: compiled code tells mapped arrays from others.
    """
    streets = [[(-500, 0), (0, 0), (500, 0)], [(0, -500), (0, 0), (0, 500)]]
    cross = build_walk_network(shapely.linestrings(np.array(streets, dtype=float)))
    nobody = WallPassages((), np.empty(0, np.int32), np.empty((0, 2)), np.empty(0, bool), ())
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cross.walk"
        save_network(path, CompiledNetwork(cross, 4547, Compounds.none(), nobody))
        compiled = load_network(path)
        xy = np.array([[10.0, 10.0]])
        origin = attach_points(compiled.network, xy, compound=compiled.compounds_of(xy))
        walk = CompiledWalk(compiled.network, PLANNING_SPEED_M_S, MOST_MINUTES * 60.0)
        isochrones_from(IsochroneWalk(walk), origin, MINUTES)


def _stored_areas(areas: Sequence[MultiPolygon], epsg: int) -> list[MultiPolygon]:
    """Return areas in storage coordinates; where rounding made a ring touch itself, it is mended."""
    stored = to_storage(np.array(areas, dtype=object), epsg)
    return [area if area.is_valid else MultiPolygon(_polygons_of(shapely.make_valid(area))) for area in stored]


def _polygons_of(shape: Any) -> list[Any]:
    return [part for part in shapely.get_parts(shapely.get_parts([shape])) if part.geom_type == "Polygon"]


def isochrone_features(areas: Sequence[Isochrone], speed_m_s: float) -> dict[str, Any]:
    """Return isochrones as a GeoJSON feature collection, longest walk first so that shorter ones are drawn on top."""
    features = [
        {
            "type": "Feature",
            "properties": {"minutes": limit, "speed_m_s": speed_m_s, "area_m2": round(size_m2)},
            "geometry": shapely.geometry.mapping(area),
        }
        for limit, area, size_m2 in sorted(areas, key=lambda row: -row.minutes)
    ]
    return {"type": "FeatureCollection", "features": features}
