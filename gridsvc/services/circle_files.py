"""Coverage and gaps of a stored run as files to hand over: XLSX, CSV, GeoPackage, GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely

from gridsvc.circle.coverage import CircleStandard
from gridsvc.circle.own_standards import own_standard
from gridsvc.errors import FileUnreadableError, RequestInvalidError
from gridsvc.formats.kind_lists import read_kind_list
from gridsvc.formats.layered_files import write_layers
from gridsvc.formats.row_files import write_rows
from gridsvc.services.circle_gaps import KindGap, list_gap_areas
from gridsvc.services.circle_places import (
    GOVERNANCE_NETWORK,
    LEVELS,
    PlacesCovered,
    cover_places,
    place_rows,
    run_document,
)
from gridsvc.services.circle_runs import RunHomes
from gridsvc.services.circles import circle_standards
from gridsvc.store.unit_of_work import UnitOfWork

TABLE_SUFFIXES = (".xlsx", ".csv", ".gpkg")
GAP_SUFFIXES = (".geojson", ".gpkg")


@dataclass(frozen=True, slots=True)
class FileWritten:
    """A file, how many places or areas it holds, and of which run."""

    out: str
    rows: int
    circle_run_id: int


def read_own_standard(uow: UnitOfWork, path: Path) -> CircleStandard:
    """Return the planner's own list in a JSON or CSV file.

    Raises
    ------
    FileUnreadableError
        When the file cannot be read.
    RequestInvalidError
        When the list is not valid, with every fault and its field.
    """
    kinds = uow.facilities.kinds()["kind_code"].tolist()
    return own_standard(
        read_kind_list(path), known_kinds=frozenset(kinds), taken=frozenset(circle_standards()), where=path.name
    )


def write_coverage_table(
    uow: UnitOfWork,
    code: str,
    out: Path,
    *,
    by: str = "community",
    standard: str | None = None,
    speed_m_s: float | None = None,
) -> FileWritten:
    """Write the coverage of the latest run under ``code`` by place.

    An XLSX has the sheets places, kinds (one row for each place and kind) and run (what it was computed by, and what is doubtful); a CSV the
    places only; a GeoPackage the places with their ground, the gaps, and the run.

    Raises
    ------
    RequestInvalidError
        When the suffix or ``by`` is not known.
    NotFoundError
        When no circle was computed there.
    """
    suffix = _checked_suffix(out, TABLE_SUFFIXES)
    covered = cover_places(uow, code, by=by, standard=standard, speed_m_s=speed_m_s)
    rows = place_rows(covered)
    places = _places_frame(rows, covered)
    if suffix == ".gpkg":
        grounds = _grounds(uow, covered, code)
        layers = {"coverage": gpd.GeoDataFrame(places, geometry=grounds, crs=4490)}
        gaps = list_gap_areas(
            uow, code, standard=covered.found.run["standard"], speed_m_s=covered.found.run["speed_m_s"]
        )[1]
        write_layers(out, layers | {"gaps": _gaps_frame(gaps, covered.found)})
    else:
        _write_sheets(out, {"places": places, "kinds": _kinds_frame(rows, covered), "run": _run_frame(covered.found)})
    return FileWritten(str(out), len(places), covered.found.run["circle_run_id"])


def write_gap_areas(
    uow: UnitOfWork,
    code: str,
    out: Path,
    *,
    standard: str | None = None,
    speed_m_s: float | None = None,
    kinds: Sequence[str] = (),
) -> FileWritten:
    """Write the areas where people lack a kind, from the latest run under ``code``, as GeoJSON or GeoPackage.

    Raises
    ------
    RequestInvalidError
        When the suffix or a kind is not known.
    NotFoundError
        When no circle was computed there.
    """
    suffix = _checked_suffix(out, GAP_SUFFIXES)
    found, areas = list_gap_areas(uow, code, standard=standard, speed_m_s=speed_m_s, kinds=kinds)
    if suffix == ".gpkg":
        write_layers(out, {"gaps": _gaps_frame(areas, found)})
    else:
        text = json.dumps(gap_features(found, areas), ensure_ascii=False) + "\n"
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as wrong:
            raise _unwritable(out, wrong) from wrong
    return FileWritten(str(out), len(areas), found.run["circle_run_id"])


def gap_features(found: RunHomes, areas: Sequence[KindGap]) -> dict[str, Any]:
    """Return gaps as a GeoJSON feature collection; ``run`` says what they were computed by."""
    features = [
        {
            "type": "Feature",
            "id": f"{area.kind_code}-{number}",
            "properties": {
                "kind_code": area.kind_code,
                "kind_name": area.kind_name,
                "population": area.population,
                "households": area.households,
                "residences": area.residences,
                "communities": list(area.communities),
                "area_m2": area.area_m2,
            },
            "geometry": shapely.geometry.mapping(area.area),
        }
        for number, area in enumerate(areas, start=1)
    ]
    return {"type": "FeatureCollection", "run": run_document(found), "features": features}


def _checked_suffix(out: Path, known: Sequence[str]) -> str:
    suffix = out.suffix.lower()
    if suffix not in known:
        raise RequestInvalidError(
            f"{out.name} cannot be written: its suffix names no format known here.",
            hint=f"Use one of {', '.join(known)}.",
            field="out",
        )
    return suffix


def _unwritable(out: Path, wrong: OSError) -> FileUnreadableError:
    return FileUnreadableError(
        f"{out} cannot be written: {wrong.strerror or wrong}.", hint="Check the folder.", path=str(out)
    )


def _write_sheets(out: Path, sheets: dict[str, pd.DataFrame]) -> None:
    try:
        write_rows(out, sheets)
    except OSError as wrong:
        raise _unwritable(out, wrong) from wrong


def _places_frame(rows: Sequence[dict[str, Any]], covered: PlacesCovered) -> pd.DataFrame:
    """Return one row for each place; a column for the share of people of each kind."""
    kinds = covered.found.rules.codes
    flat = [
        {name: value for name, value in row.items() if name not in ("kinds", "lacking")}
        | {"lacking": " ".join(row["lacking"])}
        | {f"people_{kind}": row["kinds"][kind]["population_share"] for kind in kinds}
        for row in rows
    ]
    shares = [f"people_{kind}" for kind in kinds]
    columns = [name for name in flat[0] if name not in shares] if flat else ["place_code", "name"]
    return pd.DataFrame(flat, columns=[*columns, *shares])


def _kinds_frame(rows: Sequence[dict[str, Any]], covered: PlacesCovered) -> pd.DataFrame:
    minutes = covered.found.count_minutes
    asked = {kind.code: kind for kind in covered.found.rules.kinds}
    return pd.DataFrame(
        [
            {"place_code": row["place_code"], "kind_code": code, "minutes": asked[code].minutes}
            | {
                "required": "yes" if asked[code].required else "no",
                "verified": "yes" if asked[code].is_verified else "no",
            }
            | {name: value for name, value in shares.items() if name != "mean_counts"}
            | {f"mean_within_{limit}_min": mean for limit, mean in zip(minutes, shares["mean_counts"], strict=True)}
            for row in rows
            for code, shares in row["kinds"].items()
        ]
    )


def _run_frame(found: RunHomes) -> pd.DataFrame:
    document = run_document(found)
    flat = {name: value for name, value in document.items() if name != "doubts"} | document["doubts"]
    rows = [(name, " ".join(map(str, value)) if isinstance(value, list) else value) for name, value in flat.items()]
    return pd.DataFrame(
        [(name, "" if value is None else str(value)) for name, value in rows], columns=["name", "value"]
    )


def _gaps_frame(areas: Sequence[KindGap], found: RunHomes) -> gpd.GeoDataFrame:
    columns = ["kind_code", "kind_name", "population", "households", "residences", "communities", "area_m2"]
    rows = [
        (a.kind_code, a.kind_name, a.population, a.households, a.residences, " ".join(a.communities), a.area_m2)
        for a in areas
    ]
    frame = pd.DataFrame(rows, columns=columns).assign(
        standard=found.rules.standard_id, ran_at=found.run["ran_at"].isoformat()
    )
    return gpd.GeoDataFrame(frame, geometry=[area.area for area in areas], crs=4490)


def _grounds(uow: UnitOfWork, covered: PlacesCovered, code: str) -> list[Any]:
    """Return the ground of each place; None for the place of residences that lie in none."""
    at = covered.found.run["ran_at"]
    if covered.by == "residence":
        frame, key = covered.found.homes, "residence_code"
    elif covered.by == "grid":
        frame, key = uow.grids.list(GOVERNANCE_NETWORK, prefix=code, at=at), "code"
    else:
        frame, key = uow.divisions.list(covered.by, prefix=code[: LEVELS[covered.by]], at=at), "code"
    ground = dict(zip(frame[key], frame.geometry, strict=True))
    return [ground.get(place) for place in covered.coverage.place_codes]
