"""Steps of editing drafts by hand: recorded with the grids they changed, undone and done again to the last bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sqlalchemy import delete, insert, select, tuple_, update

from gridsvc.errors import ConflictError
from gridsvc.store.bulk import copy_frame
from gridsvc.store.frames import plain_columns, read_frame, storage_crs, wkb
from gridsvc.store.redraws import RedrawRepository
from gridsvc.store.repository import Repository
from gridsvc.store.tables import redraw_grids, redraw_steps, redraws

_COLUMNS = tuple(c.name for c in plain_columns(redraw_grids, "redraw_id"))
# inside the repository its own method ``list`` hides the type of that name
_Steps = list[dict[str, Any]]


class RedrawStepRepository(Repository):
    """Steps of drafts; the scope is that of the division the redraw is about."""

    def lock(self, redraw_id: str) -> dict[str, Any]:
        """Return a redraw that is a draft, locked until the transaction ends.

        Raises
        ------
        NotFoundError
            When there is none of that id (in this scope).
        ConflictError
            When it is no draft any more.
        """
        redraw = RedrawRepository(self.connection, self.scope).get(redraw_id)
        self.connection.execute(select(redraws.c.redraw_id).where(redraws.c.redraw_id == redraw_id).with_for_update())
        # somebody may have decided it while we waited
        redraw = RedrawRepository(self.connection, self.scope).get(redraw_id)
        if redraw["state"] != "draft":
            raise ConflictError(
                f"Redraw {redraw_id} is {redraw['state']}, not a draft.", hint="Open a new draft to edit."
            )
        return redraw

    def list(self, redraw_id: str) -> _Steps:
        """Return the steps of a redraw in order, undone ones included; without the grids before and after."""
        RedrawRepository(self.connection, self.scope).get(redraw_id)
        shown = plain_columns(redraw_steps, "redraw_id", "grids_before", "grids_after")
        statement = select(*shown).where(redraw_steps.c.redraw_id == redraw_id).order_by(redraw_steps.c.step_no)
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def grids_of(self, redraw_id: str, step_no: int) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
        """Return the grids a step changed, as they were before it and as they are after it."""
        statement = select(redraw_steps.c.grids_before, redraw_steps.c.grids_after).where(
            redraw_steps.c.redraw_id == redraw_id, redraw_steps.c.step_no == step_no
        )
        row = self.connection.execute(statement).one()
        return _frame(row.grids_before), _frame(row.grids_after)

    def add(
        self,
        redraw_id: str,
        operation: str,
        *,
        parameters: Mapping[str, Any],
        changes: Mapping[str, Any],
        before: gpd.GeoDataFrame,
        after: gpd.GeoDataFrame,
        by: str,
        at: datetime,
    ) -> int:
        """Exchange the grids ``before`` for ``after`` in a locked draft, record it as its next step and return the number.

        Steps undone before stay on record and can no longer be done again.
        """
        known = select(redraw_steps.c.step_no).where(redraw_steps.c.redraw_id == redraw_id)
        step_no = max([0, *self.connection.scalars(known)]) + 1
        self._exchange(redraw_id, before, after)
        values = {
            "redraw_id": redraw_id,
            "step_no": step_no,
            "operation": operation,
            "parameters": dict(parameters),
            "changes": dict(changes),
            "grids_before": _rows(before),
            "grids_after": _rows(after),
            "made_by": by,
            "made_at": at,
        }
        self.connection.execute(insert(redraw_steps).values(values))
        return step_no

    def undo(self, redraw_id: str, step_no: int, *, by: str, at: datetime) -> None:
        """Put back what a step of a locked draft changed.

        Raises
        ------
        ConflictError
            When the grids are no longer as the step left them.
        """
        before, after = self.grids_of(redraw_id, step_no)
        self._exchange(redraw_id, after, before)
        self._mark(redraw_id, step_no, undone_by=by, undone_at=at)

    def redo(self, redraw_id: str, step_no: int) -> None:
        """Do again what was undone; see `undo`."""
        before, after = self.grids_of(redraw_id, step_no)
        self._exchange(redraw_id, before, after)
        self._mark(redraw_id, step_no, undone_by=None, undone_at=None)

    def _mark(self, redraw_id: str, step_no: int, **values: Any) -> None:
        self.connection.execute(
            update(redraw_steps)
            .where(redraw_steps.c.redraw_id == redraw_id, redraw_steps.c.step_no == step_no)
            .values(values)
        )

    def _exchange(self, redraw_id: str, gone: gpd.GeoDataFrame, come: gpd.GeoDataFrame) -> None:
        keys = list(zip(gone["network"], gone["code"], strict=True))
        here = (redraw_grids.c.redraw_id == redraw_id) & tuple_(redraw_grids.c.network, redraw_grids.c.code).in_(keys)
        statement = select(*plain_columns(redraw_grids, "redraw_id"), wkb(redraw_grids.c.geom)).where(here)
        if _rows(read_frame(self.connection, statement)) != _rows(gone):
            raise ConflictError(
                f"Redraw {redraw_id} was changed otherwise since this step.",
                hint="Read its grids again; what replaced them cannot be undone step by step.",
            )
        self.connection.execute(delete(redraw_grids).where(here))
        copy_frame(self.connection, redraw_grids, come.assign(redraw_id=redraw_id))


def _rows(frame: gpd.GeoDataFrame) -> list[dict[str, Any]]:
    """Return a frame of grids as JSON, ordered by network and code, that `_frame` gives back to the last bit."""
    rows = []
    for values, shape in zip(frame[list(_COLUMNS)].to_dict("records"), frame.geometry, strict=True):
        row = {name: _plain(value) for name, value in values.items()}
        rows.append(row | {"geometry": shapely.to_wkb(shape, hex=True)})
    return sorted(rows, key=lambda row: (row["network"], row["code"]))


def _plain(value: Any) -> Any:
    if isinstance(value, dict | list):
        return value
    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _frame(rows: Sequence[Mapping[str, Any]]) -> gpd.GeoDataFrame:
    columns = {name: [row[name] for row in rows] for name in _COLUMNS}
    shapes = shapely.from_wkb(np.array([row["geometry"] for row in rows], dtype=object))
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=storage_crs())
