"""Borders simplified for each zoom of the tiles, the ground on which that is still to be done, and their version (migration 0033)."""

from geoalchemy2 import Geometry
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from gridsvc.store.tables.base import geometry, metadata, sound_geometry

tile_shapes = Table(
    "tile_shapes",
    metadata,
    Column("layer", Text, primary_key=True),
    Column("z", SmallInteger, primary_key=True),
    # grids.grid_id or divisions.division_id
    Column("row_id", BigInteger, primary_key=True, autoincrement=False),
    # pixels of the zoom: no place on the ellipsoid, hence no CRS; for drawing only, it may touch itself
    Column("shape", Geometry("MULTIPOLYGON", srid=-1, spatial_index=False), nullable=False),
    Column("label_x", Integer),
    Column("label_y", Integer),
    Index("ix_tile_shapes_shape", "layer", "z", "shape", postgresql_using="gist"),
)

tile_ground = Table(
    "tile_ground",
    metadata,
    Column("ground_id", BigInteger, Identity(), primary_key=True),
    Column("layer", Text, nullable=False),
    geometry("POLYGON"),
    sound_geometry(),
    Index("ix_tile_ground_geom", "layer", "geom", postgresql_using="gist"),
)

tile_version = Table(
    "tile_version",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("version", UUID(as_uuid=False), nullable=False, server_default=text("gen_random_uuid()")),
    CheckConstraint("only_row", name="one_row"),
)
