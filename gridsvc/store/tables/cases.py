"""Reports (immutable, as posted) and cases (the matters being handled); partitioned by month, district in the key.

``report_receipts`` is not partitioned: it is what makes intake idempotent on the client's UUID whatever the month.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from gridsvc.cases.life_cycle import STAGES
from gridsvc.store.tables.base import geometry, gist, metadata, recorded_at, sound_geometry


def _grid_codes() -> list[Column]:
    """Return the grid of each network at the row's own time; derived from position and time, never typed in."""
    return [Column(f"{network}_grid", Text) for network in ("urban", "social", "security", "unified")]


def _district_code_known() -> CheckConstraint:
    """Return the constraint on the distribution key: scope, partitions and case codes all rest on it."""
    return CheckConstraint("district_code ~ '^[0-9]{6}$'", name="district_code_digits")


report_receipts = Table(
    "report_receipts",
    metadata,
    Column("report_id", UUID(as_uuid=False), primary_key=True),
    # NULL: it came with an address only and waits in unplaced_reports for a place
    Column("district_code", Text),
    Column("reported_at", DateTime(timezone=True), nullable=False),
    Column("body_sha256", LargeBinary, nullable=False),
    recorded_at(),
    # "" for what was imported
    Column("posted_by", Text, nullable=False, server_default=""),
    Column("device", Text),
    # the transaction that stored it: receipts below the oldest running one are complete, whatever commits late
    Column("commit_order", BigInteger, nullable=False, server_default=text("((pg_current_xact_id())::text)::bigint")),
    Index(
        "ix_report_receipts_posted_by",
        "posted_by",
        "commit_order",
        "report_id",
        postgresql_where=text("posted_by <> ''"),
    ),
)

# reports with an address and no position, until somebody or something finds their place
unplaced_reports = Table(
    "unplaced_reports",
    metadata,
    Column("report_id", UUID(as_uuid=False), primary_key=True),
    Column("reported_at", DateTime(timezone=True), nullable=False),
    Column("edition", Text, nullable=False),
    Column("category_code", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("reporter", Text),
    Column("device", Text),
    Column("address", Text, nullable=False),
    # of who posted it: nobody knows yet which district it belongs to
    Column("scope_prefix", Text, nullable=False, server_default=""),
    recorded_at("received_at"),
    # the build of the gazetteer that did not know the address well enough
    Column("tried_with", Text),
    Index("ix_unplaced_reports_reported_at", "reported_at", "report_id"),
)

# what was told of a report later; no foreign key, since an update may overtake its report on a bad network
report_updates = Table(
    "report_updates",
    metadata,
    Column("update_id", UUID(as_uuid=False), primary_key=True),
    Column("report_id", UUID(as_uuid=False), nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("description", Text, nullable=False),
    Column("reporter", Text),
    Column("device", Text),
    Column("posted_by", Text, nullable=False, server_default=""),
    Column("scope_prefix", Text, nullable=False, server_default=""),
    Column("content_sha256", LargeBinary, nullable=False),
    recorded_at("received_at"),
    Index("ix_report_updates_report_id", "report_id", "occurred_at"),
)

reports = Table(
    "reports",
    metadata,
    Column("district_code", Text, primary_key=True),
    Column("reported_at", DateTime(timezone=True), primary_key=True),
    Column("report_id", UUID(as_uuid=False), primary_key=True),
    Column("report_no", BigInteger, Identity(), nullable=False),
    Column("edition", Text, nullable=False),
    Column("category_code", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("reporter", Text),
    Column("device", Text),
    # as posted
    Column("original_lon", Float, nullable=False),
    Column("original_lat", Float, nullable=False),
    Column("original_datum", Text, nullable=False),
    Column("accuracy_m", Float),
    # derived
    geometry("POINT"),
    Column("community_code", Text),
    *_grid_codes(),
    # when the grids above were derived; NULL = to be located (again), because it is new or its grids were redrawn
    Column("located_at", DateTime(timezone=True)),
    recorded_at("received_at"),
    # as posted; behind the others since they were added later
    Column("altitude_m", Float),
    Column("heading_deg", Float),
    Column("address", Text),
    sound_geometry(),
    _district_code_known(),
    CheckConstraint("heading_deg IS NULL OR (heading_deg >= 0 AND heading_deg < 360)", name="heading_in_circle"),
    CheckConstraint("accuracy_m IS NULL OR accuracy_m >= 0", name="accuracy_not_negative"),
    CheckConstraint("original_datum IN ('wgs84', 'cgcs2000', 'gcj02', 'bd09')", name="datum_known"),
    CheckConstraint(
        "source IN ('field_app', 'hotline', 'sensor', 'video', 'department', 'media', 'import')", name="source_known"
    ),
    gist("reports"),
    Index("ix_reports_report_no", "report_no"),
    *[
        # a page of a grid, with or without a category: within a month a grid has too few reports for the order to matter
        Index(
            f"ix_reports_{network}_grid_page",
            f"{network}_grid",
            "category_code",
            "reported_at",
            postgresql_where=text(f"{network}_grid IS NOT NULL"),
        )
        for network in ("urban", "social", "security", "unified")
    ],
    Index("ix_reports_category_code_reported_at", "category_code", "reported_at"),
    # the queue of what no grid of any network holds
    Index(
        "ix_reports_in_no_grid",
        "reported_at",
        "report_id",
        postgresql_where=text(
            "urban_grid IS NULL AND social_grid IS NULL AND security_grid IS NULL AND unified_grid IS NULL"
        ),
    ),
    Index("ix_reports_unlocated", "district_code", "reported_at", postgresql_where=text("located_at IS NULL")),
    postgresql_partition_by="RANGE (reported_at)",
)

cases = Table(
    "cases",
    metadata,
    Column("district_code", Text, primary_key=True),
    Column("opened_at", DateTime(timezone=True), primary_key=True),
    Column("case_id", UUID(as_uuid=False), primary_key=True),
    Column("case_code", Text, nullable=False),
    Column("report_id", UUID(as_uuid=False), nullable=False),
    Column("edition", Text, nullable=False),
    Column("category_code", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("responsible_department", Text),
    Column("due_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
    geometry("POINT"),
    Column("community_code", Text),
    *_grid_codes(),
    recorded_at(),
    sound_geometry(),
    _district_code_known(),
    CheckConstraint("stage IN (" + ", ".join(f"'{s}'" for s in STAGES) + ")", name="stage_known"),
    gist("cases"),
    Index("ix_cases_report_id", "report_id"),
    Index("ix_cases_stage_opened_at", "stage", "opened_at"),
    Index("ix_cases_social_grid", "social_grid"),
    postgresql_partition_by="RANGE (opened_at)",
)

# an open case took another grid because a redraw came in force at its place
case_grid_moves = Table(
    "case_grid_moves",
    metadata,
    Column("move_id", BigInteger, Identity(), primary_key=True),
    Column("redraw_id", UUID(as_uuid=False), ForeignKey("redraws.redraw_id"), nullable=False),
    Column("district_code", Text, nullable=False),
    Column("case_id", UUID(as_uuid=False), nullable=False),
    Column("case_code", Text, nullable=False),
    Column("network", Text, ForeignKey("networks.network"), nullable=False),
    Column("from_grid", Text),
    Column("to_grid", Text),
    Column("moved_at", DateTime(timezone=True), nullable=False),
    recorded_at(),
    Index("ix_case_grid_moves_redraw_id", "redraw_id"),
    Index("ix_case_grid_moves_case_id", "case_id"),
)
