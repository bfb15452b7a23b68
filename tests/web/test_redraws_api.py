"""Redraws over HTTP: roles, scope, shapes of answers, and one redraw of a served community from end to end."""

from __future__ import annotations

import json
import os
from datetime import timedelta

import pytest
import shapely
from factories.tile_reader import features

from gridsvc.services.redraw_drafting import draft_copy
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from tests.factories import served_district as town
from tests.factories.served_district import COMMUNITIES, NOW

pytestmark = pytest.mark.postgis
HERE = COMMUNITIES[0]
FRESH = f"{HERE}900"
BEFORE = (NOW - timedelta(minutes=1)).isoformat()


@pytest.fixture(scope="module")
def served_engine(postgis_server, template_database):
    """Engine of a database with a district at work in it."""
    name = f"gridsvc_test_{os.getpid()}_web_redraws"
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        town.put_served_district(uow)
        uow.commit()
    yield made
    made.dispose()
    postgis_server.drop(name)


@pytest.fixture
def connection(served_engine):
    with served_engine.connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


@pytest.fixture
def people(token_of):
    """Headers of somebody of each role, by login."""
    return {role: token_of(role, login=role) for role in ("viewer", "field", "planner", "manager", "admin")}


@pytest.fixture
def merged(open_uow):
    """A draft, by the planner, that makes two governance grids one; with the pair that would be gone."""
    with open_uow() as uow:
        redraw_id = draft_copy(uow, HERE, by="planner", now=NOW)
        frame = uow.redraws.grids(redraw_id)
        pair = town.pair_of_neighbours(frame, HERE)
        uow.redraws.put_grids(redraw_id, town.with_merged(frame, pair, FRESH))
        uow.commit()
    return redraw_id, pair


def post(client, path, who, **body):
    return client.post(f"/api/v1/redraws{path}", json=body, headers=who)


def test_an_approved_redraw_shows_everywhere_at_once_and_the_past_answers_as_before(
    town_client, people, merged, open_uow
):
    redraw_id, pair = merged
    with open_uow() as uow:
        place = shapely.point_on_surface(uow.grids.get("social", pair[0]).geometry.iloc[0])
    where = f"/api/v1/locate?lon={place.x:.9f}&lat={place.y:.9f}&datum=cgcs2000"

    def located(at=""):
        answer = town_client.get(where + (f"&at={at.replace('+', '%2B')}" if at else ""), headers=people["viewer"]).json
        return {grid["network"]: grid for grid in answer["grids"]}

    before = located()
    approved = post(town_client, f"/{redraw_id}:approve", people["manager"])

    assert approved.status_code == 200, approved.json
    assert approved.json["effects"]["cases_moved"] == 4 and approved.json["effects"]["inherited"] == 1
    now_there = located()
    assert (now_there["social"]["code"], now_there["unified"]["code"]) == (FRESH, FRESH)
    assert now_there["social"]["workers"]
    assert located(BEFORE) == before and before["social"]["code"] == pair[0]
    assert FRESH in codes_on_tile(town_client, people, place) and pair[0] not in codes_on_tile(
        town_client, people, place
    )
    assert pair[0] in codes_on_tile(town_client, people, place, BEFORE)
    with open_uow() as uow:
        cases = uow.cases.list(HERE, limit=None)
        assert (cases["social_grid"] == FRESH).sum() == 4 and not cases["social_grid"].isin(pair).any()
    path = f"/api/v1/assignments?prefix={HERE}"
    rows = town_client.get(path, headers=people["viewer"]).json["assignments"]
    assert sum(row["is_primary"] for row in rows if row["grid_code"] == FRESH) == 1
    assert not any(row["grid_code"] in pair for row in rows)
    shown = town_client.get(f"/api/v1/redraws/{redraw_id}", headers=people["viewer"]).json
    assert (shown["state"], shown["decided_by"], shown["effects"]["cases_moved"]) == ("approved", "manager", 4)
    assert {(row["old_code"], row["new_code"]) for row in shown["lineage"] if row["kind"] == "merge"} == {
        (code, FRESH) for code in pair
    }


def test_an_approved_redraw_is_told_live_with_the_cases_it_moved(town_client, people, merged):
    redraw_id, _ = merged

    def told(since):
        answer = town_client.get(f"/api/v1/stream?for_s=0&since={since}", headers=people["viewer"])
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        *events, end = [json.loads(line) for line in lines]
        return events, end["resume_after"]

    _, seen = told(0)
    post(town_client, f"/{redraw_id}:approve", people["manager"])
    events, _ = told(seen)

    in_force = [e for e in events if e["kind"] == "redraw.in_force" and e["subject"] == redraw_id]
    moved = [e for e in events if e["kind"] == "case.moved" and e["payload"]["to_grid"] == FRESH]
    assert [e["division_code"] for e in in_force] == [HERE]
    assert "social" in in_force[0]["payload"]["networks"]
    assert len({e["subject"] for e in moved if e["payload"]["network"] == "social"}) == 4
    assert {e["division_code"] for e in moved} == {HERE}


def codes_on_tile(client, people, place, at=""):
    """Return the codes of the governance grids drawn on the tile of a place."""
    zoom = 14
    x, y = tile_of(place.x, place.y, zoom)
    path = f"/tiles/grids_social/{zoom}/{x}/{y}.mvt" + (f"?at={at.replace('+', '%2B')}" if at else "")
    return {feature["code"] for feature in features(client.get(path, headers=people["viewer"]).data)}


def tile_of(lon, lat, zoom):
    import math

    n = 2**zoom
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return int((lon + 180) / 360 * n), int(y * n)


def test_a_draft_shows_its_checks_impact_and_lineage(town_client, people, merged):
    redraw_id, pair = merged

    shown = town_client.get(f"/api/v1/redraws/{redraw_id}", headers=people["viewer"]).json

    assert shown["checks"]["passed"] is True and shown["state"] == "draft"
    social = next(row for row in shown["impact"]["networks"] if row["network"] == "social")
    assert (sorted(social["codes_retired"]), social["codes_new"]) == (sorted(pair), [FRESH])
    assert shown["impact"]["open_cases"] == 4 and shown["impact"]["circle"]["available"] is False
    assert {row["kind"] for row in shown["lineage"]} == {"kept", "merge"}


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("field", 403), ("planner", 201), ("manager", 201), ("admin", 201)]
)
def test_who_may_draft(town_client, people, role, status):
    answer = post(town_client, "", people[role], division_code=HERE, origin="edited", reason="试划")

    assert answer.status_code == status
    if status == 201:
        assert answer.json["drafted_by"] == role and answer.json["networks"] == ["urban", "social"]
        assert answer.headers["Location"].endswith(answer.json["redraw_id"])


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("field", 403), ("planner", 403), ("manager", 200), ("admin", 200)]
)
def test_who_may_approve(town_client, people, merged, role, status):
    assert post(town_client, f"/{merged[0]}:approve", people[role]).status_code == status


def test_the_drafter_may_not_approve(town_client, people):
    drafted = post(town_client, "", people["manager"], division_code=HERE, origin="edited").json["redraw_id"]

    answer = post(town_client, f"/{drafted}:approve", people["manager"])

    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert post(town_client, f"/{drafted}:approve", people["admin"]).status_code == 200


def test_a_discarded_draft_is_not_approved(town_client, people, merged):
    assert post(town_client, f"/{merged[0]}:discard", people["planner"]).json["state"] == "discarded"

    answer = post(town_client, f"/{merged[0]}:approve", people["manager"])

    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


def test_nobody_sees_or_decides_redraws_outside_the_scope(town_client, token_of, merged):
    elsewhere = token_of("manager", scope=COMMUNITIES[-1], login="elsewhere")

    assert town_client.get("/api/v1/redraws", headers=elsewhere).json["redraws"] == []
    assert town_client.get(f"/api/v1/redraws/{merged[0]}", headers=elsewhere).status_code == 404
    assert post(town_client, f"/{merged[0]}:approve", elsewhere).status_code == 404
    assert post(town_client, "", elsewhere, division_code=HERE, origin="edited").status_code in (403, 404)


def test_a_scoped_manager_approves_within_the_scope_and_neighbours_still_fit(town_client, token_of, merged, open_uow):
    here = token_of("manager", scope=HERE, login="here")

    assert post(town_client, f"/{merged[0]}:approve", here).status_code == 200
    with open_uow() as uow:
        assert shapely.coverage_is_valid(uow.grids.list("social").geometry.to_numpy())


def test_redraws_are_listed_a_page_at_a_time(town_client, people, merged):
    first = town_client.get("/api/v1/redraws?limit=2", headers=people["viewer"]).json
    rest = town_client.get(f"/api/v1/redraws?limit=1000&cursor={first['next_cursor']}", headers=people["viewer"]).json

    ids = [row["redraw_id"] for row in (*first["redraws"], *rest["redraws"])]
    assert len(set(ids)) == len(ids) >= 3 and rest["next_cursor"] is None
    drafts = town_client.get("/api/v1/redraws?state=draft", headers=people["viewer"]).json["redraws"]
    assert [row["redraw_id"] for row in drafts] == [merged[0]]


def test_given_polygons_come_back_as_a_draft_of_the_same_grids(town_client, people, merged):
    drawn = town_client.get(f"/api/v1/redraws/{merged[0]}/grids", headers=people["viewer"])
    assert drawn.mimetype == "application/geo+json"
    given = [
        {"type": "Feature", "geometry": f["geometry"], "properties": {"network": f["properties"]["network"]}}
        for f in drawn.json["features"]
    ]

    answer = post(
        town_client, "", people["planner"], division_code=HERE, origin="imported", datum="cgcs2000",
        grids={"type": "FeatureCollection", "features": given},
    )  # fmt: skip

    assert answer.status_code == 201, answer.json
    shown = town_client.get(f"/api/v1/redraws/{answer.json['redraw_id']}", headers=people["viewer"]).json
    assert shown["checks"]["passed"], shown["checks"]["faults"]
    theirs = town_client.get(f"/api/v1/redraws/{answer.json['redraw_id']}/grids", headers=people["viewer"]).json
    assert people_of(theirs) == people_of(drawn.json)
    social = next(row for row in shown["impact"]["networks"] if row["network"] == "social")
    # the merged grid continues the larger of the two it was made of, and takes no code that another draft has given
    assert social["codes_new"] == [] and len(social["codes_retired"]) == 1


def people_of(collection):
    """Return households by network, ascending: what does not depend on codes."""
    return sorted((f["properties"]["network"], f["properties"]["households"]) for f in collection["features"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param({"origin": "imported"}, 422, "request-invalid", id="no polygons"),
        pytest.param(
            {"origin": "edited", "rules": {"households_min": 1}}, 422, "request-invalid", id="rules of a copy"
        ),
        pytest.param({"origin": "automatic", "rules": {"colour": 1}}, 422, "request-invalid", id="no such rule"),
        pytest.param({"origin": "edited", "division_code": "999999999999"}, 404, "not-found", id="no such division"),
        pytest.param({"origin": "edited", "colour": 1}, 422, "request-invalid", id="unknown field"),
    ],
)
def test_a_draft_that_makes_no_sense_is_refused(town_client, people, body, status, code):
    answer = post(town_client, "", people["planner"], **({"division_code": HERE} | body))

    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_given_polygons_without_a_datum_are_refused(town_client, people):
    square = json.loads(shapely.to_geojson(shapely.box(114.25, 30.58, 114.26, 30.59)))
    grids = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": square, "properties": {"network": "social"}}],
    }

    answer = post(town_client, "", people["planner"], division_code=HERE, origin="imported", grids=grids)

    assert (answer.status_code, answer.json["code"]) == (422, "datum-missing")


def test_an_automatic_draft_with_other_rules_redraws_the_community(town_client, people):
    answer = post(
        town_client, "", people["planner"], division_code=HERE, origin="automatic", reason="更小的网格",
        rules={"unit_area_m2": 6000.0},
    )  # fmt: skip

    assert answer.status_code == 201, answer.json
    shown = town_client.get(f"/api/v1/redraws/{answer.json['redraw_id']}", headers=people["viewer"]).json
    assert (shown["origin"], shown["reason"]) == ("automatic", "更小的网格")
    assert shown["checks"]["passed"], shown["checks"]["faults"]
    assert next(row for row in shown["impact"]["networks"] if row["network"] == "urban")["codes_new"]


def test_dividing_again_by_the_same_rules_is_nothing_to_draft(town_client, people):
    answer = post(town_client, "", people["planner"], division_code=HERE, origin="automatic")

    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


def _campus(town_client, people):
    """Return the box of one governance grid of the community, drawn in by a third, as GeoJSON."""
    grids = town_client.get(f"/api/v1/grids?network=social&prefix={HERE}", headers=people["viewer"]).json["features"]
    west, south, east, north = shapely.from_geojson(json.dumps(grids[0]["geometry"])).bounds
    dx, dy = (east - west) / 3, (north - south) / 3
    return json.loads(shapely.to_geojson(shapely.box(west + dx, south + dy, east - dx, north - dy)))


def test_a_campus_asked_for_is_drafted_as_a_dedicated_grid(town_client, people):
    wishes = {"dedicated": [_campus(town_client, people)]}

    answer = post(
        town_client, "", people["planner"], division_code=HERE, origin="automatic", wishes=wishes, datum="cgcs2000"
    )

    assert answer.status_code == 201, answer.json
    drawn = town_client.get(f"/api/v1/redraws/{answer.json['redraw_id']}/grids", headers=people["viewer"]).json
    kinds = [f["properties"]["kind"] for f in drawn["features"] if f["properties"]["network"] == "social"]
    assert kinds.count("dedicated") == 1 and "governance" in kinds
    shown = town_client.get(f"/api/v1/redraws/{answer.json['redraw_id']}", headers=people["viewer"]).json
    assert shown["checks"]["passed"], shown["checks"]["faults"]
    quality = town_client.get(
        f"/api/v1/quality?prefix={HERE}&redraw={answer.json['redraw_id']}", headers=people["viewer"]
    ).json
    assert quality["gaps"]["area_m2"] == quality["overlaps"]["area_m2"] == 0.0


def test_a_locked_grid_is_in_the_draft_as_it_was(town_client, people):
    grids = town_client.get(f"/api/v1/grids?network=social&prefix={HERE}", headers=people["viewer"]).json["features"]
    locked = grids[0]["id"]

    answer = post(
        town_client, "", people["planner"], division_code=HERE, origin="automatic",
        rules={"unit_area_m2": 5000.0}, wishes={"locked": [locked]},
    )  # fmt: skip

    assert answer.status_code == 201, answer.json
    drawn = town_client.get(f"/api/v1/redraws/{answer.json['redraw_id']}/grids", headers=people["viewer"]).json
    same = next(
        f for f in drawn["features"] if f["properties"]["code"] == locked and f["properties"]["network"] == "social"
    )
    before, after = (shapely.from_geojson(json.dumps(f["geometry"])) for f in (grids[0], same))
    assert after.symmetric_difference(before).area < 1e-6 * before.area


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        pytest.param({"wishes": {"locked": ["999999999999001"]}}, 404, "not-found", id="no such grid to lock"),
        pytest.param({"wishes": {"seeds": [[114.3, 30.6]]}}, 422, "datum-missing", id="seeds without a datum"),
        pytest.param({"rules": {"households_min": 600}}, 422, "request-invalid", id="bounds that cross"),
        pytest.param({"rules": {"starts": 1e9}}, 422, "request-invalid", id="a rule that is not the planner's"),
        pytest.param({"origin": "edited", "wishes": {}}, 422, "request-invalid", id="wishes of a copy"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(town_client, people, more, status, code):
    answer = post(town_client, "", people["planner"], **({"division_code": HERE, "origin": "automatic"} | more))

    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
