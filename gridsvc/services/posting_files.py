"""Reports of a file as the bodies that ``POST /api/v1/reports`` takes; no database is needed, the server checks the rest.

A row without an id gets one made from its content, so that posting the same file again gives the same ids and doubles nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import FileUnreadableError, RowError
from gridsvc.formats.dataset import INFO_FILE, read_dataset
from gridsvc.formats.declared_datum import declare_datum
from gridsvc.formats.import_fields import map_columns
from gridsvc.formats.vector_files import read_table
from gridsvc.services.import_batch import Batch, datum_of_rows, make_batch, require_geometry
from gridsvc.services.imports_reports import report_sources, report_times

# not the network: it follows from the category
_TEXTS = ("edition", "category_code", "description", "reporter", "device")
_LINES = (".ndjson", ".jsonl")
_DEFAULT_SOURCE = "field_app"


@dataclass(slots=True)
class PostableFile:
    """Bodies of reports in the order of the file, and the rows that cannot be one, each with every fault found."""

    name: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    faults: list[RowError] = field(default_factory=list)


def read_postable(
    path: Path,
    *,
    datum: str | None = None,
    mapping: Mapping[str, str] | None = None,
    timezone: str | None = None,
    encoding: str | None = None,
    layer: str | None = None,
    source: str | None = None,
) -> PostableFile:
    """Return the reports of a file.

    Parameters
    ----------
    path
        NDJSON (.ndjson, .jsonl) holds one body a line as the server takes it. CSV, XLSX, GeoJSON, GeoPackage, Shapefile and Parquet have
        the fields of ``gridsvc import reports``. A data set folder means its reports.
    datum, mapping, timezone, encoding, layer
        As for ``gridsvc import reports``; a ``datum`` column counts first.
    source
        Source of rows that state none, or ``import``, which is for history; default field_app.

    Raises
    ------
    FileUnreadableError, DatumMissingError, CrsMismatchError, ImportRefusedError
        When the file as a whole cannot be taken.
    """
    if path.is_dir():
        path = _reports_of(path)
    if path.name.lower().endswith(_LINES):
        return _read_lines(path, source or _DEFAULT_SOURCE)
    table = read_table(path, encoding=encoding, layer=layer)
    columns = map_columns(table.frame, "reports", mapping or {}, has_geometry=table.geometry is not None)
    batch = make_batch(columns, "reports", path.name, table.geometry)
    for rows, declared in datum_of_rows(batch, lambda: declare_datum(datum, table.crs, table.name)):
        name = declared.name if declared.epsg is None else f"EPSG:{declared.epsg}"
        batch.original_datum[rows] = name
        projected = rows & np.full(len(rows), declared.epsg is not None)
        batch.refuse(projected, "geometry", "is in metres; reports keep their original degrees, so give lon and lat")
    require_geometry(batch, "point", batch.text("report_id"))
    times = report_times(batch, timezone)
    sources = report_sources(batch, source or _DEFAULT_SOURCE)
    bodies = _bodies(batch, times, sources, source or _DEFAULT_SOURCE)
    return PostableFile(path.name, bodies, batch.sorted_faults())


def _reports_of(folder: Path) -> Path:
    found = read_dataset(folder).path_of("reports") if (folder / INFO_FILE).is_file() else None
    if found is None:
        raise FileUnreadableError(
            f"{folder} is no data set with reports.", hint="Give a file, or a folder made by `gridsvc synth`."
        )
    return found


def _read_lines(path: Path, source: str) -> PostableFile:
    found = PostableFile(path.name)
    if not path.is_file():
        raise FileUnreadableError(f"There is no file {path}.", path=str(path))
    with path.open(encoding="utf-8-sig") as lines:
        try:
            for row, line in enumerate(lines, 1):
                if line.strip():
                    _take_line(found, row, line.strip(), source)
        except UnicodeDecodeError as wrong:
            raise FileUnreadableError(f"{path.name} is not UTF-8.", path=str(path)) from wrong
    return found


def _take_line(found: PostableFile, row: int, line: str, source: str) -> None:
    try:
        body = json.loads(line)
    except ValueError as wrong:
        found.faults.append(RowError(row, "", f"is not JSON: {wrong}", line[:80]))
        return
    if not isinstance(body, dict):
        found.faults.append(RowError(row, "", "is not a JSON object", line[:80]))
        return
    body.setdefault("source", source)
    body.setdefault("report_id", made_id(body))
    found.bodies.append(body)


def _bodies(batch: Batch, times: pd.Series, sources: np.ndarray, source: str) -> list[dict[str, Any]]:
    texts = {name: batch.text(name) for name in _TEXTS}
    ids, numbers, accuracy = batch.text("report_id"), batch.text("source_no"), batch.number("accuracy_m")
    lon, lat = shapely.get_x(batch.geometry), shapely.get_y(batch.geometry)
    bodies = []
    for i in np.flatnonzero(batch.good).tolist():
        body: dict[str, Any] = {
            "occurred_at": times.iloc[i].isoformat(),
            "lon": float(lon[i]),
            "lat": float(lat[i]),
            "datum": str(batch.original_datum[i]),
            "source": source if sources[i] == "import" else str(sources[i]),
        }
        body |= {name: str(values[i]) for name, values in texts.items() if values[i]}
        if not np.isnan(accuracy[i]):
            body["accuracy_m"] = float(accuracy[i])
        body["report_id"] = ids[i] or (made_id(numbers[i]) if numbers[i] else made_id(body))
        bodies.append(body)
    return bodies


def made_id(content: Any) -> str:
    """Return a UUID made from a case number or from the content of a report; the same for the same, in every run.

    It has the form of version 4, which servers ask for, with hash bits for random ones.
    """
    text = json.dumps(["gridsvc post", content], sort_keys=True, ensure_ascii=False)
    return str(UUID(bytes=hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], version=4))
