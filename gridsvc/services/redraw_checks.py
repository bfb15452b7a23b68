"""What must hold of a draft before anybody may approve it, and what is only worth knowing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.division.checks import buildings_cut
from gridsvc.division.communities import DivisionRules
from gridsvc.division.obstacles import within_community
from gridsvc.geo.partitions import PartitionReport, check_partition
from gridsvc.geo.projections import to_metric
from gridsvc.services.redraw_ground import RedrawGround
from gridsvc.store.unit_of_work import UnitOfWork

CHECKS = (
    "gap", "overlap", "sliver", "outside", "boundary", "code", "nesting", "contiguity", "validity", "building-cut", "household-bounds",
)  # fmt: skip
_CODE_DIGITS = 15
_NESTED_TOLERANCE_M2 = 0.01


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing found: which of `CHECKS`, what and where, how much of it (m2, or a count), which grids."""

    check: str
    message: str
    community: str
    network: str
    grids: tuple[str, ...] = ()
    amount: float = 0.0


@dataclass(frozen=True, slots=True)
class RedrawChecks:
    """The checks of a draft. ``faults`` stand in the way of approval, ``warnings`` do not. Areas in m2."""

    passed: bool
    communities: int
    grids: dict[str, int]
    gap_area_m2: float
    overlap_area_m2: float
    outside_area_m2: float
    slivers: int
    buildings_cut: int
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def check_ground(
    uow: UnitOfWork, ground: RedrawGround, *, at: Any = None, rules: DivisionRules | None = None
) -> RedrawChecks:
    """Return what is wrong with the grids of a redraw, as they would be stored.

    Faults: gaps, overlaps, slivers and parts outside against the boundary of each community; communities that are not there;
    codes that are no codes of their community, were given before, or are given to other ground; unit grids that do not nest in
    governance grids; grids in pieces or crossing themselves; buildings cut. Warnings: governance grids outside the household bounds.

    Parameters
    ----------
    at
        The instant whose boundaries and governance grids are meant; None the newest.
    """
    rules = rules or DivisionRules()
    boundaries = _boundaries(uow, ground, at)
    faults = list(_unknown_communities(ground, boundaries))
    totals = dict.fromkeys(("gap", "overlap", "outside"), 0.0)
    buildings = _buildings(uow, ground)
    for (network, community), members in ground.after.groupby(["network", "community_code"], sort=True):
        boundary = boundaries.get(community)
        if boundary is None:
            continue
        shapes = to_metric(members.geometry.to_numpy(), ground.epsg)
        codes = members["code"].to_numpy(object)
        # what is valid in degrees need not be so in metres, when it is thinner than the rounding
        crossing = np.flatnonzero(~shapely.is_valid(shapes))
        if len(crossing):
            faults += [
                Fault("validity", f"Grid {codes[i]} crosses itself.", community, network, (str(codes[i]),))
                for i in crossing
            ]
            continue
        report = check_partition(boundary, shapes)
        for what in totals:
            totals[what] += float(getattr(report, f"{what}_area_m2"))
        faults += _partition_faults(report, codes, community, network)
        faults += _pieces(shapes, codes, boundary, community, network, members["kind"].iloc[0])
        if network in ("urban", "social"):
            faults += _cut_faults(shapes, boundary, buildings, community, network)
    faults += _code_faults(uow, ground, at)
    faults += _nesting_faults(uow, ground, at)
    return RedrawChecks(
        passed=not faults,
        communities=len(ground.redraw["community_codes"]),
        grids={str(n): int(c) for n, c in ground.after["network"].value_counts().sort_index().items()},
        gap_area_m2=totals["gap"],
        overlap_area_m2=totals["overlap"],
        outside_area_m2=totals["outside"],
        slivers=sum(fault.check == "sliver" for fault in faults),
        buildings_cut=int(sum(fault.amount for fault in faults if fault.check == "building-cut")),
        faults=tuple(faults),
        warnings=tuple(_band_warnings(ground.after, rules)),
    )


def _boundaries(uow: UnitOfWork, ground: RedrawGround, at: Any) -> dict[str, shapely.Geometry]:
    """Return the boundaries of the redrawn communities by code, metric; those not drawn are missing."""
    drawn = uow.divisions.list("community", prefix=ground.redraw["division_code"], at=at)
    drawn = drawn[drawn["code"].isin(ground.redraw["community_codes"]) & ~drawn.geometry.isna()]
    return (
        dict(zip(drawn["code"], to_metric(drawn.geometry.to_numpy(), ground.epsg), strict=True)) if len(drawn) else {}
    )


def _buildings(uow: UnitOfWork, ground: RedrawGround) -> NDArray[np.object_]:
    if not len(ground.after):
        return np.empty(0, dtype=object)
    west, south, east, north = ground.after.total_bounds
    # of the whole neighbourhood: a building of the next community may reach into this one
    found = uow.everywhere().residences.list(bbox=(west, south, east, north))
    return to_metric(found.geometry.to_numpy(), ground.epsg) if len(found) else np.empty(0, dtype=object)


def _unknown_communities(ground: RedrawGround, boundaries: dict[str, shapely.Geometry]) -> Iterator[Fault]:
    for community in ground.redraw["community_codes"]:
        if community not in boundaries:
            networks = ", ".join(ground.redraw["networks"])
            yield Fault("boundary", f"Community {community} is not known, or has no boundary.", community, networks)
            continue
        for network in ground.redraw["networks"]:
            held = ground.after["network"] == network
            if not (ground.after["community_code"][held] == community).any():
                message = f"Community {community} would have no {network} grids."
                yield Fault("gap", message, community, network, amount=boundaries[community].area)


def _partition_faults(report: PartitionReport, codes: Any, community: str, network: str) -> Iterator[Fault]:
    if report.is_exact:
        return
    where = f"in the {network} grids of community {community}"
    for gap in report.gaps:
        yield Fault("gap", f"A gap of {gap.area:.3f} m2 {where}.", community, network, amount=gap.area)
    for overlap in report.overlaps:
        pair = (str(codes[overlap.first]), str(codes[overlap.second]))
        message = f"Grids {pair[0]} and {pair[1]} overlap by {overlap.polygon.area:.3f} m2."
        yield Fault("overlap", message, community, network, pair, overlap.polygon.area)
    for part in report.outside:
        message = f"{part.area:.3f} m2 of the {network} grids lie outside community {community}."
        yield Fault("outside", message, community, network, amount=part.area)
    for sliver in report.slivers:
        yield Fault("sliver", f"A sliver of {sliver.area:.6f} m2 {where}.", community, network, amount=1)
    if not (report.gaps or report.overlaps or report.outside or report.slivers):
        message = f"{len(report.unmatched_edges)} edges {where} are on one side of a border only."
        yield Fault("sliver", message, community, network, amount=len(report.unmatched_edges))


def _pieces(shapes: Any, codes: Any, boundary: Any, community: str, network: str, kind: str) -> Iterator[Fault]:
    """Yield grids in several pieces; a governance grid may be so where its community is."""
    parts = shapely.get_parts(boundary)
    for index in np.flatnonzero(shapely.get_num_geometries(shapes) > 1):
        pieces = shapely.get_parts(shapes[index])
        holder = shapely.STRtree(parts).query(shapely.point_on_surface(pieces), predicate="within")[1]
        if kind == "unit" or len(np.unique(holder)) < len(pieces):
            message = f"Grid {codes[index]} is in {len(pieces)} pieces."
            yield Fault("contiguity", message, community, network, (str(codes[index]),), len(pieces))


def _cut_faults(shapes: Any, boundary: Any, buildings: Any, community: str, network: str) -> Iterator[Fault]:
    if not len(buildings):
        return
    near = np.sort(shapely.STRtree(buildings).query(boundary, predicate="intersects"))
    cut = buildings_cut(shapes, within_community(buildings[near], boundary)[0])
    if len(cut):
        message = f"{len(cut)} buildings of community {community} are cut by {network} grids."
        yield Fault("building-cut", message, community, network, amount=len(cut))


def _code_faults(uow: UnitOfWork, ground: RedrawGround, at: Any) -> Iterator[Fault]:
    communities = ground.redraw["community_codes"]
    for network in ground.redraw["networks"]:
        before, after = ground.of(network)
        spent = uow.grids.spent_codes(network, communities, str(ground.redraw["redraw_id"]), at)
        lineage = ground.lineage.get(network)
        continued = set() if lineage is None else {
            new for old, new in zip(lineage.old_code, lineage.new_code, strict=True) if old == new
        }  # fmt: skip
        held = set(before["code"])
        for code, community in zip(after["code"], after["community_code"], strict=True):
            if not (code.isascii() and code.isdigit() and len(code) == _CODE_DIGITS and code.startswith(community)):
                what = f"is not a grid code of community {community}: its 12 digits and a serial of 3"
            elif code in spent:
                what = "was given before, or is given in another draft; a code is never given twice"
            elif code in held and code not in continued:
                what = "would pass to other ground than it stands for"
            else:
                continue
            yield Fault("code", f"The {network} code {code} {what}.", community, network, (code,))


def _nesting_faults(uow: UnitOfWork, ground: RedrawGround, at: Any) -> Iterator[Fault]:
    """Yield unit grids that are not within their governance grid, where either is redrawn."""
    networks = ground.redraw["networks"]
    if "urban" not in networks and "social" not in networks:
        return
    sides = {}
    for network in ("urban", "social"):
        drawn = ground.of(network)[1]
        sides[network] = (
            drawn if network in networks
            else uow.grids.list(network, at=at, community_codes=ground.redraw["community_codes"])
        )  # fmt: skip
    units, governance = sides["urban"], sides["social"]
    if units.empty or governance.empty:
        return
    parent = dict(zip(governance["code"], to_metric(governance.geometry.to_numpy(), ground.epsg), strict=True))
    known = units["parent_code"].isin(list(parent)).to_numpy()
    for code, community in units.loc[~known, ["code", "community_code"]].itertuples(index=False, name=None):
        message = f"Unit grid {code} names no governance grid that would be in force."
        yield Fault("nesting", message, community, "urban", (code,))
    nested = units[known]
    holders = np.array([parent[code] for code in nested["parent_code"]], dtype=object)
    shapes = shapely.make_valid(to_metric(nested.geometry.to_numpy(), ground.epsg))
    beyond = shapely.area(shapely.difference(shapes, shapely.make_valid(holders)))
    for index in np.flatnonzero(beyond > _NESTED_TOLERANCE_M2):
        row = nested.iloc[index]
        message = f"{beyond[index]:.3f} m2 of unit grid {row['code']} lie outside governance grid {row['parent_code']}."
        yield Fault(
            "nesting", message, row["community_code"], "urban", (row["code"], row["parent_code"]), float(beyond[index])
        )


def _band_warnings(after: gpd.GeoDataFrame, rules: DivisionRules) -> Iterator[Fault]:
    governance = after[after["kind"] == "governance"]
    outside = (governance["households"] < rules.households_min) | (governance["households"] > rules.households_max)
    for row in governance[outside].itertuples():
        message = (
            f"Governance grid {row.code} would have {row.households} households,"
            f" not {rules.households_min} to {rules.households_max}."
        )
        yield Fault("household-bounds", message, row.community_code, row.network, (row.code,), float(row.households))
