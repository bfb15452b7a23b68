"""Walking networks of divisions: built from stored streets, kept as dated snapshots, held in memory by this process."""

from __future__ import annotations

import csv
import logging
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.circle.gates import (
    Compounds,
    Gates,
    WallPassages,
    compounds_of_walls,
    wall_streets,
    with_more_compounds,
    with_more_gates,
)
from gridsvc.circle.street_lines import JOIN_TOLERANCE_M, StreetLines, join_crossings, join_loose_ends
from gridsvc.circle.walk_network import build_walk_network, network_from_edges
from gridsvc.circle.walk_rules import NEVER_CLASSES, TRUNK_CLASSES, load_penalties, passage_seconds, with_penalties
from gridsvc.errors import FileUnreadableError, NotFoundError, OutsideCoverageError, RequestInvalidError
from gridsvc.geo.projections import STORAGE_EPSG, to_metric, to_storage, zone_of
from gridsvc.resources import content_dir
from gridsvc.services.compiled_network import CompiledNetwork, load_network, save_network
from gridsvc.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)

MARGIN_M = 1200.0  # a walk of 15 minutes at 1.2 m/s, and the way from the door


@cache
def walk_penalties() -> dict[str, float]:
    """Return passage -> seconds, from ``data/walk_penalties.csv``."""
    with (content_dir("data") / "walk_penalties.csv").open(encoding="utf-8", newline="") as table:
        return load_penalties(csv.DictReader(table))


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How a network is built.

    Attributes
    ----------
    penalties
        Passage -> seconds set otherwise than in ``data/walk_penalties.csv``.
    has_penalties
        False counts metres only.
    trunk_walkable
        Whether trunk roads are walked.
    join_m
        A street that ends this near another one is joined to it. Unit: m; 0 joins nothing.
    joins_crossings
        Whether streets of one layer that cross meet there; for line files without common vertices.
    """

    penalties: Mapping[str, float] = field(default_factory=dict)
    has_penalties: bool = True
    trunk_walkable: bool = False
    join_m: float = JOIN_TOLERANCE_M
    joins_crossings: bool = False

    def penalty_s(self) -> dict[str, float]:
        """Return passage -> seconds as they count.

        Raises
        ------
        RequestInvalidError
            When a passage is not known or its seconds are impossible.
        """
        known = with_penalties(walk_penalties(), self.penalties)
        return known if self.has_penalties else dict.fromkeys(known, 0.0)

    @classmethod
    def of_build(cls, build: Mapping[str, Any]) -> BuildOptions:
        """Return the options a stored network was built with; the defaults where nothing is known of it."""
        if not build:
            return cls()
        return cls(
            penalties=build["penalties_s"],
            trunk_walkable=build["trunk_walkable"],
            join_m=build["join_m"],
            joins_crossings=build["joins_crossings"],
        )


DEFAULT_BUILD = BuildOptions()


@dataclass(frozen=True, slots=True)
class WalkNetworkResult:
    """A stored walking network; ``is_reused`` when the streets had not changed since it was built.

    ``compounds`` are walled; ``wall_gaps`` are places where a street meets a wall and no gate is known: closed. ``joined_ends`` were loose.
    What was left out is named: gates on no wall, gates without a street within 100 m, compounds without a gate (taken as not walled).
    """

    walk_network_id: int
    nodes: int
    edges: int
    components: int
    largest_share: float
    length_km: float
    penalty_s: float
    compounds: int
    gates: int
    wall_gaps: int
    joined_ends: int
    gates_on_no_wall: list[str]
    gates_without_street: list[str]
    compounds_without_gate: list[str]
    is_reused: bool
    seconds: float


class _RecentNetworks:
    """The networks this process used last, by the hash of their content, so that nothing is ever stale."""

    def __init__(self, most: int = 4) -> None:
        self._kept: OrderedDict[str, CompiledNetwork] = OrderedDict()
        self._lock = Lock()
        self._most = most

    def get(self, key: str) -> CompiledNetwork | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: str, compiled: CompiledNetwork) -> None:
        with self._lock:
            self._kept[key] = compiled
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


_recent = _RecentNetworks()
_compiling = Lock()
# files of compiled networks kept; who has an older one mapped keeps it
_KEPT_FILES = 8


def build_network(
    uow: UnitOfWork, code: str, at: datetime, *, margin_m: float = MARGIN_M, options: BuildOptions = DEFAULT_BUILD
) -> WalkNetworkResult:
    """Build the walking network of a division and store it as a snapshot; the caller commits.

    When nothing has changed since the last snapshot, that one is used and nothing is written.

    Parameters
    ----------
    at
        Instant of the division's boundary, and of the snapshot.
    margin_m
        How far around the division streets are taken.

    Raises
    ------
    NotFoundError
        When the division or its boundary is not there.
    GeometryError
        When no walkable street lies in it.
    RequestInvalidError
        When an option is impossible.
    """
    began = time.perf_counter()
    compiled, _ = compile_network(uow, code, at, margin_m, options)
    network_id, is_reused = store_snapshot(uow, code, at, compiled)
    network, report = compiled.network, compiled.network.components
    passages = compiled.passages.code
    return WalkNetworkResult(
        walk_network_id=network_id,
        nodes=len(network.node_xy),
        edges=len(network.edge_u),
        components=report.components,
        largest_share=report.largest_share,
        length_km=float(network.edge_length_m.sum()) / 1000.0,
        penalty_s=float(network.edge_penalty_s.sum()),
        compounds=len(compiled.compounds.code),
        gates=sum(code != "" for code in passages),
        wall_gaps=sum(code == "" for code in passages),
        joined_ends=compiled.build["joined_ends"],
        gates_on_no_wall=compiled.build["gates_on_no_wall"],
        gates_without_street=compiled.build["gates_without_street"],
        compounds_without_gate=compiled.build["compounds_without_gate"],
        is_reused=is_reused,
        seconds=time.perf_counter() - began,
    )


def metric_boundary(uow: UnitOfWork, code: str, at: datetime, *, epsg: int | None = None) -> tuple[Any, int]:
    """Return the boundary of a division in its metric zone (or another), and the zone; raise NotFoundError where there is none."""
    division = uow.divisions.get(code, at)
    if division is None or division["geometry"] is None:
        raise NotFoundError(f"Division {code} has no boundary at {at.isoformat()}.", hint="Import divisions first.")
    shape = np.array([division["geometry"]], dtype=object)
    zone = zone_of(shape) if epsg is None else epsg
    return to_metric(shape, zone)[0], zone


def box_around(boundary: Any, epsg: int, margin_m: float) -> tuple[float, float, float, float]:
    """Return the storage box around a metric boundary with its margin."""
    min_x, min_y, max_x, max_y = boundary.bounds
    box = shapely.box(min_x - margin_m, min_y - margin_m, max_x + margin_m, max_y + margin_m)
    return tuple(to_storage(np.array([shapely.segmentize(box, 1000.0)], dtype=object), epsg)[0].bounds)


def metric_xy(points: np.ndarray, epsg: int) -> np.ndarray:
    """Return the metric x, y of storage points, shape (n, 2)."""
    return shapely.get_coordinates(to_metric(points, epsg)) if len(points) else np.empty((0, 2))


def compile_network(
    uow: UnitOfWork, code: str, at: datetime, margin_m: float, options: BuildOptions | None = None
) -> tuple[CompiledNetwork, Any]:
    """Return the network of a division and its margin, and the metric boundary.

    Without ``options`` it is built as the latest stored one of the division was.
    """
    if options is None:
        before = uow.walk_networks.latest(code)
        is_own = before is not None and before["division_code"] == code
        options = BuildOptions.of_build(before["build"] if before is not None and is_own else {})
    if not 0.0 <= options.join_m <= 5.0:
        raise RequestInvalidError(
            f"Ends cannot be joined over {options.join_m:g} m.", hint="Give 0 to 5 m.", field="join_m"
        )
    penalties = options.penalty_s()
    boundary, epsg = metric_boundary(uow, code, at)
    box = box_around(boundary, epsg, margin_m)
    streets = uow.streets.list(bbox=box)
    walkable = streets["is_walkable"].to_numpy(dtype=bool) & ~streets["street_class"].isin(NEVER_CLASSES).to_numpy()
    if options.trunk_walkable:
        walkable |= streets["street_class"].isin(TRUNK_CLASSES).to_numpy()
    lines = to_metric(streets["geometry"].to_numpy(), epsg)
    shapely.prepare(boundary)
    near = walkable & shapely.dwithin(boundary, lines, margin_m)
    passage = streets["passage"].to_numpy(dtype=object)[near]
    drawn = StreetLines.of(
        lines[near],
        streets["layer"].to_numpy()[near],
        passage_seconds(passage, streets["passage_share"].to_numpy()[near], penalties),
    )
    crossings = 0
    if options.joins_crossings:
        drawn, crossings = join_crossings(drawn)
    drawn, joined = join_loose_ends(drawn, options.join_m)
    compounds, gates = _walls(uow, box, epsg)
    walled = wall_streets(drawn.lines, compounds, gates, layer=drawn.layer, penalty_s=drawn.penalty_s)
    network = build_walk_network(
        walled.lines,
        layer=walled.layer,
        penalty_s=walled.penalty_s,
        gate=walled.gate,
        is_closed=walled.is_closed,
        compound=walled.compound,
    )
    build = {
        "margin_m": margin_m,
        "penalties_s": penalties,
        "trunk_walkable": options.trunk_walkable,
        "join_m": options.join_m,
        "joins_crossings": options.joins_crossings,
        "joined_ends": joined,
        "joined_crossings": crossings,
        "gates_on_no_wall": list(walled.gates_on_no_wall),
        "gates_without_street": list(walled.gates_without_street),
        "compounds_without_gate": list(walled.compounds_without_gate),
    }
    return CompiledNetwork(network, epsg, walled.compounds, walled.passages, walled.yards, build), boundary


def _walls(uow: UnitOfWork, box: tuple[float, float, float, float], epsg: int) -> tuple[Compounds, Gates]:
    """Return compounds and gates in a box: those stored, and those of walls with openings where none are stored."""
    areas, points, barriers = uow.compounds.list(bbox=box), uow.gates.list(bbox=box), uow.barriers.list(bbox=box)
    stored = Compounds(tuple(areas["compound_code"]), to_metric(areas["geometry"].to_numpy(), epsg))
    walls = to_metric(barriers["geometry"].to_numpy()[(barriers["kind"] == "wall").to_numpy()], epsg)
    drawn, openings = compounds_of_walls(walls)
    known = Gates(
        tuple(points["gate_code"]),
        metric_xy(points["geometry"].to_numpy(), epsg),
        points["is_closed"].to_numpy(dtype=bool),
        tuple(points["hours"]),
    )
    return with_more_compounds(stored, drawn), with_more_gates(known, openings)


def store_snapshot(uow: UnitOfWork, code: str, at: datetime, compiled: CompiledNetwork) -> tuple[int, bool]:
    """Return the id of the stored snapshot, and whether it was there already."""
    network, passages, compounds = compiled.network, compiled.passages, compiled.compounds
    edges = gpd.GeoDataFrame(
        {
            "node_u": network.edge_u,
            "node_v": network.edge_v,
            "length_m": network.edge_length_m,
            "penalty_s": network.edge_penalty_s,
            "gate": network.edge_gate,
            "closed_by": network.edge_closed_by,
            "compound": network.edge_compound,
        },
        geometry=to_storage(network.edge_lines, compiled.epsg),
        crs=STORAGE_EPSG,
    )
    gates = gpd.GeoDataFrame(
        {
            "gate": np.arange(len(passages.code)),
            "gate_code": list(passages.code),
            "compound": passages.compound,
            "is_closed": passages.is_closed,
            "hours": list(passages.hours),
        },
        geometry=to_storage(shapely.points(passages.xy), compiled.epsg),
        crs=STORAGE_EPSG,
    )
    number = np.arange(len(compounds.code))
    areas = gpd.GeoDataFrame(
        {"compound": number, "compound_code": list(compounds.code), "is_yard": np.isin(number, compiled.yards)},
        geometry=to_storage(compounds.outline, compiled.epsg),
        crs=STORAGE_EPSG,
    )
    before = uow.walk_networks.latest(code)
    network_id = uow.walk_networks.put(
        code,
        edges,
        nodes=len(network.node_xy),
        components=network.components.components,
        built_at=at,
        compounds=areas,
        gates=gates,
        build=compiled.build,
    )
    # ids only grow: one that is not beyond the latest was there before
    return network_id, before is not None and network_id <= before["walk_network_id"]


def network_at(uow: UnitOfWork, lon: float, lat: float, at: datetime, *, hour: float | None = None) -> CompiledNetwork:
    """Return the latest stored network around a point (EPSG:4490), loaded once per process, from a file that processes share.

    Parameters
    ----------
    hour
        Hour of the day, 0 up to 24, whose gates are open; None takes all that are not closed for good as open.

    Raises
    ------
    OutsideCoverageError
        When the point lies in no district.
    NotFoundError
        When no network was built there.
    """
    code, stored = uow.walk_networks.latest_around(lon, lat, at)
    if code is None:
        raise OutsideCoverageError(
            f"Position ({lon:.6f}, {lat:.6f}) lies in no district held here.",
            hint="Check the datum and the order of lon and lat.",
        )
    if stored is None:
        raise NotFoundError(
            f"No walking network was built around {code}.", hint=f"Build it: gridsvc circle build {code[:6]}."
        )
    return _held(uow, stored, at, hour)


def network_of(
    uow: UnitOfWork, code: str, at: datetime, *, hour: float | None = None, network_id: int | None = None
) -> tuple[CompiledNetwork, dict[str, Any]]:
    """Return the latest stored network that takes in all of a division, or the one of an id, and what is stored of it.

    Parameters
    ----------
    hour
        As in :func:`network_at`.

    Raises
    ------
    NotFoundError
        When there is no such network.
    RequestInvalidError
        When the network of that id is of another place.
    """
    stored = uow.walk_networks.latest(code, whole=True) if network_id is None else uow.walk_networks.get(network_id)
    if stored is None:
        what = "No walking network was built" if network_id is None else f"There is no walking network {network_id}"
        raise NotFoundError(f"{what} for {code}.", hint=f"Build one: gridsvc circle build {code}.")
    if not code.startswith(stored["division_code"]):
        raise RequestInvalidError(
            f"The walking network {network_id} is of {stored['division_code']}, not of {code}.",
            hint="Leave it out to take the latest.",
            field="network_id",
        )
    return _held(uow, stored, at, hour), stored


def _held(uow: UnitOfWork, stored: Mapping[str, Any], at: datetime, hour: float | None) -> CompiledNetwork:
    """Return a stored network as this process holds it, with the gates of an hour."""
    compiled = _recent.get(stored["content_sha256"])
    if compiled is None:
        with _compiling:  # one thread loads or writes the file, the others find what it did
            compiled = _recent.get(stored["content_sha256"]) or _compiled(uow, stored, at)
            _recent.put(stored["content_sha256"], compiled)
    if hour is None:
        return compiled
    closed = compiled.closed_at(hour)
    key = f"{stored['content_sha256']} closed {closed}"
    at_hour = _recent.get(key)
    if at_hour is None:
        at_hour = compiled.with_closed(closed)
        _recent.put(key, at_hour)
    return at_hour


def _compiled(uow: UnitOfWork, stored: Mapping[str, Any], at: datetime) -> CompiledNetwork:
    """Return a stored network from its file; where there is none, from the database, and write the file."""
    if uow.cache_dir is None:
        return _load(uow, stored, at)
    path = uow.cache_dir / f"{stored['content_sha256']}.walk"
    try:
        return load_network(path)
    except FileUnreadableError as missing:
        logger.info("compiling the walking network %s: %s", stored["walk_network_id"], missing)
    compiled = _load(uow, stored, at)
    try:
        save_network(path, compiled)
        _forget_old_files(path.parent)
        # the mapped one: its memory is that of the other processes
        return load_network(path)
    except OSError as error:
        logger.warning("the walking network cannot be kept in %s: %s", path.parent, error)
        return compiled


def _forget_old_files(folder: Path) -> None:
    files = sorted(folder.glob("*.walk"), key=lambda path: path.stat().st_mtime_ns)
    for path in files[:-_KEPT_FILES]:
        path.unlink(missing_ok=True)


def _load(uow: UnitOfWork, stored: Mapping[str, Any], at: datetime) -> CompiledNetwork:
    _, epsg = metric_boundary(uow, stored["division_code"], at)
    edges = uow.walk_networks.edges(stored["walk_network_id"])
    areas = uow.walk_networks.compounds(stored["walk_network_id"])
    gates = uow.walk_networks.gates(stored["walk_network_id"])
    network = network_from_edges(
        edges["node_u"].to_numpy(),
        edges["node_v"].to_numpy(),
        edges["length_m"].to_numpy(),
        to_metric(edges["geometry"].to_numpy(), epsg),
        penalty_s=edges["penalty_s"].to_numpy(),
        gate=edges["gate"].to_numpy(),
        closed_by=edges["closed_by"].to_numpy(),
        compound=edges["compound"].to_numpy(),
    )
    passages = WallPassages(
        code=tuple(gates["gate_code"]),
        compound=gates["compound"].to_numpy(dtype=np.int32),
        xy=metric_xy(gates["geometry"].to_numpy(), epsg),
        is_closed=gates["is_closed"].to_numpy(dtype=bool),
        hours=tuple(gates["hours"]),
    )
    compounds = Compounds(tuple(areas["compound_code"]), to_metric(areas["geometry"].to_numpy(), epsg))
    yards = tuple(areas["compound"].to_numpy()[areas["is_yard"].to_numpy(dtype=bool)].tolist())
    return CompiledNetwork(network, epsg, compounds, passages, yards, dict(stored["build"]))
