"""The life-circle certificate of one community: one self-contained page, Chinese first, that prints on paper.

It is a computed result, not an official rating, and says so; kinds that were not read in the source of the standard are marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from gridsvc.maps.chinese_font import FAMILY, font_css
from gridsvc.maps.circle_doubts import doubt_lines

_CSS = Path(__file__).parent / "templates" / "life_circle_certificate.css"
_WIDTH = 640.0  # of the drawing, in its own units
_MARGIN = 12.0
_GOOD, _PART, _BAD, _NOBODY = "#2f8f5b", "#e0a526", "#c8452f", "#c9ced6"


@dataclass(frozen=True, slots=True)
class KindLine:
    """One kind on the certificate; shares are of the people of the community, None where nobody lives."""

    code: str
    name_zh: str
    name_en: str
    group: str
    minutes: float
    required: bool
    is_verified: bool
    population_share: float | None
    people_without: int
    median_walk_s: float | None
    mean_counts: tuple[float | None, ...]


@dataclass(frozen=True, eq=False, slots=True)
class CertificateContent:
    """All a certificate shows.

    Attributes
    ----------
    run
        What the run was computed by, as ``services.circle_places.run_document`` tells.
    boundary, grounds, facilities
        To draw; in metres. ``lacking`` is the number of required kinds each residence lacks, -1 where nobody lives.
    """

    code: str
    name: str
    above: str
    ran_on: str
    facilities_on: str
    population: int
    households: int
    residences: int
    complete_share: float | None
    compliance: float | None
    is_qualified: bool | None
    kinds: tuple[KindLine, ...]
    run: Mapping[str, Any]
    boundary: Any
    grounds: np.ndarray
    lacking: np.ndarray
    facilities: np.ndarray


def certificate_page(content: CertificateContent) -> str:
    """Return the page of a certificate; the same content gives the same bytes, and nothing is loaded from elsewhere."""
    body = "\n".join(
        (
            _head(content),
            _warning(content),
            _figures(content),
            _drawing(content),
            _table(content),
            _doubts(content),
            _basis(content),
        )
    )
    title = f"{escape(content.name)} 生活圈测算证书"
    css = f":root{{--face:'{FAMILY}'}}\n{_CSS.read_text(encoding='utf-8')}"
    return (
        '<!doctype html>\n<html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{font_css(body + title)}</style><style>{css}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def _both(zh: str, en: str) -> str:
    return f'{escape(zh)} <span class="en">{escape(en)}</span>'


def _percent(share: float | None) -> str:
    return "—" if share is None else f"{share:.1%}"


def _head(content: CertificateContent) -> str:
    word = {True: ("达标", "Qualified"), False: ("未达标", "Not qualified"), None: ("不作判定", "Not judged")}
    seal = {True: "good", False: "bad", None: "none"}[content.is_qualified]
    zh, en = word[content.is_qualified]
    return (
        f'<header><div><p class="above">{escape(content.above)}</p><h1>{escape(content.name)}</h1>'
        f'<p class="what">{_both("生活圈测算证书", "Life-circle certificate")}</p>'
        f'<p class="code">{escape(content.code)} · {escape(content.ran_on)}</p></div>'
        f'<div class="seal {seal}"><b>{zh}</b><span>{en}</span></div></header>'
    )


def _warning(content: CertificateContent) -> str:
    """Return a line above the figures where kinds of the list were not read in their source; else nothing."""
    unread = sum(not kind.is_verified for kind in content.kinds)
    if not unread:
        return ""
    return (
        '<p class="warning">'
        + _both(
            f"所用清单 {len(content.kinds)} 类设施中有 {unread} 类未经核实，请以标准原文或本区清单为准。",
            f"{unread} of the {len(content.kinds)} kinds of this list were not checked against their source.",
        )
        + "</p>"
    )


def _figures(content: CertificateContent) -> str:
    boxes = (
        (_percent(content.complete_share), "可步行到达全部必备设施的居民", "of the people reach every required kind"),
        (_percent(content.compliance), "必备设施达标率", "required kinds reached by 90 % of the people"),
        (f"{content.population:,}", "居民", "people"),
        (f"{content.households:,}", "户", "households"),
        (f"{content.residences:,}", "住宅楼", "residential buildings"),
    )
    shown = "".join(
        f'<div><b>{value}</b><span>{escape(zh)}<i class="en">{escape(en)}</i></span></div>' for value, zh, en in boxes
    )
    return f'<section class="figures">{shown}</section>'


def _drawing(content: CertificateContent) -> str:
    west, south, east, north = shapely.union_all([content.boundary, *content.grounds]).bounds
    scale = (_WIDTH - 2 * _MARGIN) / max(east - west, north - south, 1.0)
    width, height = (east - west) * scale + 2 * _MARGIN, (north - south) * scale + 2 * _MARGIN

    def path(shape: Any) -> str:
        rings = []
        for ring in shapely.get_rings(shapely.get_parts([shape])):
            xy = shapely.get_coordinates(ring)[:-1]
            points = zip((xy[:, 0] - west) * scale + _MARGIN, (north - xy[:, 1]) * scale + _MARGIN, strict=True)
            rings.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "Z")
        return "".join(rings)

    needed = max(sum(kind.required for kind in content.kinds), 1)
    homes = "".join(
        f'<path d="{path(ground)}" fill="{_colour(int(lacks), needed)}"/>'
        for ground, lacks in zip(content.grounds, content.lacking, strict=True)
    )
    inside = content.facilities[shapely.intersects(content.facilities, shapely.box(west, south, east, north))]
    xy = shapely.get_coordinates(inside)
    dots = "".join(
        f'<circle cx="{(x - west) * scale + _MARGIN:.1f}" cy="{(north - y) * scale + _MARGIN:.1f}" r="3.5"/>'
        for x, y in xy
    )
    legend = (
        "".join(
            f'<li><i style="background:{colour}"></i>{_both(zh, en)}</li>'
            for colour, zh, en in (
                (_GOOD, "必备设施齐全", "reaches every required kind"),
                (_PART, "缺少不到一半", "lacks fewer than half"),
                (_BAD, "缺少一半及以上", "lacks half or more"),
                (_NOBODY, "无居民", "nobody lives there"),
            )
        )
        + f'<li><i class="dot"></i>{_both("设施", "facility")}</li>'
    )
    bar = _scale_bar(scale, height)
    return (
        f'<section class="map"><svg viewBox="0 0 {width:.0f} {height + 22:.0f}" role="img" aria-label="{escape(content.name)}">'
        f'<path class="border" d="{path(content.boundary)}"/><g class="homes">{homes}</g><g class="places">{dots}</g>{bar}</svg>'
        f"<ul>{legend}</ul></section>"
    )


def _colour(lacks: int, needed: int) -> str:
    if lacks <= 0:
        return _GOOD if lacks == 0 else _NOBODY
    return _PART if 2 * lacks < needed else _BAD


def _scale_bar(scale: float, height: float) -> str:
    length_m = next((m for m in (1000, 500, 200, 100, 50, 20) if m * scale <= _WIDTH / 3), 10)
    end = _MARGIN + length_m * scale
    return (
        f'<path class="bar" d="M{_MARGIN:.1f} {height + 4:.1f}v5H{end:.1f}v-5"/>'
        f'<text x="{end + 6:.1f}" y="{height + 10:.1f}">{length_m} m</text>'
    )


def _table(content: CertificateContent) -> str:
    limits = content.run["count_minutes"]
    heads = [
        _both("设施", "Facility"),
        _both("步行", "Walk"),
        _both("覆盖居民", "People covered"),
        _both("未覆盖人数", "People without"),
        _both("最近步行（中位）", "Nearest, median"),
        *[_both(f"{minutes} 分钟内个数", f"within {minutes} min") for minutes in limits],
    ]
    rows = "".join(_kind_row(kind) for kind in content.kinds)
    return (
        f"<section><h2>{_both('各类设施', 'By kind of facility')}</h2><table><thead><tr>"
        + "".join(f"<th>{head}</th>" for head in heads)
        + f"</tr></thead><tbody>{rows}</tbody></table><p class='note'>"
        + _both(
            "＊ 必备；未核实：未在标准原文中核对", "* required; 未核实: not checked against the text of the standard"
        )
        + "</p></section>"
    )


def _kind_row(kind: KindLine) -> str:
    group = f'<span class="group">{escape(kind.group)}</span> ' if kind.group else ""
    star = "\N{NO-BREAK SPACE}＊" if kind.required else ""
    mark = "" if kind.is_verified else ' <span class="unverified">未核实</span>'
    share = kind.population_share or 0.0
    good = "good" if share >= 0.9 else "bad" if kind.required else "part"
    median = "—" if kind.median_walk_s is None else f"{kind.median_walk_s / 60:.1f} min"
    counts = "".join(f"<td>{'—' if mean is None else f'{mean:.1f}'}</td>" for mean in kind.mean_counts)
    return (
        f"<tr><th>{group}{escape(kind.name_zh)}{star}{mark}<span class='en'>{escape(kind.name_en)}</span></th>"
        f"<td>{kind.minutes:g} min</td>"
        f'<td class="share"><i class="{good}" style="width:{share:.1%}"></i><b>{_percent(kind.population_share)}</b></td>'
        f"<td>{kind.people_without:,}</td><td>{median}</td>{counts}</tr>"
    )


def _doubts(content: CertificateContent) -> str:
    doubts = content.run["doubts"]
    lines = [f"<li>{_both(zh, en)} <b>{number:,}</b></li>" for zh, en, number in doubt_lines(doubts)]
    lacking = [kind.name_zh for kind in content.kinds if kind.code in set(doubts.get("kinds_without_facilities", ()))]
    if lacking:
        lines.append(
            f"<li>{_both('全域无任何数据的设施类别（可能是数据缺失）', 'Kinds without any facility (data may be missing)')}"
            f" <b>{escape('、'.join(lacking))}</b></li>"
        )
    where = _both(f"整次测算（{content.run['division_code']}）", f"of the whole run ({content.run['division_code']})")
    return (
        f"<section><h2>{_both('存疑数据', 'Doubtful input')}</h2><p class='note'>{where}</p>"
        f"<ul class='doubts'>{''.join(lines)}</ul></section>"
    )


def _basis(content: CertificateContent) -> str:
    run = content.run
    verified = ("已核对", "checked against its source") if run["standard_verified"] else ("未核实", "not verified")
    rows: Sequence[tuple[str, str, str]] = (
        ("标准", "Standard", f"{run['standard_name']} {run['standard_name_en']}"),
        ("来源", "Source", f"{run['standard_source']}（{verified[0]} {verified[1]}）"),
        ("步行速度", "Walking speed", f"{run['speed_m_s']:g} m/s"),
        ("路网", "Walking network", str(run["network_sha256"])[:16]),
        ("设施数据日期", "Newest facility", content.facilities_on or "—"),
        ("测算编号", "Run", f"{run['circle_run_id']} · {content.ran_on}"),
    )
    listed = "".join(f"<dt>{_both(zh, en)}</dt><dd>{escape(value)}</dd>" for zh, en, value in rows)
    rule = _both(
        "达标：九成及以上居民可在规定时间内步行到达每一类必备设施（本平台的设定，非国家标准）。测算结果，非官方评定。",
        "Qualified: at least 90 % of the people walk to every required kind in its minutes (our rule, of no standard). "
        "A computed result, not an official rating.",
    )
    return f"<section><h2>{_both('测算依据', 'Computed by')}</h2><dl>{listed}</dl><p class='note'>{rule}</p></section>"
