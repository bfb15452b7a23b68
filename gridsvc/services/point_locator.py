"""Single positions of many requests: answered from what the process holds of grids and of who is on duty.

Both are found in microseconds; what takes time is to ask the database whether they are still so. One answer to that is good for
`LEASE_S`, so that a change is known in every process that much later at most, and never half. What is not held is asked of the database
by all requests of a moment together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridsvc.errors import DatabaseUnavailableError
from gridsvc.pausing import aside
from gridsvc.services.duty_roster import DutyRoster
from gridsvc.services.grid_lookup import held_indexes
from gridsvc.services.joint_work import JointWork
from gridsvc.services.locating import AskedPoint, LocatedPoint, locate_point
from gridsvc.services.readiness import UnitOfWorkMaker
from gridsvc.store.grid_history import GridHistory
from gridsvc.store.unit_of_work import UnitOfWork

MOST_TOGETHER = 100
# how old what is known of the present versions may be
LEASE_S = 0.05

# place (any number), network, grid code, whether only the primary worker is meant, instant
Asked = list[tuple[int, str, str, bool, datetime]]
OnDuty = tuple[str, list[tuple[int, dict[str, Any]]]]


@dataclass(frozen=True, slots=True)
class _Lease:
    """The versions of grids and of who is on duty, known to be the present ones until an instant of the process's clock."""

    until_s: float
    grids: str
    duty: str


class PointLocator:
    """Locates single positions of several requests.

    Parameters
    ----------
    open_statements, open_transaction
        Make a unit of work within a scope: one in which every statement commits by itself, and one whose connection was tested,
        which is used where the first turns out to be from before a restart of the database.
    nearest_within_m
        Where no grid of a network holds a position, the nearest one within this distance answers. Unit: m.
    """

    def __init__(
        self, open_statements: UnitOfWorkMaker, open_transaction: UnitOfWorkMaker, *, nearest_within_m: float
    ) -> None:
        self._open_statements, self._open_transaction = open_statements, open_transaction
        self._nearest_within_m = nearest_within_m
        self._duty = JointWork(self._read_duty, most=MOST_TOGETHER)
        self._lease = _Lease(0.0, "", "")
        self._leases = JointWork(self._renew_lease, most=MOST_TOGETHER)
        self._roster: DutyRoster | None = None

    def locate(
        self,
        lon: float,
        lat: float,
        datum: str | None,
        *,
        scope: str,
        at: datetime,
        accuracy_m: float | None,
        auto_route_odds: float,
    ) -> LocatedPoint:
        """Return what `locating.locate_point` returns, within a scope; raises what it raises."""
        asked = AskedPoint.of(lon, lat, datum, at, accuracy_m, self._nearest_within_m, auto_route_odds)
        lease = self._lease if time.monotonic() < self._lease.until_s else self._leases.submit(None)
        index = held_indexes(lease.grids, [at])[0]
        if index is not None:
            place = asked.place(index, scope)
            roster = self._roster
            if roster is not None and roster.version == lease.duty and roster.since <= at:
                return asked.answer(place, roster.on_duty(place.on_duty_asked()))
            confirmed, workers = self._duty.submit(place.on_duty_asked())
            if confirmed == index.version:
                return asked.answer(place, workers)
        return aside(
            lambda: self._read(
                lambda uow: locate_point(
                    uow,
                    lon,
                    lat,
                    datum,
                    at=at,
                    accuracy_m=accuracy_m,
                    nearest_within_m=self._nearest_within_m,
                    auto_route_odds=auto_route_odds,
                ),
                scope,
            )
        )

    def keep_roster(self, uow: UnitOfWork, now: datetime) -> None:
        """Hold who is on duty from now on, where it is not held: for a server, called again and again."""
        if self._roster is None or self._roster.version != uow.duty.versions()[1]:
            self._roster = DutyRoster.read(uow, now)

    def _renew_lease(self, group: list[None]) -> list[_Lease]:
        """Learn the present versions; what was read may have been so no longer than since before it was asked for."""
        asked_s = time.monotonic()
        self._lease = _Lease(asked_s + LEASE_S, *self._read(lambda uow: uow.duty.versions()))
        return [self._lease] * len(group)

    def _read_duty(self, group: list[Asked]) -> list[OnDuty]:
        """Return for each list of grids the version and the workers on duty, read in one statement."""
        owner = [(number, place) for number, asked in enumerate(group) for place, *_ in asked]
        joined = [(row, *one[1:]) for row, one in enumerate(one for asked in group for one in asked)]
        version, found = self._read(lambda uow: GridHistory(uow.connection).on_duty(joined))
        workers: list[list[tuple[int, dict[str, Any]]]] = [[] for _ in group]
        for row, worker in found:
            number, place = owner[row]
            workers[number].append((place, worker))
        return [(version, mine) for mine in workers]

    def _read(self, read: Callable[[UnitOfWork], Any], scope: str = "") -> Any:
        try:
            with self._open_statements(scope) as uow:
                return read(uow)
        except DatabaseUnavailableError:
            with self._open_transaction(scope) as uow:
                return read(uow)
