"""The coverage map: the grids of all networks and the merged net of a division, in one file that needs no network.

A folium map whose layers draw from compact geometry in the page. The page follows ``maps/layers.json``; the same content
gives the same bytes. Above `MOST_GRIDS` grids (a city) single grids are no longer drawn: communities with their counts are,
and the legend says so.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import folium
import geopandas as gpd
import numpy as np
import shapely
from branca.element import Element, Figure, MacroElement
from folium.template import Template

from gridsvc.errors import NotFoundError
from gridsvc.maps.chinese_font import font_css
from gridsvc.maps.compact_shapes import encode, origin_of
from gridsvc.maps.layer_list import layer, layer_definitions, layer_of_network
from gridsvc.maps.self_contained import render_offline

NETWORKS = ("urban", "social", "security", "unified")
# grids of all networks together that one page draws singly and stays quick and under 8 MB
MOST_GRIDS = 12_000
_TEMPLATES = Path(__file__).parent / "templates"
_SIMPLIFY_DEG = 5e-5  # about 5 m, at city scale only; shared borders stay shared
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


@dataclass(frozen=True, slots=True)
class WrittenMap:
    """A map file: its path, size, hash, the number of features by layer, and whether single grids were too many to draw."""

    path: str
    bytes: int
    sha256: str
    features: dict[str, int]
    aggregated: bool


class EncodedLayer(folium.map.Layer):
    """A folium layer drawn by ``templates/coverage.js`` from the data in the page."""

    _template = Template(
        "{% macro script(this, kwargs) %}var {{ this.get_name() }} = gridsvc.layer({{ this.layer_id|tojson }});{% endmacro %}"
    )

    def __init__(self, layer_id: str, name: str, *, show: bool) -> None:
        super().__init__(name=name, overlay=True, control=True, show=show)
        self._name = "EncodedLayer"
        self.layer_id = layer_id


class _ReadData(MacroElement):
    """Reads the data before the first layer is made."""

    _template = Template("{% macro script(this, kwargs) %}gridsvc.read();{% endmacro %}")


class _Start(MacroElement):
    """Starts tooltips, search, labels and scale when all layers are there."""

    _template = Template("{% macro script(this, kwargs) %}gridsvc.start({{ this._parent.get_name() }});{% endmacro %}")


def write_coverage_map(content: CoverageContent, out: Path) -> WrittenMap:
    """Write the coverage map of ``content`` to ``out``, whole or not at all.

    Raises
    ------
    NotFoundError
        When there is neither a division nor a grid to draw.
    GridsvcError
        When the page would load anything from outside itself.
    """
    page, features, aggregated = coverage_page(content)
    raw = page.encode("utf-8")
    half = out.with_name(f".{out.name}.{os.getpid()}.part")
    half.write_bytes(raw)
    half.replace(out)
    return WrittenMap(str(out), len(raw), hashlib.sha256(raw).hexdigest(), features, aggregated)


def coverage_page(content: CoverageContent) -> tuple[str, dict[str, int], bool]:
    """Return the page, the number of features by layer, and whether grids were aggregated."""
    aggregated = content.counts is not None or sum(content.totals().values()) > MOST_GRIDS
    bounds = _bounds(content)
    origin = origin_of(bounds)
    drawn = [*_basemap(content, origin, aggregated), *_activity(content, origin, aggregated)]
    drawn += [] if aggregated else _grid_layers(content, origin)
    drawn += _division_layers(content, origin, aggregated)
    drawn.sort(key=lambda entry: entry["order"])
    switch = _switch_order(drawn)
    boxes = _head(content) + _legend(content, drawn, aggregated) + _sources(content)
    boxes += '<div id="gs-panel" class="gs-box" hidden></div>'
    data = _page_data(content, drawn, switch, bounds, origin)
    made = _folium_map(bounds, drawn, switch)
    figure = made.get_root()
    assert isinstance(figure, Figure)
    figure.title = escape(f"{content.name_zh} 网格覆盖图")
    figure.html.add_child(Element("{% raw %}" + boxes + _script_data(data) + "{% endraw %}"), name="content")
    css = (_TEMPLATES / "coverage.css").read_text(encoding="utf-8")
    code = (_TEMPLATES / "coverage.js").read_text(encoding="utf-8")
    texts = boxes + json.dumps(data, ensure_ascii=False) + code
    page = render_offline(made, styles=[font_css(texts), css], scripts=[code])
    return (
        page.replace("<html>", '<html lang="zh-CN">', 1),
        {entry["id"]: entry["count"] for entry in drawn},
        aggregated,
    )


def _bounds(content: CoverageContent) -> tuple[float, float, float, float]:
    frames = [content.divisions, *content.grids.values()]
    corners = [frame.total_bounds for frame in frames if len(frame) and not frame.geometry.is_empty.all()]
    if not corners or np.isnan(corners).all():
        raise NotFoundError(
            f"There is nothing to draw for {content.code}: no division and no grid with a geometry at that instant.",
            hint="Import divisions and run gridsvc divide, or name another instant with --at.",
        )
    stacked = np.array(corners)
    low, high = np.nanmin(stacked[:, :2], axis=0), np.nanmax(stacked[:, 2:], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _entry(definition: Mapping[str, Any], count: int, **more: Any) -> dict[str, Any]:
    """Return a layer of the page: what its definition says, its number of features and its data."""
    kept = ("id", "group", "order", "min_zoom", "fill", "line", "label", "title_zh", "title_en", "shown")
    entry = {key: definition[key] for key in kept if key in definition}
    entry["shown"] = definition["shown"] and definition["id"] not in _off_at_first()
    return {**entry, "short": [definition["title_zh"].split("（")[0], definition["title_en"]], "count": count, **more}


def _off_at_first() -> list[str]:
    return layer_definitions()["files"]["coverage"]["off_at_first"]


def _shown(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the rows that can be drawn, by code."""
    drawable = frame[frame.geometry.notna() & ~frame.geometry.is_empty]
    return drawable.sort_values("code", kind="stable") if "code" in drawable else drawable


def _numbers(values: Any) -> list[int | None]:
    return [None if value != value or value is None else round(float(value)) for value in values]


def _texts(values: Any) -> list[str]:
    return ["" if value is None or value != value else str(value) for value in values]


def _grid_layers(content: CoverageContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    communities = content.divisions[content.divisions["level"] == "community"]
    names = dict(zip(communities["code"], communities["name"], strict=True))
    layers = []
    for network in NETWORKS:
        frame = _shown(content.grids[network]) if network in content.grids else None
        if frame is None or frame.empty:
            continue
        columns: dict[str, Any] = {
            "code": frame["code"].tolist(),
            "name": _texts(frame["name"]),
            "community": [names.get(code, code) for code in frame["community_code"]],
        }
        columns |= {key: _numbers(frame[key]) for key in ("households", "population", "area_m2") if key in frame}
        texts = [key for key, *_ in _FACTS if key == "worker" or key.startswith("answers_")]
        columns |= {key: _texts(frame[key]) for key in texts if key in frame}
        if network == "social" and content.reports:
            columns["reports"] = [int(content.reports.get(code, 0)) for code in frame["code"]]
        layers.append(
            _entry(layer_of_network(network), len(frame), shapes=encode(frame.geometry.to_numpy(), origin), **columns)
        )
    return layers


def _division_layers(content: CoverageContent, origin: tuple[int, int], aggregated: bool) -> list[dict[str, Any]]:
    layers = []
    for level, layer_id in zip(_LEVELS, ("communities", "street_offices", "districts"), strict=True):
        frame = _shown(content.divisions[content.divisions["level"] == level])
        if frame.empty:
            continue
        shapes = frame.geometry.to_numpy()
        middles = shapely.get_coordinates(shapely.point_on_surface(shapes))
        whole = np.rint(middles * 1e6).astype(int) - np.array(origin)
        columns: dict[str, Any] = {
            "code": frame["code"].tolist(),
            "name": _texts(frame["name"]),
            "label_at": whole.tolist(),
        }
        if aggregated:
            shapes = _simplified(shapes)
            columns |= _counts_by_division(content, columns["code"]) if level != "district" else {}
        entry = _entry(layer(layer_id), len(frame), shapes=encode(shapes, origin), **columns)
        if level == "street":
            # where the names of communities begin, those of their street offices would lie among them
            entry["label"] = {**entry["label"], "below_zoom": layer("communities")["label"]["min_zoom"]}
        layers.append(entry)
    return layers


def _simplified(shapes: np.ndarray) -> np.ndarray:
    if not shapely.coverage_is_valid(shapes):
        return shapes  # simplifying one by one would tear shared borders apart
    return shapely.coverage_simplify(shapes, _SIMPLIFY_DEG)


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
        frame = _shown(content.divisions[content.divisions["level"] == "community"])
        numbers = _counts_by_division(content, frame["code"].tolist()).get("reports", []) if len(frame) else []
        shapes = _simplified(frame.geometry.to_numpy())
    else:
        frame = _shown(content.grids["social"]) if "social" in content.grids else content.divisions.iloc[:0]
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
    return [_entry(definition, len(frame), shapes=encode(shapes, origin), classes=classes, class_of=class_of.tolist())]


def _basemap(content: CoverageContent, origin: tuple[int, int], aggregated: bool) -> list[dict[str, Any]]:
    layers = []
    if content.water is not None and len(content.water):
        frame = _shown(content.water)
        layers.append(_entry(layer("water"), len(frame), shapes=encode(frame.geometry.to_numpy(), origin)))
    if content.streets is not None and len(content.streets):
        frame = _shown(content.streets)
        definition = layer("streets")
        groups = []
        # at city scale only what is seen from afar
        classes = definition["classes"]["values"][: 2 if aggregated else None]
        # widest last, so that main roads lie on top
        for entry in reversed(classes):
            chosen = frame[frame["street_class"].isin(entry["values"])]
            if len(chosen):
                groups.append(
                    {
                        **{key: entry[key] for key in ("color", "width", "min_zoom")},
                        "shapes": [" ".join(filter(None, encode(chosen.geometry.to_numpy(), origin)))],
                    }
                )
        layers.append(_entry(definition, len(frame), lines=groups))
    return layers


def _switch_order(drawn: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the layers as the switch lists them: by group, topmost first inside a group."""
    groups = [group["id"] for group in layer_definitions()["groups"]]
    return sorted(drawn, key=lambda entry: (groups.index(entry["group"]), -entry["order"]))


def _folium_map(
    bounds: Sequence[float], drawn: Sequence[dict[str, Any]], switch: Sequence[dict[str, Any]]
) -> folium.Map:
    middle = [(bounds[1] + bounds[3]) / 2.0, (bounds[0] + bounds[2]) / 2.0]
    made = folium.Map(
        location=middle,
        zoom_start=13,
        tiles=None,
        prefer_canvas=True,
        zoom_control="topleft",
        max_zoom=19,
        zoom_snap=0.1,
    )
    made.add_child(_ReadData())
    for entry in switch:
        made.add_child(EncodedLayer(entry["id"], entry["title_zh"], show=entry["shown"]))
    made.add_child(folium.LayerControl(position="topright", collapsed=False))
    made.add_child(_Start())
    return made


def _page_data(
    content: CoverageContent,
    drawn: Sequence[dict[str, Any]],
    switch: Sequence[dict[str, Any]],
    bounds: Sequence[float],
    origin: tuple[int, int],
) -> dict[str, Any]:
    headings = {group["id"]: [group["title_zh"], group["title_en"]] for group in layer_definitions()["groups"]}
    order = []
    for entry in switch:
        titles = [entry["title_zh"], entry["title_en"]]
        order.append({"id": entry["id"], "title": titles, "heading": headings.pop(entry["group"], None)})
    unseen = ("group", "order", "title_zh", "title_en", "shown")
    return {
        "code": content.code,
        "bounds": [[bounds[1], bounds[0]], [bounds[3], bounds[2]]],
        "origin": list(origin),
        "attribution": _attribution(content),
        "highlight": layer_definitions()["highlight"],
        "facts": [list(fact) for fact in _FACTS],
        "order": order,
        "layers": [{key: value for key, value in entry.items() if key not in unseen} for entry in drawn],
    }


def _script_data(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f'<script type="application/json" id="gridsvc-data">{text.replace("<", chr(92) + "u003c")}</script>'


def _head(content: CoverageContent) -> str:
    at = content.at.astimezone(ZoneInfo(content.timezone))
    counts, totals = "", content.totals()
    for network in reversed(NETWORKS):
        definition = layer_of_network(network)
        if network in totals:
            counts += (
                f'<li style="border-color:{definition["line"]["color"]}"><b>{totals[network]:,}</b>'
                f"{_both(definition['title_zh'].split('（')[0], definition['title_en'])}</li>"
            )
    return (
        '<section id="gs-head" class="gs-box">'
        f"<h1>{_both(f'{content.name_zh} 网格覆盖图', f'{content.name_zh} grid coverage')}</h1>"
        f"<p>{escape(content.code)} · {at:%Y-%m-%d %H:%M} {_both('有效', 'in force')}</p>"
        '<button id="gs-language" type="button" aria-label="语言 Language">' + _both("English", "中文") + "</button>"
        f'<ul id="gs-counts">{counts}</ul>'
        '<input id="gs-search" type="search" autocomplete="off" spellcheck="false"'
        ' placeholder="网格编码或社区名称 · grid code or name" aria-label="搜索网格编码 Search by grid code">'
        '<ul id="gs-found" hidden></ul></section>'
    )


def _legend(content: CoverageContent, drawn: Sequence[dict[str, Any]], aggregated: bool) -> str:
    rows = ""
    for group in layer_definitions()["groups"]:
        here = [entry for entry in _switch_order(drawn) if entry["group"] == group["id"]]
        if here:
            rows += f"<h2>{_both(group['title_zh'], group['title_en'])}</h2>"
        for entry in here:
            rows += _legend_rows(entry)
    note = ""
    if aggregated:
        total = sum(content.totals().values())
        zh = f"网格共 {total:,} 个，超过 {MOST_GRIDS:,} 个，本图按社区、街道汇总显示；单个网格请分区出图。"
        en = f"{total:,} grids: shown summed by community and street office; write one map per district to see single grids."
        note = f'<p class="gs-note">{_both(zh, en)}</p>'
    return (
        f'<details id="gs-legend" class="gs-box" open><summary>{_both("图例", "Legend")}</summary>'
        f'<div class="gs-rows">{note}{rows}</div></details>'
    )


def _sources(content: CoverageContent) -> str:
    """Return the list that the attribution opens: every source with its licence; nothing where none is stated."""
    if not content.sources:
        return ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in content.sources)
    return f'<section id="gs-sources" class="gs-box" hidden><h2>{_both("数据来源", "Sources")}</h2><ul>{lines}</ul></section>'


def _attribution(content: CoverageContent) -> str:
    """Return one short line: the credit OpenStreetMap asks to be in sight, and a button for all the rest."""
    parts = []
    if any("openstreetmap" in line.lower() for line in content.sources):
        parts.append(_both("© OpenStreetMap 贡献者，ODbL 1.0", "© OpenStreetMap contributors, ODbL 1.0"))
    if content.sources:
        parts.append(f'<button id="gs-sources-switch" type="button">{_both("来源", "Sources")}</button>')
    return " | ".join(parts)


def _both(zh: str, en: str) -> str:
    """Return a text in both languages; ``coverage.css`` shows one of them."""
    return f'<span lang="zh">{escape(zh)}</span><span lang="en">{escape(en)}</span>'


def _legend_rows(entry: Mapping[str, Any]) -> str:
    if entry["id"] == "streets":
        values = layer("streets")["classes"]["values"]
        drawn = {group["color"] for group in entry["lines"]}
        return "".join(
            _legend_row(
                _line_swatch({"color": value["color"], "width": value["width"]}), value["title_zh"], value["title_en"]
            )
            for value in values
            if value["color"] in drawn
        )
    if "classes" in entry:
        steps = "".join(
            f'<span><i style="background:{c["color"]}"></i>{escape(c["title"])}</span>' for c in entry["classes"]
        )
        title = _both(f"{entry['title_zh']}（件/格）", f"{entry['title_en']} (reports per grid)")
        return f'<div class="gs-row">{title}</div><div class="gs-steps">{steps}</div>'
    fill = entry.get("fill", {})
    swatch = (
        _line_swatch(entry["line"]) if fill.get("opacity", 0) < 0.5 else _fill_swatch(fill["color"], fill["opacity"])
    )
    return _legend_row(swatch, entry["title_zh"], entry["title_en"], entry["count"])


def _legend_row(swatch: str, title_zh: str, title_en: str, count: int | None = None) -> str:
    number = f'<span class="gs-count">{count:,}</span>' if count is not None else ""
    return f'<div class="gs-row">{swatch}{_both(title_zh, title_en)}{number}</div>'


def _line_swatch(line: Mapping[str, Any]) -> str:
    dash = f' stroke-dasharray="{" ".join(map(str, line["dash"]))}"' if "dash" in line else ""
    middle = line["width"][len(line["width"]) // 2][1]
    return (
        f'<svg width="30" height="12" aria-hidden="true"><line x1="1" y1="6" x2="29" y2="6" stroke="{line["color"]}"'
        f' stroke-width="{max(1.0, min(middle, 6.0)):g}" stroke-opacity="{line.get("opacity", 1):g}"{dash}/></svg>'
    )


def _fill_swatch(color: str, opacity: float) -> str:
    return f'<svg width="30" height="12" aria-hidden="true"><rect x="1" y="1" width="28" height="10" fill="{color}" fill-opacity="{opacity:g}"/></svg>'
