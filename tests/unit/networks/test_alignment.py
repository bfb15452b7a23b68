"""Nets brought onto one set of lines: the true ones where two agree, the reference's where one is named."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from gridsvc.errors import GridsvcError, NotFoundError
from gridsvc.networks.alignment import align
from gridsvc.networks.nets import Net
from gridsvc.synth.drawn_nets import Distortion, copies, drawn, grouped, parcel_city

BOX = shapely.box
ONE = Net.of("one", ["A", "B", "C"], [BOX(0, 0, 100, 100), BOX(100, 0, 200, 100), BOX(200, 0, 300, 100)])
OTHER = Net.of("other", ["P", "Q", "R"], [BOX(0, 0, 102, 100), BOX(102, 0, 220, 100), BOX(220, 0, 300, 100)])

CITY = parcel_city(400)
GROUPS = grouped(CITY, 120, seed=3)
EXACT = drawn(CITY, "truth", GROUPS, Distortion(jitter_m=0.0), seed=99)
JITTER = Distortion(jitter_m=1.5)


def off_true_borders(net: Net) -> float:
    """Return the share of the borders of a net that lies more than 5 cm off the true ones."""
    true = shapely.buffer(shapely.union_all(shapely.boundary(EXACT.net.geometry)), 0.05)
    borders = shapely.union_all(shapely.boundary(net.geometry))
    return float(shapely.difference(borders, true).length / borders.length)


class TestAlign:
    def test_near_borders_become_one_and_far_ones_stay(self):
        found = align([ONE, OTHER], reference="one")

        assert shapely.area(found.nets[0].geometry) == pytest.approx([10_000, 10_000, 10_000])
        assert shapely.area(found.nets[1].geometry) == pytest.approx([10_000, 12_000, 8_000])
        assert [each.tolist() for each in found.gained_m2] == [[0, 0, 0], [0, pytest.approx(200.0), 0]]
        assert [each.tolist() for each in found.lost_m2] == [[0, 0, 0], [pytest.approx(200.0), 0, 0]]
        (rest,) = found.disagreements
        assert (rest.net, rest.first, rest.second, rest.area_m2) == ((0, 1), 2, 1, pytest.approx(2000.0))

    def test_the_reference_decides(self):
        found = align([ONE, OTHER], reference="other")

        assert shapely.area(found.nets[0].geometry) == pytest.approx([10_200, 9_800, 10_000])
        assert found.nets[1].geometry[0].equals(OTHER.geometry[0])

    def test_a_street_given_is_the_line_of_both(self):
        street = np.array([shapely.LineString([(101, 0), (101, 100)])], dtype=object)

        found = align([ONE, OTHER], lines=street)

        assert [shapely.area(net.geometry[0]) for net in found.nets] == pytest.approx([10_100, 10_100])

    def test_true_borders_are_recovered_where_two_of_three_agree(self):
        nets = copies(CITY, GROUPS, [JITTER] * 3, same_lines=True, seed=5)
        assert off_true_borders(nets[2].net) > 0.8

        found = align([nets[k].net for k in (2, 0, 1)])

        for net in found.nets:
            assert off_true_borders(net) < 0.01
            assert shapely.coverage_is_valid(net.geometry)
        assert found.disagreements == []

    def test_true_borders_are_recovered_from_the_reference(self):
        nets = [each.net for each in copies(CITY, GROUPS, [JITTER] * 2, seed=5)]

        found = align([*nets, EXACT.net], reference="truth")

        assert max(off_true_borders(net) for net in found.nets) < 0.01
        moved = sum(each.sum() for each in found.gained_m2)
        assert moved > 1000
        assert moved == pytest.approx(sum(each.sum() for each in found.lost_m2), rel=0.2)

    def test_all_nets_share_their_vertices(self):
        nets = [each.net for each in copies(CITY, GROUPS, [JITTER] * 3, seed=5)]

        found = align(nets)

        every = np.concatenate([net.geometry for net in found.nets])
        borders = shapely.union_all(shapely.boundary(every))
        # one line where there were three, but for what is farther apart than the tolerance
        assert borders.length == pytest.approx(shapely.union_all(shapely.boundary(EXACT.net.geometry)).length, rel=0.02)

    def test_overlaps_and_grids_under_others_are_kept(self):
        net = Net.of("n", ["A", "B", "C"], [BOX(0, 0, 60, 60), BOX(40, 0, 100, 60), BOX(10, 10, 20, 20)])

        found = align([net, Net.of("m", ["M"], [BOX(0, 0, 101, 60)])], reference="m")

        assert shapely.area(found.nets[0].geometry) == pytest.approx([3600, 3660, 100])

    def test_what_makes_no_sense_is_refused(self):
        with pytest.raises(GridsvcError, match="tolerance of 0"):
            align([ONE, OTHER], tolerance_m=0.0)
        with pytest.raises(NotFoundError, match="no network third"):
            align([ONE, OTHER], reference="third")
