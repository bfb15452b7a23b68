"""Assignments of a stored town."""

import pandas as pd
import pytest

from gridsvc.errors import NotFoundError
from gridsvc.services.assigning import assign
from tests.factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    LATER,
    START,
    STREETS,
    division_frame,
    grid_frame,
    worker_frame,
)

pytestmark = pytest.mark.postgis


def put_grids(uow, frame, at=START):
    redraw = uow.redraws.open_draft("social", DISTRICT, "automatic", "test", at, "test")
    uow.redraws.put_grids(redraw, frame)
    uow.redraws.approve(redraw, "test", at, at)


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    put_grids(uow, grid_frame())
    return uow


def test_every_grid_gets_one_responsible_worker(town):
    town.workers.put_frame(worker_frame(8), START)

    result = assign(town, DISTRICT, at=START, actor="test")

    stored = town.assignments.list("social", DISTRICT, START)
    primary = stored[stored["is_primary"]]
    assert (result.grids, result.full_time_assigned, result.unassigned) == (8, 8, ())
    assert primary["grid_code"].is_unique
    assert len(primary) == 8
    assert set(primary["role"]) == {"full_time"}
    homes = worker_frame(8).set_index("worker_code")["division_code"]
    assert (primary["worker_code"].map(homes) == primary["grid_code"].str[:12]).all()
    assert result.fairness.mean_households == 400


def test_second_call_changes_nothing_and_leaves_one_audit_entry(town):
    town.workers.put_frame(worker_frame(8), START)

    first = assign(town, DISTRICT, at=START, actor="test")
    again = assign(town, DISTRICT, at=LATER, actor="test")

    assert (first.ended, first.inserted, first.unchanged) == (0, 16, 0)
    assert (again.ended, again.inserted, again.unchanged) == (0, 0, 16)
    entries = pd.read_sql("SELECT actor, object_key FROM audit_log WHERE action = 'assign'", town.connection)
    assert entries.to_dict("records") == [{"actor": "test", "object_key": DISTRICT}]


def test_grids_without_anybody_are_listed(town):
    town.workers.put_frame(worker_frame(3), START)

    result = assign(town, DISTRICT, at=START, actor="test")

    assert result.full_time_assigned == 3
    assert len(result.unassigned) == 5
    assert all("no spare one lives within" in row.reason for row in result.unassigned)


def test_new_worker_takes_over_and_the_past_is_kept(town):
    town.workers.put_frame(worker_frame(4), START)
    assign(town, DISTRICT, at=START, actor="test")
    town.workers.put_frame(worker_frame(8), LATER)

    result = assign(town, DISTRICT, at=LATER, actor="test")

    assert result.full_time_assigned == 8
    assert town.assignments.list("social", DISTRICT, START)["is_primary"].sum() == 4
    assert town.assignments.list("social", DISTRICT, LATER)["is_primary"].sum() == 8


def test_one_street_is_assigned_without_touching_the_other(town):
    town.workers.put_frame(worker_frame(8), START)
    assign(town, DISTRICT, at=START, actor="test")
    before = town.assignments.list("social", STREETS[1], LATER)

    result = assign(town, STREETS[0], at=LATER, actor="test")

    assert result.grids == 4
    assert (result.ended, result.inserted) == (0, 0)
    assert town.assignments.list("social", STREETS[1], LATER).equals(before)


def test_worker_who_is_full_elsewhere_gets_no_more(uow):
    uow.divisions.put_frame(division_frame(), START)
    # one worker of the first street, who holds a grid of the second: nothing is left for the own one
    put_grids(uow, grid_frame([COMMUNITIES[0], COMMUNITIES[2]], parts=1))
    uow.workers.put_frame(worker_frame(1), START)
    held = pd.DataFrame(
        {
            "worker_code": ["WK0000"],
            "grid_code": [f"{COMMUNITIES[2]}001"],
            "role": ["full_time"],
            "is_primary": [True],
            "deputy_of": [None],
        }
    )
    uow.assignments.put_in_force(held, network="social", prefix=STREETS[1], at=START)

    result = assign(uow, STREETS[0], at=START, actor="test")

    assert (result.full_time_assigned, len(result.unassigned)) == (0, 1)


def test_lane_chiefs_serve_grids_when_asked_to(town):
    town.workers.put_frame(worker_frame(8, kind_code="W08"), START)

    assert assign(town, DISTRICT, at=START, actor="test").full_time_assigned == 0
    assert assign(town, DISTRICT, at=START, actor="test", lane_workers=True).full_time_assigned == 8


def test_workers_without_a_home_are_assigned_too(town):
    frame = worker_frame(8)
    frame["geometry"] = None
    town.workers.put_frame(frame, START)

    assert assign(town, DISTRICT, at=START, actor="test").full_time_assigned == 8


def test_division_without_grids_says_how_to_get_them(uow):
    uow.divisions.put_frame(division_frame(), START)

    with pytest.raises(NotFoundError, match=f"gridsvc divide {DISTRICT}"):
        assign(uow, DISTRICT, at=START, actor="test")
