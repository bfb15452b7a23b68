"""The reading endpoints: divisions, grids, workers, assignments, facilities, reference lists, overview, search."""

from __future__ import annotations

import pytest
from factories import served_town
from factories import stored_town as town

pytestmark = pytest.mark.postgis


def get(client, path, **kwargs):
    answer = client.get(path, **kwargs)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_divisions_are_listed_by_level_without_geometry(town_client):
    body = get(town_client, "/api/v1/divisions?level=street")

    assert [d["code"] for d in body["divisions"]] == list(town.STREETS)
    assert "geometry" not in body["divisions"][0]
    assert (body["next_cursor"], body["count"]) == (None, None)


def test_divisions_of_a_parent_with_geometry_are_geojson(town_client):
    answer = town_client.get("/api/v1/divisions?parent=420103001&geometry=true")

    assert answer.mimetype == "application/geo+json"
    assert [f["id"] for f in answer.json["features"]] == list(town.COMMUNITIES[:2])
    assert answer.json["features"][0]["geometry"]["type"] == "MultiPolygon"


def test_one_division_has_its_boundary(town_client):
    body = get(town_client, "/api/v1/divisions/420103")

    assert body["properties"]["name"] == "江汉区"
    assert body["geometry"]["coordinates"]


def test_a_division_that_is_not_there_is_404_and_no_code_is_422(town_client):
    assert town_client.get("/api/v1/divisions/999999").status_code == 404
    assert town_client.get("/api/v1/divisions/4201").status_code == 404
    assert town_client.get("/api/v1/divisions/abc").json["code"] == "code-malformed"
    assert town_client.get("/api/v1/grids/%00").status_code == 422


def test_grids_are_paged_by_key_without_gaps_or_repeats(town_client):
    seen, cursor = [], ""
    for _ in range(10):
        body = get(town_client, f"/api/v1/grids?network=urban&limit=5&geometry=false&cursor={cursor}")
        seen += [g["code"] for g in body["grids"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break

    assert seen == sorted(town.grid_frame(network="urban", parts=4)["code"])


def test_grids_are_counted_only_when_asked(town_client):
    assert get(town_client, "/api/v1/grids?network=urban&limit=1")["count"] is None
    assert get(town_client, "/api/v1/grids?network=urban&limit=1&count=true")["count"] == 16


def test_grids_are_filtered_by_prefix_and_box(town_client):
    west, south, east, north = town.community_box(town.COMMUNITIES[3]).bounds
    box = f"{west + 0.006},{south + 0.001},{east - 0.001},{north - 0.001}"

    by_prefix = get(town_client, "/api/v1/grids?prefix=420103002&geometry=false")
    by_box = get(town_client, f"/api/v1/grids?bbox={box}&geometry=false")

    assert {g["community_code"] for g in by_prefix["grids"]} == set(town.COMMUNITIES[2:])
    assert [g["code"] for g in by_box["grids"]] == ["420103002002002"]


def test_grids_before_they_were_in_force_are_not_listed(town_client):
    body = get(town_client, "/api/v1/grids?at=2025-12-31T00:00:00%2B08:00")

    assert body["features"] == []


def test_a_plus_sign_lost_in_the_query_is_understood(town_client):
    assert town_client.get("/api/v1/grids?at=2026-02-01T00:00:00+08:00").status_code == 200


def test_one_grid_says_who_answers_and_how_many_reports(town_client):
    town_client.post("/api/v1/reports", json=served_town.report_body())
    card = get(town_client, "/api/v1/grids/420103001001001?network=social")["properties"]

    assert card["workers"] == [
        {
            "worker_code": "WK0000", "name": "网格员0", "role": "full_time", "is_primary": True, "kind_code": "W02",
            "phone_masked": "138****5678",
        }
    ]  # fmt: skip
    assert card["reports"] == 1
    assert (card["community_name"], card["street_name"], card["district_name"]) == ("001001社区", "民族街道", "江汉区")


def test_workers_are_listed_without_home_and_with_masked_phone(town_client):
    answer = town_client.get("/api/v1/workers?prefix=420103001001")

    assert [w["worker_code"] for w in answer.json["workers"]] == ["WK0000", "WK0004"]
    assert answer.json["workers"][0]["phone_masked"] == "138****5678"
    assert "13812345678" not in answer.text
    assert "home" not in answer.text and "geometry" not in answer.text


def test_assignments_are_paged_by_grid_and_worker(town_client):
    first = get(town_client, "/api/v1/assignments?limit=3&count=true")
    second = get(town_client, f"/api/v1/assignments?limit=10&cursor={first['next_cursor']}")

    codes = [a["grid_code"] for a in first["assignments"] + second["assignments"]]
    assert codes == sorted(town.grid_frame()["code"])
    assert first["count"] == 8


def test_facilities_are_points_inside_the_division_asked_for(town_client):
    everywhere = get(town_client, "/api/v1/facilities")
    inside = get(town_client, "/api/v1/facilities?prefix=420103002")

    assert len(everywhere["features"]) == 4
    assert [f["id"] for f in inside["features"]] == ["F0002", "F0003"]


def test_networks_come_in_their_order(town_client):
    names = [n["network"] for n in get(town_client, "/api/v1/networks")["networks"]]

    assert set(names) == set(served_town.NETWORKS)


def test_categories_of_the_default_edition(town_client):
    body = get(town_client, "/api/v1/categories?network=urban&level=2")

    assert body["edition"] == "gbt-47678.5-2026"
    assert "E06001" in {c["code"] for c in body["categories"]}
    assert town_client.get("/api/v1/categories?edition=none").status_code == 404


def test_overview_counts_what_is_in_each_street_office(town_client):
    town_client.post("/api/v1/reports", json=served_town.report_body())
    children = get(town_client, "/api/v1/overview?division=420103")["children"]

    assert [c["code"] for c in children] == list(town.STREETS)
    assert children[0]["grids"] == {"social": 4, "urban": 8, "security": 4, "unified": 4}
    assert (children[0]["workers"], children[0]["reports"], children[1]["reports"]) == (4, 1, 0)


def test_overview_of_the_top_is_the_district_and_of_a_community_nothing(town_client):
    assert [c["code"] for c in get(town_client, "/api/v1/overview")["children"]] == ["420103"]
    assert get(town_client, "/api/v1/overview?division=420103001001")["children"] == []


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("420103001001002", "420103001001002"),
        ("民族", "420103001"),
        ("4201030020", "420103002001"),
        ("%", None),
        ("_", None),
    ],
)
def test_search_finds_by_code_and_name(town_client, words, first):
    hits = town_client.get("/api/v1/search", query_string={"q": words}).json["hits"]

    assert (hits[0]["code"] if hits else None) == first


def test_locate_one_says_who_answers_in_every_network(town_client):
    lon, lat = served_town.report_body()["lon"], served_town.report_body()["lat"]
    body = get(town_client, f"/api/v1/locate?lon={lon}&lat={lat}&datum=wgs84&accuracy_m=20")

    assert {g["network"] for g in body["grids"]} == set(served_town.NETWORKS)
    assert [d["code"] for d in body["divisions"] if d["level"] == "community"] == ["420103001001"]


def test_locate_many_answers_in_order_with_null_where_nothing_is(town_client):
    lon, lat = served_town.report_body()["lon"], served_town.report_body()["lat"]
    body = {"lon": [lon, lon + 0.01, lon], "lat": [lat, lat + 0.01, 30.5], "datum": "cgcs2000"}
    answer = town_client.post("/api/v1/locate", json=body)

    assert answer.status_code == 200, answer.text
    assert answer.json["community"] == ["420103001001", "420103002002", None]
    assert answer.json["grids"]["social"] == ["420103001001001", "420103002002001", None]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param({"lon": [114.25], "lat": [30.58]}, "datum-missing", id="no datum"),
        pytest.param({"lon": [114.25], "lat": [30.58, 1], "datum": "wgs84"}, "request-invalid", id="lengths differ"),
        pytest.param({"lon": [], "lat": [], "datum": "wgs84"}, "request-invalid", id="empty"),
        pytest.param({"lon": [0] * 10_001, "lat": [0] * 10_001, "datum": "wgs84"}, "request-invalid", id="too many"),
        pytest.param({"lon": [30.58], "lat": [114.25], "datum": "wgs84"}, "coordinate-invalid", id="swapped"),
        pytest.param(
            {"lon": [114.25], "lat": [30.58], "datum": "wgs84", "networks": ["x"]}, "request-invalid", id="net"
        ),
        pytest.param([1, 2], "request-invalid", id="an array"),
    ],
)
def test_bad_arrays_are_refused(town_client, body, code):
    answer = town_client.post("/api/v1/locate", json=body)

    assert (answer.status_code, answer.json["code"]) == (422, code)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/grids?network=none",
        "/api/v1/grids?limit=0",
        "/api/v1/grids?limit=1001",
        "/api/v1/grids?bbox=1,2,3",
        "/api/v1/grids?bbox=2,2,1,1",
        "/api/v1/grids?bbox=nan,0,1,1",
        "/api/v1/grids?at=yesterday",
        "/api/v1/grids?at=2026-01-01T00:00:00",
        "/api/v1/grids?prefx=420103",
        "/api/v1/grids?limit=1&limit=2",
        "/api/v1/grids?prefix=%25",
        "/api/v1/grids?cursor=%00",
        "/api/v1/networks?x=1",
        "/api/v1/locate?lon=nan&lat=30&datum=wgs84",
        "/api/v1/locate?lon=114&lat=30",
        "/api/v1/locate?lon=30.58&lat=114.25&datum=wgs84",
        "/api/v1/circle/isochrone?lon=114.25&lat=30.58&datum=wgs84&minutes=0",
    ],
)
def test_bad_parameters_are_422_problems(town_client, path):
    answer = town_client.get(path)

    assert answer.status_code == 422, answer.text
    assert answer.mimetype == "application/problem+json"
    assert answer.json["code"]


def test_the_scope_of_a_token_cuts_every_list(town_client, token_of):
    headers = token_of("viewer", scope=town.STREETS[1])

    grids = get(town_client, "/api/v1/grids?geometry=false", headers=headers)["grids"]
    divisions = get(town_client, "/api/v1/divisions", headers=headers)["divisions"]
    workers = get(town_client, "/api/v1/workers", headers=headers)["workers"]
    facilities = get(town_client, "/api/v1/facilities", headers=headers)["features"]
    assignments = get(town_client, "/api/v1/assignments", headers=headers)["assignments"]
    found = get(town_client, "/api/v1/search?q=420103", headers=headers)["hits"]

    assert len(grids) == 4 and len(workers) == 4 and len(facilities) == 2 and len(assignments) == 4
    codes = [g["code"] for g in grids] + [d["code"] for d in divisions] + [h["code"] for h in found]
    assert all(code.startswith(town.STREETS[1]) for code in codes)
    assert town_client.get("/api/v1/grids/420103001001001?network=social", headers=headers).status_code == 404
    assert town_client.get("/api/v1/divisions/420103", headers=headers).status_code == 404


def test_coverage_without_a_run_is_404(town_client):
    assert town_client.get("/api/v1/circle/coverage?division=420103").json["code"] == "not-found"


def test_overview_counts_reports_of_a_time_window(town_client):
    town_client.post("/api/v1/reports", json=served_town.report_body())
    path = "/api/v1/overview?division=420103&at=2026-07-02T00:00:00Z"

    assert sum(c["reports"] for c in get(town_client, f"{path}&since=2026-03-05T00:00:00Z")["children"]) == 1
    assert sum(c["reports"] for c in get(town_client, f"{path}&since=2026-03-06T00:00:00Z")["children"]) == 0


def test_overview_of_a_level_lists_all_of_it(town_client):
    children = get(town_client, "/api/v1/overview?division=420103&level=community")["children"]

    assert [c["code"] for c in children] == sorted(town.COMMUNITIES)
    assert town_client.get("/api/v1/overview?level=grid").status_code == 422


def test_a_merged_grid_is_answered_by_the_worker_of_its_governance_grid(town_client, open_uow):
    answers = {
        "social": {"code": "420103001001002", "share": 0.75}, "security": {"code": "420103001001001", "share": 0.6},
    }  # fmt: skip
    with open_uow() as uow:
        grids = town.grid_frame([town.COMMUNITIES[0]], network="unified", kind="unified", first_serial=21)
        redraw = uow.redraws.open_draft("unified", town.COMMUNITIES[0], "automatic", "test", town.LATER)
        uow.redraws.put_grids(redraw, grids.assign(responsible=[answers] * len(grids)))
        uow.redraws.approve(redraw, "test", town.LATER, town.LATER, {})
        uow.commit()

    card = get(town_client, "/api/v1/grids/420103001001021?network=unified")["properties"]
    lon, lat = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]
    place = get(town_client, f"/api/v1/locate?lon={lon - 0.001}&lat={lat}&datum=cgcs2000")

    assert [w["name"] for w in card["workers"]] == ["网格员1"]
    unified = next(g for g in place["grids"] if g["network"] == "unified")
    assert [w["name"] for w in unified["workers"]] == ["网格员1"]
