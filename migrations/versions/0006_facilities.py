"""Service facilities and their kinds.

Why: the service circle measures walks to facilities of dated kinds.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0006_facilities"
down_revision = "0005_workforce"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "facility_kinds",
        sa.Column("kind_code", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("circle_minutes", sa.Integer(), nullable=True),
        sa.Column("service_radius_m", sa.Float(), nullable=True),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("standard", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), server_default="", nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("kind_code", name=op.f("pk_facility_kinds")),
    )
    op.create_table(
        "facilities",
        sa.Column("facility_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("facility_code", sa.Text(), nullable=False),
        sa.Column("kind_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        sa.Column("community_code", sa.Text(), nullable=True),
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
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("facility_code"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_facilities_code_validity",
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_facilities_geom_sound")),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_facilities_validity_ordered")),
        sa.ForeignKeyConstraint(["kind_code"], ["facility_kinds.kind_code"], name=op.f("fk_facilities_kind_code")),
        sa.PrimaryKeyConstraint("facility_id", name=op.f("pk_facilities")),
    )
    op.create_index(
        "ix_facilities_community_code",
        "facilities",
        ["community_code"],
        unique=False,
        postgresql_ops={"community_code": "text_pattern_ops"},
    )
    op.create_index("ix_facilities_geom", "facilities", ["geom"], unique=False, postgresql_using="gist")
    op.create_index("ix_facilities_kind_code", "facilities", ["kind_code"], unique=False)


def downgrade() -> None:
    op.drop_table("facilities")
    op.drop_table("facility_kinds")
