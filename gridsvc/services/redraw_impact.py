"""The impact statement of a redraw: what would change, for whom, before anybody approves it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.division.lineage import KEPT, KINDS, Lineage
from gridsvc.geo.location import GridIndex
from gridsvc.geo.projections import to_metric
from gridsvc.services.circles import rules_of_run
from gridsvc.services.redraw_ground import RedrawGround, lineage_frame
from gridsvc.services.redraw_staffing import plan_staffing
from gridsvc.store.unit_of_work import UnitOfWork

GOVERNANCE = "social"
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class GridChange:
    """Households of a grid before and after; None where it is not there. ``kind`` is that of its relation, retired or new."""

    network: str
    code: str
    kind: str
    households_before: int | None
    households_after: int | None


@dataclass(frozen=True, slots=True)
class CaseMove:
    """How many open cases would go from one grid to another."""

    network: str
    from_grid: str | None
    to_grid: str | None
    cases: int


@dataclass(frozen=True, slots=True)
class NetworkImpact:
    """What changes in one network. Households and people are those whose home would be in a grid of another code."""

    network: str
    households_moved: int
    population_moved: int
    codes_kept: int
    codes_retired: tuple[str, ...]
    codes_new: tuple[str, ...]
    relations: dict[str, int]


@dataclass(frozen=True, slots=True)
class CircleImpact:
    """Share of residents who reach every required kind in time, by governance grid that changes.

    ``available`` is False, with the reason, where no run of the service circle takes in the area.
    """

    available: bool
    reason: str
    standard: str | None
    grids: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class RedrawImpact:
    """The impact statement. ``is_first`` says that there were no grids before, so that nothing changes hands."""

    at: datetime
    is_first: bool
    households: int
    networks: tuple[NetworkImpact, ...]
    grids: tuple[GridChange, ...]
    open_cases: int
    case_moves: tuple[CaseMove, ...]
    workers: tuple[dict[str, Any], ...]
    inheriting: tuple[dict[str, Any], ...]
    without_worker: tuple[dict[str, Any], ...]
    circle: CircleImpact
    lineage: tuple[dict[str, Any], ...]


def impact_of(uow: UnitOfWork, ground: RedrawGround, *, at: datetime) -> RedrawImpact:
    """Return what a redraw in force from ``at`` would change, from what is known now.

    Returns
    -------
    impact
        ``grids`` lists grids that do not stay as they are. ``without_worker`` lists new governance grids nobody would answer for, with the
        reason; ``inheriting`` those somebody takes over. ``workers`` lists the responsible workers whose load changes. Cases are those
        open now, by the rule of `services.moving_cases`.
    """
    moves, moved = _case_moves(uow, ground, at)
    staffing = plan_staffing(uow.everywhere(), ground, before=at - INSTANT, at=at)
    lineage = lineage_frame(ground.lineage)
    return RedrawImpact(
        at=at,
        is_first=ground.before.empty,
        households=int(ground.homes["households"].sum()),
        networks=tuple(_network_impact(ground, network) for network in ground.redraw["networks"]),
        grids=tuple(change for network in ground.redraw["networks"] for change in _grid_changes(ground, network)),
        open_cases=moved,
        case_moves=moves,
        workers=tuple(asdict(load) for load in staffing.loads),
        inheriting=tuple(asdict(row) for row in (*staffing.inherited, *staffing.found)),
        without_worker=tuple(asdict(row) for row in staffing.unstaffed),
        circle=_circle(uow, ground),
        lineage=tuple(lineage.to_dict("records")),
    )


def _network_impact(ground: RedrawGround, network: str) -> NetworkImpact:
    old, new = ground.of(network)
    found = ground.lineage.get(network)
    other = found.old_code != found.new_code if found is not None else np.zeros(0, dtype=bool)
    relations = dict.fromkeys(KINDS, 0)
    if found is not None:
        for _, kind in {(int(number), kind) for number, kind in zip(found.relation, found.kind, strict=True)}:
            relations[kind] += 1
    before, after = set(old["code"]), set(new["code"])
    return NetworkImpact(
        network=network,
        households_moved=int(found.households[other].sum()) if found is not None else 0,
        population_moved=int(found.population[other].sum()) if found is not None else 0,
        codes_kept=len(before & after),
        codes_retired=tuple(sorted(before - after)),
        codes_new=tuple(sorted(after - before)),
        relations=relations,
    )


def _kinds_of_codes(found: Lineage | None) -> dict[str, str]:
    if found is None:
        return {}
    return dict(zip([*found.old_code, *found.new_code], [*found.kind, *found.kind], strict=True))


def _grid_changes(ground: RedrawGround, network: str) -> list[GridChange]:
    old, new = (dict(zip(frame["code"], frame["households"].tolist(), strict=True)) for frame in ground.of(network))
    kinds = _kinds_of_codes(ground.lineage.get(network))
    return [
        GridChange(network, code, kind, old.get(code), new.get(code))
        for code in sorted(old.keys() | new.keys())
        if (kind := kinds.get(code, "new" if code in new else "retired")) != KEPT
    ]


def _case_moves(uow: UnitOfWork, ground: RedrawGround, at: datetime) -> tuple[tuple[CaseMove, ...], int]:
    """Return the moves of open cases between grids, and how many cases move in whatever network."""
    cases = uow.case_moves.open_cases(ground.redraw["community_codes"], at)
    moved = np.zeros(len(cases), dtype=bool)
    moves: list[CaseMove] = []
    if cases.empty or ground.before.empty:
        return (), 0
    beside = uow.grids.beside(str(ground.redraw["redraw_id"]), ground.redraw["networks"], at)
    lon, lat = cases.geometry.x.to_numpy(), cases.geometry.y.to_numpy()
    for network in ground.redraw["networks"]:
        # a case on the border of its community belongs to the lower code of both sides
        around = beside[(beside["network"] == network) & (beside["valid_from"] <= at)]
        around = around[around["valid_to"].isna() | (around["valid_to"] > at)]
        drawn = ground.of(network)[1]
        grids = pd.concat([drawn[["code", "geometry"]], around[["code", "geometry"]]])
        to_grid = GridIndex(grids["code"].tolist(), grids["geometry"].to_numpy()).locate(lon, lat)
        _add_nearest(to_grid, drawn, cases, uow.nearest_within_m)
        from_grid = _or_none(cases[f"{network}_grid"])
        changes = from_grid != to_grid
        moved |= changes
        pairs = pd.DataFrame({"from_grid": from_grid[changes], "to_grid": to_grid[changes]})
        for pair, count in pairs.groupby(["from_grid", "to_grid"], dropna=False).size().items():
            left, entered = _or_none(pd.Series(pair, dtype=object))
            moves.append(CaseMove(network, left, entered, int(count)))
    return tuple(moves), int(moved.sum())


def _add_nearest(
    to_grid: NDArray[np.object_], drawn: gpd.GeoDataFrame, cases: gpd.GeoDataFrame, within_m: float
) -> None:
    """Give cases that no grid holds the nearest one drawn in their community, where it is near enough."""
    outside = np.flatnonzero(to_grid == None)  # noqa: E711 - elementwise
    if not len(outside) or within_m <= 0 or drawn.empty:
        return
    numbers = {code: number for number, code in enumerate(sorted(set(cases["community_code"])))}
    group_of = np.array([numbers.get(code, -2) for code in drawn["community_code"]], dtype=np.int32)
    groups = np.array([numbers[code] for code in cases["community_code"].iloc[outside]], dtype=np.int32)
    index = GridIndex(drawn["code"].tolist(), drawn["geometry"].to_numpy())
    # the index has its grids in the order of their codes
    order = np.argsort(drawn["code"].to_numpy(object), kind="stable")
    lon, lat = cases.geometry.x.to_numpy()[outside], cases.geometry.y.to_numpy()[outside]
    rows, _ = index.nearest(lon, lat, within_m, groups=groups, group_of=group_of[order])
    to_grid[outside] = index.codes_of(rows)


def _or_none(codes: pd.Series) -> NDArray[np.object_]:
    return np.array([code if isinstance(code, str) else None for code in codes], dtype=object)


def _circle(uow: UnitOfWork, ground: RedrawGround) -> CircleImpact:
    division = str(ground.redraw["division_code"])
    run = uow.circle_runs.latest(division, whole=True)
    if GOVERNANCE not in ground.redraw["networks"] or ground.before.empty:
        return CircleImpact(False, "No governance grids change.", None, ())
    if run is None:
        return CircleImpact(False, f"No service circle was computed for {division}.", None, ())
    rules = rules_of_run(run)
    required = [(kind.code, 60.0 * kind.minutes) for kind in rules.kinds if kind.required]
    times = uow.circle_runs.times(run["circle_run_id"], division)
    reached = {
        code: all(walk_s.get(kind, np.inf) <= limit_s for kind, limit_s in required)
        for code, walk_s in zip(times["residence_code"], times["walk_s"], strict=True)
    }
    known = ground.homes["residence_code"].isin(list(reached)).to_numpy()
    people = ground.homes["population"].to_numpy(np.int64)[known]
    complete = np.array([reached[code] for code in ground.homes["residence_code"][known]], dtype=bool)
    shares = [_shares(ground, side, known, people, complete) for side in (0, 1)]
    changed = {change.code for change in _grid_changes(ground, GOVERNANCE)}
    rows = [
        {"grid_code": code, "share_before": shares[0].get(code), "share_after": shares[1].get(code)}
        for code in sorted(changed)
    ]
    return CircleImpact(True, "", run["standard"], tuple(rows))


def _shares(
    ground: RedrawGround, side: int, known: NDArray[np.bool_], people: NDArray[np.int64], complete: NDArray[np.bool_]
) -> dict[str, float]:
    """Return by governance grid the share of residents who reach everything; grids without any are left out."""
    grids = ground.of(GOVERNANCE)[side]
    codes = grids["code"].to_numpy(object)
    home, grid = shapely.STRtree(to_metric(grids.geometry.to_numpy(), ground.epsg)).query(
        ground.points[known], predicate="intersects"
    )
    total = np.bincount(grid, weights=people[home], minlength=len(codes))
    good = np.bincount(grid, weights=people[home] * complete[home], minlength=len(codes))
    return {str(codes[i]): round(float(good[i] / total[i]), 4) for i in np.flatnonzero(total)}
