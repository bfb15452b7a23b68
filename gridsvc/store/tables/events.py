"""What happened, in the order in which it was committed, for those who follow along."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Identity, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from gridsvc.store.tables.base import metadata


def _told() -> list[Column]:
    """Return what is told of an event: when, what, where, of which thing."""
    return [
        Column("at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
        Column("kind", Text, nullable=False),
        Column("division_code", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("payload", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    ]


# written in the transaction of what they tell; an identity is given before the commit, so it says nothing of the order
events_unnumbered = Table(
    "events_unnumbered",
    metadata,
    Column("event_id", BigInteger, Identity(), primary_key=True),
    *_told(),
    CheckConstraint("division_code ~ '^[0-9]*$'", name="division_code_digits"),
)

# numbered after the commit, one after another without a gap
events = Table(
    "events",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    *_told(),
)

# one row, locked by whoever numbers
event_counter = Table(
    "event_counter",
    metadata,
    Column("is_only", Boolean, primary_key=True, server_default=text("true")),
    Column("first_seq", BigInteger, nullable=False, server_default=text("1")),
    Column("last_seq", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("is_only", name="only_one"),
    CheckConstraint("first_seq BETWEEN 1 AND last_seq + 1", name="first_up_to_last"),
)
