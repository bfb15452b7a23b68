"""Waiting, for code that runs in a thread of its own or in the loop of a server that answers many requests in one thread.

A thread waits by sleeping. A request that the loop carries must not put the loop to sleep: it is set aside and gone on with later,
and what would block is done by another thread. Code that uses `new_pause` and `aside` need not know where it runs. No lock may
be held across either of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from greenlet import getcurrent, greenlet

Done = TypeVar("Done")


class Pause(Protocol):
    """A wait for somebody else, once."""

    def wait(self) -> None:
        """Wait until `end` is called, or was."""

    def end(self) -> None:
        """Let who waits go on."""


class Loop(Protocol):
    """What carries requests, see `Carried`."""

    def pause(self) -> Pause:
        """Return a pause of the request being carried."""

    def aside(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns, done by another thread; other requests are gone on with meanwhile."""


class Carried(greenlet):
    """A request that a loop carries: it runs until it waits, and is switched to again when it need not wait any more."""

    def __init__(self, loop: Loop, run: Callable[..., None]) -> None:
        super().__init__(run)
        self.loop = loop


class _ThreadPause:
    """A thread that sleeps; a plain lock is the cheapest way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self) -> None:
        self._lock.acquire()

    def end(self) -> None:
        self._lock.release()


def new_pause() -> Pause:
    """Return a pause of who calls."""
    current = getcurrent()
    return current.loop.pause() if isinstance(current, Carried) else _ThreadPause()


def aside(work: Callable[[], Done]) -> Done:
    """Return what ``work``, which may block, returns; raises what it raises."""
    current = getcurrent()
    return current.loop.aside(work) if isinstance(current, Carried) else work()
