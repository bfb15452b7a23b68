"""The coverage map: the grids of all networks and the merged net of a division, in one file that needs no network.

A folium map whose layers draw from compact geometry in the page. The page follows ``maps/layers.json``; the same content
gives the same bytes. Above `MOST_GRIDS` grids (a city) single grids are no longer drawn: communities with their counts are,
and the legend says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.maps.compact_shapes import encode, origin_of
from gridsvc.maps.layer_list import layer, layer_definitions, layer_of_network
from gridsvc.maps.map_file import (
    WrittenMap,
    assemble,
    basemap,
    bounds_of,
    drawable,
    entry,
    numbers,
    simplified,
    switch_order,
    texts,
    write_page,
)
from gridsvc.maps.map_legend import attribution, both, head_box, legend_box, legend_rows, sources_box

NETWORKS = ("urban", "social", "security", "unified")
# grids of all networks together that one page draws singly and stays quick and under 8 MB
MOST_GRIDS = 12_000
_DENSITY_CLASSES = 5
_COMMUNITY_DIGITS = 12
_LEVELS = ("community", "street", "district")
# column, then title and unit in Chinese and in English
_FACTS = (
    ("households", "户数", " 户", "Households", ""),
    ("population", "人口", " 人", "Population", ""),
    ("area_m2", "面积", " m²", "Area", " m²"),
    ("community", "社区", "", "Community", ""),
    ("worker", "负责网格员", "", "Grid worker", ""),
    ("answers_urban", "城市管理由", " 负责", "Urban management", ""),
    ("answers_social", "社会服务由", " 负责", "Social services", ""),
    ("answers_security", "治安由", " 负责", "Public security", ""),
    ("reports", "上报", " 件", "Reports", ""),
    ("urban", "单元网格", " 个", "Unit grids", ""),
    ("social", "治理网格", " 个", "Governance grids", ""),
    ("security", "治安网格", " 个", "Security grids", ""),
    ("unified", "统一网格", " 个", "Unified grids", ""),
)


@dataclass(frozen=True, slots=True)
class CoverageContent:
    """What a coverage map shows, as frames in EPSG:4490 ordered by code.

    Attributes
    ----------
    name_zh, code, at
        The division shown and the instant whose grids are meant.
    divisions
        code, name, level (district, street, community), geometry.
    grids
        By network: code, name, community_code, households, population, area_m2, geometry, and where known worker (name).
    reports
        Number of reports by governance grid code; empty draws no density.
    counts
        By division code (street offices and communities): grids of each network, households, reports. Given where single
        grids are too many to draw; ``grids`` and ``reports`` may be empty then.
    streets, water
        Basemap: street_class and geometry; geometry. None leaves it out.
    sources
        Where the data come from and under which licence, one line each, for the list that the attribution opens.
    timezone
        In which the instant is written.
    """

    name_zh: str
    code: str
    at: datetime
    divisions: gpd.GeoDataFrame
    grids: Mapping[str, gpd.GeoDataFrame]
    reports: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] | None = None
    streets: gpd.GeoDataFrame | None = None
    water: gpd.GeoDataFrame | None = None
    sources: Sequence[str] = ()
    timezone: str = "Asia/Shanghai"

    def totals(self) -> dict[str, int]:
        """Return the number of grids of each network that has any."""
        if self.counts is None:
            found = {network: len(frame) for network, frame in self.grids.items()}
        else:
            communities = [row for code, row in self.counts.items() if len(code) == _COMMUNITY_DIGITS]
            found = {network: sum(row.get(network, 0) for row in communities) for network in NETWORKS}
        return {network: found[network] for network in NETWORKS if found.get(network)}


def write_coverage_map(content: CoverageContent, out: Path) -> WrittenMap:
    """Write the coverage map of ``content`` to ``out``, whole or not at all.

    Raises
    ------
    NotFoundError
        When there is neither a division nor a grid to draw.
    GridsvcError
        When the page would load anything from outside itself.
    """
    return write_page(*coverage_page(content), out)


def coverage_page(content: CoverageContent) -> tuple[str, dict[str, int], bool]:
    """Return the page, the number of features by layer, and whether grids were aggregated."""
    aggregated = content.counts is not None or sum(content.totals().values()) > MOST_GRIDS
    bounds = bounds_of([content.divisions, *content.grids.values()], content.code)
    origin = origin_of(bounds)
    drawn = basemap(content.streets, content.water, origin, main_only=aggregated)
    drawn += _activity(content, origin, aggregated)
    drawn += [] if aggregated else _grid_layers(content, origin)
    drawn += _division_layers(content, origin, aggregated)
    drawn.sort(key=lambda made: made["order"])
    boxes = _head(content) + _legend(content, drawn, aggregated) + sources_box(content.sources)
    boxes += '<div id="gs-panel" class="gs-box" hidden></div>'
    data = {
        "code": content.code,
        "origin": list(origin),
        "attribution": attribution(content.sources),
        "facts": [list(fact) for fact in _FACTS],
    }
    page = assemble(f"{content.name_zh} 网格覆盖图", boxes, drawn, _groups(), bounds, data=data)
    return page, {made["id"]: made["count"] for made in drawn}, aggregated


def _groups() -> list[dict[str, str]]:
    return layer_definitions()["groups"]


def _entry(definition: Mapping[str, Any], count: int, **more: Any) -> dict[str, Any]:
    off_at_first = layer_definitions()["files"]["coverage"]["off_at_first"]
    return entry(definition, count, shown=definition["shown"] and definition["id"] not in off_at_first, **more)


def _grid_layers(content: CoverageContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    communities = content.divisions[content.divisions["level"] == "community"]
    names = dict(zip(communities["code"], communities["name"], strict=True))
    layers = []
    for network in NETWORKS:
        frame = drawable(content.grids[network]) if network in content.grids else None
        if frame is None or frame.empty:
            continue
        columns: dict[str, Any] = {
            "code": frame["code"].tolist(),
            "name": texts(frame["name"]),
            "community": [names.get(code, code) for code in frame["community_code"]],
        }
        columns |= {key: numbers(frame[key]) for key in ("households", "population", "area_m2") if key in frame}
        named = [key for key, *_ in _FACTS if key == "worker" or key.startswith("answers_")]
        columns |= {key: texts(frame[key]) for key in named if key in frame}
        if network == "social" and content.reports:
            columns["reports"] = [int(content.reports.get(code, 0)) for code in frame["code"]]
        layers.append(
            _entry(layer_of_network(network), len(frame), shapes=encode(frame.geometry.to_numpy(), origin), **columns)
        )
    return layers


def _division_layers(content: CoverageContent, origin: tuple[int, int], aggregated: bool) -> list[dict[str, Any]]:
    layers = []
    for level, layer_id in zip(_LEVELS, ("communities", "street_offices", "districts"), strict=True):
        frame = drawable(content.divisions[content.divisions["level"] == level])
        if frame.empty:
            continue
        shapes = frame.geometry.to_numpy()
        middles = shapely.get_coordinates(shapely.point_on_surface(shapes))
        whole = np.rint(middles * 1e6).astype(int) - np.array(origin)
        columns: dict[str, Any] = {
            "code": frame["code"].tolist(),
            "name": texts(frame["name"]),
            "label_at": whole.tolist(),
        }
        if aggregated:
            shapes = simplified(shapes)
            columns |= _counts_by_division(content, columns["code"]) if level != "district" else {}
        made = entry(layer(layer_id), len(frame), shapes=encode(shapes, origin), **columns)
        if level == "street":
            # where the names of communities begin, those of their street offices would lie among them
            made["label"] = {**made["label"], "below_zoom": layer("communities")["label"]["min_zoom"]}
        layers.append(made)
    return layers


def _counts_by_division(content: CoverageContent, codes: Sequence[str]) -> dict[str, list[int]]:
    """Return, for each division code, the number of grids of each network and the households and reports under it."""
    counts = content.counts if content.counts is not None else _counted(content, len(codes[0]))
    names = [key for key, *_ in _FACTS if any(key in counts.get(code, ()) for code in codes)]
    return {name: [int(counts.get(code, {}).get(name, 0)) for code in codes] for name in names}


def _counted(content: CoverageContent, digits: int) -> dict[str, dict[str, int]]:
    """Return what ``content.counts`` would hold for codes of ``digits`` digits, counted from the grids."""
    counts: dict[str, dict[str, int]] = {}
    for network, frame in content.grids.items():
        prefixes = frame["code"].str.slice(0, digits)
        for code, number in prefixes.value_counts().items():
            counts.setdefault(str(code), {})[network] = int(number)
        if network == "social" and "households" in frame:
            for code, number in frame["households"].groupby(prefixes).sum().items():
                counts[str(code)]["households"] = int(number)
    for code, number in content.reports.items():
        here = counts.setdefault(code[:digits], {})
        here["reports"] = here.get("reports", 0) + int(number)
    return counts


def _activity(content: CoverageContent, origin: tuple[int, int], aggregated: bool) -> list[dict[str, Any]]:
    """Return the report density by governance grid, or by community when aggregated; nothing without reports."""
    if aggregated:
        frame = drawable(content.divisions[content.divisions["level"] == "community"])
        numbers = _counts_by_division(content, frame["code"].tolist()).get("reports", []) if len(frame) else []
        shapes = simplified(frame.geometry.to_numpy())
    else:
        frame = drawable(content.grids["social"]) if "social" in content.grids else content.divisions.iloc[:0]
        numbers = [int(content.reports.get(code, 0)) for code in frame["code"]]
        shapes = frame.geometry.to_numpy()
    if not any(numbers):
        return []
    definition = layer("reports_density")
    colors = layer_definitions()["palettes"][definition["palette"]]["colors"]
    counts = np.array(numbers)
    tops = np.unique(
        np.ceil(np.quantile(counts[counts > 0], np.arange(1, _DENSITY_CLASSES + 1) / _DENSITY_CLASSES)).astype(int)
    )
    class_of = np.where(counts > 0, np.searchsorted(tops, counts), -1)
    lows = [1, *(tops[:-1] + 1).tolist()]
    classes = [
        {"color": color, "title": f"{low}–{top}" if low < top else f"{top}"}
        for color, low, top in zip(colors[-len(tops) :], lows, tops.tolist(), strict=True)
    ]
    return [
        _entry(
            definition, len(frame), shapes=encode(shapes, origin), classes=classes, class_of=class_of.tolist(),
            measure=("件/格", "reports per grid"),
        )
    ]  # fmt: skip


def _head(content: CoverageContent) -> str:
    at = content.at.astimezone(ZoneInfo(content.timezone))
    totals, counts = content.totals(), []
    for network in reversed(NETWORKS):
        definition = layer_of_network(network)
        if network in totals:
            title = definition["title_zh"].split("（")[0]
            counts.append((definition["line"]["color"], totals[network], title, definition["title_en"]))
    titles = (f"{content.name_zh} 网格覆盖图", f"{content.name_zh} grid coverage")
    return head_box(titles, f"{escape(content.code)} · {at:%Y-%m-%d %H:%M} {both('有效', 'in force')}", counts)


def _legend(content: CoverageContent, drawn: Sequence[dict[str, Any]], aggregated: bool) -> str:
    rows = ""
    for group in _groups():
        here = [made for made in switch_order(drawn, _groups()) if made["group"] == group["id"]]
        if here:
            rows += f"<h2>{both(group['title_zh'], group['title_en'])}</h2>"
        rows += "".join(legend_rows(made) for made in here)
    note = ""
    if aggregated:
        total = sum(content.totals().values())
        zh = f"网格共 {total:,} 个，超过 {MOST_GRIDS:,} 个，本图按社区、街道汇总显示；单个网格请分区出图。"
        en = f"{total:,} grids: shown summed by community and street office; write one map per district to see single grids."
        note = both(zh, en)
    return legend_box(rows, note)
