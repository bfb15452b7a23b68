"""Atoms of nets: exact, labelled by who holds them, free of slivers, and the same whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.errors import CodeDuplicateError, GeometryError, GridsvcError
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import NOBODY, Overlay, overlay
from gridsvc.synth.drawn_nets import Distortion, drawn, grouped, judge_atoms, parcel_city


def net(name: str, **grids: shapely.Geometry) -> Net:
    return Net.of(name, list(grids), list(grids.values()))


def held(found: Overlay) -> dict[tuple, float]:
    """Return the area of atoms by the codes that hold them."""
    sums: dict[tuple, float] = {}
    for owner, area in zip(found.owner, found.area_m2, strict=True):
        codes = tuple(None if row == NOBODY else each.code[row] for each, row in zip(found.nets, owner, strict=True))
        sums[codes] = sums.get(codes, 0.0) + float(area)
    return sums


def assert_exact(found: Overlay, land: shapely.Geometry) -> None:
    assert shapely.is_valid(found.geometry).all()
    assert shapely.coverage_is_valid(found.geometry)
    assert shapely.area(found.geometry) == pytest.approx(found.area_m2)
    assert shapely.union_all(found.geometry).symmetric_difference(land).area == pytest.approx(0.0, abs=1e-3)


class TestOneNet:
    def test_gaps_are_orphans_and_overlaps_are_claimed_twice(self):
        given_net = net("a", A=shapely.box(0, 0, 60, 50), B=shapely.box(50, 0, 100, 50), C=shapely.box(0, 50, 40, 100),
                        D=shapely.box(60, 50, 100, 100), E=shapely.box(0, 100, 100, 120))  # fmt: skip

        found = overlay([given_net], tolerance_m=1.0)

        assert_exact(found, shapely.box(0, 0, 100, 120))
        assert found.area_m2[found.is_orphan].tolist() == pytest.approx([1000.0])
        (atom,) = found.double.atom
        assert found.area_m2[atom] == pytest.approx(500.0)
        assert (found.codes(0)[atom], given_net.code[found.double.row[0]]) == ("A", "B")

    def test_three_grids_on_one_place_are_two_further_claims(self):
        boxes = [shapely.box(0, 0, 10 + 10 * i, 10) for i in range(3)]

        found = overlay([Net.of("a", ["C", "A", "B"], boxes)], tolerance_m=0.0)

        assert held(found) == {("A",): pytest.approx(200.0), ("B",): pytest.approx(100.0)}
        assert len(found.geometry) == 3
        assert found.double.row.tolist() == [2, 0, 2]

    def test_holes_and_parts_stay(self):
        shape = shapely.MultiPolygon(
            [shapely.box(0, 0, 30, 30) - shapely.box(10, 10, 20, 20), shapely.box(40, 0, 50, 10)]
        )

        found = overlay([net("a", A=shape)])

        assert held(found) == {("A",): pytest.approx(900.0), (None,): pytest.approx(100.0)}
        assert len(found.geometry) == 3

    def test_land_outside_the_boundary_is_left_out_and_land_nobody_holds_inside_is_an_orphan(self):
        found = overlay([net("a", A=shapely.box(0, 0, 50, 50))], boundary=shapely.box(20, 0, 100, 50))

        assert held(found) == {("A",): pytest.approx(1500.0), (None,): pytest.approx(2500.0)}
        assert_exact(found, shapely.box(20, 0, 100, 50))


class TestSlivers:
    one = net("one", A=shapely.box(0, 0, 50, 100), B=shapely.box(50, 0, 100, 100))
    other = net("other", X=shapely.box(0, 0, 52, 100), Y=shapely.box(52, 0, 100, 100))
    third = net("third", P=shapely.box(0, 0, 52, 100), Q=shapely.box(52, 0, 100, 100))

    def test_borders_within_the_tolerance_are_one(self):
        found = overlay([self.one, self.other], tolerance_m=3.0)

        assert sorted(held(found)) == [("A", "X"), ("B", "Y")]
        assert found.moved.area_m2.tolist() == pytest.approx([200.0])

    def test_borders_farther_apart_stay_apart(self):
        found = overlay([self.one, self.other], tolerance_m=1.0)

        assert held(found)["B", "X"] == pytest.approx(200.0)
        assert len(found.moved.net) == 0

    @pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
    def test_the_line_that_two_of_three_share_is_the_one_that_stays(self, order: list[int]):
        nets = [self.one, self.other, self.third]

        found = overlay([nets[i] for i in order], tolerance_m=3.0)

        assert sorted(found.area_m2) == pytest.approx([4800.0, 5200.0])
        assert found.moved.net.tolist() == [order.index(0)]

    def test_the_line_of_the_net_that_counts_more_stays(self):
        found = overlay([self.one, self.other, self.third], tolerance_m=3.0, weight=[5.0, 1.0, 1.0])

        assert sorted(found.area_m2) == pytest.approx([5000.0, 5000.0])
        assert found.moved.net.tolist() == [1, 2]

    def test_a_street_between_two_borders_is_what_both_go_to(self):
        street = np.array([shapely.LineString([(51, -20), (51, 120)])], dtype=object)

        found = overlay([self.one, self.other], tolerance_m=3.0, lines=street)

        assert sorted(found.area_m2) == pytest.approx([4900.0, 5100.0])
        assert found.moved.area_m2.tolist() == pytest.approx([100.0, 100.0])

    def test_a_grid_smaller_than_the_tolerance_does_not_vanish(self):
        kiosk = shapely.box(20, 20, 23, 23)
        with_kiosk = net("a", A=shapely.box(0, 0, 100, 100) - kiosk, K=kiosk)

        found = overlay([with_kiosk, net("b", B=shapely.box(0, 0, 100, 100))], tolerance_m=5.0)

        assert held(found)["K", "B"] == pytest.approx(9.0)

    def test_land_that_is_thin_throughout_stays_land(self):
        found = overlay(
            [net("a", A=shapely.box(0, 0, 100, 1)), net("b", B=shapely.box(0, 0, 100, 1.5))], tolerance_m=9.0
        )

        assert found.area_m2.sum() == pytest.approx(150.0)


CITY = parcel_city(225)
NETS = [drawn(CITY, name, grouped(CITY, 80, seed=k), Distortion(jitter_m=2.0), seed=k) for k, name in enumerate("abc")]


class TestTruth:
    def test_atoms_are_the_true_ones(self):
        found = overlay([each.net for each in NETS], tolerance_m=4.0)
        judged = judge_atoms(CITY, NETS, found.geometry, found.owner, clear_m=2.02)

        assert judged.true == judged.found > 150
        assert (judged.spurious, judged.missing, judged.mislabelled) == (0, 0, 0.0)
        assert judged.mislabelled_anywhere < 0.05
        assert found.faces > 5 * judged.true

    def test_a_judgement_sees_what_is_wrong(self):
        raw = overlay([each.net for each in NETS], tolerance_m=0.0)
        wrong = raw.owner[np.random.default_rng(1).permutation(len(raw.owner))]

        judged = judge_atoms(CITY, NETS, raw.geometry, wrong, clear_m=2.02)

        assert judged.spurious > 800
        assert judged.missing > 150
        assert judged.mislabelled > 0.9

    def test_shuffled_grids_and_nets_give_the_same_bytes(self):
        found = overlay([each.net for each in NETS])
        shuffled = []
        for each in reversed(NETS):
            order = np.random.default_rng(5).permutation(len(each.net))
            shapes = shapely.reverse(each.net.geometry[order])
            shuffled.append(Net.of(each.net.name, each.net.code[order], shapes))

        again = overlay(shuffled)

        assert shapely.to_wkb(again.geometry).tolist() == shapely.to_wkb(found.geometry).tolist()
        for k in range(3):
            assert again.codes(2 - k).tolist() == found.codes(k).tolist()


@given(seed=st.integers(0, 2**32 - 1), tolerance_m=st.sampled_from([0.0, 0.5, 3.0]))
@settings(deadline=None, max_examples=40)
def test_any_boxes_give_an_exact_coverage_of_their_land(seed: int, tolerance_m: float):
    chance = np.random.default_rng(seed)
    nets = []
    for name in "abc":
        low = chance.integers(0, 12, (chance.integers(1, 8), 2))
        high = low + chance.integers(1, 8, low.shape)
        boxes = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
        nets.append(Net.of(name, [f"{name}{i}" for i in range(len(low))], boxes))
    # land enclosed by boxes that meet in corners only is enclosed too
    lines = shapely.union_all(shapely.boundary(np.concatenate([each.geometry for each in nets])))
    filled = shapely.union_all(shapely.get_parts(shapely.polygonize(shapely.get_parts(lines))))

    found = overlay(nets, tolerance_m=tolerance_m)

    assert_exact(found, filled)
    raw = overlay(nets, tolerance_m=0.0)
    for k in range(3):
        assert set(found.owner[:, k]) | {NOBODY} == set(raw.owner[:, k]) | {NOBODY}


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"tolerance_m": -1.0}, "tolerance"),
            ({"tolerance_m": float("nan")}, "tolerance"),
            ({"weight": [1.0, 2.0]}, "Weights"),
            ({"weight": [0.0]}, "Weights"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, options: dict, said: str):
        with pytest.raises(GridsvcError, match=said):
            overlay([net("a", A=shapely.box(0, 0, 1, 1))], **options)

    def test_nets_need_names_of_their_own(self):
        same = net("a", A=shapely.box(0, 0, 1, 1))

        with pytest.raises(GridsvcError, match="named a"):
            overlay([same, same])
        with pytest.raises(GridsvcError, match="no networks"):
            overlay([])

    def test_codes_come_once_and_shapes_are_polygons(self):
        box = shapely.box(0, 0, 1, 1)
        with pytest.raises(CodeDuplicateError, match="A comes 2 times"):
            Net.of("n", ["A", "A"], [box, box])
        with pytest.raises(CodeDuplicateError, match="no code"):
            Net.of("n", ["A", ""], [box, box])
        for shape in (None, shapely.Point(1, 1), shapely.Polygon(), shapely.Polygon([(0, 0), (1, 1), (0, 0)])):
            with pytest.raises(GeometryError, match="grid B of network n"):
                Net.of("n", ["A", "B"], [box, shape])
        with pytest.raises(GridsvcError, match="no grids"):
            Net.of("n", [], [])

    @pytest.mark.parametrize(
        ("shape", "said"),
        [
            (None, "missing"),
            (shapely.Polygon(), "empty"),
            (
                shapely.GeometryCollection([shapely.box(5, 0, 6, 1), shapely.Point(5, 5)]),
                "a GeometryCollection, no polygon",
            ),
        ],
    )
    def test_what_is_wrong_with_a_shape_is_said_and_how_many_there_are(self, shape, said):
        box = shapely.box(0, 0, 1, 1)
        with pytest.raises(GeometryError) as refused:
            Net.of("n", ["A", "B"], [box, shape])
        assert refused.value.message == f"The shape of grid B of network n is {said}."
        with pytest.raises(GeometryError, match=r"\(2 such shapes in all\)"):
            Net.of("n", ["A", "B", "C"], [box, shape, shape])

    def test_a_bow_tie_is_mended_and_said(self):
        made = Net.of("n", ["A"], [shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])])

        assert made.geometry[0].is_valid
        assert made.geometry[0].area == pytest.approx(2.0)
        assert made.repaired[0].startswith("Self-intersection")
