"""The service-circle map: who reaches what on foot, and the gaps, of one stored run; in one file that needs no network.

A folium map whose layers draw from compact geometry in the page. Communities, residences and gaps are coloured by every required
kind, or by one that is chosen in the page. Above `MOST_RESIDENCES` residences (a city) single ones are no longer drawn; the legend
says so. Colours and titles: ``maps/circle.json`` and ``maps/layers.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import shapely

from gridsvc.maps.circle_doubts import doubt_lines
from gridsvc.maps.compact_shapes import ALPHABET, encode, origin_of
from gridsvc.maps.layer_list import layer
from gridsvc.maps.map_file import (
    WrittenMap,
    assemble,
    basemap,
    bounds_of,
    drawable,
    entry,
    simplified,
    texts,
    write_page,
)
from gridsvc.maps.map_legend import (
    attribution,
    both,
    fill_swatch,
    head_box,
    legend_box,
    legend_row,
    legend_rows,
    line_swatch,
    sources_box,
)
from gridsvc.resources import content_dir

# single residences that one page draws and stays quick and under 10 MB
MOST_RESIDENCES = 15_000
_OUT_OF_REACH = 63
# column, then title and unit in Chinese and in English
_FACTS = (
    ("population", "居民", " 人", "People", ""),
    ("households", "户数", " 户", "Households", ""),
    ("residences", "住宅", " 栋", "Residential buildings", ""),
    ("complete", "可达全部必备设施", "", "Reach every required kind", ""),
    ("compliance", "必备设施达标率", "", "Required kinds reached by 90 %", ""),
    ("verdict", "判定", "", "Verdict", ""),
    ("share", "可达所选设施", " %", "Reach the chosen kind", " %"),
    ("walk", "到所选设施", "", "To the chosen kind", ""),
    ("lacking", "缺少", "", "Lacking", ""),
)


@dataclass(frozen=True, slots=True)
class CircleKind:
    """A kind of facility in the list of the run, in the order of its columns."""

    code: str
    name_zh: str
    name_en: str
    minutes: float
    required: bool
    is_verified: bool


@dataclass(frozen=True, eq=False, slots=True)
class CircleContent:
    """What a service-circle map shows, as frames in EPSG:4490.

    Attributes
    ----------
    name_zh, code, ran_at
        The division, and the instant of the run.
    run
        What it was computed by, as ``services.circle_places.run_document`` tells.
    kinds
        The list it was judged by.
    divisions
        code, name, level (district, street, community), geometry.
    communities
        Rows as ``services.circle_places.place_rows`` makes them, by code; those without ground on the map are not drawn.
    total
        One such row of all residences.
    residences
        residence_code, name, households, population, geometry.
    times_s, is_lacking
        Seconds to the nearest facility, infinite out of reach, and whether it is not reached in its minutes. Shape: (residences, kinds).
    gaps
        kinds (columns, -1 for any required kind), population, households, residences, geometry; most people first.
    facilities
        kind_code, geometry (points).
    streets, water
        Basemap. None leaves it out.
    sources
        Where the data come from, one line each.
    timezone
        In which the instant is written.
    """

    name_zh: str
    code: str
    ran_at: datetime
    run: Mapping[str, Any]
    kinds: Sequence[CircleKind]
    divisions: gpd.GeoDataFrame
    communities: Sequence[Mapping[str, Any]]
    total: Mapping[str, Any] | None
    residences: gpd.GeoDataFrame
    times_s: np.ndarray
    is_lacking: np.ndarray
    gaps: gpd.GeoDataFrame
    facilities: gpd.GeoDataFrame
    streets: gpd.GeoDataFrame | None = None
    water: gpd.GeoDataFrame | None = None
    sources: Sequence[str] = ()
    timezone: str = "Asia/Shanghai"

    @property
    def required(self) -> np.ndarray:
        """Which kinds are required."""
        return np.array([kind.required for kind in self.kinds], dtype=bool)


@cache
def circle_definitions() -> dict[str, Any]:
    """Return the parsed ``maps/circle.json``. Do not change it."""
    return json.loads((content_dir("maps") / "circle.json").read_text(encoding="utf-8"))


def write_circle_map(content: CircleContent, out: Path) -> WrittenMap:
    """Write the service-circle map of ``content`` to ``out``, whole or not at all.

    Raises
    ------
    NotFoundError
        When there is neither a division nor a residence to draw.
    GridsvcError
        When the page would load anything from outside itself.
    """
    return write_page(*circle_page(content), out)


def circle_page(content: CircleContent) -> tuple[str, dict[str, int], bool]:
    """Return the page, the number of features by layer, and whether residences were too many to draw."""
    aggregated = len(content.residences) > MOST_RESIDENCES
    bounds = bounds_of([content.divisions, content.residences], content.code)
    origin = origin_of(bounds)
    drawn = basemap(content.streets, content.water, origin, main_only=aggregated)
    drawn += _communities(content, origin, aggregated) + _gaps(content, origin)
    drawn += [] if aggregated else _residences(content, origin)
    drawn += _facilities(content, origin) + _borders(content, origin)
    drawn.sort(key=lambda made: made["order"])
    boxes = _head(content) + _legend(content, drawn, aggregated) + sources_box(content.sources)
    boxes += '<div id="gs-panel" class="gs-box" hidden></div>'
    shown = {made["id"] for made in drawn}
    data = {
        "code": content.code,
        "origin": list(origin),
        "attribution": attribution(content.sources),
        "facts": [list(fact) for fact in _FACTS],
        "circle": {
            "kinds": [
                {"code": kind.code, "zh": kind.name_zh, "en": kind.name_en, "required": kind.required}
                for kind in content.kinds
            ],
            "breaks": [100.0 * edge for edge in circle_definitions()["communities"]["breaks"]],
            "shares": _shares(_drawn_communities(content)[1], content.kinds) if "circle_communities" in shown else [],
            "totals": _totals(content),
        },
    }
    page = assemble(
        f"{content.name_zh} 生活圈覆盖图",
        boxes,
        drawn,
        circle_definitions()["groups"],
        bounds,
        data=data,
        style="circle.css",
        script="circle.js",
    )
    return page, {made["id"]: made["count"] for made in drawn}, aggregated


def _definition(layer_id: str) -> dict[str, Any]:
    return next(item for item in circle_definitions()["layers"] if item["id"] == layer_id)


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"


def _shares(rows: Sequence[Mapping[str, Any]], kinds: Sequence[CircleKind]) -> list[list[float | None]]:
    """Return percent of the people of each row: first of every required kind, then of each kind."""

    def of(share: float | None) -> float | None:
        return None if share is None else round(100.0 * share, 1)

    by_kind = [[of(row["kinds"][kind.code]["population_share"]) for row in rows] for kind in kinds]
    return [[of(row["complete_share"]) for row in rows], *by_kind]


def _totals(content: CircleContent) -> list[str]:
    """Return the share of all people for every required kind, then for each kind, as text."""
    if content.total is None:
        return ["—"] * (len(content.kinds) + 1)
    shares = [content.total["complete_share"]]
    shares += [content.total["kinds"][kind.code]["population_share"] for kind in content.kinds]
    return [_percent(share) for share in shares]


def _drawn_communities(content: CircleContent) -> tuple[gpd.GeoDataFrame, list[Mapping[str, Any]]]:
    """Return the communities with ground and a row, and their rows, in one order."""
    rows = {row["place_code"]: row for row in content.communities}
    frame = drawable(content.divisions[content.divisions["level"] == "community"])
    frame = frame[frame["code"].isin(rows.keys())]
    return frame, [rows[code] for code in frame["code"]]


def _communities(content: CircleContent, origin: tuple[int, int], aggregated: bool) -> list[dict[str, Any]]:
    frame, rows = _drawn_communities(content)
    if frame.empty:
        return []
    look = circle_definitions()["communities"]
    edges = ["0", *(f"{edge:.0%}" for edge in look["breaks"]), "100%"]
    titles = [f"{low}–{high}" for low, high in pairwise(edges)]
    column_of = {kind.code: column for column, kind in enumerate(content.kinds)}
    shapes = frame.geometry.to_numpy()
    middles = shapely.get_coordinates(shapely.point_on_surface(shapes))
    verdicts = {True: ["达标", "qualified"], False: ["未达标", "not qualified"], None: ["不作判定", "not judged"]}
    drawn_as = layer("communities")
    made = entry(
        _definition("circle_communities") | {"line": drawn_as["line"], "label": drawn_as["label"]},
        len(frame),
        shapes=encode(simplified(shapes) if aggregated else shapes, origin),
        classes=[{"color": color, "title": title} for color, title in zip(look["colors"], titles, strict=True)],
        class_of=[_class_of(row["complete_share"], look["breaks"]) for row in rows],
        measure=("可达的居民", "people who reach them"),
        code=frame["code"].tolist(),
        name=texts(frame["name"]),
        label_at=_whole(middles, origin),
        population=[row["population"] for row in rows],
        households=[row["households"] for row in rows],
        residences=[row["residences"] for row in rows],
        complete=[_percent(row["complete_share"]) for row in rows],
        compliance=[_percent(row["compliance"]) for row in rows],
        verdict=[verdicts[row["is_qualified"]] for row in rows],
        lacks=[[column_of[kind] for kind in row["lacking"]] for row in rows],
    )
    return [made | {"short": ["社区", "Community"]}]


def _class_of(share: float | None, breaks: Sequence[float]) -> int:
    """Return the number of a share's class, -1 where nobody lives."""
    return -1 if share is None else int(np.searchsorted(breaks, share, "right"))


def _whole(xy: np.ndarray, origin: tuple[int, int]) -> list[list[int]]:
    return (np.rint(xy * 1e6).astype(int) - np.array(origin)).tolist()


def _residences(content: CircleContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    frame = content.residences
    if frame.empty:
        return []
    people = frame["population"].to_numpy()
    lacking = (content.is_lacking & content.required).sum(axis=1)
    needed = max(int(content.required.sum()), 1)
    class_of = np.where(people <= 0, 3, np.where(lacking == 0, 0, np.where(2 * lacking < needed, 1, 2)))
    made = entry(
        _definition("circle_residences"),
        len(frame),
        shapes=encode(frame.geometry.to_numpy(), origin),
        classes=circle_definitions()["residences"],
        class_of=class_of.tolist(),
        code=frame["residence_code"].tolist(),
        name=texts(frame["name"]),
        population=people.tolist(),
        households=frame["households"].tolist(),
        walks=_walks(content.times_s),
        lacks=_bits(content.is_lacking),
    )
    return [made]


def _walks(times_s: np.ndarray) -> list[str]:
    """Return a text per residence, a character per kind: whole minutes of the walk, rounded up, or out of reach."""
    minutes = np.where(np.isfinite(times_s), np.ceil(times_s / 60.0 - 1e-9), _OUT_OF_REACH)
    letters = np.array(list(ALPHABET))[np.clip(minutes, 0, _OUT_OF_REACH).astype(int)]
    return ["".join(row) for row in letters]


def _bits(is_lacking: np.ndarray) -> list[str]:
    """Return a text of hexadecimal digits per residence, four kinds a digit, the first kind lowest."""
    rows, kinds = is_lacking.shape
    padded = np.zeros((rows, -(-max(kinds, 1) // 4) * 4), dtype=int)
    padded[:, :kinds] = is_lacking
    digits = padded.reshape(rows, -1, 4) @ np.array([1, 2, 4, 8])
    return ["".join(f"{digit:x}" for digit in row) for row in digits]


def _gaps(content: CircleContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    frame = content.gaps
    if frame.empty:
        return []
    made = entry(
        _definition("circle_gaps"),
        int(sum(-1 in kinds for kinds in frame["kinds"])),
        shapes=encode(frame.geometry.to_numpy(), origin),
        code=[str(number) for number in range(1, len(frame) + 1)],
        kinds=[[kind + 1 for kind in kinds] for kinds in frame["kinds"]],
        population=frame["population"].tolist(),
        households=frame["households"].tolist(),
        residences=frame["residences"].tolist(),
    )
    return [made]


def _facilities(content: CircleContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    frame = content.facilities
    if frame.empty:
        return []
    column_of = {kind.code: column for column, kind in enumerate(content.kinds)}
    definition = _definition("circle_facilities")
    made = entry(
        definition,
        len(frame),
        points=_whole(shapely.get_coordinates(frame.geometry.to_numpy()), origin),
        classes=[{"color": definition["fill"]["color"]}],
        class_of=[0] * len(frame),
        kind=[column_of[code] for code in frame["kind_code"]],
    )
    return [made]


def _borders(content: CircleContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the borders of street offices and districts with their names."""
    layers = []
    for level, layer_id in (("street", "street_offices"), ("district", "districts")):
        frame = drawable(content.divisions[content.divisions["level"] == level])
        if frame.empty:
            continue
        shapes = frame.geometry.to_numpy()
        middles = shapely.get_coordinates(shapely.point_on_surface(shapes))
        made = entry(
            layer(layer_id),
            len(frame),
            shapes=encode(simplified(shapes), origin),
            code=frame["code"].tolist(),
            name=texts(frame["name"]),
            label_at=_whole(middles, origin),
        )
        if level == "street":
            made["label"] = {**made["label"], "below_zoom": layer("communities")["label"]["min_zoom"]}
        layers.append(made)
    return layers


def _head(content: CircleContent) -> str:
    run, at = content.run, content.ran_at.astimezone(ZoneInfo(content.timezone))
    judged = [
        row["is_qualified"] for row in content.communities if row["place_code"] and row["is_qualified"] is not None
    ]
    total = content.total or {"population": 0}
    counts = [
        ("#4b5563", total["population"], "居民", "people"),
        ("#2f8f6b", _totals(content)[0], "居民可达全部必备设施", "reach every required kind"),
        ("#1d4ed8", f"{sum(judged)}/{len(judged)}", "达标社区", "qualified communities"),
    ]
    name = both(run["standard_name"], run["standard_name_en"] or run["standard_name"])
    line = f"{escape(content.code)} · {at:%Y-%m-%d} · {name} · {run['speed_m_s']:g} m/s"
    needed = int(content.required.sum())
    options = f'<option value="0">全部 {needed} 类必备设施 · all {needed} required kinds</option>' + "".join(
        f'<option value="{number}">{escape(kind.name_zh)} {escape(kind.name_en)} · {kind.minutes:g} min{"" if kind.required else " （非必备 not required）"}</option>'
        for number, kind in enumerate(content.kinds, start=1)
    )
    return head_box(
        (f"{content.name_zh} 生活圈覆盖图", f"{content.name_zh} service circle"),
        line,
        counts,
        control=f'<select id="gs-kind" aria-label="设施类别 Kind of facility">{options}</select>',
        searched=("社区或住宅的编码、名称", "code or name"),
    )


def _legend(content: CircleContent, drawn: Sequence[dict[str, Any]], aggregated: bool) -> str:
    by_id = {made["id"]: made for made in drawn}
    rows = ""
    for group in circle_definitions()["groups"]:
        here = [made for made in reversed(drawn) if made["group"] == group["id"]]
        if here:
            rows += f"<h2>{both(group['title_zh'], group['title_en'])}</h2>"
        rows += "".join(_legend_rows(made) for made in here)
    return legend_box(rows + _doubts(content), "<br>".join(_notes(content, by_id, aggregated)))


def _legend_rows(made: dict[str, Any]) -> str:
    if made["id"] == "circle_residences":
        return "".join(
            _counted(
                f"residences-{number}",
                legend_row(fill_swatch(c["color"], 0.8), c["title_zh"], c["title_en"], made["class_of"].count(number)),
            )
            for number, c in enumerate(made["classes"])
        )
    if made["id"] == "circle_gaps":
        swatch = fill_swatch(made["line"]["color"], 0.3)
        return _counted("gaps", legend_row(swatch, made["title_zh"], made["title_en"], made["count"]))
    if made["id"] == "circle_facilities":
        look = made["classes"][0]["color"]
        dot = f'<svg width="30" height="12" aria-hidden="true"><circle cx="15" cy="6" r="4" fill="{look}"/></svg>'
        title = ("服务设施（选定类别后显示）", "Facilities (of the kind chosen)")
        return _counted("facilities", legend_row(dot, *title, made["count"]))
    if made["group"] == "divisions":
        return legend_row(line_swatch(made["line"]), made["title_zh"], made["title_en"], made["count"])
    return legend_rows(made)


def _counted(name: str, row: str) -> str:
    """Return a line of the legend whose number ``circle.js`` keeps to what is shown."""
    return f'<div data-count="{name}">{row}</div>'


def _notes(content: CircleContent, by_id: Mapping[str, Any], aggregated: bool) -> list[str]:
    """Return what a reader must know before the colours mean anything."""
    notes = []
    if content.residences.empty:
        notes.append(both("该区划内没有测算过的住宅。", "No residence here was computed."))
    elif aggregated:
        count = f"{len(content.residences):,}"
        zh = f"住宅共 {count} 栋，超过 {MOST_RESIDENCES:,} 栋，只按社区显示；单栋住宅与缺口请分区出图。"
        en = f"{count} residences: shown by community only; write one map per district to see each, and the gaps."
        notes.append(both(zh, en))
    elif "circle_gaps" not in by_id:
        notes.append(both("没有缺口：有居民的住宅均可达。", "No gaps: every residence with people reaches them."))
    missing = set(content.run["doubts"].get("kinds_without_facilities", ()))
    lacking = [kind for kind in content.kinds if kind.code in missing]
    if lacking:
        zh = f"{len(lacking)} 类设施全域无数据（可能是数据缺失）：{'、'.join(kind.name_zh for kind in lacking[:5])}"
        en = f"{len(lacking)} kinds without any facility (data may be missing): {', '.join(kind.name_en for kind in lacking[:5])}"
        notes.append(both(zh + (" 等" if len(lacking) > 5 else ""), en + (" …" if len(lacking) > 5 else "")))
    unread = sum(not kind.is_verified for kind in content.kinds)
    if unread:
        zh = f"所用清单 {len(content.kinds)} 类设施中有 {unread} 类未经核实。"
        notes.append(both(zh, f"{unread} of the {len(content.kinds)} kinds were not checked against their source."))
    return notes


def _doubts(content: CircleContent) -> str:
    lines = [line for line in doubt_lines(content.run["doubts"]) if line[2]]
    if not lines:
        return ""
    items = "".join(f"<li>{both(zh, en)} <b>{number:,}</b></li>" for zh, en, number in lines)
    where = both(
        f"存疑数据（整次测算 {content.run['division_code']}）",
        f"Doubtful input (whole run {content.run['division_code']})",
    )
    return f"<details><summary>{where}</summary><ul>{items}</ul></details>"
