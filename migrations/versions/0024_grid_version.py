"""A version of grids and divisions that every change renews, and the lock between changing and locating.

Why: each process keeps an index of all grids and must notice, without a restart, that they are others now.
"""

from alembic import op

from gridsvc.store.sql_files import sql_text

revision = "0024_grid_version"
down_revision = "0023_events"
branch_labels = None
depends_on = None

_TABLES = ("grids", "divisions")
# the rows a statement changed are known under one name, whatever it did
_EVENTS = {"insert": "NEW", "update": "NEW", "delete": "OLD"}


def upgrade() -> None:
    op.get_bind().exec_driver_sql(sql_text("grid_version"))
    for table in _TABLES:
        op.execute(
            f"CREATE TRIGGER tr_{table}_lock_version BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_lock_grid_version()"
        )
        for event, rows in _EVENTS.items():
            op.execute(
                f"CREATE TRIGGER tr_{table}_renew_version_{event} AFTER {event.upper()} ON {table}"
                f" REFERENCING {rows} TABLE AS changed_rows"
                " FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_renew_grid_version()"
            )
        op.execute(
            f"CREATE TRIGGER tr_{table}_renew_version_truncate AFTER TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_renew_grid_version()"
        )


def downgrade() -> None:
    for table in _TABLES:
        for event in ("lock_version", *(f"renew_version_{event}" for event in (*_EVENTS, "truncate"))):
            op.execute(f"DROP TRIGGER tr_{table}_{event} ON {table}")
    op.execute("DROP FUNCTION gridsvc_hold_grid_version()")
    op.execute("DROP FUNCTION gridsvc_renew_grid_version()")
    op.execute("DROP FUNCTION gridsvc_lock_grid_version()")
    op.execute("DROP FUNCTION gridsvc_grid_version_lock()")
    op.drop_table("grid_version")
