"""Pages of what is in force at an instant, for the API and the map's side panel.

Keyset-paged by code (a page costs the same wherever it starts), counted only when asked, cut to the scope like every
read. Geometry leaves as GeoJSON text made by PostGIS, because nobody computes with it on the way out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.sql_files import sql_text

Bbox = tuple[float, float, float, float]


def _like_text(words: str) -> str:
    """Return ``words`` for use inside a LIKE pattern, its wildcards taken literally."""
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class Listings(Repository):
    """Reads for lists and for the map's side panel."""

    def page(
        self,
        what: str,
        *,
        at: datetime,
        prefix: str = "",
        bbox: Bbox | None = None,
        cursor: str = "",
        limit: int = 100,
        with_geometry: bool = False,
        **filters: Any,
    ) -> list[dict[str, Any]]:
        """Return up to ``limit`` rows of ``sql/listing_<what>.sql`` after ``cursor``, ordered by their key.

        Parameters
        ----------
        what
            ``divisions``, ``grids``, ``workers``, ``assignments`` or ``facilities``.
        bbox
            min_lon, min_lat, max_lon, max_lat. CRS: EPSG:4490. Unit: degrees.
        cursor
            The key of the last row of the page before; "" begins.
        """
        rows = self.connection.execute(
            text(sql_text(f"listing_{what}")),
            self._bound(at, prefix, bbox)
            | {"cursor": cursor, "limit": limit, "with_geometry": with_geometry}
            | filters,
        )
        return [dict(row) for row in rows.mappings()]

    def count(self, what: str, *, at: datetime, prefix: str = "", bbox: Bbox | None = None, **filters: Any) -> int:
        """Return how many rows all pages of ``what`` hold together."""
        bound = self._bound(at, prefix, bbox) | {"cursor": "", "limit": None, "with_geometry": False} | filters
        return self.connection.execute(
            text(f"SELECT count(*) FROM ({sql_text(f'listing_{what}')}) AS listed"), bound
        ).scalar_one()

    def overview(self, code: str, *, at: datetime, digits: int, since: datetime | None = None) -> list[dict[str, Any]]:
        """Return the divisions of ``digits`` digits under ``code`` with what is in each: grids, households, workers, reports.

        Reports made before ``since`` are not counted; None counts all up to ``at``.
        """
        bound = {
            "scope": like_pattern(self.scope),
            "prefix": like_pattern(code),
            "digits": digits,
            "at": at,
            "since": since,
        }
        return self._rows("overview", bound)

    def search(self, words: str, *, at: datetime, limit: int) -> list[dict[str, Any]]:
        """Return divisions and grids whose code begins with ``words`` or whose name contains it, best first."""
        words = words.strip()
        literal = _like_text(words)
        patterns = {"begins": literal + "%", "contains": f"%{literal}%", "exact": words}
        bound = {"scope": like_pattern(self.scope), "at": at, "limit": limit, **patterns}
        return self._rows("search", bound)

    def grid(self, network: str, code: str, *, at: datetime) -> dict[str, Any] | None:
        """Return one grid with its primary worker, its workers and its number of reports; None when not in force."""
        bound = {"scope": like_pattern(self.scope), "network": network, "code": code, "at": at}
        found = self._rows("grid_card", bound)
        return found[0] if found else None

    def networks(self) -> list[dict[str, Any]]:
        """Return the networks in their order of showing."""
        rows = self.connection.execute(
            text("SELECT network, name_zh, name_en, grid_kind, is_merged FROM networks ORDER BY sort_order, network")
        )
        return [dict(row) for row in rows.mappings()]

    def street_sources(self) -> list[str]:
        """Return the distinct sources of the streets held, in order."""
        statement = text("SELECT DISTINCT source FROM streets WHERE source IS NOT NULL ORDER BY 1")
        return list(self.connection.execute(statement).scalars())

    def circle_divisions(self) -> list[str]:
        """Return the codes of the divisions with a run of the service circle, in order."""
        statement = text("SELECT DISTINCT division_code FROM circle_runs WHERE division_code LIKE :scope ORDER BY 1")
        return list(self.connection.execute(statement, {"scope": like_pattern(self.scope)}).scalars())

    def extent(self, *, at: datetime) -> dict[str, Any] | None:
        """Return the bounds of the topmost divisions in scope that have a boundary, with code and name where it is one; None without any."""
        found = self._rows("extent", {"scope": like_pattern(self.scope), "at": at})
        return found[0] if found else None

    def _bound(self, at: datetime, prefix: str, bbox: Bbox | None) -> dict[str, Any]:
        corners: Sequence[float | None] = bbox or (None, None, None, None)
        box = dict(zip(("min_x", "min_y", "max_x", "max_y"), corners, strict=True))
        return {"at": at, "scope": like_pattern(self.scope), "prefix": like_pattern(prefix), **box}

    def _rows(self, name: str, bound: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(text(sql_text(name)), bound).mappings()]
