"""Walking times over the network, right to the door: nearest facilities, counts, matrices, and the way between two points.

Exact over the split graph: access leg, edges, access leg; two points on one edge also meet along it without passing a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry import LineString
from shapely.ops import substring

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.bounded_search import count_kinds, matrix_rows, search_space, way_between
from gridsvc.circle.doors import Doors, join_doors, node_doors
from gridsvc.circle.hierarchy import OUT, WalkGraph, WalkHierarchy, build_graph, build_hierarchy
from gridsvc.circle.sweeps import kind_blocks, meet_on_edges, on_all_cores, read_block, swept_block
from gridsvc.circle.walk_network import Floats, Ints, Numbers, WalkNetwork, edge_seconds
from gridsvc.errors import RequestInvalidError
from gridsvc.progress import SILENT, Progress

PLANNING_SPEED_M_S = 1.1  # planning default, about 4 km/h: 990 m in 15 minutes
CIRCLE_LIMIT_S = 900.0
MOST_MINUTES = 60.0  # of a walk that is asked for or demanded
_COUNT_PARTS = 2  # more would share out better, but each goes over the whole city
WALKER_SPEEDS_M_S: Mapping[str, float] = {"planning": PLANNING_SPEED_M_S, "adult": 1.2, "elderly": 0.8, "frail": 0.7}


@dataclass(frozen=True, eq=False)
class CompiledWalk:
    """A network for one walker: metres and penalties made into seconds, for walks of up to ``limit_s``.

    What a question needs is compiled when it is first asked: ``graph`` (searches from a few points) quickly, ``hierarchy`` (whole
    city) in seconds for a city. ``node_rank`` may be the order of another walker's hierarchy of the same network.
    """

    network: WalkNetwork
    speed_m_s: float = PLANNING_SPEED_M_S
    limit_s: float = CIRCLE_LIMIT_S
    node_rank: Numbers | None = None

    @cached_property
    def edge_s(self) -> Floats:
        """Seconds along each whole edge."""
        return edge_seconds(self.network, self.speed_m_s)

    @cached_property
    def graph(self) -> WalkGraph:
        """The network in ticks, nodes of one place together."""
        network = self.network
        rank = place_order(network.node_xy) if self.node_rank is None else self.node_rank
        return build_graph(network.edge_u, network.edge_v, self.edge_s, self.limit_s, rank)

    @cached_property
    def hierarchy(self) -> WalkHierarchy:
        """The network compiled for the times of a whole city."""
        network = self.network
        return build_hierarchy(
            len(network.node_xy), network.edge_u, network.edge_v, self.edge_s, self.limit_s, order=self.node_rank
        )

    def doors(self, graph: WalkGraph, attached: Attachments) -> Doors:
        """Return attached points as doors of a graph of this walk."""
        on = attached.is_attached
        share = np.zeros(len(attached))
        share[on] = attached.offset_m[on] / self.network.edge_length_m[attached.edge[on]]
        return join_doors(graph, attached.edge, share, attached.access_m / self.speed_m_s)


def compile_walks(
    network: WalkNetwork, speeds_m_s: Sequence[float], *, limit_s: float = CIRCLE_LIMIT_S
) -> list[CompiledWalk]:
    """Return a network compiled for several walkers, in the order of their speeds; the nodes are ordered once for all."""
    walks: list[CompiledWalk] = []
    for speed_m_s in speeds_m_s:
        rank = walks[0].hierarchy.graph.node_rank if walks else None
        walks.append(CompiledWalk(network, speed_m_s, limit_s, rank))
    return walks


def place_order(node_xy: Floats) -> Numbers:
    """Return a number for each node along a Z-order curve of 16 m cells, so that neighbours lie close in memory."""
    cell = np.floor((node_xy - node_xy.min(axis=0)) / 16.0).astype(np.uint64)
    code = _spread_bits(cell[:, 0]) | (_spread_bits(cell[:, 1]) << np.uint64(1))
    rank = np.empty(len(node_xy), dtype=np.int32)
    rank[np.argsort(code, kind="stable")] = np.arange(len(node_xy), dtype=np.int32)
    return rank


def _spread_bits(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return values of up to 32 bits with a zero before each bit."""
    spread = values & np.uint64(0xFFFFFFFF)
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    ):
        spread = (spread | (spread << np.uint64(shift))) & np.uint64(mask)
    return spread


@dataclass(frozen=True, eq=False, slots=True)
class NearestFacilities:
    """The nearest facility of each kind: shape (points, kinds).

    ``ticks`` are whole fractions of a second (``OUT`` out of reach), equal bit for bit whichever way they were found; ``facility`` is the
    number of the facility, the lowest of those equally near, -1 out of reach.
    """

    ticks: Numbers
    facility: Numbers
    graph: WalkGraph

    @property
    def times_s(self) -> Floats:
        """Seconds; infinite out of reach."""
        return self.graph.seconds(self.ticks)


def nearest_facilities(
    walk: CompiledWalk,
    origins: Attachments | None,
    facilities: Attachments,
    kind_index: ArrayLike,
    kinds: int,
    *,
    progress: Progress = SILENT,
) -> NearestFacilities:
    """Return for each origin the time to the nearest facility of each kind, and which one it is.

    Adding a facility or an edge never makes a time longer.

    Parameters
    ----------
    origins
        Points attached to the walk's network; unattached ones reach nothing. None: the nodes of the network.
    facilities
        Likewise; unattached ones serve nobody.
    kind_index
        Kind of each facility, 0 .. kinds-1.
    kinds
        Number of kinds; nothing of one without facilities is in reach.

    Raises
    ------
    RequestInvalidError
        When the kinds are not one for each facility, or out of range.

    Notes
    -----
    Exact to half a microsecond for each edge walked (at limits up to 17 minutes). Cost: 600,000 nodes and 40 kinds take 0.3
    CPU-seconds on the compiled hierarchy.
    """
    kind = checked_kinds(kind_index, len(facilities), kinds)
    hierarchy = walk.hierarchy
    graph, targets = hierarchy.graph, walk.doors(hierarchy.graph, facilities)
    doors = node_doors(graph) if origins is None else walk.doors(graph, origins)
    shape = (len(doors.edge), kinds)
    found = NearestFacilities(np.full(shape, OUT, dtype=np.int32), np.full(shape, -1, dtype=np.int32), graph)
    progress.start("walking times", kinds)

    def work(lanes: range) -> None:
        block = swept_block(hierarchy, targets, kind, lanes)
        read_block(block, len(lanes), lanes.start, doors, graph.limit_ticks, found.ticks, found.facility)

    on_all_cores(work, kind_blocks(kinds))
    progress.advance(kinds)
    meet_on_edges(doors, targets, kind, len(graph.edge_a), graph.limit_ticks, found.ticks, found.facility)
    return found


def checked_kinds(kind_index: ArrayLike, facilities: int, kinds: int) -> Ints:
    """Return the kinds of facilities as an array, or raise RequestInvalidError."""
    kind = np.asarray(kind_index, dtype=np.int64).reshape(-1)
    if len(kind) != facilities:
        raise RequestInvalidError(
            f"{facilities} facilities came with {len(kind)} kinds.", hint="Give one kind for each facility."
        )
    wrong = np.flatnonzero((kind < 0) | (kind >= kinds))
    if len(wrong):
        raise RequestInvalidError(
            f"Facility {wrong[0]} is of kind {kind[wrong[0]]}, of {kinds}.", hint=f"Number kinds 0 to {kinds - 1}."
        )
    return kind


def nearest_times(
    network: WalkNetwork,
    origins: Attachments,
    facilities: Attachments,
    kind_index: ArrayLike,
    kinds: int,
    *,
    speed_m_s: float = PLANNING_SPEED_M_S,
    limit_s: float = CIRCLE_LIMIT_S,
    progress: Progress = SILENT,
) -> Floats:
    """Return the walking time from each origin to the nearest facility of each kind, compiling the network for it.

    Parameters
    ----------
    origins, facilities, kind_index, kinds
        As in :func:`nearest_facilities`.
    speed_m_s
        Walking speed. Unit: m/s.
    limit_s
        Longer walks count as out of reach. Unit: s; a walk of exactly this time is within.

    Returns
    -------
    times_s
        Shape (origins, kinds). Unit: s; infinite where nothing of the kind is within the limit.
    """
    walk = CompiledWalk(network, speed_m_s, limit_s)
    return nearest_facilities(walk, origins, facilities, kind_index, kinds, progress=progress).times_s


def facility_counts(
    walk: CompiledWalk,
    origins: Attachments,
    facilities: Attachments,
    kind_index: ArrayLike,
    kinds: int,
    limits_s: Sequence[float] = (300.0, 600.0, 900.0),
    *,
    facility_of: ArrayLike | None = None,
) -> Numbers:
    """Return how many facilities of each kind each origin walks to within each limit.

    Parameters
    ----------
    origins, facilities, kind_index, kinds
        As in :func:`nearest_facilities`.
    limits_s
        Each up to the walk's limit. Unit: s; a walk of exactly this time is within.
    facility_of
        Number of the facility that each of ``facilities`` is an entrance of, any whole numbers: a facility counts once, by its nearest
        entrance, and is of the kind of its first. Default: each is a facility of its own.

    Returns
    -------
    counts
        Shape (origins, kinds, limits).

    Raises
    ------
    RequestInvalidError
        When a limit is beyond the walk's, or kinds are wrong, or ``facility_of`` does not say one number for each.

    Notes
    -----
    One bounded search per facility; cost grows with facilities times origins in reach of each.
    """
    kind = checked_kinds(kind_index, len(facilities), kinds)
    owner = np.arange(len(facilities)) if facility_of is None else np.asarray(facility_of, dtype=np.int64).reshape(-1)
    if len(owner) != len(facilities):
        raise RequestInvalidError(
            f"{len(facilities)} entrances came with {len(owner)} facilities.",
            hint="Name one facility for each entrance.",
        )
    if not len(limits_s) or not all(0 <= limit <= walk.limit_s for limit in limits_s):
        raise RequestInvalidError(
            f"Limits {list(limits_s)} are not all within 0 to {walk.limit_s:g} s.",
            hint="Compile the walk for a longer limit.",
        )
    graph = walk.graph
    doors, targets = walk.doors(graph, origins), walk.doors(graph, facilities)
    limits = np.array([graph.whole_ticks(limit) for limit in limits_s], dtype=np.int64)
    by_edge, first_of_edge = grouped(doors.edge, len(graph.edge_a))
    counts = np.zeros((len(origins), kinds, len(limits)), dtype=np.int32)
    joined = np.flatnonzero(facilities.is_attached)
    joined = joined[np.argsort(owner[joined], kind="stable")]
    begins = np.flatnonzero(np.diff(owner[joined], prepend=owner[joined[:1]] - 1))
    first_entrance = np.append(begins, len(joined))
    entrances = targets._replace(**{name: getattr(targets, name)[joined] for name in Doors._fields})
    kind = kind[joined[begins]]
    by_place = np.argsort(entrances.a[begins], kind="stable")

    def work(some: Ints) -> None:
        count_kinds(
            graph.links, graph.edge_a, graph.edge_b, doors, by_edge, first_of_edge, entrances, first_entrance, kind,
            some, limits, counts,
        )  # fmt: skip

    # a kind is counted by one thread only: no two write to the same place
    on_all_cores(work, [by_place[kind[by_place] % _COUNT_PARTS == part] for part in range(_COUNT_PARTS)])
    return counts


def grouped(group: Numbers | Ints, groups: int) -> tuple[Ints, Ints]:
    """Return the numbers of things by their group (those of none, -1, left out), and where each group begins among them."""
    member = np.flatnonzero(group >= 0)
    first = np.zeros(groups + 1, dtype=np.int64)
    np.cumsum(np.bincount(group[member], minlength=groups), out=first[1:])
    return member[np.argsort(group[member], kind="stable")], first


def time_matrix(walk: CompiledWalk, origins: Attachments, targets: Attachments) -> Floats:
    """Return the walking time from each origin to each target.

    Returns
    -------
    times_s
        Shape (origins, targets). Unit: s; infinite beyond the walk's limit.
    """
    graph = walk.graph
    doors, ends = walk.doors(graph, origins), walk.doors(graph, targets)
    out = np.empty((len(origins), len(targets)), dtype=np.int32)

    def work(some: Ints) -> None:
        if len(some):
            matrix_rows(graph.links, doors, ends, graph.limit_ticks, int(some[0]), int(some[-1]) + 1, out)

    on_all_cores(work, np.array_split(np.arange(len(origins)), min(8, max(1, len(origins) // 16))))
    return graph.seconds(out)


@dataclass(frozen=True, eq=False, slots=True)
class WalkingWay:
    """The quickest way between two points: its time, and its line along the streets, from where the first point joins them to
    where the second does (the access legs are left out of the line, not of the time). CRS: that of the network.
    """

    walk_s: float
    line: LineString


def walking_way(walk: CompiledWalk, origin: Attachments, target: Attachments) -> WalkingWay | None:
    """Return the quickest way from one attached point to another, or None when there is none within the limit."""
    graph = walk.graph
    start, end = walk.doors(graph, origin), walk.doors(graph, target)
    ticks, nodes, edges = way_between(
        graph.links, graph.edge_a, graph.edge_b, start, end, graph.limit_ticks, search_space(graph.nodes)
    )
    if ticks >= OUT:
        return None
    seconds = float(graph.seconds(np.array([ticks]))[0])
    leaves_m, arrives_m = float(origin.offset_m[0]), float(target.offset_m[0])
    if not len(nodes):
        return WalkingWay(seconds, _edge_part(walk.network, int(start.edge[0]), leaves_m, arrives_m))
    pieces = [_edge_part(walk.network, int(start.edge[0]), leaves_m, _end_m(walk, start, int(nodes[-1])))]
    for edge, node in zip(edges[::-1], nodes[:0:-1], strict=True):
        begin_m, stop_m = (0.0, np.inf) if graph.edge_a[edge] == node else (np.inf, 0.0)
        pieces.append(_edge_part(walk.network, int(edge), begin_m, stop_m))
    pieces.append(_edge_part(walk.network, int(end.edge[0]), _end_m(walk, end, int(nodes[0])), arrives_m))
    return WalkingWay(seconds, _line_of(pieces))


def _end_m(walk: CompiledWalk, door: Doors, node: int) -> float:
    """Return where the end of a door's edge that lies at a node is along it; of a loop's ends the nearer."""
    first = door.a[0] == node and (door.b[0] != node or door.to_a[0] <= door.to_b[0])
    return 0.0 if first else float(walk.network.edge_length_m[door.edge[0]])


def _edge_part(network: WalkNetwork, edge: int, begin_m: float, stop_m: float) -> LineString:
    """Return the part of an edge between two distances along it, in that direction."""
    line = LineString(network.vertex_xy[network.edge_first_vertex[edge] : network.edge_first_vertex[edge + 1]])
    return substring(line, min(begin_m, line.length), min(stop_m, line.length))


def _line_of(pieces: Sequence[Any]) -> LineString:
    coords = shapely.get_coordinates(pieces)
    new = np.ones(len(coords), dtype=bool)
    new[1:] = (coords[1:] != coords[:-1]).any(axis=1)
    return LineString(coords[new] if new.sum() > 1 else coords[:2])
