"""Walking networks (dated snapshots) and the results of service-circle runs."""

from sqlalchemy import BigInteger, Column, DateTime, Float, ForeignKey, Identity, Index, Integer, Table, Text, text
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
    geometry("LINESTRING"),
    sound_geometry(),
    gist("walk_edges"),
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
)
