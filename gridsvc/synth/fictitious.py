"""Made-up towns at three scales: where they lie, how large they are, what their divisions are called.

Division codes begin with 99, which GB/T 2260 gives to no province, so they cannot clash with a real place. The town is
laid on open land of the Jianghan plain; nothing there has anything to do with it.
"""

from __future__ import annotations

import numpy as np

from gridsvc.progress import SILENT, Progress
from gridsvc.synth.ground import Ground, Streets
from gridsvc.synth.names import PLACE_WORDS, Namer
from gridsvc.synth.street_plan import Bend, PlanSize, StreetPlan, draw_streets
from gridsvc.synth.town import Division, DivisionTree

PLACE_EPSG = 4547  # CGCS2000 3-degree Gauss-Kruger, central meridian 114 E
PLACE_XY = (403_800.0, 3_342_500.0)  # about 113.00 E 30.20 N
CITY = Division("9901", "示例市")
_STREET_OFFICE_SIZES = {"street": [5], "district": [11, 9, 10, 10, 8, 12, 10, 11, 9, 10, 10]}
_SIZES = {
    "street": PlanSize((-600, -550, 600, 550), main_spacing_m=550, river_x=-600, river_width_m=75, has_lake=False),
    "district": PlanSize((-2700, -2600, 2700, 2600), river_x=500, rail_y=-250),
}
_COMMITTEE = "社区居委会"

# a city: 16 districts in four rows of four, 7,000 communities, about as many street offices and grids as Beijing has
CITY_ROWS, CITY_COLUMNS = 4, 4
_CITY_DISTRICT_M = (10_500, 10_400)
_CITY_COMMUNITIES = 7000
_CITY_RIVER_X, _CITY_RAIL_Y = -6_000, 4_000
CITY_MEAN_HOUSEHOLDS = 2450.0


def made_up_district(scale: str, seed: int, progress: Progress = SILENT) -> tuple[Ground, DivisionTree]:
    """Return ground and divisions of a made-up town of scale ``street`` or ``district``."""
    progress.start("street plan")
    rng = np.random.default_rng([seed, 11])
    namer = Namer(np.random.default_rng([seed, 12]))
    plan = draw_streets(_SIZES[scale], Bend(seed, PLACE_XY), namer, rng)
    tree = name_divisions(Division("990101", "示例区"), _STREET_OFFICE_SIZES[scale], namer)
    return ground_of(plan), tree


def city_districts() -> list[Division]:
    """Return the districts of the made-up city, in code order."""
    words = PLACE_WORDS[: CITY_ROWS * CITY_COLUMNS]
    return [Division(f"{CITY.code}{k:02d}", f"示例{word}区") for k, word in enumerate(words, start=1)]


def made_up_city_district(number: int, seed: int) -> tuple[Ground, DivisionTree]:
    """Return ground and divisions of district ``number`` (0 to 15) of the made-up city.

    Districts are made apart from each other; their common borders have the same vertices on both sides.
    """
    rng = np.random.default_rng([seed, 21, number])
    namer = Namer(np.random.default_rng([seed, 22, number]))
    row, column = divmod(number, CITY_COLUMNS)
    width, height = _CITY_DISTRICT_M
    west = (column - CITY_COLUMNS // 2) * width
    south = (CITY_ROWS // 2 - 1 - row) * height
    size = PlanSize(
        (west, south, west + width, south + height),
        river_x=_CITY_RIVER_X if west < _CITY_RIVER_X < west + width else None,
        river_width_m=300,
        rail_y=_CITY_RAIL_Y if south < _CITY_RAIL_Y < south + height else None,
        corners_cut=False,
    )
    ground = ground_of(draw_streets(size, Bend(seed, PLACE_XY), namer, rng))
    ground.has_fixed_border = True
    communities = _CITY_COMMUNITIES // 16 + (number < _CITY_COMMUNITIES % 16)
    offices = 21 + int(rng.integers(0, 2))
    sizes = np.bincount(rng.choice(offices, communities - 10 * offices), minlength=offices) + 10
    return ground, name_divisions(city_districts()[number], sizes.tolist(), namer)


def ground_of(plan: StreetPlan) -> Ground:
    """Return a street plan as the ground of a district."""
    streets = Streets(plan.lines, plan.street_class, plan.name, plan.layer)
    return Ground(plan.boundary, streets, plan.cuts, plan.rails, plan.water, plan.parks, plan.centre_xy)


def name_divisions(district: Division, communities_per_street: list[int], namer: Namer) -> DivisionTree:
    """Return street offices 001.. and communities 001.. of a made-up district."""
    offices, communities = [], []
    for k, count in enumerate(communities_per_street, start=1):
        office = Division(f"{district.code}{k:03d}", namer.place("街道"))
        offices.append(office)
        communities.append(
            tuple(Division(f"{office.code}{j:03d}", namer.place(_COMMITTEE)) for j in range(1, count + 1))
        )
    return DivisionTree(CITY, district, tuple(offices), tuple(communities))
