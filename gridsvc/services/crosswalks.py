"""Crosswalks between stored nets, kept with the instants of both, and figures of any year carried over by them.

What a redraw did to the grids of a network is kept already, as its lineage: that is read as a crosswalk here, and not stored twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.formats.layered_files import write_layers
from gridsvc.formats.vector_files import read_table
from gridsvc.formats.written_tables import write_table
from gridsvc.geo.projections import STORAGE_EPSG, to_metric, to_storage
from gridsvc.networks.crosswalk import Crosswalk, counts_by_atom, crosswalk_of, rebased
from gridsvc.networks.overlay import NOBODY, Overlay, overlay
from gridsvc.progress import SILENT, Progress
from gridsvc.services.browsing import Page
from gridsvc.services.network_sources import SourceNets, StoredSource, read_networks
from gridsvc.store.unit_of_work import UnitOfWork

WEIGHTS = ("area", "households", "events")
_COLUMN = {"area": "area_m2", "households": "households", "events": "events"}
EVENTS_DAYS = 365
# one straight line with and without a vertex on it is two in another projection, this far apart at most over a kilometre. Unit: m.
_SAME_LINE_M = 0.1
_NAMED = uuid.uuid5(uuid.NAMESPACE_URL, "urn:gridsvc:crosswalk")


@dataclass(frozen=True, slots=True)
class StoredCrosswalk:
    """A crosswalk as kept.

    ``about``: crosswalk_id, division_code, first_network, first_at, second_network, second_at, origin (``saved`` or ``lineage``) and what else is
    known. ``rows``: first_code, second_code (missing: nobody's), area_m2, and of the `WEIGHTS` those it has.
    """

    about: Mapping[str, Any]
    rows: pd.DataFrame

    @property
    def weights(self) -> tuple[str, ...]:
        """Return the weights it can be used with."""
        return tuple(name for name in WEIGHTS if _COLUMN[name] in self.rows)


@dataclass(frozen=True, slots=True)
class RebasedTable:
    """Figures carried over: ``values`` by grid (code, value, standard_error, low, high), and their sums.

    ``placed`` and ``unplaced`` add up to ``given``; ``without_figure`` grids had none, which counts as 0.
    """

    values: pd.DataFrame
    given: float
    placed: float
    unplaced: float
    without_figure: int


def save_crosswalk(
    uow: UnitOfWork,
    first: StoredSource,
    second: StoredSource,
    *,
    now: datetime,
    actor: str,
    events_from: datetime | None = None,
    events_to: datetime | None = None,
    progress: Progress = SILENT,
) -> StoredCrosswalk:
    """Lay two stored nets of a division over each other and keep how their grids share land, homes and events; the caller commits.

    The same two nets have one crosswalk: saved again, it takes the place of the one before.

    Parameters
    ----------
    events_from, events_to
        Reports of this half-open period are the events; default the 365 days before the later of the two nets.

    Raises
    ------
    RequestInvalidError
        When the nets are of different divisions, or the period is empty.
    NotFoundError
        When one of them has no grids.
    """
    if first.division != second.division:
        raise RequestInvalidError(
            f"A crosswalk is of one division, not of {first.division} and {second.division}.", field="sources"
        )
    until = events_to or max(first.at, second.at)
    since = events_from or until - timedelta(days=EVENTS_DAYS)
    if since >= until:
        raise RequestInvalidError("The period of events is empty.", hint="Give an end after the begin.", field="events")
    progress.start("crosswalk", 3)
    given, atoms = _laid_over(uow, first, second)
    progress.advance()
    homes = uow.residences.list(first.division, columns=("residence_code", "households"))
    reports = uow.reports.list(first.division, since=since, until=until, limit=None)
    weights = {
        "area_m2": atoms.area_m2,
        "households": _counted(atoms, given.epsg, homes, homes["households"].to_numpy(dtype=float)),
        "events": _counted(atoms, given.epsg, reports, np.ones(len(reports))),
    }
    progress.advance()
    rows = _pairs(atoms, weights)
    crosswalk_id = str(uuid.uuid5(_NAMED, ":".join(_names(each) for each in (first, second))))
    about: dict[str, Any] = {
        "crosswalk_id": crosswalk_id,
        "division_code": first.division,
        "first_network": first.network,
        "first_at": first.at,
        "second_network": second.network,
        "second_at": second.at,
        "events_from": since,
        "events_to": until,
        "first_grids": len(atoms.nets[0]),
        "second_grids": len(atoms.nets[1]),
        "made_by": actor,
        "made_at": now,
    }
    uow.crosswalks.put(about, rows)
    progress.advance()
    return StoredCrosswalk(about | {"origin": "saved"}, uow.crosswalks.rows(crosswalk_id))


def _names(source: StoredSource) -> str:
    return f"{source.network}:{source.division}:{source.at.timestamp()}"


def _laid_over(uow: UnitOfWork, first: StoredSource, second: StoredSource) -> tuple[SourceNets, Overlay]:
    named = [
        StoredSource(each.network, each.division, each.at, label)
        for each, label in ((first, "first"), (second, "second"))
    ]
    given = read_networks(uow, named)
    return given, overlay(given.nets, tolerance_m=_SAME_LINE_M)


def _counted(atoms: Overlay, epsg: int, places: gpd.GeoDataFrame, count: NDArray[np.float64]) -> NDArray[np.float64]:
    if not len(places):
        return np.zeros(len(atoms.area_m2))
    points = to_metric(shapely.point_on_surface(places.geometry.to_numpy()), epsg)
    return counts_by_atom(atoms, shapely.get_x(points), shapely.get_y(points), count)[0]


def _pairs(atoms: Overlay, weights: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    known = (atoms.owner != NOBODY).any(axis=1)
    pairs, inverse = np.unique(atoms.owner[known], axis=0, return_inverse=True)
    codes = [np.append(net.code, [None]) for net in atoms.nets]
    columns = {"first_code": codes[0][pairs[:, 0]], "second_code": codes[1][pairs[:, 1]]}
    sums = {name: np.bincount(inverse.ravel(), value[known], len(pairs)) for name, value in weights.items()}
    return pd.DataFrame(columns | sums)


def list_crosswalks(
    uow: UnitOfWork, prefix: str = "", *, network: str | None = None, cursor: str = "", limit: int = 100
) -> Page:
    """Return a page of the crosswalks saved for divisions under ``prefix``, by id; those of lineage are found by their redraw."""
    rows = uow.crosswalks.page(prefix, network=network, after=_known_id(cursor) if cursor else "", limit=limit + 1)
    shown = [row | {"origin": "saved"} for row in rows[:limit]]
    return Page(shown, shown[-1]["crosswalk_id"] if len(rows) > limit else None, None)


def get_crosswalk(uow: UnitOfWork, crosswalk_id: str, *, network: str | None = None) -> StoredCrosswalk:
    """Return a crosswalk by its id; given the id of a redraw in force, its lineage in a network as one.

    Parameters
    ----------
    network
        Of a redraw: whose grids are meant. Needed where it redrew several.

    Raises
    ------
    NotFoundError
        When there is neither (in this scope).
    RequestInvalidError
        When the redraw is of several networks and none is named, or of another.
    """
    wanted = _known_id(crosswalk_id)
    about = uow.crosswalks.find(wanted)
    if about is not None:
        return StoredCrosswalk(about | {"origin": "saved"}, uow.crosswalks.rows(wanted))
    try:
        redraw = uow.redraws.get(wanted)
    except NotFoundError:
        redraw = None
    if redraw is None or redraw["in_force_from"] is None:
        raise NotFoundError(
            f"There is no crosswalk {crosswalk_id}, and no redraw in force of that id.",
            hint="See /api/v1/crosswalks, or save one: gridsvc networks crosswalk FIRST SECOND --save.",
        )
    return _of_lineage(uow, redraw, network)


def _of_lineage(uow: UnitOfWork, redraw: Mapping[str, Any], network: str | None) -> StoredCrosswalk:
    networks = list(redraw["networks"])
    chosen = network or (networks[0] if len(networks) == 1 else None)
    if chosen not in networks:
        raise RequestInvalidError(
            f"Redraw {redraw['redraw_id']} is of {', '.join(networks)}" + (f", not of {network}." if network else "."),
            hint="Name one of its networks.",
            field="network",
        )
    lineage = uow.lineage.of_redraw(redraw["redraw_id"])
    own = lineage[lineage["network"] == chosen]
    if own.empty:
        raise NotFoundError(
            f"Redraw {redraw['redraw_id']} continued no grids of the network {chosen}.", hint="It drew the first ones."
        )
    rows = own.rename(columns={"old_code": "first_code", "new_code": "second_code"})
    rows = rows[["first_code", "second_code", "area_m2", "households"]].reset_index(drop=True)
    about = {
        "crosswalk_id": redraw["redraw_id"],
        "division_code": redraw["division_code"],
        "first_network": chosen,
        "first_at": redraw["in_force_from"],
        "second_network": chosen,
        "second_at": redraw["in_force_from"],
        "events_from": None,
        "events_to": None,
        "first_grids": rows["first_code"].nunique(),
        "second_grids": rows["second_code"].nunique(),
        "made_by": redraw["decided_by"],
        "made_at": redraw["decided_at"],
        "origin": "lineage",
    }
    return StoredCrosswalk(about, rows.assign(households=rows["households"].astype(float)))


def _known_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise RequestInvalidError(f"{text!r} is no id of a crosswalk.", hint="It is a UUID.", field="id") from None


def walk_of(
    stored: StoredCrosswalk, weight: str = "area", *, back: bool = False
) -> tuple[Crosswalk, list[str], list[str]]:
    """Return a crosswalk to compute with, and the codes of the grids figures come from and go to, in the order of its rows.

    Raises
    ------
    RequestInvalidError
        When it does not have that weight.
    """
    if weight not in stored.weights:
        raise RequestInvalidError(
            f"This crosswalk has no weight {weight!r}.", hint=f"It has {', '.join(stored.weights)}.", field="weight"
        )
    codes, rows = [], []
    for name in ("first_code", "second_code"):
        known = sorted(set(stored.rows[name].dropna()))
        position = {code: n for n, code in enumerate(known)}
        codes.append(known)
        rows.append([NOBODY if pd.isna(code) else position[code] for code in stored.rows[name]])
    sizes = len(codes[0]), len(codes[1])
    walk = crosswalk_of(rows[0], rows[1], stored.rows["area_m2"], stored.rows[_COLUMN[weight]], sizes)
    return (walk.reversed(), codes[1], codes[0]) if back else (walk, codes[0], codes[1])


def rebase_figures(
    stored: StoredCrosswalk,
    figures: Mapping[str, float],
    *,
    weight: str = "area",
    back: bool = False,
    whole: bool = False,
) -> RebasedTable:
    """Return figures of the grids of one net carried over to those of the other; their sum is preserved.

    Parameters
    ----------
    figures
        By code of the first net (of the second when ``back``). Grids without one count 0. Figures that add up, no rates.
    weight
        What land is weighed by: area, households or events.
    whole
        Whole numbers, exactly preserved.

    Raises
    ------
    RequestInvalidError
        When a code is of no grid of that net, there is no such weight, or a figure is no finite (or no whole) number.
    """
    walk, sources, targets = walk_of(stored, weight, back=back)
    known = set(sources)
    unknown = sorted(set(figures) - known)
    if unknown:
        net = stored.about["second_network" if back else "first_network"]
        raise RequestInvalidError(
            f"{len(unknown)} codes are of no grid of the network {net} in this crosswalk, such as {unknown[0]}.",
            hint="Check the direction and the instant of the net.",
            errors=[
                {"field": f"figures.{code}", "code": "unknown", "message": "no grid of that net"}
                for code in unknown[:50]
            ],
        )
    values = np.array([float(figures.get(code, 0.0)) for code in sources])
    if not np.isfinite(values).all():
        raise RequestInvalidError("A figure is no finite number.", field="figures")
    if whole and ((values != np.rint(values)) | (np.abs(values) > 2**53)).any():
        raise RequestInvalidError("A figure is no whole number.", hint="Leave whole out.", field="figures")
    carried = rebased(walk, values, whole=whole)
    columns = {
        "code": targets, "value": carried.value, "standard_error": np.round(carried.standard_error, 6),
        "low": carried.low, "high": carried.high,
    }  # fmt: skip
    return RebasedTable(
        pd.DataFrame(columns),
        given=float(values.sum()),
        placed=float(carried.value.sum()),
        unplaced=carried.unplaced,
        without_figure=len(known - figures.keys()),
    )


def figures_of_file(path: Path, code: str, value: str) -> dict[str, float]:
    """Return the figures of a table by grid code.

    Raises
    ------
    NotFoundError
        When there is no such column.
    RequestInvalidError
        When a code comes twice or a figure is no number.
    """
    table = read_table(path)
    for column in (code, value):
        if column not in table.frame:
            raise NotFoundError(
                f"{table.name} has no column {column}.", hint=f"It has: {', '.join(map(str, table.frame.columns))}."
            )
    codes = table.frame[code].astype(str)
    if codes.duplicated().any():
        raise RequestInvalidError(f"Code {codes[codes.duplicated()].iloc[0]} comes twice in {table.name}.", field=code)
    numbers = pd.to_numeric(table.frame[value], errors="coerce")
    if numbers.isna().any():
        row = int(np.flatnonzero(numbers.isna())[0]) + 1
        raise RequestInvalidError(f"Row {row} of {table.name} has no number in column {value}.", field=value)
    return dict(zip(codes, numbers.astype(float), strict=True))


def export_crosswalk(uow: UnitOfWork, stored: StoredCrosswalk, out: Path) -> None:
    """Write a crosswalk: .csv or .xlsx its rows with shares both ways, .gpkg the land of each row as well.

    Raises
    ------
    RequestInvalidError
        For another suffix, or a GeoPackage of a lineage, whose land is not kept.
    """
    frame = with_shares(stored)
    if out.suffix.lower() != ".gpkg":
        write_table(out, frame, name="crosswalk")
        return
    if stored.about["origin"] != "saved":
        raise RequestInvalidError("The land of a lineage is not kept.", hint="Write .csv or .xlsx.", field="out")
    about = stored.about
    sources = [
        StoredSource(about[f"{side}_network"], about["division_code"], about[f"{side}_at"], side)
        for side in ("first", "second")
    ]
    given, atoms = _laid_over(uow, *sources)
    keys = list(zip(*(np.append(net.code, [None])[atoms.owner[:, n]] for n, net in enumerate(atoms.nets)), strict=True))
    by_pair = pd.Series(range(len(keys))).groupby(pd.MultiIndex.from_tuples(keys), dropna=False).apply(list)
    shapes = {tuple(None if pd.isna(code) else code for code in key): rows for key, rows in by_pair.items()}
    pairs = zip(frame["first_code"], frame["second_code"], strict=True)
    land = [
        shapely.coverage_union_all(atoms.geometry[shapes.get(tuple(None if pd.isna(c) else c for c in pair), [])])
        for pair in pairs
    ]
    layer = gpd.GeoDataFrame(frame, geometry=to_storage(np.array(land, dtype=object), given.epsg), crs=STORAGE_EPSG)
    write_layers(out, {"crosswalk": layer})


def with_shares(stored: StoredCrosswalk) -> pd.DataFrame:
    """Return the rows with the shares of each weight both ways: parts of the first grid's weight, and of the second's."""
    frame = stored.rows.sort_values(["first_code", "second_code"], ignore_index=True)
    for weight in stored.weights:
        walk, first, second = walk_of(StoredCrosswalk(stored.about, frame), weight)
        pairs = [
            (first[a] if a != NOBODY else None, second[b] if b != NOBODY else None)
            for a, b in zip(walk.from_row, walk.to_row, strict=True)
        ]
        shares = dict(zip(pairs, zip(walk.from_share, walk.to_share, strict=True), strict=True))
        own = [
            shares[None if pd.isna(a) else a, None if pd.isna(b) else b]
            for a, b in zip(frame["first_code"], frame["second_code"], strict=True)
        ]
        frame[f"first_{weight}_share"], frame[f"second_{weight}_share"] = zip(*own, strict=True)
    return frame
