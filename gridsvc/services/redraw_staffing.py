"""Who answers for the governance grids of a redraw: foreseen before it is approved, done at its instant of force."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import shapely

from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.services.assigning import NETWORK, grids_to_staff, roster_of
from gridsvc.services.redraw_ground import RedrawGround
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.workforce.assignment import assign_workers
from gridsvc.workforce.inheritance import Descent, Holder, Inheritance, inherit_grids
from gridsvc.workforce.roster import ROLE_OF_KIND

_DISTRICT_DIGITS = 6
_STREET_DIGITS = 9
_COLUMNS = ("worker_code", "grid_code", "role", "is_primary", "deputy_of")


@dataclass(frozen=True, slots=True)
class Responsible:
    """A governance grid and who will answer for it: inherited from ``from_grid``, or found as in an assignment."""

    grid_code: str
    worker_code: str
    from_grid: str | None


@dataclass(frozen=True, slots=True)
class Vacant:
    """A governance grid without a responsible worker, and why."""

    grid_code: str
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """A responsible worker whose grids or households change: before and after."""

    worker_code: str
    grids_before: int
    grids_after: int
    households_before: int
    households_after: int


@dataclass(frozen=True, slots=True, eq=False)
class StaffingPlan:
    """The assignments a redraw brings. ``rows`` are to be added; nobody is taken off a code that survives."""

    rows: pd.DataFrame
    inherited: tuple[Responsible, ...]
    found: tuple[Responsible, ...]
    unstaffed: tuple[Vacant, ...]
    loads: tuple[WorkerLoad, ...]


def plan_staffing(uow: UnitOfWork, ground: RedrawGround, *, before: datetime, at: datetime) -> StaffingPlan:
    """Return who answers for the grids of a redraw that is in force from ``at``.

    Whoever is on a surviving code stays. A new grid goes to the responsible worker of its largest predecessor where the
    capacity allows; the others are staffed as `services.assigning.assign` would, from workers who can still hold grids.

    Parameters
    ----------
    before
        An instant at which the old assignments still hold.
    """
    lineage = ground.lineage.get(NETWORK)
    old, new = ground.of(NETWORK)
    held = uow.assignments.list(NETWORK, prefix=_prefix(ground), at=before)
    mine = held["grid_code"].isin(old["code"])
    # a district that has not been staffed yet is staffed as a whole, by gridsvc assign
    if lineage is None or not mine.any():
        return StaffingPlan(pd.DataFrame(columns=list(_COLUMNS)), (), (), (), ())
    workers = uow.workers.list(prefix=ground.redraw["division_code"][:_STREET_DIGITS], at=at)
    elsewhere = held[~mine & (held["role"] != "deputy")].groupby("worker_code").size()
    plan = inherit_grids(
        old["code"],
        new["code"],
        (
            Descent(*pair)
            for pair in zip(
                lineage.old_code, lineage.new_code, lineage.households.tolist(), lineage.area_m2.tolist(), strict=True
            )
        ),
        (
            Holder(*row)
            for row in held.loc[mine, ["worker_code", "grid_code", "role", "is_primary"]].itertuples(index=False)
        ),
        dict(zip(workers["worker_code"], workers["capacity_grids"].tolist(), strict=True)),
        elsewhere.to_dict(),
    )
    staying = held[mine & held["grid_code"].isin(new["code"])]
    fresh = new[~new["code"].isin(old["code"])]
    rows = pd.DataFrame(
        [(row.worker_code, row.new_code, row.role, row.is_primary, None) for row in plan.inherited],
        columns=list(_COLUMNS),
    )
    added = _found(fresh, rows, workers, pd.concat([held[~mine], staying], ignore_index=True))
    rows = pd.concat([rows, added], ignore_index=True)
    rows = pd.concat([rows, _deputies(new, fresh, rows, staying)], ignore_index=True)
    return StaffingPlan(
        rows=rows.astype({"is_primary": bool}),
        inherited=tuple(Responsible(r.new_code, r.worker_code, r.old_code) for r in plan.inherited if r.is_primary),
        found=tuple(Responsible(r.grid_code, r.worker_code, None) for r in added.itertuples() if r.is_primary),
        unstaffed=_unstaffed(fresh["code"], rows, plan),
        loads=_loads(ground, held[mine], staying, rows),
    )


def _prefix(ground: RedrawGround) -> str:
    return str(ground.redraw["division_code"])[:_DISTRICT_DIGITS]


def _found(fresh: pd.DataFrame, rows: pd.DataFrame, workers: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Return who else goes on new grids, role by role, where inheritance left the role open."""
    if fresh.empty or workers.empty:
        return pd.DataFrame(columns=list(_COLUMNS))
    epsg = zone_of(fresh.geometry.to_numpy())
    working = pd.concat([others.loc[others["role"] != "deputy", ["worker_code"]], rows[["worker_code"]]])
    taken = workers["worker_code"].map(working.groupby("worker_code").size()).fillna(0).astype("int64")
    free = workers.assign(capacity_grids=workers["capacity_grids"] - taken)
    free = free[free["capacity_grids"] > 0]
    found = []
    for role in ("full_time", "leader", "part_time"):
        lacking = fresh[~fresh["code"].isin(rows.loc[rows["role"] == role, "grid_code"])]
        kinds = {kind: of for kind, of in ROLE_OF_KIND.items() if of == role}
        able = free[free["kind_code"].isin(list(kinds))]
        if lacking.empty or able.empty:
            continue
        plan = assign_workers(grids_to_staff(lacking, epsg), roster_of(able, epsg), role_of_kind=kinds)
        found += [
            (row.worker_code, row.grid_code, role, row.is_primary, None) for row in plan.assignments if row.role == role
        ]
    return pd.DataFrame(found, columns=list(_COLUMNS))


def _deputies(new: pd.DataFrame, fresh: pd.DataFrame, rows: pd.DataFrame, staying: pd.DataFrame) -> pd.DataFrame:
    """Return for each new grid with a responsible worker the one of the nearest other grid of its community as deputy."""
    both = pd.concat(
        [rows[["worker_code", "grid_code", "is_primary"]], staying[["worker_code", "grid_code", "is_primary"]]]
    )
    primary = both[both["is_primary"].astype(bool)].set_index("grid_code")["worker_code"]
    on_grid = set(zip(both["grid_code"], both["worker_code"], strict=True))
    staffed = new[new["code"].isin(primary.index)]
    if fresh.empty or staffed.empty:
        return pd.DataFrame(columns=list(_COLUMNS))
    zone = zone_of(staffed.geometry.to_numpy())
    places = to_metric(shapely.point_on_surface(staffed.geometry.to_numpy()), zone)
    codes, community = staffed["code"].to_numpy(object), staffed["community_code"].to_numpy(object)
    holder = primary.loc[codes].to_numpy(object)
    found = []
    for index in np.flatnonzero(np.isin(codes, fresh["code"].to_numpy(object))):
        able = [
            other
            for other in np.flatnonzero((community == community[index]) & (holder != holder[index]))
            if (codes[index], holder[other]) not in on_grid
        ]
        if able:
            nearest = min(able, key=lambda other: (shapely.distance(places[index], places[other]), codes[other]))
            found.append((holder[nearest], codes[index], "deputy", False, holder[index]))
    return pd.DataFrame(found, columns=list(_COLUMNS))


def _unstaffed(fresh: Iterable[str], rows: pd.DataFrame, plan: Inheritance) -> tuple[Vacant, ...]:
    answered = set(rows.loc[rows["is_primary"].astype(bool), "grid_code"])
    why = "; nobody of the community or near by can hold another grid"
    return tuple(Vacant(code, plan.vacant.get(code, "") + why) for code in sorted(fresh) if code not in answered)


def _loads(
    ground: RedrawGround, held: pd.DataFrame, staying: pd.DataFrame, rows: pd.DataFrame
) -> tuple[WorkerLoad, ...]:
    """Return the grids and households of every responsible worker before and after, where they differ, by worker."""
    old, new = ground.of(NETWORK)
    figures: dict[str, dict[str, int]] = {}
    after = pd.concat([staying, rows], ignore_index=True)
    for when, assigned, grids in (("before", held, old), ("after", after, new)):
        households = dict(zip(grids["code"], grids["households"].tolist(), strict=True))
        responsible = assigned[assigned["is_primary"].astype(bool)]
        for worker, code in zip(responsible["worker_code"], responsible["grid_code"], strict=True):
            load = figures.setdefault(
                worker, {"grids_before": 0, "grids_after": 0, "households_before": 0, "households_after": 0}
            )
            load[f"grids_{when}"] += 1
            load[f"households_{when}"] += households.get(code, 0)
    changed: list[Any] = [WorkerLoad(worker, **load) for worker, load in sorted(figures.items())]
    return tuple(
        load
        for load in changed
        if (load.grids_before, load.households_before) != (load.grids_after, load.households_after)
    )
