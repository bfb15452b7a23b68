"""Coverage of a stored run by place, its own lists, its gaps as areas."""

import json

import numpy as np
import pytest
import shapely

from gridsvc.circle.own_standards import own_standard
from gridsvc.errors import NotFoundError, RequestInvalidError
from gridsvc.services.circle_gaps import list_gap_areas, list_gaps
from gridsvc.services.circle_places import cover_places, place_rows, residence_rows, run_document
from gridsvc.services.circles import circle_standards, run_circle, stored_seconds
from tests.factories.stored_town import COMMUNITIES, DISTRICT, START, STREETS, grid_frame
from tests.factories.walking_town import MIDDLE, homes, put_town, shops

pytestmark = pytest.mark.postgis

STANDARD = "beijing-convenience"
KINDS = list(circle_standards()[STANDARD].codes)


@pytest.fixture
def town(uow):
    put_town(uow, shops(KINDS, [MIDDLE]))
    return uow


@pytest.fixture
def ran(town):
    return run_circle(town, DISTRICT, at=START, standard=STANDARD)


def test_places_of_every_level_hold_all_people(town, ran):
    draft = town.redraws.open_draft("social", DISTRICT, "automatic", "test", START)
    town.redraws.put_grids(draft, grid_frame())
    town.redraws.approve(draft, "test", START, START)

    rows = {
        by: place_rows(cover_places(town, DISTRICT, by=by))
        for by in ("district", "street", "community", "grid", "residence")
    }

    assert {by: sum(row["population"] for row in found) for by, found in rows.items()} == dict.fromkeys(rows, 16 * 90)
    assert [row["place_code"] for row in rows["district"]] == [DISTRICT]
    assert [row["place_code"] for row in rows["street"]] == sorted(STREETS)
    assert [row["place_code"] for row in rows["community"]] == sorted(COMMUNITIES)
    assert all(row["name"] for row in rows["community"])
    assert {row["place_code"] for row in rows["grid"]} <= {"", *grid_frame()["code"]}
    assert any(row["place_code"] for row in rows["grid"])
    assert len(rows["residence"]) == 16
    assert rows["district"][0]["kinds"]["J01"]["population_share"] == round(ran.population_covered["J01"] / 1440, 4)


def test_communities_of_places_agree_with_those_of_the_run(town, ran):
    stored = town.circle_runs.latest(DISTRICT)["coverage"]["communities"]

    for row in place_rows(cover_places(town, DISTRICT)):
        kept = stored[row["place_code"]]
        assert (row["complete_share"], row["is_qualified"]) == (kept["complete_share"], kept["is_qualified"])
        assert {kind: shares["population_share"] for kind, shares in row["kinds"].items()} == kept[
            "kind_population_share"
        ]


def test_part_of_a_run_is_told_alone(town, ran):
    rows = place_rows(cover_places(town, COMMUNITIES[0], by="street"))

    assert [(row["place_code"], row["residences"]) for row in rows] == [(COMMUNITIES[0][:9], 4)]


def test_counts_within_minutes_are_kept_and_agree_with_the_times(town, ran):
    rows = residence_rows(cover_places(town, DISTRICT, by="residence").found)

    assert run_document(cover_places(town, DISTRICT).found)["count_minutes"] == [5, 10, 15]
    for row in rows:
        walk_s = row["walk_s"].get("J01", np.inf)
        assert row["counts"].get("J01", [0, 0, 0]) == [int(walk_s <= limit) for limit in (300, 600, 900)]
    assert any(row["counts"] for row in rows)


def test_run_says_by_what_it_was_computed_and_what_is_doubtful(town, ran):
    told = run_document(cover_places(town, DISTRICT).found)

    assert len(told["network_sha256"]) == 64
    assert (told["standard"], told["standard_verified"], told["speed_m_s"]) == (STANDARD, True, 1.1)
    assert told["facilities_newest_at"].startswith("2026-01-01")
    assert told["doubts"]["residences_without_entrance"] == 8
    assert told["doubts"]["facilities_of_unknown_date"] == 0
    assert told["doubts"]["unattached_people_share"] == 0.0
    assert told["doubts"]["unverified_kinds"] == []
    assert json.dumps(told)


def test_facilities_of_which_nobody_said_since_when_are_doubtful(uow):
    put_town(uow)
    uow.facilities.put_frame(shops(KINDS, [MIDDLE]))

    assert run_circle(uow, DISTRICT, at=START, standard=STANDARD).doubts.facilities_of_unknown_date == 8


def test_people_of_the_run_stay_those_of_its_day(town, ran):
    town.residences.put_frame(homes(population=500))

    assert sum(row["population"] for row in place_rows(cover_places(town, DISTRICT))) == 16 * 90


def test_own_list_is_kept_with_its_run(town):
    parsed = {"id": "own-list", "kinds": [{"code": "J02", "minutes": 5}, {"code": "G1001", "required": "no"}]}
    rules = own_standard(parsed, known_kinds={"J02", "G1001"}, taken=(), where="own.json")
    first = run_circle(town, DISTRICT, at=START, standard=rules)
    again = run_circle(town, DISTRICT, at=START, standard=rules)

    gaps = list_gaps(town, DISTRICT, at=START, standard="own-list")
    told = run_document(cover_places(town, DISTRICT, standard="own-list").found)

    assert again.circle_run_id == first.circle_run_id
    assert set(gaps.people_without) == {"J02"}
    assert (told["standard_verified"], told["standard_source"]) == (False, "own.json")
    assert first.doubts.unverified_kinds == ("J02", "G1001")


def test_gap_areas_hold_the_people_who_lack_a_kind(uow):
    put_town(uow, shops(KINDS[1:], [MIDDLE]))
    run_circle(uow, DISTRICT, at=START, standard=STANDARD)

    _, areas = list_gap_areas(uow, DISTRICT)
    gaps = list_gaps(uow, DISTRICT, at=START)

    people: dict[str, int] = {}
    for area in areas:
        people[area.kind_code] = people.get(area.kind_code, 0) + area.population
    assert people == gaps.people_without
    assert people["J01"] == 16 * 90
    assert {code for area in areas if area.kind_code == "J01" for code in area.communities} == set(COMMUNITIES)
    grounds = homes().geometry.to_numpy()
    vegetables = shapely.union_all([area.area for area in areas if area.kind_code == "J01"])
    assert all(vegetables.buffer(1e-8).covers(ground) for ground in grounds)
    assert [area.kind_code for area in list_gap_areas(uow, DISTRICT, kinds=["J02"])[1]].count("J01") == 0


def test_what_is_not_known_is_refused(town, ran):
    with pytest.raises(RequestInvalidError, match="house"):
        cover_places(town, DISTRICT, by="house")
    with pytest.raises(RequestInvalidError, match="G1001"):
        list_gap_areas(town, DISTRICT, kinds=["G1001"])
    with pytest.raises(NotFoundError, match="gb50180-15"):
        cover_places(town, DISTRICT, standard="gb50180-15")


def test_rounding_never_carries_a_time_over_its_limit():
    times = np.array([[900.0, 900.04, 900.06, 899.96, 440.04, np.inf]])

    kept = stored_seconds(times, np.array([900.0, 900.0, 900.0, 900.0, 440.02, 900.0]))

    assert kept.tolist() == [[900.0, 900.1, 900.1, 900.0, 440.1, np.inf]]
