"""Streets, water and barriers: the lines and areas that grids follow, and the basemap drawn under them."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Float, Identity, Integer, Table, Text, text

from gridsvc.store.tables.base import geometry, gist, metadata, recorded_at, sound_geometry, source_columns

streets = Table(
    "streets",
    metadata,
    Column("street_id", BigInteger, Identity(), primary_key=True),
    Column("street_code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    # OpenStreetMap highway value
    Column("street_class", Text, nullable=False),
    Column("is_walkable", Boolean, nullable=False),
    Column("layer", Integer, nullable=False, server_default="0"),
    # what a walk along it passes beside its metres, and which share of that lies on this piece
    Column("passage", Text, nullable=False, server_default=""),
    Column("passage_share", Float, nullable=False, server_default=text("0")),
    geometry("LINESTRING"),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    CheckConstraint(
        "passage IN ('', 'signal_crossing', 'overpass', 'underpass', 'steps', 'elevator')", name="passage_known"
    ),
    CheckConstraint("passage_share >= 0", name="passage_share_not_negative"),
    gist("streets"),
)

water_areas = Table(
    "water_areas",
    metadata,
    Column("water_id", BigInteger, Identity(), primary_key=True),
    Column("water_code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    Column("kind", Text, nullable=False),
    geometry("MULTIPOLYGON"),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    gist("water_areas"),
)

barriers = Table(
    "barriers",
    metadata,
    Column("barrier_id", BigInteger, Identity(), primary_key=True),
    Column("barrier_code", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    geometry("LINESTRING"),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    CheckConstraint("kind IN ('wall', 'rail', 'water')", name="kind_known"),
    gist("barriers"),
)
