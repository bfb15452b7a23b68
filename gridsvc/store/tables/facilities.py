"""Service facilities and their kinds, with the standard each kind comes from."""

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Identity, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from gridsvc.store.tables.base import (
    geometry,
    gist,
    metadata,
    recorded_at,
    sound_geometry,
    source_columns,
    validity,
    validity_ordered,
)

facility_kinds = Table(
    "facility_kinds",
    metadata,
    Column("kind_code", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("circle_minutes", Integer),
    Column("service_radius_m", Float),
    Column("required", Boolean, nullable=False),
    Column("standard", Text, nullable=False),
    Column("level", Text, nullable=False, server_default=""),
    Column("verified", Boolean, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
)

facilities = Table(
    "facilities",
    metadata,
    Column("facility_id", BigInteger, Identity(), primary_key=True),
    Column("facility_code", Text, nullable=False),
    Column("kind_code", Text, ForeignKey("facility_kinds.kind_code"), nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("address", Text, nullable=False, server_default=""),
    # derived from the position; scope is cut by it
    Column("community_code", Text),
    geometry("POINT"),
    *validity(),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    validity_ordered(),
    ExcludeConstraint(
        ("facility_code", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name="ex_facilities_code_validity",
        using="gist",
    ),
    gist("facilities"),
    Index("ix_facilities_kind_code", "kind_code"),
    Index("ix_facilities_community_code", "community_code", postgresql_ops={"community_code": "text_pattern_ops"}),
)
