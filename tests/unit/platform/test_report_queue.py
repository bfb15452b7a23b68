"""Reports of several threads are stored together, each answered for itself; without a database."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest

from gridsvc.errors import ConflictError, DatabaseUnavailableError
from gridsvc.services import report_queue
from gridsvc.services.report_queue import ReportQueue
from gridsvc.services.reporting import NewReport, Outcome, Poster

NOW = datetime(2026, 7, 1, tzinfo=UTC)


def new_report(description: str = "") -> NewReport:
    return NewReport(uuid.uuid4(), NOW, 114.25, 30.58, "wgs84", "E06001", description=description)


class Store:
    """Takes the place of `submit_reports`: remembers the groups, waits at a gate, chokes on what is told to choke it."""

    def __init__(self) -> None:
        self.groups: list[list[NewReport]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Event()

    def __call__(self, uow, reports, *, received_at, posters):
        self.groups.append(list(reports))
        self.entered.release()
        assert self.gate.wait(30)
        if any(report.description == "chokes" for report in reports):
            raise RuntimeError("the database choked")
        if any(report.description == "outage" for report in reports):
            raise DatabaseUnavailableError("No connection.")
        return [self.outcome(report) for report in reports]

    def outcome(self, report: NewReport) -> Outcome:
        if report.description == "refused":
            return Outcome(refusal=ConflictError("Other content."))
        return Outcome({"report_id": str(report.report_id)}, True)


@pytest.fixture
def store(monkeypatch):
    made = Store()
    monkeypatch.setattr(report_queue, "submit_reports", made)
    return made


def submit_while_one_is_on_its_way(store, reports):
    """Submit one report, then the others while it is being stored; return their results in order, errors as values."""
    queue = ReportQueue(nullcontext)

    def submit(report):
        try:
            return queue.submit(report, received_at=NOW, poster=Poster("wang"))
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(reports) + 1) as pool:
        first = pool.submit(submit, new_report())
        assert store.entered.acquire(timeout=30)
        others = [pool.submit(submit, report) for report in reports]
        while len(queue._joint._waiting) < len(reports):
            threading.Event().wait(0.001)
        store.gate.set()
        assert first.result(30)[1] is True
        return [other.result(30) for other in others]


def test_what_comes_meanwhile_is_stored_together_and_each_is_answered_for_itself(store):
    reports = [new_report() for _ in range(5)]
    answers = submit_while_one_is_on_its_way(store, reports)

    assert [len(group) for group in store.groups] == [1, 5]
    assert {answer[0]["report_id"] for answer in answers} == {str(report.report_id) for report in reports}
    assert [answer[0]["report_id"] for answer in answers] == [str(report.report_id) for report in reports]


def test_as_many_as_were_there_before_are_waited_for(store, monkeypatch):
    monkeypatch.setattr(report_queue, "GATHER_S", 60.0)
    queue = ReportQueue(nullcontext)

    with ThreadPoolExecutor(4) as pool:

        def submit():
            return pool.submit(queue.submit, new_report(), received_at=NOW, poster=Poster("wang"))

        first = submit()
        assert store.entered.acquire(timeout=30)
        others = [submit(), submit()]
        while len(queue._joint._waiting) < 2:
            threading.Event().wait(0.001)
        store.gate.set()
        first.result(30)
        while queue._joint._gathering is None:
            threading.Event().wait(0.001)
        assert len(store.groups) == 1, "two of three are there"
        last = submit()
        for answer in (*others, last):
            assert answer.result(30)[1]

    assert [len(group) for group in store.groups] == [1, 3]


def test_those_who_do_not_come_again_are_not_waited_for_twice(store, monkeypatch):
    monkeypatch.setattr(report_queue, "GATHER_S", 0.01)
    submit_while_one_is_on_its_way(store, [new_report(), new_report()])

    assert [len(group) for group in store.groups] == [1, 2]


def test_a_refused_report_is_refused_alone(store):
    answers = submit_while_one_is_on_its_way(store, [new_report(), new_report("refused"), new_report()])

    assert [isinstance(answer, ConflictError) for answer in answers] == [False, True, False]


def test_a_report_that_the_database_chokes_on_does_not_take_the_others_with_it(store):
    answers = submit_while_one_is_on_its_way(store, [new_report(), new_report("chokes"), new_report()])

    assert [isinstance(answer, RuntimeError) for answer in answers] == [False, True, False]
    assert [len(group) for group in store.groups] == [1, 3, 1, 1, 1]


def test_an_outage_is_told_to_all_who_wait_and_nothing_is_tried_again(store):
    answers = submit_while_one_is_on_its_way(store, [new_report(), new_report("outage")])

    assert all(isinstance(answer, DatabaseUnavailableError) for answer in answers)
    assert [len(group) for group in store.groups] == [1, 2]


def test_a_queue_that_ran_empty_takes_the_next_and_who_is_alone_waits_for_nobody(store, monkeypatch):
    monkeypatch.setattr(report_queue, "GATHER_S", 600.0)
    store.gate.set()
    queue = ReportQueue(nullcontext)

    for _ in range(3):
        assert queue.submit(new_report(), received_at=NOW, poster=Poster("wang"))[1]
    assert [len(group) for group in store.groups] == [1, 1, 1]
