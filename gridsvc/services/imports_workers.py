"""Grid workers from a file. Telephone numbers and homes are stored, and never repeated in a message."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    none_if_empty,
    refuse_duplicates,
    refuse_unknown,
    require_geometry,
)
from gridsvc.store.unit_of_work import UnitOfWork


def check_workers(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``workers``; the geometry is the home and may be missing."""
    codes = batch.text("worker_code")
    refuse_duplicates(batch, "worker_code", codes)
    require_geometry(batch, "point", codes, required=False)
    kinds = batch.text("kind_code")
    refuse_unknown(
        batch,
        "kind_code",
        kinds,
        set(uow.workers.kinds()["kind_code"]),
        "a worker kind known here; see data/catalogue/workers.csv",
    )
    divisions = batch.text("division_code")
    stored = uow.divisions.exists(sorted(set(divisions) - {""}), options.at)
    refuse_unknown(batch, "division_code", divisions, stored, "a division stored; import divisions first")
    capacity = batch.number("capacity_grids", 1)
    batch.refuse(capacity < 1, "capacity_grids", "is less than 1", capacity)
    frame = pd.DataFrame(
        {"worker_code": codes, "name": batch.text("name"), "kind_code": kinds, "division_code": divisions}
    )
    frame["phone"] = none_if_empty(batch.text("phone"))
    frame["capacity_grids"] = capacity.astype(np.int64)
    frame["geometry"] = batch.geometry
    return frame


def store_workers(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked workers, who are as given from ``options.at``; return (stored, unchanged)."""
    return uow.workers.put_frame(frame, options.at)
