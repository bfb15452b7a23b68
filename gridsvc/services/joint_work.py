"""Work that comes at the same moment is done together, where much of its cost is that of doing it at all.

Who comes first does what is there, and what comes meanwhile is done by the next. One group is on its way at a time. Who comes
alone waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gridsvc.errors import GridsvcError
from gridsvc.pausing import Pause, aside, new_pause

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Entry(Generic[Item, Result]):
    """One item that waits: for its result, or for its turn to do what has gathered."""

    item: Item
    pause: Pause = field(default_factory=new_pause)
    results: list[Result] = field(default_factory=list)
    failure: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return bool(self.results) or self.failure is not None


class JointWork(Generic[Item, Result]):
    """Does items that come at the same moment together.

    Parameters
    ----------
    work
        Returns the result of each item, in order. When it fails for a reason that is no refusal (GridsvcError), the items are done one by
        one: one that it chokes on must not take the others with it.
    most
        Items done together.
    gather_s
        Where several were there a moment ago, the next group waits this long for as many to come again. Unit: s.
    """

    def __init__(self, work: Callable[[list[Item]], list[Result]], *, most: int, gather_s: float = 0.0) -> None:
        self._work, self._most, self._gather_s = work, most, gather_s
        self._is_led = False
        self._lock = threading.Lock()
        self._waiting: list[_Entry[Item, Result]] = []
        # how many were there when the last group was done, in it or waiting; and what to release when as many are there again
        self._company = 1
        self._gathering: threading.Lock | None = None

    def submit(self, item: Item) -> Result:
        """Return the result of an item; raises what the work raises for it."""
        mine = _Entry[Item, Result](item)
        with self._lock:
            self._waiting.append(mine)
            waits, self._is_led = self._is_led, True
            if self._gathering is not None and len(self._waiting) >= self._company:
                self._gathering.release()
                self._gathering = None
        if waits:
            mine.pause.wait()
        if not mine.is_done:
            others, following = aside(self._lead)
            if following is not None:
                following.pause.end()
            for entry in others:
                entry.pause.end()
        if mine.failure is not None:
            raise mine.failure
        return mine.results[0]

    def _lead(self) -> tuple[list[_Entry[Item, Result]], _Entry[Item, Result] | None]:
        """Do what has gathered, one's own item first; return the others that were done, and the next to lead."""
        self._gather()
        with self._lock:
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        self._do(group)
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._is_led = following is not None
            self._company = min(len(group) + len(self._waiting), self._most)
        return group[1:], following

    def _gather(self) -> None:
        """Wait a moment for as many as were there before; who makes them complete ends it."""
        with self._lock:
            if not self._gather_s or len(self._waiting) >= self._company:
                return
            complete = self._gathering = threading.Lock()
            complete.acquire()
        complete.acquire(timeout=self._gather_s)
        with self._lock:
            self._gathering = None

    def _do(self, group: list[_Entry[Item, Result]]) -> None:
        try:
            results = self._work([entry.item for entry in group])
        except Exception as failure:
            if len(group) == 1 or isinstance(failure, GridsvcError):
                _fail(group, failure)
            else:
                for entry in group:
                    self._do([entry])
        except BaseException as ending:  # the process is being stopped
            _fail(group, ending)
        else:
            for entry, result in zip(group, results, strict=True):
                entry.results.append(result)


def _fail(group: list[_Entry[Item, Result]], failure: BaseException) -> None:
    for entry in group:
        entry.failure = failure
