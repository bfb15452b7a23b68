"""A thread of the server stays with a connection for its next request, unless somebody waits for a thread."""

from __future__ import annotations

import io
import socket
import threading
from types import SimpleNamespace

import pytest
from gunicorn.workers.gthread import ThreadWorker

from gridsvc.web import kept_connections
from gridsvc.web.kept_connections import KeptConnectionWorker


@pytest.fixture
def served(monkeypatch):
    """A worker that reads a byte for each request, its connection, and the client's end of that."""
    monkeypatch.setattr(kept_connections, "STAY_MS", 20)
    monkeypatch.setattr(
        ThreadWorker, "handle", lambda worker, conn: bool(conn.served.append(conn.sock.recv(1)) or True)
    )
    worker = KeptConnectionWorker.__new__(KeptConnectionWorker)
    worker.alive = True
    worker.cfg = SimpleNamespace(threads=4)
    worker.tpool = worker.get_thread_pool()
    ours, theirs = socket.socketpair()
    parser = SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO()))
    with ours, theirs:
        yield worker, SimpleNamespace(sock=ours, parser=parser, served=[]), theirs
        worker.tpool.shutdown()


def test_requests_that_follow_at_once_are_served_by_the_same_thread(served):
    worker, conn, client = served
    client.sendall(b"abc")

    assert worker.handle(conn) is True
    assert conn.served == [b"a", b"b", b"c"]


def test_a_connection_is_given_back_when_work_waits_for_a_thread(served):
    worker, conn, client = served
    client.sendall(b"ab")
    release = threading.Event()
    for _ in range(worker.cfg.threads + 1):
        worker.tpool.submit(release.wait, 30)
    try:
        assert worker.handle(conn) is True
        assert conn.served == [b"a"]
    finally:
        release.set()


def test_no_more_than_half_of_the_threads_stay(served):
    worker, conn, client = served
    client.sendall(b"ab")
    for _ in range(worker.cfg.threads // 2):
        assert worker._may_stay.acquire(blocking=False)

    assert worker.handle(conn) is True
    assert conn.served == [b"a"]


def test_a_worker_that_ends_takes_no_further_request(served):
    worker, conn, client = served
    client.sendall(b"ab")
    worker.alive = False

    assert worker.handle(conn) is True
    assert conn.served == [b"a"]
