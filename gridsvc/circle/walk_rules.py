"""Who may walk where: access rules of streets and what a walk costs beside its metres, each with its source."""

from __future__ import annotations

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
