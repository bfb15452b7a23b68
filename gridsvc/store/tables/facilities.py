"""Service facilities, their kinds with the standard each comes from, and corrections that somebody proposed."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID, ExcludeConstraint

from gridsvc.circle.facility_corrections import STATES, WHAT
from gridsvc.store.tables.base import (
    geometry,
    gist,
    metadata,
    recorded_at,
    sound_geometry,
    source_columns,
    validity,
    validity_ordered,
)

facility_kinds = Table(
    "facility_kinds",
    metadata,
    Column("kind_code", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("circle_minutes", Integer),
    Column("service_radius_m", Float),
    Column("required", Boolean, nullable=False),
    Column("standard", Text, nullable=False),
    Column("level", Text, nullable=False, server_default=""),
    Column("verified", Boolean, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
)

facilities = Table(
    "facilities",
    metadata,
    Column("facility_id", BigInteger, Identity(), primary_key=True),
    Column("facility_code", Text, nullable=False),
    Column("kind_code", Text, ForeignKey("facility_kinds.kind_code"), nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("address", Text, nullable=False, server_default=""),
    # derived from the position; scope is cut by it
    Column("community_code", Text),
    geometry("POINT"),
    *validity(),
    *source_columns(),
    recorded_at(),
    # where it is more than a point: its ground, and the points it is entered by
    geometry("MULTIPOLYGON", "area", nullable=True),
    geometry("MULTIPOINT", "entrances", nullable=True),
    sound_geometry(),
    sound_geometry("area"),
    sound_geometry("entrances"),
    validity_ordered(),
    ExcludeConstraint(
        ("facility_code", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name="ex_facilities_code_validity",
        using="gist",
    ),
    gist("facilities"),
    gist("facilities", "area"),
    Index("ix_facilities_kind_code", "kind_code"),
    Index("ix_facilities_community_code", "community_code", postgresql_ops={"community_code": "text_pattern_ops"}),
)


def _one_of(column: str, names: tuple[str, ...]) -> str:
    return f"{column} IN (" + ", ".join(f"'{name}'" for name in names) + ")"


facility_corrections = Table(
    "facility_corrections",
    metadata,
    Column("correction_id", UUID(as_uuid=True), primary_key=True),
    Column("what", Text, nullable=False),
    # "" for a new one, which has no code yet
    Column("facility_code", Text, nullable=False, server_default=""),
    # facility_id of the row that was in force when it came
    Column("facility_version", BigInteger),
    Column("kind_code", Text, ForeignKey("facility_kinds.kind_code")),
    Column("name", Text, nullable=False, server_default=""),
    Column("address", Text, nullable=False, server_default=""),
    geometry("POINT", nullable=True),
    # as given, in original_datum
    Column("original_lon", Float),
    Column("original_lat", Float),
    Column("original_datum", Text, nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),
    Column("observed_at", DateTime(timezone=True), nullable=False),
    Column("reported_by", Text, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    # the same id with another content is another correction
    Column("content_sha256", LargeBinary, nullable=False),
    # the smallest division of the facility, or of the place of a new one; the scope is cut by it
    Column("division_code", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("decided_by", Text, nullable=False, server_default=""),
    Column("decided_at", DateTime(timezone=True)),
    Column("reason", Text, nullable=False, server_default=""),
    Column("in_force_from", DateTime(timezone=True)),
    Column("applied_code", Text, nullable=False, server_default=""),
    Column("findings", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    CheckConstraint(_one_of("what", WHAT), name="what_known"),
    CheckConstraint(_one_of("state", STATES), name="state_known"),
    CheckConstraint("(state = 'open') = (decided_at IS NULL)", name="decided_once"),
    CheckConstraint("(state = 'accepted') = (in_force_from IS NOT NULL)", name="accepted_dated"),
    CheckConstraint("(what IN ('moved', 'new')) = (geom IS NOT NULL)", name="place_given"),
    CheckConstraint("(what IN ('new', 'other_kind')) = (kind_code IS NOT NULL)", name="kind_given"),
    CheckConstraint("(what = 'new') = (facility_code = '')", name="about_one"),
    sound_geometry(),
    gist("facility_corrections"),
    Index("ix_facility_corrections_state_received_at", "state", "received_at", "correction_id"),
    Index("ix_facility_corrections_facility_code", "facility_code"),
)
