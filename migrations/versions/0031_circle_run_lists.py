"""The list of kinds a circle run was judged by; counts, people and households of each residence in it.

Why: a planner's own list changes or goes away, and people move; a dated run
must still say by what and for whom it was computed. Runs of before keep empty
values, which mean the list that comes with the program and people of today.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031_circle_run_lists"
down_revision = "0030_duty_version"
branch_labels = None
depends_on = None


def _document(name: str) -> sa.Column:
    return sa.Column(
        name, postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
    )


def upgrade() -> None:
    op.add_column("circle_runs", _document("rules"))
    op.add_column("residence_times", _document("facility_counts"))
    op.add_column("residence_times", sa.Column("households", sa.Integer(), nullable=True))
    op.add_column("residence_times", sa.Column("population", sa.Integer(), nullable=True))


def downgrade() -> None:
    for name in ("population", "households", "facility_counts"):
        op.drop_column("residence_times", name)
    op.drop_column("circle_runs", "rules")
