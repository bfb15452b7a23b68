"""Tables of points as Amap (高德) writes them: its columns read as fields of facilities, and its typecodes as kinds.

Only files: nothing here asks Amap for anything. Columns are those of its place search (id, name, typecode, address, location,
entr_location); a typecode has six digits, two each for 大类, 中类, 小类, and a place may have several, joined by ``|``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from functools import cache

import pandas as pd

from gridsvc.resources import content_dir

_EMPTY = "[]"  # how its JSON says "none", and files made of it after it
_PAIR = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*,\s*(-?\d+(?:\.\d+)?)\s*")


@cache
def amap_kinds() -> Mapping[str, str]:
    """Return typecode -> facility kind in the order of ``data/amap_facility_kinds.csv``; one that ends in 00 stands for its 中类."""
    with (content_dir("data") / "amap_facility_kinds.csv").open(encoding="utf-8", newline="") as table:
        return {row["typecode"]: row["kind_code"] for row in csv.DictReader(table)}


@cache
def amap_typecodes() -> Mapping[str, tuple[str, str]]:
    """Return facility kind -> (typecode, its name): the first of the table for each kind; a kind without one is not in it."""
    with (content_dir("data") / "amap_facility_kinds.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    return {row["kind_code"]: (row["typecode"], row["name_zh"]) for row in reversed(rows)}


def typecode_to_kind(typecode: str) -> str | None:
    """Return the facility kind of a typecode, or of the first of several that has one; None when none has.

    A typecode that is not in the table counts as its 中类 (its last two digits as 00).
    """
    kinds = amap_kinds()
    for code in typecode.split("|"):
        code = code.strip().zfill(6)  # a spreadsheet takes the zero in front away
        kind = kinds.get(code) or kinds.get(f"{code[:4]}00")
        if kind is not None:
            return kind
    return None


def amap_columns(frame: pd.DataFrame, mapping: Mapping[str, str]) -> pd.DataFrame:
    """Return a table of facilities with Amap's columns under the names of fields; one without a column ``typecode`` as it is.

    ``typecode`` becomes kind_code (one without a kind stays, to be refused as unknown), ``id`` facility_code, ``location`` lon and lat;
    columns that are named in ``mapping`` (header -> field), and fields that the table has already, are left alone. ``[]`` is empty.
    """
    headers = {"".join(str(name).lower().split()).replace("_", ""): name for name in frame.columns}
    if "typecode" not in headers or str(headers["typecode"]) in mapping:
        return frame
    taken = {*map(str, frame.columns), *mapping.values()}
    plain = frame.map(lambda value: "" if isinstance(value, str) and value.strip() == _EMPTY else value)
    typecode = plain.pop(headers["typecode"])
    if "kind_code" not in taken:
        plain["kind_code"] = [_kind_or_typecode(value) for value in typecode]
    identity = headers.get("id", headers.get("poiid"))
    if identity is not None and str(identity) not in mapping and "facility_code" not in taken:
        plain = plain.rename(columns={identity: "facility_code"})
    location = headers.get("location")
    if location is not None and str(location) not in mapping and not {"lon", "lat"} & taken:
        pairs = [_PAIR.fullmatch(str(value)) for value in plain.pop(location)]
        # what is no pair is refused later as a missing position
        plain["lon"] = [pair[1] if pair else "" for pair in pairs]
        plain["lat"] = [pair[2] if pair else "" for pair in pairs]
    return plain


def _kind_or_typecode(value: object) -> str:
    if value is None or value != value:
        return ""
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return typecode_to_kind(text) or text if text else ""


def parse_places(text: str) -> list[tuple[float, float]] | None:
    """Return the positions of a text such as ``114.25,30.58;114.26,30.59`` in its order; None when it is no such text."""
    pairs = [_PAIR.fullmatch(part) for part in text.strip().strip(";|").replace("|", ";").split(";")]
    if not all(pairs):
        return None
    return [(float(pair[1]), float(pair[2])) for pair in pairs if pair]
