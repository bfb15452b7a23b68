"""Taking reports in: each once, with its receipt and its case, in one statement. See sql/take_reports.sql."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from gridsvc.errors import RequestInvalidError
from gridsvc.store.months import check_month
from gridsvc.store.repository import Repository

# what a row may say; the rest is derived or made by the database
COLUMNS = (
    "report_id", "reported_at", "edition", "category_code", "network", "source", "description", "reporter", "device", "address",
    "original_lon", "original_lat", "original_datum", "accuracy_m", "altitude_m", "heading_deg", "lon", "lat", "district_code",
    "community_code", "urban_grid", "social_grid", "security_grid", "unified_grid", "located_at", "content_sha256",
)  # fmt: skip
_COLUMNS = frozenset(COLUMNS)
# the lock of the classes of reports, see sql/take_reports.sql
_CLASS_LOCK = 4_490_203
_HOLD = text("SELECT pg_advisory_xact_lock(:key, hashtext(:id) & 63)")
_TAKE = (
    "SELECT outcome, used_edition, category_network, case_code FROM gridsvc_take_reports("
    "CAST(%s AS json), CAST(%s AS json), CAST(%s AS timestamptz), CAST(%s AS uuid))"
)


@dataclass(frozen=True, slots=True)
class Poster:
    """Who posts: a login with its role and scope; ``token_sha256`` is checked in the transaction that stores, None is not."""

    login: str
    role: str = "admin"
    scope: str = ""
    token_sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one row.

    ``outcome`` is ``created``, ``known`` (its id has a receipt), ``category-unknown``, ``network-differs`` or
    ``unauthenticated``. ``edition`` is the one used, ``network`` that of the category, ``case_code`` that of the case a created
    report opened.
    """

    outcome: str
    edition: str
    network: str | None
    case_code: str | None


class ReportIntake(Repository):
    """Writes of reports as they are posted."""

    def take(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        posters: Sequence[Poster],
        at: datetime | None,
        grid_version: str | None = None,
    ) -> list[Taken] | None:
        """Take located reports in and return what became of each, in order; the caller commits.

        None when the grids are not of ``grid_version`` any more: nothing was stored, the reports are to be located again.

        Parameters
        ----------
        rows
            Distinct ids. ``COLUMNS``, where missing ones are NULL: lon, lat and original_* are needed for a place (CRS of lon,
            lat: EPSG:4490), else an address; edition None is the default one, network None that of the category;
            content_sha256 in hex tells a retry from another report.
        posters
            Who posted each row, kept with its receipt.
        at
            When they were received; None: now.
        grid_version
            The version of the grids the rows were located by; no change of grids is committed from its check until the
            transaction ends. None: not checked.

        Raises
        ------
        ForbiddenError
            When a place is outside the scope.
        RequestInvalidError
            When a row says something there is no column for, or its time is no time between 2000 and 2099.
        """
        numbers: dict[Poster, int] = {}
        items = [
            self._item(place, numbers.setdefault(poster, len(numbers)), row)
            for place, (row, poster) in enumerate(zip(rows, posters, strict=True))
        ]
        told = [_poster_item(number, poster) for poster, number in numbers.items()]
        taken = self.rows_of(_TAKE, (_json(items), _json(told), at, grid_version))
        if taken and taken[0][0] == "grids-changed":
            return None
        return [Taken(*row) for row in taken]

    def _item(self, place: int, poster: int, row: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := row.keys() - _COLUMNS:
            raise RequestInvalidError(f"A report has no {', '.join(sorted(unknown))}.", fields=sorted(unknown))
        check_month(row["reported_at"])
        if self.scope and row.get("lon") is not None:
            self.refuse_outside([row.get("community_code") or row["district_code"]])
        return {"place": place, "poster": poster, "description": "", "source": "field_app", **row}

    def hold(self, report_id: str) -> None:
        """Wait for those who are storing this report, and keep others from it until the end of the transaction.

        For what belongs to a report and finds none: a report on its way in cannot be seen yet, nor does it see what is not
        committed. After this it is there, or whoever brings it sees all that this transaction does. Some other reports are held, too.
        """
        self.connection.execute(_HOLD, {"key": _CLASS_LOCK, "id": report_id})

    def received(self, report_ids: Sequence[str]) -> dict[str, bytes]:
        """Return the content hash of each of these ids that has a receipt."""
        statement = text(
            "SELECT report_id, body_sha256 FROM report_receipts WHERE report_id = ANY(CAST(:ids AS uuid[]))"
        )
        rows = self.connection.execute(statement, {"ids": list(report_ids)})
        return {str(report_id): bytes(sha256) for report_id, sha256 in rows}


def _poster_item(number: int, poster: Poster) -> dict[str, Any]:
    token = None if poster.token_sha256 is None else poster.token_sha256.hex()
    return {"poster": number, "login": poster.login, "role": poster.role, "scope": poster.scope, "token": token}


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
