"""The coverage map: the grids of all networks and the merged net of a division, in one file that needs no network.

A folium map whose layers draw from compact geometry in the page: every network, where their borders differ, their conflicts, and the crosswalk
of the place that is clicked. The page follows ``maps/layers.json`` and ``maps/networks.json``; the same content gives the same bytes. Above
`MOST_GRIDS` grids (a city) single grids are no longer drawn: communities with their counts are, and the legend says so.
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
from numpy.typing import NDArray

from gridsvc.maps.compact_shapes import encode, origin_of
from gridsvc.maps.layer_list import layer, layer_definitions
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
from gridsvc.maps.network_layers import LaidNetworks, comparison_layers, crosswalk_data, look_of, network_definitions

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
        By network: code, name, geometry, and where known community_code, households, population, area_m2, worker (name). Networks are ours or any
        others, which are named as they are here and drawn by their place.
    laid
        The same networks, in the same order and their grids ordered by code, laid over each other; None where nothing is to be compared.
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
    laid: LaidNetworks | None = None

    @property
    def networks(self) -> list[str]:
        """The networks in order: ours first, then others as they came."""
        return [*NETWORKS, *(name for name in self.grids if name not in NETWORKS)]

    def totals(self) -> dict[str, int]:
        """Return the number of grids of each network that has any."""
        if self.counts is None:
            found = {network: len(frame) for network, frame in self.grids.items()}
        else:
            communities = [row for code, row in self.counts.items() if len(code) == _COMMUNITY_DIGITS]
            found = {network: sum(row.get(network, 0) for row in communities) for network in self.networks}
        return {network: found[network] for network in self.networks if found.get(network)}


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
    laid = None if aggregated else content.laid
    drawn += comparison_layers(laid, origin) if laid is not None else []
    drawn.sort(key=lambda made: made["order"])
    boxes = _head(content, laid) + _legend(content, drawn, aggregated) + sources_box(content.sources)
    boxes += '<div id="gs-panel" class="gs-box" hidden></div><div id="gs-mini" class="gs-box"></div>'
    data = {
        "code": content.code,
        "origin": list(origin),
        "attribution": attribution(content.sources),
        "facts": [list(fact) for fact in _FACTS],
        "outline": encode(simplified(_outline(content)), origin),
        "file": f"{content.name_zh}-{content.code}-{_local(content):%Y%m%d}",
        "left_room": 420,
        "right_room": 270,
    }
    if laid is not None:
        data["networks"] = crosswalk_data(laid, [made["id"] for made in _grid_definitions(content).values()])
    page = assemble(
        f"{content.name_zh} 网格覆盖图", boxes, drawn, _groups(), bounds,
        data=data, style="coverage.css", script=("crosswalk.js", "mini_map.js", "map_image.js"),
    )  # fmt: skip
    return page, {made["id"]: made["count"] for made in drawn}, aggregated


def _groups() -> list[dict[str, str]]:
    networks, *others = layer_definitions()["groups"]
    return [networks, network_definitions()["group"], *others]


def _local(content: CoverageContent) -> datetime:
    return content.at.astimezone(ZoneInfo(content.timezone))


def _outline(content: CoverageContent) -> NDArray[np.object_]:
    """Return the largest division, or all grids as one shape, for the small map."""
    divisions = drawable(content.divisions)
    if len(divisions):
        return divisions.geometry.to_numpy()[:1]
    shapes = np.concatenate([drawable(frame).geometry.to_numpy() for frame in content.grids.values()])
    parts = shapely.get_parts(shapely.union_all(shapes, grid_size=1e-6))
    return np.array([shapely.multipolygons(shapely.polygons(shapely.get_exterior_ring(parts)))], dtype=object)


def _grid_definitions(content: CoverageContent) -> dict[str, dict[str, Any]]:
    """Return the definitions of the layers of all networks that have grids, by network."""
    present = [name for name in content.networks if name in content.grids and len(drawable(content.grids[name]))]
    return {name: look_of(name, place) for place, name in enumerate(present)}


def _entry(content: CoverageContent, definition: Mapping[str, Any], count: int, **more: Any) -> dict[str, Any]:
    # single networks are off where there is a merged one
    off_at_first = layer_definitions()["files"]["coverage"]["off_at_first"] if "unified" in content.totals() else ()
    shown = definition["shown"] and definition["id"] not in off_at_first
    return entry(definition, count, shown=shown, **more)


def _grid_layers(content: CoverageContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    communities = content.divisions[content.divisions["level"] == "community"]
    names = dict(zip(communities["code"], communities["name"], strict=True))
    layers = []
    for network, definition in _grid_definitions(content).items():
        frame = drawable(content.grids[network])
        columns: dict[str, Any] = {"code": frame["code"].tolist(), "name": texts(frame["name"])}
        if "community_code" in frame:
            columns["community"] = [names.get(code, code) for code in frame["community_code"]]
        columns |= {key: numbers(frame[key]) for key in ("households", "population", "area_m2") if key in frame}
        named = [key for key, *_ in _FACTS if key == "worker" or key.startswith("answers_")]
        columns |= {key: texts(frame[key]) for key in named if key in frame}
        if network == "social" and content.reports:
            columns["reports"] = [int(content.reports.get(code, 0)) for code in frame["code"]]
        layers.append(
            _entry(content, definition, len(frame), shapes=encode(frame.geometry.to_numpy(), origin), **columns)
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
            content, definition, len(frame), shapes=encode(shapes, origin), classes=classes, class_of=class_of.tolist(),
            measure=("件/格", "reports per grid"),
        )
    ]  # fmt: skip


def _head(content: CoverageContent, laid: LaidNetworks | None) -> str:
    totals = content.totals()
    counts: list[tuple[str, int | str, str, str]] = []
    for place, network in enumerate(totals):
        definition = look_of(network, place)
        title = definition["title_zh"].split("（")[0]
        counts.append((definition["line"]["color"], totals[network], title, definition["title_en"]))
    counts.sort(key=lambda count: int(count[1]))
    control = ""
    if laid is not None and len(laid.compared) > 1:
        color = network_definitions()["differences"][1]["color"]
        counts.append((color, f"{laid.differing_share:.1%}", "边界差异", "Borders differ"))
        label = both("冲突清单", "Conflicts")
        control = (
            f'<button id="gs-conflicts-open" type="button">{label} <b>{len(laid.disputes.shared_m2):,}</b></button>'
        )
    control += f'<button id="gs-image" type="button">{both("导出图片", "Save image")}</button>'
    titles = (f"{content.name_zh} 网格覆盖图", f"{content.name_zh} grid coverage")
    line = f"{escape(content.code)} · {_local(content):%Y-%m-%d %H:%M} {both('有效', 'in force')}"
    return head_box(titles, line, counts, control=f'<div id="gs-tools">{control}</div>')


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
