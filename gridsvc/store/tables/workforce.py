"""Workers, their kinds, and their dated assignments to grids."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

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

worker_kinds = Table(
    "worker_kinds",
    metadata,
    Column("kind_code", Text, primary_key=True),
    Column("name_zh", Text, nullable=False),
    Column("name_en", Text, nullable=False),
    Column("employment", Text, nullable=False),
    Column("unit", Text, nullable=False, server_default=""),
    Column("ratio_rule", Text, nullable=False, server_default=""),
    Column("patrol_rule", Text, nullable=False, server_default=""),
    Column("counts_as_grid_worker", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("verified", Boolean, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("worker_id", BigInteger, Identity(), primary_key=True),
    Column("worker_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind_code", Text, ForeignKey("worker_kinds.kind_code"), nullable=False),
    Column("division_code", Text, nullable=False),
    # work phone only; masked by role when read
    Column("phone", Text),
    Column("capacity_grids", Integer, nullable=False, server_default=text("1")),
    # where the worker starts from; never shown, used for assignment only
    geometry("POINT", name="home", nullable=True),
    *validity(),
    *source_columns(),
    recorded_at(),
    sound_geometry("home"),
    validity_ordered(),
    CheckConstraint("capacity_grids > 0", name="capacity_positive"),
    ExcludeConstraint(
        ("worker_code", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name="ex_workers_code_validity",
        using="gist",
    ),
    gist("workers", "home"),
    Index("ix_workers_division_code", "division_code", postgresql_ops={"division_code": "text_pattern_ops"}),
)

assignments = Table(
    "assignments",
    metadata,
    Column("assignment_id", BigInteger, Identity(), primary_key=True),
    Column("worker_code", Text, nullable=False),
    Column("network", Text, ForeignKey("networks.network"), nullable=False),
    Column("grid_code", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("is_primary", Boolean, nullable=False),
    Column("deputy_of", Text),
    *validity(),
    recorded_at(),
    validity_ordered(),
    CheckConstraint("role IN ('leader', 'full_time', 'part_time', 'adviser', 'deputy')", name="role_known"),
    CheckConstraint("(role = 'deputy') = (deputy_of IS NOT NULL)", name="deputy_names_whom"),
    # one primary worker on one grid at any instant
    ExcludeConstraint(
        ("network", "="),
        ("grid_code", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        where=text("is_primary"),
        name="ex_assignments_primary_validity",
        using="gist",
    ),
    Index("ix_assignments_network_grid_code", "network", "grid_code", postgresql_ops={"grid_code": "text_pattern_ops"}),
    Index("ix_assignments_worker_code", "worker_code"),
)
