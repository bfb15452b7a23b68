"""The gazetteer and what is found in it, on a real PostGIS."""

import os
from datetime import timedelta

import numpy as np
import pytest
from factories import addressed_town
from factories import stored_town as town
from sqlalchemy import text

from gridsvc.errors import DatumMissingError, ForbiddenError, OutsideCoverageError
from gridsvc.services.gazetteer import build_gazetteer, gazetteer_state, refresh_gazetteer
from gridsvc.services.geocoding import geocode
from gridsvc.services.reverse_geocoding import reverse_geocode
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis
AT = town.LATER


@pytest.fixture(scope="module")
def town_engine(postgis_server, template_database):
    """Engine of a database with the town and its gazetteer; made once, since no test here commits."""
    name = f"gridsvc_test_{os.getpid()}_geocoding"
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        addressed_town.put_addressed_town(uow)
        build_gazetteer(uow, at=AT)
        uow.commit()
    yield made
    made.dispose()
    postgis_server.drop(name)


@pytest.fixture
def connection(town_engine):
    """A connection to the town, in a transaction that is rolled back."""
    with town_engine.connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


@pytest.fixture
def built(uow):
    return uow


def first(uow, address, **how):
    found = geocode(uow, address, at=AT, **how)
    assert found, address
    return found[0]


def apart(candidate, place):
    return addressed_town.metres_apart(candidate.lon, candidate.lat, place)


def rows_of(uow):
    tables = ("gazetteer_places", "gazetteer_plates", "gazetteer_grams")
    return [uow.connection.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2, 3" if table != "gazetteer_grams" else f"SELECT * FROM {table} ORDER BY 1")).all() for table in tables]  # fmt: skip


@pytest.mark.parametrize(
    "written",
    [
        "南湖大道11号",
        "江汉区民族街道南湖大道１１号",
        "江汉区南湖大道十一号3单元501",
        "武汉市江汉区 南湖大道11号（蓝色大门）",
    ],
)
def test_a_known_door_is_found_however_it_is_written(built, written):
    found = first(built, written)

    assert (found.match_kind, found.place_kind) == ("door", "plate")
    assert apart(found, addressed_town.door(11)) < 0.1
    assert found.score > 0.9
    assert found.community_code == town.COMMUNITIES[0]
    assert found.address == "江汉区民族街道001001社区南湖大道11号"


def test_a_number_not_known_lies_between_its_neighbours_on_its_side(built):
    odd, even = first(built, "南湖大道51号"), first(built, "南湖大道52号")

    for found, number in ((odd, 51), (even, 52)):
        assert found.match_kind == "door_interpolated"
        assert apart(found, addressed_town.door(number)) < min(5.0, found.accuracy_m)
    assert odd.lat > addressed_town.MIDDLE > even.lat


def test_a_number_far_beyond_the_known_ones_is_only_its_street(built):
    assert {c.match_kind for c in geocode(built, "南湖大道899号", at=AT)} == {"street"}


def test_a_number_beyond_the_known_ones_says_how_little_is_known(built):
    found = first(built, "南湖大道101号")

    assert found.match_kind == "door_extrapolated"
    assert apart(found, addressed_town.door(101)) < found.accuracy_m


def test_a_street_without_its_number_scores_less_than_with_it(built):
    street = next(c for c in geocode(built, "南湖大道999号", at=AT) if c.match_kind == "street")

    assert street.score < first(built, "南湖大道11号").score - 0.2


def test_a_misspelt_street_is_still_found_with_a_lower_score(built):
    found = first(built, "南胡大道11号")

    assert found.match_kind == "door"
    assert apart(found, addressed_town.door(11)) < 0.1
    assert 0.5 < found.score < first(built, "南湖大道11号").score


def test_streets_cross_where_their_lines_do(built):
    found = first(built, "南湖大道与中兴路交叉口东北角")

    assert found.match_kind == "crossing"
    assert apart(found, (town.WEST + town.SIDE / 2, addressed_town.MIDDLE)) < 1.0
    assert found.address.endswith("与中兴路交叉口")


def test_streets_that_do_not_meet_make_no_crossing(built):
    assert all(c.match_kind == "street" for c in geocode(built, "南湖大道与北湖大道交叉口", at=AT))


def test_a_building_of_a_compound_is_told_apart_by_its_community(built):
    found = first(built, "001002社区蔷薇小区2栋1单元302室")

    assert found.match_kind == "building"
    assert found.community_code == town.COMMUNITIES[1]
    assert found.score > 0.9


def test_places_of_one_name_share_the_chance(built):
    found = geocode(built, "惠民菜场", at=AT)

    assert [c.match_kind for c in found] == ["poi", "poi"]
    assert all(c.score < 0.51 for c in found)


def test_the_nearer_of_two_places_comes_first_when_asked_near_it(built):
    east = town.community_box(town.COMMUNITIES[1]).centroid
    found = first(built, "惠民菜场", near=(east.x, east.y))

    assert found.community_code == town.COMMUNITIES[1]
    assert found.score > 0.5


def test_an_offset_moves_the_place_and_widens_the_accuracy(built):
    plain, moved = first(built, "民众乐园"), first(built, "民众乐园东侧100米")

    assert apart(moved, (plain.lon + 100 / addressed_town.METRES_LON, plain.lat)) < 1.0
    assert moved.accuracy_m > plain.accuracy_m


def test_a_community_alone_is_its_area(built):
    found = first(built, "江汉区民族街道001001社区")

    assert (found.match_kind, found.place_kind, found.community_code) == ("community", "region", town.COMMUNITIES[0])
    assert found.accuracy_m > 200


def test_another_city_is_no_match(built):
    uow = built
    uow.divisions.put_frame(_city(), town.START)
    build_gazetteer(uow, at=AT)

    assert first(uow, "武汉市南湖大道11号").score > 0.9
    assert first(uow, "上海市南湖大道11号").score < 0.6


def _city():
    shape = town.division_frame().geometry.iloc[:1]
    columns = {
        "code": ["4201"],
        "name": ["武汉市"],
        "level": ["city"],
        "parent_code": [None],
        "urban_rural_class": [None],
    }
    return town.frame(columns, shape)


@pytest.mark.parametrize(
    "written", ["", "，，", "不知道哪里", "99", "a'; DROP TABLE gazetteer_places; --", "\x00"], ids=repr
)
def test_what_is_no_address_has_no_place(built, written):
    assert geocode(built, written, at=AT) == []


def test_nothing_is_found_before_the_first_build(uow):
    uow.connection.execute(text("DELETE FROM gazetteer_builds"))

    assert geocode(uow, "南湖大道11号", at=AT) == []
    assert gazetteer_state(uow).build_id is None


def test_a_build_gives_the_same_rows_again(built):
    before = rows_of(built)

    build_gazetteer(built, at=AT + timedelta(days=1))

    assert rows_of(built) == before


def test_it_is_behind_once_a_source_changes_and_refreshed_then(built):
    assert refresh_gazetteer(built, at=AT) is None

    built.gazetteer.put_addresses(addressed_town.address_frame([51], address=["南湖大道51号"]), town.START)

    assert gazetteer_state(built).is_behind
    assert refresh_gazetteer(built, at=AT) is not None
    assert not gazetteer_state(built).is_behind
    assert first(built, "南湖大道51号").match_kind == "door"


def test_addresses_are_dated(built):
    renamed = addressed_town.address_frame([11], address=["南湖大道11甲号"], address_code=["D0011"])
    built.gazetteer.put_addresses(renamed, town.LATER)
    build_gazetteer(built, at=AT)

    earlier = geocode(built, "南湖大道11号", at=town.START)[0]
    assert (earlier.match_kind, earlier.parts["number"]) == ("door", 1.0)
    assert first(built, "南湖大道11甲号").parts["number"] == 1.0
    assert first(built, "南湖大道11号").parts["number"] < 1.0


def test_plates_of_one_number_far_apart_are_none(built):
    spots = addressed_town.address_frame([3, 97], address=["北湖大道5号", "北湖大道5号"], address_code=["X1", "X2"])
    built.gazetteer.put_addresses(spots, town.START)
    build_gazetteer(built, at=AT)

    assert first(built, "北湖大道5号").match_kind != "door"


def test_the_scope_hides_places_elsewhere(built, open_uow):
    with open_uow(town.STREETS[0]) as limited:
        assert first(limited, "南湖大道11号").community_code == town.COMMUNITIES[0]
        assert {c.community_code for c in geocode(limited, "蔷薇小区1栋", at=AT)} <= set(town.COMMUNITIES[:2])
        assert geocode(limited, "望湖幼儿园", at=AT) == []


def test_a_part_of_the_city_cannot_build_it(built, open_uow):
    with open_uow(town.DISTRICT) as limited, pytest.raises(ForbiddenError):
        build_gazetteer(limited, at=AT)


def test_a_point_is_told_in_words(built):
    lon, lat = addressed_town.door(11)

    place = reverse_geocode(built, lon + 8 / addressed_town.METRES_LON, lat, "cgcs2000", at=AT)

    assert place.phrase.startswith("江汉区民族街道001001社区南湖大道11号附近")
    assert [d["level"] for d in place.divisions] == ["district", "street", "community"]
    assert place.plate["distance_m"] == pytest.approx(8.0, abs=0.2)


def test_the_way_from_the_nearest_place_is_told(built):
    spot = town.community_box(town.COMMUNITIES[0]).centroid
    away = 150.0

    place = reverse_geocode(built, spot.x + away / addressed_town.METRES_LON, spot.y + away / addressed_town.METRES_LAT, "cgcs2000", at=AT)  # fmt: skip

    assert place.phrase.endswith("民众乐园东北方向约210米")
    assert (place.nearest["name"], place.nearest["direction"]) == ("民众乐园", "东北")


def test_a_point_needs_its_datum_and_something_near(built):
    with pytest.raises(DatumMissingError):
        reverse_geocode(built, town.WEST, town.SOUTH, None, at=AT)
    with pytest.raises(OutsideCoverageError):
        reverse_geocode(built, 100.0, 40.0, "wgs84", at=AT)


def test_every_geocoded_door_reverses_to_itself(built):
    for number in np.random.default_rng(3).choice(addressed_town.NUMBERS, 5, replace=False):
        found = first(built, f"南湖大道{number}号")

        assert reverse_geocode(built, found.lon, found.lat, "cgcs2000", at=AT).plate["number"] == str(number)
