"""What stands around a map file: texts in two languages, the legend, the list of sources, the attribution; as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from gridsvc.maps.layer_list import layer


def both(zh: str, en: str) -> str:
    """Return a text in both languages; ``map_file.css`` shows one of them."""
    return f'<span lang="zh">{escape(zh)}</span><span lang="en">{escape(en)}</span>'


def legend_box(rows: str, note: str = "") -> str:
    """Return the legend with its rows; ``note`` (HTML) stands above them."""
    shown = f'<p class="gs-note">{note}</p>' if note else ""
    return (
        f'<details id="gs-legend" class="gs-box" open><summary>{both("图例", "Legend")}</summary>'
        f'<div class="gs-rows">{shown}{rows}</div></details>'
    )


def head_box(
    titles: tuple[str, str],
    line: str,
    counts: Sequence[tuple[str, int | str, str, str]],
    *,
    control: str = "",
    searched: tuple[str, str] = ("网格编码或社区名称", "grid code or name"),
) -> str:
    """Return the head of a map: title in both languages, a line under it (HTML), numbers with colour and name, language, search.

    ``control`` (HTML) stands above the search; ``searched`` says what is looked for.
    """
    listed = "".join(
        f'<li style="border-color:{color}"><b>{number if isinstance(number, str) else f"{number:,}"}</b>{both(zh, en)}</li>'
        for color, number, zh, en in counts
    )
    hint = escape(" · ".join(searched))
    return (
        f'<section id="gs-head" class="gs-box"><h1>{both(*titles)}</h1><p>{line}</p>'
        '<button id="gs-language" type="button" aria-label="语言 Language">' + both("English", "中文") + "</button>"
        f'<ul id="gs-counts">{listed}</ul>{control}'
        '<input id="gs-search" type="search" autocomplete="off" spellcheck="false"'
        f' placeholder="{hint}" aria-label="搜索 Search: {hint}">'
        '<ul id="gs-found" hidden></ul></section>'
    )


def sources_box(sources: Sequence[str]) -> str:
    """Return the list that the attribution opens: every source with its licence; nothing where none is stated."""
    if not sources:
        return ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in sources)
    return f'<section id="gs-sources" class="gs-box" hidden><h2>{both("数据来源", "Sources")}</h2><ul>{lines}</ul></section>'


def attribution(sources: Sequence[str]) -> str:
    """Return one short line: the credit OpenStreetMap asks to be in sight, and a button for all the rest."""
    parts = []
    if any("openstreetmap" in line.lower() for line in sources):
        parts.append(both("© OpenStreetMap 贡献者，ODbL 1.0", "© OpenStreetMap contributors, ODbL 1.0"))
    if sources:
        parts.append(f'<button id="gs-sources-switch" type="button">{both("来源", "Sources")}</button>')
    return " | ".join(parts)


def legend_rows(entry: Mapping[str, Any]) -> str:
    """Return the lines of one layer in the legend: its classes, or its swatch and number of features."""
    if entry["id"] == "streets":
        values = layer("streets")["classes"]["values"]
        drawn = {group["color"] for group in entry["lines"]}
        return "".join(
            legend_row(
                line_swatch({"color": value["color"], "width": value["width"]}), value["title_zh"], value["title_en"]
            )
            for value in values
            if value["color"] in drawn
        )
    if "courses" in entry:
        return "".join(legend_row(line_swatch(course), *course["title"]) for course in entry["courses"])
    if "classes" in entry:
        steps = "".join(
            f'<span><i style="background:{c["color"]}"></i>{_class_title(c)}</span>' for c in entry["classes"]
        )
        zh, en = entry["measure"]
        title = both(f"{entry['title_zh']}（{zh}）", f"{entry['title_en']} ({en})")
        return f'<div class="gs-row">{title}</div><div class="gs-steps">{steps}</div>'
    fill = entry.get("fill", {})
    swatch = line_swatch(entry["line"]) if fill.get("opacity", 0) < 0.5 else fill_swatch(fill["color"], fill["opacity"])
    return legend_row(swatch, entry["title_zh"], entry["title_en"], entry["count"])


def _class_title(look: Mapping[str, str]) -> str:
    return both(look["title_zh"], look["title_en"]) if "title_zh" in look else escape(look["title"])


def legend_row(swatch: str, title_zh: str, title_en: str, count: int | None = None) -> str:
    """Return one line of the legend."""
    number = f'<span class="gs-count">{count:,}</span>' if count is not None else ""
    return f'<div class="gs-row">{swatch}{both(title_zh, title_en)}{number}</div>'


def line_swatch(line: Mapping[str, Any]) -> str:
    """Return a short line as the map draws it."""
    dash = f' stroke-dasharray="{" ".join(map(str, line["dash"]))}"' if "dash" in line else ""
    middle = line["width"][len(line["width"]) // 2][1]
    return (
        f'<svg width="30" height="12" aria-hidden="true"><line x1="1" y1="6" x2="29" y2="6" stroke="{line["color"]}"'
        f' stroke-width="{max(1.0, min(middle, 6.0)):g}" stroke-opacity="{line.get("opacity", 1):g}"{dash}/></svg>'
    )


def fill_swatch(color: str, opacity: float) -> str:
    """Return a small area as the map fills it."""
    return f'<svg width="30" height="12" aria-hidden="true"><rect x="1" y="1" width="28" height="10" fill="{color}" fill-opacity="{opacity:g}"/></svg>'
