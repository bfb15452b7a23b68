"""Departments, their kinds, and their dated duties: which ground and which categories each answers for."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from gridsvc.store.tables.base import metadata, recorded_at, validity, validity_ordered

department_kinds = Table(
    "department_kinds",
    metadata,
    Column("kind_code", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
)

departments = Table(
    "departments",
    metadata,
    Column("department_id", BigInteger, Identity(), primary_key=True),
    Column("department_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind_code", Text, ForeignKey("department_kinds.kind_code"), nullable=False),
    # whose department it is; scope is cut by it
    Column("division_code", Text, nullable=False),
    *validity(),
    Column("source", Text, nullable=False, server_default=""),
    recorded_at(),
    validity_ordered(),
    ExcludeConstraint(
        ("department_code", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name="ex_departments_code_validity",
        using="gist",
    ),
    Index("ix_departments_division_code", "division_code", postgresql_ops={"division_code": "text_pattern_ops"}),
)

duties = Table(
    "duties",
    metadata,
    Column("duty_id", BigInteger, Identity(), primary_key=True),
    Column("duty_code", Text, nullable=False),
    Column("department_code", Text, nullable=False),
    # the network it is about; NULL: every network
    Column("network", Text, ForeignKey("networks.network")),
    # a grid of that network, or a division; scope is cut by it
    Column("ground_code", Text, nullable=False),
    # a class, or the beginning of the codes of several, with the edition they are of; both NULL: every category
    Column("edition", Text),
    Column("category_code", Text),
    *validity(),
    Column("source", Text, nullable=False, server_default=""),
    recorded_at(),
    ForeignKeyConstraint(["edition"], ["category_editions.edition"]),
    validity_ordered(),
    CheckConstraint("ground_code ~ '^[0-9]{2,15}$'", name="ground_is_digits"),
    CheckConstraint("length(ground_code) <= 12 OR network IS NOT NULL", name="grid_has_network"),
    CheckConstraint("(edition IS NULL) = (category_code IS NULL)", name="category_has_edition"),
    CheckConstraint("category_code <> ''", name="category_not_empty"),
    ExcludeConstraint(
        ("duty_code", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name="ex_duties_code_validity",
        using="gist",
    ),
    Index("ix_duties_ground_code", "ground_code", postgresql_ops={"ground_code": "text_pattern_ops"}),
    Index("ix_duties_department_code", "department_code"),
)
