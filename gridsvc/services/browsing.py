"""Reads for the API and the map: pages of what is in force, one thing by its key, the drill-down, search.

Nothing here writes. Lists are keyset-paged and counted only when asked; every read is cut to the scope of the unit of
work it is given.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.store.listings import Bbox, Listings
from gridsvc.store.repository import like_pattern
from gridsvc.store.unit_of_work import UnitOfWork

# digits of the divisions below a code of so many digits; the last level holds grids
_CHILD_DIGITS = {0: 6, 2: 6, 4: 6, 6: 9, 9: 12}
_LEVEL_DIGITS = {"district": 6, "street": 9, "community": 12}
_KEYS = {
    "divisions": "code",
    "grids": "code",
    "workers": "worker_code",
    "assignments": "key",
    "facilities": "facility_code",
    "components": "component_id",
    "departments": "department_code",
    "duties": "duty_code",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: rows in the order of their key, where the next page begins, how many there are in all.

    ``next_cursor`` is None on the last page; ``count`` is None unless it was asked for.
    """

    rows: list[dict[str, Any]]
    next_cursor: str | None
    count: int | None


def list_page(
    uow: UnitOfWork,
    what: str,
    *,
    at: datetime,
    prefix: str = "",
    bbox: Bbox | None = None,
    cursor: str = "",
    limit: int = 100,
    count: bool = False,
    with_geometry: bool = False,
    **filters: Any,
) -> Page:
    """Return one page of ``divisions``, ``grids``, ``workers`` or another of `_KEYS` in force at ``at``.

    Parameters
    ----------
    prefix
        Division-code prefix; "" takes all of the scope.
    bbox
        min_lon, min_lat, max_lon, max_lat. CRS: EPSG:4490. Unit: degrees. Things touching the box are in.
    cursor
        ``next_cursor`` of the page before.
    with_geometry
        Adds ``geometry`` to each row as a GeoJSON geometry object (not for workers and assignments, which have none).
    """
    listings = Listings(uow.connection, uow.scope)
    asked: dict[str, Any] = {"at": at, "prefix": prefix, "bbox": bbox} | filters
    # one row more than asked tells whether there is a next page, without counting
    rows = listings.page(what, cursor=cursor, limit=limit + 1, with_geometry=with_geometry, **asked)
    key = _KEYS[what]
    next_cursor = rows[limit - 1][key] if len(rows) > limit else None
    total = listings.count(what, **asked) if count else None
    return Page([_decoded(row) for row in rows[:limit]], next_cursor, total)


def get_division(uow: UnitOfWork, code: str, *, at: datetime) -> dict[str, Any]:
    """Return one division with its geometry, or raise NotFoundError."""
    rows = list_page(uow, "divisions", at=at, prefix=code, limit=1, with_geometry=True, level=None, parent=None).rows
    if not rows or rows[0]["code"] != code:
        raise NotFoundError(
            f"There is no division {code} at {at.isoformat()}.", hint="Check the code, the instant and your scope."
        )
    return rows[0]


def get_grid(uow: UnitOfWork, network: str, code: str, *, at: datetime) -> dict[str, Any]:
    """Return one grid with geometry, divisions, workers (primary first, phones masked) and number of reports so far."""
    like_pattern(code)  # digits only, or refused
    found = Listings(uow.connection, uow.scope).grid(network, code, at=at)
    if found is None:
        raise NotFoundError(
            f"There is no grid {code} in the network {network} at {at.isoformat()}.",
            hint="Check the code, the network, the instant and your scope.",
        )
    return _decoded(found)


def list_networks(uow: UnitOfWork) -> list[dict[str, Any]]:
    """Return the networks in their order of showing."""
    return Listings(uow.connection, uow.scope).networks()


def list_categories(
    uow: UnitOfWork, *, edition: str | None = None, network: str | None = None, level: int | None = None
) -> tuple[str, list[dict[str, Any]]]:
    """Return an edition (the default one when None) and its categories ordered by code."""
    edition = edition or uow.categories.edition_default()
    frame = uow.categories.list(edition, network, level)
    if frame.empty and edition not in set(uow.categories.editions()["edition"]):
        raise NotFoundError(
            f"There is no edition {edition!r} of the categories.", hint="Leave edition out for the one in force."
        )
    fields = ["edition", "code", "level", "parent_code", "name_zh", "name_en", "kind", "network"]
    rows = frame[fields].astype(object)
    return edition, rows.where(rows.notna(), None).to_dict("records")


def check_network(uow: UnitOfWork, network: str) -> None:
    """Raise RequestInvalidError unless ``network`` is one of those held."""
    known = [n["network"] for n in list_networks(uow)]
    if network not in known:
        raise RequestInvalidError(
            f"There is no network {network!r}.",
            hint=f"The networks are {', '.join(known)}.",
            errors=[{"field": "network", "code": "unknown", "message": f"not one of {', '.join(known)}"}],
        )


def overview(
    uow: UnitOfWork, code: str, *, at: datetime, since: datetime | None = None, level: str | None = None
) -> list[dict[str, Any]]:
    """Return the divisions directly below ``code`` ("" for the top), or all of a level under it, with what is in each.

    Each row: code, name, level, bounds (min_lon ...), grids by network, households, area_m2, workers, reports from
    ``since`` (None: from the first) to ``at``. Empty below a community, whose parts are grids.
    """
    digits = _LEVEL_DIGITS[level] if level else _CHILD_DIGITS.get(len(code))
    if digits is None:
        return []
    return Listings(uow.connection, uow.scope).overview(code, at=at, digits=digits, since=since)


@dataclass(frozen=True, slots=True)
class RecentReports:
    """Whether a period holds as many reports as make it worth showing, or all there are; and when the newest was made (None: none ever)."""

    are_enough: bool
    newest_at: datetime | None


def recent_reports(uow: UnitOfWork, *, since: datetime, until: datetime, enough: int) -> RecentReports:
    """Return what reports in scope there are of ``[since, until)``: whether at least ``enough``, or no older ones."""
    newest = uow.reports.newest_instants(until, enough)
    return RecentReports(bool(newest) and newest[-1] >= since, newest[0] if newest else None)


def extent(uow: UnitOfWork, *, at: datetime) -> dict[str, Any] | None:
    """Return where a map begins: the bounds of the topmost divisions in scope, None when nothing is imported.

    Code and name are those of the division where it is one; of several, which no division above them holds, they are None.
    """
    return Listings(uow.connection, uow.scope).extent(at=at)


def list_circle_runs(uow: UnitOfWork) -> list[str]:
    """Return the codes of the divisions in scope that a service circle was computed for, in order."""
    return Listings(uow.connection, uow.scope).circle_divisions()


def search(uow: UnitOfWork, words: str, *, at: datetime, limit: int = 20) -> list[dict[str, Any]]:
    """Return divisions and grids whose code begins with ``words`` or whose name contains it, best first."""
    return Listings(uow.connection, uow.scope).search(words, at=at, limit=limit)


def principal_of(uow: UnitOfWork, token: str, *, at: datetime) -> Any:
    """Return the principal (login, role, scope_prefix) a token stands for, or None."""
    return uow.access.principal_of(token, at)


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    geometry = row.get("geometry")
    return row | {"geometry": json.loads(geometry)} if geometry else row
