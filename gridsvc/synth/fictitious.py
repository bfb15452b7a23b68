"""Made-up towns at three scales: where they lie, how large they are, what their divisions are called.

Division codes begin with 99, which GB/T 2260 gives to no province, so they cannot clash with a real place. The town is
laid on open land of the Jianghan plain; nothing there has anything to do with it.
"""

from __future__ import annotations

import numpy as np

from gridsvc.progress import SILENT, Progress
from gridsvc.synth.ground import Ground, Streets
from gridsvc.synth.names import Namer
from gridsvc.synth.street_plan import Bend, PlanSize, StreetPlan, draw_streets
from gridsvc.synth.town import Division, DivisionTree

PLACE_EPSG = 4547  # CGCS2000 3-degree Gauss-Kruger, central meridian 114 E
PLACE_XY = (403_800.0, 3_342_500.0)  # about 113.00 E 30.20 N
CITY = Division("9901", "示例市")
_STREET_OFFICE_SIZES = {"street": [5], "district": [11, 9, 10, 10, 8, 12, 10, 11, 9, 10, 10]}
_BOXES = {"street": (-600, -550, 600, 550), "district": (-2700, -2600, 2700, 2600)}
_COMMITTEE = "社区居委会"


def made_up_district(scale: str, seed: int, progress: Progress = SILENT) -> tuple[Ground, DivisionTree]:
    """Return ground and divisions of a made-up town of scale ``street`` or ``district``."""
    progress.start("street plan")
    rng = np.random.default_rng([seed, 11])
    namer = Namer(np.random.default_rng([seed, 12]))
    is_street = scale == "street"
    size = PlanSize(
        _BOXES[scale],
        main_spacing_m=550 if is_street else 500,
        has_rail=not is_street,
        has_lake=not is_street,
        river_width_m=75 if is_street else 150,
    )
    plan = draw_streets(size, Bend(seed, PLACE_XY), namer, rng)
    tree = name_divisions(Division("990101", "示例区"), _STREET_OFFICE_SIZES[scale], namer)
    return ground_of(plan), tree


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
