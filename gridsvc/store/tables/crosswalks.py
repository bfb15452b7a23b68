"""Crosswalks between two nets at two instants, and comparisons of nets with the grids that cross each other."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from gridsvc.store.tables.base import geometry, gist, metadata, sound_geometry

crosswalks = Table(
    "crosswalks",
    metadata,
    # made of what the row says it is between: the same two nets have one crosswalk
    Column("crosswalk_id", UUID(as_uuid=False), primary_key=True),
    Column("division_code", Text, nullable=False),
    Column("first_network", Text, ForeignKey("networks.network"), nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("second_network", Text, ForeignKey("networks.network"), nullable=False),
    Column("second_at", DateTime(timezone=True), nullable=False),
    # reports of [events_from, events_to) are what events counts
    Column("events_from", DateTime(timezone=True), nullable=False),
    Column("events_to", DateTime(timezone=True), nullable=False),
    Column("first_grids", Integer, nullable=False),
    Column("second_grids", Integer, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("events_to > events_from", name="events_ordered"),
    UniqueConstraint(
        "division_code", "first_network", "first_at", "second_network", "second_at", name="uq_crosswalks_nets"
    ),
    Index("ix_crosswalks_division_code", "division_code", postgresql_ops={"division_code": "text_pattern_ops"}),
)

crosswalk_rows = Table(
    "crosswalk_rows",
    metadata,
    Column("row_id", BigInteger, Identity(), primary_key=True),
    Column(
        "crosswalk_id", UUID(as_uuid=False), ForeignKey("crosswalks.crosswalk_id", ondelete="CASCADE"), nullable=False
    ),
    # NULL: the other net has no grid there
    Column("first_code", Text),
    Column("second_code", Text),
    Column("area_m2", Float, nullable=False),
    Column("households", Float, nullable=False),
    Column("events", Float, nullable=False),
    CheckConstraint("first_code IS NOT NULL OR second_code IS NOT NULL", name="some_code"),
    CheckConstraint("area_m2 >= 0 AND households >= 0 AND events >= 0", name="weights_not_negative"),
    UniqueConstraint("crosswalk_id", "first_code", "second_code"),
)

network_comparisons = Table(
    "network_comparisons",
    metadata,
    Column("comparison_id", UUID(as_uuid=False), primary_key=True),
    Column("division_code", Text, nullable=False),
    Column("networks", ARRAY(Text), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("tolerance_m", Float, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("cardinality(networks) > 1", name="several_networks"),
    Index(
        "ix_network_comparisons_division_code", "division_code", postgresql_ops={"division_code": "text_pattern_ops"}
    ),
)

network_conflicts = Table(
    "network_conflicts",
    metadata,
    Column("conflict_id", BigInteger, Identity(), primary_key=True),
    Column(
        "comparison_id",
        UUID(as_uuid=False),
        ForeignKey("network_comparisons.comparison_id", ondelete="CASCADE"),
        nullable=False,
    ),
    # place in the order of the list: by network, then by code
    Column("number", Integer, nullable=False),
    Column("first_network", Text, nullable=False),
    Column("first_code", Text, nullable=False),
    Column("second_network", Text, nullable=False),
    Column("second_code", Text, nullable=False),
    Column("shared_m2", Float, nullable=False),
    Column("share_of_first", Float, nullable=False),
    Column("share_of_second", Float, nullable=False),
    # the land both claim
    geometry("MULTIPOLYGON"),
    sound_geometry(),
    UniqueConstraint("comparison_id", "number"),
    gist("network_conflicts"),
)
