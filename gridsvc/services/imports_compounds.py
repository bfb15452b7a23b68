"""Walled compounds and their gates from a file."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gridsvc.circle.gates import parse_gate_hours
from gridsvc.errors import GeometryError
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    refuse_duplicates,
    refuse_unknown,
    require_geometry,
)
from gridsvc.services.imports_places import single_polygons
from gridsvc.store.unit_of_work import UnitOfWork

_STATES = {
    "": False, "open": False, "no": False, "false": False, "0": False, "开放": False, "开": False, "否": False, "常开": False,
    "closed": True, "yes": True, "true": True, "1": True, "关闭": True, "封闭": True, "关": True, "是": True, "常闭": True,
}  # fmt: skip


def check_compounds(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``compounds``."""
    codes = batch.text("compound_code")
    refuse_duplicates(batch, "compound_code", codes)
    require_geometry(batch, "polygon", codes, repair=options.repair)
    single_polygons(batch, codes, "has several parts; give each walled area a row of its own")
    return pd.DataFrame({"compound_code": codes, "name": batch.text("name"), "geometry": batch.geometry})


def check_gates(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``gates``."""
    codes = batch.text("gate_code")
    refuse_duplicates(batch, "gate_code", codes)
    require_geometry(batch, "point", codes)
    states = np.array([value.lower() for value in batch.text("is_closed")], dtype=object)
    refuse_unknown(batch, "is_closed", states, _STATES.keys(), "yes or no (closed for good or not)")
    hours = batch.text("hours")
    batch.refuse(
        np.array([not _is_hours(value) for value in hours], dtype=bool),
        "hours",
        "is not written like 06:00-22:00",
        hours,
    )
    frame = pd.DataFrame({"gate_code": codes, "name": batch.text("name"), "hours": hours})
    frame["is_closed"] = [_STATES.get(value, False) for value in states]
    frame["geometry"] = batch.geometry
    return frame


def store_compounds(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked compounds; return (stored, unchanged)."""
    return uow.compounds.put_frame(frame)


def store_gates(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked gates; return (stored, unchanged)."""
    return uow.gates.put_frame(frame)


def _is_hours(text: str) -> bool:
    try:
        parse_gate_hours(text)
    except GeometryError:
        return False
    return True
