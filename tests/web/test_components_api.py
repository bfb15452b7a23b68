"""The register of components over HTTP: lists, one, states, the nearest of a class, and what is refused."""

from __future__ import annotations

import pytest
from factories import served_town
from factories import stored_town as town
from factories.registers import COVER, LAMP, LAT, LON, register_csv

from gridsvc.services.importing import import_file

pytestmark = pytest.mark.postgis
LAMP_ID = "42010301037000001"


@pytest.fixture
def register_client(open_uow, town_client, tmp_path):
    """A client of the town with three lamps and a manhole cover."""
    with open_uow() as uow:
        import_file(uow, "components", register_csv(tmp_path / "r.csv"), datum="cgcs2000", valid_from=town.START)
        uow.commit()
    return town_client


def get(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json


def near(client, **changes):
    asked = {"lon": LON, "lat": LAT, "datum": "cgcs2000", "category_code": LAMP} | changes
    return client.get("/api/v1/components:near", query_string={k: v for k, v in asked.items() if v is not ...})


def test_components_are_paged_by_id_and_counted_when_asked(register_client):
    first = get(register_client, "/api/v1/components?limit=5&count=true")
    second = get(register_client, f"/api/v1/components?limit=3&cursor={first['next_cursor']}")

    ids = [feature["id"] for feature in first["features"] + second["features"]]
    assert ids == ["42010301001000001", "42010301037000001", "42010301037000002", "42010301037000003"] + [
        f"4201030300500000{i}" for i in (1, 2, 3)
    ]
    assert (first["count"], second["next_cursor"]) == (7, None)


@pytest.mark.parametrize(
    ("query", "last_digits"),
    [
        (f"category_code={LAMP}", ["1", "2", "3"]),
        ("state=lost", ["1"]),
        (f"bbox={LON + 1e-4},{LAT - 1e-4},{LON + 5e-4},{LAT + 1e-4}", ["2", "3"]),
        (f"prefix={town.COMMUNITIES[0]}&state=damaged", ["2"]),
        (f"prefix={town.COMMUNITIES[1]}", []),
        ("at=2025-01-01T00:00:00Z", []),
    ],
)
def test_components_are_filtered(register_client, query, last_digits):
    found = get(register_client, f"/api/v1/components?{query}")["features"]

    assert [feature["id"][-1] for feature in found] == last_digits


def test_one_component_has_its_class_its_unit_grid_and_its_history(register_client):
    one = get(register_client, f"/api/v1/components/{LAMP_ID}")

    assert one["geometry"] == {"type": "Point", "coordinates": [LON, LAT]}
    kept = {
        k: one["properties"][k]
        for k in ("category_name_zh", "state", "owner_name", "began_on", "unit_grid", "original_datum")
    }
    assert kept == {
        "category_name_zh": "路灯", "state": "intact", "owner_name": "路灯所", "began_on": "2020-01-31",
        "unit_grid": "420103001001002", "original_datum": "cgcs2000",
    }  # fmt: skip
    assert [v["state"] for v in one["properties"]["history"]] == ["intact"]


def test_one_that_is_not_there_is_404_and_what_is_no_id_422(register_client):
    assert register_client.get("/api/v1/components/42010301037000009").json["code"] == "not-found"
    assert register_client.get(f"/api/v1/components/{LAMP_ID}?at=2025-01-01T00:00:00Z").status_code == 404
    assert register_client.get("/api/v1/components/12").json["code"] == "code-malformed"
    assert register_client.get("/api/v1/components/%00").json["code"] == "code-malformed"


def test_a_dispatcher_changes_a_state_and_may_say_it_again(register_client, token_of):
    headers, body = (
        token_of("dispatcher", login="dora"),
        {"state": "lost", "changed_at": "2026-06-01T00:00:00+08:00", "note": "被盗"},
    )

    first = register_client.post(f"/api/v1/components/{LAMP_ID}:state", json=body, headers=headers)
    again = register_client.post(f"/api/v1/components/{LAMP_ID}:state", json=body, headers=headers)

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json == again.json
    assert [(v["state"], v["changed_by"], v["change_note"]) for v in first.json["properties"]["history"]] == [
        ("intact", "import", ""), ("lost", "dora", "被盗"),
    ]  # fmt: skip


@pytest.mark.parametrize("role", ["viewer", "field"])
def test_readers_and_reporters_may_not_change_a_state(register_client, token_of, role):
    answer = register_client.post(f"/api/v1/components/{LAMP_ID}:state", json={"state": "lost"}, headers=token_of(role))

    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"state": "stolen"}, 422, "request-invalid"),
        ({}, 422, "request-invalid"),
        ({"state": "lost", "changed_at": "2026-08-01T00:00:00Z"}, 422, "request-invalid"),
        ({"state": "lost", "changed_at": "2025-01-01T00:00:00Z"}, 422, "request-invalid"),
        ({"state": "lost", "changed_at": "2026-01-01T00:00:00Z"}, 409, "conflict"),
        ({"state": "lost", "note": "a\u0000b"}, 422, "request-invalid"),
        ({"state": "lost", "id": 1}, 422, "request-invalid"),
    ],
)
def test_a_change_of_state_that_cannot_be_is_refused(register_client, token_of, body, status, code):
    headers = token_of("manager")

    answer = register_client.post(f"/api/v1/components/{LAMP_ID}:state", json=body, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert len(get(register_client, f"/api/v1/components/{LAMP_ID}")["properties"]["history"]) == 1


def test_the_nearest_of_a_class_come_first(register_client):
    found = near(register_client, accuracy_m=10).json

    assert [c["component_id"][-1] for c in found["components"]] == ["1", "2", "3"]
    assert (found["category_code"], found["radius_m"]) == (LAMP, 50)
    assert sum(c["share"] for c in found["components"]) == pytest.approx(1, abs=2e-4)
    assert near(register_client, limit=1).json["components"][0]["share"] is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"datum": ...}, "datum-missing"),
        ({"datum": "mars"}, "datum-unknown"),
        ({"category_code": ...}, "request-invalid"),
        ({"category_code": "E06001"}, "request-invalid"),
        ({"category_code": "C99999"}, "category-unknown"),
        ({"lon": "nan"}, "request-invalid"),
        ({"lon": 999}, "coordinate-invalid"),
        ({"accuracy_m": -1}, "request-invalid"),
        ({"limit": 0}, "request-invalid"),
        ({"limit": 51}, "request-invalid"),
    ],
)
def test_a_search_that_cannot_be_is_refused(register_client, changes, code):
    answer = near(register_client, **changes)

    assert (answer.status_code, answer.json["code"]) == (422, code)


@pytest.mark.parametrize(("lon", "lat"), [(180, 0), (-180, 0), (0, 90), (0, -90), (114.25, 89.9999)])
def test_at_the_ends_of_the_earth_there_is_nothing(register_client, lon, lat):
    assert near(register_client, lon=lon, lat=lat, accuracy_m=1e5).json["components"] == []


@pytest.mark.parametrize(
    ("category", "ids"), [("E01001", ["42010301001000001"]), (COVER, ["42010301001000001"]), ("E06001", [])]
)
def test_a_report_suggests_the_components_of_its_class(register_client, category, ids):
    east = {"lon": LON + 6e-4, "lat": LAT, "datum": "cgcs2000", "accuracy_m": 10}
    posted = register_client.post("/api/v1/reports", json=served_town.report_body(category_code=category, **east)).json

    found = get(register_client, f"/api/v1/reports/{posted['report_id']}/components?limit=3")

    assert [c["component_id"] for c in found["components"]] == ids
    assert found["at"] == posted["occurred_at"]
    assert found["category_code"] == (COVER if ids else None)


def test_a_report_that_is_not_there_suggests_nothing(register_client):
    missing = register_client.get("/api/v1/reports/7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e99/components")

    assert (missing.status_code, missing.json["code"]) == (404, "not-found")


def test_a_report_that_waits_for_its_place_suggests_nothing_yet(register_client):
    nowhere = {"lon": ..., "lat": ..., "datum": ..., "accuracy_m": ..., "address": "无名路1号", "category_code": COVER}
    posted = register_client.post("/api/v1/reports", json=served_town.report_body(**nowhere))
    assert posted.status_code == 201, posted.text

    found = get(register_client, f"/api/v1/reports/{posted.json['report_id']}/components")

    assert (found["lon"], found["category_code"], found["components"]) == (None, COVER, [])


def test_the_path_of_a_verb_is_not_that_of_a_component(register_client):
    allowed = register_client.options("/api/v1/components/0:state").headers["Allow"]

    assert set(allowed.split(", ")) == {"OPTIONS", "POST"}
    assert register_client.get("/api/v1/components/0:state").status_code == 405
