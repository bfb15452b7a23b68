"""Stored reports follow a redraw of one community that reaches back half of their time: what is touched, and what it takes.

Prints the wall and CPU seconds (this process; the server's are in the wall) of putting the redraw in force and of relocating,
five redraws of five communities, and beside it what touching every report of the community since then would be. Checks every
report of the communities against the SQL rule afterwards.

    python benchmarks/relocate_reports.py [--reports 1000000] [--keep FOLDER] [--json]

Goal for 20,000,000 reports: seconds, and only the reports that can change. Takes about 1 GB of disk per 0.8 million reports.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._measuring import machine_noise, table
from benchmarks._stored_reports import arguments, community_code, filled_city, grid_frame
from gridsvc.services.relocating import relocate
from gridsvc.store.unit_of_work import UnitOfWork

SINCE = datetime(2024, 7, 1, tzinfo=UTC)
ROUNDS = 5
# inner borders move by a tenth of a grid's width: a fifteenth of the ground gets another grid
SHIFT = 0.1
_TOUCHED = "SELECT count(*) FROM reports WHERE community_code = :code AND reported_at >= :since AND located_at > :began"
_HELD = "SELECT count(*) FROM reports WHERE community_code = :code AND reported_at >= :since"
_WRONG = """
SELECT count(*) FROM reports AS r WHERE r.community_code = :code AND r.social_grid IS DISTINCT FROM
(SELECT l.code FROM gridsvc_locate(ST_X(r.geom), ST_Y(r.geom), r.reported_at) AS l WHERE l.network = 'social')
"""


def redrawn(engine: Engine, k: int) -> dict[str, float]:
    """Put another division of community ``k`` in force from `SINCE`, relocate, and return what it took."""
    with engine.connect() as connection:
        began_at = connection.scalar(text("SELECT now()"))
    with UnitOfWork(engine) as uow:
        began, cpu = time.perf_counter(), time.process_time()
        redraw = uow.redraws.open_draft("social", community_code(k), "edited", "benchmark", SINCE)
        uow.redraws.put_grids(redraw, grid_frame(range(k, k + 1), shift=SHIFT))
        uow.redraws.approve(redraw, "benchmark", SINCE, SINCE, {})
        uow.commit()
        in_force = time.perf_counter()
        done = relocate(uow)
        ended, spent = time.perf_counter(), time.process_time() - cpu
    bound = {"code": community_code(k), "since": SINCE, "began": began_at}
    with engine.connect() as connection:
        touched, held, wrong = (connection.scalar(text(sql), bound) for sql in (_TOUCHED, _HELD, _WRONG))
    if wrong:
        raise SystemExit(f"{wrong} reports of {community_code(k)} have another grid than SQL gives them")
    return {
        "in_force_s": in_force - began,
        "relocate_s": ended - in_force,
        "cpu_s": spent,
        "in_community": held,
        "on_ground": done.reports_seen,
        "touched": touched,
        **{name: value for name, value in asdict(done).items() if name in ("reports_moved", "cases_moved")},
    }


def main() -> None:
    """Fill, redraw five communities, print."""
    options = arguments(__doc__, 1_000_000).parse_args()
    with filled_city(options.reports, keep=options.keep) as engine:
        with engine.connect() as connection:
            taken = connection.scalar(text("SELECT count(*) FROM redraws WHERE origin = 'edited'"))
        rounds = [redrawn(engine, 100 + 1300 * i + taken) for i in range(ROUNDS)]
    result = {
        "reports": options.reports,
        "median": {name: round(statistics.median(row[name] for row in rounds), 3) for name in rounds[0]},
        "spread": {name: [round(min(row[name] for row in rounds), 3), round(max(row[name] for row in rounds), 3)] for name in rounds[0]},
    }  # fmt: skip
    if options.json:
        print(json.dumps(result))
        return
    print(machine_noise())
    print(f"{options.reports:,} reports stored; a community redrawn from {SINCE:%Y-%m-%d} on; medians of {ROUNDS}")
    rows = [
        [name, f"{result['median'][name]:,}", " - ".join(f"{v:,}" for v in result["spread"][name])]
        for name in rounds[0]
    ]
    print(table(["", "median", "spread"], rows))


if __name__ == "__main__":
    main()
