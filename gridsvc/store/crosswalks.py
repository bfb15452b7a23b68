"""Crosswalks between nets at two instants, and comparisons of nets with the grids that cross."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import geopandas as gpd
import pandas as pd
from sqlalchemy import ColumnElement, delete, func, insert, literal, or_, select, true

from gridsvc.store.bulk import copy_frame
from gridsvc.store.frames import plain_columns, read_frame
from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.tables import crosswalk_rows, crosswalks, network_comparisons, network_conflicts

_Rows = list[dict[str, Any]]


class CrosswalkRepository(Repository):
    """Crosswalks; the scope is that of the division whose nets they are between."""

    def put(self, about: Mapping[str, Any], rows: pd.DataFrame) -> None:
        """Keep a crosswalk, in place of the one of its id.

        Parameters
        ----------
        about
            Columns of the table ``crosswalks``.
        rows
            first_code, second_code (None: nobody's), area_m2, households, events.
        """
        self.refuse_outside([about["division_code"]])
        self.remove(about["crosswalk_id"])
        self.connection.execute(insert(crosswalks).values(dict(about)))
        copy_frame(self.connection, crosswalk_rows, rows.assign(crosswalk_id=about["crosswalk_id"]))

    def remove(self, crosswalk_id: str) -> int:
        """Remove a crosswalk; return how many there were (in this scope): 1, or 0."""
        own = delete(crosswalks).where(
            crosswalks.c.crosswalk_id == crosswalk_id, self.within(crosswalks.c.division_code)
        )
        return self.connection.execute(own).rowcount

    def find(self, crosswalk_id: str) -> dict[str, Any] | None:
        """Return what a crosswalk is between, or None (in this scope)."""
        statement = select(*crosswalks.columns).where(
            crosswalks.c.crosswalk_id == crosswalk_id, self.within(crosswalks.c.division_code)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        return None if row is None else dict(row)

    def rows(self, crosswalk_id: str) -> pd.DataFrame:
        """Return the rows of a crosswalk, by first code, then second code; missing codes last."""
        statement = (
            select(*plain_columns(crosswalk_rows, "crosswalk_id"))
            .where(crosswalk_rows.c.crosswalk_id == crosswalk_id)
            .order_by(crosswalk_rows.c.first_code, crosswalk_rows.c.second_code)
        )
        return read_frame(self.connection, statement)

    def page(self, prefix: str = "", *, network: str | None = None, after: str = "", limit: int | None = None) -> _Rows:
        """Return crosswalks of divisions under ``prefix``, from or to a network where one is named, by id."""
        statement = select(*crosswalks.columns).where(self.within(crosswalks.c.division_code, prefix))
        if network is not None:
            statement = statement.where(
                or_(crosswalks.c.first_network == network, crosswalks.c.second_network == network)
            )
        if after:
            statement = statement.where(crosswalks.c.crosswalk_id > after)
        rows = self.connection.execute(statement.order_by(crosswalks.c.crosswalk_id).limit(limit)).mappings()
        return [dict(row) for row in rows]


class NetworkConflictRepository(Repository):
    """Comparisons of nets; a scope sees the conflicts both of whose grids are its own."""

    def put(self, about: Mapping[str, Any], conflicts: gpd.GeoDataFrame) -> None:
        """Keep a comparison with its conflicts, in place of the one of its id.

        Parameters
        ----------
        about
            Columns of the table ``network_comparisons``.
        conflicts
            number, first_network, first_code, second_network, second_code, shared_m2, share_of_first, share_of_second, geometry
            (MultiPolygon, EPSG:4490).
        """
        self.refuse_outside([about["division_code"]])
        own = network_comparisons.c.comparison_id == about["comparison_id"]
        self.connection.execute(delete(network_comparisons).where(own))
        self.connection.execute(insert(network_comparisons).values(dict(about)))
        copy_frame(self.connection, network_conflicts, conflicts.assign(comparison_id=about["comparison_id"]))

    def newest(self, division: str) -> dict[str, Any] | None:
        """Return the comparison made last of a division, or of one around it; None where there is none (in or around the scope)."""
        code = network_comparisons.c.division_code
        around_scope = (
            or_(code.like(like_pattern(self.scope)), literal(self.scope).like(code + "%")) if self.scope else true()
        )
        statement = (
            select(*network_comparisons.columns)
            .where(literal(division).like(code + "%"), around_scope)
            .order_by(network_comparisons.c.made_at.desc(), network_comparisons.c.comparison_id)
            .limit(1)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        return None if row is None else dict(row)

    def page(
        self, comparison_id: str, division: str, *, network: str | None = None, after: int = 0, limit: int | None = None
    ) -> _Rows:
        """Return conflicts of grids under ``division``, in their order; ``geometry`` is GeoJSON text."""
        c = network_conflicts.c
        statement = select(*plain_columns(network_conflicts, "comparison_id"), self._shape()).where(
            *self._of(comparison_id, division, network), c.number > after
        )
        rows = self.connection.execute(statement.order_by(c.number).limit(limit)).mappings()
        return [dict(row) for row in rows]

    def count(self, comparison_id: str, division: str, *, network: str | None = None) -> int:
        """Return how many conflicts all pages hold together."""
        statement = (
            select(func.count()).select_from(network_conflicts).where(*self._of(comparison_id, division, network))
        )
        return self.connection.scalar(statement) or 0

    def _of(self, comparison_id: str, division: str, network: str | None) -> list[ColumnElement[bool]]:
        c = network_conflicts.c
        under = or_(c.first_code.like(like_pattern(division)), c.second_code.like(like_pattern(division)))
        conditions = [c.comparison_id == comparison_id, self.within(c.first_code), self.within(c.second_code), under]
        if network is not None:
            conditions.append(or_(c.first_network == network, c.second_network == network))
        return conditions

    @staticmethod
    def _shape() -> ColumnElement:
        return func.ST_AsGeoJSON(network_conflicts.c.geom, 9, 0).label("geometry")
