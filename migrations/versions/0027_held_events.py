"""Events of photos and updates that were held until their report came.

Why: whoever follows events heard of the report and never of what was sent before it.
"""

from alembic import op

from gridsvc.store.sql_files import sql_text

revision = "0027_held_events"
down_revision = "0026_intake_plan"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(sql_text("take_reports"))


def downgrade() -> None:
    """Leave the function: it takes and answers what it did before."""
