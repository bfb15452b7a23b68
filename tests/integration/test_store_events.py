"""Events: told when their transaction commits, numbered in the order of commits without a gap, kept for a while."""

from __future__ import annotations

import random
import threading

import pytest
from sqlalchemy import text

from gridsvc.errors import ForbiddenError, RequestInvalidError
from gridsvc.store.engine import make_engine
from gridsvc.store.events import listening
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = pytest.mark.postgis
HERE, THERE = "420103001001", "420103002001"
KEPT = 1000


@pytest.fixture
def engine(clean_database):
    made = make_engine(clean_database, pool_size=12)
    yield made
    made.dispose()


def tell(uow, subject, code=HERE, kind="case.moved", **payload):
    uow.events.add(kind, code, subject, payload)


def number(engine, **how):
    with UnitOfWork(engine) as uow:
        count = uow.events.number(**({"kept": KEPT} | how))
        uow.commit()
    return count


def read(engine, after=0, scope="", **how):
    with UnitOfWork(engine, scope) as uow:
        return uow.events.after(after, **how)


def subjects(page):
    return [event.subject for event in page.events]


def test_an_event_is_told_with_its_transaction_and_never_without(engine):
    with UnitOfWork(engine) as uow:
        tell(uow, "kept", network="social", to_grid="1")
        uow.commit()
        tell(uow, "rolled back")
    number(engine)

    page = read(engine)

    assert [(e.seq, e.kind, e.division_code, e.subject, e.payload) for e in page.events] == [
        (1, "case.moved", HERE, "kept", {"network": "social", "to_grid": "1"})
    ]
    assert (page.first_seq, page.last_seq) == (1, 1)


def test_a_transaction_that_began_first_and_committed_last_is_told_last(engine):
    with UnitOfWork(engine) as early, UnitOfWork(engine) as late:
        tell(early, "early")  # has the lower event_id
        tell(late, "late")
        late.commit()
        number(engine)
        seen = read(engine)
        early.commit()
        number(engine)

    assert subjects(seen) == ["late"]
    assert [(e.seq, e.subject) for e in read(engine, after=seen.last_seq).events] == [(2, "early")]


def test_a_long_transaction_holds_up_nobody(engine):
    with UnitOfWork(engine) as long:
        tell(long, "long")
        with UnitOfWork(engine) as other:
            tell(other, "other")
            other.commit()

        assert number(engine) == 1
        assert subjects(read(engine)) == ["other"]


def test_followers_miss_nothing_while_transactions_commit_out_of_order(engine):
    """8 writers with delays and rollbacks, 3 that number at once, 2 followers by the last number each: all see the same, whole."""
    writers, each = 8, 25
    written, done, told, lock = threading.Event(), threading.Event(), [], threading.Lock()
    faults: list[BaseException] = []

    def guarded(work, *given):
        def run():
            try:
                work(*given)
            except BaseException as fault:
                faults.append(fault)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(name):
        dice = random.Random(name)
        pause = threading.Event()
        for n in range(each):
            subject = f"{name}-{n}"
            with UnitOfWork(engine) as uow:
                tell(uow, subject)
                pause.wait(dice.random() * 0.01)  # others begin and commit meanwhile
                if dice.random() < 0.2:
                    continue
                uow.commit()
            with lock:
                told.append(subject)

    def number_on():
        while not written.is_set():
            number(engine, most=7)

    followed: list[list] = [[], []]

    def follow(into):
        last = 0
        while True:
            finished = done.is_set()
            page = read(engine, after=last, most=5)
            into += page.events
            last = page.events[-1].seq if page.events else last
            if finished and not page.events:
                return

    numbering = [guarded(number_on) for _ in range(3)]
    following = [guarded(follow, into) for into in followed]
    writing = [guarded(write, f"w{i}") for i in range(writers)]
    for thread in writing:
        thread.join()
    written.set()
    for thread in numbering:
        thread.join()
    while number(engine):
        pass
    done.set()
    for thread in following:
        thread.join()
    last = read(engine).last_seq

    assert faults == []
    for seen in followed:
        assert [event.seq for event in seen] == list(range(1, last + 1)), "a gap, or out of order"
        assert sorted(event.subject for event in seen) == sorted(told)
    for name in {subject.split("-")[0] for subject in told}:  # what one writer committed first is told first
        own = [int(e.subject.split("-")[1]) for e in followed[0] if e.subject.startswith(f"{name}-")]
        assert own == sorted(own)


def test_an_order_by_identity_would_miss_events(engine):
    """The naive way, so that it is known that the test above can fail."""
    naive = text("SELECT event_id, subject FROM events_unnumbered WHERE event_id > :last ORDER BY event_id")
    with UnitOfWork(engine) as early, UnitOfWork(engine) as late, UnitOfWork(engine) as reader:
        tell(early, "early")
        tell(late, "late")
        late.commit()
        first = reader.connection.execute(naive, {"last": 0}).all()
        early.commit()
        second = reader.connection.execute(naive, {"last": first[-1].event_id}).all()

    assert [row.subject for row in first + second] == ["late"]


def test_readers_see_their_area_only(engine):
    with UnitOfWork(engine) as uow:
        for subject, code in (("here", HERE), ("there", THERE), ("district", "420103"), ("elsewhere", "420104001001")):
            tell(uow, subject, code)
        uow.commit()
    number(engine)

    assert subjects(read(engine, scope="420103")) == ["here", "there", "district"]
    assert subjects(read(engine, scope="420103002")) == ["there"]
    assert subjects(read(engine, scope="420103", prefix="420103001")) == ["here"]
    assert subjects(read(engine, scope="420103", prefix="420104")) == []
    assert subjects(read(engine, kinds=["photo.joined"])) == []


def test_what_a_kind_may_not_say_is_refused_and_never_read(engine):
    with UnitOfWork(engine) as uow:
        with pytest.raises(RequestInvalidError, match="may not tell reporter"):
            tell(uow, "x", kind="report.received", reporter="张三")
        with pytest.raises(RequestInvalidError, match="no kind of event"):
            tell(uow, "x", kind="gossip")
        uow.connection.execute(
            text(
                "INSERT INTO events_unnumbered (kind, division_code, subject, payload)"
                """ VALUES ('report.received', '420103', 'x', '{"source": "hotline", "reporter": "张三"}')"""
            )
        )
        uow.commit()
    number(engine)

    (event,) = read(engine).events
    assert event.payload == {"source": "hotline"}


def test_events_outside_the_scope_cannot_be_told(engine):
    with UnitOfWork(engine, "420103002") as uow, pytest.raises(ForbiddenError):
        tell(uow, "x", HERE)


def test_the_oldest_beyond_what_is_kept_are_forgotten(engine):
    for batch in range(3):
        with UnitOfWork(engine) as uow:
            for n in range(10):
                tell(uow, f"{batch}-{n}")
            uow.commit()
        number(engine, kept=15)

    page = read(engine)

    assert (page.first_seq, page.last_seq) == (16, 30)
    assert [event.seq for event in page.events] == list(range(16, 31))


def test_one_numbers_at_a_time_and_the_others_do_not_wait(engine):
    with UnitOfWork(engine) as uow:
        tell(uow, "one")
        uow.commit()
    with UnitOfWork(engine) as first:
        assert first.events.number(kept=KEPT) == 1
        assert number(engine) == 0  # returns at once
        first.rollback()
    assert number(engine) == 1
    assert subjects(read(engine)) == ["one"]


def test_a_listener_hears_of_numbered_events(engine):
    with listening(engine) as listener:
        heard_before = listener.wait(0.05)
        with UnitOfWork(engine) as uow:
            tell(uow, "one")
            uow.commit()
        number(engine)

        assert not heard_before
        assert listener.wait(5)
