"""One transaction and the repositories that work in it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlalchemy import Connection, Engine, NestedTransaction, RootTransaction
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gridsvc.errors import DatabaseBusyError
from gridsvc.store.access import AccessRepository
from gridsvc.store.audit import AuditRepository
from gridsvc.store.basemap import (
    BarrierRepository,
    CompoundRepository,
    GateRepository,
    StreetRepository,
    WaterRepository,
)
from gridsvc.store.case_moves import CaseMoveRepository
from gridsvc.store.cases import CaseRepository
from gridsvc.store.categories import CategoryRepository
from gridsvc.store.circles import CircleRunRepository, WalkNetworkRepository
from gridsvc.store.components import ComponentRepository
from gridsvc.store.crosswalks import CrosswalkRepository, NetworkConflictRepository
from gridsvc.store.departments import DepartmentDutyRepository, DepartmentRepository
from gridsvc.store.division_runs import DivisionRunRepository
from gridsvc.store.divisions import DivisionRepository
from gridsvc.store.duty import DutyRepository
from gridsvc.store.events import EventRepository
from gridsvc.store.facilities import FacilityRepository
from gridsvc.store.facility_corrections import FacilityCorrectionRepository
from gridsvc.store.gazetteer import GazetteerRepository
from gridsvc.store.grids import GridRepository
from gridsvc.store.imports import ImportRepository
from gridsvc.store.lineage import LineageRepository
from gridsvc.store.photo_uploads import PhotoUploadRepository
from gridsvc.store.photos import PhotoRepository
from gridsvc.store.redraw_steps import RedrawStepRepository
from gridsvc.store.redraws import RedrawRepository
from gridsvc.store.relocations import RelocationRepository
from gridsvc.store.report_intake import ReportIntake
from gridsvc.store.report_receipts import ReceiptRepository
from gridsvc.store.report_updates import ReportUpdateRepository
from gridsvc.store.reports import ReportRepository
from gridsvc.store.residences import ResidenceRepository
from gridsvc.store.unplaced_reports import UnplacedReportRepository
from gridsvc.store.workforce import AssignmentRepository, WorkerRepository

if TYPE_CHECKING:
    from gridsvc.store.tiles import TileRepository


class UnitOfWork:
    """A transaction that is rolled back unless committed; its repositories see only ``scope``.

    Parameters
    ----------
    database
        An engine: a connection is taken from its pool for the time of the ``with`` block. Or a connection with a
        transaction of its own: the unit of work then lives in a save point of it (tests).
    scope
        Division-code prefix every read and write is cut to; "" is everything.
    cache_dir
        Folder for what can be computed again and is shared by processes; None for none.
    nearest_within_m
        How far outside of all grids a position may lie and still be given the nearest one (`services.grid_lookup`): one rule
        for all that is located in it. Unit: m.

    Examples
    --------
    >>> with UnitOfWork(engine) as uow:  # doctest: +SKIP
    ...     uow.divisions.put_frame(frame, valid_from)
    ...     uow.commit()
    """

    def __init__(
        self,
        database: Engine | Connection,
        scope: str = "",
        *,
        cache_dir: Path | None = None,
        nearest_within_m: float = 0.0,
    ) -> None:
        self._database = database
        self._transaction: RootTransaction | NestedTransaction | None = None
        self.scope = scope
        self.cache_dir = cache_dir
        self.nearest_within_m = nearest_within_m

    def __enter__(self) -> Self:
        try:
            self.connection = self._database.connect() if isinstance(self._database, Engine) else self._database
        except PoolTimeoutError:
            raise DatabaseBusyError(
                "All connections to the database are in use.",
                hint="Wait a moment and send it again; nothing was stored.",
            ) from None
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.rollback()
        finally:
            if isinstance(self._database, Engine):
                self.connection.close()

    def _begin(self) -> None:
        own = isinstance(self._database, Engine)
        self._transaction = self.connection.begin() if own else self.connection.begin_nested()

    def commit(self) -> None:
        """Keep what was done so far; work after it belongs to a new transaction."""
        assert self._transaction is not None, "commit outside of the with block"
        self._transaction.commit()
        self._begin()

    def rollback(self) -> None:
        """Forget what was done since the last commit."""
        if self._transaction is not None and self._transaction.is_active:
            self._transaction.rollback()
        self._transaction = None

    def everywhere(self) -> UnitOfWork:
        """Return this same transaction without the limits of the scope.

        For consequences that do not stop at a border: neighbours share vertices, and workers of the next community step in.
        What was asked for has been checked against the scope before. Committing stays with the original.
        """
        wide = UnitOfWork(self._database, cache_dir=self.cache_dir, nearest_within_m=self.nearest_within_m)
        wide.connection = self.connection
        return wide

    def save_point(self) -> UnitOfWork:
        """Return a unit of work, to be entered with ``with``, in a save point of this transaction: what it does stands or falls alone."""
        return UnitOfWork(self.connection, self.scope, cache_dir=self.cache_dir, nearest_within_m=self.nearest_within_m)

    def within(self, scope: str) -> UnitOfWork:
        """Return this same transaction cut to ``scope``, for work on behalf of several callers. Committing stays with the original."""
        cut = self.everywhere()
        cut.scope = scope
        return cut

    @cached_property
    def divisions(self) -> DivisionRepository:
        """Administrative divisions."""
        return DivisionRepository(self.connection, self.scope)

    @cached_property
    def grids(self) -> GridRepository:
        """Grids in force."""
        return GridRepository(self.connection, self.scope)

    @cached_property
    def redraws(self) -> RedrawRepository:
        """Drafts of grids and what became of them."""
        return RedrawRepository(self.connection, self.scope)

    @cached_property
    def redraw_steps(self) -> RedrawStepRepository:
        """Steps of editing drafts by hand."""
        return RedrawStepRepository(self.connection, self.scope)

    @cached_property
    def lineage(self) -> LineageRepository:
        """What became of which grid."""
        return LineageRepository(self.connection, self.scope)

    @cached_property
    def relocations(self) -> RelocationRepository:
        """Ground whose reports are to be located again."""
        return RelocationRepository(self.connection, self.scope)

    @cached_property
    def division_runs(self) -> DivisionRunRepository:
        """Divisions over many districts, and what became of each."""
        return DivisionRunRepository(self.connection, self.scope)

    @cached_property
    def workers(self) -> WorkerRepository:
        """Grid workers."""
        return WorkerRepository(self.connection, self.scope)

    @cached_property
    def assignments(self) -> AssignmentRepository:
        """Who is on which grid."""
        return AssignmentRepository(self.connection, self.scope)

    @cached_property
    def duty(self) -> DutyRepository:
        """Who is on duty where."""
        return DutyRepository(self.connection, self.scope)

    @cached_property
    def crosswalks(self) -> CrosswalkRepository:
        """Crosswalks between nets."""
        return CrosswalkRepository(self.connection, self.scope)

    @cached_property
    def network_conflicts(self) -> NetworkConflictRepository:
        """Comparisons of nets and what crosses in them."""
        return NetworkConflictRepository(self.connection, self.scope)

    @cached_property
    def departments(self) -> DepartmentRepository:
        """Departments."""
        return DepartmentRepository(self.connection, self.scope)

    @cached_property
    def department_duties(self) -> DepartmentDutyRepository:
        """What departments answer for."""
        return DepartmentDutyRepository(self.connection, self.scope)

    @cached_property
    def categories(self) -> CategoryRepository:
        """Classes of components and matters."""
        return CategoryRepository(self.connection, self.scope)

    @cached_property
    def reports(self) -> ReportRepository:
        """What was reported."""
        return ReportRepository(self.connection, self.scope)

    @cached_property
    def intake(self) -> ReportIntake:
        """Reports as they are posted."""
        return ReportIntake(self.connection, self.scope)

    @cached_property
    def receipts(self) -> ReceiptRepository:
        """What is held of whom."""
        return ReceiptRepository(self.connection, self.scope)

    @cached_property
    def unplaced_reports(self) -> UnplacedReportRepository:
        """Reports without a place."""
        return UnplacedReportRepository(self.connection, self.scope)

    @cached_property
    def report_updates(self) -> ReportUpdateRepository:
        """What was told of reports later."""
        return ReportUpdateRepository(self.connection, self.scope)

    @cached_property
    def photos(self) -> PhotoRepository:
        """Photos of reports."""
        return PhotoRepository(self.connection, self.scope)

    @cached_property
    def photo_uploads(self) -> PhotoUploadRepository:
        """Photos on their way in."""
        return PhotoUploadRepository(self.connection, self.scope)

    @cached_property
    def cases(self) -> CaseRepository:
        """What is being handled."""
        return CaseRepository(self.connection, self.scope)

    @cached_property
    def case_moves(self) -> CaseMoveRepository:
        """Cases that took other grids."""
        return CaseMoveRepository(self.connection, self.scope)

    @cached_property
    def facilities(self) -> FacilityRepository:
        """Service facilities."""
        return FacilityRepository(self.connection, self.scope)

    @cached_property
    def components(self) -> ComponentRepository:
        """The register of components."""
        return ComponentRepository(self.connection, self.scope)

    @cached_property
    def residences(self) -> ResidenceRepository:
        """Buildings with their households."""
        return ResidenceRepository(self.connection, self.scope)

    @cached_property
    def gazetteer(self) -> GazetteerRepository:
        """Addresses, and the gazetteer derived from them and others."""
        return GazetteerRepository(self.connection, self.scope)

    @cached_property
    def facility_corrections(self) -> FacilityCorrectionRepository:
        """What somebody found wrong with facilities."""
        return FacilityCorrectionRepository(self.connection, self.scope)

    @cached_property
    def streets(self) -> StreetRepository:
        """Streets."""
        return StreetRepository(self.connection, self.scope)

    @cached_property
    def water(self) -> WaterRepository:
        """Water areas."""
        return WaterRepository(self.connection, self.scope)

    @cached_property
    def barriers(self) -> BarrierRepository:
        """Walls, rails, banks."""
        return BarrierRepository(self.connection, self.scope)

    @cached_property
    def compounds(self) -> CompoundRepository:
        """Walled areas."""
        return CompoundRepository(self.connection, self.scope)

    @cached_property
    def gates(self) -> GateRepository:
        """Gates of compounds."""
        return GateRepository(self.connection, self.scope)

    @cached_property
    def walk_networks(self) -> WalkNetworkRepository:
        """Walking networks."""
        return WalkNetworkRepository(self.connection, self.scope)

    @cached_property
    def circle_runs(self) -> CircleRunRepository:
        """Results of service-circle runs."""
        return CircleRunRepository(self.connection, self.scope)

    @cached_property
    def events(self) -> EventRepository:
        """What happened, for those who follow along."""
        return EventRepository(self.connection, self.scope)

    @cached_property
    def imports(self) -> ImportRepository:
        """Files imported."""
        return ImportRepository(self.connection, self.scope)

    @cached_property
    def access(self) -> AccessRepository:
        """Users and tokens."""
        return AccessRepository(self.connection, self.scope)

    @cached_property
    def audit(self) -> AuditRepository:
        """The audit log."""
        return AuditRepository(self.connection, self.scope)

    @cached_property
    def tiles(self) -> TileRepository:
        """Map tiles, made by PostGIS."""
        from gridsvc.store.tiles import TileRepository  # only the tile server pays for it

        return TileRepository(self.connection, self.scope)
