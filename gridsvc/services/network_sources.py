"""Networks to hold against each other, from files and from what is stored, in one metric system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from gridsvc.errors import FileUnreadableError, GeometryError, GridsvcError, NotFoundError
from gridsvc.formats.declared_datum import declare_datum
from gridsvc.formats.vector_files import read_table
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.networks.nets import Net
from gridsvc.store.unit_of_work import UnitOfWork

CODE, NAME = "code", "name"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file of grids. ``code`` and ``title`` name its columns; None: ``code`` and ``name`` where it has them, else the row number and nothing."""

    path: Path
    datum: str | None
    code: str | None = None
    title: str | None = None
    layer: str | None = None


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A stored network under a division code as it was at an instant; ``label`` names it."""

    network: str
    division: str
    at: datetime
    label: str


Source = FileSource | StoredSource


@dataclass(frozen=True, slots=True)
class SourceNets:
    """Networks read: in metres of system ``epsg``; ``columns`` are the other columns of each file, by name of the network."""

    nets: list[Net]
    epsg: int
    columns: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Read:
    name: str
    code: list[str]
    title: list[str]
    geometry: np.ndarray
    columns: pd.DataFrame


def read_networks(uow: UnitOfWork | None, sources: Sequence[Source]) -> SourceNets:
    """Return the networks of several sources, named after file or label.

    Parameters
    ----------
    uow
        Needed for stored networks only.

    Raises
    ------
    FileUnreadableError, DatumMissingError, CrsMismatchError, GeometryError, CodeDuplicateError
        When a file is no sound net: see `read_table`, `declare_datum`, `Net.of`.
    NotFoundError
        When nothing is stored there.
    GridsvcError
        When there are no sources.
    """
    if not sources:
        raise GridsvcError("There are no networks to read.", hint="Name files, or stored networks.")
    read = [_of_file(each) if isinstance(each, FileSource) else _of_store(uow, each) for each in sources]
    epsg = zone_of(np.concatenate([each.geometry for each in read]))
    nets = [Net.of(each.name, each.code, to_metric(each.geometry, epsg), each.title) for each in read]
    return SourceNets(nets, epsg, {each.name: each.columns for each in read})


def _of_file(source: FileSource) -> _Read:
    table = read_table(source.path, layer=source.layer)
    name = source.path.name.split(".")[0]
    if table.geometry is None:
        raise FileUnreadableError(
            f"{table.name} has no shapes.", hint="Give a file with polygons.", path=str(source.path)
        )
    missing = np.flatnonzero([shape is None or shape.is_empty for shape in table.geometry])
    if len(missing):
        raise GeometryError(
            f"Row {missing[0] + 1} of {table.name} has no shape.",
            hint="Draw it or leave it out.",
            row=int(missing[0]) + 1,
        )
    datum = declare_datum(source.datum, table.crs, table.name)
    rows = len(table.frame)
    code = _column(table.frame, source.code, CODE, table.name)
    title = _column(table.frame, source.title, NAME, table.name)
    return _Read(
        name,
        [str(i) for i in range(1, rows + 1)] if code is None else code,
        [""] * rows if title is None else title,
        datum.to_storage(table.geometry),
        table.frame,
    )


def _column(frame: pd.DataFrame, wanted: str | None, usual: str, file: str) -> list[str] | None:
    if wanted is None and usual not in frame:
        return None
    column = usual if wanted is None else wanted
    if column not in frame:
        raise FileUnreadableError(
            f"{file} has no column {column}.", hint=f"It has: {', '.join(map(str, frame.columns))}.", field=column
        )
    return ["" if pd.isna(value) else _text(value) for value in frame[column]]


def _text(value: object) -> str:
    # whole numbers come as floats where a column has gaps
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _of_store(uow: UnitOfWork | None, source: StoredSource) -> _Read:
    if uow is None:
        raise GridsvcError(f"{source.label} is a stored network, and no database is open.")
    grids = uow.grids.list(source.network, prefix=source.division, at=source.at)
    if grids.empty:
        raise NotFoundError(
            f"Network {source.network} has no grids under {source.division} at {source.at.isoformat()}.",
            hint="Divide or import it first, or name another instant.",
        )
    titles = ["" if pd.isna(each) else str(each) for each in grids["name"]]
    plain = pd.DataFrame(grids.drop(columns=["geometry", "responsible"]))
    return _Read(source.label, grids["code"].tolist(), titles, grids.geometry.to_numpy(), plain)
