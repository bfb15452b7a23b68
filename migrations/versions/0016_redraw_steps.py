"""Steps of editing a draft by hand: what was asked, who did it, and the changed grids before and after.

Why: every step can be undone and done again to the last bit, the history of a draft can be read, and a code that an edit retired
is never given again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0016_redraw_steps"
down_revision = "0015_redraws"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "redraw_steps",
        sa.Column("step_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("redraw_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("step_no", sa.Integer(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
        sa.Column("changes", postgresql.JSONB(), nullable=False),
        sa.Column("grids_before", postgresql.JSONB(), nullable=False),
        sa.Column("grids_after", postgresql.JSONB(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "operation IN ('split', 'merge', 'move-border', 'move-building', 'move-unit')",
            name=op.f("ck_redraw_steps_operation_known"),
        ),
        sa.CheckConstraint("step_no > 0", name=op.f("ck_redraw_steps_step_no_positive")),
        sa.CheckConstraint(
            "(undone_at IS NULL) = (undone_by IS NULL)", name=op.f("ck_redraw_steps_undone_by_somebody")
        ),
        sa.ForeignKeyConstraint(
            ["redraw_id"], ["redraws.redraw_id"], name=op.f("fk_redraw_steps_redraw_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("step_id", name=op.f("pk_redraw_steps")),
        sa.UniqueConstraint("redraw_id", "step_no", name=op.f("uq_redraw_steps_redraw_id_step_no")),
    )


def downgrade() -> None:
    op.drop_table("redraw_steps")
