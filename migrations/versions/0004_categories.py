"""Categories of components and matters, by edition.

Why: a bare category code means nothing without its edition.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004_categories"
down_revision = "0003_networks_and_grids"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "category_editions",
        sa.Column("edition", sa.Text(), nullable=False),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("standard", sa.Text(), nullable=False),
        sa.Column("in_force_on", sa.Date(), nullable=True),
        sa.Column("is_default", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("edition", name=op.f("pk_category_editions")),
    )
    op.create_table(
        "categories",
        sa.Column("edition", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("parent_code", sa.Text(), nullable=True),
        sa.Column("name_zh", sa.Text(), nullable=False),
        sa.Column("name_en", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("default_urgency", sa.Text(), nullable=True),
        sa.Column("default_limit_hours", sa.Float(), nullable=True),
        sa.Column("limit_clock", sa.Text(), nullable=True),
        sa.Column("limit_source", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("successor_code", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('component', 'event')", name=op.f("ck_categories_kind_known")),
        sa.CheckConstraint("level IN (1, 2)", name=op.f("ck_categories_level_known")),
        sa.ForeignKeyConstraint(["edition"], ["category_editions.edition"], name=op.f("fk_categories_edition")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_categories_network")),
        sa.PrimaryKeyConstraint("edition", "code", name=op.f("pk_categories")),
    )
    op.create_table(
        "category_limits",
        sa.Column("edition", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("condition_class", sa.Text(), nullable=False),
        sa.Column("limit_value", sa.Float(), nullable=False),
        sa.Column("limit_unit", sa.Text(), nullable=False),
        sa.Column("limit_hours", sa.Float(), nullable=False),
        sa.Column("limit_clock", sa.Text(), nullable=False),
        sa.Column("longest_limit_hours", sa.Float(), nullable=True),
        sa.Column("conditions", sa.Integer(), nullable=True),
        sa.Column("local_code_2013", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["edition", "code"], ["categories.edition", "categories.code"], name=op.f("fk_category_limits_edition_code")
        ),
        sa.PrimaryKeyConstraint("edition", "code", "condition_class", name=op.f("pk_category_limits")),
    )


def downgrade() -> None:
    op.drop_table("category_limits")
    op.drop_table("categories")
    op.drop_table("category_editions")
