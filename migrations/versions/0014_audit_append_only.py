"""A trigger that refuses to change or remove audit entries.

Why: a hash chain shows that a log was edited; better still is that it cannot be.
"""

from alembic import op

from gridsvc.store.sql_files import sql_text

revision = "0014_audit_append_only"
down_revision = "0013_location_functions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.get_bind().exec_driver_sql(sql_text("audit_append_only"))


def downgrade() -> None:
    op.execute("DROP TRIGGER audit_log_append_only ON audit_log")
    op.execute("DROP FUNCTION gridsvc_refuse_audit_change()")
