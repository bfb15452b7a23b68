"""Runs of a division over many districts, with what became of each part.

Why: dividing a city takes minutes; whoever stops or kills it must be able to go on where it ended.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017_division_runs"
down_revision = "0016_redraw_steps"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "division_runs",
        sa.Column(
            "division_run_id",
            postgresql.UUID(as_uuid=False),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
        ),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("kinds", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("is_draft", sa.Boolean(), nullable=False),
        sa.Column("holds_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "cardinality(kinds) > 0 AND kinds <@ ARRAY['unit', 'governance']",
            name=op.f("ck_division_runs_kinds_known"),
        ),
        sa.PrimaryKeyConstraint("division_run_id", name=op.f("pk_division_runs")),
    )
    op.create_index(
        "ix_division_runs_division_code",
        "division_runs",
        ["division_code"],
        unique=False,
        postgresql_ops={"division_code": "text_pattern_ops"},
    )
    op.create_table(
        "division_run_parts",
        sa.Column("division_run_id", postgresql.UUID(as_uuid=False), nullable=False),
        sa.Column("part_code", sa.Text(), nullable=False),
        sa.Column("communities", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("input_fingerprint", sa.Text(), nullable=True),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name=op.f("ck_division_run_parts_state_known")),
        sa.CheckConstraint(
            "(state = 'waiting') = (ended_at IS NULL)", name=op.f("ck_division_run_parts_ended_unless_waiting")
        ),
        sa.CheckConstraint(
            "(state = 'done') = (outcome IS NOT NULL)", name=op.f("ck_division_run_parts_outcome_when_done")
        ),
        sa.CheckConstraint("state <> 'failed' OR reason <> ''", name=op.f("ck_division_run_parts_failed_for_a_reason")),
        sa.ForeignKeyConstraint(
            ["division_run_id"],
            ["division_runs.division_run_id"],
            name=op.f("fk_division_run_parts_division_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("division_run_id", "part_code", name=op.f("pk_division_run_parts")),
    )


def downgrade() -> None:
    op.drop_table("division_run_parts")
    op.drop_table("division_runs")
