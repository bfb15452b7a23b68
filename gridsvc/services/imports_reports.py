"""Reports from a file: located into district and community; their grids are derived later, each at its own time."""

from __future__ import annotations

import re
import uuid
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import RequestInvalidError
from gridsvc.services.grid_lookup import find_places
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    none_if_empty,
    refuse_duplicates,
    refuse_unknown,
    require_geometry,
)
from gridsvc.services.import_coverage import divisions_at_points
from gridsvc.store.unit_of_work import UnitOfWork

_SOURCES = {
    **{name: name for name in ("field_app", "hotline", "sensor", "video", "department", "media", "import")},
    "网格员": "field_app", "网格员上报": "field_app", "热线": "hotline", "12345": "hotline", "市民热线": "hotline",
    "传感器": "sensor", "视频": "video", "部门": "department", "媒体": "media",
}  # fmt: skip
_NETWORKS = {"城市管理": "urban", "社会服务": "social", "社会治安": "security"}
_OFFSET = re.compile(r"(Z|[+-]\d\d:?\d\d)$", re.IGNORECASE)
# a case number of another system becomes an id that is the same on every import
_NUMBERED = uuid.uuid5(uuid.NAMESPACE_URL, "urn:gridsvc:report:source-no")


def check_reports(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``reports``, district and community filled in."""
    ids = _report_ids(batch)
    require_geometry(batch, "point", ids)
    times = report_times(batch, options.timezone)
    editions = batch.text("edition", uow.categories.edition_default())
    categories = batch.text("category_code")
    networks = _check_categories(batch, uow, editions, categories)
    sources = report_sources(batch, "import")
    accuracy = batch.number("accuracy_m")
    batch.refuse(accuracy < 0, "accuracy_m", "is negative", accuracy)
    projected = batch.good & np.array([name.startswith("EPSG:") for name in batch.original_datum], dtype=bool)
    batch.refuse(projected, "geometry", "is in metres; reports keep their original degrees, so give lon and lat")
    districts, communities = _place(batch, uow, options)
    frame = pd.DataFrame({"report_id": ids, "district_code": districts, "reported_at": times, "edition": editions})
    frame["category_code"], frame["network"], frame["source"] = categories, networks, sources
    for name in ("description", "reporter", "device"):
        values = batch.text(name)
        frame[name] = values if name == "description" else none_if_empty(values)
    frame["accuracy_m"] = accuracy
    frame["community_code"] = communities
    frame["geometry"] = batch.geometry
    return frame


def store_reports(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Take checked reports in; return (stored, already there)."""
    return uow.reports.add_frame(frame)


def _report_ids(batch: Batch) -> np.ndarray:
    given, numbers = batch.text("report_id"), batch.text("source_no")
    ids = np.full(len(given), "", dtype=object)
    malformed = np.zeros(len(given), dtype=bool)
    for i, text in enumerate(given):
        if not text:
            ids[i] = str(uuid.uuid5(_NUMBERED, numbers[i])) if numbers[i] else ""
            continue
        try:
            ids[i] = str(uuid.UUID(text))
        except ValueError:
            malformed[i] = True
    batch.refuse(
        malformed,
        "report_id",
        "is not a UUID; a number of another system goes into source_no (--map HEADER=source_no)",
        given,
    )
    batch.refuse((ids == "") & ~malformed, "report_id", "is missing; give report_id (a UUID) or source_no")
    refuse_duplicates(batch, "report_id", ids)
    return ids


def report_sources(batch: Batch, default: str) -> np.ndarray:
    """Return the source of each row under our names, ``default`` where none is stated; unknown ones become faults."""
    sources = np.array([_SOURCES.get(value, value) for value in batch.text("source", default)], dtype=object)
    refuse_unknown(
        batch,
        "source",
        sources,
        set(_SOURCES.values()),
        "one of field_app, hotline, sensor, video, department, media, import",
    )
    return sources


def report_times(batch: Batch, timezone: str | None) -> pd.Series:
    """Return when each row was reported, in UTC; times without offset are faults unless ``timezone`` names their zone."""
    return row_times(batch, "reported_at", timezone)


def row_times(batch: Batch, name: str, timezone: str | None) -> pd.Series:
    """Return the instants of a field in UTC, NaT where it is empty; faults as in `report_times`."""
    texts = batch.text(name)
    aware = np.array([bool(_OFFSET.search(text)) for text in texts], dtype=bool)
    naive = (texts != "") & ~aware
    times = pd.Series(
        pd.to_datetime(pd.Series(texts, dtype=object), format="ISO8601", utc=True, errors="coerce")
    ).dt.as_unit("us")
    if timezone is not None and naive.any():
        local = pd.to_datetime(pd.Series(texts[naive], dtype=object), format="ISO8601", errors="coerce")
        placed = local.dt.tz_localize(_zone(timezone), ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
        times[naive] = placed.dt.as_unit("us").to_numpy()
    elif naive.any():
        batch.refuse(
            naive,
            name,
            "has no UTC offset: write 2026-01-01T08:00:00+08:00 or use --timezone Asia/Shanghai",
            texts,
        )
    unread = (texts != "") & times.isna().to_numpy() & (aware | (timezone is not None))
    batch.refuse(unread, name, "is not an ISO 8601 time", texts)
    return times


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as unknown:
        raise RequestInvalidError(
            f"{name!r} is not a time zone.", hint="Use a name such as Asia/Shanghai.", field="timezone"
        ) from unknown


def _check_categories(batch: Batch, uow: UnitOfWork, editions: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Return the network of each row: the one stated, else the category's."""
    stated = np.array([_NETWORKS.get(value, value) for value in batch.text("network")], dtype=object)
    networks = stated.copy()
    known_editions = set(uow.categories.editions()["edition"])
    refuse_unknown(
        batch, "edition", editions, known_editions, f"an edition known here ({', '.join(sorted(known_editions))})"
    )
    for edition in sorted(known_editions & set(editions)):
        listed = uow.categories.list(edition)
        network_of = dict(zip(listed["code"], listed["network"], strict=True))
        rows = editions == edition
        unknown = rows & np.array([bool(code) and code not in network_of for code in categories], dtype=bool)
        batch.refuse(unknown, "category_code", f"is not a category of edition {edition}", categories)
        blank = rows & (networks == "")
        networks[blank] = [network_of.get(code, "") for code in categories[blank]]
    refuse_unknown(batch, "network", networks, {"urban", "social", "security"}, "one of urban, social, security")
    return networks


def _place(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> tuple[np.ndarray, np.ndarray]:
    points = batch.geometry.copy()
    points[batch.refused] = None
    districts, communities, any_drawn = divisions_at_points(uow, points, options)
    lon, lat = shapely.get_x(points), shapely.get_y(points)
    lost = np.flatnonzero(batch.good & pd.isna(districts) & (uow.nearest_within_m > 0))
    if len(lost):
        # beside the district, but near enough to be given a grid of it
        near = find_places(uow, lon[lost], lat[lost], options.at)
        districts[lost], communities[lost] = near.district, near.community
    outside = batch.good & pd.isna(districts)
    where = [f"{x:.6f} {y:.6f}" for x, y in zip(lon, lat, strict=True)]
    reason = (
        "is outside of every district stored"
        if any_drawn
        else "cannot be placed: no division is drawn; import divisions first"
    )
    batch.refuse(outside, "geometry", reason, where)
    return districts, communities
