"""Ways to begin a draft: dividing anew, from given polygons, or as a copy of what is in force."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.division.communities import ADJUSTABLE, DivisionRules
from gridsvc.errors import ConflictError, GeometryError, NotFoundError, RequestInvalidError
from gridsvc.formats.declared_datum import declare_datum
from gridsvc.formats.import_fields import as_numbers, as_text, map_columns
from gridsvc.formats.vector_files import read_table
from gridsvc.geo.datums import check_lonlat
from gridsvc.geo.location import GridIndex
from gridsvc.geo.partitions import node_shared_vertices
from gridsvc.geo.projections import area_m2, to_metric, to_storage, zone_of
from gridsvc.services.dividing import NETWORK_OF_KIND, divide
from gridsvc.services.division_wishes import Wishes
from gridsvc.services.grid_frames import COLUMNS, grid_codes, grid_name
from gridsvc.services.imports_grids import GRID_KINDS
from gridsvc.store.unit_of_work import UnitOfWork

_COMMUNITY_DIGITS = 12


@dataclass(frozen=True, slots=True)
class GivenGrid:
    """A grid as somebody drew it; what is left out follows from its place: code, community, governance grid, people.

    ``where`` names it in messages (row, feature). CRS of the geometry: as declared for all.
    """

    geometry: shapely.Geometry | None
    network: str
    where: str
    code: str = ""
    name: str = ""
    community_code: str = ""
    parent_code: str = ""
    households: int | None = None
    population: int | None = None


def draft_automatic(
    uow: UnitOfWork,
    division_code: str,
    *,
    by: str,
    now: datetime,
    reason: str = "",
    rules: Mapping[str, float] | None = None,
    wishes: Wishes | None = None,
    processes: int = 1,
) -> str:
    """Divide a division anew as a draft and return its id; the caller commits.

    Parameters
    ----------
    rules
        What of `ADJUSTABLE` differs from the default.
    wishes
        Dedicated areas, seeds, locked grids and so on.

    Raises
    ------
    RequestInvalidError
        When there is no such rule, or its value makes no sense.
    ConflictError
        When the division comes out exactly as it is in force.
    """
    result = divide(
        uow, division_code, at=now, actor=by, draft=True, processes=processes, rules=adjusted_rules(rules or {}), wishes=wishes
    )  # fmt: skip
    if not result.redraws:
        raise ConflictError(
            f"Dividing {division_code} again gives the grids that are in force; there is nothing to draft.",
            hint="Change the rules, or edit a copy of the grids.",
            failed=[list(row) for row in result.failed],
        )
    redraw_id = next(iter(result.redraws.values()))
    if reason:
        uow.redraws.set_reason(redraw_id, reason)
    uow.audit.append(
        by, "redraw.draft", "redraw", redraw_id, {"division": division_code, "origin": "automatic"}, at=now
    )
    return redraw_id


def adjusted_rules(changes: Mapping[str, float]) -> DivisionRules:
    """Return the default rules with some of `ADJUSTABLE` changed.

    Raises
    ------
    RequestInvalidError
        When there is no such rule, or its value makes no sense.
    """
    unknown = sorted(set(changes) - set(ADJUSTABLE))
    if unknown:
        raise RequestInvalidError(
            f"There is no rule {unknown[0]}.", hint=f"Rules: {', '.join(ADJUSTABLE)}.", field="rules"
        )
    default = DivisionRules()
    low = int(changes.get("households_min", default.households_min))
    high = int(changes.get("households_max", default.households_max))
    shares = [changes.get(name, 0.5) for name in ("open_land_weight", "water_weight", "unit_area_spread", "stability")]
    if not 0 < low <= high or not all(0 < share <= 1 for share in shares) or changes.get("unit_area_m2", 1e4) < 1_000:
        raise RequestInvalidError(
            "The rules make no sense together.",
            hint="households_min is at most households_max, unit_area_m2 at least 1000, weights, spread and stability above 0 and at most 1.",
            field="rules",
        )
    numbers: dict[str, Any] = {name: value for name, value in changes.items() if not name.startswith("households")}
    return replace(DivisionRules.for_households(low, high), **numbers)


def draft_copy(
    uow: UnitOfWork,
    division_code: str,
    *,
    by: str,
    now: datetime,
    reason: str = "",
    networks: Sequence[str] | None = None,
) -> str:
    """Draft the newest grids of a division as they are, to be edited, and return the id; the caller commits.

    Parameters
    ----------
    networks
        Default the unit grids and the governance grids.

    Raises
    ------
    NotFoundError
        When it has no grids in one of the networks.
    """
    based_on = uow.redraws.last_approval()
    wanted = list(networks or NETWORK_OF_KIND.values())
    frames = [uow.grids.list(network, prefix=division_code) for network in wanted]
    for network, frame in zip(wanted, frames, strict=True):
        if frame.empty:
            raise NotFoundError(
                f"{division_code} has no {network} grids to edit.",
                hint=f"Divide it first: gridsvc divide {division_code}.",
            )
    redraw_id = uow.redraws.open_draft(wanted, division_code, "edited", by, now, reason, based_on=based_on)
    held = pd.concat(frames, ignore_index=True).drop(columns=["redraw_id", "valid_from", "valid_to"])
    uow.redraws.put_grids(redraw_id, gpd.GeoDataFrame(held, geometry="geometry", crs=frames[0].crs))
    uow.audit.append(by, "redraw.draft", "redraw", redraw_id, {"division": division_code, "origin": "edited"}, at=now)
    return redraw_id


def draft_given(
    uow: UnitOfWork,
    division_code: str,
    grids: Sequence[GivenGrid],
    *,
    datum: str | None,
    by: str,
    now: datetime,
    reason: str = "",
    file_crs: str | None = None,
) -> str:
    """Draft given polygons and return the id; the caller commits.

    They are all grids of the communities they lie in. Borders that miss each other by less than a millimetre get the same
    vertices; whatever else is wrong with them is found by the checks. A grid without a code keeps that of the same grid in
    force, or gets a new one; without households they are counted from the residences.

    Parameters
    ----------
    datum
        Of the coordinates: wgs84, cgcs2000, gcj02, bd09, EPSG:n, or ``file`` for ``file_crs``.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CrsMismatchError, CoordinateError
        When the coordinates are not declared, or none.
    RequestInvalidError
        When there are no grids, or one is of another network or lies in no community of the division.
    GeometryError
        When one is no valid polygon.
    """
    if not grids:
        raise RequestInvalidError("There are no grids to draft.", hint="Give at least one polygon.", field="grids")
    for grid in grids:
        if grid.network not in GRID_KINDS:
            raise RequestInvalidError(
                f"{grid.where} is of network {grid.network!r}.",
                hint=f"Use one of {', '.join(GRID_KINDS)}.",
                field="network",
            )
    based_on = uow.redraws.last_approval()
    shapes = _placed(grids, datum, file_crs)
    frame = pd.DataFrame(
        {
            "network": [grid.network for grid in grids],
            "kind": [GRID_KINDS[grid.network] for grid in grids],
            "code": [grid.code for grid in grids],
            "name": [grid.name for grid in grids],
            "community_code": _communities(uow, division_code, grids, shapes),
            "parent_code": [grid.parent_code or None for grid in grids],
            "area_m2": np.round(area_m2(shapes), 2),
            "responsible": None,
        }
    )
    frame["code"] = _given_codes(uow, frame, shapes)
    names = dict(uow.divisions.list("community", division_code, with_geometry=False)[["code", "name"]].to_numpy())
    blank = frame["name"] == ""
    frame.loc[blank, "name"] = [
        _name(names.get(community, ""), code)
        for community, code in frame.loc[blank, ["community_code", "code"]].itertuples(index=False)
    ]
    frame["parent_code"] = _parents(uow, frame, shapes)
    frame["households"], frame["population"] = _people(uow, division_code, frame, shapes, grids)
    networks = [network for network in GRID_KINDS if network in set(frame["network"])]
    redraw_id = uow.redraws.open_draft(networks, division_code, "imported", by, now, reason, based_on=based_on)
    ordered = gpd.GeoDataFrame(frame[list(COLUMNS)], geometry=shapes, crs="EPSG:4490").sort_values(["network", "code"])
    uow.redraws.put_grids(redraw_id, ordered.reset_index(drop=True))
    uow.audit.append(by, "redraw.draft", "redraw", redraw_id, {"division": division_code, "origin": "imported"}, at=now)
    return redraw_id


def read_given(path: Path, network: str) -> tuple[list[GivenGrid], str | None]:
    """Return the grids of a file, under the headers of docs/how-to/import.md, and the CRS it states (None: none).

    A column ``network`` says which network each row is of; without it all are of ``network``.

    Raises
    ------
    FileUnreadableError, ImportRefusedError
        When it cannot be read, or has no codes.
    RequestInvalidError
        When it has no polygons.
    """
    table = read_table(path)
    if table.geometry is None:
        raise RequestInvalidError(
            f"{table.name} has no polygons.", hint="Give GeoJSON, GeoPackage, GeoParquet or Shapefile."
        )
    columns = map_columns(table.frame, "grids", {}, has_geometry=True)
    empty = np.full(len(columns), "", dtype=object)
    texts = {
        n: as_text(columns[n]) if n in columns else empty for n in ("code", "name", "community_code", "parent_code")
    }
    counts = {n: as_numbers(columns[n])[0] for n in ("households", "population") if n in columns}
    own = as_text(table.frame["network"]) if "network" in table.frame else np.full(len(columns), network, dtype=object)

    def count(name: str, i: int) -> int | None:
        return int(counts[name][i]) if name in counts and np.isfinite(counts[name][i]) else None

    grids = [
        GivenGrid(
            geometry=table.geometry[i],
            network=own[i] or network,
            where=f"Row {row}",
            code=texts["code"][i],
            name=texts["name"][i],
            community_code=texts["community_code"][i],
            parent_code=texts["parent_code"][i],
            households=count("households", i),
            population=count("population", i),
        )
        for i, row in enumerate(columns.index)
    ]
    return grids, table.crs


def _placed(grids: Sequence[GivenGrid], datum: str | None, file_crs: str | None) -> NDArray[np.object_]:
    """Return the polygons in EPSG:4490, sharing their vertices."""
    shapes = np.array([None if g.geometry is None else shapely.force_2d(g.geometry) for g in grids], dtype=object)
    polygonal = np.isin(shapely.get_type_id(shapes), (3, 6)) & ~shapely.is_empty(shapes)
    for grid, sound, shape in zip(grids, polygonal, shapes, strict=True):
        if not sound or not shapely.is_valid(shape):
            why = shapely.is_valid_reason(shape) if sound else "no polygon"
            raise GeometryError(f"{grid.where} is not one valid polygon: {why}.", hint="Repair it.", grid=grid.where)
    declared = declare_datum(datum, file_crs, "The grids")
    if declared.epsg is None:
        xy = shapely.get_coordinates(shapes)
        check_lonlat(xy[:, 0], xy[:, 1], field="grids")
    stored = declared.to_storage(shapes)
    zone = zone_of(stored)
    return to_storage(node_shared_vertices(to_metric(stored, zone)), zone)


def _communities(
    uow: UnitOfWork, division_code: str, grids: Sequence[GivenGrid], shapes: NDArray[np.object_]
) -> NDArray[np.object_]:
    """Return the community of each grid: as stated, as its code begins, or where it lies."""
    stated = [grid.community_code or grid.code[:_COMMUNITY_DIGITS] for grid in grids]
    communities = uow.divisions.list("community", division_code)
    drawn = communities[~communities.geometry.isna()]
    inner = shapely.point_on_surface(shapes)
    found = GridIndex(drawn["code"].tolist(), drawn.geometry.to_numpy()).locate(
        shapely.get_x(inner), shapely.get_y(inner)
    )
    answer = np.array([own or there for own, there in zip(stated, found, strict=True)], dtype=object)
    known = set(communities["code"])
    for grid, code in zip(grids, answer, strict=True):
        if code not in known:
            raise RequestInvalidError(
                f"{grid.where} lies in no community under {division_code}{f', {code} is none' if code else ''}.",
                hint="Check its code, and the datum of its coordinates.",
                field="community_code",
            )
    return answer


def _given_codes(uow: UnitOfWork, frame: pd.DataFrame, shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    codes = frame["code"].to_numpy(object).copy()
    for (network, community), members in frame[frame["code"] == ""].groupby(["network", "community_code"]):
        here = members.index.to_numpy()
        taken = set(frame.loc[(frame["network"] == network) & (frame["code"] != ""), "code"])
        held = uow.grids.list(network, community_codes=[community])
        held = held[~held["code"].isin(taken)]
        used = uow.grids.used_codes(network, [community]) | {code for code in taken if code.startswith(community)}
        codes[here] = grid_codes(community, shapes[here], members["area_m2"].to_numpy(float), held, used)
    return codes


def _name(community: str, code: str) -> str:
    # a code that is none is a fault the checks name
    return grid_name(community, code) if community and len(code) == 15 and code.isdigit() else ""


def _parents(uow: UnitOfWork, frame: pd.DataFrame, shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return the governance grid of each unit grid where none is stated: the one that holds its middle."""
    parents = frame["parent_code"].to_numpy(object).copy()
    open_units = np.flatnonzero((frame["network"] == "urban").to_numpy() & pd.isna(frame["parent_code"]).to_numpy())
    if not len(open_units):
        return parents
    drawn = (frame["network"] == "social").to_numpy()
    if drawn.any():
        index = GridIndex(frame.loc[drawn, "code"].tolist(), shapes[drawn])
    else:
        held = uow.grids.list("social", community_codes=sorted(set(frame["community_code"])))
        index = GridIndex(held["code"].tolist(), held.geometry.to_numpy())
    inner = shapely.point_on_surface(shapes[open_units])
    parents[open_units] = index.locate(shapely.get_x(inner), shapely.get_y(inner))
    return parents


def _people(
    uow: UnitOfWork, division_code: str, frame: pd.DataFrame, shapes: NDArray[np.object_], grids: Sequence[GivenGrid]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return households and residents of each grid: as stated, else counted from the residences whose middle it holds."""
    homes = uow.residences.list(division_code)
    inner = shapely.point_on_surface(homes.geometry.to_numpy())
    counted = {}
    for name in ("households", "population"):
        total = np.zeros(len(frame), dtype=np.int64)
        for network in sorted(set(frame["network"])):
            rows = np.flatnonzero(frame["network"] == network)
            # positions instead of codes: a code that comes twice is a fault of another check
            index = GridIndex([f"{row:08d}" for row in rows], shapes[rows])
            held = index.find(shapely.get_x(inner), shapely.get_y(inner)) if len(homes) else np.zeros(0, dtype=np.int64)
            np.add.at(total, rows[held[held >= 0]], homes[name].to_numpy(np.int64)[held >= 0])
        stated = [getattr(grid, name) for grid in grids]
        counted[name] = np.array([t if s is None else s for s, t in zip(stated, total, strict=True)], dtype=np.int64)
    return counted["households"], counted["population"]
