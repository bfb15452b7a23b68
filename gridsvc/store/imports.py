"""Which files were imported, so that the same one twice is known as such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import insert, select

from gridsvc.store.frames import read_frame
from gridsvc.store.repository import Repository
from gridsvc.store.tables import imports


class ImportRepository(Repository):
    """Imports; a scope sees what was imported under itself or below."""

    def find(self, kind: str, file_sha256: str) -> dict[str, Any] | None:
        """Return the newest import of that file as that kind, or None."""
        statement = (
            select(*imports.columns)
            .where(imports.c.kind == kind, imports.c.file_sha256 == file_sha256, self.within(imports.c.scope_prefix))
            .order_by(imports.c.import_id.desc())
            .limit(1)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        return dict(row) if row else None

    def add(
        self,
        *,
        kind: str,
        file_name: str,
        file_sha256: str,
        datum: str,
        rows_stored: int,
        rows_refused: int = 0,
        refused: Sequence[dict[str, Any]] = (),
        repaired: Sequence[dict[str, Any]] = (),
    ) -> int:
        """Record an import and return its id; ``refused`` and ``repaired`` are JSON-serialisable rows."""
        values = {
            "kind": kind, "file_name": file_name, "file_sha256": file_sha256, "datum": datum, "rows_stored": rows_stored,
            "rows_refused": rows_refused, "refused": list(refused), "repaired": list(repaired), "scope_prefix": self.scope,
        }  # fmt: skip
        return self.connection.execute(insert(imports).values(values).returning(imports.c.import_id)).scalar_one()

    def list(self, kind: str | None = None) -> pd.DataFrame:
        """Return the imports, newest first."""
        statement = (
            select(*imports.columns).where(self.within(imports.c.scope_prefix)).order_by(imports.c.import_id.desc())
        )
        return read_frame(self.connection, statement if kind is None else statement.where(imports.c.kind == kind))
