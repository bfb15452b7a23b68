"""Tables of what a merged net costs, as a terminal shows them: narrow, every figure in them, unknown ones as a dash."""

from __future__ import annotations

import pandas as pd
import pytest

from gridsvc.cli.network_tables import narrow, text_of

NAMES = ("reference", "agreed", "balanced")
COST = {
    "grids": 41_915, "new_codes": 7, "people": 21_893_000.0, "people_moved": 17_366_000.0, "workers_moved": 84_262, "border_m": 12_165_946.2,
    "border_undrawn_m": 6_476.6, "border_off_lines_m": 3_774.6, "border_new_m": 1_613.0, "too_few": 18_100, "too_many": 14_598,
}  # fmt: skip
CHANGE = {
    "grids": 41_795, "kept": 40_001, "unchanged": 5_005, "merged": 1_270, "split": 524, "lost": 10, "nested": 39_463,
    "people": 21_893_000.0, "people_moved": 316_133.4, "workers": 84_262, "workers_moved": 1_280,
}  # fmt: skip


def test_costs_have_a_column_for_each_alternative():
    costs = pd.DataFrame([{"alternative": name, **COST} for name in NAMES])
    costs.loc[1, "border_off_lines_m"] = None
    lines = text_of(narrow("costs", costs)).splitlines()

    assert max(map(len, lines)) <= 100
    assert lines[0].split() == ["alternative", *NAMES]
    read = {(parts := line.rsplit(None, 3))[0].strip(): parts[1:] for line in lines[1:]}
    assert read["who change grid in a network"] == ["17,366,000"] * 3
    assert read["off streets, walls and water"] == ["3.8", "-", "3.8"]
    assert read["border km"] == ["12,165.9"] * 3
    assert len(read) == len(COST)


def test_changes_have_a_row_for_each_network():
    changes = pd.DataFrame([{"alternative": name, "network": "公安治安网格", **CHANGE} for name in NAMES])
    lines = text_of(narrow("changes", changes)).splitlines()

    # Chinese characters are two columns wide
    assert max(len(line.encode("gb18030")) for line in lines) <= 110
    assert len(lines) == 4 and "316,133" in lines[1] and "40,001" in lines[1]


@pytest.mark.parametrize("name", ["costs", "changes"])
def test_tables_without_rows_stay_as_they_are(name):
    assert narrow(name, pd.DataFrame()).empty
