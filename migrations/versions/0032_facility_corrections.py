"""Areas and entrances of facilities; corrections of facilities that somebody proposed.

Why: a park or a school ground is entered from its edge or by its gates, not at a
point in its middle; and what a citizen or a worker found wrong with a facility is
kept with who said it, who decided, why and since when it holds.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

revision = "0032_facility_corrections"
down_revision = "0031_circle_run_lists"
branch_labels = None
depends_on = None


def _geometry(name: str, kind: str) -> sa.Column:
    return sa.Column(
        name,
        Geometry(
            geometry_type=kind,
            srid=4490,
            dimension=2,
            spatial_index=False,
            from_text="ST_GeomFromEWKT",
            name="geometry",
        ),
        nullable=True,
    )


def upgrade() -> None:
    for name, kind in (("area", "MULTIPOLYGON"), ("entrances", "MULTIPOINT")):
        op.add_column("facilities", _geometry(name, kind))
        op.create_check_constraint(
            op.f(f"ck_facilities_{name}_sound"), "facilities", f"ST_IsValid({name}) AND NOT ST_IsEmpty({name})"
        )
    op.create_index("ix_facilities_area", "facilities", ["area"], postgresql_using="gist")
    op.create_table(
        "facility_corrections",
        sa.Column("correction_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("facility_code", sa.Text(), server_default="", nullable=False),
        sa.Column("facility_version", sa.BigInteger(), nullable=True),
        sa.Column("kind_code", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("address", sa.Text(), server_default="", nullable=False),
        _geometry("geom", "POINT"),
        sa.Column("original_lon", sa.Float(), nullable=True),
        sa.Column("original_lat", sa.Float(), nullable=True),
        sa.Column("original_datum", sa.Text(), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("observed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reported_by", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("decided_by", sa.Text(), server_default="", nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("in_force_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("applied_code", sa.Text(), server_default="", nullable=False),
        sa.Column("findings", postgresql.JSONB(), server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.CheckConstraint(
            "what IN ('moved', 'closed', 'new', 'other_kind', 'renamed')",
            name=op.f("ck_facility_corrections_what_known"),
        ),
        sa.CheckConstraint(
            "state IN ('open', 'accepted', 'refused')", name=op.f("ck_facility_corrections_state_known")
        ),
        sa.CheckConstraint(
            "(state = 'open') = (decided_at IS NULL)", name=op.f("ck_facility_corrections_decided_once")
        ),
        sa.CheckConstraint(
            "(state = 'accepted') = (in_force_from IS NOT NULL)",
            name=op.f("ck_facility_corrections_accepted_dated"),
        ),
        sa.CheckConstraint(
            "(what IN ('moved', 'new')) = (geom IS NOT NULL)", name=op.f("ck_facility_corrections_place_given")
        ),
        sa.CheckConstraint(
            "(what IN ('new', 'other_kind')) = (kind_code IS NOT NULL)",
            name=op.f("ck_facility_corrections_kind_given"),
        ),
        sa.CheckConstraint("(what = 'new') = (facility_code = '')", name=op.f("ck_facility_corrections_about_one")),
        sa.CheckConstraint(
            "ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_facility_corrections_geom_sound")
        ),
        sa.ForeignKeyConstraint(
            ["kind_code"], ["facility_kinds.kind_code"], name=op.f("fk_facility_corrections_kind_code")
        ),
        sa.PrimaryKeyConstraint("correction_id", name=op.f("pk_facility_corrections")),
    )
    op.create_index(
        "ix_facility_corrections_state_received_at",
        "facility_corrections",
        ["state", "received_at", "correction_id"],
    )
    op.create_index("ix_facility_corrections_geom", "facility_corrections", ["geom"], postgresql_using="gist")
    op.create_index("ix_facility_corrections_facility_code", "facility_corrections", ["facility_code"])


def downgrade() -> None:
    op.drop_table("facility_corrections")
    for name in ("entrances", "area"):
        op.drop_constraint(op.f(f"ck_facilities_{name}_sound"), "facilities", type_="check")
        op.drop_column("facilities", name)
