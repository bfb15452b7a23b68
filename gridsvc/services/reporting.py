"""Taking in a report: check it, locate it in every network, store it once, and give a receipt.

A report is immutable and carries a UUID made by its client, so that a retry is recognised whatever happened to the first
answer. Its grids are derived from its place and its own time, never taken from the client.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gridsvc.errors import CategoryUnknownError, NotFoundError, OutsideCoverageError, RequestInvalidError
from gridsvc.geo.datums import STORAGE_DECIMALS, check_lonlat, convert, parse_datum
from gridsvc.store.unit_of_work import UnitOfWork

NETWORKS = ("urban", "social", "security", "unified")
# clocks of phones go wrong by minutes; a report from further ahead has a wrong date
FUTURE_TOLERANCE = timedelta(minutes=10)
# older ones are history, which `gridsvc import reports` takes; also keeps clients from making partitions at will
OLDEST = timedelta(days=731)


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report as posted. ``occurred_at`` is aware; lon, lat in degrees of ``datum``; ``accuracy_m`` in metres.

    ``edition`` None means the one in force, ``network`` None that of the category.
    """

    report_id: UUID
    occurred_at: datetime
    lon: float
    lat: float
    datum: str
    category_code: str
    accuracy_m: float | None = None
    edition: str | None = None
    network: str | None = None
    description: str = ""
    source: str = "field_app"
    reporter: str | None = None
    device: str | None = None


def content_sha256(report: NewReport) -> bytes:
    """Return the hash that tells a retry from another report with the same id.

    Taken over the meaning, not the bytes sent: order of keys, white space and the way an instant's offset is written do
    not matter.
    """
    content = asdict(report)
    content["occurred_at"] = report.occurred_at.astimezone(UTC).isoformat()
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def submit_report(uow: UnitOfWork, report: NewReport, *, received_at: datetime) -> tuple[dict[str, Any], bool]:
    """Store a report and commit; return its receipt, and whether it was new.

    When this returns, the report survives a crash of any process. The same report again gives the same receipt and False.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When the position is not one.
    OutsideCoverageError
        When it lies in no district held here, at the report's time and in this scope.
    CategoryUnknownError
        When the edition has no such category.
    RequestInvalidError
        When the time is not plausible, or the network is not that of the category.
    ConflictError
        When the id was used before for other content.
    """
    _check_time(report.occurred_at, received_at)
    datum = parse_datum(report.datum)
    check_lonlat(report.lon, report.lat)
    lon, lat = (round(float(v), STORAGE_DECIMALS) for v in convert(report.lon, report.lat, datum, "cgcs2000"))
    edition, network = _category(uow, report)
    district = uow.divisions.district_at(lon, lat, report.occurred_at)
    if district is None:
        raise OutsideCoverageError(
            f"The position ({report.lon:.6g}, {report.lat:.6g}) in {datum} lies in no district held here.",
            hint="Check the datum and the order of lon and lat.",
            lon=report.lon,
            lat=report.lat,
        )
    found = uow.grids.locate_one(lon, lat, report.occurred_at)
    row = {
        "report_id": str(report.report_id),
        "district_code": district,
        "reported_at": report.occurred_at,
        "edition": edition,
        "category_code": report.category_code,
        "network": network,
        "source": report.source,
        "description": report.description,
        "reporter": report.reporter,
        "device": report.device,
        "original_lon": report.lon,
        "original_lat": report.lat,
        "original_datum": datum,
        "accuracy_m": report.accuracy_m,
        "lon": lon,
        "lat": lat,
        "community_code": found["community"],
        "located_at": received_at,
        "received_at": received_at,
    } | {f"{name}_grid": found[name] for name in NETWORKS}
    outcome, stored = uow.reports.add(row, content_sha256(report))
    uow.commit()
    return receipt_of(stored), outcome == "created"


def get_report(uow: UnitOfWork, report_id: UUID) -> dict[str, Any]:
    """Return a stored report: its receipt and what was posted, without reporter and device; or raise NotFoundError."""
    stored = uow.reports.get(str(report_id))
    if stored is None:
        raise NotFoundError(f"There is no report {report_id}.", hint="Check the id and your scope.")
    posted = ("original_lon", "original_lat", "original_datum", "accuracy_m", "description", "source")
    return receipt_of(stored) | {name: stored[name] for name in posted}


def receipt_of(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the receipt of a stored report: what the server holds of it and where it was put."""
    kept = (
        "case_code",
        "received_at",
        "edition",
        "category_code",
        "network",
        "lon",
        "lat",
        "district_code",
        "community_code",
    )
    return {
        "report_id": str(stored["report_id"]),
        "occurred_at": stored["reported_at"],
        **{name: stored[name] for name in kept},
        "grids": {name: stored[f"{name}_grid"] for name in NETWORKS},
    }


def _check_time(occurred_at: datetime, received_at: datetime) -> None:
    if occurred_at > received_at + FUTURE_TOLERANCE:
        code, message = "future", f"occurred_at {occurred_at.isoformat()} is in the future"
    elif occurred_at < received_at - OLDEST:
        code, message = "too-old", f"occurred_at {occurred_at.isoformat()} is more than {OLDEST.days} days ago"
    else:
        return
    raise RequestInvalidError(
        f"{message[0].upper()}{message[1:]}.",
        hint="Check the clock of the device. History is taken in with `gridsvc import reports`.",
        errors=[{"field": "occurred_at", "code": code, "message": message}],
    )


def _category(uow: UnitOfWork, report: NewReport) -> tuple[str, str]:
    """Return the edition and network of a report's category, after checking that there is one."""
    edition = report.edition or uow.categories.edition_default()
    category = uow.categories.get(edition, report.category_code)
    if category is None:
        raise CategoryUnknownError(
            f"The edition {edition} has no category {report.category_code!r}.",
            hint="See /api/v1/categories.",
            field="category_code",
            category_code=report.category_code,
            edition=edition,
        )
    if report.network is not None and report.network != category["network"]:
        message = f"category {report.category_code} belongs to the network {category['network']}, not {report.network}"
        raise RequestInvalidError(
            f"{message[0].upper()}{message[1:]}.",
            hint="Leave network out; it follows from the category.",
            errors=[{"field": "network", "code": "not-of-category", "message": message}],
        )
    return edition, category["network"]
