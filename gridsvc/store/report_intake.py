"""Taking reports in: each once, with its receipt and its case, in one statement. See sql/take_reports.sql."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from gridsvc.errors import RequestInvalidError, UnauthenticatedError
from gridsvc.store.months import check_month
from gridsvc.store.repository import Repository

# what a row may say; the rest is derived or made by the database
COLUMNS = (
    "report_id", "reported_at", "edition", "category_code", "network", "source", "description", "reporter", "device", "address",
    "original_lon", "original_lat", "original_datum", "accuracy_m", "altitude_m", "heading_deg", "lon", "lat", "district_code",
    "community_code", "urban_grid", "social_grid", "security_grid", "unified_grid", "located_at", "content_sha256",
)  # fmt: skip
_TAKE = (
    "SELECT outcome, used_edition, category_network, case_code FROM gridsvc_take_reports("
    "CAST(%(items)s AS json), %(login)s, %(scope)s, CAST(%(at)s AS timestamptz), %(token)s, %(role)s)"
)


@dataclass(frozen=True, slots=True)
class Poster:
    """Who posts: a login with its role; ``token_sha256`` is checked again in the transaction that stores, None is not."""

    login: str
    role: str = "admin"
    token_sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one row: ``created``, ``known`` (its id has a receipt), ``category-unknown`` or ``network-differs``.

    ``edition`` is the one used, ``network`` that of the category, ``case_code`` that of the case a created report opened.
    """

    outcome: str
    edition: str
    network: str | None
    case_code: str | None


class ReportIntake(Repository):
    """Writes of reports as they are posted."""

    def take(self, rows: Sequence[Mapping[str, Any]], *, poster: Poster, at: datetime) -> list[Taken]:
        """Take located reports in and return what became of each, in order; the caller commits.

        Parameters
        ----------
        rows
            Distinct ids. ``COLUMNS``, where missing ones are NULL: lon, lat and original_* are needed for a place (CRS of lon,
            lat: EPSG:4490), else an address; edition None is the default one, network None that of the category;
            content_sha256 in hex tells a retry from another report.
        poster
            Who posts, kept with the receipt.
        at
            When they were received.

        Raises
        ------
        UnauthenticatedError
            When the poster's token does not stand for them any more.
        ForbiddenError
            When a place is outside the scope.
        RequestInvalidError
            When a row says something there is no column for, or its time is no time between 2000 and 2099.
        """
        items = [self._item(place, row) for place, row in enumerate(rows)]
        values = {
            "items": json.dumps(items, ensure_ascii=False, separators=(",", ":"), default=str),
            "login": poster.login,
            "scope": self.scope,
            "at": at,
            "token": poster.token_sha256,
            "role": poster.role,
        }
        taken = self.connection.exec_driver_sql(_TAKE, values).all()
        if taken and taken[0].outcome == "unauthenticated":
            raise UnauthenticatedError(
                "The token was withdrawn, or its user changed.",
                hint="Sign in again, or ask an administrator for a new token.",
            )
        return [Taken(*row) for row in taken]

    def _item(self, place: int, row: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := row.keys() - set(COLUMNS):
            raise RequestInvalidError(f"A report has no {', '.join(sorted(unknown))}.", fields=sorted(unknown))
        check_month(row["reported_at"])
        if self.scope and row.get("lon") is not None:
            self.refuse_outside([row.get("community_code") or row["district_code"]])
        return {"place": place, "description": "", "source": "field_app", **row}

    def received(self, report_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the content hash of each of these ids that has a receipt."""
        statement = text(
            "SELECT report_id, body_sha256 FROM report_receipts WHERE report_id = ANY(CAST(:ids AS uuid[]))"
        )
        rows = self.connection.execute(statement, {"ids": list(report_ids)})
        return {str(report_id): bytes(sha256) for report_id, sha256 in rows}
