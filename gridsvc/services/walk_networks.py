"""Walking networks of divisions: built from stored streets, kept as dated snapshots, held in memory by this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.circle.walk_network import WalkNetwork, build_walk_network, network_from_edges
from gridsvc.errors import NotFoundError, OutsideCoverageError
from gridsvc.geo.projections import STORAGE_EPSG, to_metric, to_storage, zone_of
from gridsvc.store.unit_of_work import UnitOfWork

MARGIN_M = 1200.0  # a walk of 15 minutes at 1.2 m/s, and the way from the door


@dataclass(frozen=True, slots=True)
class WalkNetworkResult:
    """A stored walking network; ``is_reused`` when the streets had not changed since it was built."""

    walk_network_id: int
    nodes: int
    edges: int
    components: int
    largest_share: float
    length_km: float
    is_reused: bool
    seconds: float


@dataclass(frozen=True, eq=False, slots=True)
class CompiledNetwork:
    """A network in memory and the metric CRS it is in."""

    network: WalkNetwork
    epsg: int


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


def build_network(uow: UnitOfWork, code: str, at: datetime, *, margin_m: float = MARGIN_M) -> WalkNetworkResult:
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
    """
    began = time.perf_counter()
    compiled, _ = compile_network(uow, code, at, margin_m)
    network_id, is_reused = store_snapshot(uow, code, at, compiled)
    network, report = compiled.network, compiled.network.components
    return WalkNetworkResult(
        walk_network_id=network_id,
        nodes=len(network.node_xy),
        edges=len(network.edge_u),
        components=report.components,
        largest_share=report.largest_share,
        length_km=float(network.edge_length_m.sum()) / 1000.0,
        is_reused=is_reused,
        seconds=time.perf_counter() - began,
    )


def _boundary(uow: UnitOfWork, code: str, at: datetime) -> tuple[Any, int]:
    """Return the boundary of a division in its metric zone, and the zone."""
    division = uow.divisions.get(code, at)
    if division is None or division["geometry"] is None:
        raise NotFoundError(f"Division {code} has no boundary at {at.isoformat()}.", hint="Import divisions first.")
    shape = np.array([division["geometry"]], dtype=object)
    epsg = zone_of(shape)
    return to_metric(shape, epsg)[0], epsg


def box_around(boundary: Any, epsg: int, margin_m: float) -> tuple[float, float, float, float]:
    """Return the storage box around a metric boundary with its margin."""
    min_x, min_y, max_x, max_y = boundary.bounds
    box = shapely.box(min_x - margin_m, min_y - margin_m, max_x + margin_m, max_y + margin_m)
    return tuple(to_storage(np.array([shapely.segmentize(box, 1000.0)], dtype=object), epsg)[0].bounds)


def metric_xy(points: np.ndarray, epsg: int) -> np.ndarray:
    """Return the metric x, y of storage points, shape (n, 2)."""
    return shapely.get_coordinates(to_metric(points, epsg)) if len(points) else np.empty((0, 2))


def compile_network(uow: UnitOfWork, code: str, at: datetime, margin_m: float) -> tuple[CompiledNetwork, Any]:
    """Return the network of a division and its margin, and the metric boundary."""
    boundary, epsg = _boundary(uow, code, at)
    streets = uow.streets.list(bbox=box_around(boundary, epsg, margin_m))
    lines = to_metric(streets["geometry"].to_numpy(), epsg)
    shapely.prepare(boundary)
    near = shapely.dwithin(boundary, lines, margin_m)
    network = build_walk_network(
        lines[near],
        streets["street_class"].to_numpy(dtype=object)[near].tolist(),
        is_walkable=streets["is_walkable"].to_numpy(dtype=bool)[near],
        layer=streets["layer"].to_numpy()[near],
    )
    return CompiledNetwork(network, epsg), boundary


def store_snapshot(uow: UnitOfWork, code: str, at: datetime, compiled: CompiledNetwork) -> tuple[int, bool]:
    """Return the id of the stored snapshot, and whether it was there already."""
    network = compiled.network
    edges = gpd.GeoDataFrame(
        {"node_u": network.edge_u, "node_v": network.edge_v, "length_m": network.edge_length_m},
        geometry=to_storage(network.edge_lines, compiled.epsg),
        crs=STORAGE_EPSG,
    )
    before = uow.walk_networks.latest(code)
    network_id = uow.walk_networks.put(
        code, edges, nodes=len(network.node_xy), components=network.components.components, built_at=at
    )
    # ids only grow: one that is not beyond the latest was there before
    return network_id, before is not None and network_id <= before["walk_network_id"]


def network_at(uow: UnitOfWork, lon: float, lat: float, at: datetime) -> CompiledNetwork:
    """Return the latest stored network around a point (EPSG:4490), loaded once per process.

    Raises
    ------
    OutsideCoverageError
        When the point lies in no district.
    NotFoundError
        When no network was built there.
    """
    code = uow.divisions.at(lon, lat, at, "community") or uow.divisions.district_at(lon, lat, at)
    if code is None:
        raise OutsideCoverageError(
            f"Position ({lon:.6f}, {lat:.6f}) lies in no district held here.",
            hint="Check the datum and the order of lon and lat.",
        )
    stored = uow.walk_networks.latest(code)
    if stored is None:
        raise NotFoundError(
            f"No walking network was built around {code}.", hint=f"Build it: gridsvc circle build {code[:6]}."
        )
    compiled = _recent.get(stored["content_sha256"])
    if compiled is None:
        compiled = _load(uow, stored, at)
        _recent.put(stored["content_sha256"], compiled)
    return compiled


def _load(uow: UnitOfWork, stored: Mapping[str, Any], at: datetime) -> CompiledNetwork:
    _, epsg = _boundary(uow, stored["division_code"], at)
    edges = uow.walk_networks.edges(stored["walk_network_id"])
    lines = to_metric(edges["geometry"].to_numpy(), epsg)
    network = network_from_edges(
        edges["node_u"].to_numpy(), edges["node_v"].to_numpy(), edges["length_m"].to_numpy(), lines
    )
    return CompiledNetwork(network, epsg)
