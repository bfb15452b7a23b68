"""Divide one community: lines to atoms, atoms to governance grids, unit grids inside them, and the checks.

The one function the rest of gridsvc calls is ``divide_community``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely

from gridsvc.division.atoms import Atoms, make_atoms
from gridsvc.division.borders import NONE, EdgeTable, Neighbours, are_among, components_within, vertex_keys
from gridsvc.division.checks import check_division
from gridsvc.division.communities import (
    CommunityDivision,
    CommunityInput,
    DivisionRules,
    Floats,
    Geometries,
    Integers,
    check_community,
    summed,
)
from gridsvc.division.governance_grids import governance_grids
from gridsvc.division.unit_grids import unit_grids
from gridsvc.errors import PartitionError

# a wider strip along the boundary is tried when lines and boundary are entangled in the first
_STRIP_FACTORS = (1.0, 1.7, 2.9, 5.0)


def divide_community(
    community: CommunityInput,
    rules: DivisionRules | None = None,
    *,
    seed: int = 0,
    kinds: Sequence[str] = ("unit", "governance"),
    exact_s: float = 0.0,
) -> CommunityDivision:
    """Return a community divided into unit grids nested in governance grids, an exact partition of it.

    Every invariant is checked before the answer is returned: no gap, no overlap, shared vertices identical, every unit grid one
    polygon in exactly one governance grid, governance grids contiguous where the community is, no building cut.
    The boundary's vertices are all kept; grids may add some. Same input and seed, same answer.

    Parameters
    ----------
    community
        CRS: projected, metric.
    rules
        Sizes and tolerances; default ``DivisionRules()``.
    seed
        Of METIS and of the annealing.
    kinds
        Without ``unit`` the unit grids are the governance grids themselves (each part of one that falls apart), which is quicker.
    exact_s
        Above 0, a solver searches the best governance grids this long from the heuristic's answer, and the notes say what it
        proved. Unit: s.

    Raises
    ------
    GridsvcError
        With ``exact_s``, when the community is too large for the solver.
    GeometryError
        The boundary or a building is not a valid polygon.
    PartitionError
        The lines of this community cannot be made an exact partition; names the check that failed.

    Notes
    -----
    Method: enclosures of snap-rounded lines, METIS start, annealing of borders; governance grids first, unit grids inside.
    Cost: about 0.05-0.1 s for 0.25 km2 of town.
    """
    rules = rules or DivisionRules()
    check_community(community)
    refused: PartitionError | None = None
    for factor in _STRIP_FACTORS:
        try:
            return _divide(community, rules, seed, rules.border_strip_m * factor, kinds, exact_s)
        except PartitionError as error:
            refused = error
    assert refused is not None
    raise refused


def _divide(
    community: CommunityInput, rules: DivisionRules, seed: int, strip_m: float, kinds: Sequence[str], exact_s: float
) -> CommunityDivision:
    # all of it open is the least it can count for: a vast community is cut coarsely from the start
    rules = rules.enlarged_for(rules.open_land_weight * community.boundary.area)
    atoms = make_atoms(community, rules, strip_m)
    rules = rules.enlarged_for(float(atoms.size_m2.sum()))
    if exact_s > 0:
        # loaded only here: it brings in scipy's solvers
        from gridsvc.division.exact_grouping import exact_governance_grids

        governance, proof = exact_governance_grids(atoms, rules, seed=seed, seconds=exact_s, community=community)
        proved = "proven best" if proof.proven else f"within {proof.gap:.1%} of the best"
        notes: tuple[str, ...] = (f"governance grids {proved} ({proof.seconds:.1f} s)",)
    else:
        governance, notes = governance_grids(atoms, rules, seed=seed, community=community), ()
    units = (
        unit_grids(atoms, governance, rules, seed=seed) if "unit" in kinds else pieces_of(atoms.neighbours, governance)
    )
    division = _assembled(community, atoms, governance, units, rules)
    check_division(community, division)
    return replace(division, notes=(*division.notes, *notes)) if notes else division


def _assembled(
    community: CommunityInput, atoms: Atoms, governance: Integers, units: Integers, rules: DivisionRules
) -> CommunityDivision:
    unit_polygons = dissolved(atoms.faces, units[atoms.atom_of_face])
    unit_polygons = without_idle_vertices(unit_polygons, atoms.added)
    unit_order = west_to_east(unit_polygons)
    governance_of_unit = np.zeros(len(unit_polygons), dtype=np.int64)
    governance_of_unit[units] = governance
    grid_polygons = dissolved(unit_polygons, governance_of_unit)
    grid_order = west_to_east(grid_polygons)
    unit_rank, grid_rank = np.argsort(unit_order), np.argsort(grid_order)

    size = np.bincount(units, atoms.size_m2)
    held = atoms.atom_of_building >= 0
    unit_of_building = np.where(held, unit_rank[units[atoms.atom_of_building]], -1)
    border, on_lines = _border_lengths(atoms, governance[atoms.atom_of_face])
    governance_households = _sums(governance, atoms.households)[grid_order]
    is_dedicated = (np.bincount(governance, atoms.owner >= 0) == np.bincount(governance))[grid_order]
    return CommunityDivision(
        code=community.code,
        unit_grids=unit_polygons[unit_order],
        governance_of_unit=grid_rank[governance_of_unit][unit_order],
        governance_grids=grid_polygons[grid_order],
        unit_households=_sums(units, atoms.households)[unit_order],
        unit_population=_sums(units, atoms.population)[unit_order],
        unit_target_m2=(rules.unit_area_m2 * np.bincount(units, atoms.area_m2) / size)[unit_order],
        governance_households=governance_households,
        governance_population=_sums(governance, atoms.population)[grid_order],
        governance_components=summed(governance, atoms.components)[grid_order],
        governance_events=summed(governance, atoms.events)[grid_order],
        is_dedicated=is_dedicated,
        unit_of_building=unit_of_building,
        border_m=border,
        border_on_lines_m=on_lines,
        notes=_notes(community, governance_households[~is_dedicated], held, rules),
    )


def pieces_of(neighbours: Neighbours, labels: Integers) -> Integers:
    """Return the connected piece of its group that each belongs to, numbered from 0."""
    return components_within(neighbours.start, neighbours.ids, labels)


def _sums(labels: Integers, counts: Integers) -> Integers:
    return np.rint(np.bincount(labels, counts)).astype(np.int64)


def dissolved(polygons: Geometries, labels: Integers) -> Geometries:
    """Return the union of the polygons of each label 0..n, in label order; shared borders vanish exactly."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(polygons[order], np.flatnonzero(np.diff(labels[order])) + 1)
    unions = np.empty(len(groups), dtype=object)
    unions[:] = [group[0] if len(group) == 1 else _plain(shapely.coverage_union_all(group)) for group in groups]
    return unions


def _plain(geometry: shapely.Geometry) -> shapely.Geometry:
    return geometry.geoms[0] if geometry.geom_type == "MultiPolygon" and len(geometry.geoms) == 1 else geometry


def west_to_east(polygons: Geometries) -> Integers:
    """Return the order of the polygons from west to east, then north to south, by centroid."""
    # to the millimetre: the last bits of a centroid depend on where its ring begins
    x, y = np.round(shapely.get_coordinates(shapely.centroid(polygons)), 3).T
    return np.lexsort((-y, x))


def without_idle_vertices(polygons: Geometries, added: Floats) -> Geometries:
    """Return a coverage without those added points that only one of its polygons has.

    Lines drawn to the boundary leave points there; where the pieces on both sides went to the same grid the point is idle.
    """
    if len(added) == 0:
        return polygons
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    is_added = are_among(vertex_keys(coordinates), vertex_keys(added))
    _, place = np.unique(vertex_keys(coordinates[is_added]), return_inverse=True)
    # a ring's closing vertex repeats its first one
    seen = np.unique(place * len(polygons) + polygon[ring[is_added]])
    several = np.bincount(seen // len(polygons)) > 1
    keep = ~is_added
    keep[is_added] = several[place]
    if keep.all():
        return polygons
    slim = shapely.linearrings(coordinates[keep], indices=ring[keep])
    return shapely.polygons(slim, indices=polygon)


def _border_lengths(atoms: Atoms, governance_of_face: Integers) -> tuple[float, float]:
    edges: EdgeTable = atoms.edges
    inner = edges.right >= 0
    border = inner & (governance_of_face[edges.left] != governance_of_face[edges.right])
    return float(edges.length_m[border].sum()), float(edges.length_m[border & (atoms.border_kind != NONE)].sum())


def _notes(
    community: CommunityInput, governance_households: Integers, held: np.ndarray, rules: DivisionRules
) -> tuple[str, ...]:
    notes = []
    low, high = rules.households_min, rules.households_max
    outside = int(((governance_households < low) | (governance_households > high)).sum())
    if outside:
        notes.append(f"{outside} of {len(governance_households)} governance grids are outside {low}-{high} households")
    elsewhere = int((~held).sum())
    if elsewhere:
        notes.append(f"{elsewhere} of {len(held)} buildings lie mostly outside the boundary and are not counted")
    if len(community.streets) == 0:
        notes.append("no streets are known here")
    return tuple(notes)
