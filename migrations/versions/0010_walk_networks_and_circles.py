"""Walking networks and the results of service-circle runs.

Why: a coverage figure is worth nothing without the network it was walked on.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0010_walk_networks_and_circles"
down_revision = "0009_reports_and_cases"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "walk_networks",
        sa.Column("walk_network_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("content_sha256", sa.Text(), nullable=False),
        sa.Column("nodes", sa.Integer(), nullable=False),
        sa.Column("edges", sa.Integer(), nullable=False),
        sa.Column("components", sa.Integer(), nullable=False),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("walk_network_id", name=op.f("pk_walk_networks")),
        sa.UniqueConstraint("content_sha256", name=op.f("uq_walk_networks_content_sha256")),
    )
    op.create_table(
        "walk_edges",
        sa.Column("walk_edge_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("walk_network_id", sa.BigInteger(), nullable=False),
        sa.Column("node_u", sa.Integer(), nullable=False),
        sa.Column("node_v", sa.Integer(), nullable=False),
        sa.Column("length_m", sa.Float(), nullable=False),
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
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_walk_edges_geom_sound")),
        sa.ForeignKeyConstraint(
            ["walk_network_id"],
            ["walk_networks.walk_network_id"],
            name=op.f("fk_walk_edges_walk_network_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("walk_edge_id", name=op.f("pk_walk_edges")),
    )
    op.create_index("ix_walk_edges_geom", "walk_edges", ["geom"], unique=False, postgresql_using="gist")
    op.create_index(op.f("ix_walk_edges_walk_network_id"), "walk_edges", ["walk_network_id"], unique=False)
    op.create_table(
        "circle_runs",
        sa.Column("circle_run_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("walk_network_id", sa.BigInteger(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("standard", sa.Text(), nullable=False),
        sa.Column("speed_m_s", sa.Float(), nullable=False),
        sa.Column("limit_s", sa.Float(), nullable=False),
        sa.Column("ran_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "coverage", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["walk_network_id"], ["walk_networks.walk_network_id"], name=op.f("fk_circle_runs_walk_network_id")
        ),
        sa.PrimaryKeyConstraint("circle_run_id", name=op.f("pk_circle_runs")),
    )
    op.create_index("ix_circle_runs_division_code_ran_at", "circle_runs", ["division_code", "ran_at"], unique=False)
    op.create_table(
        "residence_times",
        sa.Column("circle_run_id", sa.BigInteger(), nullable=False),
        sa.Column("residence_code", sa.Text(), nullable=False),
        sa.Column("walk_s", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("kinds_reached", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["circle_run_id"],
            ["circle_runs.circle_run_id"],
            name=op.f("fk_residence_times_circle_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("circle_run_id", "residence_code", name=op.f("pk_residence_times")),
    )


def downgrade() -> None:
    op.drop_table("residence_times")
    op.drop_table("circle_runs")
    op.drop_table("walk_edges")
    op.drop_table("walk_networks")
