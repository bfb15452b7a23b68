"""The quality panel of a division map as HTML: the table, what borders follow, households as a histogram, the list of problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gridsvc.division.quality_figures import QualityReport, Spread
from gridsvc.division.quality_problems import PROBLEM_KINDS
from gridsvc.maps.map_legend import both

KIND_TITLES = {"governance": ("治理网格", "Governance"), "unit": ("单元网格", "Unit grids")}
_BINS = 28


def panel(
    reports: Mapping[str, QualityReport],
    before: Mapping[str, QualityReport],
    courses: Sequence[Mapping[str, Any]],
    bounds: tuple[int, int],
    problems: tuple[int, int],
) -> str:
    """Return the panel.

    Parameters
    ----------
    reports
        By kind of grid, in the order of the columns.
    before
        Of the grids that a redraw replaces; empty without one.
    courses
        Colours and titles of the kinds of border.
    bounds
        Households wanted per governance grid.
    problems
        How many problem places there are, and how many of them the list holds.
    """
    charts = "".join(_course_bar(kind, report, courses) for kind, report in reports.items())
    if "governance" in reports:
        charts = _histogram(reports["governance"], bounds) + charts
    total, listed = problems
    more = both(f"只列出最重要的 {listed:,} 处", f"the gravest {listed:,} are listed") if listed < total else ""
    return (
        '<section id="gs-quality" class="gs-box"><div class="gs-tabs" role="tablist">'
        f'<button type="button" role="tab" data-tab="figures" aria-selected="true">{both("质量指标", "Quality")}</button>'
        f'<button type="button" role="tab" data-tab="problems" aria-selected="false">{both("问题位置", "Problem places")}'
        f" <b>{total:,}</b></button></div>"
        f'<div class="gs-tab" data-tab="figures">{_table(reports, before)}{charts}{_notes(reports)}</div>'
        f'<div class="gs-tab" data-tab="problems" hidden><div id="gs-problem-kinds"></div><p class="gs-more">{more}</p>'
        '<ol id="gs-problems"></ol></div></section>'
    )


def _table(reports: Mapping[str, QualityReport], before: Mapping[str, QualityReport]) -> str:
    heads = "".join(f"<th>{both(*KIND_TITLES[kind])}</th>" for kind in reports)
    rows = ""
    for titles, value, fault in _ROWS:
        cells = ""
        for kind, report in reports.items():
            shown = value(report)
            old = value(before[kind]) if kind in before else None
            was = f"<small>{both('原', 'was')} {old.split('<')[0]}</small>" if old is not None and old != shown else ""
            mark = "" if fault is None or shown is None else (" class='bad'" if fault(report) else " class='good'")
            cells += f"<td{mark}>{'–' if shown is None else shown}{was}</td>"
        if any(value(report) is not None for report in reports.values()):
            rows += f"<tr><th scope='row'>{both(*titles)}</th>{cells}</tr>"
    return f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{share * 100:.1f}%"


def _range(spread: Spread | None) -> str | None:
    return None if spread is None else f"{spread.median:,.0f}<small>{spread.least:,.0f}–{spread.most:,.0f}</small>"


def _area(area_m2: float) -> str:
    return "0 m²" if area_m2 == 0 else (f"{area_m2:,.0f} m²" if area_m2 >= 1 else f"{area_m2:.2g} m²")


def _on_lines(report: QualityReport) -> str | None:
    shares = [part.share for kind, part in report.border.items() if kind != "none"]
    return None if any(share is None for share in shares) else _percent(sum(share or 0.0 for share in shares))


# titles, what to show, and whether that is a fault (None: neither good nor bad)
_ROWS: tuple[tuple[tuple[str, str], Any, Any], ...] = (
    (("网格数", "Grids"), lambda r: f"{r.grids:,}", None),
    (("缝隙", "Gaps"), lambda r: _area(r.gaps.area_m2), lambda r: r.gaps.area_m2 > 0),
    (("重叠", "Overlaps"), lambda r: _area(r.overlaps.area_m2), lambda r: r.overlaps.area_m2 > 0),
    (("超出社区", "Outside community"), lambda r: _area(r.outside.area_m2), lambda r: r.outside.area_m2 > 0),
    (("碎屑", "Slivers"), lambda r: f"{r.slivers.count:,}", lambda r: r.slivers.count > 0),
    (("切割建筑", "Buildings cut"), lambda r: f"{r.buildings_cut:,}", lambda r: r.buildings_cut > 0),
    (("不连片", "In several parts"), lambda r: f"{r.not_contiguous:,}", lambda r: r.not_contiguous > 0),
    (
        ("未划分社区", "Communities without grids"),
        lambda r: f"{len(r.communities_without_grids):,}",
        lambda r: len(r.communities_without_grids) > 0,
    ),
    (("每格户数", "Households per grid"), lambda r: _range(r.households), None),
    (("户数达标", "Households in bounds"), lambda r: _percent(r.in_bounds_share), lambda r: r.in_bounds_share < 0.95),
    (("面积 m²", "Area m²"), lambda r: _range(r.area_m2), None),
    (("面积达标 ±30%", "Area within ±30%"), lambda r: _percent(r.on_target_share), lambda r: r.on_target_share < 0.9),
    (("紧凑度", "Compactness"), lambda r: None if r.compactness is None else f"{r.compactness.mean:.2f}", None),
    (("边界有依托", "Border on lines"), _on_lines, None),
    (
        ("户数保持原网格", "Households keep grid"),
        lambda r: None if r.stability is None else _percent(r.stability.households_kept_share),
        None,
    ),
)


def _course_bar(kind: str, report: QualityReport, courses: Sequence[Mapping[str, Any]]) -> str:
    if not report.border_m:
        return ""
    parts = ""
    for course in courses:
        part = report.border[course["kind"]]
        if part.share:
            text = f"{part.share * 100:.0f}%" if part.share >= 0.08 else ""
            title = f"{course['title_zh']} {course['title_en']}: {part.metres / 1000:,.1f} km, {part.share:.1%}"
            parts += f'<span style="flex:{part.share:.4f};background:{course["color"]}" title="{title}">{text}</span>'
    zh, en = KIND_TITLES[kind]
    km = f"{report.border_m / 1000:,.0f} km"
    return (
        f"<h3>{both(f'{zh}内部边界 {km}', f'Inner border of {en.lower()}, {km}')}</h3><div class='gs-bar'>{parts}</div>"
    )


def _histogram(report: QualityReport, bounds: tuple[int, int]) -> str:
    """Return households per governance grid as bars, the wanted band shaded; what lies beyond the axis is in the last bar."""
    households = np.array([row.households for row in report.rows])
    if not len(households):
        return ""
    low, high = bounds
    top = max(high * 1.4, float(np.quantile(households, 0.99)))
    counts = np.histogram(np.minimum(households, top), bins=_BINS, range=(0, top))[0]
    wide, tall = 320.0, 54.0
    step, most = wide / _BINS, counts.max()
    bars = "".join(
        f'<rect x="{i * step + 0.5:.1f}" y="{tall - tall * c / most:.1f}" width="{step - 1:.1f}" height="{tall * c / most:.1f}"/>'
        for i, c in enumerate(counts.tolist())
        if c
    )
    x0, x1 = low / top * wide, high / top * wide
    labels = "".join(
        f'<text x="{x:.0f}" y="{tall + 12:.0f}" text-anchor="middle">{n}</text>' for n, x in ((low, x0), (high, x1))
    )
    return (
        f"<h3>{both('每格户数分布', 'Households per grid')}</h3>"
        f'<svg class="gs-hist" viewBox="0 0 {wide:.0f} {tall + 15:.0f}" role="img" aria-label="每格户数分布 Households per grid">'
        f'<rect class="band" x="{x0:.1f}" y="0" width="{x1 - x0:.1f}" height="{tall:.0f}"/>{bars}'
        f'<line x1="0" y1="{tall:.0f}" x2="{wide:.0f}" y2="{tall:.0f}"/>{labels}</svg>'
    )


def _notes(reports: Mapping[str, QualityReport]) -> str:
    zh = {
        "no buildings": "此处没有建筑数据：户数取自网格自带，无法检查切割建筑。",
        "no streets": "此处没有道路数据：边界无从依托道路。",
    }
    found = dict.fromkeys(note for report in reports.values() for note in report.notes)
    lines = []
    for note in found:
        chinese = next((text for begin, text in zh.items() if note.startswith(begin)), note)
        lines.append(f'<p class="gs-note">{both(chinese, note[0].upper() + note[1:] + ".")}</p>')
    return "".join(lines)


def problem_titles() -> dict[str, list[str]]:
    """Return the title of each kind of problem, Chinese and English."""
    return {kind: list(titles) for kind, titles in PROBLEM_KINDS.items()}
