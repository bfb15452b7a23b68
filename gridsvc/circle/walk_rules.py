"""Who may walk where: access rules of streets and what a walk costs beside its metres, each with its source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gridsvc.errors import RequestInvalidError

# OpenStreetMap highway values on which nobody walks, by traffic law or because nothing is there yet.
NOT_WALKABLE_CLASSES = frozenset(
    {
        "motorway",
        "motorway_link",
        "bus_guideway",
        "busway",
        "raceway",
        "escape",
        "rest_area",
        "services",
        "construction",
        "proposed",
        "planned",
        "abandoned",
        "razed",
    }
)
# Trunk roads of Chinese cities are expressways (城市快速路); their pavements are drawn as side streets or footways.
TRUNK_CLASSES = frozenset({"trunk", "trunk_link"})


def is_class_walkable(street_class: str, *, trunk_walkable: bool = False) -> bool:
    """Return whether people may walk along a street of this OpenStreetMap ``highway`` value.

    Motorways and their links never; trunk roads only when ``trunk_walkable``; unknown values yes, since a street that is
    drawn at all is usually walked.
    """
    if street_class in TRUNK_CLASSES:
        return trunk_walkable
    return street_class not in NOT_WALKABLE_CLASSES


# Values of OpenStreetMap's access keys, as its wiki explains them ("Key:access", "Key:foot").
_FORBIDDEN = frozenset(
    {"no", "private", "use_sidepath", "military", "agricultural", "forestry", "delivery", "emergency"}
)
_ALLOWED = frozenset(
    {"yes", "designated", "permissive", "official", "destination", "customers", "public", "discouraged"}
)
# nothing that a tag says about walkers opens these
NEVER_CLASSES = NOT_WALKABLE_CLASSES - {"busway", "bus_guideway", "rest_area", "services", "escape"}
# ways that are made for walking, where bridge and tunnel mean overpass and underpass
_FOOT_CLASSES = frozenset({"footway", "path", "pedestrian", "steps", "corridor"})

SIGNAL_CROSSING, OVERPASS, UNDERPASS, STEPS, ELEVATOR = "signal_crossing", "overpass", "underpass", "steps", "elevator"
PASSAGES = (SIGNAL_CROSSING, OVERPASS, UNDERPASS, STEPS, ELEVATOR)


def is_way_walkable(tags: Mapping[str, str], *, trunk_walkable: bool = False) -> bool:
    """Return whether people may walk along an OpenStreetMap way, whichever way it runs: one-way streets hold for vehicles.

    What ``foot`` says counts first, then ``access`` and ``motorroad``, then the class of the way. Motorways never.

    Notes
    -----
    Source: OpenStreetMap wiki, "Key:access" (the more particular key wins) and "Key:foot". Ways with private access are out.
    """
    street_class = tags.get("highway", "")
    if not street_class or street_class in NEVER_CLASSES:
        return False
    foot = tags.get("foot", "")
    if foot in _ALLOWED:
        return True
    if foot in _FORBIDDEN or tags.get("access", "") in _FORBIDDEN or tags.get("motorroad") == "yes":
        return False
    return is_class_walkable(street_class, trunk_walkable=trunk_walkable)


def is_signal_crossing(tags: Mapping[str, str]) -> bool:
    """Return whether a node or way is a crossing with signals for walkers."""
    is_crossing = "crossing" in (tags.get("highway"), tags.get("footway"), tags.get("path"), tags.get("cycleway"))
    has_signals = tags.get("crossing") == "traffic_signals" or tags.get("crossing:signals") == "yes"
    return has_signals and (is_crossing or tags.get("highway") == "traffic_signals")


def is_foot_way(tags: Mapping[str, str]) -> bool:
    """Return whether a way is made for walking: its crossings are those of walkers."""
    return tags.get("highway") in _FOOT_CLASSES


def passage_of_way(tags: Mapping[str, str]) -> str:
    """Return what a walk along a way passes beside its metres, one of `PASSAGES`, or "" for nothing.

    The stairs of an overpass are steps: its seconds hold for all of it, and lie on what bridges.
    """
    if is_foot_way(tags):
        if is_signal_crossing(tags):
            return SIGNAL_CROSSING
        if tags["highway"] == "steps":
            return STEPS
        if tags.get("bridge", "no") != "no":
            return OVERPASS
        if tags.get("tunnel", "no") not in ("no", "building_passage"):
            return UNDERPASS
    return ELEVATOR if tags.get("highway") == "elevator" else ""


def load_penalties(rows: Iterable[Mapping[str, str]]) -> dict[str, float]:
    """Return passage -> seconds of the rows of ``data/walk_penalties.csv``."""
    return {row["passage"]: float(row["seconds"]) for row in rows}


def with_penalties(known: Mapping[str, float], asked: Mapping[str, float]) -> dict[str, float]:
    """Return penalties with some of them set otherwise.

    Raises
    ------
    RequestInvalidError
        When a passage is not known, or its seconds do not lie within 0 to 600.
    """
    for passage, seconds in asked.items():
        if passage not in known:
            raise RequestInvalidError(
                f"There is no passage {passage!r}.", hint=f"One of: {', '.join(known)}.", field="penalty"
            )
        if not 0.0 <= seconds <= 600.0:
            raise RequestInvalidError(
                f"{seconds:g} s for {passage} is outside 0 to 600.", hint="Signals take 30 to 60 s.", field="penalty"
            )
    return {**known, **asked}


def passage_seconds(
    passage: NDArray[np.object_], share: ArrayLike, penalties: Mapping[str, float]
) -> NDArray[np.float64]:
    """Return the penalty of each street: seconds of its passage times the share of the passage on it. Unit: s."""
    seconds = np.array([penalties.get(name, 0.0) for name in passage], dtype=np.float64)
    return seconds * np.asarray(share, dtype=np.float64)
