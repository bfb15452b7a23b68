"""The main job: a data set becomes a working district, step by step, each step timed and counted.

import → divide → assign → merge → hold networks against each other → locate reports → coverage map → service circle. It can be run again on the same data
without harm: what has not changed is left as it is, and the grids of a district that was redrawn since are not made anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gridsvc.bootstrap import App
from gridsvc.formats.dataset import Dataset
from gridsvc.progress import SILENT, Progress
from gridsvc.services.assigning import assign
from gridsvc.services.circles import run_circle
from gridsvc.services.crosswalks import list_crosswalks, save_crosswalk
from gridsvc.services.dividing import divide
from gridsvc.services.gazetteer import refresh_gazetteer
from gridsvc.services.importing import import_file
from gridsvc.services.locating import count_located
from gridsvc.services.mapping import write_coverage
from gridsvc.services.merging import NETWORKS, UNIFIED, merge
from gridsvc.services.network_conflicts import compare_stored, list_conflicts
from gridsvc.services.network_sources import StoredSource
from gridsvc.services.redraws import is_redrawn_after
from gridsvc.services.relocating import relocate

# the order matters: a row may refer only to what came before it
IMPORT_ORDER = (
    "divisions",
    "streets",
    "water",
    "barriers",
    "residences",
    "facilities",
    "workers",
    "grids",
    "departments",
    "duties",
    "reports",
)
ACTOR = "main job"
# the standard whose list of kinds was read in a public source; the others are run with gridsvc circle coverage --standard
CIRCLE_STANDARD = "beijing-convenience"


@dataclass(slots=True)
class Step:
    """One step of the job: its name, what it counted (in order of showing), how long it took."""

    name: str
    counts: dict[str, float | int | str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(slots=True)
class Summary:
    """What the job did: the data set's name, its steps and the files it wrote."""

    dataset: str
    districts: tuple[str, ...]
    steps: list[Step] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Return the time of all steps together."""
        return sum(step.seconds for step in self.steps)


@contextmanager
def _timed(summary: Summary, name: str) -> Iterator[dict[str, float | int | str]]:
    step = Step(name)
    began = time.perf_counter()
    yield step.counts
    step.seconds = time.perf_counter() - began
    summary.steps.append(step)


def run_main_job(
    app: App,
    dataset: Dataset,
    *,
    now: datetime,
    out_dir: Path,
    processes: int = 2,
    progress: Progress = SILENT,
    clock: Callable[[], datetime] | None = None,
) -> Summary:
    """Run the whole job on ``dataset`` and return its summary.

    Parameters
    ----------
    app
        Settings and database, schema at head.
    dataset
        A folder as ``gridsvc synth`` writes it. Its ``as_of`` is the instant from which divisions, grids and assignments hold.
    now
        The present instant, for the map's date.
    out_dir
        Where the coverage maps are written, one file per district: ``coverage-<district code>.html``.

    Raises
    ------
    ImportRefusedError
        When a file has bad rows; nothing of that file is stored, files before it stay.
    """
    as_of = dataset.as_of
    summary = Summary(dataset.info["name_zh"], tuple(dataset.info["district_codes"]))
    _import_files(app, dataset, summary, as_of, progress)
    for district in summary.districts:
        _work_district(app, district, summary, as_of, processes, progress)
        out_dir.mkdir(parents=True, exist_ok=True)
        path = out_dir / f"coverage-{district}.html"
        with _timed(summary, "map") as counts, app.unit_of_work() as uow:
            sources = [f"{s['what']}：{s['source']}（{s['licence']}）" for s in dataset.info.get("sources", ())]
            written = write_coverage(uow, district, at=max(as_of, now), out=path, sources=sources, progress=progress)
            counts.update(file=path.name, bytes=written.bytes)
        summary.files.append(str(path))
    return summary


def _import_files(app: App, dataset: Dataset, summary: Summary, as_of: datetime, progress: Progress) -> None:
    with _timed(summary, "import") as counts:
        for kind in IMPORT_ORDER:
            path = dataset.path_of(kind)
            if path is None or not dataset.rows(kind):
                counts[kind] = 0
                continue
            with app.unit_of_work() as uow:
                result = import_file(
                    uow,
                    kind,
                    path,
                    datum=dataset.info["datum"],
                    valid_from=as_of,
                    source=dataset.source_of(kind),
                    progress=progress,
                )
                uow.commit()
            counts[kind] = result.rows_read
        with app.unit_of_work() as uow:
            refresh_gazetteer(uow, at=as_of, progress=progress)
            uow.commit()


def _work_district(
    app: App, district: str, summary: Summary, as_of: datetime, processes: int, progress: Progress
) -> None:
    with app.unit_of_work() as uow:
        redrawn = is_redrawn_after(uow, district, as_of)
    if redrawn:
        # its history is people's work by now; another version of gridsvc may divide otherwise than the one that began it
        summary.steps.append(Step("divide", {"kept": "redrawn since"}))
    else:
        _make_grids(app, district, summary, as_of, processes, progress)
    with _timed(summary, "locate") as counts, app.unit_of_work() as uow:
        found = relocate(uow, district, progress=progress)
        located = count_located(uow, district)
        uow.commit()
        counts.update(
            reports=located.reports,
            newly=found.located + found.reports_moved,
            **located.located,
            unlocated=located.unlocated,
        )
    with _timed(summary, "circle") as counts, app.unit_of_work() as uow:
        circle = run_circle(uow, district, at=as_of, standard=CIRCLE_STANDARD, progress=progress)
        uow.commit()
        counts.update(
            residences=circle.residences,
            facilities=circle.facilities,
            kinds=circle.kinds,
            nodes=circle.nodes,
            edges=circle.edges,
            standard=circle.standard,
            communities=circle.communities,
            qualified_communities=circle.qualified_communities,
        )


def _make_grids(app: App, district: str, summary: Summary, as_of: datetime, processes: int, progress: Progress) -> None:
    with _timed(summary, "divide") as counts, app.unit_of_work() as uow:
        divided = divide(uow, district, at=as_of, actor=ACTOR, processes=processes, progress=progress)
        uow.commit()
        counts.update(
            communities=divided.communities,
            unit_grids=divided.unit_grids,
            governance_grids=divided.governance_grids,
            gap_area_m2=divided.gap_area_m2,
            overlap_area_m2=divided.overlap_area_m2,
            buildings_cut=divided.buildings_cut,
            failed=len(divided.failed),
        )
    with _timed(summary, "assign") as counts, app.unit_of_work() as uow:
        assigned = assign(uow, district, at=as_of, actor=ACTOR, progress=progress)
        uow.commit()
        counts.update(
            grids=assigned.grids,
            full_time=assigned.full_time_assigned,
            part_time=assigned.part_time_assigned,
            unassigned=len(assigned.unassigned),
        )
    with _timed(summary, "merge") as counts, app.unit_of_work() as uow:
        merged = merge(uow, district, at=as_of, actor=ACTOR, progress=progress)
        uow.commit()
        counts.update(unified_grids=merged.grids, parcels=merged.parcels, conflicts=merged.conflicts)
    _hold_networks_together(app, district, summary, as_of, merged.redraw is not None, progress)


def _hold_networks_together(
    app: App, district: str, summary: Summary, as_of: datetime, is_changed: bool, progress: Progress
) -> None:
    """Keep where the networks cross, and the crosswalk from the security net to the merged one; once for the same grids."""
    with _timed(summary, "networks") as counts, app.unit_of_work() as uow:
        nets = {name: StoredSource(name, district, as_of, name) for name in (*NETWORKS, UNIFIED)}
        if is_changed or not list_crosswalks(uow, district, limit=1).rows:
            compare_stored(uow, [nets[name] for name in NETWORKS], now=as_of, actor=ACTOR, progress=progress)
            save_crosswalk(uow, nets["security"], nets[UNIFIED], now=as_of, actor=ACTOR, progress=progress)
            uow.commit()
        crossing = list_conflicts(uow, district, limit=1, count=True).count or 0
        counts.update(crossing=crossing, crosswalks=len(list_crosswalks(uow, district).rows))
