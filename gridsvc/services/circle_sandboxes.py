"""A division as it stands, made ready for what-if: its homes and facilities on a stored network. Nothing in it is stored."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import Any

import geopandas as gpd
import numpy as np

from gridsvc.circle.attachments import Attachments, attach_points
from gridsvc.circle.coverage import CircleStandard, find_standard
from gridsvc.circle.live_times import LiveTimes
from gridsvc.circle.travel_times import CIRCLE_LIMIT_S, MOST_MINUTES, PLANNING_SPEED_M_S, CompiledWalk
from gridsvc.circle.walk_network import Floats, Ints, WalkNetwork
from gridsvc.errors import RequestInvalidError
from gridsvc.services.circles import (
    DEFAULT_STANDARD,
    attach_facilities,
    attach_homes,
    check_speed,
    circle_standards,
    list_homes,
    rules_of_run,
)
from gridsvc.services.compiled_network import CompiledNetwork
from gridsvc.services.walk_networks import MARGIN_M, box_around, metric_boundary, network_of
from gridsvc.store.unit_of_work import UnitOfWork

WEIGHTS = ("population", "households", "residences")
_OTHER_MINUTES = 15.0  # of a kind that no list gives minutes
# pairs of a walk and its live times that are kept; one takes 8 bytes for each kind of each node and home
_KEPT = 2


@dataclass(frozen=True, slots=True)
class Walkers:
    """Who walks, and how they are counted.

    Attributes
    ----------
    speed_m_s
        Walking speed, 0.3 to 3 m/s.
    hour
        Hour of the day, 0 up to 24, whose gates are open; None takes all that are not closed for good as open.
    weight
        Whether people (``population``), ``households`` or ``residences`` count.
    network_id
        A stored walking network; None: the latest that takes in all of the division.
    """

    speed_m_s: float = PLANNING_SPEED_M_S
    hour: float | None = None
    weight: str = "population"
    network_id: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Ground:
    """What is stored of a division: residences, facilities around it, its network, and the kinds asked for with their limits.

    ``snapshot`` is the stored row of the network; ``boundary`` is metric, in the CRS of the network.
    """

    code: str
    at: datetime
    walkers: Walkers
    snapshot: Mapping[str, Any]
    compiled: CompiledNetwork
    boundary: Any
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    limits_s: Floats
    homes: gpd.GeoDataFrame
    facilities: gpd.GeoDataFrame

    @property
    def weights(self) -> Floats:
        """People, households or 1 of each residence."""
        if self.walkers.weight == "residences":
            return np.ones(len(self.homes))
        return self.homes[self.walkers.weight].to_numpy(dtype=np.float64)

    @property
    def communities(self) -> list[str]:
        """Community of each residence, "" where it lies in none."""
        return self.homes["community_code"].fillna("").tolist()


@dataclass(frozen=True, eq=False, slots=True)
class Sandbox:
    """A ground with its residences and facilities attached to a network: that of the ground, or one with more paths.

    ``targets`` are the doors of facilities, each of ``kind`` and of the facility ``target_of`` (a row of the ground's).
    """

    ground: Ground
    compiled: CompiledNetwork
    walk: CompiledWalk
    origins: Attachments
    targets: Attachments
    target_of: Ints
    kind: Ints

    def attach(self, xy: Floats) -> Attachments:
        """Return metric points attached to the network, those behind walls to the streets there."""
        return attach_points(self.compiled.network, xy, compound=self.compiled.compounds_of(xy))


def kind_limits(
    uow: UnitOfWork,
    kinds: Sequence[str] = (),
    *,
    standard: str | CircleStandard | None = None,
    minutes: float | None = None,
) -> dict[str, float]:
    """Return the seconds to walk to each kind asked for, in the order of the standard or as named.

    Parameters
    ----------
    kinds
        Codes; empty: all required kinds of the standard.
    standard
        List the minutes are of: one that comes with the program, a list of one's own, or the id of one that a stored run was judged by; None:
        GB 50180-2018, 15 minutes. A kind that is not in it has the minutes of the catalogue of kinds.
    minutes
        Minutes of every kind instead.

    Raises
    ------
    NotFoundError
        When the standard is not known.
    RequestInvalidError
        When a kind is not known or comes twice, or the minutes are not above 0 and up to 60.
    """
    if minutes is not None and not 0 < minutes <= MOST_MINUTES:
        raise RequestInvalidError(
            f"A walk of {minutes:g} minutes is not looked at.", hint=f"Give 0 to {MOST_MINUTES:g}.", field="minutes"
        )
    rules = _rules(uow, standard)
    asked = tuple(kinds) or tuple(kind.code for kind in rules.kinds if kind.required)
    known = uow.facilities.kinds()
    catalogue = dict(zip(known["kind_code"], known["circle_minutes"].fillna(0.0), strict=True))
    unknown = [kind for kind in asked if kind not in catalogue]
    if unknown or len(set(asked)) < len(asked):
        wrong = unknown or sorted({kind for kind in asked if asked.count(kind) > 1})
        raise RequestInvalidError(
            f"{', '.join(wrong)}: {'no such kind of facility' if unknown else 'named twice'}.",
            hint="List them: gridsvc circle standards --kinds.",
            field="kind",
        )
    listed = {kind.code: kind.minutes for kind in rules.kinds}
    return {kind: 60.0 * (minutes or listed.get(kind) or float(catalogue[kind]) or _OTHER_MINUTES) for kind in asked}


def _rules(uow: UnitOfWork, standard: str | CircleStandard | None) -> CircleStandard:
    if isinstance(standard, CircleStandard):
        return standard
    name = standard or DEFAULT_STANDARD
    run = None if name in circle_standards() else uow.circle_runs.latest(standard=name)
    return find_standard(circle_standards(), name) if run is None else rules_of_run(run)


def read_ground(uow: UnitOfWork, code: str, limits: Mapping[str, float], *, at: datetime, walkers: Walkers) -> Ground:
    """Return what is stored of a division and around it.

    Facilities are taken with a margin of one full walk, those beyond the caller's area among them: walks do not stop at a border.

    Parameters
    ----------
    limits
        Seconds to walk to each kind, as of :func:`kind_limits`.

    Raises
    ------
    NotFoundError
        When the division, its residences or a walking network are not there.
    RequestInvalidError
        When speed, hour or weight are impossible, or the network does not reach a full walk beyond the division.
    """
    check_speed(walkers.speed_m_s)
    if walkers.weight not in WEIGHTS:
        raise RequestInvalidError(
            f"People are not counted by {walkers.weight!r}.", hint=f"Use one of: {', '.join(WEIGHTS)}.", field="weight"
        )
    boundary, epsg = metric_boundary(uow, code, at)
    compiled, snapshot = network_of(uow, code, at, hour=walkers.hour, network_id=walkers.network_id)
    walk_m, margin_m = max(limits.values()) * walkers.speed_m_s, snapshot["build"].get("margin_m", MARGIN_M)
    if walk_m > margin_m:
        raise RequestInvalidError(
            f"The walking network reaches {margin_m:,.0f} m beyond {snapshot['division_code']}, a walk {walk_m:,.0f} m.",
            hint=f"Ask for shorter walks, or first run: gridsvc circle coverage {code} --limit {max(limits.values()):.0f}",
            field="minutes",
        )
    if compiled.epsg != epsg:  # the network of a larger division may lie in the next zone
        boundary, _ = metric_boundary(uow, code, at, epsg=compiled.epsg)
    facilities = uow.everywhere().facilities.list(
        bbox=box_around(boundary, compiled.epsg, walk_m), at=at, with_areas=True
    )
    names = uow.facilities.kinds().set_index("kind_code")["name_zh"]
    return Ground(
        code=code,
        at=at,
        walkers=walkers,
        snapshot=snapshot,
        compiled=compiled,
        boundary=boundary,
        kinds=tuple(limits),
        names=tuple(str(names[kind]) for kind in limits),
        limits_s=np.array(list(limits.values())),
        homes=list_homes(uow, code),
        facilities=facilities[facilities["kind_code"].isin(limits)].reset_index(drop=True),
    )


def lay_out(ground: Ground, network: WalkNetwork | None = None) -> Sandbox:
    """Return a ground with residences and facilities attached to its network, or to another one of the same compounds and gates."""
    compiled = ground.compiled if network is None else ground.compiled.with_network(network)
    origins, _ = attach_homes(compiled, ground.homes)
    targets, target_of = attach_facilities(compiled, ground.facilities)
    number = {kind: i for i, kind in enumerate(ground.kinds)}
    limit_s = max(CIRCLE_LIMIT_S, float(ground.limits_s.max()))
    # what is asked about once is not worth its memory
    compile_walk = CompiledWalk if compiled.network is not ground.compiled.network else _walk_of
    return Sandbox(
        ground=ground,
        compiled=compiled,
        walk=compile_walk(compiled.network, ground.walkers.speed_m_s, limit_s),
        origins=origins,
        targets=targets,
        target_of=target_of,
        kind=np.array([number[kind] for kind in ground.facilities["kind_code"]], dtype=np.int64)[target_of],
    )


@lru_cache(maxsize=_KEPT)
def _walk_of(network: WalkNetwork, speed_m_s: float, limit_s: float) -> CompiledWalk:
    """Return a network in memory compiled for one walker, once per process while it is among the last used."""
    return CompiledWalk(network, speed_m_s, limit_s)


class _LiveCities:
    """The live times this process used last, by all that they follow from, so that nothing is ever stale; one user at a time."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[CompiledWalk, str], LiveTimes] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def lent(self, sandbox: Sandbox) -> Iterator[LiveTimes]:
        key = (sandbox.walk, _content_of(sandbox))
        with self._lock:
            live = self._kept.pop(key, None) or _live_times_of(sandbox)
            try:
                yield live
            finally:
                if live.changes == 0:
                    self._kept[key] = live
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)


def _live_times_of(sandbox: Sandbox) -> LiveTimes:
    return LiveTimes(sandbox.walk, sandbox.origins, sandbox.targets, sandbox.kind, len(sandbox.ground.kinds))


_live_cities = _LiveCities()


@contextmanager
def live_times(sandbox: Sandbox) -> Iterator[LiveTimes]:
    """Yield the live times of a sandbox; they come back without changes.

    Those of the same residences, facilities, kinds and walk on a stored network are computed once while they are among the last used.
    """
    if sandbox.compiled.network is not sandbox.ground.compiled.network:
        yield _live_times_of(sandbox)
        return
    with _live_cities.lent(sandbox) as live:
        yield live


def _content_of(sandbox: Sandbox) -> str:
    digest = hashlib.sha256(repr((sandbox.ground.kinds, len(sandbox.origins), len(sandbox.targets))).encode())
    for attached in (sandbox.origins, sandbox.targets):
        for values in (attached.edge, attached.access_m, attached.offset_m):
            digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(sandbox.kind.tobytes())
    return digest.hexdigest()


def community_at(uow: UnitOfWork, lon: float, lat: float, at: datetime) -> tuple[str, str]:
    """Return code and name of the community that a place (EPSG:4490) lies in; "" where it lies in none."""
    code = uow.divisions.at(lon, lat, at, "community")
    division = None if code is None else uow.divisions.get(code, at)
    return code or "", "" if division is None else str(division["name"])


def ground_facts(ground: Ground, sandbox: Sandbox) -> dict[str, Any]:
    """Return what an answer was computed by and how far it may be doubted, JSON-serialisable."""
    on = sandbox.origins.is_attached
    weights = ground.weights
    snapshot = ground.snapshot
    return {
        "division_code": ground.code,
        "at": ground.at.isoformat(),
        "walk_network_id": int(snapshot["walk_network_id"]),
        "network_sha256": snapshot["content_sha256"],
        "network_built_at": snapshot["built_at"].isoformat(),
        "speed_m_s": ground.walkers.speed_m_s,
        "hour": ground.walkers.hour,
        "weight": ground.walkers.weight,
        "kinds": {
            kind: {
                "name": name,
                "minutes": round(limit_s / 60.0, 2),
                "facilities": int((ground.facilities["kind_code"] == kind).sum()),
            }
            for i, (kind, name, limit_s) in enumerate(zip(ground.kinds, ground.names, ground.limits_s, strict=True))
        },
        "total": round(float(weights.sum()), 1),
        "doubts": {
            "residences_unattached": int((~on).sum()),
            "residences_without_population": int((ground.homes["population"] == 0).sum()),
            "facilities_unattached": len(ground.facilities)
            - len(np.unique(sandbox.target_of[sandbox.targets.is_attached])),
        },
    }
