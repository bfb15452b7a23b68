"""The version of who is on duty, one row, renewed by triggers (migration 0030)."""

from sqlalchemy import Boolean, CheckConstraint, Column, Table, text
from sqlalchemy.dialects.postgresql import UUID

from gridsvc.store.tables.base import metadata

duty_version = Table(
    "duty_version",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("version", UUID(as_uuid=False), nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("only_row", name="one_row"),
)
