"""Ground that a change of grids gave another grid while reports were there already, until their grids are derived again."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Identity, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from gridsvc.store.tables.base import geometry, gist, metadata, recorded_at, sound_geometry

relocations = Table(
    "relocations",
    metadata,
    Column("relocation_id", BigInteger, Identity(), primary_key=True),
    Column("redraw_id", UUID(as_uuid=False), ForeignKey("redraws.redraw_id"), nullable=False),
    Column("network", Text, ForeignKey("networks.network"), nullable=False),
    # reports of this instant and later are concerned
    Column("since", DateTime(timezone=True), nullable=False),
    # reports before this instant are done; where an interrupted run goes on
    Column("done_until", DateTime(timezone=True), nullable=False),
    Column("reports_seen", BigInteger, nullable=False, server_default="0"),
    Column("reports_moved", BigInteger, nullable=False, server_default="0"),
    Column("cases_moved", BigInteger, nullable=False, server_default="0"),
    Column("finished_at", DateTime(timezone=True)),
    geometry("MULTIPOLYGON", "ground"),
    recorded_at(),
    sound_geometry("ground"),
    gist("relocations", "ground"),
    CheckConstraint("done_until >= since", name="done_from_since"),
    Index("ix_relocations_redraw_id", "redraw_id"),
    Index("ix_relocations_pending", "relocation_id", postgresql_where=text("finished_at IS NULL")),
)
