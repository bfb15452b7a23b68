"""The division map: surveys the grids of a division, in force or drafted, and hands them to the drawing room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from gridsvc.division.border_course import COURSES
from gridsvc.division.communities import DivisionRules
from gridsvc.division.quality_problems import PROBLEM_KINDS, Problem
from gridsvc.errors import NotFoundError
from gridsvc.geo.projections import to_storage
from gridsvc.maps.division import MOST_GRIDS, MOST_PROBLEMS, DivisionContent, write_division_map
from gridsvc.maps.map_file import WrittenMap
from gridsvc.progress import SILENT, Progress
from gridsvc.services.division_quality import NETWORK_OF_KIND, Source, Surveyed, stored_source, survey
from gridsvc.services.mapping import credits_of, touching
from gridsvc.store.unit_of_work import UnitOfWork

_KINDS = ("governance", "unit")


def write_division(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    out: Path,
    redraw: str | None = None,
    sources: Sequence[str] = (),
    timezone: str = "Asia/Shanghai",
    progress: Progress = SILENT,
) -> WrittenMap:
    """Write the division map of ``code`` to ``out``: grids, what their borders follow, households, problem places, quality.

    Parameters
    ----------
    code
        City, district, street office or community.
    at
        The instant whose grids and names are meant; a redraw is compared with what is in force then.
    redraw
        Id of a redraw to draw in place of what is in force.
    sources
        Lines for the list of sources in place of the names of the files imported.
    timezone
        In which the instant is written on the map.

    Raises
    ------
    NotFoundError
        No such division or redraw, or no grid to draw.
    """
    content = division_content(uow, code, at=at, redraw=redraw, sources=sources, timezone=timezone, progress=progress)
    progress.start("write map")
    return write_division_map(content, out)


def division_content(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    redraw: str | None = None,
    sources: Sequence[str] = (),
    timezone: str = "Asia/Shanghai",
    progress: Progress = SILENT,
) -> DivisionContent:
    """Return what the division map shows; of a city too large for single grids the governance grids' report only."""
    divisions = uow.divisions.list(None, code, at)
    if divisions.empty:
        raise NotFoundError(
            f"There is no division {code} at {at:%Y-%m-%d}.",
            hint="See gridsvc import divisions; --at names another instant.",
            code=code,
        )
    surveys, before = _surveys(uow, code, at, redraw, progress)
    bounds = uow.divisions.bounds(code, at)
    streets = uow.streets.list(bounds)
    residences = touching(uow.residences.list(prefix=code), divisions)
    rules = DivisionRules()
    return DivisionContent(
        name_zh=str(divisions.iloc[0]["name"]),
        code=code,
        at=at,
        redraw=redraw or "",
        divisions=divisions,
        grids={kind: found.grids for kind, found in surveys.items()},
        reports={kind: found.quality.report for kind, found in surveys.items()},
        borders={kind: _borders(found) for kind, found in surveys.items()},
        problems=_problems(surveys),
        bounds=(rules.households_min, rules.households_max),
        before={kind: found.grids for kind, found in before.items()},
        reports_before={kind: found.quality.report for kind, found in before.items()},
        buildings=residences,
        streets=touching(streets, divisions),
        water=touching(uow.water.list(bounds), divisions),
        sources=credits_of(uow, streets, sources),
        timezone=timezone,
    )


def _surveys(
    uow: UnitOfWork, code: str, at: datetime, redraw: str | None, progress: Progress
) -> tuple[dict[str, Surveyed], dict[str, Surveyed]]:
    """Return the survey of each kind that has grids, and of those that a redraw replaces."""
    total = sum(uow.grids.count(NETWORK_OF_KIND[kind], code, at) for kind in _KINDS)
    surveys: dict[str, Surveyed] = {}
    before: dict[str, Surveyed] = {}
    for kind in _KINDS if total <= MOST_GRIDS or redraw is not None else _KINDS[:1]:
        source = stored_source(uow, code, at, kind, redraw)
        if source.grids.empty:
            continue
        surveys[kind] = survey(uow, code, source, at=at, progress=progress)
        if source.before is not None:
            held = Source(kind, "in force", source.before, None)
            before[kind] = survey(uow, code, held, at=at, communities=surveys[kind].communities, progress=progress)
    if not surveys:
        raise NotFoundError(
            f"There are no grids under {code} to draw at {at.isoformat()}.",
            hint=f"Divide it first: gridsvc divide {code}; --at names another instant.",
            code=code,
        )
    return surveys, before


def _borders(found: Surveyed) -> Mapping[str, Any]:
    """Return the inner borders by what they follow, pieces joined to lines, in EPSG:4490."""
    course = found.borders.course
    lines = {}
    for k, kind in enumerate(COURSES):
        pieces = course.ends[course.kind == k]
        if len(pieces):
            whole = shapely.line_merge(shapely.multilinestrings(shapely.linestrings(pieces)))
            lines[kind] = to_storage(shapely.get_parts(whole), found.quality.epsg)
    return lines


def _problems(surveys: Mapping[str, Surveyed]) -> list[tuple[Problem, shapely.Geometry]]:
    """Return the gravest problem places of all kinds of grids, in EPSG:4490."""
    gravity = {kind: i for i, kind in enumerate(PROBLEM_KINDS)}
    every = [(problem, found.quality.epsg) for found in surveys.values() for problem in found.quality.report.problems]
    chosen = sorted(every, key=lambda item: gravity[item[0].kind])[:MOST_PROBLEMS]
    if not chosen:
        return []
    places = to_storage(np.array([problem.place for problem, _ in chosen], dtype=object), chosen[0][1])
    return [(problem, place) for (problem, _), place in zip(chosen, places, strict=True)]
