"""The grids of a network from a file: checked as a partition, then put in force as a redraw of origin "imported"."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import shapely

from gridsvc.geo.partitions import check_partition
from gridsvc.geo.projections import area_m2, to_metric, zone_of
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    as_multipolygons,
    none_if_empty,
    refuse_duplicates,
    refuse_unknown,
    require_geometry,
    whole_numbers,
)
from gridsvc.store.unit_of_work import UnitOfWork

GRID_KINDS = {"urban": "unit", "social": "governance", "security": "security"}
_DISTRICT_DIGITS = 6
_COMMUNITY_DIGITS = 12
_CODE_DIGITS = 15
# smaller overlaps are the rounding of a file, larger ones an unanswered question: who is responsible there?
_OVERLAP_M2 = 1.0


def check_grids(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``grids``; overlapping grids are refused, gaps are not faults of a row."""
    codes = batch.text("code")
    _check_codes(batch, codes)
    refuse_duplicates(batch, "code", codes)
    communities = _check_communities(batch, uow, options, codes)
    _refuse_retired(batch, uow, options, codes, communities)
    require_geometry(batch, "polygon", codes, repair=options.repair)
    if GRID_KINDS[options.network] == "unit":
        several = batch.good & (shapely.get_num_geometries(batch.geometry) > 1)
        batch.refuse(several, "geometry", "has several parts; a unit grid is one polygon", codes)
    _refuse_overlaps(batch, codes)
    frame = pd.DataFrame({"code": codes, "name": batch.text("name"), "community_code": communities})
    frame["network"] = options.network
    frame["kind"] = GRID_KINDS[options.network]
    parents = batch.text("parent_code")
    frame["parent_code"] = none_if_empty(parents)
    frame["households"] = whole_numbers(batch, "households", 0)
    frame["population"] = whole_numbers(batch, "population", 0)
    frame["geometry"] = as_multipolygons(batch.geometry)
    _count_residents(batch, uow, frame)
    return frame


def store_grids(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int, dict[str, Any]]:
    """Put checked grids in force from ``options.at``, one redraw per district; return (stored, unchanged, checks).

    They replace the grids of the network in that district. ``checks`` says by district how well they cover their communities:
    ``gap_area_m2``, ``gaps``, ``overlap_area_m2``, ``is_exact``.
    """
    frame = frame.assign(area_m2=area_m2(frame["geometry"].to_numpy()))
    stored = unchanged = 0
    checks: dict[str, Any] = {}
    districts = frame["community_code"].str[:_DISTRICT_DIGITS]
    for district in sorted(set(districts)):
        own = frame[districts == district]
        checks[district] = _coverage(uow, own, options)
        redraw = uow.redraws.open_draft(
            options.network, district, "imported", options.actor, options.at, reason=f"file {own['source'].iloc[0]}"
        )
        held = uow.grids.list(options.network, prefix=district, at=options.at)
        uow.redraws.put_grids(redraw, own, held["community_code"])
        _, inserted, same = uow.redraws.approve(redraw, options.actor, options.at, options.at, checks[district])
        stored, unchanged = stored + inserted, unchanged + same
    return stored, unchanged, checks


def _count_residents(batch: Batch, uow: UnitOfWork, frame: pd.DataFrame) -> None:
    """Fill in who lives in grids of which the file says nothing, from the residences stored: each counts where its inner point is."""
    silent = np.isnan(batch.number("households")) & np.isnan(batch.number("population"))
    where = np.flatnonzero(batch.good & silent)
    # of grids that meet in a point, the smallest code has it
    where = where[np.argsort(frame["code"].to_numpy(dtype=str)[where], kind="stable")]
    tree = shapely.STRtree(batch.geometry[where])
    for district in sorted(set(frame["code"].str[:_DISTRICT_DIGITS].iloc[where])):
        homes = uow.residences.list(district, columns=("households", "population"))
        home, grid = tree.query(shapely.point_on_surface(homes.geometry.to_numpy()), predicate="intersects")
        order = np.lexsort((grid, home))
        home, first = np.unique(home[order], return_index=True)
        held = where[grid[order][first]]
        for name in ("households", "population"):
            counted = np.bincount(held, weights=homes[name].to_numpy(dtype=float)[home], minlength=len(frame))
            frame[name] += counted.astype(np.int64)


def _check_codes(batch: Batch, codes: np.ndarray) -> None:
    malformed = np.array(
        [bool(c) and not (c.isascii() and c.isdigit() and len(c) == _CODE_DIGITS) for c in codes], dtype=bool
    )
    batch.refuse(malformed, "code", f"is not a grid code of {_CODE_DIGITS} digits: community 12, serial 3", codes)


def _check_communities(batch: Batch, uow: UnitOfWork, options: ImportOptions, codes: np.ndarray) -> np.ndarray:
    own = np.array([code[:_COMMUNITY_DIGITS] for code in codes], dtype=object)
    stated = batch.text("community_code")
    batch.refuse((stated != "") & (stated != own), "community_code", "is not what the grid code begins with", stated)
    known = uow.divisions.exists(sorted(set(own[batch.good])), options.at)
    refuse_unknown(batch, "code", np.where(batch.good, own, ""), known, "in a community stored; import divisions first")
    return own


def _refuse_retired(
    batch: Batch, uow: UnitOfWork, options: ImportOptions, codes: np.ndarray, communities: np.ndarray
) -> None:
    wanted = sorted(set(communities[batch.good]))
    if not wanted:
        return
    in_force = uow.grids.list(options.network, at=options.at, community_codes=wanted)
    retired = set(uow.grids.used_codes(options.network, wanted)) - set(in_force["code"])
    reused = batch.good & np.array([code in retired for code in codes], dtype=bool)
    batch.refuse(reused, "code", "was in use before and is retired; a retired code is never given again", codes)


def _refuse_overlaps(batch: Batch, codes: np.ndarray) -> None:
    where = np.flatnonzero(batch.good)
    if not len(where):
        return
    metric = to_metric(batch.geometry[where], zone_of(batch.geometry[where]))
    tree = shapely.STRtree(metric)
    first, second = tree.query(metric, predicate="intersects")
    pairs = first < second
    first, second = first[pairs], second[pairs]
    # neighbours that share a border have no common area; only the others are cut with each other
    meet = ~shapely.touches(metric[first], metric[second])
    first, second = first[meet], second[meet]
    areas = shapely.area(shapely.intersection(metric[first], metric[second]))
    other: dict[int, tuple[str, float]] = {}
    for i, j, area in zip(first, second, areas, strict=True):
        if area > _OVERLAP_M2:
            other.setdefault(int(where[i]), (codes[where[j]], area))
            other.setdefault(int(where[j]), (codes[where[i]], area))
    overlapping = np.isin(np.arange(len(codes)), list(other))
    reasons = [f"overlaps grid {other[i][0]} by {other[i][1]:.1f} m2" if i in other else "" for i in range(len(codes))]
    batch.refuse(overlapping, "geometry", reasons, codes)


def _coverage(uow: UnitOfWork, own: pd.DataFrame, options: ImportOptions) -> dict[str, Any]:
    """Return how well grids cover the communities they belong to."""
    communities = set(own["community_code"])
    counts = Counter(grids=len(own), communities=len(communities))
    district = own["community_code"].iloc[0][:_DISTRICT_DIGITS]
    drawn = uow.divisions.list("community", prefix=district, at=options.at)
    drawn = drawn[drawn["code"].isin(communities) & ~drawn.geometry.isna()]
    if len(drawn) < len(communities):
        return {**counts, "is_exact": None, "why": "some of the communities are not drawn"}
    shapes = own["geometry"].to_numpy()
    zone = zone_of(shapes)
    boundary = to_metric(np.array([shapely.union_all(drawn.geometry.to_numpy())], dtype=object), zone)[0]
    found = check_partition(boundary, to_metric(shapes, zone))
    return {
        **counts,
        "is_exact": bool(found.is_exact),
        "gaps": len(found.gaps),
        "gap_area_m2": round(float(found.gap_area_m2), 3),
        "overlap_area_m2": round(float(found.overlap_area_m2), 3),
    }
