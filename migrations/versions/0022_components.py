"""The register of components (部件), dated, and the serial numbers given to them.

Why: a report about a lamp or a manhole cover is about one lamp or cover, which has an id, an owner and a state.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0022_components"
down_revision = "0021_gazetteer"
branch_labels = None
depends_on = None

_TEXTS = (
    "department_code", "department_name", "owner_code", "owner_name", "maintainer_code", "maintainer_name",
)  # fmt: skip


def _text(name: str) -> sa.Column:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    op.create_table(
        "components",
        sa.Column("component_version_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("component_id", sa.Text(), nullable=False),
        sa.Column("edition", sa.Text(), nullable=False),
        sa.Column("category_code", sa.Text(), nullable=False),
        _text("name"),
        sa.Column("state", sa.Text(), nullable=False),
        *(_text(name) for name in _TEXTS),
        sa.Column("began_on", sa.Date(), nullable=True),
        _text("data_source"),
        _text("accuracy_class"),
        _text("note"),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="POINT",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("original_x", sa.Float(), nullable=False),
        sa.Column("original_y", sa.Float(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        _text("changed_by"),
        _text("change_note"),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        _text("source"),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("component_id"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_components_id_validity",
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_components_geom_sound")),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_components_validity_ordered")),
        sa.CheckConstraint("component_id ~ '^([0-9]{16}|[0-9]{17})$'", name=op.f("ck_components_component_id_digits")),
        sa.CheckConstraint(
            "state IN ('intact', 'damaged', 'lost', 'abandoned', 'removed')", name=op.f("ck_components_state_known")
        ),
        sa.CheckConstraint("accuracy_class IN ('', 'A', 'B', 'C')", name=op.f("ck_components_accuracy_class_known")),
        sa.ForeignKeyConstraint(
            ["edition", "category_code"],
            ["categories.edition", "categories.code"],
            name=op.f("fk_components_edition_category_code"),
        ),
        sa.PrimaryKeyConstraint("component_version_id", name=op.f("pk_components")),
    )
    op.create_index("ix_components_geom", "components", ["geom"], postgresql_using="gist")
    op.create_index(
        "ix_components_category_code_geom", "components", ["category_code", "geom"], postgresql_using="gist"
    )
    op.create_index("ix_components_component_id", "components", ["component_id"])
    op.create_index("ix_components_category_code_component_id", "components", ["category_code", "component_id"])
    op.create_index(
        "ix_components_division_code",
        "components",
        ["division_code"],
        postgresql_ops={"division_code": "text_pattern_ops"},
    )
    op.create_table(
        "component_serials",
        sa.Column("id_prefix", sa.Text(), nullable=False),
        sa.Column("last_serial", sa.Integer(), nullable=False),
        sa.CheckConstraint("id_prefix ~ '^([0-9]{10}|[0-9]{11})$'", name=op.f("ck_component_serials_id_prefix_digits")),
        sa.CheckConstraint("last_serial > 0", name=op.f("ck_component_serials_last_serial_positive")),
        sa.PrimaryKeyConstraint("id_prefix", name=op.f("pk_component_serials")),
    )


def downgrade() -> None:
    op.drop_table("component_serials")
    op.drop_table("components")
