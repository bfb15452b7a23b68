"""Addresses, and the gazetteer derived from them and from divisions, streets, buildings and facilities.

Why: reports that come with a text address must find their place without the internet.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

from gridsvc.store.sql_files import sql_text

revision = "0021_gazetteer"
down_revision = "0020_photos"
branch_labels = None
depends_on = None

_NOTED = ("divisions", "streets", "residences", "facilities", "addresses")


def upgrade() -> None:
    op.create_table(
        "addresses",
        sa.Column("address_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("address_code", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("community_code", sa.Text(), nullable=True),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="POINT",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("original_datum", sa.Text(), server_default="cgcs2000", nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("address_code"), "="),
            (sa.text("tstzrange(valid_from, valid_to)"), "&&"),
            using="gist",
            name="ex_addresses_code_validity",
        ),
        sa.CheckConstraint("address <> '' OR name <> ''", name=op.f("ck_addresses_says_something")),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_addresses_geom_sound")),
        sa.CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name=op.f("ck_addresses_validity_ordered")),
        sa.PrimaryKeyConstraint("address_id", name=op.f("pk_addresses")),
    )
    op.create_index(
        "ix_addresses_community_code",
        "addresses",
        ["community_code"],
        unique=False,
        postgresql_ops={"community_code": "text_pattern_ops"},
    )
    op.create_index("ix_addresses_geom", "addresses", ["geom"], unique=False, postgresql_using="gist")
    op.create_table(
        "gazetteer_builds",
        sa.Column(
            "build_id", postgresql.UUID(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False
        ),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("build_id", name=op.f("pk_gazetteer_builds")),
    )
    op.create_index("ix_gazetteer_builds_built_at", "gazetteer_builds", ["built_at"], unique=False)
    op.create_table(
        "gazetteer_changes",
        sa.Column("change_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_gazetteer_changes")),
    )
    op.create_table(
        "gazetteer_grams",
        sa.Column("gram", sa.Text(), nullable=False),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("gram", name=op.f("pk_gazetteer_grams")),
    )
    op.create_table(
        "gazetteer_places",
        sa.Column("place_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("district_code", sa.Text(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("road", sa.Text(), server_default="", nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("radius_m", sa.Float(), nullable=False),
        sa.Column("grams", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="POINT",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
            ),
            nullable=True,
        ),
        sa.Column(
            "line",
            Geometry(
                geometry_type="MULTILINESTRING",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
            ),
            nullable=True,
        ),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "kind IN ('division', 'street', 'compound', 'building', 'poi')", name=op.f("ck_gazetteer_places_kind_known")
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_gazetteer_places_geom_sound")),
        sa.CheckConstraint("ST_IsValid(line) AND NOT ST_IsEmpty(line)", name=op.f("ck_gazetteer_places_line_sound")),
        sa.CheckConstraint("radius_m >= 0", name=op.f("ck_gazetteer_places_radius_not_negative")),
        sa.PrimaryKeyConstraint("place_id", name=op.f("pk_gazetteer_places")),
    )
    op.create_index("ix_gazetteer_places_district_code", "gazetteer_places", ["district_code"], unique=False)
    op.create_index("ix_gazetteer_places_geom", "gazetteer_places", ["geom"], unique=False, postgresql_using="gist")
    op.create_index("ix_gazetteer_places_grams", "gazetteer_places", ["grams"], unique=False, postgresql_using="gin")
    op.create_index("ix_gazetteer_places_line", "gazetteer_places", ["line"], unique=False, postgresql_using="gist")
    op.create_index("ix_gazetteer_places_name", "gazetteer_places", ["name"], unique=False)
    op.create_table(
        "gazetteer_plates",
        sa.Column("place_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("suffix", sa.Text(), server_default="", nullable=False),
        sa.Column("district_code", sa.Text(), nullable=False),
        sa.Column("division_code", sa.Text(), nullable=False),
        sa.Column("accuracy_m", sa.Float(), nullable=False),
        sa.Column(
            "geom",
            Geometry(
                geometry_type="POINT",
                srid=4490,
                dimension=2,
                spatial_index=False,
                from_text="ST_GeomFromEWKT",
                name="geometry",
                nullable=False,
            ),
            nullable=False,
        ),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_gazetteer_plates_geom_sound")),
        sa.CheckConstraint("accuracy_m >= 0", name=op.f("ck_gazetteer_plates_accuracy_not_negative")),
        sa.CheckConstraint("number >= 0", name=op.f("ck_gazetteer_plates_number_not_negative")),
        sa.PrimaryKeyConstraint("place_id", "number", "suffix", "valid_from", name="pk_gazetteer_plates"),
    )
    op.create_index("ix_gazetteer_plates_district_code", "gazetteer_plates", ["district_code"], unique=False)
    op.create_index("ix_gazetteer_plates_geom", "gazetteer_plates", ["geom"], unique=False, postgresql_using="gist")
    op.get_bind().exec_driver_sql(sql_text("gazetteer_changes"))


def downgrade() -> None:
    for table in _NOTED:
        op.execute(f"DROP TRIGGER note_gazetteer_change ON {table}")
    op.execute("DROP FUNCTION gridsvc_note_gazetteer_change()")
    for table in ("gazetteer_changes", "gazetteer_builds", "gazetteer_grams", "gazetteer_plates", "gazetteer_places"):
        op.drop_table(table)
    op.drop_table("addresses")
