"""Reports and cases, partitioned by month, and the receipts that make intake idempotent.

Why: a retry of an acknowledged report must find its first answer, whatever the month.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry

revision = "0009_reports_and_cases"
down_revision = "0008_basemap"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "report_receipts",
        sa.Column("report_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("district_code", sa.Text(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_report_receipts")),
    )
    op.create_table(
        "reports",
        sa.Column("district_code", sa.Text(), nullable=False),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("report_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("report_no", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("edition", sa.Text(), nullable=False),
        sa.Column("category_code", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("reporter", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("original_lon", sa.Float(), nullable=False),
        sa.Column("original_lat", sa.Float(), nullable=False),
        sa.Column("original_datum", sa.Text(), nullable=False),
        sa.Column("accuracy_m", sa.Float(), nullable=True),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="POINT",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("community_code", sa.Text(), nullable=True),
        sa.Column("urban_grid", sa.Text(), nullable=True),
        sa.Column("social_grid", sa.Text(), nullable=True),
        sa.Column("security_grid", sa.Text(), nullable=True),
        sa.Column("unified_grid", sa.Text(), nullable=True),
        sa.Column("located_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("district_code ~ '^[0-9]{6}$'", name=op.f("ck_reports_district_code_digits")),
        sa.CheckConstraint(
            "original_datum IN ('wgs84', 'cgcs2000', 'gcj02', 'bd09')", name=op.f("ck_reports_datum_known")
        ),
        sa.CheckConstraint(
            "source IN ('field_app', 'hotline', 'sensor', 'video', 'department', 'media', 'import')",
            name=op.f("ck_reports_source_known"),
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_reports_geom_sound")),
        sa.CheckConstraint("accuracy_m IS NULL OR accuracy_m >= 0", name=op.f("ck_reports_accuracy_not_negative")),
        sa.PrimaryKeyConstraint("district_code", "reported_at", "report_id", name=op.f("pk_reports")),
        postgresql_partition_by="RANGE (reported_at)",
    )
    op.create_index("ix_reports_category_code_reported_at", "reports", ["category_code", "reported_at"], unique=False)
    op.create_index("ix_reports_geom", "reports", ["geom"], unique=False, postgresql_using="gist")
    op.create_index("ix_reports_report_no", "reports", ["report_no"], unique=False)
    op.create_index("ix_reports_social_grid_reported_at", "reports", ["social_grid", "reported_at"], unique=False)
    op.create_index(
        "ix_reports_unlocated",
        "reports",
        ["district_code", "reported_at"],
        unique=False,
        postgresql_where=sa.text("located_at IS NULL"),
    )
    op.create_table(
        "cases",
        sa.Column("district_code", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("case_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("case_code", sa.Text(), nullable=False),
        sa.Column("report_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("edition", sa.Text(), nullable=False),
        sa.Column("category_code", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("responsible_department", sa.Text(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="POINT",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("community_code", sa.Text(), nullable=True),
        sa.Column("urban_grid", sa.Text(), nullable=True),
        sa.Column("social_grid", sa.Text(), nullable=True),
        sa.Column("security_grid", sa.Text(), nullable=True),
        sa.Column("unified_grid", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("district_code ~ '^[0-9]{6}$'", name=op.f("ck_cases_district_code_digits")),
        sa.CheckConstraint(
            "stage IN ('reported', 'verifying', 'filed', 'dispatched', 'handling', 'deferred', 'handled', 'checking', 'rework', 'returned', 'merged', 'closed', 'voided')",
            name=op.f("ck_cases_stage_known"),
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_cases_geom_sound")),
        sa.PrimaryKeyConstraint("district_code", "opened_at", "case_id", name=op.f("pk_cases")),
        postgresql_partition_by="RANGE (opened_at)",
    )
    op.create_index("ix_cases_geom", "cases", ["geom"], unique=False, postgresql_using="gist")
    op.create_index("ix_cases_report_id", "cases", ["report_id"], unique=False)
    op.create_index("ix_cases_social_grid", "cases", ["social_grid"], unique=False)
    op.create_index("ix_cases_stage_opened_at", "cases", ["stage", "opened_at"], unique=False)


def downgrade() -> None:
    op.drop_table("cases")
    op.drop_table("reports")
    op.drop_table("report_receipts")
