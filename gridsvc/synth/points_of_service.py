"""Facilities: how many of each kind, and at which doors. Projected CRS, unit m."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridsvc.synth.settlement import Settlement


@dataclass(slots=True)
class Facilities:
    """Facilities of one community; one entry each."""

    kind_code: list[str] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    xy: list[tuple[float, float]] = field(default_factory=list)


_USES = {
    "shop": ("commercial",),
    "office": ("public", "commercial"),
    "school": ("school", "public"),
    "home": ("residential",),
}


def place_facilities(
    made: Settlement,
    kerbs: NDArray[np.float64],
    types: Sequence[Mapping[str, Any]],
    *,
    community_name: str,
    office_name: str,
    share_of_office: float,
    seat_of_office: bool,
    rng: np.random.Generator,
) -> Facilities:
    """Return the facilities of one community.

    Parameters
    ----------
    kerbs
        Shape (n, 2). Places beside streets, for bus stops and the like.
    types
        From ``data/synth/facilities.json``: one physical place each, with all kind codes it counts as.
    share_of_office
        The community's part of its street office, for types given per street office.
    seat_of_office
        Whether the street office itself sits here; its one-only places do too.
    """
    found = Facilities()
    doors = np.array(made.doors).reshape(-1, 2)
    use = np.array(made.use, dtype=object)
    free = {kind: rng.permutation(np.flatnonzero(np.isin(use, kinds))) for kind, kinds in _USES.items()}
    taken = dict.fromkeys(free, 0)
    short = community_name.removesuffix("居委会").removesuffix("村委会").removesuffix("社区")
    for kind in types:
        for number in range(_how_many(kind, share_of_office, seat_of_office, rng)):
            place = kind["place"]
            if place == "street":
                if len(kerbs) == 0:
                    continue
                xy = kerbs[int(rng.integers(len(kerbs)))]
            else:
                spots = free[place] if len(free[place]) else free["home"]
                if len(spots) == 0:
                    continue
                xy = doors[spots[taken[place] % len(spots)]]
                taken[place] += 1
            owner = office_name.removesuffix("办事处") if kind.get("exact") else short
            suffix = "" if number == 0 else f"{number + 1}号"
            for code in kind["kinds"]:
                found.kind_code.append(code)
                found.name.append(f"{owner}{kind['name']}{suffix}")
                found.xy.append((float(xy[0]), float(xy[1])))
    return found


def _how_many(kind: Mapping[str, Any], share: float, seat: bool, rng: np.random.Generator) -> int:
    if kind.get("exact"):
        return int(seat)
    expected = kind["per_community"] if "per_community" in kind else kind["per_street_office"] * share
    whole = int(expected)
    return whole + int(rng.random() < expected - whole)
