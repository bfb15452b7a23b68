"""When the division of an area changed: the instants between which a position keeps its answer."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import DateTime, column, text

from gridsvc.store.repository import Repository, like_pattern, narrower


class GridHistory(Repository):
    """Reads over the validity of grids and communities, within a scope (a division-code prefix, "" is everything)."""

    def changes(self, prefix: str, after: datetime, until: datetime) -> list[datetime]:
        """Return the instants in ``(after, until]`` at which a grid or community under ``prefix`` begins or ends, ascending."""
        under = narrower(prefix, self.scope)
        if under is None:
            return []
        statement = text(
            "SELECT DISTINCT v.at FROM ("
            " SELECT community_code AS code, valid_from, valid_to FROM grids"
            " UNION ALL SELECT code, valid_from, valid_to FROM divisions WHERE level = 'community'"
            ") AS held CROSS JOIN LATERAL (VALUES (held.valid_from), (held.valid_to)) AS v (at)"
            " WHERE held.code LIKE :under AND v.at > :after AND v.at <= :until ORDER BY v.at"
        ).columns(column("at", DateTime(timezone=True)))
        return list(self.connection.scalars(statement, {"under": like_pattern(under), "after": after, "until": until}))
