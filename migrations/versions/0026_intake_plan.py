"""Intake with one plan for all calls, and categories and tokens looked up by their indexes.

Why: the statement was planned anew at every call, and each call read all
categories and all tokens to find one.
"""

from alembic import op

from gridsvc.store.sql_files import sql_text

revision = "0026_intake_plan"
down_revision = "0025_relocations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(sql_text("take_reports"))


def downgrade() -> None:
    """Leave the function: it takes and answers what it did before."""
