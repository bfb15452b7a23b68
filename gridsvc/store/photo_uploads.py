"""Uploads in pieces: how far each has come, whose it is, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from gridsvc.store.repository import Repository
from gridsvc.store.tables import photo_uploads as uploads


class PhotoUploadRepository(Repository):
    """Uploads; each belongs to the login that began it, which ``services/uploads.py`` holds to."""

    def add(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Begin an upload and return its row."""
        statement = insert(uploads).values(dict(row)).returning(*uploads.columns)
        return dict(self.connection.execute(statement).mappings().one())

    def get(self, upload_id: str, *, alone: bool = False) -> dict[str, Any] | None:
        """Return an upload, or None; ``alone`` keeps others from it until the end of the transaction."""
        statement = select(uploads).where(uploads.c.upload_id == upload_id)
        row = self.connection.execute(statement.with_for_update() if alone else statement).mappings().first()
        return dict(row) if row else None

    def change(self, upload_id: str, **values: Any) -> dict[str, Any]:
        """Change columns of an upload and return its row."""
        statement = update(uploads).where(uploads.c.upload_id == upload_id).values(values).returning(*uploads.columns)
        return dict(self.connection.execute(statement).mappings().one())

    def count_open(self, received_from: str, at: datetime) -> int:
        """Return how many uploads of a login are neither finished nor expired at ``at``."""
        statement = select(func.count()).where(
            uploads.c.received_from == received_from, uploads.c.state == "open", uploads.c.expires_at > at
        )
        return self.connection.scalar(statement) or 0

    def expire(self, at: datetime) -> int:
        """Mark the open uploads whose time is over; return how many."""
        over = (uploads.c.state == "open", uploads.c.expires_at <= at)
        return self.connection.execute(update(uploads).where(*over).values(state="expired")).rowcount

    def open_among(self, upload_ids: list[str]) -> set[str]:
        """Return those of the ids that are open uploads."""
        statement = select(uploads.c.upload_id).where(uploads.c.upload_id.in_(upload_ids), uploads.c.state == "open")
        return {str(found) for found in self.connection.scalars(statement)} if upload_ids else set()

    def forget(self, before: datetime) -> int:
        """Delete the rows of uploads that were over before an instant; return how many."""
        over = (uploads.c.state != "open", uploads.c.expires_at < before)
        return self.connection.execute(delete(uploads).where(*over)).rowcount
