"""Dividing again: what serves stays to the last vertex, what does not is mended with as few neighbours as it takes."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from gridsvc.division.communities import DivisionRules
from gridsvc.division.dividing import divide_community
from gridsvc.division.keeping import FormerDivision, divide_again
from gridsvc.errors import PartitionError
from tests.factories.towns import town

STABLE = DivisionRules(stability=0.5)


def former_of(division, locked=()):
    grids = len(division.governance_grids)
    mask = np.zeros(grids, dtype=bool)
    mask[list(locked)] = True
    return FormerDivision(division.unit_grids, division.governance_of_unit, mask, division.is_dedicated)


def kept_exactly(before, after):
    """Return which governance grids of ``before`` are, to the last vertex, among those of ``after``."""
    there = set(shapely.to_wkb(shapely.normalize(after)).tolist())
    return np.array([wkb in there for wkb in shapely.to_wkb(shapely.normalize(before))])


def wide_town(**changes):
    return town(width=1040.0, height=480.0, **changes)


def test_nothing_changes_where_every_grid_still_serves():
    community = wide_town()
    before = divide_community(community)

    after = divide_again(community, former_of(before), STABLE)

    assert (shapely.to_wkb(after.unit_grids) == shapely.to_wkb(before.unit_grids)).all()
    assert (after.governance_households == before.governance_households).all()
    assert after.border_m == pytest.approx(before.border_m)
    assert after.border_on_lines_m == pytest.approx(before.border_on_lines_m, rel=0.01)


def test_a_grid_that_grew_too_large_is_mended_with_few_neighbours():
    community = wide_town()
    before = divide_community(community)
    grown = int(before.governance_households.argmax())
    inside = np.isin(before.unit_of_building, np.flatnonzero(before.governance_of_unit == grown))
    community = replace(community, households=np.where(inside, community.households * 3, community.households))

    after = divide_again(community, former_of(before), STABLE)

    kept = kept_exactly(before.governance_grids, after.governance_grids)
    assert not kept[grown]
    assert kept.sum() >= len(kept) - 4
    assert ((after.governance_households >= 300) & (after.governance_households <= 500)).all()
    assert after.governance_households.sum() == community.households.sum()


def test_a_locked_grid_stays_even_where_all_is_divided_afresh():
    community = wide_town()
    before = divide_community(community)

    after = divide_again(community, former_of(before, locked=[1, 2]), DivisionRules(), seed=5)

    for grid in before.governance_grids[[1, 2]]:
        same = shapely.area(shapely.symmetric_difference(after.governance_grids, grid))
        # a neighbour's new border may end at it: a vertex more, no land
        assert same.min() < 1e-3
        vertices = {tuple(c) for c in shapely.get_coordinates(after.governance_grids[same.argmin()])}
        assert {tuple(c) for c in shapely.get_coordinates(grid)} <= vertices


def test_a_new_building_across_a_border_moves_that_border():
    community = wide_town()
    before = divide_community(community)
    a, b = before.governance_grids[0], before.governance_grids[1]
    neighbours = [g for g in before.governance_grids[1:] if g.intersection(a).length > 50]
    b = neighbours[0]
    middle = shapely.line_merge(a.intersection(b)).interpolate(0.5, normalized=True)
    tower = middle.buffer(6, cap_style="square")
    clear = ~shapely.intersects(community.buildings, tower)
    community = replace(
        community,
        buildings=np.append(community.buildings[clear], [tower]),
        households=np.append(community.households[clear], [10]),
        population=np.append(community.population[clear], [30]),
    )

    after = divide_again(community, former_of(before), STABLE)

    assert (shapely.area(shapely.intersection(after.governance_grids, tower)) > 1e-6).sum() == 1
    assert not kept_exactly(before.governance_grids, after.governance_grids).all()


def test_more_stability_keeps_more_households_in_place():
    community = wide_town()
    before = divide_community(community)
    rng = np.random.default_rng(1)
    community = replace(community, households=rng.permutation(community.households))
    moved = []
    for stability in (0.0, 1.0):
        after = divide_again(community, former_of(before), replace(STABLE, stability=stability), seed=9)
        held = np.zeros((len(before.governance_grids), len(after.governance_grids)))
        np.add.at(
            held,
            (before.governance_of_unit[before.unit_of_building], after.governance_of_unit[after.unit_of_building]),
            community.households,
        )
        moved.append(1 - held.max(axis=1).sum() / held.sum())

    assert moved[1] < moved[0]


def test_former_grids_that_are_no_partition_are_refused():
    community = wide_town()
    before = divide_community(community)
    former = replace(
        former_of(before), unit_grids=before.unit_grids[1:], governance_of_unit=before.governance_of_unit[1:]
    )

    with pytest.raises(PartitionError, match="outer edges"):
        divide_again(community, former, STABLE)
