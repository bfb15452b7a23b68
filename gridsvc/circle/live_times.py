"""What-if: the nearest facilities of a whole city, kept up to date while facilities and edges change, and undone.

A change touches the nodes whose answer it may change, and no others. The state after it equals, bit for bit, what computing
everything anew gives: ticks are whole numbers, and of facilities equally near the lowest number stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.bounded_search import (
    Labels,
    changed_doors,
    cut_block,
    forget_edges,
    forget_facility,
    improve,
    improve_over,
    refill,
    search_space,
)
from gridsvc.circle.doors import Doors
from gridsvc.circle.hierarchy import CLOSED, OUT, WalkGraph, links_of, within
from gridsvc.circle.sweeps import kind_blocks, meet_on_edges, on_all_cores, read_block, swept_block
from gridsvc.circle.travel_times import CompiledWalk, NearestFacilities, checked_kinds, grouped
from gridsvc.circle.walk_network import Floats, Ints, Numbers
from gridsvc.errors import ConflictError, NotFoundError, RequestInvalidError


@dataclass(frozen=True, eq=False, slots=True)
class Effect:
    """What a change did: one entry per origin and kind whose answer is another now.

    ``before_s`` and ``after_s`` are seconds, infinite out of reach; ``facility_before`` and ``facility_after`` the facilities, -1 for none.
    """

    origin: Ints
    kind: Ints
    before_s: Floats
    after_s: Floats
    facility_before: Ints
    facility_after: Ints


@dataclass(frozen=True, eq=False, slots=True)
class _Step:
    """How to take one change back: labels of nodes, answers of origins, and the fields replaced."""

    nodes: list[tuple[int, Numbers, Numbers, Numbers]] = field(default_factory=list)
    origins: list[tuple[int, Ints, Numbers, Numbers]] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


class LiveTimes:
    """The nearest facility of each kind for the nodes and some origins of a walk, under changes.

    Parameters
    ----------
    walk
        Its hierarchy is compiled where it was not.
    origins, facilities, kind_index, kinds
        As in :func:`~gridsvc.circle.travel_times.nearest_facilities`.

    Notes
    -----
    Memory: 8 bytes for each kind of each node and of each origin. One at a time: not for several threads.
    """

    def __init__(
        self, walk: CompiledWalk, origins: Attachments, facilities: Attachments, kind_index: ArrayLike, kinds: int
    ) -> None:
        hierarchy = walk.hierarchy
        self._walk, self._kinds = walk, kinds
        self._graph: WalkGraph = hierarchy.graph
        self._kind = checked_kinds(kind_index, len(facilities), kinds)
        self._doors, self._facilities = walk.doors(self._graph, origins), walk.doors(self._graph, facilities)
        shape = (len(origins), kinds)
        self._ticks, self._facility = np.full(shape, OUT, dtype=np.int32), np.full(shape, -1, dtype=np.int32)
        self._lanes = kind_blocks(kinds)
        self._blocks: list[Numbers] = [np.empty((0, 0), dtype=np.int32)] * len(self._lanes)

        def work(number: int) -> None:
            lanes = self._lanes[number]
            block = swept_block(hierarchy, self._facilities, self._kind, lanes)
            cut_block(block, len(lanes), self._graph.limit_ticks)
            self._blocks[number] = block
            read_block(
                block, len(lanes), lanes.start, self._doors, self._graph.limit_ticks, self._ticks, self._facility
            )

        on_all_cores(work, range(len(self._lanes)))
        edges = len(self._graph.edge_a)
        meet_on_edges(
            self._doors, self._facilities, self._kind, edges, self._graph.limit_ticks, self._ticks, self._facility
        )
        self._by_edge, self._first_of_edge = grouped(self._doors.edge, edges)
        self._space = search_space(self._graph.nodes)
        self._was = np.empty((2, self._graph.nodes), dtype=np.int32)
        self._steps: list[_Step] = []

    @property
    def nearest(self) -> NearestFacilities:
        """The answers now; a view that further changes write into."""
        return NearestFacilities(self._ticks, self._facility, self._graph)

    @property
    def changes(self) -> int:
        """Number of changes that can be undone."""
        return len(self._steps)

    def ticks_at(self, nodes: ArrayLike) -> Numbers:
        """Return the ticks from nodes of the network to the nearest facility of each kind now: shape (nodes, kinds), ``OUT`` out of reach."""
        rows = self._graph.node_rank[np.asarray(nodes, dtype=np.int64)]
        return np.concatenate(
            [block[rows, : len(lanes)] for lanes, block in zip(self._lanes, self._blocks, strict=True)], axis=1
        )

    def add_facility(self, attached: Attachments, kind: int) -> tuple[int, Effect]:
        """Add a facility (one attached point); return its number, the next after those there were, and the effect."""
        if not 0 <= kind < self._kinds:
            raise RequestInvalidError(f"There is no kind {kind}.", hint=f"Kinds are 0 to {self._kinds - 1}.")
        door, number = self._one_door(attached), len(self._kind)
        step = self._begin("_facilities", "_kind")
        self._facilities = _appended(self._facilities, door)
        self._kind = np.append(self._kind, kind)
        labels = self._labels(kind)
        count = improve(self._graph.links, labels, self._facilities, np.array([number]), self._graph.limit_ticks, 0)
        edges = self._facilities.edge[number:]
        self._finish(step, kind, labels, count, edges[edges >= 0], self._facility_chains())
        return number, self._effect(step)

    def close_facility(self, number: int) -> Effect:
        """Close a facility; its number is not given again."""
        edge = self._open_edge(number)
        return self._moved(number, self._facilities._replace(edge=_with(self._facilities.edge, number, -1)), edge)

    def move_facility(self, number: int, attached: Attachments) -> Effect:
        """Move a facility to another attached point; it keeps its number."""
        edge, door = self._open_edge(number), self._one_door(attached)
        there = {name: _with(getattr(self._facilities, name), number, getattr(door, name)[0]) for name in Doors._fields}
        return self._moved(number, Doors(**there), edge)

    def set_edges(self, edges: ArrayLike, seconds: ArrayLike) -> Effect:
        """Give edges that take no attachments (gates, paths that were added) other times; infinite closes them.

        Raises
        ------
        NotFoundError
            When there is no such edge.
        RequestInvalidError
            When a time is negative, or a residence or facility is attached to the edge.
        """
        edge, wanted = np.unique(np.asarray(edges, dtype=np.int64)), np.asarray(seconds, dtype=np.float64)
        given = np.broadcast_to(wanted, np.shape(edges)).reshape(-1)
        time_s = np.empty(len(edge))
        time_s[np.searchsorted(edge, np.asarray(edges).reshape(-1))] = given
        self._check_edges(edge, time_s)
        graph, step = self._graph, self._begin("_graph")
        whole = np.rint(np.minimum(time_s * graph.ticks_per_s, CLOSED)).astype(np.int64)
        before, after = within(graph.edge_ticks[edge], graph.limit_ticks), within(whole, graph.limit_ticks)
        all_ticks = graph.edge_ticks.copy()
        all_ticks[edge] = whole
        links = graph.links._replace(ticks=graph.links.ticks.copy())
        for number, end_a, end_b in zip(edge.tolist(), graph.edge_a[edge], graph.edge_b[edge], strict=True):
            for x in (end_a, end_b):
                at = slice(links.first[x], links.first[x + 1])
                links.ticks[at][links.edge[at] == number] = within(all_ticks[[number]], graph.limit_ticks)[0]
        self._graph = replace(graph, links=links, edge_ticks=all_ticks)
        self._changed_edges(step, edge, before, after, graph)
        return self._effect(step)

    def add_paths(self, u: ArrayLike, v: ArrayLike, seconds: ArrayLike) -> tuple[Ints, Effect]:
        """Add edges between nodes of the network; return their numbers, after those there were, and the effect."""
        node_u, node_v = (np.atleast_1d(np.asarray(ends, dtype=np.int64)) for ends in (u, v))
        time_s = np.broadcast_to(np.asarray(seconds, dtype=np.float64), len(node_u))
        graph = self._graph
        if ((np.minimum(node_u, node_v) < 0) | (np.maximum(node_u, node_v) >= graph.nodes)).any():
            raise NotFoundError("A path ends at a node that is not there.", hint=f"Nodes are 0 to {graph.nodes - 1}.")
        _check_seconds(time_s)
        step = self._begin("_graph", "_first_of_edge")
        whole = np.rint(np.minimum(time_s * graph.ticks_per_s, CLOSED)).astype(np.int64)
        edge_a, edge_b = (
            np.append(old, graph.node_rank[new]) for old, new in ((graph.edge_a, node_u), (graph.edge_b, node_v))
        )
        ticks = np.append(graph.edge_ticks, whole)
        links = links_of(graph.nodes, edge_a, edge_b, within(ticks, graph.limit_ticks))
        self._graph = replace(graph, links=links, edge_a=edge_a, edge_b=edge_b, edge_ticks=ticks)
        self._first_of_edge = np.append(self._first_of_edge, np.repeat(self._first_of_edge[-1], len(whole)))
        edge = np.arange(len(graph.edge_a), len(edge_a))
        self._changed_edges(
            step, edge, np.full(len(edge), OUT, dtype=np.int32), within(whole, graph.limit_ticks), graph
        )
        return edge, self._effect(step)

    def undo(self) -> Effect:
        """Take the last change back; return the effect of doing so.

        Raises
        ------
        ConflictError
            When nothing is left to undo.
        """
        if not self._steps:
            raise ConflictError("There is no change to undo.", hint="Make one first.")
        step = self._steps.pop()
        for kind, nodes, ticks, facility in reversed(step.nodes):
            block, lane, lanes = self._lane(kind)
            block[nodes, lane], block[nodes, lanes + lane] = ticks, facility
        now: list[tuple[int, Ints, Numbers, Numbers]] = []
        for kind, origins, ticks, facility in step.origins:
            now.append((kind, origins, self._ticks[origins, kind], self._facility[origins, kind]))
            self._ticks[origins, kind], self._facility[origins, kind] = ticks, facility
        for name, value in step.fields.items():
            setattr(self, name, value)
        return self._effect(_Step(origins=now))

    def _moved(self, number: int, doors: Doors, old_edge: int) -> Effect:
        step, kind = self._begin("_facilities"), int(self._kind[number])
        labels = self._labels(kind)
        count = forget_facility(self._graph.links, labels, self._facilities, number, 0)
        self._facilities = doors
        count = refill(self._graph.links, labels, doors, self._of_kind(kind), self._graph.limit_ticks, count)
        edges = np.unique(np.array([old_edge, doors.edge[number]], dtype=np.int32))
        self._finish(step, kind, labels, count, edges[edges >= 0], self._facility_chains())
        return self._effect(step)

    def _changed_edges(self, step: _Step, edge: Ints, before: Numbers, after: Numbers, old: WalkGraph) -> None:
        """Bring all kinds up to date after edges took other ticks; ``old`` is the graph before."""
        graph, slower, quicker = self._graph, after > before, after < before
        ends_a, ends_b = graph.edge_a[edge], graph.edge_b[edge]
        nothing, chains = np.empty(0, dtype=np.int32), self._facility_chains()
        for kind in range(self._kinds):
            labels, count = self._labels(kind), 0
            if slower.any():
                count = forget_edges(old.links, labels, ends_a[slower], ends_b[slower], before[slower], 0)
                count = refill(graph.links, labels, self._facilities, self._of_kind(kind), graph.limit_ticks, count)
            if quicker.any():
                count = improve_over(
                    graph.links, labels, ends_a[quicker], ends_b[quicker], after[quicker], graph.limit_ticks, count
                )
            self._finish(step, kind, labels, count, nothing, chains)

    def _begin(self, *names: str) -> _Step:
        step = _Step(fields={name: getattr(self, name) for name in names})
        self._steps.append(step)
        return step

    def _finish(
        self, step: _Step, kind: int, labels: Labels, count: int, edges: Numbers, chains: tuple[Numbers, Numbers]
    ) -> None:
        """Renew the origins around the nodes touched, and keep what stood there."""
        step.nodes.append(
            (kind, self._space.touched[:count].copy(), self._was[0, :count].copy(), self._was[1, :count].copy())
        )
        changed = changed_doors(
            self._graph.links,
            self._graph.edge_a,
            self._graph.edge_b,
            labels,
            count,
            edges,
            self._doors,
            self._by_edge,
            self._first_of_edge,
            self._facilities,
            *chains,
            self._kind,
            kind,
            self._graph.limit_ticks,
            self._ticks,
            self._facility,
        )
        step.origins.append((kind, *changed))

    def _facility_chains(self) -> tuple[Numbers, Numbers]:
        """Return the first facility of each edge, -1 for none, and after each facility the next on its edge."""
        edge = self._facilities.edge
        first, following = np.full(len(self._graph.edge_a), -1, dtype=np.int32), np.full(len(edge), -1, dtype=np.int32)
        at = np.flatnonzero(edge >= 0)
        at = at[np.argsort(edge[at], kind="stable")]
        begins = np.ones(len(at), dtype=bool)
        begins[1:] = edge[at][1:] != edge[at][:-1]
        first[edge[at[begins]]] = at[begins]
        following[at[:-1][~begins[1:]]] = at[1:][~begins[1:]]
        return first, following

    def _effect(self, step: _Step) -> Effect:
        """Return what is different now from what a step keeps."""
        kind = np.repeat([row[0] for row in step.origins], [len(row[1]) for row in step.origins]).astype(np.int64)
        origin, ticks, facility = (
            np.concatenate([row[part] for row in step.origins]) if step.origins else np.empty(0, dtype=np.int64)
            for part in (1, 2, 3)
        )
        return Effect(
            origin=origin,
            kind=kind,
            before_s=self._graph.seconds(ticks),
            after_s=self._graph.seconds(self._ticks[origin, kind]),
            facility_before=facility.astype(np.int64),
            facility_after=self._facility[origin, kind].astype(np.int64),
        )

    def _lane(self, kind: int) -> tuple[Numbers, int, int]:
        """Return the block of a kind, its column there, and the number of columns."""
        for lanes, block in zip(self._lanes, self._blocks, strict=True):
            if kind in lanes:
                return block, kind - lanes.start, len(lanes)
        raise AssertionError(kind)

    def _labels(self, kind: int) -> Labels:
        return Labels(*self._lane(kind), self._space, self._was[0], self._was[1])

    def _of_kind(self, kind: int) -> Ints:
        return np.flatnonzero(self._kind == kind)

    def _one_door(self, attached: Attachments) -> Doors:
        if len(attached) != 1:
            raise RequestInvalidError(f"{len(attached)} points came for one facility.", hint="Give one point.")
        return self._walk.doors(self._graph, attached)

    def _open_edge(self, number: int) -> int:
        """Return the edge of a facility that is there."""
        if not 0 <= number < len(self._kind):
            raise NotFoundError(f"There is no facility {number}.", hint=f"There are 0 to {len(self._kind) - 1}.")
        return int(self._facilities.edge[number])

    def _check_edges(self, edge: Ints, time_s: Floats) -> None:
        edges = len(self._graph.edge_a)
        if len(edge) and not (edge[0] >= 0 and edge[-1] < edges):
            raise NotFoundError("An edge is not there.", hint=f"Edges are 0 to {edges - 1}.")
        _check_seconds(time_s)
        homes = self._first_of_edge[edge + 1] > self._first_of_edge[edge]
        taken = homes | np.isin(edge, self._facilities.edge)
        if taken.any():
            raise RequestInvalidError(
                f"Residences or facilities are attached to edge {edge[taken][0]}.",
                hint="Only gates and paths without doors change their time here; compile the walk anew for other edges.",
            )


def checked_demand(
    people: ArrayLike, limits_s: Sequence[float] | ArrayLike, shape: tuple[int, ...], longest_s: float
) -> tuple[Floats, Floats]:
    """Return people by residence and limits by kind for times of a shape (residences, kinds), or raise RequestInvalidError."""
    persons, limits = np.asarray(people, dtype=np.float64), np.asarray(limits_s, dtype=np.float64)
    if persons.shape != shape[:1] or not (np.isfinite(persons) & (persons >= 0)).all():
        raise RequestInvalidError(
            f"People of shape {persons.shape} came for {shape[0]} residences, or some are below 0.",
            hint="Give people from 0 up for each residence.",
        )
    if limits.shape != shape[1:] or not ((limits >= 0) & (limits <= longest_s)).all():
        raise RequestInvalidError(
            f"Limits {limits.tolist()} came for {shape[1]} kinds of walks up to {longest_s:g} s.",
            hint="Give one limit for each kind, up to that of the walk.",
        )
    return persons, limits


def _check_seconds(time_s: Floats) -> None:
    if not (time_s >= 0).all():
        raise RequestInvalidError("A time to walk is negative or no number.", hint="Give seconds from 0 up.")


def _with(values: Any, at: int, value: Any) -> Any:
    """Return a copy of an array with one value replaced."""
    changed = values.copy()
    changed[at] = value
    return changed


def _appended(doors: Doors, more: Doors) -> Doors:
    return Doors(**{name: np.append(getattr(doors, name), getattr(more, name)) for name in Doors._fields})
