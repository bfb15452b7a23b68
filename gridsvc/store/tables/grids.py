"""Networks, dated grids, and redraws (drafts that become grids when approved)."""

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
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID, ExcludeConstraint

from gridsvc.store.tables.base import geometry, gist, metadata, recorded_at, sound_geometry, validity, validity_ordered

networks = Table(
    "networks",
    metadata,
    Column("network", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("grid_kind", Text, nullable=False),
    Column("is_merged", Boolean, nullable=False, server_default=text("false")),
    Column("sort_order", Integer, nullable=False),
)

_GRID_KIND = "kind IN ('unit', 'governance', 'dedicated', 'security', 'unified')"


def _grid_columns() -> list[Column]:
    return [
        Column("network", Text, ForeignKey("networks.network"), nullable=False),
        Column("kind", Text, nullable=False),
        Column("code", Text, nullable=False),
        Column("name", Text, nullable=False, server_default=""),
        Column("community_code", Text, nullable=False),
        # a unit grid's governance grid; a grid's unified grid is found by position
        Column("parent_code", Text),
        Column("households", Integer, nullable=False, server_default=text("0")),
        Column("population", Integer, nullable=False, server_default=text("0")),
        Column("area_m2", Float, nullable=False),
        # per network: code and share of households of the grid that answers there (merged grids only)
        Column("responsible", JSONB),
        geometry("MULTIPOLYGON"),
    ]


grids = Table(
    "grids",
    metadata,
    Column("grid_id", BigInteger, Identity(), primary_key=True),
    *_grid_columns(),
    Column("redraw_id", UUID(as_uuid=False), ForeignKey("redraws.redraw_id"), nullable=False),
    *validity(),
    recorded_at(),
    sound_geometry(),
    validity_ordered(),
    CheckConstraint(_GRID_KIND, name="kind_known"),
    CheckConstraint("starts_with(code, community_code)", name="code_within_community"),
    CheckConstraint("area_m2 > 0", name="area_positive"),
    CheckConstraint("kind <> 'unit' OR ST_NumGeometries(geom) = 1", name="unit_grid_contiguous"),
    # one grid code is in force at most once at any instant of a network
    ExcludeConstraint(
        ("network", "="),
        ("code", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name="ex_grids_code_validity",
        using="gist",
    ),
    gist("grids"),
    Index("ix_grids_network_code", "network", "code", postgresql_ops={"code": "text_pattern_ops"}),
    Index("ix_grids_community_code", "community_code", postgresql_ops={"community_code": "text_pattern_ops"}),
)

redraws = Table(
    "redraws",
    metadata,
    Column("redraw_id", UUID(as_uuid=False), primary_key=True, server_default=text("gen_random_uuid()")),
    Column("division_code", Text, nullable=False),
    Column("state", Text, nullable=False, server_default="draft"),
    Column("origin", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("drafted_by", Text, nullable=False),
    Column("drafted_at", DateTime(timezone=True), nullable=False),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("in_force_from", DateTime(timezone=True)),
    Column("checks", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    recorded_at(),
    Column("networks", ARRAY(Text), nullable=False),
    # whose grids it redraws: all of those communities' grids, in every one of its networks
    Column("community_codes", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    # number of the newest approval when the draft was begun; approvals of the same grids after it make the draft stale
    Column("based_on", BigInteger, nullable=False, server_default=text("0")),
    # approvals are numbered in the order in which they were committed
    Column("approval_no", BigInteger),
    Column("impact", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("effects", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    # when cases and assignments followed; NULL when approved: the instant of force has not come yet
    Column("effects_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('draft', 'approved', 'discarded')", name="state_known"),
    CheckConstraint("origin IN ('automatic', 'imported', 'edited', 'merged')", name="origin_known"),
    CheckConstraint("(state = 'draft') = (decided_at IS NULL)", name="decided_once"),
    CheckConstraint("(state = 'approved') = (in_force_from IS NOT NULL)", name="in_force_when_approved"),
    CheckConstraint(
        "cardinality(networks) > 0 AND networks <@ ARRAY['urban', 'social', 'security', 'unified']",
        name="networks_known",
    ),
    CheckConstraint("(state = 'approved') = (approval_no IS NOT NULL)", name="numbered_when_approved"),
    CheckConstraint("effects_at IS NULL OR state = 'approved'", name="effects_of_approved"),
    UniqueConstraint("approval_no"),
    Index("ix_redraws_division_code", "division_code", postgresql_ops={"division_code": "text_pattern_ops"}),
    Index("ix_redraws_pending", "in_force_from", postgresql_where=text("state = 'approved' AND effects_at IS NULL")),
)

redraw_grids = Table(
    "redraw_grids",
    metadata,
    Column("redraw_grid_id", BigInteger, Identity(), primary_key=True),
    Column("redraw_id", UUID(as_uuid=False), ForeignKey("redraws.redraw_id", ondelete="CASCADE"), nullable=False),
    *_grid_columns(),
    sound_geometry(),
    UniqueConstraint("redraw_id", "network", "code"),
    CheckConstraint(_GRID_KIND, name="kind_known"),
    CheckConstraint("area_m2 > 0", name="area_positive"),
    gist("redraw_grids"),
)

# what became of which grid, by the redraw that did it; both weights of a code add up to exactly one
grid_lineage = Table(
    "grid_lineage",
    metadata,
    Column("lineage_id", BigInteger, Identity(), primary_key=True),
    Column("redraw_id", UUID(as_uuid=False), ForeignKey("redraws.redraw_id"), nullable=False),
    Column("network", Text, ForeignKey("networks.network"), nullable=False),
    Column("relation_no", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("old_code", Text, nullable=False),
    Column("new_code", Text, nullable=False),
    Column("area_m2", Float, nullable=False),
    Column("households", Integer, nullable=False),
    Column("population", Integer, nullable=False),
    Column("old_area_share", Float, nullable=False),
    Column("new_area_share", Float, nullable=False),
    Column("old_household_share", Float, nullable=False),
    Column("new_household_share", Float, nullable=False),
    CheckConstraint("kind IN ('kept', 'reshape', 'split', 'merge', 'arrangement')", name="kind_known"),
    UniqueConstraint("redraw_id", "network", "old_code", "new_code"),
    Index("ix_grid_lineage_old_code", "old_code", postgresql_ops={"old_code": "text_pattern_ops"}),
    Index("ix_grid_lineage_new_code", "new_code", postgresql_ops={"new_code": "text_pattern_ops"}),
)
