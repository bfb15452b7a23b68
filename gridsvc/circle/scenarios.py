"""Scenarios: what if facilities came, moved or closed, a gate opened, a path were built? Before and after, by residence and community."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike

from gridsvc.circle.attachments import Attachments
from gridsvc.circle.live_times import LiveTimes, checked_demand
from gridsvc.circle.travel_times import CompiledWalk
from gridsvc.circle.walk_network import NO_GATE, NODE_TOLERANCE_M, Floats, Ints, add_edges, edge_seconds, with_gates
from gridsvc.errors import GeometryError, NotFoundError, RequestInvalidError


@dataclass(frozen=True, eq=False, slots=True)
class AddFacility:
    """A facility more of a kind, at one attached point."""

    kind: int
    at: Attachments


@dataclass(frozen=True, eq=False, slots=True)
class MoveFacility:
    """A facility that moves to another attached point; it keeps its number."""

    number: int
    to: Attachments


@dataclass(frozen=True, slots=True)
class CloseFacility:
    """A facility that closes."""

    number: int


@dataclass(frozen=True, slots=True)
class OpenGate:
    """A gate or gap in a wall that opens, by the number that edges carry."""

    gate: int


@dataclass(frozen=True, slots=True)
class CloseGate:
    """A gate that closes."""

    gate: int


@dataclass(frozen=True, eq=False, slots=True)
class AddPath:
    """A path or bridge between two nodes of the network, along a LineString from ``u`` to ``v``; ``penalty_s`` as for edges."""

    u: int
    v: int
    line: Any
    penalty_s: float = 0.0


Change = AddFacility | MoveFacility | CloseFacility | OpenGate | CloseGate | AddPath


@dataclass(frozen=True, eq=False, slots=True)
class ScenarioOutcome:
    """What a scenario changes.

    Attributes
    ----------
    residence, kind, before_s, after_s
        One entry for each residence and kind whose time is another, ordered; infinite out of reach.
    communities, people
        Codes in order, and the people of each.
    covered_before, covered_after
        People within the limit of each kind. Shape (communities, kinds).
    complete_before, complete_after
        People within the limits of all kinds.
    added
        Numbers given to the facilities that were added, in the order of the changes.
    """

    residence: Ints
    kind: Ints
    before_s: Floats
    after_s: Floats
    communities: tuple[str, ...]
    people: Floats
    covered_before: Floats
    covered_after: Floats
    complete_before: Floats
    complete_after: Floats
    added: tuple[int, ...]


def scenario_outcome(
    walk: CompiledWalk,
    live: LiveTimes,
    changes: Sequence[Change],
    *,
    people: ArrayLike,
    community_codes: Sequence[str],
    limits_s: Sequence[float] | ArrayLike,
) -> ScenarioOutcome:
    """Return what changes, made one after the other, do to the times of all residences, exactly as computing anew would.

    Parameters
    ----------
    walk, live
        The walk and its times; ``live`` is as it was afterwards, also when a change is refused.
    changes
        Facilities that are added are numbered on from those there are; later changes may name them.
    people, community_codes
        Of each residence of ``live``.
    limits_s
        Longest walk to each kind, up to the limit of the walk. Unit: s; a walk of exactly this time is within.

    Raises
    ------
    NotFoundError
        When a facility, gate or node is not there.
    GeometryError
        When a path is no line, or does not lead from node to node.
    RequestInvalidError
        When a change is impossible, or people, communities or limits do not fit the residences and kinds.

    Notes
    -----
    Cost: what the changes touch, plus one look at all residences. Gates act on their own edges only, those of the network.
    """
    before = live.nearest.times_s
    persons, limits = _checked(people, community_codes, limits_s, before.shape, walk.limit_s)
    done, added = live.changes, []
    try:
        for change in changes:
            if (number := _made(walk, live, change)) is not None:
                added.append(number)
        after = live.nearest.times_s
    finally:
        while live.changes > done:
            live.undo()
    residence, kind = np.nonzero(before != after)
    names, community = np.unique(np.asarray(community_codes, dtype=str), return_inverse=True)
    covered = [_by_community(times <= limits, persons, community, len(names)) for times in (before, after)]
    complete = [
        _by_community((times <= limits).all(axis=1, keepdims=True), persons, community, len(names))[:, 0]
        for times in (before, after)
    ]
    return ScenarioOutcome(
        residence=residence,
        kind=kind,
        before_s=before[residence, kind],
        after_s=after[residence, kind],
        communities=tuple(map(str, names)),
        people=np.bincount(community, weights=persons, minlength=len(names)).astype(np.float64),
        covered_before=covered[0],
        covered_after=covered[1],
        complete_before=complete[0],
        complete_after=complete[1],
        added=tuple(added),
    )


def _made(walk: CompiledWalk, live: LiveTimes, change: Change) -> int | None:
    """Make one change; return the number of the facility that it adds, if it does."""
    match change:
        case AddFacility(kind, at):
            return live.add_facility(at, kind)[0]
        case MoveFacility(number, to):
            live.move_facility(number, to)
        case CloseFacility(number):
            live.close_facility(number)
        case OpenGate(gate):
            edges = _edges_of(walk, gate)
            seconds = edge_seconds(with_gates(walk.network, opened=[gate]), walk.speed_m_s)
            live.set_edges(edges, seconds[edges])
        case CloseGate(gate):
            live.set_edges(_edges_of(walk, gate), np.inf)
        case AddPath(u, v, line, penalty_s):
            _check_path(walk, change)
            longer = add_edges(walk.network, [u], [v], [line], penalty_s=penalty_s)
            live.add_paths([u], [v], edge_seconds(longer, walk.speed_m_s)[-1:])
    return None


def _check_path(walk: CompiledWalk, path: AddPath) -> None:
    nodes = len(walk.network.node_xy)
    if not (min(path.u, path.v) >= 0 and max(path.u, path.v) < nodes):
        raise NotFoundError(f"A path ends at node {path.u} or {path.v}.", hint=f"Nodes are 0 to {nodes - 1}.")
    if shapely.get_type_id(path.line) != shapely.GeometryType.LINESTRING or shapely.is_empty(path.line):
        raise GeometryError(f"A path is drawn as {path.line}.", hint="Give a LineString.")
    ends = shapely.get_coordinates(path.line)[[0, -1]]
    apart_m = np.hypot(*(ends - walk.network.node_xy[[path.u, path.v]]).T)
    if not (apart_m <= NODE_TOLERANCE_M).all():
        raise GeometryError(
            f"A path ends {apart_m.max():.2f} m from its nodes {path.u} and {path.v}.",
            hint="Draw it from node to node.",
        )
    if not (np.isfinite(path.penalty_s) and path.penalty_s >= 0):
        raise RequestInvalidError(f"A penalty of {path.penalty_s} s is no time.", hint="Give seconds from 0 up.")


def _edges_of(walk: CompiledWalk, gate: int) -> Ints:
    edges = np.flatnonzero(walk.network.edge_gate == gate)
    if gate == NO_GATE or not len(edges):
        raise NotFoundError(f"There is no gate {gate} in the network.", hint="Give a number that edges carry.")
    return edges


def _by_community(reached: Any, people: Floats, community: Ints, communities: int) -> Floats:
    """Return the people of each community for whom each column holds."""
    columns = [
        np.bincount(community[column], weights=people[column], minlength=communities).astype(np.float64)
        for column in reached.T
    ]
    return np.stack(columns, axis=1) if columns else np.zeros((communities, 0))


def _checked(
    people: ArrayLike,
    community_codes: Sequence[str],
    limits_s: Sequence[float] | ArrayLike,
    shape: tuple[int, ...],
    longest_s: float,
) -> tuple[Floats, Floats]:
    persons, limits = checked_demand(people, limits_s, shape, longest_s)
    if len(community_codes) != shape[0]:
        raise RequestInvalidError(
            f"{len(community_codes)} community codes came for {shape[0]} residences.", hint="Give one for each."
        )
    return persons, limits
