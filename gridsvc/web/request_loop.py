"""A worker whose main thread answers short requests itself, many at a time; all others are answered by threads.

gunicorn's thread worker waits for requests in its main thread and hands each to another thread: some ten changes of thread a
request, each a wait for Python's lock. A short request takes less time than that. Where one has come whole on a kept connection,
the main thread carries it: it runs until it waits for the database, is set aside while others go on, and ends when what it waited
for is there (`gridsvc.pausing`). So nothing that a client may delay, and no wait for the database, holds up the main thread.
"""

from __future__ import annotations

import fcntl
import socket
import termios
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent
from gunicorn.workers.gthread import TConn, ThreadWorker

from gridsvc.pausing import Carried
from gridsvc.web.short_way import BEGINNINGS, MOST_BYTES


class _LoopPause:
    """A carried request that is set aside."""

    def __init__(self, worker: LoopWorker) -> None:
        self._worker = worker
        self._waiting: Any = None
        self._is_over = False

    def wait(self) -> None:
        if not self._is_over:
            self._waiting = getcurrent()
            self._waiting.parent.switch()

    def end(self) -> None:
        self._worker.in_loop(self._go_on)

    def _go_on(self) -> None:
        self._is_over = True
        if self._waiting is not None:
            self._waiting.switch()


class _Answered:
    """The end of a request as `ThreadWorker.finish_request` expects it of a thread."""

    def __init__(self, kept: object) -> None:
        self._kept = kept

    def cancelled(self) -> bool:
        return False

    def result(self) -> object:
        return self._kept


class LoopWorker(ThreadWorker):
    """gunicorn's thread worker, whose main thread carries short requests."""

    def init_process(self) -> None:
        """Begin to serve; returns when the worker ends."""
        self._thread = threading.get_ident()
        self._ready: deque[Callable[[], object]] = deque()
        super().init_process()

    def on_client_socket_readable(self, conn: TConn, client: socket.socket) -> None:
        """Answer a request on a kept connection: here, where it is short."""
        seen = self._seen(client)
        if not seen.startswith(BEGINNINGS) or not self.alive:
            super().on_client_socket_readable(conn, client)
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        Carried(self, self._carry).switch(conn, seen)

    def _seen(self, client: socket.socket) -> bytes:
        """Return what a client has sent, leaving it there; nothing where it has not taken the last answer yet, and may not take this."""
        try:
            unsent = any(fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4)))
            return b"" if unsent else client.recv(MOST_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return b""

    def _carry(self, conn: TConn, seen: bytes) -> None:
        answer = self.wsgi.extensions["gridsvc_short_way"](seen, conn.client[0])
        if answer is None:
            self.enqueue_req(conn)
            return
        try:
            conn.sock.recv(len(seen))
            kept = conn.sock.send(answer) == len(answer)
        except OSError:
            kept = False
        self.finish_request(conn, _Answered(kept))

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events, and go on with what they concern."""
        super().wait_for_and_dispatch_events(timeout)
        while self._ready:
            self._ready.popleft()()

    def in_loop(self, callback: Callable[[], object]) -> None:
        """Call back in the main thread, soon."""
        if threading.get_ident() == self._thread:
            self._ready.append(callback)
        else:
            self.method_queue.defer(callback)

    def pause(self) -> _LoopPause:
        """Return a pause of the request being carried."""
        return _LoopPause(self)

    def aside(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns, done by a thread of the pool."""
        carried = getcurrent()
        future = self.tpool.submit(work)
        future.add_done_callback(lambda _: self.in_loop(carried.switch))
        carried.parent.switch()
        return future.result()
