"""A photo or an update and its report that are stored at one moment: what came first is told of exactly once, whoever commits first."""

from __future__ import annotations

import hashlib
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from factories import served_town
from factories import stored_town as town
from factories.photos import photo
from sqlalchemy import text

from gridsvc.services import report_updates
from gridsvc.services.photos import Sender, cleaned, keep_photo, photo_rules
from gridsvc.services.reporting import NewReport, Poster, submit_reports
from gridsvc.store.engine import make_engine
from gridsvc.store.photo_files import PhotoFiles
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis

NOW = datetime(2026, 3, 6, tzinfo=UTC)
RULES = photo_rules(served_town.settings())
POSTER = Poster("wang")
DATA = photo(size=(64, 48))
# commits that others may do first; longer than any wait for them
SOON_S = 30.0


@pytest.fixture(scope="module")
def engine(postgis_server, town_template):
    """An engine of a database with the town in it; every test has a report of its own."""
    name = f"{town_template}_race"
    made = make_engine(postgis_server.create(name, town_template), pool_size=6)
    yield made
    made.dispose()
    postgis_server.drop(name)


@pytest.fixture
def files(tmp_path):
    return PhotoFiles(str(tmp_path))


def new_report(report_id, **changes):
    lon, lat = town.community_box(town.COMMUNITIES[0]).centroid.coords[0]
    posted = {"lon": lon, "lat": lat, "datum": "wgs84", "category_code": "E06001", "occurred_at": NOW}
    return NewReport(report_id=report_id, **(posted | changes))


class _NotYet(UnitOfWork):
    """A unit of work whose user commits and who keeps it open all the same, until the test says so."""

    def commit(self):
        pass


def post(uow, report_id):
    (outcome,) = submit_reports(uow, [new_report(report_id)], received_at=NOW, posters=[POSTER])
    assert outcome.created


def send_photo(uow, report_id, files):
    clean = cleaned(DATA, RULES)
    sender = Sender("wang", "")
    digest = hashlib.sha256(DATA).digest()
    keep_photo(uow, files, RULES, report_id, DATA, digest, clean, sender=sender, received_at=NOW)


def send_update(uow, report_id, _files):
    update = report_updates.NewUpdate(uuid.uuid4(), report_id, NOW, "水已退")
    report_updates.submit_update(uow, update, received_at=NOW, poster=POSTER)


def waits_for_a_lock(engine, backend, following):
    """Return True once a server process waits for an advisory lock, False when what it does has ended instead."""
    asked = text("SELECT count(*) FROM pg_locks WHERE pid = :pid AND locktype = 'advisory' AND NOT granted")
    end = time.monotonic() + SOON_S
    while not following.done():
        with engine.connect() as connection:
            if connection.scalar(asked, {"pid": backend}):
                return True
        assert time.monotonic() < end, "the other transaction neither waits nor ends"
        time.sleep(0.01)
    return False


def backend_of(uow):
    return uow.connection.scalar(text("SELECT pg_backend_pid()"))


def told(engine, report_id):
    statement = "SELECT kind FROM events_unnumbered WHERE subject = :id AND kind <> 'report.received' ORDER BY kind"
    with engine.connect() as connection:
        return list(connection.scalars(text(statement), {"id": str(report_id)}))


KINDS = pytest.mark.parametrize(("send", "kind"), [(send_photo, "photo.joined"), (send_update, "report.updated")])


@KINDS
@pytest.mark.parametrize("report_first", [True, False], ids=["the report begins", "what belongs to it begins"])
def test_stored_at_one_moment_it_is_told_once(engine, files, send, kind, report_first):
    report_id = uuid.uuid4()
    steps = [lambda uow: post(uow, report_id), lambda uow: send(uow, report_id, files)]
    begin, follow = steps if report_first else steps[::-1]

    with _NotYet(engine) as first, _NotYet(engine) as second, ThreadPoolExecutor(1) as pool:
        backend = backend_of(second)
        begin(first)
        following = pool.submit(follow, second)
        waited = waits_for_a_lock(engine, backend, following)
        UnitOfWork.commit(first)
        following.result(SOON_S)
        UnitOfWork.commit(second)

    assert waited
    assert told(engine, report_id) == [kind]


@KINDS
def test_one_after_the_other_it_is_told_once(engine, files, send, kind):
    before, after = uuid.uuid4(), uuid.uuid4()
    for step in (
        lambda uow: send(uow, before, files),
        lambda uow: post(uow, before),
        lambda uow: post(uow, after),
        lambda uow: send(uow, after, files),
    ):
        with UnitOfWork(engine) as uow:
            step(uow)
            uow.commit()

    assert told(engine, before) == told(engine, after) == [kind]


def test_a_photo_of_a_report_that_is_there_waits_for_nobody(engine, files):
    report_id, others = uuid.uuid4(), [uuid.uuid4() for _ in range(200)]
    with UnitOfWork(engine) as uow:
        post(uow, report_id)
    # reports of every class are being stored
    with _NotYet(engine) as storing, UnitOfWork(engine) as uow:
        reports = [new_report(other) for other in others]
        submit_reports(storing, reports, received_at=NOW, posters=[POSTER] * len(reports))
        uow.connection.execute(text("SET LOCAL lock_timeout = '1s'"))
        send_photo(uow, report_id, files)
        uow.commit()

    assert told(engine, report_id) == ["photo.joined"]
