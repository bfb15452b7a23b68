"""What must hold after every edit; an edit that would break any of it is refused and changes nothing."""

from __future__ import annotations

import numpy as np
import shapely

from gridsvc.division.checks import buildings_cut
from gridsvc.division.communities import Integers
from gridsvc.division.edit_cuts import keys_of
from gridsvc.division.editable_grids import (
    UNIT,
    EditableGrids,
    EditRules,
    GridChange,
    GridRef,
    SnappedVertex,
    describe,
    with_retired,
)
from gridsvc.errors import ConflictError, GeometryError, PartitionError
from gridsvc.geo.partitions import check_partition
from gridsvc.geo.projections import to_storage


def checked_edit(
    operation: str,
    before: EditableGrids,
    after: EditableGrids,
    rules: EditRules,
    *,
    snapped: tuple[SnappedVertex, ...] = (),
    notes: tuple[str, ...] = (),
) -> tuple[EditableGrids, GridChange]:
    """Return the grids after an edit and what changed, or refuse it: they must be an exact partition of the same land again.

    Checked are: every grid valid; a valid coverage, in metres and as stored; no gap and no overlap against the outer boundary, none of
    whose vertices moved; every changed grid contiguous and large enough; no building newly cut; households and population constant;
    locked grids untouched; no retired code given again.

    Raises
    ------
    PartitionError
        Names what broke and where; ``details["check"]`` is one of coverage, storage, outer-border, contiguity, counts.
    GeometryError
        When a grid would be too small, or a building would be cut.
    ConflictError
        When a locked grid would change, or nothing would.
    CodeDuplicateError
        When a retired code was given again.
    """
    after = with_retired(before, after)
    _check_coverage(after)
    _check_boundaries(before, after)
    change = describe(operation, before, after, snapped, notes)
    if not (change.retired or change.new or change.reshaped or change.regrouped):
        raise ConflictError("The edit would change nothing.", hint="Draw the line away from the border that is there.")
    _refuse_locked(before, change)
    for ref in (*change.new, *change.reshaped):
        _check_contiguous(before, after, ref)
        _check_size(after, ref, rules)
    _check_buildings(before, after)
    if (before.counts.sum(axis=0) != after.counts.sum(axis=0)).any():
        raise _broken("households or population got lost", "counts")
    return after, change


def _refuse_locked(before: EditableGrids, change: GridChange) -> None:
    touched = {*change.retired, *change.reshaped, *change.regrouped}
    locked = sorted(touched & before.ground.locked)
    if locked:
        raise ConflictError(
            f"The {locked[0].kind} grid {locked[0].code} is locked and this edit would change it.",
            hint="Unlock it first, or draw the edit beside it.",
            locked=[ref.code for ref in locked],
        )


def _check_coverage(after: EditableGrids) -> None:
    units = after.units
    valid = shapely.is_valid(units) & ~shapely.is_empty(units)
    if not valid.all():
        raise _broken(f"unit grid {after.codes[~valid][0]} is not valid", "coverage")
    if not shapely.coverage_is_valid(units):
        raise _broken("unit grids overlap, or neighbours differ in a shared vertex", "coverage")
    if not shapely.coverage_is_valid(to_storage(units, after.ground.epsg)):
        raise _broken("unit grids would overlap when stored", "storage")


def _check_boundaries(before: EditableGrids, after: EditableGrids) -> None:
    for community, boundary in before.ground.boundaries.items():
        here = np.flatnonzero(after.communities == community)
        units = after.units[here]
        if not check_partition(boundary, units).is_exact:
            raise _broken(f"the grids of community {community} leave a gap or reach outside", "outer-border")
        kept = np.isin(keys_of(shapely.get_coordinates(boundary)), keys_of(shapely.get_coordinates(units)))
        if not kept.all():
            raise _broken(f"a vertex of the boundary of community {community} moved", "outer-border")


def _check_contiguous(before: EditableGrids, after: EditableGrids, ref: GridRef) -> None:
    shape = after.shape(ref)
    if shape.geom_type == "Polygon":
        return
    sources = _sources(before, shape, ref.kind)
    allowed = max((loose_parts(before, source) for source in sources), default=0)
    if loose_parts(after, ref) > allowed:
        raise PartitionError(
            f"The {ref.kind} grid {ref.code} would fall apart into {len(shape.geoms)} parts.",
            hint="Draw the edit so that every grid stays in one piece.",
            check="contiguity",
            grid=ref.code,
        )


def loose_parts(grids: EditableGrids, ref: GridRef) -> int:
    """Return how many parts a grid has beyond one in each part of its community that it reaches."""
    parts = shapely.get_parts(grids.shape(ref))
    if len(parts) == 1:
        return 0
    islands = shapely.get_parts(grids.ground.boundaries[grids.community(ref)])
    island = shapely.STRtree(islands).query(shapely.point_on_surface(parts), predicate="intersects")[1]
    return len(parts) - len(np.unique(island))


def _sources(before: EditableGrids, shape: shapely.Geometry, kind: str) -> list[GridRef]:
    """Return the grids of a kind that held land of a shape."""
    shared = shapely.relate_pattern(before.units, shape, "T********")
    held = before.codes if kind == UNIT else before.parents
    return [GridRef(kind, code) for code in sorted(set(held[shared]) - {None})]


def is_too_small(shape: shapely.Geometry, rules: EditRules) -> bool:
    """Answer whether land is too small or too narrow for a grid."""
    return shape.area < rules.least_part_m2 or shape.area < rules.least_width_m * shape.length / 2


def _check_size(after: EditableGrids, ref: GridRef, rules: EditRules) -> None:
    shape = after.shape(ref)
    if is_too_small(shape, rules):
        raise GeometryError(
            f"The {ref.kind} grid {ref.code} would have {shape.area:.1f} m2, {2 * shape.area / shape.length:.1f} m wide.",
            hint=f"A grid has at least {rules.least_part_m2:g} m2 and is at least {rules.least_width_m:g} m wide.",
            area_m2=round(shape.area, 3),
        )


def _check_buildings(before: EditableGrids, after: EditableGrids) -> None:
    newly = newly_cut(before, after)
    if len(newly):
        names = [str(before.ground.building_ids[i]) for i in newly]
        raise GeometryError(
            f"The edit would cut building {', '.join(names[:3])}.",
            hint="Draw the line beside the building.",
            buildings=names,
        )


def newly_cut(before: EditableGrids, after: EditableGrids) -> Integers:
    """Return the positions of the buildings that were in one unit grid and would be in several."""
    kept = {id(unit) for unit in before.units}
    changed = np.array([id(unit) not in kept for unit in after.units], dtype=bool)
    buildings = before.ground.buildings
    if not len(buildings) or not changed.any():
        return np.zeros(0, dtype=np.int64)
    near: Integers = np.unique(shapely.STRtree(buildings).query(after.units[changed], predicate="intersects")[1])
    cut = near[buildings_cut(after.units, buildings[near])]
    return np.setdiff1d(cut, cut[buildings_cut(before.units, buildings[cut])])


def _broken(what: str, check: str) -> PartitionError:
    return PartitionError(
        f"The edit is refused: {what}.", hint="Draw the line a little elsewhere; nothing was changed.", check=check
    )
