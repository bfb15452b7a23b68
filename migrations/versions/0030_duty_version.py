"""A version of assignments and workers that every change renews.

Why: each process keeps who is on duty in memory, and must notice, without a restart, that it is somebody else now.
"""

from alembic import op

from gridsvc.store.sql_files import sql_text

revision = "0030_duty_version"
down_revision = "0029_compounds_and_gates"
branch_labels = None
depends_on = None

_TABLES = ("assignments", "workers")
# the rows a statement changed are known under one name, whatever it did
_EVENTS = {"insert": "NEW", "update": "NEW", "delete": "OLD"}


def upgrade() -> None:
    op.get_bind().exec_driver_sql(sql_text("duty_version"))
    for table in _TABLES:
        for event, rows in _EVENTS.items():
            op.execute(
                f"CREATE TRIGGER tr_{table}_renew_duty_{event} AFTER {event.upper()} ON {table}"
                f" REFERENCING {rows} TABLE AS changed_rows"
                " FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_renew_duty_version()"
            )
        op.execute(
            f"CREATE TRIGGER tr_{table}_renew_duty_truncate AFTER TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_renew_duty_version()"
        )


def downgrade() -> None:
    for table in _TABLES:
        for event in (*_EVENTS, "truncate"):
            op.execute(f"DROP TRIGGER tr_{table}_renew_duty_{event} ON {table}")
    op.execute("DROP FUNCTION gridsvc_renew_duty_version()")
    op.drop_table("duty_version")
