"""Reports follow a change of grids that reaches back to their time.

The rule: a report has the grid of its own place and time. A redraw in force from an instant concerns the reports of that
instant and later on the ground whose grid changed, and those that no grid holds and that are near enough to that ground to be
given a grid on it; no others. Their cases go with them, unless a later redraw has
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

from gridsvc.geo.changed_ground import is_on, widened, with_uncovered
from gridsvc.geo.location import GridIndex
from gridsvc.geo.projections import area_m2
from gridsvc.progress import SILENT, Progress
from gridsvc.services.grid_lookup import find_places
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
    reach = shapely.MultiPolygon()
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
            wide = widened(ground, uow.nearest_within_m)
            grids, read_at = uow.relocations.grids_on(network, wide, work["since"]), approval
            coverages = [held.geometry.to_numpy() for _, held in _epochs(grids, work["since"])]
            reach = with_uncovered(ground, wide, coverages)
        found, end = _span(uow, network, reach, begin, min(begin + span, horizon), at_most)
        span = max(end - begin, _INSTANT) * (2 if len(found) < at_most // 4 else 1)
        moved, cases = _move(uow, network, reach, grids, found)
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
    codes, communities = _codes(grids, on), _or_none(on["community_code"])
    stored = [_or_none(on["grid"]), communities.copy()]
    lost = np.flatnonzero(codes == None)  # noqa: E711 - elementwise
    if len(lost) and uow.nearest_within_m > 0:
        # whoever no grid holds is looked up as a report that is being taken in: the nearest, and whose it is
        outside = on.iloc[lost]
        places = find_places(uow.everywhere(), outside["lon"], outside["lat"], pd.DatetimeIndex(outside["reported_at"]))
        codes[lost], communities[lost] = places.grids[network], places.community
    changed = (stored[0] != codes) | (stored[1] != communities)
    keys = on.loc[changed, ["district_code", "reported_at", "report_id"]]
    moved = keys.assign(**{f"{network}_grid": codes[changed]}, community_code=communities[changed])
    return uow.relocations.move(network, moved)


def _or_none(codes: pd.Series) -> NDArray[np.object_]:
    return np.array([code if isinstance(code, str) else None for code in codes], dtype=object)


def _codes(grids: gpd.GeoDataFrame, reports: pd.DataFrame) -> NDArray[np.object_]:
    """Return the grid of each report at its own time, None where there is none."""
    codes = np.full(len(reports), None, dtype=object)
    times = pd.DatetimeIndex(reports["reported_at"])
    lon, lat = reports["lon"].to_numpy(float), reports["lat"].to_numpy(float)
    for (begin, end), held in _epochs(grids, times.min()):
        here = np.flatnonzero((times >= begin) & (times < end))
        if len(here):
            codes[here] = GridIndex(held["code"], held.geometry.to_numpy()).locate(lon[here], lat[here])
    return codes


def _epochs(
    grids: gpd.GeoDataFrame, since: datetime
) -> list[tuple[tuple[pd.Timestamp, pd.Timestamp], gpd.GeoDataFrame]]:
    """Return the spans ``[begin, end)`` from ``since`` on in which the grids are the same, each with the grids in force."""
    changes = pd.DatetimeIndex(pd.concat([grids["valid_from"], grids["valid_to"].dropna()]).unique()).sort_values()
    begins = [pd.Timestamp(since), *changes[changes > since]]
    ends = [*begins[1:], pd.Timestamp.max.tz_localize("UTC")]
    return [
        ((begin, end), grids[(grids["valid_from"] <= begin) & (grids["valid_to"].isna() | (grids["valid_to"] > begin))])
        for begin, end in zip(begins, ends, strict=True)
    ]
