"""Threads that stay with a connection while its client goes on posting.

gunicorn's thread worker gives every connection back to its main thread after each answer, which waits for the next request and
hands it to a thread again: four changes of thread a request, each of them a wait for Python's lock. A client that posts one
report after another is answered by the same thread instead, as long as nobody waits for a thread; at most half of them stay.
"""

from __future__ import annotations

import select
import threading
from concurrent.futures import ThreadPoolExecutor

from gunicorn.workers.gthread import TConn, ThreadWorker

STAY_MS = 100  # how long a thread waits for the next request of its connection


class _Threads(ThreadPoolExecutor):
    """A pool that knows whether work waits for a thread."""

    @property
    def is_waited_for(self) -> bool:
        return not self._work_queue.empty()


class KeptConnectionWorker(ThreadWorker):
    """gunicorn's thread worker, whose threads stay with a connection for the next request."""

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return the pool that serves connections."""
        self._may_stay = threading.Semaphore(max(1, self.cfg.threads // 2))
        return _Threads(max_workers=self.cfg.threads)

    def handle(self, conn: TConn) -> object:
        """Serve requests of a connection until the next one is not there at once; return what to do with it then."""
        while True:
            kept = super().handle(conn)
            if kept is not True or not self._goes_on(conn):
                return kept

    def _goes_on(self, conn: TConn) -> bool:
        if not self.alive or self.tpool.is_waited_for or conn.parser.unreader.buf.getvalue():
            return False
        if not self._may_stay.acquire(blocking=False):
            return False
        try:
            coming = select.poll()
            coming.register(conn.sock, select.POLLIN)
            return bool(coming.poll(STAY_MS)) and self.alive
        finally:
            self._may_stay.release()
