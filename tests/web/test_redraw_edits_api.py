"""Editing drafts over HTTP: roles, datum, the answers, refusals as problem documents, undo and redo."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import shapely
from factories import stored_town as town

from gridsvc.resources import content_dir
from gridsvc.web.api import redraw_edits as api
from gridsvc.web.api.redraws import DraftBody
from gridsvc.web.routing import validate
from tests.web.conftest import NOW

pytestmark = pytest.mark.postgis

COMMUNITY = town.COMMUNITIES[0]
WEST, SOUTH, EAST, NORTH = town.community_box(COMMUNITY).bounds


def unit(serial):
    return f"{COMMUNITY}{serial:03d}"


@pytest.fixture
def planner(token_of):
    return token_of("planner", town.DISTRICT)


@pytest.fixture
def draft(open_uow):
    """A draft of one community: four unit grids side by side, nested by twos in governance grids."""
    social = town.grid_frame([COMMUNITY], network="social", kind="governance", households=800, population=2400)
    urban = town.grid_frame([COMMUNITY], network="urban", kind="unit", parts=4)
    # both networks know each other's corners, as after a division
    social = social.set_geometry(
        [shapely.coverage_union_all(urban.geometry.to_numpy()[i : i + 2]) for i in (0, 2)], crs=social.crs
    )
    urban["parent_code"] = np.repeat(social["code"].to_numpy(), 2)
    with open_uow() as uow:
        opened = uow.redraws.open_draft(["urban", "social"], COMMUNITY, "edited", "test", NOW)
        uow.redraws.put_grids(opened, pd.concat([urban, social], ignore_index=True))
        uow.commit()
    return str(opened)


@pytest.fixture
def post(town_client, planner, draft):
    """Return a function that posts an edit of the draft as the planner."""

    def send(verb, body=None, headers=planner):
        return town_client.post(f"/api/v1/redraws/{draft}:{verb}", json=body, headers=headers)

    return send


def split_body(**changes):
    """Return the body that splits the first unit grid by a line from west to east, a little south of its middle."""
    height = SOUTH + 0.3 * (NORTH - SOUTH)
    body = {
        "network": "urban",
        "code": unit(1),
        "line": [[WEST - 0.0001, height], [EAST, height]],
        "datum": "cgcs2000",
        "around_buildings": True,
    }
    return {name: value for name, value in (body | changes).items() if value is not ...}


def test_a_split_answers_what_changed_with_the_grids_as_geojson(post):
    answer = post("split", split_body())

    assert answer.status_code == 200, answer.text
    assert answer.json["step_no"] == 1 and answer.json["operation"] == "split"
    changes = answer.json["changes"]
    assert changes["reshaped"] == [{"network": "urban", "code": unit(1)}]
    assert [grid["network"] for grid in changes["new"]] == ["urban"]
    features = {f["properties"]["network"] + f["properties"]["code"]: f for f in answer.json["grids"]["features"]}
    assert f"urban{unit(1)}" in features
    assert features[f"urban{unit(1)}"]["properties"]["parent_code"] == unit(1)
    parts = [shapely.geometry.shape(f["geometry"]) for key, f in features.items() if key.startswith("urban")]
    assert {"network": "urban", "code": unit(2)} in changes["gained_vertices"]
    assert sum(f["properties"]["households"] for k, f in features.items() if k.startswith("urban")) == 800
    assert shapely.union_all(parts).bounds == pytest.approx((WEST, SOUTH, WEST + (EAST - WEST) / 2, NORTH))


def test_what_was_snapped_is_answered_in_degrees_with_metres(post):
    corner = [WEST + (EAST - WEST) / 4 + 0.00001, NORTH + 0.000005]
    answer = post("split", split_body(line=[[WEST, SOUTH + 0.002], corner]))

    assert answer.status_code == 200, answer.text
    snap = next(s for s in answer.json["snapped"] if s["onto"] == "vertex")
    assert snap["given"] == pytest.approx(corner)
    assert snap["placed"] == pytest.approx([WEST + (EAST - WEST) / 4, NORTH], abs=1e-9)
    assert 0.5 < snap["moved_m"] < 2.0


def test_a_line_in_another_datum_is_shifted_first(post):
    height = SOUTH + 0.3 * (NORTH - SOUTH)
    shifted = post("split", split_body(datum="gcj02", line=[[WEST - 0.002, height], [EAST, height]]))

    assert shifted.status_code == 200, shifted.text
    parts = {
        f["properties"]["code"]: f["geometry"]
        for f in shifted.json["grids"]["features"]
        if f["properties"]["network"] == "urban"
    }
    tops = [shapely.geometry.shape(parts[grid["code"]]).bounds for grid in shifted.json["changes"]["new"]]
    edges = {round(v, 6) for bounds in tops for v in (bounds[1], bounds[3])} - {round(SOUTH, 6), round(NORTH, 6)}
    assert edges and all(abs(edge - height) > 0.001 for edge in edges)


def test_no_datum_is_refused(post):
    answer = post("split", split_body(datum=...))

    assert answer.status_code == 422
    assert answer.json["code"] == "datum-missing"


def test_a_line_that_ends_inside_says_where(post):
    answer = post("split", split_body(line=[[WEST - 0.0001, SOUTH + 0.003], [WEST + 0.001, SOUTH + 0.003]]))

    assert answer.status_code == 422
    assert answer.json["code"] == "geometry-invalid"
    assert f"{WEST + 0.001:.5f}" in answer.json["detail"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"line": [[114.25, 30.58]]}, "line"),
        ({"line": [[114.25, "x"], [1, 2]]}, "line.0.1"),
        ({"code": "12"}, "code"),
        ({"network": "rural"}, "network"),
        ({"snap_m": -1}, "snap_m"),
        ({"snapp": 1}, "snapp"),
    ],
)
def test_a_malformed_body_names_the_field(post, changes, field):
    answer = post("split", split_body(**changes))

    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json["errors"]]


def test_latitude_first_is_refused(post):
    answer = post("split", split_body(line=[[30.58, 114.25], [30.59, 114.26]]))

    assert (answer.status_code, answer.json["code"]) == (422, "coordinate-invalid")


def test_merge_move_unit_and_move_border_answer_200(post):
    merged = post("merge", {"network": "urban", "codes": [unit(1), unit(2)]})
    moved = post("move-unit", {"code": unit(3), "to": unit(1)})
    x = WEST + (EAST - WEST) * 3 / 4
    border = post(
        "move-border",
        {
            "network": "urban", "first": unit(3), "second": unit(4), "datum": "wgs84", "around_buildings": True,
            "line": [[x, SOUTH], [x + 0.0005, SOUTH + 0.005], [x, NORTH]],
        },
    )  # fmt: skip

    assert merged.status_code == 200, merged.text
    assert len(merged.json["changes"]["retired"]) == 1
    assert moved.status_code == 200, moved.text
    assert moved.json["changes"]["regrouped"] == [{"network": "urban", "code": unit(3)}]
    assert border.status_code == 200, border.text
    # the two lie in different governance grids by now, so their border moves too
    assert {grid["network"] for grid in border.json["changes"]["reshaped"]} == {"urban", "social"}


def test_an_unknown_building_is_404(post):
    answer = post("move-building", {"building": "nobody", "network": "urban", "to": unit(1)})

    assert answer.status_code == 404


def test_undo_redo_and_the_steps(post, town_client, planner, draft):
    assert post("undo").status_code == 409
    post("split", split_body())
    undone = post("undo")
    redone = post("redo")
    steps = town_client.get(f"/api/v1/redraws/{draft}/steps", headers=planner)

    assert undone.json["operation"] == "undo" and redone.json["operation"] == "redo"
    assert undone.json["changes"]["retired"] == redone.json["changes"]["new"]
    assert [(s["step_no"], s["operation"], s["made_by"], s["undone_at"]) for s in steps.json["steps"]] == [
        (1, "split", "tester", None)
    ]
    assert steps.json["steps"][0]["parameters"]["datum"] == "cgcs2000"


def test_an_edit_after_a_step_not_seen_is_a_conflict(post):
    post("split", split_body())
    answer = post("merge", {"network": "urban", "codes": [unit(3), unit(4)], "after_step": 0})

    assert answer.status_code == 409
    assert "somebody else" in answer.json["detail"]


def test_a_draft_whose_grids_do_not_nest_is_not_edited(town_client, planner):
    body = {"division_code": COMMUNITY, "origin": "edited"}
    opened = town_client.post("/api/v1/redraws", json=body, headers=planner)

    assert opened.status_code == 201, opened.text
    # the unit grids of this town name no governance grids
    merge = {"network": "urban", "codes": [unit(1), unit(2)]}
    answer = town_client.post(f"/api/v1/redraws/{opened.json['redraw_id']}:merge", json=merge, headers=planner)
    assert (answer.status_code, answer.json["code"]) == (409, "partition-not-exact")


@pytest.mark.parametrize("role", ["viewer", "field", "dispatcher"])
def test_only_planners_managers_and_admins_edit(post, token_of, role):
    answer = post("split", split_body(), headers=token_of(role, login=role))

    assert answer.status_code == 403


@pytest.mark.parametrize("role", ["manager", "admin"])
def test_managers_and_admins_edit_too(post, token_of, role):
    assert post("split", split_body(), headers=token_of(role, login=role)).status_code == 200


def test_a_planner_of_another_area_does_not_find_the_draft(post, token_of):
    answer = post("split", split_body(), headers=token_of("planner", "420104", login="elsewhere"))

    assert answer.status_code == 404


@pytest.mark.parametrize("verb", ["split", "merge", "move-border", "move-building", "move-unit", "undo", "redo"])
def test_a_decided_draft_is_not_edited(post, open_uow, draft, verb):
    with open_uow() as uow:
        uow.redraws.discard(draft, "manager", NOW)
        uow.commit()
    line = [[WEST, SOUTH], [EAST, NORTH]]
    bodies = {
        "split": split_body(),
        "merge": {"network": "urban", "codes": [unit(1), unit(2)]},
        "move-border": {"network": "urban", "first": unit(1), "second": unit(2), "line": line, "datum": "wgs84"},
        "move-building": {"building": "R0000", "network": "urban", "to": unit(1)},
        "move-unit": {"code": unit(1), "to": unit(2)},
    }

    answer = post(verb, bodies.get(verb))

    assert (answer.status_code, answer.json["code"]) == (409, "conflict")


BODIES = {
    "redraws": DraftBody,
    "split": api.SplitBody,
    "merge": api.MergeBody,
    "move-border": api.MoveBorderBody,
    "move-building": api.MoveBuildingBody,
    "move-unit": api.MoveUnitBody,
}


def test_the_examples_of_the_how_to_page_are_bodies_this_server_takes():
    page = (content_dir("migrations").parent / "docs" / "how-to" / "redraw-edit.md").read_text(encoding="utf-8")
    shown = re.findall(r"curl \$API/(?:redraws/\$DRAFT:)?(\S+) .*?-d '(\{.*?\})'", page, re.S)

    assert {verb for verb, _ in shown} == set(BODIES)
    for verb, body in shown:
        validate(BODIES[verb], json.loads(body), where="body")


def test_every_call_is_in_the_interface_page():
    page = (content_dir("migrations").parent / "docs" / "api.md").read_text(encoding="utf-8")
    calls = [f"{e.method} /api/v1{e.rule.replace('<uuid:redraw_id>', '{id}')}" for e in api.endpoints.declared]

    assert [call for call in calls if f"`{call}`" not in page] == []
