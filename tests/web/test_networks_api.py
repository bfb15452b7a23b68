"""Networks held against each other, over HTTP: conflicts kept, crosswalks, figures carried over; cut to the scope."""

from __future__ import annotations

import geopandas as gpd
import pytest
import shapely
from factories import stored_town as town

from gridsvc.services.crosswalks import save_crosswalk
from gridsvc.services.network_conflicts import compare_stored
from gridsvc.services.network_sources import StoredSource

pytestmark = pytest.mark.postgis

HERE = town.COMMUNITIES[0]
WEST, SOUTH, EAST, NORTH = town.community_box(HERE).bounds


def source(network: str) -> StoredSource:
    return StoredSource(network, town.DISTRICT, town.LATER, network)


@pytest.fixture
def crossing(open_uow):
    """Security grids of the first community that cross its two governance grids, compared and with a crosswalk; returns its id."""
    with open_uow() as uow:
        columns = {
            "network": "security", "kind": "security", "code": [f"{HERE}005", f"{HERE}006"], "community_code": HERE,
            "households": 1, "population": 1, "area_m2": 1.0,
        }  # fmt: skip
        shapes = [shapely.box(WEST, SOUTH, EAST, SOUTH + 0.005), shapely.box(WEST, SOUTH + 0.005, EAST, NORTH - 0.001)]
        redraw = uow.redraws.open_draft("security", town.DISTRICT, "imported", "test", town.LATER)
        uow.redraws.put_grids(redraw, gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4490"), [HERE])
        uow.redraws.approve(redraw, "test", town.LATER, town.LATER, {})
        compare_stored(uow, [source("social"), source("security")], now=town.LATER, actor="test")
        kept = save_crosswalk(uow, source("security"), source("social"), now=town.LATER, actor="test")
        uow.commit()
    return kept.about["crosswalk_id"]


def test_conflicts_are_areas_page_by_page(town_client, crossing):
    first = town_client.get(f"/api/v1/networks/conflicts?division={town.DISTRICT}&limit=1&count=true")
    rest = town_client.get(
        f"/api/v1/networks/conflicts?division={HERE}&network=security&cursor={first.json['next_cursor']}"
    ).json

    assert first.mimetype == "application/geo+json"
    features = first.json["features"] + rest["features"]
    assert (first.json["count"], rest["next_cursor"]) == (4, None)
    assert [[f["properties"][f"{side}_code"][-3:] for side in ("first", "second")] for f in features] == [
        ["001", "005"], ["001", "006"], ["002", "005"], ["002", "006"],
    ]  # fmt: skip
    for feature in features:
        assert feature["geometry"]["type"] == "MultiPolygon"
        assert feature["properties"]["shared_m2"] > 0
        assert feature["properties"]["compared_at"] == "2026-06-01T00:00:00Z"


def test_conflicts_of_nets_never_compared_are_404_with_a_way_out(town_client):
    answer = town_client.get(f"/api/v1/networks/conflicts?division={town.DISTRICT}")

    assert (answer.status_code, answer.json["code"]) == (404, "not-found")
    assert "--save" in answer.json["hint"]
    assert town_client.get("/api/v1/networks/conflicts").json["code"] == "request-invalid"
    assert town_client.get(f"/api/v1/networks/conflicts?division={town.DISTRICT}&network=rail").status_code == 422


def test_a_crosswalk_is_listed_and_shown_with_shares_both_ways(town_client, crossing):
    listed = town_client.get(f"/api/v1/crosswalks?prefix={town.DISTRICT}&network=social").json
    whole = town_client.get(f"/api/v1/crosswalks/{crossing}").json

    assert [row["crosswalk_id"] for row in listed["crosswalks"]] == [crossing]
    assert town_client.get("/api/v1/crosswalks?network=unified").json["crosswalks"] == []
    assert (whole["first_network"], whole["second_network"], whole["origin"]) == ("security", "social", "saved")
    assert "made_by" not in whole
    shares = [row["first_area_share"] for row in whole["rows"] if row["first_code"] == f"{HERE}005"]
    assert sum(shares) == pytest.approx(1.0)
    assert any(row["first_code"] is None for row in whole["rows"])


def test_figures_are_carried_over_and_add_up(town_client, crossing):
    body = {"figures": {f"{HERE}005": 100, f"{HERE}006": 41}, "whole": True}

    found = town_client.post(f"/api/v1/crosswalks/{crossing}:rebase", json=body).json

    assert (found["given"], found["placed"] + found["unplaced"], found["unplaced"]) == (141, 141, 0)
    values = {row["code"]: row for row in found["figures"]}
    assert values[f"{HERE}001"]["value"] in (70, 71)
    assert (values[f"{HERE}001"]["low"], values[f"{HERE}001"]["high"]) == (0, 141)
    assert found["without_figure"] == 6


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"figures": {}}, "request-invalid"),
        ({"figures": {"x": 1}}, "request-invalid"),
        ({"figures": {"999999999999999": 1}}, "request-invalid"),
        ({"figures": {f"{HERE}005": 1.5}, "whole": True}, "request-invalid"),
        ({"weight": "trees"}, "request-invalid"),
    ],
)
def test_figures_that_cannot_be_carried_over_are_refused(town_client, crossing, changes, code):
    body = {"figures": {f"{HERE}005": 1}} | changes

    answer = town_client.post(f"/api/v1/crosswalks/{crossing}:rebase", json=body)

    assert (answer.status_code, answer.json["code"]) == (422, code)


def test_a_scope_sees_only_what_is_its_own(town_client, crossing, token_of):
    elsewhere, part = token_of(scope="420199", login="a"), token_of(scope=town.COMMUNITIES[1], login="b")

    for who in (elsewhere, part):
        assert town_client.get("/api/v1/crosswalks", headers=who).json["crosswalks"] == []
        assert town_client.get(f"/api/v1/crosswalks/{crossing}", headers=who).status_code == 404
        body = {"figures": {f"{HERE}005": 1}}
        assert town_client.post(f"/api/v1/crosswalks/{crossing}:rebase", json=body, headers=who).status_code == 404
    path = f"/api/v1/networks/conflicts?division={town.DISTRICT}"
    assert town_client.get(path, headers=elsewhere).status_code == 404
    assert town_client.get(path, headers=part).json["features"] == []
