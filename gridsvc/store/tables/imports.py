"""What was imported: file, content hash, counts, so that a second import of the same file is known as such."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from gridsvc.store.tables.base import metadata, recorded_at

imports = Table(
    "imports",
    metadata,
    Column("import_id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("file_name", Text, nullable=False),
    Column("file_sha256", Text, nullable=False),
    Column("datum", Text, nullable=False),
    # the scope it was imported under: a file cut to one district is not imported for its neighbour
    Column("scope_prefix", Text, nullable=False, server_default=""),
    Column("rows_stored", Integer, nullable=False),
    Column("rows_refused", Integer, nullable=False),
    Column("refused", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("repaired", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    recorded_at(),
    Index("ix_imports_kind_file_sha256", "kind", "file_sha256"),
)
