"""Bring a file into the store: read, check every row, then store all of it or nothing.

The unit of work is the caller's: this module never commits, so that a file is kept or forgotten as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import FileUnreadableError, ImportRefusedError, RequestInvalidError, RowError
from gridsvc.formats.amap_points import amap_columns
from gridsvc.formats.declared_datum import DeclaredDatum, declare_datum
from gridsvc.formats.import_fields import map_columns
from gridsvc.formats.osm import read_osm
from gridsvc.formats.vector_files import FileTable, read_table
from gridsvc.geo.border_fit import REACH_M
from gridsvc.progress import SILENT, Progress
from gridsvc.services.import_batch import Batch, BorderFault, ImportOptions, Repair, datum_of_rows, make_batch, place
from gridsvc.services.imports_addresses import check_addresses, store_addresses
from gridsvc.services.imports_basemap import (
    check_barriers,
    check_streets,
    check_water,
    store_barriers,
    store_streets,
    store_water,
)
from gridsvc.services.imports_components import check_components, store_components
from gridsvc.services.imports_compounds import check_compounds, check_gates, store_compounds, store_gates
from gridsvc.services.imports_departments import check_departments, check_duties, store_departments, store_duties
from gridsvc.services.imports_divisions import check_divisions, store_divisions
from gridsvc.services.imports_facilities import check_facilities, store_facilities
from gridsvc.services.imports_grids import GRID_KINDS, check_grids, store_grids
from gridsvc.services.imports_osm import check_osm, store_osm
from gridsvc.services.imports_places import check_residences, store_residences
from gridsvc.services.imports_reports import check_reports, store_reports
from gridsvc.services.imports_workers import check_workers, store_workers
from gridsvc.store.unit_of_work import UnitOfWork

KINDS = (
    "divisions", "streets", "residences", "facilities", "workers", "grids", "reports", "water", "barriers", "osm",
    "addresses", "components", "compounds", "gates", "departments", "duties",
)  # fmt: skip
_CHECK: dict[str, Callable[[Batch, UnitOfWork, ImportOptions], pd.DataFrame]] = {
    "divisions": check_divisions, "streets": check_streets, "water": check_water, "barriers": check_barriers,
    "residences": check_residences, "facilities": check_facilities, "workers": check_workers, "grids": check_grids,
    "reports": check_reports, "addresses": check_addresses, "components": check_components, "compounds": check_compounds,
    "gates": check_gates, "departments": check_departments, "duties": check_duties,
}  # fmt: skip
_STORE: dict[str, Callable[[UnitOfWork, pd.DataFrame, ImportOptions], tuple[Any, ...]]] = {
    "divisions": store_divisions, "streets": store_streets, "water": store_water, "barriers": store_barriers,
    "residences": store_residences, "facilities": store_facilities, "workers": store_workers, "grids": store_grids,
    "reports": store_reports, "addresses": store_addresses, "components": store_components, "compounds": store_compounds,
    "gates": store_gates, "departments": store_departments, "duties": store_duties,
}  # fmt: skip
_DEFAULT_NETWORK = "security"


@dataclass(slots=True)
class ImportResult:
    """What an import did.

    Attributes
    ----------
    rows_read
        Rows of the file (for osm: streets, buildings and facilities found).
    rows_stored, rows_unchanged
        Rows written, and rows that were stored already and are the same. A line of several parts counts once per part.
    refused
        Rows left out, with every fault found; with ``partial`` only, otherwise a fault refuses the file.
    repaired
        Invalid polygons that were repaired.
    borders
        Divisions whose boundaries differ from each other, or from those stored beside them; they are stored all the same.
    aligned
        Boundaries moved onto those beside them.
    already_imported
        The same file was imported before in the same way, and no other of its kind since; nothing was changed.
    dry_run
        Checked only; ``rows_stored`` is what would be stored.
    counts
        More numbers of the kind: coverage of grids by district, what an OSM extract held.
    """

    kind: str
    file: str
    rows_read: int = 0
    rows_stored: int = 0
    rows_unchanged: int = 0
    refused: list[RowError] = field(default_factory=list)
    repaired: list[Repair] = field(default_factory=list)
    borders: list[BorderFault] = field(default_factory=list)
    aligned: int = 0
    already_imported: bool = False
    dry_run: bool = False
    counts: dict[str, Any] = field(default_factory=dict)


def import_file(
    uow: UnitOfWork,
    kind: str,
    path: Path | str,
    *,
    datum: str | None,
    valid_from: datetime,
    mapping: Mapping[str, str] | None = None,
    partial: bool = False,
    dry_run: bool = False,
    repair: bool = False,
    align_m: float | None = None,
    network: str | None = None,
    encoding: str | None = None,
    layer: str | None = None,
    timezone: str | None = None,
    actor: str = "import",
    source: str | None = None,
    progress: Progress = SILENT,
) -> ImportResult:
    """Check a file of one kind and store its rows, all or nothing; return what was done. The caller commits.

    Parameters
    ----------
    kind
        One of `KINDS`.
    datum
        Datum of the coordinates: wgs84, cgcs2000, gcj02, bd09, EPSG:n, or ``file`` for "as the file says". A ``datum`` column of reports
        and components counts first. May be None only when no row has a position (names and codes of divisions). OSM is always wgs84.
    valid_from
        Instant (aware) from which dated rows hold; rows are checked against the divisions of that instant.
    mapping
        Header of the file -> field, for headers that are no alias (docs/how-to/import.md).
    partial
        Store the good rows and list the others, instead of refusing the file.
    dry_run
        Check only; nothing is written.
    repair
        Repair invalid polygons instead of refusing them.
    align_m
        Of ``divisions``: bring boundaries that miss each other, or those stored, by no more than this onto one line. Unit: m, up to 1.
    network
        Network of ``grids``: urban, social or security (default).
    encoding, layer
        As `gridsvc.formats.vector_files.read_table`.
    timezone
        Zone of times (of reports, and from and until when duties hold) that come without a UTC offset; without it they are refused.
    actor
        Who imports; recorded with a redraw.
    source
        Where the rows come from, kept with each row and credited on maps; the file's name when not given.

    Raises
    ------
    ImportRefusedError
        When rows have faults (all are listed) or columns are missing; nothing is stored.
    FileUnreadableError, DatumMissingError, DatumUnknownError, CrsMismatchError, RequestInvalidError
        When the file as a whole cannot be taken.
    """
    _check_request(kind, valid_from, network, align_m)
    path = Path(path)
    options = ImportOptions(
        valid_from, network or _DEFAULT_NETWORK, repair, partial, align_m, timezone, actor, source, progress
    )
    aligning = {} if align_m is None else {"align_m": align_m}
    key = _content_key(path, kind, datum=datum, mapping=dict(mapping or {}), partial=partial, repair=repair, network=network,
                       encoding=encoding, layer=layer, timezone=timezone, **aligning)  # fmt: skip
    result = ImportResult(kind, path.name, dry_run=dry_run)
    before = _same_import(uow, kind, key)
    if before is not None:
        result.already_imported = True
        result.rows_read = before["rows_stored"] + before["rows_refused"]
        result.rows_unchanged = before["rows_stored"]
        return result
    if kind == "osm":
        _import_osm(uow, path, options, result)
        recorded_datum = "wgs84"
    else:
        recorded_datum = _import_table(uow, path, datum, mapping or {}, options, result, encoding, layer)
    if not dry_run:
        _record(uow, key, recorded_datum, result)
    return result


def _same_import(uow: UnitOfWork, kind: str, key: str) -> dict[str, Any] | None:
    """Return the import of the same file when it still stands: another file of the kind may since have changed its rows."""
    before = uow.imports.find(kind, key)
    if before is None or kind == "reports":  # reports are never changed by a later file
        return before
    return before if uow.imports.list(kind)["import_id"].iloc[0] == before["import_id"] else None


def _check_request(kind: str, valid_from: datetime, network: str | None, align_m: float | None) -> None:
    if kind not in KINDS:
        raise RequestInvalidError(f"{kind!r} cannot be imported.", hint=f"Kinds: {', '.join(KINDS)}.", field="kind")
    if valid_from.tzinfo is None:
        raise RequestInvalidError("valid_from has no UTC offset.", hint="Give an aware instant.", field="valid_from")
    if network is not None and network not in GRID_KINDS:
        raise RequestInvalidError(
            f"Grids of network {network!r} cannot be imported.",
            hint=f"Use one of {', '.join(GRID_KINDS)}.",
            field="network",
        )
    if align_m is None:
        return
    if kind != "divisions":
        raise RequestInvalidError(
            f"{kind} cannot be aligned.", hint="Only divisions have borders in common.", field="align_m"
        )
    if not 0.0 < align_m <= REACH_M:
        raise RequestInvalidError(
            f"Boundaries cannot be aligned within {align_m:g} m.",
            hint=f"Give more than 0 and at most {REACH_M:g} m; what is further apart was drawn differently.",
            field="align_m",
        )


def _content_key(path: Path, kind: str, **how: Any) -> str:
    """Return the SHA-256 of the file and of how it is read: the same bytes in another datum are another import."""
    if not path.is_file():
        raise FileUnreadableError(f"There is no file {path}.", path=str(path))
    digest = hashlib.sha256()
    for part in _parts_of(path):
        with part.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    digest.update(json.dumps([kind, how], sort_keys=True, ensure_ascii=False).encode())
    return digest.hexdigest()


def _parts_of(path: Path) -> list[Path]:
    """Return the files that make up ``path``: a Shapefile keeps its texts and its CRS beside it."""
    if path.suffix.lower() != ".shp":
        return [path]
    beside = (".shp", ".shx", ".dbf", ".prj", ".cpg")
    return sorted(p for p in path.parent.glob(f"{path.stem}.*") if p.suffix.lower() in beside)


def _import_table(
    uow: UnitOfWork, path: Path, datum: str | None, mapping: Mapping[str, str], options: ImportOptions, result: ImportResult,
    encoding: str | None, layer: str | None,
) -> str:  # fmt: skip
    options.progress.start(f"reading {path.name}")
    table = read_table(path, encoding=encoding, layer=layer)
    result.rows_read = len(table.frame)
    options.progress.start(f"checking {result.kind}", len(table.frame))
    rows = amap_columns(table.frame, mapping) if result.kind == "facilities" else table.frame
    columns = map_columns(rows, result.kind, mapping, has_geometry=table.geometry is not None)
    batch = make_batch(columns, result.kind, options.source or path.name, table.geometry)
    original = batch.geometry.copy()
    declared: list[DeclaredDatum] = []

    def file_datum() -> DeclaredDatum:
        if not declared:
            declared.append(declare_datum(datum, table.crs, table.name))
        return declared[0]

    place(batch, datum_of_rows(batch, file_datum))
    frame = _CHECK[result.kind](batch, uow, options)
    options.progress.advance(len(table.frame))
    result.repaired, result.borders, result.aligned = batch.repairs, batch.borders, batch.aligned
    result.refused = batch.sorted_faults()
    _refuse_faults(batch, table, options)
    good = _storable(frame, batch, original)
    if result.dry_run:
        result.rows_stored = len(good)
    else:
        options.progress.start(f"storing {result.kind}")
        result.rows_stored, result.rows_unchanged, *more = _STORE[result.kind](uow, good, options)
        if more:
            result.counts = more[0]
    return declared[0].name if declared else next(iter(batch.original_datum[batch.good]), "")


def _refuse_faults(batch: Batch, table: FileTable, options: ImportOptions) -> None:
    faults = batch.sorted_faults()
    if not faults or (options.partial and batch.good.any()):
        return
    bad = int(batch.refused.sum())
    raise ImportRefusedError(
        f"{table.name} was refused: {bad} of {len(batch.rows)} rows have faults; nothing was stored.",
        rows=faults,
        hint="Mend them and import again" + ("." if options.partial else ", or store the good rows with --partial."),
        file=table.name, kind=batch.kind, rows_refused=bad,
    )  # fmt: skip


def _storable(frame: pd.DataFrame, batch: Batch, original: np.ndarray) -> geopandas.GeoDataFrame:
    """Return the good rows as the store wants them: EPSG:4490, with source and original datum."""
    frame = frame.copy()
    shapes = frame.pop("geometry").to_numpy(copy=True)
    frame["original_datum"] = batch.original_datum
    if batch.kind == "reports":
        frame["original_lon"], frame["original_lat"] = shapely.get_x(original), shapely.get_y(original)
    else:
        frame["source"] = batch.source
    if batch.kind == "components":
        # in whatever system they came, metres included; a multipoint of one point has no x of its own
        points = shapely.centroid(original)
        frame["original_x"], frame["original_y"] = shapely.get_x(points), shapely.get_y(points)
    return geopandas.GeoDataFrame(frame, geometry=shapes, crs="EPSG:4490")[batch.good].reset_index(drop=True)


def _import_osm(uow: UnitOfWork, path: Path, options: ImportOptions, result: ImportResult) -> None:
    extract = read_osm(path, options.progress)
    frames, result.refused = check_osm(extract, path.name)
    result.counts = dict(extract.counts)
    result.rows_read = len(extract.streets) + len(extract.residences) + len(extract.facilities)
    if result.dry_run:
        result.rows_stored = sum(map(len, frames.values()))
    else:
        result.rows_stored, result.rows_unchanged = store_osm(uow, frames, options)


def _record(uow: UnitOfWork, key: str, datum: str, result: ImportResult) -> None:
    uow.imports.add(
        kind=result.kind,
        file_name=result.file,
        file_sha256=key,
        datum=datum,
        rows_stored=result.rows_stored + result.rows_unchanged,
        rows_refused=len({fault.row for fault in result.refused}),
        refused=[asdict(fault) for fault in result.refused],
        repaired=[asdict(repair) for repair in result.repaired],
    )
