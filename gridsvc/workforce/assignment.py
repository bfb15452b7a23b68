"""Workers to grids: one full-time worker responsible for each grid, near home, own community first.

Deterministic, and the same for any order of the input: grids and workers are ordered by code first, and of equal
distances the lower codes win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gridsvc.errors import CodeDuplicateError, RequestInvalidError
from gridsvc.workforce.roster import ROLE_OF_KIND

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SPARE_REACH_M = (
    3000.0  # our choice: half an hour's walk; a neighbour's worker living further does not take a grid daily
)
_MORE_GRIDS_M = 2000.0  # a further grid of one worker weighs like this many metres: everybody gets a first one before
_AWAY_M = 100_000.0  # outside the own community weighs more than any distance inside it
_FORBIDDEN_M = 1e9


@dataclass(frozen=True, eq=False, slots=True)
class GridsToStaff:
    """Governance grids: code, a point inside (metric CRS, shape (n, 2)), households, community code."""

    code: NDArray[np.str_]
    xy: Floats
    households: Ints
    community_code: NDArray[np.str_]


@dataclass(frozen=True, eq=False, slots=True)
class Roster:
    """Workers: code, home (metric CRS, shape (n, 2), NaN where unknown), kind, division served, grids they can hold."""

    code: NDArray[np.str_]
    xy: Floats
    kind_code: NDArray[np.str_]
    division_code: NDArray[np.str_]
    capacity_grids: Ints


@dataclass(frozen=True, slots=True)
class Assignment:
    """One worker on one grid. ``deputy_of`` names the responsible worker a deputy stands in for."""

    worker_code: str
    grid_code: str
    role: str
    is_primary: bool
    deputy_of: str | None
    distance_m: float


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A grid that lacks somebody in a role, and why."""

    grid_code: str
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class Fairness:
    """Households per responsible worker: mean, least, most, and standard deviation over mean (0 is perfectly even)."""

    workers: int
    mean_households: float
    fewest_households: int
    most_households: int
    variation: float


@dataclass(frozen=True, slots=True)
class AssignmentPlan:
    """Who works where, ordered by grid, role, worker; which grids lack whom; how even the load is."""

    assignments: tuple[Assignment, ...]
    unassigned: tuple[Unassigned, ...]
    fairness: Fairness | None


def assign_workers(
    grids: GridsToStaff,
    roster: Roster,
    *,
    role_of_kind: Mapping[str, str] = ROLE_OF_KIND,
    spare_reach_m: float = SPARE_REACH_M,
) -> AssignmentPlan:
    """Return a team for each grid: a responsible full-time worker, leader, part-time workers, adviser, deputy.

    * exactly one full-time worker is responsible (``is_primary``) for each grid, as long as there are any within reach;
      nobody holds more grids than ``capacity_grids``, and everybody of a community has one before somebody has two;
    * workers of the own community come first, at the least total distance from home to grid; what is left over is taken
      by spare workers of communities near by (home within ``spare_reach_m``);
    * every part-time worker gets a grid: one per grid first, then a second round, and so on;
    * the deputy of a grid is the responsible worker of another grid near by, of the same community where there is one.

    Parameters
    ----------
    grids
        Grids of one network, codes unique.
    roster
        Workers; kinds not in ``role_of_kind`` are left out. A worker without a home counts as living in the middle of the
        grids of the division served.
    role_of_kind
        Role by kind code, see :mod:`gridsvc.workforce.roster`.
    spare_reach_m
        How far from home a worker may be sent outside the own community. Unit: m.

    Raises
    ------
    CodeDuplicateError
        When a grid or worker code comes twice.
    RequestInvalidError
        When a capacity is below one or a grid has no finite position.

    Notes
    -----
    Source: team of a grid and roles, see ``roster.ROSTER_RULES``. Method: a linear assignment per community, then one for
    what is left over; cost about the cube of the grids of a community.
    """
    grids, roster = _checked(grids, roster)
    found: list[Assignment] = []
    lacking: list[Unassigned] = []
    for role in ("full_time", "leader", "adviser", "part_time"):
        chosen = _of_role(roster, role, role_of_kind)
        rounds = (
            _part_time(grids, chosen, spare_reach_m) if role == "part_time" else [_staff(grids, chosen, spare_reach_m)]
        )
        for holder in rounds:
            found += _rows(grids, chosen, holder, role)
        if role != "adviser":  # an adviser may cover a whole street office, so a grid without its own lacks nobody
            lacking += _lacking(grids, chosen, rounds[0], role, spare_reach_m)
        if role == "full_time":
            found += _deputies(grids, chosen, rounds[0])
    order = {"full_time": 0, "leader": 1, "part_time": 2, "adviser": 3, "deputy": 4}
    found.sort(key=lambda row: (row.grid_code, order[row.role], row.worker_code))
    lacking.sort(key=lambda row: (row.grid_code, order[row.role]))
    return AssignmentPlan(tuple(found), tuple(lacking), _fairness(grids, found))


def _checked(grids: GridsToStaff, roster: Roster) -> tuple[GridsToStaff, Roster]:
    """Refuse doubles and impossible values, order both by code, and place workers without a home."""
    for what, codes in (("grid", grids.code), ("worker", roster.code)):
        names, count = np.unique(codes, return_counts=True)
        if (count > 1).any():
            raise CodeDuplicateError(f"{what} {names[count > 1][0]} is listed twice.", hint="Give each code once.")
    if not np.isfinite(grids.xy).all():
        bad = grids.code[~np.isfinite(grids.xy).all(axis=1)][0]
        raise RequestInvalidError(
            f"Grid {bad} has no finite position.", hint="Give a point inside each grid, in metres."
        )
    if len(roster.code) and roster.capacity_grids.min() < 1:
        bad = roster.code[roster.capacity_grids < 1][0]
        raise RequestInvalidError(f"Worker {bad} has a capacity below one grid.", hint="capacity_grids is 1 or more.")
    g, w = np.argsort(grids.code, kind="stable"), np.argsort(roster.code, kind="stable")
    grids = GridsToStaff(grids.code[g], grids.xy[g], grids.households[g], grids.community_code[g])
    homes = roster.xy[w].astype(np.float64)
    for i in np.flatnonzero(~np.isfinite(homes).all(axis=1)):
        served = np.char.startswith(grids.community_code, roster.division_code[w][i])
        homes[i] = grids.xy[served].mean(axis=0) if served.any() else np.inf
    return grids, Roster(roster.code[w], homes, roster.kind_code[w], roster.division_code[w], roster.capacity_grids[w])


def _of_role(roster: Roster, role: str, role_of_kind: Mapping[str, str]) -> Roster:
    chosen = np.array([role_of_kind.get(str(kind)) == role for kind in roster.kind_code], dtype=bool)
    return Roster(
        roster.code[chosen],
        roster.xy[chosen],
        roster.kind_code[chosen],
        roster.division_code[chosen],
        roster.capacity_grids[chosen],
    )


def _distances_m(grid_xy: Floats, home_xy: Floats) -> Floats:
    apart = np.hypot(
        grid_xy[:, np.newaxis, 0] - home_xy[np.newaxis, :, 0], grid_xy[:, np.newaxis, 1] - home_xy[np.newaxis, :, 1]
    )
    return np.where(np.isfinite(apart), apart, _FORBIDDEN_M)


def _staff(grids: GridsToStaff, chosen: Roster, spare_reach_m: float) -> Ints:
    """Return for each grid the index of the worker who holds it, -1 where nobody does."""
    holder = np.full(len(grids.code), -1, dtype=np.int64)
    held = np.zeros(len(chosen.code), dtype=np.int64)
    grids_of = _members(grids.community_code)
    workers_of = _members(chosen.division_code)
    for community in sorted(set(grids_of) & set(workers_of)):
        _match(grids.xy, grids_of[community], chosen, workers_of[community], holder, held)
    rest, spare = np.flatnonzero(holder < 0), np.flatnonzero(held < chosen.capacity_grids)
    if len(rest) and len(spare):
        outside = np.array(
            [[not c.startswith(d) for d in chosen.division_code[spare]] for c in grids.community_code[rest]]
        )
        _match(grids.xy, rest, chosen, spare, holder, held, outside=outside, reach_m=spare_reach_m)
    return holder


def _members(codes: NDArray[np.str_]) -> dict[str, Ints]:
    names, number = np.unique(codes, return_inverse=True)
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.searchsorted(number[order], np.arange(1, len(names))))
    return {str(name): part for name, part in zip(names, parts, strict=True)} if len(codes) else {}


def _match(
    grid_xy: Floats,
    some_grids: Ints,
    chosen: Roster,
    some_workers: Ints,
    holder: Ints,
    held: Ints,
    *,
    outside: NDArray[np.bool_] | None = None,
    reach_m: float = np.inf,
    most_grids: int | None = None,
) -> None:
    """Match grids with workers' free places at the least total cost; fills ``holder`` and ``held``."""
    metres = _distances_m(grid_xy[some_grids], chosen.xy[some_workers])
    cost = metres.copy()
    if outside is not None:
        cost = np.where(outside & (metres > reach_m), _FORBIDDEN_M, metres + _AWAY_M * outside)
    free = np.minimum(chosen.capacity_grids[some_workers] - held[some_workers], most_grids or len(some_grids))
    worker = np.repeat(np.arange(len(some_workers)), free)
    place = np.arange(free.sum()) - np.repeat(np.cumsum(free) - free, free)
    places = cost[:, worker] + _MORE_GRIDS_M * (place + held[some_workers][worker])
    rows, columns = linear_sum_assignment(places)
    allowed = cost[rows, worker[columns]] < _FORBIDDEN_M
    rows, taken = rows[allowed], some_workers[worker[columns[allowed]]]
    holder[some_grids[rows]] = taken
    np.add.at(held, taken, 1)


def _part_time(grids: GridsToStaff, chosen: Roster, spare_reach_m: float) -> list[Ints]:
    """Return rounds of holders: the first gives each grid one, the next give everybody who has none a grid near home."""
    rounds = [_staff(grids, chosen, spare_reach_m)]
    idle = np.setdiff1d(np.arange(len(chosen.code)), rounds[0])
    grids_of = _members(grids.community_code)
    for community, workers in _members(chosen.division_code[idle]).items():
        if community not in grids_of:
            continue
        here = grids_of[community]
        waiting = idle[workers]
        for start in range(0, len(waiting), len(here)):
            holder, held = np.full(len(grids.code), -1, dtype=np.int64), np.zeros(len(chosen.code), dtype=np.int64)
            _match(grids.xy, here, chosen, waiting[start : start + len(here)], holder, held, most_grids=1)
            rounds.append(holder)
    return rounds


def _rows(grids: GridsToStaff, chosen: Roster, holder: Ints, role: str) -> list[Assignment]:
    at = np.flatnonzero(holder >= 0)
    metres = np.hypot(*(grids.xy[at] - chosen.xy[holder[at]]).T)
    return [
        Assignment(
            str(chosen.code[holder[grid]]), str(grids.code[grid]), role, role == "full_time", None, float(distance)
        )
        for grid, distance in zip(at, metres, strict=True)
    ]


def _lacking(grids: GridsToStaff, chosen: Roster, holder: Ints, role: str, spare_reach_m: float) -> list[Unassigned]:
    own = {str(code): len(members) for code, members in _members(chosen.division_code).items()}
    rows = []
    for grid in np.flatnonzero(holder < 0):
        community = str(grids.community_code[grid])
        there = (
            f"the {own[community]} of community {community} are full"
            if community in own
            else f"community {community} has none"
        )
        reason = f"{there}, and no spare one lives within {spare_reach_m / 1000:g} km"
        rows.append(Unassigned(str(grids.code[grid]), role, reason))
    return rows


def _deputies(grids: GridsToStaff, chosen: Roster, holder: Ints) -> list[Assignment]:
    """Give each grid as deputy the responsible worker of a grid near by, one grid each as far as that goes."""
    deputy = np.full(len(grids.code), -1, dtype=np.int64)
    for here in _members(grids.community_code).values():
        staffed = here[holder[here] >= 0]
        workers = np.unique(holder[staffed])
        if len(workers) > 1:
            deputy[staffed] = _match_deputies(grids.xy[staffed], holder[staffed], workers)
    for grid in np.flatnonzero(
        (deputy < 0) & (holder >= 0)
    ):  # the only worker of a community: ask the nearest other one
        other = np.flatnonzero((holder >= 0) & (holder != holder[grid]))
        if len(other):
            deputy[grid] = holder[other[np.argmin(np.hypot(*(grids.xy[other] - grids.xy[grid]).T))]]
    return [
        Assignment(
            str(chosen.code[deputy[grid]]),
            str(grids.code[grid]),
            "deputy",
            False,
            str(chosen.code[holder[grid]]),
            float(np.hypot(*(grids.xy[grid] - chosen.xy[deputy[grid]]))),
        )
        for grid in np.flatnonzero(deputy >= 0)
    ]


def _match_deputies(xy: Floats, holder: Ints, workers: Ints) -> Ints:
    """Return for each grid of a community the stand-in: least total distance between grids, nobody for the own grid."""
    between = _distances_m(xy, xy)
    cost = np.column_stack([between[:, holder == worker].min(axis=1) for worker in workers])
    cost[holder[:, np.newaxis] == workers[np.newaxis, :]] = _FORBIDDEN_M
    times = -(-len(xy) // len(workers)) + 1  # one place more than an even share, so that an own grid never blocks
    places = np.hstack([cost + _MORE_GRIDS_M * place for place in range(times)])
    rows, columns = linear_sum_assignment(places)
    stand_in = workers[columns % len(workers)]
    clash = places[rows, columns] >= _FORBIDDEN_M
    stand_in[clash] = workers[np.argmin(cost[rows[clash]], axis=1)]
    return stand_in


def _fairness(grids: GridsToStaff, found: Sequence[Assignment]) -> Fairness | None:
    households = dict(zip(grids.code.tolist(), grids.households.tolist(), strict=True))
    load: dict[str, int] = {}
    for row in found:
        if row.is_primary:
            load[row.worker_code] = load.get(row.worker_code, 0) + households[row.grid_code]
    if not load:
        return None
    values = np.array(list(load.values()), dtype=np.float64)
    mean = float(values.mean())
    return Fairness(
        len(values), mean, int(values.min()), int(values.max()), float(values.std() / mean) if mean else 0.0
    )
