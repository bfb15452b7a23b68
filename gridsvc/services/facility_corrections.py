"""Corrections of facilities: taken in once, checked against what stands around, accepted or refused; and what held of a facility.

What is accepted holds from an instant on; what held before stays in the facility's history, ``[valid_from, valid_to)``.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import geopandas as gpd
import shapely

from gridsvc.circle.facility_corrections import DUPLICATE_M, STATES, WHAT, Finding, check_correction, corrected
from gridsvc.errors import ConflictError, NotFoundError, OutsideCoverageError, RequestInvalidError
from gridsvc.geo.component_snapping import distances_and_bearings, metres_of_a_degree
from gridsvc.geo.datums import STORAGE_DECIMALS, check_lonlat, convert, parse_datum
from gridsvc.store.facility_corrections import Position
from gridsvc.store.unit_of_work import UnitOfWork

# clocks differ by minutes; what is said of further ahead has a wrong date
FUTURE_TOLERANCE = timedelta(minutes=10)
_CURSOR_INSTANT = "%Y%m%dT%H%M%S.%fZ"
_CURSOR = re.compile(r"(?P<instant>\d{8}T\d{6}\.\d{6}Z)_(?P<id>[0-9a-f-]{36})")
# what each kind of correction says, and what it may say besides
_NEEDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "moved": (frozenset({"facility_code", "place"}), frozenset({"address"})),
    "closed": (frozenset({"facility_code"}), frozenset()),
    "new": (frozenset({"kind_code", "name", "place"}), frozenset({"address"})),
    "other_kind": (frozenset({"facility_code", "kind_code"}), frozenset()),
    "renamed": (frozenset({"facility_code", "name"}), frozenset({"address"})),
}
_HISTORY = (
    "kind_code",
    "name",
    "address",
    "lon",
    "lat",
    "valid_from",
    "valid_to",
    "source",
    "original_datum",
    "recorded_at",
)


@dataclass(frozen=True, slots=True)
class NewCorrection:
    """A correction as it comes: what is wrong (`WHAT`), of which facility, how it is instead. lon and lat are in ``datum``."""

    correction_id: UUID
    what: str
    observed_at: datetime
    facility_code: str = ""
    kind_code: str | None = None
    name: str = ""
    address: str = ""
    lon: float | None = None
    lat: float | None = None
    datum: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class CorrectionPage:
    """One page of corrections, the longest waiting first; ``next_cursor`` is None on the last."""

    rows: list[dict[str, Any]]
    next_cursor: str | None


def submit_correction(
    uow: UnitOfWork, correction: NewCorrection, *, received_at: datetime, by: str
) -> tuple[dict[str, Any], bool]:
    """Take a correction in and commit; return it as stored, and whether it was new. A retry returns the first answer.

    Raises
    ------
    RequestInvalidError
        When it says too little or too much for its kind, its kind of facility is unknown, or it was seen in the future.
    DatumMissingError, DatumUnknownError, CoordinateError
        When its place is not one.
    NotFoundError
        When no such facility is in force (in this scope).
    OutsideCoverageError
        When a new facility lies in no division held here.
    ForbiddenError
        When a new facility lies outside the scope.
    ConflictError
        When the id was used before for something else.
    """
    _check_content(uow, correction, received_at)
    row = _row_of(uow, correction, received_at, by)
    created = uow.facility_corrections.add(row)
    stored = uow.facility_corrections.find(correction.correction_id)
    before = uow.facility_corrections.author_and_content(correction.correction_id)
    if before != (by, row["content_sha256"]) or stored is None:
        raise ConflictError(
            f"The id {correction.correction_id} was used before for another correction.",
            hint="Make a new UUID for each correction.",
            correction_id=str(correction.correction_id),
        )
    if created:
        uow.commit()
    return stored, created


def _check_content(uow: UnitOfWork, correction: NewCorrection, received_at: datetime) -> None:
    if correction.what not in WHAT:
        raise _invalid("what", "unknown", f"is none of {', '.join(WHAT)}")
    needs, may = _NEEDS[correction.what]
    said = {name for name in ("facility_code", "kind_code", "name", "address") if getattr(correction, name)}
    if correction.lon is not None or correction.lat is not None:
        said.add("place")
    faults = [(name, "missing", f"is needed by a correction that says {correction.what}") for name in needs - said]
    faults += [(name, "extra", f"says nothing where a facility is {correction.what}") for name in said - needs - may]
    if faults:
        listed = [("lon" if name == "place" else name, code, message) for name, code, message in sorted(faults)]
        raise RequestInvalidError(
            f"{listed[0][0]} {listed[0][2]}.", hint="See errors for each field.",
            errors=[{"field": name, "code": code, "message": message} for name, code, message in listed],
        )  # fmt: skip
    if correction.observed_at > received_at + FUTURE_TOLERANCE:
        raise _invalid("observed_at", "future", "is in the future")
    if correction.kind_code and correction.kind_code not in set(uow.facilities.kinds()["kind_code"]):
        raise _invalid("kind_code", "unknown", f"{correction.kind_code} is no kind of facility")


def _invalid(field: str, code: str, message: str) -> RequestInvalidError:
    return RequestInvalidError(
        f"{field} {message}.", hint="See docs/how-to/facilities.md.",
        errors=[{"field": field, "code": code, "message": message}],
    )  # fmt: skip


def _row_of(uow: UnitOfWork, correction: NewCorrection, received_at: datetime, by: str) -> dict[str, Any]:
    row = {each.name: getattr(correction, each.name) for each in fields(correction)}
    datum = row.pop("datum")
    row |= {"reported_by": by, "received_at": received_at, "content_sha256": _content_sha256(correction)}
    row["original_lon"], row["original_lat"] = correction.lon, correction.lat
    place = _place(correction, datum)
    if place is not None:
        row |= {"lon": place[0], "lat": place[1], "original_datum": parse_datum(datum)}
    if correction.what == "new" and place is not None:
        division = uow.facility_corrections.division_at(*place, received_at)
        if division is None:
            raise OutsideCoverageError(
                f"The place ({place[0]:.6f}, {place[1]:.6f}) lies in no division held here.",
                hint="Check the datum and the order of longitude and latitude.",
            )
        return row | {"division_code": division}
    before = uow.facility_corrections.find(correction.correction_id)
    if before is not None:  # a retry: the facility may have changed, or be closed, since
        return row | {name: before[name] for name in ("division_code", "facility_version")}
    facility = _in_force(uow, correction.facility_code)
    return row | {"division_code": facility["community_code"] or "", "facility_version": facility["facility_id"]}


def _place(correction: NewCorrection, datum: str | None) -> tuple[float, float] | None:
    """Return lon and lat of a correction, EPSG:4490; None when it gives neither."""
    if correction.lon is None and correction.lat is None:
        return None
    if correction.lon is None or correction.lat is None:
        raise _invalid("lon" if correction.lon is None else "lat", "missing", "is needed beside the other one")
    known = parse_datum(datum)
    check_lonlat(correction.lon, correction.lat)
    lon, lat = convert(correction.lon, correction.lat, known, "cgcs2000")
    return round(float(lon), STORAGE_DECIMALS), round(float(lat), STORAGE_DECIMALS)


def _content_sha256(correction: NewCorrection) -> bytes:
    content = asdict(correction) | {"observed_at": correction.observed_at.astimezone(UTC).isoformat()}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False, default=str).encode()).digest()


def _in_force(uow: UnitOfWork, facility_code: str) -> dict[str, Any]:
    found = [version for version in uow.facilities.versions(facility_code) if version["valid_to"] is None]
    if not found:
        raise NotFoundError(
            f"There is no facility {facility_code} in force.", hint="Check the code and your scope.",
            facility_code=facility_code,
        )  # fmt: skip
    return found[0]


def list_corrections(
    uow: UnitOfWork,
    prefix: str = "",
    *,
    state: str | None = None,
    what: str | None = None,
    facility_code: str | None = None,
    cursor: str = "",
    limit: int = 100,
) -> CorrectionPage:
    """Return the corrections of divisions under ``prefix``, the longest waiting first, a page at a time.

    Raises
    ------
    RequestInvalidError
        When there is no such state or kind of correction, or the cursor is not one.
    """
    for name, value, known in (("state", state, STATES), ("what", what, WHAT)):
        if value is not None and value not in known:
            raise _invalid(name, "unknown", f"{value!r} is none of {', '.join(known)}")
    rows = uow.facility_corrections.page(
        prefix, state=state, what=what, facility_code=facility_code, after=_position(cursor), limit=limit + 1
    )
    more = len(rows) > limit
    rows = rows[:limit]
    last = f"{rows[-1]['received_at'].astimezone(UTC):{_CURSOR_INSTANT}}_{rows[-1]['correction_id']}" if more else None
    return CorrectionPage(rows, last)


def _position(cursor: str) -> Position | None:
    if not cursor:
        return None
    match = _CURSOR.fullmatch(cursor)
    try:
        if match is None:
            raise ValueError(cursor)
        return datetime.strptime(match["instant"], _CURSOR_INSTANT).replace(tzinfo=UTC), UUID(match["id"])
    except ValueError:
        raise _invalid("cursor", "cursor-malformed", "is none that a page before gave") from None


def get_correction(uow: UnitOfWork, correction_id: UUID, *, at: datetime) -> dict[str, Any]:
    """Return a correction with ``findings``: of an open one what speaks against it at ``at``, of another what did when it was decided.

    Raises
    ------
    NotFoundError
        When there is none of that id (in this scope).
    """
    found = uow.facility_corrections.find(correction_id)
    if found is None:
        raise NotFoundError(f"There is no correction {correction_id}.", hint="Check the id and your scope.")
    if found["state"] != "open":
        return found
    return found | {"findings": [_plain(finding) for finding in _findings(uow, found, at)]}


def _plain(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"facility_codes": list(finding.facility_codes)}


def _findings(uow: UnitOfWork, correction: dict[str, Any], at: datetime) -> tuple[Finding, ...]:
    wide = uow.everywhere()  # a neighbour across the border is a duplicate as well
    code = correction["facility_code"]
    versions = wide.facilities.versions(code) if code else []
    facility = next((version for version in versions if version["valid_to"] is None), None)
    kind = correction["kind_code"] or (facility or {}).get("kind_code") or ""
    placed = correction if correction["lon"] is not None else facility
    if placed is None:
        return check_correction(correction["what"], kind, changed_since=True)
    lon, lat = placed["lon"], placed["lat"]
    degree = metres_of_a_degree(lat)
    reach = DUPLICATE_M / degree.lon_m, DUPLICATE_M / degree.lat_m
    around = (lon - reach[0], lat - reach[1], lon + reach[0], lat + reach[1])
    near = wide.facilities.list(bbox=around)
    near = near[near["facility_code"] != code]
    distance, _ = distances_and_bearings(
        lon, lat, shapely.get_x(near.geometry.to_numpy()), shapely.get_y(near.geometry.to_numpy())
    )
    moved_m = None
    if correction["what"] == "moved" and facility is not None:
        moved_m = float(distances_and_bearings(lon, lat, [facility["lon"]], [facility["lat"]])[0][0])
    place = wide.facility_corrections.division_at(lon, lat, at) if correction["lon"] is not None else None
    return check_correction(
        correction["what"],
        kind,
        changed_since=bool(code) and (facility is None or facility["facility_id"] != correction["facility_version"]),
        moved_m=moved_m,
        district=correction["division_code"][:6],
        place_district=None if place is None else place[:6],
        near_codes=near["facility_code"].tolist(),
        near_kinds=near["kind_code"].tolist(),
        near_m=distance,
    )


def accept_correction(
    uow: UnitOfWork,
    correction_id: UUID,
    *,
    by: str,
    now: datetime,
    reason: str,
    in_force_from: datetime | None = None,
    anyway: bool = False,
) -> dict[str, Any]:
    """Let the facility be as a correction says, from an instant on, and commit; return the correction. Safe to retry.

    Parameters
    ----------
    reason
        Why; kept with the decision.
    in_force_from
        Since when the facility is so; default ``now``. Not in the future, and after what is held began.
    anyway
        Accept it although something speaks against it. A place in no division is refused all the same.

    Raises
    ------
    NotFoundError
        When there is no such correction, or its facility is not in force any more.
    ConflictError
        When it was decided before, something speaks against it, or it contradicts a later record of the facility.
    RequestInvalidError
        When there is no reason, or the instant is in the future.
    """
    begun = _to_decide(uow, correction_id, "accepted", by=by, now=now, reason=reason)
    if begun["state"] != "open":
        return begun
    since = in_force_from or now
    if since > now + FUTURE_TOLERANCE:
        raise _invalid("in_force_from", "future", "is in the future")
    findings = _findings(uow, begun, now)
    _refuse_findings(begun, findings, anyway)
    code = _apply(uow, begun, since)
    uow.facility_corrections.decide(
        correction_id, "accepted", by=by, at=now, reason=reason, in_force_from=since, applied_code=code,
        findings=[_plain(finding) for finding in findings],
    )  # fmt: skip
    uow.commit()
    return get_correction(uow, correction_id, at=now)


def refuse_correction(uow: UnitOfWork, correction_id: UUID, *, by: str, now: datetime, reason: str) -> dict[str, Any]:
    """Refuse a correction and commit; return it. Nothing else changes. Safe to retry.

    Raises
    ------
    NotFoundError
        When there is no such correction (in this scope).
    ConflictError
        When it was decided before.
    RequestInvalidError
        When there is no reason.
    """
    begun = _to_decide(uow, correction_id, "refused", by=by, now=now, reason=reason)
    if begun["state"] != "open":
        return begun
    findings = [_plain(finding) for finding in _findings(uow, begun, now)]
    uow.facility_corrections.decide(correction_id, "refused", by=by, at=now, reason=reason, findings=findings)
    uow.commit()
    return get_correction(uow, correction_id, at=now)


def _to_decide(
    uow: UnitOfWork, correction_id: UUID, state: str, *, by: str, now: datetime, reason: str
) -> dict[str, Any]:
    """Return a correction that waits for its decision, or one that was decided in just this way before."""
    if not reason.strip():
        raise _invalid("reason", "missing", "is needed: those who sent it will ask")
    uow.facility_corrections.lock()
    found = get_correction(uow, correction_id, at=now)
    if found["state"] == "open" or (found["state"], found["decided_by"], found["reason"]) == (state, by, reason):
        return found
    raise ConflictError(
        f"The correction was {found['state']} by {found['decided_by']} at {found['decided_at'].isoformat()}.",
        hint="Send a new correction if the facility is otherwise now.",
        correction_id=str(correction_id), state=found["state"],
    )  # fmt: skip


def _refuse_findings(correction: dict[str, Any], findings: tuple[Finding, ...], anyway: bool) -> None:
    if not findings:
        return
    nowhere = any(finding.code == "outside-division" and "no division" in finding.message for finding in findings)
    if anyway and not nowhere:
        return
    raise ConflictError(
        " ".join(finding.message for finding in findings),
        hint="Refuse it." if nowhere else "Refuse it, or accept it anyway (anyway: true, --anyway).",
        correction_id=str(correction["correction_id"]),
        findings=[_plain(finding) for finding in findings],
    )


def _apply(uow: UnitOfWork, correction: dict[str, Any], since: datetime) -> str:
    """Let the facility be as the correction says from ``since`` on; return its code."""
    if correction["what"] == "new":
        code = f"C{correction['correction_id'].hex}"
        facility: dict[str, Any] = {"facility_code": code, "name": "", "address": ""}
    else:
        facility = _in_force(uow, correction["facility_code"])
        code = facility["facility_code"]
        if since <= facility["valid_from"]:
            raise ConflictError(
                f"What is held of facility {code} began at {facility['valid_from'].isoformat()}, not before {since.isoformat()}.",
                hint="Give a later in_force_from.", facility_code=code,
            )  # fmt: skip
        if correction["what"] == "closed":
            uow.facilities.close(code, since)
            return code
    said = (
        correction | {"geometry": shapely.Point(correction["lon"], correction["lat"])}
        if correction["lon"] is not None
        else correction
    )
    changed = corrected(facility, said) | {"source": f"correction {correction['correction_id']}"}
    kept = ("facility_code", "kind_code", "name", "address", "area", "entrances", "source", "original_datum")
    frame = gpd.GeoDataFrame(
        {name: [changed.get(name)] for name in kept}, geometry=[changed["geometry"]], crs="EPSG:4490"
    )
    # a facility may move over the border of the scope: what was asked for was checked before
    uow.everywhere().facilities.put_frame(frame, since)
    return code


def get_facility(uow: UnitOfWork, facility_code: str, *, at: datetime) -> dict[str, Any]:
    """Return a facility as it was at ``at``, with its shapes and its ``history``, oldest first.

    Raises
    ------
    NotFoundError
        When it was not there then (in this scope).
    """
    versions = uow.facilities.versions(facility_code)
    held = [v for v in versions if v["valid_from"] <= at and (v["valid_to"] is None or v["valid_to"] > at)]
    if not held:
        raise NotFoundError(
            f"There is no facility {facility_code} at {at.isoformat()}.",
            hint="Check the code, the instant and your scope.",
        )
    history = [
        {name: version[name] for name in _HISTORY}
        | {"has_area": version["area"] is not None, "entrances": _places(version["entrances"])}
        for version in versions
    ]
    return {
        name: held[0][name]
        for name in (
            "facility_code",
            "kind_code",
            "name",
            "address",
            "community_code",
            "valid_from",
            "valid_to",
            "source",
        )
    } | {
        "geometry": shapely.geometry.mapping(held[0]["geometry"]),
        "area": None if held[0]["area"] is None else shapely.geometry.mapping(held[0]["area"]),
        "entrances": _places(held[0]["entrances"]),
        "history": history,
    }


def _places(points: shapely.MultiPoint | None) -> list[list[float]]:
    return [] if points is None else shapely.get_coordinates(points).tolist()
