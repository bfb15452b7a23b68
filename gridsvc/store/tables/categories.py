"""Categories of components and matters, by edition, with their handling limits and the source of each."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    Table,
    Text,
    text,
)

from gridsvc.store.tables.base import metadata

category_editions = Table(
    "category_editions",
    metadata,
    Column("edition", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("standard", Text, nullable=False),
    Column("in_force_on", Date),
    Column("is_default", Boolean, nullable=False, server_default=text("false")),
)

categories = Table(
    "categories",
    metadata,
    Column("edition", Text, ForeignKey("category_editions.edition"), primary_key=True),
    Column("code", Text, primary_key=True),
    Column("level", Integer, nullable=False),
    Column("parent_code", Text),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False, server_default=""),
    Column("kind", Text, nullable=False),
    Column("network", Text, ForeignKey("networks.network"), nullable=False),
    Column("default_urgency", Text),
    Column("default_limit_hours", Float),
    Column("limit_clock", Text),
    Column("limit_source", Text, nullable=False, server_default=""),
    Column("source", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    # the code that replaced this one in the default edition, where a map is known
    Column("successor_code", Text),
    CheckConstraint("kind IN ('component', 'event')", name="kind_known"),
    CheckConstraint("level IN (1, 2)", name="level_known"),
)

category_limits = Table(
    "category_limits",
    metadata,
    Column("edition", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("condition_class", Text, primary_key=True),
    Column("limit_value", Float, nullable=False),
    Column("limit_unit", Text, nullable=False),
    Column("limit_hours", Float, nullable=False),
    Column("limit_clock", Text, nullable=False),
    Column("longest_limit_hours", Float),
    Column("conditions", Integer),
    Column("local_code_2013", Text),
    Column("source", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
    ForeignKeyConstraint(["edition", "code"], ["categories.edition", "categories.code"]),
)
