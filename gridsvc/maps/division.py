"""The division map: grids with what their borders follow, households, problem places, the quality report; in one file.

Drawn as the coverage map is, opens without any network. Above `MOST_GRIDS` grids (a city) communities are drawn in place of grids,
and the legend says so. Colours and titles: ``maps/division.json`` and ``maps/layers.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

from gridsvc.division.quality_figures import GridRow, QualityReport
from gridsvc.division.quality_problems import Problem
from gridsvc.maps.compact_shapes import encode, origin_of
from gridsvc.maps.division_panel import panel, problem_titles
from gridsvc.maps.layer_list import layer, layer_of_network
from gridsvc.maps.map_file import (
    WrittenMap,
    assemble,
    basemap,
    bounds_of,
    drawable,
    entry,
    simplified,
    switch_order,
    texts,
    write_page,
)
from gridsvc.maps.map_legend import attribution, both, head_box, legend_box, legend_rows, sources_box
from gridsvc.resources import content_dir

# grids of both kinds together that one page draws singly and stays quick
MOST_GRIDS = 20_000
MOST_BUILDINGS = 60_000
MOST_PROBLEMS = 500
_NETWORKS = {"governance": "social", "unit": "urban"}
# column, then title and unit in Chinese and in English
_FACTS = (
    ("households", "户数", " 户", "Households", ""),
    ("population", "人口", " 人", "Population", ""),
    ("buildings", "建筑", " 栋", "Buildings", ""),
    ("area_m2", "面积", " m²", "Area", " m²"),
    ("target_m2", "目标面积", " m²", "Target area", " m²"),
    ("compactness", "紧凑度", "", "Compactness", ""),
    ("street", "边界沿道路", "", "Border along streets", ""),
    ("wall", "边界沿围墙", "", "Border along walls", ""),
    ("water", "边界沿水系", "", "Border along water", ""),
    ("none", "边界无依托", "", "Border along nothing", ""),
    ("cut", "切割建筑", " 栋", "Buildings cut", ""),
    ("kept", "保持原网格户数", " 户", "Households that keep their grid", ""),
    ("change", "变化", "", "Change", ""),
    ("community", "社区", "", "Community", ""),
    ("grids", "治理网格", " 个", "Governance grids", ""),
    ("in_bounds", "户数达标", "", "Households in bounds", ""),
    ("problems", "问题", " 处", "Problem places", ""),
)


@dataclass(frozen=True, slots=True)
class DivisionContent:
    """What a division map shows, as frames in EPSG:4490.

    Attributes
    ----------
    name_zh, code, at
        The division, and the instant whose grids are meant.
    redraw
        Id of the redraw shown; "" for what is in force.
    divisions
        code, name, level (district, street, community), geometry.
    grids
        By kind (``governance``, ``unit``), in the order of the rows of its report.
    reports
        By kind.
    borders
        By kind, then by what they follow: lines. Inner borders only.
    problems
        Problem places with their geometry in EPSG:4490, gravest first.
    bounds
        Households wanted per governance grid.
    before, reports_before
        By kind, what a redraw replaces; empty without one.
    buildings, streets, water
        Basemap. None leaves it out.
    sources
        Where the data come from, one line each.
    """

    name_zh: str
    code: str
    at: datetime
    divisions: gpd.GeoDataFrame
    grids: Mapping[str, gpd.GeoDataFrame]
    reports: Mapping[str, QualityReport]
    borders: Mapping[str, Mapping[str, np.ndarray]]
    problems: Sequence[tuple[Problem, shapely.Geometry]]
    bounds: tuple[int, int] = (300, 500)
    redraw: str = ""
    before: Mapping[str, gpd.GeoDataFrame] = field(default_factory=dict)
    reports_before: Mapping[str, QualityReport] = field(default_factory=dict)
    buildings: gpd.GeoDataFrame | None = None
    streets: gpd.GeoDataFrame | None = None
    water: gpd.GeoDataFrame | None = None
    sources: Sequence[str] = ()
    timezone: str = "Asia/Shanghai"


@cache
def division_definitions() -> dict[str, Any]:
    """Return the parsed ``maps/division.json``. Do not change it."""
    return json.loads((content_dir("maps") / "division.json").read_text(encoding="utf-8"))


def write_division_map(content: DivisionContent, out: Path) -> WrittenMap:
    """Write the division map of ``content`` to ``out``, whole or not at all.

    Raises
    ------
    NotFoundError
        When there is nothing to draw.
    GridsvcError
        When the page would load anything from outside itself.
    """
    return write_page(*division_page(content), out)


def division_page(content: DivisionContent) -> tuple[str, dict[str, int], bool]:
    """Return the page, the number of features by layer, and whether grids were aggregated."""
    aggregated = sum(report.grids for report in content.reports.values()) > MOST_GRIDS
    bounds = bounds_of([content.divisions, *content.grids.values()], content.code)
    origin = origin_of(bounds)
    drawn = basemap(content.streets, content.water, origin, main_only=aggregated)
    drawn += _communities(content, origin) if aggregated else _grids(content, origin)
    drawn += _divisions(content, origin, aggregated)
    listed = content.problems[:MOST_PROBLEMS]
    drawn += _problem_points(listed, origin)
    drawn.sort(key=lambda made: made["order"])
    groups = division_definitions()["groups"]
    total = sum(len(report.problems) for report in content.reports.values())
    courses = division_definitions()["courses"]["values"]
    boxes = _head(content) + _legend(drawn, groups, aggregated, content) + sources_box(content.sources)
    boxes += panel(content.reports, content.reports_before, courses, content.bounds, (total, len(listed)))
    boxes += '<div id="gs-panel" class="gs-box" hidden></div>'
    data = {
        "code": content.code,
        "origin": list(origin),
        "attribution": attribution(content.sources),
        "facts": [list(fact) for fact in _FACTS],
        "tip_facts": ["households", "area_m2", "compactness", "in_bounds"],
        "left_room": 445,
        "right_room": 285,
        "problems": _problem_list(listed, origin),
        "problem_titles": problem_titles(),
        "problem_colors": {kind: look["color"] for look in _looks() for kind in look["kinds"]},
    }
    page = assemble(
        f"{content.name_zh} 网格划分质量图",
        boxes,
        drawn,
        groups,
        bounds,
        data=data,
        style="division.css",
        script="division.js",
    )
    return page, {made["id"]: made["count"] for made in drawn}, aggregated


def _definition(layer_id: str) -> dict[str, Any]:
    return next(item for item in division_definitions()["layers"] if item["id"] == layer_id)


def _looks() -> list[dict[str, Any]]:
    found = division_definitions()["problems"]
    return [found["grave"], found["light"]]


def _class(look: Mapping[str, Any], more: str = "") -> dict[str, str]:
    """Return a class of a fill as the page takes it; its title is in both languages."""
    return {"color": look["color"], "title_zh": f"{look['title_zh']}{more}", "title_en": f"{look['title_en']}{more}"}


def _grids(content: DivisionContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the layers of single grids: households, borders, unit grids, what changes, buildings."""
    names = dict(zip(content.divisions["code"], content.divisions["name"], strict=True))
    layers = _buildings(content, origin)
    for kind, frame in content.grids.items():
        report = content.reports[kind]
        changes = _changes(frame, content.before[kind]) if kind in content.before else None
        columns = _columns(frame, report.rows, names, changes)
        shown = np.argsort(frame["code"].to_numpy(dtype=object), kind="stable")
        shapes = encode(frame.geometry.to_numpy()[shown], origin)
        columns = {key: [values[i] for i in shown] for key, values in columns.items()}
        if kind == "governance":
            layers.append(_households(shapes, columns, content.bounds))
            layers.append(_borders("division_borders", content.borders[kind], origin))
        else:
            definition = {**layer_of_network("urban"), "title_zh": "单元网格", "title_en": "Unit grids"}
            layers.append(entry(definition, len(frame), shapes=shapes, **columns))
            layers.append(_borders("division_unit_borders", content.borders[kind], origin))
        if kind == "governance" and changes is not None:
            layers += _comparison(content, changes, names, origin)
    return layers


def _columns(
    frame: gpd.GeoDataFrame, rows: Sequence[GridRow], names: Mapping[str, str], changes: np.ndarray | None
) -> dict[str, Any]:
    """Return what is said of each grid, in the order of the frame."""
    borders = np.array([list(row.border_m.values()) for row in rows])
    whole = borders.sum(axis=1)
    columns: dict[str, Any] = {
        "code": [row.code for row in rows],
        "name": texts(frame["name"]) if "name" in frame else [""] * len(rows),
        "community": [names.get(row.community_code, row.community_code) for row in rows],
        "households": [row.households for row in rows],
        "population": [row.population for row in rows],
        "buildings": [row.buildings for row in rows],
        "area_m2": [round(row.area_m2) for row in rows],
        "compactness": [f"{row.compactness:.2f}" for row in rows],
        "cut": [row.buildings_cut or None for row in rows],
    }
    if any(row.target_m2 is not None for row in rows):
        columns["target_m2"] = [None if row.target_m2 is None else round(row.target_m2) for row in rows]
    for k, kind in enumerate(rows[0].border_m if rows else ()):
        columns[kind] = [f"{m / t:.0%}" if t and m else "" for m, t in zip(borders[:, k], whole, strict=True)]
    if changes is not None:
        words = {"new": "新增 new", "reshaped": "边界有变 reshaped", "same": ""}
        columns["change"] = [words[change] for change in changes]
        columns["kept"] = [row.households_kept for row in rows]
    return columns


def _households(shapes: list[str], columns: Mapping[str, Any], bounds: tuple[int, int]) -> dict[str, Any]:
    low, high = bounds
    look = division_definitions()["households"]
    classes = [
        _class(look["below"], f" <{low}"),
        _class(look["within"], f" {low}–{high}"),
        _class(look["above"], f" >{high}"),
    ]
    class_of = [0 if n < low else 1 if n <= high else 2 for n in columns["households"]]
    return entry(
        _definition("division_households"), len(shapes), shapes=shapes, classes=classes, class_of=class_of,
        measure=("户/格", "households per grid"), **columns,
    ) | {"short": ["治理网格", "Governance grid"]}  # fmt: skip


def _borders(layer_id: str, borders: Mapping[str, np.ndarray], origin: tuple[int, int]) -> dict[str, Any]:
    """Return inner borders as lines coloured by what they follow."""
    courses = division_definitions()["courses"]
    groups, legend = [], []
    thin = layer_id == "division_unit_borders"
    width = [[zoom, w * 0.6] for zoom, w in courses["width"]] if thin else courses["width"]
    for course in courses["values"]:
        lines = borders.get(course["kind"], np.empty(0, dtype=object))
        line = {"color": course["color"], "width": width, "dash": course.get("dash")}
        legend.append({"title": (course["title_zh"], course["title_en"])} | {k: v for k, v in line.items() if v})
        if len(lines):
            groups.append({**line, "min_zoom": _definition(layer_id)["min_zoom"], "shapes": encode(lines, origin)})
    count = sum(len(group["shapes"]) for group in groups)
    return entry(_definition(layer_id), count, lines=groups, courses=[] if thin else legend)


def _buildings(content: DivisionContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    if content.buildings is None or not 0 < len(content.buildings) <= MOST_BUILDINGS:
        return []
    frame = drawable(content.buildings)
    definition = {**layer("residences"), "min_zoom": 14}
    return [entry(definition, len(frame), shapes=encode(frame.geometry.to_numpy(), origin))]


def _changes(frame: gpd.GeoDataFrame, before: gpd.GeoDataFrame) -> np.ndarray:
    """Return for each grid ``same``, ``reshaped`` or ``new`` against those before, by code."""
    old = dict(zip(before["code"], before.geometry.to_numpy(), strict=True))
    found = []
    for code, shape in zip(frame["code"], frame.geometry.to_numpy(), strict=True):
        was = old.get(code)
        found.append("new" if was is None else "same" if shapely.equals(was, shape) else "reshaped")
    return np.array(found, dtype=object)


def _comparison(
    content: DivisionContent, changes: np.ndarray, names: Mapping[str, str], origin: tuple[int, int]
) -> list[dict[str, Any]]:
    """Return the governance grids before as outlines, and the changed ones filled."""
    looks = division_definitions()["changes"]
    order = [kind for kind in looks if (changes == kind).any()]
    changed = np.flatnonzero(changes != "same")
    shapes = content.grids["governance"].geometry.to_numpy()[changed]
    layers = []
    if len(changed):
        layers.append(
            entry(
                _definition("grids_changed"), len(changed), shapes=encode(shapes, origin),
                classes=[_class(looks[kind]) for kind in order],
                class_of=[order.index(kind) for kind in changes[changed]], measure=("对比现行", "against those in force"),
            )
        )  # fmt: skip
    before = drawable(content.before["governance"])
    report = content.reports_before["governance"]
    rows = {row.code: row for row in report.rows}
    columns = {
        "code": before["code"].tolist(),
        "name": texts(before["name"]) if "name" in before else [""] * len(before),
        "community": [names.get(code, code) for code in before["community_code"]],
        "households": [rows[code].households for code in before["code"]],
        "area_m2": [round(rows[code].area_m2) for code in before["code"]],
    }
    shapes = encode(before.geometry.to_numpy(), origin)
    return [*layers, entry(_definition("grids_before"), len(before), shapes=shapes, **columns)]


def _communities(content: DivisionContent, origin: tuple[int, int]) -> list[dict[str, Any]]:
    """Return, for a city, communities coloured by the share of their governance grids within the household bounds."""
    frame = drawable(content.divisions[content.divisions["level"] == "community"])
    facts = _by_community(content)
    shares = np.array([facts.get(code, {}).get("share", np.nan) for code in frame["code"]], dtype=float)
    look = division_definitions()["communities"]
    known = np.flatnonzero(~np.isnan(shares))
    edges = ["0", *(f"{b:.0%}" for b in look["breaks"])]
    edges[-1] = "100%"
    titles = [f"{a}–{b}" for a, b in pairwise(edges)] + ["100%"]
    classes = [{"color": c, "title_zh": t, "title_en": t} for c, t in zip(look["colors"], titles, strict=True)]
    columns: dict[str, Any] = {
        "code": frame["code"].iloc[known].tolist(),
        "name": texts(frame["name"].iloc[known]),
        "in_bounds": [f"{share:.0%}" for share in shares[known]],
    }
    for key in ("grids", "households", "problems"):
        columns[key] = [facts[code][key] for code in columns["code"]]
    shapes = encode(simplified(frame.geometry.to_numpy())[known], origin)
    class_of = np.searchsorted(look["breaks"], shares[known], side="right").tolist()
    made = entry(
        _definition("division_communities"), len(known), shapes=shapes, classes=classes, class_of=class_of,
        measure=("治理网格户数达标率", "share of governance grids in bounds"), **columns,
    )  # fmt: skip
    return [made | {"short": ["社区", "Community"]}]


def _by_community(content: DivisionContent) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in content.reports["governance"].rows if "governance" in content.reports else ():
        here = found.setdefault(row.community_code, {"grids": 0, "households": 0, "good": 0, "problems": 0})
        here["grids"] += 1
        here["households"] += row.households
        here["good"] += bool(row.in_bounds)
    for here in found.values():
        here["share"] = here["good"] / here["grids"]
    for report in content.reports.values():
        for problem in report.problems:
            if problem.community_code in found:
                found[problem.community_code]["problems"] += 1
    return found


def _divisions(content: DivisionContent, origin: tuple[int, int], aggregated: bool) -> list[dict[str, Any]]:
    layers = []
    for level, layer_id in (("community", "communities"), ("street", "street_offices"), ("district", "districts")):
        frame = drawable(content.divisions[content.divisions["level"] == level])
        if frame.empty:
            continue
        shapes = frame.geometry.to_numpy()
        middles = shapely.get_coordinates(shapely.point_on_surface(shapes))
        at = (np.rint(middles * 1e6).astype(int) - np.array(origin)).tolist()
        shapes = simplified(shapes) if aggregated else shapes
        columns: dict[str, Any] = {"code": frame["code"].tolist(), "name": texts(frame["name"]), "label_at": at}
        made = entry(layer(layer_id), len(frame), shapes=encode(shapes, origin), **columns)
        if level == "street":
            made["label"] = {**made["label"], "below_zoom": layer("communities")["label"]["min_zoom"]}
        layers.append(made)
    return layers


def _whole(points: np.ndarray, origin: tuple[int, int]) -> list[list[int]]:
    return (np.rint(shapely.get_coordinates(points) * 1e6).astype(int) - np.array(origin)).tolist()


def _middles(problems: Sequence[tuple[Problem, shapely.Geometry]]) -> np.ndarray:
    return shapely.point_on_surface(np.array([place for _, place in problems], dtype=object))


def _with_place(problems: Sequence[tuple[Problem, shapely.Geometry]]) -> list[tuple[Problem, shapely.Geometry]]:
    return [(problem, place) for problem, place in problems if not place.is_empty]


def _problem_points(
    problems: Sequence[tuple[Problem, shapely.Geometry]], origin: tuple[int, int]
) -> list[dict[str, Any]]:
    placed = _with_place(problems)
    if not placed:
        return []
    looks = _looks()
    class_of = [next(i for i, look in enumerate(looks) if problem.kind in look["kinds"]) for problem, _ in placed]
    return [
        entry(
            _definition("division_problems"), len(placed), points=_whole(_middles(placed), origin),
            classes=[_class(look) for look in looks], class_of=class_of, measure=("处", "places"),
        )
    ]  # fmt: skip


def _problem_list(
    problems: Sequence[tuple[Problem, shapely.Geometry]], origin: tuple[int, int]
) -> list[dict[str, Any]]:
    shapes = encode(np.array([place for _, place in problems], dtype=object), origin) if problems else []
    return [
        {
            "kind": problem.kind,
            "grids": list(problem.grids),
            "zh": problem.sentence_zh,
            "en": problem.sentence,
            "shape": shape,
        }
        for (problem, _), shape in zip(problems, shapes, strict=True)
    ]


def _head(content: DivisionContent) -> str:
    at = content.at.astimezone(ZoneInfo(content.timezone))
    counts = []
    for kind, report in content.reports.items():
        definition = layer_of_network(_NETWORKS[kind])
        title = definition["title_zh"].split("（")[0]
        counts.append((definition["line"]["color"], report.grids, title, definition["title_en"]))
    communities = next(iter(content.reports.values())).communities
    counts.append((layer("communities")["line"]["color"], communities, "社区", "Communities"))
    state = (
        both(f"草案 {content.redraw[:8]}", f"draft {content.redraw[:8]}")
        if content.redraw
        else both("现行", "in force")
    )
    titles = (f"{content.name_zh} 网格划分质量图", f"{content.name_zh} grid division")
    return head_box(titles, f"{escape(content.code)} · {at:%Y-%m-%d %H:%M} · {state}", counts)


def _legend(
    drawn: Sequence[dict[str, Any]], groups: Sequence[Mapping[str, str]], aggregated: bool, content: DivisionContent
) -> str:
    rows = ""
    for group in groups:
        here = [made for made in switch_order(drawn, groups) if made["group"] == group["id"]]
        lines = "".join(_legend_of(made) for made in here)
        if lines:
            rows += f"<h2>{both(group['title_zh'], group['title_en'])}</h2>{lines}"
    note = ""
    if aggregated:
        total = sum(report.grids for report in content.reports.values())
        zh = f"网格共 {total:,} 个，超过 {MOST_GRIDS:,} 个，本图按社区汇总显示；单个网格请分区出图。"
        en = f"{total:,} grids: shown summed by community; write one map per district to see single grids."
        note = both(zh, en)
    return legend_box(rows, note)


def _legend_of(made: Mapping[str, Any]) -> str:
    return "" if made["id"] == "division_unit_borders" else legend_rows(made)
