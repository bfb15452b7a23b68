"""The running server takes the effect of a redraw when its instant comes, once among several workers."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from factories import served_town
from factories import stored_town as town

from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.web import settling
from gridsvc.web.settling import settle_once, start_settling

pytestmark = pytest.mark.postgis
FORCE = town.LATER


@pytest.fixture
def served(clean_database, monkeypatch):
    """Services over a town of its own with a redraw approved for later; the clock stands a second before."""
    engine = make_engine(clean_database)
    with UnitOfWork(engine) as uow:
        uow.divisions.put_frame(town.division_frame(), town.START)
        first = uow.redraws.open_draft("social", town.DISTRICT, "automatic", "test", town.START)
        uow.redraws.put_grids(first, town.grid_frame())
        uow.redraws.approve(first, "test", town.START, town.START)
        uow.workers.put_frame(town.worker_frame(count=8), town.START)
        uow.assignments.put_in_force(
            served_town.assignment_frame(), network="social", prefix=town.DISTRICT, at=town.START
        )
        draft = uow.redraws.open_draft("social", town.COMMUNITIES[0], "edited", "planner", town.START)
        uow.redraws.put_grids(draft, town.grid_frame([town.COMMUNITIES[0]], parts=3, first_serial=7))
        uow.redraws.approve(draft, "manager", town.START, FORCE, has_effects=True)
        uow.commit()
    clock = [FORCE - timedelta(seconds=1)]
    monkeypatch.setattr(settling, "now", lambda: clock[0])
    yield served_town.Services(lambda scope="": UnitOfWork(engine, scope)), clock, draft
    engine.dispose()


def effects_at(services, draft):
    with services.unit_of_work() as uow:
        return uow.redraws.get(draft)["effects_at"]


def test_a_redraw_takes_effect_once_when_its_instant_comes(served):
    services, clock, draft = served

    assert settle_once(services) == 0 and effects_at(services, draft) is None
    clock[0] = FORCE

    assert [settle_once(services), settle_once(services)] == [1, 0]
    assert effects_at(services, draft) == FORCE
    with services.unit_of_work() as uow:
        primary = uow.assignments.list("social", town.COMMUNITIES[0], FORCE).query("is_primary")
        assert set(primary["grid_code"]) <= {f"{town.COMMUNITIES[0]}{serial:03d}" for serial in (7, 8, 9)}
        assert len(primary) >= 2


def test_the_clock_of_a_worker_settles_and_survives_a_fault(served, monkeypatch):
    services, clock, draft = served
    clock[0] = FORCE
    settled, calls = threading.Event(), []

    def watched(app):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the database was away")
        done = settle_once(app)
        settled.set()
        return done

    monkeypatch.setattr(settling, "settle_once", watched)
    ending = start_settling(services, every_s=0.01)

    assert settled.wait(30)
    ending.set()
    assert effects_at(services, draft) == FORCE and len(calls) >= 2
