"""Components from a file: ids checked or given, the place among the divisions found, what the file does not say kept as stored."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import shapely

from gridsvc.errors import CodeMalformedError
from gridsvc.geo import component_codes
from gridsvc.geo.component_codes import ACCURACY_M, SCHEMES, STATES, parse_state
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    none_if_empty,
    refuse_duplicates,
    require_geometry,
)
from gridsvc.services.import_coverage import divisions_at_points
from gridsvc.store.unit_of_work import UnitOfWork

# field -> longest text. The standard has 30 for names and 100 for departments; local registers write more
_TEXTS = {
    "name": 100, "department_code": 40, "department_name": 200, "owner_code": 40, "owner_name": 200, "maintainer_code": 40,
    "maintainer_name": 200, "data_source": 100, "note": 1000,
}  # fmt: skip
# what a file may leave out; a component that is registered keeps it then
KEPT = (*_TEXTS, "state", "began_on", "accuracy_class")
_DAY = re.compile(r"^(\d{4})[-/.]?(\d{1,2})[-/.]?(\d{1,2})(?:[T ][\d:.]+)?$")


def check_components(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``components``; rows without an id get one when they are stored.

    A row without an id that has the class and the exact place of one registered component means that component, so that
    the same file again registers nothing twice.
    """
    uow.components.lock()
    ids = batch.text("component_id").astype(object)
    require_geometry(batch, "point", ids)
    _single_points(batch, ids)
    editions, categories = _classes(batch, uow, ids)
    divisions = _place(batch, uow, options, ids)
    _adopt(batch, uow, options, ids, categories)
    refuse_duplicates(batch, "component_id", ids)
    frame = pd.DataFrame({"component_id": ids, "edition": editions, "category_code": categories})
    for name, longest in _TEXTS.items():
        frame[name] = batch.text(name)
        too_long = np.array([len(text) > longest for text in frame[name]], dtype=bool)
        batch.refuse(too_long, name, f"has more than {longest} characters", frame[name].to_numpy())
    frame["state"] = _states(batch)
    frame["began_on"] = _days(batch)
    frame["accuracy_class"] = _accuracy_classes(batch)
    _keep_stored(frame, batch, uow, options)
    frame["division_code"] = divisions
    frame["changed_by"] = options.actor
    frame["geometry"] = batch.geometry
    return frame


def store_components(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int, dict[str, Any]]:
    """Put checked components, who are as given from ``options.at``; return (stored, unchanged, ids given here)."""
    frame = frame.copy()
    known = frame["component_id"] != ""
    last: dict[str, int] = {}
    for component_id in frame.loc[known, "component_id"]:
        prefix, serial = component_id[:-6], int(component_id[-6:])
        last[prefix] = max(last.get(prefix, 0), serial)
    uow.components.note_serials(last)
    frame.loc[~known, "component_id"] = _given_ids(uow, frame[~known])
    stored, unchanged = uow.components.put_frame(frame, options.at)
    return stored, unchanged, {"ids_given": int((~known).sum())} if (~known).any() else {}


def _given_ids(uow: UnitOfWork, frame: pd.DataFrame) -> list[str]:
    """Return an id for each row, serial numbers in the order of the file."""
    districts = frame["division_code"].str[:6]
    prefixes = list(districts + frame["category_code"].str[1:])
    first = uow.components.take_serials(Counter(prefixes))
    ids = []
    for edition, district, category, prefix in zip(
        frame["edition"], districts, frame["category_code"], prefixes, strict=True
    ):
        ids.append(component_codes.format(edition, district, category, first[prefix]))
        first[prefix] += 1
    return ids


def _single_points(batch: Batch, ids: np.ndarray) -> None:
    """Make points of multipoints of one point; several places are several components."""
    multi = batch.good & (shapely.get_type_id(batch.geometry) == shapely.GeometryType.MULTIPOINT)
    parts = shapely.get_num_geometries(batch.geometry)
    batch.geometry[multi & (parts == 1)] = shapely.get_geometry(batch.geometry[multi & (parts == 1)], 0)
    batch.refuse(multi & (parts > 1), "geometry", "has several points; give each component a row of its own", ids)


def _classes(batch: Batch, uow: UnitOfWork, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return edition and class of each row: those its id says, else those stated; they must agree and be known."""
    editions, categories = batch.text("edition").astype(object), batch.text("category_code").astype(object)
    stated_editions, stated = editions.copy(), categories.copy()
    reasons = np.full(len(ids), "", dtype=object)
    for i, component_id in enumerate(ids):
        code = categories[i].upper()
        categories[i] = "C" + code if code.isdigit() else code
        if component_id:
            try:
                said = component_codes.parse(component_id)
            except CodeMalformedError as malformed:
                reasons[i] = f"is no component id: {malformed.hint}"
                continue
            if editions[i] not in ("", said.edition):
                reasons[i] = f"is an id of edition {said.edition}, not of {editions[i]}"
            elif categories[i] not in ("", said.category_code):
                reasons[i] = f"is an id of class {said.category_code}, not of {categories[i]}"
            editions[i], categories[i] = said.edition, said.category_code
        elif not editions[i]:
            editions[i] = _edition_of(categories[i])
    wrong = reasons != ""
    batch.refuse(wrong, "component_id", [str(reason) for reason in reasons], ids)
    unsaid = ~wrong & (categories == "")
    batch.refuse(unsaid, "category_code", "is missing; give the class of the component, or its id")
    known_editions = np.isin(editions.astype(str), list(SCHEMES))
    ours = ~wrong & ~unsaid
    batch.refuse(
        ours & ~known_editions & (stated_editions != ""),
        "edition",
        f"is not an edition with components ({', '.join(SCHEMES)})",
        stated_editions,
    )
    known = {edition: _component_classes(uow, edition) for edition in SCHEMES}
    unknown = np.array([code not in known.get(e, ()) for e, code in zip(editions, categories, strict=True)], dtype=bool)
    from_id = ours & (ids != "")
    batch.refuse(from_id & unknown, "component_id", [f"names the class {c}, which its edition has not" for c in categories], ids)  # fmt: skip
    unknown_here = ours & unknown & ~from_id & (known_editions | (stated_editions == ""))
    batch.refuse(unknown_here, "category_code", "is no class of components; see /api/v1/categories", stated)
    return editions, categories


def _edition_of(category_code: str) -> str:
    """Return the edition whose component classes have so many digits, "" for none."""
    digits = len(category_code) - 1
    return next((s.edition for s in SCHEMES.values() if s.digits[1] + s.digits[2] == digits), "")


def _component_classes(uow: UnitOfWork, edition: str) -> set[str]:
    listed = uow.categories.list(edition, level=2)
    return set(listed.loc[listed["kind"] == "component", "code"])


def _place(batch: Batch, uow: UnitOfWork, options: ImportOptions, ids: np.ndarray) -> np.ndarray:
    """Return the smallest division of each row; a new id must name the district its component lies in."""
    points = batch.geometry.copy()
    points[batch.refused] = None
    districts, communities, any_drawn = divisions_at_points(uow, points, options)
    where = [f"{x:.6f} {y:.6f}" for x, y in zip(shapely.get_x(points), shapely.get_y(points), strict=True)]
    reason = (
        "is outside of every division stored; import its district first"
        if any_drawn
        else "cannot be placed: no division is drawn; import divisions first"
    )
    batch.refuse(batch.good & pd.isna(districts), "geometry", reason, where)
    given = [component_id for component_id, good in zip(ids, batch.good, strict=True) if good and component_id]
    registered = uow.components.registered(given)
    elsewhere = batch.good & np.array(
        [bool(c) and c not in registered and c[:6] != d for c, d in zip(ids, districts, strict=True)], dtype=bool
    )
    reasons = [f"is of district {c[:6]}, but its place lies in {d}" for c, d in zip(ids, districts, strict=True)]
    batch.refuse(elsewhere, "component_id", reasons, ids)
    return np.where(pd.isna(communities), districts, communities)


def _adopt(batch: Batch, uow: UnitOfWork, options: ImportOptions, ids: np.ndarray, categories: np.ndarray) -> None:
    """Give rows without an id that of the one component of their class that stands exactly there."""
    bare = np.flatnonzero(batch.good & (ids == ""))
    if not len(bare):
        return
    lon, lat = shapely.get_x(batch.geometry[bare]), shapely.get_y(batch.geometry[bare])
    places = list(zip(categories[bare], lon.tolist(), lat.tolist(), strict=True))
    times = Counter(places)
    twice = np.zeros(len(ids), dtype=bool)
    twice[bare] = [times[place] > 1 for place in places]
    batch.refuse(twice, "component_id", "is missing, and another row without an id has the same class and place", ids)
    several = np.zeros(len(ids), dtype=bool)
    for i, found in zip(bare, uow.components.ids_at(list(categories[bare]), lon, lat, options.at), strict=True):
        several[i] = len(found) > 1
        if len(found) == 1:
            ids[i] = found[0]
    batch.refuse(several, "component_id", "is missing, and several components of the class stand exactly there", ids)


def _states(batch: Batch) -> np.ndarray:
    texts = batch.text("state")
    states = np.array([parse_state(text) or "" for text in texts], dtype=object)
    names = ", ".join(f"{state} {name}" for state, name in STATES.items())
    batch.refuse((texts != "") & (states == ""), "state", f"is not a state of a component ({names})", texts)
    return states


def _days(batch: Batch) -> np.ndarray:
    """Return dates as ISO 8601 texts; "" where none is given."""
    texts = batch.text("began_on")
    days = np.array([_day(text) or "" for text in texts], dtype=object)
    batch.refuse((texts != "") & (days == ""), "began_on", "is not a date such as 2026-01-31 or 20260131", texts)
    return days


def _day(text: str) -> str | None:
    match = _DAY.match(text)
    if match is None:
        return None
    try:
        return date(*(int(part) for part in match.groups())).isoformat()
    except ValueError:
        return None


def _accuracy_classes(batch: Batch) -> np.ndarray:
    texts = batch.text("accuracy_class")
    classes = np.array([text.upper().removesuffix("级") for text in texts], dtype=object)
    unknown = np.array([bool(c) and c not in ACCURACY_M for c in classes], dtype=bool)
    batch.refuse(unknown, "accuracy_class", "is not A, B or C", texts)
    return classes


def _keep_stored(frame: pd.DataFrame, batch: Batch, uow: UnitOfWork, options: ImportOptions) -> None:
    """Fill columns that the file does not have, and states it leaves empty, from what is registered; else intact, without a date."""
    ids = [component_id for component_id in frame["component_id"] if component_id]
    absent = {name for name in KEPT if name not in batch.columns}
    if ids and (absent or (frame["state"] == "").any()):
        stored = uow.components.list(at=options.at, ids=ids).set_index("component_id")
        here = frame["component_id"].isin(stored.index).to_numpy()
        for name in sorted(absent | {"state"}):
            rows = here & (frame["state"] == "").to_numpy() if name == "state" else here
            values = stored[name].reindex(frame.loc[rows, "component_id"])
            frame.loc[rows, name] = values.where(values.notna(), "").to_numpy(dtype=object)
    frame.loc[frame["state"] == "", "state"] = "intact"
    frame["began_on"] = none_if_empty(frame["began_on"].to_numpy(dtype=object))
