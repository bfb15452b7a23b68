"""Events: what happened, written with what they tell, numbered in the order of commits.

Why: screens and other systems follow reports, cases and redraws live and must miss nothing when a connection breaks.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from gridsvc.store.sql_files import sql_text

revision = "0023_events"
down_revision = "0022_components"
branch_labels = None
depends_on = None


def _told() -> list[sa.Column]:
    return [
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    ]


def upgrade() -> None:
    op.create_table(
        "events_unnumbered",
        sa.Column("event_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        *_told(),
        sa.CheckConstraint("division_code ~ '^[0-9]*$'", name=op.f("ck_events_unnumbered_division_code_digits")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_events_unnumbered")),
    )
    # a queue: always short, but each row is deleted soon, so that dead rows must go at once
    op.execute(
        "ALTER TABLE events_unnumbered SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)"
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        *_told(),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
    )
    op.create_table(
        "event_counter",
        sa.Column("is_only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("is_only", name=op.f("ck_event_counter_only_one")),
        sa.CheckConstraint("first_seq BETWEEN 1 AND last_seq + 1", name=op.f("ck_event_counter_first_up_to_last")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("pk_event_counter")),
    )
    op.execute("INSERT INTO event_counter DEFAULT VALUES")
    # intake tells of every report from now on
    op.get_bind().exec_driver_sql(sql_text("take_reports"))


def downgrade() -> None:
    op.drop_table("event_counter")
    op.drop_table("events")
    op.drop_table("events_unnumbered")
