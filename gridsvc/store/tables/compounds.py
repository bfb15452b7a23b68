"""Walled compounds and their gates: what lies behind a wall is reached through its gates only."""

from sqlalchemy import BigInteger, Boolean, Column, Identity, Table, Text, text

from gridsvc.store.tables.base import geometry, gist, metadata, recorded_at, sound_geometry, source_columns

compounds = Table(
    "compounds",
    metadata,
    Column("compound_id", BigInteger, Identity(), primary_key=True),
    Column("compound_code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    # its outline is the wall
    geometry("POLYGON"),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    gist("compounds"),
)

gates = Table(
    "gates",
    metadata,
    Column("gate_id", BigInteger, Identity(), primary_key=True),
    Column("gate_code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    # closed for good; nobody passes at any hour
    Column("is_closed", Boolean, nullable=False, server_default=text("false")),
    # such as 06:00-22:00; empty for always
    Column("hours", Text, nullable=False, server_default=""),
    geometry("POINT"),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    gist("gates"),
)
