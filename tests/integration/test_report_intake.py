"""Intake with real commits: many clients at once, reconciliation that skips nothing, tokens withdrawn in between."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from threading import Barrier

import pytest
import shapely
from factories import served_town
from factories import stored_town as town
from sqlalchemy import text

from gridsvc.bootstrap import App
from gridsvc.services import access, report_reading, reporting
from gridsvc.services.reporting import Poster
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork
from gridsvc.web import create_app

pytestmark = pytest.mark.postgis
NOW = datetime(2026, 7, 1, 4, 0, tzinfo=UTC)
PHONE = Poster("wang")
# an order that a receipt got at a server which is far ahead of this one
ELSEWHERE = 9_000_000_000_000


@pytest.fixture
def engine(town_database):
    """An engine of a database with the town in it."""
    made = make_engine(town_database, pool_size=12)
    yield made
    made.dispose()


@pytest.fixture
def flask_app(engine):
    settings = served_town.settings()
    return create_app(App(settings, engine), settings)


def new_report(**changes) -> reporting.NewReport:
    lon, lat = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]
    posted = {
        "report_id": uuid.uuid4(),
        "occurred_at": datetime(2026, 3, 5, 1, 30, tzinfo=UTC),
        "lon": lon,
        "lat": lat,
        "datum": "wgs84",
        "category_code": "E06001",
    }
    return reporting.NewReport(**(posted | changes))


def submit(engine, *reports, poster=PHONE):
    with UnitOfWork(engine) as uow:
        return reporting.submit_reports(uow, reports, received_at=NOW, posters=[poster] * len(reports))


def settle(engine):
    """Wait until what was posted is listed: when every transaction of the server that began before has ended."""
    waiting = "SELECT EXISTS (SELECT FROM report_receipts WHERE commit_order < :elsewhere AND commit_order >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint)"
    end = time.monotonic() + 60
    with engine.connect() as connection:
        while connection.scalar(text(waiting), {"elsewhere": ELSEWHERE}):
            assert time.monotonic() < end, "another transaction of this server goes on for a minute"
            connection.rollback()
            time.sleep(0.05)


def held(engine, since="", login="wang", *, settled=True, **asked):
    if settled:
        settle(engine)
    with UnitOfWork(engine) as uow:
        return report_reading.held_reports(uow, login, since=since, **asked)


def ids_of(answer):
    return [item["report_id"] for item in answer.items]


def at_once(count, work):
    together = Barrier(count)

    def run(number):
        together.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_eight_posts_of_one_report_at_once_are_one_201_and_seven_200(flask_app, engine):
    body = served_town.report_body()
    answers = at_once(8, lambda _: flask_app.test_client().post("/api/v1/reports", json=body))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.data for answer in answers}) == 1
    with engine.connect() as connection:
        counts = [connection.scalar(text(f"SELECT count(*) FROM {t}")) for t in ("reports", "report_receipts", "cases")]
    assert counts == [1, 1, 1]


def test_of_two_contents_with_one_id_at_once_one_is_stored(flask_app):
    bodies = [served_town.report_body(description=name) for name in "甲乙"]
    answers = at_once(2, lambda i: flask_app.test_client().post("/api/v1/reports", json=bodies[i]))

    assert sorted(answer.status_code for answer in answers) == [201, 409]


def test_batches_with_the_same_reports_in_other_orders_do_not_lock_up(engine):
    reports = [new_report() for _ in range(200)]
    orders = [reports, reports[::-1], reports[100:] + reports[:100]]
    outcomes = at_once(3, lambda i: submit(engine, *orders[i]))

    created = [sum(outcome.created for outcome in each) for each in outcomes]
    assert sum(created) == 200
    assert all(outcome.refusal is None for each in outcomes for outcome in each)


def test_the_first_reports_of_a_month_may_come_at_once(engine):
    month = datetime(2026, 4, 5, tzinfo=UTC)
    outcomes = at_once(4, lambda _: submit(engine, new_report(occurred_at=month)))

    assert [outcome.created for (outcome,) in outcomes] == [True] * 4


def test_a_month_is_made_when_its_first_report_comes_and_refused_ones_make_none(engine):
    submit(engine, new_report(occurred_at=datetime(2026, 5, 5, tzinfo=UTC), lon=1.0))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('reports_y2026m05')")) is None

    submit(engine, new_report(occurred_at=datetime(2026, 5, 5, tzinfo=UTC)))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT to_regclass('reports_y2026m05')")) is not None


def test_what_is_held_follows_a_cursor_and_carries_hashes(engine):
    reports = [new_report() for _ in range(5)]
    receipts = [submit(engine, report)[0].receipt for report in reports]
    first = held(engine, limit=2)
    rest = held(engine, first.next_cursor)

    assert ids_of(first) + ids_of(rest) == [receipt["report_id"] for receipt in receipts]
    assert (first.more, rest.more) == (True, False)
    assert [item["content_sha256"] for item in first.items] == [r["content_sha256"] for r in receipts[:2]]
    assert held(engine, rest.next_cursor).items == []
    assert held(engine, rest.next_cursor).next_cursor == rest.next_cursor


def test_a_transaction_that_commits_late_is_not_skipped(engine):
    early, late = new_report(), new_report()
    row = {"content_sha256": "00", "reported_at": early.occurred_at, "category_code": "E06001", "address": "江汉路1号"}
    with UnitOfWork(engine) as slow:
        slow.intake.take([row | {"report_id": str(early.report_id)}], posters=[PHONE], at=NOW)
        submit(engine, late)
        between = held(engine, settled=False)
        slow.commit()
    after = held(engine, between.next_cursor)

    assert ids_of(between) == []  # the later one waits: passing it would leave the early one behind
    assert ids_of(after) == [str(early.report_id), str(late.report_id)]


def test_what_is_held_is_that_of_the_caller_and_of_the_device(engine):
    mine, other = new_report(device="phone-1"), new_report(device="phone-2")
    submit(engine, mine, other)
    submit(engine, new_report(device="phone-1"), poster=Poster("li"))

    assert set(ids_of(held(engine))) == {str(mine.report_id), str(other.report_id)}
    assert ids_of(held(engine, device="phone-1")) == [str(mine.report_id)]


def test_imported_reports_are_nobodys(engine):
    with UnitOfWork(engine) as uow:
        uow.reports.add_frame(town.report_frame(3))
        uow.commit()

    assert held(engine, login="").items == []


def test_a_cursor_of_another_history_begins_again(engine):
    submit(engine, new_report())
    cursor = held(engine).next_cursor
    _, _, place = cursor.partition(".")

    assert len(held(engine, f"abc123.{place}").items) == 1
    assert held(engine, cursor).items == []


def test_receipts_of_another_server_come_before_all_that_will_come(engine):
    restored, fresh = new_report(), new_report()
    submit(engine, restored)
    with UnitOfWork(engine) as uow:
        uow.connection.execute(text("UPDATE report_receipts SET commit_order = :order"), {"order": ELSEWHERE})
        uow.commit()
    assert held(engine).items == []
    with UnitOfWork(engine) as uow:
        assert uow.receipts.settle_restored() == 1
        uow.commit()
    submit(engine, fresh)

    assert ids_of(held(engine)) == [str(restored.report_id), str(fresh.report_id)]


def test_a_device_reads_what_is_held_of_it_over_http(flask_app, engine):
    client = flask_app.test_client()
    body = served_town.report_body(device="phone-1")
    receipt = client.post("/api/v1/reports", json=body).json
    update = {"update_id": str(uuid.uuid4()), "occurred_at": "2026-03-05T10:00:00+08:00", "description": "水已退"}
    client.post(f"/api/v1/reports/{body['report_id']}/updates", json=update)
    settle(engine)
    answer = client.get("/api/v1/reports:mine?device=phone-1").json

    assert answer["items"] == [
        {
            "report_id": body["report_id"],
            "content_sha256": receipt["content_sha256"],
            "received_at": receipt["received_at"],
            "photos": [],
            "updates": [update["update_id"]],
        }
    ]
    assert client.get(f"/api/v1/reports:mine?device=phone-1&since={answer['next_cursor']}").json["items"] == []


@pytest.mark.parametrize("query", ["", "?device=a&since=x", "?device=a&since=1.2.3", "?device=a&limit=0", "?who=a"])
def test_bad_questions_about_what_is_held_are_refused(flask_app, query):
    answer = flask_app.test_client().get(f"/api/v1/reports:mine{query}")

    assert (answer.status_code, answer.json["code"]) == (422, "request-invalid")


@pytest.mark.parametrize("path", ["/api/v1/reports", "/api/v1/reports:batch"])
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tokens SET withdrawn_at = now() - interval '1 s'",
        "UPDATE tokens SET expires_at = now() - interval '1 s'",
        "UPDATE users SET is_active = false",
        "UPDATE users SET scope_prefix = '420105'",
        "UPDATE users SET role = 'viewer'",
    ],
)
def test_a_token_that_stands_for_nobody_any_more_stores_nothing(flask_app, engine, path, change):
    with UnitOfWork(engine) as uow:
        access.add_user(uow, "wang", "王", "field", "420103", actor="test", at=NOW)
        token = access.issue_token(uow, "wang", actor="test", at=NOW).token
    client, headers = flask_app.test_client(), {"Authorization": f"Bearer {token}"}

    def post():
        body = served_town.report_body(report_id=str(uuid.uuid4()))
        return client.post(path, json=[body] if path.endswith("batch") else body, headers=headers).status_code

    assert post() in (200, 201)
    with engine.begin() as connection:
        connection.execute(text(change))
    assert post() == 401
    post()  # the token is asked for anew, and may stand for somebody else by now
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM reports")) == 1


def redraw_social(uow, at):
    """Put other governance grids in force from ``at``; the caller commits."""
    redraw = uow.redraws.open_draft("social", town.DISTRICT, "automatic", "test", at)
    uow.redraws.put_grids(redraw, town.grid_frame(parts=3, first_serial=11))
    uow.redraws.approve(redraw, "test", at, at, {})


def test_a_report_after_a_redraw_has_its_grids_although_the_process_knew_the_old_ones(engine):
    before = submit(engine, new_report())[0].receipt
    with UnitOfWork(engine) as uow:
        redraw_social(uow, datetime(2026, 2, 1, tzinfo=UTC))
        uow.commit()
    after = submit(engine, new_report())[0].receipt

    assert before["grids"]["social"].endswith(("001", "002"))
    assert after["grids"]["social"].endswith("012")


def test_a_report_waits_for_a_redraw_that_is_being_committed(engine):
    submit(engine, new_report())
    with UnitOfWork(engine) as uow, ThreadPoolExecutor(1) as pool:
        redraw_social(uow, datetime(2026, 2, 1, tzinfo=UTC))
        posted = pool.submit(submit, engine, new_report())
        assert not wait([posted], timeout=1.0).done
        uow.commit()
        receipt = posted.result(timeout=60)[0].receipt

    assert receipt["grids"]["social"].endswith("012")


def test_a_redraw_waits_for_reports_that_are_being_stored(engine):
    submit(engine, new_report())
    with UnitOfWork(engine) as uow, ThreadPoolExecutor(1) as pool:
        row = {"content_sha256": "00", "reported_at": NOW, "category_code": "E06001", "address": "江汉路1号"}
        version = uow.connection.scalar(text("SELECT version::text FROM grid_version"))
        posted = [row | {"report_id": str(uuid.uuid4())}]
        assert uow.intake.take(posted, posters=[PHONE], at=NOW, grid_version=version) is not None

        def redraw():
            with UnitOfWork(engine) as other:
                redraw_social(other, datetime(2026, 2, 1, tzinfo=UTC))
                other.commit()

        drawn = pool.submit(redraw)
        assert not wait([drawn], timeout=1.0).done
        uow.commit()
        drawn.result(timeout=60)


def test_a_place_that_a_division_covers_since_a_moment_is_not_refused(engine):
    beside = {"lon": town.WEST - town.SIDE / 2, "lat": town.SOUTH + town.SIDE / 2}
    (before,) = submit(engine, new_report(**beside))
    west, south, east, north = town.WEST - town.SIDE, town.SOUTH, town.WEST + 2 * town.SIDE, town.SOUTH + 2 * town.SIDE
    divisions = town.division_frame()
    divisions.loc[divisions["level"] == "district", "geometry"] = shapely.MultiPolygon(
        [shapely.box(west, south, east, north)]
    )
    with UnitOfWork(engine) as uow:
        uow.divisions.put_frame(divisions, town.START)
        uow.commit()

    (after,) = submit(engine, new_report(**beside))

    assert before.refusal.code == "position-outside-coverage"
    assert (after.created, after.receipt["district_code"]) == (True, town.DISTRICT)


def test_reports_located_by_an_older_version_are_not_stored(engine):
    row = {"content_sha256": "00", "reported_at": NOW, "category_code": "E06001", "address": "江汉路1号"}
    with UnitOfWork(engine) as uow:
        posted = [row | {"report_id": str(uuid.uuid4())}]
        assert uow.intake.take(posted, posters=[PHONE], at=NOW, grid_version=str(uuid.uuid4())) is None
        assert uow.reports.count() == 0
        assert uow.intake.received([posted[0]["report_id"]]) == {}
