"""Alternatives of the unified net of a division from what is stored, and one of them as a draft that others check and approve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from gridsvc.errors import ConflictError, PartitionError, RequestInvalidError
from gridsvc.geo.grid_codes import DEFAULT_SCHEME
from gridsvc.geo.location import GridIndex
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.networks.merge import Parcels, merge_by_parcels
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import NOBODY, TOLERANCE_M, Overlay, overlay
from gridsvc.networks.responsibility import AtomIndex
from gridsvc.networks.unified import HouseholdBounds, Proposal, largest
from gridsvc.networks.unified_ground import UnifiedGround, unified_ground
from gridsvc.progress import SILENT, Progress
from gridsvc.services.community_inputs import STREET_COLUMNS, STREETS_NOT_FOLLOWED
from gridsvc.services.comparing_networks import NetworkReport
from gridsvc.services.division_wishes import DEDICATED
from gridsvc.services.grid_frames import grid_codes, grid_name, is_in_force
from gridsvc.services.merging import NETWORKS, UNIFIED, merged_frame, parcels_of, refuse_missing
from gridsvc.services.unified_tables import (
    PricedProposal,
    chosen,
    cost_tables,
    crosswalk_table,
    fate_table,
    priced,
    proposal_layers,
)
from gridsvc.store.unit_of_work import UnitOfWork

Codes = NDArray[np.object_]
Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

UNITS = "urban"
_VOTERS = ("social", "security")


@dataclass(frozen=True, slots=True)
class StoredAlternatives:
    """The alternatives of a division.

    ``unit_grid`` is the unified grid of each unit grid by alternative; ``based_on`` the last approval before the grids were read.
    """

    division_code: str
    reference: str
    held: Mapping[str, gpd.GeoDataFrame]
    parcels: Parcels
    labels: Mapping[str, Codes]
    ground: UnifiedGround
    found: Sequence[PricedProposal]
    unit_grid: Mapping[str, Integers]
    epsg: int
    based_on: int

    def report(self) -> NetworkReport:
        """Return tables (costs, changes, grids, crosswalk) and layers (each alternative, and where people change grid)."""
        tables = {
            **cost_tables(self.found),
            "grids": fate_table(self.ground, self.found),
            "crosswalk": crosswalk_table(self.ground, self.found),
        }
        return NetworkReport(tables, proposal_layers(self.ground, self.found, self.epsg))


def stored_alternatives(
    uow: UnitOfWork,
    code: str,
    *,
    at: datetime,
    reference: str = "social",
    tolerance_m: float = TOLERANCE_M,
    bounds: HouseholdBounds | None = None,
    progress: Progress = SILENT,
) -> StoredAlternatives:
    """Return the alternatives of one net for the networks under ``code`` at ``at``.

    Governance and security grids say what belongs together; unit grids are never cut and communities never crossed. People are those of
    the unit grids, spread by their residences; workers those assigned; lines the streets, walls and water stored.

    Parameters
    ----------
    reference
        ``social`` or ``security``: whose codes are kept.
    bounds
        Of the households of a grid.

    Raises
    ------
    NotFoundError
        When there are no unit grids or no governance grids under ``code``.
    RequestInvalidError
        When the reference is no such network, or has no grids.
    """
    progress.start("alternatives of the unified net", 4)
    based_on = uow.redraws.last_approval()
    held = {n: uow.grids.list(n, prefix=code, at=at) for n in NETWORKS}
    refuse_missing(held, code, at)
    voters = [n for n in _VOTERS if len(held[n])]
    if reference not in voters:
        raise RequestInvalidError(
            f"{reference!r} is no network with grids under {code}.",
            hint=f"There are: {', '.join(voters)}.",
            field="reference",
        )
    parcels, labels = parcels_of(held)
    epsg = zone_of(parcels.geometry)
    nets = [_net(n, held[n], epsg) for n in (*voters, UNITS)]
    progress.advance()
    atoms = overlay(nets, tolerance_m=tolerance_m, boundary=shapely.coverage_union_all(nets[-1].geometry))
    unit = _unit_of_atom(atoms)
    progress.advance()
    people, households = _people(uow, code, atoms, unit, parcels, epsg)
    _, community = np.unique(held[UNITS]["community_code"].to_numpy(dtype=str), return_inverse=True)
    ground = unified_ground(
        atoms,
        reference=voters.index(reference),
        voters=range(len(voters)),
        people=people,
        households=households,
        zone=community.ravel()[unit],
        whole=[unit],
        dedicated=_dedicated(held["social"], atoms, unit) if "social" in voters else None,
        lines=_lines(uow, parcels, epsg),
    )
    progress.advance()
    workers = {n: _workers(uow, n, held[n], code, at) for n in voters}
    found, unit_grid = [], {}
    for each in priced(ground, epsg, workers=workers, bounds=bounds):
        name = each.proposal.name
        of_unit = np.full(len(parcels.code), -1, dtype=np.int64)
        of_unit[unit] = each.proposal.group
        if (of_unit < 0).any():
            lost = parcels.code[np.flatnonzero(of_unit < 0)[0]]
            raise PartitionError(f"Unit grid {lost} lies wholly under others.", hint="Divide its community again.")
        unit_grid[name] = of_unit
        shapes = np.empty(len(each.proposal), dtype=object)
        shapes[:] = [
            shapely.coverage_union_all(parcels.geometry[members]) for members in _members(of_unit, len(each.proposal))
        ]
        codes = _codes(uow, each.proposal, of_unit, held, reference, at, shapes)
        found.append(replace(each, code=codes, geometry=shapes))
    progress.advance()
    return StoredAlternatives(code, reference, held, parcels, labels, ground, found, unit_grid, epsg, based_on)


def draft_unified(
    uow: UnitOfWork,
    alternatives: StoredAlternatives,
    choose: str,
    *,
    by: str,
    now: datetime,
    reason: str = "",
) -> str:
    """Draft an alternative as the unified net of its division and return the id of the redraw; the caller commits.

    It is checked, foreseen and approved as any redraw is.

    Raises
    ------
    NotFoundError
        When there is no such alternative.
    ConflictError
        When it is just what is in force.
    """
    taken = chosen(alternatives.found, choose)
    frame = _frame(uow, alternatives, taken)
    code = alternatives.division_code
    before = uow.grids.list(UNIFIED, prefix=code, at=now)
    if is_in_force(frame, before):
        raise ConflictError(
            f"The unified net of {code} is just the alternative {choose}; there is nothing to draft.",
            hint="Choose another: gridsvc merge CODE --alternatives.",
        )
    redraw_id = uow.redraws.open_draft(
        UNIFIED, code, "merged", by, now, reason or f"unified net, alternative {choose}", based_on=alternatives.based_on
    )
    uow.redraws.put_grids(redraw_id, frame, before["community_code"])
    details = {"division": code, "origin": "merged", "alternative": choose, "reference": alternatives.reference}
    uow.audit.append(by, "redraw.draft", "redraw", str(redraw_id), details, at=now)
    return str(redraw_id)


def _net(network: str, frame: gpd.GeoDataFrame, epsg: int) -> Net:
    titles = ["" if pd.isna(each) else str(each) for each in frame["name"]]
    return Net.of(network, frame["code"].tolist(), to_metric(frame.geometry.to_numpy(), epsg), titles)


def _unit_of_atom(atoms: Overlay) -> Integers:
    """Return the unit grid of each atom; of a crumb that none holds, the nearest."""
    units = len(atoms.nets) - 1
    unit = atoms.owner[:, units].copy()
    lost = np.flatnonzero(unit == NOBODY)
    if len(lost):
        tree = shapely.STRtree(atoms.nets[units].geometry)
        unit[lost] = tree.nearest(shapely.point_on_surface(atoms.geometry[lost]))
    return unit


def _dedicated(governance: gpd.GeoDataFrame, atoms: Overlay, unit: Integers) -> Integers:
    """Return the dedicated governance grid that has most of the unit grid of each atom, `NOBODY` where that is another grid."""
    _, row = largest(unit, atoms.owner[:, 0], np.rint(atoms.area_m2 * 1e4).astype(np.int64))
    is_dedicated = np.append((governance["kind"] == DEDICATED).to_numpy(dtype=bool), [False])
    return np.where(is_dedicated[row], row, NOBODY)[unit]


def _people(
    uow: UnitOfWork, code: str, atoms: Overlay, unit: Integers, parcels: Parcels, epsg: int
) -> tuple[Floats, Floats]:
    """Return residents and households of each atom: those of its unit grid, spread by residences, by land where there are none."""
    homes = uow.residences.list(code, columns=("households", "population"))
    places = to_metric(shapely.point_on_surface(homes.geometry.to_numpy()), epsg)
    atom = AtomIndex(atoms).find(shapely.get_x(places), shapely.get_y(places))
    figures = []
    for name, of_unit in (("population", parcels.population), ("households", parcels.households)):
        counted = homes[name].to_numpy(dtype=float)[atom >= 0]
        own = np.bincount(atom[atom >= 0], counted, len(unit)).astype(float)
        known = np.bincount(unit, own, len(of_unit))[unit] > 0
        share = np.where(known, own, atoms.area_m2)
        total = np.bincount(unit, share, len(of_unit))[unit]
        figures.append(of_unit.astype(float)[unit] * share / total)
    return figures[0], figures[1]


def _lines(uow: UnitOfWork, parcels: Parcels, epsg: int) -> NDArray[np.object_]:
    west, south, east, north = shapely.total_bounds(parcels.geometry)
    bbox = (float(west), float(south), float(east), float(north))
    streets = uow.streets.list(bbox, columns=STREET_COLUMNS)
    followed = (streets["layer"].to_numpy() == 0) & ~streets["street_class"].isin(STREETS_NOT_FOLLOWED).to_numpy()
    layers = [
        streets.geometry.to_numpy()[followed],
        uow.barriers.list(bbox, columns=()).geometry.to_numpy(),
        shapely.boundary(uow.water.list(bbox, columns=()).geometry.to_numpy()),
    ]
    lines = np.concatenate(layers)
    return to_metric(lines, epsg) if len(lines) else lines


def _workers(uow: UnitOfWork, network: str, frame: gpd.GeoDataFrame, code: str, at: datetime) -> list[int]:
    assigned = uow.assignments.list(network, code, at)
    count = assigned.groupby("grid_code")["worker_code"].nunique()
    return [int(each) for each in count.reindex(frame["code"], fill_value=0)]


def _members(of_unit: Integers, count: int) -> list[Integers]:
    order = np.argsort(of_unit, kind="stable")
    return np.split(order, np.searchsorted(of_unit[order], np.arange(1, count)))


def _codes(
    uow: UnitOfWork,
    proposal: Proposal,
    of_unit: Integers,
    held: Mapping[str, gpd.GeoDataFrame],
    reference: str,
    at: datetime,
    shapes: Codes,
) -> Codes:
    """Return the code of each unified grid: the reference's where it continues one, else that of the unified grid in force
    that it continues, else the next serial of its community.

    A code that the unified net gave to other ground, or gave up, is not given again.
    """
    units, grids = held[UNITS], held[reference]
    first = np.unique(of_unit, return_index=True)[1]
    community = units["community_code"].to_numpy(dtype=object)[first]
    wanted = np.append(grids["code"].to_numpy(dtype=object), [None])[proposal.continues]
    communities = sorted(set(community))
    used = uow.grids.used_codes(UNIFIED, communities)
    in_force = uow.grids.list(UNIFIED, at=at, community_codes=communities)
    inner = shapely.point_on_surface(units.geometry.to_numpy())
    index = GridIndex(in_force["code"].tolist(), in_force.geometry.to_numpy())
    former = np.asarray(index.locate(shapely.get_x(inner), shapely.get_y(inner)), dtype=object)
    codes = np.full(len(proposal), None, dtype=object)
    for k, members in enumerate(_members(of_unit, len(proposal))):
        code = wanted[k]
        if code is not None and code.startswith(community[k]) and (code not in used or code in set(former[members])):
            codes[k] = code
    fresh = np.flatnonzero(pd.isna(codes))
    given = {code for code in codes if code is not None}
    left = in_force[~in_force["code"].isin(given)]
    taken = used | uow.grids.used_codes(reference, communities) | given
    area_m2 = units["area_m2"].to_numpy(dtype=float)
    for name in sorted(set(community[fresh])):
        here = fresh[community[fresh] == name]
        codes[here] = grid_codes(
            name,
            shapes[here],
            np.bincount(of_unit, area_m2, len(proposal))[here],
            left[left["community_code"] == name],
            {code for code in taken if code.startswith(name)},
        )
    return codes


def _frame(uow: UnitOfWork, alternatives: StoredAlternatives, taken: PricedProposal) -> gpd.GeoDataFrame:
    """Return the grids of an alternative as the store takes them, each saying who answers in every network."""
    of_unit = alternatives.unit_grid[taken.proposal.name]
    net = merge_by_parcels(
        alternatives.parcels, alternatives.labels, reference=alternatives.reference, unified=taken.code[of_unit]
    )
    grids = alternatives.held[alternatives.reference]
    titles = dict(zip(grids["code"], grids["name"], strict=True))
    communities = uow.divisions.list("community", alternatives.division_code, with_geometry=False)
    names = dict(zip(communities["code"], communities["name"], strict=True))
    community = np.array([code[: DEFAULT_SCHEME.community_length] for code in net.code], dtype=object)
    name = [
        titles.get(code) or grid_name(names.get(where, ""), code)
        for code, where in zip(net.code, community, strict=True)
    ]
    return merged_frame(net, np.array(name, dtype=object), community)
