"""Redraws: grids as a draft, then in force or discarded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import geopandas as gpd
import pandas as pd
from sqlalchemy import ColumnElement, DateTime, delete, func, insert, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import UUID as PG_UUID

from gridsvc.errors import ConflictError, NotFoundError, PartitionError, RequestInvalidError
from gridsvc.store.approval_lock import lock_approvals
from gridsvc.store.bulk import copy_frame
from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.grids import GridRepository
from gridsvc.store.repository import Repository, refuse_repeats
from gridsvc.store.tables import redraw_grids, redraws

# inside the repository its own method ``list`` hides the type of that name
_Rows = list[dict[str, Any]]


class RedrawRepository(Repository):
    """Redraws; the scope is that of the division they are about."""

    def open_draft(
        self,
        networks: str | Sequence[str],
        division_code: str,
        origin: str,
        drafted_by: str,
        drafted_at: datetime,
        reason: str = "",
        *,
        based_on: int | None = None,
    ) -> str:
        """Open a draft of grids under ``division_code`` and return its id.

        Parameters
        ----------
        networks
            The network whose grids it draws, or several that are approved or discarded as one.
        origin
            automatic, imported, edited or merged.
        based_on
            :meth:`last_approval` as it was before the grids were read that the draft was made from; default: as it is now.
        """
        self.refuse_outside([division_code])
        values = {
            "networks": [networks] if isinstance(networks, str) else list(dict.fromkeys(networks)),
            "division_code": division_code,
            "origin": origin,
            "drafted_by": drafted_by,
            "drafted_at": drafted_at,
            "reason": reason,
            "based_on": self.last_approval() if based_on is None else based_on,
        }
        return self.connection.execute(insert(redraws).values(values).returning(redraws.c.redraw_id)).scalar_one()

    def last_approval(self) -> int:
        """Return the number of the newest approval; 0 when there was none."""
        return self.connection.scalar(select(func.coalesce(func.max(redraws.c.approval_no), 0))) or 0

    def put_grids(self, redraw_id: str, frame: gpd.GeoDataFrame, communities: Iterable[str] | None = None) -> int:
        """Make ``frame`` the grids of a draft, instead of those it had; return how many.

        Parameters
        ----------
        frame
            Columns as of the table ``redraw_grids``; ``network`` may be left out when the draft has only one.
        communities
            The communities redrawn, when some of them are to have no grids any more; default: those of the frame.

        Raises
        ------
        RequestInvalidError
            When a grid is of a network the draft is not about.
        CodeDuplicateError
            When a code comes twice in a network.
        PartitionError
            When a community does not lie under the division the draft is about.
        """
        draft = self._draft(redraw_id)
        frame = _with_network(frame, draft["networks"])
        redrawn = sorted(
            {*map(str, frame["community_code"]), *map(str, communities if communities is not None else ())}
        )
        self.refuse_outside(redrawn)
        _refuse_beyond(redrawn, draft["division_code"])
        refuse_repeats(frame, ["network", "code"])
        self.connection.execute(delete(redraw_grids).where(redraw_grids.c.redraw_id == redraw_id))
        self.connection.execute(update(redraws).where(redraws.c.redraw_id == redraw_id).values(community_codes=redrawn))
        return copy_frame(self.connection, redraw_grids, frame.assign(redraw_id=redraw_id))

    def get(self, redraw_id: str) -> dict[str, Any]:
        """Return a redraw.

        Raises
        ------
        NotFoundError
            When there is none of that id (in this scope).
        """
        statement = select(*plain_columns(redraws)).where(
            redraws.c.redraw_id == _known_id(redraw_id), self.within(redraws.c.division_code)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no redraw {redraw_id}.")
        return dict(row)

    def list(self, prefix: str = "", state: str | None = None) -> pd.DataFrame:
        """Return the redraws of divisions under ``prefix``, newest draft first."""
        statement = select(*plain_columns(redraws)).where(self.within(redraws.c.division_code, prefix))
        if state is not None:
            statement = statement.where(redraws.c.state == state)
        return read_frame(self.connection, statement.order_by(redraws.c.drafted_at.desc(), redraws.c.redraw_id))

    def page(self, prefix: str = "", state: str | None = None, *, cursor: str = "", limit: int = 100) -> _Rows:
        """Return a page of redraws of divisions under ``prefix``, newest draft first; without their grids and lineage.

        ``cursor`` is :meth:`cursor_of` the last one of the page before; "" begins.
        """
        statement = select(*plain_columns(redraws)).where(self.within(redraws.c.division_code, prefix))
        if state is not None:
            statement = statement.where(redraws.c.state == state)
        if cursor:
            statement = statement.where(tuple_(redraws.c.drafted_at, redraws.c.redraw_id) < _after(cursor))
        newest = statement.order_by(redraws.c.drafted_at.desc(), redraws.c.redraw_id.desc()).limit(limit)
        return [dict(row) for row in self.connection.execute(newest).mappings()]

    @staticmethod
    def cursor_of(redraw: Mapping[str, Any]) -> str:
        """Return the cursor of the page that begins after a redraw."""
        return f"{round(redraw['drafted_at'].timestamp() * 1_000_000)}_{redraw['redraw_id']}"

    def pending(self, now: datetime) -> _Rows:
        """Return the approved redraws whose instant has come and whose effects have not been taken yet, in order.

        Whatever the scope; locked until the transaction ends.
        """
        statement = (
            select(*plain_columns(redraws))
            .where(redraws.c.state == "approved", redraws.c.effects_at.is_(None), redraws.c.in_force_from <= now)
            .order_by(redraws.c.in_force_from, redraws.c.approval_no)
            .with_for_update()
        )
        return [dict(row) for row in self.connection.execute(statement).mappings()]

    def has_pending(self, now: datetime) -> bool:
        """Answer whether :meth:`pending` would return any; locks nothing and is cheap."""
        due = select(redraws.c.redraw_id).where(
            redraws.c.state == "approved", redraws.c.effects_at.is_(None), redraws.c.in_force_from <= now
        )
        return self.connection.scalar(due.limit(1)) is not None

    def is_past(self, at: datetime) -> bool:
        """Answer whether an instant has come, by the clock of the database."""
        return bool(self.connection.scalar(text("SELECT :at <= now()"), {"at": at}))

    def put_effects(self, redraw_id: str, effects: Mapping[str, Any], at: datetime) -> None:
        """Record what a redraw in force brought about, and that it is done."""
        statement = update(redraws).where(redraws.c.redraw_id == redraw_id, redraws.c.state == "approved")
        self.connection.execute(statement.values(effects=dict(effects), effects_at=at))

    def not_before(self, redraw_id: str, at: datetime) -> dict[str, Any] | None:
        """Return the newest other redraw of grids this one redraws that begins at ``at`` or later; None when there is none."""
        draft = self.get(redraw_id)
        statement = (
            select(*plain_columns(redraws))
            .where(
                redraws.c.state == "approved",
                redraws.c.in_force_from >= at,
                redraws.c.networks.overlap(draft["networks"]),
                redraws.c.community_codes.overlap(draft["community_codes"]),
            )
            .order_by(redraws.c.in_force_from.desc())
            .limit(1)
        )
        row = self.connection.execute(statement).mappings().one_or_none()
        return dict(row) if row else None

    def grids(self, redraw_id: str) -> gpd.GeoDataFrame:
        """Return the grids of a redraw, by network and code; the drafted ones, whatever came of them."""
        self.get(redraw_id)
        statement = select(*plain_columns(redraw_grids, "redraw_id"), wkb(redraw_grids.c.geom))
        return read_frame(
            self.connection,
            statement.where(redraw_grids.c.redraw_id == redraw_id).order_by(
                redraw_grids.c.network, redraw_grids.c.code
            ),
        )

    def lock_approvals(self) -> None:
        """Wait until nobody else is approving, and keep others waiting until the transaction ends.

        One approval after the other: their numbers follow the order of commit, and each sees what the one before put in force.
        """
        lock_approvals(self.connection)

    def approve(
        self,
        redraw_id: str,
        by: str,
        at: datetime,
        in_force_from: datetime,
        checks: Mapping[str, Any] | None = None,
        *,
        impact: Mapping[str, Any] | None = None,
        has_effects: bool = False,
    ) -> tuple[int, int, int]:
        """Put a draft in force and return (retired, inserted, unchanged) grids.

        Parameters
        ----------
        by, at
            Who decided, and when.
        in_force_from
            The instant its grids begin to hold.
        checks, impact
            What was measured and foreseen before, kept with the redraw; JSON-serialisable.
        has_effects
            Cases and assignments are to follow at the instant of force: leave it among the pending ones.

        Raises
        ------
        ConflictError
            When it is not a draft any more, when the grids it was made from were redrawn since, or when later grids are in
            force already.
        """
        self.lock_approvals()
        draft = self._draft(redraw_id)
        self._refuse_stale(draft)
        more = {
            "in_force_from": in_force_from,
            "checks": dict(checks or {}),
            "impact": dict(impact or {}),
            "approval_no": self.last_approval() + 1,
            "effects_at": None if has_effects else at,
        }
        self._decide(redraw_id, "approved", by, at, **more)
        drafted = self.grids(redraw_id)
        counts = [
            GridRepository(self.connection, self.scope).put_in_force(
                drafted[drafted["network"] == network],
                network=network,
                communities=draft["community_codes"],
                at=in_force_from,
                redraw_id=redraw_id,
            )
            for network in draft["networks"]
        ]
        retired, inserted, unchanged = (sum(column) for column in zip(*counts, strict=True))
        return retired, inserted, unchanged

    def discard(self, redraw_id: str, by: str = "", at: datetime | None = None) -> None:
        """Give a draft up; it stays on record with its grids, whose codes are not given again."""
        draft = self._draft(redraw_id)
        self._decide(redraw_id, "discarded", by or draft["drafted_by"], at or draft["drafted_at"])

    def set_reason(self, redraw_id: str, reason: str) -> None:
        """Say why a draft was made."""
        self._draft(redraw_id)
        self.connection.execute(update(redraws).where(redraws.c.redraw_id == redraw_id).values(reason=reason))

    def refuse_stale(self, redraw_id: str) -> None:
        """Do nothing when a redraw is a draft of grids as they still are.

        Raises
        ------
        ConflictError
            When it is not a draft any more, or the grids it was made from were redrawn since: names the other redraw.
        """
        self._refuse_stale(self._draft(redraw_id))

    def _draft(self, redraw_id: str) -> dict[str, Any]:
        """Return a redraw that is a draft, locked until the transaction ends."""
        self.connection.execute(
            text("SELECT FROM redraws WHERE redraw_id = CAST(:id AS uuid) FOR UPDATE"), {"id": _known_id(redraw_id)}
        )
        redraw = self.get(redraw_id)
        if redraw["state"] != "draft":
            raise ConflictError(f"Redraw {redraw_id} is {redraw['state']}, not a draft.", hint="Open a new draft.")
        return redraw

    def _refuse_stale(self, draft: Mapping[str, Any]) -> None:
        """Refuse a draft of grids that were redrawn by an approval after it was begun."""
        statement = (
            select(redraws.c.redraw_id, redraws.c.decided_by, redraws.c.decided_at, redraws.c.community_codes)
            .where(
                redraws.c.approval_no > draft["based_on"],
                redraws.c.networks.overlap(draft["networks"]),
                redraws.c.community_codes.overlap(draft["community_codes"]),
            )
            .order_by(redraws.c.approval_no.desc())
            .limit(1)
        )
        other = self.connection.execute(statement).one_or_none()
        if other is None:
            return
        both = sorted(set(other.community_codes) & set(draft["community_codes"]))
        named = ", ".join(both[:3]) + (f" and {len(both) - 3} more" if len(both) > 3 else "")
        raise ConflictError(
            f"Redraw {draft['redraw_id']} was drafted from grids that are no longer in force: redraw {other.redraw_id}"
            f" of {named} was approved by {other.decided_by} at {other.decided_at.isoformat()}, after it was begun.",
            hint="Open a new draft from the grids now in force, and discard this one.",
            redraw_id=str(draft["redraw_id"]),
            other_redraw_id=str(other.redraw_id),
        )

    def _decide(self, redraw_id: str, state: str, by: str, at: datetime, **more: Any) -> None:
        statement = update(redraws).where(redraws.c.redraw_id == redraw_id, redraws.c.state == "draft")
        done = self.connection.execute(statement.values(state=state, decided_by=by, decided_at=at, **more))
        if done.rowcount != 1:
            raise ConflictError(f"Redraw {redraw_id} was decided by somebody else just now.")


def _known_id(redraw_id: str) -> str:
    try:
        return str(UUID(str(redraw_id)))
    except ValueError:
        raise NotFoundError(
            f"There is no redraw {redraw_id}.", hint="Their ids are listed by gridsvc redraw list."
        ) from None


def _after(cursor: str) -> ColumnElement[Any]:
    """Return the position a cursor stands for, as a row to compare with."""
    micros, _, redraw_id = cursor.partition("_")
    try:
        drafted_at = datetime.fromtimestamp(int(micros) // 1_000_000, UTC).replace(microsecond=int(micros) % 1_000_000)
        return tuple_(
            literal(drafted_at, DateTime(timezone=True)), literal(str(UUID(redraw_id)), PG_UUID(as_uuid=False))
        )
    except (ValueError, OverflowError, OSError):
        raise RequestInvalidError(
            f"The cursor {cursor!r} is not one of this list.",
            hint="Give next_cursor of the page before.",
            field="cursor",
        ) from None


def _refuse_beyond(communities: Sequence[str], division_code: str) -> None:
    beyond = [community for community in communities if not community.startswith(division_code)]
    if beyond:
        raise PartitionError(
            f"Community {beyond[0]} is not under {division_code}, which the draft is about.",
            hint="Leave its grids out, or open a draft of the division that holds both.",
        )


def _with_network(frame: gpd.GeoDataFrame, networks: Sequence[str]) -> gpd.GeoDataFrame:
    """Return the grids with the network of each row, which only a draft of one network may leave unsaid."""
    if "network" not in frame.columns or len(networks) == 1:
        if len(networks) > 1:
            raise RequestInvalidError(
                f"The draft is about {' and '.join(networks)}, and the grids do not say which is which.",
                hint="Give each grid its network.",
                field="network",
            )
        return frame.assign(network=networks[0])
    unknown = sorted(set(frame["network"]) - set(networks))
    if unknown:
        raise RequestInvalidError(
            f"The draft is about {' and '.join(networks)}, not {', '.join(map(str, unknown))}.",
            hint="Open a draft of all the networks that change.",
            field="network",
        )
    return frame
