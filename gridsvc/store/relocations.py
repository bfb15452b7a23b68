"""Ground whose reports are to get other grids: noted with the change of grids, worked off in spans of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely
from sqlalchemy import DateTime, Float, String, column, func, insert, or_, select, text, update
from sqlalchemy.dialects.postgresql import UUID

from gridsvc.store import months
from gridsvc.store.approval_lock import keep_grids
from gridsvc.store.bulk import staged
from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.repository import Repository
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import STORAGE_SRID, grids, redraws, relocations, reports

_DISTRICT_DIGITS, _COMMUNITY_DIGITS = 6, 12
# more than the greatest distance at which a grid may be given (1,000 m), up to 60 degrees north
_BESIDE_DEG = 0.02
_HAS_REPORTS = text(
    "SELECT EXISTS (SELECT FROM reports WHERE reported_at >= :since AND located_at IS NOT NULL AND district_code = ANY(ARRAY("
    " SELECT unnest(CAST(:own AS text[])) UNION"
    " SELECT n.code FROM divisions AS d JOIN divisions AS n ON n.level = 'district' AND n.geom && ST_Expand(d.geom, :beside)"
    " WHERE d.level = 'community' AND d.code = ANY(:communities))))"
)
_KEY = ("district_code", "reported_at", "report_id")


class RelocationRepository(Repository):
    """Relocations; the scope is that of the division the redraw is about."""

    def has_reports(self, communities: Iterable[str], since: datetime) -> bool:
        """Answer whether reports of ``since`` or later were located in the districts of these communities, or in those beside them; cheap.

        A report that no grid holds may have its grid from across the border of its district.
        """
        known = sorted({str(code)[:_COMMUNITY_DIGITS] for code in communities})
        bound = {"since": since, "communities": known, "own": sorted({code[:_DISTRICT_DIGITS] for code in known})}
        return bool(self.connection.scalar(_HAS_REPORTS, bound | {"beside": _BESIDE_DEG}))

    def add(self, redraw_id: str, network: str, since: datetime, ground: shapely.MultiPolygon) -> None:
        """Note that the reports on a ground (EPSG:4490) made at ``since`` or later are to be located again."""
        drawn = func.ST_GeomFromWKB(shapely.to_wkb(ground), STORAGE_SRID)
        values = {"redraw_id": redraw_id, "network": network, "since": since, "done_until": since, "ground": drawn}
        self.connection.execute(insert(relocations).values(values))

    def pending(self, prefix: str = "") -> list[dict[str, Any]]:
        """Return what is still to do under ``prefix``, oldest first: relocation_id, redraw_id, network, since, done_until, counts, geometry."""
        waiting = self._select().where(
            relocations.c.finished_at.is_(None), self.within(redraws.c.division_code, prefix)
        )
        return [
            _drawn(row) for row in self.connection.execute(waiting.order_by(relocations.c.relocation_id)).mappings()
        ]

    def has_pending(self) -> bool:
        """Answer whether anything is still to do, whatever the scope; cheap."""
        due = select(relocations.c.relocation_id).where(relocations.c.finished_at.is_(None)).limit(1)
        return self.connection.scalar(due) is not None

    def take(self, relocation_id: int) -> dict[str, Any] | None:
        """Return a relocation as it is now, locked until the transaction ends; None when it is done or somebody else is at it.

        Grids do not change until then, either.
        """
        keep_grids(self.connection)
        statement = self._select().where(
            relocations.c.relocation_id == relocation_id, relocations.c.finished_at.is_(None)
        )
        row = self.connection.execute(statement.with_for_update(of=relocations, skip_locked=True)).mappings().first()
        return None if row is None else _drawn(row)

    @staticmethod
    def _select() -> Any:
        columns = [relocations.c.relocation_id, *plain_columns(relocations), wkb(relocations.c.ground)]
        return select(*columns).join_from(relocations, redraws, relocations.c.redraw_id == redraws.c.redraw_id)

    def horizon(self) -> datetime | None:
        """Return the end of the newest month that holds reports; None when there is no month yet."""
        return months.end_of_newest(self.connection, "reports")

    def waiting_districts(self, prefix: str = "") -> list[str]:
        """Return the districts under ``prefix`` in which reports wait for their first grids, ascending."""
        held = (
            select(reports.c.district_code)
            .distinct()
            .where(reports.c.located_at.is_(None), self.within(reports.c.district_code, prefix[:_DISTRICT_DIGITS]))
        )
        return list(self.connection.scalars(held.order_by(reports.c.district_code)))

    def reports_on(
        self, network: str, ground: shapely.MultiPolygon, since: datetime, until: datetime, at_most: int | None
    ) -> pd.DataFrame:
        """Return located reports in the boxes of the parts of a ground in ``[since, until)``, at most so many (None: all), by time and id.

        Columns district_code, reported_at, report_id, lon, lat (EPSG:4490), grid (in ``network``, as stored), community_code.
        """
        boxes = shapely.bounds(shapely.get_parts(ground)).T.tolist()
        bound = dict(zip(("min_x", "min_y", "max_x", "max_y"), boxes, strict=True))
        statement = text(sql_text("relocation_candidates").replace("{grid}", f"{network}_grid")).columns(
            column("district_code", String),
            column("reported_at", DateTime(timezone=True)),
            column("report_id", UUID(as_uuid=False)),
            column("lon", Float),
            column("lat", Float),
            column("grid", String),
            column("community_code", String),
        )
        bound |= {"since": since, "until": until, "at_most": at_most}
        found = statement.bindparams(**bound).subquery()
        return read_frame(self.connection, select(found).order_by(found.c.reported_at, found.c.report_id))

    def grids_on(self, network: str, ground: shapely.MultiPolygon, since: datetime) -> gpd.GeoDataFrame:
        """Return the grids of a network around a ground that hold at ``since`` or later: code, valid_from, valid_to, geometry."""
        box = func.ST_MakeEnvelope(*ground.bounds, STORAGE_SRID)
        statement = select(grids.c.code, grids.c.valid_from, grids.c.valid_to, wkb(grids.c.geom)).where(
            grids.c.network == network,
            or_(grids.c.valid_to.is_(None), grids.c.valid_to > since),
            grids.c.geom.op("&&")(box),
        )
        return read_frame(self.connection, statement.order_by(grids.c.code, grids.c.valid_from))

    def move(self, network: str, frame: pd.DataFrame) -> tuple[int, int]:
        """Give reports another grid of a network and return how many reports and how many of their cases moved.

        A case that was moved on from its report's grid since (it was open when a later redraw came in force) stays.

        Parameters
        ----------
        frame
            district_code, reported_at, report_id, community_code, and the new grid as ``urban_grid`` (or that of the network).
        """
        if frame.empty:
            return 0, 0
        grid = f"{network}_grid"
        with staged(self.connection, reports, frame, columns=[*_KEY, "community_code", grid]) as stage:
            moved = [
                self.connection.execute(text(sql.replace("{stage}", stage).replace("{grid}", grid))).rowcount
                for sql in (_MOVE_CASES, _MOVE_REPORTS)
            ]
        return moved[1], moved[0]

    def advance(self, relocation_id: int, done_until: datetime, seen: int, moved: int, cases: int) -> None:
        """Record how far a relocation has come, and what was done on the way."""
        mine = update(relocations).where(relocations.c.relocation_id == relocation_id)
        self.connection.execute(
            mine.values(
                done_until=done_until,
                reports_seen=relocations.c.reports_seen + seen,
                reports_moved=relocations.c.reports_moved + moved,
                cases_moved=relocations.c.cases_moved + cases,
            )
        )

    def finish(self, relocation_id: int) -> None:
        """Record that a relocation is done."""
        mine = update(relocations).where(relocations.c.relocation_id == relocation_id)
        self.connection.execute(mine.values(finished_at=func.now()))


_MOVE_CASES = (
    "UPDATE cases AS c SET {grid} = s.{grid}, community_code = s.community_code FROM {stage} AS s JOIN reports AS r"
    " ON r.district_code = s.district_code AND r.reported_at = s.reported_at AND r.report_id = s.report_id"
    " WHERE c.district_code = s.district_code AND c.opened_at = s.reported_at AND c.report_id = s.report_id"
    " AND c.{grid} IS NOT DISTINCT FROM r.{grid}"
)
_MOVE_REPORTS = (
    "UPDATE reports AS r SET {grid} = s.{grid}, community_code = s.community_code, located_at = now() FROM {stage} AS s"
    " WHERE r.district_code = s.district_code AND r.reported_at = s.reported_at AND r.report_id = s.report_id"
)


def _drawn(row: Any) -> dict[str, Any]:
    """Return a row with its ground as a shapely geometry."""
    known = dict(row)
    known["ground"] = shapely.from_wkb(bytes(known.pop("geometry")))
    return known
