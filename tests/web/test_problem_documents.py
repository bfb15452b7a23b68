"""Every error is an RFC 9457 problem document of one shape, whoever raised it."""

from __future__ import annotations

import inspect

import pytest
from factories import served_town

from gridsvc import errors
from gridsvc.web import create_app
from gridsvc.web.errors import STATUS, status_of

pytestmark = pytest.mark.postgis
MEMBERS = {"type", "title", "status", "code", "detail", "hint", "instance", "errors"}


def our_classes():
    return [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.GridsvcError)]


class BrokenServices:
    """A composition root whose database is gone, or whose code has a defect."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def unit_of_work(self, scope: str = ""):
        raise self.error


def broken_client(error: Exception):
    app = create_app(BrokenServices(error), served_town.settings())
    return app.test_client()


def test_every_class_of_error_has_a_status_of_its_own():
    assert set(STATUS) == set(our_classes())


@pytest.mark.parametrize("kind", our_classes(), ids=lambda c: c.code)
def test_every_class_of_error_becomes_a_problem(kind):
    more = {"rows": [errors.RowError(3, "lon", "not a number", "x")]} if kind is errors.ImportRefusedError else {}
    error = kind("Something is wrong.", hint="Mend it.", **more)
    answer = broken_client(error).get("/api/v1/networks")

    assert answer.status_code == status_of(error) == answer.json["status"]
    assert answer.mimetype == "application/problem+json"
    assert set(answer.json) >= MEMBERS
    assert answer.json["code"] == kind.code
    assert answer.json["type"] == f"urn:gridsvc:problem:{kind.code}"
    assert (answer.json["detail"], answer.json["hint"]) == ("Something is wrong.", "Mend it.")
    assert answer.json["instance"] == "/api/v1/networks"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/api/v1/nothing", 404, "not-found"),
        ("get", "/nothing", 404, "not-found"),
        ("delete", "/api/v1/networks", 405, "method-not-allowed"),
        ("get", "/api/v1/reports:batch", 405, "method-not-allowed"),
        ("get", "/tiles/grids_social/1/0", 404, "not-found"),
        ("get", "/static/../application.py", 404, "not-found"),
    ],
)
def test_what_the_framework_refuses_has_the_same_shape(town_client, method, path, status, code):
    answer = getattr(town_client, method)(path)

    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.mimetype == "application/problem+json"
    assert set(answer.json) >= MEMBERS
    if status == 405:
        assert answer.headers["Allow"]


def test_a_database_outage_is_503_with_retry_after():
    error = errors.DatabaseUnavailableError("No connection to the database.", hint="Run `gridsvc doctor`.")
    answer = broken_client(error).get("/api/v1/grids")

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "Traceback" not in answer.text


def test_a_defect_is_500_and_tells_nothing_of_the_inside():
    answer = broken_client(RuntimeError("the password is 1234")).get("/api/v1/grids")

    assert (answer.status_code, answer.json["code"]) == (500, "internal-error")
    assert "1234" not in answer.text and "RuntimeError" not in answer.text


def test_too_many_requests_carry_retry_after(make_client):
    from flask import abort

    client = make_client()
    client.application.add_url_rule("/static/busy", view_func=lambda: abort(429), endpoint="login.show2")
    client.application.view_functions["login.show2"] = lambda: abort(429)
    answer = client.get("/static/busy")

    assert answer.status_code == 429
    assert answer.json["code"] == "too-many-requests"
    assert answer.headers["Retry-After"]


def test_a_person_gets_a_page_and_a_program_a_document(town_client):
    person = town_client.get("/nothing", headers={"Accept": "text/html,application/xhtml+xml"})
    program = town_client.get("/nothing", headers={"Accept": "application/json"})

    assert (person.mimetype, program.mimetype) == ("text/html", "application/problem+json")
    assert "返回地图" in person.text
