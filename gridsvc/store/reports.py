"""Reports: taken in once whatever is retried, located into grids, listed. Each opens its case in the same transaction.

Case codes: district (6 digits), date of the report in Beijing time (8), running number of the report (8 or more). The number comes from
one sequence, so a code is never given twice; numbers may have gaps where an intake was rolled back.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import geopandas as gpd
import pandas as pd
from sqlalchemy import ColumnElement, DateTime, Float, Select, cast, func, literal, select, text, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from gridsvc.errors import CategoryUnknownError, ConflictError, RequestInvalidError
from gridsvc.store import months
from gridsvc.store.bulk import columns_of, staged
from gridsvc.store.frames import in_force, plain_columns, read_frame, wkb
from gridsvc.store.report_intake import Poster, ReportIntake
from gridsvc.store.repository import Repository, like_pattern, narrower, refuse_repeats
from gridsvc.store.sql_files import sql_text
from gridsvc.store.tables import cases, divisions, grids, report_receipts, reports, unplaced_reports

GRID_COLUMNS = ("urban_grid", "social_grid", "security_grid", "unified_grid")
_DISTRICT_DIGITS = 6
# reported_at and report_id: where a list, newest first, has come to
Position = tuple[datetime, str]
_CONTENT_SHA256 = func.encode(report_receipts.c.body_sha256, "hex").label("content_sha256")
# what a report that waits for its place does not have
_OF_A_PLACE: dict[str, Any] = dict.fromkeys(
    (
        "district_code", "community_code", *GRID_COLUMNS, "located_at", "original_lon", "original_lat", "original_datum", "accuracy_m",
        "altitude_m", "heading_deg", "lon", "lat", "report_no", "case_id", "case_code", "stage",
    )
)  # fmt: skip
_OPTIONAL = {"description": "", "source": "field_app"}


class ReportRepository(Repository):
    """Reports; the scope is that of their district, and below it of their community."""

    def _under(self, prefix: str = "", table: Any = reports) -> ColumnElement[bool]:
        like_pattern(prefix)
        both = narrower(prefix, self.scope)
        if both is None:
            return self.within(table.c.district_code, prefix)  # nothing in common: false
        if not both:
            return true()
        if len(both) < _DISTRICT_DIGITS:
            return table.c.district_code.like(like_pattern(both))
        in_district = table.c.district_code == both[:_DISTRICT_DIGITS]
        return (
            in_district
            if len(both) == _DISTRICT_DIGITS
            else in_district & table.c.community_code.like(like_pattern(both))
        )

    def ensure_months(self, first: datetime, last: datetime) -> int:
        """Make the monthly partitions from ``first`` to ``last`` that are missing; return how many."""
        return months.ensure_months(self.connection, first, last)

    def add(self, row: Mapping[str, Any], body_sha256: bytes) -> tuple[str, dict[str, Any]]:
        """Take one located report in, once; return ("created" or "repeated", the stored row with its case).

        Parameters
        ----------
        row
            As for `store.report_intake.ReportIntake.take`, and received_at (default: now).
        body_sha256
            Hash of the content; the same id with another hash is another report and is refused.

        Raises
        ------
        ConflictError
            When the id was used before for other content.
        CategoryUnknownError, RequestInvalidError
            When the edition has no such category, or it belongs to another network.
        """
        posted = {name: value for name, value in row.items() if name != "received_at"} | {
            "content_sha256": body_sha256.hex()
        }
        intake, report_id = ReportIntake(self.connection, self.scope), str(row["report_id"])
        all_taken = intake.take([posted], posters=[Poster("import")], at=row.get("received_at"))
        assert all_taken is not None  # no version of the grids was named
        (taken,) = all_taken
        if taken.outcome == "category-unknown":
            raise CategoryUnknownError(f"The edition {taken.edition} has no category {row['category_code']!r}.")
        if taken.outcome == "network-differs":
            raise RequestInvalidError(f"Category {row['category_code']} belongs to the network {taken.network}.")
        if taken.outcome == "known" and intake.received([report_id]).get(report_id) != body_sha256:
            raise ConflictError(
                f"Report {report_id} was received before with other content.",
                hint="Use a new id for a new report.",
                report_id=report_id,
            )
        stored = self.get(report_id)
        if stored is None:
            raise ConflictError(f"Report {report_id} belongs to another area.", report_id=report_id)
        return "created" if taken.outcome == "created" else "repeated", stored

    def add_frame(self, frame: gpd.GeoDataFrame) -> tuple[int, int]:
        """Take many reports in; return (inserted, repeated).

        Parameters
        ----------
        frame
            Columns as for :meth:`add`, with ``geometry`` (Point, EPSG:4490) instead of lon and lat.

        Raises
        ------
        ConflictError
            When an id was used before for another category, place, time or text; nothing is stored then.
        CodeDuplicateError
            When an id comes twice in the frame.
        """
        if frame.empty:
            return 0, 0
        refuse_repeats(frame, ["report_id"])
        place = (
            frame["community_code"].fillna(frame["district_code"])
            if "community_code" in frame
            else frame["district_code"]
        )
        self.refuse_outside(place)
        frame = frame.assign(**{name: value for name, value in _OPTIONAL.items() if name not in frame})
        times = pd.to_datetime(frame["reported_at"], utc=True)
        self.ensure_months(times.min().to_pydatetime(), times.max().to_pydatetime())
        names = [name for name in columns_of(reports, frame) if name != "report_no"]
        with staged(
            self.connection, reports, frame, columns=names, extra="ADD COLUMN fresh boolean DEFAULT false"
        ) as stage:
            inserted = self._take_in(stage, names)
        return inserted, len(frame) - inserted

    def _take_in(self, stage: str, names: list[str]) -> int:
        fresh = self.connection.execute(text(sql_text("report_receipts_from_stage").replace("{stage}", stage))).rowcount
        if other := self.connection.scalar(text(sql_text("report_conflicts").replace("{stage}", stage))):
            raise ConflictError(f"Report {other} was received before with other content.", report_id=str(other))
        if fresh:
            listed = ", ".join(f'"{name}"' for name in names)
            sql = sql_text("report_add_stage").replace("{stage}", stage).replace("{columns}", listed)
            self.connection.execute(text(sql))
        return fresh

    def _select(self) -> Select:
        position = (
            func.ST_X(reports.c.geom, type_=Float).label("lon"),
            func.ST_Y(reports.c.geom, type_=Float).label("lat"),
        )
        opened = cases.c.case_id, cases.c.case_code, cases.c.stage
        of_report = (
            (cases.c.report_id == reports.c.report_id)
            & (cases.c.district_code == reports.c.district_code)
            & (cases.c.opened_at == reports.c.reported_at)
        )
        return select(*plain_columns(reports), reports.c.report_no, *position, *opened).join_from(
            reports, cases, of_report, isouter=True
        )

    def get(self, report_id: str) -> dict[str, Any] | None:
        """Return a report with lon, lat (EPSG:4490), content_sha256 and its case (case_id, case_code, stage).

        A report that waits for its place has None for all that follows from it. None when there is none (in this scope).
        """
        key = text(
            "SELECT district_code, reported_at, encode(body_sha256, 'hex') AS content_sha256 FROM report_receipts"
            " WHERE report_id = CAST(:id AS uuid)"
        )
        receipt = self.connection.execute(key, {"id": report_id}).one_or_none()
        if receipt is None:
            return None
        if receipt.district_code is None:
            return self._waiting([report_id]).get(report_id)
        statement = self._select().where(
            reports.c.report_id == report_id,
            reports.c.district_code == receipt.district_code,
            reports.c.reported_at == receipt.reported_at,
            self._under(),
        )
        row = self.connection.execute(statement).mappings().first()
        return dict(row, content_sha256=receipt.content_sha256) if row else None

    def get_many(self, report_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the reports of these ids as :meth:`get` does, by id, without those that are not there (in this scope)."""
        if not report_ids:
            return {}
        of_report = (
            (report_receipts.c.report_id == reports.c.report_id)
            & (report_receipts.c.district_code == reports.c.district_code)
            & (report_receipts.c.reported_at == reports.c.reported_at)
        )
        statement = (
            self._select()
            .join(report_receipts, of_report)
            .add_columns(_CONTENT_SHA256)
            .where(report_receipts.c.report_id == func.any(cast(list(report_ids), ARRAY(UUID))), self._under())
        )
        placed = {str(row["report_id"]): dict(row) for row in self.connection.execute(statement).mappings()}
        rest = [report_id for report_id in report_ids if report_id not in placed]
        return placed | (self._waiting(rest) if rest else {})

    def _waiting(self, report_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        ids = func.any(cast(list(report_ids), ARRAY(UUID)))
        return {row["report_id"]: row for row in self._waiting_rows(unplaced_reports.c.report_id == ids)}

    def _waiting_rows(
        self, *conditions: ColumnElement[bool], limit: int | None = None
    ) -> builtins.list[dict[str, Any]]:
        """Return reports that wait for a place, with every column of a placed one, newest first."""
        statement = (
            select(*unplaced_reports.columns, _CONTENT_SHA256)
            .join(report_receipts, report_receipts.c.report_id == unplaced_reports.c.report_id)
            .where(self.within(unplaced_reports.c.scope_prefix), *conditions)
            .order_by(unplaced_reports.c.reported_at.desc(), unplaced_reports.c.report_id.desc())
            .limit(limit)
        )
        return [_OF_A_PLACE | dict(row) for row in self.connection.execute(statement).mappings()]

    def page(
        self,
        prefix: str = "",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        network: str | None = None,
        grid_code: str | None = None,
        category_code: str | None = None,
        unlocated: bool = False,
        before: Position | None = None,
        limit: int = 100,
    ) -> builtins.list[dict[str, Any]]:
        """Return up to ``limit`` reports as :meth:`get` does, newest first, from after the position ``before``.

        Parameters
        ----------
        since, until
            Half-open ``[since, until)`` of ``reported_at``.
        network, grid_code
            As for :meth:`list`.
        unlocated
            Only those in no grid of any network, and those that wait for a place.
        before
            reported_at and report_id of the last report of the page before.
        """
        # a page is a few index probes: starting parallel workers for it costs more than the page
        self.connection.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
        chosen = _Chosen(since, until, network, grid_code, category_code, unlocated, before)
        of_report = (report_receipts.c.report_id == reports.c.report_id,)
        statement = (
            self._select()
            .join(report_receipts, *of_report)
            .add_columns(_CONTENT_SHA256)
            .where(self._under(prefix), *chosen.conditions(reports))
            .order_by(reports.c.reported_at.desc(), reports.c.report_id.desc())
            .limit(limit)
        )
        found = [dict(row) for row in self.connection.execute(statement).mappings()]
        if unlocated and grid_code is None:
            under = self.within(unplaced_reports.c.scope_prefix, prefix)
            found += self._waiting_rows(under, *chosen.conditions(unplaced_reports), limit=limit)
            found.sort(key=lambda row: (row["reported_at"], row["report_id"]), reverse=True)
        return found[:limit]

    def list(
        self,
        prefix: str = "",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        network: str | None = None,
        grid_code: str | None = None,
        category_code: str | None = None,
        cursor: str = "",
        limit: int | None = 100,
    ) -> gpd.GeoDataFrame:
        """Return reports under ``prefix``, newest first, a page at a time.

        Parameters
        ----------
        since, until
            Half-open ``[since, until)`` of ``reported_at``.
        network, grid_code
            Reports of that network (as their category says), or in that grid (of ``network``, which then names the grid's).
        cursor
            :meth:`cursor_after` of the page before; "" begins.
        limit
            Rows of a page; None: all.
        """
        before = _position(cursor) if cursor else None
        conditions = _Chosen(since, until, network, grid_code, category_code, before=before).conditions(reports)
        statement = self._select().add_columns(wkb(reports.c.geom)).where(self._under(prefix))
        ordered = statement.where(*conditions).order_by(reports.c.reported_at.desc(), reports.c.report_id.desc())
        return read_frame(self.connection, ordered.limit(limit))

    @staticmethod
    def cursor_after(page: pd.DataFrame) -> str:
        """Return the cursor of the page after ``page``; "" when it is empty."""
        if page.empty:
            return ""
        last = page.iloc[-1]
        return f"{last['reported_at'].isoformat()}|{last['report_id']}"

    def count(self, prefix: str = "", *, since: datetime | None = None, until: datetime | None = None) -> int:
        """Return how many reports there are under ``prefix`` in ``[since, until)``."""
        statement = select(func.count()).select_from(reports).where(self._under(prefix))
        if since is not None:
            statement = statement.where(reports.c.reported_at >= since)
        if until is not None:
            statement = statement.where(reports.c.reported_at < until)
        return self.connection.scalar(statement) or 0

    def newest_instants(self, until: datetime, limit: int) -> builtins.list[datetime]:
        """Return when the newest reports before an instant were made, the newest first, at most ``limit``; by index, however many there are."""
        held = select(divisions.c.code).where(divisions.c.level == "district").distinct().subquery()
        latest = (
            select(reports.c.reported_at)
            .where(reports.c.district_code == held.c.code, reports.c.reported_at < until, self._under())
            .order_by(reports.c.reported_at.desc())
            .limit(limit)
            .lateral()
        )
        statement = select(latest.c.reported_at).select_from(held.join(latest, true()))
        return list(self.connection.scalars(statement.order_by(latest.c.reported_at.desc()).limit(limit)))

    def located_counts(self, prefix: str = "") -> dict[str, int]:
        """Return how many reports under ``prefix`` have a grid, by network."""
        columns = [func.count(reports.c[column]).label(column.removesuffix("_grid")) for column in GRID_COLUMNS]
        return dict(self.connection.execute(select(*columns).where(self._under(prefix))).mappings().one())

    def unlocated(self, prefix: str = "") -> pd.DataFrame:
        """Return the reports whose grids are to be derived (new, or their grids were redrawn): district_code, reported_at, report_id, lon, lat.

        CRS: EPSG:4490. Ordered by reported_at, report_id.
        """
        position = (
            func.ST_X(reports.c.geom, type_=Float).label("lon"),
            func.ST_Y(reports.c.geom, type_=Float).label("lat"),
        )
        statement = (
            select(reports.c.district_code, reports.c.reported_at, reports.c.report_id, *position)
            .where(reports.c.located_at.is_(None), self._under(prefix))
            .order_by(reports.c.reported_at, reports.c.report_id)
        )
        return read_frame(self.connection, statement)

    def set_grids(self, frame: pd.DataFrame) -> int:
        """Write the derived grids of reports and of their cases; return how many reports were written.

        ``frame``: district_code, reported_at, report_id and those of community_code, urban_grid, social_grid, security_grid,
        unified_grid that were derived (missing value: in none). A grid column that is not there stays as it is.
        """
        if frame.empty:
            return 0
        self.refuse_outside(frame["district_code"] if len(self.scope) <= _DISTRICT_DIGITS else frame["community_code"])
        derived = [name for name in ("community_code", *GRID_COLUMNS) if name in frame.columns]
        columns = ["district_code", "reported_at", "report_id", *derived]
        changes = ", ".join(f"{name} = s.{name}" for name in derived)
        key = "t.district_code = s.district_code AND t.{} = s.reported_at AND t.report_id = s.report_id"
        with staged(self.connection, reports, frame, columns=columns) as stage:
            located = f"UPDATE reports t SET {changes}{', ' if changes else ''}located_at = now() FROM {stage} s WHERE "
            written = self.connection.execute(text(located + key.format("reported_at"))).rowcount
            if derived:
                self.connection.execute(
                    text(f"UPDATE cases t SET {changes} FROM {stage} s WHERE {key.format('opened_at')}")
                )
        return written

    def count_by_place(self, prefix: str = "", *, since: datetime, until: datetime) -> pd.DataFrame:
        """Return frame[lon, lat, reports]: places about 20 m apart (EPSG:4490) with the reports of ``[since, until)`` near each, from west to east."""
        place = func.ST_SnapToGrid(reports.c.geom, _PLACE_DEG)
        lon, lat = func.ST_X(place).label("lon"), func.ST_Y(place).label("lat")
        statement = (
            select(lon, lat, func.count().label("reports"))
            .where(self._under(prefix), reports.c.reported_at >= since, reports.c.reported_at < until)
            .group_by(lon, lat)
            .order_by(lon, lat)
        )
        return read_frame(self.connection, statement)

    def count_by_grid(
        self,
        network: str,
        prefix: str = "",
        at: datetime | None = None,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> pd.DataFrame:
        """Return frame[code, reports]: the grids of ``network`` in force at ``at`` with how many reports are in each, by code.

        A report counts where its own time put it; grids without any are listed with 0. ``[since, until)`` cuts the reports.
        """
        column = _grid_column(network)
        counted = select(column.label("code"), func.count().label("n")).where(column.is_not(None), self._under(prefix))
        if since is not None:
            counted = counted.where(reports.c.reported_at >= since)
        if until is not None:
            counted = counted.where(reports.c.reported_at < until)
        totals = counted.group_by(column).subquery()
        statement = (
            select(grids.c.code, func.coalesce(totals.c.n, 0, type_=totals.c.n.type).label("reports"))
            .join_from(grids, totals, grids.c.code == totals.c.code, isouter=True)
            .where(grids.c.network == network, in_force(grids, at), self.within(grids.c.community_code, prefix[:12]))
            .order_by(grids.c.code)
        )
        return read_frame(self.connection, statement)


_PLACE_DEG = 0.0002


def _grid_column(network: str) -> ColumnElement:
    name = f"{network}_grid"
    if name not in GRID_COLUMNS:
        raise RequestInvalidError(
            f"There is no network {network!r}.", hint="Use urban, social, security or unified.", field="network"
        )
    return reports.c[name]


def _position(cursor: str) -> Position:
    instant, _, report_id = cursor.partition("|")
    try:
        return datetime.fromisoformat(instant), report_id
    except ValueError:
        raise RequestInvalidError(f"{cursor!r} is not a cursor of this list.", field="cursor") from None


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Which reports a list asks for."""

    since: datetime | None = None
    until: datetime | None = None
    network: str | None = None
    grid_code: str | None = None
    category_code: str | None = None
    unlocated: bool = False
    before: Position | None = None

    def conditions(self, table: Any) -> list[ColumnElement[bool]]:
        """Return the conditions on ``reports``, or those of them that ``unplaced_reports`` has columns for."""
        asked: list[ColumnElement[bool]] = []
        if self.since is not None:
            asked.append(table.c.reported_at >= self.since)
        if self.until is not None:
            asked.append(table.c.reported_at < self.until)
        if self.grid_code is not None:
            asked.append(_grid_column(self.network or "social") == self.grid_code)
        elif self.network is not None:
            _grid_column(self.network)
            asked.append(table.c.network == self.network)
        if self.category_code is not None:
            asked.append(table.c.category_code == self.category_code)
        if self.unlocated and table is reports:
            asked += [reports.c[column].is_(None) for column in GRID_COLUMNS]
        if self.before is not None:
            instant, report_id = self.before
            after = tuple_(literal(instant, DateTime(timezone=True)), literal(report_id, UUID(as_uuid=False)))
            asked.append(tuple_(table.c.reported_at, table.c.report_id) < after)
        return asked
