"""Networks, dated grids, redraws.

Why: a grid code may hold once at any instant of a network, and the database is the one to say so.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0003_networks_and_grids"
down_revision = "0002_divisions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "networks",
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("grid_kind", sa.Text(), nullable=False),
        sa.Column("is_merged", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("sort_order", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("network", name=op.f("pk_networks")),
    )
    op.create_table(
        "redraws",
        sa.Column("redraw_id", sa.UUID(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="draft", nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("drafted_by", sa.Text(), nullable=False),
        sa.Column("drafted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("in_force_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "checks", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(state = 'approved') = (in_force_from IS NOT NULL)", name=op.f("ck_redraws_in_force_when_approved")
        ),
        sa.CheckConstraint("(state = 'draft') = (decided_at IS NULL)", name=op.f("ck_redraws_decided_once")),
        sa.CheckConstraint(
            "origin IN ('automatic', 'imported', 'edited', 'merged')", name=op.f("ck_redraws_origin_known")
        ),
        sa.CheckConstraint("state IN ('draft', 'approved', 'discarded')", name=op.f("ck_redraws_state_known")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_redraws_network")),
        sa.PrimaryKeyConstraint("redraw_id", name=op.f("pk_redraws")),
    )
    op.create_index(
        "ix_redraws_division_code",
        "redraws",
        ["division_code"],
        unique=False,
        postgresql_ops={"division_code": "text_pattern_ops"},
    )
    op.create_table(
        "grids",
        sa.Column("grid_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("community_code", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=True),
        sa.Column("households", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("population", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("area_m2", sa.Float(), nullable=False),
        sa.Column("responsible", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
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
        sa.Column("redraw_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("network"), "="),
            (sa.column("code"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_grids_code_validity",
        ),
        sa.CheckConstraint("kind <> 'unit' OR ST_NumGeometries(geom) = 1", name=op.f("ck_grids_unit_grid_contiguous")),
        sa.CheckConstraint("kind IN ('unit', 'governance', 'security', 'unified')", name=op.f("ck_grids_kind_known")),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_grids_geom_sound")),
        sa.CheckConstraint("area_m2 > 0", name=op.f("ck_grids_area_positive")),
        sa.CheckConstraint("starts_with(code, community_code)", name=op.f("ck_grids_code_within_community")),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_grids_validity_ordered")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_grids_network")),
        sa.ForeignKeyConstraint(["redraw_id"], ["redraws.redraw_id"], name=op.f("fk_grids_redraw_id")),
        sa.PrimaryKeyConstraint("grid_id", name=op.f("pk_grids")),
    )
    op.create_index(
        "ix_grids_community_code",
        "grids",
        ["community_code"],
        unique=False,
        postgresql_ops={"community_code": "text_pattern_ops"},
    )
    op.create_index("ix_grids_geom", "grids", ["geom"], unique=False, postgresql_using="gist")
    op.create_index(
        "ix_grids_network_code", "grids", ["network", "code"], unique=False, postgresql_ops={"code": "text_pattern_ops"}
    )
    op.create_table(
        "redraw_grids",
        sa.Column("redraw_grid_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("redraw_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("community_code", sa.Text(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=True),
        sa.Column("households", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("population", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("area_m2", sa.Float(), nullable=False),
        sa.Column("responsible", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
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
        sa.CheckConstraint(
            "kind IN ('unit', 'governance', 'security', 'unified')", name=op.f("ck_redraw_grids_kind_known")
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_redraw_grids_geom_sound")),
        sa.CheckConstraint("area_m2 > 0", name=op.f("ck_redraw_grids_area_positive")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_redraw_grids_network")),
        sa.ForeignKeyConstraint(
            ["redraw_id"], ["redraws.redraw_id"], name=op.f("fk_redraw_grids_redraw_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("redraw_grid_id", name=op.f("pk_redraw_grids")),
        sa.UniqueConstraint("redraw_id", "network", "code", name=op.f("uq_redraw_grids_redraw_id_network_code")),
    )
    op.create_index("ix_redraw_grids_geom", "redraw_grids", ["geom"], unique=False, postgresql_using="gist")


def downgrade() -> None:
    op.drop_table("redraw_grids")
    op.drop_table("grids")
    op.drop_table("redraws")
    op.drop_table("networks")
