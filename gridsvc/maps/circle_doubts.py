"""Doubtful input of a service-circle run, said in words for the pages that show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DOUBTS = (
    ("residences_without_entrance", "入口不明、由中心点起算的住宅", "Residences without entrance, walked from their centroid"),
    ("residences_from_gate", "由小区大门起算的住宅", "Residences walked from the gate of their compound"),
    ("residences_unattached", "300 米内无道路的住宅", "Residences without a street within 300 m"),
    ("residences_detached", "位于孤立路网的住宅", "Residences on a detached part of the network"),
    ("residences_without_population", "人口为零的住宅", "Residences with no people recorded"),
    ("facilities_unattached", "未接入路网的设施", "Facilities not joined to the network"),
    ("facilities_of_unknown_date", "启用日期不明的设施", "Facilities of unknown date"),
)  # fmt: skip


def doubt_lines(doubts: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Return each doubt in Chinese and English with its number, as ``services.circle_places.run_document`` tells them."""
    return [(zh, en, int(doubts.get(name, 0))) for name, zh, en in _DOUBTS]
