"""What the tables share: metadata with a naming convention, geometry columns and their constraints, validity."""

from __future__ import annotations

from geoalchemy2 import Geometry
from sqlalchemy import CheckConstraint, Column, DateTime, Index, MetaData, Text, text

STORAGE_SRID = 4490  # CGCS2000 geographic, see docs/decisions

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def geometry(kind: str, name: str = "geom", *, nullable: bool = False) -> Column:
    """Return a geometry column of one type in the storage SRID; the table adds its own named GiST index."""
    return Column(name, Geometry(kind, srid=STORAGE_SRID, spatial_index=False), nullable=nullable)


def sound_geometry(name: str = "geom") -> CheckConstraint:
    """Return the constraint that a geometry is valid and not empty (type and SRID are held by the column type)."""
    return CheckConstraint(f"ST_IsValid({name}) AND NOT ST_IsEmpty({name})", name=f"{name}_sound")


def gist(table: str, name: str = "geom") -> Index:
    """Return the named GiST index of a geometry column."""
    return Index(f"ix_{table}_{name}", name, postgresql_using="gist")


def validity() -> list[Column]:
    """Return the columns of a half-open validity ``[valid_from, valid_to)``; an open end is NULL."""
    return [
        Column("valid_from", DateTime(timezone=True), nullable=False),
        Column("valid_to", DateTime(timezone=True)),
    ]


def validity_ordered() -> CheckConstraint:
    """Return the constraint that a validity ends after it begins."""
    return CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="validity_ordered")


def recorded_at(name: str = "recorded_at") -> Column:
    """Return the column of the instant a row was written."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=text("now()"))


def source_columns() -> list[Column]:
    """Return where a row came from: file or standard, and the datum its coordinates were declared in."""
    return [
        Column("source", Text, nullable=False, server_default=""),
        Column("original_datum", Text, nullable=False, server_default="cgcs2000"),
    ]
