"""Relocations of reports after a change of grids, and the indexes that answer a page of one grid.

Why: a change of grids touches the reports on the ground that changed and no others, in blocks that survive a stop; and a
page of a grid, category and time is read from the index whatever the network.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry

revision = "0025_relocations"
down_revision = "0024_grid_version"
branch_labels = None
depends_on = None

_NETWORKS = ("urban", "social", "security", "unified")


def upgrade() -> None:
    op.create_table(
        "relocations",
        sa.Column("relocation_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("redraw_id", sa.UUID(as_uuid=False), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_until", sa.DateTime(timezone=True), nullable=False),
        *[
            sa.Column(name, sa.BigInteger(), server_default="0", nullable=False)
            for name in ("reports_seen", "reports_moved", "cases_moved")
        ],
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "ground",
            Geometry(
                geometry_type="MULTIPOLYGON",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("ST_IsValid(ground) AND NOT ST_IsEmpty(ground)", name=op.f("ck_relocations_ground_sound")),
        sa.CheckConstraint("done_until >= since", name=op.f("ck_relocations_done_from_since")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("fk_relocations_network")),
        sa.ForeignKeyConstraint(["redraw_id"], ["redraws.redraw_id"], name=op.f("fk_relocations_redraw_id")),
        sa.PrimaryKeyConstraint("relocation_id", name=op.f("pk_relocations")),
    )
    op.create_index("ix_relocations_ground", "relocations", ["ground"], postgresql_using="gist")
    op.create_index("ix_relocations_redraw_id", "relocations", ["redraw_id"])
    op.create_index(
        "ix_relocations_pending", "relocations", ["relocation_id"], postgresql_where=sa.text("finished_at IS NULL")
    )
    for network in _NETWORKS:
        op.create_index(
            f"ix_reports_{network}_grid_page",
            "reports",
            [f"{network}_grid", "category_code", "reported_at"],
            postgresql_where=sa.text(f"{network}_grid IS NOT NULL"),
        )
    op.drop_index("ix_reports_social_grid_reported_at", "reports")


def downgrade() -> None:
    op.create_index("ix_reports_social_grid_reported_at", "reports", ["social_grid", "reported_at"])
    for network in _NETWORKS:
        op.drop_index(f"ix_reports_{network}_grid_page", "reports")
    # what is still to be relocated is marked as before
    op.execute(
        "UPDATE reports AS r SET located_at = NULL FROM relocations AS p"
        " WHERE p.finished_at IS NULL AND r.reported_at >= p.done_until AND r.geom && p.ground"
    )
    op.drop_table("relocations")
