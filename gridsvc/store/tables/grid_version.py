"""The version of grids and divisions, one row, renewed by triggers (migration 0024)."""

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, Table, text
from sqlalchemy.dialects.postgresql import UUID

from gridsvc.store.tables.base import metadata

grid_version = Table(
    "grid_version",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("version", UUID(as_uuid=False), nullable=False, server_default=text("gen_random_uuid()")),
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    CheckConstraint("only_row", name="one_row"),
)
