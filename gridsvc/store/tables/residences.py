"""Buildings with their households. One without households is kept too: a grid border may not cut it either."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, Integer, Table, Text, text

from gridsvc.store.tables.base import geometry, gist, metadata, recorded_at, sound_geometry, source_columns

residences = Table(
    "residences",
    metadata,
    Column("residence_id", BigInteger, Identity(), primary_key=True),
    Column("residence_code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("use", Text, nullable=False, server_default="residential"),
    Column("households", Integer, nullable=False, server_default=text("0")),
    Column("population", Integer, nullable=False, server_default=text("0")),
    Column("floors", Integer),
    # derived from the position; scope is cut by it
    Column("community_code", Text),
    geometry("POLYGON"),
    geometry("POINT", name="entrance", nullable=True),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    sound_geometry("entrance"),
    CheckConstraint("households >= 0 AND population >= 0", name="counts_not_negative"),
    gist("residences"),
    Index("ix_residences_community_code", "community_code", postgresql_ops={"community_code": "text_pattern_ops"}),
)
