"""Service circles of a stored town."""

import pytest
import shapely

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.travel_times import nearest_times
from gridsvc.errors import (
    CoordinateError,
    DatumMissingError,
    GeometryError,
    NotFoundError,
    OutsideCoverageError,
    RequestInvalidError,
)
from gridsvc.geo.datums import convert
from gridsvc.geo.projections import area_m2
from gridsvc.services import walk_networks
from gridsvc.services.circle_gaps import list_gaps
from gridsvc.services.circles import (
    build_network,
    circle_standards,
    isochrone_features,
    isochrones_of,
    run_circle,
    walk_start,
)
from tests.factories.stored_town import COMMUNITIES, DISTRICT, LATER, SIDE, SOUTH, START, STREETS, WEST, division_frame
from tests.factories.walking_town import EPSG, MIDDLE, homes, put_town, shops, walking_streets

pytestmark = pytest.mark.postgis

STANDARD = "beijing-convenience"
KINDS = list(circle_standards()[STANDARD].codes)
SOUTH_WEST = (WEST + SIDE / 2, SOUTH + SIDE / 2)


@pytest.fixture
def town(uow):
    put_town(uow, shops(KINDS, [MIDDLE]))
    return uow


def test_network_is_stored_once(town):
    first = build_network(town, DISTRICT, START)
    again = build_network(town, DISTRICT, LATER)

    assert (first.nodes, first.edges, first.components) == (13 * 15, 12 * 15 + 13 * 14, 1)
    assert not first.is_reused
    assert again.is_reused
    assert again.walk_network_id == first.walk_network_id
    assert len(town.walk_networks.edges(first.walk_network_id)) == first.edges


def test_changed_street_gives_another_snapshot(town):
    first = build_network(town, DISTRICT, START)
    closed = walking_streets()
    closed.loc[0, "street_class"] = "motorway"
    town.streets.put_frame(closed)

    second = build_network(town, DISTRICT, LATER)

    assert second.edges == first.edges - 1
    assert second.walk_network_id != first.walk_network_id


def test_network_of_a_street_office_reaches_over_its_border(town):
    whole = build_network(town, DISTRICT, START)
    part = build_network(town, STREETS[0], START, margin_m=200.0)

    assert whole.edges // 2 < part.edges < whole.edges


def test_run_stores_what_it_returns(town):
    result = run_circle(town, DISTRICT, at=START, standard=STANDARD)

    stored = town.circle_runs.latest(DISTRICT)
    times = town.circle_runs.times(result.circle_run_id)
    assert (result.residences, result.facilities, result.kinds, result.population) == (16, 8, 8, 16 * 90)
    assert stored["circle_run_id"] == result.circle_run_id
    assert stored["coverage"]["qualified_communities"] == result.qualified_communities
    assert set(stored["coverage"]["communities"]) == set(COMMUNITIES)
    assert len(times) == 16
    assert result.doubts.residences_without_entrance == 8
    assert result.doubts.kinds_without_facilities == ()
    assert 0 < result.population_covered["J01"] < result.population


def test_stored_times_equal_those_of_the_stored_network(town):
    result = run_circle(town, DISTRICT, at=START, standard=STANDARD)
    stored = town.walk_networks.latest(DISTRICT)
    network = walk_networks._load(town, stored, START).network
    doors = homes()
    doors = doors[doors["entrance_lon"].notna()]
    xy = walk_networks.metric_xy(shapely.points(doors[["entrance_lon", "entrance_lat"]].to_numpy()), EPSG)
    shop = walk_networks.metric_xy(shapely.points([MIDDLE]), EPSG)

    expected = nearest_times(network, attach_points(network, xy), attach_points(network, shop), [0], 1)

    times = town.circle_runs.times(result.circle_run_id).set_index("residence_code")["walk_s"]
    for code, seconds in zip(doors["residence_code"], expected[:, 0], strict=True):
        assert times[code].get("J01", float("inf")) == pytest.approx(seconds, abs=0.06)


def test_same_run_is_not_stored_twice(town):
    first = run_circle(town, DISTRICT, at=START, standard=STANDARD)
    again = run_circle(town, DISTRICT, at=START, standard=STANDARD)
    slower = run_circle(town, DISTRICT, at=START, standard=STANDARD, speed_m_s=0.8)

    assert again.circle_run_id == first.circle_run_id
    assert slower.circle_run_id != first.circle_run_id
    assert slower.population_covered["J01"] <= first.population_covered["J01"]


def test_facility_beyond_the_border_counts(uow):
    put_town(uow, shops(KINDS, [(WEST + SIDE / 2, SOUTH + SIDE + 0.0005)]))

    result = run_circle(uow, COMMUNITIES[0], at=START, standard=STANDARD)

    assert result.facilities == 8
    assert result.population_covered["J01"] > 0


def test_facility_of_another_time_does_not_count(town):
    town.facilities.put_frame(
        shops(KINDS, [SOUTH_WEST]).assign(facility_code=lambda f: "N" + f["facility_code"]), LATER
    )

    assert run_circle(town, DISTRICT, at=START, standard=STANDARD).facilities == 8
    assert run_circle(town, DISTRICT, at=LATER, standard=STANDARD).facilities == 16


def test_gaps_name_what_is_lacking(uow):
    put_town(uow, shops(KINDS[1:], [SOUTH_WEST]))
    run_circle(uow, DISTRICT, at=START, standard=STANDARD)

    gaps = list_gaps(uow, DISTRICT, at=START)
    part = list_gaps(uow, COMMUNITIES[0], at=START)

    assert len(gaps.residences) == 16
    assert all("J01" in gap.lacking for gap in gaps.residences)
    assert gaps.people_without["J01"] == 16 * 90
    assert gaps.kinds["J01"] == "蔬菜零售"
    assert {gap.community_code for gap in gaps.communities} == set(COMMUNITIES)
    nearest = next(gap for gap in part.communities if gap.community_code == COMMUNITIES[0])
    assert nearest.lacking == ("J01",)
    assert nearest.name
    assert {gap.community_code for gap in part.residences} == {COMMUNITIES[0]}


def test_gaps_without_a_run_say_how_to_get_one(town):
    with pytest.raises(NotFoundError, match=f"gridsvc circle coverage {DISTRICT}"):
        list_gaps(town, DISTRICT, at=START)


def test_gaps_of_a_district_are_not_those_of_one_street(town):
    run_circle(town, STREETS[0], at=START, standard=STANDARD)

    with pytest.raises(NotFoundError):
        list_gaps(town, DISTRICT, at=START)


def isochrone(uow, lon, lat, datum, minutes=(5, 10, 15)):
    return isochrones_of(walk_start(uow, lon, lat, datum, at=START), minutes)


def test_isochrones_nest_and_hold_the_start(town):
    build_network(town, DISTRICT, START)

    areas = isochrone(town, *MIDDLE, "cgcs2000")

    assert [found.minutes for found in areas] == [5, 10, 15]
    shapes = [found.area for found in areas]
    assert [found.area_m2 for found in areas] == pytest.approx(area_m2(shapes).tolist(), rel=1e-3)
    assert all(area.is_valid for area in shapes)
    assert shapes[0].covers(shapely.Point(MIDDLE))
    assert shapely.difference(shapes[0], shapes[1]).area < 1e-14
    assert shapely.difference(shapes[1], shapes[2]).area < 1e-14


def test_isochrone_of_gcj02_is_that_of_the_place_meant(town):
    build_network(town, DISTRICT, START)
    lon, lat = convert(*MIDDLE, "cgcs2000", "gcj02")

    shifted = isochrone(town, float(lon), float(lat), "gcj02", [10])[0].area
    plain = isochrone(town, *MIDDLE, "cgcs2000", [10])[0].area

    assert shapely.symmetric_difference(shifted, plain).area < 0.001 * plain.area


def test_isochrone_is_the_same_after_a_new_build(town):
    build_network(town, DISTRICT, START)
    before = isochrone(town, *MIDDLE, "wgs84")
    walk_networks._recent = walk_networks._RecentNetworks()

    assert isochrone(town, *MIDDLE, "wgs84") == before


def test_isochrone_features_are_geojson_longest_first(town):
    build_network(town, DISTRICT, START)

    collection = isochrone_features(isochrone(town, *MIDDLE, "wgs84", [5, 15]), 1.1)

    assert [feature["properties"]["minutes"] for feature in collection["features"]] == [15, 5]
    assert collection["features"][0]["geometry"]["type"] == "MultiPolygon"
    assert collection["features"][0]["properties"]["area_m2"] > collection["features"][1]["properties"]["area_m2"]


@pytest.mark.parametrize(
    ("place", "datum", "minutes", "error"),
    [
        (MIDDLE, "", [5], DatumMissingError),
        ((SOUTH, WEST), "wgs84", [5], CoordinateError),
        ((float("nan"), 30.6), "wgs84", [5], CoordinateError),
        ((116.4, 39.9), "wgs84", [5], OutsideCoverageError),
        (MIDDLE, "wgs84", [5], NotFoundError),
    ],
    ids=["no datum", "swapped", "not a number", "elsewhere", "no network"],
)
def test_impossible_isochrones_are_refused(town, place, datum, minutes, error):
    with pytest.raises(error):
        isochrone(town, *place, datum, minutes)


@pytest.mark.parametrize("minutes", [[], [0], [61]], ids=["no minutes", "zero minutes", "too long"])
def test_impossible_minutes_are_refused(town, minutes):
    build_network(town, DISTRICT, START)

    with pytest.raises(RequestInvalidError):
        isochrone(town, *MIDDLE, "wgs84", minutes)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"standard": "none"}, NotFoundError),
        ({"standard": STANDARD, "speed_m_s": 0.0}, RequestInvalidError),
        ({"standard": STANDARD, "speed_m_s": float("nan")}, RequestInvalidError),
        ({"standard": STANDARD, "limit_s": 600.0}, RequestInvalidError),
        ({"standard": STANDARD, "limit_s": 90_000.0}, RequestInvalidError),
    ],
)
def test_impossible_runs_are_refused(town, options, error):
    with pytest.raises(error):
        run_circle(town, DISTRICT, at=START, **options)


def test_division_that_is_not_there_is_refused(town):
    with pytest.raises(NotFoundError, match="420199 has no boundary"):
        build_network(town, "420199", START)


def test_town_without_streets_is_refused(uow):
    uow.divisions.put_frame(division_frame(), START)

    with pytest.raises(GeometryError, match="no walkable street"):
        build_network(uow, DISTRICT, START)


def test_town_without_homes_is_refused(uow):
    uow.divisions.put_frame(division_frame(), START)
    uow.streets.put_frame(walking_streets())

    with pytest.raises(NotFoundError, match="no residences"):
        run_circle(uow, DISTRICT, at=START)


def farthest_walk(uow, facilities):
    """Return the run of a town with these facilities, and the seconds to the nearest of kind J01 by residence."""
    put_town(uow, facilities)
    result = run_circle(uow, DISTRICT, at=START, standard=STANDARD)
    times = uow.circle_runs.times(result.circle_run_id).set_index("residence_code")["walk_s"]
    return result, {code: walk["J01"] for code, walk in times.items() if "J01" in walk}


def test_a_facility_is_reached_by_the_nearest_of_its_entrances(uow, open_uow):
    gates = [SOUTH_WEST, (WEST + 1.5 * SIDE, SOUTH + 1.5 * SIDE)]
    one = shops(["J01"], [MIDDLE]).assign(entrances=[shapely.MultiPoint(gates)])
    each = shops(["J01"], gates)

    result, by_entrance = farthest_walk(uow, one)
    with open_uow() as other:
        several, by_point = farthest_walk(other, each)

    assert (result.facilities, several.facilities) == (1, 2)
    assert by_entrance == by_point != {}


def test_an_area_without_entrances_is_reached_from_its_outline_and_the_doubt_is_told(uow, open_uow):
    ground = shapely.box(WEST + 0.004, SOUTH + 0.004, WEST + 0.014, SOUTH + 0.014)
    park = shops(["J01"], [MIDDLE]).assign(area=[ground])

    result, from_outline = farthest_walk(uow, park)
    with open_uow() as other:
        _, from_middle = farthest_walk(other, shops(["J01"], [MIDDLE]).assign(area=[None]))

    assert (result.facilities, result.doubts.areas_without_entrance, result.doubts.facilities_unattached) == (1, 1, 0)
    assert len(from_outline) >= len(from_middle)
    outside = [code for code, s in from_middle.items() if s > 600]
    assert outside and all(from_outline[code] < from_middle[code] - 60 for code in outside)


def test_an_area_far_from_every_street_is_counted_once(uow):
    put_town(uow, shops(["J01"], [MIDDLE]))
    island = shapely.box(WEST - 0.006, SOUTH, WEST - 0.005, SOUTH + 0.001)
    lost = shops(["J02"], [(WEST - 0.0055, SOUTH + 0.0005)]).assign(area=[island], facility_code="X1")
    uow.facilities.put_frame(lost, START)

    assert run_circle(uow, DISTRICT, at=START, standard=STANDARD).doubts.facilities_unattached == 1
