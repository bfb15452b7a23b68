"""Three networks over a row of ten parcels, small enough to check by eye."""

import numpy as np
import pytest
import shapely

from gridsvc.errors import GridsvcError
from gridsvc.networks.merge import Parcels, merge_by_parcels


def codes(*items):
    made = np.empty(len(items), dtype=object)
    made[:] = items
    return made


def row_of_parcels(households, *, area=100.0):
    n = len(households)
    return Parcels(
        code=codes(*[f"P{i}" for i in range(n)]),
        geometry=shapely.box(np.arange(n) * 10.0, 0, np.arange(1, n + 1) * 10.0, 10),
        area_m2=np.full(n, area),
        households=np.asarray(households),
        population=np.asarray(households) * 2,
    )


PARCELS = row_of_parcels([50, 50, 0, 100, 100, 0])
SOCIAL = codes("A", "A", "A", "B", "B", "B")


def merged(security, parcels=PARCELS, social=SOCIAL):
    return merge_by_parcels(parcels, {"urban": parcels.code, "social": social, "security": security})


def test_merged_grids_continue_the_governance_grids_as_unions_of_parcels():
    net = merged(codes(*"XXXYYY"))

    assert net.code.tolist() == ["A", "B"]
    assert net.households.tolist() == [100, 200] and net.population.tolist() == [200, 400]
    assert net.area_m2.tolist() == [300.0, 300.0]
    assert shapely.coverage_is_valid(net.geometry)
    assert shapely.equals(shapely.coverage_union_all(net.geometry), shapely.box(0, 0, 60, 10))


def test_nested_networks_are_no_conflict():
    net = merged(codes(*"XXXYYZ"))

    assert net.conflicts == []
    assert net.responsible[1]["security"].code == "Y" and net.responsible[1]["security"].is_nested
    assert net.responsible[0]["urban"].grids == 3 and net.responsible[0]["urban"].is_nested
    assert net.responsible[0]["social"].share == 1.0


def test_the_grid_with_most_households_answers_and_the_dispute_is_listed():
    net = merged(codes("X", "Y", "Y", "Y", "Y", "Y"))

    disputed = {(c.unified_code, c.network): c.shares for c in net.conflicts}
    assert disputed == {("A", "security"): {"X": 0.5, "Y": 0.5}}
    # equal households: the larger area decides
    answer = net.responsible[0]["security"]
    assert (answer.code, answer.share, round(answer.area_share, 6)) == ("Y", 0.5, round(2 / 3, 6))
    assert net.responsible[1]["security"].share == 1.0


def test_where_nobody_lives_area_decides():
    net = merged(codes("X", "Y", "Y"), parcels=row_of_parcels([0, 0, 0]), social=codes("A", "A", "A"))

    assert net.responsible[0]["security"].code == "Y"
    assert [row.household_share for row in net.crosswalk if row.network == "security"] == [1.0, 1.0]


def test_crosswalk_shares_of_each_grid_add_up_to_one_and_keep_sums():
    net = merged(codes(*"XXYYYY"))

    for network in ("urban", "social", "security"):
        rows = [row for row in net.crosswalk if row.network == network]
        for code in {row.from_code for row in rows}:
            mine = [row for row in rows if row.from_code == code]
            assert sum(row.area_share for row in mine) == pytest.approx(1.0)
            assert sum(row.household_share for row in mine) == pytest.approx(1.0)
        assert sum(row.households for row in rows) == 300
        assert sum(row.area_m2 for row in rows) == pytest.approx(600.0)


def test_land_no_network_holds_is_told_apart_from_land_two_hold():
    net = merged(codes("X", None, "X", "Y", "Y", "Y"))

    assert [c.shares for c in net.conflicts] == [{"": 0.5, "X": 0.5}]
    assert net.responsible[0]["security"].code == "X"
    assert net.who_answers["security"].tolist() == ["X", None, "X", "Y", "Y", "Y"]


def test_parcels_outside_the_reference_network_belong_to_no_merged_grid():
    net = merged(codes(*"XXXYYY"), social=codes("A", "A", None, "B", "B", "B"))

    assert net.unified_of_parcel.tolist() == [0, 0, -1, 1, 1, 1]
    assert net.area_m2.tolist() == [200.0, 300.0]


def test_labels_must_fit_the_parcels():
    with pytest.raises(GridsvcError, match="another number of labels of security"):
        merged(codes("X"))
    with pytest.raises(GridsvcError, match="Network social has no grids"):
        merge_by_parcels(PARCELS, {"urban": PARCELS.code})
