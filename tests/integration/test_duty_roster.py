"""Who is on duty, held in memory, is who the database says; it is renewed with every change, and old answers end with their lease."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from factories import served_town
from factories import stored_town as town
from sqlalchemy import text

from gridsvc.errors import OutsideCoverageError
from gridsvc.services import point_locator
from gridsvc.services.duty_roster import DutyRoster
from gridsvc.services.grid_lookup import keep_current
from gridsvc.services.locating import locate_point
from gridsvc.services.point_locator import PointLocator
from gridsvc.store.grid_history import GridHistory

pytestmark = pytest.mark.postgis

NOW = datetime(2026, 7, 1, tzinfo=UTC)
SOON = NOW + timedelta(days=30)
_LON, _LAT = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]
PLACE = (_LON - 0.002, _LAT)


def assign(uow, rows, at, network="social"):
    named = pd.DataFrame(rows, columns=["worker_code", "grid_code", "role", "is_primary", "deputy_of"])
    uow.assignments.put_in_force(named, network=network, prefix=town.DISTRICT, at=at)


@pytest.fixture
def staffed(uow):
    """The town with several workers on a grid, some of them later, and one who has left."""
    served_town.put_town(uow)
    codes = town.grid_frame(network="social")["code"].tolist()
    first = [(f"WK{n:04d}", code, "full_time", True, None) for n, code in enumerate(codes)]
    assign(
        uow, [*first, ("WK0003", codes[0], "part_time", False, None), ("WK0001", codes[0], "leader", False, None)], NOW
    )
    assign(uow, [("WK0002", codes[0], "full_time", True, None), ("WK0005", codes[0], "deputy", False, "WK0002")], SOON)
    return uow, codes


def asked_of(uow, at):
    grids = {network: uow.grids.list(network)["code"] for network in served_town.NETWORKS}
    asked = [(n, network, code, bool(n % 2)) for network, codes in grids.items() for n, code in enumerate(codes)]
    return [(*each, at) for each in asked] + [(0, "social", "none", False, at)]


@pytest.mark.parametrize(
    "at", [NOW, NOW + timedelta(days=1), SOON - timedelta(microseconds=1), SOON, SOON + timedelta(days=99)]
)
def test_the_roster_says_what_the_database_says(staffed, at):
    uow, _ = staffed
    version, expected = GridHistory(uow.connection).on_duty(asked_of(uow, at))
    roster = DutyRoster.read(uow, NOW)

    assert roster.on_duty(asked_of(uow, at)) == expected
    assert expected
    assert (version, roster.version) == uow.duty.versions()


def test_without_workers_the_roster_is_empty_and_has_a_version(uow):
    roster = DutyRoster.read(uow, NOW)

    assert roster.by_grid == {}
    assert roster.version == uow.duty.versions()[1]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE workers SET name = '新名' WHERE worker_code = 'WK0001'",
        "UPDATE assignments SET valid_to = valid_from + interval '1 day' WHERE worker_code = 'WK0001'",
        "DELETE FROM assignments WHERE worker_code = 'WK0001'",
        "INSERT INTO assignments (worker_code, network, grid_code, role, is_primary, valid_from)"
        " SELECT worker_code, 'urban', grid_code, role, is_primary, valid_from FROM assignments LIMIT 1",
        "TRUNCATE assignments",
    ],
)
def test_every_change_renews_the_version(staffed, change):
    uow, _ = staffed
    before = uow.duty.versions()
    uow.connection.execute(text(change))

    assert uow.duty.versions()[1] != before[1]
    assert uow.duty.versions()[0] == before[0]


def test_what_changes_nothing_keeps_the_version(staffed):
    uow, _ = staffed
    before = uow.duty.versions()
    uow.connection.execute(text("UPDATE workers SET name = '新名' WHERE worker_code = 'nobody'"))

    assert uow.duty.versions() == before


class _Counting:
    """Makes the unit of work of a test, and counts how often it was asked for."""

    def __init__(self, open_uow) -> None:
        self.open_uow, self.opened = open_uow, 0

    def __call__(self, scope=""):
        self.opened += 1
        return self.open_uow(scope)


def ask(locator, at=NOW, scope=""):
    return locator.locate(*PLACE, "cgcs2000", scope=scope, at=at, accuracy_m=10.0, auto_route_odds=0.9)


@pytest.fixture
def locator(staffed, open_uow):
    """A locator that holds the grids and who is on duty, and counts its units of work."""
    uow, _ = staffed
    made = PointLocator(_Counting(open_uow), open_uow, nearest_within_m=25.0)
    keep_current(uow, NOW)
    made.keep_roster(uow, NOW)
    return made


def test_a_held_place_is_answered_from_memory_as_from_the_database(locator, staffed, monkeypatch):
    monkeypatch.setattr(point_locator, "LEASE_S", 60.0)
    uow, _ = staffed
    answers = [ask(locator, at) for at in (NOW, SOON) for _ in range(3)]

    assert locator._open_statements.opened == 1, "the versions, once"
    for answer in answers:
        expected = locate_point(
            uow, *PLACE, "cgcs2000", at=answer.at, accuracy_m=10.0, nearest_within_m=25.0, auto_route_odds=0.9
        )
        assert answer == expected
        assert any(grid.workers for grid in answer.grids)


def test_a_change_of_duty_is_answered_when_the_lease_has_ended(locator, staffed, monkeypatch):
    monkeypatch.setattr(point_locator, "LEASE_S", 0.0)
    uow, _ = staffed
    before = ask(locator)
    uow.connection.execute(text("UPDATE workers SET name = '新名' WHERE worker_code = 'WK0000'"))
    after = ask(locator)

    def names(answer):
        return {worker["name"] for grid in answer.grids for worker in grid.workers}

    assert "网格员0" in names(before)
    assert "网格员0" not in names(after)
    assert "新名" in names(after)
    locator.keep_roster(uow, NOW)
    opened = locator._open_statements.opened
    assert names(ask(locator)) == names(after)
    assert locator._open_statements.opened == opened + 1, "the versions alone"


def test_an_instant_before_the_roster_is_asked_of_the_database(locator, staffed):
    uow, _ = staffed
    early = ask(locator, NOW - timedelta(days=1))

    assert early == locate_point(
        uow, *PLACE, "cgcs2000", at=early.at, accuracy_m=10.0, nearest_within_m=25.0, auto_route_odds=0.9
    )


def test_a_scope_hides_places_outside_of_it_from_memory_too(locator):
    with pytest.raises(OutsideCoverageError):
        ask(locator, scope="990101")
    assert ask(locator, scope=town.DISTRICT).grids
