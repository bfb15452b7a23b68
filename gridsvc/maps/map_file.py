"""What all map files share: folium layers drawn from compact data in the page, and the page written whole or not at all.

``templates/map_file.js`` draws, ``templates/map_file.css`` styles; a map adds its own boxes, and a script where it needs one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import folium
import geopandas as gpd
import numpy as np
import shapely
from branca.element import Element, Figure, MacroElement
from folium.template import Template

from gridsvc.errors import NotFoundError
from gridsvc.maps.chinese_font import font_css
from gridsvc.maps.compact_shapes import encode
from gridsvc.maps.layer_list import layer, layer_definitions
from gridsvc.maps.self_contained import render_offline

Bounds = tuple[float, float, float, float]
_TEMPLATES = Path(__file__).parent / "templates"
_SIMPLIFY_DEG = 5e-5  # about 5 m, at city scale only; shared borders stay shared


@dataclass(frozen=True, slots=True)
class WrittenMap:
    """A map file: its path, size, hash, the number of features by layer, and whether single grids were too many to draw."""

    path: str
    bytes: int
    sha256: str
    features: dict[str, int]
    aggregated: bool


class EncodedLayer(folium.map.Layer):
    """A folium layer drawn by ``templates/map_file.js`` from the data in the page."""

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


def bounds_of(frames: Sequence[gpd.GeoDataFrame], what: str) -> Bounds:
    """Return min_lon, min_lat, max_lon, max_lat of all frames (EPSG:4490).

    Raises
    ------
    NotFoundError
        When nothing can be drawn for ``what``.
    """
    corners = [frame.total_bounds for frame in frames if len(frame) and not frame.geometry.is_empty.all()]
    if not corners or np.isnan(corners).all():
        raise NotFoundError(
            f"There is nothing to draw for {what}: no division and no grid with a geometry at that instant.",
            hint="Import divisions and run gridsvc divide, or name another instant with --at.",
        )
    stacked = np.array(corners)
    low, high = np.nanmin(stacked[:, :2], axis=0), np.nanmax(stacked[:, 2:], axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def assemble(
    title: str,
    boxes: str,
    drawn: Sequence[dict[str, Any]],
    groups: Sequence[Mapping[str, str]],
    bounds: Bounds,
    *,
    data: Mapping[str, Any],
    style: str | None = None,
    script: str | Sequence[str] = (),
) -> str:
    """Return the page of a map.

    Parameters
    ----------
    title
        Of the page, in Chinese.
    boxes
        HTML of the boxes over the map, class ``gs-box``; those that begin hidden say so.
    drawn
        Layers as `entry` makes them, bottom first.
    groups
        Headings of the layer switch, in order.
    data
        What the scripts read besides: code, origin, attribution, facts.
    style, script
        Names of templates that come behind those every map has; there may be several scripts.
    """
    switch = switch_order(drawn, groups)
    whole = {
        "bounds": [[bounds[1], bounds[0]], [bounds[3], bounds[2]]],
        "highlight": layer_definitions()["highlight"],
        **data,
        **_layer_data(drawn, switch, groups),
    }
    made = _folium_map(bounds, switch)
    figure = made.get_root()
    assert isinstance(figure, Figure)
    figure.title = escape(title)
    figure.html.add_child(Element("{% raw %}" + boxes + _script_data(whole) + "{% endraw %}"), name="content")
    css = "".join(_template(name) for name in ("map_file.css", style) if name)
    scripts = [_template(name) for name in ("map_file.js", *([script] if isinstance(script, str) else script))]
    texts_used = boxes + json.dumps(whole, ensure_ascii=False) + "".join(scripts)
    page = render_offline(made, styles=[font_css(texts_used), css], scripts=scripts)
    return page.replace("<html>", '<html lang="zh-CN">', 1)


def _template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _layer_data(
    drawn: Sequence[dict[str, Any]], switch: Sequence[dict[str, Any]], groups: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    headings = {group["id"]: [group["title_zh"], group["title_en"]] for group in groups}
    order = []
    for item in switch:
        titles = [item["title_zh"], item["title_en"]]
        order.append({"id": item["id"], "title": titles, "heading": headings.pop(item["group"], None)})
    unseen = ("group", "order", "title_zh", "title_en", "shown", "measure", "courses")
    return {"order": order, "layers": [{k: v for k, v in item.items() if k not in unseen} for item in drawn]}


def write_page(page: str, features: dict[str, int], aggregated: bool, out: Path) -> WrittenMap:
    """Write a page to ``out``, whole or not at all."""
    raw = page.encode("utf-8")
    half = out.with_name(f".{out.name}.{os.getpid()}.part")
    half.write_bytes(raw)
    half.replace(out)
    return WrittenMap(str(out), len(raw), hashlib.sha256(raw).hexdigest(), features, aggregated)


def entry(definition: Mapping[str, Any], count: int, *, shown: bool | None = None, **more: Any) -> dict[str, Any]:
    """Return a layer of the page: what its definition says, its number of features and its data.

    ``shown`` says whether it is on at first; by default as its definition says.
    """
    kept = (
        "id",
        "group",
        "order",
        "min_zoom",
        "fill",
        "line",
        "circle",
        "dot",
        "label",
        "title_zh",
        "title_en",
        "shown",
    )
    made = {key: definition[key] for key in kept if key in definition}
    made["shown"] = definition["shown"] if shown is None else shown
    return {**made, "short": [definition["title_zh"].split("（")[0], definition["title_en"]], "count": count, **more}


def drawable(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the rows that can be drawn, by code."""
    kept = frame[frame.geometry.notna() & ~frame.geometry.is_empty]
    return kept.sort_values("code", kind="stable") if "code" in kept else kept


def numbers(values: Any) -> list[int | None]:
    """Return whole numbers, None where missing."""
    return [None if value != value or value is None else round(float(value)) for value in values]


def texts(values: Any) -> list[str]:
    """Return texts, "" where missing."""
    return ["" if value is None or value != value else str(value) for value in values]


def simplified(shapes: np.ndarray) -> np.ndarray:
    """Return a coverage simplified together; as it is where it is no coverage."""
    if not shapely.coverage_is_valid(shapes):
        return shapes  # simplifying one by one would tear shared borders apart
    return shapely.coverage_simplify(shapes, _SIMPLIFY_DEG)


def basemap(
    streets: gpd.GeoDataFrame | None, water: gpd.GeoDataFrame | None, origin: tuple[int, int], *, main_only: bool
) -> list[dict[str, Any]]:
    """Return the layers water and streets; with ``main_only`` only the streets seen from afar."""
    layers = []
    if water is not None and len(water):
        frame = drawable(water)
        layers.append(entry(layer("water"), len(frame), shapes=encode(frame.geometry.to_numpy(), origin)))
    if streets is not None and len(streets):
        frame = drawable(streets)
        definition = layer("streets")
        groups = []
        classes = definition["classes"]["values"][: 2 if main_only else None]
        # widest last, so that main roads lie on top
        for value in reversed(classes):
            chosen = frame[frame["street_class"].isin(value["values"])]
            if len(chosen):
                groups.append(
                    {
                        **{key: value[key] for key in ("color", "width", "min_zoom")},
                        "shapes": [" ".join(filter(None, encode(chosen.geometry.to_numpy(), origin)))],
                    }
                )
        layers.append(entry(definition, len(frame), lines=groups))
    return layers


def switch_order(drawn: Sequence[dict[str, Any]], groups: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the layers as the switch lists them: by group, topmost first inside a group."""
    names = [group["id"] for group in groups]
    return sorted(drawn, key=lambda made: (names.index(made["group"]), -made["order"]))


def _folium_map(bounds: Sequence[float], switch: Sequence[dict[str, Any]]) -> folium.Map:
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
    for item in switch:
        made.add_child(EncodedLayer(item["id"], item["title_zh"], show=item["shown"]))
    made.add_child(folium.LayerControl(position="topright", collapsed=False))
    made.add_child(_Start())
    return made


def _script_data(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f'<script type="application/json" id="gridsvc-data">{text.replace("<", chr(92) + "u003c")}</script>'
