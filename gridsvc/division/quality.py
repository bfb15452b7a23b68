"""Quality of a division in a few numbers: sizes, compactness, borders along lines, buildings cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from gridsvc.division.communities import CommunityDivision, DivisionRules, Floats, Geometries


@dataclass(frozen=True, slots=True)
class Quality:
    """Numbers over the grids of one or several communities. Shares are 0 to 1, None where there is nothing to share out.

    ``household_band_share`` counts the governance grids inside the household bounds; ``unit_target_share`` the unit grids within
    the allowed spread of their target area; compactness is Polsby-Popper (1 is a circle, 0.785 a square).
    """

    communities: int
    governance_grids: int
    unit_grids: int
    household_band_share: float | None
    unit_target_share: float | None
    border_on_lines_share: float | None
    governance_compactness: float | None
    unit_compactness: float | None


def compactness(polygons: Geometries) -> Floats:
    """Return the Polsby-Popper compactness 4 pi A / P2 of each polygon.

    Examples
    --------
    >>> round(float(compactness(np.array([shapely.box(0, 0, 10, 10)]))[0]), 3)
    0.785
    """
    return 4 * np.pi * shapely.area(polygons) / shapely.length(polygons) ** 2


def quality(divisions: list[CommunityDivision], rules: DivisionRules) -> Quality:
    """Return the quality of the divisions together."""
    households = _joined([d.governance_households for d in divisions])
    units = _joined([d.unit_grids for d in divisions])
    grids = _joined([d.governance_grids for d in divisions])
    in_band = (households >= rules.households_min) & (households <= rules.households_max)
    off_target = np.abs(shapely.area(units) / _joined([d.unit_target_m2 for d in divisions]) - 1)
    border = sum(d.border_m for d in divisions)
    return Quality(
        communities=len(divisions),
        governance_grids=len(grids),
        unit_grids=len(units),
        household_band_share=_mean(in_band),
        unit_target_share=_mean(off_target <= rules.unit_area_spread),
        border_on_lines_share=sum(d.border_on_lines_m for d in divisions) / border if border else None,
        governance_compactness=_mean(compactness(grids)),
        unit_compactness=_mean(compactness(units)),
    )


def _joined(arrays: list) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0)


def _mean(values: np.ndarray) -> float | None:
    return float(np.mean(values)) if len(values) else None
