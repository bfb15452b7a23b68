"""Intake shares a lock with photos and updates that find no report.

Why: a photo and its report that were stored at the same moment did not see each
other, and the event of the photo was never told.
"""

from alembic import op

from gridsvc.store.sql_files import sql_text

revision = "0028_events_at_one_moment"
down_revision = "0027_held_events"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(sql_text("take_reports"))


def downgrade() -> None:
    """Leave the function: it takes and answers what it did before."""
