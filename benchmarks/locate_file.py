"""``gridsvc locate`` on a long file: points a second, memory of all its processes, with one process and with two.

A made-up city of 42,336 grids in each of three networks and 7,056 communities is put into a database of its own; the file
holds points drawn evenly. Memory is the proportional set size of this process and all below it, without the database.

    python benchmarks/locate_file.py [--points 2000000] [--format parquet|csv] [--json]

Goal for 20,000,000 points and three networks: under 2 GiB. The answer's bytes must not depend on the processes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._measuring import machine_noise, table
from benchmarks._stored_reports import BEGIN, SIDE_COMMUNITIES, SOUTH, STEP, WEST, community_code, grid_frame
from benchmarks.divide_city import MemoryWatch
from gridsvc.bootstrap import App
from gridsvc.jobs.locating_job import run_locating
from gridsvc.services.locating_files import LocateOrder
from gridsvc.settings import read_settings
from gridsvc.store.embedded import EmbeddedPostgres
from gridsvc.store.engine import make_engine
from gridsvc.store.migrate import upgrade
from tests.factories.stored_town import frame

GOAL_MIB = 2048
NETWORKS = {"urban": "unit", "social": "governance", "security": "security"}
_PART = 1_000_000


def put_city(app: App) -> None:
    """Store the communities and the grids of three networks."""
    communities = range(SIDE_COMMUNITIES**2)
    boxes = [
        shapely.box(*np.round([x, y, x + STEP, y + STEP], 9))
        for x, y in ((WEST + k % SIDE_COMMUNITIES * STEP, SOUTH + k // SIDE_COMMUNITIES * STEP) for k in communities)
    ]
    codes = [community_code(k) for k in communities]
    with app.unit_of_work() as uow:
        uow.divisions.put_frame(frame({"code": codes, "name": codes, "level": "community", "parent_code": [code[:9] for code in codes]}, [shapely.MultiPolygon([box]) for box in boxes]), BEGIN)  # fmt: skip
        for network, kind in NETWORKS.items():
            redraw = uow.redraws.open_draft(network, "11", "imported", "benchmark", BEGIN)
            uow.redraws.put_grids(redraw, grid_frame(communities).assign(network=network, kind=kind))
            uow.redraws.approve(redraw, "benchmark", BEGIN, BEGIN, {})
        uow.commit()


def write_points(path: Path, count: int) -> None:
    """Write a file of points with a number each."""
    draw = np.random.default_rng(1)
    side = SIDE_COMMUNITIES * STEP
    writer = None
    for first in range(0, count, _PART):
        n = min(_PART, count - first)
        part = pa.table({"id": np.arange(first, first + n), "lon": np.round(draw.uniform(WEST, WEST + side, n), 7), "lat": np.round(draw.uniform(SOUTH, SOUTH + side, n), 7)})  # fmt: skip
        if writer is None:
            writer = csv.CSVWriter(path, part.schema) if path.suffix == ".csv" else pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    writer.close()


def located(app: App, order: LocateOrder, processes: int) -> dict[str, float | str]:
    """Locate the file and return wall and CPU seconds, memory and the hash of the answer."""
    before = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with MemoryWatch(None) as memory:
        run_locating(app, order, processes=processes)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(before, after, strict=True))
    with order.out.open("rb") as answer:
        digest = hashlib.file_digest(answer, "sha256").hexdigest()
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "peak_mib": memory.peak_mib["gridsvc"], "sha256": digest}


def main() -> None:
    """Fill, locate with one process and with two, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=2_000_000)
    parser.add_argument("--format", choices=("parquet", "csv"), default="parquet")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gridsvc-bench-") as made:
        Path(made).chmod(0o755)  # the embedded server may run under another account
        with EmbeddedPostgres(Path(made) / "var") as server:
            engine = make_engine(server.url())
            upgrade(engine)
            app = App(read_settings({}), engine)
            put_city(app)
            source = Path(made) / f"points.{options.format}"
            write_points(source, options.points)
            found = {
                processes: located(app, LocateOrder(source, Path(made) / f"out{processes}.{options.format}", "cgcs2000", BEGIN + timedelta(days=1)), processes)
                for processes in (1, 2)
            }  # fmt: skip
            engine.dispose()
    if len({row["sha256"] for row in found.values()}) != 1:
        raise SystemExit("one process and two do not write the same bytes")
    if options.json:
        print(json.dumps({"points": options.points, "format": options.format, "processes": found}))
        return
    print(machine_noise())
    print(f"{options.points:,} points ({options.format}), three networks and communities")
    rows = [
        [str(processes), f"{row['wall_s']}", f"{row['cpu_s']}", f"{options.points / float(row['cpu_s']) / 1e6:.2f}", f"{row['peak_mib']}", "PASS" if float(row["peak_mib"]) < GOAL_MIB else "SHORT"]
        for processes, row in found.items()
    ]  # fmt: skip
    print(table(["processes", "wall s", "CPU s", "million points per CPU-s", "peak MiB", f"goal {GOAL_MIB} MiB"], rows))


if __name__ == "__main__":
    main()
