"""Administrative divisions from a file: codes, levels, parents, boundaries."""

from __future__ import annotations

import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import CodeMalformedError
from gridsvc.geo.division_codes import LEVELS, check_division_code, level_of, parent_of, unpad
from gridsvc.services.division_borders import fit_borders
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    as_multipolygons,
    none_if_empty,
    refuse_duplicates,
    require_geometry,
    whole_numbers,
)
from gridsvc.store.unit_of_work import UnitOfWork

_LEVEL_NAMES = {
    "省": "province", "直辖市": "province", "市": "city", "区": "district", "县": "district", "区县": "district", "county": "district",
    "街道": "street", "乡镇": "street", "镇": "street", "乡": "street", "township": "street", "subdistrict": "street",
    "社区": "community", "村": "community", "居委会": "community", "村委会": "community", "village": "community",
}  # fmt: skip
# above these a city is a fair place to begin; below, a division without a parent cannot be placed
_NEED_PARENT = ("street", "community")


def check_divisions(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``divisions``; faults go into the batch."""
    codes = np.array([_unpadded(code) for code in batch.text("code")], dtype=object)
    levels = _check_codes(batch, codes)
    refuse_duplicates(batch, "code", codes)
    require_geometry(batch, "polygon", codes, required=batch.has_shapes, repair=options.repair)
    parents = np.array(
        [(code if not level else parent_of(code)) or "" for code, level in zip(codes, levels, strict=True)],
        dtype=object,
    )
    _check_stated_parents(batch, parents)
    urban = whole_numbers(batch, "urban_rural_class", None)
    _check_parents(batch, uow, options, codes, levels, parents)
    fit_borders(batch, uow, options, codes, levels)
    frame = pd.DataFrame(
        {"code": codes, "name": batch.text("name"), "level": levels, "parent_code": none_if_empty(parents)}
    )
    frame["urban_rural_class"] = urban
    frame["geometry"] = as_multipolygons(batch.geometry)
    return frame


def store_divisions(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked divisions in force from ``options.at``; return (stored, unchanged).

    A code that comes without a boundary does not take away the one stored: a list of names says nothing about shapes.
    """
    undrawn = shapely.is_missing(frame["geometry"].to_numpy())
    if undrawn.any():
        known = uow.divisions.list(at=options.at)
        shapes = dict(zip(known["code"], known.geometry, strict=True))
        frame = frame.copy()
        filled = frame["geometry"].to_numpy(copy=True)
        filled[undrawn] = [shapes.get(code) for code in frame["code"].to_numpy()[undrawn]]
        frame["geometry"] = filled
    return uow.divisions.put_frame(frame, options.at)


def _unpadded(code: str) -> str:
    """Return a code without the zeros statistics fill it up with; anything malformed as it is."""
    try:
        return unpad(code) if len(code) in LEVELS.values() else code
    except CodeMalformedError:
        return code


def _check_codes(batch: Batch, codes: np.ndarray) -> np.ndarray:
    """Return the level of each code ("" where malformed)."""
    stated = batch.text("level")
    levels = np.full(len(codes), "", dtype=object)
    reasons = np.full(len(codes), "", dtype=object)
    contradicted = np.zeros(len(codes), dtype=bool)
    for i, code in enumerate(codes):
        if not code:
            continue
        try:
            levels[i] = level_of(check_division_code(code))
        except CodeMalformedError:
            reasons[i] = "is not a division code: 2, 4, 6, 9 or 12 digits, text with its leading zeros"
            continue
        name = _LEVEL_NAMES.get(stated[i], stated[i])
        contradicted[i] = bool(name) and name != levels[i]
    batch.refuse(reasons != "", "code", list(reasons), codes)
    lengths = ", ".join(f"{level} {digits}" for level, digits in LEVELS.items())
    batch.refuse(contradicted, "level", f"does not fit the length of the code (digits: {lengths})", stated)
    return levels


def _check_stated_parents(batch: Batch, parents: np.ndarray) -> None:
    stated = np.array([_unpadded(code) for code in batch.text("parent_code")], dtype=object)
    batch.refuse((stated != "") & (stated != parents), "parent_code", "is not what the code begins with", stated)


def _check_parents(
    batch: Batch, uow: UnitOfWork, options: ImportOptions, codes: np.ndarray, levels: np.ndarray, parents: np.ndarray
) -> None:
    stored = uow.divisions.exists(sorted(set(parents) - {""}), options.at)
    for level in _NEED_PARENT:  # from large to small: a refused street takes its communities with it
        known = stored | set(codes[batch.good])
        orphan = (levels == level) & np.array([parent not in known for parent in parents], dtype=bool)
        reasons = [f"its parent {parent} is missing: neither stored nor a good row of this file" for parent in parents]
        batch.refuse(orphan, "parent_code", reasons, codes)
