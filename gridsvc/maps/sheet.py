"""A sheet to print: the grids of a division at a true scale on A3, with legend, north arrow, scale bar, date and sources.

Drawn by matplotlib from the content of the coverage map, in the metric projection of the place, in the colours of ``maps/layers.json``. PNG, SVG and PDF by
the ending of the file; the same content gives the same bytes.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import geopandas as gpd
import matplotlib as mpl
import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Polygon, Rectangle
from matplotlib.path import Path as DrawnPath
from matplotlib.patheffects import withStroke

from gridsvc.errors import FileUnreadableError, NotFoundError, RequestInvalidError
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.maps.chinese_font import font_file
from gridsvc.maps.coverage import NETWORKS, CoverageContent
from gridsvc.maps.layer_list import layer, layer_of_network

FORMATS = (".pdf", ".png", ".svg")
# A3 and the parts of it. Unit: mm
_LONG, _SHORT = 420.0, 297.0
_MARGIN, _HEAD, _LEGEND, _FOOT = 12.0, 22.0, 78.0, 16.0
_DPI = 200
_MM = 1 / 25.4
# scales are 1 to one of these times a power of ten
_STEPS = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 10.0)
# above so many, names would cover the map
_MOST_NAMES = 80
_INK, _MUTED = "#22313f", "#5b6772"
# from below: dashes last, where borders coincide they let what is beneath be seen
_NETWORK_ORDER = ("unified", "urban", "social", "security")
_DRAWN_AT_ZOOM = 14.0
_LINE_POINTS = 0.6
_DIVISIONS = (("community", "communities"), ("street", "street_offices"), ("district", "districts"))


@dataclass(frozen=True, slots=True)
class WrittenSheet:
    """What was written: the file, its size, the scale (1 : ``scale``), whether it lies on its side, and how many grids of each network."""

    out: Path
    bytes: int
    scale: int
    is_landscape: bool
    grids: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Page:
    """The sheet in mm: its size, the frame of the map (left, bottom, width, height), and where its middle is in metres."""

    width: float
    height: float
    frame: tuple[float, float, float, float]
    scale: int
    middle: tuple[float, float]

    def extent_m(self) -> tuple[float, float, float, float]:
        """Return west, east, south, north of the frame. Unit: m."""
        half_x, half_y = (side / 2000 * self.scale for side in self.frame[2:])
        return self.middle[0] - half_x, self.middle[0] + half_x, self.middle[1] - half_y, self.middle[1] + half_y


def write_sheet_map(content: CoverageContent, out: Path, *, networks: Sequence[str] = ()) -> WrittenSheet:
    """Draw a division's nets on A3 and write the file.

    Parameters
    ----------
    content
        As for the coverage map, with single grids.
    out
        ``.pdf``, ``.png`` (200 dots an inch) or ``.svg``.
    networks
        Which nets; default all that have grids.

    Raises
    ------
    RequestInvalidError
        When the ending is none of these, or there is no such network.
    NotFoundError
        When there is nothing to draw, or it is too much for single grids.
    FileUnreadableError
        When the file cannot be written.
    """
    if out.suffix.lower() not in FORMATS:
        raise RequestInvalidError(f"{out.name} is neither PDF, PNG nor SVG.", hint=f"End it in {', '.join(FORMATS)}.")
    unknown = sorted(set(networks) - set(NETWORKS))
    if unknown:
        raise RequestInvalidError(f"There is no network {unknown[0]!r}.", hint=f"Networks: {', '.join(NETWORKS)}.")
    wanted = [one for one in _NETWORK_ORDER if one in (networks or NETWORKS) and len(content.grids.get(one, ()))]
    if not wanted:
        what = "has too many grids for one sheet" if content.counts is not None else "has no grids to draw"
        raise NotFoundError(
            f"{content.name_zh} {what}.", hint="Draw one district, street office or community with grids."
        )
    zone = zone_of(content.grids[wanted[0]].geometry.to_numpy())
    grids = {one: to_metric(content.grids[one].geometry.to_numpy(), zone) for one in wanted}
    page = _page_for(shapely.total_bounds(np.concatenate(list(grids.values()))))
    with tempfile.TemporaryDirectory(prefix="gridsvc-sheet-") as folder, mpl.rc_context(_settings()):
        texts = _texts(content, wanted, page, zone)
        font = FontProperties(fname=str(font_file("".join(texts.values()) + _names_of(content), Path(folder))))
        figure = Figure(figsize=(page.width * _MM, page.height * _MM), dpi=_DPI)
        _draw_map(figure, page, content, grids, zone, font)
        _draw_around(figure, page, content, wanted, texts, font)
        drawn = BytesIO()
        figure.savefig(drawn, format=out.suffix.lower()[1:], metadata=_undated(out))
    try:
        out.write_bytes(drawn.getvalue())
    except OSError as wrong:
        raise FileUnreadableError(
            f"{out} cannot be written: {wrong.strerror}.", hint="Check the folder.", path=str(out)
        ) from wrong
    landscape = page.width > page.height
    return WrittenSheet(out, out.stat().st_size, page.scale, landscape, {one: len(grids[one]) for one in wanted})


def _settings() -> Any:
    # outlines in SVG need no font on the reader's machine; a fixed salt gives the same identities each time
    return {
        "svg.fonttype": "path",
        "svg.hashsalt": "gridsvc",
        "pdf.fonttype": 42,
        "path.simplify": False,
        "agg.path.chunksize": 0,
    }


def _undated(out: Path) -> dict[str, None]:
    """Return the metadata that leaves out when and with what the file was made."""
    return {
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
    }[out.suffix.lower()]  # fmt: skip


def _page_for(bounds: Sequence[float]) -> _Page:
    """Return the page on which the bounds are largest: upright or on its side, at the largest round scale that holds them."""
    west, south, east, north = (float(value) for value in bounds)
    middle = ((west + east) / 2, (south + north) / 2)
    pages = []
    for width, height in ((_LONG, _SHORT), (_SHORT, _LONG)):
        frame = (_MARGIN, _MARGIN + _FOOT, width - 2 * _MARGIN - _LEGEND, height - 2 * _MARGIN - _HEAD - _FOOT)
        # a twentieth of the frame stays free around
        needed = max((east - west) / frame[2], (north - south) / frame[3]) * 1000 / 0.95
        pages.append(_Page(width, height, frame, _round_scale(needed), middle))
    return min(pages, key=lambda page: page.scale)


def _round_scale(needed: float) -> int:
    """Return the smallest round number of at least ``needed``."""
    power = 10.0 ** math.floor(math.log10(max(needed, 1.0)))
    return round(next(step * power for step in _STEPS if step * power >= needed * (1 - 1e-9)))


def _style(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return colour, width (points) and dashes of a layer's line as on the map at a middling zoom."""
    line = definition["line"]
    stops = np.array(line["width"], dtype=float)
    width = float(np.interp(_DRAWN_AT_ZOOM, stops[:, 0], stops[:, 1])) * _LINE_POINTS
    return {
        "color": line["color"],
        "width": max(width, 0.3),
        "dash": line.get("dash"),
        "alpha": line.get("opacity", 1.0),
    }


def _lines(axes: Axes, shapes: np.ndarray, style: Mapping[str, Any], order: float) -> None:
    """Draw lines, or the outlines of polygons."""
    outlines = np.where(shapely.get_dimensions(shapes) == 2, shapely.boundary(shapes), shapes)
    parts = shapely.get_parts(outlines)
    vertices, of = shapely.get_coordinates(parts, return_index=True)
    segments = np.split(vertices, np.flatnonzero(np.diff(of)) + 1) if len(vertices) else []
    dashes = (0, [value * style["width"] for value in style["dash"]]) if style["dash"] else "solid"
    axes.add_collection(
        LineCollection(
            segments, colors=style["color"], linewidths=style["width"], linestyles=[dashes], alpha=style["alpha"],
            zorder=order, capstyle="butt", joinstyle="round",
        )
    )  # fmt: skip


def _fills(axes: Axes, shapes: np.ndarray, color: Any, alpha: float, order: float) -> None:
    paths = [_path(shape) for shape in shapes]
    axes.add_collection(PathCollection(paths, facecolors=color, edgecolors="none", alpha=alpha, zorder=order))


def _path(shape: shapely.Geometry) -> DrawnPath:
    rings = [shapely.get_coordinates(ring) for ring in shapely.get_rings(shapely.get_parts(shapely.normalize(shape)))]
    codes = [DrawnPath.MOVETO, DrawnPath.LINETO, DrawnPath.CLOSEPOLY]
    kinds = [np.r_[codes[0], np.full(len(ring) - 2, codes[1]), codes[2]] for ring in rings]
    return DrawnPath(np.concatenate(rings), np.concatenate(kinds))


def _shapes(frame: gpd.GeoDataFrame | None, zone: int) -> np.ndarray:
    if frame is None or frame.empty:
        return np.empty(0, dtype=object)
    found = frame.geometry.to_numpy()
    return to_metric(found[~(shapely.is_missing(found) | shapely.is_empty(found))], zone)


def _draw_map(
    figure: Figure,
    page: _Page,
    content: CoverageContent,
    grids: Mapping[str, np.ndarray],
    zone: int,
    font: FontProperties,
) -> None:
    left, bottom, width, height = page.frame
    axes = figure.add_axes((left / page.width, bottom / page.height, width / page.width, height / page.height))
    west, east, south, north = page.extent_m()
    axes.set(xlim=(west, east), ylim=(south, north), xticks=[], yticks=[])
    axes.set_facecolor("#fbfaf7")
    for spine in axes.spines.values():
        spine.set(color=_INK, linewidth=0.9)
    water = _shapes(content.water, zone)
    _fills(axes, water[shapely.get_dimensions(water) == 2], layer("water")["fill"]["color"], 1.0, 1)
    _lines(axes, _shapes(content.streets, zone), _style(layer("streets")), 2)
    for order, (network, shapes) in enumerate(grids.items(), 3):
        definition = layer_of_network(network)
        if network == "unified":
            _fills(axes, shapes, definition["fill"]["color"], 0.08, order)
        _lines(axes, shapes, _style(definition), order)
    for order, (level, name) in enumerate(_DIVISIONS, 10):
        drawn = content.divisions[content.divisions["level"] == level]
        _lines(axes, _shapes(drawn, zone), _style(layer(name)), order)
    for name, place in _named_places(content, zone):
        axes.annotate(
            name, place, ha="center", va="center", fontproperties=font, fontsize=7.5, color=_INK, zorder=20,
            path_effects=[withStroke(linewidth=2.2, foreground="white")], annotation_clip=True,
        )  # fmt: skip


def _named(content: CoverageContent) -> gpd.GeoDataFrame:
    """Return the smallest divisions there are not too many of to be named."""
    for level, _ in _DIVISIONS:
        found = content.divisions[content.divisions["level"] == level]
        if 0 < len(found) <= _MOST_NAMES:
            return found[found.geometry.notna()]
    return content.divisions.iloc[:0]


def _names_of(content: CoverageContent) -> str:
    return "".join(_named(content)["name"])


def _named_places(content: CoverageContent, zone: int) -> list[tuple[str, tuple[float, float]]]:
    found = _named(content)
    inside = shapely.get_coordinates(shapely.point_on_surface(to_metric(found.geometry.to_numpy(), zone)))
    return [(name, (x, y)) for name, (x, y) in zip(found["name"], inside.tolist(), strict=True)]


def _texts(content: CoverageContent, networks: Sequence[str], page: _Page, zone: int) -> dict[str, str]:
    """Return every text of the sheet but the names of divisions, for the font to be cut to."""
    date = content.at.astimezone(ZoneInfo(content.timezone)).strftime("%Y-%m-%d %H:%M")
    drawn = "、".join(layer_of_network(one)["title_zh"].split("（")[0] for one in networks)
    found = {
        "title": f"{content.name_zh}网格图",
        "subtitle": f"{drawn} · Grids of {content.code or 'all divisions'}",
        "legend": "图例 Legend",
        "scale": f"比例尺 Scale  1 : {page.scale:,}",
        "date": f"网格状态 Grids as of  {date}（{content.timezone}）",
        "projection": f"CGCS2000 高斯-克吕格投影 Gauss-Kruger, EPSG:{zone}",
        "sources": "来源 Sources: " + ("；".join(content.sources) or "—"),
        "north": "北 N",
    }
    for one in networks:
        definition = layer_of_network(one)
        found[one] = f"{definition['title_zh']} {definition['title_en']}（{len(content.grids[one]):,}）"
    for name in ("communities", "street_offices", "districts", "streets", "water"):
        found[name] = f"{layer(name)['title_zh']} {layer(name)['title_en']}"
    return found


def _draw_around(
    figure: Figure,
    page: _Page,
    content: CoverageContent,
    networks: Sequence[str],
    texts: Mapping[str, str],
    font: FontProperties,
) -> None:
    """Draw all beside the map on axes in millimetres of the page."""
    axes = figure.add_axes((0, 0, 1, 1), zorder=30)
    axes.set(xlim=(0, page.width), ylim=(0, page.height))
    axes.axis("off")

    def write(what: str, x: float, y: float, size: float, **more: Any) -> None:
        axes.text(x, y, texts[what], fontproperties=font, fontsize=size, **({"color": _INK} | more))

    top = page.height - _MARGIN
    write("title", _MARGIN, top - 9, 24)
    write("subtitle", _MARGIN, top - 17, 10, color=_MUTED)
    write("date", page.width - _MARGIN, top - 9, 9, ha="right")
    write("projection", page.width - _MARGIN, top - 15, 8, ha="right", color=_MUTED)
    write("sources", _MARGIN, _MARGIN + 2, 8, color=_MUTED)
    right = page.frame[0] + page.frame[2] + 6
    _draw_north(axes, right + 8, page.frame[1] + page.frame[3] - 20)
    write("north", right + 16, page.frame[1] + page.frame[3] - 12, 11)
    y = page.frame[1] + page.frame[3] - 38
    write("legend", right, y, 12)
    drawn = [level for level, name in _DIVISIONS if (content.divisions["level"] == level).any() and name]
    names = [name for level, name in _DIVISIONS if level in drawn]
    base = [
        name
        for name, frame in (("streets", content.streets), ("water", content.water))
        if frame is not None and len(frame)
    ]
    for what in (*networks, *names, *base):
        y -= 8
        definition = layer_of_network(what) if what in NETWORKS else layer(what)
        _draw_key(axes, definition, right, y, is_area=what in ("water", "unified"))
        write(what, right + 14, y, 8, va="center")
    write("scale", right, page.frame[1] + 14, 10)
    _draw_scale_bar(axes, page, right, page.frame[1] + 6, font)


def _draw_key(axes: Axes, definition: Mapping[str, Any], x: float, y: float, *, is_area: bool) -> None:
    style = _style(definition)
    if is_area:
        color, alpha = definition["fill"]["color"], max(definition["fill"]["opacity"], 0.2)
        axes.add_patch(Rectangle((x, y - 2), 11, 4, facecolor=color, alpha=alpha, edgecolor="none"))
    dashes = (0, [value * style["width"] for value in style["dash"]]) if style["dash"] else "solid"
    axes.plot([x, x + 11], [y, y], color=style["color"], linewidth=max(style["width"], 0.8), linestyle=dashes)


def _draw_north(axes: Axes, x: float, y: float) -> None:
    """Draw an arrow to the north of the grid of the projection, which is upwards."""
    axes.add_patch(
        Polygon([(x, y + 15), (x - 4, y), (x, y + 3.5)], closed=True, facecolor=_INK, edgecolor=_INK, linewidth=0.6)
    )
    axes.add_patch(
        Polygon([(x, y + 15), (x + 4, y), (x, y + 3.5)], closed=True, facecolor="white", edgecolor=_INK, linewidth=0.6)
    )


def _draw_scale_bar(axes: Axes, page: _Page, x: float, y: float, font: FontProperties) -> None:
    """Draw a bar of four parts, as long as the longest round number of metres that is at most 50 mm on this sheet."""
    most_m = 50 / 1000 * page.scale
    power = 10.0 ** math.floor(math.log10(most_m))
    whole_m = max(step * power for step in (1.0, 2.0, 4.0, 5.0) if step * power <= most_m)
    part = whole_m / page.scale * 1000 / 4
    for i in range(4):
        color = _INK if i % 2 == 0 else "white"
        axes.add_patch(Rectangle((x + i * part, y), part, 1.6, facecolor=color, edgecolor=_INK, linewidth=0.5))
    for share in (0, 2, 4):
        text = f"{whole_m * share / 4:,.10g}" + (" m" if share == 4 else "")
        axes.text(x + share * part, y - 4, text, fontproperties=font, fontsize=7, ha="center", color=_INK)
