"""Crosswalks between two nets at two instants, and comparisons of nets with what crosses.

Why: figures of any year are carried over to any net by weights that somebody computed
once and everybody can look at; and a web request cannot lay a whole district's nets
over each other to say where they cross.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0035_crosswalks"
down_revision = "0034_departments"
branch_labels = None
depends_on = None


def _uuid(name: str) -> sa.Column:
    return sa.Column(name, postgresql.UUID(as_uuid=False), nullable=False)


def _instant(name: str) -> sa.Column:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _text(*names: str) -> list[sa.Column]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def _number(*names: str) -> list[sa.Column]:
    return [sa.Column(name, sa.Float(), nullable=False) for name in names]


def _of_division(table: str) -> None:
    op.create_index(
        f"ix_{table}_division_code", table, ["division_code"], postgresql_ops={"division_code": "text_pattern_ops"}
    )


def upgrade() -> None:
    op.create_table(
        "crosswalks",
        _uuid("crosswalk_id"),
        *_text("division_code", "first_network"),
        _instant("first_at"),
        *_text("second_network"),
        _instant("second_at"),
        _instant("events_from"),
        _instant("events_to"),
        sa.Column("first_grids", sa.Integer(), nullable=False),
        sa.Column("second_grids", sa.Integer(), nullable=False),
        *_text("made_by"),
        _instant("made_at"),
        sa.CheckConstraint("events_to > events_from", name=op.f("ck_crosswalks_events_ordered")),
        sa.ForeignKeyConstraint(["first_network"], ["networks.network"], name=op.f("fk_crosswalks_first_network")),
        sa.ForeignKeyConstraint(["second_network"], ["networks.network"], name=op.f("fk_crosswalks_second_network")),
        sa.PrimaryKeyConstraint("crosswalk_id", name=op.f("pk_crosswalks")),
        sa.UniqueConstraint(
            "division_code",
            "first_network",
            "first_at",
            "second_network",
            "second_at",
            name=op.f("uq_crosswalks_nets"),
        ),
    )
    _of_division("crosswalks")
    op.create_table(
        "crosswalk_rows",
        sa.Column("row_id", sa.BigInteger(), sa.Identity(), nullable=False),
        _uuid("crosswalk_id"),
        sa.Column("first_code", sa.Text(), nullable=True),
        sa.Column("second_code", sa.Text(), nullable=True),
        *_number("area_m2", "households", "events"),
        sa.CheckConstraint(
            "first_code IS NOT NULL OR second_code IS NOT NULL", name=op.f("ck_crosswalk_rows_some_code")
        ),
        sa.CheckConstraint(
            "area_m2 >= 0 AND households >= 0 AND events >= 0", name=op.f("ck_crosswalk_rows_weights_not_negative")
        ),
        sa.ForeignKeyConstraint(
            ["crosswalk_id"],
            ["crosswalks.crosswalk_id"],
            name=op.f("fk_crosswalk_rows_crosswalk_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("row_id", name=op.f("pk_crosswalk_rows")),
        sa.UniqueConstraint(
            "crosswalk_id",
            "first_code",
            "second_code",
            name=op.f("uq_crosswalk_rows_crosswalk_id_first_code_second_code"),
        ),
    )
    op.create_table(
        "network_comparisons",
        _uuid("comparison_id"),
        *_text("division_code"),
        sa.Column("networks", postgresql.ARRAY(sa.Text()), nullable=False),
        _instant("at"),
        *_number("tolerance_m"),
        *_text("made_by"),
        _instant("made_at"),
        sa.CheckConstraint("cardinality(networks) > 1", name=op.f("ck_network_comparisons_several_networks")),
        sa.PrimaryKeyConstraint("comparison_id", name=op.f("pk_network_comparisons")),
    )
    _of_division("network_comparisons")
    op.create_table(
        "network_conflicts",
        sa.Column("conflict_id", sa.BigInteger(), sa.Identity(), nullable=False),
        _uuid("comparison_id"),
        sa.Column("number", sa.Integer(), nullable=False),
        *_text("first_network", "first_code", "second_network", "second_code"),
        *_number("shared_m2", "share_of_first", "share_of_second"),
        sa.Column(
            "geom",
            Geometry("MULTIPOLYGON", srid=4490, spatial_index=False, from_text="ST_GeomFromEWKT"),
            nullable=False,
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_network_conflicts_geom_sound")),
        sa.ForeignKeyConstraint(
            ["comparison_id"],
            ["network_comparisons.comparison_id"],
            name=op.f("fk_network_conflicts_comparison_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("conflict_id", name=op.f("pk_network_conflicts")),
        sa.UniqueConstraint("comparison_id", "number", name=op.f("uq_network_conflicts_comparison_id_number")),
    )
    op.create_index("ix_network_conflicts_geom", "network_conflicts", ["geom"], postgresql_using="gist")


def downgrade() -> None:
    for table in ("network_conflicts", "network_comparisons", "crosswalk_rows", "crosswalks"):
        op.drop_table(table)
