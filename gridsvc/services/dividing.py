"""Divide the communities of a division into unit grids and governance grids, and put them in force."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import CommunityDivision, DivisionRules
from gridsvc.errors import CodesExhaustedError, ConflictError, GridsvcError
from gridsvc.progress import SILENT, Progress
from gridsvc.services.community_inputs import Area, read_area
from gridsvc.services.division_borders import BorderFault, community_borders, sentence, suggested_align_m
from gridsvc.services.division_run import Crew, Divided
from gridsvc.services.division_wishes import DEDICATED, Wishes, former_divisions, with_wishes
from gridsvc.services.grid_checks import CommunityCheck, check_communities
from gridsvc.services.grid_frames import grid_codes, grid_frame, grid_name, is_in_force
from gridsvc.services.joined_grids import JoinedGrids, together
from gridsvc.services.redraw_effects import INSTANT, enact
from gridsvc.store.unit_of_work import UnitOfWork

KINDS = ("unit", "governance")
NETWORK_OF_KIND = {"unit": "urban", "governance": "social"}
_COMMUNITY_DIGITS = 12
# vertices that neighbours brought may lie a millimetre off a grid's border as divided, all along it
_VERTEX_OFF_M = 0.001
# borders that are named of one community; more are seldom of use
_NOTES = 3


@dataclass(frozen=True, slots=True)
class DivideResult:
    """What a division came to.

    ``gap_area_m2``, ``overlap_area_m2`` and ``buildings_cut`` are measured on the grids as stored. ``failed`` lists communities that
    were not divided, with the reason; their former grids stay in force. ``redraws`` holds the ids of the redraws opened, by kind;
    none when nothing changed. ``stages`` says where the seconds went. ``retired``, ``inserted`` and ``unchanged`` count stored grids of all kinds.
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
    border_m: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
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
    wishes: Wishes | None = None,
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
        Leave the redraw as a draft instead of putting them in force. It follows the newest grids, also those in force after ``at``.
    wishes
        Dedicated areas, seeds, locked grids, events to be spread, an exact search. With locked grids, or ``rules.stability``
        above 0, a community that has grids keeps those that are locked, or still serve.

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
    watch = _Stopwatch(progress)
    watch.start("read communities")
    wishes = wishes or Wishes()
    # a draft waits for its approval, which comes after every redraw approved by now, whether in force already or later
    held_at = None if draft else at
    before = _Before.read(uow, code, held_at, kinds)
    area = with_wishes(uow, read_area(uow, code, at), wishes, at)
    area, former = former_divisions(uow, area, wishes, rules, held_at)
    made = KINDS if before.needs_units else ("governance",)
    with Crew(processes, len(area.inputs)) as crew:
        divided = crew.divide(area.inputs, rules, seed, watch, kinds=made, former=former, exact_s=wishes.exact_s)
    watch.start("join communities")
    borders = community_borders(area, before.around)
    divided, grids, codes, checks = _joined(uow, area, divided, before, borders, has_units=before.needs_units)
    watch.start("store grids")
    stored = _store(uow, code, at, actor, kinds, draft, before, grids, codes, area, checks)
    failed = [(d.code, d.reason) for d in divided if d.division is None]
    failed += [(undrawn, f"Community {undrawn} has no boundary.") for undrawn in area.undrawn]
    done = [d.division for d in divided if d.division is not None]
    households = np.concatenate([d.governance_households[~d.is_dedicated] for d in done]) if done else np.zeros(0)
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
        border_m=border,
        stages=watch.stages(),
        notes=_notes(done, borders),
        **stored,
    )


def _notes(done: list[CommunityDivision], borders: dict[str, list[BorderFault]]) -> dict[str, tuple[str, ...]]:
    """Return what is to be known of the communities divided: what their grids cannot keep to, and borders that do not meet."""
    notes = {d.code: (*d.notes, *(f"{sentence(fault)}." for fault in borders.get(d.code, ())[:_NOTES])) for d in done}
    return {code: of_community for code, of_community in notes.items() if of_community}


class _Stopwatch:
    """Passes progress on and measures the seconds of each step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began: list[tuple[str, float]] = []

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a step; the one before it is done."""
        self._began.append((label, time.perf_counter()))
        self._progress.start(label, total)

    def advance(self, units: int = 1) -> None:
        """Report progress of the present step."""
        self._progress.advance(units)

    def stages(self) -> dict[str, float]:
        """Return the seconds of each step up to now."""
        ends = [*(at for _, at in self._began[1:]), time.perf_counter()]
        return {label: round(end - at, 3) for (label, at), end in zip(self._began, ends, strict=True)}


def _known(kinds: Sequence[str]) -> tuple[str, ...]:
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise GridsvcError(f"{unknown or kinds} is no kind of grid made here.", hint=f"Use {' or '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in kinds)


@dataclass(frozen=True, slots=True)
class _Before:
    """What is in force before (at no instant given: the newest), and the number of the newest approval it stems from.

    ``held`` has the grids of the area by network, ``around`` those beside it, of the finest kind that is to be made: unit grids
    when ``needs_units``, because they are asked for, or in force and to be compared with new governance grids.
    """

    held: dict[str, gpd.GeoDataFrame]
    around: gpd.GeoDataFrame
    needs_units: bool
    based_on: int

    @classmethod
    def read(cls, uow: UnitOfWork, code: str, at: datetime | None, kinds: tuple[str, ...]) -> _Before:
        based_on = uow.redraws.last_approval()
        held = {network: uow.grids.list(network, prefix=code, at=at) for network in NETWORK_OF_KIND.values()}
        needs_units = "unit" in kinds or not held["urban"].empty
        return cls(held, uow.grids.around("urban" if needs_units else "social", code, at), needs_units, based_on)

    def beside(self, done: set[str]) -> gpd.GeoDataFrame:
        """Return the grids that stay while those of the communities ``done`` are made anew."""
        own = self.held["urban" if self.needs_units else "social"]
        staying = own[~own["community_code"].isin(done)]
        return (
            pd.concat([staying[self.around.columns], self.around], ignore_index=True) if len(staying) else self.around
        )


def _joined(
    uow: UnitOfWork,
    area: Area,
    divided: list[Divided],
    before: _Before,
    borders: dict[str, list[BorderFault]],
    *,
    has_units: bool,
) -> tuple[list[Divided], JoinedGrids, dict[str, NDArray[np.object_]], list[CommunityCheck]]:
    """Return the grids of all communities that fit together, with codes by kind and checks; what does not is made a failure.

    A community left away may leave vertices on its neighbours' borders, so the rest is joined anew.
    """
    while True:
        done = [d.division for d in divided if d.division is not None]
        grids = JoinedGrids.of(area, done, before.beside({d.code for d in done}), has_units=has_units)
        checks = check_communities(area, grids)
        faults = _faults(grids, checks, borders)
        codes = {} if faults else _codes(uow, grids, before.held, faults)
        if not faults:
            return divided, grids, codes, checks
        divided = [Divided(d.code, None, faults[d.code]) if d.code in faults else d for d in divided]


def _faults(grids: JoinedGrids, checks: list[CommunityCheck], borders: dict[str, list[BorderFault]]) -> dict[str, str]:
    """Return why communities cannot be stored, by code."""
    faults = {
        check.code: f"Community {check.code}: {check.gap_area_m2:.6f} m2 of gaps, {check.overlap_area_m2:.6f} m2 of overlaps, "
        f"{check.outside_area_m2:.6f} m2 outside, {check.buildings_cut} buildings cut. "
        "Look at its boundary, and at those of its neighbours."
        for check in checks
        if check.gap_area_m2 or check.overlap_area_m2 or check.outside_area_m2 or check.buildings_cut
    }
    return faults or {code: _clash(code, borders.get(code, [])) for code in grids.clashing()}


def _clash(code: str, borders: list[BorderFault]) -> str:
    """Return why the grids of a community do not fit those beside them: where boundaries differ, and how to mend them."""
    if not borders:
        return (
            f"Community {code}: its grids do not share their vertices with those of other communities. "
            "Divide the communities around it together with it."
        )
    within_m = suggested_align_m(borders)
    mend = (
        f"Import the boundaries of its district again with gridsvc import divisions FILE --align {within_m:g}."
        if within_m
        else "Mend the boundaries and import them again."
    )
    named = "; ".join(sentence(fault) for fault in borders[:_NOTES])
    return f"Community {code} does not meet the communities beside it: {named}. {mend}"


def _store(
    uow: UnitOfWork,
    code: str,
    at: datetime,
    actor: str,
    kinds: tuple[str, ...],
    draft: bool,
    before: _Before,
    grids: JoinedGrids,
    codes: dict[str, NDArray[np.object_]],
    area: Area,
    checks: list[CommunityCheck],
) -> dict:
    """Open one redraw of all kinds when something changed and put it in force; return the counts for the result."""
    frames = _frames(grids, codes, area, before.held)
    divided = set(grids.governance_community)
    held = {network: frame[frame["community_code"].isin(divided)] for network, frame in before.held.items()}
    changed = {kind: not is_in_force(frames[kind], held[NETWORK_OF_KIND[kind]]) for kind in KINDS}
    if "governance" not in kinds and changed["governance"] and _has_same_places(frames["governance"], held["social"]):
        kinds = KINDS  # governance grids made without unit grids get the vertices of these, and stay what they are
    _refuse_misfit(kinds, changed, held)
    made = {kind: frames[kind] for kind in kinds}
    if not any(changed[kind] for kind in kinds):
        return {"unchanged": sum(len(frame) for frame in made.values()), "redraws": {}}
    networks = [NETWORK_OF_KIND[kind] for kind in kinds]
    redraw = str(
        uow.redraws.open_draft(
            networks, code, "automatic", actor, at, f"gridsvc divide {code}", based_on=before.based_on
        )
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
    grids: JoinedGrids, codes: dict[str, NDArray[np.object_]], area: Area, held: dict[str, gpd.GeoDataFrame]
) -> dict[str, gpd.GeoDataFrame]:
    """Return, by kind, the new grids as the store takes them, ordered by code."""
    parts = {
        "unit": (grids.units, grids.unit_metric, grids.unit_community, grids.unit_counts),
        "governance": (
            grids.governance, grids.governance_metric, grids.governance_community, grids.governance_counts,
        ),
    }  # fmt: skip
    frames = {}
    for kind, (shapes, metric, community, counts) in parts.items():
        network = NETWORK_OF_KIND[kind]
        frames[kind] = grid_frame(
            {
                "network": network,
                "kind": np.where(grids.is_dedicated, DEDICATED, kind) if kind == "governance" else kind,
                "code": codes[kind],
                "name": [grid_name(area.names[c], g) for c, g in zip(community, codes[kind], strict=True)],
                "community_code": community,
                "parent_code": codes["governance"][grids.unit_grid] if kind == "unit" else None,
                "households": counts[:, 0],
                "population": counts[:, 1],
                "area_m2": _held_areas(metric, codes[kind], held[network]),
                "responsible": None,
            },
            _held_shapes(shapes, codes[kind], held[network]),
        )
    return frames


def _held_shapes(
    shapes: NDArray[np.object_], codes: NDArray[np.object_], held: gpd.GeoDataFrame
) -> NDArray[np.object_]:
    """Return the shapes as they are held where they are the same but for where their rings begin.

    A grid that got a vertex from a neighbour begins where it did; made anew with that vertex it may begin elsewhere.
    """
    at = pd.Series(np.arange(len(held)), index=held["code"].to_numpy()).reindex(codes).to_numpy(float)
    known = np.flatnonzero(np.isfinite(at))
    if not len(known):
        return shapes
    former = held.geometry.to_numpy()[at[known].astype(np.int64)]
    parts, index = shapely.get_parts(shapes[known], return_index=True)
    multi = shapely.multipolygons(parts, indices=index)
    same = shapely.equals_exact(shapely.normalize(multi), shapely.normalize(former), tolerance=0.0)
    answer = shapes.copy()
    answer[known[same]] = former[same]
    return answer


def _held_areas(metric: NDArray[np.object_], codes: NDArray[np.object_], held: gpd.GeoDataFrame) -> NDArray[np.float64]:
    """Return the areas in m2, those on record where they differ by no more than vertices on the border bring."""
    areas_m2 = np.round(shapely.area(metric), 2)
    on_record = pd.Series(held["area_m2"].to_numpy(), index=held["code"].to_numpy()).reindex(codes).to_numpy(float)
    return np.where(np.abs(on_record - areas_m2) <= _VERTEX_OFF_M * shapely.length(metric), on_record, areas_m2)


def _codes(
    uow: UnitOfWork, grids: JoinedGrids, held: dict[str, gpd.GeoDataFrame], faults: dict[str, str]
) -> dict[str, NDArray[np.object_]]:
    """Return the codes of all grids by kind; communities that have no serials left are added to ``faults``."""
    codes = {}
    parts = {
        "unit": (grids.units, grids.unit_metric, grids.unit_community),
        "governance": (grids.governance, grids.governance_metric, grids.governance_community),
    }
    for kind, (shapes, metric, community) in parts.items():
        network = NETWORK_OF_KIND[kind]
        of_kind = np.empty(len(shapes), dtype=object)
        areas = shapely.area(metric)
        used = _by_community(uow.grids.used_codes(network, np.unique(community.astype(str))))
        in_force = held[network]
        rows, nothing = in_force.groupby("community_code", sort=False).indices, in_force.iloc[:0]
        for code, here in together(community).items():
            try:
                held_here = in_force.iloc[rows[code]] if code in rows else nothing
                of_kind[here] = grid_codes(code, shapes[here], areas[here], held_here, used.get(code, set()))
            except CodesExhaustedError as error:
                faults[code] = f"Community {code}, {kind} grids: {error}"
        codes[kind] = of_kind
    return codes


def _by_community(codes: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for code in codes:
        found.setdefault(code[:_COMMUNITY_DIGITS], set()).add(code)
    return found


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


def _has_same_places(frame: gpd.GeoDataFrame, held: gpd.GeoDataFrame) -> bool:
    """Answer whether two sets of grids have the same codes, which only grids in the same place keep, and the same households."""
    names = ["code", "households", "population"]
    return len(frame) == len(held) and bool((frame[names].to_numpy() == held[names].to_numpy()).all())


def _check_summary(checks: list[CommunityCheck], frame: gpd.GeoDataFrame) -> dict:
    return {
        "grids": len(frame),
        "gap_area_m2": sum(c.gap_area_m2 for c in checks),
        "overlap_area_m2": sum(c.overlap_area_m2 for c in checks),
        "buildings_cut": sum(c.buildings_cut for c in checks),
        "coverage_valid": True,
    }
