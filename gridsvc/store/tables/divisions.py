"""Administrative divisions: city, district, street, community; dated, with their boundaries."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Identity, Index, SmallInteger, Table, Text, text
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

divisions = Table(
    "divisions",
    metadata,
    Column("division_id", BigInteger, Identity(), primary_key=True),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("parent_code", Text),
    Column("urban_rural_class", SmallInteger),
    # a division may be known by code and name before anyone has drawn it
    geometry("MULTIPOLYGON", nullable=True),
    *validity(),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    validity_ordered(),
    CheckConstraint("level IN ('province', 'city', 'district', 'street', 'community')", name="level_known"),
    CheckConstraint(
        "code ~ '^[0-9]+$' AND length(code) = CASE level WHEN 'province' THEN 2 WHEN 'city' THEN 4 WHEN 'district' THEN 6"
        " WHEN 'street' THEN 9 ELSE 12 END",
        name="code_fits_level",
    ),
    CheckConstraint("parent_code IS NULL OR starts_with(code, parent_code)", name="code_within_parent"),
    ExcludeConstraint(
        ("code", "="), (text("tstzrange(valid_from, valid_to)"), "&&"), name="ex_divisions_code_validity", using="gist"
    ),
    gist("divisions"),
    Index("ix_divisions_code", "code", postgresql_ops={"code": "text_pattern_ops"}),
    Index("ix_divisions_parent_code", "parent_code"),
)
