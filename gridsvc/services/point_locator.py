"""Single positions of many requests: looked up in the index that the process holds, their workers read together.

The grids of a position are found in microseconds; what takes time is to ask the database who is on duty, and whether the grids are
still those of the index. Requests that come at the same moment ask it together.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gridsvc.errors import DatabaseUnavailableError
from gridsvc.pausing import aside
from gridsvc.services.grid_lookup import held_indexes, last_version
from gridsvc.services.joint_work import JointWork
from gridsvc.services.locating import AskedPoint, LocatedPoint, locate_point
from gridsvc.services.readiness import UnitOfWorkMaker
from gridsvc.store.grid_history import GridHistory
from gridsvc.store.unit_of_work import UnitOfWork

MOST_TOGETHER = 100

# place (any number), network, grid code, whether only the primary worker is meant, instant
Asked = list[tuple[int, str, str, bool, datetime]]
OnDuty = tuple[str, list[tuple[int, dict[str, Any]]]]


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
        version = last_version()
        index = held_indexes(version, [at])[0] if version else None
        if index is not None:
            place = asked.place(index, scope)
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
