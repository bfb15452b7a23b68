"""Maps as files: reads what a map shows and hands it to the drawing room as frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import shapely

from gridsvc.errors import NotFoundError
from gridsvc.maps.coverage import MOST_GRIDS, NETWORKS, CoverageContent, write_coverage_map
from gridsvc.maps.map_file import WrittenMap
from gridsvc.networks.overlay import TOLERANCE_M
from gridsvc.progress import SILENT, Progress
from gridsvc.services.data_sources import read_sources
from gridsvc.services.laid_networks import stored_networks
from gridsvc.store.listings import Listings
from gridsvc.store.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from gridsvc.maps.sheet import WrittenSheet

_STREET_DIGITS, _COMMUNITY_DIGITS = 9, 12
OSM_LINE = "© OpenStreetMap 贡献者 contributors, ODbL 1.0"


def write_coverage(
    uow: UnitOfWork,
    code: str | None,
    *,
    at: datetime,
    out: Path,
    sources: Sequence[str] = (),
    timezone: str = "Asia/Shanghai",
    tolerance_m: float = TOLERANCE_M,
    progress: Progress = SILENT,
) -> WrittenMap:
    """Write the coverage map of a division to ``out``: three networks, the merged net, how they differ, streets, report density.

    Parameters
    ----------
    code
        District, street office or community; None for everything in this scope.
    at
        The instant whose grids, names and workers are shown; reports before it are counted.
    sources
        Lines for the list of sources in place of the names of the files imported, e.g. the licence of the streets.
    timezone
        In which the instant is written on the map.
    tolerance_m
        Borders of two networks this near are one. Unit: m.

    Raises
    ------
    NotFoundError
        When there is no such division, or nothing to draw.
    """
    progress.start("read grids")
    content = coverage_content(uow, code, at=at, sources=sources, timezone=timezone)
    if content.counts is None:
        progress.start("compare networks")
        content = replace(content, laid=stored_networks(uow, content, tolerance_m))
    progress.start("write map")
    return write_coverage_map(content, out)


def write_networks_map(content: CoverageContent, out: Path, *, progress: Progress = SILENT) -> WrittenMap:
    """Write the coverage map of networks read by `content_of_files` to ``out``."""
    progress.start("write map")
    return write_coverage_map(content, out)


def write_sheet(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    out: Path,
    networks: Sequence[str] = (),
    sources: Sequence[str] = (),
    timezone: str = "Asia/Shanghai",
    progress: Progress = SILENT,
) -> WrittenSheet:
    """Write the nets of a division on a sheet of A3 to ``out``: PDF, PNG or SVG by its ending.

    Parameters
    ----------
    code
        District, street office or community.
    networks
        Which nets; default all that have grids.
    at, sources, timezone
        As for the coverage map.

    Raises
    ------
    NotFoundError
        When there is no such division, no grid, or more grids than a sheet shows.
    RequestInvalidError
        When the ending or a network is not known.
    """
    # matplotlib takes longer to load than most commands take
    from gridsvc.maps.sheet import write_sheet_map

    progress.start("read grids")
    content = coverage_content(uow, code, at=at, sources=sources, timezone=timezone)
    progress.start("draw sheet")
    return write_sheet_map(content, out, networks=networks)


def coverage_content(
    uow: UnitOfWork, code: str | None, *, at: datetime, sources: Sequence[str] = (), timezone: str = "Asia/Shanghai"
) -> CoverageContent:
    """Return what the coverage map of a division shows; above `MOST_GRIDS` grids counts by division in place of grids."""
    prefix = code or ""
    divisions = uow.divisions.list(None, prefix, at)
    if divisions.empty:
        raise NotFoundError(
            f"There is no division {prefix or '(none at all)'} at {at:%Y-%m-%d}.",
            hint="See gridsvc import divisions; --at names another instant.",
            code=prefix,
        )
    top = divisions.iloc[0]
    total = sum(uow.grids.count(network, prefix, at) for network in NETWORKS)
    bounds = uow.divisions.bounds(prefix, at)
    streets = uow.streets.list(bounds)
    shared: dict[str, Any] = {
        "name_zh": top["name"],
        "code": top["code"],
        "at": at,
        "divisions": divisions,
        "streets": touching(streets, divisions),
        "water": touching(uow.water.list(bounds), divisions),
        "sources": credits_of(uow, streets, sources),
        "timezone": timezone,
    }
    if total > MOST_GRIDS:
        return CoverageContent(grids={}, counts=_counts(uow, prefix, at), **shared)
    grids = {network: uow.grids.list(network, prefix, at) for network in NETWORKS}
    grids = {network: _with_answers(frame) for network, frame in grids.items()}
    grids["social"] = _with_workers(uow, grids["social"], prefix, at)
    counted = uow.reports.count_by_grid("social", prefix, at, until=at)
    reports = {code: int(n) for code, n in zip(counted["code"], counted["reports"], strict=True) if n}
    return CoverageContent(grids=grids, reports=reports, **shared)


def touching(frame: gpd.GeoDataFrame, divisions: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the rows that touch the largest division drawn; those around it would only distract."""
    drawn = divisions.geometry[divisions.geometry.notna()]
    if frame.empty or drawn.empty:
        return frame
    whole = drawn.iloc[0]
    shapely.prepare(whole)
    return frame[shapely.intersects(whole, frame.geometry.to_numpy())]


def _with_workers(uow: UnitOfWork, frame: gpd.GeoDataFrame, prefix: str, at: datetime) -> gpd.GeoDataFrame:
    """Return governance grids with the name of the worker who answers for each; no phone leaves with a map."""
    assigned = uow.assignments.list("social", prefix, at)
    workers = uow.workers.list(prefix[:_COMMUNITY_DIGITS], at)
    names = dict(zip(workers["worker_code"], workers["name"], strict=True))
    primary = assigned[assigned["is_primary"].astype(bool)]
    by_grid = {
        grid: names.get(worker, "") for grid, worker in zip(primary["grid_code"], primary["worker_code"], strict=True)
    }
    return frame.assign(worker=[by_grid.get(code, "") for code in frame["code"]])


def _with_answers(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return merged grids with the code of the grid that answers in each network, taken out of ``responsible``."""
    if "responsible" not in frame or frame["responsible"].isna().all():
        return frame
    answers = [value if isinstance(value, dict) else {} for value in frame["responsible"]]
    columns = {
        f"answers_{network}": [(answer.get(network) or {}).get("code") or "" for answer in answers]
        for network in NETWORKS[:3]
    }
    return frame.assign(**columns)


def _counts(uow: UnitOfWork, prefix: str, at: datetime) -> dict[str, dict[str, int]]:
    """Return grids by network, households and reports of every street office and community under a code."""
    listings = Listings(uow.connection, uow.scope)
    counts = {}
    for digits in (_STREET_DIGITS, _COMMUNITY_DIGITS):
        for row in listings.overview(prefix, at=at, digits=digits):
            counts[row["code"]] = {**row["grids"], "households": int(row["households"]), "reports": int(row["reports"])}
    return counts


def credits_of(uow: UnitOfWork, streets: gpd.GeoDataFrame, given: Sequence[str]) -> list[str]:
    """Return where the data came from: what the caller states, else the files imported; OpenStreetMap wherever it was used."""
    found = read_sources(uow, street_sources=streets["source"].astype(str).unique(), stated=given)
    lines = list(given) or (["导入文件 Files imported: " + ", ".join(found.files)] if found.files else [])
    return [*lines, OSM_LINE] if found.uses_osm else lines
