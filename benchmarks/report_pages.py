"""A page of 50 stored reports by grid, category and time, by random grids, categories and spans: p50 and p95.

Five kinds of page, each asked ``--pages`` times with other grids: of one grid; of a grid and category; of a grid, category and
span of 90 days; of a grid and span; the page after. The grid is of a network drawn at random. Wall milliseconds of the use case
behind ``GET /api/v1/reports``, planning and reading included; the first of each kind (a cold cache of plans) is not counted.

    python benchmarks/report_pages.py [--reports 1000000] [--pages 200] [--keep FOLDER] [--json]

Goal for 30,000,000 reports: p95 under 50 ms. Takes about 1 GB of disk per 0.8 million reports.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._measuring import machine_noise, table
from benchmarks._stored_reports import (
    BEGIN,
    EDITION,
    MONTHS,
    SIDE_COMMUNITIES,
    arguments,
    community_code,
    filled_city,
)
from gridsvc.services.report_reading import list_reports
from gridsvc.store.unit_of_work import UnitOfWork

GOAL_MS = 50.0
NETWORKS = ("urban", "social", "security", "unified")
KINDS = ("grid", "grid, category", "grid, category, 90 days", "grid, 90 days", "the page after")


def asked(kind: str, draw: np.random.Generator, categories: list[str]) -> dict[str, Any]:
    """Return the arguments of one page."""
    code = f"{community_code(int(draw.integers(SIDE_COMMUNITIES**2)))}{int(draw.integers(1, 7)):03d}"
    page: dict[str, Any] = {"network": str(draw.choice(NETWORKS)), "grid_code": code, "limit": 50}
    if "category" in kind:
        page["category_code"] = str(draw.choice(categories))
    if "days" in kind:
        page["since"] = BEGIN + timedelta(days=int(draw.integers(30 * MONTHS - 90)))
        page["until"] = page["since"] + timedelta(days=90)
    return page


def pages(engine: Engine, count: int) -> dict[str, dict[str, float]]:
    """Return milliseconds and rows by kind of page."""
    draw = np.random.default_rng(7)
    with engine.connect() as connection:
        known = text("SELECT code FROM categories WHERE edition = :edition ORDER BY 1")
        categories = list(connection.scalars(known, {"edition": EDITION}))
    answer = {}
    for kind in KINDS:
        spent, rows = [], []
        for _ in range(count + 1):
            page = asked(kind, draw, categories)
            with UnitOfWork(engine) as uow:
                if kind == "the page after":
                    page["cursor"] = list_reports(uow, **page).next_cursor or ""
                began = time.perf_counter()
                rows.append(len(list_reports(uow, **page).rows))
                spent.append((time.perf_counter() - began) * 1000)
        low, high = np.percentile(spent[1:], [50, 95])
        answer[kind] = {"p50_ms": round(float(low), 2), "p95_ms": round(float(high), 2), "rows": float(np.mean(rows))}
    return answer


def main() -> None:
    """Fill, ask, print."""
    parser = arguments(__doc__, 1_000_000)
    parser.add_argument("--pages", type=int, default=200)
    options = parser.parse_args()
    with filled_city(options.reports, keep=options.keep) as engine:
        found = pages(engine, options.pages)
    if options.json:
        print(json.dumps({"reports": options.reports, "pages": options.pages, **found}))
        return
    print(machine_noise())
    print(f"{options.reports:,} reports stored; {options.pages} pages of each kind")
    rows = [
        [kind, f"{row['p50_ms']:.1f}", f"{row['p95_ms']:.1f}", f"{row['rows']:.0f}", "PASS" if row["p95_ms"] < GOAL_MS else "SHORT"]
        for kind, row in found.items()
    ]  # fmt: skip
    print(table(["page", "p50 ms", "p95 ms", "rows", f"goal {GOAL_MS:.0f} ms"], rows))


if __name__ == "__main__":
    main()
