"""Divisions in a real PostGIS: dated puts, reads at an instant, location, scope."""

from datetime import UTC, datetime

import pytest
import shapely
from factories.stored_town import COMMUNITIES, DISTRICT, LATER, START, STREETS, community_box, division_frame

from gridsvc.errors import CodeDuplicateError, CodeMalformedError, CrsMismatchError, ForbiddenError, GeometryError

pytestmark = pytest.mark.postgis


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    return uow


def test_what_is_put_comes_back(town):
    found = town.divisions.list("community", at=START)

    assert found["code"].tolist() == list(COMMUNITIES)
    assert found.crs.to_epsg() == 4490
    assert found.geometry.geom_type.unique().tolist() == ["MultiPolygon"]
    assert shapely.equals_exact(found.geometry.iloc[0], shapely.MultiPolygon([community_box(COMMUNITIES[0])]))
    assert found["urban_rural_class"].tolist() == [111, 111, 111, 112]


def test_one_division_comes_as_plain_values(town):
    found = town.divisions.get(COMMUNITIES[0], START)

    assert type(found["urban_rural_class"]) is int
    assert type(found["valid_from"]) is datetime and found["valid_to"] is None
    assert found["geometry"].geom_type == "MultiPolygon"
    assert town.divisions.get("420199", START) is None


def test_putting_the_same_again_changes_nothing(town):
    assert town.divisions.put_frame(division_frame(), LATER) == (0, 7)


def test_a_change_keeps_the_past(town):
    renamed = division_frame()
    renamed.loc[renamed["code"] == COMMUNITIES[0], "name"] = "新名社区"

    assert town.divisions.put_frame(renamed, LATER) == (1, 6)

    assert town.divisions.get(COMMUNITIES[0], at=START)["name"] != "新名社区"
    assert town.divisions.get(COMMUNITIES[0], at=LATER)["name"] == "新名社区"
    assert town.divisions.get(COMMUNITIES[0])["name"] == "新名社区"


def test_a_change_put_before_the_present_row_ends_where_that_begins(town):
    earlier = datetime(2025, 1, 1, tzinfo=UTC)
    past = division_frame(name="旧")

    assert town.divisions.put_frame(past, earlier) == (7, 0)

    assert town.divisions.get(DISTRICT, at=earlier)["valid_to"] == START
    assert town.divisions.get(DISTRICT, at=START)["name"] == "江汉区"


def test_nothing_is_in_force_before_it_begins(town):
    assert town.divisions.list(at=datetime(2025, 12, 31, tzinfo=UTC)).empty


def test_divisions_without_a_drawing_are_kept(uow):
    named = division_frame().drop(columns="geometry")

    assert uow.divisions.put_frame(named, START) == (7, 0)
    assert uow.divisions.list("district").geometry.isna().all()
    assert uow.divisions.bounds() is None


def test_a_border_point_is_in_the_community_with_the_smaller_code(town):
    shared = community_box(COMMUNITIES[0]).exterior.coords[1]

    assert town.divisions.at(*shared, START, "community") == COMMUNITIES[0]
    assert town.divisions.district_at(*shared, START) == DISTRICT
    assert town.divisions.district_at(0.0, 0.0, START) is None


def test_bounds_and_existing_codes(town):
    west, south, east, north = town.divisions.bounds(STREETS[0], START)

    assert (west, south) == pytest.approx(community_box(COMMUNITIES[0]).bounds[:2])
    assert (east, north) == pytest.approx(community_box(COMMUNITIES[1]).bounds[2:])
    assert town.divisions.exists([DISTRICT, "420199"], START) == {DISTRICT}


def test_a_scope_sees_its_own_only(town, open_uow):
    with open_uow(STREETS[0]) as limited:
        assert limited.divisions.list(at=START)["code"].tolist() == [STREETS[0], *COMMUNITIES[:2]]
        assert limited.divisions.list(prefix=STREETS[1], at=START).empty
        assert limited.divisions.get(COMMUNITIES[3], at=START) is None
        assert limited.divisions.exists(COMMUNITIES, START) == set(COMMUNITIES[:2])
        assert limited.divisions.at(*community_box(COMMUNITIES[3]).centroid.coords[0], START, "community") is None
        with pytest.raises(ForbiddenError, match="outside your area"):
            limited.divisions.put_frame(division_frame(), LATER)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        pytest.param(lambda f: f.assign(code=DISTRICT), CodeDuplicateError, id="a code twice"),
        pytest.param(lambda f: f.assign(level="street"), CodeMalformedError, id="code of another level"),
        pytest.param(lambda f: f.to_crs(4326), CrsMismatchError, id="another CRS"),
        pytest.param(
            lambda f: f.assign(
                geometry=shapely.MultiPolygon([shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])])
            ).set_crs(4490),
            GeometryError,
            id="a bow-tie",
        ),
        pytest.param(
            lambda f: f.assign(geometry=shapely.MultiPolygon()).set_crs(4490), GeometryError, id="an empty geometry"
        ),
        pytest.param(lambda f: f.assign(geometry=shapely.Point(114, 30)).set_crs(4490), GeometryError, id="a point"),
    ],
)
def test_bad_divisions_are_refused(uow, spoil, error):
    with pytest.raises(error):
        uow.divisions.put_frame(spoil(division_frame()), START)


def test_a_malformed_prefix_is_refused(uow):
    with pytest.raises(CodeMalformedError, match="not a division code"):
        uow.divisions.list(prefix="42%")
