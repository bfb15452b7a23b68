"""Put workers on the governance grids of a division."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import NotFoundError
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.progress import SILENT, Progress
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.workforce.assignment import AssignmentPlan, Fairness, GridsToStaff, Roster, Unassigned, assign_workers
from gridsvc.workforce.roster import BEIJING_2022_ROLE_OF_KIND, ROLE_OF_KIND

NETWORK = "social"


@dataclass(frozen=True, slots=True)
class AssignResult:
    """What an assignment came to.

    ``unassigned`` lists grids without a responsible full-time worker, ``lacking`` those without a leader or part-time
    worker, both with the reason. ``mean_distance_m`` is from the homes of the responsible workers to their grids, None
    when there are none. ``ended``, ``inserted`` and ``unchanged`` count stored assignments.
    """

    grids: int
    full_time_assigned: int
    part_time_assigned: int
    leaders_assigned: int
    deputies_assigned: int
    unassigned: tuple[Unassigned, ...]
    lacking: tuple[Unassigned, ...]
    mean_distance_m: float | None
    fairness: Fairness | None
    ended: int
    inserted: int
    unchanged: int
    seconds: float


def assign(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    actor: str,
    lane_workers: bool = False,
    progress: Progress = SILENT,
) -> AssignResult:
    """Assign the workers of a division to its governance grids and put that in force at ``at``; the caller commits.

    A second call on the same grids and workers changes nothing. Workers who already hold grids outside ``code`` keep them,
    and those count towards what they can hold.

    Parameters
    ----------
    code
        Division whose grids get workers: a community, street, district or city.
    actor
        Who asked for it, for the audit log.
    lane_workers
        Count lane chiefs, lane stewards and city assistants as full-time, as the Beijing opinion of 2022 does.

    Raises
    ------
    NotFoundError
        When the division has no governance grids at ``at``.
    """
    began = time.perf_counter()
    progress.start("assign workers", 3)
    grids = uow.grids.list(NETWORK, prefix=code, at=at)
    if grids.empty:
        raise NotFoundError(
            f"{code} has no governance grids at {at.isoformat()}.", hint=f"Divide it first: gridsvc divide {code}."
        )
    roster = _free_roster(uow, code, at)
    epsg = zone_of(grids.geometry.to_numpy())
    progress.advance()
    roles = BEIJING_2022_ROLE_OF_KIND if lane_workers else ROLE_OF_KIND
    plan = assign_workers(grids_to_staff(grids, epsg), roster_of(roster, epsg), role_of_kind=roles)
    progress.advance()
    ended, inserted, unchanged = uow.assignments.put_in_force(_frame(plan), network=NETWORK, prefix=code, at=at)
    result = _result(plan, len(grids), (ended, inserted, unchanged), time.perf_counter() - began)
    if ended or inserted:
        counts = {"grids": result.grids, "ended": ended, "inserted": inserted, "unassigned": len(result.unassigned)}
        uow.audit.append(actor, "assign", "division", code, details=counts, at=at)
    progress.advance()
    return result


def _free_roster(uow: UnitOfWork, code: str, at: datetime) -> pd.DataFrame:
    """Return the workers of a division with the grids they can still hold; those who are full elsewhere are left out."""
    workers = uow.workers.list(prefix=code, at=at)
    held = uow.assignments.list(NETWORK, prefix=code[:6], at=at)
    elsewhere = held[~held["grid_code"].str.startswith(code) & (held["role"] != "deputy")]
    taken = workers["worker_code"].map(elsewhere.groupby("worker_code").size()).fillna(0).astype("int64")
    workers = workers.assign(capacity_grids=workers["capacity_grids"] - taken)
    return workers[workers["capacity_grids"] > 0]


def _points(geometries: np.ndarray, epsg: int) -> np.ndarray:
    """Return metric x, y of points; NaN where there is none."""
    xy = np.full((len(geometries), 2), np.nan)
    known = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    if known.any():
        xy[known] = shapely.get_coordinates(to_metric(geometries[known], epsg))
    return xy


def grids_to_staff(grids: pd.DataFrame, epsg: int) -> GridsToStaff:
    """Return stored grids as the workforce room takes them, in the metric CRS ``epsg``."""
    return GridsToStaff(
        code=grids["code"].to_numpy(dtype=str),
        xy=_points(shapely.point_on_surface(grids["geometry"].to_numpy()), epsg),
        households=grids["households"].to_numpy(dtype=np.int64),
        community_code=grids["community_code"].to_numpy(dtype=str),
    )


def roster_of(workers: pd.DataFrame, epsg: int) -> Roster:
    """Return stored workers as the workforce room takes them, in the metric CRS ``epsg``."""
    return Roster(
        code=workers["worker_code"].to_numpy(dtype=str),
        xy=_points(workers["geometry"].to_numpy(), epsg),
        kind_code=workers["kind_code"].to_numpy(dtype=str),
        division_code=workers["division_code"].to_numpy(dtype=str),
        capacity_grids=workers["capacity_grids"].to_numpy(dtype=np.int64),
    )


def _frame(plan: AssignmentPlan) -> pd.DataFrame:
    columns = ("worker_code", "grid_code", "role", "is_primary", "deputy_of")
    rows = [[getattr(row, column) for column in columns] for row in plan.assignments]
    return pd.DataFrame(rows, columns=list(columns)).assign(network=NETWORK)


def _result(plan: AssignmentPlan, grids: int, stored: tuple[int, int, int], seconds: float) -> AssignResult:
    roles = [row.role for row in plan.assignments]
    distances = [row.distance_m for row in plan.assignments if row.is_primary]
    return AssignResult(
        grids=grids,
        full_time_assigned=roles.count("full_time"),
        part_time_assigned=roles.count("part_time"),
        leaders_assigned=roles.count("leader"),
        deputies_assigned=roles.count("deputy"),
        unassigned=tuple(row for row in plan.unassigned if row.role == "full_time"),
        lacking=tuple(row for row in plan.unassigned if row.role != "full_time"),
        mean_distance_m=float(np.mean(distances)) if distances else None,
        fairness=plan.fairness,
        ended=stored[0],
        inserted=stored[1],
        unchanged=stored[2],
        seconds=seconds,
    )
