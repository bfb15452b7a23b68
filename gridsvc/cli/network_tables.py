"""Tables about networks as a terminal shows them: at most about a hundred columns wide. Files and ``--json`` have every column."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gridsvc.networks.comparison import RELATIONS

_NAME_WIDTH = 16
_M2_PER_HA = 10_000.0


def narrow(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of that name for a terminal; those that are narrow already as they are."""
    shaped = {
        "networks": _networks, "pairs": _pairs, "conflicts": _conflicts, "costs": _costs, "changes": _changes,
    }.get(name)  # fmt: skip
    # alignments have a table of networks, too, with land moved in each
    if shaped is None or table.empty or (shaped is _networks and "gaps" not in table):
        return table
    return shaped(table)


def text_of(table: pd.DataFrame) -> str:
    """Return a table as lines; Chinese characters take two columns each."""
    with pd.option_context("display.unicode.east_asian_width", True):
        return table.to_string(index=False)


def _short(names: pd.Series) -> list[str]:
    return [
        name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH // 2]}…{name[1 - _NAME_WIDTH // 2 :]}"
        for name in names
    ]


def _hectares(areas_m2: pd.Series) -> list[str]:
    return [f"{area / _M2_PER_HA:,.2f}" for area in areas_m2]


def _percents(shares: pd.Series) -> list[str]:
    return [f"{share * 100:.1f}" for share in shares]


def _counts(numbers: pd.Series) -> list[str]:
    return ["-" if pd.isna(number) else f"{number:,.0f}" for number in numbers]


def _kilometres(lengths_m: pd.Series) -> list[str]:
    return ["-" if pd.isna(length) else f"{length / 1000:,.1f}" for length in lengths_m]


def _costs(table: pd.DataFrame) -> pd.DataFrame:
    """Return what alternatives cost with a column for each of them."""
    rows = {
        "grids": _counts(table["grids"]),
        "  with new codes": _counts(table["new_codes"]),
        "  below the household bounds": _counts(table["too_few"]),
        "  above the household bounds": _counts(table["too_many"]),
        "people": _counts(table["people"]),
        "  who change grid in a network": _counts(table["people_moved"]),
        "workers who change grid": _counts(table["workers_moved"]),
        "border km": _kilometres(table["border_m"]),
        "  where no network has one": _kilometres(table["border_undrawn_m"]),
        "  off streets, walls and water": _kilometres(table["border_off_lines_m"]),
        "  both": _kilometres(table["border_new_m"]),
    }
    width = max(map(len, rows))
    shown = {
        name: list(figures)
        for name, figures in zip(table["alternative"], zip(*rows.values(), strict=True), strict=True)
    }
    return pd.DataFrame({"alternative": [f"{row:<{width}}" for row in rows], **shown})


def _changes(table: pd.DataFrame) -> pd.DataFrame:
    shown: Mapping[str, object] = {
        "alternative": _short(table["alternative"]), "network": _short(table["network"]),
        **{fate: _counts(table[fate]) for fate in ("grids", "kept", "unchanged", "merged", "split", "lost", "nested")},
        "people moved": _counts(table["people_moved"]), "workers moved": _counts(table["workers_moved"]),
    }  # fmt: skip
    return pd.DataFrame(shown)


def _networks(table: pd.DataFrame) -> pd.DataFrame:
    shown: Mapping[str, object] = {
        "network": _short(table["network"]), "grids": table["grids"], "ha": _hectares(table["area_m2"]), "gaps": table["gaps"],
        "gap ha": _hectares(table["gap_m2"]), "overlaps": table["overlaps"], "overlap ha": _hectares(table["overlap_m2"]),
        "slivers": table["slivers"], "mended": table["mended"], "unowned ha": _hectares(table["unowned_m2"]),
    }  # fmt: skip
    return pd.DataFrame(shown)


def _pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return two rows for each pair: how the grids of either stand to the other."""
    sides = [
        pd.DataFrame(
            {
                "grids of": _short(table[one]), "towards": _short(table[other]),
                **{relation: table[f"{one}_{relation}"] for relation in RELATIONS},
                "matches": table["matches"], "both ha": _hectares(table["both_m2"]), "alone ha": _hectares(table[f"{one}_only_m2"]),
            }
        )
        for one, other in (("first", "second"), ("second", "first"))
    ]  # fmt: skip
    return pd.concat(sides).sort_index(kind="stable")


def _conflicts(table: pd.DataFrame) -> pd.DataFrame:
    shown: Mapping[str, object] = {
        "first": _short(table["first"]), "grid": table["first_code"], "second": _short(table["second"]), "grid ": table["second_code"],
        "shared ha": _hectares(table["shared_m2"]), "% of first": _percents(table["share_of_first"]), "% of second": _percents(table["share_of_second"]),
    }  # fmt: skip
    return pd.DataFrame(shown)
