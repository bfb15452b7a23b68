"""Crosswalks: sums preserved both ways, errors stated, whole numbers by largest remainders; who answers for points."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.errors import GridsvcError
from gridsvc.networks.crosswalk import counts_by_atom, crosswalk, rebased
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import NOBODY, overlay
from gridsvc.networks.responsibility import AtomIndex

BOX = shapely.box
OLD = Net.of("old", ["A", "B", "C"], [BOX(0, 0, 100, 100), BOX(100, 0, 200, 100), BOX(300, 0, 400, 100)])
NEW = Net.of("new", ["P", "Q"], [BOX(0, 0, 125, 100), BOX(125, 0, 220, 100)])
ATOMS = overlay([OLD, NEW])


class TestCrosswalk:
    def test_land_is_shared_by_area(self):
        walk = crosswalk(ATOMS, 0, 1)

        rows = list(zip(walk.from_row.tolist(), walk.to_row.tolist(), walk.from_share, walk.to_share, strict=True))
        assert rows == [
            (NOBODY, 1, pytest.approx(1.0), pytest.approx(20 / 95)),
            (0, 0, pytest.approx(1.0), pytest.approx(0.8)),
            (1, 0, pytest.approx(0.25), pytest.approx(0.2)),
            (1, 1, pytest.approx(0.75), pytest.approx(75 / 95)),
            (2, NOBODY, pytest.approx(1.0), pytest.approx(1.0)),
        ]

    def test_households_decide_where_they_are_and_area_where_nobody_lives(self):
        homes, outside = counts_by_atom(ATOMS, [110.0, 112.0, 150.0, 999.0], [5.0, 6.0, 7.0, 8.0], [3, 0, 1, 7])

        walk = crosswalk(ATOMS, 0, 1, homes)

        share = dict(zip(zip(walk.from_row.tolist(), walk.to_row.tolist(), strict=True), walk.from_share, strict=True))
        assert outside == 7.0
        assert (share[1, 0], share[1, 1], share[0, 0]) == (0.75, 0.25, 1.0)

    def test_the_other_way_is_the_way_back(self):
        there, back = crosswalk(ATOMS, 0, 1), crosswalk(ATOMS, 1, 0)

        turned = there.reversed()

        assert turned.from_row.tolist() == back.from_row.tolist()
        assert turned.from_share == pytest.approx(back.from_share)
        assert turned.sizes == back.sizes == (2, 3)

    @pytest.mark.parametrize("weight", [[1.0], np.full(len(ATOMS.area_m2), -1.0), np.full(len(ATOMS.area_m2), np.nan)])
    def test_weights_that_are_none_are_refused(self, weight):
        with pytest.raises(GridsvcError, match="Weights"):
            crosswalk(ATOMS, 0, 1, weight)


class TestRebased:
    def test_figures_follow_the_land_and_say_how_sure_they_are(self):
        found = rebased(crosswalk(ATOMS, 0, 1), [80, 40, 5])

        assert found.value == pytest.approx([90.0, 30.0])
        assert found.unplaced == pytest.approx(5.0)
        assert found.low.tolist() == [80.0, 0.0]
        assert found.high.tolist() == [120.0, 40.0]
        assert found.standard_error == pytest.approx(np.sqrt([40 * 0.25 * 0.75] * 2))

    def test_whole_numbers_go_to_the_largest_remainders(self):
        found = rebased(crosswalk(ATOMS, 0, 1), [1, 5, 0], whole=True)

        assert found.value.tolist() == [2, 4]
        assert found.value.dtype == np.int64

    def test_figures_that_are_none_are_refused(self):
        walk = crosswalk(ATOMS, 0, 1)
        for wrong in ([1, 2], [1, 2, np.nan], [[1, 2, 3]]):
            with pytest.raises(GridsvcError, match="as many figures"):
                rebased(walk, wrong)
        with pytest.raises(GridsvcError, match="Whole numbers"):
            rebased(walk, [1.5, 2, 3], whole=True)


@given(seed=st.integers(0, 2**32 - 1), most=st.sampled_from([3, 1_000_000, 2**40]))
@settings(deadline=None, max_examples=40)
def test_sums_are_preserved_both_ways(seed: int, most: int):
    chance = np.random.default_rng(seed)
    nets = []
    for name in "ab":
        low = chance.integers(0, 12, (chance.integers(1, 9), 2))
        high = low + chance.integers(1, 9, low.shape)
        boxes = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
        nets.append(Net.of(name, [f"{i}" for i in range(len(low))], boxes))
    atoms = overlay(nets, tolerance_m=0.0)
    weight = chance.integers(0, 4, len(atoms.area_m2)) * chance.random()
    for walk in (crosswalk(atoms, 0, 1, weight), crosswalk(atoms, 0, 1, weight).reversed()):
        figures = chance.integers(-most, most, walk.sizes[0])

        exact = rebased(walk, figures, whole=True)
        smooth = rebased(walk, np.abs(figures))

        assert int(exact.value.sum()) + int(exact.unplaced) == int(figures.sum())
        assert smooth.value.sum() + smooth.unplaced == pytest.approx(float(np.abs(figures).sum()))
        assert (smooth.low <= smooth.value + 1e-6 * most).all()
        assert (smooth.value <= smooth.high + 1e-6 * most).all()
        # shares of a grid add up to one
        known = walk.from_row >= 0
        sums = np.bincount(walk.from_row[known], walk.from_share[known], walk.sizes[0])
        assert sums[np.unique(walk.from_row[known])] == pytest.approx(1.0, abs=1e-12)


class TestWhoAnswers:
    def test_points_get_the_grid_of_every_net(self):
        net = Net.of("third", ["X", "Y"], [BOX(0, 0, 60, 100), BOX(50, 0, 100, 100)])

        found = AtomIndex(overlay([OLD, net])).answers([10.0, 55.0, 150.0, 250.0], [50.0, 50.0, 50.0, 50.0])

        assert found.row.tolist() == [[0, 0], [0, 0], [1, NOBODY], [NOBODY, NOBODY]]
        assert found.is_claimed_twice.tolist() == [False, True, False, False]
        assert found.claims == {1: [(1, 1)]}
        assert found.is_orphan.tolist() == [False, False, False, True]
        assert found.atom[3] == -1
