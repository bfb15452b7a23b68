"""Departments, their kinds, and their dated duties on ground and categories.

Why: who answers for a place is a grid, a worker and a department; which department
depends on the ground and on what the matter is, and changes with time.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0034_departments"
down_revision = "0033_tile_shapes"
branch_labels = None
depends_on = None


def _validity() -> list[sa.Column]:
    return [
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
    ]


def _origin() -> list[sa.Column]:
    return [
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    ]


def _once(table: str, code: str) -> list:
    """Return the constraints of a dated table: in order, and a code at most once at any instant."""
    return [
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f(f"ck_{table}_validity_ordered")),
        postgresql.ExcludeConstraint(
            (sa.column(code), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name=f"ex_{table}_code_validity",
        ),
    ]


def upgrade() -> None:
    op.create_table(
        "department_kinds",
        sa.Column("kind_code", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("kind_code", name=op.f("pk_department_kinds")),
    )
    op.create_table(
        "departments",
        sa.Column("department_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("department_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind_code", sa.Text(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        *_validity(),
        *_origin(),
        *_once("departments", "department_code"),
        sa.ForeignKeyConstraint(["kind_code"], ["department_kinds.kind_code"], name=op.f("fk_departments_kind_code")),
        sa.PrimaryKeyConstraint("department_id", name=op.f("pk_departments")),
    )
    op.create_index(
        "ix_departments_division_code",
        "departments",
        ["division_code"],
        postgresql_ops={"division_code": "text_pattern_ops"},
    )
    op.create_table(
        "duties",
        sa.Column("duty_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("duty_code", sa.Text(), nullable=False),
        sa.Column("department_code", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("ground_code", sa.Text(), nullable=False),
        sa.Column("edition", sa.Text(), nullable=True),
        sa.Column("category_code", sa.Text(), nullable=True),
        *_validity(),
        *_origin(),
        *_once("duties", "duty_code"),
        sa.CheckConstraint("ground_code ~ '^[0-9]{2,15}$'", name=op.f("ck_duties_ground_is_digits")),
        sa.CheckConstraint("length(ground_code) <= 12 OR network IS NOT NULL", name=op.f("ck_duties_grid_has_network")),
        sa.CheckConstraint("(edition IS NULL) = (category_code IS NULL)", name=op.f("ck_duties_category_has_edition")),
        sa.CheckConstraint("category_code <> ''", name=op.f("ck_duties_category_not_empty")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_duties_network")),
        sa.ForeignKeyConstraint(["edition"], ["category_editions.edition"], name=op.f("fk_duties_edition")),
        sa.PrimaryKeyConstraint("duty_id", name=op.f("pk_duties")),
    )
    op.create_index(
        "ix_duties_ground_code", "duties", ["ground_code"], postgresql_ops={"ground_code": "text_pattern_ops"}
    )
    op.create_index("ix_duties_department_code", "duties", ["department_code"])


def downgrade() -> None:
    for table in ("duties", "departments", "department_kinds"):
        op.drop_table(table)
