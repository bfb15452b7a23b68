"""Streets, water and barriers from a file."""

from __future__ import annotations

import csv
import hashlib
from functools import cache

import numpy as np
import pandas as pd
import shapely

from gridsvc.circle.walk_rules import PASSAGES
from gridsvc.resources import content_dir
from gridsvc.services.import_batch import (
    Batch,
    ImportOptions,
    as_multipolygons,
    refuse_duplicates,
    refuse_unknown,
    require_geometry,
)
from gridsvc.store.unit_of_work import UnitOfWork

_WATER_KINDS = {
    "river": "river",
    "lake": "lake",
    "canal": "canal",
    "河流": "river",
    "河": "river",
    "湖泊": "lake",
    "湖": "lake",
    "运河": "canal",
    "水渠": "canal",
    "渠": "canal",
}
_PASSAGES = {
    "信号灯过街": "signal_crossing",
    "人行横道": "signal_crossing",
    "过街天桥": "overpass",
    "天桥": "overpass",
    "地下通道": "underpass",
    "台阶": "steps",
    "电梯": "elevator",
}
_BARRIER_KINDS = {
    "wall": "wall",
    "rail": "rail",
    "water": "water",
    "围墙": "wall",
    "墙": "wall",
    "fence": "wall",
    "铁路": "rail",
    "水": "water",
}


@cache
def street_classes() -> dict[str, bool]:
    """Return street class -> whether people walk there, from ``data/street_classes.csv``."""
    with (content_dir("data") / "street_classes.csv").open(encoding="utf-8", newline="") as table:
        return {row["street_class"]: row["is_walkable"] == "yes" for row in csv.DictReader(table)}


@cache
def _class_names() -> dict[str, str]:
    with (content_dir("data") / "street_classes.csv").open(encoding="utf-8", newline="") as table:
        return {row["name_zh"]: row["street_class"] for row in csv.DictReader(table)}


def check_streets(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``streets``; a line of several parts becomes several streets."""
    codes = _codes_or_made(batch, "street_code", "s")
    refuse_duplicates(batch, "street_code", codes)
    require_geometry(batch, "line", codes)
    names = _class_names()
    classes = np.array([names.get(value, value) for value in batch.text("street_class")], dtype=object)
    walkable = street_classes()
    refuse_unknown(batch, "street_class", classes, walkable.keys(), "a street class; see data/street_classes.csv")
    layers = batch.number("layer", 0)
    frame = pd.DataFrame(
        {"street_code": codes, "name": batch.text("name"), "street_class": classes, "layer": layers.astype(np.int64)}
    )
    frame["is_walkable"] = [walkable.get(value, False) for value in classes]
    passages = np.array([_PASSAGES.get(value, value) for value in batch.text("passage")], dtype=object)
    refuse_unknown(batch, "passage", passages, {"", *PASSAGES}, f"one of {', '.join(PASSAGES)}")
    frame["passage"], frame["passage_share"] = passages, np.where(passages == "", 0.0, 1.0)
    frame["geometry"] = batch.geometry
    return frame


def check_water(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``water_areas``."""
    codes = _codes_or_made(batch, "water_code", "h")
    refuse_duplicates(batch, "water_code", codes)
    require_geometry(batch, "polygon", codes, repair=options.repair)
    kinds = _kinds(batch, _WATER_KINDS, "river, lake or canal")
    return pd.DataFrame(
        {"water_code": codes, "name": batch.text("name"), "kind": kinds, "geometry": as_multipolygons(batch.geometry)}
    )


def check_barriers(batch: Batch, uow: UnitOfWork, options: ImportOptions) -> pd.DataFrame:
    """Return the rows as columns of the table ``barriers``; a line of several parts becomes several barriers."""
    codes = _codes_or_made(batch, "barrier_code", "b")
    refuse_duplicates(batch, "barrier_code", codes)
    require_geometry(batch, "line", codes)
    kinds = _kinds(batch, _BARRIER_KINDS, "wall, rail or water")
    return pd.DataFrame({"barrier_code": codes, "kind": kinds, "geometry": batch.geometry})


def store_streets(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked streets; return (stored, unchanged), counted in rows of the table."""
    return uow.streets.put_frame(_single_lines(frame, "street_code"))


def store_water(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked water areas; return (stored, unchanged)."""
    return uow.water.put_frame(frame)


def store_barriers(uow: UnitOfWork, frame: pd.DataFrame, options: ImportOptions) -> tuple[int, int]:
    """Put checked barriers; return (stored, unchanged), counted in rows of the table."""
    return uow.barriers.put_frame(_single_lines(frame, "barrier_code"))


def _kinds(batch: Batch, names: dict[str, str], allowed: str) -> np.ndarray:
    kinds = np.array([names.get(value, value) for value in batch.text("kind")], dtype=object)
    refuse_unknown(batch, "kind", kinds, set(names.values()), allowed)
    return kinds


def _codes_or_made(batch: Batch, name: str, letter: str) -> np.ndarray:
    """Return the codes of a file; where it gives none, codes made of the shape, the same on every import.

    Shapes that occur more than once are numbered in file order.
    """
    codes = batch.text(name)
    without = codes == ""
    if not without.any():
        return codes
    made: dict[str, int] = {}
    result = codes.copy()
    for i, wkb in zip(np.flatnonzero(without), shapely.to_wkb(batch.geometry[without], byte_order=1), strict=True):
        code = letter + hashlib.sha256(wkb or b"").hexdigest()[:16]
        made[code] = made.get(code, 0) + 1
        result[i] = code if made[code] == 1 else f"{code}-{made[code]}"
    return result


def _single_lines(frame: pd.DataFrame, key: str) -> pd.DataFrame:
    lines = frame["geometry"].to_numpy()
    multi = shapely.get_type_id(lines) == shapely.GeometryType.MULTILINESTRING
    if not multi.any():
        return frame
    merged = lines.copy()
    merged[multi] = shapely.line_merge(lines[multi])
    parts, owner = shapely.get_parts(merged, return_index=True)
    exploded = frame.iloc[owner].reset_index(drop=True)
    place = pd.Series(owner).groupby(owner).cumcount().to_numpy() + 1
    several = np.bincount(owner)[owner] > 1
    exploded["geometry"] = parts
    numbered = exploded[key].astype(object).to_numpy() + np.array([f"-{k}" for k in place], dtype=object)
    exploded[key] = np.where(several, numbered, exploded[key].to_numpy(dtype=object))
    return exploded
