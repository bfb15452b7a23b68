"""Where the data shown came from: the one answer for every map, in a file or on the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridsvc.store.listings import Listings
from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class DataSources:
    """Names of the files imported, one of each kind, in order; whether anything came from OpenStreetMap, which must be credited."""

    files: tuple[str, ...]
    uses_osm: bool


def read_sources(
    uow: UnitOfWork, *, street_sources: Iterable[str] | None = None, stated: Sequence[str] = ()
) -> DataSources:
    """Return the sources of what is held.

    Parameters
    ----------
    street_sources
        Sources of the streets that are shown; None takes those of all streets held.
    stated
        Lines the caller says of the sources; they count too when they name OpenStreetMap.
    """
    imported = uow.imports.list().drop_duplicates("kind")
    files = tuple(sorted({str(name) for name in imported["file_name"]}))
    if street_sources is None:
        street_sources = Listings(uow.connection, uow.scope).street_sources()
    marks = [*stated, *files, *imported["kind"].astype(str), *street_sources]
    return DataSources(files, any("osm" in mark.lower() or "openstreetmap" in mark.lower() for mark in marks))
