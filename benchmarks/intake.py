"""How fast reports are taken in, against what the same server can do without us.

* single: `gridsvc serve`, keep-alive clients with a token, one report a request, each committed with synchronous_commit on,
  against pgbench with as many clients inserting the same rows (receipt, report, case, event) singly; alternating, medians
  of five;
* latency of a single post when 80 % of that rate is offered, sent at fixed instants whatever the answers do;
* batches of 1,000 against psql COPY of the same rows into the same indexed tables.

Run: ``python benchmarks/intake.py [--clients 48] [--seconds 6] [--runs 5] [--workers 2] [--var DIR]``. Needs the PostgreSQL
programs (pgbench, psql). CPU-seconds of server, database and load generator are told beside: they share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from _measuring import goal, machine_noise, table

from gridsvc.bootstrap import App, open_app
from gridsvc.services import access
from gridsvc.settings import read_settings
from gridsvc.store.embedded import find_binary, libpq_url

DISTRICT, STREET, COMMUNITY = "420103", "420103001", "420103001001"
WEST, SOUTH, SIDE = 114.20, 30.55, 0.05
PARTS = {"social": ("governance", 20), "urban": ("unit", 40), "security": ("security", 10), "unified": ("unified", 20)}
START = datetime(2025, 1, 1, tzinfo=UTC)
TEXT = "路面有积水，行人和非机动车绕行，请尽快处理。"


def put_town(app: App) -> str:
    """Store a district of 2,500 grids in four networks and return the token of a field worker."""
    square = shapely.box(WEST, SOUTH, WEST + SIDE, SOUTH + SIDE)
    codes = [DISTRICT, STREET, COMMUNITY]
    divisions = gpd.GeoDataFrame(
        {
            "code": codes,
            "name": ["江汉区", "民族街道", "一社区"],
            "level": ["district", "street", "community"],
            "parent_code": [None, DISTRICT, STREET],
            "urban_rural_class": [None, None, 111],
        },
        geometry=[shapely.MultiPolygon([square])] * 3,
        crs="EPSG:4490",
    )
    with app.unit_of_work() as uow:
        if len(uow.divisions.list("district")) == 0:
            uow.divisions.put_frame(divisions, START)
            for network, (kind, side) in PARTS.items():
                redraw = uow.redraws.open_draft(network, DISTRICT, "automatic", "bench", START)
                uow.redraws.put_grids(redraw, lattice(network, kind, side))
                uow.redraws.approve(redraw, "bench", START, START, {})
            access.add_user(uow, "bench", "bench", "field", DISTRICT, actor="bench", at=datetime.now(UTC))
        token = access.issue_token(uow, "bench", actor="bench", at=datetime.now(UTC)).token
        uow.reports.ensure_months(datetime.now(UTC) - timedelta(days=40), datetime.now(UTC))
        uow.commit()
    return token


def lattice(network: str, kind: str, side: int) -> gpd.GeoDataFrame:
    """Return side x side square grids that fill the community."""
    x = np.round(WEST + SIDE * np.arange(side + 1) / side, 9)
    y = np.round(SOUTH + SIDE * np.arange(side + 1) / side, 9)
    shapes = [shapely.box(x[i], y[j], x[i + 1], y[j + 1]) for j in range(side) for i in range(side)]
    serials = np.arange(1, len(shapes) + 1)
    return gpd.GeoDataFrame(
        {
            "network": network,
            "code": [f"{COMMUNITY}{serial:03d}" for serial in serials],
            "name": [f"{serial}号" for serial in serials],
            "kind": kind,
            "community_code": COMMUNITY,
            "households": 400,
            "population": 1200,
            "area_m2": 10_000.0,
        },
        geometry=shapes,
        crs="EPSG:4490",
    )


def report(rng: random.Random) -> dict:
    """Return a report at a random place of the town, a few minutes old."""
    return {
        "report_id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "occurred_at": (datetime.now(UTC) - timedelta(minutes=5)).isoformat(),
        "lon": round(WEST + SIDE * rng.random(), 6),
        "lat": round(SOUTH + SIDE * rng.random(), 6),
        "datum": "cgcs2000",
        "accuracy_m": 8.0,
        "category_code": "E06001",
        "description": TEXT,
        "device": "phone-1",
    }


# ---------------------------------------------------------------------------------------------- load


class Client:
    """One keep-alive connection that posts one body after another."""

    def __init__(self, port: int, head: bytes, bodies: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head, self.bodies = head, bodies
        self.received, self.sent_at, self.busy = b"", 0.0, False

    def send(self, due_s: float | None = None) -> bool:
        """Post the next body; its time counts from ``due_s`` where one is given. False when there is none left."""
        body = next(self.bodies, None)
        if body is None:
            return False
        self.sent_at, self.busy = time.perf_counter() if due_s is None else due_s, True
        self.socket.sendall(self.head % len(body) + body)
        return True

    def answer(self) -> int | None:
        """Return the status when a whole answer has come, else None."""
        self.received += self.socket.recv(1 << 20)
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        length = int(re.search(rb"(?i)content-length: (\d+)", self.received[:end])[1])
        if len(self.received) < end + 4 + length:
            return None
        status = int(self.received[9:12])
        self.body, self.received, self.busy = self.received[end + 4 :], b"", False
        return status


def load(order: dict) -> dict:
    """Post for a while and return what happened: seconds of each answer, statuses, CPU-seconds."""
    rng = random.Random(order["seed"])
    batch = order["batch"]
    path = "/api/v1/reports:batch" if batch else "/api/v1/reports"
    kind = "application/x-ndjson" if batch else "application/json"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {order['token']}\r\nContent-Type: {kind}\r\n"
        "Content-Length: %d\r\n\r\n"
    ).encode()

    def bodies() -> Iterator[bytes]:
        while True:
            rows = [json.dumps(report(rng), ensure_ascii=False).encode() for _ in range(batch or 1)]
            yield b"\n".join(rows)

    made = [next(each) for each in [bodies()] for _ in range(order["bodies"])]
    supply = iter(made)
    clients = [Client(order["port"], head, supply) for _ in range(order["clients"])]
    began_cpu, began = time.process_time(), time.perf_counter()
    took, statuses = run_clients(clients, began + order["seconds"], order["rate"])
    return {
        "took": took,
        "statuses": statuses,
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - began_cpu,
    }


def run_clients(clients: list[Client], end_s: float, rate: float) -> tuple[list[float], dict[str, int]]:
    """Keep all clients busy until ``end_s``; or, with a rate, send at fixed instants by whichever client is free."""
    took: list[float] = []
    statuses: dict[str, int] = {}
    chooser = selectors.DefaultSelector()
    for client in clients:
        chooser.register(client.socket, selectors.EVENT_READ, client)
        if not rate:
            client.send()
    next_due = time.perf_counter()
    while True:
        now = time.perf_counter()
        idle = [client for client in clients if not client.busy]
        while rate and idle and next_due <= now < end_s:
            if not idle.pop().send(next_due):
                end_s = now
            next_due += 1 / rate
        if now >= end_s and not any(client.busy for client in clients):
            return took, statuses
        for key, _ in chooser.select(max(0.0, min(next_due - now, 0.05)) if rate and idle else 0.05):
            client = key.data
            status = client.answer()
            if status is None:
                continue
            now = time.perf_counter()
            took.append(now - client.sent_at)
            statuses[str(status)] = statuses.get(str(status), 0) + 1
            if not rate and now < end_s and not client.send():
                end_s = now


def run_load(**order) -> dict:
    """Run `load` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--load", "-"], input=json.dumps(order), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


# ---------------------------------------------------------------------------------------------- server


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Yield port and process id of a running ``gridsvc serve``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gridsvc.cli.main", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                    break
            except OSError:
                time.sleep(0.1)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(60)


def cpu_s(pids: list[int]) -> float:
    """Return the CPU-seconds of processes and of their ended children."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(value) for value in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    kids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, kids)]


# ---------------------------------------------------------------------------------------------- peers

PGBENCH = """\\set i random(1, 1000000)
WITH receipt AS (
    INSERT INTO report_receipts (report_id, district_code, reported_at, body_sha256, posted_by, device)
    VALUES (gen_random_uuid(), '{district}', now(), decode('{sha}', 'hex'), 'bench', 'phone-1') RETURNING report_id
), report AS (
    INSERT INTO reports (
        report_id, district_code, reported_at, edition, category_code, network, source, description, device, original_lon,
        original_lat, original_datum, accuracy_m, geom, community_code, urban_grid, social_grid, security_grid, unified_grid,
        located_at
    )
    SELECT report_id, '{district}', now(), 'gbt-47678.5-2026', 'E06001', 'urban', 'field_app', '{text}', 'phone-1',
        {west} + :i * {step}, {south} + :i % 1000 * {step} * 1000, 'cgcs2000', 8,
        ST_SetSRID(ST_MakePoint({west} + :i * {step}, {south} + :i % 1000 * {step} * 1000), 4490), '{community}',
        '{community}' || lpad((:i % 961)::text, 3, '0'), '{community}' || lpad((:i % 400)::text, 3, '0'),
        '{community}' || lpad((:i % 100)::text, 3, '0'), '{community}' || lpad((:i % 400)::text, 3, '0'), now()
    FROM receipt RETURNING *
), opened AS (
    INSERT INTO cases (
        case_id, case_code, report_id, district_code, opened_at, edition, category_code, network, stage, geom, community_code,
        urban_grid, social_grid, security_grid, unified_grid
    )
    SELECT gen_random_uuid(), district_code || to_char(reported_at AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDD')
        || lpad(report_no::text, 8, '0'), report_id, district_code, reported_at, edition, category_code, network, 'reported',
        geom, community_code, urban_grid, social_grid, security_grid, unified_grid
    FROM report RETURNING report_id, case_code
), event AS (
    INSERT INTO events_unnumbered (kind, division_code, subject, payload)
    SELECT 'report.received', community_code, report_id::text, jsonb_build_object(
        'case_code', case_code, 'occurred_at', reported_at, 'received_at', received_at, 'edition', edition,
        'category_code', category_code, 'network', network, 'source', source, 'lon', ST_X(geom), 'lat', ST_Y(geom),
        'urban_grid', urban_grid, 'social_grid', social_grid, 'security_grid', security_grid, 'unified_grid', unified_grid
    )
    FROM report JOIN opened USING (report_id)
)
SELECT case_code FROM opened;
"""


def pgbench(url: str, clients: int, seconds: float, folder: Path) -> float:
    """Return how many of the same rows pgbench inserts a second, singly, each committed."""
    script = folder / "insert.sql"
    script.write_text(
        PGBENCH.format(
            district=DISTRICT, community=COMMUNITY, sha="ab" * 32, text=TEXT, west=WEST, south=SOUTH, step=SIDE / 1e6
        ),
        encoding="utf-8",
    )
    command = [
        str(find_binary("pgbench")), "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(max(1, round(seconds))),
        "-f", str(script), libpq_url(url),
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(re.search(r"tps = ([\d.]+)", said)[1])


def wait_numbered(url: str) -> None:
    """Wait until the server has numbered the events of before, which are not what is measured next."""
    command = [str(find_binary("psql")), "-qAtc", "SELECT count(*) FROM events_unnumbered", libpq_url(url)]
    while subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() != "0":
        time.sleep(0.2)


def copy_rate(url: str, batches: int, folder: Path) -> float:
    """Return how many reports a second psql copies into the same tables: 1,000 a transaction, one COPY a table."""
    rng, lines = random.Random(time.time_ns()), ["\\set ON_ERROR_STOP on"]
    for batch in range(batches):
        lines.append("BEGIN;")
        for name, (columns, rows) in copied_rows(rng).items():
            path = folder / f"{name}{batch}.tsv"
            path.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
            lines.append(f"\\copy {name} ({columns}) FROM '{path}'")
        lines.append("COMMIT;")
    script = folder / "copy.sql"
    script.write_text("\n".join(lines), encoding="utf-8")
    began = time.perf_counter()
    subprocess.run([str(find_binary("psql")), "-q", "-f", str(script), libpq_url(url)], check=True)
    return 1000 * batches / (time.perf_counter() - began)


def copied_rows(rng: random.Random) -> dict[str, tuple[str, list[list[str]]]]:
    """Return columns and rows of 1,000 reports for each of the four tables."""
    receipts, reports, cases, events = [], [], [], []
    for _ in range(1000):
        posted = report(rng)
        at, report_id = posted["occurred_at"], posted["report_id"]
        place = f"SRID=4490;POINT({posted['lon']} {posted['lat']})"
        serial = rng.randrange(400)
        grids = [f"{COMMUNITY}{serial * 2:03d}", *[f"{COMMUNITY}{serial:03d}"] * 3]
        shared = [DISTRICT, at, report_id, "gbt-47678.5-2026", "E06001", "urban"]
        receipts.append([report_id, DISTRICT, at, "\\\\x" + "ab" * 32, "bench", "phone-1"])
        located = [place, COMMUNITY, *grids]
        reports.append(
            [
                *shared,
                "field_app",
                TEXT,
                "phone-1",
                str(posted["lon"]),
                str(posted["lat"]),
                "cgcs2000",
                "8",
                *located,
                at,
            ]
        )
        case_code = f"{DISTRICT}2026{rng.randrange(10**12):012d}"
        cases.append([*shared, str(uuid.uuid4()), case_code, "reported", *located])
        told = {
            "case_code": case_code,
            "occurred_at": at,
            "received_at": at,
            "edition": shared[3],
            "category_code": shared[4],
        }
        told |= {"network": "urban", "source": "field_app", "lon": posted["lon"], "lat": posted["lat"]}
        told |= dict(zip(("urban_grid", "social_grid", "security_grid", "unified_grid"), grids, strict=True))
        events.append(["report.received", COMMUNITY, report_id, json.dumps(told)])
    key, names = (
        "district_code, {}, report_id, edition, category_code, network, ",
        "geom, community_code, urban_grid, social_grid, security_grid, unified_grid",
    )
    return {
        "report_receipts": ("report_id, district_code, reported_at, body_sha256, posted_by, device", receipts),
        "reports": (
            key.format("reported_at")
            + f"source, description, device, original_lon, original_lat, original_datum, accuracy_m, {names}, located_at",
            reports,
        ),
        "cases": (key.format("opened_at") + f"case_id, case_code, stage, {names}", cases),
        "events_unnumbered": ("kind, division_code, subject, payload", events),
    }


# ---------------------------------------------------------------------------------------------- measuring


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share lies, in milliseconds."""
    return 1000 * float(np.percentile(values, 100 * share)) if values else float("nan")


def measure(app: App, url: str, token: str, asked: argparse.Namespace, folder: Path) -> None:
    """Print rates, latencies and what they reach of the peers'."""
    environment = os.environ | {
        "GRIDSVC_VAR": str(app.settings.var_dir),
        "GRIDSVC_WORKERS": str(asked.workers),
        "GRIDSVC_REPORTS_PER_MINUTE": "0",
        "GRIDSVC_ANONYMOUS": "off",
    }
    database = int((Path(app_data(app)) / "postmaster.pid").read_text().split()[0])
    rows, ratios, rates, batches, copies = [], [], [], [], []
    with serving(environment) as (port, pid):
        common = {"port": port, "token": token, "clients": asked.clients, "seed": 1}
        run_load(**common | {"batch": 0, "seconds": 2.0, "rate": 0, "bodies": 20_000, "seed": time.time_ns()})
        for run in range(asked.runs):
            wait_numbered(url)
            peer = pgbench(url, asked.clients, asked.seconds, folder)
            wait_numbered(url)
            before = cpu_s(family(pid)), cpu_s(family(database))
            order = {"batch": 0, "seconds": asked.seconds, "rate": 0, "bodies": int(asked.seconds * 8000) + 1000}
            ours = run_load(**common | order | {"seed": time.time_ns()})
            count = len(ours["took"])
            after = cpu_s(family(pid)), cpu_s(family(database))
            rate = count / ours["seconds"]
            rates.append(rate)
            ratios.append(rate / peer)
            rows.append(
                [
                    f"{run + 1}", f"{peer:,.0f}", f"{rate:,.0f}", f"{rate / peer:.0%}", f"{percentile(ours['took'], 0.5):.1f}",
                    f"{percentile(ours['took'], 0.99):.1f}", f"{(after[0] - before[0]) / count * 1e6:,.0f}",
                    f"{(after[1] - before[1]) / count * 1e6:,.0f}", f"{ours['cpu_s'] / count * 1e6:,.0f}", json.dumps(ours["statuses"]),
                ]
            )  # fmt: skip
        heads = [
            "run",
            "pgbench/s",
            "posts/s",
            "ratio",
            "p50 ms",
            "p99 ms",
            "server us",
            "database us",
            "clients us",
            "answers",
        ]
        print(table(heads, rows))
        print(goal("single posts against pgbench", statistics.median(ratios), 0.5))
        top = statistics.median(rates)
        paced = [
            run_load(**common | {"batch": 0, "seconds": asked.seconds, "rate": 0.8 * top, "bodies": int(asked.seconds * top) + 1000, "seed": time.time_ns()})
            for run in range(asked.runs)
        ]  # fmt: skip
        p99 = [percentile(each["took"], 0.99) for each in paced]
        said = ", ".join(f"{value:.0f}" for value in p99)
        print(f"at 80 % of the top rate ({0.8 * top:,.0f}/s): p99 {said} ms, median {statistics.median(p99):.0f} ms")
        print(goal("100 ms over p99 at 80 %", 100 / statistics.median(p99), 1.0, "{:.1f}"))
        for _ in range(asked.runs):
            wait_numbered(url)
            copies.append(copy_rate(url, asked.batches, folder))
            wait_numbered(url)
            order = {
                "batch": 1000,
                "clients": 2,
                "seconds": 3600,
                "rate": 0,
                "bodies": asked.batches,
                "seed": time.time_ns(),
            }
            ours = run_load(**common | order)
            batches.append(1000 * len(ours["took"]) / ours["seconds"])
        pairs = [ours / peer for ours, peer in zip(batches, copies, strict=True)]
        print(
            f"batches of 1,000: {statistics.median(batches):,.0f} reports/s, COPY {statistics.median(copies):,.0f} rows/s"
        )
        print(goal("batches against COPY", statistics.median(pairs), 0.5))
    print(machine_noise())


def app_data(app: App) -> Path:
    """Return the data directory of the embedded server."""
    from gridsvc.bootstrap import embedded_server

    return embedded_server(app.settings).data_dir


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=48)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--var", default="", help="folder of the embedded server; default: a temporary one")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.load:
        print(json.dumps(load(json.load(sys.stdin))))
        return
    with tempfile.TemporaryDirectory() as made:
        settings = read_settings({**os.environ, "GRIDSVC_VAR": asked.var or f"{made}/var"})
        with open_app(settings) as app:
            token = put_town(app)
            url = app.engine.url.render_as_string(hide_password=False)
            app.engine.dispose()
            measure(app, url, token, asked, Path(made))


if __name__ == "__main__":
    main()
