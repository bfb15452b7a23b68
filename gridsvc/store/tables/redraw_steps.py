"""The steps by which a draft was edited by hand, each with the grids it changed as they were and as they became."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gridsvc.store.tables.base import metadata, recorded_at

redraw_steps = Table(
    "redraw_steps",
    metadata,
    Column("step_id", BigInteger, Identity(), primary_key=True),
    Column("redraw_id", UUID(as_uuid=False), ForeignKey("redraws.redraw_id", ondelete="CASCADE"), nullable=False),
    Column("step_no", Integer, nullable=False),
    Column("operation", Text, nullable=False),
    Column("parameters", JSONB, nullable=False),
    Column("changes", JSONB, nullable=False),
    # rows of redraw_grids that the step changed, geometry as hexadecimal WKB: exact to the last bit
    Column("grids_before", JSONB, nullable=False),
    Column("grids_after", JSONB, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("undone_by", Text),
    Column("undone_at", DateTime(timezone=True)),
    recorded_at(),
    UniqueConstraint("redraw_id", "step_no"),
    CheckConstraint(
        "operation IN ('split', 'merge', 'move-border', 'move-building', 'move-unit')", name="operation_known"
    ),
    CheckConstraint("step_no > 0", name="step_no_positive"),
    CheckConstraint("(undone_at IS NULL) = (undone_by IS NULL)", name="undone_by_somebody"),
)
