"""Divide the communities of a division into unit grids and governance grids, and put them in force."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import DivisionRules
from gridsvc.division.dividing import dissolved
from gridsvc.errors import ConflictError, GridsvcError, PartitionError
from gridsvc.geo.partitions import is_exact, node_shared_vertices
from gridsvc.geo.projections import to_metric, to_storage
from gridsvc.progress import SILENT, Progress
from gridsvc.services.community_inputs import Area, read_area
from gridsvc.services.division_run import CheckTask, CommunityCheck, Crew, Divided
from gridsvc.services.grid_frames import grid_codes, grid_frame, grid_name, is_in_force
from gridsvc.services.redraw_effects import INSTANT, enact
from gridsvc.store.unit_of_work import UnitOfWork

KINDS = ("unit", "governance")
NETWORK_OF_KIND = {"unit": "urban", "governance": "social"}
_DISTRICT_DIGITS = 6


@dataclass(frozen=True, slots=True)
class DivideResult:
    """What a division came to.

    ``gap_area_m2``, ``overlap_area_m2`` and ``buildings_cut`` are measured on the grids as stored. ``failed`` lists communities that
    were not divided, with the reason; their former grids stay in force. ``redraws`` holds the ids of the redraws opened, by kind;
    none when nothing changed. ``retired``, ``inserted`` and ``unchanged`` count stored grids of all kinds.
    """

    communities: int
    unit_grids: int
    governance_grids: int
    gap_area_m2: float
    overlap_area_m2: float
    buildings_cut: int
    failed: list[tuple[str, str]]
    seconds: float
    in_household_band: int = 0
    border_on_lines: float | None = None
    retired: int = 0
    inserted: int = 0
    unchanged: int = 0
    redraws: dict[str, str] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def divide(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    actor: str,
    kinds: Sequence[str] = KINDS,
    processes: int = 2,
    draft: bool = False,
    rules: DivisionRules | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> DivideResult:
    """Divide every community under ``code`` and put the grids in force at ``at``; the caller commits.

    Unit grids (network ``urban``) nest in governance grids (network ``social``) nest in communities; neighbours share identical
    vertices, across community borders too. A second run on the same input changes nothing and opens no redraw.

    Parameters
    ----------
    code
        City, district, street or community.
    kinds
        Which kinds to put in force; one alone only where the other fits what is in force.
    processes
        Communities divided side by side.
    draft
        Leave the redraw as a draft instead of putting them in force.

    Raises
    ------
    NotFoundError
        No community under ``code``.
    PartitionError
        The grids as stored would not be an exact partition; nothing is put in force.
    ConflictError
        Later grids are already in force, or one kind alone would not fit the other.
    """
    began = time.perf_counter()
    kinds = _known(kinds)
    rules = rules or DivisionRules()
    progress.start("read communities")
    area = read_area(uow, code, at)
    with Crew(processes, len(area.inputs)) as crew:
        divided = crew.divide(area.inputs, rules, seed, progress)
        progress.start("join communities")
        grids = _Grids.of(uow, code, at, area, divided)
        checks = crew.check(grids.check_tasks(area), progress)
    _refuse_inexact(checks, grids)
    progress.start("store grids")
    stored = _store(uow, code, at, actor, kinds, draft, grids, area, checks)
    failed = [(d.code, d.reason) for d in divided if d.division is None]
    failed += [(undrawn, f"Community {undrawn} has no boundary.") for undrawn in area.undrawn]
    done = [d.division for d in divided if d.division is not None]
    households = np.concatenate([d.governance_households for d in done]) if done else np.zeros(0)
    border = sum(d.border_m for d in done)
    return DivideResult(
        communities=len(done),
        unit_grids=len(grids.units),
        governance_grids=len(grids.governance),
        gap_area_m2=sum(c.gap_area_m2 for c in checks),
        overlap_area_m2=sum(c.overlap_area_m2 for c in checks),
        buildings_cut=sum(c.buildings_cut for c in checks),
        failed=failed,
        seconds=time.perf_counter() - began,
        in_household_band=int(((households >= rules.households_min) & (households <= rules.households_max)).sum()),
        border_on_lines=sum(d.border_on_lines_m for d in done) / border if border else None,
        notes={d.code: d.notes for d in done if d.notes},
        **stored,
    )


def _known(kinds: Sequence[str]) -> tuple[str, ...]:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise GridsvcError(f"{unknown or kinds} is no kind of grid made here.", hint=f"Use {' or '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in kinds)


@dataclass(frozen=True, slots=True)
class _Grids:
    """All new grids of the area as stored (EPSG:4490), with the neighbours' grids that gained vertices.

    ``units`` and ``governance`` are flat over the communities; ``unit_grid`` is the governance grid of each unit.
    ``neighbours`` holds, by network, grids in force beside the area, noded with it.
    """

    epsg: int
    units: NDArray[np.object_]
    unit_metric: NDArray[np.object_]
    unit_community: NDArray[np.object_]
    unit_grid: NDArray[np.int64]
    unit_counts: NDArray[np.int64]
    governance: NDArray[np.object_]
    governance_metric: NDArray[np.object_]
    governance_community: NDArray[np.object_]
    governance_counts: NDArray[np.int64]
    neighbours: dict[str, gpd.GeoDataFrame]

    @classmethod
    def of(cls, uow: UnitOfWork, code: str, at: datetime, area: Area, divided: list[Divided]) -> _Grids:
        """Return the grids of all divided communities, sharing vertices with each other and with what lies beside them."""
        done = [d.division for d in divided if d.division is not None]
        sizes = [len(d.governance_grids) for d in done]
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        if not done:
            none, no = np.empty(0, dtype=object), np.zeros(0, dtype=np.int64)
            return cls(area.epsg, none, none, none, no, no.reshape(0, 2), none, none, none, no.reshape(0, 2), {})
        unit_grid = np.concatenate([d.governance_of_unit + o for d, o in zip(done, offsets, strict=False)])
        made = np.concatenate([d.unit_grids for d in done])
        beside = _beside(uow, code, at, {d.code for d in done})
        # noding starts from positions as stored, so that a later run beside stored grids ends in the same vertices
        own = to_metric(to_storage(made, area.epsg), area.epsg)
        held = to_metric(beside["urban"].geometry.to_numpy(), area.epsg) if len(beside["urban"]) else own[:0]
        noded = node_shared_vertices(np.concatenate([own, held]))
        stored = to_storage(noded, area.epsg)
        units = stored[: len(own)]
        governance = dissolved(units, unit_grid)
        metric = to_metric(np.concatenate([units, governance]), area.epsg)
        return cls(
            epsg=area.epsg,
            units=units,
            unit_metric=metric[: len(units)],
            unit_community=np.repeat([d.code for d in done], [len(d.unit_grids) for d in done]).astype(object),
            unit_grid=unit_grid,
            unit_counts=_counts(done, "unit"),
            governance=governance,
            governance_metric=metric[len(units) :],
            governance_community=np.repeat([d.code for d in done], sizes).astype(object),
            governance_counts=_counts(done, "governance"),
            neighbours=_renewed(beside, stored[len(own) :]),
        )

    def check_tasks(self, area: Area) -> list[CheckTask]:
        """Return the checks to be made on the unit grids as stored."""
        order = pd.Series(np.arange(len(self.units))).groupby(self.unit_community).agg(list)
        return [
            CheckTask(c.code, c.boundary, self.unit_metric[order[c.code]], c.buildings)
            for c in area.inputs
            if c.code in order.index
        ]


def _counts(divisions: list, kind: str) -> NDArray[np.int64]:
    """Return households and population of all grids of a kind. Shape: (n, 2)."""
    return np.concatenate(
        [np.column_stack([getattr(d, f"{kind}_households"), getattr(d, f"{kind}_population")]) for d in divisions]
    ).astype(np.int64)


def _beside(uow: UnitOfWork, code: str, at: datetime, done: set[str]) -> dict[str, gpd.GeoDataFrame]:
    """Return the grids in force in the same district that are not being made anew, by network."""
    held = {
        network: uow.grids.list(network, prefix=code[:_DISTRICT_DIGITS], at=at) for network in NETWORK_OF_KIND.values()
    }
    return {
        network: frame[~frame["community_code"].isin(done)].reset_index(drop=True) for network, frame in held.items()
    }


def _renewed(beside: dict[str, gpd.GeoDataFrame], noded_units: NDArray[np.object_]) -> dict[str, gpd.GeoDataFrame]:
    """Return the neighbours with the vertices they gained; a governance grid is the union of its unit grids again."""
    units, governance = beside["urban"], beside["social"]
    if units.empty:
        return beside
    changed = ~shapely.equals_exact(units.geometry.to_numpy(), _multi(noded_units), tolerance=0.0)
    if not changed.any():
        return beside
    units = units.set_geometry(gpd.GeoSeries(_multi(noded_units), crs=units.crs))
    shapes = governance.geometry.to_numpy().copy()
    for index in np.flatnonzero(governance["code"].isin(units.loc[changed, "parent_code"]).to_numpy()):
        members = units.loc[units["parent_code"] == governance["code"].iloc[index]].geometry.to_numpy()
        shapes[index] = shapely.coverage_union_all(members)
    governance = governance.set_geometry(gpd.GeoSeries(_multi(shapes), crs=governance.crs))
    return {"urban": units, "social": governance}


def _multi(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    parts, index = shapely.get_parts(shapes, return_index=True)
    return shapely.multipolygons(parts, indices=index) if len(parts) else shapes


def _refuse_inexact(checks: list[CommunityCheck], grids: _Grids) -> None:
    for check in checks:
        if check.gap_area_m2 or check.overlap_area_m2 or check.outside_area_m2 or check.buildings_cut:
            raise PartitionError(
                f"Community {check.code}: {check.gap_area_m2:.6f} m2 of gaps, {check.overlap_area_m2:.6f} m2 of overlaps, "
                f"{check.outside_area_m2:.6f} m2 outside, {check.buildings_cut} buildings cut.",
                hint="Look at its boundary, and at those of its neighbours.",
                community=check.code,
            )
    for kind, made, network in (("unit", grids.units, "urban"), ("governance", grids.governance, "social")):
        beside = grids.neighbours[network].geometry.to_numpy() if grids.neighbours else made[:0]
        if not is_exact(np.concatenate([made, beside])):
            raise PartitionError(
                f"The {kind} grids do not share their vertices across community borders.",
                hint="Communities overlap or leave gaps; check them with gridsvc import divisions --dry-run.",
            )


def _store(
    uow: UnitOfWork,
    code: str,
    at: datetime,
    actor: str,
    kinds: tuple[str, ...],
    draft: bool,
    grids: _Grids,
    area: Area,
    checks: list[CommunityCheck],
) -> dict:
    """Open one redraw of all kinds when something changed and put it in force; return the counts for the result."""
    wide = code[:_DISTRICT_DIGITS]
    based_on = uow.redraws.last_approval()
    held = {network: uow.grids.list(network, prefix=wide, at=at) for network in NETWORK_OF_KIND.values()}
    frames = _frames(uow, grids, area, held)
    changed = {kind: not is_in_force(frames[kind], held[NETWORK_OF_KIND[kind]]) for kind in KINDS}
    _refuse_misfit(kinds, changed, held)
    made = {kind: frames[kind][frames[kind]["community_code"].isin(set(grids.unit_community))] for kind in kinds}
    if not any(changed[kind] for kind in kinds):
        return {"unchanged": sum(len(frame) for frame in made.values()), "redraws": {}}
    networks = [NETWORK_OF_KIND[kind] for kind in kinds]
    redraw = str(
        uow.redraws.open_draft(networks, code, "automatic", actor, at, f"gridsvc divide {code}", based_on=based_on)
    )
    drafted = pd.concat(list(made.values()), ignore_index=True)
    uow.redraws.put_grids(redraw, drafted)
    counts: dict[str, Any] = {"redraws": dict.fromkeys(kinds, redraw)}
    if draft:
        return counts
    summary = _check_summary(checks, drafted)
    now = at if uow.redraws.is_past(at) else at - INSTANT
    done, _ = enact(uow, redraw, by=actor, at=at, now=now, checks=summary, locate=False)
    uow.audit.append(actor, "divide", "redraw", redraw, {"networks": networks, "division": code, **summary}, at=at)
    return counts | {"retired": done.retired, "inserted": done.inserted, "unchanged": done.unchanged}


def _frames(
    uow: UnitOfWork, grids: _Grids, area: Area, held: dict[str, gpd.GeoDataFrame]
) -> dict[str, gpd.GeoDataFrame]:
    """Return, by kind, all grids that are to be in force in the district: the new ones and those beside them."""
    governance_codes = _codes(
        uow, "social", grids.governance, grids.governance_metric, grids.governance_community, held
    )
    unit_codes = _codes(uow, "urban", grids.units, grids.unit_metric, grids.unit_community, held)
    parts = {
        "unit": (unit_codes, grids.units, grids.unit_metric, grids.unit_community, grids.unit_counts),
        "governance": (
            governance_codes, grids.governance, grids.governance_metric, grids.governance_community, grids.governance_counts,
        ),
    }  # fmt: skip
    frames = {}
    for kind, (codes, shapes, metric, community, counts) in parts.items():
        network = NETWORK_OF_KIND[kind]
        made = grid_frame(
            {
                "network": network,
                "kind": kind,
                "code": codes,
                "name": [grid_name(area.names[c], g) for c, g in zip(community, codes, strict=True)],
                "community_code": community,
                "parent_code": governance_codes[grids.unit_grid] if kind == "unit" else None,
                "households": counts[:, 0],
                "population": counts[:, 1],
                "area_m2": np.round(shapely.area(metric), 2),
                "responsible": None,
            },
            shapes,
        )
        beside = grids.neighbours.get(network)
        if beside is not None and len(beside):
            joined = pd.concat([made, beside[made.columns]], ignore_index=True)
            made = joined.sort_values("code", kind="stable", ignore_index=True)
        frames[kind] = made
    return frames


def _codes(
    uow: UnitOfWork,
    network: str,
    shapes: NDArray[np.object_],
    metric: NDArray[np.object_],
    community: NDArray[np.object_],
    held: dict[str, gpd.GeoDataFrame],
) -> NDArray[np.object_]:
    used = uow.grids.used_codes(network, sorted(set(community)))
    used_by_community: dict[str, set[str]] = {}
    for grid_code in used:
        used_by_community.setdefault(grid_code[:12], set()).add(grid_code)
    in_force = held[network]
    areas = shapely.area(metric)
    codes = np.empty(len(shapes), dtype=object)
    for code in sorted(set(community)):
        here = community == code
        codes[here] = grid_codes(
            code,
            shapes[here],
            areas[here],
            in_force[in_force["community_code"] == code],
            used_by_community.get(code, set()),
        )
    return codes


def _refuse_misfit(kinds: tuple[str, ...], changed: dict[str, bool], held: dict[str, gpd.GeoDataFrame]) -> None:
    """Refuse one kind alone where unit grids would not nest in governance grids afterwards."""
    if len(kinds) == len(KINDS):
        return
    other = next(kind for kind in KINDS if kind not in kinds)
    nothing_held = other == "unit" and held["urban"].empty
    if changed[other] and not nothing_held:
        raise ConflictError(
            f"New {kinds[0]} grids would not fit the {other} grids in force.",
            hint="Divide both kinds: leave --kind away.",
        )


def _check_summary(checks: list[CommunityCheck], frame: gpd.GeoDataFrame) -> dict:
    return {
        "grids": len(frame),
        "gap_area_m2": sum(c.gap_area_m2 for c in checks),
        "overlap_area_m2": sum(c.overlap_area_m2 for c in checks),
        "buildings_cut": sum(c.buildings_cut for c in checks),
        "coverage_valid": True,
    }
