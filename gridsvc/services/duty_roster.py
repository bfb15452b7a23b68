"""Who is on duty in every grid, held in memory: for questions that come too often to ask the database each time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridsvc.store.duty import WORKER, Duty
from gridsvc.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class DutyRoster:
    """All assignments that hold at ``since`` or later, of one version.

    ``by_grid``: of a network and grid code, valid_from, valid_to, place in the order of workers, and what is told of each.
    """

    version: str
    since: datetime
    by_grid: dict[tuple[str, str], list[Duty]]

    @classmethod
    def of(cls, version: str, since: datetime, rows: Iterable[Duty]) -> DutyRoster:
        """Return the roster of rows, see `DutyRepository.roster`."""
        by_grid: dict[tuple[str, str], list[Duty]] = defaultdict(list)
        for network, code, *duty in rows:
            by_grid[network, code].append(tuple(duty))
        return cls(version, since, dict(by_grid))

    @classmethod
    def read(cls, uow: UnitOfWork, since: datetime) -> DutyRoster:
        """Return the roster as the transaction sees it."""
        version, rows = uow.duty.roster(since)
        return cls.of(version, since, rows)

    def on_duty(self, asked: Sequence[tuple[int, str, str, bool, datetime]]) -> list[tuple[int, dict[str, Any]]]:
        """Return what `GridHistory.on_duty` finds, for instants from ``since`` on."""
        found = [
            (place, order, worker)
            for place, network, code, only_primary, at in asked
            for valid_from, valid_to, order, *worker in self.by_grid.get((network, code), ())
            if valid_from <= at and (valid_to is None or at < valid_to) and (worker[3] or not only_primary)
        ]
        return [(place, dict(zip(WORKER, worker, strict=True))) for place, _, worker in sorted(found)]
