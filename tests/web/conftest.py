"""A Flask test client over the small town, in a transaction that is thrown away; the clock stands still."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from factories import served_town
from factories import stored_town as town
from sqlalchemy import text

from gridsvc.store.engine import make_engine
from gridsvc.store.photo_files import PhotoFiles
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.web import callers, create_app

NOW = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def town_engine(postgis_server, town_template):
    """Engine of a database with the town in it; made once, since every test here reads it and none commits."""
    name = f"gridsvc_test_{os.getpid()}_web"
    made = make_engine(postgis_server.create(name, town_template))
    with UnitOfWork(made) as uow:
        uow.reports.ensure_months(town.START, NOW)
        uow.commit()
    yield made
    made.dispose()
    postgis_server.drop(name)


@pytest.fixture
def connection(town_engine):
    """A connection to the town, in a transaction that is rolled back."""
    with town_engine.connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


@pytest.fixture
def still_clock(monkeypatch):
    """The web room's clock, standing at NOW."""
    from gridsvc.web.api import (
        answers,
        circle,
        circle_planning,
        components,
        departments,
        divisions,
        facilities,
        facility_corrections,
        geocode,
        grids,
        locate,
        photos,
        quality,
        redraw_edits,
        redraws,
        reports,
        uploads,
        workforce,
    )
    from gridsvc.web.pages import command_centre
    from gridsvc.web.tiles import vector_tiles

    for module in (
        callers, answers, circle, circle_planning, components, departments, divisions, facilities, facility_corrections, geocode, grids, locate, photos, quality,
        redraw_edits, redraws, reports, uploads,
        workforce, vector_tiles,
        command_centre,
    ):  # fmt: skip
        monkeypatch.setattr(module, "now", lambda: NOW)
    return NOW


@pytest.fixture
def photo_files(tmp_path):
    """The folder of photos of this test."""
    return PhotoFiles(str(tmp_path / "photos"))


@pytest.fixture
def make_client(open_uow, still_clock, photo_files):
    """Return a function that makes a test client, with any setting changed."""

    def make(**changes):
        app = create_app(served_town.Services(open_uow, photo_files), served_town.settings(**changes))
        app.testing = False
        return app.test_client()

    return make


@pytest.fixture
def town_client(make_client):
    """A client of the stored town, anonymous use allowed."""
    return make_client()


@pytest.fixture
def token_of(open_uow):
    """Return a function that adds a user and returns a token of theirs."""

    def issue(role="viewer", scope="", login="tester"):
        with open_uow() as uow:
            uow.access.add_user(login, login, role, scope)
            token = uow.access.issue_token(login)
            uow.commit()
        return {"Authorization": f"Bearer {token}"}

    return issue


@pytest.fixture
def stored_reports(connection):
    """Return a function that counts reports, receipts and cases stored."""

    def count():
        tables = ("reports", "report_receipts", "cases")
        return [connection.execute(text(f"SELECT count(*) FROM {t}")).scalar_one() for t in tables]

    return count


def pytest_collection_modifyitems(items):
    """Give every operation that schemathesis tries an id of its own: it gives all the same one, of which pytest-xdist runs the first."""
    for item in items:
        if not item.nodeid.endswith(item.name):
            item._nodeid = f"{item.parent.nodeid}::{item.name}"
