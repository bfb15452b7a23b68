"""The application as a whole: health, OpenAPI in step with the routes, guards, languages, headers."""

from __future__ import annotations

import json
import re

import pytest
from factories import served_town
from sqlalchemy import create_engine

from gridsvc.bootstrap import App
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.web import create_app
from gridsvc.web.callers import OPEN_ENDPOINTS
from gridsvc.web.openapi import rule_to_path

pytestmark = pytest.mark.postgis
PAGES = {"/", "/docs", "/login", "/logout", "/healthz", "/readyz", "/openapi.json", "/maps/layers.json"}


def test_alive_without_a_database():
    answer = create_app(None, served_town.settings()).test_client().get("/healthz")

    assert (answer.status_code, answer.json["status"]) == (200, "alive")


def test_ready_when_the_schema_is_at_head(town_client):
    answer = town_client.get("/readyz")

    assert (answer.status_code, answer.json["status"]) == (200, "ready")
    assert answer.headers["Cache-Control"] == "no-store"


def test_not_ready_when_no_database_answers():
    engine = make_engine("postgresql://nobody@/nothing?host=/nonexistent")
    answer = create_app(App(served_town.settings(), engine), served_town.settings()).test_client().get("/readyz")

    assert (answer.status_code, answer.json["code"]) == (503, "database-unavailable")
    assert answer.headers["Retry-After"]


def test_not_ready_before_the_migrations(empty_database):
    engine = make_engine(empty_database)
    answer = create_app(App(served_town.settings(), engine), served_town.settings()).test_client().get("/readyz")
    engine.dispose()

    assert (answer.status_code, answer.json["code"]) == (503, "migrations-behind")


def test_openapi_lists_every_route_and_no_other(town_client):
    document = town_client.get("/openapi.json").json
    rules = [r for r in town_client.application.url_map.iter_rules() if r.endpoint != "static"]
    routed = {
        (rule_to_path(r.rule), method.lower()) for r in rules for method in (r.methods or set()) - {"HEAD", "OPTIONS"}
    }
    programs = {(path, method) for path, method in routed if path not in PAGES and not path.startswith("/language/")}
    described = {(path, method) for path, methods in document["paths"].items() for method in methods}

    assert described == programs
    assert document["openapi"] == "3.1.0"


def test_every_operation_has_an_id_a_summary_and_describes_its_path_parameters(town_client):
    document = town_client.get("/openapi.json").json
    operations = [(path, op) for path, methods in document["paths"].items() for op in methods.values()]
    ids = [op["operationId"] for _, op in operations]

    assert len(ids) == len(set(ids))
    for path, op in operations:
        assert op["summary"] and op["description"] and op["responses"]
        named = {p["name"] for p in op["parameters"] if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))
        assert not re.search("[<>]", path), f"{path} is a rule of the router, not a path of the document"


def test_every_reference_in_openapi_leads_somewhere(town_client):
    text = town_client.get("/openapi.json").text
    schemas = json.loads(text)["components"]["schemas"]

    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in schemas
    assert '"$ref":"#/$defs' not in text


def test_the_datum_is_required_in_the_published_schema(town_client):
    document = town_client.get("/openapi.json").json

    position, address = document["components"]["schemas"]["ReportBody"]["anyOf"]
    assert (position["required"], address["required"]) == (["lon", "lat", "datum"], ["address"])
    query = {p["name"]: p for p in document["paths"]["/api/v1/locate"]["get"]["parameters"]}
    assert query["datum"]["required"] is True


def test_the_kinds_of_a_photo_are_published(town_client):
    document = town_client.get("/openapi.json").json

    form = document["paths"]["/api/v1/reports/{report_id}/photos"]["post"]["requestBody"]["content"][
        "multipart/form-data"
    ]
    assert form["encoding"] == {"photo": {"contentType": "image/jpeg, image/png, image/webp"}}
    assert "photo" in form["schema"]["properties"]


def test_openapi_is_the_same_on_every_build():
    documents = [create_app(None, served_town.settings()).test_client().get("/openapi.json") for _ in range(2)]

    assert documents[0].status_code == 200
    assert documents[0].data == documents[1].data


def test_every_route_but_the_open_ones_asks_for_a_token_when_anonymous_use_is_off(make_client):
    client = make_client(anonymous=False)
    fill = {
        "layer": "water",
        "z": 1,
        "x": 0,
        "y": 0,
        "code": "420103",
        "facility_code": "F0000",
        "correction_id": "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e14",
        "crosswalk_id": "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e15",
        "component_id": "42010301037000001",
        "report_id": "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e11",
        "redraw_id": "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e12",
        "upload_id": "7d2f9a54-0f0e-4c4c-9a2b-1f6a4d0c7e13",
        "sha256": "0" * 64,
    }
    for rule in client.application.url_map.iter_rules():
        if rule.endpoint in OPEN_ENDPOINTS:
            continue
        with client.application.test_request_context():
            path = client.application.url_for(rule.endpoint, **{a: fill[a] for a in rule.arguments})
        method = "POST" if "POST" in rule.methods else "GET"
        answer = client.open(path, method=method, headers={"Accept": "application/json"})
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", "Basic abc", "Bearer a\u00ff", "nonsense"])
def test_a_wrong_token_is_401_even_where_anonymous_use_is_on(town_client, header):
    answer = town_client.get("/api/v1/networks", headers={"Authorization": header})

    assert (answer.status_code, answer.json["code"]) == (401, "unauthenticated")


def test_a_token_works_until_it_is_withdrawn(make_client, open_uow, token_of, still_clock):
    client, headers = make_client(anonymous=False), token_of("viewer")
    before = client.get("/api/v1/networks", headers=headers)
    with open_uow() as uow:
        token_id = int(uow.access.list_tokens("tester")["token_id"].iloc[0])
        uow.access.withdraw_token(token_id, still_clock)
        uow.commit()
    after = client.get("/api/v1/networks", headers=headers)

    assert (before.status_code, after.status_code) == (200, 401)


def test_a_browser_signs_in_with_a_token_and_out_again(make_client, token_of):
    client = make_client(anonymous=False)
    token = token_of("viewer")["Authorization"].removeprefix("Bearer ")

    asked = client.get("/?at=2026-02-01T00:00:00Z", headers={"Accept": "text/html"})
    assert asked.status_code == 302 and asked.headers["Location"].startswith("/login?next=")
    assert client.post("/login", data={"token": "wrong"}).status_code == 401
    entered = client.post("/login", data={"token": token, "next": "/docs"})
    assert (entered.status_code, entered.headers["Location"]) == (303, "/docs")
    cookie = entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert client.get("/api/v1/networks").status_code == 200
    assert client.post("/logout").status_code == 303
    assert client.get("/api/v1/networks").status_code == 401


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"])
def test_signing_in_never_leads_to_another_site(make_client, token_of, target):
    client = make_client(anonymous=False)
    token = token_of("viewer")["Authorization"].removeprefix("Bearer ")

    assert client.post("/login", data={"token": token, "next": target}).headers["Location"] == "/"
    assert client.get("/language/en", query_string={"next": target}).headers["Location"] == "/"


def test_another_site_cannot_sign_a_browser_in(make_client, token_of):
    client = make_client(anonymous=False)
    answer = client.post("/login", data={"token": "x"}, headers={"Origin": "https://elsewhere.example"})

    assert answer.status_code == 403


def test_the_page_is_chinese_first_and_english_by_switch(town_client):
    assert "网格化服务管理" in town_client.get("/").text
    assert town_client.get("/language/en?next=/").status_code == 302
    page = town_client.get("/").text

    assert "Grid service management" in page and 'lang="en"' in page
    assert "江汉区" in page  # data stay Chinese


def test_an_empty_database_gives_a_page_that_says_what_to_do(clean_database):
    engine = make_engine(clean_database)
    page = create_app(App(served_town.settings(), engine), served_town.settings()).test_client().get("/")
    engine.dispose()

    assert page.status_code == 200
    assert "./run demo" in page.text


def test_pages_may_load_nothing_from_elsewhere(town_client):
    for path in ("/", "/docs", "/login"):
        answer = town_client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert "http" not in policy
        assert not re.search(r'(src|href)="(https?:)?//', answer.text)
        assert not re.search(r"<script(?![^>]*(src=|application/json))", answer.text)


def test_what_a_name_says_is_never_markup(clean_database):
    engine = make_engine(clean_database)
    from factories import stored_town as town

    names = ["</script><script>alert(1)</script>", *town.division_frame()["name"][1:]]
    with UnitOfWork(engine) as uow:
        uow.divisions.put_frame(town.division_frame(name=names), town.START)
        uow.commit()
    page = create_app(App(served_town.settings(), engine), served_town.settings()).test_client().get("/").text
    engine.dispose()

    assert "<script>alert" not in page


def test_reports_survive_a_new_connection(town_database):
    """The answer comes after the commit: another connection sees the report at once."""
    engine = make_engine(town_database)
    client = create_app(App(served_town.settings(), engine), served_town.settings()).test_client()
    answer = client.post("/api/v1/reports", json=served_town.report_body())
    other = create_engine(engine.url)
    with other.connect() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM reports").scalar_one()
    other.dispose()
    engine.dispose()

    assert (answer.status_code, count) == (201, 1)
