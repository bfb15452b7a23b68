"""Borders simplified for each zoom of the tiles, and the ground on which that is still to be done.

Why: a tile of a whole city drew every vertex of every border, and each polygon was simplified
alone when a tile was made, which opens slits between neighbours.
"""

import sqlalchemy as sa
from alembic import op
from geoalchemy2 import Geometry
from sqlalchemy.dialects import postgresql

from gridsvc.store.sql_files import sql_text

revision = "0033_tile_shapes"
down_revision = "0032_facility_corrections"
branch_labels = None
depends_on = None

# table -> its key, and the column that names the layer of tiles
_TABLES = {"grids": ("grid_id", "network"), "divisions": ("division_id", "level")}
_EVENTS = {
    "insert": "REFERENCING NEW TABLE AS new_rows",
    "update": "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "REFERENCING OLD TABLE AS old_rows",
    "truncate": "",
}


def upgrade() -> None:
    op.create_table(
        "tile_shapes",
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("z", sa.SmallInteger(), nullable=False),
        sa.Column("row_id", sa.BigInteger(), nullable=False),
        # pixels of the zoom: no place on the ellipsoid, hence no CRS
        sa.Column(
            "shape", Geometry("MULTIPOLYGON", srid=-1, spatial_index=False, from_text="ST_GeomFromEWKT"), nullable=False
        ),
        sa.Column("label_x", sa.Integer(), nullable=True),
        sa.Column("label_y", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("layer", "z", "row_id", name=op.f("pk_tile_shapes")),
    )
    op.create_index("ix_tile_shapes_shape", "tile_shapes", ["layer", "z", "shape"], postgresql_using="gist")
    op.create_table(
        "tile_ground",
        sa.Column("ground_id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column(
            "geom", Geometry("POLYGON", srid=4490, spatial_index=False, from_text="ST_GeomFromEWKT"), nullable=False
        ),
        sa.CheckConstraint("ST_IsValid(geom) AND NOT ST_IsEmpty(geom)", name=op.f("ck_tile_ground_geom_sound")),
        sa.PrimaryKeyConstraint("ground_id", name=op.f("pk_tile_ground")),
    )
    op.create_index("ix_tile_ground_geom", "tile_ground", ["layer", "geom"], postgresql_using="gist")
    op.create_table(
        "tile_version",
        sa.Column("only_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column(
            "version", postgresql.UUID(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False
        ),
        sa.CheckConstraint("only_row", name=op.f("ck_tile_version_one_row")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("pk_tile_version")),
    )
    op.execute("INSERT INTO tile_version DEFAULT VALUES")
    op.get_bind().exec_driver_sql(sql_text("tile_layer"))
    for table, (key, about) in _TABLES.items():
        function = sql_text("tile_ground_of").replace("{table}", table).replace("{key}", key).replace("{about}", about)
        op.get_bind().exec_driver_sql(function)
        for event, rows in _EVENTS.items():
            op.execute(
                f"CREATE TRIGGER tr_{table}_note_tiles_{event} AFTER {event.upper()} ON {table} {rows}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION gridsvc_note_tiles_of_{table}()"
            )
        op.execute(
            f"INSERT INTO tile_ground (layer, geom) SELECT gridsvc_tile_layer({about}), ST_Envelope(geom) FROM {table}"
            f" WHERE geom IS NOT NULL AND gridsvc_tile_layer({about}) IS NOT NULL"
        )


def downgrade() -> None:
    for table in _TABLES:
        for event in _EVENTS:
            op.execute(f"DROP TRIGGER tr_{table}_note_tiles_{event} ON {table}")
        op.execute(f"DROP FUNCTION gridsvc_note_tiles_of_{table}()")
    op.execute("DROP FUNCTION gridsvc_tile_layer(text)")
    for table in ("tile_version", "tile_ground", "tile_shapes"):
        op.drop_table(table)
