"""Users, tokens (stored as hashes only) and the append-only, hash-chained audit log."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from gridsvc.store.tables.base import metadata, recorded_at

users = Table(
    "users",
    metadata,
    Column("user_id", BigInteger, Identity(), primary_key=True),
    Column("login", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    # "" is everything; 420103 is one district
    Column("scope_prefix", Text, nullable=False),
    Column("password_hash", Text),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    recorded_at(),
    CheckConstraint("role IN ('viewer', 'field', 'dispatcher', 'planner', 'manager', 'admin')", name="role_known"),
    CheckConstraint("scope_prefix ~ '^[0-9]*$'", name="scope_is_code_prefix"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_id", BigInteger, Identity(), primary_key=True),
    Column("user_id", BigInteger, ForeignKey("users.user_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("token_sha256", LargeBinary, nullable=False, unique=True),  # never the token itself
    Column("label", Text, nullable=False, server_default=""),
    Column("expires_at", DateTime(timezone=True)),
    Column("withdrawn_at", DateTime(timezone=True)),
    recorded_at(),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("audit_id", BigInteger, Identity(), primary_key=True),
    recorded_at("at"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object_kind", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("ix_audit_log_object_kind_object_key", "object_kind", "object_key"),
)
