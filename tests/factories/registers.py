"""Small registers of components in the stored town, as files and as frames of the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from factories import stored_town as town

COVER, LAMP, BIN = "C01001", "C01037", "C03005"
EDITION = "gbt-47678.5-2026"
# the middle of the first community
LON, LAT = (round(v, 9) for v in town.community_box(town.COMMUNITIES[0]).centroid.coords[0])


def register_columns(**changes) -> dict:
    """Return the columns of a file with three lamps and a manhole cover, 0, 20, 40 and 60 m east of the first community's middle."""
    columns = {
        "部件标识码": ["42010301037000001", "42010301037000002", "42010301037000003", "42010301001000001"],
        "部件名称": ["路灯", "路灯", "路灯", "上水井盖"],
        "部件状态": ["完好", "破损", "完好", "丢失"],
        "权属单位": ["路灯所", "路灯所", "路灯所", "水务公司"],
        "初始日期": ["20200131", "2020-02-01", "", "2019/12/31"],
        "lon": [round(LON + i * 2.0856e-4, 9) for i in range(4)],
        "lat": [LAT] * 4,
    }
    return columns | changes


def register_csv(path: Path, **changes) -> Path:
    """Write the columns as CSV; a column changed to ... is left out."""
    columns = {name: values for name, values in register_columns(**changes).items() if values is not ...}
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def component_frame(count: int, *, category=LAMP, seed=1, bounds=None, **changes):
    """Return ``count`` components of a class at random places of the first community, as the store takes them."""
    west, south, east, north = bounds or town.community_box(town.COMMUNITIES[0]).bounds
    draw = np.random.default_rng(seed)
    lon, lat = np.round(draw.uniform(west, east, count), 9), np.round(draw.uniform(south, north, count), 9)
    columns = {
        "component_id": [f"420103{category[1:]}{i:06d}" for i in range(1, count + 1)],
        "edition": EDITION,
        "category_code": category,
        "state": "intact",
        "division_code": town.COMMUNITIES[0],
        "original_x": lon,
        "original_y": lat,
    }
    return town.frame(columns | changes, shapely.points(lon, lat))
