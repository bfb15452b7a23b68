"""What intake needs: altitude, heading and address of reports, reports without a place, updates, and the order of receipts.

Why: a report may come with an address only, an update before its report, and a device must learn what is held of it.
"""

import sqlalchemy as sa
from alembic import op

from gridsvc.store.sql_files import sql_text

revision = "0019_report_intake"
down_revision = "0018_dedicated_grids"
branch_labels = None
depends_on = None

_HEADING = "heading_deg IS NULL OR (heading_deg >= 0 AND heading_deg < 360)"


def upgrade() -> None:
    op.add_column("reports", sa.Column("altitude_m", sa.Float(), nullable=True))
    op.add_column("reports", sa.Column("heading_deg", sa.Float(), nullable=True))
    op.add_column("reports", sa.Column("address", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_reports_heading_in_circle"), "reports", _HEADING)
    op.create_index(
        "ix_reports_in_no_grid",
        "reports",
        ["reported_at", "report_id"],
        unique=False,
        postgresql_where=sa.text(
            "urban_grid IS NULL AND social_grid IS NULL AND security_grid IS NULL AND unified_grid IS NULL"
        ),
    )
    op.alter_column("report_receipts", "district_code", nullable=True)
    op.add_column("report_receipts", sa.Column("posted_by", sa.Text(), server_default="", nullable=False))
    op.add_column("report_receipts", sa.Column("device", sa.Text(), nullable=True))
    op.add_column(
        "report_receipts",
        sa.Column(
            "commit_order",
            sa.BigInteger(),
            server_default=sa.text("((pg_current_xact_id())::text)::bigint"),
            nullable=False,
        ),
    )
    op.create_index(
        "ix_report_receipts_posted_by",
        "report_receipts",
        ["posted_by", "commit_order", "report_id"],
        unique=False,
        postgresql_where=sa.text("posted_by <> ''"),
    )
    _create_tables()
    op.get_bind().exec_driver_sql(sql_text("ensure_months"))
    op.get_bind().exec_driver_sql(sql_text("take_reports"))


def _create_tables() -> None:
    op.create_table(
        "unplaced_reports",
        sa.Column("report_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edition", sa.Text(), nullable=False),
        sa.Column("category_code", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("reporter", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("scope_prefix", sa.Text(), server_default="", nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("tried_with", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_unplaced_reports")),
    )
    op.create_index("ix_unplaced_reports_reported_at", "unplaced_reports", ["reported_at", "report_id"], unique=False)
    op.create_table(
        "report_updates",
        sa.Column("update_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("report_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("reporter", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("posted_by", sa.Text(), server_default="", nullable=False),
        sa.Column("scope_prefix", sa.Text(), server_default="", nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("update_id", name=op.f("pk_report_updates")),
    )
    op.create_index("ix_report_updates_report_id", "report_updates", ["report_id", "occurred_at"], unique=False)


def downgrade() -> None:
    op.execute("DROP FUNCTION gridsvc_take_reports(json, json, timestamptz, uuid)")
    op.execute("DROP FUNCTION gridsvc_ensure_months(timestamptz, timestamptz)")
    op.drop_table("report_updates")
    # a report without a place cannot be held by what comes before
    op.execute("DELETE FROM report_receipts WHERE district_code IS NULL")
    op.drop_table("unplaced_reports")
    op.drop_index("ix_report_receipts_posted_by", table_name="report_receipts")
    for column in ("commit_order", "device", "posted_by"):
        op.drop_column("report_receipts", column)
    op.alter_column("report_receipts", "district_code", nullable=False)
    op.drop_index("ix_reports_in_no_grid", table_name="reports")
    op.drop_constraint(op.f("ck_reports_heading_in_circle"), "reports", type_="check")
    for column in ("address", "heading_deg", "altitude_m"):
        op.drop_column("reports", column)
