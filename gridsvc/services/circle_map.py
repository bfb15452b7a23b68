"""The service-circle map of a division: reads a stored run and hands it to the drawing room as frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gridsvc.circle.coverage import is_in_time
from gridsvc.circle.gap_areas import gap_areas
from gridsvc.circle.place_coverage import coverage_by_place, mean_counts
from gridsvc.errors import NotFoundError
from gridsvc.geo.projections import to_metric, to_storage, zone_of
from gridsvc.maps.circle import MOST_RESIDENCES, CircleContent, CircleKind, write_circle_map
from gridsvc.maps.map_file import WrittenMap
from gridsvc.progress import SILENT, Progress
from gridsvc.services.circle_places import PlacesCovered, cover_run, place_rows, run_document
from gridsvc.services.circle_runs import RunHomes, read_run
from gridsvc.services.mapping import credits_of, touching
from gridsvc.services.walk_networks import box_around
from gridsvc.store.unit_of_work import UnitOfWork

_AROUND_M = 300.0  # how far around the division facilities are drawn
_SIMPLIFY_M = 2.0  # finer than a gap is drawn


def write_circle(
    uow: UnitOfWork,
    code: str,
    *,
    out: Path,
    standard: str | None = None,
    speed_m_s: float | None = None,
    sources: Sequence[str] = (),
    timezone: str = "Asia/Shanghai",
    progress: Progress = SILENT,
) -> WrittenMap:
    """Write the map of the latest run (by a standard, at a speed) that covers ``code`` to ``out``.

    Parameters
    ----------
    sources
        Lines for the list of sources in place of the names of the files imported.
    timezone
        In which the day of the run is written on the map.

    Raises
    ------
    NotFoundError
        When there is no such division, or no circle was computed there.
    """
    progress.start("read the run")
    found = read_run(uow, code, standard, speed_m_s)
    content = circle_content(uow, code, found, sources=sources, timezone=timezone, progress=progress)
    progress.start("write map")
    return write_circle_map(content, out)


def circle_content(
    uow: UnitOfWork,
    code: str,
    found: RunHomes,
    *,
    sources: Sequence[str] = (),
    timezone: str = "Asia/Shanghai",
    progress: Progress = SILENT,
) -> CircleContent:
    """Return what the map of a run shows under ``code``; raises as :func:`write_circle` does."""
    at = found.run["ran_at"]
    divisions = uow.divisions.list(None, code, at)
    if divisions.empty:
        raise NotFoundError(f"There is no division {code} on the day of the run.", hint="See gridsvc import divisions.")
    bounds = uow.divisions.bounds(code, at)
    streets = uow.streets.list(bounds)
    rows = place_rows(cover_run(uow, code, found, "community"))
    progress.start("gaps")
    # a city shows no single homes, and the ground of gaps between them would be lost on it, too
    gaps = _gaps(found) if len(found.homes) <= MOST_RESIDENCES else _gap_frame([], np.array([], dtype=object))
    return CircleContent(
        name_zh=str(divisions.iloc[0]["name"]),
        code=code,
        ran_at=at,
        run=run_document(found),
        kinds=_kinds(uow, found),
        divisions=divisions,
        communities=rows,
        total=_total(found),
        residences=found.homes,
        times_s=found.times_s,
        is_lacking=~is_in_time(found.times_s, found.rules),
        gaps=gaps,
        facilities=_facilities(uow, found, divisions),
        streets=touching(streets, divisions),
        water=touching(uow.water.list(bounds), divisions),
        sources=credits_of(uow, streets, sources),
        timezone=timezone,
    )


def _kinds(uow: UnitOfWork, found: RunHomes) -> tuple[CircleKind, ...]:
    names = uow.facilities.kinds().set_index("kind_code")
    return tuple(
        CircleKind(
            kind.code,
            str(names.loc[kind.code, "name_zh"]),
            str(names.loc[kind.code, "name_en"]),
            kind.minutes,
            kind.required,
            kind.is_verified,
        )
        for kind in found.rules.kinds
    )


def _total(found: RunHomes) -> dict[str, Any] | None:
    """Return the coverage of all residences together; None without any."""
    homes = found.homes
    if homes.empty:
        return None
    people, nowhere = homes["population"].to_numpy(), [""] * len(homes)
    whole = coverage_by_place(
        found.times_s, found.rules, population=people, households=homes["households"].to_numpy(), place_codes=nowhere
    )
    return place_rows(PlacesCovered("", found, whole, ("",), mean_counts(found.counts, people, nowhere)))[0]


def _gaps(found: RunHomes) -> gpd.GeoDataFrame:
    """Return where people lack a required kind (-1), and each kind; kinds lacking at the same homes share their areas."""
    homes = found.homes
    lacks = ~is_in_time(found.times_s, found.rules)
    lacks = np.column_stack([(lacks & found.rules.required).any(axis=1), lacks])
    grounds = homes.geometry.to_numpy()
    if homes.empty:
        return _gap_frame([], np.array([], dtype=object))
    distinct, kind_of = np.unique(lacks, axis=1, return_inverse=True)
    sharing = [(np.flatnonzero(kind_of.ravel() == column) - 1).tolist() for column in range(distinct.shape[1])]
    epsg = zone_of(grounds)
    areas = gap_areas(
        to_metric(grounds, epsg),
        distinct,
        population=homes["population"].to_numpy(),
        households=homes["households"].to_numpy(),
    )
    areas = sorted(areas, key=lambda area: (-area.population, area.kind, *area.area.bounds))
    shapes = shapely.simplify(np.array([area.area for area in areas], dtype=object), _SIMPLIFY_M)
    rows = [(sharing[area.kind], area.population, area.households, area.residences) for area in areas]
    return _gap_frame(rows, to_storage(shapes, epsg) if len(shapes) else shapes)


def _gap_frame(rows: Sequence[tuple[Any, ...]], shapes: np.ndarray) -> gpd.GeoDataFrame:
    frame = pd.DataFrame(rows, columns=["kinds", "population", "households", "residences"])
    return gpd.GeoDataFrame(frame, geometry=list(shapes), crs=4490)


def _facilities(uow: UnitOfWork, found: RunHomes, divisions: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the facilities of the run's kinds in and around the division."""
    drawn = divisions.geometry[divisions.geometry.notna()]
    if drawn.empty:
        return uow.facilities.list(at=found.run["ran_at"]).iloc[:0]
    shape = np.array([shapely.box(*drawn.total_bounds)], dtype=object)
    epsg = zone_of(shape)
    box = box_around(to_metric(shape, epsg)[0], epsg, _AROUND_M)
    facilities = uow.facilities.list(bbox=box, at=found.run["ran_at"])
    return facilities[facilities["kind_code"].isin(found.rules.codes)]
