"""Photos of reports and the uploads they come in by. The pictures themselves are files, see ``store/photo_files.py``."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from gridsvc.store.tables.base import metadata, recorded_at

# no foreign key to reports: a photo may come before its report, and is joined to it by report_id
photos = Table(
    "photos",
    metadata,
    Column("report_id", UUID(as_uuid=False), primary_key=True),
    # of the bytes as the client sent them: what makes sending idempotent
    Column("sha256", LargeBinary, primary_key=True),
    # of the file kept, which is named after it
    Column("stored_sha256", LargeBinary, nullable=False),
    Column("sent_as", Text, nullable=False),
    Column("sent_bytes", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    # 64 bits, as a signed number; NULL = too plain to be compared
    Column("fingerprint", BigInteger),
    Column("fingerprint_bands", ARRAY(Integer)),
    Column("reused_report_id", UUID(as_uuid=False)),
    Column("reused_bits", Integer),
    Column("taken_at", DateTime(timezone=True)),
    Column("camera_lon", Float),
    Column("camera_lat", Float),
    Column("camera_datum", Text),
    Column("scope_prefix", Text, nullable=False),
    Column("received_from", Text, nullable=False),
    recorded_at("received_at"),
    CheckConstraint("octet_length(sha256) = 32 AND octet_length(stored_sha256) = 32", name="hashes_whole"),
    CheckConstraint("sent_as IN ('jpeg', 'png', 'webp')", name="kind_known"),
    CheckConstraint("width > 0 AND height > 0", name="size_positive"),
    CheckConstraint("(reused_report_id IS NULL) = (reused_bits IS NULL)", name="reuse_whole"),
    Index("ix_photos_sha256", "sha256"),
    Index("ix_photos_stored_sha256", "stored_sha256"),
    Index("ix_photos_fingerprint_bands", "fingerprint_bands", postgresql_using="gin"),
)

photo_uploads = Table(
    "photo_uploads",
    metadata,
    Column("upload_id", UUID(as_uuid=False), primary_key=True),
    Column("report_id", UUID(as_uuid=False), nullable=False),
    Column("sha256", LargeBinary),
    Column("length_bytes", BigInteger, nullable=False),
    Column("received_bytes", BigInteger, nullable=False, server_default="0"),
    Column("pieces", Integer, nullable=False, server_default="0"),
    Column("state", Text, nullable=False, server_default="open"),
    Column("photo_sha256", LargeBinary),
    Column("scope_prefix", Text, nullable=False),
    Column("received_from", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    recorded_at(),
    CheckConstraint("state IN ('open', 'complete', 'refused', 'ended', 'expired')", name="state_known"),
    CheckConstraint("received_bytes >= 0 AND received_bytes <= length_bytes", name="received_within_length"),
    CheckConstraint("(state = 'complete') = (photo_sha256 IS NOT NULL)", name="complete_is_a_photo"),
    Index("ix_photo_uploads_expires_at", "expires_at"),
    Index("ix_photo_uploads_open", "received_from", postgresql_where=text("state = 'open'")),
)
