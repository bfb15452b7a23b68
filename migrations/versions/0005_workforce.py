"""Workers and their dated assignments.

Why: one primary worker on one grid at any instant is refused to be two here, not in the page.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0005_workforce"
down_revision = "0004_categories"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "worker_kinds",
        sa.Column("kind_code", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("employment", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), server_default="", nullable=False),
        sa.Column("ratio_rule", sa.Text(), server_default="", nullable=False),
        sa.Column("patrol_rule", sa.Text(), server_default="", nullable=False),
        sa.Column("counts_as_grid_worker", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("kind_code", name=op.f("pk_worker_kinds")),
    )
    op.create_table(
        "workers",
        sa.Column("worker_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("worker_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind_code", sa.Text(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("capacity_grids", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "home",
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
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("worker_code"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_workers_code_validity",
        ),
        sa.CheckConstraint("ST_IsValid(home) AND NOT ST_IsEmpty(home)", name=op.f("ck_workers_home_sound")),
        sa.CheckConstraint("capacity_grids > 0", name=op.f("ck_workers_capacity_positive")),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_workers_validity_ordered")),
        sa.ForeignKeyConstraint(["kind_code"], ["worker_kinds.kind_code"], name=op.f("fk_workers_kind_code")),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_workers")),
    )
    op.create_index(
        "ix_workers_division_code",
        "workers",
        ["division_code"],
        unique=False,
        postgresql_ops={"division_code": "text_pattern_ops"},
    )
    op.create_index("ix_workers_home", "workers", ["home"], unique=False, postgresql_using="gist")
    op.create_table(
        "assignments",
        sa.Column("assignment_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("worker_code", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("grid_code", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("deputy_of", sa.Text(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("network"), "="),
            (sa.column("grid_code"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            where=sa.text("is_primary"),
            using="gist",
            name="ex_assignments_primary_validity",
        ),
        sa.CheckConstraint(
            "(role = 'deputy') = (deputy_of IS NOT NULL)", name=op.f("ck_assignments_deputy_names_whom")
        ),
        sa.CheckConstraint(
            "role IN ('leader', 'full_time', 'part_time', 'adviser', 'deputy')", name=op.f("ck_assignments_role_known")
        ),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_assignments_validity_ordered")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_assignments_network")),
        sa.PrimaryKeyConstraint("assignment_id", name=op.f("pk_assignments")),
    )
    op.create_index(
        "ix_assignments_network_grid_code",
        "assignments",
        ["network", "grid_code"],
        unique=False,
        postgresql_ops={"grid_code": "text_pattern_ops"},
    )
    op.create_index("ix_assignments_worker_code", "assignments", ["worker_code"], unique=False)


def downgrade() -> None:
    op.drop_table("assignments")
    op.drop_table("workers")
    op.drop_table("worker_kinds")
