"""Grids for the points of a file: every row comes back as it was, with a column for each network.

A long file is read, located and written in blocks; the answer is the same bytes however many programs did the blocks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from gridsvc.errors import CoordinateError, FileUnreadableError, ImportRefusedError, RowError
from gridsvc.formats.declared_datum import DeclaredDatum, declare_datum
from gridsvc.formats.import_fields import POSITION, as_numbers
from gridsvc.formats.located_rows import OUT_SUFFIXES, check_fits, join_blocks, out_suffix, write_block
from gridsvc.formats.row_blocks import BLOCK_ROWS, BlockPlan, RowTable, plan_blocks, read_block
from gridsvc.geo.datums import check_lonlat, is_lonlat
from gridsvc.progress import SILENT, Progress
from gridsvc.services.grid_lookup import Places, find_places, place_index, places_in
from gridsvc.services.locating import COMMUNITY, NETWORKS
from gridsvc.store.unit_of_work import UnitOfWork

__all__ = ["OUT_SUFFIXES", "LocateOrder", "LocatedFile", "locate_file"]

STEP = "locate points"
# so many faults are listed one by one; all are counted
LISTED_FAULTS = 10_000
_POINT = 0

OUTSIDE = "outside_m"

# positions (EPSG:4490, rounded as stored) to their places
Finder = Callable[[NDArray[np.float64], NDArray[np.float64]], Places]


@dataclass(frozen=True, slots=True)
class LocatedFile:
    """A file located: rows read, points that got a grid by network, points with none at all, rows without a usable position.

    ``refused`` lists the first ten thousand of the latter, ``refused_rows`` counts all.
    """

    file: str
    rows: int
    located: dict[str, int]
    unlocated: int
    refused: list[RowError] = field(default_factory=list)
    refused_rows: int = 0


@dataclass(frozen=True, slots=True)
class LocateOrder:
    """What file is to be located, how it is read, and where the answer goes; see `locate_file`.

    ``nearest_within_m``: how far outside of all grids a point gets the nearest one (`grid_lookup.find_places`). Unit: m.
    """

    path: Path
    out: Path
    datum: str | None
    at: datetime
    mapping: Mapping[str, str] = field(default_factory=dict)
    partial: bool = False
    encoding: str | None = None
    layer: str | None = None
    nearest_within_m: float = 0.0


@dataclass(frozen=True, slots=True)
class BlockOutcome:
    """What one block came to; the rows of ``faults`` are counted within the block, from 1."""

    rows: int
    columns: list[str]
    located: dict[str, int]
    unlocated: int
    refused_rows: int
    faults: list[RowError]


def locate_file(
    uow: UnitOfWork,
    path: Path,
    out: Path,
    *,
    datum: str | None,
    at: datetime,
    mapping: Mapping[str, str] | None = None,
    partial: bool = False,
    encoding: str | None = None,
    layer: str | None = None,
    progress: Progress = SILENT,
) -> LocatedFile:
    """Write the rows of ``path`` to ``out`` with ``community``, ``urban_grid``, ``social_grid``, ... behind them, in file order.

    Positions are points of the file, or its columns lon and lat (also 经度, 纬度 ...); polygons and lines are located by a
    point on them. A point that no grid of a network holds gets the nearest one by the rule of ``uow``; ``outside_m`` says how far
    away the farthest of its grids is, 0 where all hold it. The new columns are empty where there is no grid. ``out`` appears when it is complete, or not at all.
    For a long file in several processes, or one that is to be resumed, see `gridsvc.jobs.locating_job`.

    Parameters
    ----------
    datum
        As for imports: ``wgs84``, ``cgcs2000``, ``gcj02``, ``bd09``, ``EPSG:n``, or ``file``.
    mapping
        Header of the file to ``lon`` or ``lat``.
    partial
        Carry on with rows that have no usable position; they come back empty and are listed.

    Raises
    ------
    ImportRefusedError
        When rows have no usable position and ``partial`` is not set; nothing is written then.
    FileUnreadableError
        When a file cannot be read, or the format of ``out`` is not known.
    """
    order = LocateOrder(path, out, datum, at, dict(mapping or {}), partial, encoding, layer, uow.nearest_within_m)
    plan = check_order(order, BLOCK_ROWS)

    # several blocks from one index, so that all are of one state of the grids
    index = place_index(uow, at) if len(plan.blocks) > 1 else None

    def find(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Places:
        if index is None:
            return find_places(uow, lon, lat, at)
        return places_in(index, lon, lat, scope=uow.scope, nearest_within_m=uow.nearest_within_m)

    progress.start(f"{STEP} ({plan.unit})", sum(block.size for block in plan.blocks))
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.resolve().parent) as folder:
        outcomes, parts = [], []
        for number, block in enumerate(plan.blocks):
            parts.append(Path(folder) / f"{number}")
            outcomes.append(locate_block(plan, number, order, find, parts[-1]))
            progress.advance(block.size)
        return join_outcomes(order, outcomes, parts, Path(folder) / f"out{out_suffix(out)}")


def check_order(order: LocateOrder, block_rows: int) -> BlockPlan:
    """Return how the file of an order is read, after checking what can be known before its rows are read.

    Raises
    ------
    FileUnreadableError
        When the file cannot be read, or the answer could not be written: no such format or folder, too many rows for it.
    """
    out_suffix(order.out)
    folder = order.out.resolve().parent
    if not folder.is_dir():
        raise FileUnreadableError(
            f"There is no folder {folder} for {order.out.name}.", hint="Make it, or name another."
        )
    plan = plan_blocks(order.path, encoding=order.encoding, layer=order.layer, rows=block_rows)
    if plan.unit == "rows":
        check_fits(order.out, sum(block.size for block in plan.blocks))
    return plan


def locate_block(plan: BlockPlan, number: int, order: LocateOrder, find: Finder, target: Path) -> BlockOutcome:
    """Read and locate one block and write it to ``target``; return what it came to."""
    table = read_block(plan, number)
    lon, lat, faults = _positions(table, declare_datum(order.datum, table.crs, table.name), order.mapping)
    good = np.flatnonzero(np.isfinite(lon))
    places = find(lon[good], lat[good])
    codes = {COMMUNITY: places.community, **places.grids}
    rows = table.rows
    if "geometry" in rows.column_names:
        rows = rows.drop_columns(["geometry"])
    anywhere = np.zeros(len(lon), dtype=bool)
    located = {}
    for key, of_good in codes.items():
        column = np.full(len(lon), None, dtype=object)
        column[good] = of_good
        rows = _with_column(rows, f"{key}_code" if key == COMMUNITY else f"{key}_grid", pa.array(column, pa.string()))
        if key in NETWORKS:
            has_grid = column != None  # noqa: E711 - elementwise on an object array
            located[key] = int(has_grid.sum())
            anywhere |= has_grid
    outside_m = np.full(len(lon), np.nan)
    # fmax: NaN only where there is no grid in any network
    outside_m[good] = np.round(np.fmax.reduce([places.distance_m[network] for network in NETWORKS]), 3)
    rows = _with_column(rows, OUTSIDE, pa.array(outside_m, pa.float64(), from_pandas=True))
    write_block(rows, lon, lat, target, out_suffix(order.out))
    unlocated = int((~anywhere[good]).sum())
    return BlockOutcome(
        rows.num_rows, rows.column_names, located, unlocated, len(lon) - len(good), faults[:LISTED_FAULTS]
    )


def _with_column(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), name, column)
    return rows.append_column(name, column)


def join_outcomes(
    order: LocateOrder, outcomes: Sequence[BlockOutcome], parts: Sequence[Path], made: Path
) -> LocatedFile:
    """Put the blocks together in ``made`` and give it the name of the answer, in one step; return what it came to.

    Raises
    ------
    ImportRefusedError
        When rows have no usable position and the order is not partial.
    """
    rows = sum(outcome.rows for outcome in outcomes)
    refused = sum(outcome.refused_rows for outcome in outcomes)
    faults = list(_faults(outcomes))
    if refused and not order.partial:
        raise ImportRefusedError(
            f"{order.path.name}: {refused} of {rows} rows have no usable position; nothing was written.",
            rows=faults,
            hint="Correct them, or use --partial to leave their grids empty.",
        )
    join_blocks(parts, outcomes[0].columns, made, out_suffix(order.out))
    _name_of_answer(made, order.out)
    located = {network: sum(outcome.located[network] for outcome in outcomes) for network in NETWORKS}
    unlocated = sum(outcome.unlocated for outcome in outcomes)
    return LocatedFile(str(order.out), rows, located, unlocated, faults, refused)


def _name_of_answer(made: Path, out: Path) -> None:
    with made.open("rb+") as written:
        os.fsync(written.fileno())
    made.replace(out)


def _faults(outcomes: Iterable[BlockOutcome]) -> list[RowError]:
    """Return the first faults of all blocks, with the rows counted within the file."""
    listed: list[RowError] = []
    before = 0
    for outcome in outcomes:
        listed += [replace(fault, row=fault.row + before) for fault in outcome.faults]
        before += outcome.rows
    return listed[:LISTED_FAULTS]


def _positions(
    table: RowTable, datum: DeclaredDatum, mapping: Mapping[str, str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[RowError]]:
    """Return one position per row in EPSG:4490 (NaN where there is none), and what is wrong with the others."""
    x, y = _of_geometry(table.geometry) if table.geometry is not None else _of_columns(table.rows, mapping)
    known = np.isfinite(x) & np.isfinite(y)
    lon, lat = np.full(len(x), np.nan), np.full(len(x), np.nan)
    lon[known], lat[known] = datum.positions_to_storage(x[known], y[known])
    bad = known.copy()
    bad[known] = ~is_lonlat(lon[known], lat[known])
    faults = [
        RowError(int(row) + 1, "geometry", _reason(lon[row], lat[row]) if bad[row] else "has no position")
        for row in np.flatnonzero(bad | ~known)[:LISTED_FAULTS]
    ]
    lon[bad] = lat[bad] = np.nan
    return lon, lat, faults


def _reason(lon: float, lat: float) -> str:
    try:
        check_lonlat(lon, lat, field="position")
    except CoordinateError as refused:
        return str(refused)
    return "has no position"


def _of_geometry(drawn: NDArray[np.object_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a point on each geometry, NaN where there is none."""
    places = np.array(drawn, dtype=object)
    places[shapely.is_empty(places)] = None
    other = np.flatnonzero(~shapely.is_missing(places) & (shapely.get_type_id(places) != _POINT))
    places[other] = shapely.point_on_surface(places[other])
    return shapely.get_x(places), shapely.get_y(places)


def _of_columns(rows: pa.Table, mapping: Mapping[str, str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon, lat = (_header(rows.column_names, name, mapping) for name in ("lon", "lat"))
    return _numbers(rows, lon), _numbers(rows, lat)


def _numbers(rows: pa.Table, name: str) -> NDArray[np.float64]:
    return as_numbers(pd.Series(rows.column(name).to_pandas()))[0]


def _header(columns: Sequence[str], name: str, mapping: Mapping[str, str]) -> str:
    for header, wanted in mapping.items():
        if wanted == name and header in columns:
            return header
    spec = next(position for position in POSITION if position.name == name)
    folded = {"".join(column.lower().split()).replace("_", ""): column for column in columns}
    for alias in (spec.name, *spec.aliases):
        if alias.replace("_", "") in folded:
            return folded[alias.replace("_", "")]
    raise ImportRefusedError(
        f"The file has no column for {name}; it has {', '.join(columns)}.",
        rows=[RowError(0, name, "column missing")],
        hint="Name a column with --map HEADER=lon and --map HEADER=lat.",
    )
