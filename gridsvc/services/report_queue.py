"""Reports that come at the same moment are stored together: one location, one statement, one commit for all of them.

Each is answered after that commit, as if it had been alone. Who comes first stores what is there, and what comes meanwhile is
stored by the next. A statement costs far more than one more report in it, so one group is on its way at a time, and where as
many were there a moment ago, the next waits some milliseconds for them to come again. Who posts alone waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gridsvc.errors import GridsvcError
from gridsvc.services.reporting import NewReport, Outcome, Poster, receipt_in, submit_reports
from gridsvc.store.unit_of_work import UnitOfWork

MOST_TOGETHER = 100
# how long reports may wait for those that came together with the ones before
GATHER_S = 0.004


def _held_lock() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class _Entry:
    """One report that waits: for its outcome, or for its turn to store what has gathered."""

    report: NewReport
    poster: Poster
    received_at: datetime
    # held until there is something to do or to answer; a plain lock is the cheapest way to wait
    sleep: threading.Lock = field(default_factory=_held_lock)
    outcome: Outcome | None = None
    failure: BaseException | None = None


class ReportQueue:
    """Stores reports of several threads together.

    Parameters
    ----------
    open_statements
        Makes a unit of work without a scope, in which every statement commits by itself.
    """

    def __init__(self, open_statements: Callable[[], UnitOfWork]) -> None:
        self._open = open_statements
        self._is_led = False
        self._lock = threading.Lock()
        self._waiting: list[_Entry] = []
        # who were there when the last group was stored, in it or waiting, and who waits for as many now
        self._company = 1
        self._gathering: _Entry | None = None

    def submit(self, report: NewReport, *, received_at: datetime, poster: Poster) -> tuple[dict[str, Any], bool]:
        """Store a report; return its receipt and whether it was new. Raises what `reporting.submit_report` does."""
        mine = _Entry(report, poster, received_at)
        with self._lock:
            self._waiting.append(mine)
            waits, self._is_led = self._is_led, True
            if self._gathering is not None and len(self._waiting) >= self._company:
                self._gathering.sleep.release()
                self._gathering = None
        if waits:
            mine.sleep.acquire()
        if mine.outcome is None and mine.failure is None:
            self._gather(mine)
            self._lead()
        if mine.failure is not None:
            raise mine.failure
        assert mine.outcome is not None
        return receipt_in(mine.outcome)

    def _gather(self, mine: _Entry) -> None:
        """Wait a moment for as many as were there before; who makes them complete ends it."""
        with self._lock:
            if len(self._waiting) >= self._company:
                return
            self._gathering = mine
        mine.sleep.acquire(timeout=GATHER_S)
        with self._lock:
            self._gathering = None

    def _lead(self) -> None:
        """Store what has gathered, one's own report first, then wake those who wait for it and the next to lead."""
        with self._lock:
            group, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
        try:
            self._store(group)
        except BaseException as ending:  # the process is being stopped
            _fail(group, ending)
            raise
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_led = following is not None
                self._company = min(len(group) + len(self._waiting), MOST_TOGETHER)
            if following is not None:
                following.sleep.release()
            for entry in group[1:]:
                entry.sleep.release()

    def _store(self, group: list[_Entry]) -> None:
        try:
            outcomes = self._submit(group)
        except GridsvcError as refusal:
            _fail(group, refusal)
        except Exception as failure:
            if len(group) == 1:
                _fail(group, failure)
            else:  # one report that the database chokes on must not take the others with it
                for entry in group:
                    self._store([entry])
        else:
            for entry, outcome in zip(group, outcomes, strict=True):
                entry.outcome = outcome

    def _submit(self, group: list[_Entry]) -> list[Outcome]:
        reports, posters = [entry.report for entry in group], [entry.poster for entry in group]
        with self._open() as uow:
            return submit_reports(uow, reports, received_at=max(e.received_at for e in group), posters=posters)


def _fail(group: list[_Entry], failure: BaseException) -> None:
    for entry in group:
        entry.failure = failure
