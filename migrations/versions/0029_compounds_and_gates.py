"""Walled compounds and gates; penalties, gates and compounds of walking networks; where a walk begins.

Why: a home behind a wall is not at the street outside of it, a crossing with
signals takes longer than its metres, and a coverage figure says of each home
whether it was walked from a door, a centroid or a gate.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0029_compounds_and_gates"
down_revision = "0028_events_at_one_moment"
branch_labels = None
depends_on = None


def _geometry(kind: str) -> sa.Column:
    return sa.Column(
        "geom",
        Geometry(
            geometry_type=kind,
            srid=4490,
            dimension=2,
            spatial_index=False,
            from_text="ST_GeomFromEWKT",
            name="geometry",
            nullable=False,
        ),
        nullable=False,
    )


def _sound(table: str) -> sa.CheckConstraint:
    return sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f(f"ck_{table}_geom_sound"))


def _origin() -> list[sa.Column]:
    return [
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    ]


def _of_network(table: str) -> tuple[sa.Column, sa.ForeignKeyConstraint]:
    return (
        sa.Column("walk_network_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["walk_network_id"],
            ["walk_networks.walk_network_id"],
            name=op.f(f"fk_{table}_walk_network_id"),
            ondelete="CASCADE",
        ),
    )


def upgrade() -> None:
    op.create_table(
        "compounds",
        sa.Column("compound_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("compound_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        _geometry("POLYGON"),
        *_origin(),
        _sound("compounds"),
        sa.PrimaryKeyConstraint("compound_id", name=op.f("pk_compounds")),
        sa.UniqueConstraint("compound_code", name=op.f("uq_compounds_compound_code")),
    )
    op.create_index("ix_compounds_geom", "compounds", ["geom"], postgresql_using="gist")
    op.create_table(
        "gates",
        sa.Column("gate_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("gate_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("is_closed", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("hours", sa.Text(), server_default="", nullable=False),
        _geometry("POINT"),
        *_origin(),
        _sound("gates"),
        sa.PrimaryKeyConstraint("gate_id", name=op.f("pk_gates")),
        sa.UniqueConstraint("gate_code", name=op.f("uq_gates_gate_code")),
    )
    op.create_index("ix_gates_geom", "gates", ["geom"], postgresql_using="gist")
    op.add_column("streets", sa.Column("passage", sa.Text(), server_default="", nullable=False))
    op.add_column("streets", sa.Column("passage_share", sa.Float(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint(
        op.f("ck_streets_passage_known"),
        "streets",
        "passage IN ('', 'signal_crossing', 'overpass', 'underpass', 'steps', 'elevator')",
    )
    op.create_check_constraint(op.f("ck_streets_passage_share_not_negative"), "streets", "passage_share >= 0")
    op.add_column("walk_networks", sa.Column("gates", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column(
        "walk_networks",
        sa.Column("build", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    )
    op.add_column("walk_edges", sa.Column("penalty_s", sa.Float(), server_default=sa.text("0"), nullable=False))
    for name in ("gate", "closed_by", "compound"):
        op.add_column("walk_edges", sa.Column(name, sa.Integer(), server_default=sa.text("-1"), nullable=False))
    network, key = _of_network("walk_compounds")
    op.create_table(
        "walk_compounds",
        network,
        sa.Column("compound", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("compound_code", sa.Text(), nullable=False),
        sa.Column("is_yard", sa.Boolean(), nullable=False),
        _geometry("POLYGON"),
        _sound("walk_compounds"),
        key,
        sa.PrimaryKeyConstraint("walk_network_id", "compound", name=op.f("pk_walk_compounds")),
    )
    op.create_index("ix_walk_compounds_geom", "walk_compounds", ["geom"], postgresql_using="gist")
    network, key = _of_network("walk_gates")
    op.create_table(
        "walk_gates",
        network,
        sa.Column("gate", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("gate_code", sa.Text(), nullable=False),
        sa.Column("compound", sa.Integer(), nullable=False),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("hours", sa.Text(), nullable=False),
        _geometry("POINT"),
        _sound("walk_gates"),
        key,
        sa.PrimaryKeyConstraint("walk_network_id", "gate", name=op.f("pk_walk_gates")),
    )
    op.create_index("ix_walk_gates_geom", "walk_gates", ["geom"], postgresql_using="gist")
    op.add_column("residence_times", sa.Column("origin", sa.Text(), server_default="entrance", nullable=False))
    op.create_check_constraint(
        op.f("ck_residence_times_origin_known"), "residence_times", "origin IN ('entrance', 'centroid', 'gate')"
    )


def downgrade() -> None:
    op.drop_column("residence_times", "origin")
    op.drop_table("walk_gates")
    op.drop_table("walk_compounds")
    for name in ("compound", "closed_by", "gate", "penalty_s"):
        op.drop_column("walk_edges", name)
    op.drop_column("walk_networks", "build")
    op.drop_column("walk_networks", "gates")
    op.drop_column("streets", "passage_share")
    op.drop_column("streets", "passage")
    op.drop_table("gates")
    op.drop_table("compounds")
