"""A made-up city with as many stored reports as asked for, in a database of its own: 42,336 governance grids, 36 months.

Communities are squares of 400 m in a square, cut into six grids each; positions, times and categories are drawn evenly, so
that every grid and month has its share. Rows are made by the server itself, each month's table first and its indexes when it is
attached.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gridsvc.store.embedded import EmbeddedPostgres
from gridsvc.store.engine import make_engine
from gridsvc.store.migrate import upgrade
from gridsvc.store.unit_of_work import UnitOfWork

SIDE_COMMUNITIES = 84
PARTS_X, PARTS_Y = 3, 2
WEST, SOUTH, STEP = 116.0, 39.7, 0.0048
BEGIN, MONTHS = datetime(2023, 1, 1, tzinfo=UTC), 36
EDITION = "gbt-47678.5-2026"
_PER_DISTRICT, _PER_STREET = 441, 21

# the community and grid of a position, as `grid_frame` draws them
_PLACED = f"""
SELECT *, lpad((110101 + k / {_PER_DISTRICT})::text, 6, '0') AS district,
       lpad((110101 + k / {_PER_DISTRICT})::text, 6, '0') || lpad((k % {_PER_DISTRICT} / {_PER_STREET} + 1)::text, 3, '0')
       || lpad((k % {_PER_STREET} + 1)::text, 3, '0') AS community
FROM (SELECT *, row_ * {SIDE_COMMUNITIES} + column_ AS k FROM (
    SELECT *, least(floor((x - {WEST}) / {STEP}), {SIDE_COMMUNITIES - 1})::int AS column_,
           least(floor((y - {SOUTH}) / {STEP}), {SIDE_COMMUNITIES - 1})::int AS row_ FROM drawn) AS a) AS b
"""
_FILL = f"""
INSERT INTO {{table}} (district_code, reported_at, report_id, report_no, edition, category_code, network, source, description,
                     original_lon, original_lat, original_datum, geom, community_code, urban_grid, social_grid,
                     security_grid, unified_grid, located_at, received_at)
WITH drawn AS MATERIALIZED (
    SELECT n, round((random() * {SIDE_COMMUNITIES * STEP} + {WEST})::numeric, 9)::double precision AS x,
           round((random() * {SIDE_COMMUNITIES * STEP} + {SOUTH})::numeric, 9)::double precision AS y,
           CAST(:first AS timestamptz) + (CAST(:last AS timestamptz) - CAST(:first AS timestamptz)) * (n::double precision / :count) AS at,
           categories.codes[1 + floor(random() * cardinality(categories.codes))::int] AS category
    FROM generate_series(0, :count - 1) AS n,
         (SELECT array_agg(code ORDER BY code) AS codes FROM categories WHERE edition = '{EDITION}') AS categories
), placed AS ({_PLACED}), named AS (
    SELECT *, community || lpad((least(floor((x - {WEST} - column_ * {STEP}) / {STEP / PARTS_X}), {PARTS_X - 1}) * {PARTS_Y}
           + least(floor((y - {SOUTH} - row_ * {STEP}) / {STEP / PARTS_Y}), {PARTS_Y - 1}) + 1)::text, 3, '0') AS grid FROM placed
)
SELECT district, at, gen_random_uuid(), :number + n, '{EDITION}', category, 'urban', 'field_app', '占道经营，影响通行', x, y, 'wgs84',
       ST_SetSRID(ST_MakePoint(x, y), 4490), community, grid, grid, grid, grid, at, at
FROM named
"""
_CASES = """
INSERT INTO {cases} (district_code, opened_at, case_id, case_code, report_id, edition, category_code, network, stage, geom,
                     community_code, urban_grid, social_grid, security_grid, unified_grid)
SELECT district_code, reported_at, gen_random_uuid(), district_code || to_char(reported_at, 'YYYYMMDD') || report_no, report_id,
       edition, category_code, network, 'closed', geom, community_code, urban_grid, social_grid, security_grid, unified_grid
FROM {reports}
"""


_RECEIPTS = """
INSERT INTO report_receipts (report_id, district_code, reported_at, body_sha256)
SELECT report_id, district_code, reported_at, sha256(convert_to(report_id::text, 'UTF8')) FROM {reports}
"""


def community_code(k: int) -> str:
    """Return the code of the community with number ``k``, row by row from the south-west."""
    return f"{110101 + k // _PER_DISTRICT}{k % _PER_DISTRICT // _PER_STREET + 1:03d}{k % _PER_STREET + 1:03d}"


def grid_frame(communities: range, *, serials: int = 1, shift: float = 0.0) -> gpd.GeoDataFrame:
    """Return the governance grids of communities; ``shift`` moves the inner borders by that share of a grid's width."""
    codes, owners, shapes = [], [], []
    for k in communities:
        west, south = WEST + k % SIDE_COMMUNITIES * STEP, SOUTH + k // SIDE_COMMUNITIES * STEP
        xs = west + STEP / PARTS_X * (np.arange(PARTS_X + 1) + np.array([0.0, *[shift] * (PARTS_X - 1), 0.0]))
        ys = south + STEP / PARTS_Y * np.arange(PARTS_Y + 1)
        for i in range(PARTS_X):
            for j in range(PARTS_Y):
                codes.append(f"{community_code(k)}{serials + i * PARTS_Y + j:03d}")
                owners.append(community_code(k))
                shapes.append(shapely.box(*np.round([xs[i], ys[j], xs[i + 1], ys[j + 1]], 9)))
    columns = {"network": "social", "kind": "governance", "code": codes, "community_code": owners, "name": ""}
    more = {"households": 400, "population": 1200, "area_m2": 27_000.0}
    return gpd.GeoDataFrame(columns | more, geometry=shapes, crs="EPSG:4490")


@contextmanager
def filled_city(reports: int, *, folder: Path | None = None, keep: str | None = None) -> Iterator[Engine]:
    """Yield the engine of a database with grids and reports; gone afterwards unless ``keep`` names a folder to keep it in."""
    with tempfile.TemporaryDirectory(prefix="gridsvc-bench-", dir=folder) as made:
        var = Path(keep) if keep else Path(made) / "var"
        with EmbeddedPostgres(var) as server:
            engine = make_engine(server.url())
            try:
                upgrade(engine)
                _fill(engine, reports)
                yield engine
            finally:
                engine.dispose()


def _fill(engine: Engine, reports: int) -> None:
    """Fill what is missing: a month is there as a whole or not at all, so that a stopped fill goes on."""
    began = time.perf_counter()
    starts = [BEGIN.replace(year=BEGIN.year + i // 12, month=i % 12 + 1) for i in range(MONTHS + 1)]
    shares = [reports * i // MONTHS for i in range(MONTHS + 1)]
    with engine.connect() as connection:
        held = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relname LIKE 'reports\\_y%'")))
        is_divided = connection.scalar(text("SELECT EXISTS (SELECT FROM grids)"))
    missing = [i for i in range(MONTHS) if _partition("reports", starts[i]) not in held]
    if not is_divided:
        _put_grids(engine)
    for i in missing:
        _fill_month(engine, starts[i], starts[i + 1], shares[i + 1] - shares[i], shares[i])
        print(f"\r{shares[i + 1]:,} reports, {time.perf_counter() - began:.0f} s", end="", file=sys.stderr, flush=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # always: a fill that was stopped has months without statistics, and plans without them say nothing
        connection.execute(text("VACUUM ANALYZE" if missing else "ANALYZE"))
    with engine.connect() as connection:
        size = connection.scalar(text("SELECT pg_size_pretty(pg_database_size(current_database()))"))
        count = connection.scalar(text("SELECT count(*) FROM reports"))
    if count != reports:
        raise SystemExit(f"The folder holds {count} reports, not {reports}.")
    print(f"\n{len(missing)} months filled in {time.perf_counter() - began:.0f} s, {size}", file=sys.stderr)


def _partition(table: str, month: datetime) -> str:
    return f"{table}_y{month:%Y}m{month:%m}"


def _put_grids(engine: Engine) -> None:
    with UnitOfWork(engine) as uow:
        grids = grid_frame(range(SIDE_COMMUNITIES**2))
        redraw = uow.redraws.open_draft("social", "11", "imported", "benchmark", BEGIN)
        uow.redraws.put_grids(redraw, grids)
        uow.redraws.approve(redraw, "benchmark", BEGIN, BEGIN, {})
        uow.commit()


def _fill_month(engine: Engine, first: datetime, last: datetime, count: int, number: int) -> None:
    names = {table: _partition(table, first) for table in ("reports", "cases")}
    with engine.begin() as connection:
        for table, name in names.items():
            connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
        bound = {"first": first, "last": last, "count": count, "number": number}
        connection.execute(text(_FILL.replace("{table}", names["reports"])), bound)
        connection.execute(text(_CASES.replace("{reports}", names["reports"]).replace("{cases}", names["cases"])))
        connection.execute(text(_RECEIPTS.replace("{reports}", names["reports"])))
        for table, name in names.items():
            span = f"FROM ('{first.isoformat()}') TO ('{last.isoformat()}')"
            connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {span}"))


def arguments(description: str | None, reports: int) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark on stored reports takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", type=int, default=reports, help="how many are stored")
    parser.add_argument("--keep", help="folder that holds the database, filled there on first use and kept")
    parser.add_argument("--json", action="store_true")
    return parser
