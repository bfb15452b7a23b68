"""Departments of a made-up district and what they answer for: one of each kind, enforcement teams of the streets, one question left open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Columns = dict[str, Any]

_EDITION = "gbt-47678.5-2026"
# kind -> name after the district's, and what it answers for in the whole district: network ("" all of them), beginning of categories
_OFFICES: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "D01": ("城市管理执法局", (("urban", ""), ("", "E06"), ("", "E07"), ("", "E09"))),
    "D02": ("生态环境局", (("", "E06027"), ("", "E06028"))),
    "D03": ("消防救援大队", (("", "P03"), ("", "E09012"))),
    "D04": ("气象局", (("", "C03009"), ("", "E03009"))),
    "D05": ("禁毒办", (("security", "P02001"),)),
    "D06": ("公安分局", (("security", ""), ("", "P02"))),
    "D07": ("民政局", (("social", ""), ("", "S03"))),
    "D08": ("人力资源和社会保障局", (("", "S01"), ("", "S02"))),
    "D09": ("卫生健康局", (("", "S04"),)),
    "D10": ("住房和城乡建设局", (("", "E08"), ("", "S06"))),
    "D11": ("市场监督管理局", (("", "E09002"), ("", "E09020"))),
    "D12": ("交通运输局", (("", "C02"), ("", "E02"))),
}
_TEAM, _TEAM_DUTIES = "综合行政执法队", ("E06", "E09")
# in the first community two departments claim the dust of sites: what two lists say in life, and nobody has settled
_CONTESTED = ("E08004", ("D02", "D10"))


def departments_of(district: tuple[str, str], streets: Sequence[tuple[str, str]]) -> Columns:
    """Return the columns of the departments: a district's own, and a team of each street. Divisions are (code, name)."""
    code, name = district
    rows = [(f"{code}-{kind}", f"{name}{office}", kind, code) for kind, (office, _) in _OFFICES.items()]
    rows += [(f"{street}-D01", f"{title}{_TEAM}", "D01", street) for street, title in streets]
    return _columns(("department_code", "name", "kind_code", "division_code"), rows)


def duties_of(district: tuple[str, str], streets: Sequence[tuple[str, str]], communities: Sequence[str]) -> Columns:
    """Return the columns of what they answer for; ``communities`` are codes, in order."""
    code, _ = district
    rows = [
        (f"{code}-{kind}", network, code, category)
        for kind, (_, duties) in _OFFICES.items()
        for network, category in duties
    ]
    rows += [(f"{street}-D01", "urban", street, category) for street, _ in streets for category in _TEAM_DUTIES]
    category, claimants = _CONTESTED
    rows += [(f"{code}-{kind}", "", community, category) for community in communities[:1] for kind in claimants]
    columns = _columns(("department_code", "network", "ground_code", "category_code"), rows)
    return columns | {"edition": [_EDITION if category else "" for category in columns["category_code"]]}


def _columns(names: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Columns:
    return {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
