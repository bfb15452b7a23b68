"""The register of components (部件): fixed facilities with an id, a class, a place, a state and who is responsible, dated."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from gridsvc.geo.component_codes import STATES
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

components = Table(
    "components",
    metadata,
    Column("component_version_id", BigInteger, Identity(), primary_key=True),
    Column("component_id", Text, nullable=False),
    Column("edition", Text, nullable=False),
    Column("category_code", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("state", Text, nullable=False),
    Column("department_code", Text, nullable=False, server_default=""),
    Column("department_name", Text, nullable=False, server_default=""),
    Column("owner_code", Text, nullable=False, server_default=""),
    Column("owner_name", Text, nullable=False, server_default=""),
    Column("maintainer_code", Text, nullable=False, server_default=""),
    Column("maintainer_name", Text, nullable=False, server_default=""),
    Column("began_on", Date),
    Column("data_source", Text, nullable=False, server_default=""),
    Column("accuracy_class", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    geometry("POINT"),
    # as given, in original_datum
    Column("original_x", Float, nullable=False),
    Column("original_y", Float, nullable=False),
    # the smallest division at its place, derived; the scope is cut by it
    Column("division_code", Text, nullable=False),
    Column("changed_by", Text, nullable=False, server_default=""),
    Column("change_note", Text, nullable=False, server_default=""),
    *validity(),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    validity_ordered(),
    CheckConstraint("component_id ~ '^([0-9]{16}|[0-9]{17})$'", name="component_id_digits"),
    CheckConstraint("state IN (" + ", ".join(f"'{state}'" for state in STATES) + ")", name="state_known"),
    CheckConstraint("accuracy_class IN ('', 'A', 'B', 'C')", name="accuracy_class_known"),
    ForeignKeyConstraint(["edition", "category_code"], ["categories.edition", "categories.code"]),
    ExcludeConstraint(
        ("component_id", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name="ex_components_id_validity",
        using="gist",
    ),
    gist("components"),
    # nearest of a class: class and place in one index, read in the order of distance
    Index("ix_components_category_code_geom", "category_code", "geom", postgresql_using="gist"),
    Index("ix_components_component_id", "component_id"),
    Index("ix_components_category_code_component_id", "category_code", "component_id"),
    Index("ix_components_division_code", "division_code", postgresql_ops={"division_code": "text_pattern_ops"}),
)

# the last serial number given in a district and class (the digits of an id before its serial); it never goes back
component_serials = Table(
    "component_serials",
    metadata,
    Column("id_prefix", Text, primary_key=True),
    Column("last_serial", Integer, nullable=False),
    CheckConstraint("id_prefix ~ '^([0-9]{10}|[0-9]{11})$'", name="id_prefix_digits"),
    CheckConstraint("last_serial > 0", name="last_serial_positive"),
)
