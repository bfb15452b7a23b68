"""Dividing a stored district: exact across communities, stable on a rerun, one bad community does not stop the others."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely

from gridsvc.errors import ConflictError, NotFoundError
from gridsvc.geo.partitions import check_partition
from gridsvc.geo.projections import to_metric
from gridsvc.services.dividing import divide
from tests.factories.undivided_district import DISTRICT, EPSG, codes, put_district

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(days=30)

pytestmark = pytest.mark.postgis


@pytest.fixture
def district(uow):
    put_district(uow, AT)
    return uow


def run(uow, code=DISTRICT, at=AT, **options):
    return divide(uow, code, at=at, actor="test", **({"processes": 1} | options))


def test_a_district_is_divided_exactly_in_storage(district):
    result = run(district)

    units, grids = district.grids.list("urban", DISTRICT, AT), district.grids.list("social", DISTRICT, AT)
    assert (result.gap_area_m2, result.overlap_area_m2, result.buildings_cut, result.failed) == (0.0, 0.0, 0, [])
    assert (result.communities, result.unit_grids, result.governance_grids) == (4, len(units), len(grids))
    assert shapely.coverage_is_valid(units.geometry.to_numpy()) and shapely.coverage_is_valid(grids.geometry.to_numpy())
    assert set(units["parent_code"]) == set(grids["code"])
    whole = district.divisions.get(DISTRICT, AT)["geometry"]
    report = check_partition(to_metric([whole], EPSG)[0], to_metric(units.geometry.to_numpy(), EPSG))
    assert report.is_exact
    households = district.residences.list(DISTRICT)["households"].sum()
    assert units["households"].sum() == grids["households"].sum() == households


def test_codes_are_fifteen_digits_numbered_west_to_east_within_each_community(district):
    run(district)

    grids = district.grids.list("social", DISTRICT, AT)
    assert grids["code"].str.fullmatch(r"\d{15}").all()
    for community, members in grids.groupby("community_code"):
        assert members["code"].tolist() == [f"{community}{i:03d}" for i in range(1, len(members) + 1)]
        lon = shapely.get_x(shapely.point_on_surface(members.geometry.to_numpy()))
        assert (np.diff(lon) > -1e-6).all()


def test_a_second_run_changes_nothing(district):
    first = run(district)
    second = run(district, at=LATER)

    assert first.inserted == first.unit_grids + first.governance_grids
    assert (second.retired, second.inserted, second.redraws) == (0, 0, {})
    assert second.unchanged == first.inserted
    assert [sorted(n) for n in district.redraws.list(DISTRICT)["networks"]] == [["social", "urban"]]


def test_one_community_divided_again_fits_its_neighbours(district):
    run(district)
    again = run(district, codes()[0], at=LATER)

    assert (again.retired, again.inserted, again.redraws) == (0, 0, {})


def test_a_community_with_new_buildings_keeps_the_codes_of_grids_that_stay(district):
    run(district)
    before = district.grids.list("urban", codes()[0], AT)
    everything = district.residences.list(DISTRICT)
    tower = everything[everything["community_code"] == codes()[0]].iloc[[0]].assign(households=250, population=600)
    district.residences.put_frame(tower.drop(columns=["community_code", "entrance_lon", "entrance_lat"]))
    run(district, at=LATER)

    after = district.grids.list("urban", codes()[0], LATER)
    used_before = set(before["code"])
    fresh = set(after["code"]) - used_before
    assert all(code not in used_before for code in fresh)
    same = before.merge(after, on="code")
    assert shapely.coverage_is_valid(district.grids.list("urban", DISTRICT, LATER).geometry.to_numpy())
    assert len(same) + len(fresh) == len(after)
    assert district.grids.list("urban", codes()[0], AT)["code"].tolist() == before["code"].tolist()


def test_a_community_that_cannot_be_divided_is_listed_and_the_others_are_done(district, monkeypatch):
    from gridsvc.services import division_run

    bad = codes()[1]
    original = division_run.divide_community

    def refuse(community, rules, **how):
        if community.code == bad:
            raise ValueError("no luck")
        return original(community, rules, **how)

    monkeypatch.setattr(division_run, "divide_community", refuse)
    result = run(district)

    assert result.communities == 3
    assert [code for code, _ in result.failed] == [bad] and "no luck" in result.failed[0][1]
    assert bad not in set(district.grids.list("urban", DISTRICT, AT)["community_code"])


def test_processes_give_the_same_grids_as_one(uow):
    put_district(uow, AT, columns=3, rows=2)
    run(uow, processes=2)
    again = run(uow, at=LATER, processes=1)

    assert (again.retired, again.inserted) == (0, 0)


def test_a_draft_puts_nothing_in_force(district):
    result = run(district, draft=True)

    assert district.grids.list("urban", DISTRICT, AT).empty
    assert result.redraws["unit"] == result.redraws["governance"]
    drafted = district.redraws.grids(result.redraws["unit"])
    assert drafted["kind"].value_counts().to_dict() == {
        "unit": result.unit_grids,
        "governance": result.governance_grids,
    }
    assert set(district.redraws.list(DISTRICT)["state"]) == {"draft"}


def test_one_kind_alone_must_fit_the_other(district):
    with pytest.raises(ConflictError, match="would not fit"):
        run(district, kinds=("unit",))

    assert run(district, kinds=("governance",)).inserted == len(district.grids.list("social", DISTRICT, AT))
    run(district, kinds=("unit",))
    assert set(district.grids.list("urban", DISTRICT, AT)["parent_code"]) == set(
        district.grids.list("social", DISTRICT, AT)["code"]
    )


def test_a_district_nobody_imported_is_refused(uow):
    with pytest.raises(NotFoundError, match="No communities under 110101"):
        run(uow, "110101")
