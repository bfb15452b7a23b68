"""Classes of components and matters, by edition. Reference data: the same for every scope."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from sqlalchemy import func, select

from gridsvc.errors import NotFoundError
from gridsvc.store.frames import plain_columns, read_frame
from gridsvc.store.repository import Repository
from gridsvc.store.tables import categories, category_editions, category_limits, networks

# the class below has a method of this name
_Codes = list[str]


class CategoryRepository(Repository):
    """Reads of the catalogue that ``reference_data`` puts."""

    def edition_default(self) -> str:
        """Return the edition meant when none is named."""
        edition = self.connection.scalar(
            select(category_editions.c.edition)
            .where(category_editions.c.is_default)
            .order_by(category_editions.c.edition)
        )
        if edition is None:
            raise NotFoundError("No edition of the categories is the default.", hint="Run `gridsvc db upgrade`.")
        return edition

    def editions(self) -> pd.DataFrame:
        """Return the editions, by name."""
        return read_frame(self.connection, select(*category_editions.columns).order_by(category_editions.c.edition))

    def networks(self) -> pd.DataFrame:
        """Return the networks in their order."""
        return read_frame(self.connection, select(*networks.columns).order_by(networks.c.sort_order))

    def get(self, edition: str, code: str) -> dict[str, Any] | None:
        """Return a class, or None."""
        statement = select(*plain_columns(categories)).where(categories.c.edition == edition, categories.c.code == code)
        row = self.connection.execute(statement).mappings().one_or_none()
        return dict(row) if row else None

    def list(self, edition: str, network: str | None = None, level: int | None = None) -> pd.DataFrame:
        """Return the classes of an edition, by code, of one network and level where given."""
        statement = select(*plain_columns(categories)).where(categories.c.edition == edition)
        if network is not None:
            statement = statement.where(categories.c.network == network)
        if level is not None:
            statement = statement.where(categories.c.level == level)
        return read_frame(self.connection, statement.order_by(categories.c.code))

    def exists(self, edition: str, codes: Iterable[str]) -> set[str]:
        """Return those of ``codes`` that the edition has."""
        wanted = [str(code) for code in codes]
        statement = select(categories.c.code).where(
            categories.c.edition == edition, categories.c.code == func.any(wanted)
        )
        return set(self.connection.scalars(statement))

    def same_class(self, edition: str, code: str) -> _Codes:
        """Return ``code`` and the codes that other editions have for the same class, by code; a code names its edition by its length."""
        c = categories.c
        successor = select(c.successor_code).where(c.edition == edition, c.code == code).scalar_subquery()
        newest = func.coalesce(successor, code)
        statement = (
            select(c.code).where((c.code == newest) | (c.successor_code == newest) | (c.code == code)).distinct()
        )
        return sorted(self.connection.scalars(statement.where(c.kind == "component")))

    def codes_of(self, edition: str, codes: Iterable[str]) -> dict[str, tuple[tuple[str, str], ...]]:
        """Return by code the (edition, code) of its class in every edition that has it, its own first; codes the edition has not are left out."""
        c = categories.c
        asked = select(c.code.label("asked"), func.coalesce(c.successor_code, c.code).label("newest")).where(
            c.edition == edition, c.code == func.any([str(code) for code in codes])
        )
        known = asked.subquery()
        statement = (
            select(known.c.asked, c.edition, c.code)
            .join(
                categories,
                (c.successor_code == known.c.newest) | ((c.code == known.c.newest) & c.successor_code.is_(None)),
            )
            .order_by(known.c.asked, c.edition != edition, c.edition, c.code)
        )
        found: dict[str, dict[tuple[str, str], None]] = {}
        for row in self.connection.execute(statement):
            # first of all itself, whatever else bears the same class
            found.setdefault(row.asked, {(edition, row.asked): None})[row.edition, row.code] = None
        return {code: tuple(classes) for code, classes in found.items()}

    def limits(self, edition: str, code: str) -> pd.DataFrame:
        """Return the handling limits of a class, by condition."""
        statement = select(*category_limits.columns).where(
            category_limits.c.edition == edition, category_limits.c.code == code
        )
        return read_frame(self.connection, statement.order_by(category_limits.c.condition_class))
