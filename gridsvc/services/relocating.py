"""Reports follow a change of grids that reaches back to their time.

The rule: a report has the grid of its own place and time. A redraw in force from an instant concerns the reports of that
instant and later on the ground whose grid changed, and no others. Their cases go with them, unless a later redraw has
moved them on. Work is done in spans of time, each in a transaction of its own with the record of how far it came, so that it
may be stopped at any point; what was done is not done again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.geo.changed_ground import is_on
from gridsvc.geo.location import GridIndex
from gridsvc.geo.projections import area_m2
from gridsvc.progress import SILENT, Progress
from gridsvc.services.locating import locate_reports
from gridsvc.store.unit_of_work import UnitOfWork

# a block holds at most so many reports: some 100 MB and a few seconds
BLOCK_REPORTS = 100_000
# what an approval relocates by itself; the rest is left to the blocks
AT_ONCE_REPORTS = 20_000
STEP = "relocate reports"
_FIRST_SPAN = timedelta(days=31)
_INSTANT = timedelta(microseconds=1)


@dataclass(slots=True)
class Relocated:
    """What relocating came to: changes of grids worked off, reports on their ground, reports and cases that got another grid.

    ``located`` counts reports that had waited for their first grids; ``pending`` the changes still to do (somebody else is at them).
    """

    changes: int = 0
    reports_seen: int = 0
    reports_moved: int = 0
    cases_moved: int = 0
    located: int = 0
    pending: int = 0


def has_work(uow: UnitOfWork) -> bool:
    """Answer whether any change of grids is still to be worked off; one cheap question."""
    return uow.relocations.has_pending()


def relocate(uow: UnitOfWork, prefix: str = "", *, progress: Progress = SILENT) -> Relocated:
    """Work off every change of grids under ``prefix`` that reports still have to follow, and locate those that wait for it.

    Commits after every block. Safe at any time and from several programs at once: one change is worked off by one of them.
    """
    result = Relocated()
    for waiting in uow.relocations.pending(prefix):
        progress.start(STEP)
        for seen, moved, cases, is_last in _blocks(uow, waiting["relocation_id"], BLOCK_REPORTS):
            _add(result, seen, moved, cases, is_last)
            uow.commit()
            progress.advance(seen)
    for district in uow.relocations.waiting_districts(prefix):
        under = prefix if len(prefix) > len(district) else district
        result.located += locate_reports(uow, under, progress=progress).reports
        uow.commit()
    result.pending = len(uow.relocations.pending(prefix))
    return result


def foresee_relocation(uow: UnitOfWork, prefix: str = "") -> list[dict[str, Any]]:
    """Return the changes of grids that reports under ``prefix`` still have to follow, oldest first; writes nothing.

    Each with redraw_id, network, since, done_until, and ``ground_m2``, the area whose grid changed.
    """
    waiting = uow.relocations.pending(prefix)
    shown = ("redraw_id", "network", "since", "done_until")
    return [
        {**{name: row[name] for name in shown}, "ground_m2": round(float(area_m2([row["ground"]])[0]))}
        for row in waiting
    ]


def relocate_at_once(uow: UnitOfWork, prefix: str = "") -> Relocated:
    """Work off the changes under ``prefix`` in the caller's transaction, as far as a few thousand reports go.

    What remains is ``pending``: `relocate` does it, which the running server calls by itself.
    """
    result = Relocated()
    for waiting in uow.relocations.pending(prefix):
        for seen, moved, cases, is_last in _blocks(uow, waiting["relocation_id"], AT_ONCE_REPORTS):
            _add(result, seen, moved, cases, is_last)
            if result.reports_seen >= AT_ONCE_REPORTS:
                break
        if result.reports_seen >= AT_ONCE_REPORTS:
            break
    result.pending = len(uow.relocations.pending(prefix))
    return result


def _add(result: Relocated, seen: int, moved: int, cases: int, is_last: bool) -> None:
    result.reports_seen += seen
    result.reports_moved += moved
    result.cases_moved += cases
    result.changes += is_last


def _blocks(uow: UnitOfWork, relocation_id: int, at_most: int) -> Iterator[tuple[int, int, int, bool]]:
    """Relocate block by block; yield (reports seen, reports moved, cases moved, whether that was the end).

    The caller may commit after each, or stop.
    """
    grids: gpd.GeoDataFrame | None = None
    read_at = -1
    span = _FIRST_SPAN
    while (work := uow.relocations.take(relocation_id)) is not None:
        network, ground, begin = work["network"], work["ground"], work["done_until"]
        horizon = uow.relocations.horizon()
        if horizon is None or begin >= horizon:
            uow.relocations.finish(relocation_id)
            yield 0, 0, 0, True
            return
        approval = uow.redraws.last_approval()
        if grids is None or approval != read_at:
            grids, read_at = uow.relocations.grids_on(network, ground, work["since"]), approval
        found, end = _span(uow, network, ground, begin, min(begin + span, horizon), at_most)
        span = max(end - begin, _INSTANT) * (2 if len(found) < at_most // 4 else 1)
        moved, cases = _move(uow, network, ground, grids, found)
        uow.relocations.advance(relocation_id, end, len(found), moved, cases)
        yield len(found), moved, cases, False


def _span(
    uow: UnitOfWork, network: str, ground: shapely.MultiPolygon, begin: datetime, end: datetime, at_most: int
) -> tuple[pd.DataFrame, datetime]:
    """Return all reports on a ground from ``begin`` to an instant, and that instant: ``end``, or earlier where there are too many.

    More than ``at_most`` are returned only where so many were made at one instant.
    """
    found = uow.relocations.reports_on(network, ground, begin, end, at_most + 1)
    if len(found) <= at_most:
        return found, end
    beyond = found["reported_at"].iloc[-1].to_pydatetime()
    if beyond > begin:
        return found[found["reported_at"] < beyond], beyond
    return uow.relocations.reports_on(network, ground, begin, begin + _INSTANT, None), begin + _INSTANT


def _move(
    uow: UnitOfWork, network: str, ground: shapely.MultiPolygon, grids: gpd.GeoDataFrame, found: pd.DataFrame
) -> tuple[int, int]:
    """Give the reports on the ground the grid of their place and time where they have another; return (reports, cases)."""
    on = found[is_on(ground, found["lon"], found["lat"])]
    if on.empty:
        return 0, 0
    codes = _codes(grids, on)
    stored = np.array([code if isinstance(code, str) else None for code in on["grid"]], dtype=object)
    changed = stored != codes
    moved = on.loc[changed, ["district_code", "reported_at", "report_id"]].assign(**{f"{network}_grid": codes[changed]})
    return uow.relocations.move(network, moved)


def _codes(grids: gpd.GeoDataFrame, reports: pd.DataFrame) -> NDArray[np.object_]:
    """Return the grid of each report at its own time, None where there is none."""
    codes = np.full(len(reports), None, dtype=object)
    changes = pd.DatetimeIndex(pd.concat([grids["valid_from"], grids["valid_to"].dropna()]).unique()).sort_values()
    # [valid_from, valid_to): an instant of change already belongs to what comes after
    epoch = changes.searchsorted(pd.DatetimeIndex(reports["reported_at"]), side="right")
    lon, lat = reports["lon"].to_numpy(float), reports["lat"].to_numpy(float)
    for which in np.unique(epoch):
        if which == 0:
            continue
        begin = changes[which - 1]
        held = grids[(grids["valid_from"] <= begin) & (grids["valid_to"].isna() | (grids["valid_to"] > begin))]
        here = np.flatnonzero(epoch == which)
        codes[here] = GridIndex(held["code"], held.geometry.to_numpy()).locate(lon[here], lat[here])
    return codes
