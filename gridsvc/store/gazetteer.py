"""Addresses as imported, and the gazetteer: replaced district by district, searched by name, by number, by place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import geopandas as gpd
import shapely
from sqlalchemy import Boolean, func, select, text

from gridsvc.geo.addresses import name_grams
from gridsvc.store.bulk import copy_frame
from gridsvc.store.communities import with_communities
from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.puts import put_dated
from gridsvc.store.repository import Repository
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import (
    STORAGE_SRID,
    addresses,
    divisions,
    facilities,
    gazetteer_builds,
    gazetteer_changes,
    gazetteer_places,
    gazetteer_plates,
    residences,
)

# for what is there and nobody said since when
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_NEWEST = (gazetteer_builds.c.recorded_at.desc(), gazetteer_builds.c.built_at.desc())
_BUILD_LOCK = 0x6761_7A65  # "gaze"
# pairs of characters are looked up from the rarest on, until that many places would have been read
_MOST_READ = 4_000
_FEWEST_GRAMS, _MOST_GRAMS = 2, 6
_IN_SCOPE = "(:scope = '' OR p.division_code LIKE :scope || '%' OR :scope LIKE p.division_code || '%')"
_HOLDS = "p.valid_from <= :at AND (p.valid_to IS NULL OR p.valid_to > :at)"
_SHOWN = "p.place_id, p.kind, p.name, p.label, p.road, p.number, p.radius_m, p.division_code, ST_X(p.geom) AS lon, ST_Y(p.geom) AS lat"


@dataclass(frozen=True, slots=True)
class GazetteerState:
    """The latest build (None: never built) and whether a source changed after it.

    Attributes
    ----------
    built_at
        When it was built.
    """

    build_id: str | None
    built_at: datetime | None
    counts: Mapping[str, Any]
    is_behind: bool


class GazetteerRepository(Repository):
    """Addresses and the gazetteer. A place is seen when its division lies in the scope, or holds it."""

    # -- sources -------------------------------------------------------------------------------------------------------

    def put_addresses(self, frame: gpd.GeoDataFrame, valid_from: datetime) -> tuple[int, int]:
        """Put addresses by code (address_code, address, name, geometry); return (inserted, unchanged). The past is kept."""
        placed = with_communities(self.connection, frame, valid_from)
        self.refuse_outside(placed["community_code"])
        return put_dated(self.connection, addresses, placed, key=["address_code"], valid_from=valid_from)

    def sources(self, district: str, boundary: shapely.Geometry) -> dict[str, gpd.GeoDataFrame]:
        """Return what the gazetteer of a district is made of, all instants: addresses, facilities, residences.

        Rows count to a district by their community, else (where communities are not drawn) by their position.
        """
        found = {}
        for name, table, shown in (
            ("addresses", addresses, ("address_code", "address", "name", "community_code", "valid_from", "valid_to")),
            (
                "facilities",
                facilities,
                ("facility_code", "name", "address", "community_code", "valid_from", "valid_to"),
            ),
            ("residences", residences, ("residence_code", "name", "use", "community_code")),
        ):
            inside = func.ST_Intersects(
                table.c.geom, func.ST_GeomFromWKB(shapely.to_wkb(boundary), STORAGE_SRID), type_=Boolean
            )
            here = table.c.community_code.like(f"{district}%") | (table.c.community_code.is_(None) & inside)
            point = func.ST_PointOnSurface(table.c.geom) if name == "residences" else table.c.geom
            statement = (
                select(*(table.c[column] for column in shown), wkb(point)).where(here).order_by(table.c[shown[0]])
            )
            found[name] = read_frame(self.connection, statement)
        return found

    def divisions_ever(self) -> gpd.GeoDataFrame:
        """Return every version of every division (code, name, level, validity, geometry), by code and beginning."""
        wanted = [
            column
            for column in plain_columns(divisions)
            if column.name in ("code", "name", "level", "valid_from", "valid_to")
        ]
        order = (divisions.c.code, divisions.c.valid_from)
        return read_frame(self.connection, select(*wanted, wkb(divisions.c.geom)).order_by(*order))

    # -- building ------------------------------------------------------------------------------------------------------

    def state(self) -> GazetteerState:
        """Return the latest build and whether it is behind its sources."""
        statement = select(gazetteer_builds.c.build_id, gazetteer_builds.c.recorded_at, gazetteer_builds.c.counts)
        last = self.connection.execute(statement.order_by(*_NEWEST).limit(1)).first()
        behind = bool(self.connection.scalar(select(select(gazetteer_changes.c.change_id).exists())))
        if last is None:
            return GazetteerState(None, None, {}, behind)
        return GazetteerState(last.build_id, last.recorded_at, last.counts, behind)

    def build_id(self) -> str | None:
        """Return the id of the latest build, None when there is none."""
        return self.connection.scalar(select(gazetteer_builds.c.build_id).order_by(*_NEWEST).limit(1))

    def begin_build(self) -> None:
        """Let no other build run beside this one, and take the notes of changes so far: what is read after this has them."""
        self.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _BUILD_LOCK})
        self.connection.execute(gazetteer_changes.delete())

    def replace(self, district: str, places: gpd.GeoDataFrame, plates: gpd.GeoDataFrame) -> None:
        """Put the places and plates of a district ("": what is above districts) in place of those it had."""
        for table in (gazetteer_plates, gazetteer_places):
            self.connection.execute(table.delete().where(table.c.district_code == district))
        gramed = places.assign(district_code=district, grams=[_array(name_grams(name)) for name in places["name"]])
        copy_frame(self.connection, gazetteer_places, gramed)
        copy_frame(self.connection, gazetteer_plates, plates.assign(district_code=district))

    def drop_districts_except(self, kept: Sequence[str]) -> None:
        """Take away the parts of districts that are no longer there."""
        for table in (gazetteer_plates, gazetteer_places):
            self.connection.execute(table.delete().where(table.c.district_code.not_in(["", *kept])))

    def finish_build(self, built_at: datetime, counts: Mapping[str, Any]) -> str:
        """Count how common each pair of characters is, note the build and return its id."""
        self.connection.execute(text("DELETE FROM gazetteer_grams"))
        self.connection.execute(
            text(
                "INSERT INTO gazetteer_grams SELECT gram, count(*) FROM gazetteer_places, unnest(grams) AS gram GROUP BY gram ORDER BY gram"
            )
        )
        for table in ("gazetteer_places", "gazetteer_plates", "gazetteer_grams"):
            self.connection.execute(text(f"ANALYZE {table}"))
        noted = (
            gazetteer_builds.insert()
            .values(built_at=built_at, counts=dict(counts))
            .returning(gazetteer_builds.c.build_id)
        )
        return str(self.connection.execute(noted).scalar_one())

    # -- searching -----------------------------------------------------------------------------------------------------

    def regions(self) -> list[dict[str, Any]]:
        """Return every division of the gazetteer, all instants: code, name, label, radius_m, lon, lat, valid_from, valid_to."""
        statement = text(
            "SELECT p.division_code AS code, p.name, p.label, p.radius_m, ST_X(p.geom) AS lon, ST_Y(p.geom) AS lat, p.valid_from,"
            " p.valid_to FROM gazetteer_places p WHERE p.kind = 'division' ORDER BY p.division_code, p.valid_from"
        )
        return self._rows(statement, {})

    def named(self, names: Sequence[str], *, at: datetime, within: str = "", limit: int = 200) -> list[dict[str, Any]]:
        """Return places (no divisions) of exactly these folded names, in or around the division ``within``."""
        statement = text(
            f"SELECT {_SHOWN} FROM gazetteer_places p WHERE p.name = ANY(CAST(:names AS text[])) AND p.kind <> 'division'"
            " AND (CAST(:within AS text) = '' OR p.division_code LIKE CAST(:within AS text) || '%'"
            " OR CAST(:within AS text) LIKE p.division_code || '%')"
            f" AND {_IN_SCOPE} AND {_HOLDS} ORDER BY p.place_id LIMIT :limit"
        )
        bound = {"names": list(names), "at": at, "within": within, "limit": limit, "scope": self.scope}
        return self._rows(statement, bound)

    def alike(
        self, name: str, kinds: Sequence[str], *, at: datetime, within: str = "", limit: int = 40
    ) -> list[dict[str, Any]]:
        """Return the places of these kinds whose names share most with ``name``, found by its rarest pairs of characters.

        ``within`` is a division code the place must lie in.
        """
        grams = name_grams(name)
        known = text("SELECT gram, places FROM gazetteer_grams WHERE gram = ANY(CAST(:grams AS text[]))")
        common = {row.gram: row.places for row in self.connection.execute(known, {"grams": grams})}
        read = 0
        chosen: list[str] = []
        for gram in sorted(common, key=lambda g: (common[g], g))[:_MOST_GRAMS]:
            if len(chosen) >= _FEWEST_GRAMS and read + common[gram] > _MOST_READ:
                break
            read += common[gram]
            chosen.append(gram)
        if not chosen:
            return []
        total = max(2, sum(common.values()))
        weights = [1.0 / (1.0 + common[gram] / total * len(common)) for gram in chosen]
        found = text(
            f"SELECT {_SHOWN} FROM ({sql_text('gazetteer_alike')}) AS found JOIN gazetteer_places p USING (place_id)"
            f" WHERE {_IN_SCOPE} ORDER BY p.place_id"
        )
        bound = {"grams": chosen, "weights": weights, "kinds": list(kinds), "within": within, "at": at, "limit": limit}
        return self._rows(found, bound | {"scope": self.scope})

    def plates_around(self, place_ids: Sequence[int], number: int, *, at: datetime) -> list[dict[str, Any]]:
        """Return per place the plates of ``number`` and the nearest below and above on the same side (``what`` says which)."""
        bound = {"places": list(place_ids), "number": number, "at": at}
        return self._rows(text(sql_text("gazetteer_plates_around")), bound)

    def crossings(
        self, first: Sequence[int], second: Sequence[int], *, reach_deg: float, limit: int = 20
    ) -> list[dict[str, Any]]:
        """Return where streets of ``first`` meet streets of ``second``, nearest first."""
        bound = {"first": list(first), "second": list(second), "reach": reach_deg, "limit": limit}
        return self._rows(text(sql_text("gazetteer_crossings")), bound)

    def distances_m(self, place_ids: Sequence[int], street_ids: Sequence[int]) -> dict[int, float]:
        """Return for each place its distance to the nearest of the streets (lines known only). Unit: m, about."""
        statement = text(
            "SELECT p.place_id, min(ST_DistanceSphere(p.geom, ST_ClosestPoint(s.line, p.geom))) AS m"
            " FROM gazetteer_places p, gazetteer_places s WHERE p.place_id = ANY(CAST(:places AS bigint[]))"
            " AND s.place_id = ANY(CAST(:streets AS bigint[])) AND s.line IS NOT NULL AND p.geom IS NOT NULL"
            " AND ST_DWithin(p.geom, s.line, 0.02) GROUP BY p.place_id"
        )
        bound = {"places": list(place_ids), "streets": list(street_ids)}
        return {row["place_id"]: row["m"] for row in self._rows(statement, bound)}

    def street_line(self, place_id: int) -> shapely.Geometry | None:
        """Return the lines of a street, None where they are not known. CRS: EPSG:4490."""
        statement = select(wkb(gazetteer_places.c.line)).where(gazetteer_places.c.place_id == place_id)
        return shapely.from_wkb(self.connection.scalar(statement))

    def around(self, lon: float, lat: float, *, at: datetime, reach_deg: float) -> list[dict[str, Any]]:
        """Return what has a name around a point (CRS: EPSG:4490): nearest places, streets and plates (``what``)."""
        point = f"SRID={STORAGE_SRID};POINT({lon!r} {lat!r})"
        return self._rows(text(sql_text("gazetteer_near_point")), {"point": point, "at": at, "reach": reach_deg})

    def _rows(self, statement: Any, bound: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [dict(row) for row in self.connection.execute(statement, bound).mappings()]


def _array(words: Sequence[str]) -> str:
    """Return words of letters, figures and ^ $ as PostgreSQL writes an array of text."""
    return "{" + ",".join(f'"{word}"' for word in words) + "}"
