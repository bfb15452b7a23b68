"""What would change if facilities came, moved or closed, a gate opened or closed, a path were built? Before and after; nothing is stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import shapely

from gridsvc.circle import scenarios as domain
from gridsvc.circle.attachments import attach_points
from gridsvc.circle.coverage import CircleStandard
from gridsvc.circle.scenarios import Change, ScenarioOutcome, scenario_outcome
from gridsvc.circle.street_splits import split_edges
from gridsvc.circle.walk_network import NODE_TOLERANCE_M, Floats
from gridsvc.errors import (
    CodeDuplicateError,
    ConflictError,
    DatumMissingError,
    GeometryError,
    NotFoundError,
    OutsideCoverageError,
    RequestInvalidError,
)
from gridsvc.geo.datums import check_lonlat, convert, parse_datum
from gridsvc.progress import SILENT, Progress
from gridsvc.services.circle_sandboxes import (
    Ground,
    Sandbox,
    Walkers,
    ground_facts,
    kind_limits,
    lay_out,
    live_times,
    read_ground,
)
from gridsvc.services.walk_networks import metric_xy
from gridsvc.store.unit_of_work import UnitOfWork

MOST_CHANGES = 200
PATH_REACH_M = 50.0  # a path that ends further than this from every street leads nowhere known
GATE_NEAR_M = 30.0  # a gate is meant by a position this near

LonLat = tuple[float, float]


@dataclass(frozen=True, slots=True)
class AddFacility:
    """A new facility; later changes may name its ``facility_code`` ("": ``new-1`` and so on)."""

    kind_code: str
    at: LonLat
    facility_code: str = ""


@dataclass(frozen=True, slots=True)
class MoveFacility:
    """A facility that moves."""

    facility_code: str
    to: LonLat


@dataclass(frozen=True, slots=True)
class CloseFacility:
    """A facility that closes."""

    facility_code: str


@dataclass(frozen=True, slots=True)
class OpenGate:
    """A gate that opens, by its code, or a gate or gap in a wall by a position within 30 m."""

    gate_code: str = ""
    at: LonLat | None = None


@dataclass(frozen=True, slots=True)
class CloseGate:
    """A gate that closes, named as in :class:`OpenGate`."""

    gate_code: str = ""
    at: LonLat | None = None


@dataclass(frozen=True, slots=True)
class AddPath:
    """A path or bridge along positions, from the nearest point of a street to another; ``penalty_s`` as of walking networks (s)."""

    line: tuple[LonLat, ...]
    penalty_s: float = 0.0


Wanted = AddFacility | MoveFacility | CloseFacility | OpenGate | CloseGate | AddPath


@dataclass(frozen=True, slots=True)
class KindBeforeAfter:
    """People (households, residences) within the minutes of a kind, before and after."""

    kind_code: str
    kind_name: str
    minutes: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class CommunityBeforeAfter:
    """A community: all counted there, those who reach every kind, and by kind (where it changes) those within its minutes: before, after."""

    community_code: str
    community_name: str
    total: float
    complete_before: float
    complete_after: float
    kinds: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ResidenceBeforeAfter:
    """A residence that walks another time to a kind; None where nothing of it is in reach. Unit: s."""

    residence_code: str
    community_code: str
    count: float
    lon: float
    lat: float
    kind_code: str
    before_s: float | None
    after_s: float | None


@dataclass(frozen=True, slots=True)
class ScenarioAnswer:
    """What a scenario changes, counted in people (households, residences).

    ``nearer``, ``farther``: those who walk less (more) to at least one kind. ``communities``: those where somebody walks another time,
    by code. ``residences``: every residence and kind whose time is another, by residence.
    """

    changes: tuple[str, ...]
    total: float
    complete_before: float
    complete_after: float
    nearer: float
    farther: float
    kinds: tuple[KindBeforeAfter, ...]
    communities: tuple[CommunityBeforeAfter, ...]
    residences: tuple[ResidenceBeforeAfter, ...] = field(repr=False)
    facts: dict[str, Any] = field(repr=False)
    seconds: float


def run_scenario(
    uow: UnitOfWork,
    code: str,
    changes: Sequence[Wanted],
    *,
    datum: str | None,
    at: datetime,
    walkers: Walkers,
    kinds: Sequence[str] = (),
    standard: str | CircleStandard | None = None,
    minutes: float | None = None,
    progress: Progress = SILENT,
) -> ScenarioAnswer:
    """Return what changes, made one after the other, do in a division, exactly.

    Nothing is stored. The walking network is the latest one stored; residences keep the streets they join, also beside a new path.

    Parameters
    ----------
    changes
        1 to 200, in order.
    datum
        Of all positions in them.
    kinds, standard, minutes
        Which facilities count, as of :func:`~gridsvc.services.circle_sandboxes.kind_limits`; without ``kinds`` those of facilities that are
        added count, too.

    Raises
    ------
    NotFoundError
        When division, residences, walking network, standard, a facility or a gate are not there.
    DatumMissingError
        When there are positions and no datum.
    OutsideCoverageError, GeometryError
        When a facility or path is on no street; names the change.
    ConflictError, CodeDuplicateError, RequestInvalidError
        When a change contradicts one before it, or what is there.
    """
    began = time.perf_counter()
    if not 1 <= len(changes) <= MOST_CHANGES:
        raise RequestInvalidError(
            f"A scenario came with {len(changes)} changes.", hint=f"Give 1 to {MOST_CHANGES}.", field="changes"
        )
    progress.start("read residences, facilities and network")
    asked = list(kinds)
    limits = kind_limits(uow, asked, standard=standard, minutes=minutes)
    added = sorted({change.kind_code for change in changes if isinstance(change, AddFacility)} - set(limits))
    if added and not asked:
        limits |= kind_limits(uow, added, standard=standard, minutes=minutes)
    ground = read_ground(uow, code, limits, at=at, walkers=walkers)
    progress.start("walking times")
    sandbox, paths = _with_paths(ground, changes, datum)
    wanted, told = _Resolver(sandbox, datum).resolved(changes, paths)
    with live_times(sandbox) as live:
        progress.start("changes")
        outcome = scenario_outcome(
            sandbox.walk,
            live,
            wanted,
            people=ground.weights,
            community_codes=ground.communities,
            limits_s=ground.limits_s,
        )
    return _answer(uow, ground, sandbox, outcome, told, began)


def _metric(places: Sequence[LonLat], datum: str | None, epsg: int, number: int) -> Floats:
    """Return positions of a change in metres."""
    if not datum:
        raise DatumMissingError(
            f"Change {number} has a position, and no datum was declared.",
            hint="Add datum: wgs84, cgcs2000, gcj02 or bd09; it is never guessed.",
            field="datum",
        )
    lon, lat = (np.array(values, dtype=np.float64) for values in zip(*places, strict=True))
    check_lonlat(lon, lat, field=f"changes.{number - 1}")
    own = convert(lon, lat, parse_datum(datum), "cgcs2000")
    return metric_xy(shapely.points(*own), epsg)


def _with_paths(
    ground: Ground, changes: Sequence[Wanted], datum: str | None
) -> tuple[Sandbox, dict[int, domain.AddPath]]:
    """Return the sandbox in which every new path begins and ends at a node, and the paths by the number of their change."""
    lines: dict[int, Floats] = {}
    for number, change in enumerate(changes, start=1):
        if isinstance(change, AddPath):
            if len(change.line) < 2:
                raise GeometryError(
                    f"Change {number}: a path has {len(change.line)} positions.", hint="Give at least 2."
                )
            lines[number] = _metric(change.line, datum, ground.compiled.epsg, number)
    if not lines:
        return lay_out(ground), {}
    ends = np.concatenate([line[[0, -1]] for line in lines.values()])
    joined = attach_points(ground.compiled.network, ends, max_access_m=PATH_REACH_M)
    if not joined.is_attached.all():
        which = int(np.flatnonzero(~joined.is_attached)[0])
        raise GeometryError(
            f"Change {list(lines)[which // 2]}: the path {'ends' if which % 2 else 'begins'} more than {PATH_REACH_M:g} m from every street.",
            hint="Draw it from street to street.",
        )
    network, node = split_edges(ground.compiled.network, joined.edge, joined.offset_m)
    paths = {}
    for (number, line), (u, v) in zip(lines.items(), node.reshape(-1, 2).tolist(), strict=True):
        xy = np.concatenate((network.node_xy[[u]], line, network.node_xy[[v]]))
        apart = np.append(True, np.hypot(*np.diff(xy, axis=0).T) > NODE_TOLERANCE_M)
        apart[-1] = True
        if u == v or apart.sum() < 2:
            raise GeometryError(
                f"Change {number}: the path ends where it begins.", hint="Draw it from one street to another."
            )
        change = changes[number - 1]
        assert isinstance(change, AddPath)
        paths[number] = domain.AddPath(u, v, shapely.LineString(xy[apart]), change.penalty_s)
    return lay_out(ground, network), paths


class _Resolver:
    """Turns codes and positions into numbers and attached points, in the order of the changes."""

    def __init__(self, sandbox: Sandbox, datum: str | None) -> None:
        self._sandbox, self._datum = sandbox, datum
        codes = sandbox.ground.facilities["facility_code"].tolist()
        # the numbers that the domain knows the doors of each facility by
        self._doors: dict[str, list[int]] = {code: [] for code in codes}
        for door, facility in enumerate(sandbox.target_of.tolist()):
            self._doors[codes[facility]].append(door)
        self._closed: set[str] = set()
        self._count, self._new = len(sandbox.targets), 0

    def resolved(
        self, changes: Sequence[Wanted], paths: dict[int, domain.AddPath]
    ) -> tuple[list[Change], tuple[str, ...]]:
        """Return the changes as the domain takes them, and each told in a few words."""
        wanted: list[Change] = []
        told = []
        for number, change in enumerate(changes, start=1):
            match change:
                case AddFacility():
                    wanted.append(domain.AddFacility(self._kind(change, number), self._attached(change.at, number)))
                    told.append(f"add {change.kind_code} as {self._named(change, number)}")
                case MoveFacility():
                    door, *others = self._known(change.facility_code, number)
                    wanted.append(domain.MoveFacility(door, self._attached(change.to, number)))
                    wanted += [domain.CloseFacility(other) for other in others]
                    self._doors[change.facility_code] = [door]
                    told.append(f"move {change.facility_code}")
                case CloseFacility():
                    wanted += [domain.CloseFacility(door) for door in self._known(change.facility_code, number)]
                    self._closed.add(change.facility_code)
                    told.append(f"close {change.facility_code}")
                case OpenGate() | CloseGate():
                    gate = self._gate(change, number)
                    opens = isinstance(change, OpenGate)
                    wanted.append(domain.OpenGate(gate) if opens else domain.CloseGate(gate))
                    name = self._sandbox.compiled.passages.code[gate] or f"wall gap {gate}"
                    told.append(f"{'open' if opens else 'close'} {name}")
                case AddPath():
                    wanted.append(paths[number])
                    told.append(f"add a path of {paths[number].line.length:.0f} m")
        return wanted, tuple(told)

    def _kind(self, change: AddFacility, number: int) -> int:
        kinds = self._sandbox.ground.kinds
        if change.kind_code not in kinds:
            raise RequestInvalidError(
                f"Change {number}: facilities of kind {change.kind_code!r} are not looked at.",
                hint=f"Kinds looked at: {', '.join(kinds)}.",
                field=f"changes.{number - 1}.kind_code",
            )
        return kinds.index(change.kind_code)

    def _named(self, change: AddFacility, number: int) -> str:
        """Return the code of a new facility, by which later changes may name it."""
        self._new += 1
        code = change.facility_code or f"new-{self._new}"
        if code in self._doors:
            raise CodeDuplicateError(
                f"Change {number}: there is a facility {code} already.",
                hint="Give another code.",
                field=f"changes.{number - 1}.facility_code",
            )
        self._doors[code] = [self._count]
        self._count += 1
        return code

    def _known(self, code: str, number: int) -> list[int]:
        """Return the doors of a facility, one at least."""
        field = f"changes.{number - 1}.facility_code"
        if code in self._closed:
            raise ConflictError(
                f"Change {number}: the facility {code} was closed before.", hint="Leave one out.", field=field
            )
        if code not in self._doors:
            ground = self._sandbox.ground
            raise NotFoundError(
                f"Change {number}: there is no facility {code!r} of the kinds looked at in or around {ground.code}.",
                hint=f"Kinds looked at: {', '.join(ground.kinds)}.",
                field=field,
            )
        return self._doors[code]

    def _attached(self, place: LonLat, number: int) -> Any:
        attached = self._sandbox.attach(_metric([place], self._datum, self._sandbox.compiled.epsg, number))
        if not attached.is_attached[0]:
            raise OutsideCoverageError(
                f"Change {number}: no street lies near ({place[0]:.6f}, {place[1]:.6f}).",
                hint="Choose a place closer to a walkable street.",
            )
        return attached

    def _gate(self, change: OpenGate | CloseGate, number: int) -> int:
        passages, network = self._sandbox.compiled.passages, self._sandbox.compiled.network
        there = np.unique(network.edge_gate[network.edge_gate >= 0])
        field = f"changes.{number - 1}"
        if bool(change.gate_code) == (change.at is not None):
            raise RequestInvalidError(
                f"Change {number}: a gate is named by its code or by a position.", hint="Give one of them.", field=field
            )
        if change.gate_code:
            found = [gate for gate in there.tolist() if passages.code[gate] == change.gate_code]
            what = f"gate {change.gate_code!r}"
        else:
            assert change.at is not None
            xy = _metric([change.at], self._datum, self._sandbox.compiled.epsg, number)[0]
            apart_m = np.hypot(*(passages.xy[there] - xy).T)
            near = np.flatnonzero(apart_m <= GATE_NEAR_M)
            found = there[near[np.argsort(apart_m[near], kind="stable")]].tolist()
            what = f"gate or wall gap within {GATE_NEAR_M:g} m of ({change.at[0]:.6f}, {change.at[1]:.6f})"
        if not found:
            raise NotFoundError(
                f"Change {number}: the walking network has no {what}.",
                hint=f"List closed ones: gridsvc circle gate {self._sandbox.ground.code}.",
                field=field,
            )
        return int(found[0])


def _answer(
    uow: UnitOfWork, ground: Ground, sandbox: Sandbox, outcome: ScenarioOutcome, told: tuple[str, ...], began: float
) -> ScenarioAnswer:
    weights = ground.weights
    shorter = np.unique(outcome.residence[outcome.after_s < outcome.before_s])
    longer = np.unique(outcome.residence[outcome.after_s > outcome.before_s])
    totals = zip(ground.kinds, ground.names, ground.limits_s.tolist(), strict=True)
    return ScenarioAnswer(
        changes=told,
        total=round(float(weights.sum()), 1),
        complete_before=round(float(outcome.complete_before.sum()), 1),
        complete_after=round(float(outcome.complete_after.sum()), 1),
        nearer=round(float(weights[shorter].sum()), 1),
        farther=round(float(weights[longer].sum()), 1),
        kinds=tuple(
            KindBeforeAfter(
                kind_code=kind,
                kind_name=name,
                minutes=round(limit_s / 60.0, 2),
                before=round(float(outcome.covered_before[:, i].sum()), 1),
                after=round(float(outcome.covered_after[:, i].sum()), 1),
            )
            for i, (kind, name, limit_s) in enumerate(totals)
        ),
        communities=_communities(uow, ground, outcome),
        residences=_residences(ground, outcome),
        facts=ground_facts(ground, sandbox),
        seconds=time.perf_counter() - began,
    )


def _communities(uow: UnitOfWork, ground: Ground, outcome: ScenarioOutcome) -> tuple[CommunityBeforeAfter, ...]:
    of_home = ground.communities
    touched = {of_home[home] for home in np.unique(outcome.residence).tolist()}
    listed = uow.divisions.list("community", prefix=ground.code, at=ground.at, with_geometry=False)
    names = dict(zip(listed["code"], listed["name"], strict=True))
    rows = []
    for row, code in enumerate(outcome.communities):
        if code in touched:
            before, after = outcome.covered_before[row], outcome.covered_after[row]
            rows.append(
                CommunityBeforeAfter(
                    community_code=code,
                    community_name=str(names.get(code, "")),
                    total=round(float(outcome.people[row]), 1),
                    complete_before=round(float(outcome.complete_before[row]), 1),
                    complete_after=round(float(outcome.complete_after[row]), 1),
                    kinds={
                        ground.kinds[i]: (round(float(before[i]), 1), round(float(after[i]), 1))
                        for i in np.flatnonzero(before != after)
                    },
                )
            )
    return tuple(rows)


def _residences(ground: Ground, outcome: ScenarioOutcome) -> tuple[ResidenceBeforeAfter, ...]:
    homes, communities, weights = ground.homes, ground.communities, ground.weights
    points = shapely.get_coordinates(shapely.point_on_surface(homes.geometry.to_numpy()[outcome.residence]))
    codes = homes["residence_code"].tolist()
    columns = (outcome.residence, outcome.kind, outcome.before_s, outcome.after_s)
    rows = zip(*(column.tolist() for column in columns), np.round(points, 7).tolist(), strict=True)
    return tuple(
        ResidenceBeforeAfter(
            residence_code=codes[home],
            community_code=communities[home],
            count=float(weights[home]),
            lon=lon,
            lat=lat,
            kind_code=ground.kinds[kind],
            before_s=_seconds(before_s),
            after_s=_seconds(after_s),
        )
        for home, kind, before_s, after_s, (lon, lat) in rows
    )


def _seconds(value: float) -> float | None:
    return round(value, 1) if np.isfinite(value) else None
