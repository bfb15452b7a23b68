"""The main thread of a worker carries short requests, and leaves to threads what may make it wait. Real sockets, no application."""

from __future__ import annotations

import contextlib
import io
import selectors
import socket
import threading
from collections import deque
from types import SimpleNamespace

import pytest
from gunicorn.workers.gthread import PollableMethodQueue, ThreadWorker

from gridsvc.pausing import aside, new_pause
from gridsvc.services.joint_work import JointWork
from gridsvc.web.request_loop import LoopWorker

QUESTION = b"GET /api/v1/locate?n=%d HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def worker(monkeypatch):
    """A worker whose threads remember what they were given, and whose loop is turned by the test."""
    monkeypatch.setattr(ThreadWorker, "init_process", lambda self: None)
    made = LoopWorker.__new__(LoopWorker)
    made.init_process()
    made.alive, made.nr_conns = True, 0
    made.cfg = SimpleNamespace(keepalive=5, threads=2, is_ssl=False)
    made.poller, made.keepalived_conns, made.method_queue = selectors.DefaultSelector(), deque(), PollableMethodQueue()
    made.method_queue.init()
    made.poller.register(made.method_queue.fileno(), selectors.EVENT_READ, made.method_queue.run_callbacks)
    made.to_threads = []
    made.enqueue_req = made.to_threads.append
    made.tpool = ThreadWorker.get_thread_pool(made)
    yield made
    made.tpool.shutdown()
    made.poller.close()
    made.method_queue.close()


@pytest.fixture
def connect(worker):
    """Return a function that makes a kept connection and returns the client's end."""
    opened = contextlib.ExitStack()

    def make() -> socket.socket:
        ours, theirs = opened.enter_context(socket.socket()), opened.enter_context(socket.socket())
        with socket.create_server(("127.0.0.1", 0)) as listening:
            theirs = opened.enter_context(socket.create_connection(listening.getsockname()))
            ours, _ = listening.accept()
        opened.enter_context(ours)
        parser = SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO()))
        conn = SimpleNamespace(
            sock=ours,
            client=("127.0.0.1", 1),
            parser=parser,
            set_timeout=lambda: None,
            close=lambda graceful=False: ours.close(),
        )
        worker.nr_conns += 1
        worker.finish_request(conn, SimpleNamespace(cancelled=lambda: False, result=lambda: True))
        theirs.settimeout(10)
        return theirs

    with opened:
        yield make


def turn(worker, until):
    """Turn the loop until something holds."""
    for _ in range(200):
        if until():
            return
        worker.wait_for_and_dispatch_events(0.05)
    raise AssertionError("it never came to hold")


def answers(worker, answer):
    worker.wsgi = SimpleNamespace(extensions={"gridsvc_short_way": answer})


def test_a_short_request_is_answered_by_the_main_thread_again_and_again(worker, connect):
    threads = []
    answers(worker, lambda seen, address: threads.append(threading.get_ident()) or b"answer to " + seen[:24])
    client = connect()
    for n in range(3):
        client.sendall(QUESTION % n)
        turn(worker, lambda n=n: len(threads) > n)
        assert client.recv(100) == b"answer to GET /api/v1/locate?n=%d H" % n

    assert threads == [threading.get_ident()] * 3
    assert not worker.to_threads


@pytest.mark.parametrize(
    "sent", [b"GET /api/v1/grids HTTP/1.1\r\n\r\n", b"P", b"POST /api/v1/reports:batch HTTP/1.1\r\n"]
)
def test_other_requests_are_left_to_threads_with_all_they_sent(worker, connect, sent):
    answers(worker, lambda seen, address: pytest.fail("carried"))
    client = connect()
    client.sendall(sent)
    turn(worker, lambda: worker.to_threads)

    assert worker.to_threads[0].sock.recv(100) == sent


def test_what_the_short_way_does_not_answer_goes_to_a_thread_with_all_it_sent(worker, connect):
    answers(worker, lambda seen, address: None)
    client = connect()
    client.sendall(QUESTION % 1)
    turn(worker, lambda: worker.to_threads)

    assert worker.to_threads[0].sock.recv(100) == QUESTION % 1


def test_a_client_that_takes_no_answers_is_left_to_threads(worker, connect):
    answers(worker, lambda seen, address: b"x" * 60_000)
    client = connect()
    for _ in range(500):
        client.sendall(QUESTION % 1)
        worker.wait_for_and_dispatch_events(0.05)
        if worker.to_threads or not worker.nr_conns:
            break

    assert worker.to_threads or not worker.nr_conns, "the main thread went on"


def test_a_worker_that_ends_carries_nothing_more(worker, connect):
    answers(worker, lambda seen, address: pytest.fail("carried"))
    client = connect()
    worker.alive = False
    client.sendall(QUESTION % 1)
    turn(worker, lambda: worker.to_threads)

    assert worker.to_threads[0].sock.recv(100) == QUESTION % 1


def test_others_are_answered_while_one_waits_for_a_thread(worker, connect):
    release, done = threading.Event(), []

    def answer(seen, address):
        if b"n=1 " in seen:
            assert aside(lambda: release.wait(10))
        done.append(seen[19:22])
        return b"answer"

    answers(worker, answer)
    slow, quick = connect(), connect()
    slow.sendall(QUESTION % 1)
    quick.sendall(QUESTION % 2)
    turn(worker, lambda: done)
    assert done == [b"n=2"]
    release.set()
    turn(worker, lambda: len(done) == 2)

    assert slow.recv(100) == b"answer"


def test_requests_of_one_moment_do_their_work_together(worker, connect):
    groups, release = [], threading.Event()

    def work(items):
        groups.append(sorted(items))
        assert release.wait(10)
        return [-item for item in items]

    joint = JointWork(work, most=10)
    answers(worker, lambda seen, address: b"%d" % joint.submit(int(seen[21:23])))
    clients = [connect() for _ in range(5)]
    clients[0].sendall(QUESTION % 10)
    turn(worker, lambda: groups)
    for n, client in enumerate(clients[1:], start=11):
        client.sendall(QUESTION % n)
    turn(worker, lambda: len(joint._waiting) == 4)
    release.set()
    turn(worker, lambda: len(worker.keepalived_conns) == 5)

    assert [client.recv(100) for client in clients] == [b"-10", b"-11", b"-12", b"-13", b"-14"]
    assert groups == [[10], [11, 12, 13, 14]]


def test_what_fails_aside_fails_in_the_request(worker, connect):
    said = []

    def answer(seen, address):
        try:
            aside(lambda: 1 / 0)
        except ZeroDivisionError as error:
            said.append(str(error))
        return b"answer"

    answers(worker, answer)
    client = connect()
    client.sendall(QUESTION % 1)
    turn(worker, lambda: said)

    assert client.recv(100) == b"answer"


def test_in_a_thread_of_its_own_work_is_done_at_once_and_a_pause_sleeps():
    assert aside(threading.get_ident) == threading.get_ident()
    pause = new_pause()
    threading.Timer(0.01, pause.end).start()
    pause.wait()
