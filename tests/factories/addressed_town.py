"""The small town with named streets that cross, door numbers, a compound and points of interest."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from factories import stored_town as town

# one degree is about so many metres here
METRES_LON, METRES_LAT = 95_800.0, 110_900.0
MIDDLE = town.SOUTH + town.SIDE / 2
SOUTH_STREET, NORTH_STREET, CROSS_STREET = "南湖大道", "北湖大道", "中兴路"
# every tenth number of the southern street, both sides; 51 and 52 are left out
NUMBERS = [n for ten in range(0, 100, 10) for n in (ten + 1, ten + 2) if n not in (51, 52)]


def metres_apart(lon: float, lat: float, other: tuple[float, float]) -> float:
    """Return the distance of two points of the town. Unit: m."""
    return float(np.hypot((lon - other[0]) * METRES_LON, (lat - other[1]) * METRES_LAT))


def door(number: int) -> tuple[float, float]:
    """Return where a number of the southern street is: 10 m a number from its western end, odd ones north of it."""
    side = 12.0 if number % 2 else -12.0
    return round(town.WEST + number * 10.0 / METRES_LON, 9), round(MIDDLE + side / METRES_LAT, 9)


def address_frame(numbers=NUMBERS, **changes) -> gpd.GeoDataFrame:
    """Return the door plates of the southern street."""
    columns = {
        "address_code": [f"D{number:04d}" for number in numbers],
        "address": [f"江汉区{SOUTH_STREET}{number}号" for number in numbers],
        "name": "",
    }
    return town.frame(columns | changes, shapely.points([door(number) for number in numbers]))


def put_addressed_town(uow) -> None:
    """Store divisions, streets, doors, a compound of eight buildings and four facilities, in force from ``town.START``."""
    uow.divisions.put_frame(town.division_frame(), town.START)
    uow.streets.put_frame(town.street_frame(name=[SOUTH_STREET, NORTH_STREET, CROSS_STREET]))
    names = [f"蔷薇小区{i // 4 + 1}栋" for i in range(8)]
    uow.residences.put_frame(town.residence_frame(name=names))
    facilities = town.facility_frame(
        name=["民众乐园", "惠民菜场", "惠民菜场", "望湖幼儿园"], address=[f"{CROSS_STREET}7号", "", "", "北湖大道18号"]
    )
    uow.facilities.put_frame(facilities, town.START)
    uow.gazetteer.put_addresses(address_frame(), town.START)
