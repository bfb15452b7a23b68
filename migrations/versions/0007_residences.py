"""Buildings with their households.

Why: grids are sized by households and may not cut a building.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry

revision = "0007_residences"
down_revision = "0006_facilities"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "residences",
        sa.Column("residence_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("residence_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("use", sa.Text(), server_default="residential", nullable=False),
        sa.Column("households", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("population", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("floors", sa.Integer(), nullable=True),
        sa.Column("community_code", sa.Text(), nullable=True),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="POLYGON",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column(
            "entrance",
            Geometry(
                geometry_type="POINT",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
            ),
            nullable=True,
        ),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "ST_IsValid(entrance) AND NOT ST_IsEmpty(entrance)", name=op.f("ck_residences_entrance_sound")
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_residences_geom_sound")),
        sa.CheckConstraint("households >= 0 AND population >= 0", name=op.f("ck_residences_counts_not_negative")),
        sa.PrimaryKeyConstraint("residence_id", name=op.f("pk_residences")),
        sa.UniqueConstraint("residence_code", name=op.f("uq_residences_residence_code")),
    )
    op.create_index(
        "ix_residences_community_code",
        "residences",
        ["community_code"],
        unique=False,
        postgresql_ops={"community_code": "text_pattern_ops"},
    )
    op.create_index("ix_residences_geom", "residences", ["geom"], unique=False, postgresql_using="gist")


def downgrade() -> None:
    op.drop_table("residences")
