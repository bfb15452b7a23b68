"""The quality report of what is in force, of a draft, or of a file, against the communities, streets and buildings stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry import mapping as geojson

from gridsvc.division.communities import DivisionRules, Floats, Geometries
from gridsvc.division.exactness import proved_exact
from gridsvc.division.quality_report import KINDS, Borders, Bounds, GridSet, Ground, QualityReport, measured
from gridsvc.errors import FileUnreadableError, NotFoundError, RequestInvalidError
from gridsvc.formats.declared_datum import declare_datum
from gridsvc.formats.import_fields import as_numbers, as_text, map_columns
from gridsvc.formats.vector_files import read_table
from gridsvc.geo.partitions import insert_vertices
from gridsvc.geo.projections import gauss_kruger_epsg, to_metric, to_storage
from gridsvc.progress import SILENT, Progress
from gridsvc.services.community_inputs import (
    BARRIER_COLUMNS,
    RESIDENCE_COLUMNS,
    STREET_COLUMNS,
    STREETS_NOT_FOLLOWED,
    WATER_COLUMNS,
    community_inputs,
)
from gridsvc.services.division_run import Crew, TargetTask
from gridsvc.services.division_wishes import DEDICATED
from gridsvc.store.unit_of_work import UnitOfWork

NETWORK_OF_KIND = {"unit": "urban", "governance": "social"}
KIND_OF_NETWORK = {network: kind for kind, network in NETWORK_OF_KIND.items()}
_MARGIN_DEG = 0.001
_ON_BOUNDARY_DEG = 1e-8  # about 1 mm
_DISTRICT_DIGITS, _COMMUNITY_DIGITS = 6, 12


@dataclass(frozen=True, slots=True)
class DivisionQuality:
    """A quality report and what it is of.

    ``source`` is ``in force``, ``redraw ID`` or ``file NAME``; ``epsg`` the projected system of the report's geometries.
    """

    code: str
    name: str
    kind: str
    network: str
    source: str
    at: datetime
    epsg: int
    report: QualityReport

    def as_dict(self, *, rows: bool = True, most_problems: int | None = None) -> dict[str, Any]:
        """Return everything as JSON knows it, places as GeoJSON in EPSG:4490 with a point to go to.

        Parameters
        ----------
        rows
            With one entry for each grid.
        most_problems
            The gravest so many only; None takes all. ``problems_total`` counts all in either case.
        """
        report = self.report
        chosen = report.problems[:most_problems]
        plain = asdict(replace(report, rows=report.rows if rows else (), problems=()))
        if not rows:
            plain.pop("rows")
        plain["problems"] = _problems(chosen, self.epsg)
        plain["problems_total"] = len(report.problems)
        about = {name: getattr(self, name) for name in ("code", "name", "kind", "network", "source")}
        return about | {"at": self.at.isoformat()} | {k: v for k, v in plain.items() if k not in about}


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A report with the grids, the ground and the borders it was made from, for drawing. Frames are in EPSG:4490."""

    quality: DivisionQuality
    grids: gpd.GeoDataFrame
    before: gpd.GeoDataFrame | None
    communities: gpd.GeoDataFrame
    ground: Ground
    borders: Borders


def report_quality(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    kind: str = "governance",
    redraw: str | None = None,
    file: Path | None = None,
    datum: str | None = None,
    columns: Mapping[str, str] | None = None,
    layer: str | None = None,
    targets: bool = True,
    bounds: Bounds | None = None,
    rules: DivisionRules | None = None,
    processes: int = 1,
    progress: Progress = SILENT,
) -> DivisionQuality:
    """Return the quality report of the grids of a division.

    Parameters
    ----------
    code
        City, district, street office or community; of a redraw or a file only what lies under it is measured.
    at
        The instant whose grids, communities and names are meant; a draft or file is compared with what is in force then.
    kind
        ``governance`` or ``unit``.
    redraw
        Id of a draft (or of a decided redraw) to report on in place of what is in force.
    file, datum, columns, layer
        A file to report on, the datum it is in (declared, never guessed), header of the file to field as for imports, its layer.
    targets
        Compare unit grids with their target area; takes a moment for each community (some 30 ms).
    bounds
        Expectations; default: those of the rules.
    rules
        Of the division; household bounds and target area come from them.
    processes
        Communities whose ground is weighed side by side.

    Raises
    ------
    NotFoundError
        No such division, redraw, or no grid to report on.
    RequestInvalidError
        An unknown kind, or both a redraw and a file.
    DatumMissingError
        A file without a declared datum.
    """
    source = _source(uow, code, at, kind, redraw, file, datum, columns, layer)
    made = survey(
        uow, code, source, at=at, targets=targets, bounds=bounds, rules=rules, processes=processes, progress=progress
    )
    return made.quality


@dataclass(frozen=True, slots=True)
class Source:
    """Grids to report on, in EPSG:4490, and the grids before them (None for what is in force)."""

    kind: str
    label: str
    grids: gpd.GeoDataFrame
    before: gpd.GeoDataFrame | None


def _source(
    uow: UnitOfWork,
    code: str,
    at: datetime,
    kind: str,
    redraw: str | None,
    file: Path | None,
    datum: str | None,
    columns: Mapping[str, str] | None,
    layer: str | None,
) -> Source:
    if redraw is not None and file is not None:
        raise RequestInvalidError("A redraw and a file cannot be reported on together.", hint="Name one of them.")
    if file is not None:
        _network(kind)
        frame = read_grids(file, datum, columns=columns, layer=layer)
        frame = frame[frame["community_code"].str.startswith(code)].reset_index(drop=True)
        before = uow.grids.list(_network(kind), code, at)
        return Source(kind, f"file {file.name}", frame, before if len(before) else None)
    return stored_source(uow, code, at, kind, redraw)


def stored_source(uow: UnitOfWork, code: str, at: datetime, kind: str, redraw: str | None = None) -> Source:
    """Return the grids of a kind under ``code``: in force at ``at``, or of a redraw with those in force as ``before``."""
    held = uow.grids.list(_network(kind), code, at)
    if redraw is None:
        return Source(kind, "in force", held, None)
    drafted = uow.redraws.grids(_redraw_id(redraw))
    drafted = drafted[(drafted["network"] == NETWORK_OF_KIND[kind]) & drafted["community_code"].str.startswith(code)]
    touched = held["community_code"].isin(drafted["community_code"])
    before = held[touched].reset_index(drop=True)
    return Source(kind, f"redraw {redraw}", drafted.reset_index(drop=True), before if len(before) else None)


def _redraw_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise NotFoundError(f"There is no redraw {text}.", hint="Ids are listed by gridsvc redraw list.") from None


def _network(kind: str) -> str:
    if kind not in KINDS:
        raise RequestInvalidError(f"{kind!r} is no kind of grid.", hint=f"Use {' or '.join(KINDS)}.", field="kind")
    return NETWORK_OF_KIND[kind]


def read_grids(
    path: Path, datum: str | None, *, columns: Mapping[str, str] | None = None, layer: str | None = None
) -> gpd.GeoDataFrame:
    """Return the grids of a file in EPSG:4490 as they stand, broken ones too: code, community_code, households, population, geometry.

    The community is the stated one, else the first 12 digits of the code.

    Raises
    ------
    FileUnreadableError
        The file is not readable or has no shapes.
    DatumMissingError, DatumUnknownError, CrsMismatchError
        As for imports.
    ImportRefusedError
        It has no column that means the grid code.
    """
    table = read_table(path, layer=layer)
    if table.geometry is None:
        raise FileUnreadableError(
            f"{path.name} has no shapes.", hint="Give grids as GeoJSON, GeoPackage, GeoParquet or Shapefile."
        )
    declared = declare_datum(datum, table.crs, path.name)
    values = map_columns(table.frame, "grids", columns or {}, has_geometry=True)
    codes = as_text(values["code"])
    own = np.array([code[:_COMMUNITY_DIGITS] for code in codes], dtype=object)
    stated = as_text(values["community_code"]) if "community_code" in values else own
    counts = {
        name: np.nan_to_num(as_numbers(values[name])[0], nan=0.0).astype(np.int64)
        for name in ("households", "population")
        if name in values
    }
    shapes = declared.to_storage(_drawable(np.asarray(table.geometry, dtype=object)))
    return gpd.GeoDataFrame(
        {"code": codes, "community_code": np.where(stated == "", own, stated), **counts},
        geometry=shapes,
        crs="EPSG:4490",
    )


def _drawable(shapes: Geometries) -> Geometries:
    """Return the shapes with those missing, or with coordinates that are no numbers, as empty polygons."""
    x = shapely.bounds(shapes)
    bad = shapely.is_missing(shapes) | (~np.isfinite(x).all(axis=1) & ~shapely.is_empty(shapes))
    kept = shapes.copy()
    kept[bad] = shapely.Polygon()
    return kept


def survey(
    uow: UnitOfWork,
    code: str,
    source: Source,
    *,
    at: datetime,
    targets: bool = True,
    bounds: Bounds | None = None,
    rules: DivisionRules | None = None,
    communities: gpd.GeoDataFrame | None = None,
    processes: int = 1,
    progress: Progress = SILENT,
) -> Surveyed:
    """Return the report of ``source`` with everything it was made from; see `report_quality`.

    ``communities`` narrows it to some of those under ``code``, rows as the store gives them.
    """
    rules = rules or DivisionRules()
    progress.start("read communities")
    if communities is None:
        communities = _asked(uow.divisions.list(level="community", prefix=code, at=at), source)
    if source.grids.empty:
        raise NotFoundError(
            f"There are no {source.kind} grids under {code} ({source.label}) at {at.isoformat()}.",
            hint=f"Divide it first: gridsvc divide {code}; --at names another instant.",
            code=code,
        )
    drawn = communities[~(communities.geometry.isna() | communities.geometry.is_empty)].reset_index(drop=True)
    if drawn.empty:
        raise NotFoundError(
            f"No community under {code} has a boundary at {at.isoformat()}, so nothing can be measured.",
            hint="Import divisions with polygons first.",
            code=code,
        )
    progress.start("read streets and buildings")
    district = uow.divisions.bounds(code[:_DISTRICT_DIGITS], at) or tuple(drawn.total_bounds)
    epsg = gauss_kruger_epsg((district[0] + district[2]) / 2)
    drawn = _with_grid_vertices(drawn, source.grids, epsg)
    around = _Around.read(uow, code, drawn)
    ground = around.ground(drawn, epsg)
    target = None
    if source.kind == "unit" and targets:
        target = _targets(source.grids, drawn, around, epsg, rules, processes, progress)
    limits = bounds or (
        Bounds(rules.households_min, rules.households_max)
        if source.kind == "governance"
        else Bounds(None, None, area_spread=rules.unit_area_spread)
    )
    limits = replace(limits, target_m2=target) if target is not None else limits
    progress.start("measure grids")
    before = None if source.before is None else grid_set(source.before, epsg)
    report, borders = measured(grid_set(source.grids, epsg), ground, limits, kind=source.kind, before=before)
    top = uow.divisions.get(code, at)
    quality = DivisionQuality(
        code=code,
        name=str(top["name"]) if top else "",
        kind=source.kind,
        network=NETWORK_OF_KIND[source.kind],
        source=source.label,
        at=at,
        epsg=epsg,
        report=_with_undrawn(report, communities, drawn),
    )
    return Surveyed(quality, source.grids, source.before, communities, ground, borders)


def _with_grid_vertices(drawn: gpd.GeoDataFrame, grids: gpd.GeoDataFrame, epsg: int) -> gpd.GeoDataFrame:
    """Return the communities with the vertices that their grids alone have on the boundary, where it is not matched without.

    A boundary straight in longitude and latitude is bent in metres, by a centimetre on a kilometre; a vertex that lies on it as stored
    would lie beside it when measured.
    """
    sound = shapely.is_valid(grids.geometry.to_numpy()) & ~shapely.is_empty(grids.geometry.to_numpy())
    shapes = grids.geometry.to_numpy()[sound]
    place = pd.Series(np.arange(len(drawn)), index=drawn["code"])
    community = place.reindex(grids["community_code"].to_numpy()[sound]).fillna(-1).to_numpy(dtype=np.int64)
    boundaries = drawn.geometry.to_numpy().copy()
    proved = proved_exact(to_metric(boundaries, epsg), to_metric(shapes, epsg), community)
    for i in np.flatnonzero(~proved):
        vertices = shapely.get_coordinates(shapely.force_2d(shapes[community == i]))
        if len(vertices):
            boundaries[i] = insert_vertices(boundaries[i], vertices, _ON_BOUNDARY_DEG)
    return drawn.set_geometry(gpd.GeoSeries(boundaries, crs=drawn.crs))


def _asked(communities: gpd.GeoDataFrame, source: Source) -> gpd.GeoDataFrame:
    """Return the communities a report is about: all of them, of a redraw those it redraws."""
    if source.label.startswith("redraw"):
        communities = communities[communities["code"].isin(source.grids["community_code"])]
    return communities.reset_index(drop=True)


def _with_undrawn(report: QualityReport, communities: gpd.GeoDataFrame, drawn: gpd.GeoDataFrame) -> QualityReport:
    missing = sorted(set(communities["code"]) - set(drawn["code"]))
    if not missing:
        return report
    note = f"{len(missing)} communities have no boundary and are left out: {', '.join(missing[:5])}"
    return replace(report, notes=(*report.notes, note))


def grid_set(frame: gpd.GeoDataFrame, epsg: int) -> GridSet:
    """Return a frame of grids (EPSG:4490) as the report takes it, in metres."""
    counts = {
        name: frame[name].fillna(0).to_numpy(dtype=np.int64) for name in ("households", "population") if name in frame
    }
    return GridSet(
        codes=frame["code"].to_numpy(dtype=object),
        shapes=to_metric(frame.geometry.to_numpy(), epsg),
        communities=frame["community_code"].to_numpy(dtype=object),
        is_dedicated=(frame["kind"] == DEDICATED).to_numpy(dtype=bool) if "kind" in frame else np.zeros(0, dtype=bool),
        **counts,
    )


@dataclass(frozen=True, slots=True)
class _Around:
    """Rows of the store in and around the communities, in EPSG:4490."""

    streets: gpd.GeoDataFrame
    barriers: gpd.GeoDataFrame
    water: gpd.GeoDataFrame
    residences: gpd.GeoDataFrame

    @classmethod
    def read(cls, uow: UnitOfWork, code: str, drawn: gpd.GeoDataFrame) -> _Around:
        west, south, east, north = drawn.total_bounds
        bbox = (west - _MARGIN_DEG, south - _MARGIN_DEG, east + _MARGIN_DEG, north + _MARGIN_DEG)
        # buildings of communities beside these may stand across their borders
        residences = uow.residences.list(prefix=code[:_DISTRICT_DIGITS], columns=RESIDENCE_COLUMNS)
        near = shapely.intersects(shapely.box(*bbox), residences.geometry.to_numpy())
        return cls(
            streets=uow.streets.list(bbox, columns=STREET_COLUMNS),
            barriers=uow.barriers.list(bbox, columns=BARRIER_COLUMNS),
            water=uow.water.list(bbox, columns=WATER_COLUMNS),
            residences=residences[near].reset_index(drop=True),
        )

    def ground(self, drawn: gpd.GeoDataFrame, epsg: int) -> Ground:
        """Return what grids are measured against, in metres; streets off the ground lead no border."""
        streets = self.streets[(self.streets["layer"] == 0) & ~self.streets["street_class"].isin(STREETS_NOT_FOLLOWED)]
        is_water = (self.barriers["kind"] == "water").to_numpy()
        barriers = _metric(self.barriers, epsg)
        own = self.residences["community_code"].isin(drawn["code"]).to_numpy()
        households, population = (
            np.where(own, self.residences[name].to_numpy(dtype=np.int64), 0) for name in ("households", "population")
        )
        return Ground(
            communities=drawn["code"].to_numpy(dtype=object),
            boundaries=to_metric(drawn.geometry.to_numpy(), epsg),
            streets=_metric(streets, epsg),
            walls=barriers[~is_water],
            water=np.concatenate([barriers[is_water], shapely.boundary(_metric(self.water, epsg))]),
            buildings=_metric(self.residences, epsg),
            building_communities=self.residences["community_code"].to_numpy(dtype=object),
            households=households,
            population=population,
        )


def _metric(frame: gpd.GeoDataFrame, epsg: int) -> Geometries:
    return to_metric(frame.geometry.to_numpy(), epsg) if len(frame) else np.empty(0, dtype=object)


def _targets(
    grids: gpd.GeoDataFrame,
    drawn: gpd.GeoDataFrame,
    around: _Around,
    epsg: int,
    rules: DivisionRules,
    processes: int,
    progress: Progress,
) -> Floats:
    """Return the target area of every unit grid; that of built-up land where the community is not known."""
    inputs = community_inputs(
        drawn, epsg, streets=around.streets, barriers=around.barriers, water=around.water, residences=around.residences
    )
    shapes = to_metric(grids.geometry.to_numpy(), epsg)
    sound: NDArray[np.bool_] = shapely.is_valid(shapes) & ~shapely.is_empty(shapes)
    target = np.full(len(grids), rules.unit_area_m2)
    codes, here = grids["community_code"].to_numpy(), np.flatnonzero(sound)
    positions = {code: here[rows] for code, rows in pd.Series(here).groupby(codes[here]).indices.items()}
    asked = [community for community in inputs if community.code in positions]
    tasks = [TargetTask(community, shapes[positions[community.code]], rules) for community in asked]
    with Crew(processes, len(tasks)) as crew:
        for task, found in zip(tasks, crew.unit_targets(tasks, progress), strict=True):
            target[positions[task.community.code]] = found
    return target


def _problems(problems: Any, epsg: int) -> list[dict[str, Any]]:
    if not problems:
        return []
    places = np.array([p.place for p in problems], dtype=object)
    middles = to_storage(shapely.point_on_surface(places), epsg)
    shapes = to_storage(places, epsg)
    return [
        {
            "kind": p.kind,
            "grids": list(p.grids),
            "community_code": p.community_code,
            "amount": p.amount,
            "unit": p.unit,
            "sentence": p.sentence,
            "sentence_zh": p.sentence_zh,
            "at": [round(middle.x, 6), round(middle.y, 6)] if not middle.is_empty else None,
            "place": geojson(shape) if not shape.is_empty else None,
        }
        for p, middle, shape in zip(problems, middles, shapes, strict=True)
    ]
