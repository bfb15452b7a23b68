"""Two nets held against each other: relations, matches, faults."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from shapely.affinity import translate

from gridsvc.networks.comparison import RELATIONS, PairComparison, compare, net_quality
from gridsvc.networks.nets import Net
from gridsvc.synth.drawn_nets import Distortion, copies, grouped, parcel_city, true_matches


def net(name: str, **grids: shapely.Geometry) -> Net:
    return Net.of(name, list(grids), list(grids.values()))


def relations(found: PairComparison, one: Net, other: Net) -> dict[str, str]:
    rows = [*zip(one.code, found.relation[0], strict=True), *zip(other.code, found.relation[1], strict=True)]
    return {code: RELATIONS[k] for code, k in rows}


BOX = shapely.box
ONE = net("one", A=BOX(0, 0, 100, 100), B=BOX(100, 0, 200, 100), C=BOX(200, 0, 300, 100), D=BOX(300, 0, 400, 100),
          E=BOX(400, 0, 500, 100))  # fmt: skip


class TestRelations:
    def test_aligned_within_the_tolerance_although_no_line_coincides(self):
        other = net("other", P=BOX(0, 0, 101, 100), Q=BOX(101, 0, 500, 100))

        found = compare([ONE, other]).pairs[0]

        assert relations(found, ONE, other) == {
            "A": "aligned", "P": "aligned", "B": "nested", "C": "nested", "D": "nested", "E": "nested", "Q": "holds",
        }  # fmt: skip

    def test_a_grid_cut_elsewhere_crosses(self):
        other = net("other", P=BOX(0, 0, 150, 100), Q=BOX(150, 0, 500, 100))

        found = compare([ONE, other]).pairs[0]

        assert relations(found, ONE, other) == {
            "A": "nested", "P": "crossing", "B": "crossing", "Q": "crossing", "C": "nested", "D": "nested", "E": "nested",
        }  # fmt: skip

    def test_a_row_drawn_elsewhere_is_shifted_by_so_much(self):
        other = Net.of("other", list("PQRST"), [translate(each, 20.0, -15.0) for each in ONE.geometry])

        found = compare([ONE, other]).pairs[0]

        assert set(relations(found, ONE, other).values()) == {"shifted"}
        assert found.pairs.offset_m[found.pairs.by_shape] == pytest.approx(np.tile([20.0, -15.0], (5, 1)))

    def test_land_of_one_net_alone_is_alone(self):
        other = net("other", P=BOX(0, 0, 100, 100), Z=BOX(0, 500, 10, 510))

        found = compare([ONE, other]).pairs[0]

        assert relations(found, ONE, other)["Z"] == relations(found, ONE, other)["E"] == "alone"
        assert (found.both_m2, found.first_only_m2, found.second_only_m2) == pytest.approx((10_000, 40_000, 100))
        assert found.counts(0) == dict.fromkeys(RELATIONS, 0) | {"aligned": 1, "alone": 4}


class TestMatches:
    def test_codes_and_names_match_without_common_land(self):
        one = Net.of("one", ["A", "B", "C"], ONE.geometry[:3], ["park", "gate", "gate"])
        other = Net.of("other", ["B", "X", "Y"], ONE.geometry[[2, 1, 4]], ["gate", "pond", "park"])

        pairs = compare([one, other]).pairs[0].pairs

        found = {(one.code[a], other.code[b]): flags for a, b, *flags in zip(
            pairs.first, pairs.second, pairs.by_shape, pairs.by_code, pairs.by_name, strict=True)}  # fmt: skip
        # a name that comes twice says nothing
        assert found == {
            ("B", "B"): [False, True, False],
            ("B", "X"): [True, False, False],
            ("C", "B"): [True, False, False],
            ("A", "Y"): [False, False, True],
        }

    def test_matches_by_shape_are_the_true_ones(self):
        city = parcel_city(400)
        changed = Distortion(jitter_m=2.0, shifted=0.05, missing=0.04, merged=0.08, split=0.06)
        one, other = copies(city, grouped(city, 120, seed=3), [changed, changed], seed=7)

        pairs = compare([one.net, other.net]).pairs[0].pairs

        truth = true_matches(city, one, other)
        found = set(zip(pairs.first[pairs.by_shape].tolist(), pairs.second[pairs.by_shape].tolist(), strict=True))
        assert len(truth) > 70
        assert len(found & truth) / len(found) >= 0.97  # precision
        assert len(found & truth) / len(truth) >= 0.97  # recall
        assert pairs.is_match.sum() >= pairs.by_shape.sum()


class TestQuality:
    def test_gaps_overlaps_and_slivers_are_told_apart_and_mended_shapes_named(self):
        bow_tie = shapely.Polygon([(300, 0), (340, 40), (340, 0), (300, 40)])
        drawn = net("n", A=BOX(0, 0, 100, 100), B=BOX(90, 0, 200, 100), C=BOX(200.2, 0, 300, 100), D=BOX(0, 100, 300, 120),
                    E=BOX(0, -20, 300, 0), F=BOX(300, -20, 310, 120), X=translate(bow_tie, 50.0))  # fmt: skip

        found = net_quality(drawn)

        assert shapely.area(found.gaps) == pytest.approx([20.0])
        assert found.gap_is_sliver.tolist() == [True]
        assert shapely.area(found.overlaps) == pytest.approx([1000.0])
        assert found.overlap_is_sliver.tolist() == [False]
        assert found.claims == [[0, 1]]
        assert found.mended.tolist() == [6]
        assert not found.is_exact

    def test_an_exact_net_has_nothing_wrong(self):
        assert net_quality(ONE).is_exact

    def test_several_nets_are_compared_pair_by_pair(self):
        nets = [ONE, net("b", P=BOX(0, 0, 250, 100), Q=BOX(250, 0, 500, 100)), net("c", Z=BOX(0, 0, 500, 100))]

        found = compare(nets)

        assert [pair.net for pair in found.pairs] == [(0, 1), (0, 2), (1, 2)]
        assert [q.net for q in found.quality] == ["one", "b", "c"]
        assert found.pairs[2].counts(1)["holds"] == 1
