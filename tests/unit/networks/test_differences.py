"""Where borders differ and which grids dispute which land."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from gridsvc.networks.differences import atoms_of, differing_pairs, disputes, homes
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import overlay

BOX = shapely.box


def net(name: str, **grids: shapely.Geometry) -> Net:
    return Net.of(name, list(grids), list(grids.values()))


HALVES = net("halves", A=BOX(0, 0, 200, 100), B=BOX(200, 0, 400, 100))
QUARTERS = net(
    "quarters", P=BOX(0, 0, 100, 100), Q=BOX(100, 0, 200, 100), R=BOX(200, 0, 300, 100), S=BOX(300, 0, 400, 100)
)
SHIFTED = net("shifted", X=BOX(0, 0, 240, 100), Y=BOX(240, 0, 400, 100))


def differing_m2(*nets: Net, **options) -> float:
    atoms = overlay(nets)
    return float(atoms.area_m2[differing_pairs(atoms, **options) > 0].sum())


def test_smaller_grids_inside_larger_ones_do_not_differ():
    assert differing_m2(HALVES, QUARTERS) == 0.0


def test_land_that_is_at_home_in_neither_grid_differs():
    atoms = overlay([HALVES, SHIFTED])
    differs = differing_pairs(atoms) > 0

    assert atoms.area_m2[differs].sum() == pytest.approx(4000.0)
    assert shapely.union_all(atoms.geometry[differs]).equals(BOX(200, 0, 240, 100))


def test_pairs_are_counted_and_may_be_chosen():
    atoms = overlay([HALVES, SHIFTED, QUARTERS])

    # X reaches 40 m into a half and into a quarter that are at home in Y
    assert np.unique(differing_pairs(atoms)).tolist() == [0, 2]
    assert differing_m2(HALVES, SHIFTED, QUARTERS, among=[0, 2]) == 0.0


def test_land_of_one_net_alone_is_no_difference():
    assert differing_m2(HALVES, net("part", Z=BOX(0, 0, 200, 100))) == 0.0


def test_homes_are_where_most_of_a_grid_lies():
    atoms = overlay([HALVES, SHIFTED, net("far", F=BOX(900, 0, 950, 50))])

    assert homes(atoms, 0, 1).tolist() == [0, 1]
    assert homes(atoms, 2, 0).tolist() == [-1]


def test_disputes_name_both_grids_and_their_shares():
    found = disputes(overlay([HALVES, SHIFTED]), 4.0)

    assert found.net.tolist() == [[0, 1]] and found.row.tolist() == [[1, 0]]
    assert found.shared_m2 == pytest.approx([4000.0])
    assert found.share == pytest.approx(np.array([[0.2, 4000 / 24000]]))
    assert found.crossing == 1


def test_nets_that_agree_have_no_disputes():
    assert len(disputes(overlay([HALVES, QUARTERS]), 4.0).row) == 0
    assert len(disputes(overlay([HALVES]), 4.0).row) == 0


def test_land_held_by_two_grids_of_a_net_is_of_both():
    atoms = overlay([net("twice", A=BOX(0, 0, 200, 100), B=BOX(100, 0, 300, 100)), HALVES])

    assert [atoms.area_m2[atoms_of(atoms, 0, row)].sum() for row in (0, 1)] == pytest.approx([20_000.0, 20_000.0])
