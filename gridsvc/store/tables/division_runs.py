"""Runs of a division over many districts: what was asked, and what became of each part."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from gridsvc.store.tables.base import metadata, recorded_at

division_runs = Table(
    "division_runs",
    metadata,
    Column("division_run_id", UUID(as_uuid=False), primary_key=True, server_default=text("gen_random_uuid()")),
    Column("division_code", Text, nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("is_draft", Boolean, nullable=False),
    # the instant whose communities are divided and from which the grids hold
    Column("holds_from", DateTime(timezone=True), nullable=False),
    Column("rules", JSONB, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    # NULL: parts are missing, because the run is going on or was stopped
    Column("finished_at", DateTime(timezone=True)),
    recorded_at(),
    CheckConstraint("cardinality(kinds) > 0 AND kinds <@ ARRAY['unit', 'governance']", name="kinds_known"),
    Index("ix_division_runs_division_code", "division_code", postgresql_ops={"division_code": "text_pattern_ops"}),
)

division_run_parts = Table(
    "division_run_parts",
    metadata,
    Column(
        "division_run_id", UUID(as_uuid=False), ForeignKey("division_runs.division_run_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("part_code", Text, primary_key=True),
    Column("communities", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="waiting"),
    Column("reason", Text, nullable=False, server_default=""),
    # of everything that was read for it, see store/sql/division_fingerprint.sql
    Column("input_fingerprint", Text),
    # counts, redraws, and the communities that failed, as the division returned them
    Column("outcome", JSONB),
    Column("seconds", Float),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('waiting', 'done', 'failed')", name="state_known"),
    CheckConstraint("(state = 'waiting') = (ended_at IS NULL)", name="ended_unless_waiting"),
    CheckConstraint("(state = 'done') = (outcome IS NOT NULL)", name="outcome_when_done"),
    CheckConstraint("state <> 'failed' OR reason <> ''", name="failed_for_a_reason"),
)  # fmt: skip
