"""The missing gate: every closed gate and every gap in a wall, ranked by the people who would newly be covered if it opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gridsvc.circle.hierarchy import OUT
from gridsvc.circle.live_times import Effect, LiveTimes, checked_demand
from gridsvc.circle.travel_times import CompiledWalk
from gridsvc.circle.walk_network import NO_GATE, Flags, Floats, Ints, edge_seconds, with_gates
from gridsvc.errors import NotFoundError
from gridsvc.progress import SILENT, Progress


@dataclass(frozen=True, eq=False, slots=True)
class GateGains:
    """What opening each gate alone would bring, the best gate first.

    Attributes
    ----------
    gate
        Numbers of gates, as edges carry them (``WallPassages``). Ordered by people newly covered, summed over the kinds; then by
        person-seconds saved; then by number.
    people
        People newly within the limit of each kind. Shape (gates, kinds).
    complete
        People who would then have all kinds within their limits, and have not now.
    saved_s
        Person-seconds saved over all kinds, of those people alone who are within the limit with the gate open; whoever was not
        before counts as having walked the limit.
    """

    gate: Ints
    people: Floats
    complete: Floats
    saved_s: Floats


def rank_missing_gates(
    walk: CompiledWalk,
    live: LiveTimes,
    people: ArrayLike,
    limits_s: Sequence[float] | ArrayLike,
    *,
    gates: Sequence[int] | None = None,
    progress: Progress = SILENT,
) -> GateGains:
    """Return what each closed gate would bring if it alone were opened, exactly, by trying it and taking it back.

    Parameters
    ----------
    walk, live
        The walk, and its times with the facilities of the kinds that count; ``live`` is as it was afterwards.
    people
        People of each residence of ``live``.
    limits_s
        Longest walk to each kind, up to the limit of the walk. Unit: s; a walk of exactly this time is within.
    gates
        Numbers of closed gates to try; None for all that are closed in the network.

    Raises
    ------
    NotFoundError
        When a gate is not closed, or not there.
    RequestInvalidError
        When people or limits do not fit the residences and kinds.

    Notes
    -----
    A gate whose two sides reach everything so that its passage is no short cut changes nothing, and is not tried.
    """
    network = walk.network
    times_s = live.nearest.times_s
    persons, limits = checked_demand(people, limits_s, times_s.shape, walk.limit_s)
    closed = np.unique(network.edge_closed_by[network.edge_closed_by != NO_GATE]).astype(np.int64)
    wanted = closed if gates is None else np.unique(np.asarray(gates, dtype=np.int64))
    unknown = np.setdiff1d(wanted, closed)
    if len(unknown):
        raise NotFoundError(
            f"There is no closed gate {unknown[0]}.", hint="Give numbers of gates that are closed in the network."
        )
    lacking = (times_s > limits).sum(axis=1)
    new, complete, saved_s = np.zeros((len(wanted), len(limits))), np.zeros(len(wanted)), np.zeros(len(wanted))
    edge_s = edge_seconds(with_gates(network, opened=wanted.tolist()), walk.speed_m_s)
    edges = np.flatnonzero(np.isin(network.edge_closed_by, wanted))
    edges = edges[np.argsort(network.edge_closed_by[edges], kind="stable")]
    first = np.searchsorted(network.edge_closed_by[edges], np.append(wanted, np.iinfo(np.int32).max))
    shorter = _is_short_cut(walk, live, edges, edge_s[edges])
    progress.start("gates", len(wanted))
    for number in range(len(wanted)):
        own = slice(first[number], first[number + 1])
        if shorter[own].any():
            effect = live.set_edges(edges[own], edge_s[edges[own]])
            live.undo()
            new[number], complete[number], saved_s[number] = _gain(effect, persons, limits, lacking)
        progress.advance()
    order = np.lexsort((wanted, -saved_s, -new.sum(axis=1)))
    return GateGains(wanted[order], new[order], complete[order], saved_s[order])


def _is_short_cut(walk: CompiledWalk, live: LiveTimes, edges: Ints, seconds: Floats) -> Flags:
    """Return whether somebody at one end of each edge would be nearer to something by it than now."""
    network, graph = walk.network, live.nearest.graph
    ticks = np.rint(seconds * graph.ticks_per_s).astype(np.int64)[:, np.newaxis]
    at_u, at_v = (live.ticks_at(ends[edges]).astype(np.int64) for ends in (network.edge_u, network.edge_v))
    near, far = np.minimum(at_u, at_v), np.maximum(at_u, at_v)
    return np.asarray(((near < OUT) & (near + ticks < far)).any(axis=1))


def _gain(effect: Effect, people: Floats, limits: Floats, lacking: Ints) -> tuple[Floats, float, float]:
    """Return people newly within the limit by kind, people newly with all kinds, and person-seconds saved."""
    limit, own = limits[effect.kind], people[effect.origin]
    within = effect.after_s <= limit
    new = within & (effect.before_s > limit)
    by_kind = np.bincount(effect.kind[new], weights=own[new], minlength=len(limits)).astype(np.float64)
    origin, kinds = np.unique(effect.origin[new], return_counts=True)
    complete = float(people[origin[kinds == lacking[origin]]].sum())
    saved_s = (np.minimum(effect.before_s, limit) - effect.after_s)[within]
    return by_kind, complete, float(own[within] @ saved_s)
