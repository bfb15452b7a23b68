"""Streets, water and barriers.

Why: grids follow them, walks run on them, and the basemap is drawn from them.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry

revision = "0008_basemap"
down_revision = "0007_residences"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "streets",
        sa.Column("street_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("street_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("street_class", sa.Text(), nullable=False),
        sa.Column("is_walkable", sa.Boolean(), nullable=False),
        sa.Column("layer", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="LINESTRING",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_streets_geom_sound")),
        sa.PrimaryKeyConstraint("street_id", name=op.f("pk_streets")),
        sa.UniqueConstraint("street_code", name=op.f("uq_streets_street_code")),
    )
    op.create_index("ix_streets_geom", "streets", ["geom"], unique=False, postgresql_using="gist")
    op.create_table(
        "water_areas",
        sa.Column("water_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("water_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="MULTIPOLYGON",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_water_areas_geom_sound")),
        sa.PrimaryKeyConstraint("water_id", name=op.f("pk_water_areas")),
        sa.UniqueConstraint("water_code", name=op.f("uq_water_areas_water_code")),
    )
    op.create_index("ix_water_areas_geom", "water_areas", ["geom"], unique=False, postgresql_using="gist")
    op.create_table(
        "barriers",
        sa.Column("barrier_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("barrier_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="LINESTRING",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('wall', 'rail', 'water')", name=op.f("ck_barriers_kind_known")),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_barriers_geom_sound")),
        sa.PrimaryKeyConstraint("barrier_id", name=op.f("pk_barriers")),
        sa.UniqueConstraint("barrier_code", name=op.f("uq_barriers_barrier_code")),
    )
    op.create_index("ix_barriers_geom", "barriers", ["geom"], unique=False, postgresql_using="gist")


def downgrade() -> None:
    op.drop_table("barriers")
    op.drop_table("water_areas")
    op.drop_table("streets")
