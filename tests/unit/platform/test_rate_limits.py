"""The bucket of a caller: fills, empties with time, is one for all processes."""

import os

from gridsvc.web.rate_limits import RateLimit


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def test_a_caller_may_post_a_burst_and_then_as_fast_as_the_bucket_empties():
    clock = Clock()
    limit = RateLimit(60, 10, clock)

    assert [limit.spend("wang", 1) for _ in range(10)] == [0.0] * 10
    assert round(limit.spend("wang", 1), 6) == 1.0
    clock.now_s += 1.0
    assert limit.spend("wang", 1) == 0.0
    assert round(limit.spend("wang", 5), 6) == 5.0
    clock.now_s += 3600
    assert limit.spend("wang", 10) == 0.0


def test_what_was_refused_costs_nothing():
    limit = RateLimit(60, 10, Clock())

    assert limit.spend("wang", 8) == 0.0
    assert all(limit.spend("wang", 5) > 0 for _ in range(5))
    assert limit.spend("wang", 2) == 0.0


def test_callers_do_not_take_from_one_another():
    limit = RateLimit(60, 1, Clock())

    assert (limit.spend("wang", 1), limit.spend("li", 1)) == (0.0, 0.0)


def test_no_limit():
    assert RateLimit(0, 0, Clock()).spend("wang", 10**9) == 0.0


def test_a_child_process_spends_from_the_same_bucket():
    limit = RateLimit(60, 10, Clock())
    child = os.fork()
    if child == 0:
        limit.spend("wang", 10)
        os._exit(0)
    os.waitpid(child, 0)

    assert limit.spend("wang", 1) > 0
