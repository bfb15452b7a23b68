"""Facilities, and corrections that were accepted, as files in the datum and the columns of Amap (高德)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.formats.amap_points import amap_typecodes
from gridsvc.formats.written_tables import check_suffix, write_points
from gridsvc.geo.datums import convert_geometries, parse_datum
from gridsvc.progress import SILENT, Progress
from gridsvc.store.unit_of_work import UnitOfWork

WHAT_ZH = {"moved": "位置错误", "closed": "已关闭", "new": "新增", "other_kind": "类型错误", "renamed": "名称错误"}


@dataclass(frozen=True, slots=True)
class FacilityExport:
    """What was written: the file, its datum, how many rows, and how many of them are of a kind without a typecode."""

    file: str
    datum: str
    rows: int
    without_typecode: int


def export_facilities(
    uow: UnitOfWork,
    out: Path,
    *,
    at: datetime,
    prefix: str = "",
    kind_code: str | None = None,
    datum: str = "gcj02",
    progress: Progress = SILENT,
) -> FacilityExport:
    """Write the facilities in force at ``at`` with Amap's columns; importing the file again changes nothing.

    Each row says the datum. Areas are not written: a file that does not have them leaves them as they are.

    Raises
    ------
    RequestInvalidError
        When the suffix is unknown, or its format cannot say the datum.
    DatumUnknownError
        When the datum is none.
    NotFoundError
        When there is nothing to write.
    """
    check_suffix(out)
    datum = parse_datum(datum)
    progress.start("reading facilities")
    found = uow.facilities.list(prefix, at, with_areas=True)
    if kind_code is not None:
        found = found[found["kind_code"] == kind_code]
    if found.empty:
        raise NotFoundError("There are no facilities to export.", hint="Check --prefix, --kind and --at.")
    points = convert_geometries(found.geometry.to_numpy(), "cgcs2000", datum)
    names = uow.facilities.kinds().set_index("kind_code")["name_zh"]
    typecode, type_name = _typecodes(found["kind_code"])
    entrances = [None if e is None else convert_geometries([e], "cgcs2000", datum)[0] for e in found["entrances"]]
    frame = pd.DataFrame(
        {
            "id": found["facility_code"].to_numpy(), "name": found["name"].to_numpy(), "typecode": typecode,
            "type": type_name, "address": found["address"].to_numpy(), "location": _texts(points),
            "entr_location": _texts(entrances), "datum": datum, "kind_code": found["kind_code"].to_numpy(),
            "kind_name": names.reindex(found["kind_code"]).to_numpy(),
        }
    )  # fmt: skip
    progress.start(f"writing {out.name}")
    write_points(frame, points, out, layer="facilities", datum=datum)
    return FacilityExport(out.name, datum, len(frame), int(np.sum(np.array(typecode) == "")))


def export_accepted(
    uow: UnitOfWork, out: Path, *, prefix: str = "", since: datetime | None = None, datum: str = "gcj02"
) -> FacilityExport:
    """Write the corrections that were accepted (from ``since`` on), in the order of decisions: each facility before and after.

    Neither who sent a correction nor what they wrote is in the file.

    Raises
    ------
    RequestInvalidError
        When the suffix is unknown, or its format cannot say the datum.
    DatumUnknownError
        When the datum is none.
    NotFoundError
        When none was accepted.
    """
    check_suffix(out)
    datum = parse_datum(datum)
    accepted = uow.facility_corrections.accepted(prefix, since)
    if accepted.empty:
        raise NotFoundError("No correction was accepted.", hint="Check --prefix and --since.")
    rows: list[dict[str, Any]] = []
    points = []
    for correction in accepted.itertuples():
        before, after = _states(uow, correction)
        shown = after or before
        if shown is None:
            raise RequestInvalidError(
                f"The history of facility {correction.applied_code} does not hold what was accepted.",
                hint="Was it deleted by hand?", facility_code=correction.applied_code,
            )  # fmt: skip
        here, old = (
            None if state is None else convert_geometries([state["geometry"]], "cgcs2000", datum)[0]
            for state in (shown, before)
        )
        (typecode,), (type_name,) = _typecodes([shown["kind_code"]])
        points.append(here)
        rows.append(
            {
                "id": correction.applied_code, "what": correction.what, "what_zh": WHAT_ZH[str(correction.what)],
                "name": shown["name"], "old_name": "" if before is None else before["name"], "typecode": typecode,
                "type": type_name, "kind_code": shown["kind_code"],
                "old_kind_code": "" if before is None else before["kind_code"], "address": shown["address"],
                "location": _texts([here])[0], "old_location": _texts([old])[0], "datum": datum,
                "in_force_from": correction.in_force_from.isoformat(), "decided_at": correction.decided_at.isoformat(),
                "correction_id": str(correction.correction_id),
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    write_points(frame, np.array(points, dtype=object), out, layer="corrections", datum=datum)
    return FacilityExport(out.name, datum, len(frame), int((frame["typecode"] == "").sum()))


def _states(uow: UnitOfWork, correction: Any) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the facility of an accepted correction just before it held, and from then on; None where it was not there."""
    versions = uow.everywhere().facilities.versions(str(correction.applied_code))
    since = correction.in_force_from.to_pydatetime()
    before = next((version for version in versions if version["valid_to"] == since), None)
    after = next((version for version in versions if version["valid_from"] == since), None)
    return before, after


def _typecodes(kinds: Any) -> tuple[list[str], list[str]]:
    known = [amap_typecodes().get(str(kind), ("", "")) for kind in kinds]
    return [code for code, _ in known], [name for _, name in known]


def _texts(shapes: Any) -> list[str]:
    """Return points as ``lon,lat`` (several joined by ;) with six decimals, as Amap writes them; "" for None."""
    return [
        "" if shape is None else ";".join(f"{x:.6f},{y:.6f}" for x, y in shapely.get_coordinates(shape))
        for shape in shapes
    ]
