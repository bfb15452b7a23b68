"""Walking networks and the results of service-circle runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely
from sqlalchemy import ColumnElement, String, Table, insert, literal, or_, select, text, true

from gridsvc.errors import NotFoundError
from gridsvc.store.bulk import copy_frame
from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.repository import Repository, like_pattern
from gridsvc.store.tables import (
    circle_runs,
    residence_times,
    residences,
    walk_compounds,
    walk_edges,
    walk_gates,
    walk_networks,
)


def _covers(table: Table, prefix: str) -> ColumnElement[bool]:
    """Return the condition that a row's division lies under ``prefix`` or contains it."""
    if not prefix:
        return true()
    code = table.c.division_code
    return or_(code.like(like_pattern(prefix)), literal(prefix).like(code + "%"))


# one question instead of two: an isochrone is asked for while somebody drags a marker over the map
_AROUND = text(
    """
    WITH found (level, code) AS (
        VALUES (1, gridsvc_division_at(:lon, :lat, :at, 'community')), (2, gridsvc_division_at(:lon, :lat, :at, 'district'))
    ), place AS (
        SELECT code FROM found WHERE code LIKE :scope || '%' OR :scope LIKE code || '%' ORDER BY level LIMIT 1
    )
    SELECT place.code AS place, newest.*
    FROM place LEFT JOIN LATERAL (
        SELECT * FROM walk_networks
        WHERE (division_code LIKE place.code || '%' OR place.code LIKE division_code || '%')
            AND (division_code LIKE :scope || '%' OR :scope LIKE division_code || '%')
        ORDER BY built_at DESC, walk_network_id DESC
        LIMIT 1
    ) AS newest ON true
    """
).columns(**{"place": String(), **{column.name: column.type for column in walk_networks.columns}})


def _content_sha256(division_code: str, parts: Iterable[gpd.GeoDataFrame], build: Mapping[str, Any]) -> str:
    """Return the hash of all that makes a network what it is; the same for the same network on every machine."""
    digest = hashlib.sha256(f"{division_code} {json.dumps(build, sort_keys=True)}".encode())
    for part in parts:
        for name in sorted(part.columns.drop("geometry")):
            values = part[name].to_numpy()
            digest.update(repr(values.tolist()).encode() if values.dtype == object else values.tobytes())
        digest.update(b"".join(shapely.to_wkb(part.geometry.to_numpy(), byte_order=1)))
    return digest.hexdigest()


class WalkNetworkRepository(Repository):
    """Walking networks: dated snapshots. A walk does not stop at a border, so a network that contains the scope is seen whole."""

    def put(
        self,
        division_code: str,
        edges: gpd.GeoDataFrame,
        *,
        nodes: int,
        components: int,
        built_at: datetime,
        compounds: gpd.GeoDataFrame | None = None,
        gates: gpd.GeoDataFrame | None = None,
        build: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep a network and return its id; that of the same network if it is there already.

        Parameters
        ----------
        edges
            node_u, node_v, length_m and geometry (LineString, EPSG:4490); penalty_s, gate, closed_by and compound where they
            are not 0 and -1.
        compounds
            compound, compound_code, is_yard and geometry (Polygon, EPSG:4490).
        gates
            gate, gate_code, compound, is_closed, hours and geometry (Point, EPSG:4490).
        build
            How it was built, JSON-serialisable.
        components
            Number of connected parts.
        """
        self.refuse_outside([division_code])
        parts = {walk_edges: edges, walk_compounds: compounds, walk_gates: gates}
        described = dict(build or {})
        content = _content_sha256(division_code, [part for part in parts.values() if part is not None], described)
        known = self.connection.scalar(
            select(walk_networks.c.walk_network_id).where(walk_networks.c.content_sha256 == content)
        )
        if known is not None:
            return known
        values = {
            "division_code": division_code, "content_sha256": content, "nodes": nodes, "edges": len(edges),
            "components": components, "built_at": built_at, "gates": 0 if gates is None else len(gates), "build": described,
        }  # fmt: skip
        statement = insert(walk_networks).values(values).returning(walk_networks.c.walk_network_id)
        network_id = self.connection.execute(statement).scalar_one()
        for table, part in parts.items():
            if part is not None:
                copy_frame(self.connection, table, part.assign(walk_network_id=network_id))
        return network_id

    def latest(self, prefix: str = "", *, whole: bool = False) -> dict[str, Any] | None:
        """Return the newest network of a division under ``prefix`` or containing it (with ``whole`` only of those); None when there is none."""
        statement = select(*walk_networks.columns).where(
            _covers(walk_networks, prefix), _covers(walk_networks, self.scope)
        )
        if whole:
            statement = statement.where(literal(prefix).like(walk_networks.c.division_code + "%"))
        newest = statement.order_by(walk_networks.c.built_at.desc(), walk_networks.c.walk_network_id.desc()).limit(1)
        row = self.connection.execute(newest).mappings().one_or_none()
        return dict(row) if row else None

    def latest_around(self, lon: float, lat: float, at: datetime) -> tuple[str | None, dict[str, Any] | None]:
        """Return the code of the community a point (EPSG:4490) is in, else of its district, and the newest network there; None for what is not."""
        asked = {"lon": lon, "lat": lat, "at": at, "scope": self.scope}
        row = self.connection.execute(_AROUND, asked).mappings().one_or_none()
        if row is None:
            return None, None
        stored = dict(row)
        code = stored.pop("place")
        return code, stored if stored["walk_network_id"] is not None else None

    def get(self, walk_network_id: int) -> dict[str, Any] | None:
        """Return what is stored of a network; None when there is none of that id (in this scope)."""
        statement = select(*walk_networks.columns).where(
            walk_networks.c.walk_network_id == walk_network_id, _covers(walk_networks, self.scope)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        return dict(row) if row else None

    def content_sha256(self, walk_network_id: int) -> str | None:
        """Return the hash of a network's content; None when there is no such network."""
        statement = select(walk_networks.c.content_sha256).where(walk_networks.c.walk_network_id == walk_network_id)
        return self.connection.scalar(statement)

    def edges(self, walk_network_id: int) -> gpd.GeoDataFrame:
        """Return the edges of a network in the order they were put: node_u, node_v, length_m (m), penalty_s (s), gate, closed_by, compound, geometry."""
        return self._part(walk_edges, walk_network_id, walk_edges.c.walk_edge_id)

    def compounds(self, walk_network_id: int) -> gpd.GeoDataFrame:
        """Return the walled compounds of a network by number: compound, compound_code, is_yard, geometry."""
        return self._part(walk_compounds, walk_network_id, walk_compounds.c.compound)

    def gates(self, walk_network_id: int) -> gpd.GeoDataFrame:
        """Return where streets pass walls, by number: gate, gate_code, compound, is_closed, hours, geometry."""
        return self._part(walk_gates, walk_network_id, walk_gates.c.gate)

    def _part(self, table: Table, walk_network_id: int, order: ColumnElement[Any]) -> gpd.GeoDataFrame:
        seen = select(walk_networks.c.walk_network_id).where(
            walk_networks.c.walk_network_id == walk_network_id, _covers(walk_networks, self.scope)
        )
        columns = plain_columns(table, "walk_network_id", "walk_edge_id")
        statement = select(*columns, wkb(table.c.geom)).where(table.c.walk_network_id.in_(seen)).order_by(order)
        return read_frame(self.connection, statement)


class CircleRunRepository(Repository):
    """Runs; one that contains the scope is seen, but only its figures of places inside."""

    def put(
        self,
        *,
        walk_network_id: int,
        division_code: str,
        standard: str,
        speed_m_s: float,
        limit_s: float,
        ran_at: datetime,
        coverage: Mapping[str, Any],
        times: pd.DataFrame | None = None,
        rules: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep a run and return its id.

        Parameters
        ----------
        coverage
            Figures, JSON-serialisable; keyed by division code wherever they are of one place.
        times
            residence_code, walk_s (dict: kind code to seconds, unreachable kinds absent), kinds_reached, origin; where known
            facility_counts (dict: kind code to numbers), households, population.
        rules
            The list of kinds it was judged by, JSON-serialisable; None: the list of that id that comes with the program.
        """
        self.refuse_outside([division_code])
        values = {
            "walk_network_id": walk_network_id, "division_code": division_code, "standard": standard, "speed_m_s": speed_m_s,
            "limit_s": limit_s, "ran_at": ran_at, "coverage": dict(coverage), "rules": dict(rules or {}),
        }  # fmt: skip
        run_id = self.connection.execute(
            insert(circle_runs).values(values).returning(circle_runs.c.circle_run_id)
        ).scalar_one()
        if times is not None:
            copy_frame(self.connection, residence_times, times.assign(circle_run_id=run_id))
        return run_id

    def latest(
        self,
        prefix: str = "",
        standard: str | None = None,
        *,
        whole: bool = False,
        speed_m_s: float | None = None,
    ) -> dict[str, Any] | None:
        """Return the newest run about a division under ``prefix`` or containing it, cut to the scope; None when there is none.

        With ``whole`` only runs count that took in all of ``prefix``; with ``standard`` or ``speed_m_s`` only those by it.
        """
        statement = select(*circle_runs.columns).where(_covers(circle_runs, prefix), _covers(circle_runs, self.scope))
        if whole:
            statement = statement.where(literal(prefix).like(circle_runs.c.division_code + "%"))
        if standard is not None:
            statement = statement.where(circle_runs.c.standard == standard)
        if speed_m_s is not None:
            statement = statement.where(circle_runs.c.speed_m_s == speed_m_s)
        newest = statement.order_by(circle_runs.c.ran_at.desc(), circle_runs.c.circle_run_id.desc()).limit(1)
        row = self.connection.execute(newest).mappings().one_or_none()
        return None if row is None else dict(row) | {"coverage": _cut(row["coverage"], self.scope)}

    def times(self, circle_run_id: int, prefix: str = "") -> pd.DataFrame:
        """Return what is kept of each residence under ``prefix`` in a run, by code: residence_code, walk_s (dict), kinds_reached, origin,
        facility_counts (dict), households and population (missing in runs of before 0031).

        Raises
        ------
        NotFoundError
            When there is no such run (in this scope).
        """
        run = select(circle_runs.c.circle_run_id).where(
            circle_runs.c.circle_run_id == circle_run_id, _covers(circle_runs, self.scope)
        )
        if self.connection.scalar(run) is None:
            raise NotFoundError(f"There is no circle run {circle_run_id}.")
        statement = select(*plain_columns(residence_times, "circle_run_id")).where(
            residence_times.c.circle_run_id == circle_run_id
        )
        if prefix or self.scope:
            here = select(residences.c.residence_code).where(self.within(residences.c.community_code, prefix))
            statement = statement.where(residence_times.c.residence_code.in_(here))
        return read_frame(self.connection, statement.order_by(residence_times.c.residence_code))


_DISTRICT_DIGITS = 6


def _cut(figures: Any, scope: str) -> Any:
    """Return ``figures`` without what is keyed by a division code outside ``scope``, at any depth."""
    if not scope:
        return figures
    if isinstance(figures, list):
        return [_cut(item, scope) for item in figures]
    if not isinstance(figures, dict):
        return figures
    return {key: _cut(value, scope) for key, value in figures.items() if not _is_elsewhere(key, scope)}


def _is_elsewhere(key: str, scope: str) -> bool:
    return key.isdigit() and len(key) >= _DISTRICT_DIGITS and not key.startswith(scope)
