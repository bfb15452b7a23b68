"""Addresses as imported, and the gazetteer derived from them and from divisions, streets, buildings and facilities.

The gazetteer is built, never edited: `services.gazetteer` replaces it district by district. Places have names, plates
have numbers at a place: door plates along a street, building plates in a compound.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID, ExcludeConstraint

from gridsvc.store.tables.base import (
    geometry,
    gist,
    metadata,
    recorded_at,
    sound_geometry,
    source_columns,
    validity,
    validity_ordered,
)

addresses = Table(
    "addresses",
    metadata,
    Column("address_id", BigInteger, Identity(), primary_key=True),
    Column("address_code", Text, nullable=False),
    Column("address", Text, nullable=False),
    # of a compound, building or point of interest at this address
    Column("name", Text, nullable=False, server_default=""),
    # derived from the position; scope is cut by it
    Column("community_code", Text),
    geometry("POINT"),
    *validity(),
    *source_columns(),
    recorded_at(),
    sound_geometry(),
    validity_ordered(),
    CheckConstraint("address <> '' OR name <> ''", name="says_something"),
    ExcludeConstraint(
        ("address_code", "="),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name="ex_addresses_code_validity",
        using="gist",
    ),
    gist("addresses"),
    Index("ix_addresses_community_code", "community_code", postgresql_ops={"community_code": "text_pattern_ops"}),
)

gazetteer_places = Table(
    "gazetteer_places",
    metadata,
    # made of kind, place and name: the same place keeps its number from build to build
    Column("place_id", BigInteger, primary_key=True, autoincrement=False),
    # the part of the gazetteer a build replaces; "" for what is above districts
    Column("district_code", Text, nullable=False),
    # the smallest division the place is wholly in; scope is cut by it
    Column("division_code", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # folded, for comparison
    Column("name", Text, nullable=False),
    Column("label", Text, nullable=False),
    # of a point of interest or building: the street and number of its address, folded
    Column("road", Text, nullable=False, server_default=""),
    Column("number", Integer),
    Column("radius_m", Float, nullable=False),
    Column("grams", ARRAY(Text), nullable=False),
    geometry("POINT", nullable=True),
    geometry("MULTILINESTRING", name="line", nullable=True),
    *validity(),
    sound_geometry(),
    sound_geometry("line"),
    CheckConstraint("kind IN ('division', 'street', 'compound', 'building', 'poi')", name="kind_known"),
    CheckConstraint("radius_m >= 0", name="radius_not_negative"),
    gist("gazetteer_places"),
    gist("gazetteer_places", "line"),
    Index("ix_gazetteer_places_name", "name"),
    Index("ix_gazetteer_places_district_code", "district_code"),
    Index("ix_gazetteer_places_grams", "grams", postgresql_using="gin"),
)

gazetteer_plates = Table(
    "gazetteer_plates",
    metadata,
    Column("place_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("suffix", Text, nullable=False, server_default=""),
    Column("district_code", Text, nullable=False),
    Column("division_code", Text, nullable=False),
    Column("accuracy_m", Float, nullable=False),
    geometry("POINT"),
    *validity(),
    sound_geometry(),
    PrimaryKeyConstraint("place_id", "number", "suffix", "valid_from", name="pk_gazetteer_plates"),
    CheckConstraint("number >= 0", name="number_not_negative"),
    CheckConstraint("accuracy_m >= 0", name="accuracy_not_negative"),
    gist("gazetteer_plates"),
    Index("ix_gazetteer_plates_district_code", "district_code"),
)

gazetteer_grams = Table(
    "gazetteer_grams",
    metadata,
    Column("gram", Text, primary_key=True),
    # places whose name has it: the rarest pairs of a name find it with the least reading
    Column("places", Integer, nullable=False),
)

gazetteer_builds = Table(
    "gazetteer_builds",
    metadata,
    Column("build_id", UUID(as_uuid=False), primary_key=True, server_default=text("gen_random_uuid()")),
    Column("built_at", DateTime(timezone=True), nullable=False),
    Column("counts", JSONB, nullable=False),
    recorded_at(),
    Index("ix_gazetteer_builds_built_at", "built_at"),
)

gazetteer_changes = Table(
    "gazetteer_changes",
    metadata,
    Column("change_id", BigInteger, Identity(), primary_key=True),
    # written by triggers on the sources, taken away by the build that follows
    Column("source", Text, nullable=False),
    recorded_at(),
)
