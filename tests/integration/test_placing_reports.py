"""Reports with an address get its place once the gazetteer knows it, keep what they were, and open their case."""

import os
import uuid
from datetime import timedelta

import pytest
from factories import addressed_town
from factories import stored_town as town

from gridsvc.services import report_reading, reporting
from gridsvc.services.gazetteer import build_gazetteer
from gridsvc.services.placing_reports import place_waiting
from gridsvc.services.report_updates import NewUpdate, submit_update
from gridsvc.services.reporting import Poster
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis
AT = town.LATER
HOTLINE = Poster("hotline")
KNOWN, UNKNOWN = "南湖大道11号", "天上街九百号"


@pytest.fixture(scope="module")
def town_engine(postgis_server, template_database):
    """Engine of a database with the town and its gazetteer."""
    name = f"gridsvc_test_{os.getpid()}_placing"
    made = make_engine(postgis_server.create(name, template_database))
    with UnitOfWork(made) as uow:
        addressed_town.put_addressed_town(uow)
        build_gazetteer(uow, at=AT)
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


def heard(uow, address):
    """Take in a report with an address only; return it and its receipt."""
    report = reporting.NewReport(
        uuid.uuid4(), AT - timedelta(hours=1), None, None, None, "E06001", address=address, source="hotline"
    )
    return report, reporting.submit_report(uow, report, received_at=AT, poster=HOTLINE)[0]


def test_an_address_that_is_known_becomes_a_place_and_opens_a_case(uow):
    report, receipt = heard(uow, KNOWN)

    assert place_waiting(uow, at=AT) == 1
    placed = report_reading.get_report(uow, report.report_id)
    assert placed["case_code"].startswith(town.DISTRICT)
    assert placed["community_code"].startswith(town.DISTRICT)
    assert placed["accuracy_m"] > 0
    kept = ("report_id", "content_sha256", "received_at", "occurred_at", "category_code")
    assert {name: placed[name] for name in kept} == {name: receipt[name] for name in kept}
    assert placed["address"] == KNOWN
    assert [row["lon"] for row in report_reading.list_reports(uow).rows] == [placed["lon"]]


def test_a_report_is_told_of_when_it_has_its_place(uow):
    report, _ = heard(uow, KNOWN)
    update = NewUpdate(uuid.uuid4(), report.report_id, AT, "还没有人来")
    submit_update(uow, update, received_at=AT, poster=HOTLINE)
    uow.events.number(kept=100)
    assert uow.events.after(0).events == []

    place_waiting(uow, at=AT)

    uow.events.number(kept=100)
    told = uow.events.after(0).events
    assert [(event.kind, event.subject) for event in told] == [
        ("report.received", str(report.report_id)), ("report.updated", str(report.report_id)),
    ]  # fmt: skip
    assert told[0].payload["case_code"] == report_reading.get_report(uow, report.report_id)["case_code"]
    assert told[0].payload["lon"] is not None


def test_a_retry_after_that_gets_the_place_and_stores_nothing_more(uow):
    report, _ = heard(uow, KNOWN)
    place_waiting(uow, at=AT)

    again, created = reporting.submit_report(uow, report, received_at=AT, poster=HOTLINE)

    assert not created
    assert again["case_code"] is not None
    assert uow.reports.count() == 1


def test_an_address_that_is_not_known_waits_until_the_gazetteer_is_another(uow):
    report, _ = heard(uow, UNKNOWN)

    assert (place_waiting(uow, at=AT), place_waiting(uow, at=AT)) == (0, 0)
    assert report_reading.get_report(uow, report.report_id)["address"] == UNKNOWN
    build = uow.gazetteer.state().build_id
    assert not uow.unplaced_reports.has_untried(build)
    assert uow.unplaced_reports.has_untried("another")
