"""Redraws of several networks, what they were based on and what they did; lineage of grids; moves of cases.

Why: unit grids and governance grids are approved or refused as one thing, and what an approval brings about is known before
and recorded after.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015_redraws"
down_revision = "0014_audit_append_only"
branch_labels = None
depends_on = None

_KNOWN_NETWORKS = "cardinality(networks) > 0 AND networks <@ ARRAY['urban', 'social', 'security', 'unified']"
_KINDS = "kind IN ('kept', 'reshape', 'split', 'merge', 'arrangement')"


def upgrade() -> None:
    _widen_redraws()
    op.create_table(
        "grid_lineage",
        sa.Column("lineage_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("redraw_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("relation_no", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("old_code", sa.Text(), nullable=False),
        sa.Column("new_code", sa.Text(), nullable=False),
        sa.Column("area_m2", sa.Float(), nullable=False),
        sa.Column("households", sa.Integer(), nullable=False),
        sa.Column("population", sa.Integer(), nullable=False),
        sa.Column("old_area_share", sa.Float(), nullable=False),
        sa.Column("new_area_share", sa.Float(), nullable=False),
        sa.Column("old_household_share", sa.Float(), nullable=False),
        sa.Column("new_household_share", sa.Float(), nullable=False),
        sa.CheckConstraint(_KINDS, name=op.f("ck_grid_lineage_kind_known")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_grid_lineage_network")),
        sa.ForeignKeyConstraint(["redraw_id"], ["redraws.redraw_id"], name=op.f("fk_grid_lineage_redraw_id")),
        sa.PrimaryKeyConstraint("lineage_id", name=op.f("pk_grid_lineage")),
        sa.UniqueConstraint(
            "redraw_id",
            "network",
            "old_code",
            "new_code",
            name=op.f("uq_grid_lineage_redraw_id_network_old_code_new_code"),
        ),
    )
    for code in ("old_code", "new_code"):
        op.create_index(f"ix_grid_lineage_{code}", "grid_lineage", [code], postgresql_ops={code: "text_pattern_ops"})
    op.create_table(
        "case_grid_moves",
        sa.Column("move_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("redraw_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("district_code", sa.Text(), nullable=False),
        sa.Column("case_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("case_code", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("from_grid", sa.Text(), nullable=True),
        sa.Column("to_grid", sa.Text(), nullable=True),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_case_grid_moves_network")),
        sa.ForeignKeyConstraint(["redraw_id"], ["redraws.redraw_id"], name=op.f("fk_case_grid_moves_redraw_id")),
        sa.PrimaryKeyConstraint("move_id", name=op.f("pk_case_grid_moves")),
    )
    op.create_index("ix_case_grid_moves_redraw_id", "case_grid_moves", ["redraw_id"])
    op.create_index("ix_case_grid_moves_case_id", "case_grid_moves", ["case_id"])


def downgrade() -> None:
    op.drop_table("case_grid_moves")
    op.drop_table("grid_lineage")
    _narrow_redraws()


def _widen_redraws() -> None:
    texts = postgresql.ARRAY(sa.Text())
    op.add_column("redraws", sa.Column("networks", texts, nullable=True))
    op.add_column("redraws", sa.Column("community_codes", texts, server_default=sa.text("'{}'"), nullable=False))
    op.add_column("redraws", sa.Column("based_on", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("redraws", sa.Column("approval_no", sa.BigInteger(), nullable=True))
    for name in ("impact", "effects"):
        empty = sa.text("'{}'::jsonb")
        op.add_column("redraws", sa.Column(name, postgresql.JSONB(), server_default=empty, nullable=False))
    op.add_column("redraws", sa.Column("effects_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE redraws SET networks = ARRAY[network]")
    op.execute(
        "UPDATE redraws AS r SET community_codes = held.codes FROM ("
        " SELECT redraw_id, array_agg(DISTINCT community_code ORDER BY community_code) AS codes FROM redraw_grids GROUP BY 1"
        ") AS held WHERE held.redraw_id = r.redraw_id"
    )
    # approvals of the past are numbered in their order, and what they brought about is done
    op.execute(
        "UPDATE redraws AS r SET approval_no = numbered.n, effects_at = r.decided_at FROM ("
        " SELECT redraw_id, row_number() OVER (ORDER BY decided_at, recorded_at, redraw_id) AS n FROM redraws"
        " WHERE state = 'approved') AS numbered WHERE numbered.redraw_id = r.redraw_id"
    )
    op.execute(
        "UPDATE redraws SET based_on = (SELECT coalesce(max(approval_no), 0) FROM redraws) WHERE state = 'draft'"
    )
    op.alter_column("redraws", "networks", nullable=False)
    op.drop_constraint(op.f("fk_redraws_network"), "redraws", type_="foreignkey")
    op.drop_column("redraws", "network")
    op.create_check_constraint(op.f("ck_redraws_networks_known"), "redraws", _KNOWN_NETWORKS)
    op.create_check_constraint(
        op.f("ck_redraws_numbered_when_approved"), "redraws", "(state = 'approved') = (approval_no IS NOT NULL)"
    )
    op.create_check_constraint(
        op.f("ck_redraws_effects_of_approved"), "redraws", "effects_at IS NULL OR state = 'approved'"
    )
    op.create_unique_constraint(op.f("uq_redraws_approval_no"), "redraws", ["approval_no"])
    op.create_index(
        "ix_redraws_pending",
        "redraws",
        ["in_force_from"],
        postgresql_where=sa.text("state = 'approved' AND effects_at IS NULL"),
    )


def _narrow_redraws() -> None:
    op.drop_index("ix_redraws_pending", "redraws")
    op.drop_constraint(op.f("uq_redraws_approval_no"), "redraws", type_="unique")
    for name in ("effects_of_approved", "numbered_when_approved", "networks_known"):
        op.drop_constraint(op.f(f"ck_redraws_{name}"), "redraws", type_="check")
    op.add_column("redraws", sa.Column("network", sa.Text(), nullable=True))
    op.execute("UPDATE redraws SET network = networks[1]")
    # a redraw of several networks becomes one redraw of each
    op.execute(
        "CREATE TEMPORARY TABLE split_redraws ON COMMIT DROP AS"
        " SELECT r.redraw_id, n.network, gen_random_uuid() AS new_id FROM redraws AS r, unnest(r.networks[2:]) AS n (network)"
    )
    copied = (
        "division_code, state, origin, reason, drafted_by, drafted_at, decided_by, decided_at, in_force_from, checks,"
        " recorded_at, networks"
    )
    op.execute(
        f"INSERT INTO redraws (redraw_id, network, {copied})"
        f" SELECT s.new_id, s.network, {', '.join('r.' + name.strip() for name in copied.split(','))}"
        " FROM split_redraws AS s JOIN redraws AS r USING (redraw_id)"
    )
    for table in ("redraw_grids", "grids"):
        op.execute(
            f"UPDATE {table} AS g SET redraw_id = s.new_id FROM split_redraws AS s"
            " WHERE s.redraw_id = g.redraw_id AND s.network = g.network"
        )
    op.alter_column("redraws", "network", nullable=False)
    op.create_foreign_key(op.f("fk_redraws_network"), "redraws", "networks", ["network"], ["network"])
    for name in ("effects_at", "effects", "impact", "approval_no", "based_on", "community_codes", "networks"):
        op.drop_column("redraws", name)
