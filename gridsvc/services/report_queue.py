"""Reports that come at the same moment are stored together: one location, one statement, one commit for all of them.

Each is answered after that commit, as if it had been alone. A statement costs far more than one more report in it, so a group waits
some milliseconds for those that came with the ones before (`joint_work`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from gridsvc.services.joint_work import JointWork
from gridsvc.services.reporting import NewReport, Outcome, Poster, receipt_in, submit_reports
from gridsvc.store.unit_of_work import UnitOfWork

MOST_TOGETHER = 100
# how long reports may wait for those that came together with the ones before
GATHER_S = 0.004

Posted = tuple[NewReport, Poster, datetime]


class ReportQueue:
    """Stores reports of several requests together.

    Parameters
    ----------
    open_statements
        Makes a unit of work without a scope, in which every statement commits by itself.
    """

    def __init__(self, open_statements: Callable[[], UnitOfWork]) -> None:
        self._open = open_statements
        self._joint = JointWork(self._store, most=MOST_TOGETHER, gather_s=GATHER_S)

    def submit(self, report: NewReport, *, received_at: datetime, poster: Poster) -> tuple[dict[str, Any], bool]:
        """Store a report; return its receipt and whether it was new. Raises what `reporting.submit_report` does."""
        return receipt_in(self._joint.submit((report, poster, received_at)))

    def _store(self, posted: list[Posted]) -> list[Outcome]:
        reports, posters, received = zip(*posted, strict=True)
        with self._open() as uow:
            return submit_reports(uow, reports, received_at=max(received), posters=posters)
