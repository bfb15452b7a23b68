"""Best sites, missing gates and scenarios of a stored town: agree with coverage runs of the town as it would be."""

import json
import os

import geopandas
import numpy as np
import pytest
import shapely
from sqlalchemy import text

from gridsvc.circle.own_standards import own_standard
from gridsvc.errors import (
    CodeDuplicateError,
    ConflictError,
    CoordinateError,
    DatumMissingError,
    FileUnreadableError,
    GeometryError,
    NotFoundError,
    OutsideCoverageError,
    RequestInvalidError,
)
from gridsvc.geo.projections import to_storage
from gridsvc.services import circle_sandboxes
from gridsvc.services.circle_gates import rank_gates
from gridsvc.services.circle_sandboxes import Walkers, kind_limits
from gridsvc.services.circle_scenarios import (
    AddFacility,
    AddPath,
    CloseFacility,
    CloseGate,
    MoveFacility,
    OpenGate,
    run_scenario,
)
from gridsvc.services.circle_siting import SitingWish, choose_sites, read_candidates
from gridsvc.services.circles import run_circle
from gridsvc.services.walk_networks import build_network
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from tests.factories.stored_town import COMMUNITIES, DISTRICT, SOUTH, START, STREETS, WEST, frame
from tests.factories.walking_town import EPSG, MIDDLE, block_estate, metric, put_estate, put_town, shops

pytestmark = pytest.mark.postgis

KINDS = ["J01", "J02"]
STANDARD = "beijing-convenience"
CORNER = (114.2502, 30.5802)
EVERYBODY = 16 * 90


@pytest.fixture(scope="module")
def town_engine(postgis_server, template_database):
    """Engine of a database with a walled estate in the middle of a town with one shop of each kind; filled once, nothing here commits."""
    name = f"gridsvc_test_{os.getpid()}_siting"
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        put_town(uow, shops(KINDS, [MIDDLE]))
        put_estate(uow)
        build_network(uow, DISTRICT, START)
        uow.commit()
    yield made
    made.dispose()
    postgis_server.drop(name)


@pytest.fixture
def connection(town_engine):
    with town_engine.connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


@pytest.fixture
def town(uow):
    return uow


def sites(uow, code=DISTRICT, places=None, walkers=None, **wish):
    asked = SitingWish("J01", **({"minutes": 5} | wish))
    return choose_sites(uow, code, asked, at=START, walkers=walkers or Walkers(), places=places)


def scenario(uow, *changes, code=DISTRICT, datum="cgcs2000", kinds=KINDS, minutes=5, walkers=None, **asked):
    return run_scenario(
        uow, code, changes, datum=datum, at=START, walkers=walkers or Walkers(), kinds=kinds, minutes=minutes, **asked
    )


def covered(uow, kind, limit_s, **options):
    """Return the people whom a coverage run of the town as it is now finds within a limit of a kind."""
    run = run_circle(uow, DISTRICT, at=START, standard=STANDARD, **options)
    times = uow.circle_runs.times(run.circle_run_id)
    return 90 * sum(walk_s.get(kind, np.inf) <= limit_s for walk_s in times["walk_s"])


def stored(uow, code, kind, place):
    uow.facilities.put_frame(shops([kind], [place]).assign(facility_code=code), START)


# sites ------------------------------------------------------------------------------------------


def test_a_site_brings_what_a_run_with_a_facility_there_finds(town):
    before = covered(town, "J01", 300.0)

    found = sites(town)

    (site,) = found.sites
    assert (found.before, found.after) == (before, before + site.gain)
    assert site.gain > 0 and site.rank == 1 and site.community_code in COMMUNITIES and site.community_name
    assert found.facts["total"] == EVERYBODY and site.share_after == round(found.after / EVERYBODY, 4)
    stored(town, "NEW", "J01", (site.lon, site.lat))
    assert covered(town, "J01", 300.0) == found.after


def test_exact_is_at_least_greedy_and_both_state_how_far_from_the_best(town):
    greedy, exact = sites(town, sites=3), sites(town, sites=3, method="exact")

    assert greedy.candidates == exact.candidates > 100
    assert greedy.after <= exact.after <= greedy.bound
    assert exact.is_proven and exact.gap == 0.0
    assert greedy.gap == pytest.approx((greedy.bound - greedy.after) / greedy.bound)


def test_fewest_sites_for_a_share_and_least_time_walked(town):
    few = sites(town, share=0.9, method="exact")
    near = sites(town, sites=2, by_time=True)

    assert (few.aim, few.value) == ("share", len(few.sites)) and few.after >= 0.9 * EVERYBODY
    assert near.aim == "median" and near.after < near.before <= EVERYBODY * 300 / 3600
    assert sum(site.gain for site in near.sites) == pytest.approx(near.before - near.after, abs=0.02)
    assert [site.share_after for site in near.sites] == [None, None]


def test_residences_are_candidates_where_no_facility_of_the_kind_is(town):
    assert sites(town, candidates="residences").candidates == 16

    home = town.residences.list().geometry[5].centroid
    stored(town, "AT-HOME", "J01", (home.x, home.y))
    found = sites(town, candidates="residences")

    assert found.candidates == 15
    assert found.sites[0].name.startswith("H")


def test_street_points_lie_in_the_division_asked_for(town):
    found = sites(town, code=STREETS[0], sites=5, spacing_m=50)

    assert found.sites and all(site.community_code.startswith(STREETS[0]) for site in found.sites)
    assert found.candidates < sites(town, spacing_m=50).candidates


@pytest.mark.parametrize(("weight", "total"), [("population", 16 * 90), ("households", 16 * 30), ("residences", 16)])
def test_people_households_or_residences_count(town, weight, total):
    found = sites(town, walkers=Walkers(weight=weight))

    assert found.facts["total"] == total
    assert found.sites[0].gain % (total / 16) == 0


def test_candidates_of_a_file_have_names_and_capacities(town, tmp_path):
    path = tmp_path / "places.csv"
    path.write_text(
        f"name,lon,lat,capacity\n甲,{CORNER[0]},{CORNER[1]},90\n乙,{MIDDLE[0]},{MIDDLE[1]},1000\n远,114.9,30.1,5\n"
    )

    found = sites(town, places=read_candidates(path, "cgcs2000"), sites=2)

    assert (found.candidates, found.candidates_without_street, found.candidates_from) == (3, 1, "given")
    assert [(site.name, site.candidate, site.gain) for site in found.sites] == [("甲", 1, 90.0)]


def test_one_capacity_holds_for_all_sites(town):
    assert [site.gain for site in sites(town, sites=2, capacity=100).sites] == [100.0, 100.0]


def test_points_of_a_geojson_file_are_candidates(town, tmp_path):
    path = tmp_path / "places.geojson"
    geopandas.GeoDataFrame({"code": ["A7"]}, geometry=[shapely.Point(CORNER)], crs=4490).to_file(path)

    assert [site.name for site in sites(town, places=read_candidates(path, "file")).sites] == ["A7"]


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("name\n甲\n", FileUnreadableError, "lon and lat"),
        ("lon,lat\n114.25,here\n", CoordinateError, "row 1"),
        ("lon,lat,capacity\n114.25,30.58,-3\n", RequestInvalidError, "capacity"),
        ("lon,lat\n30.58,114.25\n", CoordinateError, "swapped"),
    ],
)
def test_files_that_give_no_candidates_are_refused(tmp_path, content, error, says):
    path = tmp_path / "places.csv"
    path.write_text(content)

    with pytest.raises(error, match=says):
        read_candidates(path, "wgs84")


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"method": "best"}, RequestInvalidError),
        ({"candidates": "parks"}, RequestInvalidError),
        ({"sites": 0}, RequestInvalidError),
        ({"share": 0.5, "by_time": True}, RequestInvalidError),
        ({"share": 1.5}, RequestInvalidError),
        ({"spacing_m": 0.5}, RequestInvalidError),
        ({"capacity": 0}, RequestInvalidError),
        ({"capacity": 50, "by_time": True}, RequestInvalidError),
        ({"minutes": 90}, RequestInvalidError),
        ({"minutes": 30}, RequestInvalidError),  # the network does not reach so far around the town
        ({"code": "420199"}, NotFoundError),
        ({"walkers": Walkers(speed_m_s=9.0)}, RequestInvalidError),
        ({"walkers": Walkers(hour=25.0)}, RequestInvalidError),
        ({"walkers": Walkers(weight="dogs")}, RequestInvalidError),
        ({"walkers": Walkers(network_id=10**9)}, NotFoundError),
    ],
)
def test_wishes_that_are_impossible_are_refused(town, wish, error):
    with pytest.raises(error):
        sites(town, **wish)


def test_too_many_candidates_are_refused(town, monkeypatch):
    from gridsvc.services import circle_siting

    monkeypatch.setattr(circle_siting, "MOST_CANDIDATES", 10)

    with pytest.raises(RequestInvalidError, match="candidates in"):
        sites(town)


def test_without_a_network_it_is_said_how_to_build_one(town):
    town.connection.execute(text("DELETE FROM walk_networks"))

    with pytest.raises(NotFoundError, match="gridsvc circle build 420103"):
        sites(town)


def test_a_network_of_another_place_is_refused(town):
    own = town.walk_networks.latest(DISTRICT)["walk_network_id"]
    build_network(town, STREETS[0], START)
    part = town.walk_networks.latest(STREETS[0])["walk_network_id"]

    assert sites(town).facts["walk_network_id"] == own
    assert sites(town, code=STREETS[0], walkers=Walkers(network_id=own)).facts["walk_network_id"] == own
    with pytest.raises(RequestInvalidError, match="not of 420103"):
        sites(town, walkers=Walkers(network_id=part))


def test_minutes_come_from_the_standard_the_catalogue_or_the_planner(uow):
    assert kind_limits(uow, ["G1501"]) == {"G1501": 900.0}
    assert kind_limits(uow, ["G1501"], minutes=7) == {"G1501": 420.0}
    required = kind_limits(uow, standard=STANDARD)
    assert list(required)[:2] == ["J01", "J02"] and set(required.values()) == {900.0}
    with pytest.raises(RequestInvalidError, match="X99"):
        kind_limits(uow, ["X99"])
    with pytest.raises(RequestInvalidError, match="twice"):
        kind_limits(uow, ["J01", "J01"])
    with pytest.raises(NotFoundError, match="gb50180-15"):
        kind_limits(uow, standard="none")


def test_an_own_list_counts_as_given_or_as_a_run_keeps_it(town):
    parsed = {"id": "own-list", "kinds": [{"code": "J02", "minutes": 5}, {"code": "J01", "required": "no"}]}
    rules = own_standard(parsed, known_kinds={"J01", "J02"}, taken=(), where="own.json")
    run_circle(town, DISTRICT, at=START, standard=rules)

    assert kind_limits(town, standard=rules) == kind_limits(town, standard="own-list") == {"J02": 300.0}


def test_facilities_beyond_the_area_of_the_caller_count(town, open_uow):
    with open_uow(STREETS[0]) as scoped:
        found = sites(scoped, code=STREETS[0])

    assert found.before == sites(town, code=STREETS[0]).before
    assert found.facts["kinds"]["J01"]["facilities"] == 1


# gates ------------------------------------------------------------------------------------------


def test_the_missing_gate_brings_what_a_run_with_it_open_finds(town):
    found = rank_gates(town, DISTRICT, ["J01"], at=START, walkers=Walkers(), minutes=12)

    best = found.ranked[0]
    assert found.gates == 3 and best.gate_code == "" and best.compound_code == "E1"
    assert [gate.gain for gate in found.ranked] == sorted((gate.gain for gate in found.ranked), reverse=True)
    before = covered(town, "J01", 720.0)
    opened = scenario(town, OpenGate(at=(best.lon, best.lat)), kinds=["J01"], minutes=12)
    assert (opened.kinds[0].before, opened.kinds[0].after) == (before, before + best.gain)
    assert best.gain_by_kind == {"J01": best.gain} and best.complete == best.gain > 0


def test_gates_closed_at_an_hour_are_ranked(town):
    by_night = rank_gates(town, DISTRICT, ["J01"], at=START, walkers=Walkers(hour=23.0), minutes=15)

    assert by_night.gates == 4
    assert "G1" in {gate.gate_code for gate in by_night.ranked}
    assert len(rank_gates(town, DISTRICT, ["J01"], at=START, walkers=Walkers(hour=23.0), most=1).ranked) == 1


def test_without_walls_there_is_no_gate_to_open(town):
    town.connection.execute(text("DELETE FROM compounds"))
    build_network(town, DISTRICT, START)

    found = rank_gates(town, DISTRICT, ["J01"], at=START, walkers=Walkers())

    assert (found.gates, found.helpful, found.ranked) == (0, 0, ())


# scenarios --------------------------------------------------------------------------------------


def test_added_moved_and_closed_facilities_do_what_a_run_would_find(town):
    stored(town, "OLD", "J01", CORNER)
    before = covered(town, "J01", 300.0)
    to = (MIDDLE[0] + 0.0095, MIDDLE[1] - 0.0095)  # where nobody lives

    found = scenario(
        town, AddFacility("J01", CORNER, "NEW"), MoveFacility("NEW", to), CloseFacility("OLD"), kinds=["J01"]
    )

    uow = town
    uow.facilities.put_frame(shops(["J01"], [to]).assign(facility_code="OLD"), START.replace(hour=6))
    at = START.replace(hour=7)
    run = run_circle(uow, DISTRICT, at=at, standard=STANDARD)
    times = uow.circle_runs.times(run.circle_run_id)
    after = 90 * sum(walk_s.get("J01", np.inf) <= 300.0 for walk_s in times["walk_s"])
    assert (found.kinds[0].before, found.kinds[0].after) == (before, after) and before != after
    assert found.changes == ("add J01 as NEW", "move NEW", "close OLD")
    assert found.nearer == 0.0 < found.farther
    assert (found.total, found.complete_before, found.complete_after) == (EVERYBODY, before, after)


def test_a_facility_of_several_entrances_opens_moves_and_closes_as_one(town):
    far = (2 * MIDDLE[0] - CORNER[0], 2 * MIDDLE[1] - CORNER[1])
    entrances = shapely.MultiPoint([CORNER, far])
    town.facilities.put_frame(shops(["J01"], [CORNER]).assign(facility_code="TWO", entrances=[entrances]), START)
    before, without = covered(town, "J01", 300.0), scenario(town, CloseFacility("TWO"), kinds=["J01"]).kinds[0]
    moved = scenario(town, MoveFacility("TWO", CORNER), kinds=["J01"]).kinds[0]

    assert without.before == moved.before == before
    town.facilities.put_frame(
        shops(["J01"], [CORNER]).assign(facility_code="TWO", entrances=None), START.replace(hour=6)
    )
    run = run_circle(town, DISTRICT, at=START.replace(hour=7), standard=STANDARD)
    times = town.circle_runs.times(run.circle_run_id)
    assert moved.after == 90 * sum(walk_s.get("J01", np.inf) <= 300.0 for walk_s in times["walk_s"])
    assert without.after < moved.after < before


def test_communities_and_residences_tell_who_walks_another_time(town):
    found = scenario(town, AddFacility("J01", CORNER))

    assert [row.community_code for row in found.communities] == [COMMUNITIES[0]]
    (community,) = found.communities
    assert community.kinds["J01"][0] < community.kinds["J01"][1] and set(community.kinds) == {"J01"}
    assert community.community_name and community.total == 4 * 90
    assert {row.residence_code for row in found.residences} <= {f"H{i:04d}" for i in range(4)}
    assert all(row.after_s < (row.before_s or np.inf) and row.kind_code == "J01" for row in found.residences)
    assert json.dumps(found.facts)


def test_a_facility_of_a_kind_not_asked_for_is_looked_at_too(town):
    found = scenario(town, AddFacility("G1501", CORNER), kinds=(), minutes=None, standard=STANDARD)

    assert [row.kind_code for row in found.kinds][-1] == "G1501"
    assert found.kinds[-1].before == 0.0 < found.kinds[-1].after


@pytest.fixture
def across(town):
    """A shop in the middle of a block's side, and a path to it that begins in the middle of another: metric points in EPSG:4490."""
    points = to_storage(shapely.points(metric(WEST, SOUTH) + np.array([[440.0, 320.0], [800.0, 680.0]])), EPSG)
    begin, end = ((point.x, point.y) for point in points)
    stored(town, "NEW", "J01", end)
    return begin, end


def test_a_path_from_block_to_block_is_as_if_it_were_a_street(town, across):
    nearer = scenario(town, AddPath(across), kinds=["J01"], minutes=15)
    (home,) = nearer.residences
    limit_s = (home.before_s + home.after_s) / 2  # within by the path only

    found = scenario(town, AddPath(across), kinds=["J01"], minutes=limit_s / 60.0)

    assert found.changes == ("add a path of 509 m",)
    assert (nearer.nearer, nearer.farther) == (90.0, 0.0)
    before = covered(town, "J01", limit_s)
    street = {"street_code": ["X1"], "name": "", "street_class": "footway", "is_walkable": True, "layer": 0}
    town.streets.put_frame(frame(street, [shapely.LineString(across)]))
    assert (found.kinds[0].before, found.kinds[0].after) == (before, covered(town, "J01", limit_s))
    assert found.kinds[0].after == before + 90


def test_a_path_that_takes_long_is_of_no_use(town, across):
    assert scenario(town, AddPath(across, penalty_s=60.0)).nearer == 0.0


def test_closing_the_only_gate_takes_everything_away_and_opening_gives_it_back(town):
    closed = scenario(town, CloseGate("G1"), minutes=15)
    nothing = scenario(town, CloseGate("G1"), OpenGate("G1"), minutes=15)

    assert closed.farther > 0 and closed.kinds[0].after < closed.kinds[0].before
    assert any(row.after_s is None for row in closed.residences)
    assert (nothing.nearer, nothing.farther, nothing.residences) == (0.0, 0.0, ())


def test_times_are_computed_once_for_the_same_town(town, monkeypatch):
    made = []
    first = scenario(town, AddFacility("J01", CORNER))
    monkeypatch.setattr(circle_sandboxes, "_live_times_of", made.append)

    again = scenario(town, AddFacility("J01", CORNER))

    assert made == []
    assert (again.kinds, again.residences) == (first.kinds, first.residences)


def test_a_refused_scenario_leaves_the_times_as_they_were(town):
    before = scenario(town, AddFacility("J01", CORNER))
    with pytest.raises(NotFoundError):
        scenario(town, AddFacility("J02", CORNER), CloseFacility("GONE"))

    assert scenario(town, AddFacility("J01", CORNER)).kinds == before.kinds


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ([], RequestInvalidError, "0 changes"),
        ([CloseFacility("GONE")], NotFoundError, "Change 1: there is no facility 'GONE'"),
        ([CloseFacility("S0000"), CloseFacility("S0000")], ConflictError, "Change 2"),
        ([AddFacility("J01", CORNER, "S0000")], CodeDuplicateError, "S0000"),
        ([AddFacility("G1501", CORNER)], RequestInvalidError, "not looked at"),
        ([AddFacility("J01", (115.0, 30.0))], OutsideCoverageError, "no street lies near"),
        ([AddFacility("J01", (30.58, 114.25))], CoordinateError, "swapped"),
        ([OpenGate("G9")], NotFoundError, "no gate 'G9'"),
        ([OpenGate(at=CORNER)], NotFoundError, "within 30 m"),
        ([OpenGate()], RequestInvalidError, "by its code or by a position"),
        ([OpenGate("G1", CORNER)], RequestInvalidError, "by its code or by a position"),
        ([AddPath((CORNER,))], GeometryError, "1 positions"),
        ([AddPath((CORNER, CORNER))], GeometryError, "ends where it begins"),
        ([AddPath((CORNER, (114.9, 30.58)))], GeometryError, "ends more than 50 m"),
        ([AddPath((CORNER, MIDDLE), penalty_s=-1.0)], RequestInvalidError, "no time"),
    ],
)
def test_changes_that_cannot_be_made_are_refused_by_number(town, changes, error, says):
    with pytest.raises(error, match=says):
        scenario(town, *changes)


def test_positions_without_a_datum_are_refused(town):
    with pytest.raises(DatumMissingError, match="Change 1"):
        scenario(town, AddFacility("J01", CORNER), datum=None)
    assert scenario(town, CloseFacility("S0000"), datum=None).farther > 0


def test_walls_stop_paths_of_nobody_but_a_new_one_leads_through(town):
    outline, _ = block_estate()
    x, y = shapely.get_coordinates(outline.centroid)[0]
    through = to_storage(shapely.points([(x, y + 30.0), (x, y + 400.0)]), EPSG)

    found = scenario(town, AddPath(tuple((point.x, point.y) for point in through)))

    assert found.nearer > 0
