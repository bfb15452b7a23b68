"""Whether the boundaries of divisions meet those beside them, at import and when they are divided."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.errors import CoordinateError, GeometryError
from gridsvc.geo.border_fit import aligned, border_differences
from gridsvc.geo.projections import to_metric, to_storage, zone_of
from gridsvc.services.community_inputs import Area
from gridsvc.services.import_batch import Batch, BorderFault, ImportOptions
from gridsvc.store.unit_of_work import UnitOfWork

Geometries = NDArray[np.object_]

_ALIGN_M = (0.01, 0.1, 1.0)
_NEAR_DEG = 2e-5  # more than the metre within which borders are compared


def fit_borders(
    batch: Batch, uow: UnitOfWork, options: ImportOptions, codes: NDArray[np.object_], levels: NDArray[np.object_]
) -> None:
    """Bring the boundaries of a file together, and onto those stored, if asked to; list in ``batch.borders`` those that differ.

    Level by level; in metres of the zone at the middle of the file. Places outside of all zones are left as they are.
    """
    drawn = batch.good & ~shapely.is_missing(batch.geometry)
    if not drawn.any():
        return
    try:
        zone = zone_of(batch.geometry[drawn])
    except CoordinateError:
        return
    for level in dict.fromkeys(levels[drawn]):
        rows = np.flatnonzero(drawn & (levels == level))
        others, other_codes = _stored_beside(uow, level, batch.geometry[rows], codes[rows], options)
        held = to_metric(others, zone)
        if options.align_m is not None:
            rows = rows[_align(batch, rows, codes, held, zone, options.align_m)]
        metric = to_metric(batch.geometry[rows], zone)
        batch.borders += _faults(np.concatenate([metric, held]), codes[rows], other_codes, zone)


def _stored_beside(
    uow: UnitOfWork, level: str, shapes: Geometries, codes: NDArray[np.object_], options: ImportOptions
) -> tuple[Geometries, NDArray[np.object_]]:
    """Return the boundaries of a level stored beside those of the file, and their codes; those that the file replaces do not count."""
    stored = uow.divisions.list(level, at=options.at)
    stored = stored[~stored.geometry.isna() & ~stored["code"].isin(codes)]
    margin = np.array([-_NEAR_DEG, -_NEAR_DEG, _NEAR_DEG, _NEAR_DEG])
    boxes = shapely.box(*(shapely.bounds(shapes) + margin).T)
    near = np.unique(shapely.STRtree(stored.geometry.to_numpy()).query(boxes)[1])
    beside = stored.iloc[near]
    return beside.geometry.to_numpy(), beside["code"].to_numpy(dtype=object)


def _align(
    batch: Batch, rows: NDArray[np.int64], codes: NDArray[np.object_], held: Geometries, zone: int, within_m: float
) -> NDArray[np.bool_]:
    """Move boundaries of a file and answer which rows could be; those with a part too narrow for it are refused."""
    good = np.ones(len(rows), dtype=bool)
    moved = batch.geometry[rows]
    while good.any():
        try:
            moved[good] = to_storage(aligned(to_metric(batch.geometry[rows[good]], zone), held, within_m), zone)
            break
        except GeometryError as error:
            good[np.flatnonzero(good)[error.details["index"]]] = False
    good &= shapely.is_valid(moved)
    bad = np.zeros(len(batch.rows), dtype=bool)
    bad[rows[~good]] = True
    batch.refuse(bad, "geometry", f"has a part too narrow to be aligned within {within_m:g} m", codes)
    changed = good & ~shapely.equals_exact(moved, batch.geometry[rows], tolerance=0.0)
    batch.geometry[rows[changed]] = moved[changed]
    batch.aligned += int(changed.sum())
    return good


def _faults(
    metric: Geometries, codes: NDArray[np.object_], other_codes: NDArray[np.object_], zone: int
) -> list[BorderFault]:
    """Return the differences between boundaries of the file, which come first, and with those stored."""
    names = np.concatenate([codes, other_codes])
    found = [d for d in border_differences(metric) if d.first < len(codes)]
    if not found:
        return []
    places = shapely.get_coordinates(to_storage(shapely.points([(d.x, d.y) for d in found]), zone))
    return [
        BorderFault(
            names[d.first],
            names[d.second],
            d.second >= len(codes),
            round(d.apart_m, 4),
            round(d.overlap_m2, 4),
            float(lon),
            float(lat),
        )
        for d, (lon, lat) in zip(found, places, strict=True)
    ]


def community_borders(area: Area, around: gpd.GeoDataFrame) -> dict[str, list[BorderFault]]:
    """Return, by community, where its boundary differs from those of the others of the area and from the grids around it.

    Parameters
    ----------
    around
        Grids in force beside the area: community_code, geometry. CRS: EPSG:4490.

    Returns
    -------
    faults
        Of each community, seen from it (``code``), one for each other community; those furthest apart first. Of communities
        around only what has grids in force counts.
    """
    names = np.array([c.code for c in area.inputs], dtype=object)
    if not len(names):
        return {}
    outlines = np.array([c.boundary for c in area.inputs], dtype=object)
    beside = around.dissolve("community_code", method="coverage") if len(around) else around.set_index("community_code")
    held = to_metric(beside.geometry.to_numpy(), area.epsg)
    found = _faults(np.concatenate([outlines, held]), names, beside.index.to_numpy(dtype=object), area.epsg)
    found += [replace(f, code=f.other_code, other_code=f.code) for f in found if not f.is_stored]
    by_code: dict[str, list[BorderFault]] = {}
    for fault in sorted(found, key=lambda fault: (-fault.apart_m, -fault.overlap_m2, fault.other_code)):
        by_code.setdefault(fault.code, []).append(fault)
    return by_code


def sentence(fault: BorderFault) -> str:
    """Return what differs and where, without the community it is said of."""
    overlap = f"overlaps it by {fault.overlap_m2:.3f} m2" if fault.overlap_m2 else ""
    apart = f"its boundary is up to {_length(fault.apart_m)} off that of {fault.other_code}" if fault.apart_m else ""
    what = (
        f"{apart} and {overlap}"
        if apart and overlap
        else apart or f"it overlaps {fault.other_code} by {fault.overlap_m2:.3f} m2"
    )
    return f"{what}, most at {fault.lon:.7f} {fault.lat:.7f}"


def suggested_align_m(faults: list[BorderFault]) -> float | None:
    """Return how far boundaries must be moved to meet, as a round figure; None where that would be more than they may be."""
    furthest = max(fault.apart_m for fault in faults)
    if any(fault.apart_m == 0.0 for fault in faults):
        return None
    return next((within for within in _ALIGN_M if furthest <= within), None)


def _length(length_m: float) -> str:
    return f"{length_m * 1000:.1f} mm" if length_m < 0.1 else f"{length_m:.2f} m"
