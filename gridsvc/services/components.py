"""The register of components (部件) in use: one with its history, changes of state, the nearest of a class, export.

The unit grid of a component follows from its place and is found when read. Positions come with their datum, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import shapely

from gridsvc.errors import CategoryUnknownError, ConflictError, NotFoundError, RequestInvalidError
from gridsvc.formats.written_tables import check_suffix, write_points
from gridsvc.geo import component_codes, component_snapping
from gridsvc.geo.datums import STORAGE_DECIMALS, check_lonlat, convert, parse_datum
from gridsvc.progress import SILENT, Progress
from gridsvc.services.browsing import list_page
from gridsvc.services.locating import locate_arrays
from gridsvc.services.report_reading import get_report
from gridsvc.store.unit_of_work import UnitOfWork

# clocks differ by minutes; a change from further ahead has a wrong date
FUTURE_TOLERANCE = timedelta(minutes=10)
# columns of an exported file that an import reads back, in their order; then what is told besides
_EXPORTED = (
    "component_id", "edition", "category_code", "name", "state", "department_code", "department_name", "owner_code",
    "owner_name", "maintainer_code", "maintainer_name", "began_on", "data_source", "accuracy_class", "note",
)  # fmt: skip
_TOLD = ("division_code", "unit_grid", "original_x", "original_y", "original_datum")


@dataclass(frozen=True, slots=True)
class NearComponents:
    """Components near a place, nearest first, and how they were looked for.

    ``lon, lat`` are CGCS2000; None for a report that still waits for its place. ``category_code`` is the class of components asked for, None when the category is about none;
    ``category_codes`` are the codes of that class in all editions. ``components`` carry distance_m, bearing_deg (clockwise from north) and,
    where an accuracy was stated, share: how likely each is the one meant, among those listed.
    """

    lon: float | None
    lat: float | None
    at: datetime
    edition: str
    category_code: str | None
    category_codes: list[str]
    accuracy_m: float | None
    radius_m: float
    components: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written: the file and how many components."""

    file: str
    components: int


def get_component(uow: UnitOfWork, component_id: str, *, at: datetime) -> dict[str, Any]:
    """Return a component as it is at ``at``, with its unit grid then and its ``history``, oldest first; or raise NotFoundError."""
    component_codes.parse(component_id)
    history = uow.components.versions(component_id)
    held = [v for v in history if v["valid_from"] <= at and (v["valid_to"] is None or v["valid_to"] > at)]
    if not held:
        raise NotFoundError(
            f"There is no component {component_id} at {at.isoformat()}.", hint="Check the id, the instant and your scope."
        )  # fmt: skip
    one = list_page(
        uow, "components", at=at, with_geometry=True, limit=1, component_id=component_id, category_code=None, state=None
    )
    return one.rows[0] | {"history": history}


def change_state(
    uow: UnitOfWork, component_id: str, state: str, *, changed_at: datetime | None, now: datetime, by: str, note: str = ""
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """Let a component be in ``state`` from ``changed_at`` (default: now) and commit; return it then, and whether that is new.

    Saying again what is held already changes nothing and is no error, so that a retry is safe.

    Raises
    ------
    NotFoundError
        When there is no such component (in this scope).
    RequestInvalidError
        When the instant lies ahead, or before the component was registered.
    ConflictError
        When something else was recorded of it at that instant or later.
    """
    component_codes.parse(component_id)
    if state not in component_codes.STATES:
        raise RequestInvalidError(
            f"{state!r} is not a state.", hint=f"States: {', '.join(component_codes.STATES)}.", field="state"
        )
    at = changed_at or now
    if at > now + FUTURE_TOLERANCE:
        raise _instant_refused(f"changed_at {at.isoformat()} is in the future", "future")
    uow.components.lock()
    history = uow.components.versions(component_id)
    if not history:
        raise NotFoundError(f"There is no component {component_id}.", hint="Check the id and your scope.")
    held = next((v for v in history if v["valid_from"] <= at and (v["valid_to"] is None or v["valid_to"] > at)), None)
    if held is None:
        registered = history[0]["valid_from"].isoformat()
        raise _instant_refused(
            f"changed_at {at.isoformat()} is before {registered}, when it was registered", "too-early"
        )
    changes = held["state"] != state
    if changes:
        _refuse_overlap(component_id, held, at)
        uow.components.change_state(component_id, state, at=at, changed_by=by, note=note)
        uow.commit()
    return get_component(uow, component_id, at=at), changes


def _instant_refused(message: str, code: str) -> RequestInvalidError:
    return RequestInvalidError(
        f"{message[0].upper()}{message[1:]}.", hint="Check the clock and the date.",
        errors=[{"field": "changed_at", "code": code, "message": message}],
    )  # fmt: skip


def _refuse_overlap(component_id: str, held: dict[str, Any], at: datetime) -> None:
    if held["valid_to"] is not None or held["valid_from"] == at:
        known = held["valid_to"] or held["valid_from"]
        raise ConflictError(
            f"Component {component_id} has a record from {known.isoformat()} on, which this would contradict.",
            hint="Give a later changed_at, or import the register anew.",
            component_id=component_id,
        )


def near_components(
    uow: UnitOfWork,
    lon: float,
    lat: float,
    datum: str | None,
    *,
    category_code: str,
    edition: str | None = None,
    at: datetime,
    accuracy_m: float | None = None,
    limit: int = 5,
) -> NearComponents:
    """Return the components of a class nearest to a place, nearest first (by id where equally near), within a stated radius.

    The radius is the accuracy, at least 50 m and at most 500 m. A matter that is the anomaly of a class (2026 edition) stands for that
    class; components registered under the other edition of the same class are found too. Removed components are left out, lost ones
    are not: that one is missing may be what is reported.

    Parameters
    ----------
    lon, lat, datum
        The position as it came. Unit: degrees.
    accuracy_m
        Radius that holds the true position with 68 %; given, each component carries its share. Unit: m.

    Raises
    ------
    DatumMissingError, DatumUnknownError, CoordinateError
        When the position is not one.
    CategoryUnknownError
        When the edition has no such category.
    RequestInvalidError
        When the category is about no class of components.
    """
    name = parse_datum(datum)
    check_lonlat(lon, lat)
    x, y = (round(float(v), STORAGE_DECIMALS) for v in convert(lon, lat, name, "cgcs2000"))
    edition, component_class = _class_of(uow, edition, category_code)
    if component_class is None:
        message = f"category {category_code} is about no class of components"
        raise RequestInvalidError(
            f"{message[0].upper()}{message[1:]}.", hint="Classes of components begin with C; see /api/v1/categories.",
            errors=[{"field": "category_code", "code": "not-a-component", "message": message}],
        )  # fmt: skip
    return _near(uow, x, y, edition, component_class, at=at, accuracy_m=accuracy_m, limit=limit)


def near_report(uow: UnitOfWork, report_id: UUID, *, limit: int = 5) -> NearComponents:
    """Return the components a report may be about: of its class, near its place, as the register was at its time.

    Empty where its category is about no class of components, or while it has an address and no position yet. Raises NotFoundError when there is no such report (in this scope).
    """
    report = get_report(uow, report_id)
    edition, component_class = _class_of(uow, report["edition"], report["category_code"])
    return _near(
        uow, report["lon"], report["lat"], edition, component_class, at=report["occurred_at"],
        accuracy_m=report["accuracy_m"], limit=limit,
    )  # fmt: skip


def _class_of(uow: UnitOfWork, edition: str | None, category_code: str) -> tuple[str, str | None]:
    """Return the edition meant, and the class of components that a category of it is about (None: about none)."""
    edition = edition or uow.categories.edition_default()
    if uow.categories.get(edition, category_code) is None:
        raise CategoryUnknownError(
            f"The edition {edition} has no category {category_code!r}.", hint="See /api/v1/categories.",
            field="category_code", category_code=category_code, edition=edition,
        )  # fmt: skip
    component_class = component_codes.anomaly_to_component(edition, category_code)
    found = uow.categories.get(edition, component_class) if component_class else None
    return edition, component_class if found is not None and found["level"] == 2 else None


def _near(
    uow: UnitOfWork, lon: float | None, lat: float | None, edition: str, component_class: str | None, *, at: datetime,
    accuracy_m: float | None, limit: int,
) -> NearComponents:  # fmt: skip
    radius_m = component_snapping.search_radius_m(accuracy_m)
    codes = uow.categories.same_class(edition, component_class) if component_class else []
    if lon is None or lat is None:
        return NearComponents(lon, lat, at, edition, component_class, codes, accuracy_m, radius_m, [])
    found = uow.components.near(lon, lat, codes, at=at, radius_m=radius_m, limit=limit) if codes else []
    nearest = _measured(found, lon, lat, radius_m, limit)
    if accuracy_m is not None:
        odds = component_snapping.shares(
            [c["distance_m"] for c in nearest], accuracy_m, [c["accuracy_class"] for c in nearest]
        )
        nearest = [c | {"share": round(float(share), 4)} for c, share in zip(nearest, odds, strict=True)]
    return NearComponents(lon, lat, at, edition, component_class, codes, accuracy_m, radius_m, nearest)


def _measured(
    found: Sequence[dict[str, Any]], lon: float, lat: float, radius_m: float, limit: int
) -> list[dict[str, Any]]:
    """Return the ``limit`` nearest within the radius with distance (to the millimetre) and bearing, nearest first."""
    distance, bearing = component_snapping.distances_and_bearings(
        lon, lat, [c["lon"] for c in found], [c["lat"] for c in found]
    )
    measured = [
        c | {"distance_m": round(float(d), 3), "bearing_deg": round(float(b), 1) % 360, "share": None}
        for c, d, b in zip(found, distance, bearing, strict=True)
        if d <= radius_m
    ]
    return sorted(measured, key=lambda c: (c["distance_m"], c["component_id"]))[:limit]


def export_components(
    uow: UnitOfWork,
    out: Path,
    *,
    at: datetime,
    prefix: str = "",
    category_code: str | None = None,
    state: str | None = None,
    progress: Progress = SILENT,
) -> ExportResult:
    """Write the components held at ``at`` to a file by its suffix (.geojson, .csv, .gpkg, .xlsx); importing it again changes nothing.

    Positions are CGCS2000, and a column ``datum`` says so; the position as it first came, and its datum, stand beside them.

    Raises
    ------
    RequestInvalidError
        When the suffix is unknown or the state is none.
    NotFoundError
        When there is nothing to write.
    """
    check_suffix(out)
    if state is not None and state not in component_codes.STATES:
        raise RequestInvalidError(
            f"{state!r} is not a state.", hint=f"States: {', '.join(component_codes.STATES)}.", field="state"
        )
    progress.start("reading components")
    frame = uow.components.list(prefix, at, category_code=category_code, state=state)
    if frame.empty:
        raise NotFoundError("There are no components to export.", hint="Check --prefix, --class, --state and --at.")
    points = frame.geometry.to_numpy()
    lon, lat = shapely.get_x(points), shapely.get_y(points)
    frame["unit_grid"] = locate_arrays(uow, lon, lat, "cgcs2000", at=at, networks=("urban",))["urban"]
    frame["datum"] = np.full(len(frame), "cgcs2000", dtype=object)
    progress.start(f"writing {out.name}")
    write_points(frame[[*_EXPORTED, "datum", *_TOLD]], points, out, layer="components")
    return ExportResult(out.name, len(frame))
