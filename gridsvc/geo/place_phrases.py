"""Where something is, said in Chinese: divisions, street and number, and the way from the nearest place of a name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gridsvc.geo.addresses import DIRECTIONS

EARTH_RADIUS_M = 6_371_008.8
# nearer than this a thing is at the place, not beside it; further than that it is only in the same quarter. Our choice
AT_M, BESIDE_M = 20.0, 60.0


@dataclass(frozen=True, slots=True)
class Landmark:
    """A place with a name, and how the point lies to it: distance (m) and one of `DIRECTIONS` as seen from the place."""

    name: str
    distance_m: float
    direction: str


def distance_m(lon: float, lat: float, other_lon: float, other_lat: float) -> float:
    """Return the distance of two near points on the sphere. Unit: m, good to 0.5 % within a city."""
    x = math.radians(other_lon - lon) * math.cos(math.radians((lat + other_lat) / 2))
    y = math.radians(other_lat - lat)
    return EARTH_RADIUS_M * math.hypot(x, y)


def bearing_deg(lon: float, lat: float, to_lon: float, to_lat: float) -> float:
    """Return the bearing from one point to another near it, clockwise from north, 0 up to 360."""
    x = math.radians(to_lon - lon) * math.cos(math.radians((lat + to_lat) / 2))
    y = math.radians(to_lat - lat)
    return math.degrees(math.atan2(x, y)) % 360.0


def direction_of(bearing: float) -> str:
    """Return the nearest of the eight directions; the border of two belongs to the one that comes clockwise.

    Examples
    --------
    >>> direction_of(0), direction_of(22.5), direction_of(359), direction_of(135)
    ('北', '东北', '北', '东南')
    """
    return DIRECTIONS[int((bearing % 360.0 + 22.5) // 45.0) % 8]


def moved(lon: float, lat: float, direction: str, metres: float) -> tuple[float, float]:
    """Return the point that lies ``metres`` in one of `DIRECTIONS` from a point."""
    bearing = math.radians(45.0 * DIRECTIONS.index(direction))
    north, east = metres * math.cos(bearing), metres * math.sin(bearing)
    degree = math.radians(1.0) * EARTH_RADIUS_M
    return lon + east / (degree * math.cos(math.radians(lat))), lat + north / degree


def rounded_m(metres: float) -> int:
    """Return a distance as people say it: to 5 m below 50, to 10 m below 500, to 50 m beyond."""
    step = 5 if metres < 50 else 10 if metres < 500 else 50
    return max(step, int(metres / step + 0.5) * step)


def place_phrase(
    divisions: list[str],
    street: str = "",
    number: str = "",
    street_distance_m: float = 0.0,
    landmark: Landmark | None = None,
) -> str:
    """Return where a point is, in one readable phrase; "" when nothing is known.

    Parameters
    ----------
    divisions
        Names from large to small.
    street, number
        The nearest street, and the nearest number on it (without 号) when one is near.
    street_distance_m
        How far the point is from the street; within `BESIDE_M` it is said to be on it. Unit: m.
    landmark
        The nearest place of a name.

    Examples
    --------
    >>> place_phrase(["江汉区", "民族街道"], "中山大道", "12", 8.0, Landmark("民众乐园", 82.0, "东北"))
    '江汉区民族街道中山大道12号附近，民众乐园东北方向约80米'
    """
    phrase = "".join(divisions)
    if street and number:
        phrase += f"{street}{number}号附近"
    elif street:
        phrase += street if street_distance_m <= BESIDE_M else f"{street}附近"
    if landmark is not None:
        if landmark.distance_m < AT_M:
            said = f"{landmark.name}处"
        else:
            said = f"{landmark.name}{landmark.direction}方向约{rounded_m(landmark.distance_m)}米"
        phrase = f"{phrase}，{said}" if phrase else said
    return phrase
