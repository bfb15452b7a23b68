"""Photos of reports, and the uploads they come in by.

Why: a photo is acknowledged only when its row is committed and its file is on disk; the row says which file, and to which
report it belongs, whether that has come or not.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020_photos"
down_revision = "0019_report_intake"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "photos",
        sa.Column("report_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("stored_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("sent_as", sa.Text(), nullable=False),
        sa.Column("sent_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.BigInteger(), nullable=True),
        sa.Column("fingerprint_bands", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("reused_report_id", sa.UUID(as_uuid=False), nullable=True),
        sa.Column("reused_bits", sa.Integer(), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("camera_lon", sa.Float(), nullable=True),
        sa.Column("camera_lat", sa.Float(), nullable=True),
        sa.Column("camera_datum", sa.Text(), nullable=True),
        sa.Column("scope_prefix", sa.Text(), nullable=False),
        sa.Column("received_from", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "octet_length(sha256) = 32 AND octet_length(stored_sha256) = 32", name=op.f("ck_photos_hashes_whole")
        ),
        sa.CheckConstraint("sent_as IN ('jpeg', 'png', 'webp')", name=op.f("ck_photos_kind_known")),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f("ck_photos_size_positive")),
        sa.CheckConstraint("(reused_report_id IS NULL) = (reused_bits IS NULL)", name=op.f("ck_photos_reuse_whole")),
        sa.PrimaryKeyConstraint("report_id", "sha256", name=op.f("pk_photos")),
    )
    op.create_index("ix_photos_sha256", "photos", ["sha256"])
    op.create_index("ix_photos_stored_sha256", "photos", ["stored_sha256"])
    op.create_index("ix_photos_fingerprint_bands", "photos", ["fingerprint_bands"], postgresql_using="gin")
    op.create_table(
        "photo_uploads",
        sa.Column("upload_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("report_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=True),
        sa.Column("length_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pieces", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("photo_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("scope_prefix", sa.Text(), nullable=False),
        sa.Column("received_from", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'complete', 'refused', 'ended', 'expired')", name=op.f("ck_photo_uploads_state_known")
        ),
        sa.CheckConstraint(
            "received_bytes >= 0 AND received_bytes <= length_bytes",
            name=op.f("ck_photo_uploads_received_within_length"),
        ),
        sa.CheckConstraint(
            "(state = 'complete') = (photo_sha256 IS NOT NULL)", name=op.f("ck_photo_uploads_complete_is_a_photo")
        ),
        sa.PrimaryKeyConstraint("upload_id", name=op.f("pk_photo_uploads")),
    )
    op.create_index("ix_photo_uploads_expires_at", "photo_uploads", ["expires_at"])
    op.create_index(
        "ix_photo_uploads_open", "photo_uploads", ["received_from"], postgresql_where=sa.text("state = 'open'")
    )


def downgrade() -> None:
    op.drop_table("photo_uploads")
    op.drop_table("photos")
