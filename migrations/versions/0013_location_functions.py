"""SQL functions that say which grid and which division a point is in.

Why: single reports, bulk work and Python must give a point on a shared edge the same grid; the rule is written once.
"""

from alembic import op

from gridsvc.store.sql_files import sql_text

revision = "0013_location_functions"
down_revision = "0012_access_and_audit"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(sql_text("locate"))


def downgrade() -> None:
    op.execute("DROP FUNCTION gridsvc_division_at(double precision, double precision, timestamptz, text)")
    op.execute("DROP FUNCTION gridsvc_locate(double precision, double precision, timestamptz)")
