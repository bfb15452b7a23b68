"""Following events live: one hub in each process hears of new ones and shares them with every stream; each resumes by number.

The hub numbers what was committed, keeps the newest events in memory, and wakes the streams. A stream that lags behind what is in
memory, or whose hub has lost the database, reads pages from the store instead; so memory is bounded and nothing is left out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gridsvc.errors import (
    DatabaseUnavailableError,
    EventsGoneError,
    GridsvcError,
    RequestInvalidError,
    StreamsFullError,
)
from gridsvc.services.readiness import UnitOfWorkMaker
from gridsvc.store.events import KINDS, Event, EventListener
from gridsvc.store.repository import like_pattern, narrower
from gridsvc.store.unit_of_work import UnitOfWork

logger = logging.getLogger(__name__)

EVENT_KINDS = tuple(KINDS)
IN_MEMORY = 4_000  # events of the hub; twice as many for a moment
PAGE = 500
POLL_S = 0.25  # writers wake nobody: a notification in their transaction would line up all commits
IDLE_POLL_S = 1.0  # while nobody follows
RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Taken:
    """Events a stream gives next, in order; ``seq`` is the number up to which it has looked, its place to resume from."""

    events: list[Event]
    seq: int


def announce_redraw(uow: UnitOfWork, redraw_id: str) -> None:
    """Tell that a redraw's grids hold: one event for each community, so that whoever answers for one sees its own."""
    redraw = uow.redraws.get(redraw_id)
    in_force_from: datetime = redraw["in_force_from"]
    payload = {
        "division_code": redraw["division_code"],
        "networks": list(redraw["networks"]),
        "in_force_from": in_force_from.isoformat(),
        "origin": redraw["origin"],
    }
    uow.events.add_many(
        "redraw.in_force", [(code, str(redraw_id), payload) for code in sorted(redraw["community_codes"])]
    )


def announce_photo(uow: UnitOfWork, report_id: str, photo: Mapping[str, Any]) -> None:
    """Tell that a photo that was just stored belongs to its report; while that has not come, the report's intake will tell."""
    payload = {"sha256": bytes(photo["sha256"]).hex(), "width": photo["width"], "height": photo["height"]}
    _announce_of_report(uow, "photo.joined", report_id, payload)


def announce_update(uow: UnitOfWork, report_id: str, update_id: str, occurred_at: datetime) -> None:
    """Tell that more was told of a report and just stored; while that has not come, the report's intake will tell."""
    payload = {"update_id": update_id, "occurred_at": occurred_at.astimezone(UTC).isoformat()}
    _announce_of_report(uow, "report.updated", report_id, payload)


def _announce_of_report(uow: UnitOfWork, kind: str, report_id: str, payload: Mapping[str, Any]) -> None:
    """Tell of what this transaction has stored of a report, unless whoever brings the report will."""
    code = _place_of(uow, report_id)
    if code is None:
        uow.intake.hold(report_id)
        code = _place_of(uow, report_id)
    if code is not None:
        uow.events.add(kind, code, report_id, payload)


def _place_of(uow: UnitOfWork, report_id: str) -> str | None:
    """Return where a report is; None while it has not come, and while it waits for the place of its address."""
    report = uow.reports.get(report_id)
    return None if report is None else report["community_code"] or report["district_code"]


class EventHub:
    """What the streams of one process share.

    Parameters
    ----------
    unit_of_work
        Maker of units of work.
    listen
        Makes a connection that hears of newly numbered events; None does without and looks from time to time.
    kept
        Events kept in the store.
    streams
        Most streams at once.
    """

    def __init__(
        self,
        unit_of_work: UnitOfWorkMaker,
        listen: Callable[[], AbstractContextManager[EventListener]] | None,
        *,
        kept: int,
        streams: int,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._listen = listen
        self._kept = kept
        self._streams = streams
        self._open: set[EventStream] = set()
        self._newest: list[Event] = []
        self._before: int | None = None  # number of the event before the newest ones; None: not following
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_closing(self) -> bool:
        """Return whether streams shall end because the process does."""
        return self._closing.is_set()

    def start(self) -> None:
        """Begin to follow the store, in a thread; once is enough."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="event-hub", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Let every stream end after what it is giving. Safe in a signal handler: it takes no lock."""
        self._closing.set()

    def subscribe(
        self, *, scope: str = "", prefix: str = "", since: int | None = None, kinds: Sequence[str] | None = None
    ) -> EventStream:
        """Return a stream of the events after ``since`` (None: after the newest now); close it when done.

        Raises
        ------
        EventsGoneError
            When events after ``since`` are kept no more, or ``since`` is a number not given yet.
        StreamsFullError
            When as many streams are open as may be.
        RequestInvalidError
            When there is no such kind.
        """
        unknown = sorted(set(kinds or ()) - set(EVENT_KINDS))
        if unknown:
            raise RequestInvalidError(
                f"There is no kind of event {unknown[0]!r}.",
                hint=f"Kinds: {', '.join(EVENT_KINDS)}.",
                errors=[{"field": "kinds", "code": "unknown", "message": f"{name} is no kind"} for name in unknown],
            )
        like_pattern(prefix)
        first, last = self._bounds()
        position = last if since is None else since
        if not first - 1 <= position <= last:
            raise gone(position, first, last)
        stream = EventStream(self, narrower(prefix, scope), kinds, position, last)
        with self._changed:
            if len(self._open) >= self._streams:
                raise StreamsFullError(
                    f"{self._streams} streams are open in this process already.",
                    hint="Try again later, follow with fewer, or raise GRIDSVC_STREAMS.",
                )
            self._open.add(stream)
        return stream

    def _bounds(self) -> tuple[int, int]:
        """Return first and last number, after giving numbers to what was committed before this call."""
        with self._unit_of_work("") as uow:
            while uow.events.number(kept=self._kept):
                uow.commit()
            return uow.events.bounds()

    # --- the thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        told = False
        while not self._closing.is_set():
            try:
                self._follow()
                told = False
            except GridsvcError as lost:
                if not told:  # an outage is one line, not one for every try
                    logger.warning("live events wait for the database: %s", lost)
                told = True
            except Exception:
                # whatever it is, streams must find a running hub
                logger.exception("live events stopped for a moment")
            self._forget()
            self._closing.wait(RETRY_S)

    def _follow(self) -> None:
        if self._listen is None:
            while not self._closing.is_set():
                self._look()
                self._closing.wait(self._pause())
            return
        with self._listen() as listener:
            while not self._closing.is_set():
                self._look()
                listener.wait(self._pause())

    def _pause(self) -> float:
        return POLL_S if self._open else IDLE_POLL_S

    def _look(self) -> None:
        """Number what was committed; when somebody follows, take what is new into memory and wake them."""
        with self._unit_of_work("") as uow:
            while uow.events.number(kept=self._kept):
                uow.commit()
            if not self._open:
                self._forget()
                return
            known = self._last()
            if known is None:
                self._begin(uow.events.bounds()[1])
                return
            while (page := uow.events.after(known, most=PAGE)).events:
                if page.first_seq > known + 1:  # more were forgotten than were read: begin anew
                    self._begin(page.last_seq)
                    return
                known = page.events[-1].seq
                self._take_in(page.events)

    def _last(self) -> int | None:
        with self._changed:
            return None if self._before is None else self._before + len(self._newest)

    def _begin(self, last: int) -> None:
        with self._changed:
            self._newest, self._before = [], last
            self._changed.notify_all()

    def _forget(self) -> None:
        with self._changed:
            self._newest, self._before = [], None

    def _take_in(self, events: list[Event]) -> None:
        with self._changed:
            self._newest += events
            over = len(self._newest) - IN_MEMORY
            if over > IN_MEMORY and self._before is not None:
                del self._newest[:over]
                self._before += over
            self._changed.notify_all()

    # --- what streams ask ------------------------------------------------------------------------

    def after(self, seq: int, wait_s: float) -> list[Event] | None:
        """Return the events in memory after ``seq``, waiting for some; None when memory does not reach back that far."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            while True:
                if self._before is None or seq < self._before:
                    return None
                found = self._newest[seq - self._before : seq - self._before + PAGE]
                left = deadline - time.monotonic()
                if found or left <= 0 or self._closing.is_set():
                    return found
                self._changed.wait(min(left, 1.0))  # a closing hub wakes nobody

    def stored(self, seq: int, scope: str, kinds: Sequence[str] | None) -> Taken:
        """Return a page of the store's events after ``seq``, or raise EventsGoneError."""
        with self._unit_of_work(scope) as uow:
            page = uow.events.after(seq, kinds=kinds, most=PAGE)
        if page.first_seq > seq + 1:
            raise gone(seq, page.first_seq, page.last_seq)
        return Taken(page.events, page.events[-1].seq if len(page.events) == PAGE else max(seq, page.last_seq))

    def leave(self, stream: EventStream) -> None:
        """Forget a stream that was closed."""
        with self._changed:
            self._open.discard(stream)

    def wait(self, seconds: float) -> None:
        """Wait, at most until the hub closes."""
        self._closing.wait(seconds)


class EventStream:
    """One reader's way through the events of its area; made by `EventHub.subscribe`.

    Attributes
    ----------
    seq
        Number up to which everything was given.
    newest
        Number of the newest event when it began.
    """

    def __init__(self, hub: EventHub, scope: str | None, kinds: Sequence[str] | None, seq: int, newest: int) -> None:
        self._hub = hub
        self._scope = scope
        self._kinds = None if kinds is None else frozenset(kinds)
        self.seq = seq
        self.newest = newest

    @property
    def is_ending(self) -> bool:
        """Return whether the process ends, so that the stream must."""
        return self._hub.is_closing

    def take(self, wait_s: float) -> Taken:
        """Return the next events, none when none came within ``wait_s`` or the store cannot be asked just now.

        Raises
        ------
        EventsGoneError
            When the stream fell so far behind that its next events are kept no more.
        """
        deadline = time.monotonic() + wait_s
        while True:
            left = deadline - time.monotonic()
            events = self._next(max(left, 0.0))
            if events or left <= 0 or self.is_ending:
                return Taken(events, self.seq)

    def _next(self, wait_s: float) -> list[Event]:
        found = self._hub.after(self.seq, wait_s)
        if found is not None:
            if found:
                self.seq = found[-1].seq
            return [event for event in found if self._is_wanted(event)]
        before = self.seq
        try:
            taken = self._hub.stored(self.seq, self._scope or "", None if self._kinds is None else sorted(self._kinds))
        except DatabaseUnavailableError:
            self._hub.wait(POLL_S)
            return []
        self.seq = taken.seq
        if self.seq == before:  # the hub is not following (yet)
            self._hub.wait(min(wait_s, POLL_S))
        return [event for event in taken.events if self._is_wanted(event)]

    def _is_wanted(self, event: Event) -> bool:
        in_scope = self._scope is not None and event.division_code.startswith(self._scope)
        return in_scope and (self._kinds is None or event.kind in self._kinds)

    def close(self) -> None:
        """Give the place free; closing twice is no fault."""
        self._hub.leave(self)


def gone(seq: int, first: int, last: int) -> EventsGoneError:
    """Return the refusal to resume after ``seq`` when the events ``first`` to ``last`` are kept."""
    if seq > last:
        what = f"Event {seq} has not happened here; the newest is {last}. The database may have been restored"
    else:
        what = f"Events after {seq} are kept no more; the oldest kept is {first}"
    return EventsGoneError(
        f"{what}.",
        hint="Read the present state anew, then follow without since.",
        first_seq=first,
        last_seq=last,
    )
