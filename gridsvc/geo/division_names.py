"""Divisions by the names people call them, misspelt ones too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridsvc.geo.addresses import edit_distance, fold_name, region_stem
from gridsvc.geo.division_codes import level_of


@dataclass(frozen=True, slots=True)
class Region:
    """A division under one of its names, for a span of time. CRS: EPSG:4490; ``radius_m`` is that of a circle of its area."""

    code: str
    name: str
    label: str
    radius_m: float
    lon: float | None
    lat: float | None
    since: datetime
    until: datetime | None

    def holds(self, at: datetime) -> bool:
        """Return whether it is so called at ``at``."""
        return self.since <= at and (self.until is None or at < self.until)


class DivisionNames:
    """The divisions of one build of the gazetteer, by level and name, misspelt ones too.

    ``rows`` are those of `GazetteerRepository.regions`.
    """

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.by_code: dict[str, list[Region]] = defaultdict(list)
        self.by_name: dict[tuple[str, str], list[Region]] = defaultdict(list)
        self.whole: set[tuple[str, str]] = set()
        self._one_off: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in rows:
            region = Region(row["code"], row["name"], row["label"], row["radius_m"], row["lon"], row["lat"], row["valid_from"], row["valid_to"])  # fmt: skip
            level = level_of(region.code)
            self.by_code[region.code].append(region)
            for name in {region.name, region_stem(region.name)}:
                self.by_name[level, name].append(region)
            for shorter in (*_one_less(region.name), region.name):
                self._one_off[level, shorter].add(region.name)
            self.whole.update((level, name) for name in (region.name, *_other_words(level, region_stem(region.name))))
        self.levels = {level for level, _ in self.by_name}

    def lookup(self, level: str, name: str, above: Mapping[str, str]) -> str | None:
        """Return the name a division is known by, as `parse_address` asks for it.

        A name with one character wrong is recognised when one division alone is so called in what was named above it.
        """
        level, _, short = level.partition(" ")
        if short == "whole":
            return name if (level, name) in self.whole else None
        if short:
            return name if (level, name) in self.by_name else None
        folded, stem = fold_name(name), region_stem(name)
        for known in (folded, stem):
            if (level, known) in self.by_name:
                return self.by_name[level, known][0].name
        alike = {other for shorter in (*_one_less(folded), folded) for other in self._one_off.get((level, shorter), ())}
        alike = {other for other in alike if edit_distance(folded, other) == 1}
        if len(alike) > 1:
            inside = self._codes(above)
            alike = (
                {o for o in alike if any(r.code.startswith(inside) for r in self.by_name[level, o])}
                if inside
                else set()
            )
        if len(alike) == 1:
            return alike.pop()
        # what is above the districts held need not be held
        return folded if level in ("province", "city") else None

    def _codes(self, above: Mapping[str, str]) -> tuple[str, ...]:
        """Return the codes of the smallest division in ``above`` that is held."""
        for level in ("street", "district", "city"):
            regions = self.by_name.get((level, above.get(level, "")))
            if regions:
                return tuple({region.code for region in regions})
        return ()

    def regions(self, level: str, name: str, at: datetime) -> list[Region]:
        """Return the divisions of a level that are known by a name at an instant."""
        stems = self.by_name.get((level, region_stem(name)), [])
        return [region for region in self.by_name.get((level, name)) or stems if region.holds(at)]

    def labels(self, code: str, at: datetime) -> list[str]:
        """Return the names of a division and those above it, district first."""
        found = []
        for digits in (6, 9, 12):
            known = [r for r in self.by_code.get(code[:digits], ()) if r.holds(at)] if len(code) >= digits else []
            if known:
                found.append(known[0].label)
        return found


def _other_words(level: str, stem: str) -> list[str]:
    """Return a street office or community as people call it with another word for its kind."""
    words = {"street": ("街道", "街道办事处", "街道办"), "community": ("社区", "社区居委会", "居委会")}
    return [stem + word for word in words.get(level, ())]


def _one_less(word: str) -> set[str]:
    """Return the word with one character left out, each way; words of one edit share one of these."""
    return {word[:i] + word[i + 1 :] for i in range(len(word))} if len(word) >= 2 else set()
