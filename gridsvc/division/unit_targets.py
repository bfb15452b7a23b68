"""The target area of unit grids that came without one: 10,000 m2 of built-up land, more where land is open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from gridsvc.division.atoms import make_atoms
from gridsvc.division.communities import CommunityInput, DivisionRules, Floats, Geometries, check_community
from gridsvc.errors import PartitionError


@dataclass(frozen=True, slots=True)
class WeighedGround:
    """The ground of one community in pieces, and what a square metre of each counts for unit grids.

    ``unit_area_m2`` is what a unit grid should count together: 10,000 m2, more in a community too vast for its serial numbers.
    ``is_plain`` says that the ground could not be told apart and counts in full everywhere.
    """

    pieces: Geometries
    weight: Floats
    unit_area_m2: float
    is_plain: bool = False


def weigh_ground(community: CommunityInput, rules: DivisionRules | None = None) -> WeighedGround:
    """Return the ground of a community weighed as `gridsvc.division.unit_grids` weighs it.

    Built-up land counts in full, open land a quarter, water a tenth (``DivisionRules``), enclosure by enclosure.

    Raises
    ------
    GeometryError
        The boundary or a building is not a valid polygon.
    """
    rules = rules or DivisionRules()
    check_community(community)
    rules = rules.enlarged_for(rules.open_land_weight * community.boundary.area)
    try:
        atoms = make_atoms(community, rules, rules.border_strip_m)
    except PartitionError:
        whole = np.empty(1, dtype=object)
        whole[0] = community.boundary
        return WeighedGround(whole, np.ones(1), rules.unit_area_m2, is_plain=True)
    weight = (atoms.size_m2 / atoms.area_m2)[atoms.atom_of_face]
    return WeighedGround(atoms.faces, weight, rules.enlarged_for(float(atoms.size_m2.sum())).unit_area_m2)


def unit_targets(grids: Geometries, ground: WeighedGround) -> Floats:
    """Return the target area of each grid on the ground of its community: the area at which what counts makes one unit. Unit: m2.

    Parameters
    ----------
    grids
        Valid polygons. CRS: that of the ground, projected, metric. A grid that meets none of it has the target of built-up land.
    ground
        See `weigh_ground`.

    Notes
    -----
    Source: our choice; the same target a division aims at, so that its own report agrees with it.
    """
    counted, whole = np.zeros(len(grids)), np.zeros(len(grids))
    grid, piece = shapely.STRtree(ground.pieces).query(grids, predicate="intersects")
    common = shapely.area(shapely.intersection(grids[grid], ground.pieces[piece]))
    np.add.at(whole, grid, common)
    np.add.at(counted, grid, common * ground.weight[piece])
    return ground.unit_area_m2 * np.divide(whole, counted, out=np.ones(len(grids)), where=counted > 0)
