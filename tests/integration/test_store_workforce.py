"""Workers and assignments in a real PostGIS: one primary worker, history, what a redraw ends, scope."""

import pandas as pd
import pytest
from factories.stored_town import COMMUNITIES, DISTRICT, LATER, START, STREETS, division_frame, grid_frame, worker_frame

from gridsvc.errors import CodeDuplicateError, ConflictError, ForbiddenError, NotFoundError, RequestInvalidError

pytestmark = pytest.mark.postgis


def redraw(uow, frame, at=START):
    draft = uow.redraws.open_draft("social", DISTRICT, "automatic", "planner", at)
    uow.redraws.put_grids(draft, frame, COMMUNITIES)
    uow.redraws.approve(draft, "manager", at, at)


def roster(count=4, **changes):
    """Return one primary full-time worker for the first grid of each community."""
    columns = {
        "worker_code": [f"WK{i:04d}" for i in range(count)],
        "grid_code": [f"{code}001" for code in COMMUNITIES[:count]],
        "role": "full_time",
        "is_primary": True,
        "deputy_of": None,
    }
    return pd.DataFrame(columns | changes, index=range(count))


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    redraw(uow, grid_frame())
    uow.workers.put_frame(worker_frame(), START)
    return uow


def put(uow, frame, at=START, prefix=DISTRICT):
    return uow.assignments.put_in_force(frame, network="social", prefix=prefix, at=at)


def test_workers_come_back_with_their_homes(town):
    found = town.workers.list(STREETS[0], at=START)

    assert found["worker_code"].tolist() == ["WK0000", "WK0001"]
    assert found.geometry.geom_type.unique().tolist() == ["Point"]
    assert town.workers.count() == 4
    assert "W02" in town.workers.kinds()["kind_code"].tolist()


def test_a_worker_may_have_no_home(town):
    homeless = worker_frame(1, worker_code=["WK9"]).drop(columns="geometry")

    assert town.workers.put_frame(homeless, START) == (1, 0)


def test_an_unknown_kind_of_worker_is_refused(town):
    with pytest.raises(NotFoundError, match="not there"):
        town.workers.put_frame(worker_frame(kind_code="W99"), LATER)


def test_a_second_primary_worker_is_refused_by_the_database(town):
    two = roster(2, grid_code=f"{COMMUNITIES[0]}001")

    with pytest.raises(ConflictError, match="ex_assignments_primary_validity"):
        put(town, two)


def test_a_primary_and_a_part_time_worker_share_a_grid(town):
    both = roster(2, grid_code=f"{COMMUNITIES[0]}001", role=["full_time", "part_time"], is_primary=[True, False])

    assert put(town, both) == (0, 2, 0)
    assert town.assignments.list("social", at=START)["role"].tolist() == ["full_time", "part_time"]


def test_assignments_change_from_an_instant_on(town):
    put(town, roster())
    changed = roster()
    changed.loc[0, "worker_code"], changed.loc[1, "worker_code"] = "WK0001", "WK0000"

    assert put(town, changed, LATER) == (2, 2, 2)

    assert town.assignments.list("social", at=START)["worker_code"].tolist() == ["WK0000", "WK0001", "WK0002", "WK0003"]
    assert town.assignments.list("social", at=LATER)["worker_code"].tolist() == ["WK0001", "WK0000", "WK0002", "WK0003"]


def test_the_same_assignments_again_stay_untouched(town):
    put(town, roster())

    assert put(town, roster(), LATER) == (0, 0, 4)


def test_a_deputy_names_whom(town):
    with pytest.raises(RequestInvalidError, match="deputy_names_whom"):
        put(town, roster(role="deputy", is_primary=False))


def test_one_worker_twice_on_a_grid_is_refused(town):
    with pytest.raises(CodeDuplicateError):
        put(town, roster(2, worker_code="WK0000", grid_code=f"{COMMUNITIES[0]}001"))


def test_assignments_to_a_retired_grid_end_with_it(town):
    put(town, roster())

    redraw(town, grid_frame(COMMUNITIES[1:]), LATER)

    assert town.assignments.list("social", at=START)["grid_code"].tolist() == [f"{code}001" for code in COMMUNITIES]
    assert town.assignments.list("social", at=LATER)["grid_code"].tolist() == [f"{code}001" for code in COMMUNITIES[1:]]


def test_a_scope_sees_and_writes_its_own_only(town, open_uow):
    put(town, roster())

    with open_uow(COMMUNITIES[2]) as limited:
        assert limited.workers.list(at=START)["worker_code"].tolist() == ["WK0002"]
        assert limited.workers.count() == 1
        assert limited.assignments.list("social", at=START)["worker_code"].tolist() == ["WK0002"]
        assert limited.assignments.list("social", STREETS[0], at=START).empty
        with pytest.raises(ForbiddenError):
            limited.workers.put_frame(worker_frame(), LATER)
        with pytest.raises(ForbiddenError):
            put(limited, roster(), LATER)
        with pytest.raises(ForbiddenError):
            put(limited, roster(), LATER, prefix=COMMUNITIES[2])
