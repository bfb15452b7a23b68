"""Who makes up the team of a grid, and how many people a community should have: rules with their sources.

The team of a grid is "one leader, three workers" (一长三员): grid leader, full-time worker, part-time worker, adviser
(Zhoushan grid regulation 2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# kind code of the worker catalogue -> role in an assignment
ROLE_OF_KIND: dict[str, str] = {"W01": "leader", "W02": "full_time", "W03": "part_time", "W04": "adviser"}

# The Beijing opinion of 2022 counts lane chiefs (街巷长), lane stewards (小巷管家) and city assistants (城市协管员) as
# full-time grid workers. Their unit is a lane, not a grid, so a district switches this on where they do serve grids.
BEIJING_2022_ROLE_OF_KIND: dict[str, str] = {**ROLE_OF_KIND, "W08": "full_time", "W09": "full_time", "W10": "full_time"}


@dataclass(frozen=True, slots=True)
class RosterRule:
    """One staffing rule: what it asks for, where it comes from, and whether the source was read."""

    subject: str
    rule: str
    source: str
    is_verified: bool


ROSTER_RULES: tuple[RosterRule, ...] = (
    RosterRule(
        "full_time", "at least 1 responsible for each governance grid", "usual local rule (worker catalogue W02)", False
    ),
    RosterRule("leader", "1 per grid; may lead several", "Zhoushan grid regulation 2023", True),
    RosterRule("part_time", "1 or more per grid", "Chizhou draft opinion 2020; Beijing opinion 2022", True),
    RosterRule("adviser", "sent by the street office; may cover several grids", "Zhoushan grid regulation 2023", True),
    RosterRule("deputy", "AB roles: a neighbour's worker stands in", "common local rule", False),
    RosterRule(
        "committee_members",
        "5 under 1,000 households, 7 up to 2,000, 9 above",
        "Beijing opinion on residents committees, 2011-08-25",
        True,
    ),
    RosterRule("station_staff", "1 per 500 households", "Beijing opinion on residents committees, 2011-08-25", True),
    RosterRule(
        "community_workers",
        "18 per 10,000 residents; at least 9 for a community under 5,000",
        "Gansu community worker measures 2023",
        True,
    ),
)


def committee_members(households: int) -> int:
    """Return the members of a residents committee: 5 under 1,000 households, 7 up to 2,000, 9 above (Beijing)."""
    if households < 1000:
        return 5
    return 7 if households <= 2000 else 9


def station_staff(households: int) -> int:
    """Return the full-time staff of a service station: 1 per 500 households begun (Beijing)."""
    return math.ceil(households / 500)


def community_workers(population: int) -> int:
    """Return the fewest community workers: 18 per 10,000 residents begun, at least 9 below 5,000 residents (Gansu)."""
    wanted = math.ceil(population * 18 / 10_000)
    return max(9, wanted) if population < 5000 else wanted
