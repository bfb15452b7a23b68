"""Walking networks (dated snapshots) and the results of service-circle runs."""

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
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from gridsvc.store.tables.base import geometry, gist, metadata, recorded_at, sound_geometry

walk_networks = Table(
    "walk_networks",
    metadata,
    Column("walk_network_id", BigInteger, Identity(), primary_key=True),
    Column("division_code", Text, nullable=False),
    Column("content_sha256", Text, nullable=False, unique=True),
    Column("nodes", Integer, nullable=False),
    Column("edges", Integer, nullable=False),
    Column("components", Integer, nullable=False),
    Column("built_at", DateTime(timezone=True), nullable=False),
    # places where streets pass walls, gaps without a gate among them
    Column("gates", Integer, nullable=False, server_default=text("0")),
    # how it was built, and what was doubtful: penalties (s), join_m, trunk, codes left out
    Column("build", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
)

walk_edges = Table(
    "walk_edges",
    metadata,
    Column("walk_edge_id", BigInteger, Identity(), primary_key=True),
    Column(
        "walk_network_id",
        BigInteger,
        ForeignKey("walk_networks.walk_network_id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("node_u", Integer, nullable=False),
    Column("node_v", Integer, nullable=False),
    Column("length_m", Float, nullable=False),
    Column("penalty_s", Float, nullable=False, server_default=text("0")),
    # numbers in walk_gates and walk_compounds of the network, -1 for none
    Column("gate", Integer, nullable=False, server_default=text("-1")),
    Column("closed_by", Integer, nullable=False, server_default=text("-1")),
    Column("compound", Integer, nullable=False, server_default=text("-1")),
    geometry("LINESTRING"),
    sound_geometry(),
    gist("walk_edges"),
)

walk_compounds = Table(
    "walk_compounds",
    metadata,
    Column(
        "walk_network_id", BigInteger, ForeignKey("walk_networks.walk_network_id", ondelete="CASCADE"), primary_key=True
    ),
    Column("compound", Integer, primary_key=True),
    # a compound, or wall-n where walls drawn as lines enclose it
    Column("compound_code", Text, nullable=False),
    # without streets of its own: homes there begin at its gates
    Column("is_yard", Boolean, nullable=False),
    geometry("POLYGON"),
    sound_geometry(),
    gist("walk_compounds"),
)

walk_gates = Table(
    "walk_gates",
    metadata,
    Column(
        "walk_network_id", BigInteger, ForeignKey("walk_networks.walk_network_id", ondelete="CASCADE"), primary_key=True
    ),
    Column("gate", Integer, primary_key=True),
    # empty where a street meets a wall and no gate is known
    Column("gate_code", Text, nullable=False),
    Column("compound", Integer, nullable=False),
    Column("is_closed", Boolean, nullable=False),
    Column("hours", Text, nullable=False),
    geometry("POINT"),
    sound_geometry(),
    gist("walk_gates"),
)

circle_runs = Table(
    "circle_runs",
    metadata,
    Column("circle_run_id", BigInteger, Identity(), primary_key=True),
    Column("walk_network_id", BigInteger, ForeignKey("walk_networks.walk_network_id"), nullable=False),
    Column("division_code", Text, nullable=False),
    Column("standard", Text, nullable=False),
    Column("speed_m_s", Float, nullable=False),
    Column("limit_s", Float, nullable=False),
    Column("ran_at", DateTime(timezone=True), nullable=False),
    # by community: coverage per kind, compliance, qualified; see docs/data-dictionary.md
    Column("coverage", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    recorded_at(),
    # the list of kinds it was judged by; empty in runs of before 0031: the list of that id that comes with the program
    Column("rules", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Index("ix_circle_runs_division_code_ran_at", "division_code", "ran_at"),
)

residence_times = Table(
    "residence_times",
    metadata,
    Column("circle_run_id", BigInteger, ForeignKey("circle_runs.circle_run_id", ondelete="CASCADE"), primary_key=True),
    Column("residence_code", Text, primary_key=True),
    # seconds to the nearest facility by kind code; a kind out of reach is absent
    Column("walk_s", JSONB, nullable=False),
    Column("kinds_reached", Integer, nullable=False),
    # where the walk begins: entrance, centroid, or gate where the compound has no streets
    Column("origin", Text, nullable=False, server_default="entrance"),
    # facilities within each of the run's count_minutes by kind code; a kind without any is absent
    Column("facility_counts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    # those of the day of the run; null in runs of before 0031
    Column("households", Integer),
    Column("population", Integer),
    CheckConstraint("origin IN ('entrance', 'centroid', 'gate')", name="origin_known"),
)
