"""Reports in a real PostGIS: taken in once, in the right month, with their case; bulk; scope."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import pytest
from factories.stored_town import (
    COMMUNITIES,
    DISTRICT,
    START,
    STREETS,
    division_frame,
    grid_frame,
    report_frame,
    report_row,
)
from sqlalchemy import text

from gridsvc.errors import CodeDuplicateError, ConflictError, ForbiddenError, RequestInvalidError
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis
BODY, OTHER = bytes(32), b"\x01" * 32


@pytest.fixture
def town(uow):
    uow.divisions.put_frame(division_frame(), START)
    return uow


def test_a_report_opens_its_case(uow):
    row = report_row()

    outcome, stored = uow.reports.add(row, BODY)

    assert outcome == "created"
    assert (stored["lon"], stored["lat"]) == (row["lon"], row["lat"])
    assert stored["stage"] == "reported"
    assert stored["case_code"] == f"{DISTRICT}20260305{stored['report_no']:08d}"
    assert uow.cases.get(stored["case_code"])["report_id"] == row["report_id"]
    assert uow.cases.count_by_stage() == {"reported": 1}


def test_the_case_code_has_the_day_in_beijing(uow):
    late = report_row(reported_at=datetime(2026, 3, 5, 16, 0, tzinfo=UTC))

    assert uow.reports.add(late, BODY)[1]["case_code"][6:14] == "20260306"


def test_a_retry_gets_the_first_answer(uow):
    row = report_row()

    first, again = uow.reports.add(row, BODY), uow.reports.add(row, BODY)

    assert (first[0], again[0]) == ("created", "repeated")
    assert first[1] == again[1]
    assert uow.reports.count() == 1


def test_an_id_used_for_other_content_is_refused(uow):
    row = report_row()
    uow.reports.add(row, BODY)

    with pytest.raises(ConflictError, match="other content"):
        uow.reports.add(row, OTHER)


def test_an_unknown_field_is_refused(uow):
    with pytest.raises(RequestInvalidError, match="no colour"):
        uow.reports.add(report_row(colour="red"), BODY)


def test_two_posts_at_once_store_one_report_and_get_one_answer(clean_database):
    row, engine, together = report_row(), make_engine(clean_database), Barrier(4)

    def post(_):
        with UnitOfWork(engine) as uow:
            together.wait()
            answer = uow.reports.add(row, BODY)
            uow.commit()
            return answer

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(post, range(4)))

    assert sorted(outcome for outcome, _ in answers) == ["created", "repeated", "repeated", "repeated"]
    assert all(stored == answers[0][1] for _, stored in answers)
    with UnitOfWork(engine) as uow:
        assert uow.reports.count() == 1
        assert uow.cases.count_by_stage() == {"reported": 1}
    engine.dispose()


def test_the_first_reports_of_a_month_may_come_at_once(clean_database):
    engine, together = make_engine(clean_database), Barrier(4)

    def post(_):
        with UnitOfWork(engine) as uow:
            together.wait()
            outcome, stored = uow.reports.add(report_row(), BODY)
            uow.commit()
            return outcome, stored["case_code"]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(post, range(4)))

    assert [outcome for outcome, _ in answers] == ["created"] * 4
    assert len({code for _, code in answers}) == 4
    engine.dispose()


def test_nothing_stays_of_a_rolled_back_report(open_uow):
    row = report_row()
    with open_uow() as uow:
        uow.reports.add(row, BODY)

    with open_uow() as uow:
        assert uow.reports.get(row["report_id"]) is None
        assert uow.reports.add(row, OTHER)[0] == "created"


def test_what_is_committed_stays(open_uow):
    row = report_row()
    with open_uow() as uow:
        uow.reports.add(row, BODY)
        uow.commit()
        uow.reports.add(report_row(), OTHER)

    with open_uow() as uow:
        assert uow.reports.get(row["report_id"])["description"] == "道路积水"
        assert uow.reports.count() == 1


def test_many_reports_at_once(town):
    assert town.reports.add_frame(report_frame()) == (20, 0)
    assert town.reports.add_frame(report_frame(24)) == (4, 20)

    found = town.reports.list(limit=None)

    assert len(found) == len(set(found["report_id"])) == len(set(found["case_code"])) == 24
    assert found["reported_at"].is_monotonic_decreasing
    assert found["accuracy_m"].notna().sum() == 5


def test_a_bulk_of_known_ids_with_other_content_is_refused(town):
    town.reports.add_frame(report_frame())

    with pytest.raises(ConflictError, match="other content"):
        town.reports.add_frame(report_frame(description="别的"))


def test_a_bulk_knows_reports_that_came_one_by_one(town):
    rows = report_frame(1)
    row = report_row(**{name: rows[name].iloc[0] for name in rows.columns if name not in ("geometry", "accuracy_m")})
    town.reports.add(row | {"reported_at": datetime(2026, 1, 10, 2, tzinfo=UTC)}, BODY)

    assert town.reports.add_frame(rows) == (0, 1)


def test_an_id_twice_in_a_bulk_is_refused(town):
    with pytest.raises(CodeDuplicateError):
        town.reports.add_frame(report_frame(2, report_id="00000000-0000-0000-0000-000000000001"))


def test_pages_follow_one_another(town):
    town.reports.add_frame(report_frame())

    seen, cursor = [], ""
    while len(page := town.reports.list(cursor=cursor, limit=6)):
        seen += page["report_id"].tolist()
        cursor = town.reports.cursor_after(page)

    assert seen == town.reports.list(limit=None)["report_id"].tolist()
    with pytest.raises(RequestInvalidError, match="not a cursor"):
        town.reports.list(cursor="nonsense")


def test_derived_grids_reach_reports_and_cases(town):
    draft = town.redraws.open_draft("social", DISTRICT, "automatic", "planner", START)
    town.redraws.put_grids(draft, grid_frame())
    town.redraws.approve(draft, "manager", START, START)
    town.reports.add_frame(report_frame())
    found = town.reports.unlocated()
    code = f"{COMMUNITIES[0]}001"

    written = town.reports.set_grids(found.drop(columns=["lon", "lat"]).assign(social_grid=code, urban_grid=None))

    assert written == 20
    assert town.reports.unlocated().empty
    assert town.reports.list(network="social", grid_code=code, limit=None)["social_grid"].eq(code).all()
    assert town.cases.list(limit=None)["social_grid"].eq(code).all()
    counted = town.reports.count_by_grid("social", at=START)
    assert counted.set_index("code")["reports"].to_dict() == {c: 20 if c == code else 0 for c in grid_frame()["code"]}


def test_months_are_made_once(uow):
    first, last = datetime(2025, 11, 30, 23, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)

    assert uow.reports.ensure_months(first, last) == 6
    assert uow.reports.ensure_months(first, last) == 0
    assert uow.connection.scalar(text("SELECT to_regclass('cases_y2025m12')")) == "cases_y2025m12"


def test_a_report_lies_in_the_partition_of_its_month(uow):
    uow.reports.add(report_row(reported_at=datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)), BODY)

    assert uow.connection.scalar(text("SELECT tableoid::regclass::text FROM reports")) == "reports_y2025m12"


def test_a_wrong_clock_makes_no_months(uow):
    with pytest.raises(RequestInvalidError, match="between 2000 and 2099"):
        uow.reports.ensure_months(datetime(1970, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("scope", "communities"), [(STREETS[0], COMMUNITIES[:2]), (COMMUNITIES[3], COMMUNITIES[3:]), ("420104", ())]
)
def test_a_scope_sees_and_writes_its_own_only(town, open_uow, scope, communities):
    town.reports.add_frame(report_frame())

    with open_uow(scope) as limited:
        assert set(limited.reports.list(limit=None)["community_code"]) == set(communities)
        assert limited.reports.count() == 5 * len(communities)
        assert len(limited.reports.unlocated()) == 5 * len(communities)
        assert (
            len(limited.cases.list(limit=None)) == sum(limited.cases.count_by_stage().values()) == 5 * len(communities)
        )
        elsewhere = report_frame()[~report_frame()["community_code"].isin(communities)]
        assert limited.reports.get(elsewhere["report_id"].iloc[0]) is None
        with pytest.raises(ForbiddenError):
            limited.reports.add_frame(elsewhere)
        with pytest.raises(ForbiddenError):
            limited.reports.add(report_row(community_code="420105001001", district_code="420105"), BODY)
        with pytest.raises(ForbiddenError):
            limited.reports.set_grids(
                elsewhere[["district_code", "reported_at", "report_id", "community_code"]].assign(
                    district_code="420105"
                )
            )
