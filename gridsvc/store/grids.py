"""Grids in force: read at an instant, put in force as one set, found by position."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import geopandas as gpd
import shapely
from sqlalchemy import BigInteger, Boolean, String, column, func, or_, select, text

from gridsvc.errors import ConflictError, PartitionError
from gridsvc.geo.changed_ground import changed_ground
from gridsvc.store.bulk import columns_of, staged
from gridsvc.store.frames import in_force, plain_columns, read_frame, wkb
from gridsvc.store.relocations import RelocationRepository
from gridsvc.store.repository import Repository, like_pattern, refuse_repeats
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import divisions, grids

NETWORKS = ("urban", "social", "security", "unified")
# inside the repository its own method ``list`` hides the type of that name
_Codes = list[str | None]
_Names = list[str]


class GridRepository(Repository):
    """Grids; the scope is that of their community."""

    def list(
        self,
        network: str,
        prefix: str = "",
        at: datetime | None = None,
        community_codes: Iterable[str] | None = None,
    ) -> gpd.GeoDataFrame:
        """Return the grids of a network under ``prefix`` in force at ``at`` (default: without an end), ordered by code.

        Columns network, kind, code, name, community_code, parent_code, households, population, area_m2 (m2), responsible,
        redraw_id, valid_from, valid_to, geometry (MultiPolygon, EPSG:4490).
        """
        statement = (
            select(*plain_columns(grids), wkb(grids.c.geom))
            .where(
                grids.c.network == network, in_force(grids, at), self.within(grids.c.community_code, _community(prefix))
            )
            .order_by(grids.c.code)
        )
        if len(prefix) > _COMMUNITY_DIGITS:
            statement = statement.where(grids.c.code.like(like_pattern(prefix)))
        if community_codes is not None:
            statement = statement.where(grids.c.community_code == func.any([str(code) for code in community_codes]))
        return read_frame(self.connection, statement)

    def around(self, network: str, prefix: str, at: datetime | None) -> gpd.GeoDataFrame:
        """Return the grids of a network in force at ``at`` beside the communities under ``prefix``: outside, boxes touching theirs.

        None for ``at``: without an end. Columns code, community_code, geometry (MultiPolygon, EPSG:4490); ordered by code. Whatever the scope: neighbours share
        vertices, whoever's they are.
        """
        near = (
            select(divisions.c.division_id)
            .where(
                divisions.c.level == "community",
                divisions.c.code.like(like_pattern(prefix)),
                in_force(divisions, at),
                grids.c.geom.op("&&", return_type=Boolean())(func.ST_Expand(divisions.c.geom, _BESIDE_DEG)),
            )
            .exists()
        )
        statement = (
            select(grids.c.code, grids.c.community_code, wkb(grids.c.geom))
            .where(
                grids.c.network == network,
                in_force(grids, at),
                grids.c.community_code.not_like(like_pattern(_community(prefix))),
                near,
            )
            .order_by(grids.c.code)
        )
        return read_frame(self.connection, statement)

    def get(self, network: str, code: str, at: datetime | None = None) -> gpd.GeoDataFrame:
        """Return the grid of that code as a frame of one row, or of none when it is not in force (in this scope)."""
        statement = select(*plain_columns(grids), wkb(grids.c.geom)).where(
            grids.c.network == network, grids.c.code == code, in_force(grids, at), self.within(grids.c.community_code)
        )
        return read_frame(self.connection, statement)

    def used_codes(self, network: str, community_codes: Iterable[str]) -> set[str]:
        """Return every code ever given in these communities; none may be given again.

        Retired ones count, those of drafts, and those that a step of editing a draft gave or took away.
        """
        statement = text(
            "SELECT code FROM grids WHERE network = :network AND community_code = ANY(:communities)"
            " UNION SELECT code FROM redraw_grids WHERE network = :network AND community_code = ANY(:communities)"
            " UNION SELECT given ->> 'code' FROM redraw_steps JOIN redraws USING (redraw_id),"
            " jsonb_array_elements(grids_before || grids_after) AS given"
            " WHERE redraws.community_codes && :communities AND given ->> 'network' = :network"
            " AND given ->> 'community_code' = ANY(:communities)"
        ).columns(column("code", String))
        bound = {"network": network, "communities": [str(code) for code in community_codes]}
        return {code for code in self.connection.scalars(statement, bound) if code.startswith(self.scope)}

    def spent_codes(
        self, network: str, community_codes: Iterable[str], redraw_id: str, at: datetime | None
    ) -> set[str]:
        """Return the codes a redraw may not give in these communities: given before or in another draft, and not in force at ``at``."""
        bound = {"network": network, "communities": [str(code) for code in community_codes], "redraw_id": redraw_id}
        given = text(
            "SELECT code FROM grids WHERE network = :network AND community_code = ANY(:communities)"
            " UNION SELECT code FROM redraw_grids WHERE network = :network AND community_code = ANY(:communities)"
            " AND redraw_id <> CAST(:redraw_id AS uuid)"
        ).columns(column("code", String))
        held = select(grids.c.code).where(
            grids.c.network == network,
            grids.c.community_code == func.any(bound["communities"]),
            in_force(grids, at),
        )
        return set(self.connection.scalars(given, bound)) - set(self.connection.scalars(held))

    def count(self, network: str, prefix: str = "", at: datetime | None = None) -> int:
        """Return how many grids are in force."""
        here = self.within(grids.c.community_code, _community(prefix))
        statement = select(func.count()).select_from(grids).where(grids.c.network == network, in_force(grids, at), here)
        return self.connection.scalar(statement) or 0

    def locate_one(self, lon: float, lat: float, at: datetime) -> dict[str, str | None]:
        """Return the grid code of each network, and ``community``, of a point by the one-grid rule; None where there is none.

        CRS: EPSG:4490. Places outside the scope are answered as if nothing were there.
        """
        found: dict[str, str | None] = dict.fromkeys((*NETWORKS, "community"))
        bound = {"lon": lon, "lat": lat, "at": at}
        for network, code in self.connection.execute(
            text("SELECT network, code FROM gridsvc_locate(:lon, :lat, :at)"), bound
        ):
            found[network] = code
        statement = text("SELECT gridsvc_division_at(:lon, :lat, :at, 'community')")
        found["community"] = self.connection.scalar(statement, bound)
        return {key: code if code and code.startswith(self.scope) else None for key, code in found.items()}

    def locate_many_sql(self, lon: Sequence[float], lat: Sequence[float], network: str, at: datetime) -> _Codes:
        """Return the grid code of each point, in order, as the database answers it.

        For checking that it agrees with ``gridsvc.geo.location``, which is what bulk work uses: it is faster.
        """
        bound = {"lon": [float(x) for x in lon], "lat": [float(y) for y in lat], "network": network, "at": at}
        codes = self.connection.scalars(text(sql_text("locate_many")), bound).all()
        return [code if code and code.startswith(self.scope) else None for code in codes]

    def not_holding(
        self, named: Sequence[tuple[Any, str, str, datetime, float, float]]
    ) -> builtins.list[tuple[int, shapely.Geometry | None]]:
        """Return which of some points lie outside of the grid named for them: (number in ``named``, shape of that grid).

        Parameters
        ----------
        named
            Anything of the caller's, network, code, instant, lon, lat (EPSG:4490).

        Returns
        -------
        outside
            By number. The shape is None where there is no such grid at that instant; whatever the scope.
        """
        _, *columns = (list(part) for part in zip(*named, strict=True))
        bound = dict(zip(("network", "code", "at", "lon", "lat"), columns, strict=True))
        rows = self.connection.execute(
            text(sql_text("grids_not_holding")), bound | {"number": list(range(len(named)))}
        ).all()
        return [(row.number, None if row.shape is None else shapely.from_wkb(bytes(row.shape))) for row in rows]

    def put_in_force(
        self, frame: gpd.GeoDataFrame, *, network: str, communities: Iterable[str], at: datetime, redraw_id: str
    ) -> tuple[int, int, int]:
        """Make ``frame`` the grids of ``network`` in ``communities`` from ``at`` on; return (retired, inserted, unchanged).

        Grids that are the same (code, geometry, attributes) stay untouched. The others in force end at ``at``; one that
        began at that very instant never held and is removed. Assignments to codes that are gone end with them. Where reports
        since ``at`` are there already, the ground that changed is noted in ``relocations``.

        Raises
        ------
        ConflictError
            When a later redraw of these grids is already in force: it would have to be undone first.
        PartitionError
            When a grid lies in another community or network.
        """
        known = sorted(set(communities))
        self.refuse_outside(known)
        _check_frame(frame, network, known)
        bound = {"network": network, "communities": known, "at": at, "redraw_id": redraw_id}
        self._refuse_later(bound)
        frame = frame.assign(network=network).drop(columns=["redraw_id", "valid_from", "valid_to"], errors="ignore")
        names = columns_of(grids, frame)
        relocations = RelocationRepository(self.connection)
        before = self._held_since(bound) if relocations.has_reports(known, at) else None
        with staged(self.connection, grids, frame, columns=names) as stage:
            retired, inserted, unchanged = self._exchange(stage, names, bound)
        if retired or inserted:
            self.connection.execute(text(sql_text("end_orphaned_assignments")), bound)
            if before is not None:
                _note_ground(relocations, before, self._held_since(bound), bound)
        return retired, inserted, unchanged

    def beside(self, redraw_id: str, networks: Sequence[str], at: datetime) -> gpd.GeoDataFrame:
        """Return the grids in force at ``at`` or later that lie beside those of a redraw, in communities it does not redraw.

        Columns grid_id, network, code, parent_code, valid_from, valid_to, geometry; ordered by grid_id. Whatever the scope:
        neighbours share vertices, whoever's they are. Candidates by bounding box, within about a centimetre.
        """
        bound = {"redraw_id": redraw_id, "networks": list(networks), "at": at, "margin": _BESIDE_DEG}
        near = text(sql_text("grids_beside")).bindparams(**bound).columns(column("grid_id", BigInteger)).subquery()
        names = ("grid_id", "network", "code", "parent_code", "valid_from", "valid_to")
        statement = select(*[grids.c[name] for name in names], wkb(grids.c.geom))
        return read_frame(
            self.connection, statement.where(grids.c.grid_id.in_(select(near.c.grid_id))).order_by(grids.c.grid_id)
        )

    def put_vertices(self, frame: gpd.GeoDataFrame, *, at: datetime, redraw_id: str) -> int:
        """Give grids the same shapes with more vertices on their borders from ``at`` on; return how many.

        ``frame``: grid_id and geometry, as from :meth:`beside`. A grid that held before ``at`` keeps its former vertices until
        then, so that the partition is exact at every instant. Nothing but the geometry changes.
        """
        if frame.empty:
            return 0
        bound = {"at": at, "redraw_id": redraw_id}
        self._note_vertices(frame, bound)
        with staged(self.connection, grids, frame, columns=["grid_id", "geom"]) as stage:
            for statement in sql_text("put_vertices").replace("{stage}", stage).split(";\n\n"):
                self.connection.execute(text(statement), bound)
        return len(frame)

    def _note_vertices(self, frame: gpd.GeoDataFrame, bound: dict[str, Any]) -> None:
        """Note the ground, up to a millimetre wide, by which borders move that gain vertices."""
        statement = select(grids.c.grid_id.label("key"), grids.c.network, grids.c.code, wkb(grids.c.geom)).where(
            grids.c.grid_id == func.any([int(key) for key in frame["grid_id"]])
        )
        relocations = RelocationRepository(self.connection)
        held = read_frame(self.connection, statement.order_by(grids.c.grid_id))
        if not relocations.has_reports(held["code"], bound["at"]):
            return
        shapes = dict(zip(frame["grid_id"], frame.geometry, strict=True))
        for network, before in held.groupby("network"):
            after = before.assign(geometry=[shapes[key] for key in before["key"]])
            _note_ground(relocations, before, after, bound | {"network": network})

    def _held_since(self, bound: dict[str, Any]) -> gpd.GeoDataFrame:
        """Return code and geometry of all versions of the grids redrawn that hold at the instant of force or later."""
        statement = select(grids.c.code, wkb(grids.c.geom)).where(
            grids.c.network == bound["network"],
            grids.c.community_code == func.any(bound["communities"]),
            or_(grids.c.valid_to.is_(None), grids.c.valid_to > bound["at"]),
        )
        return read_frame(self.connection, statement.order_by(grids.c.code, grids.c.valid_from))

    def _refuse_later(self, bound: dict[str, Any]) -> None:
        """Refuse when these grids change again after ``at``; vertices that neighbours brought are no change."""
        later = self.connection.execute(
            text(
                "SELECT g.valid_from, g.community_code FROM grids AS g JOIN redraws AS r USING (redraw_id)"
                " WHERE g.network = :network AND g.community_code = ANY(:communities) AND g.valid_from > :at"
                " AND g.community_code = ANY(r.community_codes) ORDER BY g.valid_from LIMIT 1"
            ),
            bound,
        ).one_or_none()
        if later is not None:
            raise ConflictError(
                f"Grids of {bound['network']} in {later.community_code} change again at {later.valid_from.isoformat()},"
                f" after {bound['at'].isoformat()}.",
                hint="Put the new grids in force at a later instant.",
            )

    def _exchange(self, stage: str, names: _Names, bound: dict[str, Any]) -> tuple[int, int, int]:
        held = (
            "t.network = :network AND t.community_code = ANY(:communities) AND t.valid_from <= :at"
            " AND (t.valid_to IS NULL OR t.valid_to > :at)"
        )
        # plain equality on the key, which is never NULL, lets the two sets be hashed against each other
        equals = {name: "=" if name in ("network", "code") else "IS NOT DISTINCT FROM" for name in names}
        same = " AND ".join(f't."{name}" {sign} s."{name}"' for name, sign in equals.items())
        listed = ", ".join(f'"{name}"' for name in names)

        def run(sql: str) -> int:
            return self.connection.execute(text(sql), bound).rowcount

        # what begins later here are vertices that neighbours bring then; the new grids have them already
        later = "t.network = :network AND t.community_code = ANY(:communities) AND t.valid_from > :at"
        if run(f"DELETE FROM grids t WHERE {later}"):
            run(f"UPDATE grids t SET valid_to = NULL WHERE {held}")
        run(f"ALTER TABLE {stage} ADD COLUMN kept bigint")
        unchanged = run(f"UPDATE {stage} s SET kept = t.grid_id FROM grids t WHERE {held} AND {same}")
        others = f"{held} AND NOT EXISTS (SELECT FROM {stage} s WHERE s.kept = t.grid_id)"
        never_held = run(f"DELETE FROM grids t WHERE {others} AND t.valid_from = :at")
        retired = run(f"UPDATE grids t SET valid_to = :at WHERE {others}")
        inserted = run(
            f"INSERT INTO grids ({listed}, redraw_id, valid_from)"
            f" SELECT {listed}, :redraw_id, :at FROM {stage} WHERE kept IS NULL ORDER BY code"
        )
        return retired + never_held, inserted, unchanged


_COMMUNITY_DIGITS = 12
_BESIDE_DEG = 1e-7


def _community(prefix: str) -> str:
    return prefix[:_COMMUNITY_DIGITS]


def _check_frame(frame: gpd.GeoDataFrame, network: str, communities: Sequence[str]) -> None:
    refuse_repeats(frame, ["code"])
    outside = ~frame["community_code"].astype(str).isin(communities)
    if outside.any():
        raise PartitionError(
            f"Grid {frame.loc[outside, 'code'].iloc[0]} lies in none of the communities that are redrawn.",
            hint="Leave it out, or redraw its community too.",
        )
    if "network" in frame.columns and (frame["network"] != network).any():
        raise PartitionError(f"The frame has grids of another network than {network}.")


def _note_ground(
    relocations: RelocationRepository, before: gpd.GeoDataFrame, after: gpd.GeoDataFrame, bound: dict[str, Any]
) -> None:
    """Note the ground on which reports since the instant of force may have another grid now."""
    ground = changed_ground(
        before["code"].tolist(), before.geometry.to_numpy(), after["code"].tolist(), after.geometry.to_numpy()
    )
    if not ground.is_empty:
        relocations.add(bound["redraw_id"], bound["network"], bound["at"], ground)
