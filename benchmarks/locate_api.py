"""GET /api/v1/locate of a real server at 500 requests a second: the latencies, and who used the processors.

A made-up city (10,404 unit, 2,601 governance and 1,326 security grids; 41,616 unit grids with --side 204), a worker on every governance grid, the embedded database, gunicorn with
two workers, as `gridsvc serve` starts it. The load is open: requests are sent when they are due, whether or not earlier ones
have been answered, and a latency counts from when the request was due. The generator is pure Python in a process of its own on
the same machine; its share of the processors is stated, since on a machine of 2 cores it takes them away from the server.
Prints the medians of five rounds.

    python benchmarks/locate_api.py [--rate 500] [--seconds 10] [--side 100] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._measuring import machine_noise
from benchmarks._serving import served
from gridsvc.bootstrap import open_app
from gridsvc.settings import read_settings
from tests.factories.coverage import DISTRICT, coverage_content

RUNS = 5
CONNECTIONS = 64
AT = datetime(2026, 1, 1, tzinfo=UTC)
WANTED_P99_MS = 10.0
SLOW_MS = 500.0


def put_city(var_dir: Path, side: int) -> tuple[float, float, float, float]:
    """Store a city of side x side unit grids with workers on duty; return its bounds."""
    content = coverage_content(side, side)
    kinds = {"urban": "unit", "social": "governance", "security": "security"}
    with open_app(replace(read_settings({}), var_dir=var_dir)) as app, app.unit_of_work() as uow:
        divisions = content.divisions.assign(
            parent_code=[code[: {6: 0, 9: 6, 12: 9}[len(code)]] or None for code in content.divisions["code"]]
        )
        uow.divisions.put_frame(_multi(divisions), AT)
        for network, kind in kinds.items():
            grids = content.grids[network].assign(network=network, kind=kind)
            redraw = uow.redraws.open_draft(network, DISTRICT, "automatic", "planner", AT)
            uow.redraws.put_grids(redraw, grids)
            uow.redraws.approve(redraw, "manager", AT, AT, {})
        codes = content.grids["social"]["code"].tolist()
        places = shapely.centroid(content.grids["social"].geometry.to_numpy())
        workers = {"worker_code": [f"W{n:06d}" for n in range(len(codes))], "name": "网格员", "kind_code": "W02"}
        workers |= {"division_code": [code[:12] for code in codes], "phone": None, "capacity_grids": 1}
        uow.workers.put_frame(gpd.GeoDataFrame(workers, geometry=places, crs=4490), AT)
        assigned = pd.DataFrame({"worker_code": workers["worker_code"], "grid_code": codes, "role": "full_time"})
        assigned = assigned.assign(is_primary=True, deputy_of=None)
        uow.assignments.put_in_force(assigned, network="social", prefix=DISTRICT, at=AT)
        uow.commit()
        uow.connection.exec_driver_sql("ANALYZE")
        uow.commit()
    return tuple(content.divisions.total_bounds.tolist())


def _multi(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    shapes = [shape if shape.geom_type == "MultiPolygon" else shapely.MultiPolygon([shape]) for shape in frame.geometry]
    return frame.set_geometry(gpd.GeoSeries(shapes, crs=frame.crs, index=frame.index))


@dataclass
class Round:
    """One round of load: latencies in ms, answers that were not 200, CPU-seconds of the generator."""

    latencies: list[float]
    refused: int
    cpu_s: float


async def _connection(address: tuple[str, int], due: list[tuple[float, bytes]], began: float, taken: Round) -> None:
    reader, writer = await asyncio.open_connection(*address)
    for at, request in due:
        wait = began + at - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        taken.latencies.append((time.perf_counter() - began - at) * 1000)
        taken.refused += not head.startswith(b"HTTP/1.1 200")
    writer.close()


async def _load(address: tuple[str, int], paths: list[str], rate: float) -> Round:
    taken = Round([], 0, 0.0)
    requests = [f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode() for path in paths]
    due = [(n / rate, request) for n, request in enumerate(requests)]
    began = time.perf_counter() + 0.2
    await asyncio.gather(*[_connection(address, due[n::CONNECTIONS], began, taken) for n in range(CONNECTIONS)])
    return taken


def load(
    address: tuple[str, int], box: tuple[float, float, float, float], rate: float, seconds: float, seed: int
) -> Round:
    """Return one round of ``rate`` requests a second for ``seconds`` at places drawn from a box; half of them state an accuracy."""
    random = np.random.default_rng(seed)
    count = int(rate * seconds)
    lon, lat = random.uniform(box[0], box[2], count), random.uniform(box[1], box[3], count)
    accuracy = random.lognormal(2.5, 0.7, count)
    paths = [
        f"/api/v1/locate?lon={x:.7f}&lat={y:.7f}&datum=cgcs2000" + (f"&accuracy_m={a:.1f}" if n % 2 else "")
        for n, (x, y, a) in enumerate(zip(lon, lat, accuracy, strict=True))
    ]
    began = time.process_time()
    taken = asyncio.run(_load(address, paths, rate))
    taken.cpu_s = time.process_time() - began
    return taken


def cpu_of(pids: list[int]) -> float:
    """Return the CPU-seconds processes of this machine have used; one that ended (a vacuum of the database) counts as none."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def descendants(pid: int) -> list[int]:
    """Return a process and all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(below for child in children for below in descendants(int(child)))]


def database_processes(var_dir: Path) -> list[int]:
    """Return the processes of the embedded database of a folder."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if str(var_dir).encode() in line and b"postgres" in line:
                found += descendants(int(process.name))
    return sorted(set(found))


def main() -> None:
    """Serve, load, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a round")
    parser.add_argument("--side", type=int, default=100, help="unit grids along a side; a multiple of 4")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gridsvc-bench-") as folder:
        var_dir = Path(folder)
        var_dir.chmod(0o755)
        box = put_city(var_dir, options.side)
        with served(var_dir) as (address, pid):
            result = measure(address, box, options.rate, options.seconds, pid, var_dir)
    print(json.dumps(result, indent=None if options.json else 2))
    if not options.json:
        word = "PASS " if result["p99_ms"] < WANTED_P99_MS else "SHORT"
        print(f"{word}  p99 at {options.rate:.0f}/s: {result['p99_ms']} ms, wanted less than {WANTED_P99_MS:.0f}")


def measure(
    address: tuple[str, int],
    box: tuple[float, float, float, float],
    rate: float,
    seconds: float,
    pid: int,
    var_dir: Path,
) -> dict[str, object]:
    """Return the figures of five rounds, after one for warming."""
    # workers load what is compiled when they begin, on a new machine they compile it
    while max(load(address, box, rate / 5, 3.0, 0).latencies) > SLOW_MS:
        pass
    server, database = descendants(pid), database_processes(var_dir)
    rounds = []
    for seed in range(1, RUNS + 1):
        used = cpu_of(server), cpu_of(database)
        taken = load(address, box, rate, seconds, seed)
        spent = cpu_of(server) - used[0], cpu_of(database) - used[1]
        rounds.append((taken, *spent))
    p50 = [float(np.percentile(taken.latencies, 50)) for taken, _, _ in rounds]
    p99 = [float(np.percentile(taken.latencies, 99)) for taken, _, _ in rounds]
    count = int(rate * seconds)

    def per_request(values: list[float]) -> float:
        return round(statistics.median(values) / count * 1000, 3)

    return {
        "machine": machine_noise(),
        "rate": rate,
        "requests_a_round": count,
        "not_200": sum(taken.refused for taken, _, _ in rounds),
        "p50_ms": round(statistics.median(p50), 2),
        "p99_ms": round(statistics.median(p99), 2),
        "p99_ms_of_rounds": [round(value, 2) for value in sorted(p99)],
        "cpu_ms_a_request": {
            "server": per_request([spent for _, spent, _ in rounds]),
            "database": per_request([spent for _, _, spent in rounds]),
            "generator": per_request([taken.cpu_s for taken, _, _ in rounds]),
        },
        "generator_share_of_2_cores": round(statistics.median([t.cpu_s for t, _, _ in rounds]) / seconds / 2, 3),
        "peak_mib_generator": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main()
