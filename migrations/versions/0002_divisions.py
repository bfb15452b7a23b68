"""Administrative divisions, dated.

Why: everything else is cut and scoped by division codes.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0002_divisions"
down_revision = "0001_extensions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "divisions",
        sa.Column("division_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=True),
        sa.Column("urban_rural_class", sa.SmallInteger(), nullable=True),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="MULTIPOLYGON",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
            ),
            nullable=True,
        ),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("code"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_divisions_code_validity",
        ),
        sa.CheckConstraint(
            "code ~ '^[0-9]+$' AND length(code) = CASE level WHEN 'province' THEN 2 WHEN 'city' THEN 4 WHEN 'district' THEN 6 WHEN 'street' THEN 9 ELSE 12 END",
            name=op.f("ck_divisions_code_fits_level"),
        ),
        sa.CheckConstraint(
            "level IN ('province', 'city', 'district', 'street', 'community')", name=op.f("ck_divisions_level_known")
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_divisions_geom_sound")),
        sa.CheckConstraint(
            "parent_code IS NULL OR starts_with(code, parent_code)", name=op.f("ck_divisions_code_within_parent")
        ),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_divisions_validity_ordered")),
        sa.PrimaryKeyConstraint("division_id", name=op.f("pk_divisions")),
    )
    op.create_index(
        "ix_divisions_code", "divisions", ["code"], unique=False, postgresql_ops={"code": "text_pattern_ops"}
    )
    op.create_index("ix_divisions_geom", "divisions", ["geom"], unique=False, postgresql_using="gist")
    op.create_index("ix_divisions_parent_code", "divisions", ["parent_code"], unique=False)


def downgrade() -> None:
    op.drop_table("divisions")
