"""Sites, missing gates and scenarios as files to hand over: XLSX, CSV, GeoPackage, GeoJSON, GeoParquet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import FileUnreadableError, RequestInvalidError
from gridsvc.formats.row_files import OUT_SUFFIXES, write_rows
from gridsvc.services.circle_gates import GateRanking
from gridsvc.services.circle_scenarios import ScenarioAnswer
from gridsvc.services.circle_siting import SitingAnswer

_SITE_COLUMNS = (
    "rank", "candidate", "name", "lon", "lat", "community_code", "community_name", "gain", "share_after",
)  # fmt: skip
_GATE_COLUMNS = (
    "rank", "gate", "gate_code", "compound_code", "hours", "lon", "lat", "community_code", "community_name",
    "gain", "complete", "saved_hours",
)  # fmt: skip
_RESIDENCE_COLUMNS = (
    "residence_code", "community_code", "count", "lon", "lat", "kind_code", "before_s", "after_s",
)  # fmt: skip


def write_sites(answer: SitingAnswer, out: Path) -> None:
    """Write sites, one row each; an XLSX also has the sheet about, with how good they are and what they were computed by.

    Raises
    ------
    RequestInvalidError
        When the suffix names no format.
    FileUnreadableError
        When the file cannot be written there.
    """
    rows = pd.DataFrame([asdict(site) for site in answer.sites], columns=list(_SITE_COLUMNS))
    about = {name: value for name, value in _plain(answer).items() if name != "sites"}
    _write(out, {"sites": rows, "about": _about_frame(about)}, rows)


def write_gates(ranking: GateRanking, out: Path) -> None:
    """Write ranked gates, one row each with a column for every kind; errors as of :func:`write_sites`."""
    kinds = list(ranking.facts["kinds"])
    flat = [
        {name: getattr(gate, name) for name in _GATE_COLUMNS}
        | {f"gain_{kind}": gate.gain_by_kind.get(kind, 0.0) for kind in kinds}
        for gate in ranking.ranked
    ]
    rows = pd.DataFrame(flat, columns=[*_GATE_COLUMNS, *(f"gain_{kind}" for kind in kinds)])
    about = {name: value for name, value in _plain(ranking).items() if name != "ranked"}
    _write(out, {"gates": rows, "about": _about_frame(about)}, rows)


def write_scenario(answer: ScenarioAnswer, out: Path) -> None:
    """Write who walks another time: an XLSX has the sheets communities, kinds, residences and about, others the residences.

    Errors as of :func:`write_sites`.
    """
    kinds = [row.kind_code for row in answer.kinds]
    communities = [
        {name: value for name, value in asdict(row).items() if name != "kinds"}
        | {
            f"{kind}_{when}": row.kinds[kind][i] if kind in row.kinds else None
            for kind in kinds
            for i, when in enumerate(("before", "after"))
            if any(kind in other.kinds for other in answer.communities)
        }
        for row in answer.communities
    ]
    residences = pd.DataFrame([asdict(row) for row in answer.residences], columns=list(_RESIDENCE_COLUMNS))
    about = {
        name: value for name, value in _plain(answer).items() if name not in ("communities", "kinds", "residences")
    }
    sheets = {
        "communities": pd.DataFrame(
            communities,
            columns=None
            if communities
            else ["community_code", "community_name", "total", "complete_before", "complete_after"],
        ),
        "kinds": pd.DataFrame([asdict(row) for row in answer.kinds]),
        "residences": residences,
        "about": _about_frame(about),
    }
    _write(out, sheets if out.suffix.lower() == ".xlsx" else {"residences": residences}, residences)


def _plain(answer: SitingAnswer | GateRanking | ScenarioAnswer) -> dict[str, Any]:
    """Return an answer with what it was computed by beside its figures, without how long that took: the same answer gives the same bytes."""
    document = asdict(answer)
    return {name: value for name, value in document.items() if name not in ("facts", "seconds")} | document["facts"]


def _about_frame(about: dict[str, Any]) -> pd.DataFrame:
    rows = [
        (name, "" if value is None else json.dumps(value, ensure_ascii=False) if _is_nested(value) else str(value))
        for name, value in about.items()
    ]
    return pd.DataFrame(rows, columns=["name", "value"])


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def _write(out: Path, sheets: dict[str, pd.DataFrame], placed: pd.DataFrame) -> None:
    if out.suffix.lower() not in OUT_SUFFIXES:
        raise RequestInvalidError(
            f"{out.name} cannot be written: its suffix names no format known here.",
            hint=f"Use one of {', '.join(OUT_SUFFIXES)}.",
            field="out",
        )
    points = shapely.points(placed[["lon", "lat"]].to_numpy(dtype=np.float64)) if len(placed) else np.empty(0, object)
    try:
        write_rows(out, sheets, points)
    except OSError as wrong:
        raise FileUnreadableError(
            f"{out} cannot be written: {wrong.strerror or wrong}.", hint="Check the folder.", path=str(out)
        ) from wrong


def gate_features(ranking: GateRanking) -> dict[str, Any]:
    """Return ranked gates as a GeoJSON feature collection, the best first."""
    return {"type": "FeatureCollection", "features": _point_features([asdict(gate) for gate in ranking.ranked], "gate")}


def site_features(answer: SitingAnswer) -> dict[str, Any]:
    """Return sites as a GeoJSON feature collection, in the order in which they help most."""
    return {"type": "FeatureCollection", "features": _point_features([asdict(site) for site in answer.sites], "rank")}


def _point_features(rows: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    return [
        {
            "type": "Feature",
            "id": str(row[key]),
            "geometry": {"type": "Point", "coordinates": [row["lon"], row["lat"]]},
            "properties": {name: value for name, value in row.items() if name not in ("lon", "lat")},
        }
        for row in rows
    ]
