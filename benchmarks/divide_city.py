"""Divide a whole city, from streets and buildings in the database to checked drafts: seconds by stage, memory, one community alone.

    python benchmarks/divide_city.py [--scale district|city] [--data FOLDER] [--database URL] [--code CODE] [--processes 2] [--json]

By default a made-up district (110 communities) is imported into a database of its own, which is gone afterwards; ``--scale city``
makes the whole city (7,000 communities, many minutes of making and importing), ``--data`` takes a folder that ``gridsvc synth`` wrote.
``--database`` takes a database that has everything, and leaves it as it was. Goals for 7,000 communities on two cores:
governance grids in 300 s, unit grids nested in them in 900 s, 4 GiB for all processes, one community in 1 s.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gridsvc.bootstrap import App, embedded_server, open_app
from gridsvc.formats.dataset import read_dataset
from gridsvc.jobs.division_job import run_division
from gridsvc.services.dividing import KINDS, divide
from gridsvc.services.division_runs import DivisionOrder, DivisionRunResult
from gridsvc.services.importing import import_file
from gridsvc.services.synthesising import synthesise_to_folder
from gridsvc.settings import Settings, read_settings

# only what dividing reads, in the order in which rows refer to each other
NEEDED = ("divisions", "streets", "water", "barriers", "residences")
RUNS = 5
ACTOR = "benchmark"
_SAMPLED_S = 2.0


class MemoryWatch:
    """Samples the proportional memory of this process, all below it, and the embedded server, every two seconds: reading it costs time of its own."""

    def __init__(self, server_pid: int | None) -> None:
        self._roots = {"gridsvc": Path("/proc/self").resolve().name, "database": str(server_pid or "")}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.peak_mib = {"gridsvc": 0, "database": 0, "all": 0}

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLED_S):
            children = _children()
            used = {name: sum(_pss_mib(pid) for pid in _tree(root, children)) for name, root in self._roots.items()}
            used["all"] = sum(used.values())
            self.peak_mib = {name: max(round(mib), self.peak_mib[name]) for name, mib in used.items()}


def _children() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = stat.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[1]
            found.setdefault(parent, []).append(stat.parent.name)
    return found


def _tree(root: str, children: dict[str, list[str]]) -> list[str]:
    found = [root] if root else []
    for pid in found:
        found += children.get(pid, [])
    return found


def _pss_mib(pid: str) -> float:
    with suppress(OSError):
        for line in (Path("/proc") / pid / "smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def import_data(app: App, folder: Path) -> dict[str, float]:
    """Import what a division needs from a data set and return the seconds of each kind."""
    dataset, seconds = read_dataset(folder), {}
    for kind in NEEDED:
        path = dataset.path_of(kind)
        if path is None or not dataset.rows(kind):
            continue
        began = time.perf_counter()
        with app.unit_of_work() as uow:
            import_file(
                uow, kind, path, datum=dataset.info["datum"], valid_from=dataset.as_of, source=dataset.source_of(kind)
            )
            uow.commit()
        seconds[kind] = round(time.perf_counter() - began, 1)
    return seconds


def one_by_one(app: App, code: str, at: datetime) -> list[float]:
    """Return the seconds from the database to a checked draft of one community, for five of them, after one to warm up."""
    with app.unit_of_work() as uow:
        communities = uow.divisions.list("community", code, at, with_geometry=False)["code"].tolist()
    chosen = [communities[round(i * (len(communities) - 1) / RUNS)] for i in range(RUNS + 1)]
    seconds = []
    for community in chosen:
        began = time.perf_counter()
        with app.unit_of_work() as uow:
            divide(uow, community, at=at, actor=ACTOR, draft=True, processes=1)
        seconds.append(round(time.perf_counter() - began, 3))
    return seconds[1:]


def whole(app: App, order: DivisionOrder, processes: int, server_pid: int | None) -> dict:
    """Run the job once as drafts that are taken away again, and return what was measured."""
    with MemoryWatch(server_pid) as memory:
        result = run_division(app, order, now=datetime.now(UTC), processes=processes)
    _take_away(app, result)
    return {
        "seconds": round(result.seconds, 1),
        "stage_seconds_added_up": result.stages,
        "communities": result.communities,
        "unit_grids": result.unit_grids,
        "governance_grids": result.governance_grids,
        "in_household_band": result.in_household_band,
        "failed": result.failed,
        "gap_area_m2": result.gap_area_m2,
        "overlap_area_m2": result.overlap_area_m2,
        "buildings_cut": result.buildings_cut,
        "peak_mib": memory.peak_mib,
    }


def _take_away(app: App, result: DivisionRunResult) -> None:
    """Remove the drafts and the record of a run: their codes would count as given in the next."""
    with app.unit_of_work() as uow:
        for redraws in result.redraws.values():
            for redraw_id in set(redraws.values()):
                uow.connection.exec_driver_sql("DELETE FROM redraws WHERE redraw_id = %s", (redraw_id,))
        uow.connection.exec_driver_sql("DELETE FROM division_runs WHERE division_run_id = %s", (result.run_id,))
        uow.commit()


def measured(app: App, options: argparse.Namespace) -> dict:
    """Return all measurements."""
    server = embedded_server(app.settings)
    pid = server.postmaster_pid() if server is not None else None
    with app.unit_of_work() as uow:
        divisions = uow.divisions.list(with_geometry=False)
    at = options.at or divisions["valid_from"].max().to_pydatetime()
    code = options.code or min(divisions["code"], key=lambda c: (len(c), c))
    alone = one_by_one(app, code, at)
    return {
        "code": code,
        "one_community": {"median_s": statistics.median(alone), "runs_s": alone},
        "governance_grids": whole(
            app, DivisionOrder(code, at, ACTOR, ("governance",), draft=True), options.processes, pid
        ),
        "both_kinds": whole(app, DivisionOrder(code, at, ACTOR, KINDS, draft=True), options.processes, pid),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=("street", "district", "city"), default="district")
    parser.add_argument("--data", type=Path, help="Data set folder; default a made-up one of --scale")
    parser.add_argument("--database", help="URL of a database that has the data, or embedded for that of this checkout")
    parser.add_argument("--code", help="Division to divide; default the highest there is")
    parser.add_argument("--at", type=datetime.fromisoformat, help="Instant; default when the divisions begin to hold")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    settings = read_settings()
    if options.database is not None:
        if options.database != "embedded":
            settings = replace(settings, database_url=options.database)
        print_report(run_on(settings, options), options.json)
        return
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)  # the embedded server may run under another account
        folder = options.data
        if folder is None:
            folder = Path(made) / "data"
            synthesise_to_folder(folder, scale=options.scale, seed=1, processes=options.processes)
        fresh = replace(settings, database_url="", var_dir=Path(made) / "var")
        print_report(run_on(fresh, options, folder), options.json)


def run_on(settings: Settings, options: argparse.Namespace, folder: Path | None = None) -> dict:
    """Return the measurements on a database, filled from ``folder`` first where one is given."""
    with open_app(settings) as app:
        imported = import_data(app, folder) if folder is not None else None
        return {"import_seconds": imported, **measured(app, options)}


def print_report(report: dict, as_json: bool) -> None:
    """Print the report, one JSON line or indented."""
    print(json.dumps(report, ensure_ascii=False, indent=None if as_json else 2))


if __name__ == "__main__":
    main()
