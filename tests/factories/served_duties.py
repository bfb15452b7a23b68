"""Departments of the small town and what they answer for: nested, nearer by category, and one place where two stand alike."""

from __future__ import annotations

import pandas as pd
from factories import stored_town as town

EDITION = "gbt-47678.5-2026"
GRID = f"{town.COMMUNITIES[0]}001"
# department -> kind
DEPARTMENTS = {"FIRE": "D03", "POLICE": "D06", "ROADS": "D01", "STREET": "D07"}
# code -> department, network, ground, category
DUTIES = {
    "D1": ("FIRE", None, town.DISTRICT, None),
    "D2": ("ROADS", "urban", town.DISTRICT, "E06"),
    "D3": ("STREET", None, town.STREETS[0], None),
    "D4": ("POLICE", "security", GRID, None),
    # in the fourth community two stand alike
    "D5": ("FIRE", None, town.COMMUNITIES[3], "E06"),
    "D6": ("ROADS", None, town.COMMUNITIES[3], "E06"),
}


def put_duties(uow) -> None:
    """Store departments and duties, in force from ``town.START``; the caller commits."""
    departments = {
        "department_code": list(DEPARTMENTS),
        "name": [f"江汉区{code}" for code in DEPARTMENTS],
        "kind_code": list(DEPARTMENTS.values()),
        "division_code": town.DISTRICT,
    }
    uow.departments.put_frame(pd.DataFrame(departments), town.START)
    names = ("department_code", "network", "ground_code", "category_code")
    duties = pd.DataFrame(list(DUTIES.values()), columns=names, dtype=object).assign(duty_code=list(DUTIES))
    duties["edition"] = [None if category is None else EDITION for category in duties["category_code"]]
    uow.department_duties.put_frame(duties, town.START)
