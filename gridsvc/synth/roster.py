"""Grid workers of a community: how many of each kind, and where they live. Projected CRS, unit m."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import shapely

from gridsvc.synth.names import person_name
from gridsvc.synth.settlement import Settlement

HOUSEHOLDS_PER_FULL_TIMER = 300  # the smallest governance grid; one full-time worker each, and one to spare
HOUSEHOLDS_PER_MICRO_WORKER = 600  # of every eight to twelve micro-grids one worker is on the roster; our choice


@dataclass(slots=True)
class Roster:
    """Workers, one entry each."""

    name: list[str] = field(default_factory=list)
    kind_code: list[str] = field(default_factory=list)
    phone: list[str] = field(default_factory=list)
    capacity_grids: list[int] = field(default_factory=list)
    xy: list[tuple[float, float]] = field(default_factory=list)


def enlist(
    made: Settlement, fallback_xy: tuple[float, float], *, first_number: int, is_lean: bool, rng: np.random.Generator
) -> Roster:
    """Return the workers of one community, homes inside its houses.

    Full-time grid workers (W02) are at least one per 300 households and one more, so that every governance grid can have
    one of its own; ``is_lean`` leaves out most part-time workers (two workers a governance grid, as in Beijing). Names are placeholders, phone numbers begin with 000 and can never be dialled.
    """
    households = int(made.households.sum())
    full_time = -(-households // HOUSEHOLDS_PER_FULL_TIMER) + 1
    wanted = [
        ("W01", 1, 6),
        ("W02", full_time, 1),
        ("W03", int(rng.random() < 0.6) if is_lean else max(2, full_time // 2), 2),
        ("W05", 0 if is_lean else households // HOUSEHOLDS_PER_MICRO_WORKER, 1),
        ("W07", int(rng.random() < 0.4) if is_lean else 1, 4),
    ]
    homes = [b for b, count in zip(made.buildings, made.households.tolist(), strict=True) if count]
    spots = (
        shapely.get_coordinates(shapely.centroid(np.array(homes, dtype=object))) if homes else np.array([fallback_xy])
    )
    roster = Roster()
    for kind, count, capacity in wanted:
        for _ in range(count):
            number = first_number + len(roster.name)
            x, y = spots[int(rng.integers(len(spots)))]
            roster.name.append(person_name(number * 7 + number // 1200))
            roster.kind_code.append(kind)
            roster.phone.append("" if rng.random() < 0.15 else f"000{number:08d}")
            roster.capacity_grids.append(capacity)
            roster.xy.append((float(x), float(y)))
    return roster
