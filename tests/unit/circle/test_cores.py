"""Work on all cores: every part once, failures told, and no wait for each other."""

from __future__ import annotations

import multiprocessing
import threading

import pytest

from gridsvc.circle import sweeps
from gridsvc.circle.sweeps import on_all_cores


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(sweeps, "CORES", 2)


def test_every_part_is_done_once():
    done = []
    on_all_cores(done.append, range(100))
    assert sorted(done) == list(range(100))


def test_two_parts_are_done_at_the_same_time():
    both, met = threading.Barrier(2, timeout=20), []

    def work(part):
        both.wait()  # breaks where the other part is not being done
        met.append(part)

    on_all_cores(work, range(2))
    assert sorted(met) == [0, 1]


def test_parts_may_have_parts_of_their_own():
    done = []
    on_all_cores(lambda outer: on_all_cores(lambda inner: done.append((outer, inner)), range(3)), range(5))
    assert sorted(done) == [(outer, inner) for outer in range(5) for inner in range(3)]


@pytest.mark.parametrize("bad", [0, 1, 7])
def test_a_failure_of_any_part_is_raised(bad):
    def work(part):
        if part == bad:
            raise ValueError(str(part))

    with pytest.raises(ValueError, match=str(bad)):
        on_all_cores(work, range(8))


def _in_child(answers):
    both = threading.Barrier(2, timeout=20)
    on_all_cores(lambda _: both.wait(), range(2))
    answers.put("done")


def test_a_forked_process_has_threads_of_its_own():
    on_all_cores(lambda _: None, range(2))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_child, args=(answers,))
    child.start()
    assert answers.get(timeout=30) == "done"
    child.join(timeout=30)
    assert child.exitcode == 0
