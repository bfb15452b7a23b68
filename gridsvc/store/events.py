"""Events: written in the transaction of what they tell, numbered after its commit, read in that order, kept for a while.

A number taken while a transaction runs says nothing of when it commits: a reader that has seen 10 may find 9 later. So writers
only put events down (`events_unnumbered`); whoever reads first gives the committed ones their numbers, one holder of the
counter's row lock at a time until it commits. Numbers therefore become visible in their order and without a gap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection as PsycopgConnection
from sqlalchemy import Engine, text

from gridsvc.errors import RequestInvalidError
from gridsvc.store.refusals import refusals
from gridsvc.store.repository import Repository, like_pattern, narrower
from gridsvc.store.sql_files import sql_text

CHANNEL = "gridsvc_events"
# kind -> what its payload may say. Nobody's name, phone, device or free text: readers see all events of their area.
KINDS: dict[str, frozenset[str]] = {
    "report.received": frozenset(
        {
            "case_code", "occurred_at", "received_at", "edition", "category_code", "network", "source", "lon", "lat",
            "urban_grid", "social_grid", "security_grid", "unified_grid",
        }
    ),
    "report.updated": frozenset({"update_id", "occurred_at"}),
    "photo.joined": frozenset({"sha256", "width", "height"}),
    "case.moved": frozenset({"redraw_id", "network", "from_grid", "to_grid"}),
    "redraw.in_force": frozenset({"division_code", "networks", "in_force_from", "origin"}),
}  # fmt: skip
_AT_ONCE = 5_000  # numbered, and forgotten, in one transaction


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``payload`` says only what its kind may."""

    seq: int
    at: datetime
    kind: str
    division_code: str
    subject: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events after a position, and the numbers of the first and last event kept (first = last + 1: none)."""

    events: list[Event]
    first_seq: int
    last_seq: int


class EventRepository(Repository):
    """Events; the scope is that of their division."""

    def add(self, kind: str, division_code: str, subject: str, payload: Mapping[str, Any]) -> None:
        """Put an event down; it is told when this transaction commits, and never when it does not.

        Parameters
        ----------
        kind
            One of `KINDS`.
        division_code
            Of the community or district it happened in: who sees the event follows from it.
        subject
            Id or code of what it is about.
        payload
            JSON-serialisable facts, only those `KINDS` names.

        Raises
        ------
        RequestInvalidError
            When the kind is unknown, or the payload says more than the kind may.
        ForbiddenError
            When the division lies outside the scope.
        """
        self.add_many(kind, [(division_code, subject, payload)])

    def add_many(self, kind: str, rows: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Put several events of one kind down, as (division_code, subject, payload), in this order."""
        told = []
        for division_code, subject, payload in rows:
            _check(kind, payload)
            told.append((division_code, subject, json.dumps(dict(payload), ensure_ascii=False, default=str)))
        if not told:
            return
        self.refuse_outside(code for code, _, _ in told)
        codes, subjects, payloads = (list(column) for column in zip(*told, strict=True))
        statement = text(
            "INSERT INTO events_unnumbered (kind, division_code, subject, payload)"
            " SELECT :kind, code, subject, CAST(payload AS jsonb)"
            " FROM unnest(CAST(:codes AS text[]), CAST(:subjects AS text[]), CAST(:payloads AS text[]))"
            " WITH ORDINALITY AS told (code, subject, payload, n) ORDER BY n"
        )
        self.connection.execute(statement, {"kind": kind, "codes": codes, "subjects": subjects, "payloads": payloads})

    def number(self, *, kept: int, most: int = _AT_ONCE) -> int:
        """Give committed events their numbers and wake those who wait; return how many, 0 also when somebody else is at it.

        The caller commits at once: until then nobody else can number.

        Parameters
        ----------
        kept
            Events to keep; the oldest beyond are forgotten.
        most
            Most events to number now.
        """
        if not self.connection.scalar(text("SELECT EXISTS (SELECT FROM events_unnumbered)")):
            return 0
        locked = text("SELECT last_seq FROM event_counter FOR UPDATE SKIP LOCKED")
        last_seq = self.connection.scalar(locked)
        if last_seq is None:
            return 0
        found = self.connection.execute(text(sql_text("number_events")), {"last_seq": last_seq, "most": most})
        numbered = found.scalar_one_or_none() or 0
        if numbered:
            # a few more than come in, so that a smaller setting is reached some day
            self.connection.execute(text(sql_text("trim_events")), {"kept": kept, "most": 2 * numbered + 100})
            self.connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})
        return numbered

    def bounds(self) -> tuple[int, int]:
        """Return the numbers of the first and last event kept; first = last + 1 when there is none."""
        first, last = self.connection.execute(text("SELECT first_seq, last_seq FROM event_counter")).one()
        return first, last

    def after(self, seq: int, *, prefix: str = "", kinds: Sequence[str] | None = None, most: int = 500) -> EventPage:
        """Return up to ``most`` events after a number, in order, in the scope and under ``prefix``."""
        both = narrower(prefix, self.scope)
        if both is None:
            first, last = self.bounds()
            return EventPage([], first, last)
        rows = self.connection.execute(
            text(sql_text("events_after")),
            {
                "after": seq,
                "pattern": like_pattern(both),
                "kinds": None if kinds is None else list(kinds),
                "most": most,
            },
        ).all()
        found = [
            Event(row.seq, row.at, row.kind, row.division_code, row.subject, _told(row.kind, row.payload))
            for row in rows
            if row.seq is not None
        ]
        return EventPage(found, rows[0].first_seq, rows[0].last_seq)


def _check(kind: str, payload: Mapping[str, Any]) -> None:
    if kind not in KINDS:
        raise RequestInvalidError(f"There is no kind of event {kind!r}.", hint=f"Kinds: {', '.join(KINDS)}.")
    more = set(payload) - KINDS[kind]
    if more:
        raise RequestInvalidError(f"An event {kind} may not tell {', '.join(sorted(more))}.", fields=sorted(more))


def _told(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a payload its kind may say, whoever wrote it."""
    allowed = KINDS.get(kind, frozenset())
    return {name: value for name, value in payload.items() if name in allowed}


class EventListener:
    """A connection that hears when events were numbered."""

    def __init__(self, connection: PsycopgConnection) -> None:
        self._connection = connection

    def wait(self, seconds: float) -> bool:
        """Return whether somebody numbered events, after at most ``seconds``.

        Raises
        ------
        DatabaseUnavailableError
            When the connection is lost.
        """
        with refusals():
            return any(True for _ in self._connection.notifies(timeout=seconds, stop_after=1))


@contextmanager
def listening(engine: Engine) -> Iterator[EventListener]:
    """Yield a listener on a connection of its own, which does not count in the engine's pool."""
    with refusals():
        borrowed = engine.raw_connection()
    connection = borrowed.driver_connection
    assert isinstance(connection, PsycopgConnection)
    borrowed.detach()
    try:
        with refusals():
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
        yield EventListener(connection)
    finally:
        connection.close()
