"""Life-circle certificates: what a stored run says of one community, as one page to hand over."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from gridsvc.errors import FileUnreadableError, NotFoundError, RequestInvalidError
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.maps.life_circle_certificate import CertificateContent, KindLine, certificate_page
from gridsvc.maps.map_file import WrittenMap, write_page
from gridsvc.services.circle_places import LEVELS, PlacesCovered, cover_places, lacking, place_rows, run_document
from gridsvc.services.walk_networks import box_around
from gridsvc.store.unit_of_work import UnitOfWork

_AROUND_M = 100.0


def write_certificate(
    uow: UnitOfWork,
    code: str,
    out: Path,
    *,
    standard: str | None = None,
    speed_m_s: float | None = None,
    timezone: str = "Asia/Shanghai",
) -> WrittenMap:
    """Write the life-circle certificate of a community to ``out``, from the latest run (by a standard, at a speed) that covers it.

    Raises
    ------
    RequestInvalidError
        When ``code`` is not of a community.
    NotFoundError
        When there is no such community, no run that covers it, or no residence in it.
    FileUnreadableError
        When the file cannot be written there.
    """
    content = certificate_content(uow, code, standard=standard, speed_m_s=speed_m_s, timezone=timezone)
    page = certificate_page(content)
    try:
        return write_page(page, {"residences": content.residences, "kinds": len(content.kinds)}, False, out)
    except OSError as wrong:
        raise FileUnreadableError(
            f"{out} cannot be written: {wrong.strerror or wrong}.", hint="Check the folder.", path=str(out)
        ) from wrong


def certificate_content(
    uow: UnitOfWork,
    code: str,
    *,
    standard: str | None = None,
    speed_m_s: float | None = None,
    timezone: str = "Asia/Shanghai",
) -> CertificateContent:
    """Return what the certificate of a community shows; raises as :func:`write_certificate` does."""
    if len(code) != LEVELS["community"] or not code.isdigit():
        raise RequestInvalidError(
            f"{code!r} is no community: a certificate is of one community, whose code has 12 digits.",
            hint="See gridsvc circle coverage CODE --by community.",
            field="code",
        )
    covered = cover_places(uow, code, standard=standard, speed_m_s=speed_m_s)
    run, homes = covered.found.run, covered.found.homes
    community = uow.divisions.get(code, run["ran_at"])
    if community is None or homes.empty:
        raise NotFoundError(
            f"The latest run has no community {code} with residences.",
            hint="See gridsvc circle coverage CODE --by community.",
        )
    row = place_rows(covered)[0]
    epsg = zone_of(homes.geometry.to_numpy())
    boundary = to_metric(np.array([community["geometry"]], dtype=object), epsg)[0]
    facilities = uow.facilities.list(bbox=box_around(boundary, epsg, _AROUND_M), at=run["ran_at"])
    shown = facilities[facilities["kind_code"].isin(covered.found.rules.codes)].geometry.to_numpy()
    lacks = lacking(covered.found.times_s, covered.found.rules).sum(axis=1)
    return CertificateContent(
        code=code,
        name=str(community["name"]),
        above=_above(uow, code, run["ran_at"]),
        ran_on=_day(run["ran_at"], timezone),
        facilities_on=_day(run["coverage"].get("facilities_newest_at"), timezone),
        population=row["population"],
        households=row["households"],
        residences=row["residences"],
        complete_share=row["complete_share"],
        compliance=row["compliance"],
        is_qualified=row["is_qualified"],
        kinds=_kind_lines(uow, covered, row),
        run=run_document(covered.found),
        boundary=boundary,
        grounds=to_metric(homes.geometry.to_numpy(), epsg),
        lacking=np.where(homes["population"].to_numpy() > 0, lacks, -1),
        facilities=to_metric(shown, epsg) if len(shown) else np.array([], dtype=object),
    )


def _day(instant: datetime | str | None, timezone: str) -> str:
    """Return the local day of an instant, which may be RFC 3339 text; "" where it is not known."""
    if instant is None:
        return ""
    known = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return f"{known.astimezone(ZoneInfo(timezone)):%Y-%m-%d}"


def _above(uow: UnitOfWork, code: str, at: Any) -> str:
    """Return the names of district and street of a community."""
    found = [uow.divisions.get(code[: LEVELS[level]], at) for level in ("district", "street")]
    return " ".join(str(division["name"]) for division in found if division is not None)


def _kind_lines(uow: UnitOfWork, covered: PlacesCovered, row: dict[str, Any]) -> tuple[KindLine, ...]:
    names = uow.facilities.kinds().set_index("kind_code")
    found = covered.found
    people = found.homes["population"].to_numpy(dtype=float)
    lines = []
    for column, kind in enumerate(found.rules.kinds):
        times_s = found.times_s[:, column]
        shares = row["kinds"][kind.code]
        lines.append(
            KindLine(
                code=kind.code,
                name_zh=str(names.loc[kind.code, "name_zh"]),
                name_en=str(names.loc[kind.code, "name_en"]),
                group=kind.group,
                minutes=kind.minutes,
                required=kind.required,
                is_verified=kind.is_verified,
                population_share=shares["population_share"],
                people_without=int(people[times_s > found.rules.limits_s[column]].sum()),
                median_walk_s=_median(times_s, people),
                mean_counts=tuple(shares["mean_counts"]),
            )
        )
    return tuple(lines)


def _median(times_s: np.ndarray, people: np.ndarray) -> float | None:
    """Return the time that half of the people do not exceed; None where nobody lives, or half are out of reach."""
    order = np.argsort(times_s, kind="stable")
    passed = np.cumsum(people[order])
    if not len(passed) or passed[-1] <= 0:
        return None
    half = times_s[order[np.searchsorted(passed, passed[-1] / 2)]]
    return float(half) if np.isfinite(half) else None
